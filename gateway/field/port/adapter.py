"""Ports and adapters: why one cannot be opened and what to do about it, and the one setting that costs a
bus its time.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import logging
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Protocol

from gateway.common.network.connecting import CONNECT, LOOKUP, NameNotFound, NoAddressWorked
from gateway.config import Bus, SerialBus, TcpBus
from gateway.errors import BusDown, Cause

log = logging.getLogger(__name__)

_TTYS = Path("/sys/class/tty")
_BY_ID = Path("/dev/serial/by-id")
_PROC = Path("/proc")


class Adjustable(Protocol):
    """An open port of pyserial."""

    def set_low_latency_mode(self, low_latency_settings: bool, /) -> None:
        """ASYNC_LOW_LATENCY; ftdi_sio makes a latency timer of 1 ms of it. Raises ValueError where the
        driver knows no such thing.
        """


def low_latency(port: str, serial: Adjustable | None = None) -> None:
    """Set an FTDI adapter's latency timer to 1 ms, or say what it costs that it cannot be.

    The open port is asked first: that needs no rights on the file in /sys.
    """
    timer = _TTYS / Path(port).resolve().name / "device/latency_timer"
    try:
        now = int(timer.read_text())
        if now > 1 and serial is not None:
            with contextlib.suppress(ValueError, OSError, NotImplementedError):
                serial.set_low_latency_mode(True)
            now = int(timer.read_text())
    except (OSError, ValueError):
        return
    if now > 1:
        try:
            timer.write_text("1")
        except OSError:
            log.warning(
                "%s passes bytes on up to %d ms late, and %s may not be written: each read takes that longer",
                port,
                now,
                timer,
            )


def not_opened(bus: Bus, name: str, error: Exception) -> BusDown:
    """Why a bus cannot be opened, in the kernel's words, with the advice that belongs to them. May look
    into /proc: not on the loop.
    """
    why, cause, hint = _serial(bus, error) if isinstance(bus, SerialBus) else _tcp(bus, error)
    return BusDown(f"{name} cannot be opened: {why}", hint=hint, cause=cause)


def port_trouble(bus: SerialBus) -> BusDown | None:
    """Why a serial port could not be opened by this user at the moment, without opening it; None when
    nothing speaks against it.
    """
    path = Path(bus.port)
    try:
        code = 0 if stat.S_ISCHR(path.stat().st_mode) else errno.ENOTTY
    except OSError as error:
        code = error.errno or errno.ENOENT
    if not code and not os.access(path, os.R_OK | os.W_OK):
        code = errno.EACCES
    return not_opened(bus, bus.port, OSError(code, os.strerror(code))) if code else None


def port_in_use(bus: SerialBus) -> BusDown | None:
    """That another program has a serial port open, as far as this user may see; None when nobody is known
    to.
    """
    holder = port_holder(bus.port)
    if not holder or holder == "this gateway":
        return None
    return not_opened(bus, bus.port, OSError(errno.EBUSY, os.strerror(errno.EBUSY)))


Told = tuple[str, Cause, str]


def _serial(bus: SerialBus, error: Exception) -> Told:
    code, port = _errno(error), bus.port
    match code:
        case errno.ENOENT | errno.ENOTDIR:
            return (
                "there is no such port",
                "no_port",
                f"plug the adapter in, or write another name in port: {_ports()}",
            )
        case errno.EACCES | errno.EPERM:
            return "permission denied", "permission", _rights(port)
        case errno.EBUSY | errno.EAGAIN:
            holder = port_holder(port)
            return f"it is in use by {holder or 'another program'}", "in_use", _let_go(port, holder)
        case errno.ENXIO | errno.ENODEV:
            return (
                f"no device is behind it ({os.strerror(code)})",
                "no_device",
                "unplug the adapter and plug it in again; see dmesg",
            )
        case errno.ENOTTY | errno.EISDIR | errno.EINVAL:
            what = f"it is not a serial port, or cannot do {bus.setting} ({os.strerror(code)})"
            hint = f"check port, baudrate, parity and stopbits; the ports: {_ports()}"
            return what, "not_serial", hint
        case errno.EIO:
            return os.strerror(code), "no_device", "unplug the adapter and plug it in again; see dmesg"
        case None:
            return str(error) or type(error).__name__, "other", "check port, baudrate, parity and stopbits"
        case _:
            return os.strerror(code), "other", f"check port: {_ports()}"


def _tcp(bus: TcpBus, error: Exception) -> Told:
    if isinstance(error, NameNotFound):
        if error.errno == socket.EAI_AGAIN:
            hint = (
                "check the router and the name servers in /etc/resolv.conf, or write the IP address in host"
            )
            return f"no name server answers for {bus.host}", "no_name_server", hint
        if zone := bus.host.partition("%")[2]:
            hint = "plug its cable in, or write one in host that ip link lists"
            return f"this machine has no interface {zone}", "no_route", hint
        hint = (
            "check how it is written in host, and whether the name server knows it; an IP address needs none"
        )
        return f"the name {bus.host} is not known ({error.strerror})", "unknown_name", hint
    if isinstance(error, NoAddressWorked):
        why, cause, hint = _unreached(bus, error.tried[0][1])
        if len(error.tried) == 1:
            return why, cause, hint
        told = [f"{address}: {_unreached(bus, each)[0]}" for address, each in error.tried]
        best = next(
            (each for _, each in error.tried if isinstance(each, ConnectionRefusedError)), error.tried[0][1]
        )
        return "; ".join(told), *_unreached(bus, best)[1:]
    if isinstance(error, TimeoutError):
        hint = (
            "check the router and the name servers in /etc/resolv.conf, or write the IP address in "
            "host; the look-up goes on"
        )
        return f"looking up the name {bus.host} took more than {LOOKUP:g} s", "no_name_server", hint
    return _unreached(bus, error)


def _unreached(bus: TcpBus, error: Exception) -> Told:
    if isinstance(error, TimeoutError) and error.errno is None:
        error = OSError(errno.ETIMEDOUT, f"timed out: no answer within {CONNECT:g} s")
    code = _errno(error)
    told = getattr(error, "strerror", None) or str(error)
    words = os.strerror(code) if code and told.startswith("Connect call failed") else told  # asyncio's words
    match code:
        case errno.ECONNREFUSED:
            hint = (
                f"the device is there, but does not listen on port {bus.port}: check port, and whether "
                f"it accepts another connection"
            )
            return "connection refused", "refused", hint
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ENETDOWN | errno.EHOSTDOWN:
            return (
                words.lower(),
                "no_route",
                "check host, the device's power and cable, and this machine's own address and network",
            )
        case errno.ETIMEDOUT:
            return words, "silent", "check host, the device's power and cable, and firewalls between"
        case errno.ECONNRESET | errno.ECONNABORTED | errno.EPIPE:
            return (
                words.lower(),
                "hung_up",
                "the device takes no further connection: end the other program, or restart the device",
            )
        case errno.EACCES | errno.EPERM:
            return (
                words.lower(),
                "permission",
                "a firewall of this machine forbids it: allow connections to that host and port",
            )
        case errno.EINVAL | errno.EADDRNOTAVAIL:
            return (
                words.lower(),
                "no_route",
                "check host; an address like fe80:: needs its interface: fe80::1%eth0",
            )
        case _:
            return words or type(error).__name__, "other", "check host, port and the device"


def _errno(error: BaseException | None) -> int | None:
    """The number of an error, or of what it was made from: pyserial wraps termios' errors in words."""
    for _ in range(4):
        if error is None:
            return None
        number = getattr(error, "errno", None) or next(
            (part for part in error.args[:1] if isinstance(part, int)), None
        )
        if number:
            return int(number)
        error = error.__cause__ or error.__context__
    return None


