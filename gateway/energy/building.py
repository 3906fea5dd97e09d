"""Which registers say what a building drew, fed in, generated and used, and its quarter hours from theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from gateway.energy.consumption import used_value

IMPORT: Final = "active_energy_import"
EXPORT: Final = "active_energy_export"
TOTAL: Final = "active_energy_total"

Register = tuple[str, str]
"""Meter and quantity."""
DayQuarters = Sequence[int | None]
"""Wh of each quarter hour of a local day, None where nothing is known."""
NOT_YET: Final[DayQuarters] = ()
"""The quarter hours of a register that begins on a later day: until then the building is what is measured
without it.
"""
_RULE: Final = 3
"""By which rule sums are made: those of an earlier one are made anew."""
BuildingSeries = Literal["drawn", "fed", "generated", "used"]
SERIES: Final[tuple[BuildingSeries, ...]] = ("drawn", "fed", "generated", "used")


def counter_of(meter: str, known: Collection[Register]) -> str:
    """The quantity that says what a meter's circuit used; empty when it has none."""
    return next((name for name in (IMPORT, TOTAL) if (meter, name) in known), "")


@dataclass(frozen=True)
class BuildingRegisters:
    """`drawn` and `fed` of the meters at the top of the tree; of each plant the register of its yield and
    that of the other direction.
    """

    drawn: tuple[Register, ...] = ()
    fed: tuple[Register, ...] = ()
    plants: tuple[tuple[Register, Register], ...] = ()

    @classmethod
    def of(
        cls, roots: Sequence[str], plants: Sequence[tuple[str, str]], known: Collection[Register]
    ) -> BuildingRegisters:
        """`plants`: meter, and the direction that counts its yield (import, export; empty: it is not known,
        and the plant is left out). `known`: registers that have intervals.
        """
        drawn = tuple((root, name) for root in roots if (name := counter_of(root, known)))
        fed = tuple((root, EXPORT) for root in roots if (root, EXPORT) in known)
        both = {"import": (IMPORT, EXPORT), "export": (EXPORT, IMPORT)}
        pairs = tuple(
            ((plant, both[direction][0]), (plant, both[direction][1]))
            for plant, direction in plants
            if direction
        )
        return cls(drawn, fed, pairs)

    @cached_property
    def text(self) -> str:
        """The same as text: two of one text give the same sums."""
        return json.dumps([self.drawn, self.fed, self.plants, _RULE], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> BuildingRegisters:
        """What `text` gave; of an empty one there are no registers."""
        drawn, fed, plants, *_rule = json.loads(text) if text else ([], [], [])
        pairs = tuple(((own[0], own[1]), (other[0], other[1])) for own, other in plants)
        return cls(tuple((m, q) for m, q in drawn), tuple((m, q) for m, q in fed), pairs)

    @cached_property
    def registers(self) -> frozenset[Register]:
        """Every register that its series are computed from."""
        return frozenset([*self.drawn, *self.fed, *(each for pair in self.plants for each in pair)])

    def alone(self, series: BuildingSeries) -> Register | None:
        """The one register that says as much as a series; None when it takes more than one."""
        match series:
            case "drawn":
                return self.drawn[0] if len(self.drawn) == 1 else None
            case "fed":
                return self.fed[0] if len(self.fed) == 1 else None
            case "used":
                return None if self.plants or self.fed else self.alone("drawn")
            case _:
                return None

    def quarters(
        self, series: BuildingSeries, day: Callable[[Register], DayQuarters | None]
    ) -> DayQuarters | None:
        """A series on a local day, from what each register took on it (`day`; None: nothing, NOT_YET: it has
        not begun); None where the day is not known, NOT_YET where none of its registers has begun.
        """
        match series:
            case "drawn":
                return _sum([day(each) for each in self.drawn])
            case "fed":
                # One of which there is nothing on a day is read no more.
                held = [day(each) or NOT_YET for each in self.fed]
                return _sum([each for each in held if any(value is not None for value in each)])
            case "generated":
                return _sum([_difference(day(own), day(other)) for own, other in self.plants])
            case _:
                return self._used(day)

    def _used(self, day: Callable[[Register], DayQuarters | None]) -> DayQuarters | None:
        """Beside a plant a quarter hour of which the feed-in is not known is not known; without one nothing
        was fed in then.
        """
        drawn, fed = self.quarters("drawn", day), self.quarters("fed", day)
        if not drawn or (not fed and not self.plants):
            return drawn
        nothing = [0] * len(drawn)
        gave = self.quarters("generated", day) if self.plants else nothing
        if gave is None:
            return None
        return [
            None
            if one is None or three is None or (two is None and self.plants)
            else used_value(one, two or 0, three)
            for one, two, three in zip(drawn, fed or nothing, gave or nothing, strict=False)
        ]


def _sum(parts: Sequence[DayQuarters | None]) -> DayQuarters | None:
    """Sums of the quarter hours that all have; None where one has nothing."""
    begun = [each for each in parts if each is None or each]
    if len(begun) < 2:
        return begun[0] if begun else parts[0] if parts else None
    held = [each for each in begun if each is not None]
    if not held or len(held) < len(begun):
        return None
    return [None if None in row else sum(row) for row in zip(*held, strict=False)]


def _difference(one: DayQuarters | None, other: DayQuarters | None) -> DayQuarters | None:
    """What one has more than the other, where the other has anything."""
    if not one or not other:
        return one
    return [None if a is None else a - (b or 0) for a, b in zip(one, other, strict=False)]
