"""`submeter doctor`: what is wrong with this gateway, its lines and its uplinks, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from gateway.catalogue import Driver, library
from gateway.check import load
from gateway.cli.client import control_client
from gateway.cli.doctor_words import DoctorReport
from gateway.cli.language import N_, in_words
from gateway.cli.lending import borrowed
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.commissioning.doctor import (
    BusSurroundings,
    ExaminedPart,
    RealPorts,
    SampleBatch,
    examine_bus,
    examine_machine,
    examine_uplink,
    target_of,
)
from gateway.commissioning.ports import serial_ports
from gateway.commissioning.scan import LineSetting, likely_settings
from gateway.config import Bus, Config, Meter, SerialBus, Uplink
from gateway.errors import ConfigError, GatewayError, JournalError
from gateway.host import CONFIG, kernel_synced, socket_path
from gateway.journal import JournalReader

BLIND = 2
"""Exit code when it could not be looked at."""
MACHINE = "machine"
_HELP = N_(
    """Measure what is wrong, name the cause, and say what to do: for this machine,
every bus and every uplink of the configuration, or for the one that is named.

WHERE is a bus, a meter or an uplink of the configuration, or the word machine. Nothing is written to a meter.
A running gateway lends its buses one after another and gets them back. Ctrl-C ends it, and what was found
until then is said. It exits 0 when everything is sound, 1 when something is not, 2 when it could not look.
"""
)


@click.command(help=_HELP)
@click.argument("where", required=False)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object instead of words."))
@config_option
@socket_option
def command(*, where: str | None, as_json: bool, file: Path | None, socket: Path | None) -> None:
    """Look at everything, shortest first; then say what to do, worst first."""
    path = file or CONFIG
    try:
        config, drivers = load(path)
    except ConfigError as error:
        say(in_words(str(error)), err=True)
        sys.exit(BLIND)
    report = DoctorReport(as_json=as_json)
    visit = _Visit(config, path, drivers, socket, report)
    parts = visit.parts(where)
    try:
        for place, (name, look) in enumerate(parts):
            report.begin(name, place, len(parts))
            try:
                report.done(look())
            except GatewayError as error:
                report.trouble(name, error)
    except KeyboardInterrupt:
        report.interrupted()
    sys.exit(report.end())


class _Visit:
    """What there is to look at, and how."""

    def __init__(
        self,
        config: Config,
        path: Path,
        drivers: dict[str, Driver],
        socket: Path | None,
        report: DoctorReport,
    ) -> None:
        self._config, self._path, self._drivers, self._socket = config, path, drivers, socket
        self._report = report
        self._ports = serial_ports({b.name: b.port for b in config.buses if isinstance(b, SerialBus)})

    def parts(self, where: str | None) -> list[tuple[str, Callable[[], ExaminedPart]]]:
        """What to look at, the shortest first. Raises GatewayError for a name that is not there."""
        config = self._config
        meters = [meter for meter in config.meters if meter.enabled]
        found: list[tuple[str, Callable[[], ExaminedPart]]] = []
        if where in {None, MACHINE}:
            found.append((MACHINE, self._machine))
        found += [
            (f"uplink {uplink.name}", partial(self._uplink, uplink))
            for uplink in config.uplinks
            if where in {None, uplink.name}
        ]
        sizes = {bus.name: sum(meter.bus == bus.name for meter in meters) for bus in config.buses}
        for bus in sorted(config.buses, key=lambda bus: (isinstance(bus, SerialBus), sizes[bus.name])):
            wanted = [m for m in meters if m.bus == bus.name and where in {None, bus.name, m.id}]
            if wanted or where in {None, bus.name}:
                found.append((f"bus {bus.name}", partial(self._bus, bus, wanted)))
        if not found:
            every = (config.buses, config.uplinks)
            known = [MACHINE, *(each.name for of in every for each in of), *(meter.id for meter in meters)]
            raise GatewayError(
                f"{where!r} is no bus, meter or uplink of {self._path}",
                hint=f"write one of {', '.join(known)}",
            )
        return found

    def _machine(self) -> ExaminedPart:
        place = socket_path(self._socket)
        return examine_machine(self._path, self._config, self._drivers, place, ports=self._ports)

    def _bus(self, bus: Bus, meters: list[Meter]) -> ExaminedPart:
        """A bus, which a running daemon lends meanwhile."""
        targets = [target_of(meter, self._drivers[meter.driver]) for meter in meters]
        settings: list[LineSetting] = []
        if isinstance(bus, SerialBus):
            own = [LineSetting(bus.baudrate, bus.parity, bus.stopbits)]
            drivers = self._config.drivers
            settings = likely_settings(library(Path(drivers.directory)), own)
        around = BusSurroundings(RealPorts(self._config.buses), self._free_ports(), tuple(settings))
        with borrowed(bus.place, "submeter doctor", self._socket):
            return examine_bus(bus, targets, around, self._report.progress)

    def _free_ports(self) -> tuple[str, ...]:
        """Ports that nobody has open and no bus is configured on."""
        configured = {Path(bus.port).resolve() for bus in self._config.buses if isinstance(bus, SerialBus)}
        return tuple(
            port.name
            for port in self._ports
            if not port.trouble and not port.holder and Path(port.device).resolve() not in configured
        )

    def _uplink(self, uplink: Uplink) -> ExaminedPart:
        """An uplink; a running daemon that holds the connection is asked how it is."""
        config, running, sample = self._config, None, None
        client = control_client(self._socket)
        if client is not None:
            with client:
                running = next((v for v in client.status()["uplinks"] if v["name"] == uplink.name), None)
        if running is None:
            sample = newest_batch(Path(config.journal.directory))
        return examine_uplink(
            uplink,
            config.gateway.id,
            sample=sample,
            running=running,
            synced=kernel_synced() or config.clock.trust == "system",
            tell=self._report.step,
        )


def newest_batch(directory: Path) -> SampleBatch | None:
    """The newest batch of a gateway that does not run; None when there is none, or it may not be read."""
    try:
        reader = JournalReader(directory)
    except JournalError:
        return None
    try:
        epochs = reader.epochs()
        if not epochs:
            return None
        epoch, _first, last = epochs[-1]
        found = reader.find(epoch, last, last, 1)
        return SampleBatch(epoch, last, found[0].body) if found else None
    except JournalError:
        return None
    finally:
        reader.close()
