"""The history of intervals, opened for the engine: its calendar with the public holidays, its tree of
meters, what is known of each register.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from gateway.config import Config, Meter
from gateway.daemon import later
from gateway.daemon.changes import Loaded
from gateway.daemon.describe import energy_meters
from gateway.errors import GatewayError, HistoryError
from gateway.field import ENERGY_UNITS, energy_ratio
from gateway.model import QUANTITIES, Reading, Sealed
from gateway.status.energy.facts import BuildingFacts
from gateway.wire import decode

if TYPE_CHECKING:
    from gateway.energy import Context
    from gateway.history import BuildingMeters, Committed, Projection

log = logging.getLogger(__name__)

SECONDARY: Final = (1, 5)
"""A: what current transformers give at their rated current."""
INPUT: Final = 400
"""V between lines at the terminals of a meter, at most: behind voltage transformers it is 100."""
Committing = tuple[Sealed, list[Reading] | None]
"""A committed batch, and the readings of which it was made where they are at hand."""
RegisterEnds = Mapping[tuple[str, str], Fraction]
"""Meter and quantity → what a register would show after the last number of its type, in the vocabulary's
unit.
"""
_YEARS: Final = (-2, 1)
"""Of public holidays, around this one."""


def open_projection(loaded: Loaded, *, oldest: int | None, distrust: str = "") -> Projection:
    """Open the history, or its copy, or make a new one. `oldest`: UTC in ms at which the journal begins;
    `distrust`: what is wrong with the file although it does not contradict itself. Raises HistoryError.
    """
    config, ends = loaded.config, _register_ends(loaded)
    energy, history = later.energy, later.history
    zone = ZoneInfo(config.gateway.timezone)
    opened = history.History(Path(config.journal.directory), energy.Calendar(zone), distrust=distrust)
    year, country = datetime.now(zone).year, _country(config)
    years = (country, year + _YEARS[0], year + _YEARS[1])
    if opened.holidays(*years) is None:
        try:
            opened.keep_holidays(*years, history.holidays_of(*years))
        except HistoryError as error:
            log.warning("%s", error)
    days = opened.holidays(*years) or {}
    whole, half = (frozenset(day for day, each in days.items() if each is part) for part in (False, True))
    opened.calendar = energy.Calendar(zone, whole, half)
    opened.sums.meters = _building(config)
    if opened.found.damaged and oldest is not None:
        opened.note_lost(datetime.fromtimestamp(oldest / 1000, zone).date())
    plants = {plant for plant, _ in opened.sums.meters.plants}
    meters = [
        energy.tree.TreeMeter(each.id, each.parent, each.class_, each.ct_class, each.id in plants)
        for each in config.meters
        if each.enabled
    ]
    return history.Projection(opened, lambda *register: _context(config, ends, *register), meters)


def _building(config: Config) -> BuildingMeters:
    """The meters of which the building's own sums are kept."""
    facts = BuildingFacts(energy_meters(config))
    plants = tuple((plant.id, plant.generates) for plant in facts.plants)
    return later.history.BuildingMeters(tuple(root.id for root in facts.roots), plants)


def _country(config: Config) -> str:
    return config.building.tariff.partition("-")[0].upper()


def _register_ends(loaded: Loaded) -> RegisterEnds:
    """Where the meters' counters begin again by their tables: of those whose unit no other register says, and
    of which all firmware variants say the same.
    """
    found: dict[tuple[str, str], set[Fraction]] = {}
    for meter in loaded.config.meters:
        driver = loaded.drivers.get(meter.driver)
        variants = () if driver is None else driver.variants
        for row in () if driver is None else (*driver.rows, *(row for each in variants for row in each.rows)):
            quantity = QUANTITIES.get(row.name)
            if quantity is None or quantity.kind != "counter":
                continue
            plain = row.numbers is not None and row.times is None and row.scale_at is None
            ratio = energy_ratio(meter) if quantity.unit in ENERGY_UNITS else 1.0
            end = Fraction(row.numbers or 0) * Fraction(str(abs(row.factor))) * Fraction(str(ratio))
            found.setdefault((meter.id, row.name), set()).add(end if plain else Fraction(0))
    return {register: end for register, (end, *others) in found.items() if end and not others}


