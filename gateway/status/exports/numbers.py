"""The history for programs: JSON values of a range of days. docs/api.md and docs/openapi.json describe it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date
from math import isqrt
from typing import Any, Final

from gateway.energy import QUARTER, base_unit
from gateway.errors import HistoryError
from gateway.status.energy.facts import EnergyHistory, EnergyMeter
from gateway.status.energy.figures import Figures, total
from gateway.status.energy.period import Period
from gateway.status.energy.reactive import reactive_view
from gateway.status.exports.energy import parts_of
from gateway.status.exports.query import Query, WrongQuery, figures_of, period_of, subject_of
from gateway.status.report.lines import report_lines
from gateway.status.snapshot import Snapshot
from gateway.status.words.language import Locale

_YEAR: Final = 366
_MONTH: Final = 31


def answer(view: str, history: EnergyHistory | None, now: Snapshot, query: Query) -> Iterator[str]:
    """The JSON text of /api/v1/VIEW, in pieces: a year of quarter hours at once takes several times as much
    memory as all the rest of the page. Raises WrongQuery, HistoryError.
    """
    if history is None:
        raise HistoryError("this gateway computes no energy")
    with closing(history.open()) as reader:
        body = NUMBERS[view](figures_of(history, reader, now), now, query)
        before = "{"
        for key, value in body.items():
            yield f"{before}{_text(key)}:"
            yield from value if isinstance(value, Iterator) else (_text(value),)
            before = ","
    yield "}"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _joined(members: Iterable[str], brackets: str = "[]") -> Iterator[str]:
    """An array or object whose members come in pieces, each the text of one or more."""
    yield brackets[0]
    for place, each in enumerate(members):
        yield f",{each}" if place else each
    yield brackets[1]


def _bounded(period: Period, most: int) -> Period:
    if period.days > most:
        raise WrongQuery(f"as JSON a range has at most {most} days: write shorter ones, one after the other")
    return period


def _days(period: Period) -> dict[str, object]:
    return {"from": str(period.first), "to": str(period.last)}


def _energy(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    """Quarter hours: start (ms UTC), whole units; `used` of the building or what a meter counted."""
    period, meter = _bounded(period_of(query, figures.today), _YEAR), subject_of(query, figures)
    days = figures.sums_of(meter, period.first, min(period.last, figures.today))
    quarters = figures.known_of(days, period.first, period.last)
    return {
        "meter": meter or None,
        **_days(period),
        "quantity": figures.quantity or None,
        "unit": base_unit(figures.quantity).name if figures.quantity else "Wh",
        "seconds": 900,
        "sum": total(days.values()),
        "expected": quarters.expected,
        "known": quarters.known,
        "bands": figures.bands(days) if figures.tariff(period.first) else None,
        "intervals": _joined(_quarters(figures, meter, period)),
    }


def _quarters(figures: Figures, meter: str, period: Period) -> Iterator[str]:
    for part in parts_of(period, figures.today):
        figures.forget()
        if found := figures.quarters(figures.of(meter, part.first, part.last)):
            yield _text([*found.items()])[1:-1]


def _tree(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    period = period_of(query, figures.today)
    rests = figures.rests(period)
    return {
        **_days(period),
        "unit": "Wh",
        "meters": [
            {
                "meter": part.meter.id,
                "parent": part.meter.parent or None,
                "energy": part.energy,
                "known": part.known,
            }
            for part in figures.parts(period)
        ],
        "unmetered": {
            "energy": sum(rest.rest for rest in rests),
            "uncertainty": isqrt(sum(rest.band**2 for rest in rests)),
            "over_counted": any(rest.over_counted for rest in rests),
            "known": min(rest.known for rest in rests),
            "below": [
                {"meter": rest.meter.id, "energy": rest.rest, "uncertainty": rest.band} for rest in rests
            ],
        }
        if rests
        else None,
    }


def _reactive(figures: Figures, now: Snapshot, query: Query) -> dict[str, object]:
    month = period_of(query, figures.today)
    view = reactive_view(figures, month, Locale("en", now.timezone, now.taken))
    return {
        **_days(month),
        "became": view.state,
        "source": view.source or None,
        "missing": view.missing,
        "expected": view.quarters.expected if view.quarters else None,
        "known": view.quarters.known if view.quarters else None,
        "kinds": [
            {
                "kind": kind.name,
                "limit": kind.budget.limit,
                "ratio": round(kind.budget.ratio, 2),
                "active": kind.budget.active,
                "reactive": kind.budget.reactive,
                "left": kind.budget.left,
                "recoverable_until": str(kind.budget.recoverable_until)
                if kind.budget.recoverable_until
                else None,
            }
            for kind in view.kinds
        ],
    }


def _quality(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    period = period_of(query, figures.today)
    last = min(period.last, figures.today)
    meters = (
        f"{_text(meter.id)}:{_text(_days_of(figures, meter, period.first, last))}"
        for meter in figures.facts.meters
    )

    def day(t: int) -> date:
        return figures.calendar.place(t // QUARTER * QUARTER)[0]

    found = [
        {"check": each.finding.kind, "meter": each.meter, "quantity": each.quantity, "t": each.finding.t}
        | {"seen": each.seen, **each.finding.evidence()}
        for each in figures.findings
        if day(each.finding.t) <= last and day(each.seen) >= period.first
    ]
    return {**_days(period), "meters": _joined(meters, "{}"), "findings": found}


def _days_of(figures: Figures, meter: EnergyMeter, first: date, last: date) -> list[dict[str, object]]:
    figures.forget()
    return [
        {
            "day": str(day.day),
            "expected": day.expected,
            "known": day.known,
            "measured": day.measured,
            "lost": day.lost,
        }
        for day in figures.quality(meter, first, last)
    ]


def _report(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    """A line for each month of a year, or for each day of a month."""
    named = query if {"year", "month"} & query.keys() else {"year": str(figures.today.year)}
    period = period_of({key: text for key, text in named.items() if key in {"year", "month"}}, figures.today)
    return {
        **_days(period),
        "area": figures.facts.area,
        "lines": [
            {
                "from": str(line.first),
                "to": str(line.last),
                "used": line.used,
                "drawn": line.drawn,
                "fed": line.fed,
                "generated": line.gave,
                "bands": dict(line.bands) if line.bands is not None else None,
                "inductive": line.inductive,
                "capacitive": line.capacitive,
                "peak": {
                    "start": line.peak[0],
                    "power": line.peak[1],
                    "quality": line.peak[2],
                }
                if line.peak
                else None,
                "expected": line.expected,
                "known": line.known,
                "measured": line.mains.measured,
                "year_before": line.before,
            }
            for line in report_lines(figures, period)
        ],
    }


def _registers(figures: Figures, query: Query) -> list[tuple[str, str]]:
    """The registers that are asked for: of one meter, all or one. Raises WrongQuery."""
    meter, quantity = query.get("meter", ""), query.get("quantity", "")
    found = sorted(each for each in figures.registers if each[0] == meter and quantity in {"", each[1]})
    if not found:
        has = sorted({each for each, _quantity in figures.registers})
        if not has:
            raise WrongQuery("the history has no intervals yet")
        of = f"{quantity[:40]!r} of {meter[:40]!r}" if quantity else f"meter {meter[:40]!r}"
        raise WrongQuery(f"the history has no {of}: write one of {', '.join(has[:40])}")
    return found


def _intervals(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    """What the engine computed, with quality and version, as it is sent to the platform."""
    period = _bounded(period_of(query, figures.today), _MONTH)
    registers = (
        _text(
            {
                "meter": meter,
                "quantity": quantity,
                "unit": base_unit(quantity).name,
                "intervals": [
                    (each.start, each.value, each.quality, each.version)
                    for each in figures.intervals(meter, quantity, period.first, period.last)
                ],
            }
        )
        for meter, quantity in _registers(figures, query)
    )
    return {**_days(period), "seconds": 900, "registers": _joined(registers)}


def _manifests(figures: Figures, _now: Snapshot, query: Query) -> dict[str, object]:
    """What the platform must hold of each day."""
    period = _bounded(period_of(query, figures.today), _MONTH)
    return {
        **_days(period),
        "manifests": [
            manifest.fields()
            for meter, quantity in _registers(figures, query)
            for manifest in figures.manifests(meter, quantity, period.first, period.last)
        ],
    }


NUMBERS: Final[Mapping[str, Callable[[Figures, Snapshot, Query], dict[str, Any]]]] = {
    "energy": _energy,
    "tree": _tree,
    "reactive": _reactive,
    "quality": _quality,
    "report": _report,
    "intervals": _intervals,
    "manifests": _manifests,
}
"""By the last part of the address."""
