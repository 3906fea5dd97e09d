"""The control socket's application: the commands of this host ask the running daemon. Never served on the
network.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.common.near import did_you_mean
from gateway.common.text import visible
from gateway.errors import BusDown, BusError, ConfigError, GatewayError, JournalError
from gateway.status.api import as_json
from gateway.status.control.actions import Actions
from gateway.status.snapshot import MeterView, Snapshot

log = logging.getLogger(__name__)

MAX_ROWS = 1000
SEQ_LIMIT = 2**53
_DIGITS = 16
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


class _NoSuchMeter(GatewayError):
    """The meter that was asked for is not in the configuration."""


class _BadQuery(GatewayError):
    """A query parameter that cannot be used."""


def create_control(snapshot: Callable[[], Snapshot], actions: Actions) -> Starlette:
    """The application behind the control socket. Errors are `{"error": …, "hint": …}` with a fitting
    status code.
    """
    control = _Control(snapshot, actions)
    app = Starlette(
        routes=[
            _route("GET", "/status", control.status),
            _route("GET", "/configuration", control.configuration),
            _route("GET", "/configuration/changes", control.unread_changes),
            _route("POST", "/read", control.read),
            _route("POST", "/v1/buses/{bus}/lend", control.lend),
            _route("POST", "/v1/buses/{bus}/return", control.give_back),
            _route("GET", "/pulses", control.pulses),
            _route("POST", "/pulses/{meter}", control.set_pulse),
            _route("POST", "/v1/energy/{meter}/{quantity}", control.correct),
            _route("POST", "/v1/meters/{meter}/swap/{step}", control.swap),
            _route("GET", "/journal", control.journal),
            _route("GET", "/journal/rows", control.rows),
            _route("POST", "/reload", control.reload),
        ],
        exception_handlers={GatewayError: _refused, HTTPException: _http},
    )
    app.router.redirect_slashes = False
    return app


class _Control:
    """The requests of the control socket."""

    def __init__(self, snapshot: Callable[[], Snapshot], actions: Actions) -> None:
        self._snapshot = snapshot
        self._actions = actions

    async def status(self, _: Request) -> Response:
        """The whole snapshot."""
        return JSONResponse(as_json(self._snapshot()))

    async def configuration(self, _: Request) -> Response:
        """Which file runs, and since when."""
        return JSONResponse(await self._actions.configuration())

    async def unread_changes(self, _: Request) -> Response:
        """What the file says by now otherwise than what runs."""
        return JSONResponse(await self._actions.unread_changes())

    async def read(self, request: Request) -> Response:
        """Meters polled now: those that are named, else all."""
        now = self._snapshot()
        named = [_meter(now, name) for name in request.query_params.getlist("meter")]
        readings = []
        for meter in named or [meter for meter in now.meters if meter.state != "disabled"]:
            try:
                reading = await self._actions.poll(meter.id)
            except BusError as error:
                reading = {"error": error.message, "hint": error.hint}
            # By which settings it was read belongs to the reading: the file may say something else by now.
            place = {
                "meter": meter.id,
                "label": meter.label,
                "driver": meter.driver,
                "bus": meter.bus,
                "address": meter.address,
            }
            readings.append({**place, **reading})
        return JSONResponse({"readings": readings})

    async def lend(self, request: Request) -> Response:
        """A bus, lent to a command for a while."""
        seconds = _number(request, "seconds", 60, 1, 3600)
        to = visible(request.query_params.get("to", ""), 60) or "a command"
        return JSONResponse(await self._actions.lend_bus(request.path_params["bus"], to, float(seconds)))

    async def give_back(self, request: Request) -> Response:
        """A lent bus, given back before its lease ends."""
        return JSONResponse(await self._actions.return_bus(request.path_params["bus"]))

    async def pulses(self, _: Request) -> Response:
        """Every pulse input."""
        return JSONResponse({"pulses": await self._actions.pulses()})

    async def set_pulse(self, request: Request) -> Response:
        """The register of a pulse input, set to what the meter shows."""
        text = request.query_params.get("value", "")
        if not _DECIMAL.fullmatch(text):
            raise _BadQuery(
                f"value={text[:40]!r} is not a number",
                hint="write the register as the meter shows it, like 1240.5",
            )
        return JSONResponse(await self._actions.set_pulse(request.path_params["meter"], float(text)))

    async def correct(self, request: Request) -> Response:
        """What a register took between two times, as a person knows it."""
        first, last = (_number(request, key, 0, 0, 2**53) for key in ("from", "to"))
        value = _number(request, "value", 0, 0, 2**53)
        why = visible(request.query_params.get("why", ""), 200)
        meter, quantity = (request.path_params[key] for key in ("meter", "quantity"))
        return JSONResponse(
            await self._actions.correct(meter, quantity, first=first, last=last, value=value, why=why)
        )

    async def swap(self, request: Request) -> Response:
        """A step of the exchange of a meter."""
        meter, step, actions = request.path_params["meter"], request.path_params["step"], self._actions
        person = {key: visible(request.query_params.get(key, ""), 200) for key in ("by", "why")}
        closing, opening = (_registers(request, key) for key in ("closing", "opening"))
        match step:
            case "begin":
                answer = await actions.begin_swap(meter, closing, **person)
            case "confirm":
                answer = await actions.confirm_swap(meter, **person)
            case "new":
                answer = await actions.new_meter(meter)
            case "end":
                answer = await actions.end_swap(meter, opening, same="same" in request.query_params)
            case "cancel":
                answer = await actions.cancel_swap(meter)
            case "pulses":
                begins, ends = next(iter(opening.values()), None), next(iter(closing.values()), None)
                if begins is None:
                    raise _BadQuery("opening is missing", hint="write what the new meter's display shows")
                answer = await actions.swap_pulses(meter, begins, ends, **person)
            case _:
                raise _BadQuery(f"{step!r} is no step of an exchange")
        return JSONResponse(answer)

    async def journal(self, _: Request) -> Response:
        """The state of the journal, as `submeter journal status` shows it, as JSON."""
        return JSONResponse(await self._actions.journal_status())

    async def rows(self, request: Request) -> Response:
        """Batches by their numbers (`first`, `last`, `limit`, `epoch`), as JSON."""
        first = _number(request, "first", 1, 0, SEQ_LIMIT)
        last = _number(request, "last", SEQ_LIMIT, 0, SEQ_LIMIT)
        limit = _number(request, "limit", 100, 1, MAX_ROWS)
        return JSONResponse(
            {"rows": await self._actions.journal_rows(first, last, limit, request.query_params.get("epoch"))}
        )

    async def reload(self, _: Request) -> Response:
        """Read the configuration again; what has changed, as JSON."""
        return JSONResponse(await self._actions.reload())


def _route(method: str, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    async def careful(request: Request) -> Response:
        # Left to the framework, an error of our own would be answered, raised again, and end the connection.
        try:
            return await endpoint(request)
        except (GatewayError, HTTPException):
            raise
        except Exception:
            log.exception("control socket: %s %s failed", request.method, request.url.path)
            body = {
                "error": "the daemon met an error of its own",
                "hint": "see its log: journalctl -u submeter-gateway",
            }
            return JSONResponse(body, 500)

    return Route(path, careful, methods=[method])


def _meter(snapshot: Snapshot, name: str) -> MeterView:
    meter = snapshot.meter(name)
    if meter is not None:
        return meter
    known = [meter.id for meter in snapshot.everything]
    hint = did_you_mean(name, known, f"configured: {', '.join(known) or 'none'}")
    raise _NoSuchMeter(f"there is no meter {name!r}", hint=hint)


def _registers(request: Request, key: str) -> dict[str, float]:
    """Registers by quantity, written as quantity:value."""
    found = {}
    for text in request.query_params.getlist(key):
        quantity, _, value = text.partition(":")
        if not _DECIMAL.fullmatch(value):
            raise _BadQuery(f"{key}={text[:60]!r} is not a register", hint="write quantity:value")
        found[quantity] = float(value)
    return found


def _number(request: Request, key: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(key)
    if text is None:
        return default
    # int() alone would take signs, spaces and underscores, and spend long on a long text.
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and low <= int(text) <= high):
        raise _BadQuery(f"{key}={text[:40]!r} is not a number from {low} to {high}")
    return int(text)


def _code(error: GatewayError) -> int:
    match error:
        case _NoSuchMeter():
            return 404
        case _BadQuery():
            return 400
        case BusDown() | JournalError():
            return 503
        case BusError():
            return 502
        case ConfigError():
            return 422
        case _:
            return 409


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    body: dict[str, Any] = {"error": error.message, "hint": error.hint}
    if isinstance(error, ConfigError):
        body["problems"] = [str(problem) for problem in error.problems]
    return JSONResponse(body, _code(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = (
        "this command and the running daemon may be of different versions"
        if error.status_code in {404, 405}
        else ""
    )
    return JSONResponse(
        {"error": f"{request.method} {request.url.path}: {error.detail}", "hint": hint},
        error.status_code,
        error.headers,
    )
