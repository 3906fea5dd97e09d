"""The page `/report`: a year or a month of the building, to be read, printed on A4 and handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from gateway.energy import consumption
from gateway.status.energy.facts import BillLike
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, month_of, parse, year_of
from gateway.status.energy.shown import KWH, Choice, downloads, kwh, sum_in_short, sum_in_words
from gateway.status.energy.where import not_measured
from gateway.status.report.degrees import degrees_table
from gateway.status.report.evidence import (
    bills_shown,
    co2_lines,
    grid_co2,
    meter_table,
    open_points,
    sources,
)
from gateway.status.report.lines import (
    ReportLine,
    comparable,
    report_lines,
    since_began,
    total_of,
    used_a_year_before,
)
from gateway.status.report.months import (
    breaches,
    change,
    energy_table,
    forgiven,
    name_of_period,
    picture,
    record_table,
    share,
    toe,
)
from gateway.status.report.shown import LeadFigure, ReportView
from gateway.status.words.language import Locale

_MONTHS: Final = 12
DUE: Final = 3
"""The month until whose end the report of the year before is to be handed in."""

_SAME: Final = 0.0005
"""A change that is none."""


def named_period(name: str, today: date) -> Period:
    """2025 or 2025-11. Raises ValueError with what is wrong."""
    return parse({"month" if "-" in name else "year": name}, today)


def usual_period(figures: Figures) -> Period:
    """Without a name: the year that is due."""
    today, span = figures.today, figures.span
    before = year_of(today.year - 1)
    began = span[0] if span else today
    due = today.month <= DUE and began <= before.last
    return before if due or began <= month_of(before.first).last else year_of(today.year)


def report_view(
    figures: Figures, period: Period, bills: Sequence[BillLike], name: str, f: Locale
) -> ReportView:
    """The report of a year or a month; `name`: the building's."""
    _ = f.gettext
    view = ReportView(name=name_of_period(period, f))
    _picker(view, figures, period, f)
    kind = _("Yearly energy report (due in March)") if period.span == "year" else _("Monthly energy report")
    area = f"{f.number(figures.facts.area, 0)} m²" if figures.facts.area else ""
    made = _("made on %(day)s") % {"day": f.day(figures.today, year=True)}
    view.about = " · ".join(part for part in (kind, view.name, name, area, made) if part)
    lines = since_began(report_lines(figures, period))
    mine = [bill for bill in bills if bill.first in period or bill.last in period]
    if not lines:
        view.title = _("%(period)s: nothing is known of it") % {"period": view.name}
        span = figures.span
        if not figures.known and figures.givers:
            text = _("%(meter)s counts what is fed to the grid; nothing that is drawn is measured there.")
            view.lead = text % {"meter": figures.givers[0].label}
        elif span is not None and period.first < span[0]:
            view.lead = _("Measuring began on %(day)s.") % {"day": f.day(span[0], year=True)}
        view.bills = bills_shown(figures, mine, f)
        return view
    total = total_of(lines, period)
    count, _now, then = comparable(lines)
    if count == len(lines):
        total = replace(total, before=then)
    if period.span == "year":
        whole_before = then if count == _MONTHS else None
    else:
        # Its days are those 52 weeks before: not the same month.
        whole_before = used_a_year_before(figures, total)
    _headline(view, lines, total, period, f, whole_before=whole_before)
    view.facts = _facts(figures, lines, total, f)
    view.picture = picture(lines, period, f)
    view.energy = energy_table(figures, lines, total, period, f)
    view.record = record_table(figures, lines, total, period, f)
    view.record_title = _record_title(figures, lines, total, period, f)
    view.meters = meter_table(figures, period, f)
    view.meters_title = _meters_title(total, f)
    view.degrees = degrees_table(figures, lines, period, f)
    view.co2 = co2_lines(figures, lines, total, f)
    view.bills = bills_shown(figures, mine, f)
    view.open_points = open_points(figures, lines, mine, period, f)
    view.sources = sources(figures, lines, f)
    return view


