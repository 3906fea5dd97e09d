"""The local page, its API and metrics: read-only, no login, no external resource, no script needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.status.energy.shown import MeterLately
from gateway.status.exports.programs import Programs, ReadRows, told
from gateway.status.exports.query import WrongQuery
from gateway.status.page import energy_pages, render
from gateway.status.page.answers import Packed, SharedAnswers, pack, packed_answer
from gateway.status.page.chart import POLICY, power_chart
from gateway.status.page.guard import FORM_POLICY, Guard, refuse_all
from gateway.status.page.home import HomeCache
from gateway.status.page.lobby import Lobby
from gateway.status.page.no_answer import NoAnswer, meant, present, refused
from gateway.status.page.stream import Streams, event
from gateway.status.snapshot import Snapshot
from gateway.status.source import Source
from gateway.status.technician.pages import TechnicianPages
from gateway.status.technician.window import TechnicianDesk
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale, choose

PAUSE = 1.0
"""s between two updates of a page at least."""
IDLE = 5.0
"""s between two updates at most: ages go on, and a silent stream is a lost one."""

_STATIC = {name: pack(body) for name, body in render.STATIC.items()}
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def create_page(
    source: Source,
    names: Collection[str] = (),
    rows: ReadRows | None = None,
    desk: TechnicianDesk | None = None,
) -> Starlette:
    """The application of the page, the API and the metrics, fed from `source`; `names`: host names beside
    the machine's own; `rows`: batches as the journal has them; `desk`: whoever opens the technician's window.
    """
    page = Page(source)
    app = Starlette(
        routes=[
            Route("/", page.overview),
            Route("/meter/{meter}", page.meter),
            Route("/meter/{meter}/power.svg", page.power),
            Route("/system", page.system),
            *(Route(f"/{view}", page.energy) for view in energy_pages.VIEWS),
            Route("/report", page.report),
            Route("/report/{period}", page.report),
            Route("/screen", page.screen),
            Route("/live/", page.live_overview),
            Route("/live/screen", page.live_screen),
            Route("/live/meter/{meter}", page.live_meter),
            Route("/live/system", page.live_system),
            Route("/static/{name}", static),
            *page.programs(rows).routes(),
            *(page.technician(desk).routes() if desk else ()),
        ],
        middleware=[Middleware(Guard, names=names, forms=desk.window.accepts if desk else refuse_all)],
        exception_handlers={HTTPException: page.problem},
    )
    # A redirect would repeat whatever host name the visitor sent.
    app.router.redirect_slashes = False
    return app


def _of(visitor: render.Visitor) -> dict[str, str]:
    """Headers of a page that is made for one language."""
    return {"content-language": visitor.language, "vary": "Accept-Language"}


async def static(request: Request) -> Response:
    """A file of the page's own, from memory."""
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    kind = _TYPES[name[name.rindex(".") :]]
    # Its address changes with its content.
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return await packed_answer(request, _STATIC[name], kind, headers=kept)


