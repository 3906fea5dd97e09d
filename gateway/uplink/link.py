"""What an uplink asks of a connection to a broker, and an in-memory stand-in for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import LinkDown, UplinkError
from gateway.uplink.limits import UNLIMITED, Limits

MAX_UNACKED = 20
"""Messages without PUBACK on one connection, batches and others together."""

SUCCESS = 0x00
NO_SUBSCRIBERS = 0x10
FIRST_FAILURE = 0x80


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message at QoS 1. `tag` comes back with its PUBACK. `packable`: it may go compressed (zlib) when
    it is too large.
    """

    topic: str
    payload: bytes
    retain: bool = False
    tag: object = None
    packable: bool = False


class Listener(Protocol):
    """Who is told what happens on a connection; always on the event loop, never after `close`."""

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """PUBACKs in order of arrival: (tag, reason code); 3.1.1 knows only 0."""

    def received(self, topic: str, payload: bytes) -> None:
        """A message on a subscribed topic."""

    def lost(self, error: UplinkError) -> None:
        """The connection is gone. Said once."""


class Deaf:
    """Hears nothing: after `close` nobody is told anything."""

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """See Listener."""

    def received(self, topic: str, payload: bytes) -> None:
        """See Listener."""

    def lost(self, error: UplinkError) -> None:
        """See Listener."""


DEAF = Deaf()


class Connection(Protocol):
    """One live connection."""

    @property
    def protocol(self) -> str:
        """'5.0' or '3.1.1'."""

    @property
    def room(self) -> int:
        """How many messages may be handed over now."""

    @property
    def idle(self) -> bool:
        """Everything that was handed over has its PUBACK."""

    @property
    def refused_topics(self) -> Mapping[str, int]:
        """Topics whose subscription the broker refused, with the reason code; 0 when it ended the
        connection instead.
        """

    @property
    def limits(self) -> Limits:
        """What the broker takes."""

    @property
    def words(self) -> str:
        """What the broker wrote beside its newest refusal of a batch or a subscription, made harmless;
        mostly empty.
        """

    @property
    def beat(self) -> float:
        """Monotonic time of the last sign of life of whatever serves the connection."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand over at most `room` messages; returns at once."""

    async def close(self) -> None:
        """End it in good order (no Last Will), within a few seconds whatever the broker does."""


class Link(Protocol):
    """A way to a broker. Every `open` makes a new connection that knows nothing of the one before."""

    async def open(self, listener: Listener, *, will: Outgoing, topics: Sequence[str]) -> Connection:
        """Connect and subscribe. Raises LinkDown, LinkRefused or LinkTaken."""


class MemoryConnection:
    """A connection to nowhere: `sent` holds what was handed over, the test plays the broker."""

    def __init__(
        self,
        listener: Listener,
        will: Outgoing,
        topics: Sequence[str],
        *,
        limit: int = MAX_UNACKED,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.listener = listener
        self.will = will
        self.topics = tuple(topics)
        self.protocol = "5.0"
        self.refused_topics: dict[str, int] = {}
        self.limits = limits
        self.words = ""
        self.sent: list[Outgoing] = []
        self.unacked: list[Outgoing] = []
        self.closed = False
        self.stuck_at: float | None = None
        """Play a thread that has stood still since then (monotonic)."""
        self._limit = limit

    @property
    def room(self) -> int:
        """See Connection."""
        return 0 if self.closed else self._limit - len(self.unacked)

    @property
    def idle(self) -> bool:
        """See Connection."""
        return not self.unacked

    @property
    def beat(self) -> float:
        """See Connection."""
        return time.monotonic() if self.stuck_at is None else self.stuck_at

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See Connection."""
        assert len(messages) <= self.room, "more than the broker allows"
        self.sent += messages
        self.unacked += messages

    async def close(self) -> None:
        """See Connection."""
        await asyncio.sleep(0)
        self.closed = True

    def acknowledge(self, code: int = SUCCESS, *, count: int | None = None) -> None:
        """Play the broker: PUBACK the oldest `count` messages, or all."""
        taken, self.unacked = self.unacked[:count], [] if count is None else self.unacked[count:]
        if not self.closed:
            self.listener.acknowledged([(message.tag, code) for message in taken])

    def deliver(self, topic: str, payload: bytes) -> None:
        """Play the broker: a message on a topic that was subscribed to."""
        if not self.closed:
            self.listener.received(topic, payload)

    def drop(self, error: UplinkError | None = None) -> None:
        """Play a broken line."""
        if not self.closed:
            self.closed = True
            self.listener.lost(error or LinkDown("the connection was dropped"))


class MemoryLink:
    """A Link for tests: connections are kept in `opened`; `refuse` makes the next ones fail."""

    def __init__(self) -> None:
        self.opened: list[MemoryConnection] = []
        self.attempts = 0
        self.refuse: Callable[[], UplinkError] | None = None
        self.limits = UNLIMITED

    async def open(self, listener: Listener, *, will: Outgoing, topics: Sequence[str]) -> MemoryConnection:
        """See Link."""
        await asyncio.sleep(0)
        self.attempts += 1
        if self.refuse is not None:
            raise self.refuse()
        self.opened.append(MemoryConnection(listener, will, topics, limits=self.limits))
        return self.opened[-1]
