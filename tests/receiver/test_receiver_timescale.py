"""Readings in a hypertable, where TimescaleDB is installed; monthly tables where it cannot be used."""

import logging

import psycopg
import pytest
from receiver_feed import E1, E2, T0, arrival, batch, opening
from test_receiver_keep import (
    DAY,
    KEEP,
    NOW,
    at,
    count,
    counted,
    keep,
    roll,
    rolled,
    spread,
    take,
)
from test_receiver_keep import (
    T0 as BEGAN,
)

from gateway.model import Event, Interval
from gateway.receiver.store import open_store
from gateway.receiver.store.schema import hypertable
from gateway.receiver.store.schema.hypertable import CHUNK, CHUNKS
from gateway.receiver.upkeep import open_work


def kind(store):
    return store.conn.execute("SELECT relkind FROM pg_class WHERE oid = 'reading'::regclass").fetchone()[0]


def chunks(store):
    return [(first, end) for _, first, end in store.conn.execute(CHUNKS).fetchall()]


@pytest.fixture
def hyper(timescaledb):
    opened = open_store(timescaledb.new_database())
    yield opened
    opened.close()


@pytest.fixture
def upkeep(hyper):
    opened = open_work(hyper.conn._address)
    yield opened
    opened.close()


def test_readings_of_a_new_database_are_in_a_hypertable_and_that_is_said(timescaledb, caplog):
    address = timescaledb.new_database()
    with caplog.at_level(logging.INFO):
        store, other = open_store(address), open_store(address)
    assert [record.getMessage().endswith("in a hypertable of TimescaleDB") for record in caplog.records] == [
        True
    ] * 2
    assert take(store, opening(1)).batches == 1
    assert take(other, opening(1)).duplicates == 1
    assert count(store, "reading") == 2
    assert chunks(store) == [(BEGAN - BEGAN % CHUNK, BEGAN - BEGAN % CHUNK + CHUNK)]
    for each in (store, other):
        each.close()


def test_without_the_extension_they_are_in_monthly_tables_and_that_is_said(postgres, caplog):
    with caplog.at_level(logging.INFO):
        store = open_store(postgres.new_database())
    assert caplog.messages[-1].endswith("readings are in monthly tables")
    store.close()


def test_a_role_that_may_not_create_it_gets_monthly_tables(timescaledb, caplog):
    address = timescaledb.new_database()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS modest")
        connection.execute("CREATE ROLE modest LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO modest")
    store = open_store(address.replace("submeter@", "modest@"))
    assert "TimescaleDB is there and cannot be used" in caplog.text
    assert kind(store) in {"p", b"p"}
    assert take(store, opening(1)).batches == 1
    store.close()


def test_a_database_whose_readings_are_in_monthly_tables_keeps_them(timescaledb, monkeypatch):
    address = timescaledb.new_database()
    with monkeypatch.context() as before:
        before.setattr(hypertable, "LOADED", "SELECT false")
        store = open_store(address)
        take(store, opening(1))
        store.close()
    store = open_store(address)
    assert take(store, opening(1), batch(2)).batches == 1
    assert kind(store) in {"p", b"p"}
    assert count(store, "reading") == 4
    store.close()


def test_whatever_a_clock_says_two_chunks_hold_what_no_clock_that_is_right_can_say(hyper):
    odd = [1000, 77_000, 2**40, 1_500_000_000_000, 4_200_000_000_000, 2**45, 2**52]
    take(hyper, *(at(n, time, clock="unsynced", epoch=E2) for n, time in enumerate(odd, 1)))
    assert len(chunks(hyper)) == 2
    assert count(hyper, "reading") == 3 * len(odd)
    plan = hyper.conn.execute(f"EXPLAIN SELECT * FROM reading WHERE t >= {T0} AND t < {T0 + DAY}").fetchall()
    assert "_chunk" not in str(plan), "what is elsewhere is not looked at"


def test_a_reading_that_is_dated_moves_to_another_chunk(hyper):
    take(hyper, at(2, 77_000, clock="unsynced"))
    anchor = Event("clock_anchor", 9000, {"epoch": E1, "uptime": 2000, "t": T0})
    take(hyper, batch(3, readings=[], events=[anchor]))
    found = hyper.conn.execute("SELECT DISTINCT t, clock FROM reading").fetchall()
    assert found == [(T0, "anchored")]
    assert count(hyper, "changed_hour") == 1


def test_old_chunks_go_intervals_and_what_is_to_be_kept_stay(hyper, upkeep):
    batches = spread(100)
    batches[0].intervals = [Interval("main", "active_energy_import", T0 - T0 % 900_000, 3070, "m")]
    young = at(1, T0, gateway="gw-2", epoch=E2, clock="unsynced")
    take(hyper, *batches)
    with hyper.atomic(["gw-2"]):
        hyper.take([arrival(young, received=NOW - DAY)])
    for _ in range(2):
        keep(upkeep)
        roll(upkeep)
    limit = (NOW - KEEP) - (NOW - KEEP) % CHUNK
    oldest = "SELECT min(t) FROM reading WHERE gateway = 'gw-1'"
    assert hyper.conn.execute(oldest).fetchone()[0] == min(b.t0 for b in batches if b.t0 >= limit)
    assert count(hyper, "reading", "gateway = 'gw-2'") == 3
    assert chunks(hyper)[0][1] <= limit, "of the one that is to be kept"
    assert rolled(hyper, "value_hour") == counted(batches, 3_600_000)
    assert count(hyper, '"interval"') == 1
    late = at(101, T0 + DAY)
    assert take(hyper, late, *batches[:50]).duplicates == 50
    keep(upkeep)
    keep(upkeep)
    roll(upkeep)
    assert count(hyper, "reading", f"t < {limit} AND gateway = 'gw-1'") == 0
    assert rolled(hyper, "value_hour") == counted([*batches, late], 3_600_000)
