"""What the broker keeps of an uplink, and when to renew it: P/state at once when the backlog is gone, seldom
while it only changes; P/meters when it says something new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway import __version__
from gateway.mqtt import TOO_LARGE, Outgoing
from gateway.uplink.journal_port import JournalPort
from gateway.wire import State, Topics

EVERY = 30.0
"""Seconds between states while the backlog shrinks or grows."""
SELDOM = 300.0
"""Seconds between states that differ in seq alone."""
UNKEPT = 900.0
"""Seconds after which state and meters are said again where the broker keeps no retained messages."""
STEADY = 3.0
"""Seconds a backlog must exist before it is worth a message: every live batch is one for a moment."""

Behind = Callable[[], int | None]


@dataclass(frozen=True, slots=True)
class _Said:
    epoch: str
    seq: int
    backlog: int
    at: float


class StateTopic:
    """Decides; times are monotonic seconds."""

    def __init__(self) -> None:
        self._said: _Said | None = None
        self._backlog_since: float | None = None

    def forget(self) -> None:
        """A new connection: the broker may remember something else, such as our Last Will."""
        self._said = None

    def due(self, epoch: str, seq: int, backlog: int, now: float, *, kept: bool = True) -> bool:
        """Whether this state should be published now; `kept`: the broker keeps what is retained."""
        said = self._said
        self._backlog_since = None if not backlog else self._backlog_since or now
        if said is None:
            return True
        age = now - said.at
        if not kept and age >= UNKEPT:
            return True
        if not backlog and said.backlog:
            return True
        if backlog and not said.backlog:
            return now - (self._backlog_since or now) >= STEADY
        if backlog != said.backlog:
            return age >= EVERY
        return epoch != said.epoch or (seq != said.seq and age >= SELDOM)

    def said(self, epoch: str, seq: int, backlog: int, now: float) -> None:
        """This state was handed to the connection at monotonic time `now`."""
        self._said = _Said(epoch, seq, backlog, now)


class MetersTopic:
    """P/meters of one uplink; `describe` gives its text. Times are monotonic seconds."""

    def __init__(self, describe: Callable[[], bytes]) -> None:
        self._describe = describe
        self._text = b""
        self._check_at = 0.0
        self._said_at = 0.0

    def forget(self) -> None:
        """It must be said again: a new connection, or the broker refused it as too large."""
        self._text, self._check_at = b"", 0.0

    def changed(self) -> None:
        """It may say something else now."""
        self._check_at = 0.0

    def due(self, now: float, *, kept: bool) -> bytes | None:
        """What to say now, if anything; now and then all the same where the broker does not keep it."""
        again = not kept and now - self._said_at >= UNKEPT
        if now < self._check_at and not again:
            return None
        self._check_at = now + EVERY
        text = self._describe()
        if text == self._text and not again:
            return None
        self._text, self._said_at = text, now
        return text


class RetainedTopics:
    """P/state and P/meters of one uplink. Times are monotonic seconds; `behind` counts the intervals that
    stand in no batch yet.
    """

    def __init__(self, topics: Topics, journal: JournalPort, describe: Callable[[], bytes]) -> None:
        self._topics = topics
        self._journal = journal
        self._state = StateTopic()
        self._meters = MetersTopic(describe)

    @property
    def will(self) -> Outgoing:
        """What the broker says for us when the connection breaks."""
        return Outgoing(self._topics.state, State(online=False).to_bytes(), retain=True)

    def goodbye(self, backlog: int, behind: Behind) -> Outgoing:
        """The state of an uplink that went in good order."""
        state = self._now(backlog, behind, online=False)
        return Outgoing(self._topics.state, state.to_bytes(), retain=True, tag="goodbye")

    def forget(self) -> None:
        """A new connection: the broker may remember something else."""
        self._state.forget()
        self._meters.forget()

    def meters_changed(self) -> None:
        """P/meters may say something else now."""
        self._meters.changed()

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """PUBACKs came: P/meters that is too large is said again, compressed."""
        if (self._topics.meters, TOO_LARGE) in acks:
            self._meters.forget()

    def renew(
        self, say: Callable[..., None], backlog: int, behind: Behind, now: float, *, kept: bool
    ) -> None:
        """Hand to `say` what is to be said again now; `kept`: the broker keeps what is retained."""
        meters = self._meters.due(now, kept=kept)
        if meters is not None:
            say(self._topics.meters, meters, retain=True, packable=True)
        epoch, seq = self._journal.newest
        if self._state.due(epoch, seq, backlog, now, kept=kept):
            say(self._topics.state, self._now(backlog, behind, online=True).to_bytes(), retain=True)
            self._state.said(epoch, seq, backlog, now)

    def _now(self, backlog: int, behind: Behind, *, online: bool) -> State:
        epoch, seq = self._journal.newest
        told = State(online=online, epoch=epoch or None, seq=seq, backlog=backlog, version=__version__)
        return told.model_copy(update={"intervals_behind": behind()})
