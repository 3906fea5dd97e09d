"""Waits grow with failures, end with a success, and never march in step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.common.backoff import Backoff


@pytest.mark.parametrize(
    ("first", "longest", "waits"),
    [
        (0.5, 3.0, [0.5, 1.0, 2.0, 3.0, 3.0]),
        (30.0, 300.0, [30.0, 60.0, 120.0, 240.0, 300.0]),
        (1.0, 1.0, [1.0, 1.0]),
        (40.0, 30.0, [40.0, 40.0]),
    ],
)
def test_waits_double_up_to_the_longest(first, longest, waits) -> None:
    backoff = Backoff(first, longest)
    assert [backoff.next() for _ in waits] == waits
    assert backoff.failures == len(waits)


def test_after_a_success_the_first_wait_comes_again() -> None:
    backoff = Backoff(0.5, 60.0)
    for _ in range(8):
        backoff.next()
    backoff.reset()
    assert backoff.failures == 0
    assert [backoff.next(), backoff.next()] == [0.5, 1.0]


def test_a_week_of_failures_is_no_overflow() -> None:
    backoff = Backoff(0.5, 3.0)
    for _ in range(100_000):
        wait = backoff.next()
    assert wait == 3.0


def test_asking_for_the_present_wait_changes_nothing() -> None:
    backoff = Backoff(1.0, 8.0, chance=lambda: 0.0)
    assert [backoff.wait, backoff.wait] == [1.0, 1.0]
    assert backoff.failures == 0
    assert backoff.next() == 0.5
    assert backoff.wait == 2.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_chance_takes_at_most_half_and_does_not_add_up(chances) -> None:
    left = iter(chances)
    backoff, plain = Backoff(0.5, 3.0, chance=lambda: next(left)), Backoff(0.5, 3.0)
    for _ in chances:
        whole = plain.next()
        assert whole / 2 <= backoff.next() <= whole
