"""What a register can do, each with the case that is like it and is not it."""

from decimal import Decimal

import pytest

from gateway.energy import BASE, GRAIN, Calendar, Context, Finding, Interval, MeterSeries, Series
from gateway.energy.engine.edges import QUARTER
from gateway.energy.engine.units import to_grains

WH = BASE["kWh"]
T0 = 1_795_219_200_000
POLL = 60_000


def run(kwh, context=None, poll=POLL) -> tuple[list[Interval], list[Finding]]:
    """A register in Wh (or None) read at every poll."""
    series = Series(context or Context(WH), Calendar())
    found = []
    for k, value in enumerate(kwh):
        found += series.take(T0 + k * poll, None if value is None else value * GRAIN)
    found += series.close()
    return [each for each in found if isinstance(each, Interval)], [
        each for each in found if isinstance(each, Finding)
    ]


def rising(count, start=500_000, by=20) -> list[int]:
    return [start + by * k for k in range(count)]


def kinds(findings) -> list[str]:
    return [each.kind for each in findings]


def total(intervals) -> int:
    return sum(each.value for each in intervals)


def letters(intervals) -> str:
    return "".join(each.quality for each in intervals)


def test_a_quiet_register_is_left_alone() -> None:
    intervals, findings = run(rising(121))
    assert (total(intervals), letters(intervals), findings) == (2400, "m" * 8, [])


@pytest.mark.parametrize("place", [20, 30, 31, 44, 45, 46])
@pytest.mark.parametrize(
    "wrong", [[0], [0, 0], [0, 7_000_000], [9_000_000], [9_000_000, 9_000_000], [501_500], [-3]]
)
def test_a_glitch_is_dropped_and_the_total_kept(place, wrong) -> None:
    register = rising(121)
    register[place : place + len(wrong)] = wrong
    intervals, findings = run(register)
    assert total(intervals) == 2400
    assert set(kinds(findings)) == {"glitch"}
    assert len(findings) == len(wrong)
    assert "s" not in letters(intervals)
    assert all(each.value >= 0 for each in intervals)


@pytest.mark.parametrize("start", [0, 3, 170])
def test_a_register_that_stays_low_began_anew(start) -> None:
    register = rising(50) + [start + 20 * k for k in range(71)]
    intervals, findings = run(register)
    assert kinds(findings) == ["reset"]
    assert dict(findings[0].amounts) == {"from": 500_980 * GRAIN, "to": start * GRAIN}
    assert total(intervals) == 2380  # all that the registers showed; what flowed between is not invented
    assert letters(intervals) == "mmmsmmmm"


def test_a_register_that_was_only_away_goes_on_where_it_was() -> None:
    register = rising(121)
    register[50:60] = [0] * 10
    intervals, findings = run(register)
    assert kinds(findings) == ["reset", "returned"]
    assert total(intervals) == 2400
    assert letters(intervals) == "mmmsmmmm"


def test_two_low_reads_at_the_end_decide_nothing() -> None:
    intervals, findings = run([*rising(47), 5, 25])
    assert kinds(findings) == ["in_doubt"]
    assert total(intervals) == 900
    assert letters(intervals) == "mmm"


@pytest.mark.parametrize("modulus", [1_000_000, 4_294_967_296])
def test_a_register_of_known_width_rolls_over_and_is_good(modulus) -> None:
    register = [(modulus - 1000 + 20 * k) % modulus for k in range(121)]
    intervals, findings = run(register, Context(WH, (modulus * GRAIN,)))
    assert kinds(findings) == ["rollover"]
    assert findings[0].facts["assumed"] is False
    assert (total(intervals), letters(intervals)) == (2400, "m" * 8)


def test_the_width_is_assumed_only_at_the_very_end_of_a_register() -> None:
    near = [(10_000_000 - 1000 + 20 * k) % 10_000_000 for k in range(121)]
    intervals, findings = run(near)
    assert [(each.kind, each.facts.get("assumed")) for each in findings] == [("rollover", True)]
    assert (total(intervals), letters(intervals)) == (2400, "m" * 8)
    below = [*rising(50, 9_850_000), *rising(71, 0)]
    assert kinds(run(below)[1]) == ["reset"]


