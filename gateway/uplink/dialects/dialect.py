"""What a dialect has to say. It keeps what its platform was told before, and does no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from gateway.errors import UplinkError, WireError
from gateway.model import QUANTITIES, Quantity
from gateway.mqtt import Outgoing
from gateway.wire import Batch


@dataclass(frozen=True, slots=True)
class DescribedMeter:
    """A meter as P/meters describes it; intervals in s."""

    id: str
    name: str
    maker: str
    model: str
    serial: str
    quantities: tuple[Quantity, ...]
    interval: float = 0.0
    slow_interval: float = 0.0


@dataclass(frozen=True, slots=True)
class DescribedBuilding:
    """The gateway and its meters, as P/meters describes them."""

    name: str = ""
    version: str = ""
    meters: tuple[DescribedMeter, ...] = ()

    def meter(self, name: str) -> DescribedMeter | None:
        """One of them by its id."""
        return next((meter for meter in self.meters if meter.id == name), None)


def building_of(description: bytes) -> DescribedBuilding:
    """From the JSON of P/meters, which this gateway has made itself."""
    message = json.loads(description)
    drivers = message.get("drivers", {})
    meters = []
    for meter in message.get("meters", ()):
        driver = drivers.get(meter.get("driver"), {})
        names = meter.get("quantities") or driver.get("quantities", {})
        meters.append(
            DescribedMeter(
                id=meter["id"],
                name=meter.get("name") or meter["id"],
                maker=driver.get("maker", ""),
                model=driver.get("model", ""),
                serial=meter.get("attributes", {}).get("serial_number", ""),
                quantities=tuple(QUANTITIES[name] for name in names if name in QUANTITIES),
                interval=float(meter.get("interval") or 0.0),
                slow_interval=float(meter.get("slow_interval") or meter.get("interval") or 0.0),
            )
        )
    return DescribedBuilding(message.get("name", ""), message.get("version", ""), tuple(meters))


@dataclass(slots=True)
class Spoken:
    """What a batch becomes: messages in their order, and how many readings are left out of it because they
    came too late for this platform.
    """

    messages: list[Outgoing] = field(default_factory=list)
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class DatedReading:
    """One reading with its UTC time in ms; `missing` is the reason why the meter gave nothing."""

    meter: str
    t: int
    values: dict[str, float]
    absent: dict[str, str]
    suspect: frozenset[str]
    missing: str

    @property
    def good(self) -> dict[str, float]:
        """What the gateway does not doubt: all that may be said where a platform has no word for doubt."""
        return {name: value for name, value in self.values.items() if name not in self.suspect}


def rows_of(batch: Batch) -> Iterable[DatedReading]:
    """The readings of a batch, oldest first."""
    offset = batch.t0 - batch.uptime
    for reading in sorted(batch.readings, key=lambda reading: reading.uptime):
        yield DatedReading(
            reading.meter,
            offset + reading.uptime,
            {name: float(value) for name, value in reading.values.items()},
            dict(reading.absent),
            frozenset(reading.suspect),
            reading.missing,
        )


def iso(t: int) -> str:
    """UTC in ms as ISO 8601 with milliseconds. Raises WireError for a year that has no four digits."""
    try:
        return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as error:
        raise WireError(f"{t} ms is no time of day: {error}") from error


class Dialect(Protocol):
    """How one kind of platform is spoken to. Times are UTC in ms."""

    topics: Sequence[str]
    """What is subscribed to."""

    def opening(self, now: int) -> Outgoing | None:
        """A new connection is made: its Last Will."""

    def birth(self, building: DescribedBuilding, now: int) -> list[Outgoing]:
        """What must be said before any batch: at each connection, and when the meters have changed."""

    def messages(self, batch: Batch, now: int) -> Spoken:
        """A batch. Raises WireError when it cannot be said."""

    def death(self, now: int) -> list[Outgoing]:
        """Before the connection is closed in good order."""

    def heard(self, topic: str, payload: bytes, now: int) -> list[Outgoing]:
        """A message came: what is said because of it."""

    @property
    def away(self) -> UplinkError | None:
        """Why the platform takes nothing now, None while it does; when it stops, the connection ends and
        begins anew.
        """


def json_of(value: object) -> bytes:
    """Compact, UTF-8. Raises WireError for what JSON has no word for."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise WireError(f"not JSON: {error}") from error
