"""SunSpec: the map of an inverter or a meter is found by walking its models, not listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from gateway.catalogue.columns import Defaults
from gateway.catalogue.driver import Discovery, Driver, ModelHeader, ReadRegisters, Row, Span
from gateway.catalogue.registers import parse_registers
from gateway.catalogue.sunspec.chain import COMMON, END, FUNCTION, HEADER, UNITS, Model, find, walk
from gateway.common.text import visible
from gateway.errors import BadFrame, BusError, DriverError, NoReply, Refused
from gateway.model import QUANTITIES

_MAKER = slice(2, 18)
_DIRECTED = ("active_power", "reactive_power")
_INPUTS: Final = "_s"


async def discover(driver: Driver, read: ReadRegisters) -> Driver:
    """The driver with the rows of the models that this device has. Raises BusError when it does not
    answer, or has none of them.
    """
    discovery = driver.discovery
    assert discovery is not None
    walked, ended = await walk(await find(discovery, read), read)
    models = [model for model in walked if model.sure]
    meant = _meant(models, discovery)
    if len(meant) < discovery.nth:
        raise _not_there(walked, len(meant), discovery, ended)
    index = meant[discovery.nth - 1]
    model, common = models[index], _common(models, index)
    maker = await _maker(common, discovery, read)
    own = _rows(driver, discovery, model)
    if not own:
        raise BadFrame(
            f"the SunSpec model {model.id} at {model.start} says that it has "
            f"{model.length} registers: none of its values fits in there",
            hint="restart the device, or bring its firmware up to date; else use the driver of its model",
        )
    rows = [*([] if common is None else _rows(driver, discovery, common)), *own]
    inputs = 0
    for beside in _beside(models, index, discovery, alone=len(meant) == 1):
        found = _rows(driver, discovery, beside)
        rows += _numbered(found, inputs)
        inputs += max((_input(row) for row in found), default=0)
    if any(maker.casefold().startswith(name.casefold()) for name in discovery.inverted):
        rows = _turned(rows)
    spans = [span for row in rows for span in row.spans]
    return replace(
        driver,
        rows=tuple(rows),
        discovery=None,
        heads=tuple(_head_of(each) for each in models if any(map(_head_of(each).precedes, spans))),
        variant=f"{maker} model {model.id} at {model.start}".strip(),
        broke_off="" if ended is None or isinstance(ended, Refused) else _broke_off(models, ended),
    )


def _head_of(model: Model) -> ModelHeader:
    """What the walk read of it."""
    return ModelHeader(Span(FUNCTION, model.start, HEADER), (model.id, model.length), model.end)


def _meant(models: list[Model], discovery: Discovery) -> list[int]:
    """Where the models stand that this table means, one for each meter or inverter.

    A device may describe the same meter twice, in whole numbers (20x) and in floats (21x); the first is
    taken. Another meter has a common model of its own before it, or is of a model that the device has given
    already.
    """
    found: list[int] = []
    seen: set[int] = set()
    for index, model in enumerate(models):
        if model.id == COMMON:
            seen = set()
        if model.id not in discovery.main:
            continue
        if model.id in seen:
            seen = set()
        twins = {model.id - 10, model.id + 10} & seen
        seen.add(model.id)
        if not twins:
            found.append(index)
    return found


def _common(models: list[Model], index: int) -> Model | None:
    """The common model of a model: the nearest before it, else the first of the device."""
    before = [model for model in models[:index] if model.id == COMMON]
    after = [model for model in models[index:] if model.id == COMMON]
    return before[-1] if before else after[0] if after else None


def _beside(models: list[Model], index: int, discovery: Discovery, *, alone: bool) -> list[Model]:
    """The models that add to the one at `index`: those under the same common model, else, when it is
    `alone`, all of the device.
    """
    first = next((at for at in range(index, -1, -1) if models[at].id == COMMON), 0)
    end = next((at for at in range(index + 1, len(models)) if models[at].id == COMMON), len(models))
    own = [model for model in models[first:end] if model.id in discovery.beside]
    return own or ([model for model in models if model.id in discovery.beside] if alone else [])


async def _maker(common: Model | None, discovery: Discovery, read: ReadRegisters) -> str:
    """The maker that the common model names. Raises BusError when that decides about signs and cannot be
    read.
    """
    if common is None:
        return ""
    try:
        words = await read(FUNCTION, common.start + _MAKER.start, _MAKER.stop - _MAKER.start)
    except (Refused, BadFrame):
        if discovery.inverted:
            raise
        return ""
    return visible(
        b"".join(word.to_bytes(2, "big") for word in words).split(b"\0")[0].decode("latin-1").strip()
    )


def _not_there(models: list[Model], count: int, discovery: Discovery, ended: BusError | None) -> BusError:
    """The error when the device has too few of the models that are meant."""
    wanted = ", ".join(str(model) for model in discovery.main)
    shown = ", ".join(str(model.id) for model in models if model.sure) or "none"
    what = (
        f"the device has {count} of the SunSpec models {wanted}; number {discovery.nth} is asked for; "
        f"it lists {shown}"
    )
    for before, model in pairwise(models):
        if before.sure and not model.sure:
            what += f", then what may be no model at {model.start}: the length {before.length} leads there"
    if ended is None:
        return BadFrame(
            what, hint=f"check the unit address ({UNITS}), and whether this is an inverter or a meter"
        )
    what += f", {_broke_off(models, ended)}"
    kind = NoReply if isinstance(ended, NoReply) else BadFrame
    return kind(
        what, hint=f"the list broke off: check the unit address ({UNITS}) and the time-out of the bus"
    )


def _broke_off(models: list[Model], ended: BusError) -> str:
    return f"then {ended.message} at {models[-1].end if models else 0}"


def _input(row: Row) -> int:
    """The number of the inverter's input that a row is about; 0 when it is about none."""
    base, mark, number = row.name.rpartition(_INPUTS)
    return int(number) if base and mark and number.isdigit() else 0


