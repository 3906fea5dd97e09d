"""Of a report: the energy beside the degree days, month by month or day by day."""

from __future__ import annotations

from typing import Final

from gateway.status.energy.figures import KINDS, DegreeDays, Figures, degree_days
from gateway.status.energy.period import Period
from gateway.status.energy.where import degree_fact
from gateway.status.report.lines import ReportLine
from gateway.status.report.months import column, name_of_line
from gateway.status.report.shown import ReportTable
from gateway.status.words.language import Locale

_THOUSAND: Final = 1000


def degrees_table(figures: Figures, lines: list[ReportLine], period: Period, f: Locale) -> ReportTable | None:
    """Degree days and kWh of each, of heating and of cooling; None where no temperatures are known."""
    _ = f.gettext
    whole = degree_days(figures, period.first, period.last)
    if not whole:
        return None
    heads = (
        _("Month") if period.span == "year" else _("Day"),
        _("Heating degree days"),
        _("kWh of each"),
        _("Cooling degree days"),
        _("kWh of each"),
    )
    found = [(line, degree_days(figures, line.first, line.last)) for line in lines]
    found = [(line, each) for line, each in found if each]
    shown = [column([_thousandths(each, kind) for _line, each in found], _THOUSAND) for kind in KINDS]
    rows = [
        (name_of_line(line, period, f), *_cells(each, [part[place] for part in shown], f))
        for place, (line, each) in enumerate(found)
    ]
    sums = _cells(whole, [part[-1] for part in shown], f)
    notes = tuple(f"{name}: {text}." for name, _value, text in (degree_fact(each, f) for each in whole))
    return ReportTable(heads, tuple(rows), (_("Sum"), *sums), notes)


def _of(found: list[DegreeDays], kind: str) -> DegreeDays | None:
    return next((one for one in found if one.kind == kind), None)


def _thousandths(found: list[DegreeDays], kind: str) -> int | None:
    each = _of(found, kind)
    return None if each is None else round(each.degrees * _THOUSAND)


def _cells(found: list[DegreeDays], shown: list[int | None], f: Locale) -> list[str]:
    cells = []
    for kind, degrees in zip(KINDS, shown, strict=True):
        each = _of(found, kind)
        cells += ["", ""] if each is None or degrees is None else [
            f.number(degrees / _THOUSAND, 0), f.number(each.each, 1)
        ]  # fmt: skip
    return cells
