"""A broker for a program without an event loop: connected for ever in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from gateway.common.wait import wait_for_event
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt.broker_link import open_unless
from gateway.mqtt.limits import payload_room
from gateway.mqtt.link import Connection, Link, Outgoing
from gateway.mqtt.reasons import NOT_AUTHORIZED, meaning, without_keys
from gateway.mqtt.reconnect import Reconnect

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Messages that wait for room on the connection; what comes on top is not taken."""
FAREWELL = 1.0
"""Seconds at a stop for what was taken to be acknowledged."""
TURN = 1.0
PATIENCE = 6.0
"""Seconds that `stop` waits for the thread: it may be within an attempt."""


class ThreadLink:
    """`link` is opened again and again, as `reconnect` says; its messages should come in directly (Hearing).

    `topics` are needed, all of them: a broker that refuses one counts as one that refuses us; `allow` says
    what to allow there.
    """

    def __init__(self, link: Link, topics: Sequence[str], reconnect: Reconnect, *, allow: str = "") -> None:
        self._link = link
        self._topics = topics
        self._reconnect = reconnect
        self._allow = allow
        self._waiting: deque[Outgoing] = deque()
        self._connection: Connection | None = None
        self._fault: UplinkError | None = None
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._asks_again = self._connects_again = False
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self, hear: Callable[[str, bytes], None]) -> None:
        """Connect, for ever; `hear` gets topic and payload of each message and may take its time."""
        self._hear = hear
        self._thread.start()

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1, not retained, from any thread. False when not connected: nothing is kept."""
        if self._connection is None or len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(Outgoing(topic, payload))
        self._call(self._wake)
        return True

    def subscribe_again(self) -> None:
        """Subscribe once more to every topic, from any thread: the broker may have lost that."""
        self._asks_again = True
        self._call(self._wake)

    def connect_again(self) -> None:
        """Replace the connection by a new one, from any thread, though nothing is known to be wrong with
        it.
        """
        self._connects_again = True
        self._call(self._wake)

    @property
    def connected(self) -> bool:
        """Whether `send` takes something."""
        return self._connection is not None

    def room_for(self, topic: str) -> int | None:
        """Bytes that a message on this topic may have at this broker, asked from any thread; None without a
        limit.
        """
        connection = self._connection
        if connection is None or connection.limits.packet is None:
            return None
        return payload_room(topic, connection.limits.packet, five=connection.protocol != "3.1.1")

    def stop(self) -> None:
        """Disconnect; what was taken before is handed over first, within a bounded time."""
        self._call(self._stopping)
        self._call(self._wake)
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        else:
            self._loop.close()

    def _call(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(event.set)

    # -- in the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._connect_for_ever())

    async def _connect_for_ever(self) -> None:
        while not self._stopping.is_set():
            self._reconnect.connecting()
            try:
                delay = await self._connect_and_serve()
            except Exception as error:
                log.exception("%s: serving the connection failed", self._reconnect.name)
                delay = self._reconnect.failed(LinkDown(f"{type(error).__name__}: {error}"))
            await wait_for_event(self._stopping, delay)
        self._reconnect.stopped()

    async def _connect_and_serve(self) -> float:
        """One connection from its attempt to its end; seconds until the next attempt."""
        self._fault = None  # not later: a connection may be lost before it is served
        opening = self._link.open(self, will=None, topics=self._topics)
        try:
            connection = await open_unless(self._stopping, opening, self._reconnect.name)
        except UplinkError as error:
            return self._reconnect.failed(error)
        if connection is None:
            return 0.0
        try:
            return await self._serve(connection)
        finally:
            self._connection = None
            self._waiting.clear()
            await connection.close()

    async def _serve(self, connection: Connection) -> float:
        if connection.refused_topics:
            return self._refused(connection)
        self._reconnect.connected(connection.protocol)
        self._connection = connection
        self._asks_again = self._connects_again = False
        end = inf
        while self._fault is None and time.monotonic() < end:
            self._wake.clear()
            if self._asks_again:
                self._asks_again = False
                connection.subscribe_again()
            if connection.refused_topics:
                return self._refused(connection)
            if self._connects_again:
                return self._reconnect.renewed()
            self._hand_over(connection)
            if self._stopping.is_set():
                end = min(end, time.monotonic() + FAREWELL)
                if not self._waiting and connection.idle:
                    break
            await wait_for_event(self._wake, min(TURN, end - time.monotonic()))
            self._reconnect.steady()
        return 0.0 if self._fault is None else self._reconnect.lost(self._fault)

    def _refused(self, connection: Connection) -> float:
        topic, code = next(iter(connection.refused_topics.items()))
        known = meaning(code)
        if code in {0, 0x80, NOT_AUTHORIZED}:  # 3.1.1 has 0x80 alone; 0: the connection ended there
            told = f"the broker refuses the subscription to {topic}{connection.words}"
            refused = LinkRefused(told, hint=self._allow, cause="not_authorized")
        else:
            told = (
                f"the broker refuses the subscription to {topic}: {known.what} (0x{code:02x})"
                f"{connection.words}"
            )
            refused = LinkRefused(told, hint=without_keys(known.mend), cause=known.cause)
        return self._reconnect.failed(refused)

    def _hand_over(self, connection: Connection) -> None:
        messages = [self._waiting.popleft() for _ in range(min(connection.room, len(self._waiting)))]
        if messages:
            connection.publish(messages)

    # -- the connection's callbacks -------------------------------------------------------------------------

    def acknowledged(self, _acks: Sequence[tuple[object, int]]) -> None:
        self._wake.set()

    def received(self, topic: str, payload: bytes) -> None:
        self._hear(topic, payload)

    def lost(self, error: UplinkError) -> None:
        self._fault = error
        self._wake.set()
