"""A series goes on in another process as if nothing had happened, and lives with clocks that are set back."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_energy_properties import MODULUS, T0, WH, acts, misbehave

from gateway.energy import GRAIN, Calendar, Context, Finding, Interval, Memory, MeterSeries, Series
from gateway.energy.engine.edges import LONG, QUARTER
from gateway.energy.engine.units import rounded

POLL = 60_000


class Facts(Memory):
    """What was given so far, as the newest version of each interval."""

    def put(self, interval: Interval, *, corrected: bool) -> None:
        held = self.get(interval.start)
        assert corrected == (held is not None)
        assert interval.version == (held.version + 1 if held else 1)
        super().put(interval, corrected=corrected)

    def sum(self) -> int:
        return sum(each.value for each in self._known.values())

    def starts(self) -> list[int]:
        return sorted(self._known)


def series(past=None, context=None) -> Series:
    return Series(
        context or Context(WH), Calendar(), name=("m", "active_energy_import"), past=past or Facts()
    )


@given(acts, st.data())
@settings(max_examples=150, deadline=None)
def test_what_comes_out_is_the_same_wherever_a_process_ends(script, data) -> None:
    readings, swaps = misbehave(script)
    cuts = data.draw(st.sets(st.integers(0, len(readings)), max_size=4))
    whole, past, told, again = series(context=Context(WH, (MODULUS,))), Facts(), [], []
    parts = series(past, Context(WH, (MODULUS,)))
    for index, (t, value) in enumerate(readings):
        if index in cuts:
            state = json.loads(json.dumps(parts.state()))
            parts = series(past, Context(WH, (MODULUS,)))
            parts.restore(state)
        for each, out in ((whole, told), (parts, again)):
            if index in swaps:
                out.extend(each.swap(t))
            out.extend(each.take(t, value))
    assert again == told
    assert json.dumps(parts.state()) == json.dumps(whole.state())


@given(acts, st.data())
@settings(max_examples=150, deadline=None)
def test_edges_do_not_depend_on_where_a_rebuild_begins(script, data) -> None:
    """Whole base units: after any reset and swap, later readings alone make the same intervals."""
    readings, swaps = misbehave([step for step in script if step[1] not in {"fail", "high", "torn", "zero"}])
    if len(readings) < 4:
        return
    first = data.draw(st.integers(1, len(readings) - 1))
    found = []
    for begin in (0, first):
        one = Series(Context(WH, (MODULUS,)), Calendar())
        out = []
        for index, (t, value) in enumerate(readings[begin:], begin):
            if index in swaps and index > begin:
                out += one.swap(t)
            out += one.take(t, value)
        out += one.close()
        # Shapes and what a register is known to do depend on the past: those are told apart.
        told = {each.kind for each in out if isinstance(each, Finding)} - {
            "gap",
            "swap",
            "reset",
            "resolution",
        }
        shapes = [
            each for each in out if isinstance(each, Finding) and each.facts.get("shape") == "like_days"
        ]
        if told or shapes:
            return
        found.append({each.start: each.value for each in out if isinstance(each, Interval)})
    late = (
        {start: value for start, value in found[1].items() if start > readings[first + 1][0]}
        if len(readings) > first + 1
        else {}
    )
    assert {start: found[0][start] for start in late} == late


def poll(one, t, wh) -> list:
    return list(one.take(t, wh * GRAIN))


def test_a_clock_set_back_over_an_edge_publishes_higher_versions_and_nothing_counts_twice() -> None:
    past = Facts()
    one = series(past)
    wh = 500_000
    for k in range(80):
        poll(one, T0 + k * POLL, wh + 10 * k)
    assert past.starts() == [T0 + k * QUARTER for k in range(5)]
    before = past.sum()
    back = T0 + 80 * POLL - 40 * POLL
    out = list(one.step_back(back, 40 * POLL))
    # Given until 01:15; it is 00:40 by the right clock: what was given of 00:30 to 01:15 is taken back.
    assert [(each.start, each.value, each.quality, each.version) for each in out] == [
        (T0 + k * QUARTER, 0, "s", 2) for k in (4, 3, 2)
    ]
    assert past.sum() == before - 450
    for k in range(80):
        poll(one, back + k * POLL, wh + 800 + 10 * k)
    assert [past.get(T0 + k * QUARTER).version for k in range(7)] == [1, 1, 3, 3, 3, 1, 1]
    assert past.sum() == 10 * 80 + 10 * 65  # 80 polls before, and up to 01:45, by the register
    assert len(set(past.starts())) == len(past.starts())


def test_a_clock_set_back_leaves_what_a_person_set() -> None:
    past = Facts()
    one = series(past)
    for k in range(80):
        poll(one, T0 + k * POLL, 500_000 + 10 * k)
    edited = replace(past.get(T0 + 3 * QUARTER), value=900, quality="d", version=2)
    past.put(edited, corrected=True)
    out = list(one.step_back(T0 + 40 * POLL, 40 * POLL))
    assert [each.start for each in out] == [T0 + k * QUARTER for k in (4, 2)]
    for k in range(80):
        poll(one, T0 + (40 + k) * POLL, 500_800 + 10 * k)
    assert past.get(T0 + 3 * QUARTER) == edited


def test_a_clock_set_back_within_the_open_quarter_hour_takes_nothing_back() -> None:
    past = Facts()
    one = series(past)
    for k in range(25):
        poll(one, T0 + k * POLL, 500_000 + 10 * k)
    assert list(one.step_back(T0 + 20 * POLL, 5 * POLL)) == []
    for k in range(20, 60):
        poll(one, T0 + k * POLL, 500_050 + 10 * k)
    assert [past.get(start).version for start in past.starts()] == [1, 1, 1]
    assert past.sum() == 10 * 45 + 50


def test_a_clock_set_forward_is_a_gap_with_its_total() -> None:
    past = Facts()
    one = series(past)
    for k in range(30):
        poll(one, T0 + k * POLL, 500_000 + 10 * k)
    for k in range(30):
        poll(one, T0 + 3 * LONG + k * POLL, 500_300 + 10 * k)
    assert past.sum() == rounded(500_300 * GRAIN) - 500_000 + 10 * 15
    assert all(b - a == QUARTER for a, b in pairwise(past.starts()))


def test_a_clock_set_back_before_everything_begins_anew() -> None:
    past = Facts()
    one = series(past)
    for k in range(40):
        poll(one, T0 + k * POLL, 500_000 + 10 * k)
    out = list(one.step_back(T0 - 50 * QUARTER, 50 * QUARTER + 40 * POLL))
    assert [(each.value, each.quality) for each in out] == [(0, "s")] * 2
    for k in range(40):
        poll(one, T0 - 50 * QUARTER + k * POLL, 500_400 + 10 * k)
    assert past.sum() == 300
    assert past.starts() == [T0 - 50 * QUARTER, T0 - 49 * QUARTER, T0, T0 + QUARTER]


steps = st.lists(
    st.tuples(
        st.sampled_from([10_000, 60_000, 300_000, 899_999, 900_000, 8_000_000]),
        st.integers(0, 300 * GRAIN),
        st.sampled_from([0] * 8 + [-20_000, -600_000, -3_000_000, -20_000_000, 700_000, 50_000_000]),
        st.booleans(),
    ),
    min_size=2,
    max_size=60,
)


@given(steps)
@settings(max_examples=300, deadline=None)
def test_whatever_the_clock_does_the_newest_versions_add_up_to_the_register(script) -> None:
    """Σ of all starts = E(newest edge) − E(first), at every moment, also between a step and what follows."""
    past = Facts()
    one = series(past, Context(WH, ct_primary=10**6))
    t, value = T0, 1_000_000 * GRAIN
    first = one.take(t, value)
    list(first)
    begun = rounded(value)
    for pause, gain, step, known in script:
        t, value = t + pause + step, value + gain
        if one.newest is not None and t <= one.newest:
            floor = t // QUARTER * QUARTER
            list(one.step_back(t, -step if known else None))
            if one.state()[3] is None:  # an edge before everything: what went before is not counted
                assert all(past.get(start).value == 0 for start in past.starts() if start >= floor)
                return
        list(one.take(t, value))
        edge = one.state()[3]
        assert past.sum() == edge[1] - begun
        assert all(past.get(start).value == 0 for start in past.starts() if start >= edge[0])


@pytest.mark.parametrize("closing", [True, False])
def test_a_swap_of_all_registers_of_a_meter(closing) -> None:
    names = ("active_energy_import", "active_energy_export")
    pasts = {name: Facts() for name in names}
    meter = MeterSeries(lambda _: Context(WH), Calendar(), "m", pasts.__getitem__)
    for k in range(31):
        for name in names:
            list(meter.take(name, T0 + k * POLL, (500_000 + 10 * k) * GRAIN))
    ends = dict.fromkeys(names, 500305 * GRAIN + 7) if closing else {}
    begins = dict.fromkeys(names, 12 * GRAIN + 3) if closing else {}
    list(meter.swap(T0 + 30 * POLL + 30_000, ends, begins))
    for k in range(31, 62):
        for name in names:
            list(meter.take(name, T0 + k * POLL, (22 + 10 * (k - 31)) * GRAIN))
    for past in pasts.values():
        kept = 305 + 10 if closing else 300
        assert abs(past.sum() - (kept + 10 * 29)) <= 1
        assert [past.get(start).quality for start in past.starts()] == (
            ["m", "m", "m", "m"] if closing else ["m", "m", "s", "m"]
        )
