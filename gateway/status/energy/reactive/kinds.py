"""One kind of reactive energy in a month, inductive or capacitive: how far it is, where it is heading, and
its picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

from gateway.energy import reactive
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve, Numbers
from gateway.status.energy.figures import IMPORT, Figures, by_day
from gateway.status.energy.gauge import left_of, reactive_ratio
from gateway.status.energy.month import curve_ahead
from gateway.status.energy.period import Period
from gateway.status.energy.shown import DataTable, Picture, kwh, sum_in_short, titles_of
from gateway.status.words.language import Locale

_HEIGHT = 220
_PAST = 62
"""Days before the month that tell what the coming days will be like."""


@dataclass(frozen=True, slots=True)
class ReactiveKind:
    """Inductive or capacitive, in words; `level` is ok, warn or bad."""

    name: str
    level: str
    says: str
    ratio: str
    limit: str
    left: str
    until: str
    picture: Picture
    budget: reactive.ReactiveBudget
    since: date | None
    """The first day that was measured, where the month began before it: nobody knows the whole month."""


@dataclass(frozen=True, slots=True)
class KindOfMonth:
    """What a kind is judged by: a register of a meter, in a month, against a limit in per cent."""

    figures: Figures
    month: Period
    meter: str
    quantity: str
    name: str
    limit: float

    @property
    def is_over(self) -> bool:
        """Whether nothing of the month lies ahead."""
        return self.month.last < self.figures.today


def kind_of(of: KindOfMonth, f: Locale) -> ReactiveKind | None:
    """What is known of it; None: nothing of the month."""
    figures, month = of.figures, of.month
    first, last = month.first - timedelta(_PAST), min(month.last, figures.today)
    active = by_day(figures.sums(of.meter, IMPORT, first, last))
    amounts = by_day(figures.sums(of.meter, of.quantity, first, last))
    both = sorted(active.keys() & amounts.keys())
    days = [reactive.ReactiveDay(day, active[day], amounts[day]) for day in both]
    budget = reactive.budget(days, month.first, of.limit, figures.calendar, figures.today)
    if budget is None:
        return None
    mine = figures.sums(of.meter, of.quantity, month.first, last)
    whole = figures.known_of(mine, month.first, month.last).whole
    level = {"green": "ok", "amber": "warn", "red": "bad"}[budget.colour]
    left = left_of(budget, f, is_over=of.is_over, whole=whole)
    until = "" if of.is_over else _until(budget, f)
    begun = min(both, default=month.first)
    since = begun if begun > month.first else None
    if since is not None:
        # What was used before counts for the bill, too: the limit of the whole month is not known.
        level, left, until = ("warn" if level == "bad" else level), f.gettext("not known"), ""
    return ReactiveKind(
        of.name,
        level,
        _says(level, f, is_over=of.is_over),
        reactive_ratio(budget.ratio, f),
        f.percent(of.limit / 100),
        left,
        until,
        _picture(of, budget, active, amounts, f, whole=whole),
        budget,
        since,
    )


def _says(level: str, f: Locale, *, is_over: bool) -> str:
    _ = f.gettext
    if level == "bad":
        return _("above the limit") if is_over else _("heading beyond the limit")
    return _("below the limit") if level == "ok" else _("near the limit")


def _until(budget: reactive.ReactiveBudget, f: Locale) -> str:
    _ = f.gettext
    if budget.left < 0:
        return _("Nothing of this month can be saved any more.")
    if budget.recoverable_until is None:
        return ""
    return _("It can be mended until %(day)s.") % {"day": f.day(budget.recoverable_until)}


def _picture(
    of: KindOfMonth,
    budget: reactive.ReactiveBudget,
    active: Mapping[date, int],
    amounts: Mapping[date, int],
    f: Locale,
    *,
    whole: bool,
) -> Picture:
    """The month's reactive energy, summed up, against what the limit allows of the active energy: of a month
    that goes on of what is expected.
    """
    _ = f.gettext
    month, today = of.month, of.figures.today
    days = [month.first + timedelta(number) for number in range(month.days)]
    sums = list(accumulate(amounts.get(day, 0) / 1000 for day in days if day <= today))
    padded: list[float | None] = [*sums, *([None] * (len(days) - len(sums)))]
    limit = budget.active_expected * budget.limit / 100_000
    text = f.number(sums[-1], 0)
    ticks = [(0.0, "1"), (9 / (len(days) - 1) * 100, "10"), (19 / (len(days) - 1) * 100, "20")]
    rows = tuple(
        (
            f.short_day(day),
            *(kwh(each[day], f) if day in each else "" for each in (active, amounts)),
            f.percent(amounts[day] / active[day], 1) if active.get(day) and day in amounts else "",
        )
        for day in days
        if day <= today
    )
    heads = (_("Day"), _("Drawn, kWh"), _("Reactive, kvarh"), _("Ratio"))
    note = _("Red line: what the limit allows of this month's expected energy. Dashed: what is expected.")
    if of.is_over:
        note = _("Red line: what the limit allows of the month's energy.")
    svg = charts.curves(
        [*curve_ahead(sums, len(days), budget.reactive_expected / 1000), Curve(tuple(padded), "now")],
        height=_HEIGHT,
        says=_("Reactive energy (%(kind)s) since the beginning of the month in kvarh, against its limit")
        % {"kind": of.name},
        number=Numbers(f.number, "kvarh"),
        ticks=[*ticks, (100.0, str(len(days)))],
        dot=((len(sums) - 1) / max(1, len(days) - 1) * 100, sums[-1], sum_in_short(text, whole=whole)),
        limit=limit,
        titles=titles_of(heads, [*rows, *([("",) * 4] * (len(days) - len(sums)))]),
    )
    return Picture("", svg, DataTable(heads, rows), _("kvarh since the first of the month"), (note,))
