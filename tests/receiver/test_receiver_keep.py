"""What is older than is to be kept goes; what proves that a batch is held, and what it was worth, stays."""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from receiver_feed import E1, E2, T0, arrival, batch, opening

from gateway.model import Event, Interval, Reading
from gateway.receiver import build_report, intake
from gateway.receiver.store import open_store
from gateway.receiver.store.schema.partitions import month_of
from gateway.receiver.store.server import make_partition
from gateway.receiver.upkeep import open_work
from gateway.receiver.upkeep.readings import dropped_before
from gateway.receiver.upkeep.retention import Retention
from gateway.receiver.upkeep.rollups import Rollups
from gateway.wire import encode
from tests.waiting import wait_until

HOUR, DAY = 3_600_000, 86_400_000
KEEP = 40 * DAY
NOW = T0 + 100 * DAY
"""When the upkeep looks."""


@pytest.fixture
def work(store, database):
    """The upkeep's own connection to the store's database."""
    opened = open_work(database)
    yield opened
    opened.close()


def take(store, *batches):
    with store.atomic({b.gateway for b in batches}):
        return store.take([arrival(b, received=max(b.t0, T0)) for b in batches])


def roll(work, now=NOW):
    rollups = Rollups(work)
    while rollups.turn(now):
        pass


def keep(work, now=NOW, most=KEEP):
    """A round of the retention."""
    work.make_room(now)
    for _ in Retention(work, Rollups(work), most).round(now):
        pass


def at(seq, time, *, value=None, gateway="gw-1", epoch=E1, clock="synced", events=()):
    """A batch with a number of two meters at a time of its own (UTC ms)."""
    power = float(seq) if value is None else value
    readings = [
        Reading("main", seq * 1000, {"active_power": power, "voltage": 230.0 + seq}, suspect=("voltage",)),
        Reading("hvac", seq * 1000, {"active_power": -power}),
        Reading("pool", seq * 1000, missing="timeout"),
    ]
    return batch(
        seq, gateway=gateway, epoch=epoch, readings=readings, t0=time, clock=clock, events=list(events)
    )


def spread(count, *, since=T0, step=DAY, **more):
    """Batches 1 to count, `step` ms apart."""
    made = [at(seq, since + (seq - 1) * step, **more) for seq in range(1, count + 1)]
    begins = Event("epoch_started", 1000, {"previous": None, "last": 0, "reason": "new_file"})
    made[0].events = [begins]
    return made


def counted(batches, span):
    """What rollups of these batches must say, added up here: per gateway, meter, quantity and time."""
    found = defaultdict(list)
    for b in {(b.gateway, b.epoch, b.seq): b for b in batches}.values():
        for r in b.readings:
            t = b.t0 - b.uptime + r.uptime
            for quantity, value in r.values.items():
                found[b.gateway, r.meter, quantity, t - t % span].append((value, quantity in r.suspect))
    rows = {}
    for key, values in found.items():
        good = [value for value, suspect in values if not suspect]
        doubted = len(values) - len(good)
        rows[key] = (
            (len(good), doubted, min(good), max(good), pytest.approx(sum(good) / len(good)))
            if good
            else (0, doubted, None, None, None)
        )
    return rows


def rolled(store, view):
    sql = f"SELECT gateway, meter, quantity, t, count, suspect, minimum, maximum, mean FROM {view}"
    return {tuple(row[:4]): tuple(row[4:]) for row in store.conn.execute(sql).fetchall()}


def count(store, table, where="1 = 1"):
    return store.conn.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def reduced(store):
    """The numbers of batches that only a digest is kept of."""
    sql = "SELECT seq FROM batch WHERE length(body) = 32"
    return {seq for (seq,) in store.conn.execute(sql).fetchall()}


