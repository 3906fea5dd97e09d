"""The states that a page meets: each a snapshot with a history, as the proof of the page wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from energy_building import METERS as METERS_OF_TOWN
from energy_building import energy_history, keep_findings, keep_polls, make_history
from long_history import shape, write_years
from status_building import BUSES, CALM, HOUR, METERS, NOW, SNAPSHOT, Building, electric, lost, meter, value

from gateway.energy import Finding
from gateway.errors import HistoryError
from gateway.status.energy.facts import BuildingFacts, EnergyHistory, EnergyMeter
from gateway.status.snapshot import ClockView, JournalView, MeterView, Snapshot

IMPORT, EXPORT = "active_energy_import", "active_energy_export"
SIXTY = "Ana dağıtım panosu giriş sayacı, bodrum kat, trafo merkezi 2"
"""Sixty letters."""
assert len(SIXTY) == 60
KNOWN = ("sockets", "server", "heat", "lighting", "kitchen", "pv")


def whole(**more: object) -> Snapshot:
    """The town hall of energy_building: every meter answers."""
    labels = {"sockets": "Prizler panosu", "server": "Sunucu odası", "heat": "Isı pompası"}
    meters = [replace(METERS[0], values=electric(61.4, 184_223.5))]
    for number, name in enumerate(KNOWN, 2):
        power = -12.4 if name == "pv" else 3.0 * number
        label = labels.get(name, name.capitalize())
        meters.append(meter(name, label, number, electric(power, 10_000.0 * number), parent="main"))
    return replace(CALM, **{"meters": tuple(meters), "buses": BUSES, "screen": True, **more})


def _town(folder: Path, days: int = 60) -> EnergyHistory:
    make_history(folder, NOW, days)
    keep_polls(folder, NOW, "main", 24 * 6 + 18, {14: 306, 13: 180, 60: 9, 30: None, 31: None})
    return energy_history(folder)


def _nothing() -> EnergyHistory:
    def open_() -> object:
        raise HistoryError("there is no history yet", hint="wait a quarter hour")

    return EnergyHistory(BuildingFacts(), open_)  # type: ignore[arg-type]


def broker_away(folder: Path) -> Building:
    """No platform since the morning."""
    return _building(whole(uplinks=SNAPSHOT.uplinks), _town(folder))


def dead_meter(folder: Path) -> Building:
    """A sub meter is silent, its history ends."""
    make_history(folder, NOW, 60, gap=lambda name, day: name == "kitchen" and day.day in {17, 21})
    now = whole()
    meters = tuple(
        lost(view, NOW - 9 * HOUR, 9 * 3600.0) if view.id == "kitchen" else view for view in now.meters
    )
    return _building(replace(now, meters=meters), energy_history(folder))


def empty_journal(_folder: Path) -> Building:
    """The first minute: nothing was read, nothing is stored."""
    meters = tuple(
        replace(view, values=(), state="starting", since=NOW - 20_000, age=None) for view in whole().meters
    )
    journal = JournalView("b7f2c6d05a91e3f4", 0, budget=4_000_000_000)
    return _building(whole(meters=meters, journal=journal, uptime=20.0), _nothing())


def unsynchronised(folder: Path) -> Building:
    """Nobody vouches for the clock."""
    return _building(whole(clock=ClockView(synced=False)), _town(folder))


def five_years(folder: Path) -> Building:
    """Five years of a building with a plant."""
    registers = {
        ("main", IMPORT): shape(60.0, 0.2),
        ("main", EXPORT): shape(2.0, 0.0, sun=True),
        ("pv", IMPORT): shape(30.0, 0.0, sun=True),
        **{(name, IMPORT): shape(4.0 + 3 * number, 0.2) for number, name in enumerate(KNOWN[:-1])},
        ("main", "reactive_energy_q1"): shape(14.0, 0.2),
        ("main", "reactive_energy_q4"): shape(2.0, 0.2),
    }
    write_years(folder, NOW, 1826, registers)
    return _building(whole(), energy_history(folder))


def findings(folder: Path) -> Building:
    """The checks found a wrong ratio, a phase that works against the others, a register that began anew."""
    history = _town(folder)
    ratio = Finding(
        "transformer_ratio", NOW - 480 * HOUR, {}, {"factor": "2.000", "pairs": "100/200, 50/100, 75/150"}
    )
    wrong = Finding("wiring", NOW - 9 * HOUR, {}, {"what": "l2", "value": "-0.31"})
    reset = Finding("reset", NOW - 48 * HOUR, {"from": 184_223 * 10**15 + 5 * 10**14, "to": 0})
    spike = Finding("spike", NOW - 24 * HOUR, {"highest": 40 * 10**15}, {"percent": 210})
    keep_findings(
        folder,
        NOW,
        ("heat", IMPORT, ratio, 12),
        ("heat", "", wrong, 1),
        ("main", IMPORT, reset, 48),
        ("main", IMPORT, spike, 24),
    )
    return _building(whole(), history)


def forty_meters(folder: Path) -> Building:
    """A hospital."""
    names = [f"m{number:02}" for number in range(1, 41)]
    label = "Kat {}, klima ve havalandırma panosu"
    registers = {("main", IMPORT): shape(300.0, 0.3)}
    registers |= {(name, IMPORT): shape(2.0 + number / 4, 0.2) for number, name in enumerate(names)}
    write_years(folder, NOW, 60, registers)
    energy = (
        EnergyMeter("main", "Ana sayaç"),
        *(EnergyMeter(name, label.format(name[1:]), "main") for name in names),
    )
    views = tuple(
        meter(name, label.format(name[1:]), number, electric(2.0 + number, 900.0 * number), parent="main")
        for number, name in enumerate(names, 2)
    )
    now = whole(meters=(METERS[0], *views))
    return _building(now, energy_history(folder, meters=energy))


def long_names(folder: Path) -> Building:
    """Names of sixty letters, everywhere."""
    return _named(folder, SIXTY)


def names_without_a_blank(folder: Path) -> Building:
    """Names of fifty-six letters that no line ends within, everywhere."""
    return _named(folder, "ANA_DAGITIM_PANOSU_HAVALANDIRMA_SANTRALI_KAT_02_SOL_0001")


def short_names(folder: Path) -> Building:
    """Names of one letter, everywhere: what is tapped is not smaller than a finger."""
    return _named(folder, "A")


def _named(folder: Path, name: str) -> Building:
    make_history(folder, NOW, 60)
    now = whole()
    meters = tuple(replace(view, label=name, feeds=name) for view in now.meters)
    buses = tuple(replace(bus, label=name) for bus in BUSES)
    uplinks = tuple(replace(view, label=name) for view in SNAPSHOT.uplinks)
    service = (name, "+90 232 000 00 00")
    now = replace(now, name=name, meters=meters, buses=buses, uplinks=uplinks, service=service)
    history = energy_history(folder)
    energy = tuple(replace(each, label=name) for each in history.facts.meters)
    facts = replace(history.facts, meters=energy)
    return _building(now, EnergyHistory(facts, history.open))


def export_only(folder: Path) -> Building:
    """One meter that counts nothing but what it gives."""
    write_years(folder, NOW, 60, {("main", EXPORT): shape(20.0, 0.0, sun=True)})
    view: MeterView = meter(
        "main", "Çatı", 1, (value("active_power", -11.0), value(EXPORT, 48_120.5, decimals=2))
    )
    now = whole(meters=(view,))
    return _building(now, energy_history(folder, meters=(EnergyMeter("main", "Çatı"),)))


def water_and_heat(folder: Path) -> Building:
    """Beside the electricity a water meter, one of heat with its volume, and pulses of nobody knows what."""
    make_history(folder, NOW, 60)
    kinds = {
        ("water", "volume"): shape(280.0, 0.12),
        ("boiler", "heat_energy"): shape(40.0, 0.3),
        ("boiler", "volume"): shape(1700.0, 0.3),
        ("gate", "pulse_count"): shape(0.12, 0.0),
    }
    write_years(folder, NOW, 60, kinds)
    names = {"water": "Su sayacı", "boiler": "Kazan dairesi", "gate": "Turnike"}
    views = {
        "water": (value("volume", 1_842.317, decimals=3), value("volume_flow", 0.412)),
        "boiler": (value("heat_energy", 90_212.0), value("volume", 3_911.2), value("heat_power", 31.0)),
        "gate": (value("pulse_count", 81_411.0, decimals=0),),
    }
    others = [meter(name, label, 20 + n, views[name]) for n, (name, label) in enumerate(names.items())]
    more = tuple(EnergyMeter(name, label) for name, label in names.items())
    now = whole(meters=(*whole().meters, *others))
    return _building(now, energy_history(folder, meters=(*METERS_OF_TOWN, *more)))


def first_day(folder: Path) -> Building:
    """Since this morning."""
    make_history(folder, NOW, 0)
    return _building(whole(uptime=9 * 3600.0), energy_history(folder))


def _building(now: Snapshot, history: EnergyHistory) -> Building:
    building = Building(now)
    building.history = history
    return building


STATES: dict[str, Callable[[Path], Building]] = {
    each.__name__: each
    for each in (
        broker_away,
        dead_meter,
        findings,
        empty_journal,
        unsynchronised,
        five_years,
        forty_meters,
        long_names,
        names_without_a_blank,
        short_names,
        export_only,
        water_and_heat,
        first_day,
    )
}
PAGES = (
    "/",
    "/energy",
    "/energy?day=2026-11-21&by=quarter",
    "/energy?year=2026",
    "/reactive",
    "/quality",
    "/report",
    "/screen",
    "/meter/main",
    "/system",
)
OTHER_METERS = (
    "/energy?meter=water",
    "/energy?day=2026-11-21&meter=gate",
    "/energy?year=2026&meter=boiler&quantity=volume",
    "/meter/boiler",
)
"""Pages of meters that count no electricity, in the state that has some."""
