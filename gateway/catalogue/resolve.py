"""Drivers that must look at the meter first: firmware variants by an identity register, SunSpec discovery."""

from __future__ import annotations

import struct
from dataclasses import replace

from gateway.catalogue.driver import Driver, Identity, ReadRegisters
from gateway.catalogue.sunspec import discover, offered
from gateway.common.text import visible
from gateway.errors import NoReply, Refused

SHOWN = 40
"""Characters of a text that are shown."""


async def resolve(driver: Driver, read: ReadRegisters) -> Driver:
    """A driver whose rows are those of the meter that answers. Raises BusError when the meter does not
    answer.

    A meter that refuses the identity register, or names none of the variants, keeps the rows that all
    variants share.
    """
    if driver.discovery:
        return await discover(driver, read)
    known: dict[tuple[int, int, int], list[int] | None] = {}
    for variant in driver.variants:
        if await matches(variant.when, read, known, driver):
            return replace(driver, rows=variant.rows, variants=(), variant=variant.name)
    return replace(driver, variants=())


async def matches(
    identity: Identity,
    read: ReadRegisters,
    known: dict[tuple[int, int, int], list[int] | None],
    driver: Driver,
) -> bool:
    """Whether the meter's identity register has one of the values; `known` is what was read. Raises
    BusError when it does not answer.
    """
    place = (identity.function, identity.address, identity.words)
    if place not in known:
        try:
            known[place] = await read(*place)
        except Refused:
            known[place] = None
        except NoReply:
            # Some meters do not even refuse a register that they do not have: ask for one that it must have.
            span = next(span for row in driver.rows for span in row.spans)
            await read(span.function, span.address, span.words)
            known[place] = None
    words = known[place]
    return words is not None and recognised(identity, words)


def recognised(identity: Identity, words: list[int]) -> bool:
    """Whether words of an identity register have one of its values."""
    if len(words) != identity.words:
        return False
    data = _as_bytes(identity, words)
    if identity.type == "text":
        text = _letters(data).casefold()
        return any(text.startswith(str(value).strip().casefold()) for value in identity.values)
    return int.from_bytes(data, "big") in identity.values


def shown(identity: Identity, words: list[int]) -> str:
    """What an identity register holds, as a table would write it: a number, or a text."""
    data = _as_bytes(identity, words)
    if identity.type == "text":
        return visible(_letters(data), SHOWN) or "nothing"
    return str(int.from_bytes(data, "big"))


def _as_bytes(identity: Identity, words: list[int]) -> bytes:
    """The bytes of an identity register, high word first; turned as those of a row are: letters stand in
    their registers' order, and in a register one way or the other.
    """
    turned = words[::-1] if identity.order.startswith("little") and identity.type != "text" else words
    return struct.pack(f"{'<' if identity.order.endswith('swapped') else '>'}{len(turned)}H", *turned)


def _letters(data: bytes) -> str:
    """A text as far as it goes. A block that is read as a whole only may begin with a small number: the zero
    before it ends no text.
    """
    return data.lstrip(b"\0").split(b"\0")[0].decode("latin-1").strip()


def quantities(driver: Driver) -> tuple[str, ...]:
    """What a driver can give, also when the meter decides: every variant's and every model's quantities."""
    names = dict.fromkeys(driver.quantities)
    for variant in driver.variants:
        names |= dict.fromkeys(row.name for row in variant.rows if not row.attribute)
    if driver.discovery:
        names |= dict.fromkeys(row.name for row in offered(driver) if not row.attribute)
    return tuple(names)
