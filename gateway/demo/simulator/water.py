"""The water of the building: taps that open while people are there, a cistern that runs, and their meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.demo.simulator.circuit import Circuit, Voltages

WATER_MEAN: Final = 0.32
"""m³/h while everybody is there."""
DRIP: Final = 0.06
"""m³/h that run day and night."""
_OPEN: Final = 3.0
"""How much more than the mean flows through taps that are all open."""
_TAPS: Final = 90.0
"""s in which taps change."""
_HOUR: Final = 3600.0


@dataclass(slots=True)
class WaterPipe(Circuit):
    """A measuring point that counts water: `flow` in m³/h, its one register `volume` in m³."""

    flow: float = 0.0

    def run(self, seconds: float, tariff: int) -> None:  # noqa: ARG002 - water has no tariff times
        """Let the present flow run for a while."""
        self._add("volume", self.flow * seconds / _HOUR)

    def close_quarter(self) -> None:
        """Nothing of water is counted by the quarter hour."""

    def values(self, voltages: Voltages, frequency: float) -> dict[str, float]:  # noqa: ARG002 - not of water
        """What a water meter shows."""
        return {"volume": self.registers["volume"], "volume_flow": self.flow}


def water_flow(at_work: float, wobble: Callable[[str, float], float]) -> float:
    """m³/h by how full the building is (0 to 1); `wobble` is a course between -1 and 1 by name and period in
    s.
    """
    return DRIP + _OPEN * WATER_MEAN * at_work * max(0.0, wobble("taps", _TAPS))
