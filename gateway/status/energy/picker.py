"""The range picker: period, step and meter, as links that can be shared."""

from __future__ import annotations

from gateway.status.energy.figures import Figures
from gateway.status.energy.period import SPANS, STEPS, Period, Span, Step
from gateway.status.energy.shown import Choice, EnergyView, name_of
from gateway.status.words.language import Locale


def picker(view: EnergyView, figures: Figures, period: Period, meter: str, f: Locale) -> None:
    """Links to the periods around this one, to other spans, steps, meters, and downloads."""
    _ = f.gettext
    names: dict[Span, str] = {
        "day": _("Day"),
        "week": _("Week"),
        "month": _("Month"),
        "year": _("Year"),
        "range": "",
    }
    steps: dict[Step, str] = {
        "quarter": _("quarter hour"),
        "hour": _("hour"),
        "day": _("day"),
        "month": _("month"),
    }
    span = figures.span
    before, after = period.moved(-1), period.moved(1)
    if span is None or before.last >= span[0]:
        view.before = Choice(name_of(before, f), f"/energy?{before.query(meter)}")
    if after.first <= figures.today:
        view.after = Choice(name_of(after, f), f"/energy?{after.query(meter)}")
    anchor = min(max(period.first, figures.today if figures.today in period else period.first), period.last)
    for kind in SPANS:
        text = f"{anchor:%Y}" if kind == "year" else f"{anchor:%Y-%m}" if kind == "month" else str(anchor)
        which = f"&meter={meter}" if meter else ""
        view.spans.append(Choice(names[kind], f"/energy?{kind}={text}{which}", kind == period.span))
    for step in STEPS[period.span]:
        view.steps.append(Choice(steps[step], f"/energy?{period.query(meter, step)}", step == period.step))
    view.meters.append(Choice(_("Building"), f"/energy?{period.query()}", not meter))
    view.meters += [
        Choice(each.label, f"/energy?{period.query(each.id)}", each.id == meter)
        for each in figures.facts.meters
    ]
    for form in ("csv", "json"):
        view.downloads.append(Choice(form.upper(), f"/api/v1/energy?{period.query(meter)}&format={form}"))
