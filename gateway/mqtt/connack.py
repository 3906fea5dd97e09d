"""What the other side begins with, which should be its answer to CONNECT."""

from __future__ import annotations

import contextlib
import select
import socket

SHOWN = 24
"""Bytes of what the other side begins with that are asked for."""
_ANSWERS = {0x20, 0xE0}
"""First bytes of CONNACK and DISCONNECT: their flags are reserved, and 0."""
_REFUSES = b"\x20\x02\x00"
"""What a CONNACK of MQTT 3.1.1 begins with that refuses; its return code follows (3.2.2)."""


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
    return not begun or begun[0] in _ANSWERS


def return_code(begun: bytes) -> int:
    """Return code of what begins like a CONNACK of MQTT 3.1.1 that refuses; 0 when it does not."""
    return begun[len(_REFUSES)] if begun.startswith(_REFUSES) and begun != _REFUSES else 0


def may_refuse(begun: bytes) -> bool:
    """Whether too little was seen to tell a refusal of MQTT 3.1.1 from a malformed answer."""
    return len(begun) <= len(_REFUSES) and _REFUSES.startswith(begun)
