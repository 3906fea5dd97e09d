"""Find, read and check driver tables. Every problem of a file comes at once, with its line and its mend."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from gateway.catalogue.columns import Defaults, believable, offer
from gateway.catalogue.driver import (
    TYPES,
    Discovery,
    Driver,
    Identity,
    ReadLimits,
    Row,
    SerialDefaults,
    Variant,
)
from gateway.catalogue.header import Head, IdentityPart, ReadsPart, SerialPart, explain
from gateway.catalogue.registers import parse_registers
from gateway.config import Table, few, line_of, odd_character, parse_yaml, read_text, validate
from gateway.errors import DriverError, Problem
from gateway.model import QUANTITIES

log = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent / "drivers"
_CHECKOUT = Path(__file__).parents[2] / "drivers"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BLOCK = re.compile(
    r"^( *)(?:- )?( *)registers: \|[ \t]*(?:#.*)?\n((?:(?:\1 +\S.*|[ \t]*)(?:\n|$))*)", re.MULTILINE
)


def shipped_directory() -> Path:
    """Where the shipped tables are: in the package when installed, at the top of a checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def shipped() -> list[Path]:
    """Every shipped table, by name."""
    return tables(shipped_directory())


def tables(directory: Path) -> list[Path]:
    """The tables in a directory, by name; none when it is not there or may not be read."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".yaml")
    except OSError:
        return []


def library(directory: Path | None = None) -> list[Driver]:
    """The shipped drivers, and a technician's own in their place or beside them, by name. Raises
    DriverError.
    """
    paths = {path.stem: path for path in shipped()}
    if directory is not None:
        paths |= {path.stem: path for path in tables(directory)}
    return [load_file(paths[name]) for name in sorted(paths)]


def load_driver(name: str, directory: Path | None = None, *, within: tuple[str, ...] = ()) -> Driver:
    """The driver of that name: a technician's own directory first, then the shipped tables. Raises
    DriverError.

    `within` are the drivers that are being loaded because they build on this one.
    """
    known = _known(directory)
    if name in known:
        return load_file(known[name], within=within)
    raise DriverError(
        [
            Problem(
                str((directory or shipped_directory()) / f"{name}.yaml"),
                1,
                "driver",
                *unknown(name, directory),
            )
        ]
    )


def find(name: str, directory: Path | None = None) -> Path | None:
    """The file of the table of that name, or None when there is none."""
    return _known(directory).get(name)


def unknown(name: str, directory: Path | None = None) -> tuple[str, str]:
    """What is wrong with the name of a table that there is not, and what to write."""
    near = difflib.get_close_matches(name, sorted(_known(directory)), 3, 0.5)
    return (
        f"there is no driver {name!r}",
        f"did you mean {' or '.join(near)}?" if near else "see `submeter drivers list`",
    )


def _known(directory: Path | None) -> dict[str, Path]:
    """The tables by name; a technician's own win."""
    places = [shipped_directory(), *([directory] if directory is not None else [])]
    return {path.stem: path for place in places for path in tables(place)}


def load_file(path: Path, *, within: tuple[str, ...] = ()) -> Driver:
    """The driver in a file. Raises DriverError with every problem found."""
    text, problems = read_text(path)
    if text is None:
        raise DriverError(problems)
    return load_text(text, path.stem, str(path), within=within)


def load_text(text: str, name: str, file: str = "", *, within: tuple[str, ...] = ()) -> Driver:
    """The driver in a text; `name` is its file's stem. Raises DriverError with every problem found, and
    nothing else.
    """
    file = file or f"{name}.yaml"
    try:
        return _judge(text.removeprefix("\ufeff").replace("\r\n", "\n"), name, file, within)
    except DriverError:
        raise
    except Exception as error:
        # A table that nobody thought of: it must not end the reload of all the others.
        log.exception("%s: a table that cannot be judged", file)
        what = f"cannot be judged: {type(error).__name__}: {error}"
        raise DriverError([Problem(file, 1, "", what[:300], "take out what was changed last")]) from error


