"""The text table of a driver: one line per register, six columns, exact line numbers.

    # address  type     quantity                raw   class  more
    0x0000     float32  voltage_{l1n,l2n,l3n}   V     fast   decimals=1
    28+124     float32  active_power_{l1,l2,l3} W     fast
    0x0500     float32  _import                 W     fast
    -          sum      active_energy_import    kWh   slow   of=active_energy_import_t1+active_energy_import_t2

Braces repeat a line; `address+step` says how far apart, without it the registers follow one another. A name with a
leading underscore is read but not published: a part of a sum. `decimals` counts in the unit of the raw column.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.catalogue.driver import ORDERS, TYPES, Row
from gateway.catalogue.units import KNOWN, parse_raw, places
from gateway.errors import Problem
from gateway.model import ATTRIBUTES, QUANTITIES

FLAGS = ("alone", "starts")
OPTIONS = ("decimals", "order", "function", "na", "low", "high", "sf", "rule", "of", "times", "sign")
RULES = ("pf4q", "magnitude")
_ADDRESS = re.compile(r"(0x[0-9a-fA-F]{1,4}|\d{1,5})(?:\+(0x[0-9a-fA-F]{1,4}|\d{1,5}))?")
_BRACES = re.compile(r"\{([a-z0-9,]+)\}")
_NAME = re.compile(r"_?[a-z][a-z0-9_]*")
_TERMS = re.compile(r"([+-]?)(_?[a-z][a-z0-9_]*)")
_FLOATS = {"float32", "float64"}


class _Mistake(Exception):
    """What is wrong with a line, and what to write."""

    def __init__(self, key: str, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.key, self.what, self.mend = key, what, mend


@dataclass(slots=True)
class Defaults:
    """What a table's head says of all its rows."""

    function: int = 3
    order: str = "big"
    sentinels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    shift: int = 0
    """Added to every address: a SunSpec model's own ID register."""


def parse_registers(text: str, first_line: int, file: str, defaults: Defaults) -> tuple[list[Row], list[Problem]]:
    """Rows of a register block whose text begins on `first_line`; published rows in file order, and every mistake."""
    table: dict[str, Row] = {}
    problems: list[Problem] = []
    late: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), first_line):
        columns = line.partition("#")[0].split()
        if not columns:
            continue
        try:
            if len(columns) < 5:
                raise _Mistake("", "has fewer than five columns", "write: address type quantity raw class, then options")
            for name, cells in _expand(columns):
                if name in table or any(name == other for _, other, _ in late):
                    first = table[name].line if name in table else next(at for at, other, _ in late if other == name)
                    raise _Mistake(name, f"is given twice (first in line {first})", "a quantity stands in one line of a table")
                if cells[1] == "sum" or any(cell.startswith(("times=", "sign=")) for cell in cells[5:]):
                    late.append((number, name, cells))
                else:
                    table[name] = _row(number, name, cells, defaults, table)
        except _Mistake as mistake:
            problems.append(Problem(file, number, mistake.key, mistake.what, mistake.mend))
    for number, name, cells in late:
        try:
            table[name] = _row(number, name, cells, defaults, table)
        except _Mistake as mistake:
            problems.append(Problem(file, number, mistake.key, mistake.what, mistake.mend))
    rows = sorted((row for row in table.values() if not row.name.startswith("_")), key=lambda row: row.line)
    problems += _overlaps(list(table.values()), file)
    return rows, sorted(problems)


