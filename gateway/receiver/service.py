"""The receiver at work: messages in, one durable commit, receipts out; gaps asked for when the gateway has
time.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from gateway.common.text import visible
from gateway.mqtt import ThreadLink
from gateway.receiver import intake
from gateway.receiver.gaps import AGE, ANSWER, SPACING, Ask, Gaps
from gateway.receiver.inbox import Inbox, Message
from gateway.receiver.intake import Refusal
from gateway.receiver.ledger import Missing, receipt_pages, receipts
from gateway.receiver.store import Arrival, Store, Taken
from gateway.wire import MAX_MESSAGE, MAX_SMALL, Receipt, Replay, Reply, State, Topics

log = logging.getLogger(__name__)

LINGER = 0.05
"""Seconds that a commit waits for company, counted from the arrival of its first message."""
GROUP = 100
SPELL = 0.1
"""Messages and seconds of decoding for one commit at most: a receipt leaves within 200 ms of taking up the
oldest of them.
"""
TICK = 1.0
QUIET = 60.0
"""Seconds between two warnings about conflicts."""
DIGESTS = 10_000
"""Digests of stored batches that are remembered: a number in conflict is told often."""
DIGEST_BYTES = 60
"""Of a number with the digest of what is stored under it, in a receipt."""
SHARE = 0.05
"""Part of the time that may go into looking for gaps, however many there are."""
PATIENCE = 0.5
"""Seconds of rest after a commit that failed."""
TURN = 0.02
"""Seconds at a time for looking for gaps, and for the receipts that a gateway is owed which came online:
nobody else waits longer.
"""
EPOCHS = 16
"""Epochs, the newest ones, that are receipted when a gateway comes online; its current one always."""


@dataclass(slots=True)
class Counts:
    """What this run has done."""

    batches: int = 0
    values: int = 0
    duplicates: int = 0
    conflicts: int = 0
    commits: int = 0
    receipts: int = 0
    replays: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Group:
    """Decoded messages of one commit."""

    arrivals: list[Arrival] = field(default_factory=list)
    actions: list[Callable[[], None]] = field(default_factory=list)
    online: dict[str, str | None] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


class Receiver:
    """One consumer of every gateway's batches (or of `gateways`), on one database, over one link."""

    def __init__(
        self,
        database: Path,
        link: ThreadLink,
        *,
        consumer: str = "city",
        gateways: frozenset[str] = frozenset(),
        check: Callable[[object], str | None] | None = None,
        gap_age: float = AGE,
        gap_answer: float = ANSWER,
        gap_spacing: float = SPACING,
        tick: float = TICK,
    ) -> None:
        self._database = database
        self._link = link
        self._consumer = consumer
        self._gateways = gateways
        self._check = check
        self._tick = tick
        self._gaps: defaultdict[str, Gaps] = defaultdict(partial(Gaps, gap_age, gap_answer, gap_spacing))
        self._digests: dict[tuple[str, str, int], str] = {}
        self._states: dict[str, State] = {}
        self._replays: dict[str, tuple[str, Ask]] = {}
        self._stopping = False
        self._owed: dict[str, Iterator[Receipt]] = {}
        self._next = 0
        self._inbox = Inbox()
        self._failing = False
        self._warned = float("-inf")
        self.counts = Counts()

    def stop(self) -> None:
        """End `run` after the commit at hand; may be called from a signal handler (it takes no lock) or
        another thread.
        """
        self._stopping = True
        self._inbox.wake()

    def run(self) -> None:
        """Receive until `stop`. Raises JournalError when the database cannot be used at start; nothing
        later ends it.
        """
        self._store = Store(self._database)
        self._link.start(self._hear)
        look = time.monotonic() + self._tick
        try:
            while not self._stopping:
                group = self._gather(0.0 if self._owed else max(0.0, look - time.monotonic()))
                try:
                    if group:
                        self._commit(group)
                    self._pay()
                    if time.monotonic() >= look:
                        began = time.monotonic()
                        self._ask()
                        took = time.monotonic() - began
                        look = began + max(self._tick, took / SHARE)
                except sqlite3.Error as error:
                    self._fail(error)
                except (
                    Exception
                ):  # a mistake of ours must not end the receiver: what was not receipted comes again
                    log.exception("a group of messages could not be handled")
                    time.sleep(PATIENCE)
        finally:
            self._inbox.closed = True
            self._link.stop()
            self._store.close()

    # --- messages → a group

    def _hear(self, topic: str, payload: bytes) -> None:
        """In the connection's thread; waits while the inbox is full."""
        kept = payload if len(payload) <= MAX_MESSAGE else b""
        self._inbox.put(Message(topic, kept, time.monotonic(), len(payload)))

    def _gather(self, wait: float) -> _Group | None:
        message = self._inbox.get(wait)
        if message is None:
            return None
        group, taken, deadline, end = _Group(), 0, message.at + LINGER, time.monotonic() + SPELL
        while message is not None:
            self._sort(group, message)
            taken += 1
            now = time.monotonic()
            message = (
                self._inbox.get(deadline - now)
                if taken < GROUP and now < end and not self._stopping
                else None
            )
        return group

    def _sort(self, group: _Group, message: Message) -> None:
        gateway = ""
        try:
            gateway, kind = intake.address(message.topic)
            if self._gateways and gateway not in self._gateways:
                return
            if not message.size and kind != "data":
                return  # a retained message was cleared
            intake.check_size(gateway, message.size)
            now = _now()
            if kind == "data":
                arrival, flaw = intake.arrival(gateway, message.payload, now, self._check)
                group.arrivals.append(arrival)
                if flaw:
                    group.refused.append(
                        Refusal(gateway, "schema", f"stored, but not as the schema says: {flaw}")
                    )
            elif kind == "state":
                self._note_state(group, gateway, intake.state(gateway, message.payload), now)
            elif kind == "reply":
                answer = intake.reply(gateway, message.payload)
                group.actions.append(lambda: self._note_reply(gateway, answer, now))
            else:
                text = intake.description(gateway, message.payload).text
                group.actions.append(lambda: self._describe(gateway, text, now))
        except Refusal as refusal:
            group.refused.append(refusal)
        except Exception as error:  # noqa: BLE001 - a hostile message must not end the receiver, whatever it hits
            group.refused.append(Refusal(gateway, "malformed", f"{type(error).__name__}: {error}"))

    def _note_state(self, group: _Group, gateway: str, state: State, now: int) -> None:
        def note() -> None:
            before = self._states.get(gateway)
            if state.online and not (before and before.online and before.epoch == state.epoch):
                self._gaps[gateway].online()
            self._states[gateway] = state
            self._store.state(gateway, state, now)

        group.actions.append(note)
        if state.online:
            group.online[gateway] = state.epoch

    def _describe(self, gateway: str, text: str, now: int) -> None:
        self._store.describe(gateway, text, now)

    def _note_reply(self, gateway: str, reply: Reply, now: int) -> None:
        sender, ask = self._replays.get(reply.id, ("", None))
        if ask is None or sender != gateway or reply.epoch not in {None, ask.epoch}:
            return  # another consumer's, or late: it says nothing about what we asked
        del self._replays[reply.id]
        self._store.answered(reply.id, reply.ok, reply.to_bytes().decode(), now)
        for start, end, reason in reply.gone or ():
            gone = max(start, ask.first), min(end, ask.last)
            if gone[0] <= gone[1]:
                self._store.explain(gateway, ask.epoch, gone, reason[:64] or "gone", now)
        if not reply.sent:
            self._gaps[gateway].answered()

    # --- a group → the database, receipts

    def _commit(self, group: _Group) -> None:
        try:
            taken = self._store_group(group)
        except Exception as error:
            if _disk(error):
                raise
            # One of them carries something that nobody thought of: find it, keep the rest.
            log.warning(
                "a group of %d batches could not be stored (%s); trying them one by one",
                len(group.arrivals),
                visible(str(error)),
            )
            taken = self._one_by_one(group)
        if self._failing:
            self._failing = False
            log.info("%s: storing again", self._database)
        self.counts.commits += 1
        self.counts.batches += taken.batches
        self.counts.values += taken.values
        self.counts.duplicates += taken.duplicates
        self.counts.conflicts += taken.conflicts
        if taken.conflicts and time.monotonic() - self._warned > QUIET:
            self._warned = time.monotonic()
            log.warning(
                "batches contradict what is stored under the same number; both are kept (%d so far)",
                self.counts.conflicts,
            )
        self._receipt(group, taken)

    def _store_group(self, group: _Group) -> Taken:
        with self._store.atomic():
            taken = self._store.take(group.arrivals)
            for action in group.actions:
                action()
            group.refused += [Refusal(gateway, "event", what) for gateway, what in taken.flaws]
            for refusal in group.refused:
                self._store.refuse(refusal.gateway, refusal.reason, 1, _now(), refusal.what)
        for refusal in group.refused:
            if not self.counts.refused[refusal.reason]:
                log.warning(
                    "%s: %s (counted; further ones are not logged)",
                    refusal.gateway or "unknown sender",
                    refusal.what,
                )
            self.counts.refused[refusal.reason] += 1
        return taken

    def _one_by_one(self, group: _Group) -> Taken:
        whole = Taken()
        rest = _Group(actions=group.actions, refused=group.refused)
        for part in [_Group([arrival]) for arrival in group.arrivals] + [rest]:
            try:
                taken = self._store_group(part)
            except Exception as error:
                if _disk(error):
                    raise
                sender = part.arrivals[0].batch.gateway if part.arrivals else ""
                self._store_group(
                    _Group(
                        refused=[
                            Refusal(sender, "malformed", f"cannot be stored: {type(error).__name__}: {error}")
                        ]
                    )
                )
                continue
            for key, seqs in taken.seqs.items():
                whole.seqs.setdefault(key, set()).update(seqs)
            whole.batches, whole.values = whole.batches + taken.batches, whole.values + taken.values
            whole.duplicates, whole.conflicts = (
                whole.duplicates + taken.duplicates,
                whole.conflicts + taken.conflicts,
            )
        return whole

    def _fail(self, error: sqlite3.Error) -> None:
        # A full or failing disk: nothing was receipted, so the gateways keep everything and send it again.
        if not self._failing:
            self._failing = True
            log.error(
                "%s: cannot store: %s → look at the disk; the gateways keep their batches until then",
                self._database,
                error,
            )
        time.sleep(PATIENCE)

    def _receipt(self, group: _Group, taken: Taken) -> None:
        for (gateway, epoch), seqs in taken.seqs.items():
            self._send_receipts(gateway, epoch, seqs)
        for gateway, current in group.online.items():
            self._owed[gateway] = self._everything(gateway, current)

    def _everything(self, gateway: str, current: str | None) -> Iterator[Receipt]:
        """Receipts for all that a gateway which came online has delivered, its newest epochs first."""
        known = islice(reversed(self._store.ledger(gateway).epochs), EPOCHS)
        for epoch in dict.fromkeys([*([current] if current else []), *known]):
            yield from receipt_pages(epoch, self._store.ledger(gateway).epoch(epoch), pages=64)

    def _pay(self) -> None:
        """Send of what is owed as much as a turn allows, a page of each gateway after the other."""
        end = time.monotonic() + TURN
        while self._owed and time.monotonic() < end:
            gateway = next(iter(self._owed))
            pages = self._owed.pop(gateway)
            if (receipt := next(pages, None)) is not None:
                self._add_digests(gateway, receipt)
                self.counts.receipts += self._link.send(
                    Topics(gateway).receipt(self._consumer), receipt.to_bytes()
                )
                self._owed[gateway] = pages

    def _add_digests(self, gateway: str, receipt: Receipt) -> None:
        """Of what is stored under the numbers in conflict, as far as a receipt has room: whose it is need
        not send it again.
        """
        if receipt.conflicts:
            fit = max(0, (MAX_SMALL - len(receipt.to_bytes())) // DIGEST_BYTES - 1)
            seqs = receipt.conflicts[max(0, len(receipt.conflicts) - fit) :]
            receipt.digests = [(seq, self._digest(gateway, receipt.epoch, seq)) for seq in seqs]

    def _digest(self, gateway: str, epoch: str, seq: int) -> str:
        key = (gateway, epoch, seq)
        if key not in self._digests:
            if len(self._digests) >= DIGESTS:
                self._digests.clear()
            self._digests[key] = self._store.digest_of(*key)
        return self._digests[key]

    def _send_receipts(self, gateway: str, epoch: str, seqs: set[int]) -> None:
        topic = Topics(gateway).receipt(self._consumer)
        for receipt in receipts(epoch, self._store.ledger(gateway).epoch(epoch), seqs):
            self._add_digests(gateway, receipt)
            self.counts.receipts += self._link.send(topic, receipt.to_bytes())

    # --- gaps

    def _newest_missing(self, gateway: str, gaps: Gaps, now: float) -> dict[str, Missing]:
        return self._store.ledger(gateway).newest_missing(lambda epoch: gaps.deferred(epoch, now))

    def _ask(self) -> None:
        now = time.monotonic()
        names = list(self._states)
        for number in range(len(names)):
            if time.monotonic() - now > TURN:
                self._next += number  # the others come first next time
                return
            gateway = names[(self._next + number) % len(names)]
            state, gaps = self._states[gateway], self._gaps[gateway]
            ready = state.online and state.backlog == 0
            ask = (
                gaps.next_ask(self._newest_missing(gateway, gaps, now), now, ready=ready)
                if ready or gaps.open
                else None
            )
            if ask is None:
                continue
            id_ = secrets.token_hex(8)
            with self._store.atomic():
                self._store.asked(id_, gateway, ask, _now())
            self._replays = {key: known for key, known in self._replays.items() if known[0] != gateway}
            self._replays[id_] = (gateway, ask)
            replay = Replay.model_validate({"id": id_, "epoch": ask.epoch, "from": ask.first, "to": ask.last})
            self.counts.replays += self._link.send(Topics(gateway).replay, replay.to_bytes())


def _disk(error: Exception) -> bool:
    """Whether the file failed, not what was to be written: constraint and type errors are subclasses of
    their own.
    """
    return type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}


def _now() -> int:
    """UTC in ms."""
    return time.time_ns() // 1_000_000
