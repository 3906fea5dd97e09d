"""The register images of tests/catalogue/images: what a meter holds, and what it means, from papers and
frames.

A file has sections `[name]`, each an image of its own. A line is `function address words… quantity value  #
where from`; `- -` in place of quantity and value is a register that is there but no reading; `= quantity
value` is a value that no single line holds; `alone` before the function is a register that exists only for a
read of exactly it. A value is a number, a text in quotes, or `absent:reason`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.simulator.slave import ILLEGAL_ADDRESS, ModbusError, Served
from gateway.errors import Refused

IMAGES = Path(__file__).parent / "images"
FILLER = 0xDEAD
"""What stands between the registers that a section names: a value that is read from there is a mistake
that shows.
"""
_WORD = re.compile(r"[0-9A-F]{4}")


@dataclass
class Section:
    """One image. It is also an Image of the simulator: `read` gives words or refuses."""

    name: str
    words: dict[tuple[int, int], int] = field(default_factory=dict)
    alone: dict[tuple[int, int], int] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def read(self, function: int, address: int, count: int) -> Served:
        if count == 1 and (function, address) in self.alone:
            return Served([self.alone[function, address]])
        places = [(function, at) for at in range(address, address + count)]
        if not any(place in self.words for place in places):
            raise ModbusError(ILLEGAL_ADDRESS)
        return Served([self.words.get(place, FILLER) for place in places])

    async def ask(self, function: int, address: int, count: int) -> list[int]:
        """As `resolve` asks."""
        try:
            return self.read(function, address, count).words
        except ModbusError as error:
            raise Refused("no such register", error.code) from None

    @property
    def names(self) -> set[str]:
        return {*self.values, *self.texts, *self.absent}


def sections(path: Path) -> list[Section]:
    """Every image of a file."""
    found: list[Section] = []
    for line in path.read_text().splitlines():
        if match := re.match(r"\[(.+?)\]", line):
            found.append(Section(match[1]))
        elif (content := re.split(r"\s#", line)[0].strip()) and not content.startswith("#"):
            _take(found[-1], content)
    return found


def _take(section: Section, content: str) -> None:
    place, text = (
        (content[: content.index('"')].split(), content[content.index('"') + 1 : -1])
        if content.endswith('"')
        else (content.split(), "")
    )
    if not text:
        shown = place.pop()
    name = place.pop()
    if place[0] != "=":
        target = section.alone if place[0] == "alone" else section.words
        function, address = (int(cell, 0) for cell in place[place[0] == "alone" :][:2])
        words = place[(place[0] == "alone") + 2 :]
        assert words, content
        for offset, word in enumerate(words):
            assert _WORD.fullmatch(word), content
            assert (function, address + offset) not in target, f"{content}: the register is there already"
            target[function, address + offset] = int(word, 16)
    if name == "-":
        return
    assert name not in section.names, f"{content}: given twice"
    if text:
        section.texts[name] = text
    elif shown.startswith("absent:"):
        section.absent[name] = shown.removeprefix("absent:")
    else:
        section.values[name] = float(shown)
