"""Ranges behave like a set of integers, whatever is done to them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Ranges

spans = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
steps = st.lists(st.tuples(st.sampled_from(["add", "discard"]), spans), max_size=30)


def play(moves) -> tuple[Ranges, set[int]]:
    ranges, numbers = Ranges(), set()
    for move, (first, last) in moves:
        if move == "add":
            ranges.add(first, last)
            numbers |= set(range(first, last + 1))
        else:
            ranges.discard(first, last)
            numbers -= set(range(first, last + 1))
    return ranges, numbers


@given(steps)
def test_equals_the_set_it_stands_for(moves) -> None:
    ranges, numbers = play(moves)
    assert {n for first, last in ranges for n in range(first, last + 1)} == numbers
    assert ranges.count == len(numbers)
    assert all(n in ranges for n in numbers)
    assert all((n in ranges) == (n in numbers) for n in range(-1, 52))


@given(steps)
def test_ranges_are_sorted_disjoint_and_never_touch(moves) -> None:
    pairs = list(play(moves)[0])
    assert all(first <= last for first, last in pairs)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(pairs))


@given(steps, spans)
def test_gaps_and_within_split_a_span(moves, span) -> None:
    ranges, numbers = play(moves)
    inside = set(range(span[0], span[1] + 1))
    assert {n for a, b in ranges.gaps(*span) for n in range(a, b + 1)} == inside - numbers
    assert {n for a, b in ranges.within(*span) for n in range(a, b + 1)} == inside & numbers


@given(steps, st.integers(1, 5))
def test_limit_forgets_the_shortest_never_the_newest(moves, most) -> None:
    ranges, _ = play(moves)
    whole = list(ranges)
    ranges.limit(most)
    kept = list(ranges)
    assert len(kept) == min(most, len(whole))
    assert set(kept) <= set(whole)
    assert kept[-1:] == whole[-1:]
    assert most == 1 or kept[:1] == whole[:1]
    forgotten = [last - first for first, last in whole if (first, last) not in kept]
    assert all(last - first >= max(forgotten, default=0) for first, last in kept[1:-1])


def test_a_backward_range_is_refused() -> None:
    with pytest.raises(ValueError, match="upwards"):
        Ranges().add(3, 2)
