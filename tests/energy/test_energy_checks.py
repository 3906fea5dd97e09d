"""Each check by itself: what it catches, and the near miss that it leaves alone."""

import pytest

from gateway.energy import BASE, GRAIN, Calendar, Context, Finding, Series
from gateway.energy.checks.register import (
    Rate,
    incoherent,
    is_duplicate,
    is_frozen,
    is_impossible,
    is_leap,
    is_slip,
    out_of_history,
    rollover,
    spike,
)
from gateway.energy.engine.edges import QUARTER

WH = BASE["kWh"]
T0 = 1_795_219_200_000
KWH = 1000 * GRAIN
MINUTE = 60_000
HABIT = Rate(20 * GRAIN, MINUTE, 5)  # 1.2 kW
M6 = Context(WH, (10**6 * KWH,))


@pytest.mark.parametrize(
    ("context", "kwh", "minutes", "caught"),
    [
        (Context(WH, ct_primary=100), 84, 60, True),  # 1.2·√3·400·100 = 83.14 kW
        (Context(WH, ct_primary=100), 83, 60, False),
        (Context(WH, ct_primary=100, voltage=690), 143, 60, False),
        (Context(WH, contract_kw=10), 31, 60, True),
        (Context(WH, contract_kw=10), 30, 60, False),
        (Context(WH, contract_kw=10, ct_primary=100), 83, 60, False),
        (Context(WH), 10_001, 60, True),
        (Context(WH), 10_000, 60, False),
    ],
)
def test_5_maximum_rate(context, kwh, minutes, caught) -> None:
    assert is_impossible(context, kwh * KWH, minutes * MINUTE, 0) is caught


def test_5_leaves_one_step_of_the_register_alone() -> None:
    context = Context(WH, ct_primary=100)
    assert is_impossible(context, 10 * KWH, 10_000, KWH)
    assert not is_impossible(context, 10 * KWH, 10_000, 10 * KWH)


@pytest.mark.parametrize(("gain", "caught"), [(30_000 * GRAIN, True), (16_600 * GRAIN, False)])
def test_4_a_leap_is_faster_than_a_megawatt_and_twenty_times_the_habit(gain, caught) -> None:
    assert is_leap(Context(WH), HABIT, gain, MINUTE, 0) is caught
    assert not is_leap(Context(WH), Rate(20 * GRAIN, MINUTE, 2), gain, MINUTE, 0)
    assert not is_leap(Context(WH), Rate(1600 * GRAIN, MINUTE, 5), gain, MINUTE, 0)


@pytest.mark.parametrize(
    ("context", "before", "after", "expected"),
    [
        (M6, 999_999, 1, (2 * KWH, False)),
        (M6, 900_001, 0, None),  # 99 999 kWh in a minute
        (M6, 899_999, 1, None),
        (Context(WH, (10**3 * KWH,)), 900.1, 0, (99_900 * GRAIN, False)),
        (Context(WH, (10**3 * KWH,)), 899.9, 0, None),
        (Context(WH, (10**3 * KWH,)), 999.9, 100, None),
        (M6, 999_999, 100_000, None),
        (M6, 1_000_001, 1, None),  # the width is not what was said
        (M6, 999_999, -1, None),
        (Context(WH, (2**32 * GRAIN,)), 4_294_967, 0, (296 * GRAIN, False)),
        (Context(WH), 999_999.9, 0.1, (200 * GRAIN, True)),
        (Context(WH), 999_999, 1, None),  # too fast for what is only assumed
        (Context(WH), 989_999, 0, None),
        (Context(WH), 999.9, 0.1, (200 * GRAIN, True)),
        (Context(WH, (10**7 * KWH,)), 999_999.9, 0.1, None),
        (Context(WH, end=65_536 * KWH), 65_535, 1, (2 * KWH, False)),
        (Context(WH, end=65_536 * KWH), 65_536, 1, None),  # no register of that type shows it
        (
            Context(WH, end=65_536 * KWH),
            9_999.9,
            0.1,
            (200 * GRAIN, True),
        ),  # its display ends before its type
    ],
)
def test_2_rollover(context, before, after, expected) -> None:
    found = rollover(
        context, HABIT, round(before * 1000) * GRAIN, round(after * 1000) * GRAIN, elapsed=MINUTE, step=GRAIN
    )
    assert found == expected


@pytest.mark.parametrize(("before", "gain"), [(60_000, 6_036), (58_982, None)])
def test_2_the_end_of_its_type_is_known_however_far_it_went_on(before, gain) -> None:
    context, away = Context(WH, end=65_536 * KWH), 40 * 60 * MINUTE
    found = rollover(context, HABIT, before * KWH, 500 * KWH, elapsed=away, step=KWH)
    assert found == (gain and (gain * KWH, False))


