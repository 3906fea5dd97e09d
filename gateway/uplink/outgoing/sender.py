"""Chooses what goes out next on one connection: live batches, then the backlog at its rate; state, meters and
replies beside them.

Nothing stands in front of readings: a message beside them goes when a batch was acknowledged since the last
one, or when there is no batch to send.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.common.troubles import Troubles
from gateway.config import Uplink
from gateway.errors import WireError
from gateway.model import ClockLike, Event, Sealed
from gateway.mqtt import Connection, Outgoing
from gateway.uplink.delivery import Delivery, Key, key_of
from gateway.uplink.journal_port import JournalPort
from gateway.uplink.outgoing.clock_hold import ClockHold
from gateway.uplink.outgoing.crowding import Tempo
from gateway.uplink.outgoing.fitting import Fitting
from gateway.uplink.outgoing.objections import PAUSE, Flying, Objections
from gateway.uplink.outgoing.queues import Queues
from gateway.uplink.outgoing.rate import TokenBucket, live_offset
from gateway.uplink.outgoing.replay import Replays
from gateway.wire import Topics

MAX_BESIDE = 50
"""States and replies that wait for room; older ones give way."""
_LEAST_NAP = 0.01
_EPOCHS = 8
"""Epochs that are looked at for the beginning of this boot; one boot rarely has more than one."""


@dataclass(frozen=True, slots=True)
class KeptBack:
    """What does not go to this broker for now; the names are those of UplinkStats."""

    held: int
    set_aside: int
    set_aside_cause: str
    left_out: tuple[str, ...]


class Sender:
    """The queues of one uplink and the hand that empties them. On the event loop; only `refill` and
    `learn` wait, for the journal, and raise whatever it raises.
    """

    def __init__(
        self,
        config: Uplink,
        gateway: str,
        journal: JournalPort,
        clock: ClockLike,
        *,
        hold: float,
        account: str,
        delivery: Delivery,
        troubles: Troubles,
        emit: Callable[[Event], None],
    ) -> None:
        now = time.monotonic()
        self._topics = Topics(gateway)
        self._journal = journal
        self._delivery = delivery
        self._troubles = troubles
        self._emit = emit
        self._hold = ClockHold(clock, hold)
        self._bucket = TokenBucket(config.backlog_rate, now)
        self._offset = live_offset(gateway, config.spread)
        self._beside: deque[Outgoing] = deque()
        self._backlog_at = 0.0
        self._connection: Connection | None = None
        self._flying: dict[object, Flying] = {}
        self._may_tell = False
        self._objections = Objections(self._topics.data)
        self._fitting = Fitting(
            self._topics.data, gateway, self._objections, troubles, packed=config.compress
        )
        self.pace = Tempo(self._bucket, self._objections, troubles)
        self._seen = self.pace.seen
        self._queues = Queues(account, journal, self._skip)
        self._replays = Replays(journal, now)
        self.held: set[Key] = set()
        """Batches that wait for the clock."""

    # -- a connection ----------------------------------------------------------------------------------------

    def begin(self, connection: Connection, backlog_at: float) -> None:
        """A new connection; the backlog starts at monotonic time `backlog_at`."""
        self._connection = connection
        self._backlog_at = backlog_at
        self._may_tell = False
        self._objections.begin(time.monotonic())
        self._seen.begin(time.monotonic())
        self._delivery.connected(time.monotonic())
        self._fitting.begin(connection)
        self._queues.begin()
        for sealed in self._delivery.again():
            self._queues.offer_again(sealed)

    def end(self) -> Sequence[Flying]:
        """The connection is gone: what it carried without PUBACK is the journal's again, and is told."""
        flying = list(self._flying.values())
        self.pace.end()
        self._connection = None
        self._flying.clear()
        self._fitting.end()
        self._delivery.disconnected()
        self._beside.clear()
        self._replays.clear()
        return self._objections.at_the_end(flying, time.monotonic())

    def ended_by(self, flying: Sequence[Flying], *, too_large: bool) -> bool:
        """The connection may have ended because of what was on its way; `too_large`: the broker said so.
        Whether it is known now, and left out from here on.
        """
        now = time.monotonic()
        known = self._fitting.ended(flying, now, too_large=too_large)
        if known and self._objections.batches_refused:
            self._delivery.refused_all(now)
            return False
        return known

    @property
    def blameless(self) -> bool:
        """Whether all that was on its way at the newest end is what this broker takes."""
        return self._objections.blameless

    def pardon(self) -> None:
        """Another client ends our connections: what was left out or set aside for that goes again, and as
        fast as is configured.
        """
        self._fitting.pardon()
        self._bucket.recover()

    # -- what comes in ---------------------------------------------------------------------------------------

    async def learn(self) -> None:
        """When this boot began to take readings: its hold runs from there."""
        for epoch, first, last in self._journal.epochs()[-_EPOCHS:]:
            for sealed in await self._journal.find(epoch, first, last, 1):
                self._hold.met(sealed)

    def live(self, sealed: Sealed) -> None:
        """A batch that was just committed."""
        self._hold.met(sealed)
        if self._connection is not None:
            self._queues.committed(sealed, time.monotonic() + self._offset)

    def offer_again(self, sealed: Sealed) -> None:
        """A batch must go again."""
        self._queues.offer_again(sealed)

    def command(self, payload: bytes, now: float) -> None:
        """The platform asks for a replay. Raises WireError for nonsense and for more than can be answered."""
        reply = self._replays.command(payload, now)
        if reply is not None:
            self.say(self._topics.reply, reply.to_bytes())

    def say(self, topic: str, payload: bytes, *, retain: bool = False, packable: bool = False) -> None:
        """State, meters or a reply, beside the batches; a newer one that is retained replaces an older one
        that still waits.
        """
        if retain:
            self._beside = deque(waiting for waiting in self._beside if waiting.topic != topic)
        if len(self._beside) >= MAX_BESIDE:
            self._beside.popleft()
        self._beside.append(Outgoing(topic, payload, retain=retain, tag=topic, packable=packable))

    def acknowledged(self, acks: Sequence[tuple[object, int]], now: float) -> None:
        """PUBACKs: (tag, reason code)."""
        for tag, code in acks:
            self._may_tell |= isinstance(tag, tuple)
            self._fitting.acknowledged(tag, code, self._flying.pop(tag, None), now)
        self._seen.acknowledged(len(acks), now, last=not self._flying)

    def unfit(self, sealed: Sealed, code: int, words: str, now: float) -> None:
        """The broker refused one batch for its size or its content."""
        if self._fitting.unfit(sealed, code, words, now):
            self._queues.offer_again(sealed)

    # -- now and then ----------------------------------------------------------------------------------------

    def tick(self, backlog: int, now: float) -> None:
        """Once a tick: what waited for the clock, was set aside or left out, was lost on the way, or is
        lacked by a slow consumer may go; one batch as a try. `backlog`: how many batches were never sent.
        """
        if self._hold.released():
            self.held.clear()
            self._queues.rewind()
        if self._fitting.tick(now):
            self._queues.rewind()
        if self._delivery.tick(now) and not (self._queues.waiting or self._queues.low):
            self._queues.rewind()
        for sealed in self._delivery.lost(now):
            self._queues.offer_again(sealed)
        self._queues.read_again(0 if self.held else backlog, now)
        self._try_again(now)
        self._fitting.tell()

    def _try_again(self, now: float) -> None:
        connection = self._connection
        if connection is None or connection.room <= 0 or self._delivery.one_by_one:
            return
        if self._objections.pauses(now) or (self._objections.one_at_a_time and self._flying):
            return
        sealed = self._delivery.retry(now)
        if sealed is not None and (message := self._message(sealed)) is not None:
            self._delivery.sent(sealed, now)
            self._hand_over([message])

    def anchors(self) -> Iterable[Event]:
        """Events for the platform when the clock became right after unsynced batches had been sent."""
        return self._hold.anchors()

    @property
    def batch_limit(self) -> int | None:
        """Bytes that the body of a new batch may have to fit this broker; None without a limit."""
        return self._fitting.batch_limit

    @property
    def live_waiting(self) -> int:
        """Live batches that wait for their moment."""
        return self._queues.live

    @property
    def set_aside(self) -> int:
        """Batches that this broker does not take although it takes others."""
        return len(self._fitting.set_aside)

    @property
    def kept_back(self) -> KeptBack:
        """Batches that wait for the clock or are set aside, and messages beside them that are left out."""
        fitting = self._fitting
        return KeptBack(len(self.held), self.set_aside, fitting.set_aside.cause, tuple(fitting.left_out))

    # -- what goes out ---------------------------------------------------------------------------------------

    async def refill(self, now: float) -> None:
        """Read ahead of backlog and replays."""
        await self._queues.refill(now)
        reply = await self._replays.work()
        if reply is not None:
            self.say(self._topics.reply, reply.to_bytes())

    def pump(self) -> bool:
        """Hand over what fits, in one call; whether the queues want to be filled."""
        connection = self._connection
        if connection is None:
            return False
        now = time.monotonic()
        room = 0 if self._objections.pauses(now) else connection.room
        if self._objections.one_at_a_time:
            room = min(room, 1 - len(self._flying))
        out: list[Outgoing] = []
        if room > 0 and (self._control_first or (self._may_tell and not self._live_due(now))):
            self._tell(out, 1)
        if self._delivery.one_by_one:
            if self._delivery.may_try(now) and len(out) < room and (message := self._next(now)) is not None:
                out.append(message)
                self._delivery.tried(now)
        else:
            while len(out) < room and (message := self._next(now)) is not None:
                out.append(message)
        if not any(isinstance(message.tag, tuple) for message in out) and not self._delivery.unacked:
            self._tell(out, room)
        self._hand_over(out)
        return self._queues.low or (len(self._replays) > 0 and not self._replays.ready)

    @property
    def _control_first(self) -> bool:
        """Whether something small goes first, and not the very one that ended the connection before: then a
        batch is what shows whether messages are taken.
        """
        return self._objections.control_first and any(
            message.topic != self._objections.ended_by for message in self._beside
        )

    def _live_due(self, now: float) -> bool:
        live_at = self._queues.live_at
        return live_at is not None and live_at <= now

    def _tell(self, out: list[Outgoing], room: int) -> None:
        """States, meters and replies that fit, up to `room` messages in all; each topic waits for its last
        PUBACK. What may be the one that ends the connections goes last: else nothing is ever acknowledged.
        """
        suspicion = self._objections.suspicion
        waiting = sorted(self._beside, key=lambda message: suspicion(message.topic))
        self._beside = deque()
        for message in waiting:
            under_way = message.tag in self._flying or any(message.tag == other.tag for other in out)
            if len(out) >= room or under_way:
                self._beside.append(message)
            elif (fitting := self._fitting.beside(message)) is not None:
                out.append(fitting)
                self._may_tell = False

    def _hand_over(self, out: list[Outgoing]) -> None:
        if out and self._connection is not None:
            if not self._flying:
                self._seen.sent(time.monotonic())
            for message in out:
                self._flying[message.tag] = Flying(message.topic, self._fitting.size(message), message.tag)
            self._connection.publish(out)

    def nap(self, longest: float) -> float:
        """Seconds until something is due that nobody wakes us for, at most `longest`."""
        now = time.monotonic()
        if self._objections.pauses(now):
            return min(longest, PAUSE)
        connection = self._connection
        if connection is None or connection.room <= 0 or self._delivery.full or self._delivery.one_by_one:
            return longest
        nap = longest
        if self._queues.live_at is not None:
            nap = min(nap, self._queues.live_at - now)
        if self._queues.waiting or self._replays.ready:
            nap = min(nap, max(self._backlog_at - now, self._bucket.wait(now)))
        return max(_LEAST_NAP, nap)

    def _next(self, now: float) -> Outgoing | None:
        while not self._delivery.full:
            sealed, replay = self._queues.next_live(now), False
            if sealed is None:
                more = self._queues.waiting or self._replays.ready
                if now < self._backlog_at or not more or not self._bucket.spend(now):
                    return None
                sealed = self._queues.next_waiting()
                if sealed is not None and self._delivery.needless(sealed):
                    continue
            if sealed is None:
                sealed, replay = self._replays.next(), True
            if sealed is None:
                return None
            message = self._message(sealed)
            if message is not None:
                self._delivery.sent(sealed, now, replay=replay)
                return message
            if replay:
                aside = self._fitting.set_aside
                self._replays.left_out(sealed, aside.reason(key_of(sealed)))
        return None

    def _skip(self, sealed: Sealed) -> bool:
        key = key_of(sealed)
        if key in self._fitting.set_aside or self._delivery.skip(sealed):
            return True
        if self._hold.release(sealed).wait:
            self.held.add(key)
            return True
        return False

    def _message(self, sealed: Sealed) -> Outgoing | None:
        """The message for a batch; None when it is none, too large for this broker, or waits for the
        clock.
        """
        release = self._hold.release(sealed)
        if release.wait:
            self.held.add(key_of(sealed))
            return None
        try:
            return self._fitting.batch(sealed, t0=release.t0, epoch=self._delivery.epoch(sealed))
        except WireError as error:
            self._give_up(sealed, error)
            return None

    def _give_up(self, sealed: Sealed, error: WireError) -> None:
        """A stored batch that is none: the platform is told that this number will never come."""
        batch = f"batch {sealed.epoch}/{sealed.seq}"
        self._troubles.note(batch, f"{batch} cannot be sent, its stored form is damaged: {error}")
        if self._delivery.give_up(sealed):
            seqs = {"epoch": sealed.epoch, "from": sealed.seq, "to": sealed.seq}
            self._emit(Event("thinned", sealed.uptime, {**seqs, "reason": "unreadable"}))
