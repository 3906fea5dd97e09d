"""Files for visitors: one at a time, made by a process that ends with its file, and sent as they come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import sys
from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.errors import HistoryError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gateway.status.exports.order import ExportOrder

log = logging.getLogger(__name__)

MODULE = "gateway.status.exports.process"
LIMIT = 300.0
"""s that a file may take, with its way to the visitor."""
WAIT = 20.0
"""s that a visitor waits for the file of another one."""
_BLOCK = 65536
_MOST_SAID = 4000
"""Characters of what a process says that the log takes."""
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Busy(Exception):
    """Another file is being made, and takes long."""


class Exports:
    """Starts the processes, one at a time."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)

    async def file(self, order: ExportOrder, name: str) -> ExportFile:
        """The file as a response, when its first bytes are there. Raises Busy, HistoryError."""
        try:
            await asyncio.wait_for(self._one.acquire(), WAIT)
        except TimeoutError as error:
            raise Busy from error
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", MODULE),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(LIMIT):
                first = await _first(process, pickle.dumps(order))
            return ExportFile(process, first, self._one, TYPES[order.form], name)
        except BaseException as error:
            if process is not None:
                await _end(process)
            self._one.release()
            if isinstance(error, TimeoutError):
                raise HistoryError("the file takes too long", hint="ask for a shorter range") from error
            raise


async def _first(process: asyncio.subprocess.Process, order: bytes) -> bytes:
    """The first bytes of the file. Raises HistoryError with what the process says when there are none."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with contextlib.suppress(ConnectionError):
        process.stdin.write(order)
        await process.stdin.drain()
    process.stdin.close()
    first = await process.stdout.read(_BLOCK)
    if not first:
        said = (await process.stderr.read()).decode(errors="replace").strip()
        code = await process.wait()
        if code != 1 or not said or "Traceback" in said:
            log.warning("the process that makes a file ended with %d: %s", code, said[-_MOST_SAID:])
            raise HistoryError("the file could not be made", hint="ask for a shorter range")
        what, _arrow, mend = said.splitlines()[-1].partition(" → ")
        raise HistoryError(what, hint=mend or "ask for a shorter range")
    return first


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


class ExportFile(Response):
    """Sends what the process writes. A file that could not be finished ends its connection: nobody takes it
    for a whole one.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        first: bytes,
        one: asyncio.Semaphore,
        media_type: str,
        name: str,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.headers["content-disposition"] = f'attachment; filename="{name}"'
        self._process, self._first, self._one = process, first, one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the process ends in any case."""
        del receive
        out = self._process.stdout
        assert out
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk = self._first if scope["method"] != "HEAD" else b""
            async with asyncio.timeout(LIMIT):
                while chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    chunk = await out.read(_BLOCK)
                if scope["method"] != "HEAD" and await self._process.wait() != 0:
                    raise HistoryError("the file was not finished")
            await send({"type": "http.response.body", "body": b""})
        finally:
            await _end(self._process)
            self._one.release()
