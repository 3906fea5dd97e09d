"""`submeter scan`: the meters of a line or of a host, and the lines to write for them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from gateway.catalogue import library
from gateway.cli.language import N_, _, ngettext
from gateway.cli.lending import borrowed
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.cli.scan_words import Report
from gateway.commissioning.ports import serial_ports
from gateway.commissioning.scan import (
    ConverterProbe,
    FoundMeter,
    HostProbe,
    HostSweep,
    LineSetting,
    SerialProbe,
    Sweep,
    Swept,
    item_lines,
    likely_settings,
)
from gateway.common import event_loop
from gateway.config import (
    Config,
    SerialBus,
    TcpBus,
    host_and_port,
    load_config,
    parse_config,
    with_items,
    write_beside,
)
from gateway.errors import ConfigError, GatewayError
from gateway.host import CONFIG

_HELP = N_(
    """Find the meters of a serial line or of a host, and say which they are.

WHERE is a port like /dev/ttyUSB0, a host like 192.0.2.10 or 192.0.2.10:502, or a bus of the configuration;
without it the one serial port that there is. A host is asked in Modbus TCP, then in the RTU frames that a
converter passes on to its line. Nothing is written to a meter. A running gateway lends the bus and gets it
back. Ctrl-C ends the search and keeps what was found.
"""
)
_MOST_UNIT = 255


@click.command(help=_HELP)
@click.argument("where", required=False)
@click.option("--all", "every", is_flag=True, help=N_("Every serial port, and every host of the file."))
@click.option("--one-setting", is_flag=True, help=N_("Stop when the setting of the first find is done."))
@click.option("--baudrate", type=int, metavar="BAUD", help=N_("Only this rate."))
@click.option("--parity", type=click.Choice(["N", "E", "O"]), help=N_("Only this parity."))
@click.option("--stopbits", type=click.Choice(["1", "2"]), help=N_("Only so many stop bits."))
@click.option(
    "--direction-pin",
    type=click.IntRange(0, 27),
    metavar="GPIO",
    help=N_("The pin of an RS-485 driver that does not switch by itself; else as the configuration says."),
)
@click.option("--addresses", metavar="LIST", help=N_("Only these, like 1-20,33."))
@click.option("--write", is_flag=True, help=N_("Put the lines into the configuration, the old one is kept."))
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object instead of words."))
@config_option
@socket_option
def command(*, where: str | None, every: bool, as_json: bool, write: bool, **options: Any) -> None:
    """Search, print what was found; exit 1 when nothing was, 2 when a place could not be searched."""
    file: Path | None = options["file"]
    config = _config(file, needed=write)
    places = _places(where, config, every=every)
    report = Report(as_json=as_json, existing=existing(config))
    broken = False
    for place in places:
        try:
            if not search(place, config, report, options).ended:
                break
        except GatewayError as error:
            broken = True
            report.trouble(place, error)
    found = report.end()
    if write and found:
        _write(file or CONFIG, report)
    sys.exit(2 if broken else 0 if found else 1)


def search(
    place: str,
    config: Config | None,
    report: Report,
    options: dict[str, Any],
    *,
    likely: Iterable[LineSetting] = (),
    before: Swept | None = None,
    met: Callable[[FoundMeter], None] = lambda _: None,
) -> Swept:
    """Search one place, tell the report, and give what was found. `likely`: settings to begin with; `before`:
    the search of this line that goes on. Raises GatewayError.
    """
    drivers = Path(config.drivers.directory) if config else None
    tables = library(drivers) if drivers else library()
    addresses = _addresses(options["addresses"])
    settings: list[LineSetting] = []
    sweep: Sweep

    def tell(found: FoundMeter) -> None:
        met(found)
        report.met(found)

    if place.startswith("/"):
        settings = list(dict.fromkeys([*likely, *_settings(place, config, options)]))
        sweep = Sweep(
            SerialProbe(place, direction_pin=_direction_pin(place, config, options)),
            tables,
            settings,
            addresses=addresses,
            one_setting=options["one_setting"],
            before=before,
            tell=report.progress,
            met=tell,
        )
        name = place
    else:
        ways = _ways(*host_of(place), config)
        sweep = HostSweep(ways, tables, addresses=addresses, tell=report.progress, met=tell)
        name = ways[0].name
    report.begin(place, sweep.worst, settings)
    with borrowed(name, "submeter scan", options["socket"]):
        try:
            event_loop.run(sweep.run())
        except KeyboardInterrupt:
            report.interrupted()
            with contextlib.suppress(KeyboardInterrupt):
                event_loop.run(sweep.name_rest())
    report.done(sweep.result)
    return sweep.result


def _direction_pin(place: str, config: Config | None, options: dict[str, Any]) -> int | None:
    """The pin of a driver that does not switch by itself: as asked for, else as the configuration has it."""
    asked: int | None = options.get("direction_pin")
    if asked is not None or config is None:
        return asked
    device = Path(place).resolve()
    lines = [bus for bus in config.buses if isinstance(bus, SerialBus)]
    return next((bus.direction_pin for bus in lines if Path(bus.port).resolve() == device), None)


def _ways(host: str, port: int, config: Config | None) -> list[HostProbe]:
    """A host in each kind of frames: Modbus TCP first, unless the configuration has a converter there."""
    ways = [HostProbe(host, port), ConverterProbe(host, port)]
    own = {bus.place: bus.type for bus in (config.buses if config else ()) if isinstance(bus, TcpBus)}
    return ways[::-1] if own.get(ways[0].name) == "rtu-over-tcp" else ways


def _settings(place: str, config: Config | None, options: dict[str, Any]) -> list[Any]:
    """The settings to try, the likelier first, within what was asked for."""
    device = Path(place).resolve()
    own = [
        LineSetting(bus.baudrate, bus.parity, bus.stopbits)
        for bus in (config.buses if config else ())
        if isinstance(bus, SerialBus) and Path(bus.port).resolve() == device
    ]
    rate, parity, stops = options["baudrate"], options["parity"], options["stopbits"]
    every = likely_settings(library(), own)
    if rate is not None and rate not in {each.baudrate for each in every}:
        known = ", ".join(str(each) for each in sorted({each.baudrate for each in every}))
        raise click.UsageError(
            _("%(rate)s baud is no rate of a meter: %(known)s") % {"rate": rate, "known": known}
        )
    if stops is not None:
        every = list(dict.fromkeys(LineSetting(each.baudrate, each.parity, int(stops)) for each in every))
    elif rate is not None and parity is not None:
        every = [each for each in every if each.stopbits == 1 or each in own]
    return [each for each in every if rate in {None, each.baudrate} and parity in {None, each.parity}]


def _config(file: Path | None, *, needed: bool) -> Config | None:
    """The configuration, if there is one that can be used. Raises ConfigError when one was named, or is
    needed.
    """
    try:
        return load_config(file or CONFIG)
    except ConfigError:
        if file is not None or needed:
            raise
        return None


def _places(where: str | None, config: Config | None, *, every: bool) -> list[str]:
    """Ports and hosts to search. Raises GatewayError when nobody can say which."""
    buses = {bus.name: bus for bus in config.buses} if config else {}
    hosts = [bus.place for bus in buses.values() if isinstance(bus, TcpBus)]
    if where is not None:
        if every:
            raise click.UsageError(_("leave out %(where)s, or --all") % {"where": where})
        return [buses[where].place if where in buses else where]
    ports = [port.name for port in serial_ports()]
    if every and (ports or hosts):
        return [*ports, *hosts]
    if len(ports) == 1:
        return ports
    if not ports:
        raise GatewayError(
            "there is no serial port to search",
            hint="plug the RS-485 adapter in, or name a host: submeter scan 192.0.2.10",
        )
    raise GatewayError(
        f"there are {len(ports)} serial ports: {', '.join(ports)}",
        hint="name the one to search, or write --all; submeter ports says more of each",
    )


def host_of(place: str) -> tuple[str, int]:
    """Host and port. Raises GatewayError for what is neither."""
    try:
        host, port = host_and_port(place)
        TcpBus(name="scan", type="tcp", host=host, port=port)
    except ValueError as error:
        raise GatewayError(
            f"{place!r} is neither a port, a host nor a bus",
            hint="write /dev/ttyUSB0, 192.0.2.10, 192.0.2.10:502, or the name of a bus of the configuration",
        ) from error
    return host, port


def _addresses(text: str | None) -> list[int]:
    """Numbers of a list like 1-20,33. Raises click.UsageError."""
    found: list[int] = []
    for part in (text or "").split(",") if text else ():
        first, _dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError:
            low, high = -1, -1
        if not 0 <= low <= high <= _MOST_UNIT:
            raise click.UsageError(
                _("%(part)s is no address: write numbers from 1 to 247, like 1-20,33") % {"part": repr(part)}
            )
        found += range(low, high + 1)
    return found


def existing(config: Config | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Buses and meters of the configuration, by its keys."""
    if config is None:
        return [], []
    return [bus.model_dump() for bus in config.buses], [meter.model_dump() for meter in config.meters]


def _write(path: Path, report: Report) -> None:
    """Put the proposed lines into the file. Raises GatewayError; the file is then as it was."""
    text = path.read_text(encoding="utf-8")
    buses = [proposal.bus for proposal in report.proposals if proposal.bus]
    meters = [meter for proposal in report.proposals for meter in proposal.meters]
    new = with_items(text, "buses", [line for bus in buses for line in item_lines(bus)])
    new = with_items(new, "meters", [line for meter in meters for line in item_lines(meter)])
    if new == text:
        say(_("There is nothing to write into %(file)s.") % {"file": path})
        return
    parse_config(new, path.name)
    old = write_beside(path, new)
    count = len(meters)
    said = ngettext("%(n)s meter was written into %(file)s", "%(n)s meters were written into %(file)s", count)
    say(said % {"n": count, "file": path} + _("; the old file is %(old)s.") % {"old": old})
    say(_("Give each meter a name (name:, feeds:), then: submeter check; submeter reload"))
