"""Find what is wrong with a driver table from what the meter really holds: the systematic slips of a hurried
hand.

A hypothesis changes the whole table at once — function code, addresses off by one, word order, kind of number
— because that is how such slips come. It is judged by physics on the registers that were read, and needs
evidence to be proposed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from gateway.catalogue import ORDERS, Driver, Row
from gateway.commissioning.plausibility.physics import HZ_BAND, LL_BAND, LN_BAND, PhysicsCheck, judge, score
from gateway.common.near import either
from gateway.errors import BadFrame, NoReply, Refused
from gateway.field import Replies, decode, registers_of
from gateway.model import QUANTITIES

Ask = Callable[[int, int, int], Awaitable[list[int]]]
RegisterWords = Mapping[tuple[int, int], int]
"""Function and address → what is in that register."""

KINDS = {
    "float": {2: "float32", 4: "float64"},
    "unsigned": {1: "u16", 2: "u32", 3: "u48", 4: "u64"},
    "signed": {1: "s16", 2: "s32", 4: "s64"},
    "amount": {1: "u16", 2: "u32", 4: "u64"},
}
_KINDS: Final = {
    "float": "floating-point numbers",
    "unsigned": "unsigned whole numbers",
    "signed": "signed whole numbers",
    "amount": "whole numbers as sign and amount (sign=bit15, sign=bit31)",
}
LEAST = 3
"""Checks that must speak for a proposal."""
_REACH = 1
_MOST_AT_ONCE = 40
_ADDRESSES = 0x10000
_PATIENCE = 2
"""Unanswered reads after which a function is given up."""
_REFUSALS = 12
"""Places refused with their neighbours, after which a function that has given nothing is given up."""
_MOST = 3
_ANY = 1e18
_SAME = 4
"""Registers that hold the same by chance no more."""
POWERS = (0, -1, -2, -3)
"""Steps of ten that a raw column may lack."""


@dataclass(frozen=True, slots=True)
class TableChange:
    """What may be wrong with a table; None is as written."""

    function: int | None = None
    shift: int = 0
    order: str | None = None
    kind: str | None = None

    def __str__(self) -> str:
        parts = []
        if self.function is not None:
            parts.append(f"function {self.function}")
        if self.shift:
            parts.append(f"every address {abs(self.shift)} {'higher' if self.shift > 0 else 'lower'}")
        if self.order is not None:
            parts.append(f"word order {self.order}")
        if self.kind is not None:
            parts.append(_KINDS[self.kind])
        return ", ".join(parts) or "as written"

    def lines(self, driver: Driver) -> list[str]:
        """What to write into the table."""
        found = []
        if self.function is not None or self.order is not None:
            function, order = self.function or driver.limits.function, self.order or driver.order
            found.append(
                f"reads: {{function: {function}, max_registers: {driver.limits.max_registers}, order: "
                f"{order}}}"
            )
        if self.shift:
            first = min((row.address for row in driver.rows if row.words), default=0)
            found.append(
                f"registers: add {self.shift} to every address (0x{first:04X} becomes "
                f"0x{first + self.shift:04X})"
            )
        if self.kind == "amount":
            found.append("registers: type u16 and sign=bit15, type u32 and sign=bit31")
        elif self.kind is not None:
            types = either(list(KINDS[self.kind].values()))
            found.append(f"registers: type {types}, by the number of registers")
        return found

    @property
    def size(self) -> int:
        """How many things are changed."""
        return sum(
            (self.function is not None, self.shift != 0, self.order is not None, self.kind is not None)
        )


@dataclass(frozen=True, slots=True)
class TableProposal:
    """A change with what speaks for and against it. `steps` are factors that the raw columns lack, by
    quantity.
    """

    change: TableChange
    findings: tuple[PhysicsCheck, ...]
    values: dict[str, float]
    steps: dict[str, float]

    @property
    def off(self) -> float:
        """How exactly the relations hold: the mean share by which they are off."""
        shares = [finding.off for finding in self.findings if finding.good is not None]
        return sum(shares) / max(1, len(shares))

    @property
    def score(self) -> int:
        """Evidence, less what stays open, less what is changed."""
        return score(list(self.findings)) - self.change.size - len(set(self.steps.values()))


async def collect(rows: Iterable[Row], ask: Ask) -> dict[tuple[int, int], int]:
    """The registers of the rows and their neighbours, by both read functions; what the meter refuses is left
    out.

    Raises NoReply when nothing answers at all, BusDown when the bus is gone.
    """
    words: dict[tuple[int, int], int] = {}
    places = sorted(
        {
            (span.address, span.end)
            for row in rows
            if not row.attribute
            for span in row.spans
            if not span.alone
        }
    )
    ranges: list[tuple[int, int]] = []
    for first, end in places:
        if ranges and first - ranges[-1][1] <= _REACH + 1 and end - ranges[-1][0] <= _MOST_AT_ONCE:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((first, end))
    silent: NoReply | None = None
    for function in (3, 4):
        found, silence = await _collect_by(function, places, ranges, ask)
        words |= found
        silent = silent or silence
    if silent is not None and not words:
        raise silent
    return words


async def _collect_by(
    function: int, places: list[tuple[int, int]], ranges: list[tuple[int, int]], ask: Ask
) -> tuple[dict[tuple[int, int], int], NoReply | None]:
    """What a function gives of these ranges, and of the places in those that are refused; and the silence
    that it met. Some meters do not even refuse a function that they do not have. Raises BusDown.
    """
    words: dict[tuple[int, int], int] = {}
    silent: NoReply | None = None
    silences = refusals = 0
    for first, end in ranges:
        try:
            if await _read_words(function, first - _REACH, end + _REACH, ask, words):
                continue
            for a, b in [(a, b) for a, b in places if first <= a and b <= end]:
                for shift in (0, -_REACH, _REACH):
                    await _read_words(function, a + shift, b + shift, ask, words)
                refusals += 1
                if refusals >= _REFUSALS and not words:
                    return words, silent
        except NoReply as error:
            silent, silences = error, silences + 1
            if silences >= _PATIENCE:
                break
    return words, silent


async def _read_words(
    function: int, first: int, end: int, ask: Ask, words: dict[tuple[int, int], int]
) -> bool:
    """Read a range into `words`; whether it came. Raises NoReply, BusDown."""
    first, end = max(first, 0), min(end, _ADDRESSES)
    try:
        found = await ask(function, first, end - first)
    except (Refused, BadFrame):
        return False
    words.update({(function, first + offset): word for offset, word in enumerate(found)})
    return True


def hypotheses(rows: Iterable[Row]) -> Iterator[TableChange]:
    """Every change of these rows, the written table first."""
    shifts = _shifts(rows)
    for function, shift, order, kind in product((None, 3, 4), shifts, (None, *ORDERS), (None, *KINDS)):
        yield TableChange(function, shift, order, kind)


def _shifts(rows: Iterable[Row]) -> list[int]:
    """By how much addresses may be off: by none that would leave what Modbus can address."""
    spans = [span for row in rows for span in row.spans]
    first = min((span.address for span in spans), default=0)
    end = max((span.end for span in spans), default=0)
    return [shift for shift in (0, -_REACH, _REACH) if first + shift >= 0 and end + shift <= _ADDRESSES]


def apply(rows: Iterable[Row], change: TableChange) -> tuple[Row, ...]:
    """The rows of a table, changed; rows that cannot be changed so are left as they are."""
    return tuple(_changed(row, change) for row in rows)


def _changed(row: Row, change: TableChange) -> Row:
    if not row.words:
        return replace(row, terms=tuple((sign, _changed(term, change)) for sign, term in row.terms))
    kind = row.type
    whole = kind.startswith(("u", "s"))
    if change.kind and (whole or (kind.startswith("float") and change.kind != "amount")):
        kind = KINDS[change.kind].get(row.words, kind)
    amount = change.kind == "amount" and whole
    return replace(
        row,
        function=change.function or row.function,
        address=row.address + change.shift,
        type=kind,
        order=change.order or row.order,
        # A whole number may lack its step of ten: it is judged with the step, not by the bounds of the bare
        # number.
        low=row.low if kind.startswith("float") else -_ANY,
        high=row.high if kind.startswith("float") else _ANY,
        decimals=row.decimals if row.type == kind else None if kind.startswith("float") else 6,
        sentinels=row.sentinels if row.type == kind else (),
        sign_bit=16 * row.words - 1 if amount else row.sign_bit,
        mask=(1 << 16 * row.words - 1) - 1 if amount else row.mask,
        scale_at=None if row.scale_at is None else row.scale_at + change.shift,
        times=row.times and _changed(row.times, change),
        sign_of=row.sign_of and _changed(row.sign_of, change),
    )


def read_from(rows: tuple[Row, ...], words: RegisterWords) -> tuple[dict[str, float], dict[str, str]]:
    """Values and reasons that these registers give to these rows; rows without their registers are in
    neither.
    """
    image = Replies()
    covered = []
    for row in rows:
        spans = row.spans
        if all((span.function, at) in words for span in spans for at in range(span.address, span.end)):
            covered.append(row)
            for span in spans:
                image.add(
                    span.function,
                    span.address,
                    registers_of(words[span.function, at] for at in range(span.address, span.end)),
                )
    found = decode(tuple(covered), image)
    return found.values, found.absent


def says_nothing(rows: Iterable[Row], values: Mapping[str, float], words: RegisterWords) -> bool:
    """Whether these rows read as `values` prove nothing of their table: all are zero, or the registers hold
    one and the same word, as they do where a meter gives something for whatever it is asked.
    """
    spans = {span for row in rows for span in row.spans}
    places = {(span.function, at) for span in spans for at in range(span.address, span.end)}
    held = [words[place] for place in places if place in words]
    return not any(values.values()) or (len(held) >= _SAME and len({*held}) == 1)


def propose(driver: Driver, words: RegisterWords) -> list[TableProposal]:
    """The best changes, best first; empty when none has evidence, or the written table is as good."""
    rows = tuple(row for row in driver.rows if not row.attribute)
    written = score(judge(*read_from(rows, words)))
    seen: dict[tuple[tuple[str, float], ...], TableProposal] = {}
    for change in hypotheses(rows):
        proposal = weigh(rows, change, words)
        if sum(finding.good is True for finding in proposal.findings) < LEAST:
            continue
        key = tuple(sorted(proposal.values.items()))
        if key not in seen or proposal.change.size < seen[key].change.size:
            seen[key] = proposal
    better = [
        proposal
        for proposal in seen.values()
        if proposal.score > written and (proposal.change.size or proposal.steps)
    ]
    # A table that is nearly right (a low word from next door) has as many checks, but they hold less exactly.
    # Of a step and a change that explain as much, the step could explain anything.
    return sorted(
        better,
        key=lambda each: (-each.score, round(each.off, 4), len(set(each.steps.values())), each.change.size),
    )[:_MOST]


def by_places(driver: Driver, words: RegisterWords) -> TableProposal | None:
    """The change of function or addresses with which the meter has every row, where it refuses some as they
    are written, and nothing speaks against it; None when none is, or several are. A meter that refuses what
    it does not have tells by that where its values are.
    """
    rows = tuple(row for row in driver.rows if not row.attribute)
    places = {(span.function, span.address, span.end) for row in rows for span in row.spans}
    found: dict[frozenset[tuple[int, int, int]], TableProposal] = {}
    for function, shift in product((None, 3, 4), _shifts(rows)):
        change = TableChange(function, shift)
        spans = [span for row in apply(rows, change) for span in row.spans]
        whole = all((span.function, at) in words for span in spans for at in range(span.address, span.end))
        proposal = weigh(rows, change, words)
        if whole and not any(finding.good is False for finding in proposal.findings):
            found.setdefault(frozenset((span.function, span.address, span.end) for span in spans), proposal)
    found.pop(frozenset(places), None)
    return next(iter(found.values())) if len(found) == 1 else None


def weigh(rows: tuple[Row, ...], change: TableChange, words: RegisterWords) -> TableProposal:
    """One hypothesis against the registers, with the steps of the raw columns that suit it best."""
    values, absent = read_from(apply(rows, change), words)
    anchors = _anchored(values)
    best: TableProposal | None = None
    for amperes, kilowatts in product(POWERS, POWERS) if change.kind != "float" else ((0, 0),):
        steps = (
            anchors
            | _of_unit(values, "A", amperes)
            | _of_unit(values, "kW", kilowatts)
            | _of_unit(values, "kvar", kilowatts)
        )
        steps |= _of_unit(values, "kVA", kilowatts)
        scaled = {name: value * steps.get(name, 1.0) for name, value in values.items()}
        proposal = TableProposal(change, tuple(judge(scaled, absent)), scaled, steps)
        if best is None or proposal.score > best.score:
            best = proposal
    assert best is not None
    return best


def _of_unit(values: Mapping[str, float], unit: str, power: int) -> dict[str, float]:
    return {name: 10.0**power for name in values if QUANTITIES[name].unit == unit} if power else {}


def _anchored(values: Mapping[str, float]) -> dict[str, float]:
    """Powers of ten that bring voltages and frequency into their bands."""
    steps: dict[str, float] = {}
    for unit, names, (low, high) in (
        ("Hz", ("frequency",), HZ_BAND),
        ("V", ("voltage_l12", "voltage_l23", "voltage_l31", "voltage_ll"), LL_BAND),
        ("V", ("voltage_l1n", "voltage_l2n", "voltage_l3n", "voltage_ln"), LN_BAND),
    ):
        found = [values[name] for name in names if values.get(name, 0.0) > 1.0]
        power = next(
            (
                power
                for power in (*POWERS, 1)
                if found and all(low <= value * 10.0**power <= high for value in found)
            ),
            0,
        )
        steps |= _of_unit(values, unit, power)
    factors = [
        value for name, value in values.items() if name.startswith(("power_factor", "displacement_factor"))
    ]
    if any(abs(value) > 1.0 for value in factors):
        power = next(
            (power for power in POWERS if all(abs(value) * 10.0**power <= 1.0 for value in factors)), 0
        )
        steps |= _of_unit(values, "", power)
    return steps
