"""Degree days of a period, by the temperatures that the building's file gives, and the energy beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from gateway.energy import consumption
from gateway.status.energy.figures.figures import Figures

Kind = Literal["heating", "cooling"]
KINDS: Final[tuple[Kind, ...]] = ("heating", "cooling")


@dataclass(frozen=True, slots=True)
class DegreeDays:
    """`degrees`: sum of °C × day of `days` days, of `whole` that lie behind us; `energy`: what the building
    used on these, Wh. A day counts when its mean is at or beyond `when`, with its distance from `base`.
    """

    kind: Kind
    degrees: float
    energy: int
    days: int
    whole: int
    base: float
    when: float
    source: str

    @property
    def each(self) -> float:
        """KWh per degree day."""
        return self.energy / 1000 / self.degrees


def degree_days(figures: Figures, first: date, last: date) -> list[DegreeDays]:
    """Of heating and of cooling, where the file has temperatures of days that are known as a whole, and they
    come to anything. Today is left out: it is not over.
    """
    facts, until = figures.facts, min(last, figures.today - timedelta(1))
    if not facts.temperatures or facts.rules is None or until < first:
        return []
    sums = figures.series_sums("used", first, last)
    days = [day for day, one in sums.items() if first <= day <= until and one.whole]
    days = [day for day in days if day in facts.temperatures]
    found = []
    for kind in KINDS:
        row = facts.rules.degree_days(kind, first)
        if row is None:
            continue
        means = [facts.temperatures[day] for day in days]
        base, when = row.value.base, row.value.when
        degrees = consumption.degree_days(means, base, when, heating=kind == "heating")
        if degrees > 0:
            energy = sum(sums[day].sum for day in days)
            whole = (until - first).days + 1
            found.append(DegreeDays(kind, degrees, energy, len(days), whole, base, when, row.source))
    return found
