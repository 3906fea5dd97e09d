"""What `submeter drivers try` asks, at which setting, and how it tells what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.catalogue import Driver, library
from gateway.cli.language import _, figure, in_words, locale, ngettext
from gateway.cli.lending import borrowed
from gateway.cli.physics_words import evidence
from gateway.cli.prose import aligned, say
from gateway.commissioning.plausibility import PhysicsCheck, TriedTable, try_table
from gateway.common import event_loop
from gateway.common.near import did_you_mean
from gateway.config import SerialBus, TcpBus, host_and_port, load_config
from gateway.errors import ConfigError, DriverError, GatewayError
from gateway.host import CONFIG
from gateway.model import QUANTITIES
from gateway.status import Words


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to ask, and where it comes from."""

    bus: SerialBus | TcpBus
    origin: str

    def __str__(self) -> str:
        if isinstance(self.bus, SerialBus):
            return f"{self.bus.setting} ({self.origin})"
        return self.bus.place


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """Where a meter of the configuration is, and its table."""

    table: str
    bus: str
    address: int
    rtu: bool


def configured(meter: str, file: Path | None) -> tuple[Path, MeterPlace]:
    """The folder of a configuration's own tables, and one of its meters. Raises ConfigError, GatewayError."""
    config = load_config(file or CONFIG)
    found = next((one for one in config.meters if one.id == meter), None)
    if found is None:
        known = [one.id for one in config.meters]
        hint = did_you_mean(meter, known, f"configured: {', '.join(known) or 'none'}")
        raise GatewayError(f"there is no meter {meter!r}", hint=hint)
    bus = next(one for one in config.buses if one.name == found.bus)
    where = MeterPlace(found.driver, bus.place, found.address, bus.type == "rtu-over-tcp")
    return Path(config.drivers.directory), where


def settings(
    text: str,
    driver: Driver,
    config: Path | None,
    *,
    baudrate: int | None,
    parity: str | None,
    stopbits: str | None,
    rtu: bool,
) -> list[Setting]:
    """How to ask, the likeliest first: what was said, else the line's own setting, else the table's.
    Raises GatewayError.
    """
    try:
        if rtu or not text.startswith("/"):
            host, number = host_and_port(text)
            kind = "rtu-over-tcp" if rtu else "tcp"
            speed = baudrate or driver.serial.baudrate or 9600
            bus = TcpBus.model_validate(
                {"name": "bus", "type": kind, "host": host, "port": number, "baudrate": speed}
            )
            return [Setting(bus, _("as given"))]
        found: dict[tuple[int, str, int], Setting] = {}
        for origin, rate, frame, stops in _frames(text, driver, config):
            line = {
                "name": "bus",
                "type": "serial",
                "port": text,
                "baudrate": baudrate or rate,
                "parity": parity or frame,
                "stopbits": int(stopbits or stops),
            }
            serial = SerialBus.model_validate(line)
            said = _("as given") if baudrate and parity and stopbits else origin
            found.setdefault((serial.baudrate, serial.parity, serial.stopbits), Setting(serial, said))
        return list(found.values())
    except ValidationError as error:
        what, _colon, mend = error.errors()[0]["msg"].removeprefix("Value error, ").partition(": ")
        hint = (
            mend
            or "write a port like /dev/ttyUSB0, or a host like 192.0.2.10, 192.0.2.10:502 or "
            "[2001:db8::10]:502"
        )
        raise GatewayError(f"{text!r} is not a bus: it {what}", hint=hint) from error


def _frames(port: str, driver: Driver, config: Path | None) -> list[tuple[str, int, str, int]]:
    """Where a setting comes from, its rate, parity and stop bits."""
    own = _own_line(port, config)
    found = [own] if own else []
    factory = driver.serial
    if factory.baudrate or factory.parity or factory.stopbits:
        found.append(
            (
                _("the factory setting of %(driver)s") % {"driver": driver.name},
                factory.baudrate or 9600,
                factory.parity or "N",
                factory.stopbits or 1,
            )
        )
    return found or [(_("the usual setting: neither the configuration nor the table has one"), 9600, "N", 1)]


