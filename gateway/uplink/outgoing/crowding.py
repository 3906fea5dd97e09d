"""Whether a broker that gives no reason ends connections because of how many messages it gets: by their
number or by their rate.

MQTT 3.1.1 has no word for it. Another client with our id ends connections at any moment, such a broker always
at a message, although most of the time none is on its way: after a few ends that is no chance. Then messages
go half as fast. A rate that is limited shows itself by more messages, until none ends a connection any more;
a number that is limited stays the same: slowness does not help there, a new connection does.
"""

from __future__ import annotations

import time
from enum import Enum

from gateway.common.troubles import Troubles
from gateway.errors import LinkDown, UplinkError
from gateway.mqtt import meaning
from gateway.uplink.outgoing.objections import PAUSE, Objections
from gateway.uplink.outgoing.rate import TokenBucket

TOO_FAST = meaning(0x96).cause
"""Cause of an end of the connection that a slower pace mends."""
_QUOTA = meaning(0x97)
CHANCE = 0.03
"""Below this probability it is no chance that connections end at messages."""
_LEAST_SHARE = 0.25
"""Counted at least for each end, so that it takes three."""
_BEHIND = 0.02
"""Seconds behind an acknowledgement that still belong to its message."""
_LONG = 600.0
"""s; what ends a connection no sooner costs nothing. A line that is cut each night ends it at one, too."""
_TWICE = 2
_BESIDE = 3
"""Messages that go at once on a new connection: state, meters, a batch."""


class Crowd(Enum):
    """What follows from the newest end."""

    UNKNOWN = "unknown"
    RATE = "rate"
    NUMBER = "number"


class Crowding:
    """What is seen of one uplink. Times are monotonic seconds. Pure."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._busy = 0.0
        self._sent_at: float | None = None
        self._acked_at = 0.0
        self._before: int | None = None
        self._same = 0
        self._chance = 1.0
        self._number: int | None = None
        self.accepted = 0
        """Messages acknowledged on this connection, or on the newest."""
        self.at_a_message = False
        """The newest connection ended at a message, and most of its time none was on its way."""

    def begin(self, now: float) -> None:
        """A new connection."""
        self._begun, self._busy, self._sent_at, self.accepted = now, 0.0, None, 0
        self.at_a_message = False

    def sent(self, now: float) -> None:
        """Messages go out, and none was on its way."""
        self._sent_at = now

    def acknowledged(self, count: int, now: float, *, last: bool) -> None:
        """Messages were acknowledged, with the `last` of those that were on their way."""
        self.accepted += count
        self._acked_at = now
        if last and self._sent_at is not None:
            self._busy += now - self._sent_at + _BEHIND
            self._sent_at = None

    def ended(self, now: float, rate: float, *, blameless: bool) -> Crowd:
        """The connection ended without a reason; `blameless`: no single message can be why. Batches were to
        go at no more than `rate` a second; 0: unknown.
        """
        at_a_message = self._sent_at is not None or now - self._acked_at <= _BEHIND
        busy = self._busy + (0.0 if self._sent_at is None else now - self._sent_at)
        share = busy / max(now - self._begun, 1e-9)
        self.at_a_message = at_a_message and share < 0.5 and self.accepted > 0
        if self._number is not None:
            if 0.7 * self._number <= self.accepted <= 1.3 * self._number + 20:
                return Crowd.NUMBER
            self._forget()
        if not at_a_message or now - self._begun > _LONG:
            self._forget()
            return Crowd.UNKNOWN
        if not blameless or not self.accepted:
            return Crowd.UNKNOWN
        self._chance *= min(1.0, max(_LEAST_SHARE, share))
        if self._chance >= CHANCE:
            return Crowd.UNKNOWN
        self.at_a_message = True
        # What goes first on a connection goes at once: it says nothing about the rate.
        hurried = rate and self.accepted - _BESIDE > 1.5 * rate * (now - self._begun)
        return Crowd.UNKNOWN if hurried else self._judge()

    def _judge(self) -> Crowd:
        # Nobody allows as few as come at once: who ends those may come at any moment.
        few = self.accepted <= _BESIDE
        grown = few or self._before is None or self.accepted > 1.1 * self._before + 2
        self._same = 0 if grown else self._same + 1
        if grown:
            self._before = self.accepted
        if self._same < _TWICE:
            return Crowd.RATE
        self._number = self.accepted
        return Crowd.NUMBER

    def _forget(self) -> None:
        self._chance, self._before, self._same, self._number = 1.0, None, 0, None


class Tempo:
    """How fast the messages of one uplink go, as its broker takes them."""

    def __init__(self, bucket: TokenBucket, objections: Objections, troubles: Troubles) -> None:
        self.seen = Crowding()
        self._bucket = bucket
        self._objections = objections
        self._troubles = troubles
        self._one_at_a_time = False

    def end(self) -> None:
        """A connection is over; before anything is concluded from it."""
        self._one_at_a_time = self._objections.one_at_a_time

    def slow_down(self, most: float = 0.0) -> bool:
        """The broker says that messages come too fast; whether what waits goes more slowly from here on: it
        may go as slowly as it can, or not be why. They went at no more than `most` a second; 0: unknown.
        """
        before, rate = self._bucket.rate, self._bucket.slow_down(time.monotonic(), most)
        if rate == before:
            return False
        what = (
            f"the broker takes fewer messages a second: of what waits, at most {rate:.2g} batches a second "
            f"go from here on, twice as many after every ten minutes without that"
        )
        self._troubles.note("the rate of the backlog", what)
        return True

    def crowded(self) -> tuple[UplinkError | None, bool]:
        """The connection ended without a reason: what it means if that was for how many messages there were,
        of which no single one is why, and whether that is mended: they go more slowly, or the next ones on a
        new connection.
        """
        found = self.seen.ended(time.monotonic(), self._bucket.rate, blameless=self._objections.blameless)
        if found is Crowd.UNKNOWN:
            return None, False
        if found is Crowd.RATE:
            slower = self.slow_down(1 / PAUSE if self._one_at_a_time else 0.0)
            what = (
                f"the broker ends the connection at a message, again and again: they come faster than it "
                f"allows, or it takes no more than {self.seen.accepted}"
            )
            return LinkDown(what, hint=_QUOTA.mend, cause=TOO_FAST), slower
        self._objections.clear()
        self._bucket.recover()
        most = self.seen.accepted
        what = f"the broker ends each connection after about {most} messages, slowly as they may come"
        self._troubles.note(
            "the number of messages", f"{what}; the next ones go on a new connection → {_QUOTA.mend}"
        )
        return LinkDown(what, hint=_QUOTA.mend, cause=_QUOTA.cause), True
