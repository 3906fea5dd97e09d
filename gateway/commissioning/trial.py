"""Read a meter live with a driver and judge what comes; when it cannot be, find the table that would make it so."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from gateway.catalogue import Driver
from gateway.catalogue.resolve import recognised
from gateway.commissioning.fit import Ask, Proposal, collect, propose
from gateway.commissioning.physics import Finding, fits, judge, rising, unweighed
from gateway.config.schema import Bus, Meter
from gateway.errors import BusError
from gateway.field.meter import MeterTask
from gateway.field.poller import BusWorker
from gateway.model import Reading

_METER = "trial"
_LOWEST = -0x7000
"""Raw numbers of an s16 below it are rather an amount with a sign bit."""


@dataclass(slots=True)
class Trial:
    """What the meter said, what speaks for and against it, and what would fit better."""

    driver: Driver
    reading: Reading
    attributes: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether the values are possible, something was there to judge, and the power was weighed."""
        return self.possible and not self.unweighed

    @property
    def possible(self) -> bool:
        """Whether nothing that could be judged speaks against the table, and something for it."""
        return not self.reading.missing and fits([finding for finding in self.findings if finding.names != ("identity",)])

    @property
    def unweighed(self) -> str:
        """Why nobody can say whether the power is right; empty when it was weighed."""
        return unweighed(self.reading.values, self.findings)


async def trial(driver: Driver, bus: Bus, address: int, *, seconds: float = 0.0) -> Trial:
    """Poll the meter, again after `seconds` to see its counters rise, and judge. What the bus had to say stands in `trouble`."""
    task = MeterTask(Meter(id=_METER, bus=bus.name, address=address, driver=driver.name), driver)
    worker = BusWorker(bus, [task], lambda _: None)
    try:
        began = time.monotonic()
        first = await worker.poll(_METER)
        trouble = worker.trouble(_METER)
        result = Trial(worker.seats[_METER].poll.driver, first, worker.attributes(_METER))
        result.trouble = str(trouble) if trouble and first.missing else ""
        if not worker.line.ready:
            return result
        station = worker.seats[_METER].poll.station

        async def ask(function: int, start: int, count: int) -> list[int]:
            return list(await worker.line.read(station, function, start, count))

        result.findings = [*await _identity(driver, ask), *judge(first.values, first.absent)]
        if seconds > 0 and not first.missing:
            await asyncio.sleep(seconds)
            last = await worker.poll(_METER)
            result.findings += _rises(result.driver, first, last, time.monotonic() - began)
        result.findings += _ends(result.driver, first)
        if not result.good and not driver.discovery:
            try:
                result.proposals = propose(result.driver, await collect(result.driver.rows, ask))
            except BusError as error:
                result.trouble = str(error)
        return result
    finally:
        await worker.stop()


async def _identity(driver: Driver, ask: Ask) -> list[Finding]:
    """Whether the meter says that it is of the model that the table is for; a mismatch is no proof, makers change codes."""
    identity = driver.identity
    if identity is None:
        return []
    try:
        words = await ask(identity.function, identity.address, identity.words)
    except BusError as error:
        return [Finding(None, ("identity",), f"register {identity.address} was not read: {error.message}")]
    shown = " ".join(f"{word:04X}" for word in words)
    if recognised(identity, words):
        return [Finding(True, ("identity",), f"register {identity.address} holds {shown}: the meter that this table is for")]
    meant = ", ".join(str(value) for value in identity.values)
    return [Finding(None, ("identity",), f"register {identity.address} holds {shown}, this table is for {meant}: is it this model?")]


def _ends(driver: Driver, reading: Reading) -> list[Finding]:
    """Signed registers near the lowest number that they can hold: a small amount with a sign bit looks like that."""
    found = []
    for row in driver.rows:
        value = reading.values.get(row.name)
        if value is None or row.type != "s16" or row.mask or row.rule or row.scale_at is not None or row.times:
            continue
        raw = round(value / row.factor)
        if raw < _LOWEST:
            amount = -(raw + 0x8000) * row.factor
            text = f"{value:g} is near the lowest number of an s16; as sign and amount (u16, sign=bit15) it would be {amount:g}"
            found.append(Finding(None, (row.name,), text))
    return found


def _rises(driver: Driver, first: Reading, last: Reading, seconds: float) -> list[Finding]:
    """Counters of active energy beside the mean power between two readings."""
    found = []
    rows = {row.name: row for row in driver.rows}
    for way, sign in (("import", 1.0), ("export", -1.0)):
        name = f"active_energy_{way}"
        if name in first.values and name in last.values and "active_power" in first.values and "active_power" in last.values:
            power = sign * (first.values["active_power"] + last.values["active_power"]) / 2
            decimals = rows[name].decimals
            step = 10.0**-decimals if decimals is not None else max(first.values[name], 1.0) * 1e-6
            found.append(rising(name, first.values[name], last.values[name], power=power, seconds=seconds, step=step))
    return found
