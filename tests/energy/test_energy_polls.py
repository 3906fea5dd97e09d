"""How meters answered, counted by the hour."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.energy import PollCounts
from gateway.energy.polls import HOUR, KEPT
from gateway.history.values import packed_polls, unpacked_polls
from gateway.model import Reading

T0 = 1_795_219_200_000  # 2026-11-21 00:00 UTC


def poll(meter: str, uptime: int, missing: str = "") -> Reading:
    return Reading(meter, uptime, {} if missing else {"active_power": 1.0}, missing=missing)


def test_polls_are_counted_in_their_hour_and_those_that_brought_nothing_beside_them() -> None:
    counts = PollCounts()
    batch = [poll("a", 10), poll("b", 20, "timeout"), poll("a", HOUR - 1, "bad_frame"), poll("a", HOUR)]
    counts.count(batch, T0)
    counts.count([poll("b", HOUR + 5), poll("a", HOUR + 6)], T0)
    assert counts.of("a") == {T0: (2, 1), T0 + HOUR: (2, 0)}
    assert counts.of("b") == {T0: (1, 1), T0 + HOUR: (1, 0)}
    assert counts.of("c") == {}


def test_a_value_that_is_absent_is_an_answer() -> None:
    counts = PollCounts()
    counts.count([Reading("a", 0, {}, {"active_power": "exception_2"})], T0)
    assert counts.of("a") == {T0: (1, 0)}


def test_a_week_and_today_are_remembered() -> None:
    counts = PollCounts()
    for hour in range(KEPT + 30):
        counts.count([poll("a", hour * HOUR)], T0)
    assert [*counts.of("a")] == [T0 + hour * HOUR for hour in range(30, KEPT + 30)]


def test_hours_that_the_clock_took_back_are_forgotten() -> None:
    counts = PollCounts()
    counts.count([poll("a", 0)], T0)
    counts.count([poll("a", 0)], T0 + 500 * HOUR)
    assert [*counts.of("a")] == [T0 + 500 * HOUR]
    counts.count([poll("a", 1)], T0 + HOUR)
    assert [*counts.of("a")] == [T0 + HOUR]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40 * HOUR), st.booleans()), max_size=60))
def test_what_is_packed_comes_back_however_the_batches_were_cut(polls) -> None:
    whole, cut = PollCounts(), PollCounts()
    batch = [
        poll(meter, uptime, "timeout" if missing else "")
        for meter, uptime, missing in sorted(polls, key=lambda each: each[1])
    ]
    whole.count(batch, T0)
    for each in batch:
        cut = unpacked_polls(packed_polls(cut))
        cut.count([each], T0)
    for meter in "abc":
        mine = [each for each in polls if each[0] == meter]
        assert cut.of(meter) == whole.of(meter) == unpacked_polls(packed_polls(whole)).of(meter)
        assert sum(due for due, _ in whole.of(meter).values()) == len(mine)
        assert sum(failed for _, failed in whole.of(meter).values()) == sum(missing for *_, missing in mine)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"nonsense",
        *(zlib.compress(json.dumps(each).encode()) for each in ([], {"a": 5}, {"a": [0, [1], []]})),
    ],
)
def test_what_cannot_be_read_is_not_known(packed) -> None:
    assert unpacked_polls(packed).of("a") == {}


def test_a_week_of_ten_meters_takes_little_room() -> None:
    """What is rewritten every quarter hour must stay within the page of the file that is rewritten anyway."""
    counts = PollCounts()
    for hour in range(KEPT):
        for number in range(10):
            lost = 40 if (hour, number) in {(20, 3), (21, 3), (90, 7)} else 0
            batch = [
                poll(f"meter-{number}", hour * HOUR, "timeout" if at < lost else "") for at in range(360)
            ]
            counts.count(batch, T0)
    assert len(packed_polls(counts)) < 1000