def _picker(view: ReportView, figures: Figures, period: Period, f: Locale) -> None:
    """Links to other years and months that the history knows."""
    span = figures.span
    first = span[0] if span else figures.today
    for step in (-1, 1):
        other = period.moved(step)
        if other.first <= figures.today and other.last >= first:
            choice = Choice(name_of_period(other, f), address(other))
            if step < 0:
                view.before = choice
            else:
                view.after = choice
    view.downloads = downloads("report", address(period).replace("/report/", f"{period.span}="), f)
    here = period.first.year
    for year in range(first.year, figures.today.year + 1):
        view.years.append(Choice(str(year), f"/report/{year}", period.span == "year" and year == here))
    for month in range(1, 13):
        day = date(here, month, 1)
        if day <= figures.today and month_of(day).last >= first:
            text = f.month(day, year=False)[:3]
            view.months.append(
                Choice(text, f"/report/{day:%Y-%m}", period.span == "month" and day == period.first)
            )


def address(period: Period) -> str:
    """Where the report of a year or a month stands."""
    return f"/report/{period.first:%Y}" if period.span == "year" else f"/report/{period.first:%Y-%m}"


def _headline(
    view: ReportView,
    lines: list[ReportLine],
    total: ReportLine,
    period: Period,
    f: Locale,
    *,
    whole_before: int | None,
) -> None:
    """What was used, and how that is beside the year before: beside the same year or month, where it is known
    as a whole.
    """
    _, ngettext = f.gettext, f.ngettext
    amount = sum_in_words(kwh(total.used or 0, f), f, whole=total.complete)
    said = {"period": view.name, "kwh": amount}
    count, now, then = comparable(lines)
    if whole_before:
        more = (total.used or 0) / whole_before - 1
        said["share"] = f.percent(abs(more), 1)
        if abs(more) < _SAME:
            text = _("%(period)s: %(kwh)s kWh, as much as the year before")
        elif more > 0:
            text = _("%(period)s: %(kwh)s kWh, %(share)s more than the year before")
        else:
            text = _("%(period)s: %(kwh)s kWh, %(share)s less than the year before")
        view.title = text % said
        view.lead = _("The year before: %(then)s kWh.") % {"then": kwh(whole_before, f)}
        return
    view.title = _("%(period)s: %(kwh)s kWh") % said
    if not count or not then:
        view.lead = _("There is no year before to compare it with.")
        return
    if period.span == "year":
        text = ngettext(
            "%(n)s month is known as a whole of both years: %(now)s kWh against %(then)s (%(change)s).",
            "%(n)s months are known as a whole of both years: %(now)s kWh against %(then)s (%(change)s).",
            count,
        )
    else:
        text = ngettext(
            "%(n)s day is known as a whole, and so is that 52 weeks before: %(now)s kWh against %(then)s "
            "(%(change)s).",
            "%(n)s days are known as a whole, and so are those 52 weeks before: %(now)s kWh against %(then)s "
            "(%(change)s).",
            count,
        )
    moved = change(now, then, f)
    view.lead = text % {"n": count, "now": kwh(now, f), "then": kwh(then, f), "change": moved}


