"""From the thread of the MQTT library to the event loop: one hop for everything that has gathered since
the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

MAX_INBOX = 1000
"""Received messages that wait for the event loop; a flood beyond that is dropped and counted."""


class Crossing:
    """Two queues; `arrive` is called on the loop after `notify`. The thread adds, the loop takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, arrive: Callable[[], None]) -> None:
        self._loop = loop
        self._arrive = weakref.WeakMethod(
            arrive
        )  # no cycle: a connection that has ended is freed at once, with its sockets
        self._lock = threading.Lock()
        self._hopping = False
        self._acks: deque[tuple[int, int]] = deque()
        self._inbox: deque[tuple[str, bytes]] = deque()
        self.dropped = 0

    def acknowledged(self, mid: int, code: int) -> None:
        """In the thread: a PUBACK."""
        self._acks.append((mid, code))
        self.notify()

    def received(self, topic: str, payload: bytes) -> None:
        """In the thread: a message."""
        if len(self._inbox) >= MAX_INBOX:
            self.dropped += 1
            return
        self._inbox.append((topic, payload))
        self.notify()

    def notify(self) -> None:
        """In the thread: there is something on this side."""
        with self._lock:
            if self._hopping:
                return
            self._hopping = True
        self.call(self._land)

    def call(self, what: Callable[..., None], *arguments: object) -> None:
        """In the thread: call something on the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(what, *arguments)

    def _land(self) -> None:
        with self._lock:
            self._hopping = False
        if (arrive := self._arrive()) is not None:
            arrive()

    def acks(self) -> Iterator[tuple[int, int]]:
        """On the loop: (packet identifier, reason code) of what has been acknowledged."""
        return _emptied(self._acks)

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """On the loop: (topic, payload) of what has been received."""
        return _emptied(self._inbox)


def _emptied(queue: deque[T]) -> Iterator[T]:
    while queue:
        yield queue.popleft()
