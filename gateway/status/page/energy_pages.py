"""The pages of energy: opened history in, HTML out. Runs in the page's worker thread."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from urllib.parse import urlencode

from gateway.errors import HistoryError
from gateway.status.energy.building import energy_view, meter_use
from gateway.status.energy.facts import BuildingFacts, EnergyHistory
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import WORDS, Period
from gateway.status.energy.quality import polls_of_week, quality_view
from gateway.status.energy.reactive import reactive_view
from gateway.status.energy.shown import MeterLately
from gateway.status.exports.query import (
    Query,
    WrongQuery,
    check_range,
    figures_of,
    period_of,
    subject_of,
    today_of,
)
from gateway.status.page import render
from gateway.status.page.answers import Packed, pack
from gateway.status.page.home import preparing
from gateway.status.report import view as report
from gateway.status.snapshot import Snapshot
from gateway.status.words import check_notices
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale

VIEWS = ("energy", "reactive", "quality")
REPORT = "report"
KEPT = 60_000
"""ms that a page is shown again as it is: its numbers change by the quarter hour."""
_MOST = 12


class KeptPages:
    """The pages that were asked for last; for the page's worker thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[int, BuildingFacts, str, Packed]] = {}

    def get(
        self, view: str, history: EnergyHistory | None, now: Snapshot, visitor: render.Visitor, query: Query
    ) -> Packed:
        """One of VIEWS or REPORT, complete. Raises WrongQuery."""
        if history is None or history.progress < 1:
            return pack(page(view, history, now, visitor, query))
        key = (
            view,
            now.clock.synced,
            visitor.path,
            visitor.language,
            visitor.asked,
            tuple(sorted(query.items())),
        )
        kept = self._kept.pop(key, None)
        if kept is None or not 0 <= now.taken - kept[0] < KEPT or kept[1:3] != (history.facts, now.name):
            html = pack(page(view, history, now, visitor, query))
            kept = (now.taken, history.facts, now.name, html)
        self._kept[key] = kept
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return kept[3]


class MeterUses:
    """What meters counted lately and how they answered, for their pages; for the page's worker thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[int, MeterLately]] = {}

    def get(self, history: EnergyHistory | None, now: Snapshot, meter: str, language: str) -> MeterLately:
        """Of a meter; empty while nothing is known, or the day is not."""
        if history is None or not now.clock.synced:
            return MeterLately()
        kept = self._kept.pop((meter, language), None)
        if kept is None or not 0 <= now.taken - kept[0] < KEPT:
            kept = (now.taken, _lately(history, now, meter, language))
        self._kept[meter, language] = kept
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return kept[1]


def _lately(history: EnergyHistory, now: Snapshot, meter: str, language: str) -> MeterLately:
    f, view = Locale(language, now.timezone, now.taken), now.meter(meter)
    try:
        with closing(history.open()) as reader:
            figures = figures_of(history, reader, now)
            polls = polls_of_week(figures, meter, f) if view and view.bus else None
            found = check_notices.of_meter(figures.findings, meter, f)
            label = {meter: view.label} if view else {}
            wrong = check_notices.jobs(figures.findings, label, figures.end, f)
            return MeterLately(tuple(meter_use(figures, meter, f)), polls, found, tuple(wrong))
    except HistoryError:
        return MeterLately()


def page(
    view: str, history: EnergyHistory | None, now: Snapshot, visitor: render.Visitor, query: Query
) -> str:
    """One of VIEWS or REPORT, complete. Raises WrongQuery."""
    _check(view, now, query)
    f = Locale(visitor.language, now.timezone, now.taken)
    _ = f.gettext
    titles = {
        "energy": _("Energy"),
        "reactive": _("Reactive"),
        "quality": _("Data"),
        REPORT: _("Report"),
    }
    if history is None:
        return render.whole(_nothing(None, f), now, visitor, titles[view], live=False)
    try:
        shown = _shown(view, history, now, query, f)
        body = _nothing(history, f) if shown is None else render.energy_page(view, shown, now, visitor)
    except HistoryError:
        body = _nothing(history, f)
    if not now.clock.synced:
        body = (
            render.warning(_("The clock is not set yet: what is called today here may be another day."))
            + body
        )
    kept = urlencode({key: value for key, value in query.items() if key != "period"})
    return render.whole(body, now, visitor, titles[view], live=False, query=kept)


def _check(view: str, now: Snapshot, query: Query) -> None:
    """Raises WrongQuery for a range that there is not, or that the page is not of: also while nothing is
    known.
    """
    asked = next((word for word in WORDS if word in query), "")
    if view in {"energy", "reactive"}:
        # A page is no file, whatever format its address names: what a file may be of, it may not.
        check_range(view, {key: text for key, text in query.items() if key != "format"})
        period_of(query, today_of(now))
    elif asked and view == REPORT:
        raise WrongQuery("a report has an address of its own: write /report/2026 or /report/2026-11")
    elif view == REPORT and query.get("period"):
        _named_period(query["period"], today_of(now))
    elif asked:
        raise WrongQuery(f"this page is of one range alone: leave {asked}= out")


def _shown(view: str, history: EnergyHistory, now: Snapshot, query: Query, f: Locale) -> object:
    """What a view says, None where nothing is known yet; what was read of years is forgotten with it."""
    with closing(history.open()) as reader:
        figures = figures_of(history, reader, now)
        electricity = figures.known or figures.givers
        if not electricity and (view in {"reactive", REPORT} or not figures.others):
            return None
        if view == "energy":
            return energy_view(figures, period_of(query, figures.today), subject_of(query, figures), f)
        if view == REPORT:
            return _report(history, figures, query.get("period", ""), now, f)
        if view == "reactive":
            return reactive_view(figures, period_of(query, figures.today), f)
        return quality_view(figures, f)


def _named_period(name: str, today: date) -> Period:
    try:
        return report.named_period(name, today)
    except ValueError as error:
        raise WrongQuery(str(error)) from error


def _report(history: EnergyHistory, figures: Figures, name: str, now: Snapshot, f: Locale) -> object:
    period = _named_period(name, figures.today) if name else report.usual_period(figures)
    try:
        return report.report_view(figures, period, history.bills(), now.name, f)
    except HistoryError as error:
        shown = report.report_view(figures, period, (), now.name, f)
        shown.open_points.append(in_words(str(error), f))
        return shown


def _nothing(history: EnergyHistory | None, f: Locale) -> str:
    _ = f.gettext
    if history is not None and history.progress < 1:
        title = preparing(history, f)
        text = _("It is made from the readings that are kept; nothing has to be done.")
    else:
        title = _("Nothing is known of the energy yet")
        text = _("It begins a quarter hour after a meter with an energy register has answered.")
    return render.no_history(title, text)
