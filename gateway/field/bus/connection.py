"""A port that is opened, lost and opened again, and what is known of the connection that it has."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.common.backoff import Backoff
from gateway.common.troubles import Troubles
from gateway.config import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, OthersTalk
from gateway.field.bus.cost import Wire, wire_of
from gateway.field.bus.endings import Endings
from gateway.field.bus.first_request import FirstRequest
from gateway.field.bus.station import Station
from gateway.field.facts import BusFacts
from gateway.field.health import BusState
from gateway.field.port.contract import Port

log = logging.getLogger(__name__)

BACK_OFF = (0.25, 5.0)
"""s between two attempts to open the port: doubling from, up to."""
OTHERS = 3
"""Replies lost to frames of another unit, ours or not, after which another master is told of."""
SHARED = 3600.0
"""s in which so many replies of our own units to somebody else mean another master; and for which they do."""
DEAF = 2
"""Timeouts in a row, with every station of the connection among them and not one byte, that mean it is
half-open.
"""


class Ended(BusDown):
    """A connection that the other side ended after a request, without a byte of reply."""


class BusConnection:
    """The port of a bus, and the stations behind it."""

    def __init__(self, bus: Bus, port: Port, facts: BusFacts) -> None:
        self.bus = bus
        self.name = bus.name
        self.port = port
        self.facts = facts
        self.wire: Wire = wire_of(bus)
        self.state: BusState = "closed"
        self.since = 0.0
        self.error = ""
        self.trouble: BusDown | None = None
        """Why it is not open; None while it is."""
        self.retry_at = 0.0
        self.openings = 0
        """How often the port was opened: a new number means that anything may have been exchanged."""
        self.opened_at = self.silent_until = self.asked_at = 0.0
        self.disturbed_at = float("-inf")
        """When something last came that was no answer, or too late, or when a station was deaf for good."""
        self.first = FirstRequest(bus.name, facts)
        self._endings = Endings(facts)
        self._backoff = Backoff(*BACK_OFF)
        self._others = 0
        self._heard_ours: deque[float] = deque(maxlen=OTHERS)
        """When stations of ours answered somebody else."""
        self._troubles = Troubles(log)
        self._fruitless = False
        """Whether nothing was answered on the last connection."""
        self._well = False
        """Whether it works, and that was said."""
        self._left_silent = False
        """Whether it was closed because everybody was silent on it."""
        self._stray_frames = self._strays = 0
        """Frames and bytes that were no answers, as they were last looked at."""
        self._stations: list[Station] = []
        self._silent: list[Station] = []
        self._unanswered: dict[int, float] = {}
        """Lengths of requests that may still be answered, also on the next connection, of all stations of a
        Modbus TCP gateway.
        """

    @property
    def stations(self) -> Sequence[Station]:
        """Every unit address of this bus, in no order."""
        return self._stations

    def on_late(self, call: Callable[[], None]) -> None:
        """What is called when a reply comes that was given up."""
        self.port.on_late = call

    @property
    def ready(self) -> bool:
        """Whether the port is open."""
        return self.state == "ready" and self.port.connected

    @property
    def has_transaction_ids(self) -> bool:
        """Whether a number tells which request a reply belongs to."""
        return self.port.has_transaction_ids

    def free_at(self, now: float) -> float:
        """When the next request may go out: an answer that may still come keeps a line without numbers."""
        return now if self.port.has_transaction_ids else max(now, self.silent_until)

    async def open(self) -> None:
        """Open the port now. Raises BusDown; then `retry_at` says when it is worth another try."""
        fruitless, kept = (
            self._fruitless,
            self.state == "ready",
        )  # the other side ended a connection that was well
        self._become("connecting")
        try:
            await self.port.open()
        except BusDown as error:
            self.lost(error)
            raise
        except BaseException:
            self._become("closed")
            raise
        self._stray_frames = self.port.stray_frames
        self._silent.clear()
        if not kept:
            self.openings += 1
            for station in self._stations:
                station.doubt_copies()
        self.first.opened()
        self._endings.opened()
        self.opened_at = time.monotonic()
        if not fruitless:
            self._works()
        self.error, self.trouble = "", None
        self._become("ready")
        if not isinstance(self.bus, SerialBus):
            self.silent_until = max(self.silent_until, time.monotonic() + self.first.pause)
        if not self.port.has_transaction_ids:
            self.silent_until = max(self.silent_until, time.monotonic() + self.wire.gap)

    def lost(self, error: BusDown) -> None:
        """The port is gone: close it and wait before the next attempt. Said once, also when it can be
        opened but brings no answer.
        """
        self.port.close()
        self._fruitless = (
            self.state == "ready" and not self.first.answered and not isinstance(self.bus, SerialBus)
        )
        self._well = self._left_silent = False
        self._troubles.begin("port", f"bus {self.bus.name} is lost: {error}")
        self.error, self.trouble = str(error), error
        self.retry_at = time.monotonic() + self._backoff.next()
        self._become("waiting")

    def _works(self) -> None:
        """It was opened, or something was answered on it: what it was lost for is over."""
        name, troubles = self.bus.name, self._troubles
        self._well = True
        self._backoff.reset()
        troubles.end("port", f"bus {name} is back")
        if self.port.echoes:
            what = f"bus {name}: the adapter hears itself, each request comes back: that does no harm"
            troubles.note("echo", what, level=logging.INFO)

    def _tell_of_others(self, error: BadFrame) -> None:
        """A unit answers somebody else: said once it is no accident. One of ours may also be late, or answer
        twice.
        """
        repeats = self.port.repeats
        if not isinstance(error, OthersTalk) or error.other == repeats.unit:
            return
        ours = [station for station in self._stations if station.unit == error.other]
        if any(station.unanswered or station.copies for station in ours):
            return
        if ours:
            self._heard_ours.append(time.monotonic())
            told = self.is_shared
            harm = "which reads our meters, too: each answer is listened behind, and reads take longer"
        else:
            self._others += 1
            told, harm = self._others >= OTHERS, "and replies are lost in between"
        if told:
            what = f"unit {error.other} answers another master on this line, {harm}"
            self._troubles.begin(
                "another master of our meters" if ours else "another master",
                f"bus {self.name}: {what}",
                "a line has one master: let one of them go, or let it read from this gateway",
            )

    @property
    def is_shared(self) -> bool:
        """Whether another master has read our own meters of late."""
        heard = self._heard_ours
        return len(heard) == OTHERS and time.monotonic() - heard[0] < SHARED

    def close(self) -> None:
        """Close the port."""
        self.port.close()
        self._become("closed")

    async def _reconnect(self) -> None:
        """A connection that ended between two reads is opened again; a port that is gone is lost. Raises
        BusDown.
        """
        error = BusDown(f"bus {self.bus.name} is not open")
        if self.state != "ready":
            raise error
        if isinstance(self.bus, SerialBus):
            self.lost(error)
            raise error
        await self.open()

    @property
    def may_be_half_open(self) -> bool:
        """Whether everybody is silent on a connection that was good, or was given up for that: then the next
        request tells, and keeps nobody waiting.
        """
        good = self.first.answered and not isinstance(self.bus, SerialBus)
        return good and (self.trouble is not None or self._all_silent)

    @property
    def _all_silent(self) -> bool:
        return len({id(each) for each in self._silent}) == len(self._stations)

    def _half_open(self) -> None:
        if len(self._silent) >= DEAF and self._all_silent:
            self.lost(BusDown(f"{self.bus.place} is connected but silent", hint="it is opened again"))
            self._left_silent = True

    def _become(self, state: BusState) -> None:
        if state != self.state:
            self.state, self.since = state, time.monotonic()
