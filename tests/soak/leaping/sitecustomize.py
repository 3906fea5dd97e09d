"""A clock that leaps over idle time, put under an unchanged program by the interpreter's own hook (this
directory in PYTHONPATH).

Every process of a run maps one file, LEAP_CLOCK (see tests/soak/leaps.py). All of them see real time plus
`leap`; wall time is moved by `step` besides. One of them, LEAP_ROLE=leader, is the gateway: whenever its
event loop has nothing to do and nothing can still be under way, it adds the time until its next timer to
`leap` instead of sleeping it away. Work is never skipped, only waiting.

What can still be under way, and so is waited for in real time first: a job of a thread; a Modbus request
(ANSWER); a connection that is being made (OPENING); a PUBACK (BROKER); a receipt (RECEIPT). Who has not
answered in that time is not waited for again until heard. Timers may be due up to LEAP_COARSE late, as on a
busy machine; then one leap serves many of them. No leap passes `limit`. Signs of life of threads are aged in
real time, because threads do not leap.
"""

# ruff: noqa: PLC0415 - what is patched must be imported after the clock is, and only where it is needed
from __future__ import annotations

import asyncio
import contextlib
import math
import mmap
import os
import queue  # noqa: F401 - binds the real clock, as threading does: their waits are real
import sys
import threading  # noqa: F401 - likewise
import time
import weakref
from pathlib import Path

ANSWER, ANSWER_IN_TROUBLE = 2.0, 0.1
"""The simulated meters always answer, unless they are told not to."""
BROKER = 0.4
RECEIPT = 0.3
OPENING = 0.2
SETTLING = 0.0003
"""s after anything else."""

_real_monotonic_ns, _real_monotonic, _real_time_ns, _real_gettime_ns = (
    time.monotonic_ns,
    time.monotonic,
    time.time_ns,
    time.clock_gettime_ns,
)
SIZE = 40
LEAP, STEP, LIMIT, LEAPS, TROUBLE = range(5)


class Clock:
    """The file of the run: leap, step and limit in ns, how often was leapt, and whether meters are in
    trouble.
    """

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            # A number of this view is written and read in one go; struct would show others a zero in between.
            self._numbers = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("q")

    def get(self, number: int) -> int:
        return self._numbers[number]

    def put(self, number: int, value: int) -> None:
        self._numbers[number] = value

    def monotonic_ns(self) -> int:
        return _real_monotonic_ns() + self.get(LEAP)

    def time_ns(self) -> int:
        return _real_time_ns() + self.get(LEAP) + self.get(STEP)

    def gettime_ns(self, clock: int) -> int:
        real = _real_gettime_ns(clock)
        if clock in {time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC_RAW}:
            return real + self.get(LEAP)
        return real + self.get(LEAP) + self.get(STEP) if clock == time.CLOCK_REALTIME else real

    def leap(self, seconds: float) -> float:
        """Go forward, not beyond the limit; returns what was gone."""
        room = self.get(LIMIT) - self.gettime_ns(time.CLOCK_BOOTTIME)
        by = max(0, min(math.ceil(seconds * 1e9), room))
        self.put(LEAP, self.get(LEAP) + by)
        self.put(LEAPS, self.get(LEAPS) + (by > 0))
        return by / 1e9


def install(clock: Clock) -> None:
    """Everybody's clock."""
    time.monotonic_ns, time.time_ns, time.clock_gettime_ns = (
        clock.monotonic_ns,
        clock.time_ns,
        clock.gettime_ns,
    )
    time.monotonic = lambda: clock.monotonic_ns() / 1e9
    time.time = lambda: clock.time_ns() / 1e9
    time.clock_gettime = lambda which: clock.gettime_ns(which) / 1e9


class UnderWay:
    """What the leader still expects."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.jobs = 0
        self.requests = 0
        self.polls = 0
        self.openings = 0
        self.forwarders = weakref.WeakSet()
        self.slots = weakref.WeakSet()
        self.mute: set[float] = set()
        """The patiences that were in vain: nobody is there, until somebody is heard."""
        self.at = _real_monotonic()

    def stir(self) -> None:
        self.at = _real_monotonic()

    def job(self, future) -> None:
        """It is done with when the loop has heard of it, not when the thread has ended it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread's own, that the loop waits for already
            return
        self.jobs += 1

        def done(_future) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._done)

        future.add_done_callback(done)

    def _done(self) -> None:
        self.jobs -= 1
        self.stir()

    def patience(self) -> float:
        """Real seconds without anything happening after which nothing is expected any more."""
        if self.jobs:
            return math.inf
        if self.requests:
            return ANSWER_IN_TROUBLE if self._clock.get(TROUBLE) else ANSWER
        owed = SETTLING
        if self.openings:
            owed = OPENING
        for forwarder in self.forwarders:
            if forwarder._connection is not None and not forwarder._connection.idle:
                owed = BROKER
            elif forwarder._connection is not None and forwarder._delivery.undelivered:
                owed = RECEIPT
        return SETTLING if owed in self.mute else owed

    def exact(self) -> bool:
        """Whether timers must be on time: a poll's own pauses and timeouts are kept as they are, and what
        was polled waits for its commit no longer than it does in real time.
        """
        return bool(self.polls or self.requests or any(slot.pending for slot in self.slots))

    def in_vain(self) -> None:
        """Patience is over."""
        if not self.requests and (patience := self.patience()) != SETTLING:
            self.mute.add(patience)


