"""The survivors of docs/mutants.md once more: against today's code and the tests that are named.

The page is the record: build/ may be gone, and a survivor is found again by what it was and became, wherever
its line is by now. One whose code is gone is no mutant any more.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.operators import Mutant, compiles, mutants
from tests.mutants.report import SHOWN, one_line

_SURVIVOR = re.compile(r"^\| (gateway/\S+) \| (\d+) \| `(.*?)` \| `(.*?)` \| .* \|$", re.MULTILINE)
_MODULE = re.compile(r"^\| (gateway/\S+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
_DRAWN = re.compile(r"^(?:Drawn and met first: )?(\d{4}-\d\d-\d\d, commit .*)$", re.MULTILINE)


@dataclass
class Record:
    """What the page says: mutants and killed ones by module, and who has survived."""

    drawn: str
    mutants: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    survivors: list[tuple[str, int, str, str]] = field(default_factory=list)
    """Module, line, what it was, what it became."""

    def results(self, met: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What is known now: the killed ones of the page, by module alone, and those that were met again."""
        killed = [
            {"module": module, "verdict": "killed"}
            for module, count in self.killed.items()
            for _ in range(count)
        ]
        return killed + met


def read_page(page: Path) -> Record:
    """The record of a page that was written before."""
    text = page.read_text()
    drawn = _DRAWN.search(text)
    record = Record(drawn[1] if drawn else "")
    for module, count, killed, _ in _MODULE.findall(text):
        record.mutants[module], record.killed[module] = int(count), int(killed)
    record.survivors = [
        (module, int(line), was, became) for module, line, was, became in _SURVIVOR.findall(text)
    ]
    return record


def counterpart(base: Path, module: str, line: int, was: str, became: str) -> tuple[Mutant, bytes] | None:
    """Today's mutant for one of the page, the nearest by line, and the module's source; None when its code is
    gone.
    """
    if not (base / module).exists():
        return None
    source = (base / module).read_bytes()
    same = [
        mutant
        for mutant in mutants(module, source)
        if one_line(mutant.was)[:SHOWN] == was
        and one_line(mutant.text)[:SHOWN] == became
        and compiles(mutant.apply(source))
    ]
    return (min(same, key=lambda each: abs(each.line - line)), source) if same else None


def relined(text: str, base: Path) -> str:
    """The page with each survivor at the line where its code stands today; one whose code is gone stays as
    it is.
    """

    def row(found: re.Match[str]) -> str:
        module, line, was, became = found.groups()
        same = counterpart(base, module, int(line), was, became)
        return found[0] if same is None else found[0].replace(f"| {line} |", f"| {same[0].line} |", 1)

    return _SURVIVOR.sub(row, text)
