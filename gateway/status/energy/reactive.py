"""The page `/reactive`: will there be a charge this month, of which kind, and can it still be mended?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate

from gateway.energy import reactive
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve, Numbers
from gateway.status.energy.figures import IMPORT, Figures
from gateway.status.energy.period import month_of
from gateway.status.energy.shown import Choice, DataTable, Picture, downloads, kwh
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


@dataclass(slots=True)
class ReactiveView:
    """Everything that the page shows; `missing` says why something is not shown."""

    title: str = ""
    level: str = "ok"
    lead: str = ""
    kinds: list[ReactiveKind] = field(default_factory=list)
    source: str = ""
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    call: str = ""
    downloads: list[Choice] = field(default_factory=list)


def reactive_view(figures: Figures, f: Locale) -> ReactiveView:
    """The month of today."""
    _ = f.gettext
    view = ReactiveView()
    facts = figures.facts
    if facts.exempt:
        view.title = _("This building pays nothing for reactive energy")
        view.lead = _("The configuration says exempt: true in building.")
        return view
    if facts.installed_kva is None or facts.rules is None:
        view.title = _("Whether there will be a reactive charge cannot be said yet")
        view.missing.append(_("The limits go by the installed power: write installed_kva: in building."))
        return view
    limits = facts.rules.reactive(facts.installed_kva, figures.today)
    roots = [root for root in facts.roots if figures.counter(root) == IMPORT]
    if limits is None or len(roots) != 1:
        view.title = _("Whether there will be a reactive charge cannot be said yet")
        view.missing.append(_("It takes one main meter that counts what is drawn."))
        return view
    quantities = {quantity for meter, quantity in figures.registers if meter == roots[0].id}
    registers = reactive.registers(quantities, generation=bool(facts.plants))
    if isinstance(registers, str):
        view.title = _("Whether there will be a reactive charge cannot be said")
        view.missing.append(_why(registers, f))
        return view
    view.source = limits.source
    if registers.two_register:
        view.notes.append(
            _("By a meter with two reactive registers: with generation they could not be told apart.")
        )
    for quantity, name, limit in (
        (registers.inductive, _("inductive"), limits.value.inductive),
        (registers.capacitive, _("capacitive"), limits.value.capacitive),
    ):
        kind = _kind(figures, roots[0].id, quantity, name, limit, f)
        if kind is not None:
            view.kinds.append(kind)
    _headline(view, figures, f)
    view.downloads = downloads("reactive", "", f) if view.kinds else []
    view.notes.append(_("By our meter; the bill is the distributor's."))
    return view


def _why(reason: reactive.Reason, f: Locale) -> str:
    _ = f.gettext
    if reason == "two_registers_with_generation":
        return _(
            "The main meter has two reactive registers, and the building generates: only a meter with four "
            "quadrants can tell what counts."
        )
    return _("The main meter gives no reactive energy: its table has no such registers.")


def _kind(  # noqa: PLR0917 - what it is of
    figures: Figures, meter: str, quantity: str, name: str, limit: float, f: Locale
) -> ReactiveKind | None:
    _ = f.gettext
    month = month_of(figures.today)
    first = month.first - timedelta(_PAST)
    active = figures.by_day(figures.days(meter, IMPORT, first, figures.today))
    amounts = figures.by_day(figures.days(meter, quantity, first, figures.today))
    days = [
        reactive.ReactiveDay(day, active[day], amounts.get(day, 0))
        for day in sorted(active)
        if day in amounts or day < figures.today
    ]
    budget = reactive.budget(days, month.first, limit, figures.calendar, figures.today)
    if budget is None:
        return None
    level = {"green": "ok", "amber": "warn", "red": "bad"}[budget.colour]
    left = _("%(kvarh)s kvarh left") if budget.left >= 0 else _("passed by %(kvarh)s kvarh")
    until = ""
    if budget.left < 0:
        until = _("The limit is passed: nothing of this month can be saved any more.")
    elif budget.recoverable_until is not None:
        until = _("It can be mended until %(day)s.") % {"day": f.day(budget.recoverable_until)}
    decimals = 1 if abs(budget.ratio - limit) <= 5 else 0
    return ReactiveKind(
        name,
        level,
        {
            "ok": _("below the limit"),
            "warn": _("near the limit"),
            "bad": _("heading beyond the limit"),
        }[level],
        f.percent(budget.ratio / 100, decimals),
        f.percent(limit / 100),
        left % {"kvarh": kwh(abs(budget.left), f)},
        until,
        _picture(figures, budget, active, amounts, name, f),
        budget,
    )


def _picture(  # noqa: PLR0917 - what it shows
    figures: Figures,
    budget: reactive.ReactiveBudget,
    active: dict[date, int],
    amounts: dict[date, int],
    name: str,
    f: Locale,
) -> Picture:
    """The month's reactive energy, summed up, against what the limit allows of the expected active energy."""
    _ = f.gettext
    month = month_of(figures.today)
    days = [month.first + timedelta(number) for number in range(month.days)]
    so_far = [amounts.get(day, 0) / 1000 for day in days if day <= figures.today]
    sums = list(accumulate(so_far))
    left = len(days) - len(sums)
    end = budget.reactive_expected / 1000
    ahead: list[float | None] = [None] * (len(sums) - 1) + [sums[-1]]
    ahead += [sums[-1] + (end - sums[-1]) * number / left for number in range(1, left + 1)]
    padded: list[float | None] = [*sums, *([None] * left)]
    limit = budget.active_expected * budget.limit / 100_000
    ticks = [(0.0, "1"), (9 / (len(days) - 1) * 100, "10"), (19 / (len(days) - 1) * 100, "20")]
    svg = charts.curves(
        [Curve(tuple(ahead), "fc"), Curve(tuple(padded), "now")],
        height=_HEIGHT,
        says=_("Reactive energy (%(kind)s) since the beginning of the month in kvarh, against its limit")
        % {"kind": name},
        number=Numbers(f.number, "kvarh"),
        ticks=[*ticks, (100.0, str(len(days)))],
        dot=((len(sums) - 1) / max(1, len(days) - 1) * 100, sums[-1], f.number(sums[-1], 0)),
        limit=limit,
    )
    rows = tuple(
        (
            f.short_day(day),
            kwh(active.get(day, 0), f),
            kwh(amounts.get(day, 0), f),
            f.percent(amounts.get(day, 0) / active[day], 1) if active.get(day) else "",
        )
        for day in days
        if day <= figures.today
    )
    heads = (_("Day"), _("Drawn, kWh"), _("Reactive, kvarh"), _("Ratio"))
    notes = (_("Red line: what the limit allows of this month's expected energy. Dashed: what is expected."),)
    return Picture("", svg, DataTable(heads, rows), _("kvarh since the first of the month"), notes)


