"""What a broker's reason codes mean for the person who has to mend it. Codes are those of MQTT 5; paho translates 3.1.1."""

from __future__ import annotations

from gateway.errors import LinkDown, LinkRefused, LinkTaken, UplinkError
from gateway.uplink.link import FIRST_FAILURE

TAKEN = 0x8E
UNSUPPORTED_VERSION = 0x84
_BUSY = {0x88, 0x89, 0x8B, 0x97, 0x9F}
"""Server unavailable, busy, shutting down, quota exceeded, connection rate exceeded: better soon, without anybody's help."""


class NoConnack(LinkDown):
    """The broker closed the connection instead of answering CONNECT; MQTT 3.1.1 brokers do that to MQTT 5."""


class WrongVersion(LinkRefused):
    """The broker does not speak this version of MQTT."""


def no_connack(*, tls: bool) -> UplinkError:
    """The connection ended before the broker said anything."""
    hint = "check that the port speaks MQTT" + (", and whether the broker wants a client certificate (cert, key)" if tls else "")
    return NoConnack("the broker closed the connection instead of answering", hint=hint)


def refusal(code: int, name: str) -> UplinkError:
    """CONNACK said no."""
    if code == UNSUPPORTED_VERSION:
        return WrongVersion("the broker does not speak this version of MQTT", hint="write protocol: 3.1.1, or auto")
    if code in _BUSY:
        return LinkDown(f"the broker is not ready: {name}")
    return LinkRefused(
        f"the broker refuses the connection: {name}", hint="check username, password_file, cert and the broker's access list"
    )


def farewell(code: int, name: str) -> UplinkError:
    """DISCONNECT came from the broker."""
    if code == TAKEN:
        return LinkTaken(
            "another client with our id has taken over the session: two gateways with one id?",
            hint="give each gateway an id of its own; a copied card needs one too",
        )
    ended = "ended" if code >= FIRST_FAILURE and code not in _BUSY else "closed"
    return LinkDown(f"the broker {ended} the connection: {name}")
