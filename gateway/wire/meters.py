"""P/meters: what the gateway measures, so that history describes itself. Written by the daemon, described
here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Id = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, defer_build=True)


class QuantityMessage(_Open):
    """A word of the vocabulary as this driver gives it. `obis` is absent where the standard has no code."""

    unit: str
    kind: Annotated[str, Field(description="gauge or counter")]
    obis: str | None = None


class DriverMessage(_Open):
    """A driver table; `version` is a fingerprint of its text, `verified` says what it was proven against."""

    maker: str
    model: str
    version: str
    verified: str
    quantities: dict[str, QuantityMessage]


class MeterMessage(_Open):
    """A meter on a bus, or a pulse input (then `pin`, `per_unit` and its own `quantities` instead of a
    driver), or the gateway itself (`gateway`: `interval` and `quantities`).

    Intervals in seconds; `ct` and `vt` are quotients; `values` says whether the meter's registers are
    primary or secondary. `attributes` is what the meter says of itself: serial number, firmware, ratios.
    `resolution` gives, by quantity, the step of a register in whole Wh, varh, VAh, ml or pulses, where a
    quarter hour brings less.
    """

    id: _Id
    name: str | None = None
    feeds: str | None = None
    parent: _Id | None = None
    bus: _Id | None = None
    address: int | None = None
    driver: str | None = None
    interval: float | int | None = None
    slow_interval: float | int | None = None
    ct: float | int | None = None
    vt: float | int | None = None
    values: str | None = None
    attributes: dict[str, str] | None = None
    resolution: dict[str, float | int] | None = None
    pin: int | None = None
    per_unit: float | int | None = None
    quantities: dict[str, QuantityMessage] | None = None


class MetersMessage(_Open):
    """The whole message, retained. `key` is the fingerprint of the gateway's signing key: eight groups of
    four hexadecimal digits, the first 128 bits of the SHA-256 of the raw Ed25519 public key.
    """

    gateway: _Id
    name: str
    timezone: str
    version: str
    key: str | None = None
    drivers: dict[str, DriverMessage]
    meters: list[MeterMessage]
