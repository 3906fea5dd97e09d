"""What a meter says of a moment, of its intervals and of the clock: each flaw, and its near miss."""

import json

import pytest

from gateway.energy import BASE, GRAIN, Calendar, Context, Finding, Interval, Memory, Series
from gateway.energy.checks.meter import (
    PERSIST,
    WEEK,
    Plausibility,
    from_future,
    identities,
    jump,
    network,
    sum_apart,
    transformer_size,
    wiring,
)
from gateway.energy.engine.edges import QUARTER

T0 = 1_795_219_200_000
WH = BASE["kWh"]


def phases(**values) -> dict[str, float]:
    """name=(l1, l2, l3) as quantities of three phases."""
    return {
        f"{name}_{phase}{'n' if name == 'voltage' else ''}": value
        for name, three in values.items()
        for phase, value in zip(("l1", "l2", "l3"), three, strict=True)
    }


SOUND = phases(voltage=(230.0, 231.0, 229.5), current=(10.0, 11.0, 9.0), active_power=(2.1, 2.3, 1.9)) | {
    "active_power": 6.3,
    "reactive_power": 2.0,
    "apparent_power": 6.61,
    "power_factor": 0.953,
    "frequency": 50.02,
}


def test_a_sound_meter_is_left_alone() -> None:
    assert (identities(SOUND), network(SOUND), wiring(SOUND, 50)) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"reactive_power": 3.0}, "power_triangle"),
        ({"active_power_l2": 4.6}, "sum_of_phases"),
        ({"power_factor": 0.80}, "power_factor"),
        # near misses: rounding, harmonics (S above P and Q), a sign, no phase, no load
        ({"reactive_power": 2.2}, ""),
        ({"apparent_power": 6.75, "power_factor": 0.94}, ""),
        ({"active_power_l2": 2.35}, ""),
        ({"power_factor": -0.953}, ""),
        ({"active_power": 0.01, "reactive_power": 0.03, "apparent_power": 0.02}, ""),
    ],
)
def test_electrical_identities(change, what) -> None:
    found = identities(SOUND | change)
    assert (found[0] if found else "") == what


FACTORS = phases(power_factor=(0.913, 0.905, 0.92))
"""2.1 kW of 230 V · 10 A, and so on."""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (phases(current=(10.0, 22.0, 9.0)), "phase_power"),  # a transformer ratio counted twice
        (phases(current=(1.0, 1.1, 0.9)), "phase_power"),
        ({"power_factor_l3": 0.85}, "phase_power"),
        ({}, ""),
        (phases(power_factor=(-0.913, -0.905, -0.92)), ""),
        ({"power_factor_l2": 0.93}, ""),
        (
            {
                "active_power_l1": 0.01,
                "current_l1": 0.2,
                "active_power": 4.21,
                "apparent_power": 4.67,
                "power_factor": 0.901,
            },
            "",
        ),
    ],
)
def test_the_power_of_a_phase_is_that_of_its_voltage_and_current(change, what) -> None:
    found = identities(SOUND | FACTORS | change)
    assert (found[0] if found else "") == what
    assert identities(FACTORS) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"voltage_l2n": 206.0}, "voltage"),
        ({"voltage_l3n": 254.0}, "voltage"),
        ({"frequency": 49.4}, "frequency"),
        ({"voltage_l1n": 240.0, "voltage_l2n": 231.0, "voltage_l3n": 226.0}, "unbalance"),
        ({"voltage_l2n": 222.0, "voltage_l1n": 222.0, "voltage_l3n": 223.0}, ""),
        ({"voltage_l1n": 208.0, "voltage_l2n": 209.0, "voltage_l3n": 208.0}, ""),
        ({"voltage_l2n": 0.0}, ""),  # a phase that is not connected
        ({"frequency": 49.6}, ""),
        ({"frequency": 0.0}, ""),
    ],
)
def test_the_network_by_en_50160(change, what) -> None:
    found = network(SOUND | change)
    assert (found[0] if found else "") == what


MEDIUM = phases(voltage=(19_900.0, 20_000.0, 20_050.0))