def _judge(text: str, name: str, file: str, within: tuple[str, ...]) -> Driver:
    if odd := odd_character(text, file):
        raise DriverError([odd])
    blocks: dict[str, tuple[str, int]] = {}
    document, problems = parse_yaml(_lift(text, blocks), file)
    if document is None:
        raise DriverError(problems)
    head, problems = validate(Head, document, file, explain)
    if not _NAME.fullmatch(name):
        problems.append(
            Problem(
                file,
                1,
                "",
                f"{name!r} is not a driver's name",
                "call the file maker-model.yaml, in small letters, digits and hyphens",
            )
        )
    if head is None:
        raise DriverError(sorted(problems))
    table = _Table(name, file, head, blocks, within=(*within, name), document=document)
    problems += [
        Problem(
            file,
            line_of(document, ["absent", kind]),
            f"absent.{kind}",
            "is not a type",
            f"types are {', '.join(TYPES)}",
        )
        for kind in head.absent
        if kind not in TYPES
    ]
    driver = table.build()
    problems += table.problems
    if not (driver.rows or driver.discovery or problems):
        problems.append(
            Problem(
                file,
                line_of(document, ["registers"]),
                "registers",
                "has no rows",
                "write one line per register",
            )
        )
    if problems:
        raise DriverError(few(iter(sorted(set(problems))), file))
    return driver


class _Table:
    """A head and its register blocks on their way to a Driver."""

    def __init__(
        self,
        name: str,
        file: str,
        head: Head,
        blocks: dict[str, tuple[str, int]],
        *,
        within: tuple[str, ...],
        document: Table,
    ) -> None:
        self._document = document
        self.name, self.file, self.head, self.blocks, self.within = name, file, head, blocks, within
        self.problems: list[Problem] = []
        self.base = self._other(head.like, "like")
        reads, base = head.reads or ReadsPart(), self.base
        self.limits = ReadLimits(
            reads.function, reads.max_registers, reads.min_gap, reads.timeout, reads.holes, reads.even
        )
        if base and head.reads is None:
            self.limits = base.limits
        self.order = reads.order if head.reads or not base else base.order
        self.sentinels = dict(head.absent) or (base.sentinels if base else {})
        self.bounds: dict[str, float] = {str(unit): most for unit, most in head.limits.items()} or (
            base.bounds if base else {}
        )

    def line(self, key: str) -> int:
        """Where a key of the head stands."""
        return line_of(self._document, [key.partition(".")[0]])

    def build(self) -> Driver:
        """The driver; mistakes are left in `problems`."""
        head, base = self.head, self.base
        rows = self._merge(self._inherited(), self._rows(head.registers), head.without)
        serial = head.serial or SerialPart()
        return Driver(
            name=self.name,
            maker=head.maker,
            model=head.model,
            verified=head.verified,
            source=head.source,
            limits=self.limits,
            rows=rows,
            serial=base.serial
            if base and head.serial is None
            else SerialDefaults(serial.baudrate, serial.parity, serial.stopbits, serial.address),
            tcp_port=base.tcp_port if base and head.tcp is None else head.tcp,
            covers=head.covers,
            twins=head.twins,
            no_import=head.no_import or "",
            notes=head.notes,
            identity=_identity(head.identity) if head.identity else None,
            variants=tuple(self._variants(rows)),
            discovery=self._discovery(),
            like=base.name if base else "",
            order=self.order,
            sentinels=self.sentinels,
            bounds=self.bounds,
            path=self.file,
        )

    def _inherited(self) -> tuple[Row, ...]:
        """The rows of the table that this one is like, within this table's own limits."""
        if self.base is None:
            return ()
        theirs = self.base.bounds
        return (
            self.base.rows
            if self.bounds == theirs
            else tuple(_within(row, theirs, self.bounds) for row in self.base.rows)
        )

    def _variants(self, rows: tuple[Row, ...]) -> list[Variant]:
        variants = []
        for part in self.head.variants:
            other = self._other(part.like, "variants.like")
            shared = other.rows if other else rows
            if part.order:
                shared = tuple(_reordered(row, part.order) for row in shared)
            variants.append(
                Variant(
                    part.name,
                    _identity(part.when),
                    self._merge(shared, self._rows(part.registers, part.order), part.without),
                )
            )
        return variants

    def _discovery(self) -> Discovery | None:
        part = self.head.sunspec
        if part is None:
            return self.base.discovery if self.base else None
        models = part.models or ()
        for model in models:
            self._rows(model.registers)
        known = tuple(
            (model.ids, *self.blocks.get(model.registers, (model.registers, 1))) for model in models
        )
        if not known and self.base and self.base.discovery:
            known = self.base.discovery.models
        return Discovery(part.bases, part.take, part.nth, part.beside, known, part.inverted)

    def _rows(self, key: str, order: str | None = None) -> list[Row]:
        block, line = self.blocks.get(key, (key, 1))
        defaults = Defaults(self.limits.function, order or self.order, self.sentinels, self.bounds)
        rows, found = parse_registers(block, line, self.file, defaults)
        self.problems += found
        return rows

    def _merge(self, base: tuple[Row, ...], own: list[Row], without: tuple[str, ...]) -> tuple[Row, ...]:
        """Rows of `base` that are neither replaced nor left out, then the own ones."""
        have = {row.name for row in base}
        for name in without:
            if name not in have and not self.problems:
                self.problems.append(
                    Problem(
                        self.file,
                        self.line("without"),
                        "without",
                        f"{name} is not a row of the table",
                        offer(name, have, "remove it"),
                    )
                )
        gone = {row.name for row in own} | set(without)
        rows = tuple(row for row in base if row.name not in gone) + tuple(own)
        self.problems += _check(rows, self.limits, self.file)
        return rows

    def _other(self, name: str | None, key: str) -> Driver | None:
        """Another driver, from beside this file or from the shipped ones."""
        if name is None:
            return None
        if name in self.within:
            chain = " → ".join((*self.within[self.within.index(name) :], name))
            self.problems.append(
                Problem(
                    self.file,
                    1,
                    key,
                    f"the drivers build on each other in a circle: {chain}",
                    "let one of them have its own registers",
                )
            )
            return None
        try:
            return load_driver(name, Path(self.file).parent, within=self.within)
        except DriverError as error:
            self.problems += error.problems
        return None


