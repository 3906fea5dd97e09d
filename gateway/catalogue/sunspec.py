"""SunSpec: the map of an inverter or a meter is found by walking its models, not listed.

At one of the base addresses stands "SunS"; then model after model: its id, its length, its points. A model's
length differs by revision, so the walk steps by the length that is read. Source: SunSpec Alliance,
github.com/sunspec/models.

By the book the chain ends with the id 0xFFFF. Devices end it with 0, with an address that they refuse or do
not answer, with a damaged refusal, or not at all; what stands before is good whichever way it ends. Silence
and damage may be the line's: they are asked three times, and named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.catalogue.columns import Defaults
from gateway.catalogue.driver import Discovery, Driver, ModelHeader, Read, Row, Span
from gateway.catalogue.registers import parse_registers
from gateway.common.text import visible
from gateway.errors import BadFrame, BusDown, BusError, DriverError, NoReply, Refused
from gateway.model import QUANTITIES

MARKER: Final = (0x5375, 0x6E53)
END: Final = 0xFFFF
COMMON: Final = 1
_FUNCTION = 3
_HEADER = 2
"""A model's id and its length, which does not count these two."""
_LAST = 0xFFFF
_MOST_MODELS = 64
_MOST_EMPTY = 4
"""Models without a point, one after another, that are still a chain and not a stretch of like registers."""
_TRIES = 3
"""Requests for the head of a model before its silence, or a damaged reply, ends the chain."""
_MAKER = slice(2, 18)
_DIRECTED = ("active_power", "reactive_power")
_NEARBY: Final = (39999, 40001, 49999, 50001, 1)
"""Where devices have the marker whose makers counted from the other end; asked only of a device that
answers.
"""
_INPUTS: Final = "_s"
_UNITS: Final = "units are often 1, 126 (SMA), 71 (Kostal), 247 (Kaco), 200 or 240 (Fronius meters)"


class Model(NamedTuple):
    """A model that the device has."""

    id: int
    start: int
    end: int


async def discover(driver: Driver, read: Read) -> Driver:
    """The driver with the rows of the models that this device has. Raises BusError when it does not
    answer, or has none of them.
    """
    discovery = driver.discovery
    assert discovery is not None
    models, ended = await _walk(await _find(discovery, read), read)
    meant = _meant(models, discovery)
    if len(meant) < discovery.nth:
        raise _not_there(models, len(meant), discovery, ended)
    index = meant[discovery.nth - 1]
    model, common = models[index], _common(models, index)
    maker = await _maker(common, discovery, read)
    own = _rows(driver, discovery, model)
    if not own:
        raise BadFrame(
            f"the SunSpec model {model.id} at {model.start} says that it has "
            f"{model.end - model.start - _HEADER} registers: none of its values fits in there",
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


async def _find(discovery: Discovery, read: Read) -> int:
    """The address behind the marker. Raises BusError."""
    said: list[str] = []
    silent: NoReply | None = None
    alive = False
    nearby = [base for base in _NEARBY if base not in discovery.bases]
    for base in (*discovery.bases, *nearby):
        if len(said) == len(discovery.bases) and not alive:
            break
        try:
            if tuple(await read(_FUNCTION, base, len(MARKER))) == MARKER:
                return base + len(MARKER)
            said.append(f"{base}: something else")
            alive = True
        except NoReply as error:  # some devices do not even refuse what they do not have
            said.append(f"{base}: silence")
            silent = error
        except BusDown:
            raise
        except BusError as error:  # a damaged refusal is one as well
            said.append(f"{base}: {error.message}")
            alive = True
    if silent is not None and not alive:
        raise silent
    raise BadFrame(
        f"there is no SunSpec marker: {'; '.join(said[: len(discovery.bases)])}",
        hint=f"switch SunSpec Modbus on in the device, check the unit address ({_UNITS}), or use the "
        f"driver of its model",
    )


async def _walk(at: int, read: Read) -> tuple[list[Model], BusError | None]:
    """Every model from `at` on, and what ended the chain when it was no end by the book. Raises BusDown."""
    models: list[Model] = []
    empty = 0
    while at + _HEADER - 1 <= _LAST and len(models) < _MOST_MODELS and empty < _MOST_EMPTY:
        try:
            model, length = await _head(at, read)
        except BusDown:
            raise
        except BusError as error:
            return models, error
        if model in {0, END}:
            break
        models.append(Model(model, at, at + _HEADER + length))
        empty = 0 if length else empty + 1
        at = models[-1].end
    return models, None


async def _head(at: int, read: Read) -> list[int]:
    """Id and length of the model at `at`. Raises BusError."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(NoReply, BadFrame):
            return await read(_FUNCTION, at, _HEADER)
    return await read(_FUNCTION, at, _HEADER)


def _head_of(model: Model) -> ModelHeader:
    """What the walk read of it."""
    words = (model.id, model.end - model.start - _HEADER)
    return ModelHeader(Span(_FUNCTION, model.start, _HEADER), words, model.end)


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


async def _maker(common: Model | None, discovery: Discovery, read: Read) -> str:
    """The maker that the common model names. Raises BusError when that decides about signs and cannot be
    read.
    """
    if common is None:
        return ""
    try:
        words = await read(_FUNCTION, common.start + _MAKER.start, _MAKER.stop - _MAKER.start)
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
    shown = ", ".join(str(model.id) for model in models) or "none"
    what = (
        f"the device has {count} of the SunSpec models {wanted}; number {discovery.nth} is asked for; "
        f"it lists {shown}"
    )
    if ended is None:
        return BadFrame(
            what, hint=f"check the unit address ({_UNITS}), and whether this is an inverter or a meter"
        )
    what += f", {_broke_off(models, ended)}"
    kind = NoReply if isinstance(ended, NoReply) else BadFrame
    return kind(
        what, hint=f"the list broke off: check the unit address ({_UNITS}) and the time-out of the bus"
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
            defaults = Defaults(_FUNCTION, "big", driver.sentinels, driver.bounds, model.start)
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
        for row in _rows(driver, driver.discovery, Model(ids[0], 0, END)):
            names.setdefault(row.name, row)
    return list(names.values())
