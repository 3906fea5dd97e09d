"""Energy per quarter hour at the platform: the highest version counts, a contradiction is named, and
manifests prove that a day is whole.
"""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from receiver_feed import E1, arrival, batch, opening

from gateway.cli.receive_words import lines
from gateway.energy import Manifest
from gateway.model import Event, Interval
from gateway.receiver import SqliteStore, build_report

QUARTER = 900_000
MIDNIGHT = 1_795_208_400_000
"""Local midnight of some day (UTC ms), a multiple of a quarter hour."""
WH = "active_energy_import"
FILES = itertools.count()


def interval(index, value=100, *, quality="m", version=1, meter="main", quantity=WH):
    return Interval(meter, quantity, MIDNIGHT + index * QUARTER, value, quality, version)


def with_intervals(seq, *intervals, events=()):
    """A batch that carries these."""
    made = opening(1, events=events) if seq == 1 else batch(seq, events=events)
    made.intervals = list(intervals)
    return made


def manifest(*intervals, version=1, day="2026-11-21", seq=1, changes=()):
    """The event by which a gateway vouches for a day with these intervals."""
    fields = Manifest.of("main", WH, date.fromisoformat(day), version, intervals).fields()
    return Event("manifest", seq * 1000, fields | dict(changes))


def take(store, *batches):
    with store.atomic():
        return store.take([arrival(each) for each in batches])


def held(store):
    sql = 'SELECT start, value, quality, version FROM "interval" ORDER BY start'
    return store.conn.execute(sql).fetchall()


def states(store, *, whole_stream=True):
    return [
        (v.day, v.state, v.stored, v.count)
        for v in store.intervals.verdicts("gw-1", whole_stream=whole_stream)
    ]


def test_the_highest_version_counts_in_whatever_order_they_come(store):
    take(store, with_intervals(1, interval(0, 10), interval(1, 20)))
    take(
        store,
        with_intervals(2, interval(0, 11, quality="e", version=3)),
        with_intervals(3, interval(0, 12, version=2)),
    )
    assert held(store) == [(MIDNIGHT, 11, "e", 3), (MIDNIGHT + QUARTER, 20, "m", 1)]
    assert store.intervals.contradictions("gw-1", 10) == []


@pytest.mark.parametrize(
    "other", [interval(0, 99), interval(0, 10, quality="s"), replace(interval(0, 10), seconds=1800)]
)
def test_an_equal_version_that_says_something_else_is_named_and_does_not_replace(store, other):
    take(store, with_intervals(1, interval(0, 10)))
    take(store, with_intervals(2, other))
    assert held(store) == [(MIDNIGHT, 10, "m", 1)]
    take(store, with_intervals(3, interval(0, 10)))
    assert held(store) == [(MIDNIGHT, 10, "m", 1)]
    (found,) = store.intervals.contradictions("gw-1", 10)
    assert (found["start"], found["version"], found["value"]) == (MIDNIGHT, 1, 10)
    assert (found["other_value"], found["other_quality"]) == (other.value, other.quality)


def test_two_values_in_one_batch_contradict_each_other_too(store):
    take(store, with_intervals(1, interval(0, 10), interval(0, 11)))
    assert len(store.intervals.contradictions("gw-1", 10)) == 1


def test_contradictions_are_bounded_to_one_a_version(store):
    take(
        store,
        with_intervals(1, interval(0, 10)),
        *(with_intervals(seq, interval(0, seq)) for seq in range(20, 40)),
    )
    assert store.conn.execute("SELECT count(*), min(other_value) FROM contradiction").fetchone() == (1, 20)


def test_other_gateways_meters_and_quantities_are_others(store):
    take(
        store,
        with_intervals(
            1, interval(0, 1), interval(0, 2, meter="hvac"), interval(0, 3, quantity="pulse_count")
        ),
    )
    strange = with_intervals(1, interval(0, 4))
    strange.gateway = "gw-2"
    take(store, strange)
    assert sorted(row[1] for row in held(store)) == [1, 2, 3, 4]
    assert store.intervals.count("gw-1") == 3


def test_a_day_is_complete_when_it_is_what_the_manifest_says(store):
    day = [interval(index, 100 + index) for index in range(96)]
    take(store, with_intervals(1, *day), with_intervals(2, events=[manifest(*day, seq=2)]))
    assert states(store) == [("2026-11-21", "complete", 96, 96)]


def test_the_next_day_begins_at_the_last_edge(store):
    day = [interval(index) for index in range(4)]
    take(store, with_intervals(1, *day, interval(4)), with_intervals(2, events=[manifest(*day, seq=2)]))
    assert states(store) == [("2026-11-21", "complete", 4, 4)]


def test_intervals_that_came_with_the_manifest_are_not_newer_than_it(store):
    day = [interval(index) for index in range(4)]
    take(store, with_intervals(1, *day[:3], interval(3, 101), events=[manifest(*day)]))
    assert states(store) == [("2026-11-21", "contradicted", 4, 4)]


