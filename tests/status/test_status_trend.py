"""The last hour in memory: means of ten seconds, gaps, bounds."""

from __future__ import annotations

import math

from gateway.status.trend import MAX_METERS, POINTS, STEP_MS, Trend

T0 = 50_000 * STEP_MS


def test_a_point_per_ten_seconds_is_the_mean_of_what_came():
    trend = Trend()
    trend.add("m", T0, 2.0)
    trend.add("m", T0 + 4000, 4.0)
    trend.add("m", T0 + STEP_MS, 10.0)
    assert trend.points("m", T0 + STEP_MS)[-2:] == [3.0, 10.0]


def test_what_was_not_read_is_a_gap():
    trend = Trend()
    trend.add("m", T0, 1.0)
    trend.add("m", T0 + 3 * STEP_MS, 4.0)
    assert trend.points("m", T0 + 5 * STEP_MS)[-6:] == [1.0, None, None, 4.0, None, None]


def test_an_hour_later_nothing_old_shines_through():
    trend = Trend()
    for slot in range(POINTS):
        trend.add("m", T0 + slot * STEP_MS, float(slot))
    late = T0 + (POINTS + 10) * STEP_MS
    trend.add("m", late, 7.0)
    points = trend.points("m", late)
    assert len(points) == POINTS
    assert points[-1] == 7.0
    assert points[-11:-1] == [None] * 10
    assert points[0] == 11.0
    assert trend.points("m", late + 2 * POINTS * STEP_MS) == [None] * POINTS


def test_a_jump_of_days_clears_the_ring():
    trend = Trend()
    for slot in range(POINTS):
        trend.add("m", T0 + slot * STEP_MS, 1.0)
    far = T0 + 100 * POINTS * STEP_MS
    trend.add("m", far, 2.0)
    assert [p for p in trend.points("m", far) if p is not None] == [2.0]


def test_what_comes_late_or_is_no_number_is_ignored():
    trend = Trend()
    trend.add("m", T0, 1.0)
    trend.add("m", T0 - STEP_MS, 9.0)
    trend.add("m", T0 + STEP_MS, math.nan)
    trend.add("m", T0 + STEP_MS, math.inf)
    assert trend.points("m", T0 + STEP_MS)[-3:] == [None, 1.0, None]


def test_memory_is_bounded():
    trend = Trend()
    for number in range(MAX_METERS + 50):
        trend.add(f"m{number}", T0, 1.0)
    assert len(trend._rings) == MAX_METERS
    trend.keep({"m1", "m2"})
    assert set(trend._rings) == {"m1", "m2"}


def test_an_unknown_meter_has_an_empty_hour():
    assert Trend().points("nobody", T0) == [None] * POINTS
