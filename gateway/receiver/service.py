"""The receiver at work: messages in, one durable commit, receipts out; gaps asked for when the gateway has
time.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gateway.common.text import one_line
from gateway.common.troubles import Troubles
from gateway.mqtt import ThreadLink
from gateway.receiver import intake
from gateway.receiver.backups import BackupFolder
from gateway.receiver.broker import Inbox, Message
from gateway.receiver.clones import Clones
from gateway.receiver.fleet.problems import CLONE
from gateway.receiver.gaps import AGE, ANSWER, SPACING, AskedReplay, Gaps
from gateway.receiver.intake import Refusal
from gateway.receiver.ledger import Missing
from gateway.receiver.receipt_sender import Counts, ReceiptSender
from gateway.receiver.silence import Silence
from gateway.receiver.store import Arrival, DatabaseAway, Store, Taken, open_store, shown
from gateway.receiver.upkeep import Upkeep
from gateway.wire import MAX_MESSAGE, Replay, Reply, State, Topics

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
SHARE = 0.05
"""Part of the time that may go into looking for gaps, however many there are."""
STORE = "the database"
PATIENCE = 0.5
"""Seconds of rest after a commit that failed."""
AWAY = 2.0
"""Seconds between two attempts to reach the server of a database at start."""
TURN = 0.02
"""Seconds at a time for looking for gaps: nobody else waits longer."""


@dataclass(slots=True)
class _Group:
    """Decoded messages of one commit."""

    arrivals: list[Arrival] = field(default_factory=list)
    actions: list[Callable[[], None]] = field(default_factory=list)
    online: dict[str, str | None] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    gateways: set[str] = field(default_factory=set)
    """Of whom it speaks."""


@dataclass(frozen=True, slots=True)
class Signs:
    """How a receiver is: connected to its broker, able to write its database, and what it has done."""

    connected: bool
    database: bool
    counts: Counts


class Receiver:
    """One consumer of every gateway's batches (or of `gateways`), on one database, over one link. `keep` is
    how many ms of readings stay; None: all.
    """

    def __init__(
        self,
        database: Path | str,
        link: ThreadLink,
        *,
        consumer: str = "city",
        gateways: frozenset[str] = frozenset(),
        check: Callable[[object], str | None] | None = None,
        keep: int | None = None,
        backups: BackupFolder | None = None,
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
        self._keep = keep
        self._backups = backups
        self._clones = Clones()
        self._tick = tick
        self._gaps: defaultdict[str, Gaps] = defaultdict(partial(Gaps, gap_age, gap_answer, gap_spacing))
        self._states: dict[str, State] = {}
        self._replays: dict[str, tuple[str, AskedReplay]] = {}
        self._stopping = False
        self._next = 0
        self._inbox = Inbox()
        self._troubles = Troubles(log)
        self._stores = True
        self.counts = Counts()

    @property
    def database(self) -> str:
        """What people call it: an address without its password."""
        return shown(self._database)

    def signs(self) -> Signs:
        """How it is; may be called from another thread."""
        return Signs(self._link.connected, self._stores, self.counts)

    def stop(self) -> None:
        """End `run` after the commit at hand; may be called from a signal handler (it takes no lock) or
        another thread.
        """
        self._stopping = True
        self._inbox.wake()

    def run(self) -> None:
        """Receive until `stop`. Raises JournalError when the database cannot be used at start, but waits for
        a server that is away; nothing later ends it.
        """
        if (store := self._opened()) is None:
            return
        self._store = store
        upkeep = Upkeep(self._database, self._keep)
        upkeep.start()
        self._receipt_sender = ReceiptSender(self._store, self._link, self._consumer, self.counts)
        self._silence = Silence(self._link, self._troubles, store.ledger, time.monotonic())
        self._link.start(self._hear)
        look = time.monotonic() + self._tick
        try:
            while not self._stopping:
                group = self._gather(0.0 if self._receipt_sender.owed else max(0.0, look - time.monotonic()))
                try:
                    if group:
                        self._commit(group)
                    self._receipt_sender.pay()
                    if time.monotonic() >= look:
                        began = time.monotonic()
                        self._ask()
                        self._silence.tick(self._states, began)
                        took = time.monotonic() - began
                        look = began + max(self._tick, took / SHARE)
                except Exception as error:
                    # Whatever it is must not end the receiver: what was not receipted comes again.
                    if self._store.failed(error):
                        self._fail(error)
                    else:
                        log.exception("a group of messages could not be handled")
                        time.sleep(PATIENCE)
        finally:
            self._inbox.closed = True
            self._link.stop()
            upkeep.stop()
            self._store.close()

    def _opened(self) -> Store | None:
        """The database; None when stopped before its server has come."""
        while not self._stopping:
            try:
                store = open_store(self._database)
            except DatabaseAway as error:
                self._troubles.begin(STORE, error.message, error.hint, level=logging.ERROR)
                self._inbox.get(AWAY)
            else:
                self._troubles.end(STORE, f"{store.name}: open")
                return store
        return None

    # --- messages → a group

    def _hear(self, topic: str, payload: bytes) -> None:
        """In the connection's thread; waits while the inbox is full."""
        kept, now = payload if len(payload) <= MAX_MESSAGE else b"", time.monotonic()
        self._silence.heard(topic, now)
        self._inbox.put(Message(topic, kept, now, len(payload)))

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
            group.gateways.add(gateway)
            if kind == "data":
                arrival, flaw = intake.arrival(gateway, message.payload, now, self._check)
                group.arrivals.append(arrival)
                if flaw:
                    group.refused.append(
                        Refusal(gateway, "schema", f"stored, but not as the schema says: {flaw}")
                    )
            elif kind == "state":
                self._note_state(group, gateway, intake.state(gateway, message.payload), now)
            elif kind == intake.BACKUP:
                self._keep_backup(gateway, message.payload, now)
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

    def _keep_backup(self, gateway: str, payload: bytes, now: int) -> None:
        if self._backups is None:
            return
        try:
            self._backups.keep(gateway, payload, now)
        except OSError as error:
            what = f"the backup of {gateway} cannot be written: {error.strerror}"
            self._troubles.note("backups", f"{what} (said once an hour)", every=3600.0)

    def _note_state(self, group: _Group, gateway: str, state: State, now: int) -> None:
        def note() -> None:
            before = self._states.get(gateway)
            if state.online and not (before and before.online and before.epoch == state.epoch):
                self._gaps[gateway].online()
            self._states[gateway] = state
            self._store.state(gateway, state, now)
            if state.online and state.epoch and (other := self._clones.hear(gateway, state.epoch)):
                self._warn_of_clone(gateway, state.epoch, other)

        group.actions.append(note)
        if state.online:
            group.online[gateway] = state.epoch

    def _warn_of_clone(self, gateway: str, epoch: str, other: str) -> None:
        self.counts.clones += 1
        what = f"{gateway}: two machines send under this id, in the epochs {epoch} and {other}"
        mend = "a copied card, or one that was replaced, runs beside the other: switch one off"
        self._troubles.note(f"clone {gateway}", f"{what} → {mend}", every=3600.0)
        self._store.refuse(gateway, CLONE, 1, _now(), what)

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
            if self._store.failed(error):
                raise
            # One of them carries something that nobody thought of: find it, keep the rest.
            what = f"a group of batches ({len(group.arrivals)}) could not be stored ({error})"
            self._troubles.note("a group", f"{what}; trying them one by one", every=0.0)
            taken = self._one_by_one(group)
        self._troubles.end(STORE, f"{self._store.name}: storing again")
        self._stores = True
        self.counts.commits += 1
        self.counts.batches += taken.batches
        self.counts.values += taken.values
        self.counts.duplicates += taken.duplicates
        self.counts.conflicts += taken.conflicts
        if taken.conflicts:
            what = "batches contradict what is stored under the same number; both are kept"
            self._troubles.note("conflicts", f"{what} ({self.counts.conflicts} so far)", every=QUIET)
        self._receipt_sender.stored(taken.seqs)
        for gateway, epoch in group.online.items():
            self._receipt_sender.came_online(gateway, epoch)

    def _store_group(self, group: _Group) -> Taken:
        with self._store.atomic(group.gateways):
            taken = self._store.take(group.arrivals)
            for action in group.actions:
                action()
            group.refused += [Refusal(gateway, "event", what) for gateway, what in taken.flaws]
            for refusal in group.refused:
                self._store.refuse(refusal.gateway, refusal.reason, 1, _now(), refusal.what)
        for refusal in group.refused:
            who = refusal.gateway or "unknown sender"
            self._troubles.note(
                refusal.reason, f"{who}: {refusal.what} (counted; further ones are not logged)"
            )
            self.counts.refused[refusal.reason] += 1
        return taken

    def _one_by_one(self, group: _Group) -> Taken:
        whole = Taken()
        rest = _Group(actions=group.actions, refused=group.refused, gateways=group.gateways)
        for part in [*(_Group([a], gateways={a.batch.gateway}) for a in group.arrivals), rest]:
            try:
                taken = self._store_group(part)
            except Exception as error:
                if self._store.failed(error):
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

    def _fail(self, error: Exception) -> None:
        # A full or failing disk, a server that is away: nothing was receipted, so the gateways keep
        # everything and send it again.
        what = f"{self._store.name}: cannot store: {one_line(error)}"
        mend = "look at its disk, and whether its server runs; the gateways keep their batches until then"
        self._troubles.begin(STORE, what, mend, level=logging.ERROR)
        self._stores = False
        time.sleep(PATIENCE)

    # --- gaps

    def _newest_missing(self, gateway: str, gaps: Gaps, now: float) -> dict[str, Missing]:
        return self._store.ledger(gateway).newest_missing(lambda epoch: gaps.deferred(epoch, now))

    def _ask(self) -> None:
        now = time.monotonic()
        if not self._store.leads:
            return
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
            with self._store.atomic([gateway]):
                self._store.asked(id_, gateway, ask, _now())
            self._replays = {key: known for key, known in self._replays.items() if known[0] != gateway}
            self._replays[id_] = (gateway, ask)
            replay = Replay.model_validate({"id": id_, "epoch": ask.epoch, "from": ask.first, "to": ask.last})
            self.counts.replays += self._link.send(Topics(gateway).replay, replay.to_bytes())


def _now() -> int:
    """UTC in ms."""
    return time.time_ns() // 1_000_000