@pytest.mark.parametrize("seed", range(2))
def test_rollups_are_right_in_whatever_order_and_how_often_batches_come(store, work, seed):
    chance = random.Random(seed)
    batches = [
        at(seq, T0 + chance.randrange(3 * DAY), value=chance.uniform(-5, 5), gateway=gateway)
        for gateway in ("gw-1", "gw-2")
        for seq in range(1, 40)
    ]
    left = chance.sample([*batches, *chance.choices(batches, k=20)], len(batches) + 20)
    while left:
        lot, left = left[:7], left[7:]
        take(store, *lot)
        if chance.random() < 0.5:
            roll(work)
    roll(work)
    assert rolled(store, "value_hour") == counted(batches, HOUR)
    assert rolled(store, "value_day") == counted(batches, DAY)
    assert count(store, "changed_hour") == 0
    hours = store.conn.execute("SELECT sum(readings), sum(missing) FROM reading_hour").fetchone()
    assert tuple(map(int, hours)) == (3 * len(batches), len(batches))


def test_an_hour_is_rolled_up_when_it_is_over(store, work):
    hour = T0 - T0 % HOUR
    take(store, at(1, hour + 1000))
    roll(work, now=hour + HOUR + 200_000)
    assert count(store, "reading_hour") == 0
    roll(work, now=hour + HOUR + 300_000)
    assert count(store, "reading_hour") == 3


def test_a_reading_whose_time_is_found_out_is_rolled_up_where_it_belongs(store, work):
    take(store, opening(1, readings=[]), at(2, 77_000, clock="unsynced"))
    roll(work)
    assert count(store, "reading_hour") == 0
    anchor = Event("clock_anchor", 9000, {"epoch": E1, "uptime": 2000, "t": T0 - 70 * DAY})
    take(store, batch(3, readings=[], events=[anchor]))
    roll(work)
    assert rolled(store, "value_hour") == counted([at(2, T0 - 70 * DAY)], HOUR)
    # Another gateway's readings of that month find their place as well.
    take(store, at(1, T0 - 70 * DAY, gateway="gw-2"))
    assert count(store, "reading", "gateway = 'gw-2'") == 3


def test_numbers_that_no_meter_can_have_measured_end_nothing(store, work):
    readings = [Reading("main", 1000 + n, {"active_power": 1.7e308}) for n in range(3)]
    take(store, batch(1, readings=readings), at(1, T0, gateway="gw-2"))
    roll(work)
    assert rolled(store, "value_hour")["gw-1", "main", "active_power", T0 - T0 % HOUR][:2] == (0, 3)
    assert count(store, "value_hour", "gateway = 'gw-2'") == 3


def test_old_readings_go_and_all_else_stays(store, work, database):
    batches = [*spread(100), *spread(100, gateway="gw-2")]
    batches[0].intervals = [Interval("main", "active_energy_import", T0 - T0 % 900_000, 3070, "m")]
    take(store, *batches)
    whole, before = rolled(store, "value_hour"), build_report(database)
    assert whole == {}
    keep(work)
    roll(work)
    limit = NOW - KEEP
    oldest = store.conn.execute("SELECT min(t) FROM reading").fetchone()[0]
    assert limit - 31 * DAY <= oldest <= limit + DAY
    assert count(store, "reading", f"t >= {limit}") == 3 * 2 * sum(b.t0 >= limit for b in batches[:100])
    assert rolled(store, "value_hour") == counted(batches, HOUR)
    assert count(store, '"interval"') == 1
    assert count(store, "batch") == 200
    assert build_report(database) == before
    assert list(store.load(["gw-1"])["gw-1"].epoch(E1).stored) == [(1, 100)]


def test_messages_of_dropped_readings_are_reduced_to_what_tells_them_apart(store, work):
    batches = spread(100)
    take(store, *batches)
    for days in (0, 20):
        keep(work, now=NOW + days * DAY)
        assert reduced(store) == {b.seq for b in batches if b.t0 < dropped_before(work.conn, "gw-1")}
        assert len(reduced(store)) > 40 + days


