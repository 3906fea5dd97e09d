"""When to renew what is retained: P/state at once when the backlog is gone, seldom while it only changes;
P/meters when it says something new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

EVERY = 30.0
"""Seconds between states while the backlog shrinks or grows."""
SELDOM = 300.0
"""Seconds between states that differ in seq alone."""
UNKEPT = 900.0
"""Seconds after which state and meters are said again where the broker keeps no retained messages."""
STEADY = 3.0
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
            return now - (self._backlog_since or now) >= STEADY
        if backlog != said.backlog:
            return age >= EVERY
        return epoch != said.epoch or (seq != said.seq and age >= SELDOM)

    def said(self, epoch: str, seq: int, backlog: int, now: float) -> None:
        """This state was handed to the connection at monotonic time `now`."""
        self._said = _Said(epoch, seq, backlog, now)


class MetersTopic:
    """P/meters of one uplink; `describe` gives its text. Times are monotonic seconds."""

    def __init__(self, describe: Callable[[], bytes]) -> None:
        self._describe = describe
        self._text = b""
        self._check_at = 0.0
        self._said_at = 0.0

    def forget(self) -> None:
        """It must be said again: a new connection, or the broker refused it as too large."""
        self._text, self._check_at = b"", 0.0

    def changed(self) -> None:
        """It may say something else now."""
        self._check_at = 0.0

    def due(self, now: float, *, kept: bool) -> bytes | None:
        """What to say now, if anything; now and then all the same where the broker does not keep it."""
        again = not kept and now - self._said_at >= UNKEPT
        if now < self._check_at and not again:
            return None
        self._check_at = now + EVERY
        text = self._describe()
        if text == self._text and not again:
            return None
        self._text, self._said_at = text, now
        return text
