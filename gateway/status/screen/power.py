"""What the building uses at this moment, by the meters' own powers, and how that is beside what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.status.energy.facts import BuildingFacts
from gateway.status.energy.figures import EXPORT, IMPORT, Figures
from gateway.status.snapshot import MeterView, Snapshot
from gateway.status.words.language import Locale

_ALIKE: Final = 0.1
"""So far may a power be from the band of quarter hours, as a part of it, and still be usual: it changes every
second."""
_WHOLE_KW: Final = 10
"""KW from which on a power is shown without decimals."""
_SIGNS: Final = {"import": 1, "export": -1}


@dataclass(frozen=True, slots=True)
class PowerSources:
    """The meters whose power is that of the building: those at the top of the tree, and plants, with the sign
    that their power has while they generate; 0: that is not known yet.
    """

    roots: tuple[str, ...] = ()
    plants: tuple[tuple[str, int], ...] = ()


NO_SOURCES: Final = PowerSources()
"""Of a building of which nothing is known."""


@dataclass(frozen=True, slots=True)
class BuildingPower:
    """KW used and generated at this moment; `silent`: a meter without which that cannot be said; `electric`:
    whether any meter at the top of the tree counts electricity that is drawn.
    """

    used: float | None = None
    sun: float | None = None
    silent: MeterView | None = None
    electric: bool = True


def power_sources(facts: BuildingFacts, figures: Figures | None = None) -> PowerSources:
    """Of a building; without `figures` which way a plant counts is what the configuration says."""
    ways = {plant.id: figures.direction(plant) if figures else plant.generates for plant in facts.plants}
    plants = tuple((plant, _SIGNS.get(way, 0)) for plant, way in ways.items())
    return PowerSources(tuple(root.id for root in facts.roots), plants)


def power_now(sources: PowerSources, now: Snapshot) -> BuildingPower:
    """What the meters of the building say at this moment."""
    drawn = gave = 0.0
    roots = [root for root in sources.roots if _counts_use(now.meter(root))]
    if not roots:
        return BuildingPower(electric=not sources.roots)
    for name, sign in (*((root, 0) for root in roots), *sources.plants):
        meter = now.meter(name)
        if meter is not None and meter.values and meter.value("active_power") is None:
            return BuildingPower()  # it answers, and tells no power
        view = meter.value("active_power") if meter else None
        if meter is None or view is None or view.value is None or view.stale:
            return BuildingPower(silent=meter)
        if name in roots:
            drawn += view.value
        elif sign == 0:
            # A plant of which nobody knows yet which way its power counts.
            return BuildingPower()
        else:
            gave += max(0.0, sign * view.value)
    if drawn < 0 and not sources.plants:
        return BuildingPower()  # something generates that has no meter: what is used of it nobody knows
    return BuildingPower(max(0.0, drawn + gave), gave if sources.plants else None)


def _counts_use(meter: MeterView | None) -> bool:
    """Whether a meter is one of electricity that is drawn; until it has answered it is taken for that."""
    if meter is None or not meter.values:
        return True
    names = {view.quantity for view in meter.values}
    if EXPORT in names and IMPORT not in names:
        return False
    return any(name.startswith(("active_energy", "active_power")) for name in names)


def beside_usual(power: float, usual: tuple[float, float] | None, f: Locale) -> str:
    """A power (kW) beside the lowest and the highest one of like days at this hour; empty: nobody knows
    them.
    """
    _ = f.gettext
    if usual is None:
        return ""
    low, high = usual
    # Not to be broken at its dash.
    ends = [f.number(each, 0 if high >= _WHOLE_KW else 1) for each in (low, high)]
    bounds = {"range": "\u2060–\u2060".join(dict.fromkeys(ends))}
    if power > high * (1 + _ALIKE):
        return _("more than usual at this hour: %(range)s") % bounds
    if power < low * (1 - _ALIKE):
        return _("less than usual at this hour: %(range)s") % bounds
    return _("as usual at this hour: %(range)s") % bounds
