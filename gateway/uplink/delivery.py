"""What happened to each batch on its way: PUBACKs and receipts in, settled ranges and counters out. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model import Ranges, Sealed
from gateway.uplink.conflicts import Conflicts
from gateway.uplink.link import FIRST_FAILURE, NO_SUBSCRIBERS, SUCCESS
from gateway.uplink.probe import Probe
from gateway.uplink.receipts import Ledger
from gateway.uplink.window import Entry, Window, key_of
from gateway.wire import Receipt


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
    """What the caller has to do: offer `again`, and say why the broker `refused` (reason codes) or that it `accepted`."""

    again: list[Sealed] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    accepted: bool = False


class Delivery:
    """With `consumers` a batch is delivered when all of them have receipted it; without, at a good PUBACK.

    Good is reason code 0. 0x10 (nobody subscribes) is custody without a receiver: not delivered without receipts; with them
    the receipt decides. 0x80 and above is a refusal. MQTT 3.1.1 has no reason codes: there every PUBACK is good.
    """

    def __init__(self, consumers: Sequence[str], patience: float) -> None:
        self.ledger = Ledger(consumers)
        self.window = Window()
        self.conflicts = Conflicts()
        self.counters = Counters()
        self.receipt_probe = Probe(patience)
        self.broker_probe = Probe(patience)
        self._patience = patience
        self._acked_at = 0.0
        self._mute = False
        self.receipt_at: float | None = None
        self.delivered_at: float | None = None
        self._settled: dict[str, Ranges] = {}

    @property
    def confirmed(self) -> bool:
        """Whether receipts decide."""
        return bool(self.ledger.consumers)

    def skip(self, sealed: Sealed) -> bool:
        """Needs no sending from the backlog: on its way, delivered, or going out under another epoch."""
        key = key_of(sealed)
        return key in self.window or key in self.conflicts or self.ledger.is_delivered(*key)

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
        if not self.window.unacked:
            self._acked_at = now  # patience with the broker begins with the first message it owes us a PUBACK for
        self.window.sent(sealed, now, replay=replay or (key not in self.conflicts and self.ledger.is_delivered(*key)))
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
        silent = self.receipt_at is None or now - self.receipt_at > self._patience
        self.receipt_at = now
        for epoch, seq in self.conflicts.report(receipt.epoch, mine):
            self.ledger.forget(epoch, seq)
            self.window.drop((epoch, seq))
            self._settled.get(epoch, Ranges()).discard(seq)
        last = self._account(receipt.epoch, delivered, now)
        outcome = Outcome(again=self.window.overtaken(last, now))
        if last:
            self.receipt_probe.progress(now, waiting=bool(len(self.window)))
        elif silent:
            self.receipt_probe.soon(now, 1.0)  # the platform is there again: no reason to wait long with the next probe
        return outcome

    def _account(self, epoch: str, delivered: Ranges, now: float) -> int:
        """Delivered on the wire becomes settled in the journal; the highest order of hand-over among them."""
        if not delivered.count:
            return 0
        original = self.conflicts.original(epoch)
        if original is not None:
            self.conflicts.delivered(original)
            epoch, delivered = original[0], Ranges([(original[1], original[1])])
        self.delivered_at = now
        self._settled.setdefault(epoch, Ranges()).update(delivered)
        gone = self.window.settled(epoch, delivered)
        self.counters.delivered += delivered.count
        self.counters.delivered_readings += sum(entry.sealed.readings for entry in gone)
        return max((entry.order for entry in gone), default=0)

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
        """The broker owes PUBACKs for too long: the next connection begins with one batch, and with more patience each time."""
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
