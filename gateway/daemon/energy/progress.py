"""How far the engine is, for whoever looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnergyProgress:
    """How far the engine is: batches taken in of all that it has to, intervals that wait to be published."""

    taken: int = 0
    batches: int = 0
    behind: int = 0
    live: bool = False
