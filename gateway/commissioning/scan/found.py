"""What a search has found on a line, where it is, and what else the line has shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.commissioning.scan.identify import Identified
from gateway.commissioning.scan.settings import LineSetting
from gateway.field import Difference, rule_of

Trouble = Literal[
    "double", "noise", "echo", "master", "no_frame", "odd_number", "odd_unit", "odd_fields", "connect_pause"
]
"""`double`: two meters at one address. `no_frame`: bytes come, but never a frame (A and B are swapped, or
another protocol). `odd_number`, `odd_unit`: answers carry another number, or unit, than their requests;
`odd_fields`: they differ in several fields at once. `connect_pause`: it hears nothing right after connecting.
"""


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
    odd: tuple[Difference, ...] = ()
    """Of a Modbus TCP host whose answers differ in several fields at once: those of one of them."""
    reply_keys: dict[str, str | int] = field(default_factory=dict)
    """What its bus needs in the configuration, so that they are read."""
    seconds: float = 0.0
    ended: bool = True
    """Whether it came to its end; False when it was interrupted."""


def reply_keys(every: list[tuple[Difference, ...]]) -> dict[str, str | int]:
    """The keys of a bus whose answers differ so, as far as they do so in a constant way."""
    pairs: dict[str, list[tuple[int, int]]] = {}
    for each in (each for odd in every for each in odd):
        pairs.setdefault(each.field, []).append((each.asked, each.seen))
    keys: dict[str, str | int] = {}
    for name, seen in pairs.items():
        if name in {"number", "length"}:
            keys[f"reply_{name}"] = rule_of(seen)
        elif len({after for _, after in seen}) == 1:
            keys[f"reply_{name}"] = seen[0][1]
    return keys
