"""Read a meter live with a driver and judge what comes; when it cannot be, find the table that would make
it so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from gateway.catalogue import Driver, recognised
from gateway.commissioning.plausibility.fit import Ask, TableProposal, collect, propose
from gateway.commissioning.plausibility.physics import PhysicsCheck, fits, judge, rising, unweighed
from gateway.commissioning.plausibility.reader import Reader
from gateway.commissioning.plausibility.sisters import Sister, TableComparison, Tell, weigh_against
from gateway.config import Bus, Meter
from gateway.errors import BadFrame, BusError, NoReply
from gateway.field import BusWorker, MeterTask, PolledMeter
from gateway.model import NOT_READY, Reading

_METER = "tried"
_NOBODY = {"exception_10", "exception_11"}
"""What a gateway says for a meter that does not answer it."""
_READINGS = 3
"""Polls of which the best counts, where answers get lost."""
_SILENT = {NoReply.reason} | _NOBODY
_LOST = {BadFrame.reason} | _SILENT
_LOWEST = -0x7000
"""Raw numbers of an s16 below it are rather an amount with a sign bit."""


@dataclass(slots=True)
class TriedTable:
    """What the meter said, what speaks for and against it, and what would fit better."""

    driver: Driver
    reading: Reading
    attributes: dict[str, str] = field(default_factory=dict)
    findings: list[PhysicsCheck] = field(default_factory=list)
    proposals: list[TableProposal] = field(default_factory=list)
    trouble: str = ""
    silent: bool = False
    """No answer came that could be understood: nothing can be said."""
    weighed: TableComparison = field(default_factory=TableComparison)
    refused: str = ""
    """Why the meter does not show the identity that it should have."""

    @property
    def good(self) -> bool:
        """Whether the values are possible, the power was weighed, the meter is no other one, and no other
        table fits as well.
        """
        return self.possible and not (
            self.unweighed
            or self.another
            or self.rivals
            or self.weighed.left
            or (self.refused and not self.recognised)
        )

    @property
    def all_zero(self) -> bool:
        """Whether values were read, and each is zero."""
        values = self.reading.values
        return bool(values) and not any(values.values())

    @property
    def recognised(self) -> bool:
        """Whether the meter says that it is the one that the table is for."""
        return any(driver.name == self.driver.name for driver in self.weighed.claimed)

    @property
    def another(self) -> tuple[Driver, ...]:
        """The drivers that the meter's identity names, when the tried one is not among them."""
        return () if self.recognised else self.weighed.claimed

    @property
    def rivals(self) -> tuple[Sister, ...]:
        """Tables that fit as well; none when the meter itself says which it is."""
        return () if self.weighed.claimed else self.weighed.sisters

    @property
    def possible(self) -> bool:
        """Whether nothing that could be judged speaks against the table, and something for it."""
        return not self.reading.missing and fits(
            [finding for finding in self.findings if finding.names != ("identity",)]
        )

    @property
    def unweighed(self) -> str:
        """Why nobody can say whether the power is right; empty when it was weighed."""
        return unweighed(self.reading.values, self.findings)


async def try_table(
    driver: Driver,
    bus: Bus,
    address: int,
    *,
    seconds: float = 0.0,
    library: Iterable[Driver] = (),
    tell: Tell = lambda _: None,
) -> TriedTable:
    """Poll the meter, again after `seconds` to see its counters rise, and judge; then weigh the table against
    the `library`.

    What the bus had to say stands in `trouble`; `tell` is called with what is being done.
    """
    task = MeterTask(Meter(id=_METER, bus=bus.name, address=address, driver=driver.name), driver)
    worker = BusWorker(bus, [task], lambda _: None)
    meter = worker.meter(_METER)
    try:
        tell(f"reading the meter at address {address}")
        first = await _read(meter)
        result = TriedTable(meter.driver, first, dict(meter.attributes))
        result.trouble = str(meter.error) if meter.error and first.missing else ""
        refused = first.missing.startswith("exception") and first.missing not in _NOBODY | NOT_READY
        result.silent = bool(first.missing) and not refused
        if not meter.reachable or result.silent:
            return result
        insist = Reader(meter.words).insist
        result.findings = [*await _identity(driver, insist), *judge(first.values, first.absent)]
        if seconds > 0 and not first.missing:
            tell(f"waiting {seconds:g} s, to see the counters rise")
            await asyncio.sleep(seconds)
            last = await _read(meter)
            result.findings += _rises(result.driver, first, last)
        result.findings += _ends(result.driver, first)
        unread = (each.text for each in result.findings if each.names == ("identity",) and each.good is None)
        result.refused = next(unread, "")
        if not driver.discovery:
            result.weighed = await weigh_against(
                result.driver, library, meter.words, tell=tell, findings=result.findings
            )
        # Who gives nothing of this table and says which other model it is needs no change of this one.
        known = bool(result.another) and not first.values
        if not (result.possible or known or driver.discovery):
            tell("looking for other word orders, kinds of number, addresses and functions")
            try:
                result.proposals = propose(result.driver, await collect(result.driver.rows, insist))
            except BusError as error:
                result.trouble = str(error)
        return result
    finally:
        await worker.stop()


