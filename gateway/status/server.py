"""uvicorn inside the daemon's loop: the page on TCP, the control socket on a Unix socket.

uvicorn has no deadline for a request that never gets complete, and takes the process's signals: both are
mended here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors import ControlError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_HEADER = 16 * 1024
"""Bytes of request line and headers that may wait for their end; whole ones are measured by the guard."""
KEEP_ALIVE = 5
"""s that a connection may rest between two requests."""
MAX_CONNECTIONS = 96
"""All visitors together: the daemon's descriptors are for buses, journal and broker."""
MAX_PER_ADDRESS = 24
"""One visitor, however hostile, leaves room for the others."""
SPARE = 4
"""Connections of this machine beyond both bounds; they get an answer to /healthz alone."""
REQUEST_DEADLINE = 10.0
"""s for a request to arrive whole."""
DEAD_PEER_MS = 30_000
"""A phone that left the building does not say goodbye: unacknowledged data ends the connection after this."""
RETRY = 30.0
"""s between two attempts to listen."""
GRACE = 2
"""s that running requests get at a stop."""


class _Protocol(H11Protocol):
    """HTTP/1.1 with a deadline for each request and a bound on connections per address."""

    _deadline: asyncio.TimerHandle | None = None
    waits_since: float | None = None
    """Loop time since which we wait for a request to be whole, or for the next one; None while one is
    answered.
    """
    spare = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        others = [
            other
            for other in self.connections
            if isinstance(other, _Protocol) and other is not self and not other.ending
        ]
        sock = transport.get_extra_info("socket")
        same = 0
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
            same = sum(_host(other) == _host(self) for other in others)
        if not (same < MAX_PER_ADDRESS and self._has_room(others)) and not self._may_use_spare(others):
            transport.abort()
            return
        self._arm()

    @property
    def ending(self) -> bool:
        """Whether it is being closed."""
        return self.transport.is_closing()

    def _has_room(self, others: list[_Protocol]) -> bool:
        """Whether there is room for one more; whoever has kept us waiting longest for a whole request
        makes it.
        """
        if len(others) < MAX_CONNECTIONS:
            return True
        waiting = [other for other in others if other.waits_since is not None and not other.spare]
        if not waiting:
            return False
        min(waiting, key=lambda other: other.waits_since or 0.0).transport.abort()
        return True

    def _may_use_spare(self, others: list[_Protocol]) -> bool:
        """Whoever watches over this machine must not take a full page for a dead gateway."""
        if (
            not _host(self).startswith(("127.", "::1", "::ffff:127."))
            or sum(other.spare for other in others) >= SPARE
        ):
            return False
        self.spare = True
        self.app = _Healthz(self.app)
        return True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _watch(self) -> None:
        # A deadline runs whenever a request has begun but is not yet complete; between requests the
        # keep-alive timer does.
        waiting = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        idle = self.timeout_keep_alive_task is not None
        if not waiting or idle or self.transport.is_closing():
            self._disarm()
        elif self._deadline is None:
            self._arm()
        if idle:
            self.waits_since = self.loop.time()

    def _arm(self) -> None:
        self.waits_since = self.loop.time()
        self._deadline = self.loop.call_later(REQUEST_DEADLINE, self.transport.abort)

    def _disarm(self) -> None:
        self.waits_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _host(protocol: H11Protocol) -> str:
    return protocol.client[0] if protocol.client else ""


class _Healthz:
    """Of an application only /healthz."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            await self._app(scope, receive, send)
            return
        headers = [(b"retry-after", b"5"), (b"connection", b"close"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon, and sleeps instead of looking ten times a second whether
    to end.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
                h11_max_incomplete_event_size=MAX_HEADER,
            )
        )
        self._end = asyncio.Event()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._end.wait()

    async def open(self, sock: socket.socket) -> None:
        """Serve a listening socket; returns when requests are taken."""
        self._task = asyncio.create_task(self.serve([sock]), name="http")
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Stop listening, give running requests their grace, return when all is closed."""
        self._end.set()
        if self._task is not None:
            await self._task


class PageServer:
    """The page on TCP. A taken port is no reason for the daemon to end: it is logged once and tried again.

    `ending` is called before the server waits for its connections: it should end the event streams
    (`Changes.close`). `option` is what says where it listens.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        ending: Callable[[], None] | None = None,
        retry: float = RETRY,
        *,
        option: str = "status.listen",
    ) -> None:
        self._app, self._host, self._port = app, host, port
        self._option = option
        self._ending = ending
        self._retry = retry
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.error = ""
        """Why the page is not served; empty while it is."""

    @property
    def port(self) -> int:
        """The port it listens on: the one that was given, or the one that the system chose for 0."""
        return self._port

    async def start(self) -> bool:
        """Listen. False when that is not possible now: it is tried again every `retry` s."""
        if await self._open():
            return True
        self._task = asyncio.create_task(self._try_again(), name="page")
        return False

    async def stop(self) -> None:
        """End streams and requests, close the socket."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._ending is not None:
            self._ending()
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _open(self) -> bool:
        try:
            sock = _tcp(self._host, self._port)
        except OSError as error:
            self._lost(os.strerror(error.errno) if error.errno and error.errno > 0 else str(error))
            return False
        self._port = sock.getsockname()[1]
        server = _Server(self._app)
        await server.open(sock)
        self._server = server
        if self.error:
            log.info("the page is served on %s:%d again", self._host, self._port)
            self.error = ""
        return True

    def _lost(self, reason: str) -> None:
        text = f"the page cannot be served on {self._host}:{self._port}: {reason}"
        if not self.error:
            log.error(
                "%s → end the other program or change %s; trying again every %g s",
                text,
                self._option,
                self._retry,
            )
        self.error = text

    async def _try_again(self) -> None:
        while True:
            await asyncio.sleep(self._retry)
            if await self._open():
                return


def _tcp(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(
        address[:2], family=family, backlog=MAX_CONNECTIONS, dualstack_ipv6=address[0] == "::"
    )


class ControlServer:
    """The control application on a Unix socket, readable and writable by owner and group only."""

    def __init__(self, app: ASGIApp, path: Path) -> None:
        self._app = app
        self._path = path
        self._server: _Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen. Raises ControlError when another daemon listens there or the socket cannot be made."""
        sock = _unix(self._path)
        self._inode = self._path.stat().st_ino
        self._server = _Server(self._app)
        await self._server.open(sock)

    async def stop(self) -> None:
        """Close and remove the socket, unless somebody has put another one in its place."""
        if self._server is None:
            return
        await self._server.close()
        self._server = None
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        # The mode must be right from the first moment on: a chmod after bind would leave a gap.
        before = os.umask(0o117)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(MAX_CONNECTIONS)
    except OSError as error:
        sock.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = (
            "its directory must exist and belong to the daemon's user (RuntimeDirectory= in the unit), "
            "its path may have 107 bytes"
        )
        raise ControlError(f"the control socket {path} cannot be opened: {reason}", hint=hint) from error
    except ControlError:
        sock.close()
        raise
    return sock


def _clear(path: Path) -> None:
    """Remove the socket of a daemon that is gone. Raises ControlError when one is alive, or when the file
    is no socket.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(
            f"{path} is not a socket", hint="remove the file, or name another path in SUBMETER_SOCKET"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except TimeoutError:
            pass  # somebody holds it, but is stuck or stopped: alive enough
    raise ControlError(
        f"another daemon listens on {path}", hint="stop it first: systemctl stop submeter-gateway"
    )
