"""What comes in to be stored, and what a commit did with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gateway.wire import Batch

HOUR = 3_600_000
"""ms."""


def hour_of(t: int) -> int:
    """The beginning of the hour of a UTC time, both in ms."""
    return t - t % HOUR


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that came in: `body` are the bytes of its message, `mark` a hash of their JSON, `received`
    UTC in ms.
    """

    batch: Batch
    mark: bytes
    body: bytes
    received: int


@dataclass(slots=True)
class Taken:
    """What one commit did, per (gateway, epoch): the seqs it answers for, and counts."""

    seqs: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    batches: int = 0
    values: int = 0
    duplicates: int = 0
    conflicts: int = 0
    flaws: list[tuple[str, str]] = field(default_factory=list)
    """(gateway, what) of events that could not be understood."""


@dataclass(slots=True)
class PendingRows:
    """On their way into one transaction."""

    fresh: dict[tuple[str, str, int], Arrival] = field(default_factory=dict)
    batches: list[tuple[Any, ...]] = field(default_factory=list)
    readings: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[Arrival] = field(default_factory=list)
    seqs: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The new ones, per gateway and epoch."""
    joined: set[tuple[str, str]] = field(default_factory=set)
    """Where one of them touches what is held above it: two ranges may have become one."""
    totals: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    spans: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    hours: set[tuple[str, int]] = field(default_factory=set)
    """Of which gateways and hours there are new readings."""
