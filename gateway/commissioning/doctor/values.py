"""What a meter's values say: a table that does not fit it, a ratio in one place only, transformers on the
wrong conductor. It reads what the table names, and more only when that cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.catalogue import Driver, Row, Span, resolve
from gateway.commissioning.doctor.diagnosis import Diagnosis, Evidence, SentenceFacts
from gateway.commissioning.doctor.targets import Target
from gateway.commissioning.plausibility.fit import (
    RegisterWords,
    TableChange,
    TableProposal,
    by_places,
    collect,
    propose,
    read_from,
)
from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.commissioning.wiring import WiringFinding, judge_wiring
from gateway.commissioning.wiring.angles import observed, readings
from gateway.commissioning.wiring.hypotheses import RIGHT, posterior
from gateway.errors import BadFrame, BusDown, BusError, NoReply, NotReady, Refused
from gateway.field import Replies, decode, registers_of
from gateway.model import FAILING

Ask = Callable[[int, int, int], Awaitable[list[int]]]
ROUNDS: Final = 8
"""Readings for the wiring: the noise of one moment is not a mistake."""
_BETWEEN: Final = 0.5
_RATIO: Final = 0.01
_SECONDARY: Final = {"ct": (1.0, 5.0), "vt": (100.0, 110.0, 1.0)}
"""A and V of the usual transformers."""
_LOW, _HIGH = 0.75, 1.3
_STEPS: Final = 20
_MOST_LACKS: Final = 0.1
"""Share of a table's rows that a meter may refuse and still be of that table: options, older firmware."""
_NEXT_TO_NOTHING: Final = 0.02
_SURE: Final = 0.95
_TOO_LONG: Final = (2, 3)
"""Exceptions of a meter that is asked for more registers at once than it gives."""
_PHASES: Final = ("l1", "l2", "l3")
_NEEDED: Final = tuple(f"active_power_{phase}" for phase in _PHASES)
_WIRED: Final = frozenset(
    f"{name}_{phase}{end}"
    for phase in _PHASES
    for name, end in (("active_power", ""), ("reactive_power", ""), ("current", ""), ("voltage", "n"))
)


