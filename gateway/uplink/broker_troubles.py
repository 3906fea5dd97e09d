"""What a broker or a consumer does that a person should know, in sentences: what it is, what becomes of
the readings, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from gateway.common.troubles import Troubles
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt import (
    ACCESS_LIST,
    FIRST_FAILURE,
    NO_SUBSCRIBERS,
    NOT_AUTHORIZED,
    TOO_LARGE,
    Connection,
    meaning,
)
from gateway.uplink.outgoing import Flying, in_words

WILL_LIST = "allow it to write to the topic of its state, in the broker's access list"
CLOSED = "ended"
"""Cause of an end for which the broker gives no reason."""
ABOUT_A_MESSAGE = frozenset(
    {
        CLOSED,
        "no_reason",
        "unreadable",
        "protocol_error",
        "own_rule",
        "not_authorized",
        "topic_name",
        "too_large",
        "payload",
        "retain",
    }
)
"""Causes of an end of the connection that may lie in what was on its way."""


def about_a_message(error: UplinkError) -> bool:
    """Whether the connection may have ended because of what was on its way."""
    return isinstance(error, LinkDown) and error.cause in ABOUT_A_MESSAGE


def with_flying(error: UplinkError, flying: Sequence[Flying]) -> UplinkError:
    """The end of a connection, with what was on its way."""
    if not isinstance(error, LinkDown | LinkRefused) or error.cause == "taken_over":
        return error
    return type(error)(f"{error.message}; {in_words(flying)}", hint=error.hint, cause=error.cause)


class BrokerTroubles:
    """What the broker of one uplink refuses, and which consumers are silent, told once each."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self.topics: dict[str, None] = {}
        """Topics that the broker refuses: to hear them, or to write to them beside the batches."""
        self.refusal = ""
        """Why it takes no batch, as a word of reasons.MEANINGS; no_subscribers when nobody hears them;
        empty while it takes them.
        """
        self._accepted = False
        self._end: UplinkError | None = None
        self._refused: dict[str, int] | None = None

    def connected(self, connection: Connection, topics: Iterable[str]) -> None:
        """What the broker said when it accepted us: subscriptions that it refuses, what it does not keep,
        who we are to it.
        """
        self._accepted = False
        self._refused = None
        self.subscribed(connection, topics)
        limits = connection.limits
        if limits.retain:
            self._troubles.end("retained messages")
        else:
            what = (
                "the broker keeps no retained messages: a platform that comes later hears of state and "
                "meters when they are said again"
            )
            self._troubles.begin("retained messages", what, meaning(0x9A).mend)
        if limits.without_will:
            what = (
                f"with a Last Will {limits.without_will}; it takes the connection without one, and cannot "
                "say when this gateway is cut off"
            )
            self._troubles.begin("the Last Will", what, WILL_LIST)
        else:
            self._troubles.end("the Last Will")
        if limits.client_id:
            self._troubles.note(
                "the client id", f"the broker does not take our client id and calls us {limits.client_id!r}"
            )
        if limits.note:
            self._troubles.note("the broker's words", f"the broker accepted the connection{limits.note}")

    def subscribed(self, connection: Connection, topics: Iterable[str]) -> None:
        """Subscriptions that it refuses, by its newest answer."""
        if self._refused == connection.refused_topics:
            return
        self._refused = dict(connection.refused_topics)
        for topic in topics:
            if topic not in connection.refused_topics:
                self._troubles.end(topic)
                self.topics.pop(topic, None)
                continue
            self.topics[topic] = None
            code = connection.refused_topics[topic]
            what = f"the broker refuses the subscription to {topic}"
            if code:
                what += f": {meaning(code).what} (0x{code:02x}){connection.words}"
            else:
                what = f"the broker ends the connection at the subscription to {topic}: it is left out"
            self._troubles.begin(
                topic, what, ACCESS_LIST if code in {0, 0x80, NOT_AUTHORIZED} else meaning(code).mend
            )

    def refused_beside(self, tag: str, code: int, words: str) -> None:
        """A PUBACK for state, meters or a reply."""
        if code >= FIRST_FAILURE:
            what = f"the broker refuses {tag}: {meaning(code).what} (0x{code:02x}){words}; batches go on"
            self._troubles.begin(tag, what, ACCESS_LIST if code == NOT_AUTHORIZED else meaning(code).mend)
            if code != TOO_LARGE:  # which is no matter of the access list: the topic is allowed
                self.topics[tag] = None
        else:
            self._troubles.end(tag)
            self.topics.pop(tag, None)

    def refused_batches(self, codes: Iterable[int], words: str) -> None:
        """PUBACKs that say no to every batch: one is offered now and then."""
        for code in set(codes):
            self.refusal = "no_subscribers" if code == NO_SUBSCRIBERS else meaning(code).cause
            if code == NO_SUBSCRIBERS:
                what = "nobody subscribes to P/data at the broker, so nothing counts as delivered"
                self._troubles.begin(
                    "batches",
                    what,
                    "start the platform, or allow it to read P/data in the broker's access list",
                )
            else:
                what = (
                    f"the broker refuses batches: {meaning(code).what} (0x{code:02x}){words}; one is "
                    f"offered now and then"
                )
                self._troubles.begin(
                    "batches", what, ACCESS_LIST if code == NOT_AUTHORIZED else meaning(code).mend
                )

    def ended(self, fault: UplinkError | None, flying: Sequence[Flying] = ()) -> None:
        """A connection ended, with this on its way; None: none was made."""
        if fault is None or flying:
            self._end = None if self._accepted else fault

    @property
    def hangs_up(self) -> bool:
        """Whether the newest connection ended with batches on their way and none taken: a new one is no
        better until it takes one.
        """
        return self._end is not None

    @property
    def why(self) -> str:
        """Why no batch is taken on this connection, or was on the one before; a word of reasons.MEANINGS."""
        return self.refusal or (self._end.cause if self._end else "")

    def accepted(self) -> None:
        """The broker acknowledged a batch: refusals of batches are over."""
        self.refusal, self._accepted, self._end = "", True, None
        self._troubles.end("batches")

    def silent(
        self, silent: Mapping[str, float | None], consumers: Sequence[str], now: float, wall: int
    ) -> None:
        """Consumers that owe receipts, with the monotonic time of their last one; `wall` is UTC in ms."""
        for name in consumers:
            subject = f"consumer {name}"
            if name not in silent:
                self._troubles.end(subject)
                continue
            heard = silent[name]
            at = 0.0 if heard is None else wall / 1000 - (now - heard)
            since = f"since {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" if at else "since the start"
            others = " (the others go on)" if len(silent) < len(consumers) else ""
            what = (
                f"the consumer {name} has confirmed nothing {since}{others}: its readings stay in the journal"
            )
            mend = (
                "look whether it runs and may read P/data and write its receipt; a consumer that is "
                "often away gets an uplink of its own"
            )
            self._troubles.begin(subject, what, mend)
