"""What `submeter drivers try` asks, at which setting, and how it tells what came of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.catalogue import Driver
from gateway.catalogue.paper import library
from gateway.cli.options import CONFIG
from gateway.commissioning.physics import Finding
from gateway.commissioning.trial import Trial, trial
from gateway.config import load_config
from gateway.config.places import host_and_port
from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import ConfigError, DriverError, GatewayError
from gateway.model import ATTRIBUTES, QUANTITIES


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to ask, and where it comes from."""

    bus: SerialBus | TcpBus
    origin: str

    def __str__(self) -> str:
        if isinstance(self.bus, SerialBus):
            return f"{self.bus.baudrate} 8{self.bus.parity}{self.bus.stopbits} ({self.origin})"
        return f"{self.bus.host}:{self.bus.port}"


def settings(
    text: str, driver: Driver, config: Path | None, *, baudrate: int | None, parity: str | None, stopbits: str | None, rtu: bool
) -> list[Setting]:
    """How to ask, the likeliest first: what was said, else the line's own setting, else the table's. Raises GatewayError."""
    try:
        if rtu or not text.startswith("/"):
            host, number = host_and_port(text)
            kind = "rtu-over-tcp" if rtu else "tcp"
            speed = baudrate or driver.serial.baudrate or 9600
            bus = TcpBus.model_validate({"name": "bus", "type": kind, "host": host, "port": number, "baudrate": speed})
            return [Setting(bus, "as given")]
        found: dict[tuple[int, str, int], Setting] = {}
        for origin, rate, frame, stops in _frames(text, driver, config):
            line = {
                "name": "bus", "type": "serial", "port": text, "baudrate": baudrate or rate, "parity": parity or frame,
                "stopbits": int(stopbits or stops),
            }  # fmt: skip
            serial = SerialBus.model_validate(line)
            said = "as given" if baudrate and parity and stopbits else origin
            found.setdefault((serial.baudrate, serial.parity, serial.stopbits), Setting(serial, said))
        return list(found.values())
    except ValidationError as error:
        what, _, mend = error.errors()[0]["msg"].removeprefix("Value error, ").partition(": ")
        hint = mend or "write a port like /dev/ttyUSB0, or a host like 192.0.2.10, 192.0.2.10:502 or [2001:db8::10]:502"
        raise GatewayError(f"{text!r} is not a bus: it {what}", hint=hint) from error


def _frames(port: str, driver: Driver, config: Path | None) -> list[tuple[str, int, str, int]]:
    """Where a setting comes from, its rate, parity and stop bits."""
    own = _own_line(port, config)
    found = [own] if own else []
    factory = driver.serial
    if factory.baudrate or factory.parity or factory.stopbits:
        found.append((f"the factory setting of {driver.name}", factory.baudrate or 9600, factory.parity or "N", factory.stopbits or 1))
    return found or [("the usual setting: neither the configuration nor the table has one", 9600, "N", 1)]


def _own_line(port: str, config: Path | None) -> tuple[str, int, str, int] | None:
    """The setting that the configuration has for a port. Raises ConfigError when a file was named and is no good."""
    path = config or CONFIG
    try:
        buses = load_config(path).buses
    except ConfigError:
        if config is not None:
            raise
        return None
    for bus in buses:
        if isinstance(bus, SerialBus) and bus.port == port:
            return (f"the line's own setting in {path}", bus.baudrate, bus.parity, bus.stopbits)
    return None


def run(driver: Driver, ways: list[Setting], address: int, *, seconds: float, directory: Path) -> bool:
    """Try each setting until something answers, print what came; whether the table fits."""
    try:
        tables = library(directory)
    except DriverError:  # another table of the technician's own is not good yet
        tables = library()
    for number, way in enumerate(ways, 1):
        print(f"Asking address {address} at {way}.")
        result = asyncio.run(trial(driver, way.bus, address, seconds=seconds, library=tables, tell=_progress))
        if not result.silent or number == len(ways):
            break
        print(f"  no answer: {result.trouble}")
    if result.silent:
        asked = ", nor at ".join(str(way) for way in ways)
        print(f"  {result.trouble}")
        print(f"\nNothing answered at {asked}. Nothing can be said about the table.")
        return False
    show(result)
    return result.good