def _numbered(rows: list[Row], inputs: int) -> Iterator[Row]:
    """Rows of a further model with inputs: they go on counting where the model before ended, as far as
    there are words for it.
    """
    for row in rows:
        number = _input(row)
        name = f"{row.name.removesuffix(str(number))}{number + inputs}" if number else row.name
        if name in QUANTITIES:
            yield replace(row, name=name)


def _rows(driver: Driver, discovery: Discovery, model: Model) -> list[Row]:
    """The points of a model that its length reaches, within the registers that there are. Raises
    DriverError.
    """
    rows: list[Row] = []
    for ids, text, line in discovery.models:
        if model.id in ids:
            defaults = Defaults(FUNCTION, "big", driver.sentinels, driver.bounds, model.start)
            found, problems = parse_registers(text, line, driver.path, defaults)
            # The table is good, it was checked when it was loaded: what fails at this place reaches beyond
            # the last register.
            if problems and not model.start:
                raise DriverError(problems)
            rows += found
    return [row for row in rows if all(span.end <= model.end for span in row.spans)]


def _turned(rows: list[Row]) -> list[Row]:
    """Rows of a maker that counts export as positive power."""
    turned = {
        row.name: replace(row, factor=-row.factor) if row.name.startswith(_DIRECTED) else row for row in rows
    }
    return [replace(row, sign_of=turned[row.sign_of.name]) if row.sign_of else row for row in turned.values()]


def offered(driver: Driver) -> list[Row]:
    """Every row that a device may turn out to have, of all models, at the address 0. For lists. Raises
    DriverError.
    """
    assert driver.discovery is not None
    names: dict[str, Row] = {}
    for ids, _, _ in driver.discovery.models:
        for row in _rows(driver, driver.discovery, Model(ids[0], 0, END, END)):
            names.setdefault(row.name, row)
    return list(names.values())
