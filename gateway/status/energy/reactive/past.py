"""The months before this one: which passed a limit of reactive energy, on which days, and which of those
breaches cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.energy import DaySum, reactive
from gateway.status.energy.figures import IMPORT, Figures, KnownQuarters, total
from gateway.status.energy.period import month_of
from gateway.status.energy.shown import DataTable, kwh, sum_in_short
from gateway.status.words.language import Locale

_MONTHS = 12


@dataclass(frozen=True, slots=True)
class PastMonths:
    """The months that are over as a table, with what became of each; `notes`: what stands behind a breach."""

    title: str
    table: DataTable
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Month:
    """A month, how much of it is known, and what its days drew."""

    month: reactive.ReactiveMonth
    quarters: KnownQuarters
    drawn: Mapping[date, DaySum]

    @property
    def is_telling(self) -> bool:
        return reactive.is_telling(self.quarters.known, self.quarters.expected)


def past_months(figures: Figures, meter: str, quantities: tuple[str, str], f: Locale) -> PastMonths | None:
    """Of the twelve months before this one those that the history knows; None: it knows none."""
    _ = f.gettext
    months = _whole_months(figures, meter, quantities)
    rules, facts = figures.facts.rules, figures.facts
    assert rules is not None
    assert facts.installed_kva is not None
    limits = rules.reactive(facts.installed_kva, figures.today)
    if not months or limits is None:
        return None
    telling = [each.month for each in months if each.is_telling]
    judged = reactive.forgiveness(telling, facts.forgiven, limits.value.forgiven_per_year)
    states = {month.first: state for month, state in judged}
    rows, notes = [], []
    for each in reversed(months):
        month, state = each.month, states.get(each.month.first)
        ratios = [
            f.percent(amount / month.active, 1) if month.active else ""
            for amount in (month.inductive, month.capacitive)
        ]
        bounds = " · ".join(f.percent(limit / 100) for limit in month.limits)
        drawn = sum_in_short(kwh(month.active, f), whole=each.quarters.whole)
        rows.append((f.month(month.first), drawn, *ratios, bounds, _became(each, state, f)))
        if state in {"open", "forgiven"}:
            last = month_of(month.first).last
            varh = [figures.sums(meter, quantity, month.first, last) for quantity in quantities]
            notes.append(_evidence(each, varh, state, limits.source, f))
    heads = (
        _("Month"),
        _("Drawn, kWh"),
        _("Inductive"),
        _("Capacitive"),
        _("Limits"),
        _("What became of it"),
    )
    passed = sum(any(month.passed) for month in telling)
    gaps = any(not each.quarters.whole for each in months)
    return PastMonths(_title(passed, f, gaps=gaps), DataTable(heads, tuple(rows)), tuple(notes))


def _title(passed: int, f: Locale, *, gaps: bool) -> str:
    _ = f.gettext
    if passed:
        return f.ngettext(
            "%(n)s month before passed a limit", "%(n)s months before passed a limit", passed
        ) % {"n": passed}
    if gaps:
        return _("All months before kept the limits, as far as they are known")
    return _("All months before kept the limits")


def _became(each: _Month, state: reactive.Forgiveness | None, f: Locale) -> str:
    _ = f.gettext
    words = {
        "kept": _("kept"),
        "passed": _("passed: a charge"),
        "open": _("passed: may be disregarded"),
        "forgiven": _("passed, forgiven"),
        "too_many": _("passed; named as forgiven, but the year has no more"),
        "unfounded": _("kept; named as forgiven all the same"),
    }
    became = words[state] if state else _("not known as a whole")
    if not each.quarters.whole:
        hours = {"hours": f.number(each.quarters.missing_hours, 1)}
        became += "; " + _("%(hours)s h are not known") % hours
    return became


def _evidence(
    each: _Month,
    varh: Sequence[Mapping[date, DaySum]],
    state: reactive.Forgiveness | None,
    source: str,
    f: Locale,
) -> str:
    """What stands behind a breach that is, or may be, disregarded; `varh`: of both kinds by day."""
    _ = f.gettext
    month, names = each.month, (_("inductive"), _("capacitive"))
    kinds = zip(names, month.passed, (month.inductive, month.capacitive), strict=True)
    amounts = ", ".join(
        _("%(kind)s %(kvarh)s kvarh") % {"kind": name, "kvarh": kwh(amount, f)}
        for name, passed, amount in kinds
        if passed
    )
    said = {
        "month": f.month(month.first),
        "amounts": amounts,
        "kwh": kwh(month.active, f),
        "source": source,
        "name": f"{month.first:%Y-%m}",
    }
    if state == "forgiven":
        text = _(
            "%(month)s: %(amounts)s to %(kwh)s kWh drawn; disregarded, as the configuration says "
            "(%(source)s)."
        )
    else:
        text = _(
            "%(month)s: %(amounts)s to %(kwh)s kWh drawn; one breach a year may be disregarded "
            "(%(source)s). Look at the bill; when it was, add %(name)s to `building.forgiven`."
        )
    of_kinds = zip(names, month.passed, varh, month.limits, strict=True)
    days = [_days_above(name, each.drawn, its, limit, f) for name, passed, its, limit in of_kinds if passed]
    return " ".join(part for part in (text % said, *days) if part)


def _days_above(
    kind: str, drawn: Mapping[date, DaySum], amounts: Mapping[date, DaySum], limit: float, f: Locale
) -> str:
    """Which days of a month lie above its limit: when the compensation failed."""
    above = {
        day: amounts[day].sum / one.sum
        for day, one in drawn.items()
        if day in amounts and one.sum > 0 and reactive.is_breach(one.sum, amounts[day].sum, limit)
    }
    if not above:
        return ""
    worst = max(above, key=lambda day: above[day])
    said = {
        "kind": kind,
        "n": len(above),
        "first": f.short_day(min(above)),
        "last": f.short_day(max(above)),
        "ratio": f.percent(above[worst]),
        "worst": f.short_day(worst),
    }
    text = f.gettext(
        "Days above the limit (%(kind)s): %(n)s, the first %(first)s, the last %(last)s; most on %(worst)s: "
        "%(ratio)s."
    )
    return text % said


def _whole_months(figures: Figures, meter: str, quantities: tuple[str, str]) -> list[_Month]:
    """Of the twelve months before this one those that the history knows, and from their first day."""
    rules, facts = figures.facts.rules, figures.facts
    found = []
    month = month_of(figures.today)
    for back in range(_MONTHS, 0, -1):
        past = month.moved(-back)
        limits = rules.reactive(facts.installed_kva or 0.0, past.first) if rules else None
        if limits is None or figures.span is None or past.first < figures.span[0]:
            continue
        drawn = figures.sums(meter, IMPORT, past.first, past.last)
        if not drawn:
            continue
        inductive, capacitive = (
            figures.sum_of(meter, quantity, past.first, past.last) for quantity in quantities
        )
        bounds = (limits.value.inductive, limits.value.capacitive)
        quarters = figures.known_of(drawn, past.first, past.last)
        active = total(drawn.values())
        its = reactive.ReactiveMonth(past.first, active, inductive, capacitive, bounds)
        found.append(_Month(its, quarters, drawn))
    return found