def test_a_day_of_which_an_interval_is_missing_is_incomplete_until_it_comes(store):
    day = [interval(index) for index in range(4)]
    take(store, with_intervals(1, *day[:2], day[3]), with_intervals(3, events=[manifest(*day, seq=3)]))
    assert states(store) == [("2026-11-21", "incomplete", 3, 4)]
    take(store, with_intervals(2, day[2]))
    assert states(store) == [("2026-11-21", "complete", 4, 4)]


def test_a_later_publication_waits_for_its_manifest_which_replaces_the_older(store):
    day = [interval(index) for index in range(4)]
    better = [*day[:3], interval(3, 7, version=2)]
    take(store, with_intervals(1, *day), with_intervals(2, events=[manifest(*day, seq=2)]))
    take(store, with_intervals(3, better[3]))
    assert states(store) == [("2026-11-21", "incomplete", 4, 4)], "newer than what the manifest says"
    take(store, with_intervals(4, events=[manifest(*better, version=2, seq=4)]))
    assert states(store) == [("2026-11-21", "complete", 4, 4)]
    take(store, with_intervals(5, events=[manifest(*day, seq=5)]))
    assert states(store) == [("2026-11-21", "complete", 4, 4)], "a lower version says nothing new"


def test_what_is_all_here_and_not_what_the_manifest_says_is_contradicted(store):
    day = [interval(index) for index in range(4)]
    take(
        store,
        with_intervals(1, *day[:3], interval(3, 101)),
        with_intervals(2, events=[manifest(*day, seq=2)]),
    )
    assert states(store) == [("2026-11-21", "contradicted", 4, 4)]
    assert states(store, whole_stream=False) == [("2026-11-21", "incomplete", 4, 4)], (
        "a missing batch may bring it"
    )


def test_one_more_interval_than_the_manifest_knows_is_contradicted(store):
    day = [interval(index) for index in (0, 1, 3)]
    take(store, with_intervals(1, *day, interval(2)), with_intervals(2, events=[manifest(*day, seq=2)]))
    assert states(store) == [("2026-11-21", "contradicted", 4, 3)]


def test_two_manifests_of_one_version_contradict_each_other_until_a_higher_one_comes(store):
    day = [interval(index) for index in range(4)]
    take(store, with_intervals(1, *day), with_intervals(2, events=[manifest(*day, seq=2)]))
    take(store, with_intervals(3, events=[manifest(*day, seq=3)]))
    assert states(store)[0][1] == "complete", "the same again is no contradiction"
    take(store, with_intervals(4, events=[manifest(*day[:3], seq=4)]))
    assert states(store)[0][1] == "contradicted"
    take(store, with_intervals(5, events=[manifest(*day, version=2, seq=5)]))
    assert states(store)[0][1] == "complete"


def test_a_contradicted_interval_contradicts_its_day_until_a_higher_version_settles_it(store):
    day = [interval(index) for index in range(4)]
    take(store, with_intervals(1, *day, interval(1, 55)), with_intervals(2, events=[manifest(*day, seq=2)]))
    assert states(store)[0][1] == "contradicted"
    better = [day[0], interval(1, 60, version=2), *day[2:]]
    take(store, with_intervals(3, better[1], events=[manifest(*better, version=2, seq=3)]))
    assert states(store)[0][1] == "complete"


def test_a_day_without_intervals_is_complete_when_none_is_held(store):
    take(store, with_intervals(1, events=[manifest()]))
    assert states(store) == [("2026-11-21", "complete", 0, 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"meter": "Main!"},
        {"meter": None},
        {"quantity": ""},
        {"quantity": "x" * 65},
        {"day": "yesterday"},
        {"day": 20261121},
        {"version": 0},
        {"version": True},
        {"version": 1.5},
        {"first": -1},
        {"last": 2**53},
        {"count": -1},
        {"count": "96"},
        {"sum": 2**60},
        {"sum": None},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"sha256": 7},
    ],
)
def test_what_is_no_manifest_is_counted_and_does_no_harm(store, changes):
    taken = take(store, with_intervals(1, interval(0), events=[manifest(interval(0), changes=changes)]))
    assert taken.flaws == [("gw-1", f"event manifest of {E1}/1")]
    assert states(store) == []
    assert len(held(store)) == 1


