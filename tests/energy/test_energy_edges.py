"""Edges and intervals against arithmetic in fractions; the shape of a long gap; which edges count as
measured.
"""

from datetime import UTC, date
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

import pytest

from gateway.energy import BASE, GRAIN, Calendar, Context, Finding, Interval, Memory, Series, next_version
from gateway.energy.engine.edges import QUARTER, Point, shares, straight
from gateway.energy.engine.intervals import resolution
from gateway.energy.engine.shape import weights
from gateway.energy.engine.units import rounded

WH = BASE["kWh"]
T0 = 1_795_219_200_000  # 2026-11-21 00:00 UTC, a Saturday
DAY = 96 * QUARTER


def intervals(readings, calendar=None, context=None) -> list[Interval]:
    return [each for each in outcomes(readings, calendar, context) if isinstance(each, Interval)]


def outcomes(readings, calendar=None, context=None) -> list[Interval | Finding]:
    series = Series(context or Context(WH), calendar or Calendar())
    return [each for t, value in readings for each in series.take(t, value)] + list(series.close())


@pytest.mark.parametrize(
    ("grains", "whole"),
    [
        (0, 0),
        (GRAIN // 2, 1),
        (GRAIN // 2 - 1, 0),
        (-GRAIN // 2, 0),
        (-GRAIN // 2 - 1, -1),
        (7 * GRAIN, 7),
        (-7 * GRAIN, -7),
    ],
)
def test_half_a_unit_is_rounded_up(grains, whole) -> None:
    assert rounded(grains) == whole


@pytest.mark.parametrize("seed", range(20))
def test_an_edge_is_the_line_between_its_readings_rounded_once(seed) -> None:
    a = Point(T0 + 13 * seed + 1, GRAIN * 100 + 7 * seed)
    b = Point(a.t + 3_000_000 + 977 * seed, a.total + 123_456_789_012_345 * (seed + 1) // 3)
    found = list(straight(a, b))
    assert [edge.t for edge in found] == [q for q in range(T0, b.t + 1, QUARTER) if a.t < q <= b.t]
    for edge in found:
        exact = (a.total + Fraction(b.total - a.total) * (edge.t - a.t) / (b.t - a.t)) / GRAIN
        assert edge.total == floor(exact + Fraction(1, 2))


def test_a_reading_on_the_quarter_hour_is_the_edge_itself() -> None:
    found = intervals([(T0 + k * QUARTER, 1_000 * k * GRAIN + GRAIN // 2) for k in range(5)])
    assert [(each.start, each.value, each.quality) for each in found] == [
        (T0 + k * QUARTER, 1000, "m") for k in range(4)
    ]


def test_nothing_is_said_before_the_first_reading_or_after_the_last() -> None:
    found = intervals(
        [
            (T0 + 1, 0),
            (T0 + QUARTER, 5 * GRAIN),
            (T0 + 2 * QUARTER, 9 * GRAIN),
            (T0 + 3 * QUARTER - 1, 20 * GRAIN),
        ]
    )
    assert [(each.start, each.value) for each in found] == [(T0 + QUARTER, 4)]
    assert intervals([(T0 + 1, 0), (T0 + QUARTER - 1, 5)]) == []
    assert intervals([]) == intervals([(T0, 1)]) == []


@pytest.mark.parametrize(
    ("before", "after", "letter"),
    [
        (15_000, 600_000, "m"),
        (15_001, 600_000, "e"),
        (600_000, 15_000, "m"),
        (600_000, 15_001, "e"),
        (90_000, 90_000, "m"),
        (90_000, 90_001, "e"),
        (0, 7_200_000, "m"),
    ],
)
def test_an_edge_is_measured_by_one_reading_near_it_or_two_around_it(before, after, letter) -> None:
    q = T0 + QUARTER
    found = intervals([(T0, 0), (q - before, GRAIN), (q + after, 9 * GRAIN)])
    assert found[0].quality == letter


def test_both_edges_must_be_measured() -> None:
    found = intervals(
        [
            (T0, 0),
            (T0 + QUARTER + 400_000, 8 * GRAIN),
            (T0 + 2 * QUARTER, 9 * GRAIN),
            (T0 + 3 * QUARTER, 12 * GRAIN),
        ]
    )
    assert [each.quality for each in found] == ["e", "e", "m"]


def test_two_hours_are_a_line_and_a_millisecond_more_is_a_gap() -> None:
    line = outcomes([(T0, 0), (T0 + 8 * QUARTER, 80 * GRAIN)])
    assert [each.value for each in line if isinstance(each, Interval)] == [10] * 8
    assert not [each for each in line if isinstance(each, Finding)]
    gap = outcomes([(T0, 0), (T0 + 60_000, None), (T0 + 120_000, None), (T0 + 8 * QUARTER + 1, 80 * GRAIN)])
    told = [each for each in gap if isinstance(each, Finding)]
    assert [(each.kind, each.t, dict(each.facts)) for each in told] == [
        ("gap", T0, {"until": T0 + 8 * QUARTER + 1, "failed_reads": 2, "shape": "line"})
    ]
    silent = outcomes([(T0, 0), (T0 + 8 * QUARTER + 1, 80 * GRAIN)])
    assert [each.facts["failed_reads"] for each in silent if isinstance(each, Finding)] == [0]


def weeks(count, pattern=lambda slot: 10 + slot) -> list[tuple[int, int]]:
    """Readings on every quarter hour of `count` weeks from T0; the register gains pattern(quarter of the
    UTC day).
    """
    total, readings = 0, [(T0, 0)]
    for k in range(count * 7 * 96):
        total += pattern(k % 96)
        readings.append((T0 + (k + 1) * QUARTER, total * GRAIN))
    return readings


def gap_values(readings, end, gain, calendar=None) -> list[int]:
    found = intervals([*readings, (end, readings[-1][1] + gain * GRAIN)], calendar)
    return [each.value for each in found if each.start >= readings[-1][0]]


def test_a_long_gap_has_the_shape_of_like_days_scaled_to_the_register() -> None:
    start = T0 + 3 * 7 * DAY
    found = gap_values(weeks(3), start + 20 * QUARTER, 2 * sum(range(10, 30)))
    assert found == [2 * (10 + k) for k in range(20)]


def test_remainders_go_to_the_largest_fractions_and_then_to_the_earliest() -> None:
    assert shares(10, [1, 1, 1]) == [4, 3, 3]
    assert shares(11, [1, 1, 1]) == [4, 4, 3]
    assert shares(5, [1, 2, 3]) == [1, 2, 2]  # 0.83, 1.67, 2.5: 0, 1, 2 and two left
    assert shares(0, [3, 4]) == [0, 0]
    assert shares(7, [0, 0, 1]) == [0, 0, 7]


def test_fewer_than_two_like_days_are_no_shape() -> None:
    start = T0 + 7 * DAY
    assert gap_values(weeks(1), start + 20 * QUARTER, 200) == [10] * 20


def test_a_shape_of_sum_zero_is_no_shape() -> None:
    start = T0 + 3 * 7 * DAY
    assert gap_values(weeks(3, lambda slot: 0 if slot < 20 else 9), start + 20 * QUARTER, 200) == [10] * 20


def test_a_like_day_must_be_measured_in_the_hours_of_the_gap_only() -> None:
    readings = weeks(3)
    hole = [
        pair for pair in readings if not T0 + 7 * DAY + 5 * QUARTER <= pair[0] < T0 + 7 * DAY + 8 * QUARTER
    ]
    elsewhere = [
        pair for pair in readings if not T0 + 7 * DAY + 50 * QUARTER <= pair[0] < T0 + 7 * DAY + 53 * QUARTER
    ]
    end, gain = T0 + 3 * 7 * DAY + 20 * QUARTER, 2 * sum(range(10, 30))
    shape = [2 * (10 + k) for k in range(20)]
    assert gap_values(hole, end, gain) == shape  # two of three are left
    first_too = [pair for pair in hole if not T0 + 5 * QUARTER <= pair[0] < T0 + 8 * QUARTER]
    assert gap_values(first_too, end, gain) == [39] * 20
    assert gap_values(elsewhere, end, gain) == shape


def test_the_newest_four_like_days_are_taken() -> None:
    past = Memory()
    for week in range(6):
        for slot in range(96):
            value = 100 if week < 2 and slot == 0 else 4
            start = T0 + week * 7 * DAY + slot * QUARTER
            past.put(Interval("m", "volume", start, value, "m"), corrected=False)
    start = T0 + 6 * 7 * DAY
    assert len(set(weights(past, Calendar(), Point(start, 0), Point(start + 12 * QUARTER, GRAIN * 50)))) == 1


def test_a_holiday_is_a_sunday() -> None:
    def sundays(slot_of):  # Saturdays and Sundays differ; T0 is a Saturday
        total, readings = 0, [(T0, 0)]
        for k in range(4 * 7 * 96):
            total += slot_of(k)
            readings.append((T0 + (k + 1) * QUARTER, total * GRAIN))
        return readings

    readings = sundays(lambda k: (k % 96) + 1 if (k // 96) % 7 == 1 else 50)
    end = T0 + 4 * 7 * DAY + 20 * QUARTER
    gain = sum(range(1, 21))
    assert gap_values(readings, end, gain * 50) != [(k + 1) * 50 for k in range(20)]
    holiday = Calendar(UTC, frozenset({date(2026, 12, 19)}))
    assert gap_values(readings, end, gain * 50, holiday) == [(k + 1) * 50 for k in range(20)]


def test_like_days_are_local_days() -> None:
    istanbul = Calendar(ZoneInfo("Europe/Istanbul"))
    assert istanbul.place(T0 - 12 * QUARTER) == (date(2026, 11, 21), 0)
    assert istanbul.place(T0 - 13 * QUARTER) == (date(2026, 11, 20), 95)


def test_versions_count_what_differs() -> None:
    assert next_version(None, 5, "m") == 1
    held = Interval("m", "volume", T0, 5, "m", version=3)
    assert next_version(held, 5, "m") is None
    assert next_version(held, 6, "m") == next_version(held, 5, "s") == 4


def test_a_step_that_is_coarser_than_what_it_shows_is_told() -> None:
    assert resolution(10, 9) == 10
    assert resolution(10, 10) is None
    coarse = outcomes([(T0 + k * QUARTER, 10_000 * (k // 4) * GRAIN) for k in range(24)])
    assert [(each.kind, each.amounts["step"]) for each in coarse if isinstance(each, Finding)] == [
        ("resolution", 10_000 * GRAIN)
    ]
    assert not [
        each
        for each in outcomes([(T0 + k * QUARTER, 10_000 * k * GRAIN) for k in range(24)])
        if isinstance(each, Finding)
    ]
