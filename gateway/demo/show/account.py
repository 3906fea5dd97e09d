"""The account: what the simulator served against what the platform holds. The simulator's own log is the
judge.

Every reading at the platform must be one that was served, once, with the values that were meant. A served
ordinal may be missing only when the simulator spoilt the reply itself, when the gateway has said, in a
reading of that time, that it got no good answer, when another reply of the same poll took its place, or when
its poll was under way or not yet committed as the gateway was killed or stopped. Which poll that was is known
exactly where the gateway's polls are given, and from times alone where they are not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any

from gateway.catalogue import Driver, Row
from gateway.demo.show.polls import ROUNDED, BatchKey, Break, PollSpan, Received, SaidPolls
from gateway.model import OWN_METER

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
"""The longest poll, where no polls are given: one that ends in a slot may have begun before it."""
_ASKED_AGAIN_MS = 100
"""Within so long, where no polls are given, the read that re-synchronises is followed by that of the poll."""
_SAME_POLL_MS = 700
_SHOWN = 8

Serve = Mapping[str, Any]
"""An entry of the serve log (`simulator/slave`)."""
_Explain = Callable[[Sequence[Serve], Sequence[int], Sequence[int]], Callable[[Serve], str]]
"""What is missing, when the gateway said that it had no answer, when that was served which arrived → why."""
Tolerance = Callable[[str, str, float], float]
"""(meter, quantity, value) → how far the wire may round."""


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
        """Whether no problem was found."""
        return not self.problems

    def say(self, count: int, problem: str, examples: Iterable[object] = ()) -> None:
        """Note a problem that occurred `count` times."""
        if count:
            shown = [str(example) for _, example in zip(range(_SHOWN), examples, strict=False)]
            self.problems.append(problem + (": " + "; ".join(shown) if shown else ""))


def judge(
    serves: Sequence[Serve],
    committed: Sequence[BatchKey],
    stored: Mapping[BatchKey, int],
    readings: Sequence[Received],
    *,
    breaks: Sequence[Break],
    slot: float,
    tolerance: Tolerance,
    owed: bool = False,
    polls: Sequence[PollSpan] | None = None,
) -> Account:
    """Hold everything against everything.

    `committed`: the journal's batches; `stored`: the platform's, with the number of their readings; `slot` in
    s. `owed`: a reply that came late or twice may be the answer all the same, because its number says whose
    it is (Modbus TCP). `polls`: what the gateway has said of its polls, in order.
    """
    account = Account()
    _batches(account, committed, stored, readings)
    # The gateway's own meter has no simulator behind it.
    readings = [reading for reading in readings if reading.meter != OWN_METER]
    said = None if polls is None else SaidPolls(polls, readings, breaks, slot)
    explain: _Explain = partial(_by_times, breaks=breaks, slot=slot)
    if said is not None:
        explain = partial(_by_polls, said=said)
        _polls(account, said)
    courses = {
        meter: _Course(meter, serves, owed)
        for meter in sorted({serve["meter"] for serve in serves} | {r.meter for r in readings})
    }
    for meter, course in courses.items():
        mine = sorted(
            (reading for reading in readings if reading.meter == meter), key=lambda reading: reading.uptime
        )
        _values(account, course, mine, tolerance, said)
        _ordinals(account, course, mine, explain)
    account.faults.update(serve["fault"] for serve in serves if serve["fault"])
    return account


def _batches(
    account: Account,
    committed: Sequence[BatchKey],
    stored: Mapping[BatchKey, int],
    readings: Sequence[Received],
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

    def __init__(self, meter: str, serves: Sequence[Serve], owed: bool) -> None:
        self.meter = meter
        self.owed = owed
        self.serves = sorted((serve for serve in serves if serve["meter"] == meter), key=itemgetter("t"))
        self.times = [serve["t"] for serve in self.serves]
        self.places = {
            serve["ordinal"]: place for place, serve in enumerate(self.serves) if serve["ordinal"] is not None
        }

    def beside(self, reading: Received) -> list[Serve]:
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

    def within(self, span: PollSpan) -> list[Serve]:
        """The good serves of a poll."""
        first = bisect_left(self.times, span.began - ROUNDED)
        last = bisect_right(self.times, span.ended + ROUNDED)
        return [serve for serve in self.serves[first:last] if not self.spoilt(serve)]

    def _near(self, serve: Serve, reading: Received) -> bool:
        limit = _OWED_MS if self.owed else _NEAR_MS
        return not self.spoilt(serve) and abs(serve["t"] - reading.uptime) <= limit

    def _bounds(self, place: int) -> bool:
        serve = self.serves[place]
        return serve["ordinal"] is not None and not self.spoilt(serve)

    def spoilt(self, serve: Serve) -> bool:
        """Whether this reply may not be believed."""
        return bool(serve["fault"]) and not (self.owed and serve["fault"] in _TOLD_BY_NUMBER)


def _polls(account: Account, said: SaidPolls) -> None:
    lost = [span for span, fate in said.fate.items() if fate == "lost"]
    account.say(
        len(lost),
        f"{len(lost)} polls have ended whose readings are nowhere",
        (f"{span.meter}, from uptime {span.began} to {span.ended} ms" for span in lost),
    )
    without = [f"{reading.meter} at uptime {reading.uptime} ms" for reading in said.without]
    account.wrong += len(without)
    account.say(len(without), f"{len(without)} readings with values are of no poll of their own", without)


def _values(
    account: Account,
    course: _Course,
    readings: Sequence[Received],
    tolerance: Tolerance,
    said: SaidPolls | None,
) -> None:
    wrong = []
    spans = {id(reading): span for span, reading in said.reading.items() if not span.silent} if said else {}
    for reading in readings:
        span = spans.get(id(reading))
        candidates = course.beside(reading) if span is None else course.within(span)
        for name, value in reading.values.items():
            account.values += 1
            allowed = tolerance(course.meter, name, value)
            near = sorted(
                (abs(serve["t"] - reading.uptime), serve["values"][name])
                for serve in candidates
                if name in serve["values"]
            )
            meant = [each for away, each in near if span or away <= near[0][0] + _SAME_POLL_MS]
            if not any(abs(value - each) <= allowed for each in meant):
                wrong.append(
                    f"{course.meter} {name} is {value}, served was {meant or 'nothing'} (batch "
                    f"{reading.batch[1]})"
                )
    account.wrong += len(wrong)
    account.say(len(wrong), f"{len(wrong)} values of {course.meter} are not what its meter served", wrong)


def _ordinals(account: Account, course: _Course, readings: Sequence[Received], explain: _Explain) -> None:
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
    silent = [reading.uptime for reading in readings if reading.missing or ORDINAL in reading.absent]
    lost = []
    why = explain(missing, silent, [serve["t"] for serve in stamped if serve["ordinal"] in arrived])
    for serve in missing:
        reason = "spoilt" if serve["fault"] else why(serve)
        setattr(account, reason, getattr(account, reason) + 1)
        if reason == "lost":
            lost.append(f"ordinal {serve['ordinal']}, served at uptime {serve['t']} ms")
    accepted = sorted(
        serve["ordinal"] for serve in stamped if course.spoilt(serve) and serve["ordinal"] in arrived
    )
    account.wrong += len(accepted)
    account.say(
        len(accepted), f"{len(accepted)} spoilt replies of {course.meter} were taken for good ones", accepted
    )
    account.say(len(lost), f"{len(lost)} readings of {course.meter} were served and are nowhere", lost)


def _by_times(
    missing: Sequence[Serve], silent: Sequence[int], read: Sequence[int], breaks: Sequence[Break], slot: float
) -> Callable[[Serve], str]:
    """Why a served ordinal is nowhere, as far as times tell; `read`: when those were served that arrived."""
    declared = _declared(missing, silent)

    def why(serve: Serve) -> str:
        t = serve["t"]
        if any(each.went - 1000 * slot - _UNDER_WAY_MS <= t <= each.ended for each in breaks):
            return "open_slot"
        if serve["ordinal"] in declared:
            return "declared"
        return "asked_again" if any(t <= each <= t + _ASKED_AGAIN_MS for each in read) else "lost"

    return why


def _by_polls(
    missing: Sequence[Serve], silent: Sequence[int], _read: Sequence[int], said: SaidPolls
) -> Callable[[Serve], str]:
    """The same by the poll that asked for it; what was served too late for its poll was declared."""
    spans = {serve["ordinal"]: said.around(serve["meter"], serve["t"]) for serve in missing}
    late = [serve for serve in missing if spans[serve["ordinal"]] is None]
    declared = _declared([serve for serve in late if not said.under_way(serve["meter"], serve["t"])], silent)

    def why(serve: Serve) -> str:
        span = spans[serve["ordinal"]]
        if span is None:
            if serve["ordinal"] in declared:
                return "declared"
            return "open_slot" if said.under_way(serve["meter"], serve["t"]) else "lost"
        if said.fate[span] == "arrived":
            told = span.silent or ORDINAL not in said.reading[span].values
            return "declared" if told else "asked_again"
        return "open_slot" if said.fate[span] == "open" else "lost"

    return why


def _declared(missing: Sequence[Serve], silent: Sequence[int]) -> set[int]:
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
    rows = {
        (meter, row.name): row
        for meter, driver in drivers.items()
        for row in (*(row for variant in driver.variants for row in variant.rows), *driver.rows)
    }

    def tolerance(meter: str, quantity: str, value: float) -> float:
        row = rows.get((meter, quantity))
        return 0.0 if row is None else _step(row) + 2 * _FLOAT32 * abs(value) + 1e-9

    return tolerance


def _step(row: Row) -> float:
    own = 0.0 if row.type.startswith("float") or not row.words else abs(row.factor) / 2
    written = 0.0 if row.decimals is None else 10.0**-row.decimals / 2
    return own + written + sum(_step(term) for _, term in row.terms)