class Page:
    """The requests of the page. Everything that takes time runs in the worker thread of `SharedAnswers`."""

    def __init__(self, source: Source) -> None:
        self._changes, self._trend = source.changes, source.trend
        self._answers = SharedAnswers(source)
        self._streams = Streams()
        self._home = HomeCache()
        self._kept = energy_pages.KeptPages()
        self._uses = energy_pages.MeterUses()
        self._lobby = Lobby()

    def programs(self, rows: ReadRows | None) -> Programs:
        """What programs ask, of the same answers."""
        return Programs(self._answers, self._changes, self._streams, rows)

    def technician(self, desk: TechnicianDesk) -> TechnicianPages:
        """The window that the button opens."""
        return TechnicianPages(desk, self._answers.snapshot, self._visitor)

    # pages

    async def overview(self, request: Request) -> Response:
        """All meters at a glance."""
        return await self._html("overview", request)

    async def meter(self, request: Request) -> Response:
        """Every value of one meter."""
        return await self._html("meter", request, self._meter_id(request))

    async def system(self, request: Request) -> Response:
        """Lines, store, platforms, clock."""
        return await self._html("system", request)

    async def energy(self, request: Request) -> Response:
        """Energy, reactive energy or data: a range of days, of the building or of one meter."""
        return await self._of_history(request.url.path[1:], request, told(request))

    async def report(self, request: Request) -> Response:
        """The report of a year or a month."""
        return await self._of_history(energy_pages.REPORT, request, told(request) | request.path_params)

    async def _of_history(self, view: str, request: Request, query: Mapping[str, str]) -> Response:
        visitor, history = self._visitor(request), self._answers.energy_history()
        try:
            html = await self._answers.make(
                ("energy", view, tuple(sorted(query.items())), visitor.language, visitor.asked),
                lambda now: self._kept.get(view, history, now, visitor, query),
            )
        except WrongQuery as error:
            raise refused(404, str(error)) from error
        headers = _of(visitor)
        if view == "energy":  # its days are chosen by a form
            headers = {**headers, "content-security-policy": FORM_POLICY}
        return await packed_answer(request, html, headers=headers)

    async def screen(self, request: Request) -> Response:
        """The lobby screen, where it is switched on; both languages in turn unless one is asked for."""
        fixed, history = self._screen_language(request), self._answers.energy_history()
        html = await self._answers.make(
            ("screen", fixed), lambda now: pack(self._lobby.whole(history, now, fixed))
        )
        return await packed_answer(request, html)

    async def live_screen(self, request: Request) -> Response:
        """The lobby screen as events."""
        fixed = self._screen_language(request)

        def make(now: Snapshot) -> str:
            return self._lobby.part(history, now, fixed)

        history = self._answers.energy_history()

        async def events() -> AsyncIterator[bytes]:
            nonlocal history
            async for _ in self._changes.follow(IDLE, IDLE):
                history = self._answers.energy_history()
                yield event("page", await self._answers.make(("live screen", fixed), make))

        return self._streams.open_one(events())

    def _screen_language(self, request: Request) -> str:
        """The language that is asked for; empty: in turn. Raises a 404 where there is no lobby screen."""
        if not self._answers.snapshot().screen:
            raise NoAnswer(
                404, "The lobby screen is not switched on.", hint="write `screen: true` under `status`"
            )
        return choose(request.query_params.get("lang"), "", "")

    async def live_overview(self, request: Request) -> Response:
        """The overview as events."""
        return self._live("overview", request)

    async def live_meter(self, request: Request) -> Response:
        """The page of a meter as events."""
        return self._live("meter", request, self._meter_id(request))

    async def live_system(self, request: Request) -> Response:
        """The technical page as events."""
        return self._live("system", request)

    async def power(self, request: Request) -> Response:
        """The last hour's active power of a meter as a picture."""
        meter = self._meter_id(request)
        language = self._visitor(request, "").language

        def draw(now: Snapshot) -> bytes:
            return power_chart(
                points, now.taken, Locale(language, now.timezone, now.taken), present(now, meter).interval
            )

        points = self._points(meter)
        svg = await self._answers.make(("power", meter, language), draw)
        return Response(svg, media_type="image/svg+xml", headers={"content-security-policy": POLICY})

    # shared

    async def problem(self, request: Request, error: Exception) -> Response:
        """An error as a page for people, as JSON for programs."""
        assert isinstance(error, HTTPException)
        if request.url.path.startswith(("/api/", "/live/", "/static/")):
            # Programs are told in English unless they ask for another language.
            asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language", "")
            f = Locale(choose(asked, accepted, "en"), "UTC", 0)
            hint = error.hint if isinstance(error, NoAnswer) else NoAnswer.hint
            body = {"error": in_words(error.detail, f), "hint": in_words(hint, f)}
            return JSONResponse(body, error.status_code, error.headers)
        visitor = self._visitor(request, "")
        status = error.status_code
        said = (error.detail, error.hint) if isinstance(error, NoAnswer) else None
        instead = meant(said[1], told(request)) if said else ""
        html = await self._answers.make(
            ("problem", status, said, instead, visitor.language, visitor.asked),
            lambda now: pack(render.problem(now, visitor, status, said, instead)),
        )
        return await packed_answer(request, html, headers=error.headers, status=status)

    async def _html(self, page: str, request: Request, meter: str = "") -> Response:
        visitor, points = self._visitor(request), self._points(meter)

        def make(now: Snapshot) -> Packed:
            view = present(now, meter) if meter else None
            title = render.called(view, visitor.language) if view else render.title(page, visitor.language)
            body = self._body(page, now, visitor, meter, points)
            return pack(render.whole(body, now, visitor, title))

        html = await self._answers.make(("whole", page, meter, visitor.language, visitor.asked), make)
        return await packed_answer(request, html, headers=_of(visitor))

    def _live(self, page: str, request: Request, meter: str = "") -> Response:
        visitor = self._visitor(request)

        def make(now: Snapshot) -> bytes:
            # A meter may vanish from the configuration while its page is open.
            if meter and not now.meter(meter):
                return b""
            return event("page", self._body(page, now, visitor, meter, points))

        points = self._points(meter)

        async def events() -> AsyncIterator[bytes]:
            nonlocal points
            async for _ in self._changes.follow(PAUSE, IDLE):
                points = self._points(meter)
                html = await self._answers.make(("live", page, meter, visitor.language, visitor.asked), make)
                if not html:
                    return
                yield html

        return self._streams.open_one(events())

    def _body(
        self, page: str, now: Snapshot, visitor: render.Visitor, meter: str, points: list[float | None]
    ) -> str:
        """The part of a page that lives, with what it says of the energy; in the worker thread."""
        energy, lately = render.NOTHING, MeterLately()
        if page == "overview":
            energy = self._home.get(self._answers.energy_history(), now, visitor.language)
        elif meter:
            lately = self._uses.get(self._answers.energy_history(), now, meter, visitor.language)
        return render.fragment(page, now, visitor, meter, points, energy, lately)

    def _points(self, meter: str) -> list[float | None]:
        """The last hour of a meter, asked on the loop where it is written; nothing for a page that has no
        picture.
        """
        return self._trend.points(meter, self._answers.snapshot().booted) if meter else []

    def _visitor(self, request: Request, path: str | None = None) -> render.Visitor:
        asked = request.query_params.get("lang")
        now = self._answers.snapshot()
        language = choose(asked, request.headers.get("accept-language", ""), now.language)
        if path is None:
            path = request.url.path
        # A page's stream always names the language; whether its links should is said beside it.
        keep = request.query_params.get("keep") == "1" if path.startswith("/live/") else asked == language
        return render.Visitor(language, path, asked=keep)

    def _meter_id(self, request: Request) -> str:
        name: str = request.path_params["meter"]
        present(self._answers.snapshot(), name)
        return name
