"""The registers that a meter refuses or does not answer: found out, remembered, said, and in no read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.catalogue import Span
from gateway.errors import NoReply, NotReady, Refused
from gateway.field.facts import MOST_SPANS, MeterFacts
from gateway.field.meter.planner import Read, Rules, between, halves
from gateway.field.meter.poll import Poll
from gateway.field.meter.silent_read import Asking, SilentRead

log = logging.getLogger(__name__)

SPLIT = frozenset({2, 3})
"""Exceptions that may come from one register of a longer read, or from its length."""
ABSENT_STATION = frozenset({10, 11})
"""Exceptions with which a gateway says that the meter behind it does not answer."""
AGAIN = (60.0, 900.0)
"""s after which what was refused is asked again: at first, and when it has been refused each time. A meter
that starts may refuse whatever it is asked.
"""
NAMED = 8
"""Ranges of registers that a line names."""
PROMPT = 0.5
"""s within which a refusal comes that costs the others little; a later one is as good as a silence, which
takes the line and brings nothing.
"""
_OFTEN = 2
"""Refusals of the moment in a row, after which one is the read's own."""
_MOST_KEYS = 64


@dataclass(slots=True)
class Refusals:
    """How a read is refused, since it was last answered."""

    reason: str = ""
    lasting: int = 0
    """How often in a row, by an exception that is not one of a meter that is busy."""
    took: float = 0.0
    """s that the last one took, if that was long; else 0."""
    passing: bool = False
    """Whether the last one says that the meter is busy, and nothing of its registers."""


class AskingAll(Asking, Protocol):
    """Whoever asks for the reads of a meter."""

    longest: int
    """Registers of the longest read that was answered."""

    async def fetch(self, read: Read, poll: Poll) -> bool:
        """One request; whether it came whole. Raises NoReply, BusDown, Refused."""

    def may_be_noise(self, row: Span) -> bool:
        """Whether the silence of a row proves nothing."""