def concerns(loaded: Loaded, year: int) -> tuple[object, ...]:
    """What of a configuration and its tables an opened engine stands on; another one of it needs another
    engine.
    """
    config = loaded.config
    meters = [
        (each.id, each.enabled, each.parent, each.class_, each.ct_class, each.ct, each.ct_primary, each.vt)
        for each in config.meters
    ]
    building = config.building
    plants = [(plant.meter, plant.yield_) for plant in building.pv]
    return (
        config.gateway.timezone, _country(config), building.contract_kw, building.jump, year, meters, plants,
        _register_ends(loaded),
    )  # fmt: skip


def _context(config: Config, ends: RegisterEnds, meter: str, quantity: str) -> Context:
    """What is known of a register: the primary current of its transformers is a bound of what can flow;
    behind voltage transformers that is as many times more.
    """
    found = next((each for each in config.meters if each.id == meter), None)
    raised = 1.0 if found is None else found.vt
    least, most = (None, None) if found is None else _primary(found)
    contract = config.building.contract_kw
    unit, end = later.energy.base_unit(quantity), ends.get((meter, quantity))
    return later.energy.Context(
        unit,
        end=None if end is None else int(end * 10**unit.digits * later.energy.GRAIN),
        ct_primary=most,
        ct_least=least,
        voltage=round(INPUT * max(1.0, raised)),
        contract_kw=None if contract is None else round(contract),
        jump=config.building.jump,
    )


def _primary(meter: Meter) -> tuple[int | None, int | None]:
    """A, at least and at most, of its current transformers: a quotient alone leaves open what they give."""
    if meter.ct <= 1:
        return None, None
    if meter.ct_primary is not None:
        return None, max(1, round(meter.ct_primary))
    least, most = (round(meter.ct * each) for each in SECONDARY)
    return least, most


def parts_of(sealed: Sequence[Sealed], readings: list[Reading] | None) -> Iterator[list[Reading] | None]:
    """The readings of each of these batches, into which a draft was divided in their order; None where one
    reading was divided, too.
    """
    whole = readings is not None and sum(each.readings for each in sealed) == len(readings)
    start = 0
    for each in sealed:
        yield readings[start : start + each.readings] if readings is not None and whole else None
        start += each.readings


def as_sealed(sealed: Sealed, readings: list[Reading]) -> list[Reading] | None:
    """What unpacking a batch would give, from the readings of which it was made; None where only unpacking
    can tell: it holds events or intervals (then it is kept), other readings, a meter's reasons for what is
    absent beside another reading of it, or what is no number.
    """
    if sealed.keep or sealed.readings != len(readings):
        return None
    values = [each.values for each in readings]
    # A sum of sums is a number when each of them is.
    if sealed.values != sum(map(len, values)) or not isfinite(sum(map(sum, map(dict.values, values)))):
        return None
    odd = {each.meter for each in readings if each.missing or each.absent or each.suspect}
    if not odd:
        return readings
    counts = Counter(each.meter for each in readings)
    if any(counts[meter] > 1 for meter in odd):
        return None
    return [
        Reading(reading.meter, sealed.uptime, missing=reading.missing)
        if reading.missing
        else reading
        if not reading.suspect
        else replace(reading, suspect=_suspect(reading))
        for reading in readings
    ]


def _suspect(reading: Reading) -> tuple[str, ...]:
    return tuple(sorted({*reading.suspect} & (reading.values.keys() | reading.absent.keys())))


def committed(sealed: Sealed, made_of: list[Reading] | None = None) -> Committed:
    """A batch of the journal, unpacked. One that cannot be read says nothing: it was told when it was
    found. `made_of`: the readings of which it was made.
    """
    head = (sealed.epoch, sealed.seq, sealed.boot, sealed.t0, sealed.uptime, sealed.clock)
    if made_of is not None and (known := as_sealed(sealed, made_of)) is not None:
        return later.history.Committed(*head, known)
    try:
        batch = decode(sealed.body)
    except GatewayError as error:
        log.warning("energy: batch %s/%d is not used: %s", sealed.epoch, sealed.seq, error)
        return later.history.Committed(*head)
    return later.history.Committed(*head, batch.readings, batch.events, batch.intervals)