def test_a_replay_of_what_was_dropped_is_held_and_not_stored_again(store, work):
    batches = spread(100)
    take(store, *batches)
    keep(work)
    readings, hours = count(store, "reading"), rolled(store, "value_hour")
    repaired = replace(batches[4], t0=batches[4].t0 + 5, clock="anchored")
    taken = take(store, *batches[:60], repaired)
    assert (taken.batches, taken.duplicates, taken.conflicts) == (0, 61, 0)
    assert taken.seqs == {("gw-1", E1): {*range(1, 61)}}
    keep(work)
    assert (count(store, "reading"), rolled(store, "value_hour")) == (readings, hours)


def test_another_content_under_a_dropped_number_is_still_a_conflict(store, work):
    take(store, *spread(100))
    keep(work)
    taken = take(store, at(5, T0 + 4 * DAY, value=77.0))
    assert (taken.batches, taken.conflicts) == (0, 1)
    assert list(store.ledger("gw-1").epoch(E1).conflicts) == [(5, 5)]
    assert len(store.digest_of("gw-1", E1, 5)) == 32


@pytest.mark.parametrize("days", [[0, 3, 4], [29]])
def test_what_comes_late_counts_in_its_hour_and_goes(store, work, days):
    """Batches of long ago that a gateway still had, after their month was dropped."""
    missing = {day + 1 for day in days}
    batches = spread(100)
    take(store, *(b for b in batches if b.seq not in missing))
    keep(work)
    readings = count(store, "reading")
    assert take(store, *(b for b in batches if b.seq in missing)).batches == len(missing)
    keep(work)
    keep(work)
    roll(work)
    assert rolled(store, "value_hour") == counted(batches, HOUR)
    assert count(store, "reading") == readings
    assert list(store.ledger("gw-1").epoch(E1).stored) == [(1, 100)]
    assert reduced(store) == {b.seq for b in batches if b.t0 < dropped_before(work.conn, "gw-1")}


def test_readings_of_a_late_hour_are_added_once_to_what_is_there(store, work):
    hour = T0 - T0 % HOUR
    batches = [at(seq, hour + seq * 1000, value=float(seq)) for seq in range(1, 9)]
    take(store, *batches[::2], *spread(90, gateway="gw-2"))
    keep(work)
    for late in batches[1::2]:
        take(store, late)
        keep(work)
    roll(work)
    mine = {key: value for key, value in rolled(store, "value_hour").items() if key[0] == "gw-1"}
    assert mine == counted(batches, HOUR)


def test_readings_of_unknown_time_go_by_when_they_came(store, work):
    """A clock that stands in 2023 dates them into a month that is long over."""
    old = T0 - 1200 * DAY
    young = at(2, old, gateway="gw-2", epoch=E2, clock="unsynced")
    take(store, *spread(60), at(1, old, gateway="gw-1", epoch=E2, clock="unsynced"))
    with store.atomic():
        store.take([arrival(young, received=NOW - DAY)])
    keep(work)
    left = store.conn.execute("SELECT DISTINCT gateway FROM reading WHERE clock = 'unsynced'").fetchall()
    assert [gateway for (gateway,) in left] == ["gw-2"]
    anchor = Event("clock_anchor", 9000, {"epoch": E2, "uptime": 2000, "t": NOW - 2 * DAY})
    take(store, batch(3, gateway="gw-2", epoch=E2, readings=[], events=[anchor]))
    roll(work)
    assert count(store, "reading", f"gateway = 'gw-2' AND t = {NOW - 2 * DAY}") == 3
    assert count(store, "value_hour", "gateway = 'gw-2'") == 3


@pytest.fixture
def shared(postgres):
    """Two receivers and the upkeep on one PostgreSQL database."""
    address = postgres.new_database()
    opened = [open_store(address), open_store(address), open_work(address)]
    yield opened
    for each in opened:
        each.close()


def months(store):
    sql = """SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^reading_[0-9]{4}_' ORDER BY 1"""
    return [name for (name,) in store.conn.execute(sql).fetchall()]


