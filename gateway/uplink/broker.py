"""The broker of an uplink."""

from __future__ import annotations

from gateway.config import Uplink
from gateway.mqtt import Broker


def broker_of(config: Uplink, gateway: str) -> Broker:
    """The broker of an uplink, and who a gateway is there."""
    return Broker(
        f"uplink {config.name}",
        config.broker,
        f"{gateway}-{config.name}",
        username=config.username,
        password_file=config.password_file,
        ca=config.ca,
        cert=config.cert,
        key=config.key,
        protocol=config.protocol,
        keepalive=config.keepalive,
    )
