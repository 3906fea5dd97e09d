"""What this machine itself has to say: clock, disk, power, heat, memory, ports, certificates, and who listens
on which port. Only read, never changed.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.catalogue import Driver
from gateway.check import check_machine
from gateway.commissioning.doctor.diagnosis import ExaminedPart
from gateway.commissioning.ports import SerialPortInfo
from gateway.config import Config
from gateway.field import MeterTask, forecast_bus, traffic
from gateway.host import RELEASED_MS, SELDOM, MachineFiles, card_state, kernel_synced

_HOT, _WARM = 80.0, 70.0
"""°C: the firmware of a Raspberry Pi slows it down from 80 on, 85 is the end."""
_WORN: Final = 80
"""Per cent of its life that a disk has used."""
_PER_YEAR: Final = 80.0
"""GB a year written: the bar of the design without a remount."""
_LONG_ENOUGH: Final = 6 * 3600.0
"""s of uptime from which writing is extrapolated."""
_LITTLE: Final = 48_000_000
"""Bytes of memory."""
_UNDER_NOW, _UNDER_SINCE, _SLOWED = 1 << 0, 1 << 16, (1 << 2) | (1 << 18)
"""Bits of get_throttled of the Raspberry Pi's firmware."""
_KEEPERS: Final = ("systemd-timesyn", "chronyd", "ntpd", "openntpd", "ptp4l")
_LISTEN: Final = "0A"
_FIRMWARE: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"


@dataclass(frozen=True, slots=True)
class MachineView(MachineFiles):
    """How to look at the machine: `root` is the top of its files, for tests; `wall` its time in ms."""

    synced: Callable[[], bool] = kernel_synced
    wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    throttled: Callable[[], int | None] | None = None


def examine_machine(
    path: Path,
    config: Config,
    drivers: dict[str, Driver],
    socket_path: Path,
    *,
    ports: list[SerialPortInfo],
    view: MachineView | None = None,
) -> ExaminedPart:
    """Everything but buses and uplinks."""
    found, view = ExaminedPart("machine"), view or MachineView()
    _clock(found, view, config.clock.trust)
    _disk(found, view, Path(config.journal.directory), config.health.endurance)
    _price(found, view, config, drivers)
    _power(found, view)
    _heat(found, view)
    _memory(found, view)
    _ports(found, config, ports)
    _listeners(found, view)
    for problem in check_machine(path, config, drivers, socket_path):
        if problem.key.endswith((".url", ".host")) or " cannot be opened: " in problem.what:
            continue  # told where the way to it is looked at
        what = f"{problem.key}: {problem.what}" if problem.key else problem.what
        found.note("configuration", ok=False)
        found.find("said", "harms", step="configuration", what=what, mend=problem.mend, who="here")
    return found


def _clock(found: ExaminedPart, view: MachineView, trust: str) -> None:
    keeper = next((name for name in _commands(view) if name.startswith(_KEEPERS)), "")
    if view.synced():
        found.note("clock", keeper=keeper or "?")
        return
    wrong = view.wall() < RELEASED_MS
    trusted = trust != "kernel" and not wrong
    found.note("clock_trusted" if trusted else "clock_alone", ok=trusted)
    if wrong:
        found.find("clock_wrong", "stops", who="here")
    elif not keeper:
        found.find("clock_no_keeper", "harms" if trust == "kernel" else "warns", trust=trust, who="here")
    elif trust == "kernel":
        found.find("clock_unsynced", "harms", keeper=keeper, who="network")


def _commands(view: MachineView) -> Iterator[str]:
    for file in view.files("proc/[0-9]*/comm"):
        try:
            yield file.read_text().strip()
        except OSError:
            continue


def _disk(found: ExaminedPart, view: MachineView, directory: Path, endurance: int | None) -> None:
    place = next((each for each in (directory, *directory.parents) if each.is_dir()), Path("/"))
    mount = view.mount(place)
    device, options = mount.device, mount.options
    usage = shutil.disk_usage(place)
    found.note("disk", place=str(place), free=usage.free / 1e9, total=usage.total / 1e9)
    if "ro" in options:
        found.find("disk_read_only", "stops", place=str(place), who="here")
    if "sync" in options:
        found.find("disk_sync", "warns", place=str(place), who="here")
    disk = view.disk(device)
    if not disk:
        return
    errors = view.text(f"sys/fs/{mount.kind}/{Path(device).name}/errors_count")
    if errors.isdigit() and int(errors):
        found.find("disk_errors", "harms", count=float(errors), device=device, who="here")
    used = view.life_used(disk, endurance)
    if used is not None:
        found.note("wear", ok=used < _WORN, percent=used)
        if used >= _WORN:
            found.find("disk_worn", "harms", percent=used, device=disk, who="here")
    _written(found, view, disk)


def _price(found: ExaminedPart, view: MachineView, config: Config, drivers: dict[str, Driver]) -> None:
    """What this configuration costs the card as it is mounted, and with the other choice of card.remount."""
    state = card_state(Path(config.journal.directory), view)
    tasks = [
        MeterTask(meter, drivers[meter.driver])
        for meter in config.meters
        if meter.enabled and meter.driver in drivers
    ]
    if state.commit is None or not tasks:
        return
    forecasts = [forecast_bus(bus, tasks) for bus in config.buses]
    seldom = state.commit >= SELDOM
    slot, own = config.gateway.commit_interval, config.own_interval
    costs = [
        traffic(forecasts, slot, own=own, remounted=remounted).gb_per_year
        for remounted in (seldom, not seldom)
    ]
    kind = "card_seldom" if seldom else "card_often"
    found.note(kind, gigabytes=costs[0], other=costs[1], seconds=state.commit)


