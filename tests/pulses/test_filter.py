"""Edges become pulses: what the contact did is counted once, noise is rejected with its reason."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.field.pulses.filter import JITTER, PulseFilter

MS = 1_000_000


def run(filter_: PulseFilter, phases, *, start=10**12) -> int:
    """Feed (closed, ms) phases as a real contact gives them; the time at the end."""
    now = start
    for closed, ms in phases:
        if closed != filter_.closed:
            filter_.edge(closed, now)
        now += round(ms * MS)
    return now


def fresh(**limits) -> PulseFilter:
    return PulseFilter(**{"min_width": 0.03, "min_gap": 0.03, "max_rate": 1000.0, **limits})


def rejected(filter_: PulseFilter) -> tuple[int, int, int]:
    return filter_.rejected.short, filter_.rejected.gap, filter_.rejected.rate


def test_a_pulse_is_counted_when_its_contact_opens() -> None:
    one = fresh()
    assert not one.edge(True, 100 * MS)
    assert one.count == 0
    assert one.edge(False, 150 * MS)
    assert (one.count, rejected(one)) == (1, (0, 0, 0))


def test_too_short_is_noise() -> None:
    one = fresh()
    run(one, [(False, 100), (True, 29), (False, 100), (True, 31), (False, 100)])
    assert (one.count, rejected(one)) == (1, (1, 0, 0))


def test_a_short_gap_does_not_make_a_second_pulse() -> None:
    one = fresh()
    run(one, [(False, 100), (True, 40), (False, 29), (True, 40), (False, 31), (True, 40), (False, 100)])
    assert (one.count, rejected(one)) == (2, (0, 1, 0))


def test_the_least_pulse_of_the_standard_survives_the_kernels_jitter() -> None:
    one = fresh()
    phases = []
    for number in range(100):
        late = 0.4 if number % 2 else -0.4
        phases += [(True, 30 + late), (False, 30 - late)]
    run(one, [(False, 100), *phases, (True, 1)])
    assert (one.count, rejected(one)) == (100, (0, 0, 0))


def test_a_change_too_short_to_be_seen_gives_the_same_level_twice() -> None:
    one = fresh()
    one.found(False, 2 * MS)
    one.edge(False, 1 * MS)  # this edge led to what was found
    one.edge(False, 50 * MS)
    assert (one.count, rejected(one)) == (0, (1, 0, 0))
    one.edge(True, 100 * MS)
    one.edge(True, 110 * MS)
    one.edge(False, 135 * MS)
    assert (one.count, rejected(one)) == (1, (1, 1, 0))


def test_a_contact_that_was_found_closed_dates_from_then() -> None:
    one = fresh()
    one.found(True, 100 * MS)
    assert one.edge(False, 131 * MS)
    run(one, [(False, 100), (True, 50), (False, 50)], start=131 * MS)
    assert (one.count, rejected(one)) == (2, (0, 0, 0))
    one = fresh()
    one.found(True, 100 * MS)
    assert not one.edge(False, 120 * MS)
    assert (one.count, rejected(one)) == (0, (1, 0, 0))


def test_only_an_edges_stamp_decides_when_what_was_found_is_newer() -> None:
    one = fresh()  # found closed, and the edge that closed it comes later
    one.found(True, 100 * MS)
    one.edge(True, 60 * MS)
    assert one.edge(False, 101 * MS)
    one = fresh()  # found closed, and comes with a whole gap that is older
    one.found(True, 100 * MS)
    one.edge(False, 50 * MS)
    one.edge(True, 99 * MS)
    assert not one.edge(False, 103 * MS)
    assert one.count == 0
    one = fresh()  # found open, and a whole pulse is under way
    one.found(False, 100 * MS)
    one.edge(True, 50 * MS)
    assert one.edge(False, 99 * MS)


def test_what_is_found_later_changes_nothing() -> None:
    one = fresh()
    one.edge(True, 100 * MS)
    one.found(False, 110 * MS)
    assert one.closed
    assert one.edge(False, 140 * MS)


def test_other_limits_hold_from_now_on_in_the_middle_of_a_pulse() -> None:
    one = fresh()
    one.edge(True, 100 * MS)
    one.limit(0.002, 0.002, 100.0)
    assert one.edge(False, 110 * MS)
    one.limit(0.03, 0.03, 100.0)
    one.edge(True, 120 * MS)
    assert not one.edge(False, 160 * MS)  # the gap was too short: still the same pulse
    assert (one.count, rejected(one)) == (1, (0, 1, 0))


def test_even_rejections_are_told_from_chatter_and_noise() -> None:
    for period in (58.0, 55.0, 40.0, 20.0):
        one = fresh()
        run(one, [(True, period / 2), (False, period / 2)] * 100)
        assert one.regular > 90, period
    uneven = fresh()
    run(uneven, [(True, 40), (False, 10)] * 100)
    assert uneven.regular > 90
    chance = random.Random(5)
    noise = fresh()
    run(noise, [(number % 2 == 0, chance.expovariate(1 / 8)) for number in range(4000)])
    assert noise.rejected.total > 500
    assert noise.regular < noise.rejected.total / 50
    reed = fresh()
    run(
        reed,
        [(True, 1), (False, 1), (True, 1), (False, 1), (True, 100), (False, 1), (True, 1), (False, 800)]
        * 100,
    )
    assert (reed.count, reed.regular) == (100, 0)


def test_two_edges_of_one_moment_are_a_pulse_of_no_width() -> None:
    one = fresh()
    run(one, [(False, 100)])
    assert not one.edge(True, 10**12 + 200 * MS)
    assert not one.edge(False, 10**12 + 200 * MS)
    assert (one.count, rejected(one)) == (0, (1, 0, 0))


def test_an_edge_says_that_a_pulse_was_counted_each_time_that_one_was_and_at_no_other() -> None:
    random_, one, now, told = random.Random(3), fresh(), 10**12, 0
    for _ in range(2000):
        now += random_.choice([0, 5, 29, 31, 200]) * MS
        told += one.edge(random_.random() < 0.5, now)
    assert told == one.count > 100
    assert one.rejected.short > 100, "the same level twice among them"


def test_a_clock_that_is_set_back_costs_no_pulse() -> None:
    one = fresh()
    one.edge(True, 10**15)
    one.edge(False, 10**12)
    one.edge(True, 10**12 + 60 * MS)
    one.edge(False, 10**9)
    assert (one.count, rejected(one)) == (2, (0, 0, 0))


def test_no_limits_count_every_pulse() -> None:
    one = fresh(min_width=0.0, min_gap=0.0)
    run(one, [(True, 0.001), (False, 0.001)] * 500 + [(True, 1)])
    assert (one.count, rejected(one)) == (500, (0, 0, 0))


def test_the_greatest_rate_passes_with_jitter_and_more_does_not() -> None:
    steady = fresh(min_width=0.005, min_gap=0.002, max_rate=50.0)
    phases = []
    for number in range(1000):
        phases += [(True, 8), (False, 20 if number % 2 else 4)]  # 50 a second, never evenly
    run(steady, [(False, 100), *phases])
    assert (steady.count, rejected(steady)) == (1000, (0, 0, 0))
    fast = fresh(min_width=0.002, min_gap=0.002, max_rate=50.0)
    run(fast, [(False, 100), *[(True, 5), (False, 5)] * 1000, (True, 1)])  # 100 a second for 10 s
    assert fast.count + fast.rejected.rate == 1000
    assert 500 <= fast.count <= 560
    assert rejected(fast)[:2] == (0, 0)


@st.composite
def trains(draw):
    """What a bouncing contact gives: (phases in ms, true pulses). Bounces are shorter than 10 ms, pulses
    and gaps at least 30 ms.
    """
    bounce = st.lists(st.floats(0.01, 9.0), max_size=3).map(lambda times: times[: len(times) // 2 * 2])
    phases = [(False, draw(st.floats(31, 1000)))]
    pulses = draw(st.integers(0, 12))
    for _ in range(pulses):
        for index, ms in enumerate(draw(bounce)):
            phases.append((index % 2 == 0, ms))
        phases.append((True, draw(st.floats(30, 500))))
        for index, ms in enumerate(draw(bounce)):
            phases.append((index % 2 == 1, ms))
        phases.append((False, draw(st.floats(31, 1000))))
    return phases, pulses


@given(trains())
def test_a_bouncing_contact_is_counted_once_a_pulse(train) -> None:
    phases, pulses = train
    one = fresh()
    run(one, phases)
    assert one.count == pulses
    assert one.rejected.rate == 0


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 100 * MS)), max_size=200),
    st.floats(0, 0.1),
    st.floats(0, 0.1),
    st.floats(0.1, 1000),
)
def test_whatever_comes_the_count_only_grows_and_never_exceeds_what_the_limits_allow(
    edges, width, gap, rate
) -> None:
    one = PulseFilter(width, gap, rate)
    now, opened, counts = 0, 0, [0]
    for closed, step in edges:
        now += step
        opened += not closed
        one.edge(closed, now)
        counts.append(one.count)
        assert one.count - counts[-2] in {0, 1}
    assert one.count + one.rejected.rate <= opened
    assert one.count <= max(rate, 2.0) + now / 1e9 * rate + 1
    least = round((width + gap) * 1e9) - 2 * JITTER
    if least > 0:
        assert one.count + one.rejected.rate <= now / least + 2
