"""One cause for each fault of a line, and none for a sound one: simulated bit by bit, measured by the
product's own code in time that passes at once.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from faulty_sites import LIBRARY, FaultySite, LiveImage, _retabled, draw_site
from line_physics import MASTER, LineFaults, LineMeter, LineModel, bits_of
from virtual_line import VirtualLine

from gateway.commissioning.doctor import Diagnosis, target_of, worst_first
from gateway.commissioning.doctor.line.causes import ranked, rivals
from gateway.commissioning.doctor.line.features import Symptoms, symptoms
from gateway.commissioning.doctor.line.judge import judge_line
from gateway.commissioning.doctor.line.measure import LineMeasurement
from gateway.commissioning.doctor.line.traces import LineTraces, idle_of, trace_of
from gateway.commissioning.plausibility.fit import TableChange
from gateway.commissioning.scan import LineSetting, RawExchange, likely_settings
from gateway.config import Meter
from gateway.demo.simulator.slave import PatternImage, Slave
from gateway.field import sealed
from tests.bench.wiring_sites import Site as WiringSite

SETTINGS = likely_settings(LIBRARY)
FAST = LineSetting(115200)
LINE_FAULTS = (
    "swapped", "setting", "bias", "termination", "interference", "duplicate", "second_master", "too_fast",
    "brown_out", "not_kept",
)  # fmt: skip
BEYOND = {"renumbered": {"renumbered"}, "off_by_one": {"off_by_one"}, "function": {"function", "too_long"}}
"""Faults of the port and of a table, by the causes that are right."""


def judged(fault: str, seed: int) -> tuple[list[Diagnosis], LineTraces]:
    site = draw_site(fault, seed)
    measurement = LineMeasurement(site.line, site.targets, settings=SETTINGS)
    measurement.traces.history = site.history
    site.line.open()
    traces = measurement.run()
    return judge_line("bus line1", traces, site.targets), traces


@pytest.mark.parametrize("fault", LINE_FAULTS)
def test_the_first_cause_that_is_named_is_the_right_one(fault) -> None:
    # Which sites are drawn follows the library of tables: one of them may be a rare one that is not told.
    seeds = range(100, 102) if fault == "interference" else range(100, 108)
    named = [found[0].cause if (found := judged(fault, seed)[0]) else "healthy" for seed in seeds]
    assert named.count(fault) >= len(seeds) - max(1, len(seeds) // 4), named


@pytest.mark.parametrize("fault", ["bias", "termination"])
def test_a_meter_that_answers_where_it_should_is_not_said_to_be_elsewhere(fault) -> None:
    """Its first answers may all be damaged: they are asked for again before they are looked for."""
    for seed in range(9, 13):
        site = draw_site(fault, seed)
        own = site.line.setting
        found, traces = judged(fault, seed)
        here = {(target.unit, own) for target in site.targets}
        assert not [each for each in traces.elsewhere if (each.unit, each.setting) in here], seed
        assert not any(each.facts.get("setting") == each.facts.get("asked", "") for each in found), seed


@pytest.mark.parametrize("fault", BEYOND)
def test_a_fault_of_port_or_table_is_named(fault) -> None:
    for seed in (0, 2):
        (first, *_) = draw_site(fault, seed).examined().found
        assert first.cause in BEYOND[fault]


def site_of(table: str, *, outages: tuple[tuple[float, float], ...] = ()) -> tuple[FaultySite, LiveImage]:
    """A sound line with one meter of this table."""
    driver = next(each for each in LIBRARY if each.name == table)
    image = LiveImage(driver, random.Random(5), "12345678")
    meter = LineMeter(Slave(7, image), FAST, turnaround=0.01, gap=0.8 * driver.limits.min_gap)
    configured = Meter.model_validate({"id": "m7", "bus": "line1", "address": 7, "driver": table})
    model = LineModel([meter], LineFaults(), random.Random(6))
    line = VirtualLine(model, FAST, outages=outages)
    return FaultySite("", line, [target_of(configured, driver)], FAST, model), image


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize(
    "table", ["saia-ald1", "finder-7e23", "kamstrup-multical-403", "deye-string", "solis-string-meter"]
)
def test_a_table_that_is_off_by_one_is_named_where_few_values_can_be_checked(table, shift) -> None:
    """The meter refuses what it does not have: that tells where its values are."""
    site, _ = site_of(table)
    assert site.examined().found == []
    if shift < 0 and not min(span.address for row in site.targets[0].driver.rows for span in row.spans):
        return
    _retabled(site, 0, TableChange(shift=shift))
    (first, *_) = worst_first(site.examined().found)
    assert first.cause == "off_by_one"
    assert first.facts["change"] == f"every address 1 {'lower' if shift > 0 else 'higher'}"


@pytest.mark.parametrize("table", ["bgetech-drt428m", "schneider-pm2220", "eastron-smart-x96"])
def test_a_transformer_on_another_conductor_is_no_column_off_by_a_power_of_ten(table) -> None:
    """Its total is not the sum of its phases; a hundredth of everything would hide that."""
    site, image = site_of(table)
    image.recorded = WiringSite(11, rows=24, kind="mixed").record(((3, 2, 1), (1, 1, 1)))
    image.recorded.pop("t")
    image.clock = site.line.now
    found = worst_first(site.examined().found)
    assert {each.cause for each in found} <= {"wiring", "wiring_unsure"}
    assert found


@pytest.mark.parametrize("beside", [True, False])
def test_a_meter_that_answers_in_the_name_of_another_is_called_that(beside) -> None:
    """It was called another master, a second meter at its address, or a damaged line."""
    site, _ = site_of("eastron-sdm630")
    (meter,) = site.model.meters
    meter.named = 1
    if beside:
        other, image = site_of("eastron-sdm630")
        sound = replace(other.model.meters[0], slave=Slave(8, image))
        site.model.meters.append(sound)
        site.targets.append(replace(site.targets[0], id="m8", unit=8))
    found = site.examined().found
    assert [(each.cause, each.meter) for each in found] == [("other_unit", "m7")]
    assert (found[0].facts["address"], found[0].facts["there"]) == (7.0, 1.0)


@pytest.mark.parametrize(("seconds", "patience"), [(1.2, "2s"), (1.5, "3s"), (3.0, "6s")])
def test_a_meter_whose_answers_all_come_late_is_not_called_sound(seconds, patience) -> None:
    """Each was taken for the answer to the question after its own."""
    site, _ = site_of("eastron-sdm630")
    site.model.meters[0].turnaround = seconds
    (found,) = site.examined().found
    assert (found.cause, found.meter) == ("slow_answers", "m7")
    assert found.facts["patience"] == patience


def test_an_adapter_that_falls_off_now_and_then_is_waited_for() -> None:
    site, _ = site_of("eastron-sdm630", outages=((7.0, 8.0), (9.5, 10.5)))
    assert [each.cause for each in site.examined().found] == ["brown_out"]


def test_a_sound_line_is_never_called_ill() -> None:
    for seed in range(100, 115):
        found, traces = judged("healthy", seed)
        assert not found, (seed, found, symptoms(traces))


def test_exchanged_wires_without_a_bias_cannot_be_told_from_a_dead_line() -> None:
    site = draw_site("swapped", 1)
    site.model.faults.pulled = False
    site.line.open()
    traces = LineMeasurement(site.line, site.targets, settings=SETTINGS).run()
    (found,) = judge_line("bus line1", traces, site.targets)
    assert found.cause == "swapped"
    assert "silent_line" in {cause for cause, _ in found.rivals}


def test_the_meter_with_the_fault_is_named() -> None:
    for seed in range(110, 116):
        site = draw_site("duplicate", seed)
        site.line.open()
        traces = LineMeasurement(site.line, site.targets, settings=SETTINGS).run()
        found = judge_line("bus line1", traces, site.targets)
        assert found[0].meter == f"m{site.notes['unit']}"


def test_a_meter_that_is_off_is_told_apart_from_its_line() -> None:
    site = draw_site("healthy", 3)
    gone = site.targets[0]
    site.model.meters = [meter for meter in site.model.meters if meter.slave.unit != gone.unit]
    site.line.open()
    traces = LineMeasurement(site.line, site.targets, settings=SETTINGS).run()
    found = judge_line("bus line1", traces, site.targets)
    assert [(each.cause, each.meter) for each in found] == [("silent_meter", gone.id)]


# ---- the model itself: what it gives follows from the wire, not from the doctor


def heard(faults: LineFaults, master: LineSetting, meter: LineSetting, **more: float) -> bytes:
    model = LineModel([LineMeter(Slave(1, PatternImage()), meter, **more)], faults, random.Random(4))
    end = model.send(1.0, sealed(1, bytes((3, 0, 7, 0, 2))), master)
    return bytes(byte for _, byte in model.listen(end, model.ends(end) + 0.5, master))


def test_a_quiet_line_carries_the_answer_as_it_is() -> None:
    assert heard(LineFaults(), FAST, FAST) == sealed(1, bytes((3, 4, 0, 7, 0, 8)))


def test_the_receiver_that_looks_at_bits_reads_what_was_sent() -> None:
    """The same through the slow path: a talk beside it makes the receiver look at every bit."""
    model = LineModel([], LineFaults(), random.Random(1))
    data = bytes(range(0, 256, 7))
    for setting in (LineSetting(9600), LineSetting(19200, "E"), LineSetting(2400, "O", 2)):
        model.send(0.0, data, setting)
        (talk,) = [each for each in model._talks if each.data == data]
        talk.source = 5
        level = model._level_of(MASTER, [talk], [], [])
        looks = model._looks([talk], 0.0, talk.end + 0.1, [])
        found = model._uart(level, setting, 0.0, talk.end + 0.1, looks, count=True)
        assert bytes(byte for _, byte in found) == data
        model._talks.clear()
    assert (model.frame, model.parity, model.breaks) == (0, 0, 0)


def test_a_meter_at_another_rate_hears_no_request() -> None:
    assert heard(LineFaults(), LineSetting(9600), LineSetting(19200)) == b""
    assert heard(LineFaults(), LineSetting(9600), LineSetting(9600, "E")) == b""


def test_exchanged_wires_on_a_pulled_line_give_a_break() -> None:
    assert heard(LineFaults(swapped=True), FAST, FAST) == b"\0"
    assert heard(LineFaults(swapped=True, pulled=False), FAST, FAST) == b""


def test_characters_have_start_parity_and_stop_bits() -> None:
    assert bits_of(b"\x01", LineSetting(9600, "E")) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert bits_of(b"\x03", LineSetting(9600, "O", 2)) == [0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]


# ---- one exchange


def trace(data: bytes, sent: bytes = b""):
    return trace_of(RawExchange(sent, b"", data, 0.02), unit=1, function=3, count=2, at=0.0)


def test_an_exchange_is_judged_byte_by_byte() -> None:
    good = sealed(1, bytes((3, 4, 0, 7, 0, 8)))
    request = sealed(1, bytes((3, 0, 7, 0, 2)))
    assert trace(good).words == (7, 8)
    assert trace(request + good, request).outcome == "answer"
    assert trace(b"\0" + good).lead == 1
    assert trace(good + b"\xff\0").tail == 2
    assert trace(good + good).answers == 2
    assert trace(b"").outcome == "silent"
    assert trace(sealed(1, b"\x83\x06")).code == 6
    assert trace(b"\0").breaks
    damaged = trace(good[:-1] + b"\x55")
    assert (damaged.outcome, damaged.head, damaged.good, damaged.known) == ("damaged", True, False, True)
    assert trace(sealed(9, bytes((3, 0, 0, 0, 4)))).masters == 1
    idle = idle_of(sealed(9, bytes((3, 0, 0, 0, 4))) + b"\x13", 1.0)
    assert (idle.masters, idle.noise) == (1, 1)


# ---- the table of causes


def test_what_was_not_measured_says_nothing() -> None:
    priors = dict(ranked(Symptoms()))
    assert priors["swapped"] > priors["slow_answers"]
    assert sum(priors.values()) == pytest.approx(1.0)


def test_features_decide() -> None:
    assert ranked(Symptoms(nobody=True, elsewhere=True))[0][0] == "setting"
    assert ranked(Symptoms(foreign=True, damage=True))[0][0] == "second_master"
    assert ranked(Symptoms(port_lost=True))[0][0] == "brown_out"
    alike = rivals([("a", 0.6), ("b", 0.3), ("c", 0.1)])
    assert alike == (("b", 0.3),)
