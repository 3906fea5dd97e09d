"""The meters at a glance: which one leads, how the others hang below it, in numbers that can be compared
down a column.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import QUANTITIES
from gateway.status.snapshot import MeterView, Snapshot, ValueView
from gateway.status.words.labels import Words, common_decimals, counter, headline
from gateway.status.words.language import Locale

_MOST_DEPTH = 3
"""Deeper is not indented further: a phone has no room for it."""
_PERCENT = 100
_MANY, _FIRST = 12, 8
"""More meters than the first are too many to look through: the second is how many are shown at once."""


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One meter: `now` and `unit` are what it does, `way` which way that flows, `bar` its part of the largest
    in percent (None: no bar).

    `counted` is what it has counted, under `register`; `note` says what is not as it should be, at most one
    thing; `old` that its numbers are of the past. `depth` counts the meters above it.
    """

    meter: MeterView
    depth: int
    now: str
    unit: str
    way: str
    bar: float | None
    register: str
    counted: str
    note: str
    old: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """`lead` is the one meter with others below it, where there is exactly one; `ages` says when the numbers
    of all were read.

    Of many meters `lines` are those that counted most and those with a note; `rest` are the others, `more`
    says how many.
    """

    lead: MeterLine | None
    lines: tuple[MeterLine, ...]
    ages: str
    rest: tuple[MeterLine, ...] = ()
    more: str = ""


def overview(now: Snapshot, f: Locale, *, led: bool = False) -> Overview:
    """The meters of a snapshot, each below the one that it is a part of; `led`: the building's own number
    leads them all, no meter does.
    """
    ordered = _tree(now)
    powers = [
        view
        for meter, _ in ordered
        if (view := headline(meter)) is not None and view.quantity == "active_power"
    ]
    largest = max(
        (abs(view.value) for view in powers if view.value is not None and not view.stale), default=0.0
    )
    decimals = common_decimals([ValueView("active_power", view.value, view.age) for view in powers])
    tops = [
        meter
        for meter, depth in ordered
        if depth == 0 and any(part.parent == meter.id for part in now.meters)
    ]
    main = tops[0] if not led and len(tops) == 1 and headline(tops[0]) is not None else None
    # What stands apart leaves its place at the margin to its parts.
    under = set() if main is None else _under(main, now)
    shifted = [(meter, depth - (meter.id in under)) for meter, depth in ordered]
    columns = _Columns(
        decimals, largest, {unit: common_decimals(views) for unit, views in _counters(now).items()}
    )
    lines = [_line(meter, depth, columns, f) for meter, depth in shifted]
    lead = next((line for line in lines if line.meter is main), None)
    others = [line for line in lines if line is not lead]
    ages = _ages([meter for meter, _ in ordered], f)
    if len(others) <= _MANY:
        return Overview(lead, tuple(others), ages)
    # By what was counted, not by what flows: the choice must not change while somebody reads.
    first = {line.meter.id for line in sorted(others, key=lambda line: -_energy(line.meter))[:_FIRST]}
    shown = [line for line in others if line.note or line.meter.id in first]
    rest = [line for line in others if line not in shown]
    more = f.ngettext("%(n)s more meter", "%(n)s more meters", len(rest)) % {"n": f.whole(len(rest))}
    return Overview(lead, tuple(shown), ages, tuple(rest), more)


def _energy(meter: MeterView) -> float:
    view = counter(meter)
    return view.value if view is not None and view.value is not None and _unit(view) == "kWh" else 0.0


@dataclass(frozen=True, slots=True)
class _Columns:
    """Digits of the powers, the largest of them, and the digits of what was counted, by unit."""

    decimals: int
    largest: float
    counted: dict[str, int]


def _counters(now: Snapshot) -> dict[str, list[ValueView]]:
    found: dict[str, list[ValueView]] = {}
    for meter in now.meters:
        view = counter(meter)
        if view is not None:
            found.setdefault(_unit(view), []).append(view)
    return found


def _unit(view: ValueView) -> str:
    word = QUANTITIES.get(view.quantity)
    return word.unit if word else ""


def _under(main: MeterView, now: Snapshot) -> set[str]:
    """The ids of all meters below one."""
    found = {main.id}
    while more := {meter.id for meter in now.meters if meter.parent in found} - found:
        found |= more
    return found - {main.id}


