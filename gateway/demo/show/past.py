"""Thirteen months of history of the simulated building, made by the engine itself from what its meters
would have shown at each quarter hour: whoever tries the gateway sees every view at once. The demo
says that it is simulated.

Two processes compute, each some of the meters; registers go on where the simulated meters begin.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.demo.show.past_building import REGISTERS, quarters
from gateway.demo.simulator.building import Building
from gateway.energy import GRAIN, QUARTER, Calendar, Context, Interval, MeterSeries, Register, base_unit
from gateway.errors import HistoryError
from gateway.history import FILE, History, Projection, holidays_of

log = logging.getLogger(__name__)

ZONE = ZoneInfo("Europe/Istanbul")
MONTHS = 13
GROUPS = (("main", "pv", "server"), ("hvac", "lighting", "sockets", "elevator", "kitchen", "ev", "water"))
"""Which meters a process computes: about as many registers each."""
_STEP = 100
"""Wh of the coarsest register of the site (0.1 kWh): none shows less at first than the past has read."""
MEMORY = "registers.json"
"""What the simulated meters go on from."""


@dataclass(slots=True)
class KeptIntervals:
    """A Past (gateway.energy) that keeps everything."""

    known: dict[int, Interval] = field(default_factory=dict)

    def get(self, start: int) -> Interval | None:
        """The interval that begins at `start` (ms UTC)."""
        return self.known.get(start)

    def put(self, interval: Interval, *, corrected: bool) -> None:  # noqa: ARG002 - the engine's form
        """A new interval, or another one in its place."""
        self.known[interval.start] = interval


@dataclass(slots=True)
class LivedMeters:
    """What came of some meters: of each register the first quarter hour (ms UTC), what it and all that
    follow took, and their letters; what the engine knows of them; and what they show at the end (Wh,
    varh, ml).
    """

    intervals: dict[Register, tuple[int, list[int], str]]
    states: dict[str, dict[str, Any]]
    registers: dict[Register, int]


def live(meters: Sequence[str], calendar: Calendar, until: int, months: int, seed: int) -> LivedMeters:
    """The engine reads some meters at every quarter hour until `until` (ms UTC)."""
    shown = begin(seed)
    pasts: dict[Register, KeptIntervals] = {each: KeptIntervals() for each in REGISTERS if each[0] in meters}
    engines = {
        meter: MeterSeries(
            lambda quantity: Context(base_unit(quantity)), calendar, meter, partial(_past_of, pasts, meter)
        )
        for meter in meters
    }
    for quarter in quarters(calendar, until, months, seed):
        for register in pasts:
            if register[1] not in engines[register[0]].quantities:
                _read(engines, register, quarter.start, shown[register])
            shown[register] += quarter.gained[register]
            if register[0] != quarter.silent:
                _read(engines, register, quarter.start + QUARTER, shown[register])
    intervals = {register: _columns(kept.known) for register, kept in pasts.items()}
    states = {meter: engine.state() for meter, engine in engines.items()}
    return LivedMeters(intervals, states, {register: shown[register] for register in pasts})


def _columns(known: Mapping[int, Interval]) -> tuple[int, list[int], str]:
    # Lists are handed from process to process many times as fast as objects.
    starts = range(min(known), max(known) + QUARTER, QUARTER)
    return (
        starts[0],
        [known[start].value for start in starts],
        "".join(known[start].quality for start in starts),
    )


def _past_of(pasts: Mapping[Register, KeptIntervals], meter: str, quantity: str) -> KeptIntervals:
    return pasts[meter, quantity]


def _read(engines: Mapping[str, MeterSeries], register: Register, t: int, shown: int) -> None:
    meter, quantity = register
    for _ in engines[meter].take(quantity, t, shown * GRAIN):
        pass  # its Past is told every interval


def begin(seed: int) -> dict[Register, int]:
    """What the registers showed at the beginning: the building's meters have hung there for years."""
    circuits = Building(seed, start=0.0).remember()["registers"]
    return {(meter, name): round(circuits[meter].get(name, 0.0) * _units(name)) for meter, name in REGISTERS}