def _identity(part: IdentityPart) -> Identity:
    words = int(part.type[5:]) if part.type.startswith("text:") else TYPES[part.type]
    return Identity(
        part.function, part.address, words, part.type.partition(":")[0], part.values, part.alone, part.order
    )


def _reordered(row: Row, order: str) -> Row:
    """The row, and what it refers to, in another word order."""
    other = [part and _reordered(part, order) for part in (row.times, row.sign_of)]
    return replace(
        row,
        order=order,
        times=other[0],
        sign_of=other[1],
        terms=tuple((sign, _reordered(term, order)) for sign, term in row.terms),
    )


def _within(row: Row, theirs: Mapping[str, float], ours: Mapping[str, float]) -> Row:
    """A row whose bounds are not of its own line, with other limits of its meter."""
    quantity = QUANTITIES.get(row.name)
    if quantity is None:
        return row
    (old_low, old_high), (low, high) = (believable(quantity, row.words, limits) for limits in (theirs, ours))
    return replace(
        row, low=low if row.low == old_low else row.low, high=high if row.high == old_high else row.high
    )


def _check(rows: tuple[Row, ...], limits: ReadLimits, file: str) -> list[Problem]:
    """Rows that no read within the meter's limits can bring, and rows that claim the same register."""
    problems = []
    for row in rows:
        for span in row.spans:
            if span.words > limits.max_registers:
                what = (
                    f"has {span.words} registers, more than a read of this meter may have "
                    f"({limits.max_registers})"
                )
                problems.append(Problem(file, row.line, row.name, what, "check reads: max_registers"))
            if any(first < span.end and span.address <= last for first, last in limits.holes):
                problems.append(
                    Problem(
                        file,
                        row.line,
                        row.name,
                        "stands in a hole that no read may touch",
                        "check reads: holes",
                    )
                )
        if limits.even and row.alone and (row.address % 2 or row.words % 2):
            what = "must be read alone, but reads of this meter are even"
            problems.append(Problem(file, row.line, row.name, what, "check reads: even, or leave alone out"))
    placed = sorted(
        (row for row in _leaves(rows) if not row.alone),
        key=lambda row: (row.function, row.address, row.words),
    )
    for first, second in pairwise(placed):
        if first.function == second.function and second.address < first.address + first.words:
            what = (
                f"overlaps {first.name} (line {first.line}: {first.address} to "
                f"{first.address + first.words - 1})"
            )
            problems.append(
                Problem(file, second.line, second.name, what, "check address and type against the datasheet")
            )
    return problems


def _leaves(rows: tuple[Row, ...]) -> list[Row]:
    """Every row with registers of its own, once: published rows and the parts of sums."""
    found: dict[str, Row] = {}
    waiting = list(rows)
    while waiting:
        row = waiting.pop()
        waiting += [
            part for part in (*(term for _, term in row.terms), row.times, row.sign_of) if part is not None
        ]
        if row.words:
            found[row.name] = row
    return list(found.values())


def _lift(text: str, blocks: dict[str, tuple[str, int]]) -> str:
    """Take the register blocks out of the YAML: they are ours to parse, with exact lines and without the
    cost.
    """

    def note(match: re.Match[str]) -> str:
        start = text.count("\n", 0, match.start(3)) + 1
        key = f"@{start}"
        blocks[key] = (match[3], start)
        head = match[0][: match.start(3) - match.start(0)]
        return head.partition("registers:")[0] + f'registers: "{key}"\n' + "\n" * match[3].count("\n")

    return _BLOCK.sub(note, text)
