"""What is asked of a connection to a broker, by an uplink and by a receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import UplinkError
from gateway.mqtt.limits import Limits

MAX_UNACKED = 20
"""Messages without PUBACK on one connection, batches and others together."""

SUCCESS = 0x00
NO_SUBSCRIBERS = 0x10
FIRST_FAILURE = 0x80


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message. `tag` comes back with its PUBACK, or at QoS 0 when it is on its way. `packable`: it may go
    compressed (zlib) when it is too large.
    """

    topic: str
    payload: bytes
    retain: bool = False
    tag: object = None
    packable: bool = False
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Hearing:
    """How messages come in. `retained`: also what the broker has kept from before. `most`: bytes of the
    largest message that it may send (a 3.1.1 broker is not told).

    `direct`: the listener gets them in the connection's own thread and may take its time there, TCP then
    holds the broker back. Otherwise on the event loop: larger ones are dropped, and so is a flood.
    """

    retained: bool = False
    most: int = 262_144
    direct: bool = False


TO_THE_LOOP = Hearing()
"""A receipt or command that somebody left behind is stale by nature."""


class Listener(Protocol):
    """Who is told what happens on a connection; on the event loop (but see Hearing), never after `close`."""

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """PUBACKs in order of arrival: (tag, reason code); 3.1.1 knows only 0."""

    def received(self, topic: str, payload: bytes) -> None:
        """A message on a subscribed topic."""

    def lost(self, error: UplinkError) -> None:
        """The connection is gone. Said once."""


class Deaf:
    """Hears nothing: after `close` nobody is told anything."""

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        pass

    def received(self, topic: str, payload: bytes) -> None:
        pass

    def lost(self, error: UplinkError) -> None:
        pass


DEAF = Deaf()


class Connection(Protocol):
    """One live connection to a broker; a new one is made after each end."""

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
        """What the broker said that it allows."""

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

    def subscribe_again(self) -> None:
        """Subscribe once more to every topic of `open`: a broker may have lost that. Returns at once; what
        it answers stands in `refused_topics`.
        """

    async def close(self) -> None:
        """End it in good order (no Last Will), within a few seconds whatever the broker does."""


class Link(Protocol):
    """A way to a broker. Every `open` makes a new connection that knows nothing of the one before."""

    @property
    def skipped(self) -> int:
        """Readings that came too late for this platform and were left out, since the start."""

    async def open(self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]) -> Connection:
        """Connect and subscribe. Raises LinkDown, LinkRefused or LinkTakenOver."""
