"""A link on which the forwarder speaks the native dialect and the platform hears another one.

A batch becomes any number of messages; its PUBACK is given when all of them have theirs. What is said beside
the batches (state, meters) becomes births and deaths. The forwarder's flow control is that of the connection
behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.common.wait import wait_for_event
from gateway.errors import UplinkError, WireError
from gateway.mqtt import (
    FIRST_FAILURE,
    NO_SUBSCRIBERS,
    PAYLOAD,
    SUCCESS,
    Connection,
    Limits,
    Link,
    Listener,
    Outgoing,
)
from gateway.uplink.dialects.dialect import DescribedBuilding, Dialect, building_of
from gateway.wire import Topics, decode

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds after connecting in which a platform says that it listens."""


@dataclass(slots=True)
class _Handed:
    """What the forwarder handed over under a tag, and how many of its messages have no PUBACK."""

    tag: object
    left: int
    code: int | None = None

    def acknowledged(self, code: int) -> None:
        """One of them. It is refused when any is; it reached somebody when any did."""
        self.left -= 1
        if self.code is None or code >= FIRST_FAILURE or (code == SUCCESS and self.code == NO_SUBSCRIBERS):
            self.code = code


class DialectConnection:
    """One connection, between the forwarder and the broker; a Connection, and the Listener of the one
    behind it.
    """

    def __init__(
        self,
        dialect: Dialect,
        listener: Listener,
        topics: Topics,
        building: DescribedBuilding,
        now: Callable[[], int],
    ) -> None:
        self._dialect = dialect
        self._listener = listener
        self._topics = topics
        self._building = building
        self._now = now
        self._behind: Connection | None = None
        self._waiting: deque[Outgoing] = deque()
        self._done: list[tuple[object, int]] = []
        self._over = False
        self._born = asyncio.Event()
        self.skipped = 0
        """Readings that came too late for this platform."""

    async def begin(self, behind: Connection) -> None:
        """It is open; returns when the platform listens, or has not said so in time."""
        self._behind = behind
        self._follow()
        await wait_for_event(self._born, PATIENCE)

    # -- a connection, for the forwarder ---------------------------------------------------------------------

    @property
    def protocol(self) -> str:
        """'5.0' or '3.1.1'."""
        return self._connection.protocol

    @property
    def room(self) -> int:
        """None until what was handed over before is on its way, and while the platform does not listen."""
        return 0 if self._waiting or self._over or not self._born.is_set() else self._connection.room

    @property
    def idle(self) -> bool:
        """Everything that was handed over has its PUBACK."""
        return not self._waiting and not self._done and self._connection.idle

    @property
    def refused_topics(self) -> Mapping[str, int]:
        """Topics whose subscription the broker refused."""
        return self._connection.refused_topics

    @property
    def limits(self) -> Limits:
        """Each message is smaller than its batch: what is too large is found when it is made."""
        return replace(self._connection.limits, packet=None)

    @property
    def words(self) -> str:
        """What the broker itself said at the connection; empty when nothing."""
        return self._connection.words

    @property
    def beat(self) -> float:
        """Monotonic time of the last sign of life."""
        return self._connection.beat

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand over at most `room` messages; returns at once."""
        for message in messages:
            self._translate(message)
        self._pump()

    def subscribe_again(self) -> None:
        """To what the dialect listens to."""
        self._connection.subscribe_again()

    async def close(self) -> None:
        """End it in good order."""
        self._over = True
        await self._connection.close()

    @property
    def _connection(self) -> Connection:
        assert self._behind is not None, "it is open"
        return self._behind

    def _translate(self, message: Outgoing) -> None:
        if message.topic == self._topics.data:
            try:
                spoken = self._dialect.messages(decode(message.payload), self._now())
            except WireError as error:
                log.warning("%s: a batch cannot be said in this dialect: %s", message.tag, error)
                self._finish(message.tag, PAYLOAD)
                return
            self.skipped += spoken.skipped
            self._say(message.tag, spoken.messages)
        elif message.topic == self._topics.meters:
            building = building_of(message.payload)
            if building != self._building:
                self._building = building
                self._say(message.tag, self._dialect.birth(building, self._now()))
            else:
                self._finish(message.tag, SUCCESS)
        elif message.topic == self._topics.state and message.tag == "goodbye":
            self._say(message.tag, self._dialect.death(self._now()))
        else:
            self._finish(message.tag, SUCCESS)

    def _say(self, tag: object, messages: Sequence[Outgoing]) -> None:
        if not messages:
            self._finish(tag, SUCCESS)
            return
        handed = _Handed(tag, len(messages))
        self._waiting.extend(replace(message, tag=handed) for message in messages)

    def _finish(self, tag: object, code: int) -> None:
        """Acknowledge on the loop's next turn, as a broker would, never within `publish`."""
        if not self._done:
            asyncio.get_running_loop().call_soon(self._tell)
        self._done.append((tag, code))

    def _tell(self) -> None:
        done, self._done = self._done, []
        if not self._over:
            self._listener.acknowledged(done)

    def _pump(self) -> None:
        room = self._connection.room
        out = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        if out:
            self._connection.publish(out)

    def _follow(self) -> None:
        """What the platform wants now: a birth, or the end of this connection."""
        away = self._dialect.away
        if away is not None and self._born.is_set():
            # An end of our own: no Last Will is sent. It goes before what waits, which goes again.
            death = [replace(message, tag=None) for message in self._dialect.death(self._now())]
            self._connection.publish(death[: self._connection.room])
            self._over = True
            self._listener.lost(away)
        elif away is None and not self._born.is_set():
            self._born.set()
            self._say(self._topics.meters, self._dialect.birth(self._building, self._now()))
            self._pump()

    # -- the listener of the connection behind it ------------------------------------------------------------

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """PUBACKs of single messages. What comes after the end proves nothing: the platform was away."""
        if self._over:
            return
        done = []
        for handed, code in acks:
            if isinstance(handed, _Handed):
                handed.acknowledged(code)
                if not handed.left:
                    done.append((handed.tag, handed.code or SUCCESS))
        if self._behind is not None:
            self._pump()
        if done:
            self._listener.acknowledged(done)

    def received(self, topic: str, payload: bytes) -> None:
        """The platform says something."""
        answers = self._dialect.heard(topic, payload, self._now())
        if self._behind is not None and not self._over:
            if answers and self._born.is_set():
                self._say(self._topics.meters, answers)
                self._pump()
            self._follow()

    def lost(self, error: UplinkError) -> None:
        """The connection is gone."""
        if not self._over:
            self._over = True
            self._listener.lost(error)