def _facts(figures: Figures, lines: list[ReportLine], total: ReportLine, f: Locale) -> list[LeadFigure]:
    """What stands at the top: energy, per square metre, CO2, the sun's share."""
    _ = f.gettext
    used = total.used or 0

    def short(value: float, decimals: int, *, whole: bool = total.complete) -> str:
        return sum_in_short(f.number(value, decimals), whole=whole)

    mwh = short(used / 1e6, 0 if used >= 1e8 else 1)
    oil = sum(toe(figures, line) for line in lines)
    text = _("%(toe)s TOE") % {"toe": short(oil, 1)} if oil else ""
    found = [LeadFigure(_("Used in all"), mwh, "MWh", text)]
    if figures.facts.area:
        per = short(consumption.per_area(used, figures.facts.area), 1)
        text = _("%(area)s m² of floor") % {"area": f.number(figures.facts.area, 0)}
        found.append(LeadFigure(_("Per square metre"), per, "kWh/m²", text))
    co2 = grid_co2(figures, lines)
    if co2 is not None:
        found.append(
            LeadFigure(
                _("CO₂, from the grid"),
                short(co2.tonnes, 0 if co2.tonnes >= 100 else 1, whole=total.complete_drawn),
                "t",
                _("scope 2, %(factor)s t/MWh") % {"factor": f.number(co2.factors[-1], 3)},
            )
        )
    sun = total.from_sun
    if total.gave and sun is not None and used and not total.lacks_plant:
        mwh = short(total.gave / 1e6, 0 if total.gave >= 1e8 else 1)
        text = _("%(mwh)s MWh given") % {"mwh": mwh}
        if total.fed is not None and total.gave_of_known > 0:
            here = {"mwh": mwh, "share": f.percent(min(1.0, sun / total.gave_of_known))}
            text = _("%(mwh)s MWh given, %(share)s of it used here") % here
        found.append(LeadFigure(_("The sun's share"), f.percent(sun / used), "", text))
    elif total.peak is not None:
        start, power, quality = total.peak
        day = figures.calendar.place(start)[0]
        text = f"{f.short_day(day)} {f.time(start)}{not_measured(quality, f)}"
        kw = sum_in_short(KWH.power(power, f), whole=total.complete_drawn)
        found.append(LeadFigure(_("Peak"), kw, "kW", text))
    return found


def _record_title(
    figures: Figures, lines: list[ReportLine], total: ReportLine, period: Period, f: Locale
) -> str:
    """What the table of tariff, peak and reactive energy comes to."""
    _, ngettext = f.gettext, f.ngettext
    parts = []
    if total.peak is not None:
        start, power, quality = total.peak
        day = figures.calendar.place(start)[0]
        kw = sum_in_short(KWH.power(power, f), whole=total.complete_drawn)
        said = {"kw": kw, "when": f"{f.short_day(day)} {f.time(start)}{not_measured(quality, f)}"}
        contract = figures.facts.contract_kw
        if contract:
            text = _("Peak %(kw)s kW on %(when)s, %(share)s of the contract")
            parts.append(text % {**said, "share": f.percent(power / 1000 / contract)})
        else:
            parts.append(_("Peak %(kw)s kW on %(when)s") % said)
    if period.span == "year" and total.inductive is not None and figures.facts.installed_kva is not None:
        passed = [line for line in lines if breaches(figures, line)]
        excused = forgiven(figures, passed)
        costly = [line for line in passed if line.first not in excused]
        over = [line for line in costly if line.last < figures.today]
        if over:
            text = ngettext(
                "reactive limit passed in %(n)s month", "reactive limit passed in %(n)s months", len(over)
            )
            parts.append(text % {"n": len(over)})
        for line in costly[len(over) :]:
            text = _("reactive limit passed so far in %(month)s")
            parts.append(text % {"month": f.month(line.first, year=False)})
        if not costly:
            known = all(line.is_telling for line in lines)
            none = _("no reactive charge") if known else _("no reactive charge in the months that are known")
            parts.append(none if not passed else _("the reactive limit passed, and forgiven"))
    return ", ".join(parts) or _("Parts of the tariff")


def _meters_title(total: ReportLine, f: Locale) -> str:
    """How much of the main meters' data is measured."""
    _ = f.gettext
    mains = total.mains
    if not mains.expected:
        return _("Meter by meter")
    missing = mains.expected - mains.known
    measured = share(mains.measured, mains.expected, f)
    if missing <= 0:
        return _("%(share)s of the main meter's quarter hours were measured, none is missing") % {
            "share": measured
        }
    return _("%(share)s of the main meter's quarter hours were measured, %(hours)s h are missing") % {
        "share": measured,
        "hours": f.number(missing / 4, 1),
    }
