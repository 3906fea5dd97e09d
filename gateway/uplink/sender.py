"""Chooses what goes out next on one connection: replies and state first, live batches, then the backlog at its pace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from gateway.config.schema import Uplink
from gateway.errors import WireError
from gateway.model import Event, Sealed
from gateway.uplink.complaints import Complaints
from gateway.uplink.delivery import Delivery
from gateway.uplink.dress import dress
from gateway.uplink.hold import Hold
from gateway.uplink.link import Connection, Outgoing
from gateway.uplink.outbox import Outbox
from gateway.uplink.pace import TokenBucket, live_offset
from gateway.uplink.replay import Replays
from gateway.uplink.sources import Sources
from gateway.uplink.window import Key, key_of
from gateway.wire import Topics

MAX_CONTROL = 50
"""States and replies that wait for room; older ones give way."""
_LEAST_NAP = 0.01


class Sender:
    """The queues of one uplink and the hand that empties them. Runs on the event loop and never waits."""

    def __init__(
        self,
        config: Uplink,
        gateway: str,
        outbox: Outbox,
        *,
        delivery: Delivery,
        hold: Hold,
        complaints: Complaints,
        emit: Callable[[Event], None],
    ) -> None:
        now = time.monotonic()
        self._config = config
        self._gateway = gateway
        self._data = Topics(gateway).data
        self._delivery = delivery
        self._hold = hold
        self._complaints = complaints
        self._emit = emit
        self._bucket = TokenBucket(config.backlog_rate, now)
        self._offset = live_offset(gateway, config.spread)
        self._control: deque[Outgoing] = deque()
        self._backlog_at = 0.0
        self._connection: Connection | None = None
        self.sources = Sources(config.name, outbox, self._skip)
        self.replays = Replays(outbox, now)
        self.held: set[Key] = set()
        """Batches that wait for the clock."""

    def begin(self, connection: Connection, backlog_at: float) -> None:
        """A new connection; the backlog starts at monotonic time `backlog_at`."""
        self._connection = connection
        self._backlog_at = backlog_at
        self._delivery.connected(time.monotonic())
        self.sources.begin()
        self.sources.again.extend(self._delivery.conflicts)

    def end(self) -> None:
        """The connection is gone: what it carried without PUBACK is the journal's again."""
        self._connection = None
        self._delivery.disconnected()
        self._control.clear()
        self.replays.clear()

    def live(self, sealed: Sealed) -> None:
        """A batch that was just committed."""
        if self._connection is not None:
            self.sources.committed(sealed, time.monotonic() + self._offset)

    def say(self, message: Outgoing) -> None:
        """State, meters or a reply: before any batch."""
        if len(self._control) >= MAX_CONTROL:
            self._control.popleft()
        self._control.append(message)

    def release(self) -> None:
        """Batches that waited for the clock may go, if it is time."""
        if self._hold.released():
            self.held.clear()
            self.sources.rewind()

    def pump(self) -> bool:
        """Hand over what fits, in one call; whether the queues want to be filled."""
        connection = self._connection
        if connection is None:
            return False
        now = time.monotonic()
        room = connection.room
        out: list[Outgoing] = []
        while self._control and len(out) < room:
            out.append(self._control.popleft())
        probe = self._delivery.broker_probe
        if probe.running:
            # The broker refuses or is mute: one batch at a time, ever more seldom, until it takes one.
            if probe.due(now) and not self._delivery.window.unacked and len(out) < room and (message := self._next(now)) is not None:
                out.append(message)
                probe.tried(now)
        else:
            while len(out) < room and (message := self._next(now)) is not None:
                out.append(message)
        if out:
            connection.publish(out)
        return self.sources.low or (len(self.replays) > 0 and not self.replays.ready)

    def probe(self, now: float) -> None:
        """Without receipts for long: offer one batch again."""
        connection = self._connection
        if connection is None or connection.room <= 0 or self._delivery.broker_probe.running:
            return
        sealed = self._delivery.probe(now)
        if sealed is not None and (message := self._dressed(sealed)) is not None:
            self._delivery.sent(sealed, now)
            connection.publish([message])

    def nap(self, longest: float) -> float:
        """Seconds until something is due that nobody wakes us for, at most `longest`."""
        now = time.monotonic()
        if self._connection is None or self._connection.room <= 0 or self._delivery.window.full or self._delivery.broker_probe.running:
            return longest
        nap = longest
        if self.sources.live_at is not None:
            nap = min(nap, self.sources.live_at - now)
        if self.sources.waiting or self.replays.ready:
            nap = min(nap, max(self._backlog_at - now, self._bucket.wait(now)))
        return max(_LEAST_NAP, nap)

    def _next(self, now: float) -> Outgoing | None:
        while not self._delivery.window.full:
            sealed, replay = self.sources.take_live(now), False
            if sealed is None:
                if now < self._backlog_at or not (self.sources.waiting or self.replays.ready) or not self._bucket.take(now):
                    return None
                sealed = self.sources.take_waiting()
                if sealed is not None and self._delivery.needless(sealed):
                    continue
            if sealed is None:
                sealed, replay = self.replays.take(), True
            if sealed is None:
                return None
            message = self._dressed(sealed)
            if message is not None:
                self._delivery.sent(sealed, now, replay=replay)
                return message
        return None

    def _skip(self, sealed: Sealed) -> bool:
        if self._delivery.skip(sealed):
            return True
        if self._hold.verdict(sealed).wait:
            self.held.add(key_of(sealed))
            return True
        return False

    def _dressed(self, sealed: Sealed) -> Outgoing | None:
        verdict = self._hold.verdict(sealed)
        if verdict.wait:
            self.held.add(key_of(sealed))
            return None
        epoch = self._delivery.conflicts.epoch(sealed)
        other = None if epoch == sealed.epoch else epoch
        try:
            body = dress(sealed, self._gateway, t0=verdict.t0, epoch=other, packed=self._config.compress)
        except WireError as error:
            self._give_up(sealed, error)
            return None
        return Outgoing(self._data, body, tag=key_of(sealed))

    def _give_up(self, sealed: Sealed, error: WireError) -> None:
        """A stored batch that is none: the platform is told that this number will never come."""
        what = f"batch {sealed.epoch}/{sealed.seq} cannot be sent, its stored form is damaged: {error}"
        self._complaints.noted(f"batch {sealed.epoch}/{sealed.seq}", what)
        if self._delivery.gone(sealed):
            self._emit(
                Event("thinned", sealed.uptime, {"epoch": sealed.epoch, "from": sealed.seq, "to": sealed.seq, "reason": "unreadable"})
            )
