"""What a search has found on a line, where it is, and what else the line has shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.commissioning.scan.identify import Identified
from gateway.commissioning.scan.settings import LineSetting

Trouble = Literal["double", "noise", "echo", "master", "no_frame", "odd_number", "odd_unit"]
"""`double`: two meters at one address. `no_frame`: bytes come, but never a frame (A and B are swapped, or
another protocol). `odd_number`, `odd_unit`: answers carry another number, or unit, than their requests."""


@dataclass(frozen=True, slots=True)
class FoundMeter:
    """Something that answers. `unit` is its address; `double`: more than one device does."""

    setting: LineSetting | None
    unit: int
    took: float
    identified: Identified = field(default_factory=Identified)
    double: bool = False
    every: bool = False
    """A TCP device that answers whatever unit is asked for."""


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """Where the search is; times in s, `left` at most. `named` of those that were found are identified."""

    setting: LineSetting | None
    unit: int
    stage: str
    done: float
    left: float
    found: int
    named: int = 0


@dataclass(slots=True)
class Swept:
    """What a search brought: the meters, and what else the line has shown."""

    found: list[FoundMeter] = field(default_factory=list)
    tried: list[LineSetting] = field(default_factory=list)
    """Settings at which every address was asked."""
    likely_only: list[LineSetting] = field(default_factory=list)
    """Settings at which only the likely addresses were asked."""
    rtu: bool = False
    """Whether it is a host that passes the frames of a serial line."""
    troubles: set[Trouble] = field(default_factory=set)
    seconds: float = 0.0
    ended: bool = True
    """Whether it came to its end; False when it was interrupted."""
