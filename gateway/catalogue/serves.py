"""What a meter can serve in a building, as somebody asks who is about to buy it: from the quantities that
its table gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

YES: Final = "yes"
NO: Final = "–"
_PHASES: Final = ("_l1", "_l2", "_l3")

QUESTIONS: Final = {
    "bill": "energy from the grid: kWh import, or a counter that knows no direction",
    "feed-in": "energy to the grid (PV, generator): kWh export",
    "tariffs": "kWh import by tariff, counted in the meter",
    "per phase": "what is known of each phase: P power, kWh energy, I current, U voltage",
    "neutral": "the current in the neutral",
    "reactive": "for the reactive energy limits: Q1–Q4 quadrants, or import and export, or one counter, or "
    "the power only",
    "demand": "the mean power of a quarter hour or so, formed in the meter (the platform forms its own in "
    "any case)",
    "quality": "THD of voltage (U) and current (I)",
    "also": "apparent energy, heat, DC inputs, pulses",
}
"""The columns of the table, and what each answers."""


def serves(names: Iterable[str]) -> dict[str, str]:
    """An answer to each of the QUESTIONS."""
    have = set(names)
    return {
        "bill": YES
        if have & {"active_energy_import", "heat_energy", "volume"}
        else "one way"
        if "active_energy_total" in have
        else NO,
        "feed-in": YES if "active_energy_export" in have else NO,
        "tariffs": _tariffs(have),
        "per phase": _per_phase(have),
        "neutral": YES if "current_n" in have else NO,
        "reactive": _reactive(have),
        "demand": _listed((("now", "active_power_demand"), ("maximum", "active_power_demand_max")), have),
        "quality": _listed((("U", "thd_voltage_l1"), ("I", "thd_current_l1")), have),
        "also": _listed(
            (
                ("kVAh", "apparent_energy"),
                ("heat", "heat_energy"),
                ("water", "volume"),
                ("DC", "dc_power"),
                ("pulses", "pulse_count"),
            ),
            have,
        ),
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


def page(drivers: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """The table of the page docs/meters.md, from names of drivers and of their quantities."""
    lines = ["## What each meter can serve", "", "| column | what it answers |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in QUESTIONS.items()]
    lines += ["", f"| driver | {' | '.join(QUESTIONS)} |", f"|---|{'---|' * len(QUESTIONS)}"]
    lines += [f"| `{name}` | {' | '.join(serves(names).values())} |" for name, names in drivers]
    return [*lines, ""]
