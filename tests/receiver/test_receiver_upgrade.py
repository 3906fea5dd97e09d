"""A PostgreSQL database of an earlier version, with what its receivers had stored."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from receiver_feed import E1, E2, T0, arrival, batch

from gateway.errors import JournalError
from gateway.model import Interval
from gateway.receiver.store import open_store
from gateway.receiver.store.postgres import PostgresStore
from gateway.receiver.store.schema.postgres import VERSIONS
from gateway.receiver.store.server import ServerConnection
from gateway.receiver.upkeep import open_work

QUARTER, DAY = 900_000, 86_400_000
START = T0 - T0 % QUARTER
BY_GATEWAY = 4
"""The last version that had intervals by gateway and what is held as rows."""
HELD = {
    ("gw-1", E1): [(1, 3), (5, 9), (12, 12)],
    ("gw-1", E2): [(4, 4)],
    ("gw-2", E1): [(n, n) for n in range(1, 1001, 2)],
}
STARTS = [*(START + n * 20 * DAY for n in range(6)), 0, START - 10_000 * DAY, 2**53 - 1]


@pytest.fixture
def before(postgres):
    """The address of a database as version 4 made it."""
    address = postgres.new_database()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
        for version, statements in enumerate(VERSIONS[:BY_GATEWAY], 1):
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("INSERT INTO schema_version VALUES (%s)", (version,))
        connection.execute("INSERT INTO turn VALUES ('gw-1', 7), ('gw-2', 3)")
        for (gateway, epoch), ranges in HELD.items():
            connection.execute("INSERT INTO epoch (gateway, epoch) VALUES (%s, %s)", (gateway, epoch))
            for pair in ranges:
                row = "INSERT INTO held (gateway, epoch, first, last) VALUES (%s, %s, %s, %s)"
                connection.execute(row, (gateway, epoch, *pair))
        for n, start in enumerate(STARTS):
            for gateway in ("gw-1", "gw-2"):
                values = (gateway, "main", "active_energy_import", start, 900, n, "m", 2, E1, 1)
                connection.execute(f'INSERT INTO "interval" VALUES ({", ".join(["%s"] * 10)})', values)
    return address


def asked(address, sql):
    with psycopg.connect(address) as connection:
        return connection.execute(sql.encode()).fetchall()


def months(address):
    sql = """SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = '"interval"'::regclass ORDER BY 1"""
    return [name for (name,) in asked(address, sql)]


def read(address):
    return sorted(asked(address, 'SELECT gateway, start, value, version FROM "interval"'))


def test_what_was_stored_is_there_after_several_receivers_have_opened_it_at_once(before):
    known = read(before)
    hours = sorted(asked(before, "SELECT * FROM interval_hour"))
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_store, [before] * 4))
    assert asked(before, "SELECT count(*), max(version) FROM schema_version") == [(len(VERSIONS),) * 2]
    assert read(before) == known
    assert len(known) == 2 * len(STARTS)
    assert sorted(asked(before, "SELECT * FROM interval_hour")) == hours
    assert months(before) == [
        *(f"interval_{month}" for month in ("2026_11", "2026_12", "2027_01", "2027_02", "2027_03")),
        "interval_other",
    ]
    assert asked(before, "SELECT DISTINCT start FROM interval_other ORDER BY 1") == [
        (start,) for start in (*sorted(STARTS)[:2], 2**53 - 1)
    ]
    for store in stores:
        for (gateway, epoch), ranges in HELD.items():
            assert list(store.ledger(gateway).epoch(epoch).stored) == ranges
            assert list(store.load([gateway])[gateway].epoch(epoch).stored) == ranges
        store.close()


def test_what_comes_after_the_upgrade_finds_what_came_before(before):
    store = open_store(before)
    corrected = batch(4, readings=[])
    corrected.intervals = [
        Interval("main", "active_energy_import", STARTS[0], 55, "m", version=3),
        Interval("main", "active_energy_import", STARTS[1], 66, "m", version=2),
        Interval("main", "active_energy_import", STARTS[2], 77, "m", version=1),
        Interval("main", "active_energy_import", STARTS[-1], 88, "m", version=3),
        Interval("main", "active_energy_import", START + 300 * DAY, 99, "m"),
    ]
    with store.atomic(["gw-1"]):
        taken = store.take([arrival(corrected), arrival(batch(10))])
        assert taken.batches == 2
    assert list(store.ledger("gw-1").epoch(E1).stored) == [(1, 10), (12, 12)]
    values = dict(asked(before, "SELECT start, value FROM \"interval\" WHERE gateway = 'gw-1'"))
    assert [values[start] for start in STARTS] == [55, 1, 2, 3, 4, 5, 6, 7, 88]
    assert values[START + 300 * DAY] == 99
    told = store.intervals.contradictions("gw-1", 10)
    assert [(row["start"], row["value"], row["other_value"]) for row in told] == [(STARTS[1], 1, 66)]
    assert "interval_2027_09" in months(before)
    store.close()


def test_who_might_read_may_read_after_it(before):
    with psycopg.connect(before, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS analyst")
        connection.execute("CREATE ROLE analyst")
        connection.execute('GRANT SELECT ON "interval", interval_hour, held TO analyst')
    open_store(before).close()
    with psycopg.connect(before) as connection:
        connection.execute("SET ROLE analyst")
        for table, rows in (('"interval"', 18), ("interval_hour", 18), ("held", 504)):
            found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            assert found == (rows,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM reading")


def test_what_stands_in_its_way_is_said_and_nothing_has_changed(before):
    with psycopg.connect(before, autocommit=True) as connection:
        connection.execute('CREATE VIEW theirs AS SELECT sum(value) AS whole FROM "interval"')
    known = read(before)
    with pytest.raises(JournalError, match=r"theirs.*→ drop"):
        open_store(before)
    assert read(before) == known
    assert asked(before, "SELECT max(version) FROM schema_version") == [(BY_GATEWAY,)]
    with psycopg.connect(before, autocommit=True) as connection:
        connection.execute("DROP VIEW theirs")
    open_store(before).close()
    assert read(before) == known


def test_a_server_that_is_too_old_is_named(before, monkeypatch):
    monkeypatch.setattr(ServerConnection, "server_version", 13)
    with pytest.raises(JournalError, match="PostgreSQL 13 → version 14 or later is needed"):
        open_store(before)


def test_intervals_that_found_no_table_of_their_month_move_there(postgres):
    """Somebody looks at the intervals of another month: to make a table would mean to wait."""
    address = postgres.new_database()
    store, work = open_store(address), open_work(address)
    made = batch(1, readings=[])
    made.intervals = [Interval("main", "active_energy_import", START, 3, "m")]
    with psycopg.connect(address) as analyst:
        analyst.execute('SELECT count(*) FROM "interval"')
        with store.atomic(["gw-1"]):
            store.take([arrival(made)])
        assert months(address) == ["interval_other"]
        assert read(address) == [("gw-1", START, 3, 1)]
    work.make_room(START)
    assert months(address) == ["interval_2026_11", "interval_2026_12", "interval_other"]
    assert asked(address, "SELECT count(*) FROM interval_other") == [(0,)]
    assert read(address) == [("gw-1", START, 3, 1)]
    for each in (store, work):
        each.close()


def test_a_receipt_says_what_stands_in_the_database_not_what_is_remembered(postgres):
    """A database that was put back from a copy while receivers ran."""
    store = PostgresStore(postgres.new_database(), "p")
    with store.atomic(["gw-1"]):
        store.take([arrival(batch(seq)) for seq in range(1, 5)])
    store.conn.execute("UPDATE held_ranges SET ranges = '{[1,2)}'")
    with store.atomic(["gw-1"]):
        store.take([arrival(batch(seq)) for seq in range(6, 8)])
    assert list(store.ledger("gw-1").epoch(E1).stored) == [(1, 1), (6, 7)]
    assert list(store.ledger("gw-1").epoch(E1).good) == [(1, 1), (6, 7)]
    store.close()
