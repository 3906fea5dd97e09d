"""What every answer of the page carries, and what no request may do. Pure ASGI, outside of every route."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from gateway.common.troubles import Troubles

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FORM_POLICY = POLICY.replace("form-action 'none'", "form-action 'self'")
"""Of the pages that have a form: they may send it, and only here."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""A response may set its own value of these (the chart, static files); otherwise it gets them."""
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:/\[\]@]+))(?::\d{1,5})?")
METHODS = ("GET", "HEAD")
MAX_HEADERS = 16 * 1024
"""Bytes of path and headers together."""
MAX_QUERY = 2048
"""Bytes after the question mark."""
TELL_EVERY = 60.0
"""s between two log entries about errors of our own."""


MAX_FORM = 512
"""Bytes of a form of ours."""
_FORM = b"application/x-www-form-urlencoded"


def refuse_all(_path: str) -> bool:
    """No address takes a form."""
    return False


class Guard:
    """Lets reading requests through, refuses everything else, adds the security headers to whatever goes out.

    `names` are host names by which visitors may come, beside those that `is_ours` knows.
    """

    def __init__(
        self, app: ASGIApp, names: Collection[str] = (), forms: Callable[[str], bool] = refuse_all
    ) -> None:
        """`forms` says whether an address takes a form now: then one of a page of ours is let through."""
        self._app, self._forms = app, forms
        self._names = frozenset(name.casefold().removesuffix(".") for name in names)
        self._troubles = Troubles(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in present
                    ),
                ]
            await send(message)

        refusal = _refusal(scope, self._names, self._forms)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            self._tell(scope, error)
            if begun:
                raise
            await JSONResponse(
                {"error": "the gateway met an error of its own", "hint": "its log says more"}, 500
            )(scope, receive, guarded)

    def _tell(self, scope: Scope, error: Exception) -> None:
        # A page that fails is asked again every second: once a minute is enough to know.
        what = f"the page cannot answer {scope['method']} {scope['path']!r}"
        self._troubles.note("page", what, every=TELL_EVERY, level=logging.ERROR, cause=error)


def is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this machine: by an IP address, localhost, a name in .local, its own name,
    or one of `names`.

    A web page elsewhere can point a name of its own at this address and then read us through the visitor's
    browser (DNS rebinding); what it cannot do is to send another Host than its own name.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["address"]:
        return _is_address(match["address"])
    name = match["name"].casefold().removesuffix(".")
    own = os.uname().nodename.casefold()
    return (
        _is_address(name)
        or name.endswith(".local")
        or name in {"localhost", own, own.partition(".")[0]}
        or name in names
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refusal(scope: Scope, names: Collection[str], forms: Callable[[str], bool]) -> Response | None:
    form = scope["method"] == "POST" and forms(scope["path"])
    if scope["method"] not in METHODS and not form:
        return _refuse(405, "this page can only be read", {"allow": ", ".join(METHODS)})
    if (
        len(scope.get("raw_path") or b"") + sum(len(name) + len(value) for name, value in scope["headers"])
        > MAX_HEADERS
    ):
        return _refuse(431, f"path and headers have more than {MAX_HEADERS} bytes", {})
    headers = dict(scope["headers"])
    if (host := headers.get(b"host")) is not None and not is_ours(host.decode("latin-1").strip(), names):
        return _refuse(
            421,
            "this gateway does not go by that name",
            {},
            "open it by its IP address, or list the name in status.names",
        )
    if form:
        if _is_own_form(scope["headers"]):
            return None
        return _refuse(403, "no page of this gateway has sent this", {}, "open the page of the window again")
    if headers.get(b"content-length", b"0").strip() not in {b"0", b""} or b"transfer-encoding" in headers:
        # The body is never read: the connection cannot go on after it.
        return _refuse(400, "a reading request carries no body", {})
    if len(scope["query_string"]) > MAX_QUERY:
        return _refuse(414, f"the query has more than {MAX_QUERY} bytes", {})
    return None


def _is_own_form(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a browser says that a page of ours has sent a small form: by Origin, which no page elsewhere
    can change, and by Sec-Fetch-Site where the browser knows it.
    """
    known = dict(headers)
    host, origin = (known.get(name, b"").strip().lower() for name in (b"host", b"origin"))
    length = known.get(b"content-length", b"").strip()
    return (
        len(known) == len(headers)  # nothing is said twice
        and bool(host)
        and origin in {b"http://" + host, b"https://" + host}
        and known.get(b"sec-fetch-site", b"same-origin") == b"same-origin"
        and known.get(b"content-type", b"").partition(b";")[0].strip().lower() == _FORM
        and b"transfer-encoding" not in known
        and length.isdigit()
        and len(length) < 5
        and int(length) <= MAX_FORM
    )


def _refuse(
    status: int,
    error: str,
    headers: dict[str, str],
    hint: str = "GET without a body is all that is needed: see docs/api.md",
) -> Response:
    return JSONResponse({"error": error, "hint": hint}, status, {**headers, "connection": "close"})
