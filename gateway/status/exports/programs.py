"""What programs ask: the snapshot, the history, files of it, batches as they are sent, and signs of life."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import HistoryError, JournalError
from gateway.status.api import as_json, meter_json
from gateway.status.exports import later
from gateway.status.exports.numbers import NUMBERS, answer
from gateway.status.exports.order import ExportOrder
from gateway.status.exports.query import Query, WrongQuery, check_range, file_period, meter_of, today_of
from gateway.status.exports.response import Busy, Exports
from gateway.status.page.answers import SharedAnswers, pack_all, packed_answer
from gateway.status.page.no_answer import NoAnswer, present, refused
from gateway.status.page.stream import Streams, event
from gateway.status.snapshot import Snapshot
from gateway.status.source import Changes
from gateway.status.words.language import choose

EVERY: Final = (1, 5, 60)
"""s between two events of the API: least, default, most."""
FILES: Final = ("energy", "tree", "reactive", "quality", "report")
"""What is given as a file, too."""
MOST_BATCHES: Final = 50
USUAL_BATCHES: Final = 10
LAST_SEQ: Final = 2**63 - 1
DESCRIPTION: Final = Path(__file__).parents[1] / "openapi.json"
QUERY: Final = ("day", "week", "month", "year", "from", "to", "by", "meter", "quantity", "format")
"""The parts of an address that name a range, a register, a form."""
ReadRows = Callable[[int, int, int, str | None], Awaitable[list[dict[str, Any]]]]
"""First and last number, how many at most, epoch → batches as they stand in the journal, oldest first."""


def told(request: Request) -> dict[str, str]:
    """The parts of an address that are known, cut to what they can be."""
    return {key: text[:64] for key, text in request.query_params.items() if key in QUERY}


class Programs:
    """The addresses below /api, /healthz and /metrics."""

    def __init__(
        self, answers: SharedAnswers, changes: Changes, streams: Streams, rows: ReadRows | None = None
    ) -> None:
        self._answers, self._changes, self._streams, self._rows = answers, changes, streams, rows
        self._exports = Exports()
        self._asking = asyncio.Semaphore(1)

    def routes(self) -> list[Route]:
        """All of them; docs/openapi.json has the same."""
        return [
            Route("/healthz", self.healthz),
            Route("/metrics", self.metrics),
            Route("/api/openapi.json", self.description),
            Route("/api/v1/status", self.status),
            Route("/api/v1/meters", self.meters),
            Route("/api/v1/meters/{meter}", self.meter),
            Route("/api/v1/events", self.events),
            Route("/api/v1/batches", self.batches),
            *(Route(f"/api/v1/{view}", self.history) for view in NUMBERS),
        ]

    async def healthz(self, _: Request) -> Response:
        """200 while every part of the daemon shows signs of life, else 503 with the reasons. Meters and
        platforms do not count.
        """
        dead = [
            f"{beat.name}: no sign of life for {beat.age:.0f} s, {beat.limit:.0f} s are allowed"
            for beat in self._answers.snapshot().beats
            if not beat.alive
        ]
        return JSONResponse({"status": "failing" if dead else "ok", "reasons": dead}, 503 if dead else 200)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text format."""
        return Response(
            await self._answers.make("metrics", _metrics),
            headers={"content-type": later.metrics.CONTENT_TYPE},
        )

    async def description(self, _: Request) -> Response:
        """These addresses, described for programs."""
        return _json(await asyncio.to_thread(DESCRIPTION.read_text, "utf-8"))

    async def status(self, _: Request) -> Response:
        """The whole snapshot."""
        return _json(await self._answers.make("status", _status))

    async def meters(self, _: Request) -> Response:
        """Every meter with its values."""
        return _json(await self._answers.make("meters", _meters))

    async def meter(self, request: Request) -> Response:
        """One meter with its values."""
        meter_id: str = request.path_params["meter"]
        present(self._answers.snapshot(), meter_id)

        def make(now: Snapshot) -> str:
            return _dumps({"taken": now.taken, "meter": meter_json(present(now, meter_id))})

        return _json(await self._answers.make(("meter", meter_id), make))

    async def events(self, request: Request) -> Response:
        """The whole snapshot again and again: event `status`."""
        every = _number(request, "every", EVERY)

        async def events() -> AsyncIterator[bytes]:
            async for _ in self._changes.follow(every, every):
                yield event("status", await self._answers.make("status", _status))

        return self._streams.open_one(events())

    async def batches(self, request: Request) -> Response:
        """Batches with their readings, events and intervals, as the journal has them."""
        limit = _number(request, "limit", (1, USUAL_BATCHES, MOST_BATCHES))
        now = self._answers.snapshot()
        newest = max(1, now.journal.seq - limit + 1)
        first = _number(request, "first", (0, newest, LAST_SEQ))
        epoch = request.query_params.get("epoch", now.journal.epoch)[:64]
        if self._rows is None:
            raise NoAnswer(503, "this gateway shows no batches", hint="see docs/api.md")
        try:
            async with self._asking:
                rows = await self._rows(first, LAST_SEQ, limit, epoch)
        except JournalError as error:
            raise NoAnswer(503, error.message, hint=error.hint) from error
        return JSONResponse({"epoch": epoch, "batches": rows})

    async def history(self, request: Request) -> Response:
        """A range of the history as JSON, or as a file."""
        view, query = request.url.path.removeprefix("/api/v1/"), told(request)
        history = self._answers.energy_history()
        try:
            check_range(view, query)
            if _form(query) != "json":
                return await self._file(view, request, query)
            numbers = await self._answers.make(
                ("api", view, tuple(sorted(query.items()))),
                lambda now: pack_all(answer(view, history, now, query)),
            )
        except WrongQuery as error:
            raise refused(400, str(error), "see docs/api.md") from error
        except HistoryError as error:
            raise NoAnswer(503, error.message, hint=error.hint) from error
        return await packed_answer(request, numbers, "application/json")

    async def _file(self, view: str, request: Request, query: Query) -> Response:
        history, now = self._answers.energy_history(), self._answers.snapshot()
        if history is None:
            raise HistoryError("this gateway computes no energy")
        if view not in FILES:
            raise WrongQuery(f"{view} is given as JSON alone")
        period = file_period(view, query, today_of(now))
        meter = meter_of(query, history.facts)
        asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language", "")
        language = choose(asked, accepted, "en")
        names = (now.name, now.gateway)
        order = ExportOrder(
            *(history, view, query["format"], period, meter, language, now.timezone, now.taken, names),
            quantity=query.get("quantity", "") if view == "energy" else "",
        )
        days = period.name if period.span in {"day", "month", "year"} else f"{period.first}-{period.last}"
        name = "-".join(part for part in (now.gateway, view, meter, days) if part)
        try:
            return await self._exports.file(order, f"{name}.{query['format']}")
        except Busy as error:
            raise NoAnswer(
                503,
                "another file is being made",
                hint="ask again in a minute",
                headers={"retry-after": "30"},
            ) from error


def _form(query: Query) -> str:
    """How the answer is written. Raises WrongQuery."""
    form = query.get("format", "json")
    if form not in {"json", "csv", "xlsx"}:
        raise WrongQuery(f"there is no format {form[:20]!r}: write json, csv or xlsx")
    return form


def _number(request: Request, name: str, bounds: tuple[int, int, int]) -> int:
    """A whole number of the query: least, default, most."""
    least, default, most = bounds
    text = request.query_params.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else -1
    if not least <= number <= most:
        raise NoAnswer(
            400,
            f"{name} is not a number that is possible",
            hint=f"write {name}=N, N from {least} to {most}",
        )
    return number


def _status(now: Snapshot) -> str:
    return _dumps(as_json(now))


def _meters(now: Snapshot) -> str:
    return _dumps({"taken": now.taken, "meters": [meter_json(meter) for meter in now.everything]})


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _metrics(now: Snapshot) -> bytes:
    return later.metrics.exposition(now)  # loaded here, in the worker thread
