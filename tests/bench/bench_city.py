"""The platform at the size of a city, all on one machine: gateways at the wire, mosquitto, one receiver,
PostgreSQL with fsync on. What costs is given as CPU time, too: it does not depend on what else runs here.
"""

from __future__ import annotations

import json
import os
import random
import resource
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gateway.demo.fleet import FleetLedger
from gateway.model import QUANTITIES, Reading
from gateway.receiver import open_store
from gateway.receiver.intake import arrival
from gateway.wire import Batch, compress, encode
from tests.bench.figures import Figure, at_least, at_most, plain
from tests.city.site import Site

CORES = os.cpu_count() or 1
METERS, VALUES = 10, 34
CITY = 3000
STEADY = 60.0
"""Seconds after all are online; ten minutes in `make prove-city`."""
BACKLOG = 60.0
"""Seconds of backlog of each of a city's gateways; six minutes in `make prove-city`."""
SETTLE_DOWN = 60.0
"""Seconds until the gateways of a city that all began at once are in their rhythm."""
FEW, MANY = 300_000, 10_000_000
PROBES = 600
"""Batches whose cost is measured beside what is stored."""


def run() -> list[Figure]:
    """Everything, in the lengths of a bench."""
    return [*write_path(), *file_path(), *steady(STEADY), *herd(BACKLOG), *independent()]


@dataclass(frozen=True)
class Poured:
    """What 200 gateways had waiting, delivered as fast as it goes: values, s, and CPU of each part in s."""

    values: int
    took: float
    spent: dict[str, float]


def _pour(site: Site) -> Poured:
    plan = site.plan(gateways=200, backlog=500.0, seconds=0.0)
    before, began = site.cpu(), time.monotonic()
    _fleet, ledger = site.run(plan)
    took, values = time.monotonic() - began, ledger.taken * METERS * VALUES
    spent = {part: seconds - before[part] for part, seconds in site.cpu().items()}
    assert site.judged(ledger).good
    return Poured(values, took, spent)


def _stored(where: str, poured: Poured, bar: float) -> list[Figure]:
    cpu = CORES * poured.values / sum(poured.spent.values())
    return [
        at_least(
            f"into {where}, durable, with receipts",
            poured.values / poured.took,
            "values/s",
            bar,
            "200 gateways",
        ),
        at_least(
            "the same by CPU: what this machine's cores would carry alone",
            cpu,
            "values/s",
            bar,
            _per_value(poured.spent, poured.values),
        ),
    ]


def _per_value(spent: dict[str, float], values: int) -> str:
    told = ", ".join(f"{part} {1e6 * seconds / values:.2f}" for part, seconds in spent.items())
    return f"µs of CPU per value: {told}"


def write_path() -> list[Figure]:
    """Into PostgreSQL with receipts, as fast as it goes, and what that writes; beside it COPY alone."""
    with tempfile.TemporaryDirectory() as name, Site(Path(name)) as site:
        before = _sizes(site.database)
        poured = _pour(site)
        tables, log, wire = (
            (after - first) / poured.values
            for first, after in zip(before, _sizes(site.database), strict=True)
        )
        control = _copy_alone(site.database)
    return [
        *_stored("PostgreSQL", poured, 200_000),
        plain("in its tables with their indexes", tables, "bytes / value", "the message as it came included"),
        plain("in its write-ahead log", log, "bytes / value", "what is durable before a receipt"),
        plain("on the wire", wire, "bytes / value"),
        plain(
            "the control, COPY of the same readings alone", control, "values/s", "one commit a 100 batches"
        ),
    ]


def _sizes(database: str) -> tuple[int, int, int]:
    """Bytes of the tables with their indexes, of the write-ahead log since ever, of the messages."""
    with psycopg.connect(database, autocommit=True) as server:
        row = server.execute(
            """SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
            WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace)::bigint,
            pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
            (SELECT coalesce(sum(length(body)), 0) FROM batch)::bigint"""
        ).fetchone()
    assert row is not None
    return row


def file_path() -> list[Figure]:
    """The same into a SQLite file."""
    with tempfile.TemporaryDirectory() as name, Site(Path(name), file=Path(name) / "p.db") as site:
        return _stored("SQLite", _pour(site), 250_000)


def steady(seconds: float) -> list[Figure]:
    """A city that reads every ten seconds."""
    with tempfile.TemporaryDirectory() as name, Site(Path(name)) as site:
        plan = site.plan(gateways=CITY, seconds=SETTLE_DOWN + seconds)
        before = site.cpu()
        fleet, ledger = site.run(plan)
        spent = {part: used - before[part] for part, used in site.cpu().items()}
        delay = fleet.delays.percentile(0.95, since=SETTLE_DOWN, until=SETTLE_DOWN + seconds)
        memory, verdict = site.memory(), site.judged(ledger)
    assert verdict.good, verdict
    assert not verdict.waiting
    assert delay is not None
    what = (
        f"{CITY} × {METERS} × {VALUES} every 10 s for {seconds:g} s, schedule at most {fleet.late:.1f} s late"
    )
    return [
        at_most("a city's receipts, 95th percentile", delay, "s", 1.0, what),
        at_most("memory of the receiver at that load", memory, "MiB", 256.0),
        plain(
            "what this machine needs for it",
            sum(spent.values()) / (SETTLE_DOWN + seconds),
            "cores",
            _per_value(spent, ledger.taken * METERS * VALUES),
        ),
    ]


