"""SunSpec: the map of an inverter or a meter is found by walking its models, not listed.

At one of the base addresses stands "SunS"; then model after model: its id, its length, its points. A model's length
differs by revision, so the walk steps by the length that is read. Source: SunSpec Alliance, github.com/sunspec/models.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.catalogue.cells import Defaults
from gateway.catalogue.driver import Discovery, Driver, Row
from gateway.catalogue.registers import parse_registers
from gateway.catalogue.resolve import Read
from gateway.errors import BadFrame, DriverError, Refused

MARKER = (0x5375, 0x6E53)
END = 0xFFFF
COMMON = 1
_FUNCTION = 3
_MOST_MODELS = 64
_MAKER = slice(2, 18)
_POWERS = ("active_power", "reactive_power")


async def discover(driver: Driver, read: Read) -> Driver:
    """The driver with the rows of the models that this meter has. Raises BusError when it does not answer, or is no SunSpec meter."""
    discovery = driver.discovery
    assert discovery is not None
    base = await _find(discovery, read)
    common: int | None = None
    maker = ""
    found: list[tuple[int, int, int]] = []
    at = base + len(MARKER)
    for _ in range(_MOST_MODELS):
        if at > END - 1:
            break
        model, length = await read(_FUNCTION, at, 2)
        if model == END:
            break
        if model == COMMON:
            common = at
        elif model in discovery.take and common is not None:
            found.append((model, at, common))
        at += 2 + length
    if len(found) < discovery.nth:
        wanted = ", ".join(str(model) for model in discovery.take)
        raise BadFrame(
            f"the device has {len(found)} of the SunSpec models {wanted}; number {discovery.nth} is asked for",
            hint="check the unit address, and whether this is an inverter or a meter",
        )
    model, start, common = found[discovery.nth - 1]
    words = await read(_FUNCTION, common + _MAKER.start, _MAKER.stop - _MAKER.start)
    maker = b"".join(word.to_bytes(2, "big") for word in words).split(b"\0")[0].decode("latin-1").strip()
    rows = _rows(driver, discovery, COMMON, common) + _rows(driver, discovery, model, start)
    if any(maker.casefold().startswith(name.casefold()) for name in discovery.inverted):
        rows = [replace(row, factor=-row.factor) if row.name.startswith(_POWERS) else row for row in rows]
    return replace(driver, rows=tuple(rows), discovery=None, variant=f"{maker} model {model} at {start}".strip())


async def _find(discovery: Discovery, read: Read) -> int:
    """The base address with the marker. Raises BusError."""
    for base in discovery.bases:
        try:
            if tuple(await read(_FUNCTION, base, len(MARKER))) == MARKER:
                return base
        except Refused:
            continue
    places = ", ".join(str(base) for base in discovery.bases)
    raise BadFrame(f"there is no SunSpec marker at {places}", hint="switch SunSpec Modbus on in the device, or use the driver of its model")


def _rows(driver: Driver, discovery: Discovery, model: int, start: int) -> list[Row]:
    """The points of one model at its place. Raises DriverError."""
    rows: list[Row] = []
    for ids, text, line in discovery.models:
        if model in ids:
            defaults = Defaults(_FUNCTION, "big", driver.sentinels, start)
            found, problems = parse_registers(text, line, driver.path, defaults)
            if problems:
                raise DriverError(problems)
            rows += found
    return rows
