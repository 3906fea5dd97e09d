"""Where the energy went: the tree of meters, the sun, and what follows from the facts of the building."""

from __future__ import annotations

from datetime import date, timedelta

from gateway.energy import building_load, consumption, netting
from gateway.status.energy import charts
from gateway.status.energy.bars import WhByBar, bars_of, bars_of_series, hours_table
from gateway.status.energy.charts import Bar, Numbers
from gateway.status.energy.figures import (
    EXPORT,
    BuildingRest,
    DegreeDays,
    Figures,
    MeterPart,
    SumsByDay,
    degree_days,
    total,
)
from gateway.status.energy.period import Period
from gateway.status.energy.shown import (
    DataTable,
    EnergyView,
    Picture,
    Share,
    bar_head,
    bar_name,
    kwh,
    measure_of,
    quantity_name,
    sum_in_short,
    sum_in_words,
    tick,
    unit,
)
from gateway.status.energy.today import base_load_of
from gateway.status.words.language import Locale

_MANY, _FIRST = 12, 8
"""More meters than the first are too many to look through: the second is how many are shown at once."""
_AS_GOOD_AS_ALL = 0.995
_WHOLE_MONEY = 100
"""Of a currency, from which on it is shown without decimals."""
_MONTH = 31
"""Days up to which what needs every quarter hour is shown."""


