"""Reactive energy against its limits: what is left of the month, where it is heading, until when it can be
mended.

By our meter; the bill is the distributor's. Inductive and capacitive do not cancel. They come from
quadrants 1 and 4, counted only while energy is drawn; a meter with two reactive registers gives them only
in a building without generation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from math import inf
from typing import Final, Literal

from gateway.energy.calendar import Calendar

_AMBER: Final = 80
"""Per cent of the limit."""
_LIKE: Final = 4
_TELLING: Final = 0.75
"""Part of a month that must be known to say whether it kept its limits."""


@dataclass(frozen=True, slots=True)
class ReactiveRegisters:
    """Which quantities say inductive and capacitive; `two_register`: the meter has no quadrants."""

    inductive: str
    capacitive: str
    two_register: bool


Reason = Literal["no_reactive_registers", "two_registers_with_generation"]


def registers(quantities: AbstractSet[str], *, generation: bool) -> ReactiveRegisters | Reason:
    """What a meter's quantities are good for, or why they are not."""
    if {"reactive_energy_q1", "reactive_energy_q4"} <= quantities:
        return ReactiveRegisters("reactive_energy_q1", "reactive_energy_q4", two_register=False)
    if {"reactive_energy_import", "reactive_energy_export"} <= quantities:
        if generation:
            return "two_registers_with_generation"
        return ReactiveRegisters("reactive_energy_import", "reactive_energy_export", two_register=True)
    return "no_reactive_registers"


@dataclass(frozen=True, slots=True)
class ReactiveDay:
    """Wh drawn and varh of a local day."""

    day: date
    active: int
    reactive: int


@dataclass(frozen=True, slots=True)
class ReactiveBudget:
    """Of one kind in one month; energies in Wh and varh, `limit` and `ratio` in per cent.

    `left`: limit × expected active − reactive so far; negative: passed. `ratio` is that of the expected
    month. `recoverable_until`: the last day on which it can still be mended; None: it does not pass the
    limit, or it is too late (`left` < 0).
    """

    limit: float
    active: int
    reactive: int
    active_expected: int
    reactive_expected: int
    left: int
    ratio: float
    colour: Literal["green", "amber", "red"]
    recoverable_until: date | None
    based_on: int
    """Days whose like days are known, of those that are left."""

    @property
    def so_far(self) -> float:
        """Per cent up to now."""
        return self.reactive * 100 / self.active if self.active else 0.0


def budget(
    days: Sequence[ReactiveDay], month: date, limit: float, calendar: Calendar, today: date
) -> ReactiveBudget | None:
    """The month that begins with `month`, by its days so far and those before it (like days of what is left).

    `days` are those that are known, by date, today's so far included. None: nothing of the month is known.
    """
    last = (month.replace(day=28) + timedelta(4)).replace(day=1) - timedelta(1)
    mine = [each for each in days if month <= each.day <= last]
    if not mine:
        return None
    active, reactive = sum(each.active for each in mine), sum(each.reactive for each in mine)
    known = {each.day: each for each in days if each.day < today}
    ahead: dict[date, tuple[int, int]] = {}
    based = 0
    for number in range((last - today).days + 1):
        day = today + timedelta(number)
        if day < month:
            continue
        expected = _expected(day, known, calendar)
        based += expected is not None
        ahead[day] = expected or _mean(list(known.values())[-28:])
    if today in ahead:
        # Of today the part that is still to come.
        so_far = next((each for each in mine if each.day == today), None)
        if so_far is not None:
            whole = ahead[today]
            ahead[today] = (max(0, whole[0] - so_far.active), max(0, whole[1] - so_far.reactive))
    active_expected = active + sum(each[0] for each in ahead.values())
    reactive_expected = reactive + sum(each[1] for each in ahead.values())
    allowed = active_expected * limit / 100
    until, total = None, reactive
    for day, (_, more) in ahead.items():
        total += more
        if total > allowed:
            until = day - timedelta(1)
            break
    ratio = reactive_expected * 100 / active_expected if active_expected else 0.0
    # Where nothing at all is drawn any reactive energy passes the limit, though there is no ratio.
    share = ratio * 100 / limit if active_expected or not reactive_expected else inf
    colour: Literal["green", "amber", "red"] = (
        "red" if share > 100 else "amber" if share >= _AMBER else "green"
    )
    left = round(allowed - reactive)
    return ReactiveBudget(
        limit,
        active,
        reactive,
        active_expected,
        reactive_expected,
        left,
        ratio,
        colour,
        None if left < 0 or until is None else max(until, today),
        based,
    )


