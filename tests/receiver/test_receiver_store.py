import json
import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receiver_feed import E1, E2, T0, arrival, batch, opening

from gateway.errors import JournalBusy, JournalError
from gateway.model import Event, Interval, Ranges, Reading
from gateway.receiver.store import SqliteStore, open_store
from gateway.wire import State


def take(store, *batches):
    with store.atomic():
        return store.take([arrival(b) for b in batches])


def count(store, table):
    return store.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_batch_is_stored_with_all_that_it_says(store, told):
    done = Interval("main", "active_energy_import", T0, 3070, "m")
    first = opening(1)
    first.intervals = [done]
    taken = take(store, first)
    assert (taken.batches, taken.values) == (1, 2)
    main, hvac = told(store, "SELECT * FROM reading ORDER BY n")
    assert (main["meter"], main["t"], main["epoch"], main["seq"]) == ("main", T0 + 1000, E1, 1)
    assert json.loads(main["values"]) == {"active_power": 1.0, "frequency": 50.0}
    assert json.loads(main["absent"]) == {"active_energy_import": "timeout"}
    assert json.loads(main["suspect"]) == ["frequency"]
    assert (hvac["meter"], hvac["values"], hvac["missing"]) == ("hvac", "{}", "timeout")
    [interval] = told(store, 'SELECT * FROM "interval"')
    said = [
        interval[name] for name in ("meter", "quantity", "start", "seconds", "value", "quality", "version")
    ]
    assert said == ["main", "active_energy_import", T0, 900, 3070, "m", 1]
    [event] = told(store, "SELECT * FROM event")
    assert (event["kind"], json.loads(event["fields"])["reason"]) == ("epoch_started", "new_file")


@pytest.mark.parametrize("known", [False, True])
def test_what_a_commit_has_read_still_stands_when_it_writes(tmp_path, known):
    """Upkeep writes to the same file: had it a turn in between, the commit would be refused."""
    path = tmp_path / "p.db"
    note = "INSERT INTO changed_day (gateway, first, last) VALUES ('gw-1', '2026-11-20', '2026-11-20')"
    with closing(open_store(path)) as store, closing(sqlite3.connect(path, timeout=0.0)) as upkeep:
        if known:
            take(store, opening(1))
        with store.atomic(["gw-1"]):
            store.ledger("gw-1")
            store.conn.execute("SELECT count(*) FROM batch").fetchone()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                upkeep.execute(note)
            store.state("gw-1", State(online=True, epoch=E1, seq=1, backlog=0), T0)
        upkeep.execute(note)
        upkeep.commit()
        assert count(store, "state") == 1
        assert count(store, "changed_day") == 1


def test_the_view_gives_a_row_per_value(store):
    take(store, opening(1))
    rows = list(
        store.conn.execute(
            "SELECT gateway, meter, t, quantity, value, epoch, seq FROM value ORDER BY quantity"
        )
    )
    assert rows == [
        ("gw-1", "main", T0 + 1000, "active_power", 1.0, E1, 1),
        ("gw-1", "main", T0 + 1000, "frequency", 50.0, E1, 1),
    ]


def test_several_readings_of_one_meter_in_one_batch_are_all_kept(store):
    readings = [Reading("main", 1000 + n % 2, {"active_power": float(n)}) for n in range(4)]
    take(store, opening(1, readings=readings))
    assert [v for (v,) in store.conn.execute("SELECT value FROM value ORDER BY value")] == [
        0.0,
        1.0,
        2.0,
        3.0,
    ]


def test_the_same_batch_again_is_a_duplicate_also_within_one_commit(store):
    taken = take(store, opening(1), opening(1), batch(2))
    assert (taken.batches, taken.duplicates) == (2, 1)
    taken = take(store, batch(2), batch(2))
    assert (taken.batches, taken.duplicates, taken.conflicts) == (0, 2, 0)
    assert taken.seqs == {("gw-1", E1): {2}}
    assert (count(store, "batch"), count(store, "reading")) == (2, 4)
    assert store.rows("epoch", "gw-1")[0]["duplicates"] == 3


def test_a_batch_whose_clock_was_repaired_meanwhile_is_a_duplicate(store):
    take(store, opening(1), batch(2, clock="unsynced", t0=1000))
    taken = take(store, batch(2, clock="anchored"))
    assert (taken.duplicates, taken.conflicts) == (1, 0)


def test_the_same_number_with_other_content_is_a_conflict_and_both_are_kept(store):
    taken = take(store, opening(1), batch(2, value=5.0), batch(2, value=6.0))
    assert (taken.batches, taken.conflicts) == (2, 1)
    taken = take(store, batch(2, value=6.0), batch(2, value=7.0))
    assert (taken.batches, taken.conflicts) == (0, 2)
    assert count(store, "batch") == 2
    bodies = [json.loads(body) for (body,) in store.conn.execute("SELECT body FROM conflict ORDER BY body")]
    assert [body["tables"][0]["values"]["active_power"] for body in bodies] == [[6.0], [7.0]]
    assert store.ledger("gw-1").epoch(E1).conflicts == Ranges([(2, 2)])
    assert store.rows("epoch", "gw-1")[0]["conflicts"] == 2


