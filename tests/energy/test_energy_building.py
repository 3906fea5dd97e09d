"""What follows from intervals for a building: tariff, netting, reactive energy, tree, load. Parts add up to
the whole.
"""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.rules import load_rules, rules_path
from gateway.energy import Calendar, DatedRules, Tariff
from gateway.energy.building_load import base_load, compare, has_risen, is_closed, peak, tenth
from gateway.energy.consumption import by_band, cost, degree_days, generated, used, yield_direction
from gateway.energy.netting import over_all, over_hours, self_consumption, self_sufficiency
from gateway.energy.reactive import ReactiveDay, budget, charged, is_breach, registers
from gateway.energy.tree import TRANSFORMERS, TreeMeter, rests, suspicion, uncertainty
from gateway.errors import ConfigError

ISTANBUL = Calendar(ZoneInfo("Europe/Istanbul"))
QUARTER = 900_000
T0 = ISTANBUL.quarters(date(2026, 11, 2))[0]  # a Monday
DAY = 96 * QUARTER
RULES = DatedRules(load_rules(rules_path()))


# ── rules ──


def test_the_shipped_rules_are_dated_and_have_their_source() -> None:
    day = date(2026, 11, 20)
    tariff = RULES.tariff("tr-three-time", day)
    assert tariff is not None
    assert "6561" in tariff.source
    assert [tariff.value.band(day, hour) for hour in (0, 5, 6, 16, 17, 21, 22, 23)] == [
        "t3", "t3", "t1", "t1", "t2", "t2", "t3", "t3",
    ]  # fmt: skip
    assert RULES.tariff("tr-three-time", date(2016, 10, 26)) is None
    assert RULES.tariff("nobody", day) is None
    assert tariff.value.currency == ""
    small, large = RULES.reactive(49.9, day), RULES.reactive(50, day)
    assert small is not None
    assert large is not None
    assert (small.value.inductive, small.value.capacitive) == (33, 20)
    assert (large.value.inductive, large.value.capacitive) == (20, 15)
    assert [RULES.netting(each).value for each in (date(2026, 4, 1), date(2026, 4, 2))] == ["month", "hour"]
    assert RULES.co2("consumption", day).value == pytest.approx(0.439)
    assert RULES.co2("avoided", day).value == pytest.approx(0.6345)
    assert RULES.co2("consumption", date(2019, 12, 31)) is None
    assert RULES.tep(day).value == pytest.approx(0.086)
    assert (RULES.degree_days("heating", day).value.base, RULES.degree_days("cooling", day).value.when) == (
        18,
        22,
    )


def test_a_clock_that_was_not_moved_is_an_hour_late_in_winter_only() -> None:
    tariff = RULES.tariff("tr-three-time", date(2026, 1, 1)).value
    winter = [date(2026, 10, 25), date(2026, 12, 31), date(2027, 3, 27)]
    summer = [date(2026, 10, 24), date(2026, 3, 29), date(2026, 7, 1)]
    for day, old in [*((each, "t3") for each in winter), *((each, "t1") for each in summer)]:
        assert (day, tariff.band(day, 6, old_clock=True)) == (day, old)
        assert tariff.band(day, 6) == "t1"
    assert [tariff.band(winter[0], hour, old_clock=True) for hour in (7, 17, 18, 22, 23)] == [
        "t1", "t1", "t2", "t2", "t3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "tariffs: {a: [{valid_from: 2020-01-01, source: xyz, bands: {t1: 06-17, t2: 17-22}}]}",
            1,
            "cover the day",
        ),
        ("tariffs: {a: [{valid_from: 2020-01-01, source: xyz, bands: {t1: 6-24}}]}", 1, "is not a band"),
        ("tariffs: {a: [{valid_from: soon, source: xyz, bands: {t1: 00-24}}]}", 1, "is not a day"),
        ("tariffs: {a: [{valid_from: 2020-01-01, bands: {t1: 00-24}}]}", 1, "source"),
        ("tariffs: {}\nco2: [{valid_from: 2020-01-01, scope: scope3, value: 1, source: xyz}]", 2, "scope"),
    ],
)
def test_a_mistake_in_a_rules_file_is_told_with_its_line(tmp_path, text, line, words) -> None:
    path = tmp_path / "tr.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        load_rules(path)
    assert any(problem.line == line and words in str(problem) for problem in caught.value.problems), (
        caught.value
    )


