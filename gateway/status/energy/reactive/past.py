"""Months that are over: which passed a limit of reactive energy, on which days, and which of those
breaches cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from gateway.energy import DaySum, reactive
from gateway.status.energy.figures import IMPORT, Figures, KnownQuarters, total
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.shown import DataTable, kwh, sum_in_short
from gateway.status.words.language import Locale

MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class PastMonths:
    """The months that are over as a table, with what became of each; `notes`: what stands behind a breach."""

    title: str
    table: DataTable
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedMonth:
    """A month, how much of it is known, what its days drew, inductive and capacitive ones' varh, who says the
    limits, and what became of it, so far where it goes on; None: too little is known to say.
    """

    month: reactive.ReactiveMonth
    quarters: KnownQuarters
    drawn: Mapping[date, DaySum]
    varh: tuple[Mapping[date, DaySum], Mapping[date, DaySum]]
    source: str
    state: reactive.Forgiveness | None = None

    @property
    def is_disregarded(self) -> bool:
        """Whether a breach of it costs nothing, or need not."""
        return self.state in {"open", "forgiven"}


def judged_months(
    figures: Figures, meter: str, quantities: tuple[str, str], first: Period, last: Period
) -> list[JudgedMonth]:
    """The months that the history knows from their first day, of two and all between, and what stands before
    those in their year, for a year has one breach that may be disregarded.
    """
    rules, facts = figures.facts.rules, figures.facts
    found: list[JudgedMonth] = []
    month, forgiven_per_year = month_of(first.first.replace(month=1)), 0
    while month.first <= min(last.first, figures.today):
        limits = rules.reactive(facts.installed_kva or 0.0, month.first) if rules else None
        known = figures.span is not None and month.first >= figures.span[0]
        drawn = figures.sums(meter, IMPORT, month.first, month.last) if limits and known else {}
        if limits is not None and drawn:
            forgiven_per_year = limits.value.forgiven_per_year
            one, two = (figures.sums(meter, quantity, month.first, month.last) for quantity in quantities)
            amounts = [total(each.values()) for each in (drawn, one, two)]
            bounds = (limits.value.inductive, limits.value.capacitive)
            its = reactive.ReactiveMonth(month.first, amounts[0], amounts[1], amounts[2], bounds)
            quarters = figures.known_of_all((drawn, one, two), month.first, month.last)
            found.append(JudgedMonth(its, quarters, drawn, (one, two), limits.source))
        month = month.moved(1)
    telling = [
        each.month for each in found if reactive.is_telling(each.quarters.known, each.quarters.expected)
    ]
    judged = reactive.forgiveness(telling, facts.forgiven, forgiven_per_year)
    states = {each.first: state for each, state in judged}
    return [replace(each, state=states.get(each.month.first)) for each in found]


def past_months(months: Sequence[JudgedMonth], before: Period, f: Locale) -> PastMonths | None:
    """The twelve months before one; None: none of them is known."""
    _ = f.gettext
    begin = before.moved(-MONTHS).first
    shown = [each for each in months if begin <= each.month.first < before.first]
    if not shown:
        return None
    rows = []
    for each in reversed(shown):
        month = each.month
        ratios = [
            f.percent(amount / month.active, 1) if month.active else ""
            for amount in (month.inductive, month.capacitive)
        ]
        bounds = " · ".join(f.percent(limit / 100) for limit in month.limits)
        drawn = sum_in_short(kwh(month.active, f), whole=each.quarters.whole)
        rows.append((f.month(month.first), drawn, *ratios, bounds, became(each, f)))
    heads = (
        _("Month"),
        _("Drawn, kWh"),
        _("Inductive"),
        _("Capacitive"),
        _("Limits"),
        _("What became of it"),
    )
    passed = sum(each.state is not None and any(each.month.passed) for each in shown)
    gaps = any(not each.quarters.whole for each in shown)
    notes = tuple(evidence(each, f) for each in reversed(shown) if each.is_disregarded)
    return PastMonths(_title(passed, f, gaps=gaps), DataTable(heads, tuple(rows)), notes)


def _title(passed: int, f: Locale, *, gaps: bool) -> str:
    _ = f.gettext
    if passed:
        return f.ngettext(
            "%(n)s month before passed a limit", "%(n)s months before passed a limit", passed
        ) % {"n": passed}
    if gaps:
        return _("All months before kept the limits, as far as they are known")
    return _("All months before kept the limits")


def became(each: JudgedMonth, f: Locale) -> str:
    """What became of a month, and how much of it is not known."""
    _ = f.gettext
    words = {
        "kept": _("kept"),
        "passed": _("passed: a charge"),
        "open": _("passed: may be disregarded"),
        "forgiven": _("passed, forgiven"),
        "too_many": _("passed; named as forgiven, but the year has no more"),
        "unfounded": _("kept; named as forgiven all the same"),
    }
    text = words[each.state] if each.state else _("not known as a whole")
    if not each.quarters.whole:
        hours = {"hours": f.number(each.quarters.missing_hours, 1)}
        text += "; " + _("%(hours)s h are not known") % hours
    return text


def evidence(each: JudgedMonth, f: Locale) -> str:
    """What stands behind a breach, and whether it is, or may be, disregarded."""
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
        "source": each.source,
        "name": f"{month.first:%Y-%m}",
    }
    if each.state == "forgiven":
        text = _(
            "%(month)s: %(amounts)s to %(kwh)s kWh drawn; disregarded, as the configuration says "
            "(%(source)s)."
        )
    elif each.state == "open":
        text = _(
            "%(month)s: %(amounts)s to %(kwh)s kWh drawn; one breach a year may be disregarded "
            "(%(source)s). Look at the bill; when it was, add %(name)s to `building.forgiven`."
        )
    else:
        text = _("%(month)s: %(amounts)s to %(kwh)s kWh drawn (%(source)s).")
    of_kinds = zip(names, month.passed, each.varh, month.limits, strict=True)
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
