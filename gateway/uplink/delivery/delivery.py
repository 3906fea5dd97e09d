"""What happened to each batch on its way: PUBACKs and receipts in, settled ranges and counters out. No
I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model import Ranges, Sealed
from gateway.mqtt import FIRST_FAILURE, NO_SUBSCRIBERS, PAYLOAD, SUCCESS, TOO_LARGE
from gateway.uplink.delivery.conflicts import Conflicts
from gateway.uplink.delivery.consumers import Consumers
from gateway.uplink.delivery.receipts import Receipts
from gateway.uplink.delivery.retry_timer import RetryTimer
from gateway.uplink.delivery.set_aside import SetAside
from gateway.uplink.delivery.window import Entry, Key, Window, key_of
from gateway.wire import Receipt

ABOUT_ONE_BATCH = frozenset({PAYLOAD, TOO_LARGE})
"""Reason codes of a PUBACK that say something about this batch; the others say something about all."""
MAX_REMEMBERED = 20_000
"""Batches that some consumers have and others not, whose number of readings is kept for the counters."""


@dataclass(slots=True)
class Counters:
    """Since the daemon started."""

    sent: int = 0
    resent: int = 0
    replayed: int = 0
    delivered: int = 0
    delivered_readings: int = 0
    refused: int = 0
    ignored: int = 0


@dataclass(slots=True)
class Outcome:
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

    def __init__(self, consumers: Sequence[str], patience: float) -> None:
        self.ledger = Receipts(consumers)
        self.consumers = Consumers(self.ledger, 2.0 * patience)
        self.aside = SetAside()
        self.window = Window()
        self.conflicts = Conflicts()
        self.counters = Counters()
        self.receipt_probe = RetryTimer(patience)
        self.broker_probe = RetryTimer(patience)
        self._patience = patience
        self._acked_at = 0.0
        self._mute = False
        self.receipt_at: float | None = None
        self.delivered_at: float | None = None
        self._settled: dict[str, Ranges] = {}
        self._readings: dict[Key, int] = {}

    @property
    def confirmed(self) -> bool:
        """Whether receipts decide."""
        return bool(self.ledger.consumers)

    def skip(self, sealed: Sealed) -> bool:
        """Needs no sending from the backlog: on its way, delivered, set aside, or going out under another
        epoch.
        """
        key = key_of(sealed)
        if key in self.window or key in self.conflicts or key in self.aside or self.ledger.is_delivered(*key):
            return True
        # What one consumer has is read again only for another one that is heard of and lacks it.
        return self.ledger.somewhere(*key) and not self.consumers.owes(*key)

    def needless(self, sealed: Sealed) -> bool:
        """Was to go again, and is on its way or delivered by now."""
        key = key_of(sealed)
        return key in self.window or (key not in self.conflicts and self.ledger.is_delivered(*key))

    def sent(self, sealed: Sealed, now: float, *, replay: bool = False) -> None:
        """Handed to the connection."""
        key = key_of(sealed)
        epoch = self.conflicts.epoch(sealed)
        if self.ledger.was_sent(epoch, sealed.seq):
            self.counters.resent += 1
        self.ledger.sent(epoch, sealed.seq)
        self.consumers.sent(epoch, sealed.seq)
        if not self.window.unacked:
            self._acked_at = (
                now  # patience with the broker begins with the first message it owes us a PUBACK for
            )
        self.window.sent(
            sealed, now, replay=replay or (key not in self.conflicts and self.ledger.is_delivered(*key))
        )
        self.counters.sent += 1
        self.counters.replayed += replay

    def acknowledged(self, acks: Sequence[tuple[object, int]], now: float) -> Outcome:
        """PUBACKs, in order: (key, reason code). Other tags and unexpected ones are ignored."""
        outcome = Outcome()
        for tag, code in acks:
            entry = self.window.acked(tag) if isinstance(tag, tuple) else None
            if entry is None:
                continue
            self._acked_at = now
            if code == SUCCESS or (code == NO_SUBSCRIBERS and self.confirmed):
                outcome.accepted = True
                self._in_custody(entry, now)
            elif code in ABOUT_ONE_BATCH:
                self.window.drop(key_of(entry.sealed))
                self.counters.refused += 1
                outcome.unfit.append((entry.sealed, code))
            else:
                self._refused(entry, code, outcome, now)
        if outcome.accepted and not outcome.refused:
            self._mute = False
            self.broker_probe.progress(now, waiting=False)
        return outcome

    def _in_custody(self, entry: Entry, now: float) -> None:
        key = key_of(entry.sealed)
        if entry.replay:
            self.window.drop(key)
        elif self.confirmed:
            self.receipt_probe.expect(now)
            self.consumers.in_custody(now)
        else:
            epoch = self.conflicts.epoch(entry.sealed)
            self._account(epoch, self.ledger.deliver(epoch, Ranges([(key[1], key[1])])), now)

    def _refused(self, entry: Entry, code: int, outcome: Outcome, now: float) -> None:
        self.window.drop(key_of(entry.sealed))
        self.counters.refused += 1
        self.broker_probe.expect(now)
        outcome.refused.append(code if code == NO_SUBSCRIBERS else max(code, FIRST_FAILURE))
        if not entry.replay:
            outcome.again.append(entry.sealed)

    def receipt(self, consumer: str, receipt: Receipt, now: float) -> Outcome:
        """A consumer says what it has. Raises WireError for ranges that run backwards."""
        mine = [seq for seq in receipt.conflicts or () if self.ledger.was_sent(receipt.epoch, seq)]
        delivered = self.ledger.receipt(consumer, receipt)
        news = self.ledger.news
        silent = self.receipt_at is None or now - self.receipt_at > self._patience
        self.receipt_at = now
        stored = dict(receipt.digests or ())
        for epoch, seq in self.conflicts.report(receipt.epoch, mine):
            self.ledger.forget(epoch, seq)
            self.window.drop((epoch, seq))
            self._settled.get(epoch, Ranges()).discard(seq)
            if seq in stored:
                self.conflicts.stored[epoch, seq] = (consumer, stored[seq])
        last = self._leave(receipt.epoch, news)
        self._account(receipt.epoch, delivered, now)
        self.consumers.heard(consumer, now, waiting=bool(len(self.window)))
        outcome = Outcome(again=self.window.overtaken(last, now))
        if last:
            self.receipt_probe.progress(now, waiting=bool(len(self.window)))
        elif silent:
            self.receipt_probe.soon(
                now, 1.0
            )  # the platform is there again: no reason to wait long with the next probe
        return outcome

    def is_stored(self, key: Key, digest: str, now: float) -> bool:
        """Whether what is stored under a number in conflict is our batch, by its digest: then that
        consumer has it.
        """
        consumer, stored = self.conflicts.stored.pop(key, ("", ""))
        if stored != digest:
            return False
        self.ledger.sent(*key)
        self._account(key[0], self.ledger.hold(consumer, key[0], Ranges([(key[1], key[1])])), now)
        return True

    def _own(self, epoch: str, ranges: Ranges) -> tuple[str, Ranges]:
        """What the wire calls so is known to the journal as this."""
        original = self.conflicts.original(epoch)
        return (epoch, ranges) if original is None else (original[0], Ranges([(original[1], original[1])]))

    def _leave(self, epoch: str, held: Ranges) -> int:
        """What a consumer has makes room in the window; the highest order of hand-over among them."""
        if not held.count:
            return 0
        gone = self.window.settled(*self._own(epoch, held))
        for entry in gone:
            if len(self._readings) < MAX_REMEMBERED:
                self._readings[key_of(entry.sealed)] = entry.sealed.readings
        return max((entry.order for entry in gone), default=0)

    def _account(self, epoch: str, delivered: Ranges, now: float) -> None:
        """Delivered on the wire becomes settled in the journal."""
        if not delivered.count:
            return
        self._leave(epoch, delivered)
        original = self.conflicts.original(epoch)
        if original is not None:
            self.conflicts.delivered(original)
        epoch, delivered = self._own(epoch, delivered)
        self.delivered_at = now
        self._settled.setdefault(epoch, Ranges()).update(delivered)
        self.counters.delivered += delivered.count
        for first, last in delivered:
            for seq in range(first, last + 1):
                self.counters.delivered_readings += self._readings.pop((epoch, seq), 0)

    def look(self, now: float) -> bool:
        """Now and then: what only silent consumers lack makes room; whether the journal must be read again
        for others.
        """
        silent = self.consumers.silent(now)
        if silent and len(silent) < len(self.ledger.consumers):
            for entry in self.window:
                epoch = self.conflicts.epoch(entry.sealed)
                if entry.acked and self.consumers.waits_for_silent_alone(epoch, entry.sealed.seq, silent):
                    self.window.drop(key_of(entry.sealed))
        return self.consumers.look(now)

    @property
    def undelivered(self) -> int:
        """How many were sent and wait for a PUBACK or a receipt, replays aside."""
        again = sum(
            not e.replay and self.ledger.somewhere(self.conflicts.epoch(e.sealed), e.sealed.seq)
            for e in self.window
        )
        return self.window.undelivered + self.ledger.partly() - again

    def settled(self) -> dict[str, Ranges]:
        """What the journal must be told, once."""
        settled, self._settled = self._settled, {}
        return settled

    def unsettled(self, epoch: str, ranges: Ranges) -> None:
        """The journal could not be told: next time."""
        self._settled.setdefault(epoch, Ranges()).update(ranges)

    def probe(self, now: float) -> Sealed | None:
        """No receipt for long: the oldest batch in the broker's custody, to be offered again."""
        if not self.receipt_probe.due(now):
            return None
        entry = self.window.oldest(lambda entry: entry.acked and not entry.replay)
        if entry is None:
            self.receipt_probe.progress(now, waiting=False)
            return None
        self.receipt_probe.tried(now)
        return entry.sealed

    def disconnected(self) -> None:
        """The connection is gone, with everything that had no PUBACK."""
        self.window.disconnected()

    def connected(self, now: float) -> None:
        """A new connection: what was refused may be welcome now; what lacks a receipt is probed soon."""
        self.receipt_probe.soon(now, 1.0)
        if not self._mute:
            self.broker_probe.soon(now, 0.0)

    def silent(self, now: float) -> bool:
        """The broker owes PUBACKs for too long: the next connection begins with one batch, and with more
        patience each time.
        """
        if not self.window.unacked or now - self._acked_at <= self._patience:
            return False
        if not self.broker_probe.running:
            self.broker_probe.expect(now)
            self.broker_probe.soon(now, 0.0)
        self._mute = True
        return True

    def gone(self, sealed: Sealed) -> bool:
        """A batch that can never be sent is settled; False when it was before."""
        key = key_of(sealed)
        self.conflicts.delivered(key)
        new = self.ledger.deliver(key[0], Ranges([(key[1], key[1])]))
        if new.count:
            self._settled.setdefault(key[0], Ranges()).update(new)
        return bool(new.count)
