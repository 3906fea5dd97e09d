"""Answers that cost something are made once and shared: many visitors, or a hostile one, cost no more than
one.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NewType, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.status.energy.facts import EnergyHistory
from gateway.status.snapshot import Snapshot
from gateway.status.source import Source

Made = TypeVar("Made")

AT_LEAST = 0.25
"""s that an answer is shared whatever happens."""
AT_MOST = 1.0
"""s that it is shared while nothing changes: ages go on."""

LEVEL = 4
"""Of gzip: a page has a sixth of its bytes for a thirtieth of the time that it takes to make it."""
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
_GZIP_FORM = 31
"""wbits of zlib."""
Packed = NewType("Packed", bytes)
"""Text in UTF-8, compressed."""


def pack(text: str | bytes) -> Packed:
    """Compress what is sent to many, where it is made, so that it is done once."""
    return pack_all((text,))


def pack_all(pieces: Iterable[str | bytes]) -> Packed:
    """The same of a text that is made while it is compressed."""
    packer = zlib.compressobj(LEVEL, wbits=_GZIP_FORM)
    done = [packer.compress(each.encode() if isinstance(each, str) else each) for each in pieces]
    return Packed(b"".join((*done, packer.flush())))


async def packed_answer(
    request: Request,
    packed: Packed,
    media_type: str = "text/html",
    *,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """A text for whoever takes gzip, which is every browser; for others as it was before."""
    vary = {"vary": ", ".join(filter(None, ((headers or {}).get("vary"), "Accept-Encoding")))}
    if _GZIP.search(request.headers.get("accept-encoding", "")):
        return Response(packed, status, {**(headers or {}), **vary, "content-encoding": "gzip"}, media_type)
    plain = await asyncio.to_thread(gzip.decompress, packed)
    return Response(plain, status, {**(headers or {}), **vary}, media_type)


class SharedAnswers:
    """The newest snapshot and what was made of it, in one worker thread, so that the loop is free for the
    meters.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._changes = source, source.changes
        self._worker = ThreadPoolExecutor(1, "page")
        self._snapshot: tuple[float, int, Snapshot] | None = None
        self._made: dict[Hashable, asyncio.Task[Any]] = {}

    def snapshot(self) -> Snapshot:
        """The facts of now, not older than a second."""
        now, version = asyncio.get_running_loop().time(), self._changes.version
        if self._snapshot is not None:
            at, seen, snapshot = self._snapshot
            if now - at < (AT_MOST if seen == version else AT_LEAST):
                return snapshot
        snapshot = self._source.snapshot()
        self._snapshot = (now, version, snapshot)
        # What was made of the old one is of no use, and would keep it in memory.
        self._made.clear()
        return snapshot

    def energy_history(self) -> EnergyHistory | None:
        """The building and its history."""
        return self._source.energy_history()

    async def make(self, key: Hashable, maker: Callable[[Snapshot], Made]) -> Made:
        """What `maker` makes of the newest snapshot, in the worker thread; `key` names maker and
        arguments.
        """
        snapshot = self.snapshot()
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.create_task(self._run(maker, snapshot))
        # One visitor that leaves must not take the answer from the others.
        made: Made = await asyncio.shield(task)
        return made

    async def _run(self, maker: Callable[[Snapshot], Made], snapshot: Snapshot) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._worker, maker, snapshot)
