"""When a connection is served in vain: its thread stands still, the broker acknowledges nothing, or it does
and no receipt comes. A broker can lose a subscription while the connection goes on, as when another node of
a cluster takes it over or a proxy connects anew behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.common.troubles import Troubles
from gateway.errors import LinkDown
from gateway.mqtt import Connection
from gateway.uplink.broker import Timing
from gateway.uplink.delivery import Delivery
from gateway.uplink.delivery.retry_timer import RetryTimer

LONGEST = 1800.0
"""Seconds between two tries to hear receipts, at most: mostly it is the platform that is away."""
HOUR = 3600.0
"""Seconds between two subscriptions where no receipt could tell that one is lost: to commands, to a host's
state.
"""
_DAY = 86_400.0
_BETWEEN = 10.0
"""Seconds between two ticks that count as served, at most: between two connections there are none."""


class Unheard(LinkDown):
    """The connection is given up although nothing is known to be wrong with it."""


class Patience:
    """Of one uplink; times are monotonic seconds. `chance` gives each gateway of a city a pace of its own."""

    def __init__(
        self, timing: Timing, delivery: Delivery, troubles: Troubles, chance: Callable[[], float]
    ) -> None:
        self._timing = timing
        self._delivery = delivery
        self._troubles = troubles
        self._timer = RetryTimer(0.5 * timing.silence * (1.0 + chance()), LONGEST)
        self._hourly = RetryTimer(HOUR, HOUR)
        self._served_at = 0.0
        self.in_vain = 0.0
        """Seconds of connection, this one and those before, with something to deliver, since anything last
        counted as delivered. What waits for the clock is not to be delivered yet.
        """
        self._asked: Connection | None = None
        """The connection on which the topics were subscribed to again since the last receipt."""

    def ended(self, connection: Connection, now: float, *, owed: bool) -> LinkDown | None:
        """Once a tick: why this connection is to be replaced by another one; None while it is not. `owed`:
        whether something is to be delivered.
        """
        self._count(now, owed=owed)
        if now - connection.beat > self._timing.stuck:
            return LinkDown("the thread that serves the connection is stuck")
        if self._delivery.mute(now):
            what = f"the broker has acknowledged nothing for {self._timing.patience:g} s"
            return LinkDown(what, cause="silent")
        return self._listen(connection, now)

    def _count(self, now: float, *, owed: bool) -> None:
        """A connection that comes and goes is no new beginning each time, an outage is no time of service;
        nor is a time in which there is nothing to confirm, as with a full disk. A receipt alone ends it not:
        a consumer may repeat an old one, or be one of several.
        """
        before, delivered = self._served_at, self._delivery.delivered_at
        self._served_at = now
        if not owed or (delivered is not None and delivered >= before):
            self.in_vain = 0.0
        elif before:
            self.in_vain += min(now - before, _BETWEEN)

    def _listen(self, connection: Connection, now: float) -> LinkDown | None:
        """No receipt for long: subscribe again, which costs little, then connect again, ever more seldom."""
        if not self._delivery.consumers:
            self._hourly.expect(now)
            if self._hourly.due(now):
                self._hourly.tried(now)
                connection.subscribe_again()
            return None
        silent = self._delivery.silent(now)
        if not silent or self._delivery.unread:
            self._timer.progress(now, waiting=False)
            self._asked = None
            return None
        self._timer.expect(now)
        if not self._timer.due(now):
            return None
        self._timer.tried(now)
        if self._asked is connection and len(silent) == len(self._delivery.consumers):
            return Unheard("no receipt came after the topics were subscribed to again, either")
        self._asked = connection
        connection.subscribe_again()
        self._delivery.listening(now)
        self._troubles.note(
            "receipts",
            "no receipt comes although the broker acknowledges batches: the topics are subscribed to again, "
            "in case it has lost that; then the connection is made anew; now and then, until a receipt comes",
            every=_DAY,
            level=logging.INFO,
        )
        return None