@dataclass(slots=True)
class ValuesRead:
    """What the rows of a table brought. `refused`: exception codes by function, of whole reads; `not_ready`:
    those that pass; `too_long`: registers that were refused at once and came in parts; `whole`: the longest
    read that came.
    """

    words: dict[tuple[int, int], int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    not_ready: list[int] = field(default_factory=list)
    too_long: int = 0
    whole: int = 0


async def examine_values(
    part: str, target: Target, ask: Ask, rest: Callable[[float], None]
) -> list[Diagnosis]:
    """What is wrong with the values of a meter that answers. Raises BusDown."""
    try:
        driver = await resolve(target.driver, ask) if target.driver.dynamic else target.driver
        rows = tuple(row for row in driver.rows if row.spans)
        read = await read_rows(rows, driver, target, ask)
        if read.not_ready and not read.words:
            return [_at_all("not_ready", part, target, read.not_ready[0])]
        found = list(_lengths(part, target, read))
        found += await _table(part, target, driver, read, ask)
        if not found:
            found += _ratios(part, target, driver, read)
        if not found:
            found += await _wiring(part, target, driver, ask, rest)
    except BusDown:
        raise
    except NotReady as error:
        return [_at_all("not_ready", part, target, error.code)]
    except BusError:
        return []  # the line is told of where it is measured
    return found


async def read_rows(rows: Iterable[Row], driver: Driver, target: Target, ask: Ask) -> ValuesRead:
    """The registers of these rows, in reads as long as the table allows; refused ones are asked in parts."""
    found = ValuesRead()
    most = target.configured.max_registers or driver.limits.max_registers
    for group in grouped({span for row in rows for span in row.spans}, most):
        first, end = group[0].address, group[-1].end
        try:
            await _read_words(group[0].function, first, end, ask, found)
        except NotReady as error:
            found.not_ready.append(error.code)
        except Refused as error:
            if len(group) == 1 or error.code not in _TOO_LONG:
                found.refused.append(error.code)
                continue
            before = len(found.words)
            for span in group:
                try:
                    await _read_words(span.function, span.address, span.end, ask, found)
                except NotReady as parted:
                    found.not_ready.append(parted.code)
                except Refused as parted:
                    found.refused.append(parted.code)
            if len(found.words) - before == end - first:
                found.too_long = max(found.too_long, end - first)
        except (NoReply, BadFrame):
            continue
    return found


def grouped(spans: Iterable[Span], most: int) -> list[list[Span]]:
    """Neighbours without a hole, together at most so many registers."""
    groups: list[list[Span]] = []
    for span in sorted(spans):
        last = groups[-1] if groups else None
        joins = (
            last is not None
            and last[-1].function == span.function
            and span.address <= last[-1].end
            and span.end - last[0].address <= most
            and not (span.alone or span.starts or last[-1].alone)
        )
        if last is not None and joins:
            last.append(span)
        else:
            groups.append([span])
    return groups


async def _read_words(function: int, first: int, end: int, ask: Ask, found: ValuesRead) -> None:
    words = await ask(function, first, end - first)
    found.whole = max(found.whole, end - first)
    found.words.update({(function, first + offset): word for offset, word in enumerate(words)})


def _at_all(cause: str, part: str, target: Target, code: int) -> Diagnosis:
    """A meter that answers nothing but that it is busy, needs longer, or fails: no table would help."""
    facts: SentenceFacts = {"code": float(code)}
    return Diagnosis(part, cause, 0.9, "stops", target.id, (Evidence("exception", facts),), facts)


def _lengths(part: str, target: Target, read: ValuesRead) -> Iterator[Diagnosis]:
    """Reads that are too long for the meter."""
    if read.too_long:
        facts: SentenceFacts = {"asked": float(read.too_long), "most": float(read.whole)}
        yield Diagnosis(
            part, "too_long", 0.9, "harms", target.id, (Evidence("exception", {"code": 3.0}),), facts
        )


async def _table(part: str, target: Target, driver: Driver, read: ValuesRead, ask: Ask) -> list[Diagnosis]:
    """A table that does not fit: function, addresses, order of the words."""
    rows = tuple(row for row in driver.rows if not row.attribute)
    values, absent = read_from(rows, read.words)
    checks = judge(values, absent)
    coarse = {row.name for row in rows if _coarse(row, values.get(row.name))}
    wrong = [check for check in checks if check.good is False and not coarse & {*check.names}]
    nothing = bool(read.refused) and not values
    lacks = bool(read.refused) and sum(not _covered(row, read.words) for row in rows) > _MOST_LACKS * len(
        rows
    )
    if not (wrong or nothing or lacks) or driver.discovery:
        return []
    words = await collect(driver.rows, ask)
    best = next(iter(propose(driver, words)), None)
    if best is not None and (nothing or _telling(best, wrong, checks)):
        told = Evidence("fits_better", {"change": str(best.change), "checks": float(len(best.findings))})
        return [_misfit(part, target, driver, best, read, told=told)]
    if lacks and (best := by_places(driver, words)) is not None:
        told = Evidence("has_every_row", {"change": str(best.change)})
        return [_misfit(part, target, driver, best, read, told=told)]
    if nothing and not read.words and FAILING.issuperset(f"exception_{code}" for code in read.refused):
        return [_at_all("failing", part, target, read.refused[0])]
    if nothing:
        facts: SentenceFacts = {"code": float(read.refused[0]), "driver": driver.name}
        return [Diagnosis(part, "function", 0.8, "harms", target.id, (Evidence("exception", facts),), facts)]
    return []


def _coarse(row: Row, value: float | None) -> bool:
    """Whether so few steps of a whole-numbered register make this value that rounding explains anything."""
    return value is not None and not row.type.startswith("float") and abs(value) < _STEPS * row.factor


def _vague(rows: Iterable[Row], values: Mapping[str, float], phase: str) -> bool:
    """Whether the power of a phase is so few steps of its registers that its angle is rounding."""
    mine = [row for row in rows if row.name in {f"active_power_{phase}", f"reactive_power_{phase}"}]
    size = math.hypot(*(values.get(row.name, 0.0) for row in mine))
    return any(_coarse(row, size) for row in mine)


def _telling(best: TableProposal, wrong: list[PhysicsCheck], checks: list[PhysicsCheck]) -> bool:
    """Whether a changed table is so much better that the written one is wrong."""
    left = {check.names for check in best.findings if check.good is False}
    mended = [check for check in wrong if check.names not in left and _mends(best, check)]
    fitting = sum(check.good is True for check in best.findings)
    return bool(mended) and len(left) < len(wrong) and fitting >= sum(check.good is True for check in checks)


def _mends(best: TableProposal, check: PhysicsCheck) -> bool:
    """Whether a change can be why a relation holds. One step of ten on all of its currents and powers changes
    no relation between them: it only makes them so small that nothing is too far apart.
    """
    steps = {best.steps.get(name, 1.0) for name in check.names if not name.startswith("voltage")}
    return best.change.size > 0 or len(check.names) == 1 or len(steps) > 1


def _misfit(
    part: str, target: Target, driver: Driver, best: TableProposal, read: ValuesRead, *, told: Evidence
) -> Diagnosis:
    """The cause that a change of the table stands for."""
    change = best.change
    evidence = [told]
    if read.refused:
        evidence.insert(0, Evidence("exception", {"code": float(read.refused[0])}))
    facts: SentenceFacts = {
        "driver": driver.name,
        "change": str(change),
        "lines": "; ".join(change.lines(driver)),
    }
    return Diagnosis(part, _kind(change), 0.95, "harms", target.id, tuple(evidence), facts)


def _kind(change: TableChange) -> str:
    if change.function is not None:
        return "function"
    if change.shift:
        return "off_by_one"
    return "byte_order" if change.order is not None or change.kind is not None else "scale"


def _ratios(part: str, target: Target, driver: Driver, read: ValuesRead) -> list[Diagnosis]:
    """The meter's own transformer ratio beside the one that the configuration has."""
    image = Replies()
    ours = tuple(row for row in driver.rows if row.attribute and _covered(row, read.words))
    for row in ours:
        for span in row.spans:
            words = (read.words[span.function, at] for at in range(span.address, span.end))
            image.add(span.function, span.address, registers_of(words))
    known = decode(ours, image).attributes if ours else {}
    found = []
    meter = target.configured
    multiplied = _multiplied_by(driver, read) if driver.values == "primary" else None
    for what, typed in (("ct", meter.ct), ("vt", meter.vt)):
        own = _ratio_of(known, what, typed) if multiplied is None or what == "vt" else multiplied
        if own is None:
            continue
        facts: SentenceFacts = {"what": what, "meter_ratio": own, "typed": typed}
        if meter.values == "secondary" and own > 1 + _RATIO and typed > 1 + _RATIO:
            found.append(Diagnosis(part, "ratio_twice", 0.9, "harms", target.id, (), facts))
        elif meter.values == "primary" and what in meter.model_fields_set and abs(own / typed - 1) > _RATIO:
            found.append(Diagnosis(part, "ratio", 0.95, "harms", target.id, (), facts))
    return found


def _multiplied_by(driver: Driver, read: ValuesRead) -> float | None:
    """The largest ratio in the meter that the table multiplies with; None when none was read."""
    ratios = {part.times for row in driver.rows for part in row.parts if part.times and not part.times.codes}
    return max(read_from(tuple(ratios), read.words)[0].values(), default=None)


def _covered(row: Row, words: RegisterWords) -> bool:
    return all((span.function, at) in words for span in row.spans for at in range(span.address, span.end))


def _ratio_of(known: Mapping[str, str], what: str, typed: float) -> float | None:
    """The ratio that the meter holds; None when it says none. Of one that says its primary side alone, the
    secondary side is the usual one that comes nearest to what was typed.
    """

    def number(name: str) -> float | None:
        try:
            value = float(known[name])
        except (KeyError, ValueError):
            return None
        return value if value > 0 else None

    if (ratio := number(f"{what}_ratio")) is not None:
        return ratio
    primary, secondary = number(f"{what}_primary"), number(f"{what}_secondary")
    if primary is None:
        return None
    if secondary is not None:
        return primary / secondary
    return min((primary / usual for usual in _SECONDARY[what]), key=lambda ratio: abs(ratio - typed))


async def _wiring(
    part: str, target: Target, driver: Driver, ask: Ask, rest: Callable[[float], None]
) -> list[Diagnosis]:
    """The 48 hypotheses on a few readings; silent when they do not tell."""
    names = {row.name for row in driver.rows}
    if not {*_NEEDED} <= names:
        return []
    rows = tuple(row for row in driver.rows if row.name in _WIRED)
    columns: dict[str, list[float | None]] = {}
    for turn in range(ROUNDS):
        if turn:
            rest(_BETWEEN)
        values, _ = read_from(rows, (await read_rows(rows, driver, target, ask)).words)
        for name in {row.name for row in rows}:
            columns.setdefault(name, []).append(values.get(name))
    if any(_vague(rows, values, phase) for phase in _PHASES):
        return []
    verdict = judge_wiring(columns)
    faults = [
        each for each in verdict.findings if each.fault and each.kind != "zero_current" and _large(each)
    ]
    if verdict.speaks and verdict.certainty < _SURE:
        faults = [each for each in faults if each.kind in {"missing_voltage", "ct_ratio"}]
    if not faults and _wrong_somehow(columns):
        return [Diagnosis(part, "wiring_unsure", 0.9, "warns", target.id)]
    return [_of_wiring(part, target, finding, verdict.certainty) for finding in faults]


def _wrong_somehow(columns: dict[str, list[float | None]]) -> bool:
    """Whether the right wiring is next to impossible, although it cannot be said which mistake it is."""
    seen = observed(columns)
    if any(each.why or not each.sign_of_p for each in seen):
        return False
    fair = {each.hypothesis: each.fair for each in posterior(*readings(seen))}
    return fair.get(RIGHT, 0.0) < _NEXT_TO_NOTHING


def _large(finding: WiringFinding) -> bool:
    """Whether a ratio is off by more than a coarse register explains: transformers differ by a quarter at
    least.
    """
    ratio = float(finding.facts.get("ratio", 2.0))
    return finding.kind != "ct_ratio" or not _LOW < ratio < _HIGH


def _of_wiring(part: str, target: Target, finding: WiringFinding, certainty: float) -> Diagnosis:
    facts: SentenceFacts = {"finding": finding.kind, "input": float(finding.input or 0), **finding.facts}
    cause = "ratio_beside" if finding.kind == "ct_ratio" else "wiring"
    return Diagnosis(part, cause, round(certainty, 2) or 0.9, "harms", target.id, (), facts)