def test_ones_own_rules_win(tmp_path) -> None:
    assert rules_path("tr", tmp_path) != tmp_path / "tr.yaml"
    (tmp_path / "tr.yaml").write_text("tariffs: {}\n")
    assert rules_path("tr", tmp_path) == tmp_path / "tr.yaml"


# ── tariff, consumption, plant ──

series = st.dictionaries(
    st.integers(0, 96 * 40).map(lambda k: T0 + k * QUARTER), st.integers(0, 10**6), max_size=60
)


@given(series, st.booleans())
def test_the_parts_of_a_tariff_add_up_to_the_whole(values, old) -> None:
    tariff = RULES.tariff("tr-three-time", date(2026, 1, 1)).value
    parts = by_band(values.items(), ISTANBUL, tariff, old_clock=old)
    assert sum(parts.values()) == sum(values.values())
    assert set(parts) == {"t1", "t2", "t3"}


def test_money_only_where_there_are_prices() -> None:
    parts = {"t1": 1_000, "t2": 2_500, "t3": 0}
    bare = RULES.tariff("tr-three-time", date(2026, 1, 1)).value
    assert cost(parts, bare) is None
    priced = Tariff(bare.bands, prices={"t1": 4.0, "t2": 6.0, "t3": 2.0}, currency="TRY")
    assert cost(parts, priced) == pytest.approx(19.0)
    assert cost(parts, Tariff(bare.bands, prices={"t1": 4.0}, currency="TRY")) is None


def test_a_building_never_uses_less_than_nothing() -> None:
    assert used(500, 200, 700).value == 1000
    slight = used(0, 700, 690, uncertainty=20)
    assert (slight.value, slight.rest, slight.suspect) == (0, -10, False)
    assert used(0, 700, 600, uncertainty=20).suspect
    assert (generated(3, 700, "export"), generated(700, 3, "import")) == (697, 697)


def test_which_register_counts_a_plants_yield() -> None:
    def sun(k):  # W·¼h by local hour
        return max(0, 6 - abs(12 - k % 96 / 4)) * 300

    day = {T0 + k * QUARTER: round(sun(k)) for k in range(96)}
    own_use = dict.fromkeys(day, 2)
    assert yield_direction(own_use, day, ISTANBUL) == "export"
    assert yield_direction(day, own_use, ISTANBUL) == "import"
    assert yield_direction({}, {}, ISTANBUL) is None
    night = {start: value for start, value in day.items() if ISTANBUL.place(start)[1] < 24}
    assert yield_direction(own_use, night, ISTANBUL) is None  # not told yet
    assert yield_direction(dict.fromkeys(day, 500), dict.fromkeys(day, 500), ISTANBUL) is None  # a load


@given(series, series)
def test_netting_never_exceeds_either_side(drawn, fed_in) -> None:
    hours, whole = over_hours(drawn, fed_in), over_all(drawn, fed_in)
    for each in (hours, whole):
        assert each.drawn - each.grid == each.fed_in - each.surplus == each.netted
        assert 0 <= each.netted <= min(each.drawn, each.fed_in)
    assert hours.netted <= whole.netted  # what hourly netting costs, and load shifting brings back


def test_netting_by_hour_and_by_month() -> None:
    drawn = {T0: 100, T0 + 4 * QUARTER: 300}
    fed_in = {T0 + QUARTER: 250, T0 + 8 * QUARTER: 40}
    assert (over_hours(drawn, fed_in).surplus, over_hours(drawn, fed_in).grid) == (190, 300)
    assert (over_all(drawn, fed_in).surplus, over_all(drawn, fed_in).grid) == (0, 110)
    assert self_consumption(1000, 250) == 0.75
    assert self_sufficiency(1000, 250, 750) == 0.5
    assert self_consumption(0, 0) is None
    assert self_sufficiency(0, 0, 0) is None


def test_degree_days_as_the_state_service_counts_them() -> None:
    means = [10.0, 15.0, 15.1, 22.0, 26.0]
    assert degree_days(means, 18, 15, heating=True) == pytest.approx(8 + 3)
    assert degree_days(means, 22, 22, heating=False) == pytest.approx(4)


# ── reactive ──


def month_of(ratio, days, first=date(2026, 10, 1), active=100_000) -> list[ReactiveDay]:
    return [ReactiveDay(first + timedelta(k), active, round(active * ratio / 100)) for k in range(days)]


