"""Main against sub meters, day by day (checks 15 and 16): who counts more than comes in, where a load was
added that no sub meter counts, and whose transformer is another one than was configured; and grid against
plants, which cannot use less than nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import gcd, isqrt
from typing import Any, Final

from gateway.energy import EXPORT, GRAIN, IMPORT, Finding, Register, consumption, counter_of, tree
from gateway.history.history import History

QUANTITY: Final = IMPORT
PERSIST: Final = 3
"""Days in a row."""
WEEK: Final = 7
_LIKE: Final = (7, 14, 21, 28)
"""Days back to the same weekdays."""
HOUR: Final = 4
"""Quarter hours."""


class TreeWatch:
    """Looks at a local day that is over. What lasts is told on the day on which it has lasted long enough."""

    def __init__(self, history: History, meters: Sequence[tree.TreeMeter], *, tell_all: bool = False) -> None:
        """`tell_all`: on the first day that is looked at also what was so before."""
        self._history = history
        self._calendar = history.calendar
        self._meters = meters
        self.lasting: list[tuple[str, str]] = []
        """Meter and kind of what is so on the day that was looked at last, new or not."""
        self._day: date | None = None
        """The day that was looked at last."""
        self._tell_all = tell_all
        self._rests: dict[str, dict[int, tuple[int, int]]] = {}
        """Meter → days (from 0001-01-01) of the last weeks → what no sub meter counted, and they did (Wh)."""
        self._beyond: dict[str, list[int]] = {}
        """Meter → those on which no sub meter counted clearly more than is usual."""
        self._told: dict[str, int] = {}
        """Meter → the day on which a new load was told last."""

    def is_due(self, day: date) -> bool:
        """Whether it was not looked at before."""
        return day != self._day

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        rests = {meter: [*days.items()] for meter, days in self._rests.items()}
        after = self._day and (self._day + timedelta(1)).isoformat()
        return {"tree": after, "rests": rests, "beyond": self._beyond, "told": self._told}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` gave; an earlier version knew the day alone."""
        self._day = date.fromisoformat(state["tree"]) - timedelta(1) if state["tree"] else None
        rests = state.get("rests", {})
        self._rests = {meter: {day: tuple(both) for day, both in days} for meter, days in rests.items()}
        self._beyond, self._told = state.get("beyond", {}), state.get("told", {})

    def findings(self, day: date) -> Iterator[tuple[str, Finding]]:
        """What there is to tell of a day, by meter."""
        self.lasting, self._day = [], day
        start, flows = self._calendar.quarters(day)[0], _Flows(self._history)
        meters = _with_plants(self._meters, flows.plants)
        days = [day - timedelta(back) for back in range(PERSIST + 1)]
        rests = _rests(meters, flows, day)
        yield from self._new_loads(rests, day, start)
        over = {rest.meter: rest for rest in rests if rest.over_counted}
        *lasting, before = [_over(meters, flows, each) for each in days[1:]]
        for name, rest in over.items():
            if all(name in each for each in lasting):
                self.lasting.append((name, "over_count"))
                amounts = {"rest": rest.rest, "band": rest.band, "metered": rest.metered}
                grains = {what: value * GRAIN for what, value in amounts.items()}
                if name not in before or self._tell_all:
                    yield name, Finding("over_count", start, grains)
        now, *earlier, first = [self._negative(flows, each) for each in days]
        if now is not None and all(earlier):
            self.lasting.append((flows.roots[0], "negative_use"))
            if first is None or self._tell_all:
                below, hours = now
                amounts = {"rest": below * GRAIN}
                yield flows.roots[0], Finding("negative_use", start, amounts, {"hours": hours})
        for meter in meters:
            found = self._suspicion(meters, flows, meter, days[0])
            if found is None:
                continue
            self.lasting.append((meter.id, "transformer_ratio"))
            pairs = ", ".join(f"{configured}/{installed}" for configured, installed in found.pairs[:5])
            facts = {"factor": f"{found.factor:.3f}", "pairs": pairs}
            if self._tell_all or self._suspicion(meters, flows, meter, days[1]) is None:
                yield meter.id, Finding("transformer_ratio", start, {}, facts)
        self._tell_all = False

    def _new_loads(
        self, rests: Sequence[tree.UnmeteredRest], day: date, start: int
    ) -> Iterator[tuple[str, Finding]]:
        """What no sub meter counts has grown beyond what is usual on that weekday, and stays so: told once in
        four weeks, for then it is usual.
        """
        today = day.toordinal()
        for rest in rests:
            past = self._rests.setdefault(rest.meter, {})
            if today in past:
                continue  # the clock was set back
            like = [past[today - back] for back in _LIKE if today - back in past]
            past[today] = (rest.rest, rest.metered)
            self._rests[rest.meter] = {each: both for each, both in past.items() if each >= today - _LIKE[-1]}
            usual = tree.new_load(rest, like)
            beyond = [each for each in self._beyond.get(rest.meter, []) if each > today - PERSIST]
            self._beyond[rest.meter] = beyond = [*beyond, today] if usual is not None else beyond
            if usual is not None and len(beyond) == PERSIST and not self._is_told(rest.meter, today):
                self._told[rest.meter] = today
                amounts = {"rest": rest.rest, "usual": usual, "band": rest.band}
                yield rest.meter, Finding("unmetered_load", start, {k: v * GRAIN for k, v in amounts.items()})
            if beyond and self._is_told(rest.meter, today):
                self.lasting.append((rest.meter, "unmetered_load"))

    def _is_told(self, meter: str, today: int) -> bool:
        return today - self._told.get(meter, today - _LIKE[-1] - 1) <= _LIKE[-1]

    def _suspicion(
        self, meters: Sequence[tree.TreeMeter], flows: _Flows, meter: tree.TreeMeter, day: date
    ) -> tree.RatioSuspicion | None:
        if meter.parent is None or meter.id in flows.plants:
            return None
        # What a plant beside it gives is a step of the meter above that no sub meter makes.
        beside = [each.id for each in meters if each.parent == meter.parent and each.id in flows.plants]
        sub, above, *given = (self._week(flows, each, day) for each in (meter.id, meter.parent, *beside))
        above = [
            None if whole is None or None in parts else whole - sum(parts)
            for whole, *parts in zip(above, *given, strict=True)
        ]
        # Both halves of the week must say the same: else it has just begun, or is another load.
        half = len(sub) // 2
        parts = [tree.suspicion(meter.id, sub[at], above[at]) for at in (slice(half), slice(half, None))]
        early, late = parts
        if early is None or late is None or abs(early.factor / late.factor - 1) > tree.NEAR:
            return None
        return tree.suspicion(meter.id, sub, above)

    def _negative(self, flows: _Flows, day: date) -> tuple[int, int] | None:
        """By how much (Wh, < 0), and in how many hours, grid and plants say that the building used less than
        nothing: beyond the classes of their meters and the steps of their registers.
        """
        if not flows.plants or not flows.roots:
            return None
        meters = {each.id: each for each in self._meters}
        held: list[tuple[tree.TreeMeter, int, list[int]]] = []
        # What is used comes through the main meters, or from a plant, whose flow is negative.
        for name, sign in [*((root, 1) for root in flows.roots), *((plant, -1) for plant in flows.plants)]:
            sides, meter = flows.sides_of_day(name, day), meters.get(name)
            if meter is None or not sides:
                return None
            held += [(meter, sign * side, values) for side, values in sides]
        steps = sum(gcd(*values) for _, _, values in held)
        rest = hours = 0
        for hour in range(0, len(held[0][2]), HOUR):
            sums = [(meter, sign, sum(values[hour : hour + HOUR])) for meter, sign, values in held]
            band = isqrt(sum(tree.uncertainty(meter, value) ** 2 for meter, _, value in sums)) + steps
            one = consumption.used(sum(sign * value for _, sign, value in sums), 0, 0, band)
            if one.suspect:
                rest, hours = rest + one.rest, hours + 1
        return (rest, hours) if hours else None

    def _week(self, flows: _Flows, meter: str, day: date) -> list[int | None]:
        values: list[int | None] = []
        for back in reversed(range(WEEK)):
            other = day - timedelta(back)
            values += flows.measured(meter, other) or [None] * len(self._calendar.quarters(other))
        return values


