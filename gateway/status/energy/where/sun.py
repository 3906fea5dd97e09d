"""What the plants gave, how much of it was used in the building, and how that is netted."""

from __future__ import annotations

from datetime import date

from gateway.energy import netting
from gateway.status.energy import charts
from gateway.status.energy.bars import WhByBar, bars_of, bars_of_fed, bars_of_series, hours_table
from gateway.status.energy.charts import Bar, Numbers
from gateway.status.energy.figures import Figures, total
from gateway.status.energy.period import Period
from gateway.status.energy.shown import (
    DataTable,
    EnergyView,
    Picture,
    bar_head,
    bar_name,
    kwh,
    sum_in_words,
    tick,
    unit,
)
from gateway.status.words.language import Locale

_MONTH = 31
"""Days up to which what needs every quarter hour is shown."""


def sun(view: EnergyView, figures: Figures, period: Period, f: Locale) -> None:
    """What the plants gave, and how much of it was used in the building."""
    _ = f.gettext
    last = min(period.last, figures.today)
    if figures.untold_plants:
        view.missing.append(untold(figures, f))
    if not figures.building.plants:
        return
    knows_fed = figures.knows_fed(period.first, last)
    if knows_fed and period.days <= _MONTH:
        view.netting = _netting(figures, period, last, f)
    days = figures.series_sums("generated", period.first, last)
    # At night an inverter draws a little: nobody calls that energy of the sun.
    gave, lacks_plant = max(0, total(days.values())), figures.lacks_plant(last)
    whole = figures.known_of(days, period.first, last).whole and not lacks_plant
    amount = sum_in_words(kwh(gave, f), f, whole=whole)
    title, notes = _("The sun gave %(kwh)s kWh") % {"kwh": amount}, [_("Hollow: fed to the grid.")]
    # What was fed in is of all plants, also of one that is in no sum.
    split = knows_fed and not lacks_plant
    if split:
        # What was fed in, or drawn, while a plant was silent says nothing of its yield.
        both = figures.sums_where_known(("generated", "fed"), period.first, last)
        every = figures.sums_where_known(("generated", "fed", "drawn"), period.first, last)
        share = netting.self_consumption(*(total(sums.values()) for sums in both))
        covered = netting.self_sufficiency(*(total(sums.values()) for sums in every))
        if share is not None:
            title = _("The sun gave %(kwh)s kWh, %(share)s of it was used in the building") % {
                "kwh": amount,
                "share": f.of_whole(max(0.0, share)),
            }
        if whole and covered is not None and covered > 0:
            text = _("%(share)s of what the building used came from the sun.")
            notes.append(text % {"share": f.of_whole(covered)})
    elif knows_fed:
        notes = [_("What was fed to the grid came from all plants: it is not told apart.")]
    elif figures.building.fed:
        notes = [_("What was fed to the grid is not known of all of it: it is not told apart.")]
    else:
        notes = [_("No meter counts what is fed to the grid: whether all of it was used here is not known.")]
    view.sun = _sun_picture(figures, period, title, notes, f, split=split)


def untold(figures: Figures, f: Locale) -> str:
    """The plants that are in no sum, why, and what to do."""
    labels = [plant.label for plant in figures.untold_plants]
    text = f.ngettext(
        "Which register of %(meters)s counts its yield is not known yet, and what it gave is in no sum: "
        "write `yield` in `building.pv`.",
        "Which registers of %(meters)s count their yield is not known yet, and what they gave is in no sum: "
        "write `yield` in `building.pv`.",
        len(labels),
    )
    return text % {"meters": ", ".join(labels)}


