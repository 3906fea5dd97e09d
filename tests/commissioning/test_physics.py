"""What a low-voltage installation must look like."""

from __future__ import annotations

import pytest

from gateway.cli.language import speaking
from gateway.cli.physics_words import evidence
from gateway.commissioning.plausibility.physics import fits, judge, rising, score, unweighed

GOOD = {
    "voltage_l1n": 230.4,
    "voltage_l2n": 231.2,
    "voltage_l3n": 229.7,
    "voltage_l12": 399.7,
    "voltage_l23": 399.1,
    "voltage_l31": 398.4,
    "current_l1": 10.0,
    "current_l2": 6.0,
    "current_l3": 3.0,
    "active_power": 4.161,
    "reactive_power": 1.368,
    "apparent_power": 4.38,
    "active_power_l1": 2.189,
    "active_power_l2": 1.318,
    "active_power_l3": 0.655,
    "apparent_power_l1": 2.304,
    "apparent_power_l2": 1.387,
    "apparent_power_l3": 0.689,
    "power_factor": 0.95,
    "frequency": 50.02,
    "active_energy_import": 12345.6,
}


def against(**changed: float) -> set[str]:
    """The first names of the checks that fail when some values are others."""
    return {finding.names[0] for finding in judge(GOOD | changed, {}) if finding.good is False}


REVERSED = {"active_power_l2": -1.318, "active_power": 1.526, "reactive_power": 0.504}
"""The transformer of L2 the other way round, in a meter that adds up the apparent powers of the phases."""
PHASES = ("apparent_power_l1", "apparent_power_l2", "apparent_power_l3")


@pytest.mark.parametrize("without", [(), PHASES])
@pytest.mark.parametrize("factor", [1.526 / 4.38, 0.95])
def test_a_reversed_transformer_is_no_fault_of_the_table(factor: float, without: tuple[str, ...]) -> None:
    values = {name: value for name, value in GOOD.items() if name not in without}
    findings = judge(values | REVERSED | {"power_factor": factor}, {})
    assert [finding for finding in findings if finding.good is False] == []
    assert score(findings) >= 10


@pytest.mark.parametrize("apparent", [8.76, 3.0])
def test_a_total_that_is_neither_sum_nor_product_still_contradicts(apparent: float) -> None:
    assert "active_power" in against(**REVERSED, apparent_power=apparent)


def test_powers_of_a_wrong_step_are_excused_by_no_sum_of_the_phases() -> None:
    values = {
        **{f"voltage_l{phase}n": 230.0 for phase in (1, 2, 3)},
        **{f"current_l{phase}": 7.2 for phase in (1, 2, 3)},
        **{f"active_power_l{phase}": 0.162 for phase in (1, 2, 3)},
        "active_power": 0.486,
        "reactive_power": 1.05,
        "apparent_power": 4.97,
        "power_factor": 0.978,
    }
    findings = judge(values, {})
    assert {finding.names[0] for finding in findings if finding.good is False} == {
        "active_power",
        "power_factor",
    }
    assert not fits(findings)


@pytest.mark.parametrize(("lang", "said"), [("en", "205.4 V"), ("tr", "205,4 V")])
def test_evidence_has_the_decimal_mark_of_its_language(lang: str, said: str) -> None:
    (check,) = [each for each in judge({"voltage_l1n": 205.4}, {}) if each.good is False]
    with speaking(lang):
        assert said in evidence(check)


def test_a_sound_installation_passes_every_check() -> None:
    findings = judge(GOOD, {})
    assert fits(findings)
    assert score(findings) >= 15


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"voltage_l1n": 206.9}, {"voltage_l1n", "apparent_power_l1"}),
        ({"voltage_l1n": 133.0}, {"voltage_l1n", "voltage_l12", "voltage_l31", "apparent_power_l1"}),
        ({"voltage_l1n": 253.1}, {"voltage_l1n", "apparent_power_l1"}),
        ({"voltage_l12": 230.0}, {"voltage_l12"}),
        ({"frequency": 49.4}, {"frequency"}),
        ({"frequency": 5002.0}, {"frequency"}),
        ({"power_factor": 0.5}, {"power_factor"}),
        ({"apparent_power_l1": 23.04}, {"apparent_power_l1"}),
        ({"active_power_l2": -1.318}, {"active_power"}),
        ({"reactive_power": 4.2}, {"active_power"}),
        ({"active_energy_import": -1.0}, {"active_energy_import"}),
        ({"active_energy_import": 4e9}, {"active_energy_import"}),
    ],
)
def test_each_slip_is_seen(changed: dict[str, float], names: set[str]) -> None:
    assert names <= against(**changed)


THREE = {
    "voltage_l1n": 230.0,
    "voltage_l2n": 230.0,
    "voltage_l3n": 230.0,
    "current_l1": 1.5,
    "current_l2": 1.5,
    "current_l3": 1.5,
}
ONE = {"voltage_l1n": 230.0, "current_l1": 10.0}
WIRES = {"voltage_ll": 400.0, "current_l1": 10.0, "current_l2": 10.0, "current_l3": 10.0}


