"""The receiver's way to its broker, and where the network thread leaves messages for the one thread that
decodes and stores them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from gateway.errors import UplinkError
from gateway.mqtt import (
    SHARED,
    Broker,
    BrokerLink,
    Connection,
    Hearing,
    Link,
    Listener,
    NoWay,
    OddConnack,
    Outgoing,
    Reconnect,
    ThreadLink,
    meaning,
)
from gateway.receiver.intake import subscriptions
from gateway.wire import MAX_MESSAGE

LONGEST = 10.0
"""Seconds between two attempts at most: the gateways of a city wait for receipts."""
HEARING = Hearing(retained=True, most=4 * MAX_MESSAGE, direct=True)
"""States and descriptions are retained. The broker keeps from us what is absurd; what is merely too large
comes in and is counted. A full inbox holds the broker back.
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came: `at` is monotonic seconds. `size` is what arrived; an oversized payload is
    not kept.
    """

    topic: str
    payload: bytes
    at: float
    size: int


class Inbox:
    """A queue bounded by bytes: when it is full, `put` waits and TCP carries the pressure back to the broker.

    One thread puts, one thread gets; each counter has a single writer.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._limit = limit
        self._put = 0
        self._got = 0
        self.closed = False

    def put(self, message: Message) -> None:
        """Leave a message; waits for room. A closed inbox takes nothing."""
        while self._put - self._got > self._limit and not self.closed:
            time.sleep(0.01)
        if not self.closed:
            self._put += len(message.payload)
            self._queue.put(message)

    def get(self, timeout: float) -> Message | None:
        """The next message; None after `timeout` seconds or when woken."""
        try:
            message = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
        except Empty:
            return None
        if message is not None:
            self._got += len(message.payload)
        return message

    def wake(self) -> None:
        """End the current wait: SimpleQueue.put may be called from a signal handler."""
        self._queue.put(None)


class SharedLink:
    """A way to a broker that must speak MQTT 5: those of before share nothing, and may not even answer."""

    skipped = 0

    def __init__(self, link: Link) -> None:
        self._link = link

    async def open(self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]) -> Connection:
        """As Link. Raises what it raises, with what a broker of MQTT 3.1.1 would need."""
        try:
            return await self._link.open(listener, will=will, topics=topics)
        except UplinkError as error:
            if not _perhaps_older(error):
                raise
            mend = meaning(SHARED).mend
            hint = mend if error.cause == _VERSION else f"{error.hint}; {mend}"
            told = f"{error.message}; --share needs a broker that speaks MQTT 5"
            raise type(error)(told, hint=hint, cause=error.cause) from error


_VERSION = "version"
_PERHAPS_OLDER = frozenset({_VERSION, "no_answer", "silent"})
"""Causes of a connection that does not come, which a broker of MQTT 3.1.1 may be behind."""


def _perhaps_older(error: UplinkError) -> bool:
    """Whether a broker of MQTT 3.1.1 may be behind it: one may answer MQTT 5 in its own tongue. What speaks
    something else than MQTT is none, nor what was never reached.
    """
    if isinstance(error, NoWay):
        return False
    if isinstance(error, OddConnack):
        return error.cause == "broke_protocol"
    return error.cause in _PERHAPS_OLDER


def broker_link(
    broker: Broker, gateways: frozenset[str], share: str = "", *, backups: bool = False
) -> ThreadLink:
    """A link that hears all gateways, or those named; with a `share` what others of that name do not hear;
    their `backups` too, if they are kept.
    """
    reconnect = Reconnect(broker, meanwhile="tried again until it is back", longest=LONGEST)
    link = BrokerLink(broker, hearing=HEARING)
    return ThreadLink(
        SharedLink(link) if share else link,
        subscriptions(gateways, share, backups=backups),
        reconnect,
        allow="allow reading submeter/v1/+/# in its access list",
    )
