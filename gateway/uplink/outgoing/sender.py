"""Chooses what goes out next on one connection: live batches, then the backlog at its pace; state, meters and
replies beside them.

Nothing stands in front of readings: a message beside them goes when a batch was acknowledged since the last
one, or when there is no batch to send. Nothing goes that is larger than the broker takes: it is compressed,
or set aside, or left out, and said.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.config import Uplink
from gateway.errors import WireError
from gateway.model import Event, Sealed
from gateway.mqtt import (
    FIRST_FAILURE,
    SPARE,
    SUCCESS,
    TOO_LARGE,
    Connection,
    Outgoing,
    packet_size,
    payload_room,
)
from gateway.uplink.complaints import Complaints
from gateway.uplink.delivery import set_aside
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.delivery.window import Key, key_of
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing.clock_hold import ClockHold
from gateway.uplink.outgoing.objections import PAUSE, Flying, Objections
from gateway.uplink.outgoing.queues import Queues
from gateway.uplink.outgoing.rate import TokenBucket, live_offset
from gateway.uplink.outgoing.replay import Replays
from gateway.uplink.outgoing.rewrap import rewrap
from gateway.wire import Topics, compress

MAX_CONTROL = 50
"""States and replies that wait for room; older ones give way."""
_LEAST_NAP = 0.01
MAX_SIZE = 268_435_460
"""Bytes of the largest packet that MQTT has."""
LARGER = "allow larger messages at the broker (mosquitto: max_packet_size, message_size_limit)"
MAX_PLAIN_TRIES = 1000
"""Batches that a broker refused for their content and that are offered uncompressed."""


class Sender:
    """The queues of one uplink and the hand that empties them. Runs on the event loop and never waits."""

    def __init__(
        self,
        config: Uplink,
        gateway: str,
        outbox: JournalPort,
        *,
        account: str,
        delivery: Delivery,
        hold: ClockHold,
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
        self._flying: dict[object, Flying] = {}
        self._may_tell = False
        self._plain: dict[Key, None] = {}
        self._plain_only = False
        self.suspects = Objections(self._data)
        self.sources = Queues(account, outbox, self._skip)
        self.replays = Replays(outbox, now)
        self.held: set[Key] = set()
        """Batches that wait for the clock."""

    def begin(self, connection: Connection, backlog_at: float) -> None:
        """A new connection; the backlog starts at monotonic time `backlog_at`."""
        self._connection = connection
        self._backlog_at = backlog_at
        self._may_tell = False
        self._delivery.connected(time.monotonic())
        self._delivery.aside.forget(set_aside.TOO_LARGE)  # the broker's limit may be another one by now
        self.sources.begin()
        self.sources.again.extend(self._delivery.conflicts)

    def end(self) -> None:
        """The connection is gone: what it carried without PUBACK is the journal's again."""
        self._connection = None
        self._flying.clear()
        self._delivery.disconnected()
        self._control.clear()
        self.replays.clear()

    def live(self, sealed: Sealed) -> None:
        """A batch that was just committed."""
        if self._connection is not None:
            self.sources.committed(sealed, time.monotonic() + self._offset)

    @property
    def flying(self) -> list[Flying]:
        """What has no PUBACK."""
        return list(self._flying.values())

    def say(self, message: Outgoing) -> None:
        """State, meters or a reply, beside the batches; a newer one on the same topic replaces an older
        one that still waits.
        """
        if message.retain:
            self._control = deque(waiting for waiting in self._control if waiting.topic != message.topic)
        if len(self._control) >= MAX_CONTROL:
            self._control.popleft()
        self._control.append(message)

    def acknowledged(self, acks: Sequence[tuple[object, int]], now: float) -> None:
        """PUBACKs: (tag, reason code)."""
        for tag, code in acks:
            flown = self._flying.pop(tag, None)
            self._may_tell |= isinstance(tag, tuple)
            if flown is not None and code < FIRST_FAILURE:
                self.suspects.acknowledged(flown, now)
            elif flown is not None and code == TOO_LARGE and isinstance(tag, str):
                self.suspects.left_out[flown.topic] = flown.size
            if code == SUCCESS and self._plain.pop(tag, 0) is None:  # type: ignore[call-overload]  # a tag is a key or a word
                self._plain_only = True  # refused as zlib, taken as JSON: that is a rule of this broker

    def unfit(self, sealed: Sealed, code: int, words: str, now: float) -> None:
        """The broker refused one batch for its size or its content: it goes in another form, or is set
        aside; the others go on.
        """
        key = key_of(sealed)
        if code == TOO_LARGE:
            self.suspects.too_large(self._size(len(sealed.body)), now)
            self.sources.again.append(sealed)
        elif key not in self._plain and not self._plain_only and len(self._plain) < MAX_PLAIN_TRIES:
            self._plain[key] = None
            self.sources.again.append(sealed)
        elif self._delivery.aside.put(key, set_aside.REFUSED, now=now):
            self._plain.pop(key, None)
            what = (
                f"the broker does not allow what batch {key[0]}/{key[1]} holds{words}: it is set aside, "
                f"the others go on"
            )
            self._complaints.noted(
                f"content of {key[0]}", f"{what} → allow JSON and zlib on P/data at the broker"
            )

    def convict(self, flying: Sequence[Flying], now: float, *, too_large: bool) -> bool:
        """The connection ended, perhaps because of what was on its way; `too_large`: the broker said so.
        Whether that is known now.
        """
        verdict = self.suspects.ended(flying, now, too_large=too_large)
        if verdict is None:
            return False
        self._complaints.noted(verdict.what, f"{verdict.what} → look into the broker's log")
        if isinstance(verdict.batch, tuple):
            self._delivery.aside.put(verdict.batch, set_aside.REFUSED, now=now)
        if self.suspects.batches_refused:
            self._delivery.broker_probe.expect(now)
        return not self.suspects.batches_refused

    def _size(self, payload: int, topic: str = "") -> int:
        five = self._connection is None or self._connection.protocol != "3.1.1"
        return packet_size(topic or self._data, payload, five=five)

    def _fits(self, size: int) -> bool:
        packet, bound = self._connection.limits.packet if self._connection else None, self.suspects.bound
        return (packet is None or size <= packet) and (bound is None or size < bound)

    @property
    def batch_limit(self) -> int | None:
        """Bytes that the body of a new batch may have to fit this broker; None without a limit."""
        packet, good = self._connection.limits.packet if self._connection else None, self.suspects.good_size
        least = min((size for size in (packet, good) if size is not None), default=None)
        return None if least is None else max(1, payload_room(self._data, least, five=True) - SPARE)

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
        if self.suspects.one_at_a_time:
            room = min(room, 0 if self.suspects.pauses(now) else 1 - len(self._flying))
        out: list[Outgoing] = []
        live_at = self.sources.live_at
        if room > 0 and (
            self.suspects.control_first or (self._may_tell and (live_at is None or live_at > now))
        ):
            self._tell(out, 1)
        probe = self._delivery.broker_probe
        if probe.running:
            # The broker refuses or is mute: one batch at a time, ever more seldom, until it takes one.
            if (
                probe.due(now)
                and not self._delivery.window.unacked
                and len(out) < room
                and (message := self._next(now)) is not None
            ):
                out.append(message)
                probe.tried(now)
        else:
            while len(out) < room and (message := self._next(now)) is not None:
                out.append(message)
        if (
            self._control
            and not any(isinstance(message.tag, tuple) for message in out)
            and not self._delivery.window.unacked
        ):
            self._tell(out, room)
        self._hand_over(out)
        return self.sources.low or (len(self.replays) > 0 and not self.replays.ready)

    def _tell(self, out: list[Outgoing], room: int) -> None:
        """States, meters and replies that fit, up to `room` messages in all; each topic waits for its last
        PUBACK.
        """
        waiting, self._control = self._control, deque()
        for message in waiting:
            if (
                len(out) >= room
                or message.tag in self._flying
                or any(message.tag == other.tag for other in out)
            ):
                self._control.append(message)
            elif (fitting := self._fitting(message)) is not None:
                out.append(fitting)
                self._may_tell = False

    def _fitting(self, message: Outgoing) -> Outgoing | None:
        """The message as the broker takes it: as it is, or compressed; None when it must be left out."""
        limit = self._connection.limits.packet if self._connection else None
        most = min(limit or MAX_SIZE, self.suspects.left_out.get(message.topic, MAX_SIZE + 1) - 1)
        subject, size = f"the size of {message.topic}", self._size(len(message.payload), message.topic)
        if size > most and message.packable:
            message = replace(message, payload=compress(message.payload))
        if (least := self._size(len(message.payload), message.topic)) <= most:
            self._complaints.ended(subject)
            return message
        packed = f", {least} compressed" if least != size else ""
        takes = f"takes {limit}" if limit is not None and most == limit else "does not take it"
        what = (
            f"{message.topic} has {size} bytes{packed} and the broker {takes}: it is left out, batches go on"
        )
        self._complaints.raised(subject, what, LARGER)
        return None

    def _hand_over(self, out: list[Outgoing]) -> None:
        if out and self._connection is not None:
            for message in out:
                self._flying[message.tag] = Flying(
                    message.topic, self._size(len(message.payload), message.topic), message.tag
                )
            self._connection.publish(out)

    def probe(self, now: float) -> None:
        """Without receipts for long: offer one batch again."""
        connection = self._connection
        if connection is None or connection.room <= 0 or self._delivery.broker_probe.running:
            return
        if self.suspects.one_at_a_time and (self._flying or self.suspects.pauses(now)):
            return
        sealed = self._delivery.probe(now)
        if sealed is not None and (message := self._dressed(sealed)) is not None:
            self._delivery.sent(sealed, now)
            self._hand_over([message])

    def nap(self, longest: float) -> float:
        """Seconds until something is due that nobody wakes us for, at most `longest`."""
        now = time.monotonic()
        if self.suspects.pauses(now):
            return min(longest, PAUSE)
        if (
            self._connection is None
            or self._connection.room <= 0
            or self._delivery.window.full
            or self._delivery.broker_probe.running
        ):
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
                if (
                    now < self._backlog_at
                    or not (self.sources.waiting or self.replays.ready)
                    or not self._bucket.take(now)
                ):
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
            if replay:
                self.replays.left_out(sealed, self._delivery.aside.reason(key_of(sealed)))
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
        key = key_of(sealed)
        packed = self._config.compress and not self._plain_only and key not in self._plain
        try:
            body = rewrap(sealed, self._gateway, t0=verdict.t0, epoch=other, packed=packed)
            if not packed and not self._fits(self._size(len(body))) and not self._plain_only:
                body = rewrap(sealed, self._gateway, t0=verdict.t0, epoch=other)
        except WireError as error:
            self._give_up(sealed, error)
            return None
        size = self._size(len(body))
        if not self._fits(size):
            self._delivery.aside.put(key, set_aside.TOO_LARGE, size=size)
            return None
        return Outgoing(self._data, body, tag=key)

    def complain(self) -> None:
        """Say what is set aside, and when it is not any more."""
        large, subject = self._delivery.aside.count(set_aside.TOO_LARGE), "batches that are too large"
        if not large or self._delivery.aside.example is None:
            self._complaints.ended(subject)
            return
        (epoch, seq), size = self._delivery.aside.example
        limit = self._connection.limits.packet if self._connection else None
        takes = f"takes {limit}" if limit else f"did not take {self.suspects.bound}"
        are = "1 batch is" if large == 1 else f"{large} batches are"
        what = f"{are} set aside, the others go on: {epoch}/{seq} has {size} bytes, and the broker {takes}"
        self._complaints.raised(subject, what, LARGER)

    def look(self, now: float) -> None:
        """Now and then: what was left out or set aside may be tried again."""
        if self._delivery.aside.look(now) | self.suspects.look(now):
            self._delivery.aside.forget(set_aside.TOO_LARGE)
            self._plain_only = False
            self.sources.rewind()

    def _give_up(self, sealed: Sealed, error: WireError) -> None:
        """A stored batch that is none: the platform is told that this number will never come."""
        what = f"batch {sealed.epoch}/{sealed.seq} cannot be sent, its stored form is damaged: {error}"
        self._complaints.noted(f"batch {sealed.epoch}/{sealed.seq}", what)
        if self._delivery.gone(sealed):
            self._emit(
                Event(
                    "thinned",
                    sealed.uptime,
                    {"epoch": sealed.epoch, "from": sealed.seq, "to": sealed.seq, "reason": "unreadable"},
                )
            )