def test_contradicting_versions_and_anchors_are_bounded(store):
    take(store, opening(1), *(batch(1, value=float(n)) for n in range(30)))
    assert count(store, "conflict") == 8
    anchors = [Event("clock_anchor", 0, {"epoch": E1, "uptime": n, "t": T0 + n}) for n in range(1200)]
    take(store, batch(2, events=anchors))
    assert count(store, "anchor") == len(store.ledger("gw-1").epoch(E1).anchors) == 1000


def test_gateways_and_epochs_do_not_mix(store):
    taken = take(
        store, batch(1, value=1.0), batch(1, gateway="gw-2", value=2.0), batch(1, epoch=E2, value=3.0)
    )
    assert (taken.batches, taken.conflicts) == (3, 0)


def test_ledgers_survive_a_restart(database):
    first = open_store(database)
    thinned = Event("thinned", 5000, {"from": 4, "to": 4})
    gone = Event("damaged", 5000, {"epoch": E1, "from": 7, "to": 8})
    anchor = Event("clock_anchor", 5000, {"epoch": E1, "uptime": 5000, "t": T0})
    take(
        first,
        opening(2, previous=E2, last=1),
        batch(5, events=[thinned, gone, anchor]),
        batch(3),
        batch(9),
        batch(3, value=9.0),
    )
    with first.atomic():
        first.state("gw-1", State(online=True, epoch=E1, seq=11, backlog=0), T0)
    before = first.ledger("gw-1")
    first.close()
    again = open_store(database)
    after = again.ledger("gw-1")
    assert after.epochs == before.epochs
    assert after.newest == before.newest == (E1, 11)
    assert list(after.epoch(E1).stored) == [(2, 3), (5, 5), (9, 9)]
    assert list(after.missing()[E1].certain) == [(6, 6), (10, 11)]
    again.close()


@pytest.mark.parametrize("seed", range(3))
def test_ranges_grow_at_both_ends_and_melt_and_the_database_says_what_memory_says(store, seed):
    chance = random.Random(seed)
    left = [(gateway, seq) for gateway in ("gw-1", "gw-2", "gw-3") for seq in range(1, 41)]
    chance.shuffle(left)
    while left:
        size = chance.randint(1, 12)
        lot, left = left[:size], left[size:]
        lot += chance.choices(lot, k=chance.randint(0, 2))
        with store.atomic({gateway for gateway, _ in lot}):
            store.take([arrival(batch(seq, gateway=gateway)) for gateway, seq in lot])
        for gateway, there in store.load(["gw-1", "gw-2", "gw-3"]).items():
            assert list(there.epoch(E1).stored) == list(store.ledger(gateway).epoch(E1).stored)
    assert count(store, "held") == 3
    sums = store.conn.execute('SELECT batches, "values", synced FROM epoch').fetchall()
    assert [tuple(row) for row in sums] == [(40, 80, 40)] * 3


def test_nothing_of_a_failed_commit_stays_not_even_in_memory(store):
    take(store, opening(1))

    def half():
        with store.atomic():
            store.take([arrival(batch(2))])
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        half()
    assert list(store.ledger("gw-1").epoch(E1).stored) == [(1, 1)]
    assert take(store, batch(2)).batches == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_an_anchor_repairs_what_is_here_and_what_comes_later(store, order):
    anchor = Event("clock_anchor", 9000, {"epoch": E1, "uptime": 9000, "t": T0 + 9000})
    parts = [
        opening(1, clock="unsynced", t0=77_000),
        batch(2, clock="unsynced", t0=78_000),
        batch(3, events=[anchor]),
    ]
    for index in order:
        take(store, parts[index])
    times = store.conn.execute(
        "SELECT seq, t, clock FROM reading WHERE meter = 'main' ORDER BY seq"
    ).fetchall()
    assert times == [(1, T0 + 1000, "anchored"), (2, T0 + 2000, "anchored"), (3, T0 + 3000, "synced")]
    assert [t for (t,) in store.conn.execute("SELECT t FROM reading WHERE meter = 'hvac' AND seq = 2")] == [
        T0 + 2000
    ]
    [epoch] = store.rows("epoch", "gw-1")
    assert (epoch["synced"], epoch["anchored"], epoch["unsynced"]) == (1, 2, 0)
    assert (epoch["first_t"], epoch["last_t"]) == (T0 + 1000, T0 + 3000)
    assert [t for (t,) in store.conn.execute("SELECT t FROM event WHERE kind = 'epoch_started'")] == [
        T0 + 1000
    ]