@pytest.mark.parametrize(
    ("before", "after", "gain"),
    [(990.1, 0, 9.9), (989.9, 0, None), (999, 9.9, 10.9), (999, 10, None), (990.1, 9.9, 19.8)],
)
def test_2_the_width_is_assumed_within_a_hundredth_of_the_end(before, after, gain) -> None:
    ends = (round(each * 1000) * GRAIN for each in (before, after))
    found = rollover(Context(WH), HABIT, *ends, elapsed=60 * MINUTE, step=GRAIN)
    assert found == (gain and (round(gain * 1000) * GRAIN, True))


def test_2_a_register_behind_a_transformer_ratio_ends_at_a_power_of_ten_of_its_steps() -> None:
    step = 40 * 10 * GRAIN  # 0.01 kWh of a meter behind 200/5 A
    end = 10**8 * step
    assert rollover(Context(WH), HABIT, end - step, 0, elapsed=MINUTE, step=step) == (step, True)
    assert rollover(Context(WH), HABIT, end * 98 // 100, 0, elapsed=MINUTE, step=step) is None
    assert rollover(Context(WH), HABIT, end - step, 0, elapsed=MINUTE, step=GRAIN) is None


def test_2_nothing_is_assumed_of_a_register_that_is_not_known_yet() -> None:
    assert rollover(Context(WH), Rate(), 999_999_900 * GRAIN, 100 * GRAIN, elapsed=MINUTE, step=GRAIN) is None


@pytest.mark.parametrize(
    ("before", "after", "slip"),
    [
        (100_000, 99_999, True),
        (100_000, 99_000, True),
        (100_000, 98_999, False),
        (100, 61, True),
        (100, 59, False),
        (100, 50, False),
        (100, 0, False),
        (1, 0, False),
        (100, 100, False),
        (-5, -6, True),
        (3, -2, True),
    ],
)
def test_1_and_3_backwards_or_begun_anew(before, after, slip) -> None:
    found = is_slip(Context(WH), HABIT, before * GRAIN, after * GRAIN, elapsed=MINUTE, step=0)
    assert found is slip


def test_9_and_10_frozen() -> None:
    energies, power = [0, 0, 0], [300 * GRAIN] * 3
    assert is_frozen(energies, power, GRAIN)
    assert not is_frozen([0, 0, 1], power, GRAIN)
    assert not is_frozen([0, 0], power[:2], GRAIN)
    assert not is_frozen(energies, power, 150 * GRAIN)
    assert not is_frozen(energies, [0, 300 * GRAIN, 300 * GRAIN], GRAIN)


def test_13_coherence() -> None:
    assert incoherent(1060 * GRAIN, 1000 * GRAIN, GRAIN) == 60 * GRAIN
    assert incoherent(1050 * GRAIN, 1000 * GRAIN, GRAIN) is None
    assert incoherent(10 * GRAIN, 8 * GRAIN, GRAIN) is None
    assert incoherent(0, 8 * GRAIN, GRAIN) == 8 * GRAIN


def test_6_spike() -> None:
    day = [10] * 94
    assert spike([*day, 29, 10]) == 190
    assert spike([*day, 28, 10]) is None
    assert spike([*day, 29, 29]) == 190
    assert spike([*day, 29, 29, 29]) is None
    assert spike([0, 0, 5]) is None
    assert spike([5, 90]) is None


def test_8_high_or_low_against_like_days() -> None:
    assert out_of_history(201, [100, 100])
    assert not out_of_history(200, [100, 100])
    assert out_of_history(49, [100, 90, 110])
    assert not out_of_history(50, [100, 90, 110])
    assert not out_of_history(500, [100])
    assert not out_of_history(500, [0, 0])


def test_20_duplicate() -> None:
    assert is_duplicate(5, 6)
    assert not is_duplicate(5, 5)
    assert not is_duplicate(None, 5)
    assert not is_duplicate(5, None)


def days(pattern, count) -> list[Finding]:
    series, total, found = Series(Context(WH), Calendar()), 0, []
    for k in range(count * 96 + 2):
        found += series.take(T0 + k * QUARTER, total * GRAIN)
        total += pattern(k // 96, k % 96)
    return [each for each in found if isinstance(each, Finding)]


def test_an_unusual_day_is_told_once_and_changes_nothing() -> None:
    told = days(lambda day, _: 250 if day == 21 else 100, 23)  # a day of the fourth week
    assert [(each.kind, each.t) for each in told] == [("unusual_day", T0 + 21 * 96 * QUARTER)]
    assert days(lambda day, _: 190 if day == 21 else 100, 23) == []


def test_a_spike_is_told_with_its_day() -> None:
    told = days(lambda day, slot: 400 if (day, slot) == (2, 40) else 100, 4)
    assert [(each.kind, each.t, each.facts["percent"]) for each in told] == [
        ("spike", T0 + 2 * 96 * QUARTER, 300)
    ]
    assert days(lambda day, slot: 270 if (day, slot) == (2, 40) else 100, 4) == []
