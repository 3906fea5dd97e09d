"""What the other side begins with, which should be its answer to CONNECT."""

from __future__ import annotations

import contextlib
import select
import socket

SHOWN = 24
"""Bytes of what the other side begins with that are asked for."""
_ANSWERS = {2, 14}
"""Types of CONNACK and DISCONNECT."""


def first_bytes(sock: object, seconds: float) -> bytes | None:
    """What the other side begins with, as soon as it has come, and left for whoever reads it; empty when
    nothing comes in time. None where that cannot be seen: behind TLS or in WebSockets.
    """
    if type(sock) is not socket.socket:
        return None
    with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed meanwhile
        if select.select([sock], [], [], seconds)[0]:
            return sock.recv(SHOWN, socket.MSG_PEEK)
    return b""


def may_be_connack(begun: bytes) -> bool:
    """Whether what the other side begins with may be its answer to CONNECT, which comes first (MQTT 5, 3.2);
    some refuse with a DISCONNECT.
    """
    return not begun or begun[0] >> 4 in _ANSWERS