async def _read(meter: PolledMeter) -> Reading:
    """A poll; where answers get lost, the one of several that brought the most. Where nobody answers at all
    there is none to lose: a poll has asked more than once.
    """
    best = await meter.read()
    for _ in range(_READINGS - 1):
        if not _lost(best) or best.missing in _SILENT or not meter.reachable:
            break
        best = min(best, await meter.read(), key=_lost)
    return best


def _lost(reading: Reading) -> float:
    """How many values are missing because nobody heard the answer; all of them when nothing came."""
    return inf if reading.missing in _LOST else sum(reason in _LOST for reason in reading.absent.values())


async def _identity(driver: Driver, ask: Ask) -> list[PhysicsCheck]:
    """Whether the meter says that it is of the model that the table is for."""
    identity = driver.identity
    if identity is None:
        return []
    try:
        words = await ask(identity.function, identity.address, identity.words)
    except BusError as error:
        if identity.not_all:
            return []
        return [
            PhysicsCheck(None, ("identity",), f"register {identity.address} was not read: {error.message}")
        ]
    shown = " ".join(f"{word:04X}" for word in words)
    if recognised(identity, words):
        return [
            PhysicsCheck(
                True,
                ("identity",),
                f"register {identity.address} holds {shown}: the meter that this table is for",
            )
        ]
    if identity.not_all:
        return []
    meant = ", ".join(str(value) for value in identity.values)
    return [
        PhysicsCheck(
            None,
            ("identity",),
            f"register {identity.address} holds {shown}, this table is for {meant}: is it this model?",
        )
    ]


def _ends(driver: Driver, reading: Reading) -> list[PhysicsCheck]:
    """Signed registers near the lowest number that they can hold: a small amount with a sign bit looks
    like that.
    """
    found = []
    for row in driver.rows:
        value = reading.values.get(row.name)
        if (
            value is None
            or row.type != "s16"
            or row.mask
            or row.rule
            or row.scale_at is not None
            or row.times
        ):
            continue
        raw = round(value / row.factor)
        if raw < _LOWEST:
            amount = -(raw + 0x8000) * row.factor
            text = (
                f"{value:g} is near the lowest number of an s16; as sign and amount (u16, sign=bit15) "
                f"it would be {amount:g}"
            )
            found.append(PhysicsCheck(None, (row.name,), text))
    return found


def _rises(driver: Driver, first: Reading, last: Reading) -> list[PhysicsCheck]:
    """Counters of active energy beside the mean power between two readings."""
    found, seconds = [], (last.uptime - first.uptime) / 1000
    rows = {row.name: row for row in driver.rows}
    for way, sign in (("import", 1.0), ("export", -1.0)):
        name = f"active_energy_{way}"
        if (
            name in first.values
            and name in last.values
            and "active_power" in first.values
            and "active_power" in last.values
        ):
            power = sign * (first.values["active_power"] + last.values["active_power"]) / 2
            decimals = rows[name].decimals
            step = 10.0**-decimals if decimals is not None else max(first.values[name], 1.0) * 1e-6
            found.append(
                rising(name, first.values[name], last.values[name], power=power, seconds=seconds, step=step)
            )
    return found