def _ports() -> str:
    """The stable names of the ports that are there."""
    try:
        names = sorted(str(path) for path in _BY_ID.iterdir())
    except OSError:
        names = []
    return f"{', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else f"names stand in {_BY_ID}"


def _console(port: str) -> str:
    return f"sudo systemctl disable --now serial-getty@{Path(port).resolve().name}.service"


def _rights(port: str) -> str:
    """What to do about a port that we may not open."""
    try:
        about = Path(port).stat()
    except OSError:
        return "mend the rights of the folders on its way"
    group = _group(about.st_gid)
    if about.st_mode & (stat.S_IRGRP | stat.S_IWGRP) != stat.S_IRGRP | stat.S_IWGRP or group in {
        "tty",
        "root",
    }:
        taken = (
            f"its rights are taken away (mode {stat.S_IMODE(about.st_mode):04o}, group {group}), "
            f"usually by a login console"
        )
        return (
            f"{taken}: {_console(port)}, then plug the adapter in again or restart the machine; it must "
            f"be of the group dialout, mode 0660"
        )
    return f"sudo usermod -aG {group} {_user()}, then restart the service (a person logs in anew)"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _let_go(port: str, holder: str) -> str:
    if holder.startswith(("agetty", "getty", "login")):
        return f"stop the login console there: {_console(port)}"
    if holder == "this gateway":
        return "two buses are one line: write one bus and put all its meters on it"
    return "end that program: one line has one master"


def port_holder(port: str) -> str:
    """Who has the port open, as `name (pid)`; empty when that may not be seen."""
    try:
        about = Path(port).stat()
    except OSError:
        return ""
    pid = _locking(about) or _opening(about)
    if pid is None:
        return ""
    if pid == os.getpid():
        return "this gateway"
    with contextlib.suppress(OSError):
        return f"{(_PROC / str(pid) / 'comm').read_text().strip()} (pid {pid})"
    return f"a program (pid {pid})"


def _locking(about: os.stat_result) -> int | None:
    """From /proc/locks (proc(5)): every user may read it, and most serial programs lock what they open."""
    mine = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / "locks").read_text().splitlines():
            parts = line.split()
            if mine in parts and int(parts[4]) > 0:
                return int(parts[4])
    return None


def _opening(about: os.stat_result) -> int | None:
    """From /proc/<pid>/fd: what of other users only root may see."""
    for process in _PROC.iterdir() if _PROC.is_dir() else ():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                for handle in (process / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        other = handle.stat()
                        if stat.S_ISCHR(other.st_mode) and other.st_rdev == about.st_rdev:
                            return int(process.name)
    return None
