"""The page `/energy`: a period of the building or of one meter, beside the one that it is compared with."""

from __future__ import annotations

from dataclasses import replace

from gateway.status.energy.bars import band_sums, main_picture
from gateway.status.energy.figures import Figures, total
from gateway.status.energy.month import heat_map, month_so_far, night_loads
from gateway.status.energy.period import MOST_BARS, SPANS, STEPS, Period, Span, Step
from gateway.status.energy.shown import Choice, EnergyView, downloads, kwh, name_of, sum_in_words
from gateway.status.energy.today import compared, today_curve
from gateway.status.energy.where import figures_below, shares, sun
from gateway.status.words.language import Locale


def energy_view(figures: Figures, period: Period, meter: str, f: Locale) -> EnergyView:
    """The page for one period; `meter` is empty for the building."""
    _ = f.gettext
    if period.step == "day" and period.days > MOST_BARS:
        # More bars than anybody can tell apart; the files have them day by day.
        period = replace(period, step="month")
    view = EnergyView(name=name_of(period, f))
    if not meter and not figures.known and figures.givers:
        # Of a building of which nobody measures what it draws, the meter that gives is shown.
        meter = figures.givers[0].id
    _picker(view, figures, period, meter, f)
    if not _whole(view, figures, period, meter, f):
        return view
    giver = next((each for each in figures.givers if each.id == meter and not each.generates), None)
    if giver is not None:
        said = _("%(meter)s counts what is fed to the grid; nothing that is drawn is measured there.")
        view.lead = f"{said % {'meter': giver.label}} {view.lead}".strip()
    view.main = main_picture(figures, period, meter, f)
    figures.forget_years(period)
    if period.span == "month" and figures.today in period:
        view.run = month_so_far(figures, period, meter, f)
    if figures.today in period:
        view.today = today_curve(figures, meter, f)
    heat_map(view, figures, meter, f)
    night_loads(view, figures, meter, f)
    if not meter:
        shares(view, figures, period, f)
        figures.forget_years(period)
        sun(view, figures, period, f)
        figures.forget_years(period)
    figures_below(view, figures, period, meter, f)
    return view


def _whole(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> bool:
    """The sum of the period, what it compares with, its bands; whether anything is known of it."""
    _ = f.gettext
    days = figures.sums_of(meter, period.first, min(period.last, figures.today))
    if days:
        whole = figures.known_of(days, period.first, period.last).whole
        said = {"period": view.name, "kwh": sum_in_words(kwh(total(days.values()), f), f, whole=whole)}
        view.title = _("%(period)s: %(kwh)s kWh") % said
        view.lead = compared(figures, period, meter, days, f)
        band_sums(view, figures, period, days, f)
        return True
    ahead = period.last >= figures.today
    nothing = (
        _("%(period)s: nothing is known of it yet") if ahead else _("%(period)s: nothing is known of it")
    )
    view.title = nothing % {"period": view.name}
    if figures.span is not None and period.first < figures.span[0]:
        view.lead = _("Measuring began on %(day)s.") % {"day": f.day(figures.span[0], year=True)}
    return False


def _picker(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> None:
    """Links to the periods around this one, to other spans, steps, meters, and downloads."""
    _ = f.gettext
    names: dict[Span, str] = {
        "day": _("Day"),
        "week": _("Week"),
        "month": _("Month"),
        "year": _("Year"),
        "range": "",
    }
    steps: dict[Step, str] = {
        "quarter": _("quarter hour"),
        "hour": _("hour"),
        "day": _("day"),
        "month": _("month"),
    }
    span = figures.span
    before, after = period.moved(-1), period.moved(1)
    if span is None or before.last >= span[0]:
        view.before = Choice(name_of(before, f), f"/energy?{before.query(meter)}")
    if after.first <= figures.today:
        view.after = Choice(name_of(after, f), f"/energy?{after.query(meter)}")
    anchor = min(max(period.first, figures.today if figures.today in period else period.first), period.last)
    for kind in SPANS:
        text = f"{anchor:%Y}" if kind == "year" else f"{anchor:%Y-%m}" if kind == "month" else str(anchor)
        which = f"&meter={meter}" if meter else ""
        view.spans.append(Choice(names[kind], f"/energy?{kind}={text}{which}", kind == period.span))
    for step in STEPS[period.span] if period.days <= MOST_BARS else ("month",):
        view.steps.append(Choice(steps[step], f"/energy?{period.query(meter, step)}", step == period.step))
    view.meters.append(Choice(_("Building"), f"/energy?{period.query()}", not meter))
    view.meters += [
        Choice(each.label, f"/energy?{period.query(each.id)}", each.id == meter)
        for each in figures.facts.meters
    ]
    view.downloads = downloads("energy", period.query(meter), f, quarters=period.step != "quarter")
