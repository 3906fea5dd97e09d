"""What stands below the energy of a period: its peak, its base, and what follows from the facts of the
building.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.energy import building_load, consumption
from gateway.status.energy.figures import (
    EXPORT,
    DegreeDays,
    Figures,
    SumsByDay,
    degree_days,
    total,
)
from gateway.status.energy.period import Period
from gateway.status.energy.shown import (
    KWH,
    EnergyView,
    measure_of,
    sum_in_short,
)
from gateway.status.energy.today import base_load_of
from gateway.status.words.language import Locale

_WHOLE_MONEY = 100
"""Of a currency, from which on it is shown without decimals."""


def peak_of(figures: Figures, period: Period, meter: str = "") -> building_load.DemandPeak | None:
    """The highest demand of a period; of the building with the name of the meter that rose most: of a main
    meter with that of the sub meter that made most of it.
    """
    last = min(period.last, figures.today)
    found = figures.peak(meter, period.first, last)
    if found is None or meter:
        return found
    # Of the others that day is enough, and what led to it.
    day = figures.calendar.place(found.start)[0]
    near = figures.drawn(day - timedelta(1), day)
    minutes, whole = figures.demand_minutes(period.first), figures.quarters(near)
    of_each = {
        each: figures.quarters(figures.of(each.id, day - timedelta(1), day)) for each in figures.of_parts
    }
    told = building_load.peak(whole, {each.label: own for each, own in of_each.items()}, minutes)
    if told is None or told.start != found.start:
        return found
    subs = {each.label: own for each, own in of_each.items() if each not in figures.facts.roots}
    if told.meter not in subs:
        its = building_load.peak(whole, subs, minutes)
        told = its if its and its.by * 2 > told.by else told
    return told


def not_measured(letter: str, f: Locale) -> str:
    """What follows a quarter hour of this quality; empty where it was measured."""
    match letter:
        case "s":
            return f.gettext("; this quarter hour is suspect")
        case "e":
            return f.gettext("; this quarter hour is estimated")
        case "d":
            return f.gettext("; this quarter hour was edited by a person")
        case _:
            return ""


def too_coarse(figures: Figures, meter: str, f: Locale) -> str:
    """Why there is no power by the quarter hour."""
    measure = measure_of(figures.quantity, f)
    value = measure.value(figures.step_of(meter))
    step = f.number(value, next((places for places in range(3) if round(value, places) == value), 3))
    text = f.gettext(
        "The peak, the base load and the course of the day are not shown: a register counts in steps of "
        "%(step)s, and a quarter hour brings less than one."
    )
    return text % {"step": f"{step} {measure.unit}"}


def figures_below(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> None:
    """The peak, the base, and what follows from the building's facts."""
    _ = f.gettext
    facts = figures.facts
    last = min(period.last, figures.today)
    days = figures.sums_of(meter, period.first, last)
    drawn = days if meter else figures.series_sums("drawn", period.first, last)
    whole = figures.known_of(drawn, period.first, last).whole
    measure = measure_of(figures.quantity, f)
    found = peak_of(figures, period, meter)
    if found is not None:
        when = f"{f.day(figures.calendar.place(found.start)[0])} {f.time(found.start)}"
        if facts.plants and not meter:
            when = _("from the grid") + f", {when}"
        more = not_measured(figures.peak_quality(meter, found.start), f)
        more += _("; %(meter)s rose most") % {"meter": found.meter} if found.meter else ""
        if facts.contract_kw and not meter:
            more += "; " + _("%(share)s of the contracted %(kw)s kW") % {
                "share": f.of_whole(found.power / 1000 / facts.contract_kw),
                "kw": KWH.power(facts.contract_kw * 1000, f),
            }
        power = sum_in_short(measure.power(found.power, f), whole=whole)
        name = _("Peak") if figures.is_electricity else _("Highest")
        view.facts.append((name, f"{power} {measure.rate}", when + more))
    if figures.step_of(meter):
        view.missing.append(too_coarse(figures, meter, f))
    _base(view, figures, period, meter, f)
    if meter:
        _cost(view, figures, meter, drawn, f, whole=whole)
        return
    used, known = total(days.values()), figures.known_of(days, period.first, last)
    co2 = figures.emission(drawn, "consumption")
    if co2 is not None:
        amount, unit = (co2.tonnes, "t") if co2.tonnes >= 1 else (co2.tonnes * 1000, "kg")
        said = sum_in_short(f.number(amount, 1 if unit == "t" else 0), whole=whole)
        view.facts.append(("CO₂", f"{said} {unit}", "; ".join(co2.sources)))
    if facts.area:
        all_used = known.whole and not figures.lacks_plant(last)
        per = sum_in_short(f.number(consumption.per_area(used, facts.area), 1), whole=all_used)
        view.facts.append((_("Per square metre"), f"{per} kWh/m²", ""))
    else:
        view.missing.append(_("kWh per m² stands here once `building.area` is written."))
    view.facts += [degree_fact(each, f) for each in degree_days(figures, period.first, period.last)]
    _cost(view, figures, meter, drawn, f, whole=whole)


