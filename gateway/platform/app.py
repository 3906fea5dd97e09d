"""The application: a page of all gateways, one of each, metrics, and whether all is well here. Reads only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar, cast
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.errors import JournalError
from gateway.platform import metrics, render
from gateway.platform.render import PER_PAGE, FleetPage, Visit
from gateway.receiver import SEVERITY, FleetReader, FleetRow, FleetTotals, FleetView, Signs, open_reader
from gateway.status import Guard, Locale, choose, in_words

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""There is no script and no picture."""
KEPT = 5.0
"""s that an answer is good for everybody who asks the same."""
MOST_KEPT = 64
REST = 2.0
"""Rest after an answer, as a multiple of what it took: visitors never have more than a third of the time."""
LONGEST_REST = 1.0
MOST_PAGES = 100_000
Made = TypeVar("Made")


class Live(Protocol):
    """A receiver in this process."""

    def signs(self) -> Signs:
        """How the receiver is at the moment."""


def create_platform_page(database: Path | str, live: Live | None, names: frozenset[str]) -> Starlette:
    """The application for a database that receivers have made; `names` are host names that a proxy sends."""
    page = _Page(FleetAnswers(database), live)
    app = Starlette(
        routes=[
            Route("/", page.fleet),
            Route("/gateway/{gateway}", page.gateway),
            Route("/metrics", page.metrics),
            Route("/healthz", page.healthz),
            Route("/static/fleet.css", page.style),
        ],
        middleware=[Middleware(Guard, names=names)],
        exception_handlers={HTTPException: page.problem, JournalError: unavailable},
    )
    app.router.redirect_slashes = False
    return app


class FleetAnswers:
    """What was asked of the database, made one after another in a thread of its own, kept for a moment."""

    def __init__(self, database: Path | str) -> None:
        self._database = database
        self._reader: FleetReader | None = None
        self._thread = ThreadPoolExecutor(1, "fleet-page")
        self._kept: dict[object, tuple[float, object]] = {}
        self._rests = 0.0
        """Until when nothing is asked (s, monotonic)."""

    async def make(self, key: object, make: Callable[[FleetView], Made]) -> Made:
        """What `make` says, or said a moment ago. Raises JournalError."""
        if (known := self._known(key)) is not None:
            return cast("Made", known[1])  # a key stands for one kind
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._make, key, make)

    def _known(self, key: object) -> tuple[float, object] | None:
        found = self._kept.get(key)
        return found if found is not None and time.monotonic() - found[0] < KEPT else None

    def _make(self, key: object, make: Callable[[FleetView], Made]) -> Made:
        if (known := self._known(key)) is not None:
            return cast("Made", known[1])
        # The rest after an answer is taken before the next one: nobody waits for an answer that is there.
        time.sleep(max(0.0, self._rests - time.monotonic()))
        began = time.monotonic()
        try:
            made = make(FleetView(self._open()))
        finally:
            now = time.monotonic()
            self._rests = now + min(LONGEST_REST, REST * (now - began))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = now, made
        return made

    def _open(self) -> FleetReader:
        if self._reader is None:
            self._reader = open_reader(self._database)
        return self._reader


class _Page:
    def __init__(self, answers: FleetAnswers, live: Live | None) -> None:
        self._answers = answers
        self._live = live

    async def fleet(self, request: Request) -> Response:
        """All gateways, the worst first."""
        query = request.query_params
        problem = query.get("problem", "")
        visit = _visit(
            request,
            search=query.get("q", "").strip()[:100],
            problem=problem if problem in SEVERITY else "",
            page=_number(query.get("page", "")),
        )

        def make(fleet: FleetView) -> str:
            first = (visit.page - 1) * PER_PAGE
            rows, count = fleet.page(visit.search, visit.problem, first, PER_PAGE)
            now = _now()
            today = fleet.today({row.gateway: _midnight(row.timezone, now) for row in rows}, now)
            return render.fleet(visit, fleet.totals(), FleetPage(rows, count, today), now)

        return _html(await self._answers.make(visit, make), visit)

    async def gateway(self, request: Request) -> Response:
        """One gateway, and how it was."""
        visit, name = _visit(request), request.path_params["gateway"]

        def make(fleet: FleetView) -> str | None:
            now = _now()
            history = fleet.gateway(name, now, _day_of)
            return None if history is None else render.gateway(visit, history, now)

        html = await self._answers.make(visit, make)
        if html is None:
            raise HTTPException(404)
        return _html(html, visit)

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus; also when the database does not answer."""

        def make(fleet: FleetView) -> tuple[FleetTotals, list[FleetRow]]:
            return fleet.totals(), fleet.page("", "", 0, metrics.NAMED)[0]

        totals: FleetTotals | None = None
        worst: list[FleetRow] = []
        with contextlib.suppress(JournalError):  # it says so itself
            totals, worst = await self._answers.make("metrics", make)
        signs = self._live.signs() if self._live else None
        return Response(metrics.exposition(signs, totals, worst), media_type=metrics.CONTENT_TYPE)

    async def healthz(self, _request: Request) -> Response:
        """200 while this process does its work, else 503 and why not."""
        signs = self._live.signs() if self._live else None
        wrong = []
        if signs and not signs.connected:
            wrong.append("no connection to the broker")
        if signs and not signs.database:
            wrong.append("the database cannot be written")
        try:
            await self._answers.make("healthz", lambda fleet: fleet.page("", "", 0, 1)[1])
        except JournalError as error:
            wrong.append(str(error))
        return JSONResponse({"ok": not wrong, "problems": wrong}, 503 if wrong else 200)

    async def style(self, _request: Request) -> Response:
        """The style sheet, from memory."""
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(render.STYLE, media_type="text/css; charset=utf-8", headers=kept)

    async def problem(self, request: Request, error: Exception) -> Response:
        """An address that does not exist."""
        assert isinstance(error, HTTPException)
        visit = _visit(request)
        _ = Locale(visit.language, "UTC", 0).gettext
        what, hint = (
            _("There is no such gateway."),
            _("Its id may be misspelt; search for it by a part of it."),
        )
        return _html(render.trouble(visit, what, hint, _now()), visit, error.status_code)


def unavailable(request: Request, error: Exception) -> Response:
    """A page that says why the database could not be asked."""
    assert isinstance(error, JournalError)
    visit = _visit(request)
    f = Locale(visit.language, "UTC", 0)
    what = f.gettext("The database does not answer at present.")
    return _html(render.trouble(visit, what, in_words(str(error), f), _now()), visit, 503)


def _visit(request: Request, search: str = "", problem: str = "", page: int = 1) -> Visit:
    asked = request.query_params.get("lang")
    language = choose(asked, request.headers.get("accept-language", ""), "en")
    return Visit(language, request.url.path, asked == language, search, problem, page)


def _html(text: str, visit: Visit, status: int = 200) -> Response:
    headers = {
        "content-security-policy": POLICY,
        "content-language": visit.language,
        "vary": "Accept-Language",
    }
    return HTMLResponse(text, status, headers)


def _number(text: str) -> int:
    return max(1, min(int(text), MOST_PAGES)) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _now() -> int:
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=200)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def _midnight(timezone: str, ms: int) -> int:
    """When the local day began that a time is in, both UTC in ms."""
    local = datetime.fromtimestamp(ms / 1000, _zone(timezone))
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp() * 1000)


def _day_of(timezone: str, ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, _zone(timezone)).date().isoformat()