def herd(backlog: float) -> list[Figure]:
    """A city that comes back at once with its backlog."""
    with tempfile.TemporaryDirectory() as name, Site(Path(name)) as site:
        plan = site.plan(gateways=CITY, backlog=backlog, seconds=0.0, drain=3600.0)
        before, began = site.cpu(), time.monotonic()
        _fleet, ledger = site.run(plan)
        took, values = time.monotonic() - began, ledger.taken * METERS * VALUES
        spent = sum(site.cpu().values()) - sum(before.values())
        memory, verdict = site.memory(), site.judged(ledger)
    assert verdict.good, verdict
    assert not verdict.waiting
    return [*_drained(ledger, backlog, values / took, CORES * values / spent), _within(memory)]


def _drained(ledger: FleetLedger, backlog: float, wall: float, cpu: float) -> list[Figure]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = (
        f"{CITY} × {backlog:g} s, {ledger.taken} batches, each once; sent {ledger.sent} times; RLIMIT_NOFILE "
        f"{files}"
    )
    return [
        at_least("a herd's backlog drained into PostgreSQL", wall, "values/s", 150_000, what),
        at_least("the same by CPU: what this machine's cores would carry alone", cpu, "values/s", 150_000),
    ]


def _within(memory: float) -> Figure:
    return at_most("memory of the receiver under the herd", memory, "MiB", 256.0)


def independent() -> list[Figure]:
    """The cost of a batch beside few readings and beside many."""
    with tempfile.TemporaryDirectory() as name, Site(Path(name), receivers=0) as site:
        with closing(open_store(site.database)):
            pass  # makes the tables
        _fill(site.database, 1, FEW)
        few = _cost(site, 1)
        _fill(site.database, FEW + 1, MANY)
        many = _cost(site, 2)
    note = f"{1000 * few:.2f} and {1000 * many:.2f} ms of CPU, receiver's store and database, lots of 100"
    return [
        at_most("cost of a batch beside 10⁷ readings, over that beside 3×10⁵", many / few, "×", 1.3, note)
    ]


def _fill(database: str, first: int, last: int) -> None:
    """Readings, and the batches that brought them, made in the server: ten of each batch, 3 000 gateways."""
    with psycopg.connect(database, autocommit=True) as server:
        server.execute("SET synchronous_commit TO off")
        server.execute(
            """INSERT INTO reading SELECT 'fleet-' || lpad((n / 10 %% 3000)::text, 5, '0'), 'm' || n %% 10,
            1795278300000 + n / 30000 * 10000, '00000000000000e1', n / 30000 + 1, n %% 10, n, 'synced',
            '{"active_power": 1.5}' FROM generate_series(%s::bigint, %s) n""",
            (first, last),
        )
        server.execute(
            """INSERT INTO batch SELECT 'fleet-' || lpad((n %% 3000)::text, 5, '0'), '00000000000000e1',
            n / 3000 + 1, 1795278300000 + n / 3000 * 10000, n, 'synced', 10, 340, 1, '\\x00', '\\x00'
            FROM generate_series(%s::bigint, %s) n""",
            ((first + 9) // 10, last // 10),
        )
        server.execute("VACUUM ANALYZE")
        server.execute("CHECKPOINT")


def _batches(epoch: str) -> list[tuple[str, bytes]]:
    chance = random.Random(epoch)
    names = [name for name, word in QUANTITIES.items() if word.kind == "gauge"][:VALUES]
    made = []
    for number in range(PROBES):
        readings = [
            Reading(f"m{meter}", 90 * meter, {name: round(chance.uniform(0, 400), 2) for name in names})
            for meter in range(METERS)
        ]
        gateway, seq = f"fleet-{number % 300:05}", number // 300 + 1
        batch = Batch(gateway, epoch, seq, 1795278300000 + 10_000 * seq, 0, "synced", readings)
        made.append((gateway, compress(encode(batch))))
    return made


def _cost(site: Site, turn: int) -> float:
    """CPU seconds of a batch, of this process and of the server's."""
    arrivals = [arrival(gateway, body, 1)[0] for gateway, body in _batches(f"{turn:016x}")]
    with closing(open_store(site.database)) as store:
        for measured in (False, True):  # what is read into the server's memory first is not counted
            before = site.cpu()
            half = arrivals[: PROBES // 3] if not measured else arrivals[PROBES // 3 :]
            for at in range(0, len(half), 100):
                lot = half[at : at + 100]
                with store.atomic({one.batch.gateway for one in lot}):
                    store.take(lot)
            after = site.cpu()
    spent = sum(after[part] - before[part] for part in ("fleet", "database"))
    return spent / (PROBES - PROBES // 3)


def _copy_alone(database: str) -> float:
    """Values a second of the stored readings, copied into a table of the same form, 1 000 a commit."""
    with psycopg.connect(database, autocommit=True) as server:
        rows = server.execute("SELECT * FROM reading LIMIT 20000").fetchall()
        server.execute("CREATE TABLE control (LIKE reading INCLUDING INDEXES)")
        texts = [
            tuple(json.dumps(cell) if isinstance(cell, (dict, list)) else cell for cell in row)
            for row in rows
        ]
        began = time.monotonic()
        for at in range(0, len(texts), 1000):
            with server.cursor() as cursor, cursor.copy("COPY control FROM STDIN") as copy:
                for row in texts[at : at + 1000]:
                    copy.write_row(row)
        took = time.monotonic() - began
    return len(rows) * VALUES / took