@pytest.mark.parametrize(
    ("voltage", "change", "what"),
    [
        (138_000, MEDIUM, []),  # 34.5 kV over 100 V
        (400, MEDIUM, ["voltage"]),  # a wrong order of bytes, maybe
        (138_000, MEDIUM | {"voltage_l2n": 18_000.0}, ["unbalance"]),
        (138_000, MEDIUM | {"frequency": 45.0}, ["frequency"]),
        (690, phases(voltage=(398.0, 399.0, 400.0)), []),
        (400, SOUND, []),
    ],
)
def test_behind_voltage_transformers_no_voltage_is_out_of_bounds_by_itself(voltage, change, what) -> None:
    watch = Plausibility.of(Context(WH, voltage=voltage))
    told = [
        each for k in range(PERSIST) for each in watch.take(T0 + k * 60_000, {"frequency": 50.0} | change)
    ]
    assert [each.facts["what"] for each in told] == what


@pytest.mark.parametrize(
    ("change", "phase"),
    [
        ({"active_power_l2": -2.3}, "l2"),  # a transformer the other way round
        ({"active_power_l3": 0.6}, "l3"),  # on another phase
        ({"active_power_l3": 1.2}, ""),  # 0.58: a motor
        ({"active_power_l3": -0.2, "current_l3": 1.0}, ""),  # idle
        (phases(active_power=(-2.1, -2.3, -1.9)), ""),  # all of it the other way: a plant feeds in
        (phases(active_power=(1.0, 1.1, 0.9)), ""),  # all of it bad: a poor factor
    ],
)
def test_wiring(change, phase) -> None:
    found = wiring(SOUND | change, 50)
    assert (found[0] if found else "") == phase


@pytest.mark.parametrize(
    ("amps", "what"), [(9.0, "too_large"), (241.0, "too_small"), (11.0, ""), (239.0, "")]
)
def test_the_size_of_a_transformer(amps, what) -> None:
    found = transformer_size(amps, 200)
    assert (found[0] if found else "") == what


@pytest.mark.parametrize(
    ("amps", "what"),
    [(1.9, "too_large"), (2.1, ""), (9.0, ""), (49.0, ""), (239.0, ""), (241.0, "too_small")],
)
def test_a_quotient_judges_only_what_holds_of_every_transformer_that_it_can_mean(amps, what) -> None:
    """40 is 40/1 A or 200/5 A."""
    found = transformer_size(amps, 200, 40)
    assert (found[0] if found else "") == what


def test_what_persists_is_said_once_and_again_after_it_was_right() -> None:
    watch = Plausibility()
    bad = SOUND | {"frequency": 45.0}
    told = []
    for k in range(30):
        values = SOUND if k in {3, 15} else bad
        told += [(k, each.kind, each.facts["what"]) for each in watch.take(T0 + k * 60_000, values)]
        state = json.loads(json.dumps(watch.state()))
        watch = Plausibility()
        watch.restore(state)
    assert told == [(3 + PERSIST, "network", "frequency"), (15 + PERSIST, "network", "frequency")]


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        ("identity", {"reactive_power": 3.0}, "power_triangle"),
        ("network", {"frequency": 45.0}, "frequency"),
        ("wiring", {"active_power_l2": -2.3, "active_power": 1.7, "apparent_power": 2.63}, "l2"),
    ],
)
def test_each_flaw_of_a_moment_is_told_when_it_lasts(kind, change, what) -> None:
    watch = Plausibility(50)
    bad = SOUND | change
    if kind == "wiring":
        bad.pop("power_factor")
    told = [each for k in range(PERSIST) for each in watch.take(T0 + k * 60_000, bad)]
    assert [(each.kind, each.facts["what"]) for each in told] == [(kind, what)]
    assert told[0].t == T0 + (PERSIST - 1) * 60_000
    sound = Plausibility(50)
    assert not [each for k in range(2 * PERSIST) for each in sound.take(T0 + k * 60_000, SOUND)]