def test_a_month_goes_as_a_table_and_comes_again_for_what_is_late(shared):
    one, two, work = shared
    take(one, *spread(100))
    take(two, *spread(100, gateway="gw-2"))
    assert months(one) == [f"reading_{name}" for name in ("2026_11", "2026_12", "2027_01", "2027_02")]
    keep(work)
    assert months(one)[:2] == ["reading_2027_01", "reading_2027_02"]
    take(one, at(200, T0 + 15 * DAY))
    take(two, at(200, T0 + 15 * DAY, gateway="gw-2"), at(201, T0 + 16 * DAY, gateway="gw-2"))
    assert months(one)[:2] == ["reading_2026_12", "reading_2027_01"]
    assert count(one, "reading_other") == 0
    keep(work)
    keep(work)
    roll(work)
    assert months(one)[:2] == ["reading_2027_01", "reading_2027_02"]
    late = [at(200, T0 + 15 * DAY), at(201, T0 + 16 * DAY, gateway="gw-2")]
    whole = [*spread(100), *spread(100, gateway="gw-2"), *late, at(200, T0 + 15 * DAY, gateway="gw-2")]
    assert rolled(one, "value_hour") == counted(whole, HOUR)


def tables(store):
    """Name → identity of each month's table: one that is made again is another one."""
    sql = "SELECT relname, oid FROM pg_class WHERE relkind = 'r' AND relname ~ '^reading_[0-9]{4}_'"
    return dict(store.conn.execute(sql).fetchall())


@pytest.mark.parametrize(("dated", "years"), [(0, 0), (3, 2)])
def test_a_month_of_readings_that_are_to_be_kept_is_left_alone(shared, dated, years):
    store, analyst, work = shared
    since = T0 - years * 365 * DAY  # where a clock that is wrong has put them
    take(store, *spread(dated, since=since) if dated else ())
    lost = [at(seq, since + seq * DAY, gateway="gw-2", epoch=E2, clock="unsynced") for seq in range(1, 5)]
    with store.atomic({"gw-2"}):
        store.take([arrival(b, received=NOW - 3 * DAY) for b in lost])
    keep(work)
    work.make_room(NOW)
    first = tables(store)
    assert count(store, "reading", "gateway = 'gw-1'") == 0
    assert count(store, "reading", "gateway = 'gw-2'") == 12
    assert count(store, "reading_other") == 0
    with analyst.snapshot():
        # Whoever drops a month waits for somebody who looks: nobody does.
        assert count(analyst, "reading") == 12
        for _ in range(2):
            keep(work)
    assert tables(store) == first
    keep(work, now=NOW + 2 * KEEP)
    keep(work, now=NOW + 2 * KEEP)
    assert count(store, "reading") == 0
    assert not [name for name in tables(store) if name < "reading_2027_04"]


def test_months_are_looked_at_once_however_many_gateways_there_are(shared):
    store, _, work = shared
    take(store, *(b for number in range(30) for b in spread(2, gateway=f"gw-{number}")))
    said = []
    execute = work.conn.execute

    def heard(sql, *parameters):
        said.append(sql)
        return execute(sql, *parameters)

    work.conn.execute = heard
    keep(work)
    assert sum("pg_inherits" in sql for sql in said) <= 2 + 1, "two months, and a look that finds none"


def test_whoever_looks_at_the_readings_keeps_a_month_from_going_and_nobody_from_storing(shared):
    store, analyst, work = shared
    take(store, *spread(100))
    with analyst.snapshot():
        assert count(analyst, "reading") == 300
        with pytest.raises(Exception, match="lock timeout") as caught:
            keep(work)
        assert work.failed(caught.value)
        # That day's month has no table yet, and to make one would mean to wait.
        assert take(store, at(101, NOW + DAY)).batches == 1
        assert count(store, "reading_other") == 3
    keep(work)
    assert "reading_2026_12" not in months(store)
    assert count(store, "reading_other") == 0
    assert count(store, "reading_2027_03", f"t > {NOW}") == 3