def lead(clock: Clock, coarse: float) -> None:
    """Make this process's event loop leap."""
    import concurrent.futures
    import selectors

    way = UnderWay(clock)

    class Selector(selectors.EpollSelector):
        def select(self, timeout=None):
            ready = super().select(0)
            if ready or (timeout is not None and timeout <= 0):
                if ready:
                    way.stir()
                return ready
            if timeout is None:
                return super().select(None)
            end = time.monotonic() + timeout
            while True:
                rest = way.at + way.patience() - _real_monotonic()
                left = end - time.monotonic()
                if left <= 0:
                    return []
                if rest <= 0:
                    way.in_vain()
                    if way.exact():
                        gone = clock.leap(left)
                    else:
                        gone = clock.leap(
                            math.ceil((time.time() + left) / coarse - 1e-6) * coarse - time.time()
                            if coarse
                            else left
                        )
                    if gone:
                        return super().select(0)
                ready = super().select(0 if rest < 0.001 and not way.jobs else min(rest, left, 0.02))
                if ready:
                    way.stir()
                    return ready

    selectors.DefaultSelector = Selector

    submit = concurrent.futures.ThreadPoolExecutor.submit

    def counted_submit(self, *args, **kwargs):
        future = submit(self, *args, **kwargs)
        way.job(future)
        return future

    concurrent.futures.ThreadPoolExecutor.submit = counted_submit

    from gateway.daemon.slots import SlotCollector
    from gateway.field.port.modbus import ModbusPort
    from gateway.field.worker import BusWorker
    from gateway.journal.thread import JournalThread
    from gateway.mqtt.broker_link import BrokerLink
    from gateway.mqtt.connection import PahoConnection
    from gateway.uplink.forwarder import Forwarder

    call = JournalThread.call

    def counted_call(self, *args, **kwargs):
        future = call(self, *args, **kwargs)
        way.job(future)
        return future

    JournalThread.call = counted_call

    def during(owner, name: str, count: str) -> None:
        """Count calls of a coroutine function that are under way."""
        plain = getattr(owner, name)

        async def counted(self, *args, **kwargs):
            setattr(way, count, getattr(way, count) + 1)
            way.stir()
            try:
                return await plain(self, *args, **kwargs)
            finally:
                setattr(way, count, getattr(way, count) - 1)
                way.stir()

        setattr(owner, name, counted)

    during(BusWorker, "_visit", "polls")
    during(ModbusPort, "read", "requests")
    during(ModbusPort, "open", "requests")
    during(BrokerLink, "open", "openings")
    during(PahoConnection, "close", "openings")

    def known(owner, all_of_them) -> None:
        """Keep who is made."""
        made = owner.__init__

        def made_and_known(self, *args, **kwargs):
            made(self, *args, **kwargs)
            all_of_them.add(self)

        owner.__init__ = made_and_known

    known(Forwarder, way.forwarders)
    known(SlotCollector, way.slots)

    def hearing(name: str, *patiences: float) -> None:
        plain = getattr(Forwarder, name)

        def heard(self, *args):
            way.mute.difference_update(patiences)
            return plain(self, *args)

        setattr(Forwarder, name, heard)

    hearing("received", BROKER, RECEIPT)
    hearing("acknowledged", BROKER)
    hearing("_serve", OPENING, BROKER)
    committed = Forwarder.committed

    def told(self, batches):
        way.stir()
        return committed(self, batches)

    Forwarder.committed = told

    def aged(name: str) -> property:
        """A sign of life of a thread, in the leaping clock but as old as it really is."""

        def get(self):
            return time.monotonic() - (_real_monotonic() - self.__dict__[name])

        def put(self, _value):
            self.__dict__[name] = _real_monotonic()

        return property(get, put)

    PahoConnection.beat = aged("_leaping_beat")
    JournalThread.heartbeat = aged("_leaping_heartbeat")
    Forwarder.heartbeat = aged(
        "_leaping_heartbeat"
    )  # one leap may be longer than what a loop may be silent for
    assert asyncio.selector_events.selectors.DefaultSelector is Selector


def begin() -> None:
    path = os.environ.get("LEAP_CLOCK")
    words = " ".join(sys.orig_argv)
    if not path or "gateway.demo.die_with_parent" in words:
        return
    import paho.mqtt.client  # noqa: F401 - binds the real clock: the broker's keep-alive is real

    clock = Clock(path)
    install(clock)
    if "gateway run" in words:
        lead(clock, float(os.environ.get("LEAP_COARSE", "0")))
    elif "gateway receive" in words:
        import gateway.receiver.service

        gateway.receiver.service.LINGER = 0.0


begin()
