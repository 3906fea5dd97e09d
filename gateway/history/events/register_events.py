"""Events of the journal that change what registers mean: a meter that was exchanged, one that is read
by another scale, a sum that a person set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.history.values import COUNTERS, registers_of
from gateway.model import Event

SWAPPED: Final = "meter_swapped"
CHANGED: Final = "meter_changed"
CONFIGURED: Final = "configuration_changed"
CORRECTED: Final = "intervals_corrected"
_SCALE: Final = frozenset({"driver", "ct", "vt", "values", "serial"})
"""Keys of a meter by which the same register says something else, or another one is meant."""


@dataclass(frozen=True, slots=True)
class RegisterExchange:
    """From now on the registers of a meter are others; what the old and the new ones showed (grains),
    as far as it is known.
    """

    meter: str
    closing: Mapping[str, int]
    opening: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EditedSum:
    """What a register took from `first` until `last` (ms UTC), in whole base units, as a person knows
    it.
    """

    meter: str
    quantity: str
    first: int
    last: int
    value: int


def is_rescaled(event: Event) -> bool:
    """Whether a reload changed by which scale a meter is read: its readings before are by the old one."""
    changed = event.fields.get("fields")
    if event.kind != CONFIGURED or event.fields.get("change") != "changed" or not isinstance(changed, dict):
        return False
    # A serial number where none stood says which meter it is, not that it is another one.
    return any(
        key != "serial" or (isinstance(was, list) and bool(was[:1] and was[0]))
        for key, was in changed.items()
        if key in _SCALE
    )


def exchange(event: Event) -> RegisterExchange | None:
    """What an event says of a meter's registers; None: nothing."""
    meter = event.fields.get("meter")
    if not isinstance(meter, str) or not (event.kind in {SWAPPED, CHANGED} or is_rescaled(event)):
        return None
    closing, opening = (registers_of(event.fields.get(name)) for name in ("closing", "opening"))
    return RegisterExchange(meter, closing, opening)


def exchanges(events: Iterable[Event]) -> list[Event]:
    """Those that say that the registers of a meter are others from then on."""
    return [event for event in events if exchange(event) is not None]


def correction(event: Event) -> EditedSum | None:
    """What a person set; None: nothing, or nothing that can be."""
    names = ("meter", "quantity", "from", "to", "value")
    meter, quantity, first, last, value = (event.fields.get(name) for name in names)
    if event.kind != CORRECTED or not isinstance(meter, str) or quantity not in COUNTERS:
        return None
    if type(first) is not int or type(last) is not int or type(value) is not int or value < 0:
        return None
    return EditedSum(meter, str(quantity), first, last, value)