@st.composite
def publications(draw):
    """A history: each entry publishes an index with a new value under its next version."""
    versions: dict[int, int] = {}
    made = []
    for index in draw(st.lists(st.integers(0, 5), max_size=25)):
        versions[index] = versions.get(index, 0) + 1
        quality = draw(st.sampled_from("mesd"))
        made.append(interval(index, draw(st.integers(-9, 999)), quality=quality, version=versions[index]))
    return made


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(publications(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_in_whatever_order_and_how_often_it_comes_the_hash_is_that_of_what_is_held(
    tmp_path, made, chance, lost
):
    store = SqliteStore(tmp_path / f"{next(FILES)}.db")
    try:
        newest = {}
        for each in made:
            newest[each.start] = each
        day = [newest[start] for start in sorted(newest)]
        order = [(seq, each) for seq, each in enumerate(made, 2)]
        chance.shuffle(order)
        late, order = order[:lost], order[lost:]
        end = len(made) + 2
        take(store, opening(1), with_intervals(end, events=[manifest(*day, seq=end)]))
        for seq, each in [*order, *order[:5]]:
            take(store, with_intervals(seq, each))
        ((_, state, _, _),) = states(store, whole_stream=not late)
        needed = {(each.start, each.version) for each in day}
        assert (state == "complete") == (not needed & {(e.start, e.version) for _, e in late})
        assert state != "contradicted"
        for seq, each in late:
            take(store, with_intervals(seq, each))
        assert states(store) == [("2026-11-21", "complete", len(day), len(day))]
        assert [row[:3] for row in held(store)] == [(e.start, e.value, e.quality) for e in day]
    finally:
        store.close()


def test_days_whose_manifest_has_not_come_are_told_and_what_contradicts_in_them_is_named(tmp_path):
    store = SqliteStore(tmp_path / "platform.db")
    vouched, loose = ([interval(96 * n + i) for i in range(4)] for n in range(2))
    events = [manifest(*vouched, day="2026-11-21")]
    take(store, with_intervals(1, *vouched, *loose, replace(loose[0], value=5), events=events))
    store.close()
    report = build_report(tmp_path / "platform.db")
    (gateway,) = report["gateways"]
    assert (gateway["intervals"], gateway["intervals_without_manifest"]) == (8, 4)
    text = " ".join(" ".join(lines(report)).split())
    assert "energy, days of a meter: 1 complete" in text
    assert (
        "4 intervals are of days whose manifest has not come: nothing says yet whether all are here" in text
    )
    assert "version 1: 100 (m) and 5 (m)" in text


def test_without_any_manifest_the_intervals_are_told(tmp_path):
    store = SqliteStore(tmp_path / "platform.db")
    take(store, with_intervals(1, interval(0)))
    store.close()
    text = " ".join(" ".join(lines(build_report(tmp_path / "platform.db"))).split())
    assert "1 interval is of a day whose manifest has not come" in text
    assert "days of a meter" not in text


def test_the_report_says_it_by_meter_and_day_and_names_what_contradicts(tmp_path):
    store = SqliteStore(tmp_path / "platform.db")
    whole, cut, odd = ([interval(96 * n + i) for i in range(4)] for n in range(3))
    days = ("2026-11-21", "2026-11-22", "2026-11-23")
    events = [manifest(*made, day=day) for made, day in zip((whole, cut, odd), days, strict=True)]
    take(store, with_intervals(1, *whole, *cut[:3], *odd, replace(odd[0], value=5), events=events))
    store.close()
    report = build_report(tmp_path / "platform.db")
    (gateway,) = report["gateways"]
    assert [(day["meter"], day["day"], day["state"]) for day in gateway["days"]] == [
        ("main", "2026-11-21", "complete"),
        ("main", "2026-11-22", "incomplete"),
        ("main", "2026-11-23", "contradicted"),
    ]
    assert gateway["days"][1]["quantities"] == {
        WH: {"state": "incomplete", "version": 1, "count": 4, "held": 3}
    }
    assert gateway["intervals"] == 11
    assert gateway["contradictions"][0]["start"].endswith("Z")
    assert {
        name: report["totals"][f"days_{name}"] for name in ("complete", "incomplete", "contradicted")
    } == {
        "complete": 1,
        "incomplete": 1,
        "contradicted": 1,
    }
    text = " ".join(" ".join(lines(report)).split())
    assert "energy, days of a meter: 1 complete, 1 incomplete, 1 contradicted" in text
    assert f"2026-11-22 main: {WH} 3 of 4 intervals" in text
    assert f"2026-11-23 main: {WH} contradicted" in text
    assert "version 1: 100 (m) and 5 (m)" in text


def test_a_database_of_the_first_version_gets_the_tables(tmp_path):
    path = tmp_path / "platform.db"
    SqliteStore(path).close()
    old = sqlite3.connect(path)
    old.executescript(
        """DROP TABLE interval; DROP TABLE contradiction; DROP TABLE manifest;
        CREATE TABLE interval (gateway TEXT NOT NULL, meter TEXT NOT NULL, start INTEGER NOT NULL,
        seconds INTEGER NOT NULL, version INTEGER NOT NULL, quality TEXT NOT NULL, energy_wh TEXT NOT NULL,
        epoch TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
        CREATE INDEX interval_by_meter ON interval (gateway, meter, start);
        DELETE FROM _sqlite_migrations WHERE name = 'intervals_and_manifests';"""
    )
    old.close()
    store = SqliteStore(path)
    day = [interval(0)]
    take(store, with_intervals(1, *day, events=[manifest(*day)]))
    assert states(store) == [("2026-11-21", "complete", 1, 1)]
    store.close()
