"""How a bus and its meters are: counters and states that the page, the metrics and the doctor read."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from gateway.catalogue import Driver
from gateway.errors import Cause
from gateway.field.facts import Fact

ANSWERS = 200
LOAD_MEMORY = 60.0
BusState = Literal["closed", "connecting", "ready", "waiting"]


class PollState(StrEnum):
    """What a meter's polls say of it."""

    STARTING = "starting"
    OK = "ok"
    STUMBLED = "stumbled"
    """It gave only damaged frames, once: it is asked again before it counts as lost."""
    LOST = "lost"
    UNREACHABLE = "unreachable"
    """Its bus is down."""

    @property
    def shown(self) -> Literal["starting", "ok", "lost"]:
        """What a person is told: whose fault it is stands in the error."""
        match self:
            case PollState.STARTING:
                return "starting"
            case PollState.OK | PollState.STUMBLED:
                return "ok"
            case PollState.LOST | PollState.UNREACHABLE:
                return "lost"


class MeterExchange(NamedTuple):
    """A meter in the place of another: both serial numbers, and when it was noticed (UTC, ms)."""

    old: str
    new: str
    since: int


@dataclass(slots=True)
class WireCounters:
    """What happened on the wire since the start."""

    requests: int = 0
    replies: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    exceptions: dict[int, int] = field(default_factory=dict)
    resyncs: int = 0
    polls: int = 0
    missed: int = 0
    """Polls that were skipped because the bus was late."""


class TurnAround:
    """The last answers' turn-around in s: mean and 95th percentile of up to `ANSWERS`."""

    def __init__(self) -> None:
        self._seen = array("f")
        self._next = 0

    def add(self, seconds: float) -> None:
        """An answer's time without what the wire needs; 0 when it came sooner than that."""
        seconds = max(0.0, seconds)
        if len(self._seen) < ANSWERS:
            self._seen.append(seconds)
            return
        self._seen[self._next] = seconds
        self._next = (self._next + 1) % ANSWERS

    @property
    def mean(self) -> float | None:
        """Mean in s; None before the first answer."""
        return sum(self._seen) / len(self._seen) if self._seen else None

    @property
    def p95(self) -> float | None:
        """95th percentile in s; None before the first answer."""
        return sorted(self._seen)[int(0.95 * (len(self._seen) - 1))] if self._seen else None


class BusLoad:
    """The share of the last minute or so that a bus was in use."""

    def __init__(self) -> None:
        self._share = self._at = 0.0

    def begin(self, now: float) -> None:
        """From here on it is known."""
        self._at = now

    def add(self, busy: float, now: float) -> None:
        """It was in use for `busy` s until now."""
        self._share = min(1.0, self.share(now) + min(busy, now - self._at) / LOAD_MEMORY)
        self._at = now

    def share(self, now: float) -> float:
        """The share of the time before `now` (monotonic s) in which the bus was in use, 0 to 1."""
        return self._share * max(0.0, 1.0 - (now - self._at) / LOAD_MEMORY)


@dataclass(frozen=True, slots=True)
class MeterHealth:
    """One meter on its bus. Times are time.monotonic() seconds; `cycle` is the predicted time of its polls
    in s.
    """

    meter: str
    address: int
    state: PollState
    since: float
    last_good: float | None
    error: str
    interval: float
    reads: int
    cycle: float
    turn_around: float | None
    turn_around_p95: float | None
    counters: WireCounters
    damaged: bool = False
    """Whether what came in place of its last answer was damaged, or was no frame: it is not silent."""
    exchange: MeterExchange | None = None
    """The meter that was put in its place, while nobody has confirmed it."""
    unidentified: bool = False
    """Whether it may be another meter than before, and its serial number has not been read since."""
    unsteady: tuple[str, ...] = ()
    """Registers that go back and forth."""
    stranger: tuple[str, ...] = ()
    """Register with what it holds, and what its table's meters have there, when it is another meter."""
    nameless: str = ""
    """The register by which its table's meters are known, when it does not have it."""
    facts: tuple[Fact, ...] = ()
    """What is known of it beside its table: learnt or configured."""
    driver: Driver | None = None
    """Its table, with the rows that it has shown to have."""


@dataclass(frozen=True, slots=True)
class BusHealth:
    """One bus. `load` is the measured share of the last minutes that it was in use; `predicted` is the
    planned share.
    """

    bus: str
    state: BusState
    since: float
    error: str
    cause: Cause | Literal[""]
    load: float
    predicted: float
    warning: str
    turn_around: float | None
    turn_around_p95: float | None
    stray_bytes: int
    counters: WireCounters
    meters: tuple[MeterHealth, ...]
    facts: tuple[Fact, ...] = ()
    lent: bool = False
    """Whether another program of this machine has it; `error` then says which."""
