"""A name and a port → a connected socket. Looking a name up and reaching an address have each a patience
of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
import threading
from itertools import chain, zip_longest
from typing import Any

LOOKUP = 20.0
"""Seconds that one attempt waits for a name: two dead name servers in front of a good one cost 10 s
(resolv.conf(5): 5 s each).
"""
CONNECT = 3.0
"""Seconds that each address has for its handshake."""
FAR_LOOKUP, FAR_CONNECT = 14.0, 5.0
"""The same for a server that may be far away, where packets get lost: together less than an uplink waits."""
STAGGER = 0.5
"""Seconds before the next address is tried beside one that has not answered; RFC 8305, 5, allows 0.1 to 2 s.
A converter may take one client only, so a healthy one is never asked twice on a local network.
"""
MOST = 16
"""Addresses of one name that are tried."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class NameNotFound(OSError):
    """A lookup that ended without an address: `errno` is an EAI code of getaddrinfo(3)."""


class NoAddressWorked(OSError):
    """Every address was tried: `tried` is (address, why) of each."""

    def __init__(self, tried: list[tuple[str, OSError]]) -> None:
        worst = tried[0][1]
        super().__init__(worst.errno, worst.strerror)
        self.tried = tried


class HostNames:
    """Lookups by threads of their own, one a name: a resolver that hangs holds up neither the loop nor the
    stop.

    Whoever loses patience may ask again: a lookup that goes on is joined, and one that ended meanwhile is
    used, once.
    """

    def __init__(self) -> None:
        self._open: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, host: str, patience: float = LOOKUP) -> list[Address]:
        """Every address of a host, the families in turn (RFC 8305, 4). Raises NameNotFound, TimeoutError
        after `patience` s.
        """
        with contextlib.suppress(OSError, UnicodeError):
            return _lookup(host, socket.AI_NUMERICHOST)  # needs no name server
        loop = asyncio.get_running_loop()
        future = self._open.get(host)
        if future is None or future.get_loop() is not loop:
            future = self._open[host] = loop.create_future()
            future.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # read by nobody is no fault
            threading.Thread(
                target=_work, args=(host, loop, future), name=f"name {host}", daemon=True
            ).start()
        await asyncio.wait({future}, timeout=patience)
        if not future.done():
            raise TimeoutError
        if self._open.get(host) is future:  # the first of those that waited for it
            del self._open[host]
        return [*future.result()]


def _work(host: str, loop: asyncio.AbstractEventLoop, future: asyncio.Future[list[Address]]) -> None:
    try:
        found: list[Address] | OSError = _lookup(host, 0)
    except socket.gaierror as error:
        found = NameNotFound(error.errno, error.strerror)
    except UnicodeError:
        found = NameNotFound(socket.EAI_NONAME, "not a host name")
    except OSError as error:
        found = error

    def tell() -> None:
        if future.done():
            return
        if isinstance(found, OSError):
            future.set_exception(found)
        else:
            future.set_result(found)

    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(tell)


def _lookup(host: str, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    whole = dict.fromkeys((family, where) for family, _, _, _, where in found)
    first = found[0][0]
    mine = [address for address in whole if address[0] == first]
    others = [address for address in whole if address[0] != first]
    turns = chain.from_iterable(zip_longest(mine, others))
    return [address for address in turns if address is not None][:MOST]


async def connect(
    names: HostNames, host: str, port: int, *, patience: float = LOOKUP, handshake: float = CONNECT
) -> socket.socket:
    """A connected TCP socket to the first address that answers; `patience` (s) with the name, `handshake`
    with each address. Raises NameNotFound, NoAddressWorked, TimeoutError (of the name).
    """
    waiting = await names.addresses(host, patience)
    tried: list[tuple[str, OSError]] = []
    running: dict[asyncio.Task[socket.socket], str] = {}
    try:
        while waiting or running:
            if waiting:
                family, where = waiting.pop(0)
                running[asyncio.create_task(_handshake(family, (where[0], port, *where[2:]), handshake))] = (
                    where[0]
                )
            done, _ = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            good = [task for task in done if task.exception() is None]
            if good:
                for extra in good[1:]:
                    extra.result().close()
                for task in good:
                    del running[task]
                return good[0].result()
            for task in done:
                error = task.exception()
                assert isinstance(error, OSError)
                tried.append((running.pop(task), error))
        raise NoAddressWorked(tried)
    finally:
        for task in running:
            task.add_done_callback(_close)
            task.cancel()


def connected_socket(host: str, port: int) -> socket.socket:
    """`connect` for a thread without an event loop, to a server that may be far away. Raises OSError with the
    number and the words of the system: of the name, or of the address that failed first.
    """
    far = connect(HostNames(), host, port, patience=FAR_LOOKUP, handshake=FAR_CONNECT)
    try:
        return asyncio.run(far)
    except NoAddressWorked as error:
        first = error.tried[0][1]
        number = first.errno or (errno.ETIMEDOUT if isinstance(first, TimeoutError) else 0)
        raise OSError(number, os.strerror(number)) if number else first from error
    except TimeoutError as error:
        raise NameNotFound(socket.EAI_AGAIN, "Temporary failure in name resolution") from error


async def _handshake(family: socket.AddressFamily, where: tuple[Any, ...], patience: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, where)
        # Two small messages in a row, such as PUBACK and receipt, would wait 40 ms for each other (RFC 896).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    # One that was connected in the same moment as it was given up.
    if not task.cancelled() and task.exception() is None:
        task.result().close()


@functools.cache
def shared_names() -> HostNames:
    """The lookups of this process: buses at one host share theirs."""
    return HostNames()
