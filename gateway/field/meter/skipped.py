"""The registers that a meter refuses or does not answer: no read contains them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from gateway.catalogue import Span
from gateway.errors import NoReply
from gateway.field.learnt import MOST_SPANS, MeterFacts

log = logging.getLogger(__name__)

NAMED = 8
"""Ranges of registers that a line names."""


class SkippedRegisters:
    """They live in the meter's facts; `changed` is called when there are others. `looked_at` is when they
    were last asked for.
    """

    def __init__(self, meter: str, facts: MeterFacts, changed: Callable[[], None]) -> None:
        self.looked_at = time.monotonic()
        self._meter, self._facts, self._changed = meter, facts, changed
        self._untold: dict[str, list[tuple[int, int, int]]] = {}

    def add(self, places: Sequence[tuple[int, int, int]], reason: str) -> None:
        """Leave out ranges (function, first, end) for a reason."""
        kept = [span for span in self._facts.skip if span[:3] not in places]
        fresh = [(*place, reason) for place in places]
        if len(kept) + len(fresh) > MOST_SPANS or not self._facts.learn("skip", (*kept, *fresh)):
            return
        self.looked_at = time.monotonic()
        self._untold.setdefault(reason, []).extend(places)
        self._changed()

    def tell(self) -> None:
        """Say what a poll has found out, in a line for each reason."""
        for reason, places in self._untold.items():
            named = ", ".join(
                f"{function}:{first}-{end - 1}" for function, first, end in sorted(places)[:NAMED]
            )
            log.info(
                "meter %s %s registers %s, while it answers others: they are left out of its reads → look "
                "whether its table fits",
                self._meter,
                "does not answer" if reason == NoReply.reason else "refuses",
                named + (f" and {len(places) - NAMED} more" if len(places) > NAMED else ""),
            )
        self._untold.clear()

    def why(self, span: Span) -> str:
        """Why a span is left out."""
        for function, first, end, reason in self._facts.skip:
            if function == span.function and span.address <= first and end <= span.end:
                return reason
        return "not_available"