def test_a_week_of_small_currents_tells_a_transformer_that_is_too_large() -> None:
    watch = Plausibility(200)
    first = T0 // WEEK * WEEK
    quiet = SOUND | phases(current=(4.0, 5.0, 3.0), active_power=(0.9, 1.1, 0.6)) | {"active_power": 2.6}
    quiet |= {"apparent_power": 2.76, "power_factor": 0.942, "reactive_power": 0.9}
    told = [each for k in range(15) for each in watch.take(first + k * WEEK // 7, quiet)]
    assert [each.facts for each in told] == [{"what": "too_large", "percent": "2.5"}] * 2
    open_ = Plausibility.of(Context(WH, ct_primary=200, ct_least=40))
    assert not [each for k in range(15) for each in open_.take(first + k * WEEK // 7, quiet)]
    busy = Plausibility(200)
    peak = SOUND | {"current_l1": 60.0}
    assert not [
        each
        for k in range(15)
        for each in busy.take(first + k * WEEK // 7, peak if k in {3, 9} else SOUND)
        if each.kind == "transformer_size"
    ]


def test_a_week_that_was_not_seen_from_its_first_day_says_nothing_of_the_transformer() -> None:
    """A meter that was set up on its last evening had no chance to be loaded."""
    quiet = SOUND | phases(current=(4.0, 5.0, 3.0), active_power=(0.9, 1.1, 0.6)) | {"active_power": 2.6}
    quiet |= {"apparent_power": 2.76, "power_factor": 0.942, "reactive_power": 0.9}
    first, watch = T0 // WEEK * WEEK + 6 * WEEK // 7, Plausibility(200)
    told = [each for k in range(9) for each in watch.take(first + k * WEEK // 7, quiet)]
    assert [each.t for each in told] == [first + 8 * WEEK // 7]
    again = Plausibility(200)
    assert not [*again.take(first, quiet)]
    again.restore(watch.state())
    assert not [*again.take(first + 9 * WEEK // 7, quiet)]


@pytest.mark.parametrize(("primary", "told"), [(None, True), (20, True), (400, False)])
def test_the_last_digit_of_a_meter_with_large_transformers_is_no_contradiction(primary, told) -> None:
    """0.1 kVA is its last digit: at night nothing fits to 3 %."""
    night = {"active_power": 0.5, "reactive_power": 0.2, "apparent_power": 0.6, "power_factor": 0.93}
    watch = Plausibility(primary)
    found = [each for k in range(PERSIST) for each in watch.take(T0 + k * 60_000, night)]
    assert [each.kind for each in found] == ["identity"] * told


@pytest.mark.parametrize(
    ("value", "valid", "percent"),
    [(61, 10, 510), (60, 10, None), (0, 10, None), (5, 0, None), (700, 100, 600)],
)
def test_a_jump(value, valid, percent) -> None:
    assert jump(value, valid) == percent


def test_a_jump_is_told_where_a_site_asks_for_it() -> None:
    for times, kinds in ((4, ["jump"]), (None, []), (5, [])):
        series = Series(Context(WH, jump=times), Calendar())
        wh, found = 500_000, []
        for k in range(120):
            wh += 200 if 45 <= k < 60 else 20
            found += series.take(T0 + k * 60_000, wh * GRAIN)
        assert [each.kind for each in found if isinstance(each, Finding)] == kinds


@pytest.mark.parametrize(
    ("values", "apart"),
    [([100, 100], None), ([100, 97], -3), ([100, 98], None), ([100, 102], None), ([100, 103], 3)],
)
def test_the_sum_of_intervals_against_the_register(values, apart) -> None:
    assert sum_apart(values, 5_000, 5_200, 1) == apart


def test_a_day_that_was_edited_does_not_add_up_and_that_is_told() -> None:
    found = {}
    for edited in (False, True):
        past, told = Memory(), []
        series = Series(Context(WH), Calendar(), name=("m", "volume"), past=past)
        for k in range(3 * 96 + 3):
            told += series.take(T0 + k * QUARTER, (500_000 + 300 * k) * GRAIN)
            if edited and k == 120:
                past.put(Interval("m", "volume", T0 + 100 * QUARTER, 9000, "d", 2), corrected=True)
        found[edited] = [each for each in told if isinstance(each, Finding) and each.kind == "sum"]
    assert found[False] == []
    [one] = found[True]
    assert (one.t, one.amounts["apart"]) == (T0 + 96 * QUARTER, 8700 * GRAIN)


@pytest.mark.parametrize(("t", "by"), [(T0 + 2_001, 2_001), (T0 + 2_000, None), (T0 - 1, None)])
def test_a_reading_from_the_future(t, by) -> None:
    assert from_future(t, T0) == by
