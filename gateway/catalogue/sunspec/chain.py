"""The chain of models in a SunSpec device: where it begins, where each model stands and ends, and how it
ends itself.

At one of the base addresses stands "SunS"; then model after model: its id, its length, its points. A model's
length differs by revision, so the walk steps by the length that is read. Source: SunSpec Alliance,
github.com/sunspec/models.

By the book the chain ends with the id 0xFFFF. Devices end it with 0, with an address that they refuse or do
not answer, with a damaged refusal, or not at all; what stands before is good whichever way it ends. Silence
and damage may be the line's: they are asked three times, and named.

Some devices count a model's head into its length, or say another wrong one: where the length is not the
book's, the next model is looked for where the book has it, too, and a word or two beside what is said. What
is reached by a length that nothing confirms is no model: its values would be those of something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gateway.catalogue.driver import Discovery, ReadRegisters
from gateway.errors import BadFrame, BusDown, BusError, NoReply

MARKER: Final = (0x5375, 0x6E53)
END: Final = 0xFFFF
_THE_END: Final = [END, 0]
COMMON: Final = 1
FUNCTION = 3
HEADER = 2
"""A model's id and its length, which does not count these two."""
_LAST = 0xFFFF
_MOST_MODELS = 64
_MOST_EMPTY = 4
"""Models without a point, one after another, that are still a chain and not a stretch of like registers."""
_TRIES = 3
"""Requests for the head of a model before its silence, or a damaged reply, ends the chain."""
_BOOK: Final = {
    model: (least, block)
    for least, block, models in (
        (66, 0, (COMMON,)),
        (50, 0, (101, 102, 103, 702)),
        (60, 0, (111, 112, 113)),
        (105, 0, (201, 202, 203, 204)),
        (124, 0, (211, 212, 213, 214)),
        (24, 0, (123, 124)),
        (8, 0, (125, 145)),
        (8, 20, (160,)),
        (10, 50, (129, 130, *range(135, 145))),
        (10, 54, (126, 131, 132)),
        *((least, 0, (model,)) for model, least in ((120, 26), (121, 30), (122, 44), (127, 10), (128, 14))),
        *((least, 0, (model,)) for model, least in ((305, 36), (501, 31), (502, 28), (802, 62))),
        *((least, 0, (model,)) for model, least in ((701, 153), (703, 17), (704, 65), (713, 7))),
    )
    for model in models
}
"""Registers of a model, and of each block that it repeats behind them (0: none)."""
_VENDORS: Final = 64000
"""From here on the ids are the makers' own; up to the end's."""
_COUNTED: Final = {160: 8}
"""Where a model says how many blocks it has."""
_BESIDE: Final = (-2, -1, 1, 2)
"""How far from where its length puts it the next model of a device stands that counts otherwise; first
one that counts the head."""
_MOST_GLANCES = 12
"""Reads of a chain beside where its lengths lead."""
_NEARBY: Final = (39999, 40001, 49999, 50001, 1)
"""Where devices have the marker whose makers counted from the other end; asked only of a device that
answers.
"""
UNITS: Final = "units are often 1, 126 (SMA), 71 (Kostal), 247 (Kaco), 200 or 240 (Fronius meters)"


class Model(NamedTuple):
    """A model that the device has: `length` is what its head says, `end` where the next one was found, else
    as far as its points may reach.

    `sure`: the chain that leads to it, or its own head, is the book's.
    """

    id: int
    start: int
    length: int
    end: int
    sure: bool = True

    def ends(self, lengths: Iterable[int]) -> list[int]:
        """Where it would end if it had one of these lengths."""
        return [self.start + HEADER + length for length in lengths]

    @property
    def by_book(self) -> bool:
        """Whether its length is one that the book has."""
        return self.length in _lengths(self.id, self.length)


async def find(discovery: Discovery, read: ReadRegisters) -> int:
    """The address behind the marker. Raises BusError."""
    said: list[str] = []
    silent: NoReply | None = None
    alive = False
    nearby = [base for base in _NEARBY if base not in discovery.bases]
    for base in (*discovery.bases, *nearby):
        if len(said) == len(discovery.bases) and not alive:
            break
        try:
            if tuple(await read(FUNCTION, base, len(MARKER))) == MARKER:
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
        hint=f"switch SunSpec Modbus on in the device, check the unit address ({UNITS}), or use the "
        f"driver of its model",
    )