@pytest.mark.parametrize("held", [(), (45,)])
def test_an_epoch_whose_first_batch_made_room_is_known_by_a_later_one(store, held):
    again = Event(
        "epoch_started", 60_000, {"epoch": E2, "first": 41, "previous": E1, "last": 40, "reason": "boot"}
    )
    gone = Event("thinned", 60_000, {"epoch": E2, "from": 41, "to": 59})
    take(store, opening(1), *(batch(seq, epoch=E2) for seq in held))
    take(store, opening(60, epoch="0f" * 8, previous=E2, last=59, events=[again, gone]))
    missing = store.ledger("gw-1").missing()
    assert {epoch: (list(gap.certain), list(gap.beginning)) for epoch, gap in missing.items()} == {
        E1: ([(2, 40)], [])
    }
    [told] = [row for row in store.rows("epoch", "gw-1") if row["epoch"] == E2]
    assert (told["first"], told["previous"], told["previous_last"], told["batches"]) == (
        41,
        E1,
        40,
        len(held),
    )


def test_an_anchor_of_one_epoch_leaves_another_alone(store):
    anchor = Event("clock_anchor", 9000, {"epoch": E2, "uptime": 9000, "t": T0})
    take(store, batch(1, clock="unsynced", t0=77_000), batch(2, events=[anchor]))
    assert store.conn.execute("SELECT t, clock FROM reading WHERE seq = 1 AND meter = 'main'").fetchone() == (
        77_000,
        "unsynced",
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("thinned", {"from": 5, "to": 4}),
        ("thinned", {"from": "1", "to": 4}),
        ("thinned", {"from": True, "to": 4}),
        ("thinned", {"from": 1, "to": 2**70}),
        ("thinned", {}),
        ("clock_anchor", {"epoch": "x", "uptime": 1, "t": 2}),
        ("clock_anchor", {"epoch": E1, "uptime": -1, "t": 2}),
        ("clock_anchor", {"epoch": E1, "uptime": 1, "t": 1.5}),
        ("epoch_started", {"previous": 17, "last": "x", "reason": ["?"]}),
        ("epoch_started", {"epoch": "x", "first": 1, "previous": None, "last": 0}),
        ("epoch_started", {"epoch": E1, "first": 0, "previous": None, "last": 0}),
    ],
)
def test_a_nonsensical_event_is_a_flaw_and_the_batch_is_kept(store, kind, fields):
    taken = take(store, batch(3, clock="unsynced", events=[Event(kind, 0, fields)]))
    assert taken.batches == 1
    assert [gateway for gateway, _ in taken.flaws] == ["gw-1"]
    assert not len(store.ledger("gw-1").epoch(E1).explained)


def test_a_description_is_kept_when_it_changed(store):
    with store.atomic():
        said = [store.describe("gw-1", text, n) for n, text in enumerate(["{}", "{}", '{"a":1}', "{}"])]
    assert said == [True, False, True, True]
    assert [row["description"] for row in store.rows("meters", "gw-1")] == ["{}", '{"a":1}', "{}"]


def test_a_last_will_keeps_what_was_known(store):
    with store.atomic():
        store.state("gw-1", State(online=True, epoch=E1, seq=2**60, backlog=3, version="1"), 1)
        store.state("gw-1", State(online=False), 2)
    [row] = store.rows("state", "gw-1")
    assert (row["online"], row["epoch"], row["backlog"], row["version"], row["at"]) == (0, E1, 3, "1", 2)


def test_a_second_receiver_is_refused_and_a_report_is_not(tmp_path):
    store = SqliteStore(tmp_path / "p.db")
    take(store, opening(1))
    with pytest.raises(JournalBusy, match="another receiver"):
        SqliteStore(store.path)
    reader = SqliteStore(store.path, readonly=True)
    assert reader.gateways() == ["gw-1"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.conn.execute("DELETE FROM batch")
    reader.close()
    store.close()


@pytest.mark.parametrize("content", [b"no database", b"\x00" * 8192])
def test_a_file_that_is_no_database_is_a_clear_error(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"notes\.txt.*→"):
        SqliteStore(path)
    with pytest.raises(JournalError, match=r"notes\.txt.*→"):
        SqliteStore(path, readonly=True)
    with pytest.raises(JournalError, match=r"nowhere.*→"):
        SqliteStore(tmp_path / "nowhere" / "p.db")


def test_every_commit_is_durable_before_it_is_answered(tmp_path):
    store = SqliteStore(tmp_path / "p.db")
    assert store.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.conn.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=40), st.integers(1, 7))
def test_any_order_with_repeats_and_restarts_stores_each_batch_once(tmp_path_factory, moves, step):
    path = tmp_path_factory.mktemp("model") / "p.db"
    store = SqliteStore(path)
    for start in range(0, len(moves), step):
        take(store, *(opening(1) if seq == 1 else batch(seq) for seq, _ in moves[start : start + step]))
        if moves[start][1]:
            store.close()
            store = SqliteStore(path)
    seqs = {seq for seq, _ in moves}
    assert {seq for (seq,) in store.conn.execute("SELECT seq FROM batch")} == seqs
    assert count(store, "reading") == 2 * len(seqs)
    assert {n for a, b in store.ledger("gw-1").epoch(E1).stored for n in range(a, b + 1)} == seqs
    kept = [tuple(row) for row in store.conn.execute("SELECT first, last FROM held ORDER BY first")]
    assert kept == list(store.ledger("gw-1").epoch(E1).stored)
    assert sum(row["batches"] + row["duplicates"] for row in store.rows("epoch", "gw-1")) == len(moves)
    store.close()