def _expand(columns: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(name, columns) of each row that a line stands for."""
    braces = _BRACES.search(columns[2])
    if braces is None:
        yield columns[2], columns
        return
    match = _ADDRESS.fullmatch(columns[0])
    if match is None and columns[0] != "-":
        raise _Mistake("", f"{columns[0]!r} is not an address", "write 0x0034 or 52, with +step before braces: 28+124")
    step = int(match[2], 0) if match and match[2] else _words(columns[1])
    for index, part in enumerate(braces[1].split(",")):
        cells = [_BRACES.sub(part, cell) if at == 2 else cell for at, cell in enumerate(columns)]
        if match:
            cells[0] = str(int(match[1], 0) + index * step)
        cells[5:] = [cell.replace("{}", part) for cell in cells[5:]]
        yield cells[2], cells


def _words(kind: str) -> int:
    if kind == "sum":
        return 0
    if kind.startswith("text:") and kind[5:].isdigit() and 1 <= int(kind[5:]) <= 64:
        return int(kind[5:])
    if kind not in TYPES:
        near = difflib.get_close_matches(kind.lower(), [*TYPES, "text:8", "sum"], 1, 0.4)
        raise _Mistake("", f"{kind!r} is not a type", f"did you mean {near[0]}?" if near else f"types are {', '.join(TYPES)}, text:N, sum")
    return TYPES[kind]


def _row(number: int, name: str, cells: list[str], defaults: Defaults, table: dict[str, Row]) -> Row:
    """One row from its columns. Raises _Mistake."""
    place, kind, _, raw, pace, *more = cells
    words = _words(kind)
    attribute = name in ATTRIBUTES
    quantity = QUANTITIES.get(name)
    if quantity is None and not attribute and not (name.startswith("_") and _NAME.fullmatch(name)):
        near = difflib.get_close_matches(name, [*QUANTITIES, *ATTRIBUTES], 1)
        mend = (
            f"did you mean {near[0]}?" if near else "see docs/add-a-meter.md for the vocabulary; a leading _ keeps a helper row to itself"
        )
        raise _Mistake(name, "is not a quantity", mend)
    if pace not in {"fast", "slow", "static"}:
        raise _Mistake(name, f"{pace!r} is not a class", "write fast, slow or static")
    flags, options = _more(name, more)
    unit, factor = _unit(name, raw)
    if quantity and unit != quantity.unit:
        raise _Mistake(
            name,
            f"is in {quantity.unit or 'no unit'}, which {raw!r} is not",
            f"write the unit that the register has, like {_like(quantity.unit)}",
        )
    order = options.get("order", defaults.order)
    if order not in ORDERS:
        raise _Mistake(name, f"{order!r} is not a word order", f"write {', '.join(ORDERS)}")
    rule = options.get("rule", "")
    if rule and rule not in RULES:
        raise _Mistake(name, f"{rule!r} is not a rule", f"write {' or '.join(RULES)}")
    return Row(
        name=name,
        function=_function(name, options.get("function"), defaults.function),
        address=_address(name, place, kind, words, defaults.shift),
        words=words,
        type="text" if kind.startswith("text:") else kind,
        order=order,
        factor=float(factor),
        decimals=_decimals(name, kind, factor, unit, raw, options),
        pace="static" if pace == "static" else "slow" if pace == "slow" else "fast",
        low=_number(name, "low", options, quantity.low if quantity else -1e18),
        high=_number(name, "high", options, quantity.high if quantity else 1e18),
        attribute=attribute,
        alone="alone" in flags,
        starts="starts" in flags,
        sentinels=_patterns(name, kind, options["na"]) if "na" in options else defaults.sentinels.get(kind, ()),
        scale_at=_int(name, "sf", options["sf"]) + defaults.shift if "sf" in options else None,
        rule=rule,
        terms=_terms(name, kind, options, table, unit),
        times=_part(name, "times", options, table),
        sign_of=_part(name, "sign", options, table),
        line=number,
    )


def _more(name: str, more: list[str]) -> tuple[set[str], dict[str, str]]:
    flags: set[str] = set()
    options: dict[str, str] = {}
    for word in more:
        key, equals, value = word.partition("=")
        if (key not in OPTIONS or not value) if equals else key not in FLAGS:
            near = difflib.get_close_matches(key, [*FLAGS, *OPTIONS], 1)
            raise _Mistake(
                name,
                f"{word!r} is not an option",
                f"did you mean {near[0]}?" if near else f"options are {', '.join(FLAGS)}, {'=, '.join(OPTIONS)}=",
            )
        if equals:
            options[key] = value
        else:
            flags.add(key)
    return flags, options


def _unit(name: str, raw: str) -> tuple[str, Decimal]:
    parsed = parse_raw(raw)
    if parsed is None:
        raise _Mistake(
            name,
            f"{raw!r} is not a unit",
            f"write a unit, with the step of the register before it (0.1V, W, 10Wh; plain 0.001 without unit): {', '.join(KNOWN)}",
        )
    return parsed


def _like(unit: str) -> str:
    return {
        "kW": "W, kW or 0.1W",
        "kvar": "var or kvar",
        "kVA": "VA or kVA",
        "kWh": "Wh, kWh or 0.1kWh",
        "kvarh": "varh or kvarh",
        "kVAh": "VAh or kVAh",
    }.get(unit, f"{unit} or 0.1{unit}" if unit else "1 or 0.001")


def _address(name: str, place: str, kind: str, words: int, shift: int) -> int:
    if kind == "sum":
        if place != "-":
            raise _Mistake(name, "a sum has no address of its own", "write - in the first column")
        return 0
    match = _ADDRESS.fullmatch(place)
    if match is None or match[2]:
        raise _Mistake(name, f"{place!r} is not an address", "write the 0-based protocol address: 0x0034 or 52")
    address = int(match[1], 0) + shift
    if address + words > 0x10000:
        raise _Mistake(
            name, f"{place} is beyond the last register", "addresses run from 0 to 65535, without the leading 3 or 4 of the datasheet"
        )
    return address


def _function(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if text not in {"3", "4"}:
        raise _Mistake(name, f"function={text} cannot be read", "write function=3 or function=4")
    return int(text)


def _decimals(name: str, kind: str, factor: Decimal, unit: str, raw: str, options: dict[str, str]) -> int | None:
    """Decimals in the vocabulary's unit: as written for the raw unit, else what whole numbers can have."""
    if "decimals" not in options:
        return None if kind in _FLOATS or kind == "sum" else places(factor)
    text = options["decimals"]
    if not text.isdigit() or int(text) > 9:
        raise _Mistake(name, f"decimals={text} is not a number of decimals", "write 0 to 9, counted in the unit of the raw column")
    symbol = parse_raw(re.sub(r"^-?[\d.e-]*", "", raw) or "-")
    return (
        max(0, int(text) + places(symbol[1] if symbol else Decimal(1)))
        if symbol and symbol[1] < 1
        else max(0, int(text) - (len(str(int(symbol[1]))) - 1 if symbol else 0))
    )


def _number(name: str, key: str, options: dict[str, str], default: float) -> float:
    if key not in options:
        return default
    try:
        return float(options[key])
    except ValueError:
        raise _Mistake(name, f"{key}={options[key]} is not a number", f"write {key}=… in the unit of the vocabulary") from None


def _int(name: str, key: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise _Mistake(name, f"{key}={text} is not a whole number", "write it as 0x7FFF or 32767") from None


def _patterns(name: str, kind: str, text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    patterns = tuple(_int(name, "na", part) for part in text.split(","))
    bits = 16 * _words(kind)
    if any(not 0 <= pattern < 1 << bits for pattern in patterns):
        raise _Mistake(name, f"na={text} does not fit into {kind}", "write the raw pattern of the registers as an unsigned number")
    return patterns


def _terms(name: str, kind: str, options: dict[str, str], table: dict[str, Row], unit: str) -> tuple[tuple[int, Row], ...]:
    if kind != "sum":
        if "of" in options:
            raise _Mistake(name, "of= belongs to a sum", "write the type sum, and - for the address")
        return ()
    text = options.get("of", "")
    found = _TERMS.findall(text)
    if not found or "".join(sign + part for sign, part in found) != text:
        raise _Mistake(name, "does not say what it is the sum of", "write of=first+second or of=first-second")
    terms = []
    for sign, part in found:
        if part not in table:
            near = difflib.get_close_matches(part, table, 1)
            raise _Mistake(
                name,
                f"{part} is not a row of this table",
                f"did you mean {near[0]}?" if near else "give the terms of a sum their own lines",
            )
        terms.append((-1 if sign == "-" else 1, table[part]))
    del unit
    return tuple(terms)


def _part(name: str, key: str, options: dict[str, str], table: dict[str, Row]) -> Row | None:
    if key not in options:
        return None
    if options[key] not in table:
        near = difflib.get_close_matches(options[key], table, 1)
        raise _Mistake(
            name, f"{key}={options[key]} is not a row of this table", f"did you mean {near[0]}?" if near else "give it a line of its own"
        )
    return table[options[key]]


def _overlaps(rows: list[Row], file: str) -> Iterator[Problem]:
    """Rows that claim the same register: one of the two addresses or types is wrong."""
    placed = sorted((row for row in rows if row.words and not row.alone), key=lambda row: (row.function, row.address, row.words))
    for first, second in zip(placed, placed[1:], strict=False):
        if first.function == second.function and second.address < first.address + first.words:
            what = f"overlaps {first.name} (line {first.line}: {first.address} to {first.address + first.words - 1})"
            yield Problem(file, second.line, second.name, what, "check address and type against the datasheet")
