"""The local page: read-only, no login, no external resource, no script needed."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.status.api import as_json
from gateway.status.source import Source


def create_page(source: Source) -> Starlette:
    """The application of the page and the API."""

    async def status(_: Request) -> Response:
        return JSONResponse(as_json(source.snapshot()))

    return Starlette(routes=[Route("/api/v1/status", status)])
