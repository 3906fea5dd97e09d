"""Which tables the file of a view has: energy, tree, reactive, quality, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from gateway.status.energy.facts import BillLike
from gateway.status.energy.figures import IMPORT, Figures, by_day
from gateway.status.energy.letters import quality_words
from gateway.status.energy.period import Period
from gateway.status.energy.reactive import main_meter, reactive_registers
from gateway.status.energy.shown import share_of_all
from gateway.status.exports.energy import energy_tables, meters_table, parts_of
from gateway.status.exports.table import CellValue, ExportTable, FileColumn
from gateway.status.report.evidence import bill_meter, bill_names, grid_co2
from gateway.status.report.lines import ReportLine, report_lines, since_began
from gateway.status.report.months import before_head, forgiven, name_of_line, toe, verdict
from gateway.status.words.language import Locale

_BANDS: Final = ("t1", "t2", "t3")
"""Bands that the report has a column for, also where a tariff has others."""
VIEWS: Final = ("energy", "tree", "reactive", "quality", "report")


def tables_of(  # noqa: PLR0917 - what the tables are of
    view: str, figures: Figures, period: Period, meter: str, bills: Sequence[BillLike], f: Locale
) -> list[ExportTable]:
    """The tables of one of VIEWS; the first is that of a CSV file."""
    match view:
        case "energy":
            return energy_tables(figures, period, meter, f)
        case "tree":
            return [meters_table(figures, period, f)]
        case "reactive":
            return [_reactive(figures, period, f)]
        case "quality":
            return [_quality(figures, period, f)]
        case _:
            return [
                _report(figures, period, f),
                meters_table(figures, period, f),
                _bills(figures, period, bills, f),
            ]


def _reactive(figures: Figures, period: Period, f: Locale) -> ExportTable:
    _ = f.gettext
    columns = (
        FileColumn(_("Day"), "date", width=12),
        FileColumn(_("Drawn, kWh")),
        FileColumn(_("Inductive, kvarh")),
        FileColumn(_("Capacitive, kvarh")),
        FileColumn(_("Inductive ratio"), "percent", 1),
        FileColumn(_("Capacitive ratio"), "percent", 1),
    )
    return ExportTable(_("Reactive"), columns, _reactive_days(figures, period))


def _reactive_days(figures: Figures, period: Period) -> Iterator[tuple[CellValue, ...]]:
    main, registers = main_meter(figures), reactive_registers(figures)
    if main is None or registers is None:
        return
    for part in parts_of(period, figures.today):
        active, one, two = (
            by_day(figures.sums(main.id, name, part.first, part.last))
            for name in (IMPORT, registers.inductive, registers.capacitive)
        )
        for day in sorted(active):
            drawn, kinds = active[day], (one.get(day), two.get(day))
            ratios = [each / drawn if drawn and each is not None else None for each in kinds]
            energies = [None if each is None else each / 1000 for each in (drawn, *kinds)]
            yield (day, *energies, *ratios)
        figures.forget()


def _quality(figures: Figures, period: Period, f: Locale) -> ExportTable:
    _ = f.gettext
    columns = (
        FileColumn(_("Day"), "date", width=12),
        FileColumn(_("Meter"), "text", width=28),
        FileColumn(_("Id"), "text", width=16),
        FileColumn(_("Quarter hours"), decimals=0),
        FileColumn(_("Known"), decimals=0),
        FileColumn(_("Measured"), decimals=0),
        FileColumn(_("Missing, h"), decimals=2),
        FileColumn(_("Quality"), "text", width=24),
    )
    return ExportTable(_("Data"), columns, _quality_days(figures, period, f))


def _quality_days(figures: Figures, period: Period, f: Locale) -> Iterator[tuple[CellValue, ...]]:
    for meter in figures.facts.meters:
        if not any(each == meter.id for each, _quantity in figures.registers):
            continue
        for day in figures.quality(meter, period.first, min(period.last, figures.today)):
            if day.expected:
                estimated = day.known - day.measured - day.suspect - day.edited
                letters = "m" * day.measured + "e" * estimated + "s" * day.suspect + "d" * day.edited
                letters += "-" * day.missing
                yield (
                    day.day,
                    meter.label,
                    meter.id,
                    day.expected,
                    day.known,
                    day.measured,
                    day.missing / 4,
                    quality_words(letters, complete=True, f=f),
                )


def _report(figures: Figures, period: Period, f: Locale) -> ExportTable:
    _ = f.gettext
    energies = (
        _("From the grid, kWh"),
        _("From the sun, kWh"),
        _("Used, kWh"),
        before_head(period, f),
        _("Fed to the grid, kWh"),
        _("Generated, kWh"),
    )
    lines = since_began(report_lines(figures, period))
    names = (_("daytime"), _("peak"), _("night"))
    others = sorted({name for line in lines for name in line.bands or {}} - {"t0", *_BANDS})
    columns = (
        FileColumn(_("Beginning"), "date", width=12),
        FileColumn(_("Month") if period.span == "year" else _("Day"), "text", width=22),
        *(FileColumn(head) for head in energies),
        *(FileColumn(_("%(band)s from the grid, kWh") % {"band": name}) for name in (*names, *others)),
        FileColumn(_("Highest, kW")),
        FileColumn(_("Time of the highest"), "time", width=18),
        FileColumn(_("Quality of the highest"), "text", width=20),
        FileColumn(_("Inductive, kvarh")),
        FileColumn(_("Capacitive, kvarh")),
        FileColumn(_("Reactive limits"), "text", width=24),
        FileColumn(_("TOE")),
        FileColumn(_("CO₂ of what was drawn, t")),
        FileColumn(_("Measured"), "percent", 1),
        FileColumn(_("Quality"), "text", width=24),
    )
    return ExportTable(_("Report"), columns, _report_rows(figures, period, lines, (*_BANDS, *others), f))


def _report_rows(
    figures: Figures, period: Period, lines: list[ReportLine], names: Sequence[str], f: Locale
) -> Iterator[tuple[CellValue, ...]]:
    rules = figures.facts.rules
    excused = forgiven(figures, lines)
    for line in lines:
        co2 = grid_co2(figures, [line])
        bands = line.bands or {}
        energies = (line.drawn, line.from_sun, line.used, line.before, line.fed, line.gave)
        kinds = (line.inductive, line.capacitive)
        yield (
            line.first,
            name_of_line(line, period, f),
            *(None if each is None else each / 1000 for each in energies),
            *(bands[name] / 1000 if name in bands else None for name in names),
            line.peak[1] / 1000 if line.peak else None,
            _local(figures, line.peak[0]) if line.peak else None,
            quality_words(line.peak[2], complete=True, f=f) if line.peak else None,
            *(None if each is None else each / 1000 for each in kinds),
            verdict(figures, line, excused, f)[0] if period.span == "year" else None,
            toe(figures, line) if rules and line.used is not None else None,
            co2.tonnes if co2 else None,
            share_of_all(line.mains.measured / line.mains.expected, 1) if line.mains.expected else None,
            _quality_of(line, f),
        )


def _quality_of(line: ReportLine, f: Locale) -> str:
    mains = line.mains
    others = mains.known - mains.measured - mains.suspect - mains.edited
    letters = ("m" if mains.measured else "") + ("e" if others > 0 else "")
    letters += ("s" if mains.suspect else "") + ("d" if mains.edited else "")
    return quality_words(letters, complete=line.known >= line.expected, f=f)


def _bills(figures: Figures, period: Period, bills: Sequence[BillLike], f: Locale) -> ExportTable:
    _ = f.gettext
    columns = (
        FileColumn(_("First day"), "date", width=12),
        FileColumn(_("Last day"), "date", width=12),
        FileColumn(_("Meter"), "text", width=28),
        FileColumn(_("Id"), "text", width=16),
        FileColumn(_("Part"), "text", width=14),
        FileColumn(_("Our meter, kWh or kvarh")),
        FileColumn(_("Bill, kWh or kvarh")),
        FileColumn(_("Difference"), "percent", 1),
        FileColumn(_("Classes allow, kWh or kvarh")),
    )
    rows = [
        (
            bill.first,
            bill.last,
            bill_meter(figures, bill),
            bill.meter,
            bill_names(figures, bill, f).get(each.name, each.name),
            each.measured / 1000,
            each.billed / 1000,
            each.measured / each.billed - 1 if each.billed and not each.is_open(bill.missing) else None,
            each.allowed / 1000,
        )
        for bill in bills
        if bill.first in period or bill.last in period
        for each in bill.amounts
    ]
    return ExportTable(_("Bills"), columns, rows)


def _local(figures: Figures, start: int) -> datetime:
    day, slot = figures.calendar.place(start)
    midnight: date = day
    return datetime.combine(midnight, datetime.min.time()) + timedelta(minutes=15 * slot)
