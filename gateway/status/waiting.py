"""The page of a gateway that has no configuration yet: what it waits for, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.status.page import render
from gateway.status.page.app import static
from gateway.status.page.guard import Guard
from gateway.status.words.language import choose

LANGUAGE = "tr"
"""Of a visitor whose browser names neither; as `status.language` says when nobody has written it."""


def create_waiting(problems: Callable[[], Sequence[str]], names: Collection[str] = ()) -> Starlette:
    """The application: the page at every address of the real one, and nothing for programs yet.

    `problems` are the mistakes of a configuration that is there; none while there is no file.
    """

    async def page(request: Request) -> Response:
        language = choose(
            request.query_params.get("lang"), request.headers.get("accept-language", ""), LANGUAGE
        )
        html = render.waiting(language, problems())
        return HTMLResponse(
            html, 503, {"content-language": language, "vary": "Accept-Language", "retry-after": "15"}
        )

    async def program(_: Request) -> Response:
        hint = "sudo submeter check" if problems() else "sudo submeter setup"
        body = {"error": "the gateway waits for its configuration", "hint": hint}
        return JSONResponse(body, 503, {"retry-after": "15"})

    app = Starlette(
        routes=[
            Route("/static/{name}", static),
            *(Route(path, program) for path in ("/healthz", "/metrics", "/api/{rest:path}")),
            Route("/{rest:path}", page),
        ],
        middleware=[Middleware(Guard, names=names)],
    )
    app.router.redirect_slashes = False
    return app
