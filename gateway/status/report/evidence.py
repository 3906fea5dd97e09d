"""Of a report: meter by meter, the bills, CO2 by scope, what is open, and the sources of every factor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from math import isqrt

from gateway.energy import EXPORT, IMPORT, TOTAL, BuildingSeries
from gateway.status.energy.bars import band_names
from gateway.status.energy.facts import BillLike, EnergyMeter
from gateway.status.energy.figures import EnergyEmission, Figures
from gateway.status.energy.period import Period
from gateway.status.energy.shown import kwh, sum_in_short, sum_in_words
from gateway.status.energy.where import rest_without, too_coarse, untold
from gateway.status.report.lines import ReportLine
from gateway.status.report.months import at_least_note, breaches, change, forgiven, share
from gateway.status.report.shown import BillShown, ReportTable
from gateway.status.words.language import Locale

_MOST_DAYS = 6
"""Days that a sentence names one by one."""
_ENERGY = frozenset({IMPORT, EXPORT, TOTAL})
_ENOUGH_HOURS = 0.05


def meter_table(figures: Figures, period: Period, f: Locale) -> ReportTable | None:
    """Every meter with its energy, its share, and how much of it was measured; what nobody meters."""
    _ = f.gettext
    last = min(period.last, figures.today)
    heads = (_("Meter"), "kWh", _("Share"), _("Measured"), _("Estimated"), _("Missing"))
    rows: list[tuple[str, ...]] = []
    marked: set[int] = set()
    others: list[str] = []
    below = [(part.meter, part.depth, part.energy, part.share) for part in figures.parts(period)]
    below_top = [each[0] for each in below]
    roots = [root for root in figures.facts.roots if figures.counter(root) and root not in below_top]
    top = [(root, 0, _counted(figures, root, period.first, last), None) for root in roots]
    for meter, depth, energy, part in [*top, *below]:
        days = figures.quality(meter, period.first, last)
        expected = sum(day.expected for day in days)
        if not expected:
            continue
        known = sum(min(day.known, day.expected) for day in days)
        measured = sum(min(day.measured, day.expected) for day in days)
        edited, suspect = sum(day.edited for day in days), sum(day.suspect for day in days)
        others += _edited_or_suspect(meter.label, edited, suspect, f)
        estimated = known - measured - edited - suspect
        missing = expected - known
        if missing:
            marked.add(len(rows))
        rows.append(
            (
                "\u2003" * depth + meter.label,
                sum_in_short(_whole(energy, f), whole=not missing),
                f.percent(part, 1) if part is not None else "",
                share(measured, expected, f),
                f.percent(max(0.001, estimated / expected) if estimated > 0 else 0.0, 1),
                _("%(hours)s h") % {"hours": f.number(missing / 4, 1)} if missing else "–",
            )
        )
    if not rows:
        return None
    notes = [_("Neither measured nor estimated: %(what)s.") % {"what": ", ".join(others)}] if others else []
    rests = figures.rests(period) if len(rows) > 1 else []
    for rest in rests:
        said = f.percent(rest.share, 1) if rest.share is not None else ""
        name = _("Unmetered")
        name += f": {rest.meter.label}" if len(rests) > 1 else ""
        rows.append(("\u2003" + name, _whole(rest.rest, f), said, "", "", ""))
    if rests:
        text = _(
            "Unmetered: what no sub meter counts, ± %(kwh)s kWh by the classes of the meters%(without)s."
        )
        band = isqrt(sum(rest.band**2 for rest in rests))
        notes.append(text % {"kwh": kwh(band, f), "without": rest_without(rests[0], f)})
    if marked:
        notes.append(at_least_note(f))
    return ReportTable(heads, tuple(rows), (), tuple(notes), frozenset(marked))


def _edited_or_suspect(label: str, edited: int, suspect: int, f: Locale) -> list[str]:
    """So many quarter hours of a meter that its line has no column for, in words."""
    _ = f.gettext
    texts = (
        (_("%(meter)s %(hours)s h edited by a person"), edited),
        (_("%(meter)s %(hours)s h suspect"), suspect),
    )
    return [text % {"meter": label, "hours": f.number(count / 4, 1)} for text, count in texts if count]


def _counted(figures: Figures, meter: EnergyMeter, first: date, last: date) -> int:
    """Wh that a meter counted."""
    counter = figures.counter(meter)
    return figures.sum_of(meter.id, counter, first, last) if counter else 0


def co2_lines(figures: Figures, lines: Sequence[ReportLine], total: ReportLine, f: Locale) -> list[str]:
    """CO2 by scope, each with its factor and source; `total`: the lines together."""
    _ = f.gettext
    found = []
    bought = grid_co2(figures, lines)
    if bought is not None:
        found.append(
            _("Scope 2, electricity drawn from the grid: %(t)s t CO₂ (%(factor)s t/MWh).")
            % {
                "t": sum_in_words(f.number(bought.tonnes, 1), f, whole=total.complete_drawn),
                "factor": _factors(bought.factors, f),
            }
        )
    avoided = _co2(figures, lines, "generated", "avoided")
    if avoided is not None and any(line.gave for line in lines):
        found.append(
            _("Avoided by the building's own plant, not taken off: %(t)s t CO₂ (%(factor)s t/MWh).")
            % {
                "t": sum_in_words(f.number(avoided.tonnes, 1), f, whole=total.complete),
                "factor": _factors(avoided.factors, f),
            }
        )
    found.append(_("Scope 1, fuel burnt in the building: not shown, no meter counts a fuel with a factor."))
    return found


def grid_co2(figures: Figures, lines: Sequence[ReportLine]) -> EnergyEmission | None:
    """Of what was drawn in those months or days, each day by the factor that held on it."""
    return _co2(figures, lines, "drawn", "consumption")


def _co2(
    figures: Figures, lines: Sequence[ReportLine], series: BuildingSeries, scope: str
) -> EnergyEmission | None:
    if not lines:
        return None
    return figures.emission(figures.series_sums(series, lines[0].first, lines[-1].last), scope)


def _factors(factors: Sequence[float], f: Locale) -> str:
    return ", ".join(f.number(value, 4 if round(value, 3) != value else 3) for value in factors)


# ---- bills


def bills_shown(figures: Figures, bills: Sequence[BillLike], f: Locale) -> list[BillShown]:
    """Each bill of the distributor beside our meter."""
    return [_bill(figures, bill, f) for bill in bills]


def _bill(figures: Figures, bill: BillLike, f: Locale) -> BillShown:
    _ = f.gettext
    names = bill_names(figures, bill, f)
    rows: list[tuple[str, ...]] = []
    marked: set[int] = set()
    for amount in bill.amounts:
        if amount.is_beyond(bill.missing):
            marked.add(len(rows))
        unit = "kvarh" if amount.name in {"inductive", "capacitive"} else "kWh"
        is_open = amount.is_open(bill.missing)
        rows.append(
            (
                f"{names.get(amount.name, amount.name)}, {unit}",
                sum_in_short(f.number(amount.measured / 1000, 0), whole=not bill.missing),
                f.number(amount.billed / 1000, 0),
                "" if is_open else change(amount.measured, amount.billed, f),
                f"± {f.number(amount.allowed / 1000, 0)}",
            )
        )
    heads = ("", _("Our meter"), _("Bill"), _("Difference"), _("Classes allow"))
    when = _which_bill(figures, bill, f)
    title = _("%(when)s: bill and meter agree within their classes")
    if marked:
        title = _("%(when)s: the bill and our meter differ by more than their classes allow")
    elif any(amount.is_open(bill.missing) for amount in bill.amounts):
        title = _("%(when)s: too much is missing of our meter to compare the bill with it")
    return BillShown(
        title % {"when": when},
        ReportTable(heads, tuple(rows), (), (), frozenset(marked)),
        " ".join(_explained(bill, f)),
    )


def bill_names(figures: Figures, bill: BillLike, f: Locale) -> dict[str, str]:
    """What a person calls the parts of a bill: the bands of its tariff, and what is reactive."""
    _ = f.gettext
    return band_names(figures, bill.first, f) | {
        "t0": _("all day"),
        "inductive": _("inductive"),
        "capacitive": _("capacitive"),
    }


def _which_bill(figures: Figures, bill: BillLike, f: Locale) -> str:
    """The days of a bill; with its meter, unless that is the one whose bill is the building's."""
    when = f"{f.short_day(bill.first)} – {f.short_day(bill.last)} {bill.last.year}"
    roots = [root.id for root in figures.facts.roots if figures.counter(root)]
    return when if roots == [bill.meter] else f"{bill_meter(figures, bill)}, {when}"