def test_a_register_times_a_transformer_ratio_rolls_over_as_the_meter_does() -> None:
    # A meter of 10⁶ kWh in steps of 0.01 behind 200/5 A: what is read ends at 4·10⁷ kWh.
    register = [(100_000_000 - 50 + k + k // 2) % 100_000_000 * 400 for k in range(121)]
    intervals, findings = run(register)
    assert [(each.kind, each.facts.get("assumed")) for each in findings] == [("rollover", True)]
    assert (total(intervals), letters(intervals)) == (180 * 400, "m" * 8)


def test_no_rollover_from_the_middle_or_by_a_gain_that_cannot_be() -> None:
    context = Context(WH, (1_000_000 * GRAIN,), ct_primary=50)
    assert kinds(run([*rising(50, 850_000), *rising(71, 0)], context)[1]) == ["reset"]
    assert kinds(run([*rising(50, 950_000), *rising(71, 40_000)], context)[1]) == ["reset"]
    assert kinds(run([*rising(50, 999_000), *rising(71, 0)], context)[1]) == ["rollover"]


def test_a_zero_read_near_the_end_of_a_register_is_a_glitch_all_the_same() -> None:
    register = rising(121, 990_000, 20)
    register[40] = 0
    intervals, findings = run(register, Context(WH, (1_000_000 * GRAIN,), ct_primary=200))
    assert kinds(findings) == ["glitch"]
    assert total(intervals) == 2400


def test_a_register_that_runs_backwards_gives_negative_suspect_intervals() -> None:
    register = rising(61) + [501_200 - 20 * k for k in range(1, 61)]
    intervals, findings = run(register)
    assert set(kinds(findings)) == {"negative_step"}
    assert [each.value for each in intervals] == [300] * 4 + [-300] * 4
    assert letters(intervals) == "mmmmssss"


@pytest.mark.parametrize("fall", [90, 4000])
def test_one_step_back_is_told_and_kept(fall) -> None:
    register = rising(50) + [value - fall for value in rising(321)[50:]]
    intervals, findings = run(register)
    assert kinds(findings) == ["negative_step"]
    assert total(intervals) == 6300 - fall
    assert letters(intervals) == "mmms" + "m" * 17


def test_a_dip_of_one_read_is_a_glitch_however_small() -> None:
    register = rising(121)
    register[50] -= 25
    intervals, findings = run(register)
    assert (kinds(findings), total(intervals), letters(intervals)) == (["glitch"], 2400, "m" * 8)


def test_what_the_wires_cannot_carry_is_suspect() -> None:
    jump = rising(50) + [value + 40_000 for value in rising(121)[50:]]
    intervals, findings = run(jump, Context(WH, ct_primary=50))  # 41.6 kW: 693 Wh a minute
    assert kinds(findings) == ["impossible_rate"]
    assert total(intervals) == 42_400  # the register's difference, and not as good
    assert letters(intervals) == "mmmsmmmm"
    just = rising(50) + [value + 600 for value in rising(121)[50:]]
    assert run(just, Context(WH, ct_primary=50))[1] == []


def test_the_contract_bounds_where_no_transformer_is_known() -> None:
    jump = rising(50) + [value + 6000 for value in rising(121)[50:]]
    assert kinds(run(jump, Context(WH, contract_kw=100))[1]) == ["impossible_rate"]
    assert run(jump, Context(WH, contract_kw=150))[1] == []
    assert run(jump)[1] == []


def test_a_step_of_the_register_may_come_at_any_moment() -> None:
    steps = [500_000 + 10_000 * (k // 30) for k in range(181)]  # 10 kWh every half hour, 20 kW
    intervals, findings = run(steps, Context(WH, ct_primary=50))
    assert kinds(findings) == ["resolution"]
    assert "s" not in letters(intervals)


def test_a_load_that_is_switched_on_is_no_leap() -> None:
    register = rising(50) + [501_000 + 5000 * k for k in range(71)]  # 1.2 kW, then 300 kW
    intervals, findings = run(register)
    assert findings == []
    assert letters(intervals) == "m" * 8


@pytest.mark.parametrize("jump", [20_000, 100_000])
def test_a_register_that_leaps_and_goes_on_as_before_is_suspect(jump) -> None:
    intervals, findings = run(rising(50) + [value + jump for value in rising(121)[50:]])
    assert kinds(findings) == ["leap"]
    assert (total(intervals), letters(intervals)) == (2400 + jump, "mmmsmmmm")


def test_a_megawatt_that_goes_on_is_a_load() -> None:
    intervals, findings = run(rising(50) + [500_980 + 20_000 * k for k in range(1, 72)])
    assert findings == []
    assert letters(intervals) == "m" * 8


def test_a_swap_is_no_jump() -> None:
    for new in ([7_000_000 + 20 * k for k in range(71)], [3 + 20 * k for k in range(71)]):
        series = Series(Context(WH), Calendar())
        found = []
        for k, value in enumerate([*rising(50), *new]):
            if k == 50:
                found += series.swap(T0 + k * POLL)
            found += series.take(T0 + k * POLL, value * GRAIN)
        found += series.close()
        intervals = [each for each in found if isinstance(each, Interval)]
        assert [each.kind for each in found if isinstance(each, Finding)] == ["swap"]
        assert (total(intervals), letters(intervals)) == (2380, "mmmsmmmm")


def test_a_swap_with_both_indices_is_exact() -> None:
    series = Series(Context(WH), Calendar())
    found = []
    for k, value in enumerate([*rising(50), *(7_000_000 + 20 * k for k in range(71))]):
        if k == 50:
            found += series.swap(T0 + k * POLL - 30_000, 500_990 * GRAIN, 6_999_990 * GRAIN)
        found += series.take(T0 + k * POLL, value * GRAIN)
    intervals = [each for each in [*found, *series.close()] if isinstance(each, Interval)]
    assert (total(intervals), letters(intervals)) == (2400, "m" * 8)


def test_readings_of_one_time() -> None:
    series = Series(Context(WH), Calendar())
    assert list(series.take(T0, None)) == []
    assert list(series.take(T0, 5 * GRAIN)) == []
    assert list(series.take(T0, 5 * GRAIN)) == list(series.take(T0, None)) == []
    assert [each.kind for each in series.take(T0, 6 * GRAIN)] == ["duplicate"]
    assert [each.kind for each in series.take(T0 - 1, 6 * GRAIN)] == ["out_of_order"]
    list(series.take(T0 + QUARTER, 10 * GRAIN))
    assert [each.value for each in series.close() if isinstance(each, Interval)] == [5]


def test_failed_reads_tell_of_their_gap() -> None:
    register: list[int | None] = [*rising(121)]
    register[44:50] = [None] * 6
    intervals, findings = run(register)
    assert [(each.kind, each.facts["failed_reads"]) for each in findings] == [("gap", 6)]
    assert letters(intervals) == "mmeemmmm"
    register = [*rising(121)]
    register[44] = None
    assert run(register)[1] == []


def meter(register, power, quantity="active_energy_import") -> list[tuple[str, Interval | Finding]]:
    series = MeterSeries(lambda _: Context(WH), Calendar())
    found = []
    for k, value in enumerate(register):
        found += series.take("active_power", T0 + k * POLL, None if power is None else power * GRAIN)
        found += series.take(quantity, T0 + k * POLL, value * GRAIN)
    return [each for _, each in [*found, *series.close()]]


def newest(found) -> dict[int, Interval]:
    best: dict[int, Interval] = {}
    for each in found:
        if isinstance(each, Interval):
            assert each.start not in best or best[each.start].version < each.version
            best[each.start] = each
    return best


def test_a_register_that_stands_still_under_load_is_suspect_from_its_first_interval() -> None:
    register = rising(46) + [500_900] * 60 + [500_900 + 20 * k for k in range(1, 40)]
    found = meter(register, 1200)
    assert [each.kind for each in found if isinstance(each, Finding)].count("frozen") == 1
    best = newest(found)
    assert "".join(each.quality for each in best.values()) == "mmmssss" + "m" * (len(best) - 7)
    assert [each.version for each in best.values()][2:7] == [1, 2, 2, 1, 1]


@pytest.mark.parametrize(("power", "told"), [(1200, True), (-1200, False), (0, False)])
def test_a_total_that_stands_still_is_judged_while_nothing_is_fed_in(power, told) -> None:
    """Some totals add what is fed in, others take it off: both say nothing of a building that feeds in."""
    found = meter(rising(46) + [500_900] * 60, power, "active_energy_total")
    assert ("frozen" in [each.kind for each in found if isinstance(each, Finding)]) == told


@pytest.mark.parametrize("power", [None, 0, -1200, 6])
def test_a_register_that_stands_still_without_load_is_measured(power) -> None:
    found = meter(rising(46) + [500_900] * 60, power)
    assert "frozen" not in [each.kind for each in found if isinstance(each, Finding)]
    assert "s" not in [each.quality for each in newest(found).values()]


def test_it_stands_still_until_it_counts_again() -> None:
    series = MeterSeries(lambda _: Context(WH), Calendar())
    register = rising(46) + [500_900] * 60 + [500_900 + 20 * k for k in range(1, 40)]
    seen = []
    for k, value in enumerate(register):
        list(series.take("active_power", T0 + k * POLL, 1200 * GRAIN))
        list(series.take("active_energy_import", T0 + k * POLL, value * GRAIN))
        counter = series.series("active_energy_import")
        seen.append(counter is not None and counter.stands_still)
    first, last = seen.index(True), len(seen) - seen[::-1].index(True) - 1
    assert all(seen[first : last + 1])
    assert 46 < first <= 46 + 60
    assert 106 <= last < len(seen) - 1


def test_two_intervals_without_energy_are_not_frozen_yet() -> None:
    found = meter(rising(46) + [500_900] * 30 + [500_900 + 20 * k for k in range(1, 60)], 1200)
    assert "frozen" not in [each.kind for each in found if isinstance(each, Finding)]


def test_a_register_that_counts_something_else_is_told_once() -> None:
    found = meter(rising(400), 12_000)  # ten times of what the register makes
    assert [each.kind for each in found if isinstance(each, Finding)] == ["incoherent"]
    assert not [each for each in meter(rising(400), 1240) if isinstance(each, Finding)]  # 3 %


def test_the_digits_of_a_register_are_exact() -> None:
    assert to_grains(Decimal("184223.9137"), WH) == 184_223_913_700_000_000_000
    assert to_grains(Decimal("184223.91000000003"), WH) == 184_223_910_000_000_030_000
    assert to_grains(Decimal("999999999999999.999999999999999"), WH) == 10**30 - 1
    assert to_grains(Decimal("-0.000001"), BASE["m³"]) == -GRAIN
    for bad in ("1e15", "NaN", "Infinity", "0.0000000000000001"):
        with pytest.raises(ValueError, match=r"digits|decimals"):
            to_grains(Decimal(bad), WH)


@pytest.mark.parametrize("first", [184_223_910, 3_000_000, 41_206_370])
@pytest.mark.parametrize("zeros", [1, 5])
def test_from_zero_a_register_may_not_go_anywhere_at_once(first, zeros) -> None:
    """Every reading is a multiple of itself: that makes it no step of its register."""
    intervals, findings = run([0] * zeros + rising(60, first, 2), Context(WH, (), 200))
    assert set(kinds(findings)) & {"impossible_rate", "swap"}, findings
    assert "s" in letters(intervals)


@pytest.mark.parametrize("step", [10, 1_000, 10_000, 100_000])
def test_a_new_register_with_large_steps_begins_at_zero_without_a_word(step) -> None:
    """The near miss: the first step of a register that counts in powers of ten."""
    values = [step * (k // 30) for k in range(240)]
    intervals, findings = run(values, Context(WH, (), 200))
    assert set(kinds(findings)) <= {"resolution"}
    assert total(intervals) == values[-1]


def test_one_zero_between_two_registers_is_dropped_as_any_glitch() -> None:
    series = Series(Context(WH, (), 200), Calendar())
    found = []
    for k, value in enumerate(rising(60)):
        found += series.take(T0 + k * POLL, value * GRAIN)
    found += series.swap(T0 + 60 * POLL)
    for k, value in enumerate([0, *rising(60, 41_206_370)]):
        found += series.take(T0 + (61 + k) * POLL, value * GRAIN)
    found += series.close()
    assert total([each for each in found if isinstance(each, Interval)]) < 10_000