def _written(found: ExaminedPart, view: MachineView, disk: str) -> None:
    """What the whole machine writes."""
    written = view.written(disk)
    up = view.text("proc/uptime").partition(" ")[0]
    if written is None or not up or float(up) < _LONG_ENOUGH:
        return
    yearly = written / 1e9 / float(up) * 365 * 86400
    wears = yearly > _PER_YEAR and disk.startswith("mmcblk")
    found.note("written", ok=not wears, gigabytes=yearly)
    if wears:
        found.find("disk_busy", "warns", gigabytes=yearly, who="here")


def _power(found: ExaminedPart, view: MachineView) -> None:
    file = view.supply_alarm()
    alarm = view.text(str(file.relative_to(view.root))) if file else ""
    text = view.text(_FIRMWARE)
    bits = int(text, 16) if text else (view.throttled or _vcgencmd)()
    if bits is None and not alarm:
        return
    now = alarm == "1" or bool((bits or 0) & _UNDER_NOW)
    since = bool((bits or 0) & _UNDER_SINCE)
    found.note("power", ok=not (now or since))
    if now or since:
        found.find("undervoltage", "harms" if now else "warns", now=float(now), who="here")
    elif (bits or 0) & _SLOWED:
        found.find("slowed_down", "warns", who="here")


def _vcgencmd() -> int | None:
    """What the firmware of a Raspberry Pi has noticed; None elsewhere."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        told = subprocess.run(  # noqa: S603 - a program of the system, by its whole path
            [program, "get_throttled"], capture_output=True, text=True, timeout=3, check=False
        )
        return int(told.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _heat(found: ExaminedPart, view: MachineView) -> None:
    heats = view.temperatures().values()
    if not heats:
        return
    degrees = max(heats)
    found.note("temperature", ok=degrees < _WARM, degrees=degrees)
    if degrees >= _WARM:
        found.find("hot", "harms" if degrees >= _HOT else "warns", degrees=degrees, who="here")


def _memory(found: ExaminedPart, view: MachineView) -> None:
    left = view.memory_available()
    if left is None:
        return
    found.note("memory", ok=left >= _LITTLE, megabytes=left / 1e6)
    if left < _LITTLE:
        found.find("little_memory", "warns", megabytes=left / 1e6, who="here")


def _ports(found: ExaminedPart, config: Config, ports: list[SerialPortInfo]) -> None:
    """Names that another order of plugging changes, and adapters that hand bytes on late."""
    known = {Path(port.name).resolve(): port for port in ports}
    for bus in config.buses:
        name = getattr(bus, "port", None)
        if not isinstance(name, str):
            continue
        port = known.get(Path(name).resolve())
        if port is None:
            continue
        stable = name.startswith("/dev/serial/") or not port.adapter or not name.startswith("/dev/tty")
        if not stable:
            better = port.name if port.name != port.device else ""
            found.find("unstable_name", "warns", bus=bus.name, port=name, better=better, who="here")
        if port.slow:
            file = f"/sys/bus/usb-serial/devices/{Path(port.device).name}/latency_timer"
            found.find(
                "slow_adapter", "warns", bus=bus.name, ms=float(port.latency or 0), file=file, who="here"
            )


def _listeners(found: ExaminedPart, view: MachineView) -> None:
    """TCP ports on which other machines reach this one."""
    open_ports = sorted({port for address, port in _listening(view) if address not in {"127.0.0.1", "::1"}})
    if open_ports:
        found.note("listens", ports=", ".join(map(str, open_ports)))
    if 1883 in open_ports:
        found.find("open_broker", "warns", who="here")


def _listening(view: MachineView) -> Iterator[tuple[str, int]]:
    """(address, port) of each listening socket (proc(5), net/tcp)."""
    for file in ("proc/net/tcp", "proc/net/tcp6"):
        for line in view.text(file).splitlines()[1:]:
            parts = line.split()
            if len(parts) > 3 and parts[3] == _LISTEN:
                text, _, port = parts[1].partition(":")
                words = [struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
                family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
                yield socket.inet_ntop(family, b"".join(words)), int(port, 16)


def kernel_losses(port: str, within: float = 86400.0) -> int | None:
    """How often the kernel has lost this USB adapter within so many s, by its log; None when the log may not
    be read (printk, Documentation/ABI/testing/dev-kmsg).
    """
    name = Path(port).resolve().name
    up = time.clock_gettime(time.CLOCK_MONOTONIC)
    try:
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    count = 0
    try:
        while True:
            try:
                record = os.read(log, 8192).decode(errors="replace")
            except BrokenPipeError:
                continue  # overwritten while we read: the next one is there
            except OSError:
                return count
            head, _, text = record.partition(";")
            micros = head.split(",")[2] if head.count(",") >= 2 else "0"
            recent = up - int(micros) / 1e6 <= within
            count += recent and f"disconnected from {name}" in text
    finally:
        os.close(log)
