"""The thread of the upkeep: one small piece of work after another, and longer rests than work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.common.text import one_line
from gateway.common.troubles import Troubles
from gateway.receiver.upkeep.days import MeterDays
from gateway.receiver.upkeep.retention import Retention
from gateway.receiver.upkeep.rollups import Rollups
from gateway.receiver.upkeep.summary import Summary
from gateway.receiver.upkeep.work import Work, open_work

log = logging.getLogger(__name__)

REST = 2.0
"""Rest after a piece of work, as a multiple of the time that it took."""
IDLE = 5.0
"""s until the next look when there is nothing to do."""
AGAIN = 10.0
"""s until the next attempt when the database failed, was busy, or another receiver does the upkeep."""
ROUND = 600.0
"""s from one round of the retention to the next."""
SUMMARY = 30.0
SAMPLE = 300.0
"""s from one look at all gateways to the next, and from one note of who is online to the next."""
SUBJECT = "upkeep"


def again_and_again(turn: Callable[[], bool]) -> Iterator[bool]:
    """A piece of work at each step, if there is one; whether there was."""
    while True:
        yield turn()


def round_again(make: Callable[[], Iterator[None]], every: float) -> Iterator[bool]:
    """A round of work every so many s, a piece at each step; whether there was one."""
    while True:
        began = time.monotonic()
        for _ in make():
            yield True
        while time.monotonic() - began < every:
            yield False


class Upkeep:
    """Of one database, which a receiver has opened. `keep` is how many ms of readings stay; None: all."""

    def __init__(self, database: Path | str, keep: int | None = None, *, rest: float = REST) -> None:
        self._database = database
        self._keep = keep
        self._rest = rest
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._troubles = Troubles(log)

    def start(self) -> None:
        """Begin; errors are said in the log and never end it."""
        self._thread.start()

    def stop(self) -> None:
        """End after the piece of work at hand."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            work: Work | None = None
            try:
                work = open_work(self._database)
                self._work(work)
            except Exception as error:  # noqa: BLE001 - whatever it is: receiving goes on, and so does the upkeep
                what = f"upkeep of the database: {one_line(error)}"
                known = work is None or work.failed(error)
                mend = "it goes on later by itself; receiving does not wait for it"
                self._troubles.begin(SUBJECT, what, mend, cause=None if known else error)
                self._end.wait(AGAIN)
            finally:
                if work is not None:
                    work.close()

    def _work(self, work: Work) -> None:
        rollups = Rollups(work)
        days, summary = MeterDays(work), Summary(work)
        duties = [
            round_again(lambda: summary.round(now_ms()), SUMMARY),
            round_again(lambda: summary.sample(now_ms()), SAMPLE),
            again_and_again(lambda: days.turn(now_ms())),
            again_and_again(lambda: rollups.turn(now_ms())),
            round_again(lambda: _room(work), ROUND),
        ]
        if self._keep is not None:
            retention = Retention(work, rollups, self._keep)
            duties.append(round_again(lambda: retention.round(now_ms()), ROUND))
        while not self._end.is_set():
            if not work.leads:
                self._end.wait(AGAIN)
                continue
            busy = False
            for duty in duties:
                began = time.monotonic()
                worked = next(duty)
                busy |= worked
                if worked:
                    self._troubles.end(SUBJECT, "upkeep of the database: going on")
                    self._end.wait((time.monotonic() - began) * self._rest)
            if not busy:
                self._end.wait(IDLE)


def _room(work: Work) -> Iterator[None]:
    work.make_room(now_ms())
    yield


def now_ms() -> int:
    """UTC in ms."""
    return time.time_ns() // 1_000_000
