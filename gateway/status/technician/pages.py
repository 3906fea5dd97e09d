"""The pages of the technician's window, and its two actions. Nothing here writes a configuration, or to a
meter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import GatewayError
from gateway.model import QUANTITIES
from gateway.status.page import render
from gateway.status.page.guard import FORM_POLICY
from gateway.status.page.no_answer import NoAnswer
from gateway.status.snapshot import Snapshot
from gateway.status.technician.window import IDENTIFY, OPEN, READ, WINDOW_SECONDS, TechnicianDesk
from gateway.status.words.errors import in_words
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale

PATH = "/technician"
COOKIE = "technician"
PATIENCE = 5.0
"""s that a form may take to arrive."""
PER_LINE = 8
"""Registers in a line."""


@dataclass(frozen=True, slots=True)
class PolledMeterView:
    """What a meter said when it was read from the window: lines to be shown as they are."""

    meter: str
    error: str
    values: tuple[tuple[str, str, str], ...]
    registers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TechnicianView:
    """What the template shows; without `mine` nothing but the way in."""

    now: Snapshot
    mine: bool
    left: str
    token: str = ""
    open_at: str = OPEN
    read_at: str = READ
    identify_at: str = IDENTIFY
    polled: PolledMeterView | None = None
    lamps: bool | None = None
    """Whether there were lamps that flash; None: nobody has asked."""
    lines: tuple[str, ...] = ()


class TechnicianPages:
    """Everything below /technician."""

    def __init__(self, desk: TechnicianDesk, snapshot: Callable[[], Snapshot], visitor: ToVisitor) -> None:
        self._desk, self._window = desk, desk.window
        self._snapshot, self._visitor = snapshot, visitor
        self._polled: dict[str, Any] | None = None
        self._lamps: bool | None = None

    def routes(self) -> list[Route]:
        """The routes of its addresses, all of them below /technician."""
        return [
            Route(PATH, self.show),
            Route(f"{PATH}/bundle", self.bundle),
            Route(OPEN, self.claim, methods=["POST"]),
            Route(READ, self.read, methods=["POST"]),
            Route(IDENTIFY, self.identify, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The window, for its owner; the way in, while it has none."""
        window, now = self._window, self._snapshot()
        if not window.is_open:
            raise HTTPException(404)
        mine = window.belongs_to(request.cookies.get(COOKIE, ""))
        if window.owned and not mine:
            raise _of_another()
        visitor = self._visitor(request)
        f = Locale(visitor.language, now.timezone, now.taken)
        view = TechnicianView(now, mine, f.span(window.left))
        if mine:
            polled = None if self._polled is None else _polled(self._polled, now, f)
            lines = tuple(await self._desk.lines())
            view = replace(view, token=window.token, polled=polled, lamps=self._lamps, lines=lines)
        html = await asyncio.to_thread(_page, view, now, visitor)
        headers = {
            "content-language": visitor.language,
            "content-security-policy": FORM_POLICY,
            # Without a referrer a browser would not say either where a form comes from.
            "referrer-policy": "same-origin",
        }
        return HTMLResponse(html, headers=headers)

    async def bundle(self, request: Request) -> Response:
        """Everything in one file, without secrets."""
        self._owner(request)
        self._window.used("bundle")
        text = json.dumps(await self._desk.bundle(), indent=1, ensure_ascii=False)
        name = f"submeter-{self._snapshot().gateway}.json"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type="application/json", headers=headers)

    async def claim(self, request: Request) -> Response:
        """The first browser gets it."""
        cookie = self._window.claim(request.client.host if request.client else "")
        if cookie is None:
            raise _of_another()
        self._polled = self._lamps = None
        answer = self._back(request)
        answer.set_cookie(
            COOKIE, cookie, max_age=int(WINDOW_SECONDS), path=PATH, httponly=True, samesite="strict"
        )
        return answer

    async def read(self, request: Request) -> Response:
        """Read a meter now."""
        form = await self._form(request)
        now, meter = self._snapshot(), form.get("meter", "")
        if meter not in {each.id for each in now.meters}:
            raise HTTPException(404, "there is no such meter")
        self._window.used("read", meter)
        try:
            self._polled = await self._desk.read(meter)
        except GatewayError as error:
            self._polled = {"meter": meter, "error": error.message, "hint": error.hint}
        return self._back(request)

    async def identify(self, request: Request) -> Response:
        """Let the lamps flash."""
        await self._form(request)
        self._window.used("identify")
        self._lamps = self._desk.identify()
        return self._back(request)

    def _owner(self, request: Request) -> None:
        if not self._window.is_open:
            raise HTTPException(404)
        if not self._window.belongs_to(request.cookies.get(COOKIE, "")):
            raise _of_another()

    async def _form(self, request: Request) -> Mapping[str, str]:
        """The fields of a form that its owner has sent, with a token that was not used before."""
        self._owner(request)
        try:
            async with asyncio.timeout(PATIENCE):
                body = await request.body()
        except TimeoutError:
            raise HTTPException(408) from None
        fields = {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
        if not self._window.spend(fields.get("token", "")):
            raise NoAnswer(
                403, "This form was sent before, or is of an older page.", hint="open the window's page again"
            )
        return fields

    def _back(self, request: Request) -> RedirectResponse:
        language = request.query_params.get("lang")
        query = f"?{urlencode({'lang': language})}" if language in {"tr", "en"} else ""
        return RedirectResponse(PATH + query, 303)


ToVisitor = Callable[[Request], render.Visitor]
"""In which language somebody is answered."""


def _of_another() -> NoAnswer:
    return NoAnswer(
        403,
        "The technician's window belongs to another browser.",
        hint="press the button: it ends; hold it again for five seconds",
    )


def _page(view: TechnicianView, now: Snapshot, visitor: render.Visitor) -> str:
    body = render.energy_page("technician", view, now, visitor)
    f = Locale(visitor.language, now.timezone, now.taken)
    return render.whole(body, now, visitor, f.gettext("The technician's window"), live=False)


def _polled(reading: Mapping[str, Any], now: Snapshot, f: Locale) -> PolledMeterView:
    meter = now.meter(str(reading.get("meter", "")))
    words = Words(f)
    values = [
        (words.quantity(name), f"{value:.12g}", QUANTITIES[name].unit if name in QUANTITIES else "")
        for name, value in reading.get("values", {}).items()
    ]
    absent = reading.get("absent", {}).items()
    values += [(words.quantity(name), "–", words.reason(reason)) for name, reason in absent]
    error = in_words(str(reading.get("error", "")), f) or words.reason(str(reading.get("missing", "")))
    return PolledMeterView(
        meter.label if meter else "", error, tuple(values), tuple(_registers(reading.get("registers")))
    )


def _registers(registers: list[tuple[int, int, list[int]]] | None) -> list[str]:
    """Function, address and words, as they came from the meter."""
    return [
        f"{function:02}  0x{first + at:04X}  " + " ".join(f"{word:04X}" for word in words[at : at + PER_LINE])
        for function, first, words in registers or ()
        for at in range(0, len(words), PER_LINE)
    ]
