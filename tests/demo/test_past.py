"""The past of the demo's building: made by the engine, whole but for one gap, and gone on from by the
live meters.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.catalogue import load_driver
from gateway.demo.show.past import MEMORY, ZONE, begin, live, make_past
from gateway.demo.show.past_building import (
    DRIPS,
    LIMIT,
    NIGHT,
    REGISTERS,
    SILENT,
    breach,
    months_before,
    quarters,
)
from gateway.demo.show.site import ANALYSER, METERS, stamp_drivers, write_analyser
from gateway.demo.simulator.building import loads
from gateway.energy import GRAIN, QUARTER, Calendar, building_load, reactive
from gateway.history import History, HistoryReader, Projection
from gateway.history.projection import Committed
from gateway.model import Reading

NOW = 1_795_278_300_000
MONTHS = 2


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("past")
    (path / "journal").mkdir()
    assert make_past(path, NOW, months=MONTHS) > 0
    return path


@pytest.fixture
def reader(directory):
    opened = HistoryReader(directory / "journal")
    yield opened
    opened.close()


def of_the_history(reader) -> Calendar:
    return Calendar(ZONE, frozenset(day for day, each in reader.holidays().items() if not each.half))


TODAY = Calendar(ZONE).place(NOW)[0]


def test_every_meter_has_each_quarter_hour_until_now(reader) -> None:
    assert {meter for meter, _ in reader.registers()} == {meter.id for meter in METERS}
    assert set(reader.registers()) == set(REGISTERS)
    for meter, quantity in reader.registers():
        sums = list(reader.sums(meter, quantity, TODAY - timedelta(40), TODAY - timedelta(1)))
        assert len(sums) == 40
        assert all(each.intervals == 96 for each in sums)


def test_intervals_are_the_differences_of_what_the_meters_showed(directory, reader) -> None:
    """The sum of all is the difference of the registers, and every measured one is what the building
    used then.
    """
    first = months_before(TODAY, MONTHS)
    calendar = of_the_history(reader)
    gained = {quarter.start: quarter.gained for quarter in quarters(calendar, NOW, MONTHS, 1)}
    for register in REGISTERS:
        held = list(reader.intervals(*register, first, TODAY))
        assert [each.start for each in held] == list(range(held[0].start, held[-1].start + 1, QUARTER))
        for each in held:
            if each.quality == "m":
                assert each.value == gained[each.start][register]
        assert sum(each.value for each in held) == sum(gained[each.start][register] for each in held)


def test_the_gap_has_its_shape_from_the_engine(reader) -> None:
    meter, back, slots = SILENT
    day = TODAY - timedelta(back)
    [held] = reader.days(meter, "active_energy_import", day, day)
    estimated = [slot for slot, letter in enumerate(held.quality) if letter == "e"]
    assert set(slots) <= set(estimated)
    assert len(estimated) <= len(slots) + 1
    # Lunch is in it: a straight line would have no noon.
    noon, rest = held.values[49], held.values[41]
    assert noon > 3 * rest


def test_the_parts_are_a_little_less_than_the_building(reader) -> None:
    day = TODAY - timedelta(3)

    def of(meter: str, way: str = "import") -> int:
        return sum(each.sum for each in reader.sums(meter, f"active_energy_{way}", day, day))

    used = of("main") - of("main", "export") + of("pv", "export")
    parts = sum(of(meter.id) for meter in METERS if meter.parent and meter.id != "pv")
    assert 1.01 < used / parts < 1.05
    assert of("pv", "export") > 0


def test_the_night_load_is_one_that_the_engine_tells(reader) -> None:
    calendar = Calendar(ZONE)
    sundays = [day for back in range(56) if (day := TODAY - timedelta(back)).weekday() == 6]
    bases = []
    for day in reversed(sundays):
        values = {
            each.start: each.value for each in reader.intervals(NIGHT[0], "active_energy_import", day, day)
        }
        found = building_load.base_load(values, calendar, closed=True)
        assert found is not None
        bases.append(found.power)
    assert building_load.has_risen(bases[-1], bases[:-2])
    assert not building_load.has_risen(bases[-3], bases[:-3])


def test_what_somebody_left_on_goes_on_in_the_live_building(reader) -> None:
    """The page told a night load that the meters did not show: at half past two it was half of it."""
    day = TODAY - timedelta(1)
    before = sum(
        sum(each.value for each in [*reader.intervals(meter.id, "active_energy_import", day, day)][4:16])
        for meter in METERS
        if meter.parent and meter.id != "pv"
    )
    one = Calendar(ZONE).quarters(TODAY).start / 1000 + 3600
    powers = [loads(1, one + 60 * minute) for minute in range(180)]
    live_kwh = sum(sum(each[name]).real for each in powers for name in REST) / 60
    assert live_kwh == pytest.approx(before / 1000, rel=0.2)


def test_the_sun_of_the_past_and_that_of_the_live_meters_are_one() -> None:
    """At 19:15 late in November the roof gave 0.4 kW, and nothing at that time of any day before."""
    calendar = Calendar(ZONE)
    given: dict[date, set[int]] = {date(2026, month, 20): set() for month in (1, 4, 6, 9, 11)}
    for quarter in quarters(calendar, calendar.quarters(date(2026, 12, 1)).start, 11, 1):
        day, slot = calendar.place(quarter.start)
        if day in given and quarter.gained["pv", "active_energy_export"]:
            given[day].add(slot)
    for day, slots in given.items():
        for slot, start in enumerate(calendar.quarters(day)):
            power = -sum(loads(1, start / 1000)["pv"]).real
            near = {slot - 1, slot, slot + 1}
            assert power < 0.05 or near & slots, (day, slot)
            assert power > 0 or not near <= slots, (day, slot)
    assert max(given[date(2026, 11, 20)]) < 19 * 4 < max(given[date(2026, 6, 20)])


REST = ("hvac", "lighting", "sockets", "server", "elevator", "kitchen", "ev")


def test_water_is_used_by_people_and_a_cistern_runs_at_night_since_a_few_days(reader) -> None:
    def of(back: int) -> tuple[int, int]:
        """Litres of a day, and of its three hours after midnight."""
        day = TODAY - timedelta(back)
        values = [each.value for each in reader.intervals("water", "volume", day, day)]
        assert len(values) == 96
        return sum(values) // 1000, sum(values[:12]) // 1000

    nights = [of(back)[1] for back in range(1, 20)]
    dripping, before = nights[: DRIPS - 1], nights[DRIPS - 1 :]
    assert min(dripping) > 150
    assert max(before) < 40
    weekdays = {(TODAY - timedelta(back)).weekday(): of(back)[0] for back in range(8, 15)}
    assert 2500 < weekdays[0] < 6000
    assert weekdays[6] < weekdays[0] / 5


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 11, 3),
        date(2026, 11, 16),
        date(2026, 11, 27),
        date(2026, 2, 24),
        date(2026, 8, 28),
        date(2026, 12, 30),
    ],
)
def test_a_breach_is_coming_on_any_day_of_a_month(day) -> None:
    now = int(datetime(day.year, day.month, day.day, 8, tzinfo=UTC).timestamp()) * 1000
    calendar = Calendar(ZONE)
    sums = defaultdict(lambda: [0, 0])
    for quarter in quarters(calendar, now, 3, 1):
        place = sums[calendar.place(quarter.start)[0]]
        place[0] += quarter.gained["main", "active_energy_import"]
        place[1] += quarter.gained["main", "reactive_energy_q1"]
    days = [reactive.ReactiveDay(each, *both) for each, both in sorted(sums.items())]
    found = reactive.budget(days, day.replace(day=1), LIMIT * 100, calendar, day)
    assert found is not None
    assert found.colour == "red"
    assert found.left > 0
    assert found.recoverable_until is not None


def test_one_breach_lies_behind_and_was_disregarded() -> None:
    calendar, by_month = Calendar(ZONE), defaultdict(lambda: [0, 0])
    for quarter in quarters(calendar, NOW, 8, 1):
        place = by_month[f"{calendar.place(quarter.start)[0]:%Y-%m}"]
        place[0] += quarter.gained["main", "active_energy_import"]
        place[1] += quarter.gained["main", "reactive_energy_q1"]
    passed = [month for month, both in by_month.items() if reactive.is_breach(*both, LIMIT * 100)]
    assert breach(NOW, calendar) in passed
    assert all(month == breach(NOW, calendar) or month >= "2026-10" for month in passed)


def test_live_readings_go_on_where_the_past_ends(directory, reader, tmp_path) -> None:
    """What the simulated meters remember is what the engine knows of their registers, up to a step of the
    coarsest: none shows less than before.
    """
    memory = json.loads((directory / MEMORY).read_text())
    lived = live(("main", "pv"), of_the_history(reader), NOW, MONTHS, 1)
    for (meter, name), value in lived.registers.items():
        shown = round(memory["registers"][meter][name] * 1000)
        assert 0 <= shown - value < 100
        assert shown % 100 == 0
    [water] = live(("water",), of_the_history(reader), NOW, MONTHS, 1).registers.values()
    assert round(memory["registers"]["water"]["volume"] * 1_000_000) == water
    assert water % 1000 == 0, "its register shows litres: a reading is never below the past"
    for file in (directory / "journal").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    history = History(tmp_path, Calendar(ZONE))
    projection = Projection(history)
    t = memory["t"] * 1000
    for minute in range(1, 40):
        values = {
            name: round(value + minute * 0.03, 2) for name, value in memory["registers"]["main"].items()
            if ("main", name) in REGISTERS
        }  # fmt: skip
        reading = Reading("main", minute * 60_000, values)
        projection.take(
            Committed("e", minute, "b", int(t) + minute * 60_000, minute * 60_000, "synced", [reading])
        )
    told = {event.fields["check"] for event in projection.findings(0, 0.0, 100)}
    assert not told & {"reset", "leap", "impossible_rate", "negative_step", "glitch"}
    for name in ("active_energy_import", "reactive_energy_q1"):
        start = int(t) // QUARTER * QUARTER
        held = history.register_intervals("main", name, start - 4 * QUARTER, start + 2 * QUARTER)
        assert [each.start for each in held] == [start + k * QUARTER for k in range(-4, 2)]
    history.close()


def test_apparent_energy_is_never_less_than_active_energy(directory) -> None:
    meters = json.loads((directory / MEMORY).read_text())["registers"]
    told = 0
    for meter, circuit in meters.items():
        for name, kvah in circuit.items():
            if name.startswith("apparent_energy"):
                suffix = name.removeprefix("apparent_energy")
                ways = ("import", "export")
                active = sum(circuit.get(f"active_energy_{way}{suffix}", 0.0) for way in ways)
                assert active <= kvah, (meter, name)
                told += 1
    assert told > 20


def test_what_a_register_showed_at_the_beginning_is_what_its_meter_begins_with() -> None:
    assert set(begin(1)) == set(REGISTERS)
    assert all(value >= 0 for value in begin(1).values())
    assert GRAIN > 0


def test_the_main_meter_has_the_quadrants(tmp_path) -> None:
    write_analyser(tmp_path)
    names = {row.name for row in load_driver(ANALYSER, tmp_path / "drivers").rows}
    assert {"reactive_energy_q1", "reactive_energy_q4", "active_energy_import"} <= names
    # A second run stamps it anew, not twice.
    for _ in range(2):
        write_analyser(tmp_path)
        stamps = stamp_drivers(tmp_path)
        assert ANALYSER in stamps
    text = (tmp_path / "drivers" / f"{ANALYSER}.yaml").read_text()
    assert text.count("pulse_count") == 1


def test_a_past_that_is_there_is_left_alone(directory) -> None:
    before = (directory / "journal" / "history.db").read_bytes()
    assert make_past(directory, NOW, months=3) == 0
    assert (directory / "journal" / "history.db").read_bytes() == before