def make_past(directory: Path, until: int, *, months: int = MONTHS, seed: int = 1) -> int:
    """Write history.db into `directory`/journal, of so many months until `until` (ms UTC), and beside
    it what the simulated meters go on from; gives the quarter hours that it has. A history that is
    there already is left alone.
    """
    journal = directory / "journal"
    if (journal / FILE).exists():
        return 0
    history = History(journal, Calendar(ZONE))
    calendar = history.calendar = _with_holidays(history, until)
    work = partial(live, calendar=calendar, until=until, months=months, seed=seed)
    with ProcessPoolExecutor(len(GROUPS), multiprocessing.get_context("spawn")) as pool:
        lived = list(pool.map(work, GROUPS))
    made = 0
    for each in lived:
        for register, (start, values, letters) in each.intervals.items():
            # They count as published: the platform of the demo begins today.
            history.adopt(register, start, values, letters)
            made += len(values)
    projection = Projection(history)
    projection.learn({meter: state for each in lived for meter, state in each.states.items()})
    projection.save()
    history.close()
    registers = {
        register: -(-value // _STEP) * _STEP for each in lived for register, value in each.registers.items()
    }
    remember(directory / MEMORY, registers, until // QUARTER * QUARTER, seed)
    return made


def _with_holidays(history: History, until: int) -> Calendar:
    """The calendar with the public holidays, which the gateway finds in the history as well."""
    year = history.calendar.place(until // QUARTER * QUARTER)[0].year
    years = ("TR", year - 2, year + 1)
    try:
        history.keep_holidays(*years, holidays_of(*years))
    except HistoryError as error:
        log.warning("%s", error)
    days = history.holidays(*years) or {}
    whole: frozenset[date] = frozenset(day for day, half in days.items() if not half)
    return Calendar(ZONE, whole, frozenset(days) - whole)


def remember(path: Path, registers: Mapping[Register, int], t: int, seed: int) -> None:
    """Write down what the simulated meters showed at `t` (ms UTC). Parts by phase, tariff and kind stay
    those of the whole.
    """
    memory = Building(seed, start=t / 1000).remember()
    for (meter, name), units in registers.items():
        circuit, shown = memory["registers"][meter], units / _units(name)
        for part in _parts(name):
            was = circuit.get(part)
            if was:
                factor = shown / was
                for each in circuit:
                    if each == part or each.startswith(f"{part}_"):
                        circuit[each] *= factor
        circuit[name] = shown
    for meter in {meter for meter, _name in registers}:
        memory["registers"][meter] |= _apparent(memory["registers"][meter])
    path.write_text(json.dumps(memory))


def _apparent(circuit: Mapping[str, float]) -> dict[str, float]:
    """Registers of apparent energy that fit those of active and reactive energy beside them."""

    def both(kind: str, suffix: str) -> float:
        return sum(circuit.get(f"{kind}_energy_{way}{suffix}", 0.0) for way in ("import", "export"))

    names = [name for name in circuit if name.startswith("apparent_energy")]
    suffixes = [name.removeprefix("apparent_energy") for name in names]
    return {
        f"apparent_energy{suffix}": abs(complex(both("active", suffix), both("reactive", suffix)))
        for suffix in suffixes
    }


def _units(quantity: str) -> int:
    """How many base units are one of the vocabulary's: 1000 Wh a kWh."""
    return int(10 ** base_unit(quantity).digits)


def _parts(name: str) -> tuple[str, ...]:
    """The registers that count the same: what is drawn of reactive energy is what quadrant 1 counts."""
    same = {"reactive_energy_q1": "reactive_energy_import", "reactive_energy_q4": "reactive_energy_export"}
    return (same[name],) if name in same else (name,)
