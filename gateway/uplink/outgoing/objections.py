"""What a broker objects to that just ends the connection: found by what was on its way, and how large it was.
Pure.

MQTT 3.1.1 has no reason codes. A broker that does not like a message (too large, a topic that is not allowed)
closes the socket, and so does one that stops, or a line that breaks. So one end proves nothing. After it
messages go one at a time; a message that is alone on its way at two ends, while another one was acknowledged,
is what the broker objects to. It is left out, the others go on, and after a while it is tried again. Some
brokers acknowledge a message and end the connection for it all the same: there is a pause behind each, and
one that was acknowledged a moment before the end counts as on its way.

Another client with our id ends the connection in the same way, whatever is on its way: also messages that the
broker has taken before. Such an end is `blameless`. Where nothing at all is taken any more, the next
connection is silent at first: when it ends then, no message was the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.common.backoff import Backoff

CALM = 50
CALM_SECONDS = 60.0
"""Messages acknowledged one by one, or seconds without an end, after which several may be on their way
again.
"""
PAUSE = 0.1
"""Seconds between an acknowledgement and the next message while they go one at a time."""
MOMENT = 0.3
"""Seconds before the end within which an acknowledgement proves nothing."""
AGAIN = (3600.0, 86400.0)
"""Seconds until what was left out is tried again, doubled each time up to the second."""
SILENCE = 3.0
"""Seconds at the beginning of a connection without a message of ours, after several that took none."""
_TWICE = 2
_SEVERAL = 3


@dataclass(frozen=True, slots=True)
class Objection:
    """What the broker objects to. `batch` is the tag of one batch that is to be set aside, when it is
    about that one alone.
    """

    what: str
    batch: object = None


@dataclass(frozen=True, slots=True)
class Flying:
    """A message without PUBACK: its topic, the bytes of its packet, and what its sender knows it by."""

    topic: str
    size: int
    tag: object = None


def in_words(flying: Sequence[Flying]) -> str:
    """What was on its way, for the end of a sentence."""
    if not flying:
        return "nothing was on its way"
    largest = max(flying, key=lambda one: one.size)
    one = f"{_short(largest.topic)} of {largest.size} bytes"
    return (
        f"{one} was the last message"
        if len(flying) == 1
        else f"{len(flying)} messages were on their way, the largest {one}"
    )


def _short(topic: str) -> str:
    return "P/" + topic.split("/", 3)[-1] if topic.startswith("submeter/v1/") else topic


class Objections:
    """Times are monotonic seconds. `data` is the topic of the batches."""

    def __init__(self, data: str) -> None:
        self._data = data
        self._alone: dict[tuple[str, int], int] = {}
        self._ended: dict[int, None] = {}
        self._calm = 0
        self._calm_since = 0.0
        self._acked_since = False
        self._newest: Flying | None = None
        self._newest_at = 0.0
        self._accepted: set[str] = set()
        self._flew: frozenset[object] = frozenset()
        self._unheard = 0
        self._silent_until = 0.0
        self._backoff = Backoff(*AGAIN)
        self._until = 0.0
        self.largest = 0
        """Bytes of the largest batch that this broker acknowledged."""
        self.bound: int | None = None
        """Batches have fewer bytes than this: one of this size ended the connection."""
        self.left_out: dict[str, int] = {}
        """Topics beside P/data whose message ended the connection, with its size."""
        self.batches_refused = False
        """Every batch ends the connection, whatever its size, while other messages are taken."""
        self.ended_by = ""
        """Topic of the one message that was on its way when a connection ended last."""
        self.blameless = False
        """At the newest end only messages of a kind that this broker has taken were on their way, and no
        batch that was so at the end before, too.
        """

    @property
    def one_at_a_time(self) -> bool:
        """Whether only one message may be on its way."""
        return self._calm > 0

    def pauses(self, now: float) -> bool:
        """Whether the next message must wait: its predecessor may have ended the connection, or the
        connection shows whether it lives without one.
        """
        return now < self._silent_until or (self.one_at_a_time and now - self._newest_at < PAUSE)

    def begin(self, now: float) -> None:
        """A connection begins at monotonic time `now`; it may have to show first that it lives without a
        message.
        """
        self._silent_until = now + SILENCE if self._unheard >= _TWICE else 0.0

    @property
    def control_first(self) -> bool:
        """Whether something small should go before the next batch: without a message that is taken nothing
        can be concluded.
        """
        return (
            self.one_at_a_time
            and not self._acked_since
            and any(count >= _TWICE for count in self._alone.values())
        )

    def suspicion(self, topic: str) -> int:
        """Whether a message beside the batches may be what ends the connections: 1, and 2 where it was what
        ended the newest one.
        """
        may_be = topic in self.left_out or (topic, 0) in self._alone
        return may_be + (may_be and topic == self.ended_by)

    def acknowledged(self, message: Flying, now: float) -> None:
        """The broker took it; while messages go one at a time that is believed when the next one was
        taken, too.
        """
        before, self._newest, self._newest_at = self._newest, message, now
        if not self.one_at_a_time:
            self._note_accepted(message)
        elif before is not None:
            self._note_accepted(before)

    def _note_accepted(self, message: Flying) -> None:
        self._acked_since = True
        self._unheard = 0
        self._calm = max(0, self._calm - 1)
        self._alone.pop((message.topic, message.size if message.topic == self._data else 0), None)
        if message.topic == self._data:
            self.largest = max(self.largest, message.size)
            self._ended.clear()
            self.batches_refused = False
            if self.bound is not None and message.size >= self.bound:
                self.bound = None
        self.left_out.pop(message.topic, None)
        self._accepted.add(message.topic)

    def at_the_end(self, flying: Sequence[Flying], now: float) -> Sequence[Flying]:
        """What was on its way at the end of a connection; with nothing on its way, what was acknowledged
        only a moment before.
        """
        newest, self._newest = self._newest, None
        if newest is not None and self.one_at_a_time:
            if not flying and now - self._newest_at < MOMENT:
                return [newest]
            self._note_accepted(newest)
        return flying

    def ended(self, flying: Sequence[Flying], now: float, *, too_large: bool = False) -> Objection | None:
        """The connection ended with these on their way; what follows from it, if anything does.
        `too_large`: the broker said why.
        """
        self.blameless = all(self._is_accepted(one) for one in flying)
        self._flew = frozenset(one.tag for one in flying)
        if not flying:
            return None
        # What ends a connection that had lived in silence may well be a message.
        self._unheard = 0 if self._silent_until else self._unheard + 1
        if too_large:
            largest = max(flying, key=lambda one: one.size)
            return (
                self._convict(largest, now)
                if largest.size > self.largest or largest.topic != self._data
                else None
            )
        self._calm, self._calm_since = CALM, now
        if len(flying) > 1:
            return None
        (one,) = flying
        self.ended_by = one.topic
        key = (one.topic, one.size if one.topic == self._data else 0)
        self._alone[key] = self._alone.get(key, 0) + 1
        known = one.topic == self._data and self.bound is not None
        if not self._acked_since or self._alone[key] < (1 if known else _TWICE):
            return None
        if one.topic == self._data and one.size <= self.largest and self._alone[key] < _SEVERAL:
            return None  # one of this size was taken before: it takes more to believe it of this one
        del self._alone[key]
        self._acked_since = False
        return self._convict(one, now)

    def _is_accepted(self, one: Flying) -> bool:
        if one.topic != self._data:
            return one.topic in self._accepted
        # A batch that was not taken twice may be one that the broker objects to.
        return one.size <= self.largest and one.tag not in self._flew

    def too_large(self, size: int, now: float) -> None:
        """The broker said that a batch of this size is too large, but not what it takes."""
        if self.bound is None or size < self.bound:
            self.bound = size
        self._wait(now)

    def _convict(self, one: Flying, now: float) -> Objection:
        self._wait(now)
        self._accepted.discard(one.topic)
        if one.topic != self._data:
            self.left_out[one.topic] = one.size
            return Objection(
                f"{_short(one.topic)} of {one.size} bytes ends the connection each time: it goes "
                f"compressed, or is left out"
            )
        self._ended[one.size] = None
        if not self.largest and len(self._ended) >= _SEVERAL:
            self.bound = None
            self.batches_refused = True
            return Objection(
                "every batch ends the connection while other messages are taken: the broker does not allow "
                "P/data?"
            )
        if one.size > self.largest:
            self.bound = one.size
            return Objection(
                f"a batch of {one.size} bytes ends the connection each time: larger ones, too, are set aside"
            )
        return Objection(
            f"one batch of {one.size} bytes ends the connection each time: it is set aside, the others go on",
            one.tag,
        )

    def _wait(self, now: float) -> None:
        self._until = now + self._backoff.next()

    def clear(self) -> None:
        """No single message was why the connection ended: several may be on their way again."""
        self._calm = self._unheard = 0
        self._alone.clear()

    def pardon(self) -> None:
        """The ends had another reason: what was left out is tried again at the next tick."""
        self._until = 0.0
        self._alone.clear()
        self._backoff.reset()

    def tick(self, now: float) -> bool:
        """Time to try again what was left out; true once."""
        if self._calm and now - self._calm_since > CALM_SECONDS:
            self._calm = 0
        if now < self._until or not (self.bound is not None or self.left_out):
            return False
        self.bound, self._until = None, 0.0
        self.left_out.clear()
        self._calm, self._calm_since = CALM, now
        return True

    @property
    def good_size(self) -> int | None:
        """Bytes that new batches should keep to: what was taken, or half of what was not; None without a
        bound.
        """
        return None if self.bound is None else max(min(self.largest, self.bound - 1), self.bound // 2)