async def walk(at: int, read: ReadRegisters) -> tuple[list[Model], BusError | None]:
    """Every model from `at` on, and what ended the chain when it was no end by the book. Raises BusDown."""
    models: list[Model] = []
    empty, glances, sure = 0, iter(range(_MOST_GLANCES)), True
    try:
        head = await _head(at, read)
        while head[0] not in {0, END} and len(models) < _MOST_MODELS and empty < _MOST_EMPTY:
            model = Model(head[0], at, head[1], at + HEADER + head[1], sure or _known(head))
            models.append(model)
            empty = 0 if model.length else empty + 1
            try:
                at, head = await _next(model, read, glances)
            finally:
                models[-1] = await _ended(model, at, head, read)
            sure = model.sure and (model.by_book or at != model.end)
    except BusDown:
        raise
    except BusError as error:
        return models, error
    return models, None


async def _ended(model: Model, at: int, head: list[int], read: ReadRegisters) -> Model:
    """A model, when `head` at `at` is what was found behind it, if anything was. Raises BusDown."""
    if at > model.start and (at != model.end or _known(head) or head == _THE_END):
        return model._replace(end=at, sure=model.sure or at == model.end)
    least, step = _BOOK.get(model.id, (model.length, 0))
    length = min(model.length, max(_lengths(model.id, model.length), default=model.length))
    if model.id in _COUNTED:
        counted = await _glance(model.start + _COUNTED[model.id], read)
        if counted and 0 < counted[0] < END:
            length = min(length, least + step * counted[0])
    return model._replace(end=model.start + HEADER + length)


async def _next(model: Model, read: ReadRegisters, glances: Iterator[int]) -> tuple[int, list[int]]:
    """Where the next model stands, and its head. Raises BusError when the chain ends without one.

    Where the length is not the book's, the places by the book come first, then the one that is said, then
    those beside it as long as there are `glances`. Only the head of a model that the book has is believed
    where nobody said it, and its end where the book has it.
    """
    said, end, error = model.end, None, None
    for at in () if model.by_book else model.ends(_lengths(model.id, model.length)):
        found = await _glance(at, read)
        if _known(found) or (next(glances, None) is not None and await _leads_on(at, found, read)):
            return at, found
        end = at if found == _THE_END else end
    try:
        head = await _head(said, read) if said + HEADER - 1 <= _LAST else [0, 0]
    except BusDown:
        raise
    except BusError as failed:
        head, error = [], failed
    if _known(head) or (head == _THE_END and (model.by_book or model.id not in _BOOK)):
        return said, head
    least, step = _BOOK.get(model.id, (0, 0))
    fewer = model.ends(range(least, model.length, step)) if step else []
    beside = [] if model.by_book else [said + shift for shift in _BESIDE]
    silent = isinstance(error, NoReply | BadFrame)
    for at, _ in zip([] if silent else [*beside, *fewer], glances, strict=False):
        found = await _glance(at, read)
        if _known(found) or (at in fewer and found == _THE_END):
            return at, found
    if end is not None:
        return end, _THE_END
    if error is not None:
        raise error
    return said, head


async def _glance(at: int, read: ReadRegisters) -> list[int]:
    """What stands where the next head may be; nothing where it cannot be read. Raises BusDown."""
    try:
        return await read(FUNCTION, at, HEADER) if at + HEADER - 1 <= _LAST else []
    except BusDown:
        raise
    except BusError:
        return []


async def _leads_on(at: int, head: list[int], read: ReadRegisters) -> bool:
    """Whether what stands here is a model all the same, whatever length it says: one that the book has
    follows, as far on as the book says, or the end; or it is a maker's own, and one follows by its length.
    """
    model, length = head or (0, 0)
    least, step = _BOOK.get(model, (0, 1))
    if not step:
        behind = await _glance(at + HEADER + least, read)
        return bool(behind) and (behind[0] in _BOOK or behind == _THE_END)
    return model >= _VENDORS and _known(await _glance(at + HEADER + length, read))


def _lengths(model: int, said: int) -> list[int]:
    """The book's lengths of a model that may be meant by one that is said: that of a model without
    repetitions whatever is said, else those at most two away.
    """
    least, step = _BOOK.get(model, (0, 0))
    if not step:
        return [least] if least else []
    return [n for n in range(said - HEADER, said + HEADER + 1) if n >= least and not (n - least) % step]


def _known(head: list[int]) -> bool:
    """Whether it is the head of a model of the book, its length at most two away from it."""
    return bool(head) and any(abs(n - head[1]) <= HEADER for n in _lengths(*head))


async def _head(at: int, read: ReadRegisters) -> list[int]:
    """Id and length of the model at `at`. Raises BusError."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(NoReply, BadFrame):
            return await read(FUNCTION, at, HEADER)
    return await read(FUNCTION, at, HEADER)
