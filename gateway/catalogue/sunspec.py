"""SunSpec: the map of an inverter or a meter is found by walking its models, not listed.

At one of the base addresses stands "SunS"; then model after model: its id, its length, its points. A model's length
differs by revision, so the walk steps by the length that is read. Source: SunSpec Alliance, github.com/sunspec/models.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from gateway.catalogue.cells import Defaults
from gateway.catalogue.driver import Discovery, Driver, Row
from gateway.catalogue.registers import parse_registers
from gateway.catalogue.resolve import Read
from gateway.errors import BadFrame, BusError, DriverError, NoReply, Refused

MARKER: Final = (0x5375, 0x6E53)
END: Final = 0xFFFF
COMMON: Final = 1
_FUNCTION = 3
_HEADER = 2
"""A model's id and its length, which does not count these two."""
_MOST_MODELS = 64
_MAKER = slice(2, 18)
_DIRECTED = ("active_power", "reactive_power")


class Model(NamedTuple):
    """A model that the device has."""

    id: int
    start: int
    end: int


async def discover(driver: Driver, read: Read) -> Driver:
    """The driver with the rows of the models that this device has. Raises BusError when it does not answer, or has none of them."""
    discovery = driver.discovery
    assert discovery is not None
    models = await _walk(await _find(discovery, read), read)
    meant = [index for index, model in enumerate(models) if model.id in discovery.take]
    if len(meant) < discovery.nth:
        wanted = ", ".join(str(model) for model in discovery.take)
        raise BadFrame(
            f"the device has {len(meant)} of the SunSpec models {wanted}; number {discovery.nth} is asked for",
            hint="check the unit address, and whether this is an inverter or a meter",
        )
    index = meant[discovery.nth - 1]
    model = models[index]
    # A device may describe several: the common model before the meant one is its own.
    parts = [model, *(other for other in models if other.id in discovery.beside)]
    common = next((other for other in reversed(models[:index]) if other.id == COMMON), None)
    maker = ""
    if common is not None:
        words = await read(_FUNCTION, common.start + _MAKER.start, _MAKER.stop - _MAKER.start)
        maker = b"".join(word.to_bytes(2, "big") for word in words).split(b"\0")[0].decode("latin-1").strip()
        parts.insert(0, common)
    rows = [row for part in parts for row in _rows(driver, discovery, part)]
    if any(maker.casefold().startswith(name.casefold()) for name in discovery.inverted):
        rows = _turned(rows)
    return replace(driver, rows=tuple(rows), discovery=None, variant=f"{maker} model {model.id} at {model.start}".strip())


async def _find(discovery: Discovery, read: Read) -> int:
    """The address behind the marker. Raises BusError."""
    silent: BusError | None = None
    for base in discovery.bases:
        try:
            if tuple(await read(_FUNCTION, base, len(MARKER))) == MARKER:
                return base + len(MARKER)
        except Refused:
            silent = None
            continue
        except NoReply as error:  # some devices do not even refuse what they do not have
            silent = error
    if silent is not None:
        raise silent
    places = ", ".join(str(base) for base in discovery.bases)
    raise BadFrame(f"there is no SunSpec marker at {places}", hint="switch SunSpec Modbus on in the device, or use the driver of its model")


async def _walk(at: int, read: Read) -> list[Model]:
    """Every model from `at` on. Raises BusError."""
    models: list[Model] = []
    while at + _HEADER <= END and len(models) < _MOST_MODELS:
        model, length = await read(_FUNCTION, at, _HEADER)
        if model == END:
            break
        models.append(Model(model, at, at + _HEADER + length))
        at = models[-1].end
    return models


def _rows(driver: Driver, discovery: Discovery, model: Model) -> list[Row]:
    """The points of a model that its length reaches. Raises DriverError."""
    rows: list[Row] = []
    for ids, text, line in discovery.models:
        if model.id in ids:
            defaults = Defaults(_FUNCTION, "big", driver.sentinels, driver.bounds, model.start)
            found, problems = parse_registers(text, line, driver.path, defaults)
            if problems:
                raise DriverError(problems)
            rows += found
    return [row for row in rows if all(span.end <= model.end for span in row.spans)]


def _turned(rows: list[Row]) -> list[Row]:
    """Rows of a maker that counts export as positive power."""
    turned = {row.name: replace(row, factor=-row.factor) if row.name.startswith(_DIRECTED) else row for row in rows}
    return [replace(row, sign_of=turned[row.sign_of.name]) if row.sign_of else row for row in turned.values()]


def offered(driver: Driver) -> list[Row]:
    """Every row that a device may turn out to have, of all models, at the address 0. For lists. Raises DriverError."""
    assert driver.discovery is not None
    names: dict[str, Row] = {}
    for ids, _, _ in driver.discovery.models:
        for row in _rows(driver, driver.discovery, Model(ids[0], 0, END)):
            names.setdefault(row.name, row)
    return list(names.values())