class DialectLink:
    """A Link that speaks a dialect over another one. `describe` gives the text of P/meters, `now` UTC in
    ms.
    """

    def __init__(
        self,
        dialect: Dialect,
        link: Link,
        topics: Topics,
        describe: Callable[[], bytes],
        now: Callable[[], int],
    ) -> None:
        self._dialect = dialect
        self._link = link
        self._topics = topics
        self._describe = describe
        self._now = now
        self._before = 0
        self._newest: DialectConnection | None = None

    @property
    def skipped(self) -> int:
        """Readings that came too late for this platform, since the start."""
        return self._before + (self._newest.skipped if self._newest else 0)

    async def open(
        self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]
    ) -> DialectConnection:
        """Connect and subscribe to what the dialect listens to. Raises LinkDown, LinkRefused or
        LinkTakenOver; LinkDown, too, when the platform is away.
        """
        del will, topics  # those of the native dialect
        self._before, self._newest = self.skipped, None
        own = self._dialect.opening(self._now())
        building = building_of(self._describe())
        connection = DialectConnection(self._dialect, listener, self._topics, building, self._now)
        behind = await self._link.open(connection, will=own, topics=self._dialect.topics)
        await connection.begin(behind)
        if self._dialect.away is not None:
            await connection.close()
            raise self._dialect.away
        self._newest = connection
        return connection
