"""The account: what the simulator served against what the platform holds. The simulator's own log is the
judge.

Every reading at the platform must be one that was served, once, with the values that were meant. A served
ordinal may be missing only when it was served within one slot (and the poll under way) before the gateway was
killed or stopped, when the simulator spoilt the reply itself, or when the gateway has said, in a reading of
that time, that it got no good answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.catalogue import Driver, Row

ORDINAL = "pulse_count"
_FLOAT32 = 1.2e-7
_NEAR_MS = 2500
"""A reading's time is the middle of its poll; its serves are not further from it than this."""
_OWED_MS = 30_000
"""Replies that are waited for because their numbers say whose they are make a poll last so long; its
reading's time is the middle.
"""
_TOLD_BY_NUMBER = frozenset({"late", "double"})
"""Faults of replies that are right for all that, where numbers say whose they are."""
_UNDER_WAY_MS = 700
"""The longest poll: one that ends in a slot may have begun before it."""
_ASKED_AGAIN_MS = 100
"""Within so long the read that re-synchronises is followed by that of the poll; no two polls are so near."""
_SAME_POLL_MS = 700
_SHOWN = 8

Batch = tuple[str, int]
"""Epoch and seq."""
Tolerance = Callable[[str, str, float], float]
"""(meter, quantity, value) → how far the wire may round."""


@dataclass(frozen=True, slots=True)
class Received:
    """A reading at the platform. `uptime` in ms."""

    meter: str
    uptime: int
    batch: Batch
    values: Mapping[str, float]
    absent: Mapping[str, str]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Break:
    """The gateway was killed or told to stop at `went` and ended at `ended`; uptime in ms."""

    went: int
    ended: int

    def excuses(self, t: int, slot: float) -> bool:
        """Whether what was served at t may have been in the open slot, or in the poll under way."""
        return self.went - 1000 * slot - _UNDER_WAY_MS <= t <= self.ended


@dataclass(slots=True)
class Account:
    """What was found; `problems` says in words what is wrong, empty when nothing is."""

    committed: int = 0
    stored: int = 0
    twice: int = 0
    invented: int = 0
    absent_batches: int = 0
    served: int = 0
    spoilt: int = 0
    arrived: int = 0
    open_slot: int = 0
    declared: int = 0
    asked_again: int = 0
    lost: int = 0
    values: int = 0
    wrong: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not self.problems

    def say(self, count: int, problem: str, examples: Iterable[object] = ()) -> None:
        """Note a problem that occurred `count` times."""
        if count:
            shown = [str(example) for _, example in zip(range(_SHOWN), examples, strict=False)]
            self.problems.append(problem + (": " + "; ".join(shown) if shown else ""))


def judge(
    serves: Sequence[Mapping[str, Any]],
    committed: Sequence[Batch],
    stored: Mapping[Batch, int],
    readings: Sequence[Received],
    *,
    breaks: Sequence[Break],
    slot: float,
    tolerance: Tolerance,
    owed: bool = False,
) -> Account:
    """Hold everything against everything.

    `committed`: the journal's batches; `stored`: the platform's, with the number of their readings; `slot` in
    s. `owed`: a reply that came late or twice may be the answer all the same, because its number says whose
    it is (Modbus TCP).
    """
    account = Account()
    _batches(account, committed, stored, readings)
    courses = {
        meter: _Course(meter, serves, owed)
        for meter in sorted({serve["meter"] for serve in serves} | {r.meter for r in readings})
    }
    for meter, course in courses.items():
        mine = sorted(
            (reading for reading in readings if reading.meter == meter), key=lambda reading: reading.uptime
        )
        _values(account, course, mine, tolerance)
        _ordinals(account, course, mine, breaks, slot)
    account.faults.update(serve["fault"] for serve in serves if serve["fault"])
    return account


def _batches(
    account: Account, committed: Sequence[Batch], stored: Mapping[Batch, int], readings: Sequence[Received]
) -> None:
    account.committed, account.stored = len(committed), len(stored)
    missing = sorted(set(committed) - stored.keys())
    account.absent_batches = len(missing)
    account.say(len(missing), f"{len(missing)} committed batches are not at the platform", missing)
    invented = sorted(stored.keys() - set(committed))
    account.invented = len(invented)
    account.say(len(invented), f"{len(invented)} batches at the platform were never committed", invented)
    held = Counter(reading.batch for reading in readings)
    twice = [batch for batch, count in stored.items() if held[batch] != count]
    account.twice = len(twice)
    account.say(
        len(twice),
        f"{len(twice)} batches have more or fewer readings at the platform than they were sent with",
        twice,
    )