@pytest.mark.parametrize(
    ("ratio", "colour"), [(10, "green"), (15.9, "green"), (16.1, "amber"), (19.9, "amber"), (20.2, "red")]
)
def test_where_a_month_is_heading(ratio, colour) -> None:
    days = month_of(ratio, 41)  # October, and ten days of November
    found = budget(days, date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 11))
    assert found.colour == colour
    assert found.active == 10 * 100_000
    assert found.active_expected == 30 * 100_000
    assert found.ratio == pytest.approx(ratio, abs=0.01)
    assert found.left == round(30 * 100_000 * 0.2 - 10 * round(1000 * ratio))
    assert (found.recoverable_until is None) == (colour != "red")


def test_the_last_day_on_which_it_can_be_mended_is_before_the_limit_is_passed() -> None:
    days = [*month_of(30, 31), *month_of(30, 10, date(2026, 11, 1))]
    found = budget(days, date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 11))
    # 20 % of 30 days are 600 kvarh, at 30 kvarh a day: the 20th makes it full, the 21st passes it.
    assert found.left == 600_000 - 300_000
    assert found.recoverable_until == date(2026, 11, 20)
    late = [*month_of(30, 31), *month_of(30, 25, date(2026, 11, 1))]
    passed = budget(late, date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 26))
    assert passed.left < 0
    assert passed.recoverable_until is None


@pytest.mark.parametrize(("varh", "colour"), [(0, "green"), (500, "red")])
def test_where_nothing_is_drawn_any_reactive_energy_is_too_much(varh, colour) -> None:
    days = [ReactiveDay(date(2026, 11, 1) + timedelta(k), 0, varh) for k in range(10)]
    found = budget(days, date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 11))
    assert found.colour == colour
    assert is_breach(found.active_expected, found.reactive_expected, 20) == (colour == "red")


def test_today_counts_with_what_is_still_to_come() -> None:
    days = [*month_of(10, 41), ReactiveDay(date(2026, 11, 11), 40_000, 4_000)]
    found = budget(days, date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 11))
    assert (found.active, found.active_expected) == (1_040_000, 3_000_000)
    assert budget(month_of(10, 31), date(2026, 11, 1), 20, ISTANBUL, date(2026, 11, 1)) is None


def test_a_holiday_to_come_is_expected_like_a_sunday() -> None:
    plain = [
        ReactiveDay(day := date(2026, 10, 1) + timedelta(k), 20_000 if day.weekday() == 6 else 100_000, 1000)
        for k in range(45)
    ]
    festive = Calendar(ISTANBUL.zone, frozenset({date(2026, 11, 18)}))
    today = date(2026, 11, 15)
    without, with_it = (
        budget(plain, date(2026, 11, 1), 20, calendar, today).active_expected
        for calendar in (ISTANBUL, festive)
    )
    assert without - with_it == 80_000


def test_what_is_charged_is_a_cliff() -> None:
    assert not is_breach(1000, 200, 20)
    assert is_breach(1000, 201, 20)
    assert charged(201, 100, 1000, (20, 15)) == 201
    assert charged(150, 100, 1000, (20, 15)) == 0
    assert charged(201, 300, 1000, (20, 15)) == 300


def test_inductive_and_capacitive_come_from_quadrants_or_say_why_not() -> None:
    two = {"reactive_energy_import", "reactive_energy_export"}
    four = two | {f"reactive_energy_q{n}" for n in range(1, 5)}
    assert registers(four, generation=True).inductive == "reactive_energy_q1"
    assert registers(two, generation=False).two_register
    assert registers(two, generation=True) == "two_registers_with_generation"
    assert registers({"active_energy_import"}, generation=False) == "no_reactive_registers"


# ── tree ──


MAIN = TreeMeter("main", class_="B", ct_class="0.5")
SUBS = [TreeMeter("a", "main", "B"), TreeMeter("b", "main", "A", "1")]


def test_the_unmetered_rest_has_its_band() -> None:
    [found] = rests([MAIN, *SUBS], {"main": 100_000, "a": 40_000, "b": 50_000})
    parts = [0.01**2 + 0.005**2, 0.01**2, 0.02**2 + 0.01**2]
    band = sum(part * energy**2 for part, energy in zip(parts, (100_000, 40_000, 50_000), strict=True)) ** 0.5
    assert (found.rest, found.metered) == (10_000, 90_000)
    assert found.band == pytest.approx(band, abs=2)
    assert not found.over_counted
    assert uncertainty(SUBS[0], 100_000) == 1000


