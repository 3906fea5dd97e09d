"""A draft as batches that keep to the bounds of the contract, and to what the broker of a platform takes.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.model import Draft, Event, Interval, Reading
from gateway.wire.batch import MAX_CELLS, MAX_EVENTS, MAX_PLAIN, MAX_READINGS, Batch, compress, encode

SAMPLE = 24
"""Readings that foretell the size of all."""
FAR = 1.5
"""Times the bound that a foretold size has to be: readings differ."""


def split(draft: Draft, header: Batch) -> list[tuple[Draft, bytes]]:
    """A draft as one or more parts within the bounds of the contract, each with its JSON, with seq counting
    up from the header's.

    With `draft.packed_limit` each of them keeps to that size when it is compressed, too, as far as it can be
    divided: a reading is divided by its quantities, a driver's description likewise; a single value or event
    is not.
    """
    parts = _halves(draft)
    if parts is None or not _far_too_large(draft, header):
        plain = encode(_filled(header, draft))
        if parts is None or _fits(draft, plain):
            return [(draft, plain)]
    first = split(parts[0], header)
    return first + split(parts[1], replace(header, seq=header.seq + len(first)))


def _filled(header: Batch, draft: Draft) -> Batch:
    return replace(header, readings=draft.readings, events=draft.events, intervals=draft.intervals)


def _far_too_large(draft: Draft, header: Batch) -> bool:
    """Whether a part of the readings says that all of them cannot fit: then the whole is not made, only to
    be cut.
    """
    step = len(draft.readings) // SAMPLE
    if step < 2:  # as much work as the whole
        return False
    sample = draft.readings[::step]
    one, all_of_them = (len(encode(replace(header, readings=part))) for part in (sample[:1], sample))
    return step * (all_of_them - one) > FAR * MAX_PLAIN


def _fits(draft: Draft, plain: bytes) -> bool:
    # Events may be put in front when a batch goes out again: room is left for them.
    return (
        len(plain) <= MAX_PLAIN
        and len(draft.readings) <= MAX_READINGS
        and sum(len(reading.values) + len(reading.absent) for reading in draft.readings) <= MAX_CELLS
        and len(draft.events) + len(draft.intervals) <= MAX_EVENTS // 2
        and (draft.packed_limit is None or len(compress(plain)) <= draft.packed_limit)
    )


def _cut(items: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    middle = (len(items) + 1) // 2
    return list(items[:middle]), list(items[middle:])


def _halves(draft: Draft) -> tuple[Draft, Draft] | None:
    """Two drafts that say the same together, what opens an epoch in the first; None for what cannot be
    divided.
    """
    if len(draft.readings) > 1:
        low, high = _cut(draft.readings)
        return replace(draft, readings=low, intervals=[]), replace(draft, readings=high, events=[])
    if draft.readings and (draft.events or draft.intervals):
        return replace(draft, readings=[]), replace(draft, events=[], intervals=[])
    if draft.readings:
        by_quantity = _reading_halves(draft.readings[0])
        return by_quantity and (
            replace(draft, readings=[by_quantity[0]]),
            replace(draft, readings=[by_quantity[1]]),
        )
    if len(draft.events) + len(draft.intervals) > 1:
        first, second = _cut([*draft.events, *draft.intervals])
        return _told(draft, first), _told(draft, second)
    parts = _event_halves(draft.events[0]) if draft.events else None
    return parts and (replace(draft, events=[parts[0]]), replace(draft, events=[parts[1]]))


def _told(draft: Draft, items: Sequence[Event | Interval]) -> Draft:
    events, intervals = (
        [e for e in items if isinstance(e, Event)],
        [i for i in items if isinstance(i, Interval)],
    )
    return replace(draft, events=events, intervals=intervals)


def _reading_halves(reading: Reading) -> tuple[Reading, Reading] | None:
    names = [*reading.values, *reading.absent]
    if len(names) < 2:  # two halves
        return None

    def part(mine: Sequence[str]) -> Reading:
        return replace(
            reading,
            values={name: value for name, value in reading.values.items() if name in mine},
            absent={name: reason for name, reason in reading.absent.items() if name in mine},
            suspect=tuple(name for name in reading.suspect if name in mine),
        )

    low, high = _cut(names)
    return part(low), part(high)


def _event_halves(event: Event) -> tuple[Event, Event] | None:
    quantities = event.fields.get("quantities")
    if not isinstance(quantities, dict) or len(quantities) < 2:  # two halves
        return None
    low, high = _cut(list(quantities.items()))
    return tuple(replace(event, fields={**event.fields, "quantities": dict(part)}) for part in (low, high))  # type: ignore[return-value]
