"""The page `/reactive`: will there be a charge this month, of which kind, and can it still be mended?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate

from gateway.energy import reactive
from gateway.status.energy import charts
from gateway.status.energy.charts import Curve, Numbers
from gateway.status.energy.figures import IMPORT, Figures, KnownQuarters, by_day
from gateway.status.energy.gauge import gauge, reactive_ratio
from gateway.status.energy.period import month_of
from gateway.status.energy.reactive.past import PastMonths, past_months
from gateway.status.energy.shown import Choice, DataTable, Picture, downloads, kwh, sum_in_short, titles_of
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


@dataclass(slots=True)
class ReactiveView:
    """Everything that the page shows; `missing` says why something is not shown."""

    title: str = ""
    level: str = "ok"
    lead: str = ""
    kinds: list[ReactiveKind] = field(default_factory=list)
    gauge: Picture | None = None
    """Where both kinds stand against their limits."""
    source: str = ""
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    call: str = ""
    downloads: list[Choice] = field(default_factory=list)
    quarters: KnownQuarters | None = None
    """How much of this month is known."""
    past: PastMonths | None = None
    """The whole months before."""


def reactive_view(figures: Figures, f: Locale) -> ReactiveView:
    """The month of today."""
    _ = f.gettext
    view = ReactiveView()
    facts = figures.facts
    if facts.is_exempt(figures.today):
        view.title = _("This building pays nothing for reactive energy")
        view.lead = _why_exempt(figures, f)
        return view
    if facts.installed_kva is None or facts.rules is None:
        view.title = _("Whether there will be a reactive charge cannot be said yet")
        view.missing.append(_("The limits go by the installed power: write `building.installed_kva`."))
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
    this = month_of(figures.today)
    active = figures.sums(roots[0].id, IMPORT, this.first, figures.today)
    view.quarters = figures.known_of(active, this.first, figures.today)
    if view.kinds and not view.quarters.whole and view.kinds[0].since is None:
        text = _("Nothing is known of %(hours)s h of this month: what they took is in none of these numbers.")
        view.notes.append(text % {"hours": f.number(view.quarters.missing_hours, 1)})
    if view.kinds:
        view.notes += _billed(figures, view.kinds, f)
        view.gauge = gauge([(kind.name, kind.budget) for kind in view.kinds], f)
    _headline(view, f)
    view.past = past_months(figures, roots[0].id, (registers.inductive, registers.capacitive), f)
    view.downloads = downloads("reactive", "", f) if view.kinds else []
    view.notes.append(_("By our meter; the bill is the distributor's."))
    return view


def _why_exempt(figures: Figures, f: Locale) -> str:
    facts = figures.facts
    if facts.exempt or facts.rules is None or facts.installed_kva is None:
        return f.gettext("The configuration says `building.exempt: true`.")
    limits = facts.rules.reactive(facts.installed_kva, figures.today)
    text = f.gettext("%(kva)s kVA are installed: up to %(most)s kW nothing is charged (%(source)s).")
    said = {"kva": f.number(facts.installed_kva, 0)}
    if limits is not None:
        said |= {"most": f.number(limits.value.exempt_kw, 0), "source": limits.source}
    return text % said


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
    active = by_day(figures.sums(meter, IMPORT, first, figures.today))
    amounts = by_day(figures.sums(meter, quantity, first, figures.today))
    both = sorted(active.keys() & amounts.keys())
    days = [reactive.ReactiveDay(day, active[day], amounts[day]) for day in both]
    budget = reactive.budget(days, month.first, limit, figures.calendar, figures.today)
    if budget is None:
        return None
    level = {"green": "ok", "amber": "warn", "red": "bad"}[budget.colour]
    mine = figures.sums(meter, quantity, month.first, figures.today)
    quarters = figures.known_of(mine, month.first, figures.today)
    if quarters.whole:
        left = _("%(kvarh)s kvarh left") if budget.left >= 0 else _("passed by %(kvarh)s kvarh")
    elif budget.left >= 0:
        left = _("at most %(kvarh)s kvarh left")
    else:
        left = _("passed by at least %(kvarh)s kvarh")
    until = ""
    if budget.left < 0:
        until = _("Nothing of this month can be saved any more.")
    elif budget.recoverable_until is not None:
        until = _("It can be mended until %(day)s.") % {"day": f.day(budget.recoverable_until)}
    says = {
        "ok": _("below the limit"),
        "warn": _("near the limit"),
        "bad": _("heading beyond the limit"),
    }[level]
    begun = min(both, default=month.first)
    since = begun if begun > month.first else None
    if since is not None:
        # What was used before counts for the bill, too: the limit of the whole month is not known.
        level, left, until = ("warn" if level == "bad" else level), _("not known"), ""
    return ReactiveKind(
        name,
        level,
        says,
        reactive_ratio(budget.ratio, f),
        f.percent(limit / 100),
        left if since else left % {"kvarh": kwh(abs(budget.left), f)},
        until,
        _picture(figures, budget, active, amounts, name, f, whole=quarters.whole),
        budget,
        since,
    )


def _picture(  # noqa: PLR0917 - what it shows
    figures: Figures,
    budget: reactive.ReactiveBudget,
    active: dict[date, int],
    amounts: dict[date, int],
    name: str,
    f: Locale,
    *,
    whole: bool,
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
    text = f.number(sums[-1], 0)
    ticks = [(0.0, "1"), (9 / (len(days) - 1) * 100, "10"), (19 / (len(days) - 1) * 100, "20")]
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
    svg = charts.curves(
        [Curve(tuple(ahead), "fc"), Curve(tuple(padded), "now")],
        height=_HEIGHT,
        says=_("Reactive energy (%(kind)s) since the beginning of the month in kvarh, against its limit")
        % {"kind": name},
        number=Numbers(f.number, "kvarh"),
        ticks=[*ticks, (100.0, str(len(days)))],
        dot=((len(sums) - 1) / max(1, len(days) - 1) * 100, sums[-1], sum_in_short(text, whole=whole)),
        limit=limit,
        titles=titles_of(heads, [*rows, *([("",) * 4] * left)]),
    )
    notes = (_("Red line: what the limit allows of this month's expected energy. Dashed: what is expected."),)
    return Picture("", svg, DataTable(heads, rows), _("kvarh since the first of the month"), notes)


def _headline(view: ReactiveView, f: Locale) -> None:
    _ = f.gettext
    if not view.kinds:
        view.title = _("Nothing of this month is known yet")
        return
    worst = max(view.kinds, key=lambda kind: ("ok", "warn", "bad").index(kind.level))
    view.level = worst.level
    said = {"kind": worst.name, "ratio": worst.ratio, "limit": worst.limit}
    if worst.since is not None:
        view.title = _("Whether there will be a reactive charge this month cannot be said")
        known = _(
            "Measured since %(day)s: %(ratio)s %(kind)s, the limit is %(limit)s. What the month took before "
            "counts, too, and is not known."
        )
        view.lead = known % (said | {"day": f.day(worst.since)})
        return
    if worst.level == "ok":
        view.title = _("No reactive charge is expected")
        view.lead = _("This month is heading for %(ratio)s %(kind)s; the limit is %(limit)s.") % said
        return
    if worst.level == "warn":
        view.title = _("The month comes near the limit for reactive energy")
    else:
        view.title = _("A reactive charge is coming: %(kind)s") % {"kind": worst.name}
    told = said | {"left": worst.left, "until": worst.until}
    view.lead = _("Heading for %(ratio)s, the limit is %(limit)s: %(left)s. %(until)s") % told
    call = _(
        "Tell the maintenance firm: the compensation does not keep up (%(kind)s %(ratio)s of %(limit)s)."
    )
    view.call = call % said


def _billed(figures: Figures, kinds: list[ReactiveKind], f: Locale) -> list[str]:
    """What a month that passes a limit is billed for, as far as it is expected now, and in money where the
    tariff has a price.
    """
    if len(kinds) < 2 or any(kind.since for kind in kinds):  # of one nobody knows
        return []
    active = max(kind.budget.active_expected for kind in kinds)
    amounts = [kind.budget.reactive_expected for kind in kinds]
    limits = (kinds[0].budget.limit, kinds[1].budget.limit)
    amount = reactive.charged(amounts[0], amounts[1], active, limits)
    if not amount:
        return []
    said = {"kvarh": kwh(amount, f), "money": _money(figures, amount, f)}
    return [
        f.gettext(
            "Once a limit is passed all of it is billed, not what is above: %(kvarh)s kvarh are "
            "expected%(money)s."
        )
        % said
    ]


def _money(figures: Figures, varh: int, f: Locale) -> str:
    """What reactive energy costs by today's tariff, to follow an amount; empty where it has no price."""
    tariff = figures.tariff(figures.today)
    if tariff is None or tariff.reactive_price is None:
        return ""
    return f", {f.number(varh / 1000 * tariff.reactive_price, 0)} {tariff.reactive_currency}"
