"""The nouns of metering that every room shares. No I/O."""

from gateway.model.clock import ClockLike
from gateway.model.quantities import ATTRIBUTES, OWN_METER, OWN_QUANTITIES, QUANTITIES, Attribute, Quantity
from gateway.model.ranges import Ranges
from gateway.model.reading import (
    FAILING,
    METER_ID,
    NOT_READY,
    REASON,
    Backlog,
    ClockState,
    Draft,
    Event,
    Interval,
    Reading,
    Sealed,
    is_not_ready,
)

__all__ = [
    "ATTRIBUTES",
    "FAILING",
    "METER_ID",
    "NOT_READY",
    "OWN_METER",
    "OWN_QUANTITIES",
    "QUANTITIES",
    "REASON",
    "Attribute",
    "Backlog",
    "ClockLike",
    "ClockState",
    "Draft",
    "Event",
    "Interval",
    "Quantity",
    "Ranges",
    "Reading",
    "Sealed",
    "is_not_ready",
]
