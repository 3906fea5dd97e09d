"""When to try the broker again, as an object with named states. Says once that it is lost and once that it
is back.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from enum import Enum
from math import inf

from gateway.common.backoff import Backoff
from gateway.common.troubles import Troubles
from gateway.errors import LinkDown, LinkRefused, LinkTakenOver, UplinkError
from gateway.mqtt.broker import Broker
from gateway.mqtt.reasons import SILENCE, NoWay

log = logging.getLogger(__name__)

QUICK = (0.5, 3.0)
"""First and longest wait in seconds while the broker cannot be reached: it must be noticed within 5 s of
its return.
"""
UNSTEADY = (1.0, 60.0)
"""After connections that end right after they began."""
REFUSED = (30.0, 300.0)
"""After a refusal: somebody has to change something first."""
SHORT_LIFE = 10.0
"""Seconds; a connection that ends sooner is unsteady."""
TAKE_OVER_FORGOTTEN = 600.0
"""Seconds without another take-over after which it is held for settled."""
REPEATED = 600.0
"""Seconds between two losses within which they are one trouble."""
_SUSPICIOUS = 3
SUBJECT = "the broker"


class LinkState(Enum):
    """Where the link to the broker stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    REFUSED = "refused"
    TAKEN_OVER = "taken over"
    STOPPED = "stopped"


