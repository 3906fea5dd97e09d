"""Of a report: the energy beside the degree days, month by month or day by day."""

from __future__ import annotations

from gateway.status.energy.figures import DegreeDays, Figures, degree_days
from gateway.status.energy.period import Period
from gateway.status.energy.where import degree_fact
from gateway.status.report.lines import ReportLine
from gateway.status.report.months import name_of_line
from gateway.status.report.shown import ReportTable
from gateway.status.words.language import Locale


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
    rows = []
    for line in lines:
        cells = _cells(degree_days(figures, line.first, line.last), f)
        if any(cells):
            rows.append((name_of_line(line, period, f), *cells))
    notes = tuple(f"{name}: {text}." for name, _value, text in (degree_fact(each, f) for each in whole))
    return ReportTable(heads, tuple(rows), (_("Sum"), *_cells(whole, f)), notes)


def _cells(found: list[DegreeDays], f: Locale) -> list[str]:
    cells = []
    for kind in ("heating", "cooling"):
        each = next((one for one in found if one.kind == kind), None)
        cells += [f.number(each.degrees, 0), f.number(each.each, 1)] if each else ["", ""]
    return cells
