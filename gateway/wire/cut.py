"""A draft as batches that keep to the bounds of the contract, and to what the broker of a platform takes.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import Any

from gateway.model import Draft, Event, Interval, Reading
from gateway.wire.batch import MAX_CELLS, MAX_EVENTS, MAX_PLAIN, MAX_READINGS, Batch, compress, encode

SAMPLE = 12
"""Readings that foretell the size of all."""
ROOM = 0.95
"""Of the bound that a foretold size may take: readings differ."""


def split(draft: Draft, header: Batch) -> list[tuple[Draft, bytes]]:
    """A draft as one or more parts within the bounds of the contract, each with its JSON, with seq counting
    up from the header's.

    With `draft.packed_limit` each of them keeps to that size when it is compressed, too, as far as it can be
    divided: a reading is divided by its quantities, a driver's description likewise; a single value or event
    is not.
    """
    return _within_bounds(_even_parts(draft, _foretold(draft, header)), header)


def _within_bounds(drafts: Sequence[Draft], header: Batch) -> list[tuple[Draft, bytes]]:
    """Drafts one after the other, halved where they do not fit."""
    done: list[tuple[Draft, bytes]] = []
    for draft in drafts:
        mine = replace(header, seq=header.seq + len(done))
        plain = encode(_filled(mine, draft))
        halves = None if _fits(draft, plain) else _halves(draft)
        done += [(draft, plain)] if halves is None else _within_bounds(halves, mine)
    return done


def _filled(header: Batch, draft: Draft) -> Batch:
    return replace(header, readings=draft.readings, events=draft.events, intervals=draft.intervals)


def _foretold(draft: Draft, header: Batch) -> int:
    """How many parts the readings need, as a part of them says: then the whole is not made, only to be
    cut.
    """
    step = len(draft.readings) // SAMPLE
    if step < 2:  # as much work as the whole
        return 1
    sample = draft.readings[::step]
    one, all_of_them = (len(encode(replace(header, readings=part))) for part in (sample[:1], sample))
    foretold = (all_of_them - one) * sum(map(_cells, draft.readings)) / sum(map(_cells, sample[1:]))
    return max(1, ceil(foretold / (ROOM * MAX_PLAIN)))


def _cells(reading: Reading) -> int:
    """What its size goes by: meters differ in how many quantities they have. Its name and time are as two."""
    return 2 + len(reading.values) + len(reading.absent)


def _even_parts(draft: Draft, count: int) -> list[Draft]:
    """As many drafts that say the same together, what opens an epoch in the first."""
    ends = [len(draft.readings) * part // count for part in range(count + 1)]
    parts = [
        replace(draft, readings=draft.readings[first:end], events=[], intervals=[])
        for first, end in pairwise(ends)
    ]
    parts[0] = replace(parts[0], events=draft.events)
    parts[-1] = replace(parts[-1], intervals=draft.intervals)
    return parts


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
        low, high = _even_parts(draft, 2)
        return low, high
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
