"""Values of readings and events, as the engine and its saved state have them, and which of dense readings it
takes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from gateway.energy import GAUGES, GRAIN_DIGITS, QUARTER, BaseUnit, PollCounts, base_unit, to_grains
from gateway.model import QUANTITIES, Event, Reading

COUNTERS: Final = frozenset(name for name, word in QUANTITIES.items() if word.is_register)
USED: Final = COUNTERS | GAUGES.keys()
"""What the engine takes of a reading."""
DENSE: Final = 30_000
"""ms: of a counter's readings that follow faster, those away from quarter hours are passed over."""
EDGE: Final = 10_000
"""ms after a quarter hour in which every reading is taken: the next ones say whether the first is right."""
ReadingOrEvent = Reading | Event
"""What the engine hears of a meter, in the order of time: its readings, and that it was exchanged."""
_OF_EVENT: Final = 3
"""Values of an event; a reading has more."""
_POWERS: Final[tuple[int, ...]] = tuple(10**digits for digits in range(2 * GRAIN_DIGITS))
_PLAIN: Final = 12
"""Characters up to which a number has fewer decimals than a grain is fine."""


class UsedNames(NamedTuple):
    """What the engine takes of a reading: its counters; `order`: the powers of the same moment first."""

    counters: frozenset[str]
    order: tuple[str, ...]


@lru_cache(maxsize=128)
def used_names(names: tuple[str, ...]) -> UsedNames:
    """Of a reading's names, in their order."""
    counters = COUNTERS.intersection(names)
    return UsedNames(counters, (*sorted(USED.intersection(names) - counters), *sorted(counters)))


def counters_of(reading: Reading) -> frozenset[str]:
    """The counters among a reading's values."""
    return used_names(tuple(reading.values)).counters


def in_grains(name: str, value: float) -> int | None:
    """A value as it was rounded, exactly; None for what no register shows."""
    unit, text = _unit(name), repr(value)
    try:
        whole, _, part = text.partition(".")
        if len(text) < _PLAIN and whole.isdecimal() and (not part or part.isdecimal()):
            # The usual register: the same as below, several times as fast.
            return int(whole + part) * _POWERS[unit.digits + GRAIN_DIGITS - len(part)]
        return to_grains(Decimal(text), unit)
    except ValueError:
        return None


@cache
def _unit(name: str) -> BaseUnit:
    return base_unit(GAUGES.get(name, name))


def registers_of(told: object) -> dict[str, int]:
    """Registers by quantity, in the vocabulary's unit, as grains."""
    if not isinstance(told, dict):
        return {}
    found = {}
    for name, value in told.items():
        if name in COUNTERS and type(value) in {int, float}:
            grains = in_grains(name, value)
            if grains is not None:
                found[name] = grains
    return found


def dumped(moment: ReadingOrEvent) -> list[Any]:
    """What the engine needs of a reading or an exchange, as JSON values."""
    if isinstance(moment, Event):
        return [moment.kind, moment.uptime, moment.fields]
    values = {name: value for name, value in moment.values.items() if name in COUNTERS or name in GAUGES}
    return [moment.meter, moment.uptime, values, list(moment.suspect), moment.absent]


def loaded(state: Sequence[Any]) -> ReadingOrEvent:
    """What `dumped` gave."""
    if len(state) == _OF_EVENT:
        return Event(*state)
    meter, uptime, values, suspect, absent = state
    return Reading(meter, uptime, values, absent, suspect=tuple(suspect))


def packed_polls(counts: PollCounts) -> bytes:
    """How meters answered, for the file."""
    return zlib.compress(json.dumps(counts.state(), separators=(",", ":")).encode(), 6)


def unpacked_polls(packed: bytes | None) -> PollCounts:
    """What `packed_polls` gave; what cannot be read is not known."""
    counts = PollCounts()
    if packed is not None:
        try:
            counts.restore(json.loads(zlib.decompress(packed)))
        except (zlib.error, ValueError, TypeError, AttributeError):
            counts.forget()
    return counts


