"""Drivers on paper: the list of known meters for the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.catalogue.driver import Driver, SerialDefaults
from gateway.catalogue.load import not_here
from gateway.catalogue.resolve import quantities
from gateway.model import ATTRIBUTES, QUANTITIES

_GROUPS: Final = (
    ("U", "voltage_"),
    ("I", "current"),
    ("P", "active_power"),
    ("Q", "reactive_power"),
    ("S", "apparent_power"),
    ("PF", "power_factor|displacement_factor"),
    ("f", "frequency"),
    ("kWh import", "active_energy_import"),
    ("kWh export", "active_energy_export"),
    ("kWh total", "active_energy_total"),
    ("kvarh", "reactive_energy"),
    ("THD", "thd_"),
    ("DC", "dc_"),
    ("kWh heat", "heat_energy"),
    ("kWh cooling", "cooling_energy"),
    ("kW heat", "heat_power"),
    ("m³", "volume$"),
    ("m³/h", "volume_flow"),
    ("°C", "temperature_"),
)
"""What a table gives, and how the names of its quantities begin."""

_NOT_HERE: Final = (
    "## Not here, and what it would take",
    "",
    "A table is left out, or a row of it, when its facts are not known well enough: a wrong value is worse "
    "than none.",
    "",
    "| meter | what is missing |",
    "|---|---|",
)


def port(defaults: SerialDefaults, tcp: int | None) -> str:
    """The factory setting of a meter's port, as people write it."""
    parts = []
    if defaults.baudrate or defaults.parity or defaults.stopbits:
        frame = (
            f"8{defaults.parity or '?'}{defaults.stopbits or '?'}"
            if defaults.parity or defaults.stopbits
            else ""
        )
        parts.append(f"{defaults.baudrate or '?'} {frame}".strip())
    if defaults.address:
        parts.append(f"address {defaults.address}")
    if tcp:
        parts.append(f"TCP {tcp}")
    return ", ".join(parts) or "not known"


def summary(driver: Driver) -> str:
    """The groups of quantities that a driver gives."""
    names = quantities(driver)
    found = []
    for label, starts in _GROUPS:
        mine = [name for name in names if re.match(starts, name) and "demand" not in name]
        if mine:
            phases = any(name.endswith(("_l1", "_l1n", "_l2")) for name in mine) and any(
                name.endswith(("_l2", "_l2n", "_l23")) for name in mine
            )
            quadrants = any(name.endswith("_q1") for name in mine)
            tariffs = max((name[-1] for name in mine if name[-3:-1] == "_t"), default="")
            marks = [
                mark
                for mark, there in (
                    ("phases", phases),
                    ("Q1–Q4", quadrants),
                    (f"T1–T{tariffs}", bool(tariffs)),
                )
                if there
            ]
            found.append(label + (f" ({', '.join(marks)})" if marks else ""))
    if any("demand" in name for name in names):
        found.append("demand")
    return ", ".join(found)


def markdown(drivers: Iterable[Driver]) -> str:
    """docs/meters.md."""
    drivers = list(drivers)
    twins = same_maps(drivers)
    lines = [
        "# Known meters",
        "",
        "<!-- Made by `submeter drivers list --markdown`; a test keeps it current. Change the tables in "
        "drivers/, not this page. -->",
        "",
        f"{len(drivers)} drivers, {len(drivers) - len(twins)} of them with a register map of their own.",
        "Your meter is not here? [Add it in ten minutes](add-a-meter.md).",
        "",
        "**Proof** says how well a table is known. `datasheet`: the maker's paper was read; source names "
        "title, edition and page.",
        "`two-sources`: two programs or lists that do not know of each other agree, on power and on the "
        "energy that is billed; a row that",
        "rests on one of them is named. `one-source`: power or that energy rests on a single one. `hardware` "
        "names who compared a real meter,",
        "and when. Every table reads a register image to the right values through the whole gateway; where a "
        "second source is known, the image",
        "is by it. Nothing is called proven on hardware that nobody has touched: compare with the display "
        "when you commission the first of a",
        "kind (`submeter drivers try`).",
        "",
        "Before you buy: [what each meter can serve](#what-each-meter-can-serve).",
        "",
        "Powers and energies count import as positive. The sign of a power factor is that of the active "
        "power. Two reactive counters",
        "are import and export; quadrants are given only where the meter has four.",
        "",
    ]
    maker = ""
    for driver in sorted(drivers, key=lambda driver: (driver.maker.casefold(), driver.name)):
        if driver.maker != maker:
            maker = driver.maker
            lines += [
                f"## {maker}",
                "",
                "| driver | models | gives | factory port | proof | source |",
                "|---|---|---|---|---|---|",
            ]
            lines += [
                _line(other, twins)
                for other in sorted(drivers, key=lambda other: other.name)
                if other.maker == maker
            ]
            lines += [""]
    lines += serving_table(
        (driver.name, quantities(driver)) for driver in sorted(drivers, key=lambda driver: driver.name)
    )
    return "\n".join([*lines, *_NOT_HERE, *(f"| {names} | {why} |" for names, why in not_here()), ""])


def _line(driver: Driver, twins: dict[str, str]) -> str:
    models = driver.model + (f"; also {', '.join(driver.covers)}" if driver.covers else "")
    gives = f"as `{twins[driver.name]}`" if driver.name in twins else summary(driver)
    return (
        f"| `{driver.name}` | {models} | {gives} | {port(driver.serial, driver.tcp_port)} | "
        f"{driver.verified} | {driver.source} |"
    )