class _Flows:
    """What flows through a meter to those below it: what is drawn, less what is fed in. A plant's is
    negative while it gives; through one of which it is not known which register counts its yield, nothing is
    known. `roots` are those of electricity.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        sums = history.sums
        self.plants, known = sums.plants(), history.registers
        self.roots = [
            root for root in sums.meters.roots if counter_of(root, known) or (root, EXPORT) in known
        ]

    def of_day(self, meter: str, day: date) -> tuple[int, int] | None:
        """The whole day, and the sum of both directions, Wh; None unless all of it is known."""
        sums = [(sign, sum(values)) for sign, values in self.sides_of_day(meter, day)]
        return (sum(sign * value for sign, value in sums), sum(value for _, value in sums)) if sums else None

    def sides_of_day(self, meter: str, day: date) -> list[tuple[int, list[int]]]:
        """Each quarter hour (Wh) of what is drawn (1) and of what is fed in (-1); empty unless all of it is
        known.
        """
        held = [(sign, self._history.day(register, day)) for sign, register in self._sides(meter)]
        sides = [(sign, each.values) for sign, each in held if each is not None and all(each.quality)]
        return sides if len(sides) == len(held) else []

    def measured(self, meter: str, day: date) -> list[int | None] | None:
        """Each quarter hour, Wh, None where it was not measured; None: nothing is known of the day."""
        held = [(sign, self._history.day(register, day)) for sign, register in self._sides(meter)]
        sides = [
            [
                sign * value if letter == "m" else None
                for value, letter in zip(each.values, each.quality, strict=True)
            ]
            for sign, each in held
            if each is not None
        ]
        if not held or len(sides) < len(held):
            return None
        return [None if None in row else sum(row) for row in zip(*sides, strict=True)]

    def _sides(self, meter: str) -> list[tuple[int, Register]]:
        """Registers that count what is drawn (1) and fed in (-1); none: it is not known which do."""
        known = self._history.registers
        if meter in self.plants:
            pair = self.plants[meter]
            sides = [] if pair is None else [(-1, pair[0]), (1, pair[1])]
        else:
            name = counter_of(meter, known)
            sides = [(1, (meter, name))] if name else []
            sides += [(-1, (meter, EXPORT))] if name == IMPORT else []
        return [(sign, register) for sign, register in sides if register in known]


def _with_plants(meters: Sequence[tree.TreeMeter], plants: Collection[str]) -> list[tree.TreeMeter]:
    """The tree with its plants in it: one without a meter above it feeds in below the building's main meter.
    Where there are several of these nobody can tell below which, and none of them is judged.
    """
    ids = {each.id for each in meters}
    tops = [each for each in meters if each.parent not in ids]
    roots = [each.id for each in tops if each.id not in plants]
    loose = {each.id for each in tops if each.id in plants}
    if not loose:
        return list(meters)
    if len(roots) == 1:
        return [replace(each, parent=roots[0]) if each.id in loose else each for each in meters]
    return [each for each in meters if each.id not in roots]


def _rests(meters: Sequence[tree.TreeMeter], flows: _Flows, day: date) -> list[tree.UnmeteredRest]:
    known = {each.id: flow for each in meters if (flow := flows.of_day(each.id, day)) is not None}
    energies, through = ({name: flow[at] for name, flow in known.items()} for at in (0, 1))
    return tree.rests(meters, energies, through)


def _over(meters: Sequence[tree.TreeMeter], flows: _Flows, day: date) -> dict[str, tree.UnmeteredRest]:
    return {rest.meter: rest for rest in _rests(meters, flows, day) if rest.over_counted}