def bill_meter(figures: Figures, bill: BillLike) -> str:
    """The label of the meter that a bill is of; its id, where it stands in the configuration no more."""
    return next((each.label for each in figures.facts.meters if each.id == bill.meter), bill.meter)


def _explained(bill: BillLike, f: Locale) -> Iterator[str]:
    """The days that explain a difference."""
    _ = f.gettext
    if bill.apart:
        day = _("%(day)s (meter %(measured)s, bill %(billed)s kWh)")
        days = ", ".join(
            day
            % {
                "day": f.short_day(each),
                "measured": f.number(measured / 1000, 1),
                "billed": f.number(billed / 1000, 1),
            }
            for each, measured, billed in bill.apart[:_MOST_DAYS]
        )
        more = len(bill.apart) - _MOST_DAYS
        days += (" " + _("and %(n)s more") % {"n": more}) if more > 0 else ""
        yield _("Days that explain the difference: %(days)s.") % {"days": days}
    if bill.lacking:
        days = ", ".join(f.short_day(day) for day, _n in bill.lacking[:_MOST_DAYS])
        more = len(bill.lacking) - _MOST_DAYS
        days += (" " + _("and %(n)s more") % {"n": more}) if more > 0 else ""
        yield _("Not measured as a whole, which may explain a difference: %(days)s.") % {"days": days}
    else:
        yield _("Every quarter hour was measured.")