@pytest.mark.parametrize("beaten", ["a receiver", "the upkeep"])
def test_a_month_that_was_made_while_one_waited_for_ones_turn_is_there(shared, beaten):
    """Each looks whether it is there, waits for its turn, and looks again."""
    one, two, work = shared
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    slower = one if beaten == "a receiver" else work
    literally = slower.conn.literally
    literally("SET lock_timeout = 0")
    slower.conn.literally = lambda sql: None if "lock_timeout = '100ms'" in sql else literally(sql)

    def make() -> None:
        if slower is work:
            make_partition(work.conn, "reading", month_of(T0))
        else:
            with one.atomic():
                one.make_room("reading", [T0])

    with ThreadPoolExecutor() as pool:
        with two.atomic():
            two.make_room("reading", [T0])
            made = pool.submit(make)
            wait_until(lambda: two.conn.execute(waits).fetchone()[0] or made.done())
        made.result()
    assert "reading_2026_11" in months(two)
    assert take(one, opening(1)).batches == 1
    assert count(two, "reading_other") == 0


def test_intervals_add_up_to_hours_and_days(store):
    quarter, midnight = 900_000, T0 - T0 % DAY
    made = opening(1)
    made.intervals = [
        Interval("main", "active_energy_import", midnight + n * quarter, 10 + n, "e" if n == 1 else "m")
        for n in range(6)
    ]
    fields = {
        "meter": "main", "quantity": "active_energy_import", "day": "2026-11-21", "version": 1,
        "first": midnight, "last": midnight + 5 * quarter, "count": 5, "sum": 60, "sha256": "0" * 64,
    }  # fmt: skip
    made.events = [*made.events, Event("manifest", 1000, fields)]
    take(store, made)
    corrected = batch(2, readings=[])
    corrected.intervals = [Interval("main", "active_energy_import", midnight, 20, "m", version=2)]
    hours = "SELECT t, count, value, measured FROM interval_hour ORDER BY t"
    days = "SELECT day, told_count, told_value, count, value, measured FROM interval_day"
    assert store.conn.execute(hours).fetchall() == [(midnight, 4, 46, 35), (midnight + HOUR, 2, 29, 29)]
    assert store.conn.execute(days).fetchall() == [("2026-11-21", 5, 60, 5, 60, 49)]
    take(store, corrected)
    assert store.conn.execute(hours).fetchall()[0] == (midnight, 4, 56, 45)
    assert store.conn.execute(days).fetchall() == [("2026-11-21", 5, 60, 5, 70, 59)]


def test_a_text_that_no_database_can_hold_keeps_nobody_from_anything(store, work):
    readings = [
        Reading("main", 1000, {"a\0b": 1.0, "c\\u0000": 2.0}, {"d\0": "e\0"}, "", ("a\0b",)),
        Reading("hvac", 1000, missing="f\0"),
    ]
    odd = Event("told\0", 1000, {"what": ["x\0y", {"z\0": 1}], "plain": 3})
    made = batch(1, readings=readings, events=[odd], t0=T0 + 1000)
    made.intervals = [Interval("main", "g\0", T0 - T0 % 900_000, 1, "m")]
    came, _ = intake.arrival("gw-1", encode(made), T0)
    with store.atomic(["gw-1"]):
        store.take([came])
    take(store, *spread(60, gateway="gw-2"))
    with store.atomic(["gw-1"]):
        assert store.take([intake.arrival("gw-1", encode(made), T0)[0]]).duplicates == 1
    keep(work)
    sql = "SELECT quantity, count, suspect FROM value_hour WHERE gateway = 'gw-1' ORDER BY quantity"
    assert [tuple(row) for row in store.conn.execute(sql)] == [("a\\x00b", 0, 1), ("c\\u0000", 1, 0)]
    assert count(store, "reading", f"t < {T0 + DAY}") == 0
    assert store.conn.execute("SELECT kind FROM event WHERE gateway = 'gw-1'").fetchone()[0] == "told\\x00"
    assert store.conn.execute('SELECT quantity FROM "interval"').fetchone()[0] == "g\\x00"
