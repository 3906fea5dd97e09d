"""A driver's file on its way to a Driver: its head, its register lines, and what they build on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

from gateway.catalogue.columns import Defaults
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
from gateway.catalogue.header import NamingPart, ReadsPart, SerialPart, TableHead
from gateway.catalogue.registers import parse_registers
from gateway.catalogue.values import believable
from gateway.common.near import did_you_mean
from gateway.common.text import in_short
from gateway.config import Block, Key, Table, line_of, value_of
from gateway.errors import DriverError, Problem
from gateway.model import QUANTITIES


class DriverTable:
    """A head and its register blocks on their way to a Driver."""

    def __init__(
        self, name: str, file: str, head: TableHead, document: Table, load_other: Callable[[str], Driver]
    ) -> None:
        """`load_other` gives the driver that this one builds on, by its name; it raises DriverError."""
        self.name, self.file, self.head = name, file, head
        self._document = document
        self._load_other = load_other
        self.problems: list[Problem] = []
        self.base = self._other(head.like)
        reads, base = head.reads or ReadsPart(), self.base
        self.limits = ReadLimits(
            reads.function,
            reads.max_registers,
            reads.min_gap,
            reads.timeout,
            reads.answer_time,
            reads.holes,
            reads.even,
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
        rows = self._merge(self._inherited(), self._rows(), head.without)
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
            no_identity=head.no_identity or "",
            values=head.values or "",
            others={str(name): labels for name, labels in head.others.items()},
            notes=head.notes,
            identity=_identity(head.identity, not_all=head.identity.not_all) if head.identity else None,
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
        for index, part in enumerate(self.head.variants):
            other = self._other(part.like)
            shared = other.rows if other else rows
            if part.order:
                shared = tuple(_reordered(row, part.order) for row in shared)
            variants.append(
                Variant(
                    part.name,
                    _identity(part.when),
                    self._merge(shared, self._rows("variants", index, order=part.order), part.without),
                )
            )
        return variants

    def _discovery(self) -> Discovery | None:
        part = self.head.sunspec
        if part is None:
            return self.base.discovery if self.base else None
        known = []
        for index, model in enumerate(part.models):
            self._rows("sunspec", "models", index)
            known.append((model.ids, *self._text("sunspec", "models", index)))
        base = self.base.discovery if self.base else None
        if not known and base:
            known = [*base.models]
        return Discovery(part.bases, part.main, part.nth, part.beside, tuple(known), part.inverted)

    def _text(self, *where: Key) -> tuple[str, int]:
        """The register lines of a part of the head, and the line that they begin on."""
        text = value_of(self._document, [*where, "registers"])
        line = text.line if isinstance(text, Block) else line_of(self._document, [*where, "registers"])
        return text or "", line

    def _rows(self, *where: Key, order: str | None = None) -> list[Row]:
        text, line = self._text(*where)
        defaults = Defaults(self.limits.function, order or self.order, self.sentinels, self.bounds)
        rows, found = parse_registers(text, line, self.file, defaults)
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
                        f"{in_short(name)} is not a row of the table",
                        did_you_mean(name, have, "remove it"),
                    )
                )
        gone = {row.name for row in own} | set(without)
        rows = tuple(row for row in base if row.name not in gone) + tuple(own)
        self.problems += _check(rows, self.limits, self.file)
        return rows

    def _other(self, name: str | None) -> Driver | None:
        """Another driver, from beside this file or from the shipped ones."""
        if name is None:
            return None
        try:
            return self._load_other(name)
        except DriverError as error:
            self.problems += error.problems
        return None


def _identity(part: NamingPart, *, not_all: bool = False) -> Identity:
    words = int(part.type[5:]) if part.type.startswith("text:") else TYPES[part.type]
    return Identity(
        part.function,
        part.address,
        words,
        part.type.partition(":")[0],
        part.values,
        part.alone,
        part.order,
        not_all,
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