def _expected(day: date, known: Mapping[date, ReactiveDay], calendar: Calendar) -> tuple[int, int] | None:
    """The mean of the newest four like days."""
    kind = calendar.kind(day)
    like = [each for each in reversed(list(known.values())) if calendar.kind(each.day) == kind][:_LIKE]
    return _mean(like) if like else None


def _mean(days: Sequence[ReactiveDay]) -> tuple[int, int]:
    if not days:
        return 0, 0
    return sum(each.active for each in days) // len(days), sum(each.reactive for each in days) // len(days)


def is_telling(known: int, expected: int) -> bool:
    """Whether enough quarter hours of a month are known to say if it kept its limits, which go by all of
    it.
    """
    return known >= expected * _TELLING


def is_breach(active: int, reactive: int, limit: float) -> bool:
    """Whether a month's reactive energy passed its limit: once it has, all of it is billed."""
    return reactive * 100 > limit * active


def charged(inductive: int, capacitive: int, active: int, limits: tuple[float, float]) -> int:
    """Varh that are billed: of a kind that passed its limit all; where both did, the larger one."""
    passed = [
        value
        for value, limit in zip((inductive, capacitive), limits, strict=True)
        if is_breach(active, value, limit)
    ]
    return max(passed, default=0)


Forgiveness = Literal["kept", "passed", "open", "forgiven", "too_many", "unfounded"]


@dataclass(frozen=True, slots=True)
class ReactiveMonth:
    """A whole month: Wh drawn, varh of both kinds, and the limits in per cent that held in it."""

    first: date
    active: int
    inductive: int
    capacitive: int
    limits: tuple[float, float]

    @property
    def passed(self) -> tuple[bool, bool]:
        """Whether the inductive and the capacitive limit were passed."""
        return (
            is_breach(self.active, self.inductive, self.limits[0]),
            is_breach(self.active, self.capacitive, self.limits[1]),
        )


def forgiveness(
    months: Sequence[ReactiveMonth], forgiven: Collection[str], per_year: int
) -> list[tuple[ReactiveMonth, Forgiveness]]:
    """What becomes of each month: kept; passed; open, when it passed and its year has a breach left that may
    be disregarded; forgiven, as the configuration names it (2026-03); too_many, when more are named than a
    year has; unfounded, when a month is named that kept its limits.
    """
    named: dict[int, int] = {}
    found: list[tuple[ReactiveMonth, Forgiveness]] = []
    for month in sorted(months, key=lambda each: each.first):
        year, breach = month.first.year, any(month.passed)
        if f"{month.first:%Y-%m}" in forgiven:
            if not breach:
                found.append((month, "unfounded"))
                continue
            named[year] = named.get(year, 0) + 1
            found.append((month, "forgiven" if named[year] <= per_year else "too_many"))
            continue
        found.append((month, "passed" if breach else "kept"))
    left = {year: per_year - sum(name.startswith(f"{year}-") for name in forgiven) for year in _years(months)}
    for place, (month, state) in enumerate(found):
        if state == "passed" and left[month.first.year] > 0:
            left[month.first.year] -= 1
            found[place] = (month, "open")
    return found


def _years(months: Sequence[ReactiveMonth]) -> set[int]:
    return {month.first.year for month in months}