class DenseReadings:
    """Which readings are passed over: those of which no counter was read long before, and that stand so far
    from a quarter hour that they will hardly change an edge.

    An edge lies between the two readings of its counter around it, whatever else of the meter is read more
    often: what was passed over is held for as long as it is the newest of one of its counters.
    """

    def __init__(self) -> None:
        self._used_at: dict[tuple[str, str], int] = {}
        """(meter, counter) → time of the newest reading that was used; no counter: of its powers alone."""
        self._usual: dict[str, tuple[int, int, frozenset[str]]] = {}
        """Meter → from when until when readings of no other counters than these are passed over."""
        self._passed_over: dict[str, list[tuple[int, Reading, frozenset[str]]]] = {}
        """Meter → what was passed over since then, by time, each with the counters that it says something
        of.
        """

    def passes_over(self, reading: Reading, t: int, counters: frozenset[str], *, counts: bool) -> bool:
        """Whether a reading is not used now. `counters` are in its values; `counts`: it is, or should be, of
        counters.
        """
        meter, good = reading.meter, _good(reading, counters)
        names = good or _NONE
        since, until, known = self._usual.get(meter, _NEVER)
        # The usual reading has the counters of the one before it: one comparison serves them all.
        usual = since <= t < until and names <= known
        if usual or (t % QUARTER > EDGE and self._are_near(meter, names, t)):
            if counts:
                held = [each for each in self._passed_over.get(meter, ()) if not each[2] <= good]
                held.append((t, reading, good))
                self._passed_over[meter] = held
            return True
        for name in names:
            self._used_at[meter, name] = t
        quarter = t - t % QUARTER
        self._usual[meter] = (max(t, quarter + EDGE + 1), min(t + DENSE, quarter + QUARTER), names)
        return False

    def _are_near(self, meter: str, names: frozenset[str], t: int) -> bool:
        return all(_is_near(self._used_at.get((meter, name)), t) for name in names)

    def left(self, meter: str, t: int, after: Reading | None) -> Iterator[tuple[int, Reading]]:
        """Times and readings that are to be used before the one at `t`: of a quarter hour before, or of
        counters of which `after` says nothing.
        """
        said = _good(after, counters_of(after)) if after else _NONE
        for passed, reading, good in self._passed_over.pop(meter, ()):
            if passed < t and (passed // QUARTER != t // QUARTER or not good <= said):
                yield passed, reading

    def forget(self, meter: str) -> None:
        """The times of a meter's readings count anew."""
        self._passed_over.pop(meter, None)
        self._usual.pop(meter, None)
        self._used_at = {key: t for key, t in self._used_at.items() if key[0] != meter}

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        passed = [[t, dumped(reading)] for held in self._passed_over.values() for t, reading, _ in held]
        return {"passed": passed, "taken": [[*key, t] for key, t in self._used_at.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` gave."""
        for t, held in state["passed"]:
            reading = loaded(held)
            if isinstance(reading, Reading):
                good = _good(reading, counters_of(reading))
                self._passed_over.setdefault(reading.meter, []).append((t, reading, good))
        # A file of an earlier version knows no counters: its times count for none.
        self._used_at = {(meter, name): t for meter, name, t in state["taken"] if isinstance(name, str)}


_NONE: Final = frozenset({""})
_NEVER: Final[tuple[int, int, frozenset[str]]] = (0, 0, frozenset())


def _is_near(last: int | None, t: int) -> bool:
    """Whether a reading at `last` is of the same quarter hour and shortly before."""
    return last is not None and 0 <= t - last < DENSE and t // QUARTER == last // QUARTER


def _good(reading: Reading, counters: frozenset[str]) -> frozenset[str]:
    """Those of its counters that it says something of."""
    return counters.difference(reading.suspect) if reading.suspect else counters
