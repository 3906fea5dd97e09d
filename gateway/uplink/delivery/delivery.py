"""What happened to each batch on its way: PUBACKs and receipts in, settled ranges and counters out. No
I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model import Ranges, Sealed
from gateway.mqtt import FIRST_FAILURE, NO_SUBSCRIBERS, PAYLOAD, SUCCESS, TOO_LARGE
from gateway.uplink.delivery.conflicts import Conflicts
from gateway.uplink.delivery.receipts import Receipts
from gateway.uplink.delivery.retry_timer import RetryTimer
from gateway.uplink.delivery.window import Entry, Key, Window, key_of
from gateway.wire import Receipt

ABOUT_ONE_BATCH = frozenset({PAYLOAD, TOO_LARGE})
"""Reason codes of a PUBACK that say something about this batch; the others say something about all."""
MAX_REMEMBERED = 20_000
"""Batches that some consumers have and others not, whose number of readings is kept for the counters."""


@dataclass(slots=True)
class Counters:
    """Since the daemon started; the names are those of UplinkStats."""

    sent_batches: int = 0
    resent_batches: int = 0
    replayed_batches: int = 0
    delivered_batches: int = 0
    delivered_readings: int = 0
    refused: int = 0
    ignored_messages: int = 0


@dataclass(slots=True)
class FollowUp:
    """What the caller has to do: offer `again`, and say why the broker `refused` (reason codes) or that it
    `accepted`.

    `unfit` are batches that the broker refused for their size or content, with the reason code: the others go
    on.
    """

    again: list[Sealed] = field(default_factory=list)
    unfit: list[tuple[Sealed, int]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    accepted: bool = False


class Delivery:
    """With `consumers` a batch is delivered when all of them have receipted it; without, at a good PUBACK.

    It makes room in the window as soon as one of them has it: the fastest sets the pace, and a silent one
    holds nobody up.

    Good is reason code 0. 0x10 (nobody subscribes) is custody without a receiver: not delivered without
    receipts; with them the receipt decides. 0x80 and above is a refusal. MQTT 3.1.1 has no reason codes:
    there every PUBACK is good.
    """

    def __init__(self, consumers: Sequence[str], patience: float, silence: float) -> None:
        self._receipts = Receipts(consumers, silence)
        self._window = Window()
        self.conflicts = Conflicts()
        self.counters = Counters()
        self._receipt_timer = RetryTimer(patience)
        self._broker_timer = RetryTimer(patience)
        self._patience = patience
        self._acked_at = 0.0
        self._mute = False
        self.unread = False
        """The newest PUBACK said that nobody subscribes to batches: no receipt can come."""
        self.receipt_at: float | None = None
        self.delivered_at: float | None = None
        self._settled: dict[str, Ranges] = {}
        self._readings: dict[Key, int] = {}

    @property
    def confirmed(self) -> bool:
        """Whether receipts decide."""
        return bool(self._receipts.consumers)

    def skip(self, sealed: Sealed) -> bool:
        """Needs no sending from the backlog: on its way, delivered, or going out under another epoch."""
        key = key_of(sealed)
        if key in self._window or key in self.conflicts or self._receipts.is_delivered(*key):
            return True
        # What one consumer has is read again only for another one that is heard of and lacks it.
        return self._receipts.somewhere(*key) and not self._receipts.owes(*key)

    def needless(self, sealed: Sealed) -> bool:
        """Was to go again, and is on its way or delivered by now."""
        key = key_of(sealed)
        return key in self._window or (key not in self.conflicts and self._receipts.is_delivered(*key))

    def sent(self, sealed: Sealed, now: float, *, replay: bool = False) -> None:
        """A batch was handed to the connection at monotonic time `now`."""
        key = key_of(sealed)
        epoch = self.conflicts.epoch(key)
        again = self._receipts.was_sent(epoch, sealed.seq)
        self.counters.resent_batches += again
        self._receipts.sent(epoch, sealed.seq)
        if not self._window.unacked:
            # Patience with the broker begins with the first message that it owes us a PUBACK for.
            self._acked_at = now
        replay_only = replay or (key not in self.conflicts and self._receipts.is_delivered(*key))
        self._window.sent(sealed, now, again=again, replay=replay_only)
        self.counters.sent_batches += 1
        self.counters.replayed_batches += replay

    def acknowledged(self, acks: Sequence[tuple[object, int]], now: float) -> FollowUp:
        """PUBACKs, in order: (key, reason code). Other tags and unexpected ones are ignored."""
        outcome = FollowUp()
        for tag, code in acks:
            entry = self._window.acked(tag) if isinstance(tag, tuple) else None
            if entry is None:
                continue
            self._acked_at = now
            self.unread = code == NO_SUBSCRIBERS
            if code == SUCCESS or (code == NO_SUBSCRIBERS and self.confirmed):
                outcome.accepted = True
                self._in_custody(entry, now)
            elif code in ABOUT_ONE_BATCH:
                self._window.drop(key_of(entry.sealed))
                self.counters.refused += 1
                outcome.unfit.append((entry.sealed, code))
            else:
                self._refused(entry, code, outcome, now)
        if outcome.accepted and not outcome.refused:
            self._mute = False
            self._broker_timer.progress(now, waiting=False)
        return outcome

    def _in_custody(self, entry: Entry, now: float) -> None:
        key = key_of(entry.sealed)
        if entry.replay:
            self._window.drop(key)
        elif self.confirmed:
            self._receipt_timer.expect(now)
            self._receipts.in_custody(self.conflicts.epoch(key), key[1], now)
        else:
            epoch = self.conflicts.epoch(key)
            self._account(epoch, self._receipts.deliver(epoch, Ranges([(key[1], key[1])])), now)

    def _refused(self, entry: Entry, code: int, outcome: FollowUp, now: float) -> None:
        self._window.drop(key_of(entry.sealed))
        self.counters.refused += 1
        self._broker_timer.expect(now)
        outcome.refused.append(code if code == NO_SUBSCRIBERS else max(code, FIRST_FAILURE))
        if not entry.replay:
            outcome.again.append(entry.sealed)

    def receipt(self, consumer: str, receipt: Receipt, now: float) -> FollowUp:
        """A consumer says what it has. Raises WireError for ranges that run backwards."""
        mine = [seq for seq in receipt.conflicts or () if self._receipts.was_sent(receipt.epoch, seq)]
        delivered = self._receipts.receipt(consumer, receipt)
        news = self._receipts.news
        silent = self.receipt_at is None or now - self.receipt_at > self._patience
        self.receipt_at = now
        stored = dict(receipt.digests or ())
        for epoch, seq in self.conflicts.report(receipt.epoch, mine):
            self._receipts.forget(epoch, seq)
            self._window.drop((epoch, seq))
            self._settled.get(epoch, Ranges()).discard(seq)
            if seq in stored:
                self.conflicts.store((epoch, seq), consumer, stored[seq])
        progress = self._leave(receipt.epoch, news, now)
        self._account(receipt.epoch, delivered, now)
        self._receipts.heard(consumer, now, waiting=bool(len(self._window)))
        if progress:
            self._receipt_timer.progress(now, waiting=bool(len(self._window)))
        elif silent:
            self._receipt_timer.soon(
                now, 1.0
            )  # the platform is there again: no reason to wait long with the next try
        return FollowUp(again=self._window.lost(now))

    def is_stored(self, key: Key, digest: str, now: float) -> bool:
        """Whether what is stored under a number in conflict is our batch, by its digest: then that
        consumer has it.
        """
        consumer, stored = self.conflicts.stored_as(key)
        if stored != digest:
            return False
        self._receipts.sent(*key)
        self._account(key[0], self._receipts.confirm(consumer, key[0], Ranges([(key[1], key[1])])), now)
        return True

    def _own(self, epoch: str, ranges: Ranges) -> tuple[str, Ranges]:
        """What the wire calls so is known to the journal as this."""
        original = self.conflicts.original(epoch)
        return (epoch, ranges) if original is None else (original[0], Ranges([(original[1], original[1])]))

    def _leave(self, epoch: str, confirmed: Ranges, now: float) -> bool:
        """What a consumer has makes room in the window; whether anything did."""
        if not confirmed.count:
            return False
        left = self._window.leave(*self._own(epoch, confirmed), now)
        for entry in left:
            if len(self._readings) < MAX_REMEMBERED:
                self._readings[key_of(entry.sealed)] = entry.sealed.readings
        return bool(left)

    def _account(self, epoch: str, delivered: Ranges, now: float) -> None:
        """Delivered on the wire becomes settled in the journal."""
        if not delivered.count:
            return
        self._leave(epoch, delivered, now)
        original = self.conflicts.original(epoch)
        if original is not None:
            self.conflicts.delivered(original)
        epoch, delivered = self._own(epoch, delivered)
        self.delivered_at = now
        self._settled.setdefault(epoch, Ranges()).update(delivered)
        self.counters.delivered_batches += delivered.count
        for first, last in delivered:
            for seq in range(first, last + 1):
                self.counters.delivered_readings += self._readings.pop((epoch, seq), 0)

    def tick(self, now: float) -> bool:
        """Now and then: what only silent consumers lack makes room; whether the journal must be read again
        for others.
        """
        silent = self._receipts.silent(now)
        if silent and len(silent) < len(self._receipts.consumers):
            for entry in self._window:
                key = key_of(entry.sealed)
                epoch = self.conflicts.epoch(key)
                if entry.acked and self._receipts.waits_for_silent_alone(epoch, entry.sealed.seq, silent):
                    self._window.drop(key)
        return self._receipts.tick(now)

    def silent(self, now: float) -> dict[str, float | None]:
        """Consumers that owe a receipt for too long, with the time of their last one."""
        return self._receipts.silent(now)

    @property
    def consumers(self) -> tuple[str, ...]:
        """Whose receipts decide."""
        return self._receipts.consumers

    @property
    def undelivered(self) -> int:
        """How many were sent and wait for a PUBACK or a receipt, replays aside."""
        again = sum(
            not e.replay and self._receipts.somewhere(self.conflicts.epoch(key_of(e.sealed)), e.sealed.seq)
            for e in self._window
        )
        return self._window.undelivered + self._receipts.partly() - again

    def settled(self) -> dict[str, Ranges]:
        """What the journal must be told, once."""
        settled, self._settled = self._settled, {}
        return settled

    def unsettled(self, epoch: str, ranges: Ranges) -> None:
        """The journal could not be told: next time."""
        self._settled.setdefault(epoch, Ranges()).update(ranges)

    def retry(self, now: float) -> Sealed | None:
        """No receipt for long: a batch in the broker's custody, to be offered again as a try."""
        if not self._receipt_timer.due(now):
            return None
        sealed = self._window.probe()
        if sealed is None:
            self._receipt_timer.progress(now, waiting=False)
        else:
            self._receipt_timer.tried(now)
        return sealed

    def lost(self, now: float) -> list[Sealed]:
        """What was lost on the way to the platform: to be offered again."""
        return self._window.lost(now)

    # -- the connection --------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Nothing more may be sent until receipts come."""
        return self._window.full

    @property
    def unacked(self) -> int:
        """How many have no PUBACK."""
        return self._window.unacked

    @property
    def one_by_one(self) -> bool:
        """The broker refuses batches or is mute: one at a time, ever more seldom, until it takes one."""
        return self._broker_timer.running

    def may_try(self, now: float) -> bool:
        """Whether it is time for the next of them."""
        return self._broker_timer.due(now) and not self._window.unacked

    def tried(self, now: float) -> None:
        """A batch was sent as a try at monotonic time `now`."""
        self._broker_timer.tried(now)

    def refused_all(self, now: float) -> None:
        """The broker takes no batch at all, as was found out by how it ends connections."""
        self._broker_timer.expect(now)

    def again(self) -> list[Sealed]:
        """What goes out again under an epoch of its own, on a new connection."""
        return list(self.conflicts)

    def epoch(self, sealed: Sealed) -> str:
        """The epoch under which a batch goes out."""
        return self.conflicts.epoch(key_of(sealed))

    def ignored(self) -> None:
        """A message came that says nothing to us."""
        self.counters.ignored_messages += 1

    def disconnected(self) -> None:
        """The connection is gone, with everything that had no PUBACK."""
        self._window.disconnected()

    def connected(self, now: float) -> None:
        """A new connection: what was refused may be welcome now; for what lacks a receipt there is a try
        soon.
        """
        self._receipt_timer.soon(now, 1.0)
        if not self._mute:
            self._broker_timer.soon(now, 0.0)

    def listening(self, now: float) -> None:
        """Receipts were subscribed to just now: for what lacks one there is a try at once."""
        self._receipt_timer.soon(now, 0.0)

    def mute(self, now: float) -> bool:
        """The broker owes PUBACKs for too long: the next connection begins with one batch, and with more
        patience each time.
        """
        if not self._window.unacked or now - self._acked_at <= self._patience:
            return False
        if not self._broker_timer.running:
            self._broker_timer.expect(now)
            self._broker_timer.soon(now, 0.0)
        self._mute = True
        return True

    def give_up(self, sealed: Sealed) -> bool:
        """A batch that can never be sent is settled; False when it was before."""
        key = key_of(sealed)
        self.conflicts.delivered(key)
        new = self._receipts.deliver(key[0], Ranges([(key[1], key[1])]))
        if new.count:
            self._settled.setdefault(key[0], Ranges()).update(new)
        return bool(new.count)
