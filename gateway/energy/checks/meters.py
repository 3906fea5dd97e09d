"""What is wrong with the meters of a building, each by what it says of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.energy.checks.meter import Plausibility
from gateway.energy.checks.register import Context, Finding
from gateway.energy.tree import TreeMeter

RECENT: Final = 900_000
"""ms for which a plant gives what its meter said last."""


class MeterChecks:
    """The checks of all meters. `context_of` gives what is known of a meter; `meters` are the tree.

    A phase that gives while others draw is a reversed transformer only where no plant can be what gives: a
    meter with plants behind it is judged while its plants give too little to turn a phase, which is at night.
    """

    def __init__(self, context_of: Callable[[str], Context], meters: Sequence[TreeMeter] = ()) -> None:
        self._context_of = context_of
        self._plausibilities: dict[str, Plausibility] = {}
        self._behind = _plants_behind(meters)
        self._plants = frozenset(meter.id for meter in meters if meter.is_plant)
        self._gives: dict[str, tuple[int, float]] = {}
        """Plant → when its power was read (ms UTC), and what it was (kW)."""

    def take(self, meter: str, t: int, values: Mapping[str, float]) -> Iterator[Finding]:
        """Take in what a meter said at `t` (ms UTC)."""
        own = self._plausibilities.get(meter)
        if own is None:
            own = self._plausibilities[meter] = Plausibility.of(self._context_of(meter))
        if meter in self._plants and (power := values.get("active_power")) is not None:
            self._gives[meter] = (t, abs(power))
        return own.take(t, values, may_feed_in=self._may_feed_in(meter, t, own.smallest / 2))

    def lasting(self, meter: str) -> list[str]:
        """Kinds of what was said of a meter and is still so."""
        own = self._plausibilities.get(meter)
        return [] if own is None else own.lasting

    def _may_feed_in(self, meter: str, t: int, least: float) -> bool:
        """Whether the plants behind a meter give more than `least` kW, or nobody knows what they give."""
        given = 0.0
        for plant in self._behind.get(meter, ()):
            at, power = self._gives.get(plant, (None, 0.0))
            if at is None or abs(t - at) > RECENT:
                return True
            given += power
        return given > least

    def tell_again(self) -> None:
        """What is so is said once more."""
        for own in self._plausibilities.values():
            own.tell_again()

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "watches": {meter: own.state() for meter, own in self._plausibilities.items()},
            "gives": self._gives,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` gave."""
        for meter, known in state["watches"].items():
            self._plausibilities[meter] = Plausibility.of(self._context_of(meter))
            self._plausibilities[meter].restore(known)
        # An earlier version kept nothing of the plants.
        self._gives = {plant: (at, power) for plant, (at, power) in state.get("gives", {}).items()}


def _plants_behind(meters: Sequence[TreeMeter]) -> dict[str, tuple[str, ...]]:
    """Meter → the plants below it in the tree; one that stands beside the tree may be behind any of the
    meters at the top.
    """
    parents = {meter.id: meter.parent for meter in meters}
    tops = [meter.id for meter in meters if meter.parent not in parents and not meter.is_plant]
    behind: dict[str, list[str]] = {}
    for plant in (meter.id for meter in meters if meter.is_plant):
        above: list[str] = []
        parent = parents[plant]
        while parent in parents and parent not in above:
            above.append(str(parent))
            parent = parents[str(parent)]
        for meter in above or tops:
            behind.setdefault(meter, []).append(plant)
    return {meter: tuple(plants) for meter, plants in behind.items()}