def same_maps(drivers: Iterable[Driver]) -> dict[str, str]:
    """Drivers that read the same values at the same places as another one, and which: their map is not
    their own.
    """
    first: dict[object, str] = {}
    twins: dict[str, str] = {}
    for driver in sorted(drivers, key=lambda driver: (bool(driver.like), driver.name)):
        rows = frozenset(
            (row.name, row.spans, row.type, row.order, row.factor) for row in driver.rows if not row.attribute
        )
        key = (rows, driver.discovery and driver.discovery.models)
        if first.setdefault(key, driver.name) != driver.name:
            twins[driver.name] = first[key]
    return twins


def vocabulary() -> str:
    """The words of the vocabulary as a table, patterns together."""
    lines = ["| quantity | unit | OBIS | English | Türkçe |", "|---|---|---|---|---|"]
    lines += [
        f"| `{word.name}` | {word.unit} | {word.obis} | {word.en} | {word.tr} |"
        for word in QUANTITIES.values()
        if not word.own
    ]
    lines += [
        "",
        "Facts about a meter (class `static`): " + ", ".join(f"`{name}`" for name in ATTRIBUTES) + ".",
    ]
    return "\n".join(lines)


YES: Final = "yes"
NO: Final = "–"
_PHASES: Final = ("_l1", "_l2", "_l3")

QUESTIONS: Final = {
    "bill": "what is billed: kWh import (yes), or heat, cooling, water (of a heat meter, the water of its "
    "circuit); one way: a counter that knows no direction, not enough beside PV or a generator",
    "feed-in": "energy to the grid (PV, generator): kWh export",
    "tariffs": "kWh import by tariff, counted in the meter",
    "per phase": "what is known of each phase: P power, kWh energy, I current, U voltage",
    "neutral": "the current in the neutral",
    "reactive": "for the limits of inductive and capacitive energy: Q1–Q4 quadrants, enough beside PV or a "
    "generator too; import, export: enough without them; one counter, power only: not enough",
    "demand": "the mean power of a quarter hour or so, formed in the meter (the platform forms its own in "
    "any case)",
    "quality": "THD of voltage (U) and current (I)",
    "also": "apparent energy, power and flow and temperatures (°C) of heat or water, DC inputs, pulses",
}
"""The columns of the table, and what each answers."""
_NEEDS: Final = (
    "The meter of a tenant needs *bill*; a main meter whose reactive energy has limits *reactive* as well, "
    "and beside PV or a generator\n*feed-in* and Q1–Q4; where the neutral may carry more than the phases "
    "(LED lights, computers, drives) *neutral* and *quality*."
)
"""What a buyer looks for in the table."""
_ALSO: Final = (
    ("kVAh", "apparent_energy"), ("kW heat", "heat_power"), ("flow", "volume_flow"),
    ("°C", "temperature_flow"), ("DC", "dc_power"), ("pulses", "pulse_count"),
)  # fmt: skip


def serves(names: Iterable[str]) -> dict[str, str]:
    """An answer to each of the QUESTIONS."""
    have = set(names)
    pipes = (("heat", "heat_energy"), ("cooling", "cooling_energy"), ("water", "volume"))
    one_way = "one way" if "active_energy_total" in have else _listed(pipes, have)
    return {
        "bill": YES if "active_energy_import" in have else one_way,
        "feed-in": YES if "active_energy_export" in have else NO,
        "tariffs": _tariffs(have),
        "per phase": _per_phase(have),
        "neutral": YES if "current_n" in have else NO,
        "reactive": _reactive(have),
        "demand": _listed((("now", "active_power_demand"), ("maximum", "active_power_demand_max")), have),
        "quality": _listed((("U", "thd_voltage_l1"), ("I", "thd_current_l1")), have),
        "also": _listed(_ALSO, have),
    }


def _listed(marks: Iterable[tuple[str, str]], have: set[str]) -> str:
    return ", ".join(mark for mark, name in marks if name in have) or NO


def _tariffs(have: set[str]) -> str:
    numbers = [
        number
        for number in "1234"
        if f"active_energy_import_t{number}" in have or f"active_energy_total_t{number}" in have
    ]
    return f"T1–T{numbers[-1]}" if len(numbers) > 1 else NO


def _per_phase(have: set[str]) -> str:
    kinds = (("P", "active_power"), ("kWh", "active_energy_import"), ("I", "current"), ("U", "voltage"))
    found = [
        mark
        for mark, name in kinds
        if all(f"{name}{phase}{'n' if name == 'voltage' else ''}" in have for phase in _PHASES)
    ]
    return ", ".join(found) or ("one phase" if "voltage_l1n" in have or "current_l1" in have else NO)


def _reactive(have: set[str]) -> str:
    if all(f"reactive_energy_q{number}" in have for number in "1234"):
        return "Q1–Q4"
    if {"reactive_energy_import", "reactive_energy_export"} <= have:
        return "import, export"
    if {"reactive_energy_import", "reactive_energy_total"} & have:
        return "one counter"
    return "power only" if "reactive_power" in have or "reactive_power_l1" in have else NO


def serving_table(drivers: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """The table of the page docs/meters.md, from names of drivers and of their quantities."""
    lines = ["## What each meter can serve", "", _NEEDS, "", "| column | what it answers |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in QUESTIONS.items()]
    lines += ["", f"| driver | {' | '.join(QUESTIONS)} |", f"|---|{'---|' * len(QUESTIONS)}"]
    lines += [f"| `{name}` | {' | '.join(serves(names).values())} |" for name, names in drivers]
    return [*lines, ""]
