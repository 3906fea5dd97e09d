"""Deadlines: on wall-clock boundaries, on the monotonic clock, late is skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.field.schedule import DAY, Due, Schedule, boundary_after

OFFSET = 1_795_278_600.0 - 1000.0  # monotonic 1000 is a quarter hour on the wall


def walls(schedule: Schedule, now: float, until: float, offset: float = OFFSET) -> list[tuple[float, Due]]:
    found = []
    while (now := max(schedule.at, now)) < until:
        found.append((round(now + offset - 1_795_278_600.0, 3), schedule.due(now, offset)))
    return found


def test_everything_at_once_at_the_start_then_on_the_boundaries() -> None:
    seen = walls(Schedule(10.0, 60.0, 1003.2), 1003.2, 1065.0)
    assert [at for at, _ in seen] == [3.2, 10, 20, 30, 40, 50, 60]
    assert seen[0][1] == Due(fast=True, slow=True, static=True)
    assert [due.slow for _, due in seen] == [True, False, False, False, False, False, True]
    assert not any(due.static or due.missed for _, due in seen[1:])


def test_the_slow_class_always_has_the_quarter_hour() -> None:
    seen = walls(Schedule(7.0, 420.0, 1000.5), 1000.5, 2801.0)
    slow = [at for at, due in seen if due.slow]
    assert {900.0, 1800.0} <= set(slow)
    hourly = walls(Schedule(3600.0, 3600.0, 1000.5), 1000.5, 1000 + 3601)
    assert [at for at, due in hourly if due.slow] == [0.5, 900, 1800, 2700, 3600]
    assert [at for at, due in hourly if due.fast][1:] == [at for at, due in hourly if due.fast and at > 1]


def test_late_is_skipped_and_counted_never_queued() -> None:
    schedule = Schedule(1.0, 60.0, 1000.0)
    schedule.due(1000.0, OFFSET)
    assert schedule.at == pytest.approx(1001.0)
    due = schedule.due(1004.3, OFFSET)
    assert (due.fast, due.missed) == (True, 3)
    assert schedule.at == pytest.approx(1005.0)


def test_the_static_class_once_a_day_and_never_alone() -> None:
    schedule = Schedule(10.0, 60.0, 1000.0)
    assert schedule.due(1000.0, OFFSET).static
    assert not schedule.due(1010.0, OFFSET).static
    assert schedule.due(1000.0 + DAY, OFFSET).static
    assert schedule.at < 1000.0 + DAY + 11


def test_without_pause_is_due_as_soon_as_it_is_done() -> None:
    schedule = Schedule(0.0, 60.0, 1000.0)
    schedule.due(1000.0, OFFSET)
    assert schedule.at == 1000.0
    assert schedule.due(1002.5, OFFSET) == Due(fast=True)
    assert schedule.at == 1002.5


def test_what_failed_comes_again_with_the_next_fast_poll() -> None:
    schedule = Schedule(10.0, 600.0, 1000.5)
    schedule.due(1000.5, OFFSET)
    schedule.again(slow=True, static=True)
    assert schedule.due(1010.0, OFFSET) == Due(fast=True, slow=True, static=True)


def test_a_clock_that_is_set_moves_the_deadlines_without_a_poll_in_between() -> None:
    schedule = Schedule(10.0, 60.0, 1000.0)
    schedule.due(1000.0, OFFSET)
    schedule.realign(1004.0, OFFSET + 3.0)
    assert schedule.at == pytest.approx(1007.0)


@given(st.floats(0.01, 3600.0), st.floats(0.0, 1e7), st.floats(-1e9, 2e9))
def test_the_next_boundary_is_ahead_and_on_a_multiple(interval: float, now: float, offset: float) -> None:
    at = boundary_after(interval, now, offset)
    assert 0 < at - now <= interval * 1.1 + 1e-3
    assert abs((at + offset) / interval - round((at + offset) / interval)) * interval < 1e-3


@given(st.floats(0.5, 100.0), st.floats(-0.04, 0.04))
def test_a_slewing_clock_gives_no_boundary_twice(interval: float, slew: float) -> None:
    at = boundary_after(interval, 1000.0, OFFSET)
    after = boundary_after(interval, at, OFFSET + slew * min(interval, 1.0))
    assert after - at > 0.5 * interval