class _Course:
    """What one meter served, in order."""

    def __init__(self, meter: str, serves: Sequence[Mapping[str, Any]], owed: bool) -> None:
        self.meter = meter
        self.owed = owed
        self.serves = [serve for serve in serves if serve["meter"] == meter]
        self.places = {
            serve["ordinal"]: place for place, serve in enumerate(self.serves) if serve["ordinal"] is not None
        }

    def beside(self, reading: Received) -> list[Mapping[str, Any]]:
        """The good serves that a reading may be made of: around its ordinal, as far as the next good one on
        either side.

        A spoilt one is no boundary: its read was asked again within the same poll.
        """
        place = self.places.get(int(reading.values.get(ORDINAL, -1)))
        if place is None:
            return [serve for serve in self.serves if self._near(serve, reading)]
        first = last = place
        while first > 0 and not self._bounds(first - 1):
            first -= 1
        while last + 1 < len(self.serves) and not self._bounds(last + 1):
            last += 1
        return [serve for serve in self.serves[first : last + 1] if self._near(serve, reading)]

    def _near(self, serve: Mapping[str, Any], reading: Received) -> bool:
        limit = _OWED_MS if self.owed else _NEAR_MS
        return not self.spoilt(serve) and abs(serve["t"] - reading.uptime) <= limit

    def _bounds(self, place: int) -> bool:
        serve = self.serves[place]
        return serve["ordinal"] is not None and not self.spoilt(serve)

    def spoilt(self, serve: Mapping[str, Any]) -> bool:
        """Whether this reply may not be believed."""
        return bool(serve["fault"]) and not (self.owed and serve["fault"] in _TOLD_BY_NUMBER)


def _values(account: Account, course: _Course, readings: Sequence[Received], tolerance: Tolerance) -> None:
    wrong = []
    for reading in readings:
        candidates = course.beside(reading)
        for name, value in reading.values.items():
            account.values += 1
            allowed = tolerance(course.meter, name, value)
            near = sorted(
                (abs(serve["t"] - reading.uptime), serve["values"][name])
                for serve in candidates
                if name in serve["values"]
            )
            meant = [each for away, each in near if away <= near[0][0] + _SAME_POLL_MS]
            if not any(abs(value - each) <= allowed for each in meant):
                wrong.append(
                    f"{course.meter} {name} is {value}, served was {meant or 'nothing'} (batch "
                    f"{reading.batch[1]})"
                )
    account.wrong += len(wrong)
    account.say(len(wrong), f"{len(wrong)} values of {course.meter} are not what its meter served", wrong)


def _ordinals(
    account: Account, course: _Course, readings: Sequence[Received], breaks: Sequence[Break], slot: float
) -> None:
    arrived = Counter(int(reading.values[ORDINAL]) for reading in readings if ORDINAL in reading.values)
    doubled = sorted(ordinal for ordinal, count in arrived.items() if count > 1)
    account.twice += len(doubled)
    account.say(
        len(doubled),
        f"{len(doubled)} readings of {course.meter} are at the platform twice, by their ordinals",
        doubled,
    )
    account.served += len(course.places)
    stamped = [course.serves[place] for place in course.places.values()]
    missing = [serve for serve in stamped if serve["ordinal"] not in arrived]
    account.arrived += len(stamped) - len(missing)
    declared = _declared(
        missing, [reading.uptime for reading in readings if reading.missing or ORDINAL in reading.absent]
    )
    lost = []
    read = [serve["t"] for serve in stamped if serve["ordinal"] in arrived]
    for serve in missing:
        if serve["fault"]:
            account.spoilt += 1
        elif any(each.excuses(serve["t"], slot) for each in breaks):
            account.open_slot += 1
        elif serve["ordinal"] in declared:
            account.declared += 1
        elif any(serve["t"] <= t <= serve["t"] + _ASKED_AGAIN_MS for t in read):
            account.asked_again += 1
        else:
            lost.append(f"ordinal {serve['ordinal']}, served at uptime {serve['t']} ms")
    account.lost += len(lost)
    accepted = sorted(
        serve["ordinal"] for serve in stamped if course.spoilt(serve) and serve["ordinal"] in arrived
    )
    account.wrong += len(accepted)
    account.say(
        len(accepted), f"{len(accepted)} spoilt replies of {course.meter} were taken for good ones", accepted
    )
    account.say(len(lost), f"{len(lost)} readings of {course.meter} were served and are nowhere", lost)


def _declared(missing: Sequence[Mapping[str, Any]], silent: Sequence[int]) -> set[int]:
    """Ordinals that a reading without one stands for: each such reading excuses the one serve that is
    nearest to it.
    """
    declared: set[int] = set()
    for said in silent:
        near = [
            (abs(serve["t"] - said), serve["ordinal"])
            for serve in missing
            if serve["ordinal"] not in declared
        ]
        if near and min(near)[0] <= _NEAR_MS:
            declared.add(min(near)[1])
    return declared


def resolutions(drivers: Mapping[str, Driver]) -> Tolerance:
    """How far each value may be rounded on its way, by meter: half a step of the register and half a step
    of its decimals.
    """
    rows = {(meter, row.name): row for meter, driver in drivers.items() for row in driver.rows}

    def tolerance(meter: str, quantity: str, value: float) -> float:
        row = rows.get((meter, quantity))
        return 0.0 if row is None else _step(row) + 2 * _FLOAT32 * abs(value) + 1e-9

    return tolerance


def _step(row: Row) -> float:
    own = 0.0 if row.type.startswith("float") or not row.words else abs(row.factor) / 2
    written = 0.0 if row.decimals is None else 10.0**-row.decimals / 2
    return own + written + sum(_step(term) for _, term in row.terms)