def single(meter: MeterView, f: Locale) -> MeterLine:
    """One meter by itself, with the digits that its own number needs."""
    view, count = headline(meter), counter(meter)
    counted = {_unit(count): common_decimals([count])} if count else {}
    return _line(meter, 0, _Columns(common_decimals([view]) if view else 0, 0.0, counted), f)


def _tree(now: Snapshot) -> list[tuple[MeterView, int]]:
    """Every meter with its depth, in the order of the configuration, parts below their whole."""
    known = {meter.id for meter in now.meters}
    below: dict[str, list[MeterView]] = {}
    for meter in now.meters:
        below.setdefault(
            meter.parent if meter.parent in known and meter.parent != meter.id else "", []
        ).append(meter)
    found: list[tuple[MeterView, int]] = []
    waiting = [(meter, 0) for meter in reversed(below.get("", []))]
    while waiting:
        meter, depth = waiting.pop()
        found.append((meter, depth))
        waiting += [(part, depth + 1) for part in reversed(below.get(meter.id, []))]
    # A ring of parents, which no checked configuration has, must not hide its meters.
    seen = {meter.id for meter, _ in found}
    return found + [(meter, 0) for meter in now.meters if meter.id not in seen]


def _line(meter: MeterView, depth: int, columns: _Columns, f: Locale) -> MeterLine:
    words = Words(f)
    view, count = headline(meter), counter(meter)
    text, unit, way, bar = "", "", "", None
    gone = meter.state == "lost" or bool(meter.missing)
    if view is not None:
        active = view.quantity == "active_power"
        digits = columns.decimals if active else common_decimals([view])
        way = words.way(meter, digits)
        text = words.number(view, digits).removeprefix("−" if way else "") if view.value is not None else "–"
        unit = _unit(view)
        if active and columns.largest and view.value is not None and not view.stale and not gone:
            bar = round(_PERCENT * abs(view.value) / columns.largest, 1)
    shown = view or count
    return MeterLine(
        meter,
        min(depth, _MOST_DEPTH),
        text,
        unit,
        way,
        bar,
        words.register(meter, count) if count else "",
        _counted(count, columns, words) if count else "",
        _note(meter, view, count, f),
        gone or (shown is not None and shown.stale),
    )


def _counted(view: ValueView, columns: _Columns, words: Words) -> str:
    unit = _unit(view)
    return f"{words.number(view, columns.counted[unit])}\u00a0{unit}".rstrip()


def _note(meter: MeterView, view: ValueView | None, count: ValueView | None, f: Locale) -> str:
    """The one thing to say of a meter: its state if it does not answer, else the first of its two numbers
    that is not as it should be.
    """
    words = Words(f)
    if meter.state not in {"answering", "partial"}:
        state = words.meter_state(meter)
        known = (view is not None and view.value is not None) or (
            count is not None and count.value is not None
        )
        last = f.gettext("the numbers are its last ones")
        return f"{state}; {last}" if meter.state == "lost" and known else state
    for shown in (view, count):
        if shown is not None and shown.quality != "good":
            text = words.quality(shown)
            return f"{text}, {f.ago(shown.age)}" if shown.quality == "stale" else text
    return "" if view or count else words.meter_state(meter)


def _ages(meters: list[MeterView], f: Locale) -> str:
    """When the numbers were read, once for all; those that are older say so themselves."""

    def oldest(views: list[ValueView | None]) -> float | None:
        return max(
            (view.age for view in views if view is not None and view.age is not None and not view.stale),
            default=None,
        )

    reading = [meter for meter in meters if meter.state in {"answering", "partial"} and not meter.missing]
    powers = oldest([headline(meter) for meter in reading])
    counts = oldest([counter(meter) for meter in reading])
    if powers is None and counts is None:
        return ""
    if powers is None or counts is None:
        return f.gettext("Read at most %(age)s.") % {"age": f.ago(counts if powers is None else powers)}
    ages = {"powers": f.ago(powers), "counts": f.ago(counts)}
    return f.gettext("Powers read at most %(powers)s, meter readings at most %(counts)s.") % ages
