"""The page `/reactive`: will there be a charge this month, of which kind, and can it still be mended? And
what became of a month that is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from gateway.energy import reactive
from gateway.status.energy.figures import IMPORT, Figures, KnownQuarters
from gateway.status.energy.gauge import gauge
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.reactive.kinds import KindOfMonth, ReactiveKind, kind_of
from gateway.status.energy.reactive.past import (
    MONTHS,
    JudgedMonth,
    PastMonths,
    became,
    evidence,
    judged_months,
    past_months,
)
from gateway.status.energy.reactive.registers import main_meter, main_registers, reactive_registers
from gateway.status.energy.shown import Choice, Picture, downloads, kwh
from gateway.status.words.language import Locale


@dataclass(slots=True)
class ReactiveView:
    """Everything that the page shows of a month; `missing` says why something is not shown."""

    month: Period
    name: str
    title: str = ""
    level: str = "ok"
    lead: str = ""
    is_over: bool = False
    """Whether nothing of the month lies ahead."""
    evidence: str = ""
    """What stands behind a breach of such a month."""
    before: Choice | None = None
    after: Choice | None = None
    months: list[Choice] = field(default_factory=list)
    """All that the history knows, the newest first."""
    kinds: list[ReactiveKind] = field(default_factory=list)
    gauge: Picture | None = None
    """Where both kinds stand against their limits."""
    source: str = ""
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    call: str = ""
    downloads: list[Choice] = field(default_factory=list)
    quarters: KnownQuarters | None = None
    """How much of the month is known."""
    state: reactive.Forgiveness | None = None
    """What became of a month that is over."""
    past: PastMonths | None = None
    """The months before it."""


def reactive_view(figures: Figures, month: Period, f: Locale) -> ReactiveView:
    """A month, what became of it where it is over, and the months before it."""
    _ = f.gettext
    view = month_view(figures, month, f)
    main, registers = main_meter(figures), reactive_registers(figures)
    if main is None or registers is None:
        return view
    _picker(view, figures, f)
    view.downloads = downloads("reactive", month.query(), f) if view.kinds else []
    if view.source:
        quantities = (registers.inductive, registers.capacitive)
        judged = judged_months(figures, main.id, quantities, month.moved(-MONTHS), month)
        view.past = past_months(judged, month, f)
        if view.is_over and view.kinds:
            mine = next((each for each in judged if each.month.first == month.first), None)
            _became(view, mine, f)
            if mine is not None and mine.state in {"passed", "too_many"}:
                its = mine.month
                amount = reactive.charged(its.inductive, its.capacitive, its.active, its.limits)
                text = _("Once a limit is passed all of it is billed, not what is above: %(amount)s.")
                view.notes.insert(0, text % {"amount": _kvarh(figures, amount, month.last, f)})
    return view


def month_view(figures: Figures, month: Period, f: Locale) -> ReactiveView:
    """A month as far as it is known; of one that goes on, where it is heading."""
    _ = f.gettext
    view = ReactiveView(month, f.month(month.first), is_over=month.last < figures.today)
    facts, day = figures.facts, figures.today if figures.today in month else month.first
    if facts.is_exempt(day):
        view.title = _("This building pays nothing for reactive energy")
        view.lead = _why_exempt(figures, day, f)
        return view
    view.title = _("Whether there will be a reactive charge cannot be said yet")
    if facts.installed_kva is None or facts.rules is None:
        view.missing.append(_("The limits go by the installed power: write `building.installed_kva`."))
        return view
    limits, main = facts.rules.reactive(facts.installed_kva, day), main_meter(figures)
    if limits is None or main is None:
        view.missing.append(_no_main_meter(figures, f))
        return view
    registers = main_registers(figures, main)
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
        kind = kind_of(KindOfMonth(figures, month, main.id, quantity, name, limit), f)
        if kind is not None:
            view.kinds.append(kind)
    last = min(month.last, figures.today)
    its = (IMPORT, registers.inductive, registers.capacitive)
    sums = (figures.sums(main.id, name, month.first, last) for name in its)
    view.quarters = figures.known_of_all(sums, month.first, month.last)
    if view.kinds and not view.quarters.whole and view.kinds[0].since is None:
        text = _("Nothing is known of %(hours)s h of this month: what they took is in none of these numbers.")
        view.notes.append(text % {"hours": f.number(view.quarters.missing_hours, 1)})
    if view.kinds:
        view.gauge = gauge([(kind.name, kind.budget) for kind in view.kinds], f, is_over=view.is_over)
    if not view.is_over and (amount := _expected(view.kinds)):
        text = _("Once a limit is passed all of it is billed, not what is above: %(amount)s are expected.")
        view.notes.append(text % {"amount": _kvarh(figures, amount, figures.today, f)})
    _headline(view, figures, f)
    view.notes.append(_("By our meter; the bill is the distributor's."))
    return view


def _picker(view: ReactiveView, figures: Figures, f: Locale) -> None:
    """The months beside this one, and all that the history knows."""

    def choice(month: Period) -> Choice:
        return Choice(f.month(month.first), f"/reactive?{month.query()}", month.first == view.month.first)

    newest = month_of(figures.today)
    first = month_of(figures.span[0]) if figures.span else newest
    if first.first < view.month.first:
        view.before = choice(min(view.month.moved(-1), newest, key=lambda each: each.first))
    if view.month.first < newest.first:
        view.after = choice(max(view.month.moved(1), first, key=lambda each: each.first))
    while first.first <= newest.first:
        view.months.insert(0, choice(first))
        first = first.moved(1)


def _why_exempt(figures: Figures, day: date, f: Locale) -> str:
    facts = figures.facts
    if facts.exempt or facts.rules is None or facts.installed_kva is None:
        return f.gettext("The configuration says `building.exempt: true`.")
    limits = facts.rules.reactive(facts.installed_kva, day)
    text = f.gettext("%(kva)s kVA are installed: up to %(most)s kW nothing is charged (%(source)s).")
    said = {"kva": f.number(facts.installed_kva, 0)}
    if limits is not None:
        said |= {"most": f.number(limits.value.exempt_kw, 0), "source": limits.source}
    return text % said


def _no_main_meter(figures: Figures, f: Locale) -> str:
    _ = f.gettext
    if sum(bool(figures.counter(root)) for root in figures.facts.roots) > 1:
        return _(
            "The building has several main meters: each connection has its own limits and its own bill, and "
            "the configuration knows the installed power of the whole building alone."
        )
    return _("It takes one main meter that counts what is drawn.")


def _why(reason: reactive.Reason, f: Locale) -> str:
    _ = f.gettext
    if reason == "two_registers_with_generation":
        return _(
            "The main meter has two reactive registers, and the building generates: only a meter with four "
            "quadrants can tell what counts."
        )
    return _("The main meter gives no reactive energy: its table has no such registers.")


def _headline(view: ReactiveView, figures: Figures, f: Locale) -> None:
    _ = f.gettext
    if not view.kinds:
        if figures.today in view.month:
            view.title = _("Nothing of this month is known yet")
        elif view.is_over:
            view.title = _("%(period)s: nothing is known of it") % {"period": view.name}
        else:
            view.title = _("%(period)s: nothing is known of it yet") % {"period": view.name}
        return
    worst = max(view.kinds, key=lambda kind: ("ok", "warn", "bad").index(kind.level))
    view.level = worst.level
    said = {"kind": worst.name, "ratio": worst.ratio, "limit": worst.limit}
    if view.is_over:
        return  # what became of it tells
    if worst.since is not None:
        view.level = "busy" if view.level == "ok" else view.level
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


def _became(view: ReactiveView, judged: JudgedMonth | None, f: Locale) -> None:
    """What became of a month that is over, with what stands behind it."""
    _ = f.gettext
    worst = max(view.kinds, key=lambda kind: kind.budget.ratio / kind.budget.limit)
    said = {"month": view.name, "kind": worst.name, "ratio": worst.ratio, "limit": worst.limit}
    if judged is None or judged.state is None:
        view.level = "warn"
        view.title = _("Whether %(month)s kept its limits cannot be said") % said
        known = _(
            "Of what is known of it %(ratio)s are %(kind)s, the limit is %(limit)s; too much is missing."
        )
        view.lead = known % said
        return
    view.state = judged.state
    if not any(judged.month.passed):
        view.title = _("%(month)s kept its limits") % said
        view.lead = _("It came to %(ratio)s %(kind)s; the limit is %(limit)s.") % said
        if judged.state == "unfounded":
            view.lead += f" {became(judged, f)}."
        return
    view.level = "warn" if judged.is_disregarded else "bad"
    view.title = _("%(month)s passed a limit of reactive energy: %(kind)s") % said
    view.lead = _("It came to %(ratio)s, the limit is %(limit)s: %(left)s.") % (said | {"left": worst.left})
    view.evidence = evidence(judged, f)


def _expected(kinds: list[ReactiveKind]) -> int:
    """The varh that a month which goes on is billed for, as far as they are expected now; 0 where nobody
    knows its beginning.
    """
    if len(kinds) < 2 or any(kind.since for kind in kinds):
        return 0
    active = max(kind.budget.active_expected for kind in kinds)
    inductive, capacitive = (kind.budget.reactive_expected for kind in kinds)
    return reactive.charged(inductive, capacitive, active, (kinds[0].budget.limit, kinds[1].budget.limit))


def _kvarh(figures: Figures, varh: int, day: date, f: Locale) -> str:
    """Reactive energy, and what it costs where the tariff of a day has a price."""
    text, tariff = f"{kwh(varh, f)} kvarh", figures.tariff(day)
    if tariff is None or tariff.reactive_price is None:
        return text
    return f"{text}, {f.number(varh / 1000 * tariff.reactive_price, 0)} {tariff.reactive_currency}"
