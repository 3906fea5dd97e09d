"""What a meter is asked for a measurement of its line: a short read, a long one, its serial number. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.catalogue import Driver, Row, Span
from gateway.commissioning.scan import LineSetting
from gateway.config import Meter

_ANY: Final = Span(3, 0, 2)
_SHORT: Final = 4


@dataclass(frozen=True, slots=True)
class Target:
    """A meter to ask. `short`, `long`: reads of its table; `serial`: where its serial number stands; `gap`:
    s that it is left alone before a read; `patience`: s that it may take, None when nobody said.
    """

    id: str
    unit: int
    driver: Driver
    short: Span
    long: Span
    serial: Row | None
    gap: float
    patience: float | None
    configured: Meter

    @property
    def factory(self) -> LineSetting | None:
        """The setting that its table leaves the factory with, as far as it is known."""
        known = self.driver.serial
        if known.baudrate is None:
            return None
        return LineSetting(known.baudrate, known.parity or "N", known.stopbits or 1)


def target_of(meter: Meter, driver: Driver) -> Target:
    """How to ask this meter."""
    rows = _rows(driver)
    spans = _spans(rows)
    serial = next((row for row in rows if row.name == "serial_number" and row.words), None)
    most = meter.max_registers or driver.limits.max_registers
    return Target(
        meter.id,
        meter.address,
        driver,
        next((span for span in spans if span.words <= _SHORT), _ANY),
        _longest(spans, most),
        serial,
        meter.pause if meter.pause is not None else driver.limits.min_gap,
        meter.timeout or driver.limits.timeout,
        meter,
    )


def _rows(driver: Driver) -> tuple[Row, ...]:
    return driver.rows or next((variant.rows for variant in driver.variants), ())


def _spans(rows: Iterable[Row]) -> list[Span]:
    """Registers of readings, by address; the first of them is a fast one where there is any."""
    fast = sorted(rows, key=lambda row: (row.attribute, row.pace != "fast"))
    return list(dict.fromkeys(span for row in fast for span in row.spans if span.words))


def _longest(spans: list[Span], most: int) -> Span:
    """The longest read without a hole that the table allows."""
    best = next(iter(spans), _ANY)
    runs: list[Span] = []
    places = sorted({span for span in spans if not span.alone})
    for span in places:
        last = runs[-1] if runs else None
        joins = last is not None and last.function == span.function and span.address <= last.end
        if last is not None and joins and span.end - last.address <= most and not span.starts:
            runs[-1] = Span(last.function, last.address, max(last.end, span.end) - last.address)
        else:
            runs.append(span)
    return max([*runs, best], key=lambda span: span.words)


def shared(targets: Iterable[Target]) -> set[int]:
    """Addresses that two configured meters have."""
    units = sorted(target.unit for target in targets)
    return {a for a, b in pairwise(units) if a == b}