class Reconnect:
    """State of one link and the wait before the next attempt, with jitter so that a fleet does not march
    in step.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        meanwhile: str = "readings wait in the journal",
        longest: float = inf,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`meanwhile` ends the line that says that the broker is away; no wait has more than `longest` s."""
        self._broker = broker
        self._meanwhile = meanwhile
        self._monotonic = monotonic
        self._troubles = Troubles(log, f"{broker.name}: ", monotonic=monotonic)
        self._quick, self._unsteady, self._refused, self._taken_over = (
            Backoff(min(first, longest), min(most, longest), chance=chance)
            for first, most in (QUICK, UNSTEADY, REFUSED, REFUSED)
        )
        self.state = LinkState.IDLE
        self.error: UplinkError | None = None
        self.since = monotonic()
        self.lost_at: float | None = None
        self._idle_ends = 0
        self._lives: list[float] = []
        self.protocol = ""
        """The version of MQTT of the newest connection; empty before the first one."""

    @property
    def name(self) -> str:
        """What log lines call it."""
        return self._broker.name

    def _enter(self, state: LinkState) -> None:
        if state is not self.state:
            self.state = state
            self.since = self._monotonic()

    def connecting(self) -> None:
        """An attempt begins; the page goes on to show why the last one failed."""
        if self.state is LinkState.IDLE:
            self._enter(LinkState.CONNECTING)

    def connected(self, protocol: str) -> None:
        """The broker accepted us, with this version of MQTT."""
        self._quick.reset()
        self._refused.reset()
        self.protocol = protocol
        renewed = self.state is LinkState.CONNECTED
        self._enter(LinkState.CONNECTED)
        # A link that flaps is one trouble, not two lines in the log each time: it is back when it is steady.
        if self._unsteady.failures < _SUSPICIOUS:
            if len(self._lives) < _SUSPICIOUS:
                self._back(quiet=renewed)
            self.error = None

    def _back(self, *, quiet: bool = False) -> None:
        where = f"{self._broker.address}, MQTT {self.protocol}"
        if not self._troubles.end(SUBJECT, f"back at {where}") and not quiet:
            log.info("%s: connected to %s", self._broker.name, where)
        self.error = None

    def failed(self, error: UplinkError) -> float:
        """An attempt did not succeed: seconds until the next."""
        self._tell(error)
        if isinstance(error, LinkRefused):
            self._enter(LinkState.TAKEN_OVER if isinstance(error, LinkTakenOver) else LinkState.REFUSED)
            return self._refused.next()
        self._enter(LinkState.WAITING)
        return self._quick.next()

    def lost(self, error: UplinkError, *, idle: bool = True, mended: bool = False) -> float:
        """A connection ended, with nothing of ours on its way that could be why when it was `idle`; `mended`:
        the next one leaves out what ended it.

        Seconds until the next attempt.
        """
        lived = self._monotonic() - self.since
        if lived >= SHORT_LIFE or self.lost_at is None:
            # A connection of seconds within a long outage does not end that outage.
            self.lost_at = self._monotonic()
        if isinstance(error, LinkRefused):
            if lived >= TAKE_OVER_FORGOTTEN:
                self._taken_over.reset()
            self._tell(error)
            self._enter(LinkState.TAKEN_OVER if isinstance(error, LinkTakenOver) else LinkState.REFUSED)
            return self._taken_over.next()
        short = lived < SHORT_LIFE
        pinged = error.cause == SILENCE  # the next one is
        mended, idle = mended or pinged, idle and not pinged
        if mended or not short:
            self._unsteady.reset()
        wait = self._unsteady.next() if mended or short else self._quick.next()
        self._quick.reset()
        self._idle_ends += short and idle
        if self._unsteady.failures >= _SUSPICIOUS:
            error = self._ends_at_once(error)
        elif mended:
            self._lives = [*self._lives, lived][-_SUSPICIOUS - 1 :]
        elif not short:
            error = self._again(error, lived)
        self._tell(error)
        self._enter(LinkState.WAITING)
        return wait

    def renewed(self) -> float:
        """We ended the connection ourselves, to make it anew: seconds until then. Said only if that fails."""
        self.lost_at = self._monotonic()
        return self._quick.next()

    def _ends_at_once(self, error: UplinkError) -> UplinkError:
        """Connections end right after they began. Another client with our id is suspected only when
        nothing of ours was on its way that could be why.
        """
        what = f"the broker ends the connection right after accepting it ({error.message})"
        # A command's id is drawn anew each time.
        if self._idle_ends >= _SUSPICIOUS and self._broker.configured:
            hint = (
                "make sure that no other gateway uses the same gateway id and uplink name; look into "
                "the broker's log"
            )
            return LinkTakenOver(what, hint=hint, cause="taken_over_perhaps")
        return LinkDown(
            what,
            hint=error.hint or "look into the broker's log: it may not allow what was on its way",
            cause=error.cause,
        )

    def _again(self, error: UplinkError, lived: float) -> UplinkError:
        """Connections that live for a while and end all the same: the third is told with how long they
        lived, then silence.
        """
        self._lives = [*self._lives, lived] if lived < REPEATED else [lived]
        if len(self._lives) < _SUSPICIOUS:
            return error
        if len(self._lives) == _SUSPICIOUS:
            self._troubles.forget(SUBJECT)  # this line is news; the ones that follow are not
        self._lives = self._lives[-_SUSPICIOUS - 1 :]
        least, most = min(self._lives), max(self._lives)
        what = (
            f"the connection ends again and again, after {least:.0f} to {most:.0f} s ({error.message}); "
            f"further ends are not logged"
        )
        hint = (
            "a proxy or firewall that closes silent connections? write a keepalive shorter than that; "
            "else look into the broker's log"
            if self._broker.configured
            else "a proxy or firewall that closes connections? look into the broker's log"
        )
        return LinkDown(what, hint=error.hint or hint, cause=error.cause)

    def steady(self) -> None:
        """The connection has lived long enough to be trusted."""
        if self.state is not LinkState.CONNECTED:
            return
        lived = self._monotonic() - self.since
        if self._unsteady.failures and lived >= SHORT_LIFE:
            if self._unsteady.failures >= _SUSPICIOUS:
                self._back()
            self._unsteady.reset()
            self._idle_ends = 0
        if self._lives and lived >= REPEATED:
            if len(self._lives) >= _SUSPICIOUS:
                self._back()
            self._lives = []

    def outage(self, now: float, wall: int, oldest: int | None) -> float:
        """Seconds without a connection that lasted; `wall` and `oldest`, the time of the oldest batch that
        waits, are UTC in ms.
        """
        if self.lost_at is not None:
            return now - self.lost_at
        # Since the start: an old backlog tells of an outage before it.
        return (wall - oldest) / 1000 if oldest is not None else 0.0

    def stopped(self) -> None:
        """The link is being stopped: there is no further attempt."""
        self._enter(LinkState.STOPPED)

    def _tell(self, error: UplinkError) -> None:
        self.error = error
        # Once per kind of trouble: "cannot be reached" for a week is one line, "not authorised" after it is
        # news.
        what = f"{self._broker.address}: {error}; {self._meanwhile}"
        kind = LinkDown if isinstance(error, NoWay) else type(error)  # lost, and gone then, is one outage
        self._troubles.begin(SUBJECT, what, kind=kind.__name__)