def _headline(view: ReactiveView, figures: Figures, f: Locale) -> None:
    _ = f.gettext
    if not view.kinds:
        view.title = _("Nothing of this month is known yet")
        return
    worst = max(view.kinds, key=lambda kind: ("ok", "warn", "bad").index(kind.level))
    view.level = worst.level
    if worst.level == "ok":
        view.title = _("No reactive charge is expected")
        view.lead = _("This month is heading for %(ratio)s %(kind)s; the limit is %(limit)s.") % {
            "ratio": worst.ratio,
            "kind": worst.name,
            "limit": worst.limit,
        }
        return
    if worst.level == "warn":
        view.title = _("The month comes near the limit for reactive energy")
    else:
        view.title = _("A reactive charge is coming: %(kind)s") % {"kind": worst.name}
    view.lead = _("Heading for %(ratio)s, the limit is %(limit)s: %(left)s. %(until)s") % {
        "ratio": worst.ratio,
        "limit": worst.limit,
        "left": worst.left,
        "until": worst.until,
    }
    firm, phone = figures.facts.service
    said = _(
        "Tell the maintenance firm: the compensation does not keep up (%(kind)s %(ratio)s of %(limit)s)."
    ) % {"kind": worst.name, "ratio": worst.ratio, "limit": worst.limit}
    view.call = f"{said} {firm} {phone}".strip() if firm else said
