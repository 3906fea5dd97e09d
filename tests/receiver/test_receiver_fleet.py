"""How every gateway is, at a glance: what the upkeep finds out of what is stored."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date

import pytest
from receiver_feed import E1, E2, E3, T0, arrival, batch, opening

from gateway.energy import Manifest
from gateway.errors import JournalError
from gateway.model import Event, Interval, Reading
from gateway.receiver import FleetView, open_reader
from gateway.receiver.fleet.problems import SEVERITY
from gateway.receiver.upkeep import Upkeep, open_work
from gateway.receiver.upkeep.days import AGAIN, MeterDays
from gateway.receiver.upkeep.readings import unread as unread_meters
from gateway.receiver.upkeep.rollups import Rollups
from gateway.receiver.upkeep.summary import Summary
from gateway.receiver.upkeep.thread import now_ms
from gateway.wire import State
from tests.waiting import wait_until

WH = "active_energy_import"
QUARTER, HOUR, DAY = 900_000, 3_600_000, 86_400_000
NOW = T0 + HOUR


@pytest.fixture
def work(store, database):
    opened = open_work(database)
    yield opened
    opened.close()


def take(store, *batches, received=T0 + 5000):
    with store.atomic({b.gateway for b in batches}):
        store.take([arrival(b, received=received) for b in batches])


def say(store, gateway="gw-1", *, online=True, backlog=0, epoch=E1, seq=1):
    with store.atomic([gateway]):
        store.state(gateway, State(online=online, epoch=epoch, seq=seq, backlog=backlog, version="1.2"), T0)


def judge(work, now=NOW):
    days, summary = MeterDays(work), Summary(work)
    while days.turn(now):
        pass
    for _ in summary.round(now):
        pass
    rows = work.conn.execute("SELECT gateway, problems FROM fleet ORDER BY severity DESC, gateway").fetchall()
    return {gateway: json.loads(problems) for gateway, problems in rows}


def of_day(seq, values, *, day="2026-11-20", told=None, meter="main", gateway="gw-1"):
    """A batch with the intervals of a day and their manifest; `told`: what the manifest is made of."""
    start = T0 - T0 % DAY - DAY
    made = opening(1, gateway=gateway) if seq == 1 else batch(seq, gateway=gateway)
    made.intervals = [
        Interval(meter, WH, start + n * QUARTER, value, "m", 1) for n, value in enumerate(values)
    ]
    whole = [
        Interval(meter, WH, start + n * QUARTER, value, "m", 1) for n, value in enumerate(told or values)
    ]
    fields = Manifest.of(meter, WH, date.fromisoformat(day), 1, whole).fields()
    made.events = [*made.events, Event("manifest", seq * 1000, fields)]
    return made


def test_a_gateway_that_is_well_has_no_problem(store, work):
    take(store, of_day(1, [1, 2, 3]), received=NOW)
    say(store)
    assert judge(work) == {"gw-1": []}
    row = "SELECT online, version, backlog, last_received, missing, complete, clock FROM fleet"
    assert tuple(work.conn.execute(row).fetchone()) == (1, "1.2", 0, NOW, 0, 1, "synced")


def clone(store, gateway):
    say(store, gateway, epoch=E2)
    both = [opening(1, gateway=gateway, epoch=epoch, previous=E1, last=1) for epoch in (E2, E3)]
    take(store, opening(1, gateway=gateway), *both, received=NOW)


def refused(store, gateway):
    take(store, opening(1, gateway=gateway), received=NOW)
    with store.atomic():
        store.refuse(gateway, "malformed", 2, NOW, "x")


def unread(store, gateway):
    """An hour in which one meter gave nothing, and one something."""
    take(store, opening(1, gateway=gateway), received=NOW)
    with store.atomic([gateway]):
        for meter, missing in (("lift", 6), ("main", 5)):
            sql = "INSERT INTO reading_hour VALUES (?, ?, ?, 6, ?, '{}')"
            store.conn.execute(sql, (gateway, meter, T0 - T0 % HOUR, missing))


CASES = {
    "contradicted": lambda s, g: take(s, of_day(1, [1, 2], told=[1, 3], gateway=g), received=NOW),
    "incomplete": lambda s, g: take(s, of_day(1, [1, 2], told=[1, 2, 3], gateway=g), received=NOW),
    "conflicts": lambda s, g: take(s, opening(1, gateway=g), opening(1, gateway=g, value=9.0), received=NOW),
    "missing": lambda s, g: take(s, opening(1, gateway=g), batch(4, gateway=g), received=NOW),
    "clock": lambda s, g: take(s, opening(1, gateway=g, clock="unsynced"), received=NOW),
    "silent": lambda s, g: take(s, opening(1, gateway=g), received=NOW - 16 * 60_000),
    "unread": unread,
    "backlog": lambda s, g: (take(s, opening(1, gateway=g), received=NOW), say(s, g, backlog=1000)),
    "offline": lambda s, g: (take(s, opening(1, gateway=g), received=NOW), say(s, g, online=False)),
    "clone": clone,
    "refused": refused,
}


def test_each_problem_is_found_and_only_that_one(store, work):
    assert {*CASES} == {*SEVERITY}
    for name, make in CASES.items():
        say(store, f"g-{name}")
        make(store, f"g-{name}")
    assert judge(work) == {f"g-{name}": [name] for name in CASES}


def test_two_machines_that_were_heard_at_once_are_a_copy_for_a_week(store, work):
    take(store, opening(1), received=NOW)
    say(store)
    with store.atomic():
        store.refuse("gw-1", "clone", 1, NOW, "two machines")
    assert judge(work) == {"gw-1": ["clone"]}
    take(store, batch(2), received=NOW + 8 * DAY)
    assert judge(work, NOW + 8 * DAY) == {"gw-1": []}


def asked_six_times(seq, gateway, began, *silent):
    """An hour of two meters; the second answers once, unless it is silent, too."""
    readings = [
        Reading(meter, 600_000 * n, {"active_power": 1.0})
        if n == 3 and meter not in silent
        else Reading(meter, 600_000 * n, missing="timeout")
        for n in range(6)
        for meter in ("lift", "main")
    ]
    made = opening(seq, gateway=gateway, readings=readings) if seq == 1 else batch(seq, readings=readings)
    return replace(made, gateway=gateway, t0=began, uptime=0)


def test_a_meter_gives_nothing_until_it_has_answered_once_in_an_hour_or_nothing_is_known_of_it(store, work):
    began, minute = T0 - T0 % HOUR, 60_000
    rollups = Rollups(work)

    def found(at):
        while rollups.turn(at):
            pass
        return judge(work, at)

    take(store, asked_six_times(1, "gw-1", began - HOUR, "lift"), received=NOW)
    say(store)
    for after, expected in (
        (4, []),  # the hour may not be whole yet
        (6, ["unread"]),
        (66, ["unread"]),  # the next one may not be rolled up yet
        (124, ["silent", "unread"]),
        (126, ["silent"]),
    ):
        assert found(began + after * minute) == {"gw-1": expected}, after
    for gateway, silent in (("back", ()), ("still", ("lift",)), ("both", ("lift", "main"))):
        two = [
            asked_six_times(1, gateway, began - HOUR, "lift"),
            asked_six_times(2, gateway, began, *silent),
        ]
        take(store, *two, received=NOW)
        say(store, gateway)
    assert found(NOW) == {"both": ["unread"], "gw-1": ["unread"], "still": ["unread"], "back": []}
    rows = work.conn.execute("SELECT gateway, unread FROM fleet ORDER BY gateway").fetchall()
    assert [tuple(row) for row in rows] == [("back", 0), ("both", 2), ("gw-1", 1), ("still", 1)]


def test_meters_that_give_nothing_are_found_without_reading_all_hours(store, work):
    """By the index that has nothing but hours without an answer: there are millions of others."""
    hours = [("gw-1", f"m-{n}", T0 - T0 % HOUR - HOUR * ago) for n in range(20) for ago in range(200)]
    with store.atomic(["gw-1"]):
        sql = "INSERT INTO reading_hour VALUES (?, ?, ?, 6, ?, '{}')"
        store.conn.executemany(sql, [(*hour, 6 if hour[1:] == ("m-7", hours[0][2]) else 0) for hour in hours])
    sqlite = hasattr(store, "db")
    if not sqlite:  # nobody does that for SQLite
        work.conn.execute("ANALYZE reading_hour")
    plans = []

    class Explained:
        def execute(self, sql, parameters):
            explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
            plans.append(
                str([tuple(row) for row in work.conn.execute(f"{explain} {sql}", parameters).fetchall()])
            )
            return work.conn.execute(sql, parameters)

    assert unread_meters(Explained(), NOW) == [("gw-1", "m-7")]
    assert ("reading_hour_unread" if sqlite else "_t_idx") in plans[0]


def test_meters_of_one_gateway_that_give_nothing_are_asked_for_alone(store, work):
    for gateway in ("gw-1", "gw-2", "gw-3"):
        unread(store, gateway)
    seen = []

    class Watched:
        def execute(self, sql, parameters):
            rows = work.conn.execute(sql, parameters).fetchall()
            seen.extend(rows)
            return work.conn.execute(sql, parameters)

    assert unread_meters(Watched(), NOW, "gw-2") == [("gw-2", "lift")]
    assert [tuple(row) for row in seen] == [("gw-2", "lift")], "nobody else's come out of the database"
    assert unread_meters(work.conn, NOW, "gw-9") == []
    assert len(unread_meters(work.conn, NOW)) == 3


def test_the_worst_gateway_stands_first(store, work):
    take(store, opening(1, gateway="well"), received=NOW)
    take(store, opening(1, gateway="late"), received=NOW - HOUR)
    take(store, of_day(1, [1, 2], told=[1, 3], gateway="wrong"), received=NOW)
    for gateway in ("well", "late", "wrong", "never"):
        say(store, gateway)
    assert list(judge(work)) == ["wrong", "never", "late", "well"]  # "never" lacks a batch, too


def test_a_day_becomes_complete_when_what_it_lacks_has_come(store, work):
    take(store, of_day(1, [1, 2], told=[1, 2, 3]), received=NOW)
    say(store)
    assert judge(work) == {"gw-1": ["incomplete"]}
    late = batch(2, readings=[])
    late.intervals = [Interval("main", WH, T0 - T0 % DAY - DAY + 2 * QUARTER, 3, "m", 1)]
    take(store, late, received=NOW)
    assert judge(work) == {"gw-1": []}


def test_a_day_that_is_not_complete_is_judged_again(store, work):
    """A sum that is wrong while a batch is missing is wrong for good when that has come."""
    take(store, of_day(1, [1, 2], told=[1, 3]), batch(3), received=NOW)
    say(store)
    assert judge(work) == {"gw-1": ["incomplete", "missing"]}
    take(store, batch(2), received=NOW)
    assert judge(work) == {"gw-1": ["incomplete"]}
    take(store, batch(4), received=NOW + AGAIN)
    assert judge(work, NOW + AGAIN + 1) == {"gw-1": ["contradicted"]}


def test_many_days_are_judged_a_few_at_a_time(store, work):
    batches = [
        of_day(n + 1, [1, 2], day=str(date(2026, 9, 1 + n % 28)), meter=f"m-{n // 28}") for n in range(80)
    ]
    take(store, *batches, received=NOW)
    say(store)
    assert judge(work) == {"gw-1": []}
    assert work.conn.execute("SELECT count(*) FROM meter_day").fetchone()[0] == 80


def test_who_was_online_is_noted_by_hour(store, work):
    say(store)
    say(store, "gw-2", online=False, backlog=7)
    summary = Summary(work)
    for minute in (0, 5, 10, 65):
        if minute == 10:
            say(store, backlog=12)
        for _ in summary.sample(T0 - T0 % HOUR + minute * 60_000):
            pass
    rows = work.conn.execute("SELECT * FROM state_hour ORDER BY gateway, t").fetchall()
    hour = T0 - T0 % HOUR
    assert [tuple(row) for row in rows] == [
        ("gw-1", hour, 3, 3, 12),
        ("gw-1", hour + HOUR, 1, 1, 12),
        ("gw-2", hour, 3, 0, 7),
        ("gw-2", hour + HOUR, 1, 0, 7),
    ]


MIDNIGHT = T0 - T0 % DAY
POLLED = [
    {"id": "main", "interval": 600.0},
    *({"id": "water", "pin": 17}, {"id": "index", "interval": 86_400}, {"id": "fast", "interval": 0}),
    *({"id": 3, "interval": 600}, {"id": "tiny", "interval": 1e-300}, "main"),
]
"""Of these only the first promises polls in an hour: six."""


def polled(gateway, hour, count, *, missing=(), seq=1):
    """Readings of its meter since an hour of today; those of these numbers brought nothing."""
    readings = [
        Reading("main", 600_000 * n + 100, missing="timeout")
        if n in missing
        else Reading("main", 600_000 * n + 100, {"active_power": 1.0})
        for n in range(count)
    ]
    made = batch(seq, gateway=gateway, readings=readings)
    return replace(made, t0=MIDNIGHT + int(hour * HOUR), uptime=0)


def test_how_much_of_today_is_here(store, work, database):
    """Four hours have ended since midnight, the fifth has not; what is not rolled up yet tells nothing."""
    now = MIDNIGHT + 4 * HOUR + 6 * 60_000
    made = {
        "whole": polled("whole", 0, 30),
        "gaps": polled("gaps", 0, 24, missing=(0, 7, 8)),
        "away": polled("away", 0, 12),
        "late": polled("late", 0, 18),
        "silent": polled("silent", -1, 6),
        "new": polled("new", 1.5, 9),
        "odd": polled("odd", 0, 24),
        "untold": polled("untold", 0, 24),
    }
    for gateway, one in made.items():
        meters = {"odd": {"main": 600}}.get(gateway, POLLED)
        with store.atomic([gateway]):
            store.take([arrival(one, received=now)])
            store.describe(gateway, json.dumps({"meters": []}), now - 1)
            if gateway != "untold":
                store.describe(gateway, json.dumps({"meters": meters}), now)
    rollups = Rollups(work)
    while rollups.turn(now):
        pass
    take(store, polled("late", 3, 6, seq=2))
    reader = open_reader(database)
    fleet, begun = FleetView(reader), dict.fromkeys([*made, "nobody"], MIDNIGHT)
    expected = {"whole": 1.0, "gaps": 21 / 24, "away": 0.5, "late": 1.0, "silent": 0.0, "new": 0.5}
    assert fleet.today(begun, now) == expected
    take(store, polled("away", 3, 3, seq=2))
    while rollups.turn(now):
        pass
    assert fleet.today(begun, now) == expected | {"away": 15 / 24}
    assert fleet.today({"away": MIDNIGHT + HOUR // 2}, now) == {"away": 9 / 18}, "an hour that is whole"
    assert fleet.today(begun, MIDNIGHT + HOUR + 60_000) == {}, "none is over"
    reader.close()


def day_of(_zone, ms):
    return time.strftime("%Y-%m-%d", time.gmtime(ms / 1000))


def test_what_was_found_can_be_asked_for(store, work, database):
    for name, make in CASES.items():
        say(store, f"g-{name}")
        make(store, f"g-{name}")
    with store.atomic(["g-clone"]):
        store.describe("g-clone", json.dumps({"name": "İzmir Garı", "timezone": "Europe/Istanbul"}), NOW)
    judge(work)
    for _ in Summary(work).sample(NOW):
        pass
    rollups = Rollups(work)
    while rollups.turn(NOW + DAY):
        pass
    reader = open_reader(database)
    fleet = FleetView(reader)
    totals = fleet.totals()
    assert (totals.gateways, totals.well, totals.problems) == (len(CASES), 0, dict.fromkeys(CASES, 1))
    assert (totals.contradicted, totals.incomplete, totals.at, totals.changed) == (1, 1, NOW, 0)
    rows, count = fleet.page("", "", 1, 3)
    assert count == len(CASES)
    assert [row.gateway for row in rows] == ["g-contradicted", "g-conflicts", "g-offline"]
    assert fleet.gateway("g-unread", NOW, day_of).unread == [("hvac", None), ("lift", None)]
    assert fleet.gateway("g-silent", NOW, day_of).unread == []
    assert [row.name for row in fleet.page("izmir gari", "", 0, 9)[0]] == ["İzmir Garı"]
    assert [row.gateway for row in fleet.page("g-", "silent", 0, 9)[0]] == ["g-silent"]
    assert fleet.page("%", "", 0, 9) == ([], 0)
    past = fleet.gateway("g-contradicted", NOW, day_of)
    assert past.open_days == [("main", "2026-11-20", "contradicted")]
    assert past.days["2026-11-20"].states == {"contradicted": 1}
    today = past.days[day_of("", NOW)]
    assert (today.samples, today.online, today.readings, today.missing) == (1, 1, 2, 1)
    assert fleet.gateway("g-clone", NOW, day_of).forks[0][0] == E1
    assert fleet.gateway("g-conflicts", NOW, day_of).conflicts == [(E1, 1, NOW)]
    assert fleet.gateway("g-refused", NOW, day_of).refused == [("malformed", 2, NOW, "x")]
    assert fleet.gateway("nobody", NOW, day_of) is None
    reader.close()


def test_a_question_that_takes_too_long_is_given_up(store, database):
    reader = open_reader(database)
    endless = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"""
    began = time.monotonic()
    with pytest.raises(JournalError), reader.asking():
        reader.conn.execute(endless).fetchall()
    assert time.monotonic() - began < 60
    assert FleetView(reader).totals().gateways == 0
    with pytest.raises(JournalError), reader.asking():
        reader.conn.execute("DELETE FROM fleet")
    reader.close()


def test_the_upkeep_does_all_that_beside_a_receiver_and_ends_with_it(store, database):
    now = now_ms()
    old = batch(1, readings=[Reading("main", 1000, {"active_power": 1.0})], t0=now - 90 * DAY)
    young = batch(2, readings=[Reading("main", 2000, {"active_power": 1.0})], t0=now - 2 * HOUR)
    take(store, old, young, of_day(3, [1, 2]), received=now)
    say(store)
    upkeep = Upkeep(database, 40 * DAY)
    upkeep.start()

    def count(table):
        return store.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def done():
        found = [
            count(table) for table in ("fleet", "state_hour", "meter_day", "changed_hour", "changed_day")
        ]
        return found == [1, 1, 1, 0, 0] and count(f"reading WHERE t < {now - 80 * DAY}") == 0

    wait_until(done, 120)
    upkeep.stop()
    assert count(f"reading_hour WHERE t < {now - 80 * DAY}") == 1


def test_an_upkeep_without_a_database_waits_for_one(tmp_path, caplog):
    upkeep = Upkeep(tmp_path / "none" / "p.db")
    upkeep.start()
    wait_until(lambda: "upkeep of the database" in caplog.text)
    upkeep.stop()
