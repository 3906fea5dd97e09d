"""The page `/energy`: a period of the building or of one meter, beside the one that it is compared with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gateway.status.energy.bars import band_sums, main_picture
from gateway.status.energy.figures import IMPORT, Figures, total
from gateway.status.energy.month import heat_map, month_so_far, night_loads
from gateway.status.energy.period import MOST_BARS, SPANS, Period, PeriodKind, Step, month_of
from gateway.status.energy.quality import measured_share
from gateway.status.energy.shown import (
    Choice,
    EnergyView,
    downloads,
    measure_of,
    name_of,
    quantity_name,
    sum_in_short,
    sum_in_words,
)
from gateway.status.energy.today import compared, loads_of_today, today_curve
from gateway.status.energy.where import figures_below, other_meters, shares, sun
from gateway.status.words.language import Locale


def energy_view(figures: Figures, period: Period, meter: str, f: Locale) -> EnergyView:
    """The page for one period; `meter` is empty for the building."""
    _ = f.gettext
    if period.step == "day" and period.days > MOST_BARS:
        # More bars than anybody can tell apart; the files have them day by day.
        period = replace(period, step="month")
    view = EnergyView(name=name_of(period, f))
    if not meter and not figures.known and (instead := (*figures.givers, *figures.others)):
        # Of a building of which nobody measures what it draws, another meter is shown.
        meter = instead[0].id
    figures.focus_on(meter, figures.quantity)
    view.rate = measure_of(figures.quantity, f).rate
    _picker(view, figures, period, meter, f)
    if not _whole(view, figures, period, meter, f):
        return view
    giver = next((each for each in figures.givers if each.id == meter and not each.generates), None)
    if giver is not None:
        said = _("%(meter)s counts what is fed to the grid; nothing that is drawn is measured there.")
        view.lead = f"{said % {'meter': giver.label}} {view.lead}".strip()
    view.main = main_picture(figures, period, meter, f)
    figures.forget_years(period, meter)
    if period.span == "month" and figures.today in period:
        view.run = month_so_far(figures, period, meter, f)
    if figures.today in period:
        view.today = today_curve(figures, meter, loads_of_today(figures, meter), f)
    heat_map(view, figures, meter, f)
    night_loads(view, figures, meter, f)
    if not meter:
        shares(view, figures, period, f)
        figures.forget_years(period, meter)
        sun(view, figures, period, f)
        other_meters(view, figures, period, f)
        figures.forget_years(period, meter)
    figures_below(view, figures, period, meter, f)
    return view


def _whole(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> bool:
    """The sum of the period, what it compares with, its bands; whether anything is known of it."""
    _ = f.gettext
    days = figures.sums_of(meter, period.first, min(period.last, figures.today))
    if days:
        lacks_plant = not meter and figures.lacks_plant(period.last)
        whole = figures.known_of(days, period.first, period.last).whole and not lacks_plant
        measure = measure_of(figures.quantity, f)
        amount = f"{measure.amount(total(days.values()), f)} {measure.unit}"
        said = {"period": view.name, "amount": sum_in_words(amount, f, whole=whole)}
        view.title = _("%(period)s: %(amount)s") % said
        view.lead = "" if lacks_plant else compared(figures, period, meter, days, f)
        band_sums(view, figures, period, days, f, whole=whole)
        return True
    ahead = period.last >= figures.today
    nothing = (
        _("%(period)s: nothing is known of it yet") if ahead else _("%(period)s: nothing is known of it")
    )
    view.title = nothing % {"period": view.name}
    if figures.span is not None and period.first < figures.span[0]:
        view.lead = _("Measuring began on %(day)s.") % {"day": f.day(figures.span[0], year=True)}
    return False


def meter_use(figures: Figures, meter: str, f: Locale) -> list[tuple[str, str, str]]:
    """What a meter counted lately: the period, the amounts of all that it counts, the address of its view; of
    periods of which something is known. The last line says how much of the last week was measured.
    """
    _ = f.gettext
    day, month = Period("day", figures.today, figures.today, "hour"), month_of(figures.today)
    periods = [
        (_("Today %(until)s") % {"until": f.until(figures.counted_until(meter))}, day),
        (_("Yesterday"), day.moved(-1)),
        (f.month(month.first, year=False), month),
        (f.month(month.moved(-1).first, year=False), month.moved(-1)),
    ]
    # Beside a plant that is not what the building used.
    beside = figures.facts.plants and any(root.id == meter for root in figures.facts.roots)
    way = "\u00a0" + _("from the grid") if beside and figures.register_of(meter) == (meter, IMPORT) else ""
    found = []
    for name, period in periods:
        amounts = []
        for quantity in figures.quantities_of(meter) or ("",):
            figures.focus_on(meter, quantity)
            sums = figures.sums_of(meter, period.first, min(period.last, figures.today))
            if sums:
                measure = measure_of(figures.quantity, f)
                whole = figures.known_of(sums, period.first, period.last).whole
                amount = f"{measure.amount(total(sums.values()), f)}\u00a0{measure.unit}"
                amounts.append(sum_in_short(amount, whole=whole) + way)
        if amounts:
            found.append((name, ", ".join(amounts), f"/energy?{period.query(meter)}"))
    week = (figures.today - timedelta(7), figures.today - timedelta(1))
    mine = [each for each in figures.facts.meters if each.id == meter and found]
    days = [day for each in mine for day in figures.quality(each, *week)]
    if any(day.expected for day in days):
        said = _("%(share)s measured") % {"share": measured_share(days, f)}
        found.append((_("Last seven days"), said, "/quality"))
    return found


def _picker(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> None:
    """Links to the periods around this one, to other spans, steps, meters, and downloads."""
    _ = f.gettext
    names: dict[PeriodKind, str] = {
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
        "year": _("year"),
    }
    span = figures.span
    before, after = period.moved(-1), period.moved(1)
    has = figures.quantities_of(meter) if meter else ()
    other = figures.quantity if figures.quantity in has[1:] else ""
    if span is None or before.last >= span[0]:
        view.before = Choice(name_of(before, f), f"/energy?{before.query(meter, quantity=other)}")
    if after.first <= figures.today:
        view.after = Choice(name_of(after, f), f"/energy?{after.query(meter, quantity=other)}")
    anchor = min(max(period.first, figures.today if figures.today in period else period.first), period.last)
    for kind in SPANS:
        text = f"{anchor:%Y}" if kind == "year" else f"{anchor:%Y-%m}" if kind == "month" else str(anchor)
        which = f"&meter={meter}" if meter else ""
        which += f"&quantity={other}" if other else ""
        view.spans.append(Choice(names[kind], f"/energy?{kind}={text}{which}", kind == period.span))
    for step in period.steps:
        href = f"/energy?{period.query(meter, step, other)}"
        view.steps.append(Choice(steps[step], href, step == period.step))
    for place, each in enumerate(has if len(has) > 1 else ()):
        href = f"/energy?{period.query(meter, quantity=each if place else '')}"
        view.quantities.append(Choice(quantity_name(each, f), href, each == figures.quantity))
    view.days = (
        str(period.first),
        str(min(period.last, max(figures.today, period.first))),
        str(figures.today),
    )
    view.asked = [(name, value) for name, value in (("meter", meter), ("quantity", other)) if value]
    view.meters.append(Choice(_("Building"), f"/energy?{period.query()}", not meter))
    view.meters += [
        Choice(each.label, f"/energy?{period.query(each.id)}", each.id == meter)
        for each in figures.facts.meters
    ]
    view.downloads = downloads(
        "energy", period.query(meter, quantity=other), f, quarters=period.step != "quarter"
    )
