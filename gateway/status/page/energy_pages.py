"""The pages of energy: opened history in, HTML or JSON out. Runs in the page's worker thread."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from gateway.energy import Calendar
from gateway.errors import HistoryError
from gateway.status.energy.building import energy_view
from gateway.status.energy.facts import EnergyHistory
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, parse
from gateway.status.energy.quality import quality_view
from gateway.status.energy.reactive import reactive_view
from gateway.status.page import render
from gateway.status.report import view as report
from gateway.status.snapshot import Snapshot
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale

VIEWS = ("energy", "reactive", "quality")
REPORT = "report"
_MOST_QUERY = 200


class WrongQuery(Exception):
    """An address that cannot be understood; its text says why."""


def page(
    view: str, history: EnergyHistory | None, now: Snapshot, visitor: render.Visitor, query: Query
) -> str:
    """One of VIEWS or REPORT, complete. Raises WrongQuery."""
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
        with closing(history.open()) as reader:
            figures = _figures(history, reader, now)
            if not (figures.known or figures.givers):
                body = _nothing(history, f)
            elif view == "energy":
                shown: object = energy_view(figures, _period(query, figures), _meter(query, figures), f)
                body = render.energy_page(view, shown, now, visitor)
            elif view == REPORT:
                shown = _report(history, figures, query.get("period", ""), now, f)
                body = render.energy_page(view, shown, now, visitor)
            elif view == "reactive":
                body = render.energy_page(view, reactive_view(figures, f), now, visitor)
            else:
                body = render.energy_page(view, quality_view(figures, f), now, visitor)
    except HistoryError:
        body = _nothing(history, f)
    kept = urlencode({key: value for key, value in query.items() if key != "period"})
    return render.whole(body, now, visitor, titles[view], live=False, query=kept)


def _report(history: EnergyHistory, figures: Figures, name: str, now: Snapshot, f: Locale) -> object:
    try:
        period = report.report_period(name, figures)
    except ValueError as error:
        raise WrongQuery(str(error)) from error
    try:
        return report.report_view(figures, period, history.bills(), now.name, f)
    except HistoryError as error:
        shown = report.report_view(figures, period, (), now.name, f)
        shown.open_points.append(in_words(str(error), f))
        return shown


def _nothing(history: EnergyHistory | None, f: Locale) -> str:
    _ = f.gettext
    if history is not None and history.progress < 1:
        title = _("The past is being prepared: %(share)s") % {"share": f.percent(history.progress)}
        text = _("It is made from the readings that are kept; nothing has to be done.")
    else:
        title = _("Nothing is known of the energy yet")
        text = _("It begins a quarter hour after a meter with an energy register has answered.")
    return render.no_history(title, text)


def api(view: str, history: EnergyHistory | None, now: Snapshot, query: Query) -> tuple[str, str]:
    """(content type, text) of /api/v1/energy, tree, reactive or quality. Raises WrongQuery, HistoryError."""
    if history is None:
        raise HistoryError("this gateway computes no energy")
    with closing(history.open()) as reader:
        figures = _figures(history, reader, now)
        if view == "energy":
            period, meter = _period(query, figures), _meter(query, figures)
            if query.get("format") == "csv":
                return "text/csv; charset=utf-8", _csv(figures, period, meter)
            return "application/json", _dumps(_energy(figures, period, meter))
        if view == "tree":
            return "application/json", _dumps(_tree(figures, _period(query, figures)))
        if view == "reactive":
            return "application/json", _dumps(_reactive(figures, now))
        return "application/json", _dumps(_quality(figures, _period(query, figures)))


Query = Mapping[str, str]


def _figures(history: EnergyHistory, reader: object, now: Snapshot) -> Figures:
    return Figures(history.facts, reader, Calendar(ZoneInfo(now.timezone)), now.taken)  # type: ignore[arg-type]


def _period(query: Query, figures: Figures) -> Period:
    if sum(len(text) for text in query.values()) > _MOST_QUERY:
        raise WrongQuery("the address is too long")
    try:
        return parse(query, figures.today)
    except ValueError as error:
        raise WrongQuery(str(error)) from error


def _meter(query: Query, figures: Figures) -> str:
    meter = query.get("meter", "")
    if meter and all(each.id != meter for each in figures.facts.meters):
        raise WrongQuery(f"there is no meter {meter[:40]!r}")
    return meter


def _energy(figures: Figures, period: Period, meter: str) -> dict[str, object]:
    """Intervals of the quarter hours: start (ms UTC), Wh; `used` of the building or what a meter counted."""
    last = min(period.last, figures.today)
    values = figures.of(meter, period.first, last)
    tariff = figures.tariff(period.first)
    return {
        "meter": meter or None,
        "from": str(period.first),
        "to": str(period.last),
        "unit": "Wh",
        "seconds": 900,
        "sum": figures.total(values),
        "bands": figures.bands(values) if tariff else None,
        "intervals": [[start, value] for start, value in figures.quarters(values).items()],
    }


def _csv(figures: Figures, period: Period, meter: str) -> str:
    """A line per quarter hour: local time, start in ms UTC, kWh."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(["local", "start", "kwh"])
    values = figures.of(meter, period.first, min(period.last, figures.today))
    for start, value in figures.quarters(values).items():
        day, slot = figures.calendar.place(start)
        lines.writerow([f"{day} {slot // 4:02}:{slot % 4 * 15:02}", start, f"{value / 1000:.3f}"])
    return out.getvalue()


def _tree(figures: Figures, period: Period) -> dict[str, object]:
    rest = figures.rest(period)
    return {
        "from": str(period.first),
        "to": str(period.last),
        "unit": "Wh",
        "meters": [
            {
                "meter": part.meter.id,
                "parent": part.meter.parent or None,
                "energy": part.energy,
                "known": part.known,
            }
            for part in figures.parts(period)
        ],
        "unmetered": {"energy": rest.rest, "uncertainty": rest.band, "over_counted": rest.over_counted}
        if rest
        else None,
    }


def _reactive(figures: Figures, now: Snapshot) -> dict[str, object]:
    view = reactive_view(figures, Locale("en", now.timezone, now.taken))
    return {
        "source": view.source or None,
        "missing": view.missing,
        "kinds": [
            {
                "kind": kind.name,
                "limit": kind.budget.limit,
                "ratio": round(kind.budget.ratio, 2),
                "active": kind.budget.active,
                "reactive": kind.budget.reactive,
                "left": kind.budget.left,
                "recoverable_until": str(kind.budget.recoverable_until)
                if kind.budget.recoverable_until
                else None,
            }
            for kind in view.kinds
        ],
    }


def _quality(figures: Figures, period: Period) -> dict[str, object]:
    last = min(period.last, figures.today)
    return {
        "from": str(period.first),
        "to": str(period.last),
        "meters": {
            meter.id: [
                {
                    "day": str(day.day),
                    "expected": day.expected,
                    "known": day.known,
                    "measured": day.measured,
                    "lost": day.lost,
                }
                for day in figures.quality(meter, period.first, last)
            ]
            for meter in figures.facts.meters
        },
    }


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