class SkippedRegisters:
    """They live in the meter's facts. `rules` are those of today's reads; `changed` is called when they have
    become others. `asked_at` is when what is skipped was last asked for.
    """

    def __init__(
        self, meter: str, facts: MeterFacts, rules: Callable[[], Rules], changed: Callable[[], None]
    ) -> None:
        self.asked_at = time.monotonic()
        self._meter, self._facts, self._rules, self._changed = meter, facts, rules, changed
        self._wait, self._again_at = AGAIN[0], self.asked_at + AGAIN[0]
        self._asked_again: set[tuple[int, int, int]] = set()
        """What was refused once, and said, and may be refused again."""
        self._untold: dict[str, list[tuple[int, int, int]]] = {}
        self._open: dict[Read, SilentRead] = {}
        """Reads that are not answered, and what is known of them so far."""
        self.refusals: dict[Read, Refusals] = {}
        self._slow: set[tuple[int, int, int]] = set()
        """What is refused after long, so that it is asked again as seldom as what is silent."""

    def add(self, places: Sequence[tuple[int, int, int]], reason: str) -> None:
        """Skip ranges (function, first, end) for a reason."""
        kept = [span for span in self._facts.skip if span[:3] not in places]
        fresh = [(*place, reason) for place in places]
        if len(kept) + len(fresh) > MOST_SPANS or not self._facts.learn("skip", (*kept, *fresh)):
            return
        self.asked_at = time.monotonic()
        news = [place for place in places if place not in self._asked_again]
        if news:
            self._wait = AGAIN[0]
            self._untold.setdefault(reason, []).extend(news)
        self._again_at = self.asked_at + self._wait
        self._changed()

    def ask_refused_again(self) -> None:
        """Let the next poll ask what was refused, when it is time. What is silent would take more."""
        refused = [span for span in self._facts.skip if not self._lasts_long(span)]
        if not refused or time.monotonic() < self._again_at or self._facts.fixed("skip"):
            return
        self._asked_again |= {span[:3] for span in refused}
        self._wait = min(2 * self._wait, AGAIN[1])
        self._again_at = time.monotonic() + self._wait
        self._facts.learn("skip", tuple(span for span in self._facts.skip if span not in refused))
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
        """Why a span is skipped."""
        for function, first, end, reason in self._facts.skip:
            if function == span.function and span.address <= first and end <= span.end:
                return reason
        return "not_available"

    def forget_open(self) -> None:
        """Why reads were not answered has become clear otherwise, or may be another meter's matter."""
        self._open.clear()
        self._asked_again.clear()
        self.refusals.clear()
        self._slow.clear()

    # -- a read that is not answered while others are

    async def find_fault(self, read: Read, poll: Poll, asking: AskingAll) -> tuple[bool, float | None]:
        """Find out which registers are at fault, as far as the poll allows: whether that is known now; or
        when it was asked again, if it was answered then.
        """
        silent = self._open.get(read)
        if silent is None:
            reason = self.refusals[read].reason if read in self.refusals else NoReply.reason
            if not poll.may_learn:
                asking.fail(read, poll, reason)
                return False, None
            began = time.monotonic()
            if await asking.again(read, poll):
                return False, began
            silent = self._open[read] = SilentRead(read, self._rules, reason)
        if self._facts.fixed("skip"):
            del self._open[read]
            asking.fail(read, poll, silent.reason)
            return False, None
        await silent.go_on(asking, poll)
        if silent.known:
            del self._open[read]
            self._conclude(silent, asking)
        return silent.known, None

    def _conclude(self, silent: SilentRead, asking: AskingAll) -> None:
        """What is known now is remembered, so that it is not asked again."""
        rows = [
            (function, first, end)
            for function, first, end in silent.silent()
            if not asking.may_be_noise(Span(function, first, end - first))
        ]
        if rows:
            self._add_silent(rows, silent.reason)
        count, longest = silent.too_long(), asking.longest
        if count is not None and longest < count:
            self.too_long(count, longest)
        elif steps := silent.steps():
            self._add_silent(steps, silent.reason)
        self._changed()

    def too_long(self, count: int, longest: int) -> None:
        """Reads of `count` registers are not answered, and those of `longest` are."""
        if self._facts.learn("max_registers", longest):
            log.info(
                "meter %s does not answer reads of %d registers: they have at most %d now",
                self._meter,
                count,
                longest,
            )
            self._changed()

    def _add_silent(self, places: list[tuple[int, int, int]], reason: str) -> None:
        if reason != NoReply.reason:
            self._slow.update(places)
        self.add(places, reason)

    def _lasts_long(self, span: tuple[int, int, int, str]) -> bool:
        """Whether to ask for a skipped span takes long."""
        return span[3] == NoReply.reason or span[:3] in self._slow

    # -- what it refuses

    def like_silence(self, read: Read, error: Refused, poll: Poll, took: float, usual: float) -> bool:
        """Count a refusal that came after `took` s, where an answer takes `usual` s. Whether it is like a
        silence: that was long, or a gateway says that its meter does not answer.
        """
        poll.refused, poll.refused_for = error, poll.refused_for + max(0.0, took - usual)
        if len(self.refusals) > _MOST_KEYS:
            self.refusals.clear()
        known = self.refusals.setdefault(read, Refusals())
        known.reason, known.passing = error.reason, isinstance(error, NotReady)
        known.lasting += not known.passing
        known.took = took if took > PROMPT else 0.0
        return known.took > 0.0 or error.code in ABSENT_STATION

    def took_long(self, read: Read) -> float:
        """The s that its last refusal took, if that was long; else 0."""
        return self.refusals[read].took if read in self.refusals else 0.0

    def passing(self, read: Read) -> bool:
        """Whether its last refusal says that the meter is busy, and nothing of its registers."""
        return read in self.refusals and self.refusals[read].passing

    def lasts(self, read: Read) -> bool:
        """Whether refusals that may be ones of the moment have come so often that the read is at fault."""
        return self.refusals[read].lasting > _OFTEN

    def must_wait(self, read: Read, poll: Poll) -> bool:
        """Whether a read that is refused after long is not asked for now: that is paid from the share of the
        lost meters.
        """
        if poll.may_learn or not self.took_long(read):
            return False
        poll.lacks(read, self.refusals[read].reason)
        poll.again = True
        return True

    async def split(self, read: Read, error: Refused, poll: Poll, asking: AskingAll) -> None:
        """The two halves of a refused read; what is at fault is remembered, so that it is not asked again."""
        parts = halves(read, self._rules())
        if parts is None:
            span = read.spans[0]
            place = (span.function, span.address, span.end)
            if error.code in SPLIT:
                self.add([place], error.reason)
            else:
                poll.doubtful.append((*place, error.reason))
            poll.replies.fail(read.function, read.address, read.count, error.reason)
            return
        whole = []
        for part in parts:
            if self.must_wait(part, poll):
                whole.append(False)
                continue
            began = time.monotonic()
            try:
                whole.append(await asking.fetch(part, poll))
            except (NoReply, Refused) as problem:
                poll.spent += time.monotonic() - began
                poll.replies.fail(part.function, part.address, part.count, problem.reason)
                poll.again = True
                whole.append(False)
        if all(whole):
            self.add([between(*parts)], error.reason)

    def leave_out(self, poll: Poll) -> None:
        """Rows that were refused as a meter in trouble may refuse all: they are at fault when others came."""
        if poll.doubtful and poll.replies.reads:
            for *place, reason in poll.doubtful:
                self.add([(place[0], place[1], place[2])], reason)
        poll.doubtful.clear()

    async def ask_again(self, poll: Poll, asking: AskingAll) -> None:
        """Once a day: what was refused may be answered now. A refusal costs little, what takes long is
        asked for by itself.
        """
        self.asked_at = time.monotonic()
        kept = [span for span in self._facts.skip if self._lasts_long(span)]
        answered = []
        for span in kept:
            function, first, end, _ = span
            first, end = self._rules().bounds(first, end)
            if poll.may_learn and await asking.again(Read(function, first, end - first, ()), poll):
                answered.append(span)
        left = tuple(span for span in kept if span not in answered)
        if left != self._facts.skip and not self._facts.fixed("skip"):
            self._facts.learn("skip", left)
            self._changed()
