"""What the platform holds beside what the fleet took: every batch once, with its own content, and none that
was receipted is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from gateway.demo.fleet.ledger import FleetLedger, GatewayAccount
from gateway.demo.fleet.seeded import SeededReadings
from gateway.demo.fleet.seeded_journal import SeededJournal

Ask = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]
"""A statement in the common form of the platform's databases (`?` for a parameter) → its rows."""
MOST_NAMED = 10
"""Problems that are named one by one."""


@dataclass(slots=True)
class FleetVerdict:
    """Batches: `taken` by the fleet, `stored`; `lost` were receipted and are not there, `waiting` neither;
    `changed` have other content, `twice` more readings than they brought, `short` fewer; `foreign` were never
    taken; `conflicts` are numbers that came with two contents.
    """

    gateways: int = 0
    taken: int = 0
    stored: int = 0
    lost: int = 0
    waiting: int = 0
    changed: int = 0
    twice: int = 0
    short: int = 0
    foreign: int = 0
    conflicts: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing wrong; what no receipt has named may still be on its way."""
        return not (self.lost or self.changed or self.twice or self.short or self.foreign or self.conflicts)

    def note(self, what: str, gateway: str, seqs: Sequence[int]) -> int:
        """Name a problem; how many it is."""
        if seqs and len(self.problems) < MOST_NAMED:
            self.problems.append(f"{gateway}: {len(seqs)} {what}, first {min(seqs)}")
        return len(seqs)


def judge(ledger: FleetLedger, ask: Ask) -> FleetVerdict:
    """Hold every batch against what is stored. One gateway after another, in bounded memory."""
    verdict = FleetVerdict(gateways=len(ledger.accounts))
    for account, readings, journal in ledger.journals():
        _batches(verdict, account, readings, journal, ask)
        _readings(verdict, account, readings, journal, ask, ledger.plan.meters)
    return verdict


def _batches(
    verdict: FleetVerdict, account: GatewayAccount, readings: SeededReadings, journal: SeededJournal, ask: Ask
) -> None:
    gateway = readings.gateway
    stored: dict[int, bytes] = {}
    foreign = []
    for epoch, first, last in journal.epochs():
        sql = "SELECT seq, mark FROM batch WHERE gateway = ? AND epoch = ?"
        for seq, mark in ask(sql, (gateway, epoch)):
            (stored.__setitem__(seq, bytes(mark)) if first <= seq <= last else foreign.append(seq))
        told = ask("SELECT DISTINCT seq FROM conflict WHERE gateway = ? AND epoch = ?", (gateway, epoch))
        verdict.conflicts += verdict.note("in conflict", gateway, [seq for (seq,) in told])
    missing = [seq for seq in range(1, account.taken + 1) if seq not in stored]
    changed = [
        seq for seq, mark in stored.items() if mark != blake2b(journal.plain(seq), digest_size=16).digest()
    ]
    verdict.taken += account.taken
    verdict.stored += len(stored)
    verdict.lost += verdict.note("lost", gateway, [seq for seq in missing if seq in account.settled])
    verdict.waiting += len([seq for seq in missing if seq not in account.settled])
    verdict.changed += verdict.note("with other content", gateway, changed)
    verdict.foreign += verdict.note("never taken", gateway, foreign)


def _readings(  # noqa: PLR0917 - one gateway's own facts
    verdict: FleetVerdict,
    account: GatewayAccount,
    readings: SeededReadings,
    journal: SeededJournal,
    ask: Ask,
    meters: int,
) -> None:
    """The rows that people will read: as many as the batches brought, the newest with their values."""
    gateway = readings.gateway
    sql = "SELECT epoch, seq, count(*) FROM reading WHERE gateway = ? GROUP BY epoch, seq"
    known = {epoch for epoch, _first, _last in journal.epochs()}
    there = {seq: count for epoch, seq, count in ask(sql, (gateway,)) if epoch in known}
    verdict.twice += verdict.note("twice", gateway, [seq for seq, count in there.items() if count > meters])
    verdict.short += verdict.note(
        "with readings that are missing", gateway, [seq for seq, count in there.items() if count < meters]
    )
    if account.taken not in there:
        return
    sql = """SELECT meter, "values" FROM reading WHERE gateway = ? AND epoch = ? AND seq = ?"""
    for meter, values in ask(sql, (gateway, journal.epoch_of(account.taken), account.taken)):
        told = values if isinstance(values, dict) else json.loads(values)
        if told != readings.values(int(meter.removeprefix("m")) - 1, account.taken):
            verdict.changed += verdict.note("with other values", gateway, [account.taken])
