"""The platform's database in PostgreSQL, which any number of receivers share.

Nothing that a receipt says is in memory alone: whoever stores for a gateway locks its row of the table
`turn`, which counts the commits, and reads what somebody else has stored since.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from gateway.common.text import one_line
from gateway.errors import JournalError
from gateway.model import Ranges
from gateway.receiver.gaps import AskedReplay
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.arrivals import PendingRows
from gateway.receiver.store.base import DESCRIPTIONS, Store, bounded
from gateway.receiver.store.ledgers import fill_ledgers
from gateway.receiver.store.schema import hypertable
from gateway.receiver.store.schema.partitions import month_of
from gateway.receiver.store.schema.postgres import VERSIONS
from gateway.receiver.store.server import KEY, ServerConnection, is_hypertable, make_partition
from gateway.receiver.store.sql import DatabaseAway
from gateway.wire import State

log = logging.getLogger(__name__)

FRESH = 1.0
"""s for which a ledger is believed without a look whether another receiver has stored since."""
OLDEST = 14
"""The oldest version of the server: it knows what is held as one `int8multirange`."""
LATELY = 2000
"""Bytes of what was lately added to an epoch, kept beside all that is held of it."""
TOLD = 8000
"""Bytes of all that is held of an epoch, up to which a commit reads it."""


class PostgresStore(Store):
    """`address` is a connection URI, `name` what people are shown of it."""

    def __init__(self, address: str, name: str, *, readonly: bool = False) -> None:
        """Connect, and make or upgrade the tables. Raises JournalError."""
        self._sql = ServerConnection(address)
        self._ledgers: dict[str, tuple[int, float, GatewayLedger]] = {}
        """With the gateway's count of commits, and when that was looked at."""
        self._locked: dict[str, GatewayLedger] | None = None
        self._months: set[tuple[str, int]] = set()
        self._leader: psycopg.Connection[Any] | None = None
        try:
            super().__init__(self._sql, name)
            self._check_age()
            if readonly:
                self._sql.execute("SELECT 1 FROM batch LIMIT 1")
            else:
                self._upgrade()
            self._hypertable = is_hypertable(self._sql)
            if not readonly:
                kind = "a hypertable of TimescaleDB" if self._hypertable else "monthly tables"
                log.info("%s: readings are in %s", name, kind)
        except psycopg.errors.DependentObjectsStillExist as error:
            self._sql.close()
            raise JournalError(
                f"{name} cannot be upgraded, and nothing has changed: {one_line(error)}",
                hint="drop the views that are named here, start again, and make them anew",
            ) from error
        except psycopg.Error as error:
            self._sql.close()
            raise (DatabaseAway if isinstance(error, psycopg.OperationalError) else JournalError)(
                f"{name}: {one_line(error)}",
                hint="check the address, the user's rights and that the server runs",
            ) from error

    def _check_age(self) -> None:
        version = self._sql.server_version
        if version < OLDEST:
            self._sql.close()
            raise JournalError(
                f"{self.name}: the server is PostgreSQL {version}",
                hint=f"version {OLDEST} or later is needed",
            )

    def _upgrade(self) -> None:
        with self._sql.transaction():
            self._sql.execute("SELECT pg_advisory_xact_lock(?)", (KEY,))
            self._sql.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)")
            (known,) = self._sql.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
            if known > len(VERSIONS):
                raise psycopg.ProgrammingError(f"version {known} of the tables is newer than this program")
            for version, statements in enumerate(VERSIONS[known:], known + 1):
                for statement in statements:
                    self._sql.literally(statement)
                self._sql.execute("INSERT INTO schema_version VALUES (?)", (version,))
            if not known:
                self._use_timescale()

    def _use_timescale(self) -> None:
        """Make the readings of a new database a hypertable where the server has the extension ready and the
        role may create it.
        """
        if not self._sql.execute(hypertable.LOADED).fetchone()[0]:
            return
        try:
            with self._sql.transaction():
                for statement in hypertable.STATEMENTS:
                    self._sql.literally(statement)
        except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
            why = one_line(error)
            log.warning("%s: TimescaleDB is there and cannot be used: %s", self.name, why)

    @property
    def leads(self) -> bool:
        """Whether this receiver holds the lock; it ends with the connection."""
        raw = self._sql.raw
        if self._leader is not raw:
            (got,) = self._sql.execute("SELECT pg_try_advisory_lock(?)", (KEY + 1,)).fetchone()
            self._leader = raw if got else None
        return self._leader is raw

    def close(self) -> None:
        """End the connection."""
        self._sql.close()

    @contextmanager
    def atomic(self, gateways: Iterable[str] = ()) -> Iterator[None]:
        """One durable transaction, in which nobody else stores for these gateways."""
        try:
            with self._sql.transaction():
                self._locked = {}
                self._lock(sorted(set(gateways)))
                yield
        except BaseException:
            self._ledgers.clear()
            self._months.clear()
            raise
        finally:
            self._locked = None

    def _lock(self, gateways: list[str]) -> None:
        """In the order of their names: two receivers never wait for one another."""
        if not gateways or self._locked is None:
            return
        sql = """INSERT INTO turn SELECT g, 1 FROM unnest(?::text[]) g ORDER BY g
            ON CONFLICT (gateway) DO UPDATE SET version = turn.version + 1 RETURNING gateway, version"""
        now, stale = time.monotonic(), {}
        for gateway, version in self._sql.execute(sql, (gateways,)).fetchall():
            known = self._ledgers.get(gateway)
            if known is not None and known[0] == version - 1:
                self._ledgers[gateway] = (version, now, known[2])
            else:
                stale[gateway] = version
        self._catch_up(stale, now)
        self._locked |= {gateway: self._ledgers[gateway][2] for gateway in gateways}

    def _catch_up(self, versions: Mapping[str, int], now: float) -> None:
        """Read what others have stored for these gateways, up to their count of commits at least. A gateway
        that has thinned its journal may have tens of thousands of ranges: only what was added, where it is
        known.
        """
        if not versions:
            return
        known = {gateway: self._ledgers.get(gateway, (-1, now, GatewayLedger())) for gateway in versions}
        sql = """SELECT h.gateway, h.epoch, lower(r), upper(r) - 1 FROM held_ranges h
            JOIN unnest(?::text[], ?::bigint[]) AS known(gateway, version) ON h.gateway = known.gateway,
            unnest(CASE WHEN known.version < h.since THEN h.ranges ELSE h.lately END) AS r
            WHERE h.version > known.version ORDER BY h.epoch, 3"""
        held = self._sql.execute(sql, (list(known), [version for version, *_ in known.values()])).fetchall()
        fill_ledgers(self._sql, {gateway: ledger for gateway, (_, _, ledger) in known.items()}, held)
        for gateway, version in versions.items():
            self._ledgers[gateway] = (version, now, known[gateway][2])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One moment of the database for all that is read inside."""
        self._ledgers.clear()
        with self._sql.transaction():
            self._sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def ledger(self, gateway: str) -> GatewayLedger:
        """What is held of a gateway: within a transaction as it stands, else as it stood a second ago at
        most.
        """
        if self._locked is not None:
            if gateway not in self._locked:
                self._lock([gateway])
            return self._locked[gateway]
        now = time.monotonic()
        known = self._ledgers.get(gateway)
        if known is not None and now - known[1] < FRESH:
            return known[2]
        found = self._sql.execute("SELECT version FROM turn WHERE gateway = ?", (gateway,)).fetchone()
        version = found[0] if found else 0
        if known is not None and known[0] == version:
            self._ledgers[gateway] = (version, now, known[2])
        else:
            self._catch_up({gateway: version}, now)
        return self._ledgers[gateway][2]

    def insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Rows in the order of their columns."""
        if not rows:
            return
        if table == "reading":
            self.make_room(table, (row[2] for row in rows))
        self._sql.copy(table, rows)

    def upsert(self, table: str, columns: str, rows: list[tuple[Any, ...]], otherwise: str) -> None:
        """Rows of these columns in one statement, a column of them as one parameter: the first two are texts,
        the others whole numbers.
        """
        if rows:
            kinds = ["?::text[]"] * 2 + ["?::bigint[]"] * (len(rows[0]) - 2)
            sql = f"""INSERT INTO {table} ({columns}) SELECT * FROM unnest({", ".join(kinds)})
                ON CONFLICT {otherwise}"""  # noqa: S608 - ours
            self._sql.execute(sql, [list(column) for column in zip(*rows, strict=True)])

    def grow(self, group: PendingRows) -> None:
        """One row of an epoch, locked, grows by what is new; a receipt says what it has become."""
        rows = [
            (gateway, epoch, _multirange(Ranges((seq, seq) for seq in seqs)), self._ledgers[gateway][0])
            for (gateway, epoch), seqs in group.seqs.items()
        ]
        if not rows:
            return
        sql = f"""INSERT INTO held_ranges AS h SELECT gateway, epoch, new::int8multirange, version,
            new::int8multirange, -1
            FROM unnest(?::text[], ?::text[], ?::text[], ?::bigint[]) AS come(gateway, epoch, new, version)
            ON CONFLICT (gateway, epoch) DO UPDATE SET ranges = h.ranges + excluded.ranges,
            version = excluded.version,
            (lately, since) = (SELECT CASE WHEN few THEN h.lately + excluded.lately ELSE excluded.lately END,
            CASE WHEN few THEN h.since ELSE h.version END
            FROM (SELECT pg_column_size(h.lately) < {LATELY} AS few) AS size)
            RETURNING gateway, epoch, CASE WHEN pg_column_size(ranges) < {TOLD} THEN ranges::text END"""  # noqa: S608 - ours
        columns = [list(column) for column in zip(*rows, strict=True)]
        for gateway, epoch, told in self._sql.execute(sql, columns).fetchall():
            ledger = self._ledgers[gateway][2].epoch(epoch)
            if told is not None and told != _multirange(ledger.stored):
                ledger.restate(Ranges(_spans(told)))

    def make_room(self, table: str, times: Iterable[int]) -> None:
        """Make the partitions for rows of these times (UTC ms). A hypertable makes its own."""
        if table == "reading" and self._hypertable:
            return
        months = {month_of(t) for t in times}
        for month in sorted(month for month in months if month is not None):
            # No interval is ever dropped, nor a reading of this month: once seen, their tables are there.
            lasting = table != "reading" or month == month_of(time.time_ns() // 1_000_000)
            if lasting and (table, month) in self._months:
                continue
            if not lasting:
                self._sql.literally("LOCK TABLE ONLY reading IN ROW EXCLUSIVE MODE")  # nobody drops it now
            try:
                make_partition(self._sql, table, month)
            except psycopg.errors.LockNotAvailable:
                # Somebody looks at the table: these rows lie in the other one until the upkeep moves them.
                continue
            if lasting:
                self._months.add((table, month))

    def date_readings(self, gateway: str, epoch: str, offset: int) -> None:
        """Taken out and put back: no row of a hypertable can be moved to another of its parts."""
        sql = """WITH dated AS (DELETE FROM reading WHERE gateway = ? AND epoch = ? AND clock = 'unsynced'
            RETURNING *) INSERT INTO reading SELECT gateway, meter, ? + uptime, epoch, seq, n, uptime,
            'anchored', "values", absent, suspect, missing FROM dated"""
        self._sql.execute(sql, (gateway, epoch, offset))

    def failed(self, error: Exception) -> bool:
        """The server is away, its disk is full, or another receiver was in the way: not what was written."""
        gone = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        if gone:
            with suppress(psycopg.Error):
                self._sql.close()
        return gone

    # -- small tables ----------------------------------------------------------------------------------------

    def describe(self, gateway: str, description: str, at: int) -> bool:
        """Keep a P/meters if it differs from the newest one; whether it did."""
        newest = "SELECT description FROM meters WHERE gateway = ? ORDER BY id DESC LIMIT 1"
        found = self._sql.execute(newest, (gateway,)).fetchone()
        if found and found[0] == description:
            return False
        row = (gateway, at, description)
        self._sql.execute("INSERT INTO meters (gateway, received, description) VALUES (?, ?, ?)", row)
        old = """DELETE FROM meters WHERE gateway = ? AND id NOT IN
            (SELECT id FROM meters WHERE gateway = ? ORDER BY id DESC LIMIT ?)"""
        self._sql.execute(old, (gateway, gateway, DESCRIPTIONS))
        return True

    def note_state(self, gateway: str, state: State, at: int) -> None:
        """The newest P/state. A Last Will names no epoch: then what was known of it stays."""
        sql = """INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway) DO UPDATE SET
            online = excluded.online, at = excluded.at, version = coalesce(excluded.version, state.version),
            epoch = coalesce(excluded.epoch, state.epoch),
            seq = CASE WHEN excluded.epoch IS NULL THEN state.seq ELSE excluded.seq END,
            backlog = CASE WHEN excluded.epoch IS NULL THEN state.backlog ELSE excluded.backlog END"""
        told = (None, None) if state.epoch is None else (bounded(state.seq), bounded(state.backlog))
        self._sql.execute(sql, (gateway, int(state.online), state.epoch, *told, state.version, at))

    def asked(self, id_: str, gateway: str, ask: AskedReplay, at: int) -> None:
        """Note a replay that is about to be asked for."""
        sql = "INSERT INTO replay (id, gateway, epoch, first, last, asked) VALUES (?, ?, ?, ?, ?, ?)"
        self._sql.execute(sql, (id_, gateway, ask.epoch, ask.first, ask.last, at))

    def answered(self, id_: str, ok: bool, answer: str, at: int) -> None:
        """Note the answer to a replay that was asked for."""
        sql = "UPDATE replay SET answered = ?, ok = ?, answer = ? WHERE id = ?"
        self._sql.execute(sql, (at, int(ok), answer[:2000], id_))

    def rows(self, table: str, gateway: str) -> list[dict[str, Any]]:
        """Rows of a small table about one gateway, for the report."""
        order = "ORDER BY id" if table == "meters" else ""
        return self._sql.dicts(f"SELECT * FROM {table} WHERE gateway = ? {order}", (gateway,))  # noqa: S608 - ours

    def all_refused(self) -> list[dict[str, Any]]:
        """Every kind of message that could not be used, by sender."""
        return self._sql.dicts("SELECT * FROM refused ORDER BY gateway, reason")


def _multirange(ranges: Ranges) -> str:
    """As PostgreSQL writes it.

    >>> _multirange(Ranges([(1, 3), (7, 7)]))
    '{[1,4),[7,8)}'
    """
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in ranges) + "}"


def _spans(text: str) -> list[tuple[int, int]]:
    """The ranges of an int8multirange, (first, last).

    >>> _spans("{[1,4),[7,8)}")
    [(1, 3), (7, 7)]
    """
    return [(int(first), int(end) - 1) for first, end in re.findall(r"(\d+),(\d+)", text)]
