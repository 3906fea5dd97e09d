"""The broker of an uplink, and the patience with it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Uplink
from gateway.mqtt import Broker


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of an uplink, in seconds; tests use shorter ones."""

    patience: float = 30.0
    """Without progress: PUBACKs (then the connection is ended) and receipts (then one batch is tried)."""
    silence: float = 60.0
    """Without any receipt of a consumer that is owed one: it counts as silent, and after half as long
    again the topics are subscribed to once more.
    """
    tick: float = 1.0
    stuck: float = 60.0
    """Without a sign of life of the link's thread."""


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
