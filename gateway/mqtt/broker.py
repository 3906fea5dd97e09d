"""Which broker, and who we are there."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.common.address import BrokerAddress


@dataclass(frozen=True, slots=True)
class Broker:
    """One account at one broker; `name` is what log lines call it, "uplink city".

    The files are read at every connection: a renewed certificate or a new password needs no restart.
    `protocol` is 5.0, 3.1.1 or auto, `keepalive` seconds. `configured`: both, and the rate of the backlog,
    are keys of a configuration, and may be written otherwise.
    """

    name: str
    address: BrokerAddress
    client_id: str
    username: str | None = None
    password_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    protocol: str = "auto"
    keepalive: float = 20.0
    configured: bool = True
