"""HTML of the fleet: pure, but for reading the templates once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from gateway import __version__
from gateway.common.templates import templates
from gateway.platform import words
from gateway.receiver import DayHistory, FleetRow, FleetTotals, GatewayHistory
from gateway.status import LANGUAGES, Locale

HERE = Path(__file__).parent
STYLE = (HERE / "static" / "fleet.css").read_bytes()
STAMP = hashlib.blake2b(STYLE, digest_size=6).hexdigest()
PER_PAGE = 50
MOSTLY = 0.95
"""Of the time online: a day like that is no matter of note."""
LEVELS = {
    **dict.fromkeys(("contradicted", "clone", "conflicts"), "bad"),
    **dict.fromkeys(("offline", "silent", "unread"), "warn"),
}
_ENVIRONMENT = templates(HERE / "templates")


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what: the language, whether it was chosen by name, and what else stands in the address."""

    language: str
    path: str
    asked: bool
    search: str = ""
    problem: str = ""
    page: int = 1

    def url(self, path: str, **query: str | int) -> str:
        """A link that keeps the language when it was chosen; what is empty is left out."""
        told = {key: value for key, value in query.items() if value} | (
            {"lang": self.language} if self.asked and "lang" not in query else {}
        )
        return f"{path}?{urlencode(told)}" if told else path

    def here(self, **change: str | int) -> str:
        """This address with another language, problem or page."""
        known: dict[str, str | int] = {"q": self.search, "problem": self.problem}
        return self.url(self.path, **(known | {"page": self.page if self.page > 1 else ""} | change))


@dataclass(frozen=True, slots=True)
class FleetPage:
    """Gateways that were found, how many there are in all, and which part of today's polls each answered."""

    rows: list[FleetRow]
    count: int
    today: dict[str, float]


def fleet(visit: Visit, totals: FleetTotals, found: FleetPage, now: int) -> str:
    """The page of all gateways."""
    pages = max(1, -(-found.count // PER_PAGE))
    today = {gateway: math.floor(part * 1000) / 1000 for gateway, part in found.today.items()}
    return _render(
        "fleet.html", visit, now, "UTC",
        totals=totals, rows=found.rows, count=found.count, pages=pages, today=today,
    )  # fmt: skip


def gateway(visit: Visit, history: GatewayHistory, now: int) -> str:
    """The page of one gateway."""
    days = list(reversed(history.days.items()))
    return _render(
        "gateway.html", visit, now, history.row.timezone, history=history, row=history.row, days=days
    )


def trouble(visit: Visit, what: str, hint: str, now: int) -> str:
    """A page that says why there is none."""
    return _render("trouble.html", visit, now, "UTC", what=what, hint=hint)


def level(name: str) -> str:
    """How bad a problem is: bad, warn or note."""
    return LEVELS.get(name, "note")


def shade(day: DayHistory) -> str:
    """How a day was, in one word for its square: bad, warn, good, or none when nothing is known of it."""
    if day.states["contradicted"]:
        return "bad"
    if day.states["incomplete"] or day.online < MOSTLY * day.samples:
        return "warn"
    return "good" if day.samples or day.states["complete"] else "none"


def _render(template: str, visit: Visit, now: int, timezone: str, **more: object) -> str:
    f = Locale(visit.language, timezone, now)
    context: Mapping[str, object] = {
        "f": f,
        "_": f.gettext,
        "ngettext": f.ngettext,
        "visit": visit,
        "now": now,
        "languages": LANGUAGES,
        "stamp": STAMP,
        "version": __version__,
        "names": {name: f.gettext(text) for name, text in words.NAMES.items()},
        "advice": {name: f.gettext(text) for name, text in words.ADVICE.items()},
        "states": {name: f.gettext(text) for name, text in words.STATES.items()},
        "problem": lambda name, row: words.problem(name, row, f, now),
        "ago": lambda at: words.ago(at, f, now),
        "level": level,
        "shade": shade,
        "per_page": PER_PAGE,
        **more,
    }
    return _ENVIRONMENT.get_template(template).render(context)