# ---- what is open


def open_points(
    figures: Figures, lines: Sequence[ReportLine], bills: Sequence[BillLike], period: Period, f: Locale
) -> list[str]:
    """What this report cannot say yet, what is wrong in it, and what to do about it."""
    _ = f.gettext
    found = []
    if period.last >= figures.today:
        found.append(
            _("The period is not over: the numbers go until %(day)s.")
            % {"day": f.day(figures.today, year=True)}
        )
    span = figures.span
    if span is not None and span[0] > period.first:
        text = _("Measuring began on %(day)s: nothing is known of the days before it.")
        found.append(text % {"day": f.day(span[0], year=True)})
    found += _data_points(figures, period, f)
    excused = forgiven(figures, lines)
    passed = [line for line in lines if breaches(figures, line) and line.first not in excused]
    over = [line.first for line in passed if line.last < figures.today]
    if period.span == "year" and over:
        text = _("%(month)s: a reactive limit was passed; look whether the bill has it.")
        months = [*(f.month(each, year=False) for each in over[:-1]), f.month(over[-1])]
        found.append(text % {"month": ", ".join(months)})
    for line in passed[len(over) :]:
        text = _("%(month)s: a limit of reactive energy is passed so far; its page says what can be saved.")
        found.append(text % {"month": f.month(line.first)})
    if figures.step_of(""):
        found.append(too_coarse(figures, "", f))
    found += _missing_facts(figures, f)
    if not bills:
        found.append(
            _("No bill of the distributor has been compared: submeter bill compares one, and it stands here.")
        )
    for bill in bills:
        if any(amount.is_beyond(bill.missing) for amount in bill.amounts):
            text = _("Bill of %(when)s: find out why it differs by more than the classes allow.")
            found.append(text % {"when": _which_bill(figures, bill, f)})
    return found


