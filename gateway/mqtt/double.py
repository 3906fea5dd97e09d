"""An in-memory stand-in for a link to a broker: the test plays the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.errors import LinkDown, UplinkError
from gateway.mqtt.limits import UNLIMITED, Limits
from gateway.mqtt.link import MAX_UNACKED, SUCCESS, Listener, Outgoing


class MemoryConnection:
    """A connection to nowhere: `sent` holds what was handed over, the test plays the broker."""

    def __init__(
        self,
        listener: Listener,
        will: Outgoing | None,
        topics: Sequence[str],
        *,
        limit: int = MAX_UNACKED,
        limits: Limits = UNLIMITED,
        prompt: bool = False,
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
        self.subscribed = 1
        """How often the topics were subscribed to."""
        self.stuck_at: float | None = None
        """Play a thread that has stood still since then (monotonic)."""
        self._limit = limit
        self._prompt = prompt

    @property
    def room(self) -> int:
        return 0 if self.closed else self._limit - len(self.unacked)

    @property
    def idle(self) -> bool:
        return not self.unacked

    @property
    def beat(self) -> float:
        return time.monotonic() if self.stuck_at is None else self.stuck_at

    def publish(self, messages: Sequence[Outgoing]) -> None:
        assert len(messages) <= self.room, "more than the broker allows"
        self.sent += messages
        self.unacked += messages
        if self._prompt:
            asyncio.get_running_loop().call_soon(self.acknowledge)

    def subscribe_again(self) -> None:
        self.subscribed += 1

    async def close(self) -> None:
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
        """End the connection as a broken line does, with this error."""
        if not self.closed:
            self.closed = True
            self.listener.lost(error or LinkDown("the connection was dropped"))


class MemoryLink:
    """A Link for tests: connections are kept in `opened`; `refuse` makes the next ones fail; with `prompt`
    all that is handed over is acknowledged by itself.
    """

    skipped = 0

    def __init__(self, *, prompt: bool = False) -> None:
        self._prompt = prompt
        self.opened: list[MemoryConnection] = []
        self.attempts = 0
        self.refuse: Callable[[], UplinkError] | None = None
        self.limits = UNLIMITED
        self.brief = 0
        """So many of the next connections break in the moment that they are open."""

    async def open(
        self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]
    ) -> MemoryConnection:
        await asyncio.sleep(0)
        self.attempts += 1
        if self.refuse is not None:
            raise self.refuse()
        self.opened.append(MemoryConnection(listener, will, topics, limits=self.limits, prompt=self._prompt))
        if self.brief:
            self.brief -= 1
            asyncio.get_running_loop().call_soon(self.opened[-1].drop)
        return self.opened[-1]
