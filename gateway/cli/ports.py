"""`submeter ports`: the serial ports of this machine, by the name to write into the configuration."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from gateway.cli.client import control_client
from gateway.cli.language import N_, _, in_words
from gateway.cli.lending import bus_among
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.commissioning.ports import SerialPortInfo, serial_ports
from gateway.config import SerialBus, load_config
from gateway.errors import ConfigError, ControlError
from gateway.host import CONFIG

_HELP = N_(
    """List the serial ports: the name that stays, the adapter, who uses it, and what is wrong with it.

Write the name into `port:` of a bus, or search the line behind it with `submeter scan NAME`.
"""
)


@click.command(help=_HELP)
@config_option
@socket_option
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object per port instead of words."))
def command(*, file: Path | None, socket: Path | None, as_json: bool) -> None:
    """Print a paragraph per port; exit 1 when none is there."""
    ports = read_here(serial_ports(_configured(file)), socket)
    if as_json:
        for port in ports:
            print(json.dumps({**dataclasses.asdict(port), "stable": port.stable}, ensure_ascii=False))
    else:
        for place, port in enumerate(ports):
            if place:
                print()
            _show(port)
    if not any(port.there for port in ports):
        if not as_json and not ports:
            say(_("There is no serial port → plug the RS-485 adapter in and try again; dmesg shows it"))
        raise SystemExit(1)


def _show(port: SerialPortInfo) -> None:
    say(port.name)
    if port.name != port.device:
        say(_("today %(device)s") % {"device": port.device}, "  ")
    if port.adapter:
        number = _(", serial number %(number)s") % {"number": port.serial} if port.serial else ""
        say(_("adapter: %(adapter)s") % {"adapter": port.adapter} + number, "  ")
    elif port.there:
        say(_("a port of the board itself"), "  ")
    if port.bus:
        say(_("configured as bus %(bus)s") % {"bus": port.bus}, "  ")
    if port.gateway:
        text = _("the running gateway reads it; scan, doctor and setup borrow it and give it back")
        say(text, "  ")
    elif port.holder:
        say(_("open: %(holder)s") % {"holder": port.holder}, "  ")
    if not port.stable:
        text = _(
            "this name changes when adapters are plugged in in another order → use a stable one: "
            "ls -l /dev/serial/by-path"
        )
        say(text, "  ")
    if port.slow:
        text = _("its latency timer is %(ms)s ms, each read takes that longer → %(line)s")
        line = f"echo 1 | sudo tee /sys/bus/usb-serial/devices/{Path(port.device).name}/latency_timer"
        say(text % {"ms": port.latency, "line": line}, "  ")
    if port.trouble:
        say(in_words(f"{port.trouble} → {port.hint}" if port.hint else port.trouble), "  ")
    elif not port.holder:
        say(_("free, and you may use it"), "  ")


def read_here(ports: list[SerialPortInfo], socket: Path | None) -> list[SerialPortInfo]:
    """The ports as they are; of those that the running gateway has open, in use, and nothing is wrong with
    that. It is asked once, and only where a port is in use.
    """
    if not any(port.holder for port in ports):
        return ports
    try:
        client = control_client(socket)
        if client is None:
            return ports
        with client:
            buses = client.status()["buses"]
    except ControlError:
        return ports  # whoever may not ask the gateway sees who holds the port
    return [_as_bus(port, bus_among(buses, port.device) if port.holder else "") for port in ports]


def _as_bus(port: SerialPortInfo, bus: str) -> SerialPortInfo:
    """The port that is a bus of the running gateway, if it is one."""
    return dataclasses.replace(port, bus=bus, trouble="", hint="", gateway=True) if bus else port


def _configured(file: Path | None) -> dict[str, str]:
    """Ports by bus; none when there is no configuration, or none that can be used, and none was named."""
    try:
        buses = load_config(file or CONFIG).buses
    except ConfigError:
        if file is not None:
            raise
        return {}
    return {bus.name: bus.port for bus in buses if isinstance(bus, SerialBus)}
