"""Drivers on paper: the list of known meters for the documentation, and what stands on a label."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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


def squashed(text: str) -> str:
    """A name as it is compared: without regard to capitals, blanks, dashes and dots."""
    return re.sub(r"[\W_]+", "", text.casefold())


_TELLS: Final = re.compile(r"\d|.{4}")
"""What may be the beginning of a word: SMA is a maker, not the beginning of a smart meter."""
_NO_NAME: Final = {"", "meter"}
"""What is left of a model and no name: energy meter 750 is no SunSpec meter."""


def matches(driver: Driver, words: Iterable[str]) -> bool:
    """Whether every word begins a word of a driver's name, maker, model or what it covers."""
    names = [driver.name, driver.model, *driver.covers, *driver.model.split(",")]
    names += [f"{driver.maker} {name}" for name in names]
    return all((_begins if _TELLS.search(squashed(word)) else _is_whole)(word, names) for word in words)


def _parts(name: str) -> list[str]:
    """The words and the numbers of a name: SDM, 630 and MCT of SDM630MCT."""
    return re.findall(r"[^\W\d_]+|\d+", name.casefold())


def _begins(word: str, names: Iterable[str]) -> bool:
    """Whether a part of a name begins with this: 630 and MCT do, DM does not."""
    wanted = squashed(word)
    return any(
        "".join(parts[at:]).startswith(wanted) for parts in map(_parts, names) for at in range(len(parts))
    )


def _is_whole(word: str, names: Iterable[str]) -> bool:
    """Whether a name has this as a part, or as parts one after the other."""
    wanted = squashed(word)
    return any(
        wanted in ("".join(parts[at:to]) for at in range(len(parts)) for to in range(at + 1, len(parts) + 1))
        for parts in map(_parts, names)
    )


def why_not(words: Iterable[str], makers: Iterable[str] = ()) -> list[str]:
    """What is said of meters that have no table and on whose label these words stand; else of those whose
    name a label begins with, if it is more than a maker's; else of a family before a number (DCRL of DCRL8).
    """
    words, known = list(words), {squashed(part) for maker in makers for part in maker.split()}
    starts = (start for at in range(len(words)) for start in _starts(" ".join(words[at:]).casefold(), 3))
    tries = (words, *([start] for start in starts if start not in known and not start.isdecimal()))
    letters = {part[0] for word in words if (part := re.match(r"[^\W\d_]{3,}(?=\d)", word.casefold()))}
    return next((found for tried in tries if (found := lacking(tried))), []) or _said(
        lambda names: not letters.isdisjoint(name.split()[-1].casefold() for name in names if name.strip())
    )


def lacking(words: Iterable[str]) -> list[str]:
    """What is said of meters, or of rows of theirs, that are not here and have all these words."""
    words = list(words)
    return _said(lambda names: bool(words) and all(_is_whole(word, names) for word in words))


def _said(meant: Callable[[list[str]], bool]) -> list[str]:
    return [f"{names}: {why}" for names, why in not_here() if meant(re.split(r"[,:()]", names))]


def labelled(drivers: Iterable[Driver], words: Iterable[str]) -> list[Driver]:
    """Drivers that have every word; else those whose model a label begins with: EM340 of EM340DINAV23XS1X."""
    drivers, words = list(drivers), list(words)
    exact = [driver for driver in drivers if matches(driver, words)]
    if exact or not words:
        return exact
    for at in range(len(words)):  # what stands before is the maker
        known = [driver for driver in drivers if matches(driver, words[:at])]
        label = " ".join(words[at:]).casefold()
        if begun := [driver for driver in known if any(size.match(label) for size in _sizes(driver))]:
            return begun
        for start in _starts(label):
            if begun := [driver for driver in known if start in _called(driver)]:
                return begun
            if re.search(r"\d", start) and lacking([start]):
                return []
        family = re.match(r"[^\W\d_]+(?=[\W_]*\d)", label)
        if family and (begun := [driver for driver in known if family[0] in _families(driver)]):
            return begun
    return []


def _sizes(driver: Driver) -> list[re.Pattern[str]]:
    """How labels of the models begin in whose names … stands for a size: MOD 10KTL3-XH of MOD …KTL3-XH, which
    is no MOD …KTL3-X.
    """
    names = (re.findall(r"…|[^\W_]+", name.casefold()) for name in (*driver.covers, *_models(driver)))
    sized = ([r"\d+([.,]\d+)?" if part == "…" else part for part in parts] for parts in names if "…" in parts)
    return [re.compile(r"[\W_]*".join(parts) + r"(?![^\W_])") for parts in sized]


def _starts(label: str, letters: int = 5) -> list[str]:
    """What a label begins with, the longest first: to the end of a part, or of a number before letters."""
    starts, so_far = [], ""
    for part in re.split(r"[\W_]+", label):
        starts += [so_far + part[: end.end()] for end in re.finditer(r"\d(?=[^\W\d_])", part)]
        so_far += part
        starts.append(so_far)
    return [start for start in reversed(starts) if len(start) >= (3 if re.search(r"\d", start) else letters)]


def _called(driver: Driver) -> set[str]:
    """The models of a driver, each as it may stand on a label, with and without the maker. What is in
    brackets says something of them, unless it has a number: one phase, grid meter, but 7KM2200.
    """
    remarks = [remark for part in re.findall(r"\((.*?)\)", driver.model) for remark in part.split(",")]
    parts = [*driver.covers, *_models(driver), *(remark for remark in remarks if re.search(r"\d", remark))]
    parts += [word for part in parts for word in part.split() if re.search(r"\d", word)]
    names = {squashed(part) for part in parts} - _NO_NAME
    return names | {squashed(driver.maker) + name for name in names}


def _models(driver: Driver) -> list[str]:
    return re.split(r"[,/]| and ", re.sub(r"\(.*?\)", ",", driver.model))


def _families(driver: Driver) -> set[str]:
    """What the models of a table for whole families begin with: ECM of ECM300C, SG of SG110CX."""
    models = ",".join(map(str.strip, _models(driver)))
    family = re.search(r"^(.*) (?:series|families)\b", models)
    return {name.casefold() for name in family[1].split(",") if name.isalpha()} if family else set()


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