def _own_line(port: str, config: Path | None) -> tuple[str, int, str, int] | None:
    """The setting that the configuration has for a port. Raises ConfigError when a file was named and is
    no good.
    """
    path = config or CONFIG
    try:
        buses = load_config(path).buses
    except ConfigError:
        if config is not None:
            raise
        return None
    for bus in buses:
        if isinstance(bus, SerialBus) and bus.port == port:
            return (
                _("the line's own setting in %(file)s") % {"file": path},
                bus.baudrate,
                bus.parity,
                bus.stopbits,
            )
    return None


def run(
    driver: Driver, ways: list[Setting], address: int, *, seconds: float, directory: Path, as_json: bool
) -> bool:
    """Try each setting until something answers, print what came; whether the table fits. A running gateway
    lends the bus meanwhile.
    """
    try:
        tables = library(directory)
    except DriverError:  # another table of the technician's own is not good yet
        tables = library()
    with borrowed(ways[0].bus.place, "submeter drivers try"):
        for number, way in enumerate(ways, 1):
            said = _("Asking address %(address)s at %(setting)s.") % {"address": address, "setting": way}
            say(said, err=as_json)
            result = event_loop.run(
                try_table(driver, way.bus, address, seconds=seconds, library=tables, tell=_progress)
            )
            if not result.silent or number == len(ways):
                break
            say(_("no answer: %(why)s") % {"why": in_words(result.trouble)}, "  ", err=as_json)
    if as_json:
        print(json.dumps(_as_dict(result, str(way)), ensure_ascii=False))
        return result.good
    if result.silent:
        say(in_words(result.trouble), "  ")
        text = _("Nothing answered at %(settings)s. Nothing can be said about the table.")
        say("\n" + text % {"settings": _(", nor at ").join(str(way) for way in ways)})
        text = _("submeter scan %(place)s shows who answers there, at which address and setting.")
        say(text % {"place": ways[0].bus.place})
        return False
    show(result)
    return result.good


def _as_dict(result: TriedTable, setting: str) -> dict[str, Any]:
    """Everything that the words are made from."""
    return {
        "driver": result.driver.name,
        "setting": setting,
        "fits": result.good,
        "possible": result.possible,
        "silent": result.silent,
        "trouble": in_words(result.trouble) or None,
        "attributes": result.attributes,
        "values": result.reading.values,
        "absent": result.reading.absent,
        "missing": result.reading.missing or None,
        "findings": [_finding(each) for each in result.findings],
        "open": in_words(result.unweighed or result.refused) or None,
        "says_it_is": [driver.name for driver in result.weighed.claimed],
        "not_compared": result.weighed.left,
        "as_good": [sister.driver.name for sister in result.rivals],
        "proposals": [
            {
                "text": str(each.change),
                "lines": list(each.change.lines(result.driver)),
                "steps": each.steps,
                "findings": [_finding(finding) for finding in each.findings],
            }
            for each in result.proposals
        ],
    }


def _finding(check: PhysicsCheck) -> dict[str, Any]:
    return {"fits": check.good, "quantities": list(check.names), "text": in_words(check.text)}


def _progress(text: str) -> None:
    say(in_words(text), mark="… ", err=True)


def show(result: TriedTable) -> None:
    """Values with what speaks for and against each, the verdict, and what would fit better."""
    _values(result)
    for finding in result.findings:
        if finding.good is not True:
            say(evidence(finding), "  ")
    fitting, against = _count(result.findings)
    checks = _checks(fitting, against)
    print()
    if result.good:
        known = " " + _("The meter says that it is the one.") if result.recognised else ""
        say(_("The table fits: %(checks)s.") % {"checks": checks} + known)
        say(_("Compare one value of each kind with the display all the same."))
        return
    if result.another:
        names = ", ".join(f"{driver.maker} {driver.model}" for driver in result.another)
        how = _("its values are possible, but the meter says that it is another one: %(names)s")
        if not result.reading.values:
            how = _("nothing was read with it, and the meter says that it is another one: %(names)s")
        elif not result.possible:
            how = checks + _(", and the meter says that it is another one: %(names)s")
        say(_("The table does not fit: %(how)s.") % {"how": how % {"names": names}})
    elif result.possible:
        _open(result, checks)
    elif fitting or against:
        say(_("The table does not fit: %(how)s.") % {"how": checks})
    else:
        say(_("Nothing could be judged."))
    if result.all_zero and not result.another:
        say(_("Every value is zero, which says of no table whether it is this meter's."))
    _proposals(result)


