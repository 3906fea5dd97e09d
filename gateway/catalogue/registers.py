"""The text table of a driver: one line per register, six columns, exact line numbers.

    # address  type     quantity                raw   class  more
    0x0000     float32  voltage_{l1n,l2n,l3n}   V     fast   decimals=1
    28+124     float32  active_power_{l1,l2,l3} W     fast
    0x0500     float32  _import                 W     fast
    -          sum      active_energy_import    kWh   slow   of=active_energy_import_t1+active_energy_import_t2

Braces repeat a line; `address+step` says how far apart, without it the registers follow one another; `{}` in an option
is the same part again. A name with a leading underscore is read but not published: a part of a sum.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.catalogue.cells import ADDRESS, BRACES, Defaults, Line, Mistake, words_of
from gateway.catalogue.driver import Row
from gateway.errors import Problem

_COLUMNS = 5
"""Address, type, quantity, raw, class; the rest are options."""


def parse_registers(text: str, first_line: int, file: str, defaults: Defaults) -> tuple[list[Row], list[Problem]]:
    """Rows of a register block whose text begins on `first_line`: the published ones in file order, and every mistake."""
    lines: dict[str, Line] = {}
    problems: list[Problem] = []
    for number, content in enumerate(text.splitlines(), first_line):
        columns = content.partition("#")[0].split()
        if not columns:
            continue
        if len(columns) < _COLUMNS:
            problems.append(
                Problem(file, number, "", f"has fewer than {_COLUMNS} columns", "write: address type quantity raw class, then options")
            )
            continue
        try:
            for cells in _expand(columns):
                line = Line(number, cells, defaults)
                first = lines.setdefault(line.name, line)
                if first is not line:
                    what = f"is given twice (first in line {first.number})"
                    problems.append(Problem(file, number, line.name, what, "a quantity stands in one line of a table"))
        except Mistake as mistake:
            problems.append(mistake.problem(file, number))
    rows: dict[str, Row] = {}
    # What refers to another row comes after it.
    for line in sorted(lines.values(), key=lambda line: line.depth(lines)):
        try:
            rows[line.name] = line.row(rows)
        except Mistake as mistake:
            problems.append(mistake.problem(file, line.number))
    return [rows[name] for name in lines if name in rows and not name.startswith("_")], sorted(set(problems))


def _expand(columns: list[str]) -> Iterator[list[str]]:
    """The columns of each row that a line stands for. Raises Mistake."""
    place, kind, name, *rest = columns
    braces = BRACES.search(name)
    if braces is None:
        yield columns
        return
    match = ADDRESS.fullmatch(place)
    step = int(match[2], 0) if match and match[2] else words_of(kind)
    for index, part in enumerate(braces[1].split(",")):
        at = str(int(match[1], 0) + index * step) if match else place
        yield [at, kind, BRACES.sub(part, name, count=1), *(cell.replace("{}", part) for cell in rest)]
