"""What a fleet is to be: how many gateways, what they read, and when their network is away."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Uplink

METERS, VALUES = 10, 34


@dataclass(frozen=True, slots=True)
class Cut:
    """The network of the whole city is away from second `at` on, for `seconds`."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Times in seconds. `backlog`: so much was read before the start and has never been sent. `flaky`: how
    often an hour a gateway loses its own network. `seconds`: how long readings are taken; None: until
    stopped. `drain`: how long is waited for receipts afterwards. `careless`: the control, which forgets a
    batch at the broker's PUBACK.
    """

    brokers: tuple[str, ...]
    gateways: int = 100
    meters: int = METERS
    values: int = VALUES
    interval: float = 10.0
    backlog: float = 0.0
    seconds: float | None = None
    drain: float = 600.0
    seed: int = 1
    first: int = 1
    consumer: str = "city"
    protocol: str = "5.0"
    username: str | None = None
    password_file: str | None = None
    ca: str | None = None
    spread: float = 60.0
    backlog_rate: float = 50.0
    cuts: tuple[Cut, ...] = ()
    flaky: float = 0.0
    careless: bool = False

    def name(self, number: int) -> str:
        """The id of a gateway, counted from 0."""
        return f"fleet-{self.first + number:05}"

    def uplink(self, number: int) -> Uplink:
        """As it would stand in the gateway's configuration. Raises pydantic's ValidationError."""
        return Uplink.model_validate(
            {
                "name": "city",
                "url": self.brokers[number % len(self.brokers)],
                "protocol": self.protocol,
                "username": self.username,
                "password_file": self.password_file,
                "ca": self.ca,
                "receipts": () if self.careless else (self.consumer,),
                "replay": not self.careless,
                "spread": f"{self.spread:g}s",
                "backlog_rate": self.backlog_rate,
            }
        )

    @property
    def waiting(self) -> int:
        """Batches of each gateway that are there at the start."""
        return int(self.backlog / self.interval)