def _count(findings: list[PhysicsCheck] | tuple[PhysicsCheck, ...]) -> tuple[int, int]:
    return sum(finding.good is True for finding in findings), sum(
        finding.good is False for finding in findings
    )


def _checks(fitting: int, against: int) -> str:
    text = ngettext("%(n)s check speaks for it", "%(n)s checks speak for it", fitting) % {"n": fitting}
    return text + (_(", %(n)s against") % {"n": against} if against else _(", none against"))


def _values(result: TriedTable) -> None:
    driver, reading, words = result.driver, result.reading, Words(locale())
    say(f"{driver.name}: {driver.maker} {driver.model}" + (f" ({driver.variant})" if driver.variant else ""))
    if reading.missing:
        say(
            _("nothing was read: %(why)s")
            % {"why": in_words(result.trouble) or words.reason(reading.missing)},
            "  ",
        )
    for name, text in result.attributes.items():
        say(f"{words.attribute(name)}: {text}", "  ")
    # Of several checks of one value the one that speaks against it is shown.
    worst = sorted(result.findings, key=lambda finding: (finding.good is not None, finding.good is False))
    told = {name: finding for finding in worst for name in finding.names[:1]}
    marks = {True: _("fits"), False: _("NO"), None: ""}
    rows = [
        (
            name,
            figure(f"{value:,.10g}"),
            QUANTITIES[name].unit,
            marks[told[name].good if name in told else None],
        )
        for name, value in reading.values.items()
    ]
    rows += [(name, "–", "", words.reason(reason)) for name, reason in reading.absent.items()]
    print("\n".join([*aligned(rows, right=(1,)), ""]))


def _open(result: TriedTable, checks: str) -> None:
    """The values are possible, and yet nobody can say that the table fits."""
    say(_("Open: %(checks)s, but it cannot be said that it fits:") % {"checks": checks})
    if result.rivals:
        count = len(result.rivals)
        text = ngettext("%(n)s other table fits as well", "%(n)s other tables fit as well", count) % {
            "n": count
        }
        say(text + _("; take the one whose name stands on the case"), "  ")
    if left := result.weighed.left:
        text = ngettext(
            "%(n)s other table could not be compared: the meter is slow or silent, or its answers get lost",
            "%(n)s other tables could not be compared: the meter is slow or silent, or its answers get lost",
            left,
        )
        say(text % {"n": left}, "  ")
    if result.refused:
        say(in_words(result.refused), "  ")
    if result.unweighed:
        say(in_words(result.unweighed), "  ")
        say(
            _(
                "compare the power with the display, or try again under load with --seconds 60, to see the "
                "counters rise"
            ),
            "  ",
        )


def _proposals(result: TriedTable) -> None:
    """What to write instead, the best first: what the meter says itself, tables that fit, changes of this
    table.
    """
    number = 0

    def head(text: str) -> None:
        nonlocal number
        number += 1
        print()
        say(_("Proposal %(n)s: %(text)s") % {"n": number, "text": text})

    for driver in result.another:
        head(f"{driver.maker} {driver.model}: " + _("the meter has its identity"))
        say(_("at the meter: %(line)s") % {"line": f"driver: {driver.name}"}, "  ")
    for sister in result.weighed.sisters if not result.weighed.claimed else ():
        more = _(", and it reads all that this table reads, and more") if sister.larger else ""
        head(f"{sister.driver.maker} {sister.driver.model}: {_checks(sister.fitting, 0)}{more}")
        say(_("at the meter: %(line)s") % {"line": f"driver: {sister.driver.name}"}, "  ")
    for proposal in result.proposals:
        head(f"{in_words(str(proposal.change))}: {_checks(*_count(proposal.findings))}")
        for line in proposal.change.lines(result.driver):
            say(_("in the table: %(line)s") % {"line": line}, "  ")
        for factor, names in _by_factor(proposal.steps).items():
            text = _("in the table: raw: %(factor)s times the step of %(names)s")
            say(text % {"factor": f"{factor:g}", "names": ", ".join(names)}, "  ")
        for finding in proposal.findings:
            if finding.good is not None:
                say(evidence(finding), "  ")
    if not number and not result.possible:
        say(_("No other word order, kind of number, neighbouring address or function code fits either."))
        say(_("Check the meter's address, its wiring, and that the manual is of this model."))


def _by_factor(steps: dict[str, float]) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for name, factor in steps.items():
        found.setdefault(factor, []).append(name)
    return found
