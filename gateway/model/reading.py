"""The nouns that travel: a Reading of one meter, an Event, an Interval, and the Draft that gathers a slot
of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

ClockState = Literal["synced", "anchored", "unsynced"]
"""synced: the clock was right when the batch was taken. anchored: computed later in the same boot from a
right clock and CLOCK_BOOTTIME. unsynced: nobody knows; `uptime` is the only honest time.
"""

METER_ID = re.compile(r"[a-z0-9-]{1,32}")
REASON = re.compile(r"timeout|bad_frame|exception_\d{1,3}|not_available|implausible")
"""Why a value is absent: a closed set."""
NOT_READY = frozenset({"exception_5", "exception_6"})
"""Reasons that pass: the meter has accepted the request and needs longer, or is busy."""

FAILING = frozenset({"exception_4", "exception_8"})
"""Reasons that are the meter's own fault: it cannot do what it is asked, or its memory is damaged (Modbus
Application Protocol 1.1b3, section 7).
"""


def is_not_ready(code: int) -> bool:
    """Whether an exception code is one that passes."""
    return f"exception_{code}" in NOT_READY


@dataclass(slots=True)
class Reading:
    """What one meter gave in one poll.

    `uptime` is CLOCK_BOOTTIME in ms at the middle of the span of its reads: wall time is a view that may be
    repaired. Every quantity that was due is in exactly one of `values` and `absent`. `missing` is the reason
    when the meter gave nothing at all; then both are empty. `suspect` names values that were read but should
    not be believed blindly.
    """

    meter: str
    uptime: int
    values: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    suspect: tuple[str, ...] = ()


@dataclass(slots=True)
class Event:
    """Something the platform should know beside the readings; `fields` are JSON values."""

    kind: str
    uptime: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interval:
    """What a counter gained between two quarter hours, in whole base units (Wh, varh, VAh, ml, pulses), so
    that sums are exact; `start` is UTC in ms.

    `quality`: m measured, e estimated, s suspect, d edited by a person. `version` counts the publications of
    this interval: the highest counts.
    """

    meter: str
    quantity: str
    start: int
    value: int
    quality: str
    version: int = 1
    seconds: int = 900


@dataclass(slots=True)
class Draft:
    """A slot on its way to the journal: it gets its identity and its wall time when it is committed."""

    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    keep: bool = False
    """Spared when an over-long outage forces thinning: a first energy reading after a quarter hour, an
    interval, an event.
    """
    packed_limit: int | None = None
    """Bytes that a batch may have when it is compressed, because a platform's broker takes no more; None:
    no such broker.
    """

    @property
    def empty(self) -> bool:
        """Nothing in it that is worth a commit."""
        return not (self.readings or self.events or self.intervals)


@dataclass(slots=True, frozen=True)
class Sealed:
    """A committed batch as the journal holds it and an uplink sends it. `body` is the wire form (JSON,
    zlib).
    """

    epoch: str
    seq: int
    boot: str
    t0: int
    uptime: int
    clock: ClockState
    readings: int
    values: int
    keep: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an uplink has not settled: batches, readings, and the wall time (ms UTC) of the oldest; None when
    nothing waits.
    """

    batches: int = 0
    readings: int = 0
    oldest_t0: int | None = None