@pytest.mark.parametrize(
    ("base", "changed", "good"),
    [
        (THREE, {"active_power": -32.668}, False),  # -100 W as sign and amount, read as a two's complement
        (THREE, {"active_power": 0.9}, True),
        (THREE, {"active_power": -0.9}, True),
        (THREE, {"active_power": 9.0}, False),
        (THREE, {"active_power": 0.009}, False),
        (THREE, {"active_power": 0.1}, None),
        (THREE, {"active_power_l2": 3.0}, False),
        (THREE, {"active_power_l2": 0.3}, True),
        (THREE, {"active_power": 1.15}, None),  # the load moved between two requests
        (THREE, {"active_power": 0.04, "reactive_power": 1.034}, True),  # a capacitor bank
        (THREE, {"active_power": 0.04, "power_factor": 0.04}, True),
        (THREE, {"active_power": 0.04, "power_factor": 0.9}, False),
        (ONE, {"active_power": 2.2}, True),
        (ONE, {"active_power": 22.0}, False),
        (ONE, {"active_power": 0.0022}, False),
        (WIRES, {"active_power": 6.5}, True),
        (WIRES, {"active_power": 65.0}, False),
        (
            {key: value for key, value in WIRES.items() if key != "voltage_ll"} | {"voltage_l12": 400.0},
            {"active_power": 12.0},
            False,
        ),
        (
            {"voltage_ln": 230.0, "current_l1": 5.0, "current_l2": 5.0, "current_l3": 5.0},
            {"active_power": 3.4},
            True,
        ),
        ({"dc_voltage_s1": 600.0, "dc_current_s1": 5.0}, {"dc_power_s1": 3.0}, True),
        ({"dc_voltage_s1": 600.0, "dc_current_s1": 5.0}, {"dc_power_s1": 30.0}, False),
    ],
)
def test_power_is_weighed_against_voltage_and_current(
    base: dict[str, float], changed: dict[str, float], good: bool | None
) -> None:
    name = next(iter(changed))
    found = {
        finding.good
        for finding in judge(base | changed, {})
        if finding.names[0] == name and "U·I" in finding.text
    }
    assert found == {good}
    assert fits(judge(base | changed, {})) is (good is not False)


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"voltage_l1n": 230.0},
        {"current_l1": 5.0},
        {"current_l1": 5.0, "current_l2": 5.0, "voltage_ll": 400.0},
    ],
)
def test_power_alone_says_nothing(base: dict[str, float]) -> None:
    assert not [
        finding for finding in judge(base | {"active_power": 99.0}, {}) if finding.names[0] == "active_power"
    ]


def test_what_may_be_is_left_open() -> None:
    idle = GOOD | {
        name: 0.0
        for name in GOOD
        if name.startswith(("current", "active_power", "reactive_power", "apparent_power"))
    }
    assert fits(judge(idle, {})), "an idle installation is a sound one"
    single = {
        name: value
        for name, value in GOOD.items()
        if not name.endswith(("_l2", "_l3")) and "_l12" not in name
    }
    assert not [
        finding
        for finding in judge(single | {"voltage_l2n": 0.0, "voltage_l3n": 0.0}, {})
        if "voltage_l2n" in finding.names[:1] and finding.good
    ]
    distorted = judge(GOOD | {"apparent_power": 5.2, "power_factor": 0.8}, {})
    assert all(finding.good is not False for finding in distorted), "harmonics make S larger than √(P²+Q²)"


def test_nothing_to_judge_does_not_fit() -> None:
    assert not fits(judge({}, {}))
    assert not fits(judge({}, {"frequency": "timeout"}))
    assert score(judge(GOOD, {"thd_voltage_l1": "implausible"})) < score(
        judge(GOOD, {"thd_voltage_l1": "not_available"})
    )


@pytest.mark.parametrize(
    ("last", "power", "seconds", "good"),
    [
        (100.10, 36.0, 10.0, True),
        (100.00, 36.0, 10.0, False),
        (101.00, 36.0, 10.0, False),
        (99.90, 36.0, 10.0, False),
        (100.00, 0.5, 10.0, None),
        (100.00, -36.0, 10.0, None),
        (100.10, -36.0, 10.0, False),
    ],
)
def test_a_counter_rises_with_its_power(last: float, power: float, seconds: float, good: bool | None) -> None:
    assert rising("active_energy_import", 100.0, last, power=power, seconds=seconds, step=0.01).good is good


@pytest.mark.parametrize(
    ("values", "impossible"),
    [
        ({"voltage_l1n": 230.0, "active_power": 1_042_022.0}, {"active_power"}),
        ({"voltage_ln": 230.0, "reactive_power_l2": -213_647.0}, {"reactive_power_l2"}),
        ({"voltage_l3n": 230.0, "apparent_power_l3": 4_000.0}, {"apparent_power_l3"}),
        ({"voltage_l1n": 230.0, "active_power": 4_000.0, "active_power_l1": 1_400.0}, set()),
        ({"voltage_l1n": 6_350.0, "active_power": 40_000.0}, set()),
        ({"active_power": 1_042_022.0}, set()),
    ],
)
def test_low_voltage_carries_no_more_than_its_busbars(values: dict[str, float], impossible: set[str]) -> None:
    wrong = {check.names[0] for check in judge(values, {}) if check.good is False}
    assert {name for name in wrong if "power" in name} == impossible


@pytest.mark.parametrize(
    ("power", "beside", "why"),
    [
        (2.1, {"current_l1": 10.0}, ""),
        (21.0, {"current_l1": 10.0}, ""),  # that speaks against it: it was weighed
        (0.05, {"current_l1": 10.0}, ""),
        (0.21, {"current_l1": 10.0}, "a power factor of 0.091 is unusual: compare with the display"),
        (2.1, {}, "nothing stands beside it"),
        (0.0, {}, ""),
    ],
)
def test_why_a_power_is_open_is_what_stands_beside_it(
    power: float, beside: dict[str, float], why: str
) -> None:
    values = {"voltage_l1n": 230.0, "active_power": power, **beside}
    said = unweighed(values, judge(values, {}))
    assert why in said
    assert bool(said) is bool(why)
