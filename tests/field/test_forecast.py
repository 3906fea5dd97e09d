"""What a configuration will cost, before anything is plugged in; and `submeter plan`, which says so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from field_parts import NAMES, driver, meter

from gateway.cli import setup
from gateway.cli.plan import command
from gateway.config.schema import SerialBus, TcpBus
from gateway.field.bus.cost import wire_of
from gateway.field.forecast import forecast_bus, stored_per_day, traffic
from gateway.field.meter.reader import MeterTask

LINE = SerialBus(name="bus", type="serial", port="/dev/ttyUSB0")
ENERGIES = [
    f"{energy}{end}"
    for energy in ("active_energy_import", "active_energy_export", "active_energy_total")
    for end in ("", "_l1", "_l2", "_l3", "_t1", "_t2", "_t3", "_t4")
]
# 34 values in three groups with gaps, as a large meter has them
WIDE = "\n".join(
    [
        *(
            f"{2 * index if index < 20 else 160 + 2 * index} float32 {name} kWh fast"
            for index, name in enumerate([*ENERGIES, "heat_energy"])
        ),
        *(f"{250 + 2 * index} float32 {name} kW fast" for index, name in enumerate(NAMES)),
        "400 float32 frequency Hz fast",
    ]
)


def tasks(count: int, table=None, **more) -> list[MeterTask]:
    table = table or driver(WIDE, "function: 4, max_registers: 80")
    return [MeterTask(meter(unit, **more), table) for unit in range(1, count + 1)]


def test_the_time_of_a_poll_is_the_wires_minimum_with_the_guessed_turn_around() -> None:
    forecast = forecast_bus(LINE, tasks(1, interval="10s")).meters[0]
    wire = wire_of(LINE)
    assert forecast.fast_values == 34
    assert forecast.fast_time == pytest.approx(sum(wire.least(read.count, 0.02) for read in forecast.fast))
    assert forecast.load == pytest.approx(forecast.fast_time / 10)


def test_an_interval_that_cannot_be_held_gets_the_one_that_fits() -> None:
    forecast = forecast_bus(LINE, tasks(60, interval="10s"))
    assert forecast.load > 1
    fits = forecast.fits()
    assert fits == pytest.approx(60 * forecast.meters[0].fast_time, abs=1.0)
    assert forecast_bus(LINE, tasks(60, interval=f"{fits:g}s")).fits() is None
    assert forecast_bus(LINE, tasks(60, interval=f"{fits - 1.5:g}s")).fits() is not None


def test_only_the_meters_that_are_too_fast_have_to_slow_down() -> None:
    seldom = [MeterTask(meter(unit, interval="1h"), driver()) for unit in range(100, 110)]
    forecast = forecast_bus(LINE, [*tasks(40, interval="10s"), *seldom])
    each = forecast.meters[0].fast_time
    fits = forecast.fits()
    assert fits is not None
    assert fits == pytest.approx(40 * each, abs=1.0), "ten meters that are read once an hour ask for nothing"
    assert forecast_bus(LINE, [*tasks(40, interval=f"{fits:g}s"), *seldom]).fits() is None
    assert forecast_bus(LINE, [*tasks(20, interval="10s"), *seldom]).fits() is None, "twenty fit as they are"


def test_slow_reads_count_at_their_own_rate_and_at_the_quarter_hours() -> None:
    table = driver("0 u16 active_power kW fast\n10 u32 active_energy_import kWh slow")
    with_minutes = forecast_bus(LINE, tasks(1, table, interval="10s")).meters[0]
    assert with_minutes.load == pytest.approx(
        with_minutes.fast_time / 10 + (with_minutes.both_time - with_minutes.fast_time) / 60
    )
    odd = forecast_bus(LINE, tasks(1, table, interval="10s", slow_interval="7min")).meters[0]
    assert odd.load == pytest.approx(
        odd.fast_time / 10 + (odd.both_time - odd.fast_time) * (1 / 420 + 1 / 900)
    )
    hourly = forecast_bus(LINE, tasks(1, table, interval="1h")).meters[0]
    assert hourly.values_per_second(1.0) == pytest.approx(1 / 3600 + 1 / 3600 + 1 / 900)


def test_silence_is_paid_before_each_read_and_a_pause_between_a_meters_own_reads_only() -> None:
    plain = forecast_bus(LINE, tasks(1, driver(), interval="10s")).meters[0]
    silent = forecast_bus(LINE, tasks(1, driver(reads="function: 4, min_gap: 100ms"), interval="10s")).meters[
        0
    ]
    assert len(silent.fast) == len(plain.fast) == 1
    assert silent.fast_time == pytest.approx(plain.fast_time + 0.1 - wire_of(LINE).gap)
    pausing = forecast_bus(LINE, tasks(1, driver(), interval="10s", pause="100ms")).meters[0]
    assert pausing.fast_time == pytest.approx(plain.fast_time)
    two = forecast_bus(LINE, tasks(1, driver(), interval="10s", max_registers=40)).meters[0]
    short = forecast_bus(LINE, tasks(1, driver(), interval="10s", pause="100ms", max_registers=40)).meters[0]
    assert len(two.fast) == len(short.fast) == 2
    assert short.fast_time == pytest.approx(two.fast_time + 0.1 - wire_of(LINE).gap)


def test_traffic_agrees_with_what_was_measured() -> None:
    """10 meters with 34 values every 10 s: 4.6 bytes a value on the wire, 71 GB a year on the card: the
    commits cost most of it.
    """
    forecast = forecast_bus(TcpBus(name="bus", type="tcp", host="h"), tasks(10, interval="10s"))
    total = traffic([forecast], 10.0)
    assert total.values_per_second == pytest.approx(34)
    assert total.batches_per_second == pytest.approx(0.1)
    assert total.gb_per_year == pytest.approx(71.3, rel=0.02)
    assert traffic([forecast], 10.0, remounted=True).gb_per_year == pytest.approx(35.6, rel=0.02)
    one = traffic([forecast_bus(TcpBus(name="bus", type="tcp", host="h"), tasks(1, interval="10s"))], 10.0)
    many = traffic([forecast_bus(TcpBus(name="bus", type="tcp", host="h"), tasks(60, interval="10s"))], 10.0)
    assert 0.8 < one.gb_per_year / total.gb_per_year < 1 < many.gb_per_year / total.gb_per_year < 1.6
    per_value = (total.mb_per_month * 1e6 / (30 * 86400) - 0.1 * 300) / 34
    assert per_value == pytest.approx(4.6, rel=0.05)
    assert traffic([], 10.0).mb_per_month == 0
    itself = traffic([], 10.0, own=300.0)
    assert itself.values_per_second == pytest.approx(11 / 300)
    assert itself.batches_per_second == pytest.approx(1 / 300)
    both = traffic([forecast], 10.0, own=300.0)
    assert both.values_per_second == pytest.approx(total.values_per_second + 11 / 300)
    assert both.batches_per_second == total.batches_per_second
    assert stored_per_day([forecast], 10.0, own=300.0) > stored_per_day([forecast], 10.0)


def test_the_question_of_setup_and_the_page_of_the_journal_say_what_a_forecast_says() -> None:
    buses = [forecast_bus(TcpBus(name="bus", type="tcp", host="h"), tasks(10, interval="10s"))]
    costs = {
        (slot, remounted): round(traffic(buses, slot, remounted=remounted).gb_per_year)
        for slot in (10.0, 60.0)
        for remounted in (False, True)
    }
    asked = re.search(r"about (\d+) instead of (\d+) GB a year", inspect.getsource(setup.card))
    assert asked
    assert (int(asked[1]), int(asked[2])) == (costs[10.0, True], costs[10.0, False])
    page = (Path(__file__).parents[2] / "docs" / "journal.md").read_text()
    for choice, cost in (
        ("as installed", f"{costs[10.0, False]} GB"),
        ("`card: {remount: yes}`", f"{costs[10.0, True]} GB"),
        ("`commit_interval: 60s`", f"some {costs[60.0, False]} GB, computed"),
        ("both", f"some {costs[60.0, True]} GB, computed"),
    ):
        assert f"| {choice} | {cost} |" in page


CONFIG = """
gateway: {{id: house}}
buses: [{{name: line1, type: serial, port: /dev/ttyUSB0}}]
drivers: {{directory: {directory}}}
meters:
"""


def write(tmp_path: Path, count: int, interval: str) -> Path:
    rows = "\n".join("  " + row for row in WIDE.splitlines())
    (tmp_path / "test-table.yaml").write_text(
        f"maker: T\nmodel: T\nverified: simulator\nsource: tests\nreads: {{function: 4, max_registers: "
        f"80}}\nregisters: |\n{rows}\n"
    )
    path = tmp_path / "gateway.yaml"
    meters = "\n".join(
        f"  - {{id: m{unit}, bus: line1, address: {unit}, driver: test-table, interval: {interval}}}"
        for unit in range(1, count + 1)
    )
    path.write_text(CONFIG.format(directory=tmp_path) + meters + "\n")
    return path


def test_plan_prints_what_it_costs(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(write(tmp_path, 2, "10s")), "--reads"])
    assert result.exit_code == 0
    assert "line1: /dev/ttyUSB0, 9600 8N1" in result.output
    assert "MB a month" in result.output
    assert "GB a year to the card" in result.output
    assert "4:0000+" in result.output


def amounts(output: str, pattern: str) -> list[float]:
    (found,) = re.findall(pattern, " ".join(output.split()))
    return [float(number.replace(",", "")) for number in (found if isinstance(found, tuple) else (found,))]


def test_plan_says_what_halves_it_and_that_is_so(tmp_path: Path) -> None:
    path = write(tmp_path, 2, "10s")
    often = CliRunner().invoke(command, [str(path)]).output
    promised = amounts(often, r"twice as long: ([\d,]+) MB a month, ([\d,]+) GB a year")
    path.write_text(path.read_text().replace("interval: 10s", "interval: 20s"))
    seldom = CliRunner().invoke(command, [str(path)]).output
    assert amounts(seldom, r"about ([\d,]+) MB a month to each platform, ([\d,]+) GB a year") == promised
    before = amounts(often, r"about ([\d,]+) MB a month to each platform, ([\d,]+) GB a year")
    assert all(0.4 < less / more < 0.7 for less, more in zip(promised, before, strict=True))


def test_plan_says_when_the_room_is_short_and_what_mends_it(tmp_path: Path) -> None:
    path = write(tmp_path, 2, "10s")
    text = path.read_text()
    assert "journal.warn" not in CliRunner().invoke(command, [str(path)]).output, "4 GB are ample"
    path.write_text(text + "journal: {budget: 5MB}\n")
    short = CliRunner().invoke(command, [str(path)]).output
    (days,) = amounts(short, r"\(5\.0 MB\) holds ([\d.]+) days")
    (longer,) = amounts(short, r"then it holds ([\d.]+) days")
    assert days < 7
    assert 1.5 < longer / days < 2.5
    (advice,) = re.findall(r"write (journal: \{budget: \S+\})", " ".join(short.split()))
    path.write_text(f"{text}{advice}\n")
    mended = CliRunner().invoke(command, [str(path)]).output
    assert "journal.warn" not in mended
    path.write_text(text + "journal: {budget: 5MB, warn: 1h}\n")
    assert "journal.warn" not in CliRunner().invoke(command, [str(path)]).output, (
        "who asks for less is not told"
    )


def test_plan_refuses_what_the_line_cannot_hold_and_says_what_fits(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(write(tmp_path, 60, "10s"))])
    assert result.exit_code == 1
    forecast = forecast_bus(LINE, tasks(60, interval="10s"))
    assert f"write interval: {forecast.fits():g}s for m1, m2, m3, m4, m5 and 55 more" in result.output
