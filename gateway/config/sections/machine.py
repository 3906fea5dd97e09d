"""The sections about the machine: `health`, the meter that the gateway itself is; `pins`: its lamps, button
and relay; `card`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.units import Duration, Size, Switch

OWN_ID = "gateway"
"""The id of that meter: no other may have it."""

Pin = Annotated[int, Field(ge=0, le=27)]
"""A GPIO of the header, by its BCM number."""


class HealthSection(BaseModel):
    """How often the gateway reads itself, as the meter `gateway`; what its card may be written, in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    enabled: Switch = True
    interval: Annotated[Duration, Field(ge=10.0, le=86400.0)] = 300.0
    endurance: Annotated[Size, Field(ge=10**9, le=10**16)] | None = None


class LedsSection(BaseModel):
    """A lamp each; what has no pin has no lamp."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    power: Pin | None = None
    buses: Pin | None = None
    uplink: Pin | None = None
    always: Switch = True
    """Whether they show how the gateway is all the time, or for a minute after the button."""

    def pins(self) -> dict[str, int]:
        """Lamp → pin, of those that there are."""
        known = {"power": self.power, "buses": self.buses, "uplink": self.uplink}
        return {name: pin for name, pin in known.items() if pin is not None}


class PinsSection(BaseModel):
    """What is wired to the header beside pulse inputs and the direction pins of lines."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    leds: LedsSection = LedsSection()
    button: Pin | None = None
    relay: Pin | None = None


def named_pins(document: Mapping[str, object]) -> Iterator[tuple[list[str | int], object]]:
    """Every place of a file that names a pin, and what stands there; of whatever form the file is."""
    for section, key in (("pulses", "pin"), ("buses", "direction_pin")):
        rows = document.get(section)
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if isinstance(row, Mapping) and key in row:
                yield [section, index, key], row[key]
    pins = document.get("pins")
    leds = pins.get("leds") if isinstance(pins, Mapping) else None
    for key in ("power", "buses", "uplink"):
        if isinstance(leds, Mapping) and key in leds:
            yield ["pins", "leds", key], leds[key]
    for key in ("button", "relay"):
        if isinstance(pins, Mapping) and key in pins:
            yield ["pins", key], pins[key]


class CardSection(BaseModel):
    """Whether the file system of the journal may be told to write its own bookkeeping once a minute."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    remount: Switch = False