def _base(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> None:
    """What never stops, on the last day of the period that is over: not yesterday, where that is past."""
    _, measure = f.gettext, measure_of(figures.quantity, f)
    base, has_risen = base_load_of(figures, meter, period.last)
    if base is None or not base.power:
        return
    said = {"share": f.of_whole(base.share), "day": f.day(period.last)}
    past = period.last < figures.today - timedelta(1)
    if figures.is_electricity:
        name = _("Base load")
        text = _("never switched off: %(share)s of yesterday")
        text = _("never switched off: %(share)s of %(day)s") if past else text
    else:
        name = _("Never less")
        text = _("also at night: %(share)s of yesterday")
        text = _("also at night: %(share)s of %(day)s") if past else text
    text %= said
    if has_risen:
        text += "; " + _("more than on the closed days before")
    view.facts.append((name, f"{measure.flow(base.power, 1, f)} {measure.rate}", text))


def _cost(
    view: EnergyView, figures: Figures, meter: str, drawn: SumsByDay, f: Locale, *, whole: bool
) -> None:
    """What was drawn in money, where the rules have prices for all of it; a plant costs nothing."""
    _ = f.gettext
    found = figures.cost(drawn)
    register = figures.register_of(meter) if meter else None
    if found is None or (register and any(meter == plant.id for plant in figures.facts.plants)):
        return
    if register and register[1] == EXPORT:
        return
    money = sum_in_short(f.number(found.money, 0 if found.money >= _WHOLE_MONEY else 2), whole=whole)
    view.facts.append((_("Cost"), f"{money} {found.currency}", "; ".join(found.sources)))


def degree_fact(each: DegreeDays, f: Locale) -> tuple[str, str, str]:
    """Degree days as one of the facts: name, kWh of each, and what it rests on."""
    _, ngettext = f.gettext, f.ngettext
    said = {
        "degrees": f.number(each.degrees, 0),
        "base": f.number(each.base, 0),
        "when": f.number(each.when, 0),
        "source": each.source,
        "n": each.days,
        "whole": each.whole,
    }
    if each.kind == "heating":
        name = _("Per heating degree day")
        text = _("%(degrees)s degree days (base %(base)s °C, days up to %(when)s °C: %(source)s)") % said
    else:
        name = _("Per cooling degree day")
        text = _("%(degrees)s degree days (base %(base)s °C, days above %(when)s °C: %(source)s)") % said
    if each.days < each.whole:
        known = ngettext(
            "; %(n)s day of %(whole)s is known as a whole and has a temperature",
            "; %(n)s days of %(whole)s are known as a whole and have a temperature",
            each.days,
        )
        text += known % said
    return name, f"{f.number(each.each, 1)} kWh", text
