"""When to renew the retained P/state: at once when the backlog is gone, seldom while it only changes."""

from __future__ import annotations

from dataclasses import dataclass

EVERY = 30.0
"""Seconds between states while the backlog shrinks or grows."""
SELDOM = 300.0
"""Seconds between states that differ in seq alone."""
UNKEPT = 900.0
"""Seconds after which state and meters are said again where the broker keeps no retained messages."""
SETTLE = 3.0
"""Seconds a backlog must exist before it is worth a message: every live batch is one for a moment."""


@dataclass(frozen=True, slots=True)
class _Said:
    epoch: str
    seq: int
    backlog: int
    at: float


class StateTopic:
    """Decides; times are monotonic seconds."""

    def __init__(self) -> None:
        self._said: _Said | None = None
        self._backlog_since: float | None = None

    def forget(self) -> None:
        """A new connection: the broker may remember something else, such as our Last Will."""
        self._said = None

    def due(self, epoch: str, seq: int, backlog: int, now: float, *, kept: bool = True) -> bool:
        """Whether this state should be published now; `kept`: the broker keeps what is retained."""
        said = self._said
        self._backlog_since = None if not backlog else self._backlog_since or now
        if said is None:
            return True
        age = now - said.at
        if not kept and age >= UNKEPT:
            return True
        if not backlog and said.backlog:
            return True
        if backlog and not said.backlog:
            return now - (self._backlog_since or now) >= SETTLE
        if backlog != said.backlog:
            return age >= EVERY
        return epoch != said.epoch or (seq != said.seq and age >= SELDOM)

    def said(self, epoch: str, seq: int, backlog: int, now: float) -> None:
        """It was handed over."""
        self._said = _Said(epoch, seq, backlog, now)