def _progress(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def show(result: Trial) -> None:
    """Values with what speaks for and against each, the verdict, and what would fit better."""
    _values(result)
    for finding in result.findings:
        if finding.good is not True:
            print(f"  {'does not fit' if finding.good is False else 'open'}: {finding.names[0]}: {finding.text}")
    fitting, against = _count(result.findings)
    if result.good:
        known = " The meter says that it is the one." if result.recognised else ""
        print(f"\nThe table fits: {fitting} checks speak for it, none against.{known}")
        print("Compare one value of each kind with the display all the same.")
        return
    if result.another:
        names = ", ".join(f"{driver.maker} {driver.model}" for driver in result.another)
        how = "its values are possible, but" if result.possible else f"{fitting} checks speak for it, {against} against, and"
        print(f"\nThe table does not fit: {how} the meter says that it is another one: {names}.")
    elif result.possible:
        _open(result, fitting)
    elif fitting or against:
        print(f"\nThe table does not fit: {fitting} checks speak for it, {against} against.")
    else:
        print("\nNothing could be judged.")
    _proposals(result)


def _count(findings: list[Finding] | tuple[Finding, ...]) -> tuple[int, int]:
    return sum(finding.good is True for finding in findings), sum(finding.good is False for finding in findings)


def _values(result: Trial) -> None:
    driver, reading = result.driver, result.reading
    print(f"{driver.name}: {driver.maker} {driver.model}" + (f" ({driver.variant})" if driver.variant else ""))
    if reading.missing:
        print(f"  nothing was read: {result.trouble or reading.missing}")
    for name, text in result.attributes.items():
        print(f"  {ATTRIBUTES[name].en}: {text}")
    # Of several checks of one value the one that speaks against it is shown.
    worst = sorted(result.findings, key=lambda finding: (finding.good is not None, finding.good is False))
    told = {name: finding for finding in worst for name in finding.names[:1]}
    for name, value in reading.values.items():
        finding = told.get(name)
        mark = {True: "fits", False: "NO", None: ""}[finding.good if finding else None]
        print(f"  {name:<28} {value:>14,.10g} {QUANTITIES[name].unit:<5} {mark}")
    for name, reason in reading.absent.items():
        print(f"  {name:<28} {'–':>14} {'':<5} {reason}")
    print()


def _open(result: Trial, fitting: int) -> None:
    """The values are possible, and yet nobody can say that the table fits."""
    print(f"\nOpen: {fitting} checks speak for the table, none against, but it cannot be said that it fits:")
    if result.rivals:
        print(f"  {len(result.rivals)} other tables fit as well; take the one whose name stands on the case")
    if result.refused:
        print(f"  {result.refused}")
    if result.unweighed:
        print(f"  {result.unweighed}")
        print("  compare the power with the display, or try again under load with --seconds 60, to see the counters rise")


def _proposals(result: Trial) -> None:
    """What to write instead, the best first: what the meter says itself, tables that fit, changes of this table."""
    number = 0
    for driver in result.another:
        number += 1
        print(f"\nProposal {number}: {driver.maker} {driver.model}: the meter has its identity")
        print(f"  at the meter: driver: {driver.name}")
    for sister in result.weighed.sisters if not result.weighed.claimed else ():
        number += 1
        more = ", and it reads all that this table reads, and more" if sister.larger else ""
        print(f"\nProposal {number}: {sister.driver.maker} {sister.driver.model}: {sister.fitting} checks speak for it, none against{more}")
        print(f"  at the meter: driver: {sister.driver.name}")
    for proposal in result.proposals:
        number += 1
        fitting, against = _count(proposal.findings)
        print(f"\nProposal {number}: {proposal.change}: {fitting} checks speak for it, {against} against")
        for line in proposal.change.lines(result.driver):
            print(f"  in the table: {line}")
        for factor, names in _by_factor(proposal.steps).items():
            print(f"  in the table: raw: {factor:g} times the step of {', '.join(names)}")
        for finding in proposal.findings:
            if finding.good is not None:
                print(f"  {'fits' if finding.good else 'does not fit'}: {finding.names[0]}: {finding.text}")
    if not number and not result.possible:
        print("No other word order, kind of number, neighbouring address or function code fits either.")
        print("Check the meter's address, its wiring, and that the manual is of this model.")


def _by_factor(steps: dict[str, float]) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for name, factor in steps.items():
        found.setdefault(factor, []).append(name)
    return found
