"""The address of a broker, taken apart in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""The schemes that there are, with the port of each when the URL names none."""


def without_escape(host: str) -> str:
    """The host of a URL as an address: in a URL the interface stands behind %25 (RFC 6874, 2). With nothing
    behind it, 25 is the interface.

    >>> without_escape("fe80::1%25eth0"), without_escape("fe80::1%25")
    ('fe80::1%eth0', 'fe80::1%25')
    """
    address, escape, interface = host.partition("%25")
    return f"{address}%{interface}" if ":" in address and escape and interface else host


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is. `path` is that of WebSockets, empty without them."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError or KeyError for what is no address of a broker; `config` says so in words."""
        parts = urlsplit(url)
        path = (parts.path or "/mqtt") if parts.scheme in {"ws", "wss"} else ""
        return cls(
            parts.scheme, without_escape(parts.hostname or ""), parts.port or PORTS[parts.scheme], path
        )

    @property
    def tls(self) -> bool:
        """Whether the link is encrypted."""
        return self.scheme in {"mqtts", "wss"}

    @property
    def websockets(self) -> bool:
        """Whether MQTT goes in WebSockets."""
        return self.scheme in {"ws", "wss"}

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