@pytest.mark.parametrize(("b", "over"), [(62_500, True), (61_500, False), (60_000, False)])
def test_over_count_is_told_beyond_the_band_only(b, over) -> None:
    [found] = rests([MAIN, *SUBS], {"main": 100_000, "a": 40_000, "b": b})
    assert found.over_counted == over


def test_a_rest_needs_all_meters_of_its_level() -> None:
    assert rests([MAIN, *SUBS], {"main": 100_000, "a": 40_000}) == []
    assert rests([MAIN], {"main": 100_000}) == []


def loads(factor, noise=40, steps=400):
    """A sub meter that counts `factor` times what flows, in a building with another, independent load."""
    sub, main, state = [], [], 7
    for k in range(steps):
        state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        true = 3000 if k // 7 % 2 else 800
        true += state % 200
        other = 5000 + 700 * (k // 48 % 2) + (state >> 8) % noise
        sub.append(round(true * factor))
        main.append(true + other)
    return sub, main


@pytest.mark.parametrize(
    ("factor", "pair"), [(2.0, (200, 100)), (0.5, (100, 200)), (1.25, (250, 200)), (1.5, (150, 100))]
)
def test_a_transformer_of_another_ratio_is_suspected(factor, pair) -> None:
    found = suspicion("a", *loads(factor))
    assert found is not None
    assert found.factor == pytest.approx(factor, rel=0.03)
    assert pair in found.pairs


@pytest.mark.parametrize("factor", [1.0, 1.03, 0.97])
def test_a_right_ratio_is_left_alone(factor) -> None:
    assert suspicion("a", *loads(factor)) is None


def test_a_factor_that_no_two_transformers_make_is_another_fault() -> None:
    assert suspicion("a", *loads(1.13)) is None  # between 800/750 and 60/50


@pytest.mark.parametrize(("follows", "found"), [((0.7, 0.8), True), ((0.2, 1.3), False)])
def test_steps_that_are_not_followed_alike_suspect_nobody(follows, found) -> None:
    """Twice 0.75 on average."""
    sub, main = [], [20_000]
    for k in range(400):
        sub.append(4000 if k // 4 % 2 else 1000)
        if k:
            main.append(main[-1] + round((sub[k] - sub[k - 1]) * follows[k // 4 // 2 % 2]))
    assert (suspicion("a", sub, main) is not None) == found


def test_without_steps_or_with_another_load_in_the_way_nothing_is_suspected() -> None:
    sub, main = loads(2.0)
    assert suspicion("a", sub[:50], main[:50]) is None
    assert suspicion("a", [1000] * 400, main) is None
    assert suspicion("a", sub, [9000 if k % 2 else 3000 for k in range(400)]) is None
    assert len(set(TRANSFORMERS)) == len(TRANSFORMERS)


def test_a_ratio_is_found_through_the_holes_of_a_third_of_all_quarter_hours() -> None:
    sub, main = loads(2.0)
    holes = [None if k % 3 == 0 else value for k, value in enumerate(sub)]
    found = suspicion("a", holes, main)
    assert found is not None
    assert found.factor == pytest.approx(2.0, rel=0.03)
    assert suspicion("a", [None if k % 3 else value for k, value in enumerate(sub)], main) is None, (
        "no two neighbours are left: there is no step to compare"
    )


# ── load ──


def flat(day, watts, closed=()) -> dict[int, int]:
    return {start: (watts if k not in closed else 0) // 4 for k, start in enumerate(ISTANBUL.quarters(day))}


def test_base_load_at_night_and_on_closed_days() -> None:
    day = date(2026, 11, 3)
    values = {
        start: 250 if ISTANBUL.place(start)[1] < 24 or ISTANBUL.place(start)[1] > 80 else 2500
        for start in ISTANBUL.quarters(day)
    }
    night = base_load(values, ISTANBUL, closed=False)
    assert night.power == 1000
    assert night.share == pytest.approx(250 * 96 / sum(values.values()))
    assert base_load(flat(day, 800), ISTANBUL, closed=True).power == 800
    assert base_load(dict(list(values.items())[30:]), ISTANBUL, closed=False) is None
    assert tenth(list(range(1, 21))) == 2
    # Of the 20 quarter hours until 05:00 the second lowest, whatever comes then.
    rising = {start: 100 * (1 + k % 20) for k, start in enumerate(ISTANBUL.quarters(day))}
    assert base_load(rising, ISTANBUL, closed=False).power == 4 * 200
    assert base_load(rising, ISTANBUL, closed=True).power == 4 * 200
    later = {start: 1 if k in range(20, 30) else value for k, (start, value) in enumerate(rising.items())}
    assert base_load(later, ISTANBUL, closed=False).power == 4 * 200
    assert base_load(later, ISTANBUL, closed=True).power == 4


@pytest.mark.parametrize(("base", "told"), [(1201, True), (1200, False), (900, False)])
def test_a_closed_day_whose_base_has_risen(base, told) -> None:
    assert has_risen(base, [950, 1000, 1000, 1050]) == told
    assert not has_risen(9000, [1000])


def test_a_day_is_compared_with_its_like_days() -> None:
    days = {}
    for back, wh in ((0, 1300), (7, 1000), (14, 1010), (21, 990), (28, 1000), (35, 5000)):
        days[date(2026, 11, 24) - timedelta(back)] = dict.fromkeys(range(96), wh // 96)
    days[date(2026, 11, 23)] = dict.fromkeys(range(96), 1)
    found = compare(date(2026, 11, 24), range(96), days, ISTANBUL)
    assert (found.value, found.mean, found.days) == (13 * 96, 96 * 10, 4)
    assert found.is_unusual
    morning = compare(date(2026, 11, 24), range(40), days, ISTANBUL)
    assert (morning.value, morning.mean) == (520, 400)
    usual = dict(days)
    usual[date(2026, 11, 24)] = dict.fromkeys(range(96), 10)
    assert not compare(date(2026, 11, 24), range(96), usual, ISTANBUL).is_unusual
    del days[date(2026, 11, 24)][50]
    assert compare(date(2026, 11, 24), range(96), days, ISTANBUL) is None
    assert (
        compare(date(2026, 11, 24), range(40), {date(2026, 11, 24): dict.fromkeys(range(96), 1)}, ISTANBUL)
        is None
    )


def test_the_deviation_is_the_median_one_and_a_single_odd_day_makes_it_no_larger() -> None:
    days = {
        date(2026, 11, 24) - timedelta(7 * back): {0: wh}
        for back, wh in enumerate((60, 10, 20, 30, 100, 7000))
    }
    found = compare(date(2026, 11, 24), [0], days, ISTANBUL)
    assert (found.mean, found.deviation, found.days) == (40, 10, 4)  # 15, 5, 5 and 75 from the median of 25


def test_the_months_peak_and_who_made_it() -> None:
    main = {T0 + k * QUARTER: 1000 for k in range(200)}
    main[T0 + 77 * QUARTER] = 4000
    hvac = dict.fromkeys(main, 500) | {T0 + 77 * QUARTER: 3200}
    lift = dict.fromkeys(main, 100) | {T0 + 77 * QUARTER: 200}
    found = peak(main, {"hvac": hvac, "lift": lift})
    assert (found.start, found.power, found.meter, found.by) == (T0 + 77 * QUARTER, 16_000, "hvac", 10_800)
    assert peak(main, {}).meter == ""
    assert peak({}, {}) is None
    hourly = peak(main, {"hvac": hvac}, minutes=60)
    assert hourly.power == (3 * 1000 + 4000)


def test_chance_makes_no_meter_the_one_that_made_the_peak() -> None:
    """On a plateau some meter always rises by a little; the one that counts is far above its day before."""
    main = {T0 + k * QUARTER: 1000 if k < 100 else 4500 for k in range(120)}
    main[T0 + 110 * QUARTER] = 4501
    large = {start: 300 if at < 100 else 2500 for at, start in enumerate(main)}
    small = {start: 300 if at < 100 else 1400 for at, start in enumerate(main)} | {T0 + 110 * QUARTER: 1401}
    assert peak(main, {"large": large, "small": small}).meter == "large"
    flat = dict.fromkeys(main, 1100) | {T0 + 110 * QUARTER: 1110}
    assert peak(main, {"flat": flat}).meter == ""
    late = {start: value for start, value in large.items() if start >= T0 + 105 * QUARTER}
    assert peak(main, {"late": late}).meter == "", "nobody knows what it took before"


def test_which_days_are_closed() -> None:
    festive = Calendar(ISTANBUL.zone, frozenset({date(2026, 10, 29)}))
    week = range(5)
    days = (date(2026, 10, 28), date(2026, 10, 29), date(2026, 10, 31))
    assert [is_closed(day, festive, week) for day in days] == [False, True, True]
