"""Which meter's reactive energy a building is judged by, and which of its registers say it."""

from __future__ import annotations

from gateway.energy import reactive
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import IMPORT, Figures


def main_meter(figures: Figures) -> EnergyMeter | None:
    """The one meter at the top of the tree that counts what is drawn; None where that is not one, or its
    register counts both ways. What stands beside it counts water, heat or what is fed in alone.
    """
    roots = [root for root in figures.facts.roots if figures.counter(root)]
    return roots[0] if len(roots) == 1 and figures.counter(roots[0]) == IMPORT else None


def main_registers(figures: Figures, main: EnergyMeter) -> reactive.ReactiveRegisters | reactive.Reason:
    """Which registers of the main meter say inductive and capacitive, or why none does."""
    quantities = {quantity for meter, quantity in figures.registers if meter == main.id}
    return reactive.registers(quantities, generation=bool(figures.facts.plants))


def reactive_registers(figures: Figures) -> reactive.ReactiveRegisters | None:
    """The same where there are any."""
    main = main_meter(figures)
    found = None if main is None else main_registers(figures, main)
    return found if isinstance(found, reactive.ReactiveRegisters) else None
