"""systemd's notify protocol (sd_notify(3)): a datagram to the socket in NOTIFY_SOCKET."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*lines: str) -> bool:
    """Send lines such as READY=1 or STATUS=…; False when no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.connect(address)
        sock.sendall("\n".join(lines).encode())
        return True
    return False


def watchdog_seconds() -> float | None:
    """Half of the time the service manager allows between two WATCHDOG=1; None when it does not watch us."""
    limit, owner = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(limit) / 2e6 if limit.isdigit() and int(limit) and owner == str(os.getpid()) else None