def shares(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """The tree of meters with the unmetered rest."""
    _ = f.gettext
    parts = figures.parts(period)
    below = [part for part in parts if part.depth > 0]
    if not below:
        return
    most = max((part.energy for part in below), default=1) or 1
    for part in below:
        note = ""
        if part.partial and part.known <= _AS_GOOD_AS_ALL:
            note = _("%(share)s of the time is known") % {"share": f.of_whole(part.known)}
        if not part.known:
            view.shares.append(
                Share(part.meter.label, part.meter.id, part.depth, "–", "", 0.0, _("nothing is known of it"))
            )
            continue
        view.shares.append(
            Share(
                part.meter.label,
                part.meter.id,
                part.depth,
                sum_in_short(kwh(part.energy, f), whole=not part.partial),
                f.percent(part.share) if part.share is not None else "",
                round(part.energy * 100 / most, 1),
                note,
            )
        )
    for rest in figures.rests(period):
        _add_rest(view, rest, most, f)
    _fold(view, parts, f)
    top = [share for share in view.shares if share.depth == 1 and share.id][:2]
    both = [part.share for part in below if part.meter.id in {share.id for share in top}]
    if len(top) == 2 and None not in both:
        view.shares_title = _("%(share)s of the energy goes to two places: %(one)s and %(two)s") % {
            "share": f.of_whole(sum(each or 0.0 for each in both)),
            "one": top[0].name,
            "two": top[1].name,
        }
    else:
        view.shares_title = _("Where the energy went")


def _add_rest(view: EnergyView, rest: BuildingRest, most: int, f: Locale) -> None:
    """What nobody meters, behind what is below the same main meter."""
    _ = f.gettext
    note = _("± %(kwh)s kWh by the classes of the meters") % {"kwh": kwh(rest.band, f)}
    note += rest_without(rest, f)
    share = f.percent(rest.share) if rest.share is not None else ""
    width = round(abs(rest.rest) * 100 / most, 1)
    place, depth = len(view.shares), 1
    ids = [each.id for each in view.shares]
    if rest.meter.id in ids:
        place, depth = ids.index(rest.meter.id) + 1, 2
        while place < len(view.shares) and view.shares[place].depth > 1:
            place += 1
    view.shares.insert(
        place, Share(_("Unmetered"), "", depth, kwh(rest.rest, f), share, width, note, hollow=True)
    )
    if rest.over_counted:
        view.shares_note = _(
            "The sub meters count more than the meter above them: a transformer ratio or a meter is wrong."
        )


def other_meters(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """What meters of water, gas, heat and pulses counted, each quantity in its own unit."""
    last = min(period.last, figures.today)
    for meter in figures.others:
        has = figures.quantities_of(meter.id)
        for quantity in has:
            sums, measure = figures.sums(meter.id, quantity, period.first, last), measure_of(quantity, f)
            if not sums:
                continue
            known = figures.known_of(sums, max(period.first, min(sums)), last)
            amount = sum_in_short(measure.amount(total(sums.values()), f), whole=known.whole)
            name = meter.label if len(has) == 1 else f"{meter.label}: {quantity_name(quantity, f)}"
            href = f"/energy?{period.query(meter.id, quantity='' if quantity == has[0] else quantity)}"
            view.others.append((name, href, f"{amount} {measure.unit}"))


def rest_without(rest: BuildingRest, f: Locale) -> str:
    """The days that the rest is not of, where there are any: what follows its uncertainty."""
    text = f.ngettext(
        "; without %(n)s day on which data of the building is missing",
        "; without %(n)s days on which data of the building is missing",
        rest.left_out,
    )
    return text % {"n": rest.left_out} if rest.left_out else ""


def _fold(view: EnergyView, parts: list[MeterPart], f: Locale) -> None:
    """Of many meters the largest, and those of which something is missing, stay in sight."""
    if len(view.shares) <= _MANY:
        return
    energies = {part.meter.id: part.energy for part in parts}
    largest = sorted(energies, key=lambda meter: -energies[meter])[:_FIRST]
    away = [share for share in view.shares if share.id and not share.note and share.id not in largest]
    if not away:
        return
    view.folded = away
    view.shares = [share for share in view.shares if share not in away]
    said = {"n": len(away), "kwh": kwh(sum(energies[share.id] for share in away), f)}
    view.folded_says = (
        f.ngettext("%(n)s more meter, %(kwh)s kWh", "%(n)s more meters, %(kwh)s kWh", len(away)) % said
    )


def sun(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """What the plants gave, and how much of it was used in the building."""
    _ = f.gettext
    last = min(period.last, figures.today)
    if not figures.building.plants:
        if figures.facts.plants:
            view.missing.append(
                _(
                    "Which register of the plant counts its yield is not known yet: write `yield` in "
                    "`building.pv`."
                )
            )
        return
    if period.days <= _MONTH:
        view.netting = _netting(figures, period, last, f)
    days = figures.series_sums("generated", period.first, last)
    gave, whole = total(days.values()), figures.known_of(days, period.first, last).whole
    out = total(figures.series_sums("fed", period.first, last).values())
    share = netting.self_consumption(gave, out)
    given, away = (
        {key: bar.total for key, bar in bars_of_series(figures, period, series).items()}
        for series in ("generated", "fed")
    )
    figures.forget_years(period)
    fed = {key: min(value, away.get(key, 0)) for key, value in given.items()}
    used = {key: value - fed[key] for key, value in given.items()}
    columns = []
    for key in bars_of(period):
        said = {"when": bar_name(period, key, f), "kwh": kwh(used.get(key, 0), f)}
        inside = _("%(when)s: used in the building %(kwh)s kWh") % said
        outside = _("%(when)s: fed to the grid %(kwh)s kWh") % (said | {"kwh": kwh(fed.get(key, 0), f)})
        parts = (("fa", used.get(key, 0) / 1000, inside),)
        label = tick(period, key, f)
        columns.append(Bar(parts, label=label, hollow=(fed.get(key, 0) / 1000, outside)))
    says = _("Energy of the sun in kWh: used in the building, and fed to the grid")
    svg = charts.bars(columns, height=190, says=says, number=Numbers(f.number, "kWh"))
    amount = sum_in_words(kwh(gave, f), f, whole=whole)
    title = _("The sun gave %(kwh)s kWh") % {"kwh": amount}
    if share is not None:
        title = _("The sun gave %(kwh)s kWh, %(share)s of it was used in the building") % {
            "kwh": amount,
            "share": f.of_whole(max(0.0, share)),
        }
    notes = [_("Hollow: fed to the grid.")]
    drawn = total(figures.series_sums("drawn", period.first, last).values())
    covered = netting.self_sufficiency(gave, out, drawn)
    if whole and covered is not None and covered > 0:
        notes.append(
            _("%(share)s of what the building used came from the sun.") % {"share": f.of_whole(covered)}
        )
    table = _sun_table(period, given, used, fed, f)
    view.sun = Picture(title, svg, table, unit(period, f), tuple(notes))


def _sun_table(period: Period, given: WhByBar, used: WhByBar, fed: WhByBar, f: Locale) -> DataTable:
    """What the plants gave, of this what was used in the building, and what was fed to the grid."""
    _ = f.gettext
    if period.step == "hour" and period.days > 1:
        parts = ((_("generated"), given), (_("used in the building"), used), (_("fed to the grid"), fed))
        return hours_table(period, parts, f)
    heads = (
        bar_head(period, f),
        _("Generated, kWh"),
        _("Used in the building, kWh"),
        _("Fed to the grid, kWh"),
    )
    rows = tuple(
        (bar_name(period, key, f), *(kwh(each[key], f) for each in (given, used, fed)))
        for key in bars_of(period)
        if key in given
    )
    return DataTable(heads, rows)


def peak_of(figures: Figures, period: Period, meter: str = "") -> building_load.DemandPeak | None:
    """The highest demand of a period; of the building with the name of the sub meter that rose most."""
    last = min(period.last, figures.today)
    found = figures.peak(meter, period.first, last)
    if found is None or meter:
        return found
    # Of the others that day is enough, and what led to it.
    day = figures.calendar.place(found.start)[0]
    near = figures.drawn(day - timedelta(1), day)
    below = {
        each.label: figures.quarters(figures.of(each.id, day - timedelta(1), day))
        for each in figures.facts.meters
        if each.parent and not each.generates
    }
    told = building_load.peak(figures.quarters(near), below, figures.demand_minutes(period.first))
    return told if told and told.start == found.start else found


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
                "kw": f.number(facts.contract_kw, 0),
            }
        power = sum_in_short(measure.flow(found.power, 0, f), whole=whole)
        name = _("Peak") if figures.is_electricity else _("Highest")
        view.facts.append((name, f"{power} {measure.rate}", when + more))
    if figures.step_of(meter):
        view.missing.append(too_coarse(figures, meter, f))
    base, has_risen = base_load_of(figures, meter)
    if base is not None and base.power:
        share = {"share": f.of_whole(base.share)}
        name, text = _("Base load"), _("never switched off: %(share)s of yesterday") % share
        if not figures.is_electricity:
            name, text = _("Never less"), _("also at night: %(share)s of yesterday") % share
        if has_risen:
            text += "; " + _("more than on the closed days before")
        view.facts.append((name, f"{measure.flow(base.power, 1, f)} {measure.rate}", text))
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
        per = sum_in_short(f.number(consumption.per_area(used, facts.area), 1), whole=known.whole)
        view.facts.append((_("Per square metre"), f"{per} kWh/m²", ""))
    else:
        view.missing.append(_("kWh per m² stands here once `building.area` is written."))
    view.facts += [degree_fact(each, f) for each in degree_days(figures, period.first, period.last)]
    _cost(view, figures, meter, drawn, f, whole=whole)


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


def _netting(figures: Figures, period: Period, last: date, f: Locale) -> list[str]:
    """What is left on either side when fed in is set against drawn, within each hour and over the month."""
    _ = f.gettext
    hourly, monthly = figures.netted(period.first, last)
    known = figures.known_of(figures.series_sums("drawn", period.first, last), period.first, last)
    found = [
        _("Netted within each hour: %(grid)s kWh drawn, %(out)s kWh surplus.")
        % {"grid": kwh(hourly.grid, f), "out": kwh(hourly.surplus, f)},
        _("Netted over the month: %(grid)s kWh drawn, %(out)s kWh surplus.")
        % {"grid": kwh(monthly.grid, f), "out": kwh(monthly.surplus, f)},
    ]
    if not known.whole:
        text = _("Without the %(hours)s h of which nothing is known.")
        found.append(text % {"hours": f.number(known.missing_hours, 1)})
    if hourly.grid > monthly.grid:
        text = _(
            "Within each hour %(kwh)s kWh less are set against each other than over the month: what is used "
            "while the sun gives need not be drawn."
        )
        found.append(text % {"kwh": kwh(hourly.grid - monthly.grid, f)})
    rules = figures.facts.rules
    row = rules.netting(last) if rules else None
    if row is not None:
        by_hour = _("Since %(day)s energy is netted within each hour (%(source)s).")
        text = (
            by_hour if row.value == "hour" else _("Since %(day)s it is netted over the month (%(source)s).")
        )
        found.append(text % {"day": f.day(row.valid_from, year=True), "source": row.source})
    return found
