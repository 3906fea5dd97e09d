"""Server-Sent Events: a bounded number of streams that end when the visitor, or the daemon, does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.status.page.no_answer import NoAnswer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MAX_STREAMS = 16
SEND_TIMEOUT = 20.0
"""s that a visitor may take to accept an event."""
AGAIN_MS = 3000
"""What a browser waits before it connects again."""


class Streams:
    """How many event streams of the page are open, and how many may be."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self.open = 0

    @property
    def full(self) -> bool:
        """Whether no further visitor is taken."""
        return self.open >= self._most

    def open_one(self, events: AsyncIterator[bytes]) -> Response:
        """A stream of what `events` yields. Raises NoAnswer (503) when there are too many."""
        if self.full:
            raise NoAnswer(
                503,
                "too many streams are open",
                hint="close another page, or read /api/v1/status now and then",
                headers={"retry-after": "10"},
            )
        return EventStream(events, self)


class EventStream(Response):
    """Sends what `events` yields, already in the wire form of `event`."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], streams: Streams) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._events = events
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until either side ends."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._streams.open += 1
        gone = asyncio.create_task(_disconnected(receive))
        feed = asyncio.create_task(self._feed(send))
        try:
            await asyncio.wait({gone, feed}, return_when=asyncio.FIRST_COMPLETED)
            if feed.done():
                feed.result()
        finally:
            self._streams.open -= 1
            for task in (gone, feed):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                    await task

    async def _feed(self, send: Send) -> None:
        await _put(send, f"retry: {AGAIN_MS}\n\n".encode())
        async for chunk in self._events:
            await _put(send, chunk)
        await send({"type": "http.response.body", "body": b""})


def event(name: str, data: str) -> bytes:
    """One event in wire form; every line of `data` becomes a line of the event."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()


async def _put(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
