"""The serial ports of this machine: by the name that stays, with adapter and user, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serial.tools.list_ports import comports

from gateway.common.text import visible
from gateway.config import SerialBus
from gateway.field import port_holder, port_in_use, port_trouble

_BY_ID: Final = Path("/dev/serial/by-id")
_BY_PATH: Final = Path("/dev/serial/by-path")
_TTYS: Final = Path("/sys/class/tty")
_SLOW: Final = 1
"""ms of an FTDI latency timer above which each read takes longer than it must."""


@dataclass(frozen=True, slots=True)
class SerialPortInfo:
    """`name` is what to write in `port:`; `device` the kernel's name today. `adapter` is empty for a port of
    the board; `latency` is an FTDI timer in ms; `bus` the configured bus on it. `trouble` says why it cannot
    be used now, with what to do; `holder` who has it open, `gateway` whether that is the running gateway.
    `there` is False of a configured port that this machine does not have now.
    """

    name: str
    device: str
    adapter: str = ""
    serial: str = ""
    latency: int | None = None
    holder: str = ""
    trouble: str = ""
    hint: str = ""
    bus: str = ""
    gateway: bool = False
    there: bool = True

    @property
    def slow(self) -> bool:
        """Whether its latency timer costs every read time."""
        return self.latency is not None and self.latency > _SLOW

    @property
    def stable(self) -> bool:
        """Whether the name stays when adapters are plugged in in another order."""
        return self.name != self.device or not self.adapter


def serial_ports(buses: Mapping[str, str] | None = None) -> list[SerialPortInfo]:
    """Every port with something behind it, adapters first, then configured ones that are not there. `buses`:
    configured ports, by bus.
    """
    mine = {Path(port).resolve(): bus for bus, port in (buses or {}).items()}
    found = []
    for port in comports():
        device = Path(port.device)
        if port.subsystem == "platform" and port.description == "n/a" and not _has_uart(device):
            continue
        name = _stable(device)
        maker = " ".join(part for part in (port.manufacturer, port.product) if part)
        bus = SerialBus.model_validate({"name": "port", "type": "serial", "port": name})
        trouble = port_trouble(bus) or port_in_use(bus)
        found.append(
            SerialPortInfo(
                name=name,
                device=str(device),
                adapter=visible(maker or (port.description if port.vid is not None else ""), 60),
                serial=visible(port.serial_number or "", 40),
                latency=_latency(device),
                holder=port_holder(name),
                trouble=trouble.message if trouble else "",
                hint=trouble.hint if trouble else "",
                bus=mine.get(device.resolve(), ""),
            )
        )
    absent = [_absent(bus, port) for bus, port in (buses or {}).items() if not Path(port).exists()]
    return sorted([*found, *absent], key=lambda port: (not port.there, not port.adapter, port.name))


def _absent(bus: str, port: str) -> SerialPortInfo:
    """A configured port that is not there."""
    trouble = port_trouble(SerialBus.model_validate({"name": bus, "type": "serial", "port": port}))
    message, hint = (trouble.message, trouble.hint) if trouble else ("", "")
    return SerialPortInfo(name=port, device=port, trouble=message, hint=hint, bus=bus, there=False)


def _stable(device: Path) -> str:
    """The name by id; by path for adapters without a serial number of their own that are there twice; else
    the alias of the board's port.
    """
    for folder in (_BY_ID, _BY_PATH):
        try:
            links = sorted(folder.iterdir())
        except OSError:
            continue
        for link in links:
            if link.resolve() == device.resolve():
                return str(link)
    alias = Path("/dev/serial0")
    return str(alias) if alias.exists() and alias.resolve() == device.resolve() else str(device)


def _has_uart(device: Path) -> bool:
    """Whether a ttyS has hardware: the kernel lists four of them without."""
    try:
        return (_TTYS / device.name / "type").read_text().strip() != "0"
    except OSError:
        return False


def _latency(device: Path) -> int | None:
    try:
        return int((_TTYS / device.resolve().name / "device/latency_timer").read_text())
    except (OSError, ValueError):
        return None