def _sun_picture(
    figures: Figures, period: Period, title: str, notes: list[str], f: Locale, *, split: bool
) -> Picture:
    """What the plants gave bar by bar; `split`: used in the building, and fed to the grid."""
    _ = f.gettext
    given, away = (
        {key: max(0, bar.total) for key, bar in bars.items()}
        for bars in (bars_of_series(figures, period, "generated"), bars_of_fed(figures, period))
    )
    figures.forget_years(period)
    fed = {key: min(value, away.get(key, 0)) for key, value in given.items()} if split else {}
    used = {key: value - fed.get(key, 0) for key, value in given.items()}
    inside = _("%(when)s: used in the building %(kwh)s kWh") if split else _("%(when)s: %(kwh)s kWh")
    columns = []
    for key in bars_of(period):
        when = bar_name(period, key, f)
        here = inside % {"when": when, "kwh": kwh(used.get(key, 0), f)}
        outside = _("%(when)s: fed to the grid %(kwh)s kWh") % {"when": when, "kwh": kwh(fed.get(key, 0), f)}
        parts = (("fa", used.get(key, 0) / 1000, here),)
        columns.append(Bar(parts, label=tick(period, key, f), hollow=(fed.get(key, 0) / 1000, outside)))
    says = _("Energy of the sun in kWh: used in the building, and fed to the grid") if split else title
    svg = charts.bars(columns, height=190, says=says, number=Numbers(f.number, "kWh"))
    table = _sun_table(period, given, *((used, fed) if split else ()), f=f)
    return Picture(title, svg, table, unit(period, f), tuple(notes))


def _sun_table(period: Period, given: WhByBar, *parts: WhByBar, f: Locale) -> DataTable:
    """What the plants gave; of this what was used in the building and fed to the grid, where it is known."""
    _ = f.gettext
    values = (given, *parts)
    if period.step == "hour" and period.days > 1:
        names = (_("generated"), _("used in the building"), _("fed to the grid"))
        return hours_table(period, tuple(zip(names, values, strict=False)), f)
    names = (_("Generated, kWh"), _("Used in the building, kWh"), _("Fed to the grid, kWh"))
    rows = tuple(
        (bar_name(period, key, f), *(kwh(each[key], f) for each in values))
        for key in bars_of(period)
        if key in given
    )
    return DataTable((bar_head(period, f), *names[: len(values)]), rows)


def _netting(figures: Figures, period: Period, last: date, f: Locale) -> list[str]:
    """What is left on either side when fed in is set against drawn, within each hour and over the month."""
    _ = f.gettext
    hourly, together = figures.netted(period.first, last)
    over_all = _("Netted over the month: %(grid)s kWh drawn, %(out)s kWh surplus.")
    less = _(
        "Within each hour %(kwh)s kWh less are set against each other than over the month: what is used "
        "while the sun gives need not be drawn."
    )
    if period.span != "month":
        over_all = _("Netted over these days together: %(grid)s kWh drawn, %(out)s kWh surplus.")
        less = _(
            "Within each hour %(kwh)s kWh less are set against each other than over these days together: "
            "what is used while the sun gives need not be drawn."
        )
    known = figures.known_of(figures.series_sums("drawn", period.first, last), period.first, last)
    found = [
        _("Netted within each hour: %(grid)s kWh drawn, %(out)s kWh surplus.")
        % {"grid": kwh(hourly.grid, f), "out": kwh(hourly.surplus, f)},
        over_all % {"grid": kwh(together.grid, f), "out": kwh(together.surplus, f)},
    ]
    if not known.whole:
        text = _("Without the %(hours)s h of which nothing is known.")
        found.append(text % {"hours": f.number(known.missing_hours, 1)})
    if hourly.grid > together.grid:
        found.append(less % {"kwh": kwh(hourly.grid - together.grid, f)})
    rules = figures.facts.rules
    row = rules.netting(last) if rules else None
    if row is not None:
        by_hour = _("Since %(day)s energy is netted within each hour (%(source)s).")
        text = (
            by_hour if row.value == "hour" else _("Since %(day)s it is netted over the month (%(source)s).")
        )
        found.append(text % {"day": f.day(row.valid_from, year=True), "source": row.source})
    return found
