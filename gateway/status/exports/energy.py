"""The tables of `/energy`: the bars of a period, each quarter hour, the meters with the unmetered rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from gateway.status.energy.bars import band_names, bars_of, bars_of_meter, quarters_due
from gateway.status.energy.figures import QUARTER, Figures
from gateway.status.energy.letters import letters_by_bar, quality_letters, quality_words
from gateway.status.energy.period import Period, month_of, year_of
from gateway.status.energy.shown import bar_name, measure_of, share_of_all
from gateway.status.exports.table import CellValue, ExportTable, FileColumn
from gateway.status.words.language import Locale

_BANDS: Final = ("t0", "t1", "t2", "t3")
_PLACES: Final = 1
"""Decimals of what is known, in per cent."""


def energy_tables(figures: Figures, period: Period, meter: str, f: Locale) -> list[ExportTable]:
    """The bars as they are shown, the quarter hours of at most a year, the tree when it is the building."""
    figures.focus_on(meter, figures.quantity)
    tables = [bars_table(figures, period, meter, f)] if period.step != "quarter" else []
    if period.step == "quarter" or period.days <= 366:
        tables.append(quarters_table(figures, period, meter, f))
    if not meter:
        tables.append(meters_table(figures, period, f))
    return tables


def bars_table(figures: Figures, period: Period, meter: str, f: Locale) -> ExportTable:
    """A row for each bar since measuring began: hour, day, month or year, those without a value too."""
    _ = f.gettext
    names = band_names(figures, period.first, f)
    bands = [name for name in (*_BANDS, *sorted(names)) if name in names]
    bands = list(dict.fromkeys(bands)) if len(names) > 1 else []
    hourly, measure = period.step == "hour", measure_of(figures.quantity, f)
    columns = (
        FileColumn(_("Beginning"), "time" if hourly else "date", width=18),
        FileColumn(_("What"), "text", width=20),
        *(FileColumn(f"{names[name]}, kWh") for name in bands),
        FileColumn(_("Sum, %(unit)s") % {"unit": measure.unit}, decimals=measure.digits),
        FileColumn(_("Known"), "percent", _PLACES),
        FileColumn(_("Quality"), "text", width=30),
    )
    return ExportTable(_steps(period, f), columns, _bars(figures, period, meter, bands, f))


def _steps(period: Period, f: Locale) -> str:
    _ = f.gettext
    words = {"quarter": _("Quarter hours"), "hour": _("Hours"), "day": _("Days")}
    return {**words, "month": _("Months"), "year": _("Years")}[period.step]


def _bars(
    figures: Figures, period: Period, meter: str, bands: list[str], f: Locale
) -> Iterator[tuple[CellValue, ...]]:
    measure = measure_of(figures.quantity, f)
    for part in parts_of(period, figures.today):
        groups = bars_of_meter(figures, part, meter)
        marks = letters_by_bar(figures, part, quality_letters(figures, meter, part.first, part.last))
        for key in bars_of(part):
            held, due = groups.get(key), quarters_due(figures, part, key)
            last = min(part.last, part.end_of_bar(key[0]))
            if held is None and (not due or (figures.span and last < figures.span[0])):
                continue
            sums, known = (held.bands, held.known) if held else ({}, 0)
            begin: CellValue = key[0]
            if period.step == "hour":
                begin = datetime.combine(key[0], datetime.min.time()) + timedelta(hours=key[1])
            yield (
                begin,
                bar_name(part, key, f),
                *(measure.value(sums[name]) if name in sums else None for name in bands),
                measure.value(sum(sums.values())) if held else None,
                share_of_all(known / due, _PLACES) if due else None,
                quality_words(marks.get(key, ""), complete=known >= due, f=f),
            )
        figures.forget()


def parts_of(period: Period, today: date) -> list[Period]:
    """The period month by month, of years year by year, as far as it is not ahead: who writes a file needs no
    more at once.
    """
    part = year_of(period.first.year) if period.step == "year" else month_of(period.first)
    found = []
    while part.first <= min(period.last, today):
        first, last = max(part.first, period.first), min(part.last, period.last, today)
        found.append(Period(period.span, first, last, period.step))
        part = part.moved(1)
    return found


def quarters_table(figures: Figures, period: Period, meter: str, f: Locale) -> ExportTable:
    """A row for each quarter hour that is over, those without a value too."""
    _ = f.gettext
    measure = measure_of(figures.quantity, f)
    head = _("Energy, kWh") if figures.is_electricity else _("Sum, %(unit)s") % {"unit": measure.unit}
    columns = (
        FileColumn(_("Beginning"), "time", width=18),
        FileColumn(_("Beginning (UTC)"), "time", width=18),
        FileColumn(head, decimals=measure.digits),
        FileColumn(_("Tariff"), "text", width=10),
        FileColumn(_("Quality"), "text", width=24),
    )
    return ExportTable(_("Quarter hours"), columns, _quarters(figures, period, meter, f))


def _quarters(figures: Figures, period: Period, meter: str, f: Locale) -> Iterator[tuple[CellValue, ...]]:
    span, measure = figures.span, measure_of(figures.quantity, f)
    for part in parts_of(period, figures.today):
        values = figures.of(meter, part.first, part.last)
        letters = quality_letters(figures, meter, part.first, part.last)
        names = band_names(figures, part.first, f)
        for number in range(part.days):
            day = part.first + timedelta(number)
            if span is not None and day < span[0]:
                continue
            tariff = figures.tariff(day)
            own, said = values.get(day), letters.get(day, "")
            for index, start in enumerate(figures.calendar.quarters(day)):
                if start + QUARTER > figures.end:
                    break
                value = own[index] if own and index < len(own) else None
                slot = figures.calendar.place(start)[1]
                old = figures.facts.old_clock
                band = tariff.band(day, slot // 4, old_clock=old) if tariff else ""
                yield (
                    datetime.combine(day, datetime.min.time()) + timedelta(minutes=15 * slot),
                    datetime(1970, 1, 1) + timedelta(milliseconds=start),  # noqa: DTZ001 - a sheet has no zones
                    measure.value(value) if value is not None else None,
                    names.get(band, band),
                    quality_words(said[index : index + 1] if value is not None else "-", complete=True, f=f),
                )
        figures.forget()


def meters_table(figures: Figures, period: Period, f: Locale) -> ExportTable:
    """Every meter with its energy, and what nobody meters."""
    _ = f.gettext
    columns = (
        FileColumn(_("Meter"), "text", width=28),
        FileColumn(_("Id"), "text", width=16),
        FileColumn(_("Below"), "text", width=16),
        FileColumn(_("Energy, kWh")),
        FileColumn(_("Share of the building"), "percent", 1),
        FileColumn(_("Known"), "percent", _PLACES),
    )
    return ExportTable(_("Meters"), columns, _meters(figures, period, f))


def _meters(figures: Figures, period: Period, f: Locale) -> Iterator[tuple[CellValue, ...]]:
    _ = f.gettext
    last = min(period.last, figures.today)
    parts = figures.parts(period)
    for root in figures.facts.roots:
        counter = figures.counter(root)
        if counter and all(root is not each.meter for each in parts):
            wh, known = figures.part_of(root.id, counter, period.first, last)
            yield (root.label, root.id, None, wh / 1000, None, share_of_all(known, _PLACES))
    for each in parts:
        parent = each.meter.parent or None
        known = share_of_all(each.known, _PLACES)
        yield (each.meter.label, each.meter.id, parent, each.energy / 1000, each.share, known)
    for plant in figures.facts.plants:
        if direction := figures.direction(plant):
            quantity = f"active_energy_{direction}"
            wh, known = figures.part_of(plant.id, quantity, period.first, last)
            known = share_of_all(known, _PLACES)
            yield (plant.label, plant.id, plant.parent or None, wh / 1000, None, known)
    rests = figures.rests(period)
    figures.forget()
    for rest in rests:
        known = share_of_all(rest.known, _PLACES)
        yield (_("Unmetered"), None, rest.meter.id, rest.rest / 1000, rest.share, known)
