"""The text table of a driver: one line per register, six columns, exact line numbers.

    # address  type     quantity                raw   class  more
    0x0000     float32  voltage_{l1n,l2n,l3n}   V     fast   decimals=1
    28+124     float32  active_power_{l1,l2,l3} W     fast
    0x0500     float32  _import                 W     fast
    -          sum      active_energy_import    kWh   slow
      of=active_energy_import_t1+active_energy_import_t2

Braces repeat a line; `address+step` says how far apart, without it the registers follow one another; `{}` in
an option is the same part again. A name with a leading underscore is read but not published: a part of a sum.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.catalogue.columns import ADDRESS, BRACES, Defaults, RegisterLine
from gateway.catalogue.driver import Row
from gateway.catalogue.values import Mistake, words_of
from gateway.config import MAX_PROBLEMS
from gateway.errors import Problem

MAX_ROWS = 2000
"""Rows of a table: more than any meter has registers that matter."""
MAX_PARTS = 200
"""Rows that one row is made of, those of its parts included."""
MAX_REPEATS = 100
"""Rows that one line stands for."""
_COLUMNS = 5
"""Address, type, quantity, raw, class; the rest are options."""


def parse_registers(
    text: str, first_line: int, file: str, defaults: Defaults
) -> tuple[list[Row], list[Problem]]:
    """Rows of a register block whose text begins on `first_line`: the published ones in file order, and
    every mistake.
    """
    lines, problems = _lines(text, first_line, file, defaults)
    rows: dict[str, Row] = {}
    weights: dict[str, int] = {}
    # What refers to another row comes after it.
    for line in _in_order(lines):
        weights[line.name] = 1 + sum(weights.get(name, 0) for name in line.needs)
        if weights[line.name] > MAX_PARTS:
            what = f"is made of more than {MAX_PARTS} rows"
            problems.append(Problem(file, line.number, line.name, what, "a sum adds a few"))
            continue
        try:
            rows[line.name] = line.row(rows)
        except Mistake as mistake:
            problems.append(mistake.problem(file, line.number))
    return [rows[name] for name in lines if name in rows and not name.startswith("_")], sorted(set(problems))


def _lines(
    text: str, first_line: int, file: str, defaults: Defaults
) -> tuple[dict[str, RegisterLine], list[Problem]]:
    """The lines by the name of what they give, written out where braces repeat them."""
    lines: dict[str, RegisterLine] = {}
    problems: list[Problem] = []
    for number, content in enumerate(text.split("\n"), first_line):
        columns = content.partition("#")[0].split()
        if not columns:
            continue
        if len(columns) < _COLUMNS:
            what = f"has fewer than {_COLUMNS} columns"
            mend = "write: address type quantity raw class, then options"
            problems.append(Problem(file, number, "", what, mend))
            continue
        try:
            for cells in _expand(columns):
                line = RegisterLine(number, cells, defaults)
                first = lines.setdefault(line.name, line)
                if first is not line:
                    what = f"is given twice (first in line {first.number})"
                    mend = "a quantity stands in one line of a table"
                    problems.append(Problem(file, number, line.name, what, mend))
        except Mistake as mistake:
            problems.append(mistake.problem(file, number))
        if len(lines) > MAX_ROWS or len(problems) > MAX_PROBLEMS:
            what = f"more than {MAX_ROWS} rows or {MAX_PROBLEMS} problems"
            problems.append(Problem(file, number, "", what, "is this the right file?"))
            break
    return lines, problems


def _in_order(lines: dict[str, RegisterLine]) -> list[RegisterLine]:
    """The lines in an order in which each comes after those that it refers to; of a circle one comes too
    early, and is a mistake.
    """
    ordered: dict[str, RegisterLine] = {}
    begun: set[str] = set()
    for name in lines:
        waiting = [name]
        while waiting:
            here = waiting[-1]
            open_ones = (
                []
                if here in begun
                else [other for other in lines[here].needs if other in lines and other not in begun]
            )
            begun.add(here)
            if open_ones:
                waiting += open_ones
            else:
                ordered.setdefault(here, lines[here])
                waiting.pop()
    return list(ordered.values())


def _expand(columns: list[str]) -> Iterator[list[str]]:
    """The columns of each row that a line stands for. Raises Mistake."""
    place, kind, name, *rest = columns
    braces = BRACES.search(name)
    if braces is None:
        yield columns
        return
    parts = braces[1].split(",")
    if len(parts) > MAX_REPEATS:
        raise Mistake(
            BRACES.sub("{…}", name),
            f"stands for {len(parts)} rows",
            f"write at most {MAX_REPEATS} names between the braces",
        )
    match = ADDRESS.fullmatch(place)
    step = int(match[2], 0) if match and match[2] else words_of(kind)
    for index, part in enumerate(parts):
        at = str(int(match[1], 0) + index * step) if match else place
        yield [at, kind, BRACES.sub(part, name, count=1), *(cell.replace("{}", part) for cell in rest)]
