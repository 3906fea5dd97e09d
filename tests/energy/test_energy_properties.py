"""For any sequence of readings, gaps, resets, rollovers and swaps: intervals add up,
never run backwards by themselves, and do not depend on how they were fed.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from math import floor

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.energy import BASE, GRAIN, Calendar, Context, Finding, Interval, MeterSeries, Series
from gateway.energy.engine.edges import LONG, QUARTER, Point, shaped, shares

T0 = 1_795_219_200_000
WH = BASE["kWh"]
MODULUS = 10**6 * GRAIN

gains = st.integers(0, 400 * GRAIN) | st.integers(0, 400).map(lambda wh: wh * GRAIN)
pauses = st.sampled_from(
    [10_000, 60_000, 61_003, 299_999, 900_000, 3_600_000, LONG, LONG + 1, 30_000_000, 200_000_000]
)
honest = st.lists(st.tuples(pauses, gains), min_size=4, max_size=60)
acts = st.lists(
    st.tuples(
        pauses,
        st.sampled_from(
            ["gain"] * 12 + ["fail", "fail", "zero", "reset", "high", "back", "leap", "swap", "torn"]
        ),
        gains,
    ),
    min_size=1,
    max_size=80,
)


def out(readings, swaps=(), context=None) -> list[Interval | Finding]:
    series = Series(context or Context(WH), Calendar())
    found = []
    for k, (t, value) in enumerate(readings):
        if k in swaps:
            found += series.swap(t)
        found += series.take(t, value)
    return found + list(series.close())


def misbehave(script) -> tuple[list[tuple[int, int | None]], set[int]]:
    """Readings of a register that does anything, and at which of them the meter was exchanged."""
    t, value, readings, swaps = T0 + 17, 900_000 * GRAIN, [], set()
    for pause, act, gain in script:
        t += pause
        value = (value + gain) % MODULUS
        shown: int | None = value
        if act == "fail":
            shown = None
        elif act == "zero":
            shown = 0
        elif act == "high":
            shown = value + 50_000_000 * GRAIN
        elif act == "torn":
            shown = value ^ (0xFFFF * GRAIN)
        elif act == "reset":
            shown = value = gain // 100
        elif act == "back":
            shown = value = value - gain // 2
        elif act == "leap":
            shown = value = value + 40_000_000 * GRAIN
        elif act == "swap":
            swaps.add(len(readings))
            shown = value = gain * 7
        readings.append((t, shown))
    return readings, swaps


@given(honest)
@settings(max_examples=150, deadline=None)
def test_any_run_adds_up_to_the_difference_of_its_outer_edges(script) -> None:
    """Against edges in fractions, for a register that is sound; edges outside of long gaps follow from the
    readings alone.
    """
    t, value, readings = T0 + 123, 5_000_000 * GRAIN + 7, []
    for pause, gain in script:
        t, value = t + pause, value + gain
        readings.append((t, value))
    found = [each for each in out(readings) if isinstance(each, Interval)]
    exact = {}
    for (ta, a), (tb, b) in pairwise(readings):
        for q in range((ta // QUARTER + 1) * QUARTER, tb + 1, QUARTER):
            if tb - ta <= LONG or q == tb:
                exact[q] = floor(
                    Fraction(a * (tb - ta) + (b - a) * (q - ta), (tb - ta) * GRAIN) + Fraction(1, 2)
                )
    first, last = readings[0][0], readings[-1][0]
    assert [each.start for each in found] == list(
        range(-(-first // QUARTER) * QUARTER, last // QUARTER * QUARTER, QUARTER)
    )
    assert all(each.value >= 0 for each in found)
    running, origin = 0, None
    for each in found:
        if origin is None and each.start in exact:
            origin = exact[each.start] - running
        running += each.value
        if origin is not None and each.start + QUARTER in exact:
            assert running + origin == exact[each.start + QUARTER]


@given(acts)
@settings(max_examples=200, deadline=None)
def test_whatever_a_register_does_intervals_have_no_hole_and_run_back_only_when_it_did(script) -> None:
    readings, swaps = misbehave(script)
    for context in (Context(WH), Context(WH, (MODULUS,)), Context(WH, (MODULUS,), ct_primary=400)):
        found = out(readings, swaps, context)
        intervals = [each for each in found if isinstance(each, Interval)]
        assert all(b.start - a.start == QUARTER for a, b in pairwise(intervals))
        assert all(each.version == 1 for each in intervals)
        backwards = [each for each in found if isinstance(each, Finding) and each.kind == "negative_step"]
        for each in intervals:
            assert each.value >= 0 or (each.quality == "s" and backwards)
        lost = sum(each.amounts["from"] - each.amounts["to"] for each in backwards)
        assert sum(min(0, each.value) for each in intervals) * GRAIN >= -lost - GRAIN * (len(backwards) + 1)


@given(acts)
@settings(max_examples=100, deadline=None)
def test_what_is_out_already_never_depends_on_what_comes_later(script) -> None:
    """A replay up to any reading gives the beginning of what the whole gives: nothing published is ever
    contradicted.
    """
    readings, swaps = misbehave(script)
    series = Series(Context(WH, (MODULUS,)), Calendar())
    so_far = []
    for k, (t, value) in enumerate(readings):
        if k in swaps:
            so_far += series.swap(t)
        so_far += series.take(t, value)
    whole = out(readings, swaps, Context(WH, (MODULUS,)))
    assert whole[: len(so_far)] == so_far


@given(st.lists(acts, min_size=2, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_how_registers_are_interleaved_does_not_matter(scripts, random) -> None:
    names = ["active_energy_import", "active_energy_export", "volume", "active_energy_import_t1"][
        : len(scripts)
    ]
    queues = {
        name: misbehave([step for step in script if step[1] != "swap"])[0]
        for name, script in zip(names, scripts, strict=True)
    }

    def fed(order) -> dict[str, list[Interval | Finding]]:
        places = defaultdict(int)
        series = MeterSeries(lambda quantity: Context(BASE["m³"] if quantity == "volume" else WH), Calendar())
        found = defaultdict(list)
        for name in order:
            for quantity, outcome in series.take(name, *queues[name][places[name]]):
                found[quantity].append(outcome)
            places[name] += 1
        for quantity, outcome in series.close():
            found[quantity].append(outcome)
        return found

    order = [name for name, queue in queues.items() for _ in queue]
    expected = fed(order)
    random.shuffle(order)
    assert fed(order) == expected


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=200).filter(any))
def test_shares_add_up_and_are_within_one_of_the_exact(amount, weights) -> None:
    found = shares(amount, weights)
    assert sum(found) == amount
    assert all(
        share >= 0 and abs(share - Fraction(amount * weight, sum(weights))) < 1
        for share, weight in zip(found, weights, strict=True)
    )


@given(
    st.integers(1, QUARTER),
    st.integers(LONG + 1, 20 * LONG),
    st.integers(0, 10**7 * GRAIN),
    st.integers(0, 10**5 * GRAIN),
    st.data(),
)
def test_a_shape_ends_where_the_register_does(offset, span, start, gain, data) -> None:
    a, b = Point(T0 + offset, start), Point(T0 + offset + span, start + gain)
    count = b.t // QUARTER - a.t // QUARTER + (1 if b.t % QUARTER else 0)
    weights = data.draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count).filter(any))
    totals = [edge.total for edge in shaped(a, b, weights)]
    assert totals == sorted(totals)
    low, high = (a.total + GRAIN // 2) // GRAIN, (b.total + GRAIN // 2) // GRAIN
    assert all(low <= total <= high for total in totals)
    if b.t % QUARTER == 0:
        assert totals[-1] == high