def _data_points(figures: Figures, period: Period, f: Locale) -> list[str]:
    _, ngettext = f.gettext, f.ngettext
    found = []
    last = min(period.last, figures.today)
    for meter in figures.facts.meters:
        if not any(each == meter.id for each, _quantity in figures.registers):
            continue
        days = [day for day in figures.quality(meter, period.first, last) if day.missing]
        if not days:
            continue
        hours = sum(day.missing for day in days) / 4
        if hours < _ENOUGH_HOURS:
            continue
        text = ngettext(
            "%(meter)s: %(n)s day is incomplete (%(hours)s h in all).",
            "%(meter)s: %(n)s days are incomplete (%(hours)s h in all).",
            len(days),
        )
        found.append(text % {"meter": meter.label, "n": len(days), "hours": f.number(hours, 1)})
    known = {meter.id for meter in figures.facts.meters}
    gone = sorted(
        {
            meter
            for meter, quantity in figures.registers
            if meter not in known
            and quantity in _ENERGY
            and figures.sums(meter, quantity, period.first, last)
        }
    )
    if gone:
        text = ngettext(
            "%(meters)s measured in this time and stands in the configuration no more: what it counted is in "
            "none of these sums.",
            "%(meters)s measured in this time and stand in the configuration no more: what they counted is "
            "in none of these sums.",
            len(gone),
        )
        found.append(text % {"meters": ", ".join(gone)})
    others = figures.others
    assumed = [
        meter.label
        for meter in figures.facts.meters
        if meter.assumed and not meter.generates and meter not in others
    ]
    if assumed:
        text = ngettext(
            "The accuracy class of %(n)s meter is assumed: write its `class` and `ct_class` (%(meters)s).",
            "The accuracy class of %(n)s meters is assumed: write their `class` and `ct_class` (%(meters)s).",
            len(assumed),
        )
        found.append(text % {"n": len(assumed), "meters": ", ".join(assumed[:_MOST_DAYS])})
    return found


def _missing_facts(figures: Figures, f: Locale) -> list[str]:
    _ = f.gettext
    facts = figures.facts
    missing = (
        (facts.area is None, _("kWh per m² stands here once `building.area` is written.")),
        (
            facts.installed_kva is None and not facts.exempt,
            _("The reactive limits go by the installed power: write `building.installed_kva`."),
        ),
        (
            facts.contract_kw is None,
            _("Peaks are not compared with the contract: write `building.contract_kw`."),
        ),
        (facts.rules is None, _("No rules file can be used: tariff, CO₂ and TOE are not shown.")),
        (bool(figures.untold_plants), untold(figures, f)),
        (
            not facts.temperatures,
            _("Degree days stand here once `building.temperatures` names a file of mean temperatures."),
        ),
    )
    return [text for lacks, text in missing if lacks]


def sources(figures: Figures, lines: Sequence[ReportLine], f: Locale) -> list[str]:
    """Where the factors and limits stand."""
    _ = f.gettext
    rules, facts = figures.facts.rules, figures.facts
    if rules is None or not lines:
        return []
    found: list[str] = []
    days = (lines[0].first, lines[-1].last)
    for day in days:
        tep = rules.tep(day)
        if tep is not None:
            found.append(
                _("TOE = MWh × %(factor)s: %(source)s.")
                % {"factor": f.number(tep.value, 3), "source": tep.source}
            )
        co2 = rules.co2("consumption", day)
        if co2 is not None:
            found.append(_("CO₂ of what is drawn: %(source)s.") % {"source": co2.source})
        avoided = rules.co2("avoided", day) if facts.plants else None
        if avoided is not None:
            found.append(_("CO₂ that a plant avoids: %(source)s.") % {"source": avoided.source})
        tariff = figures.tariff_source(day)
        if tariff:
            found.append(_("Hours of the tariff: %(source)s.") % {"source": tariff})
        limits = rules.reactive(facts.installed_kva, day) if facts.installed_kva is not None else None
        if limits is not None and not facts.is_exempt(day):
            found.append(_("Reactive limits: %(source)s.") % {"source": limits.source})
    found.append(_("By our meters: sums are differences of their registers; the bill is the distributor's."))
    return list(dict.fromkeys(found))


def _whole(wh: int, f: Locale) -> str:
    return f.number(wh / 1000, 0)
