"""Meters in the building: a driver's table turned round, so that its registers say what the building does at
the moment of the read.

METER, in a specification: {"driver": "eastron-sdm630", "circuit": "hvac", "directory": "…/drivers",
"variant": "…", "attributes": {"serial_number": "12345678"}}. `circuit` is one of the building's; `directory`
is where the technician's own tables are; of a driver with firmware variants the ordinary meter is simulated
unless one is named.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.catalogue import Driver, Identity, Row, Span, build, encode, load_driver
from gateway.demo.simulator.building import Building, Time
from gateway.demo.simulator.slave import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusError, Served

Values = Callable[[], Mapping[str, float | str]]


class MeterImage:
    """The registers of a driver's table, made at each read from `values()`; gaps between rows read 0 as on
    most meters. `identity`: what it is known by; who says that only when nothing beside it is read gives its
    values otherwise.

    As strict as the table says: what it calls a hole or alone, or longer than it allows, is refused.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        values: Values,
        *,
        driver: Driver | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._rows = tuple(rows)
        self._values = values
        self._identity, self._fixed = identity, identity_words(identity)
        self._limits = driver.limits if driver else None
        self._ends = _ends(rows, self._fixed, even=driver is not None and driver.limits.even)
        self._touched = lru_cache(maxsize=256)(self._find)

    def read(self, function: int, address: int, count: int) -> Served:
        """The words as the meter would give them now. Raises ModbusError."""
        self._check(function, address, count)
        apart = self._identity.span if self._identity and self._identity.alone else None
        if apart is not None and apart.comes_with(function, address, address + count):
            return Served([*self._fixed.values()])
        fixed = {} if apart is not None else self._fixed
        touched, whole = self._touched(function, address, count)
        values = self._values()
        image = build(touched, values)
        words = [
            image.get((function, at), fixed.get((function, at), 0)) for at in range(address, address + count)
        ]
        meant = {name: round(value, 9) for name in whole if isinstance(value := values.get(name), float)}
        return Served(words, meant)

    def _check(self, function: int, address: int, count: int) -> None:
        first, end = self._ends.get(function, (0, 0))
        if address < first or address + count > end:
            raise ModbusError(ILLEGAL_ADDRESS)
        if self._limits is None:
            return
        if count > self._limits.max_registers:
            raise ModbusError(ILLEGAL_VALUE)
        if self._limits.even and (address % 2 or count % 2) and (function, address) not in self._fixed:
            raise ModbusError(ILLEGAL_ADDRESS)
        if any(address <= last and hole < address + count for hole, last in self._limits.holes):
            raise ModbusError(ILLEGAL_ADDRESS)

    def _find(self, function: int, address: int, count: int) -> tuple[tuple[Row, ...], tuple[str, ...]]:
        """The rows that a read touches, and the names of those that it brings: their own registers, or
        every term of a sum.
        """
        touched, whole = [], []
        for row in self._rows:
            spans = [span for span in row.spans if span.function == function]
            if not any(span.address < address + count and address < span.end for span in spans):
                continue
            if any(span.alone and (span.address, span.words) != (address, count) for span in spans):
                raise ModbusError(ILLEGAL_ADDRESS)
            touched.append(row)
            own = [Span(row.function, row.address, row.words)] if row.words else row.spans
            if all(
                span.function == function and address <= span.address and span.end <= address + count
                for span in own
            ):
                whole.append(row.name)
        return tuple(touched), tuple(whole)


class Plant:
    """Every simulated meter of one building, all looking at the same moment. `memory`: a file that keeps
    their registers between runs.
    """

    def __init__(
        self, *, seed: int = 1, now: Time | None = None, step: float = 1.0, memory: Path | None = None
    ) -> None:
        self.now = now or Time()
        self.building = Building(seed, start=self.now.start, step=step)
        self._memory = memory
        if memory is not None:
            with contextlib.suppress(
                OSError, ValueError, KeyError
            ):  # none yet, or none that can be used: the meters are new
                self.building.recall(json.loads(memory.read_text()))

    def save(self) -> None:
        """Write the registers down, if somebody wants them."""
        if self._memory is not None:
            fresh = self._memory.with_suffix(".new")
            fresh.write_text(json.dumps(self.building.remember()))
            fresh.replace(self._memory)

    def image(self, spec: Mapping[str, Any]) -> MeterImage:
        """The image of one METER. Raises DriverError, KeyError."""
        driver = load_driver(spec["driver"], Path(spec["directory"]) if spec.get("directory") else None)
        rows, identity = chosen(driver, spec.get("variant"))
        circuit = spec["circuit"]
        attributes: dict[str, str] = spec.get("attributes", {})
        self.building.circuit(circuit)

        def values() -> Mapping[str, float | str]:
            return {**self.building.values(circuit, self.now()), **attributes}

        return MeterImage(rows, values, driver=driver, identity=identity)


def chosen(driver: Driver, variant: str | None = None) -> tuple[tuple[Row, ...], Identity | None]:
    """The rows of a driver as one meter has them, and what that meter is known by. Raises ValueError."""
    if driver.discovery is not None:
        raise ValueError(f"{driver.name} walks its meter's map: simulate it with plain words")
    if variant is None and driver.rows:
        return driver.rows, _ordinary(driver)
    for candidate in driver.variants:
        if variant in {None, candidate.name}:
            return candidate.rows, candidate.when
    raise ValueError(
        f"{driver.name} has no variant {variant!r}: "
        f"{', '.join(each.name for each in driver.variants) or 'it has none'}"
    )


def _ordinary(driver: Driver) -> Identity | None:
    """The driver's identity without those values that tell a variant."""
    if driver.identity is None:
        return None
    special = {value for variant in driver.variants for value in variant.when.values}
    return replace(
        driver.identity, values=tuple(value for value in driver.identity.values if value not in special)
    )


def identity_words(identity: Identity | None) -> dict[tuple[int, int], int]:
    """What the identity register of a meter holds: the first value that its table knows."""
    if identity is None or not identity.values:
        return {}
    row = Row(
        "model_name",
        identity.function,
        identity.address,
        identity.words,
        identity.type,
        identity.order,
        1.0,
        0,
        "static",
        0,
        0,
        attribute=True,
    )
    return {
        (identity.function, identity.address + at): word
        for at, word in enumerate(encode(row, identity.values[0]))
    }


def _ends(
    rows: Sequence[Row], fixed: Mapping[tuple[int, int], int], *, even: bool
) -> dict[int, tuple[int, int]]:
    """First address and the one after the last, by function."""
    ends: dict[int, tuple[int, int]] = {}
    places = [(span.function, span.address, span.end) for row in rows for span in row.spans]
    places += [(function, address, address + 1) for function, address in fixed]
    for function, address, end in places:
        first, last = ends.get(function, (address, end))
        ends[function] = (min(first, address), max(last, end + (even and end % 2)))
    return ends
