"""The platform's database in PostgreSQL, which any number of receivers share.

Nothing that a receipt says is in memory alone: whoever stores for a gateway locks its row of the table
`turn`, which counts the commits, and reads what somebody else has stored since.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.common.text import visible
from gateway.errors import JournalError
from gateway.receiver.gaps import Ask
from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.base import DESCRIPTIONS, Store, bounded
from gateway.receiver.store.ledgers import fill_ledgers
from gateway.receiver.store.schema.partitions import month_of, month_start, new_partition, partition_of
from gateway.receiver.store.schema.postgres import VERSIONS
from gateway.receiver.store.sql import DatabaseAway, Results
from gateway.wire import State

FRESH = 1.0
"""s for which a ledger is believed without a look whether another receiver has stored since."""
CONNECT = 10
"""s for a connection."""
KEY = 0x5375626D
"""Of the advisory locks: the tables are made, and gaps asked for, by one receiver at a time."""
_DURABLE = b"""SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'"""
"""A receipt says that a batch is on the disk; a server may be set up to say so before it is."""
_NAMED = re.compile(r"(?<!:):(\w+)")


@lru_cache(maxsize=200)
def _postgres(sql: str) -> str:
    """The common form of a statement as psycopg wants it: `?` is %s, `:name` is %(name)s."""
    return _NAMED.sub(r"%(\1)s", sql.replace("%", "%%").replace("?", "%s"))


class ServerConnection:
    """Statements in the common form, on a connection that is made when it is needed."""

    def __init__(self, address: str, prepare: bytes = _DURABLE) -> None:
        """`prepare` is said on each new connection."""
        self._address = address
        self._prepare = prepare
        self._open: psycopg.Connection[Any] | None = None

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The connection. Raises psycopg.Error."""
        if self._open is None or self._open.closed or self._open.broken:
            self._open = psycopg.connect(self._address, autocommit=True, connect_timeout=CONNECT)
            self._open.execute(self._prepare)
        return self._open

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Results:
        """Execute one statement, with SQLite's placeholders; its rows. Raises psycopg.Error."""
        return self.raw.execute(_postgres(sql).encode(), parameters)

    def executemany(self, sql: str, parameters: Any, /) -> object:
        """One statement for each of the parameters, in one round trip."""
        with self.raw.cursor() as cursor:
            cursor.executemany(_postgres(sql).encode(), parameters)
        return None

    def dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows by the names of their columns."""
        with self.raw.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_postgres(sql).encode(), parameters).fetchall()

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction: everything inside it is committed, or nothing."""
        return self.raw.transaction()

    def literally(self, statement: str) -> None:
        """A statement without parameters, as it stands."""
        self.raw.execute(statement.encode())

    def copy(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Many rows at once, in the order of their columns."""
        with self.raw.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()


class PostgresStore(Store):
    """`address` is a connection URI, `name` what people are shown of it."""

    def __init__(self, address: str, name: str, *, readonly: bool = False) -> None:
        """Connect, and make or upgrade the tables. Raises JournalError."""
        self._sql = ServerConnection(address)
        self._ledgers: dict[str, tuple[int, float, GatewayLedger]] = {}
        """With the gateway's count of commits, and when that was looked at."""
        self._locked: dict[str, GatewayLedger] | None = None
        self._months: set[int] = set()
        self._leader: psycopg.Connection[Any] | None = None
        try:
            super().__init__(self._sql, name)
            if readonly:
                self._sql.execute("SELECT 1 FROM batch LIMIT 1")
            else:
                self._upgrade()
        except psycopg.Error as error:
            self._sql.close()
            raise (DatabaseAway if isinstance(error, psycopg.OperationalError) else JournalError)(
                f"{name}: {visible(str(error).strip(), 300)}",
                hint="check the address, the user's rights and that the server runs",
            ) from error

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
        that has thinned its journal may have tens of thousands of ranges: only those that have changed.
        """
        if not versions:
            return
        known = {gateway: self._ledgers.get(gateway, (-1, now, GatewayLedger())) for gateway in versions}
        sql = """SELECT h.gateway, h.epoch, h.first, h.last FROM held h
            JOIN unnest(?::text[], ?::bigint[]) AS known(gateway, version) ON h.gateway = known.gateway
            WHERE h.version > known.version ORDER BY h.epoch, h.first"""
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
            self._make_partitions({month_of(row[2]) for row in rows})
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

    def make_room(self, times: Iterable[int]) -> None:
        """Make the partitions for readings of these times (UTC ms)."""
        self._make_partitions({month_of(t) for t in times})

    def _make_partitions(self, months: set[int | None]) -> None:
        for month in sorted(month for month in months if month is not None):
            # Those of this month are never dropped: once seen, they are there.
            lasting = month == month_of(time.time_ns() // 1_000_000)
            if lasting and month in self._months:
                continue
            if not lasting:
                self._sql.literally("LOCK TABLE ONLY reading IN ROW EXCLUSIVE MODE")  # nobody drops it now
            try:
                make_partition(self._sql, month)
            except psycopg.errors.LockNotAvailable:
                # Somebody looks at the readings: these lie in reading_other until the upkeep has moved them.
                continue
            if lasting:
                self._months.add(month)

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

    def asked(self, id_: str, gateway: str, ask: Ask, at: int) -> None:
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


def make_partition(sql: ServerConnection, month: int) -> None:
    """The table for the readings of a month, unless it is there; what of them lies elsewhere moves there.
    Raises LockNotAvailable, and nothing has happened, when that would mean to wait.
    """
    name = partition_of(month)
    # Of the catalogue's own table: a name that was looked up in vain is remembered by a connection, whoever
    # has made the table while it waited for the lock.
    there = """SELECT EXISTS (SELECT FROM pg_class WHERE relname = ?
        AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'reading'::regclass))"""
    if sql.execute(there, (name,)).fetchone()[0]:
        return
    with sql.transaction():
        sql.literally("SET LOCAL lock_timeout = '100ms'")
        sql.execute("SELECT pg_advisory_xact_lock(?)", (KEY,))
        if not sql.execute(there, (name,)).fetchone()[0]:
            for statement in new_partition(name, month_start(month), month_start(month + 1)):
                sql.literally(statement)
        sql.literally("SET LOCAL lock_timeout = DEFAULT")
