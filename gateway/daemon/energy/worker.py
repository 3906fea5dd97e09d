"""Energy in the daemon: what the journal holds goes through the engine into the history, and what comes of
it goes into the journal again, with the next slot or in batches of its own.

Nothing is published before the newest batch of the journal was taken in: what a killed process had
published is found there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.common.wait import wait_for_event
from gateway.daemon.changes import Loaded
from gateway.daemon.energy.nightly import NightlyCopy
from gateway.daemon.energy.opening import Committing, committed, concerns, open_projection, parts_of
from gateway.daemon.energy.progress import EnergyProgress
from gateway.daemon.energy.writing import kept_going
from gateway.errors import GatewayError, HistoryDamaged, HistoryError, JournalError
from gateway.host import Clock, give_way
from gateway.journal import Journal
from gateway.model import Draft, Event, Interval, Reading, Sealed

if TYPE_CHECKING:
    from gateway.history import Projection

log = logging.getLogger(__name__)

CHUNK = 60
"""Batches that are taken in between two looks at the world."""
FROM_JOURNAL = 240
"""Batches that are read from the journal at once: threads wait for one another four times for each piece."""
QUEUE = 500
"""Committed batches that wait for the engine in memory; beyond, it reads them from the journal."""
LIVE_BYTES = 16 * 1024
"""Of intervals in a batch."""
LIVE_MOST = 900
FINDINGS, MANIFESTS = 20, 60
DEFAULT_RATE = 50.0
PATIENCE = 20.0
"""s that what is to be published waits for a batch of readings; then it goes by itself."""
SAVE_AFTER = 90_000
"""ms after a quarter hour at which what it brought is saved: it was published by then."""
SAVE_WORK = 4.0
"""s of work after which what was caught up is saved."""
SAY, AGAIN, FIRST = 60.0, 5.0, 2.0
GATHER = 0.7
"""s after a commit at which its batches are taken in: the journal is done with them, the cache is not."""
SELDOM = 5.0
"""s between two times that batches are taken in, at least: of many commits several come together."""
MOST_WAITED = 10.0
"""s that whoever asks waits for what was committed before."""
IDLE = 30.0
"""s after which it looks at the world although nothing was committed."""
SUM_REST = 4.0
"""Of the time that adding up a day took it rests before the next one."""
T = TypeVar("T")


class EnergyWorker:
    """Lives as long as the daemon. `commit` takes a draft of its own to the journal, `offer` gives what the
    next slot takes along.
    """

    def __init__(
        self, journal: Journal, clock: Clock, loaded: Loaded, commit: Callable[[Draft], Awaitable[None]]
    ) -> None:
        self._journal, self._clock, self._loaded = journal, clock, loaded
        self._zone = ZoneInfo(loaded.config.gateway.timezone)
        self._commit = commit
        self._thread = ThreadPoolExecutor(1, "energy")
        self._projection: Projection | None = None
        self._queue: deque[Committing] = deque()
        self._woken = asyncio.Event()
        self._called = asyncio.Event()
        """Somebody does not want to wait for the next batches."""
        self._taken = asyncio.Event()
        """Batches were taken in."""
        self._read = 0
        """seq of the newest batch that was taken in."""
        self._first = 0
        self._live = False
        self._offered: tuple[list[Interval], list[Event]] = ([], [])
        self._offered_at = 0.0
        self._gathered = 0.0
        """When was looked last for what is to be published (s, monotonic)."""
        self._took = 0.0
        """When batches were taken in last (s, monotonic)."""
        self._saved = 0
        """The quarter hour of the newest save."""
        self._worked = 0.0
        self._behind = 0
        self.resolutions: dict[str, dict[str, int | float]] = {}
        self.standing_still: frozenset[str] = frozenset()
        """Meters of which a register stands still although there is power."""
        self._nightly = NightlyCopy()
        self._to_sum_up = True
        """There may be days that are over and have no daily sums."""
        self._distrust = ""
        """What is wrong with the file although it does not contradict itself."""
        self.trouble = ""
        """Why the history cannot be kept; empty while it can."""
        self._stopping = False
        self._concerns: tuple[object, ...] = ()
        """What the engine was opened with."""
        self._holiday_year = 0
        """The year in which this was compared with the configuration as it is."""
        self._ended: Projection | None = None
        """The engine before, until the next one knows what it had under way."""

    # ── what others see ──

    @property
    def progress(self) -> EnergyProgress:
        """Batches taken in of all that the journal has, and whether it follows live."""
        newest = self._journal.newest[1]
        taken = max(0, self._read - self._first)
        return EnergyProgress(taken, max(0, newest - self._first), self._behind, self._live)

    @property
    def behind(self) -> int:
        """Intervals that wait to be published."""
        return self._behind

    def configure(self, loaded: Loaded) -> None:
        """What a reload brought. Where it changes the days, the tree or the bounds of registers, the engine
        goes on as a new one.
        """
        self._loaded, self._holiday_year = loaded, 0
        self._zone = ZoneInfo(loaded.config.gateway.timezone)
        self._woken.set()
        self._called.set()

    def committed(self, sealed: list[Sealed], readings: list[Reading] | None = None) -> None:
        """Batches were committed, of these readings."""
        if len(self._queue) + len(sealed) <= QUEUE:
            self._queue.extend(zip(sealed, parts_of(sealed, readings), strict=True))
        self._woken.set()

    def offer(self, draft: Draft) -> None:
        """Give a draft what is to be published, as far as a batch of readings takes it along."""
        intervals, events = self._offered
        self._offered = ([], [])
        if intervals or events:
            draft.intervals += intervals
            draft.events += events
            draft.keep = True
            self._woken.set()

    async def register_intervals(self, meter: str, quantity: str, first: int, last: int) -> list[Interval]:
        """The intervals of a register between two times (ms UTC), as what is committed by now has them.
        Raises HistoryError before they are known.
        """
        await self._until_taken(self._journal.newest[1])
        if not self._live:
            raise HistoryError(
                "what the journal holds is not known yet", hint="it is being read: try again in some minutes"
            )
        history = self._opened.history
        return await self._in_thread(history.register_intervals, meter, quantity, first, last)

    async def write(self) -> None:
        """What is committed by now stands in the file when this returns, for who looks at that, unless the
        file fails: then the engine finds that out itself, and begins again.
        """
        await self._until_taken(self._journal.newest[1])
        if self._live:
            with contextlib.suppress(HistoryError):
                await self._in_thread(self._save)

    async def _until_taken(self, seq: int) -> None:
        end = time.monotonic() + MOST_WAITED
        while self._live and self._read < seq and (left := end - time.monotonic()) > 0:
            self._taken.clear()
            self._called.set()
            await wait_for_event(self._taken, min(GATHER, left))

    # ── its life ──

    async def run(self) -> None:
        """Catch up with the journal, then go with it, until `stop`. What fails is said and begins again."""
        await asyncio.sleep(FIRST)  # what it loads must not delay the first readings
        while not self._stopping:
            rest = asyncio.create_task(self._publish_rest())
            try:
                await self._begin()
                self.trouble = ""
                await self._follow()
            except (HistoryError, JournalError) as error:
                if self._stopping:
                    return  # the file was closed before the last batches came
                if str(error) != self.trouble:  # once: a disk may stay full for days
                    log.error("the history of intervals: %s; it is tried again", error)  # noqa: TRY400
                self.trouble = str(error)
                self._distrust = str(error) if isinstance(error, HistoryDamaged) else ""
                await asyncio.sleep(AGAIN)
            finally:
                rest.cancel()
                if not self._stopping:
                    await self._in_thread(self._end)

    async def stop(self) -> None:
        """Save what is known and end."""
        self._stopping = True
        self._woken.set()
        self._called.set()
        await self._in_thread(self._finish)
        self._thread.shutdown(wait=False)

    def _finish(self) -> None:
        if self._projection is not None:
            with contextlib.suppress(GatewayError):
                self._projection.save()
        self._end()

    async def _in_thread(self, work: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    def _end(self) -> None:
        projection, self._projection = self._projection, None
        self._live = False
        if self._ended is None:
            self._offered = ([], [])
        if projection is not None:
            projection.history.close()

    async def _begin(self) -> None:
        # Rows on their way back may hold what was published: nothing is computed before they are here.
        while any(not damaged.done for damaged in self._journal.stats().damaged):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(AGAIN)
        oldest = self._journal.stats().oldest_t0
        self._concerns = concerns(self._loaded, datetime.now(self._zone).year)
        open_it = functools.partial(open_projection, self._loaded, oldest=oldest, distrust=self._distrust)
        self._projection = projection = await self._in_thread(open_it)
        self._distrust = ""
        if self._ended is not None:
            projection.continue_from(self._ended)
            self._ended = None
        known = {epoch for epoch, _, _ in self._journal.epochs()}
        if projection.seq > self._journal.newest[1] and projection.epoch not in known:
            projection.renumbered()
        self._read = projection.seq
        # What the journal does not hold any more is no work that lies ahead.
        self._first = max(projection.seq, (self._journal.stats().oldest_seq or 1) - 1)
        self._queue.clear()
        left = self._journal.newest[1] - self._first
        if left > QUEUE:
            log.info("energy: %d batches of the journal become intervals, in the background", left)

    # ── with the journal ──

    async def _follow(self) -> None:
        """Until `stop`, or until another engine is needed."""
        said = time.monotonic()
        while not self._stopping:
            # Before the look at the world: who wakes it during the round below is heard at its end.
            self._woken.clear()
            self._called.clear()
            year = datetime.now(self._zone).year
            if year != self._holiday_year and concerns(self._loaded, year) != self._concerns:
                log.info("energy: the engine goes on with another configuration, or in another year")
                await self._in_thread(self._save)
                self._ended = self._projection
                return
            self._holiday_year = year
            batches = await self._next()
            if not batches:
                if not self._live:
                    await self._go_live()
                await self._rest_of_quarter()
                await self._sum_up()
                if not self._queue and not self._to_sum_up:
                    woken = await wait_for_event(self._woken, IDLE)
                    if woken and (self._behind == 0 or self._offered != ([], [])):
                        rest = SELDOM - (time.monotonic() - self._took)
                        await wait_for_event(self._called, max(GATHER, rest))
                continue
            await self._in_thread(self._take, batches, asyncio.get_running_loop())
            self._read = batches[-1][0].seq
            self._taken.set()
            if not self._live and time.monotonic() - said >= SAY:
                said, far = time.monotonic(), self.progress
                log.info("energy: %d of %d batches are intervals", far.taken, far.batches)

    async def _next(self) -> list[Committing]:
        """What comes next: from memory when nothing is missing in between, else from the journal."""
        while self._queue and self._queue[0][0].seq <= self._read:
            self._queue.popleft()
        batches: list[Committing] = []
        while self._queue and self._queue[0][0].seq == self._read + len(batches) + 1 and len(batches) < CHUNK:
            batches.append(self._queue.popleft())
        if batches or self._journal.newest[1] <= self._read:
            return batches
        for epoch, first, last in self._journal.epochs():
            if last > self._read:
                found = await self._journal.find(epoch, max(first, self._read + 1), last, FROM_JOURNAL)
                if found:
                    return [(each, None) for each in found]
        return []

    def _take(self, batches: list[Committing], polling: asyncio.AbstractEventLoop) -> None:
        began, projection = time.monotonic(), self._opened
        for each in batches:
            projection.take(committed(*each))
            give_way(polling)
        self._took = time.monotonic()
        self._worked += self._took - began
        if not self._live and self._worked >= SAVE_WORK:
            self._worked = 0.0
            projection.save()
        self._after(projection)

    @property
    def _opened(self) -> Projection:
        if self._projection is None:
            raise HistoryError("the history is closed")
        return self._projection

    def _after(self, projection: Projection) -> None:
        self._behind, self._gathered = projection.behind, time.monotonic()
        self.standing_still = projection.standing_still() if self._live else frozenset()
        if self._live and self._offered == ([], []):
            self._offered, self._offered_at = self._gather(projection), time.monotonic()

    def _gather(self, projection: Projection) -> tuple[list[Interval], list[Event]]:
        now, uptime = time.monotonic(), self._clock.uptime()
        intervals = list(projection.history.offers(now, LIVE_MOST, LIVE_BYTES))
        events = list(projection.findings(uptime, now, FINDINGS))
        if self._clock.synced:
            told = projection.history.manifests(self._clock.wall(), now, MANIFESTS)
            events += [Event("manifest", uptime, manifest.fields()) for manifest in told]
        return intervals, events

    async def _go_live(self) -> None:
        """The newest batch was taken in: from here on what is new is published."""
        if self.progress.taken > QUEUE:
            log.info("energy: the journal is read, %d intervals are to be published", self._behind)
        self._live = True
        await self._in_thread(self._save)
        await self._in_thread(lambda: self._after(self._opened))

    async def _rest_of_quarter(self) -> None:
        """Save once a quarter hour, when what it brought has been published; copy the file once a night."""
        newest = self._opened.newest
        quarter, past = newest // 900_000, newest % 900_000
        if quarter != self._saved and past >= SAVE_AFTER:
            self._saved = quarter
            await self._in_thread(self._save)
        if time.monotonic() - self._gathered >= AGAIN:
            await self._in_thread(lambda: self._after(self._opened))
        path = self._opened.history.path
        if self._clock.synced and self._nightly.due(path, datetime.now(self._zone)):
            await self._in_thread(self._save)
            await asyncio.to_thread(kept_going, lambda: self._nightly.make(path))

    async def _sum_up(self) -> None:
        """Daily sums of what is over, a day at a time, while nothing else is to be done."""
        if self._to_sum_up:
            began = time.monotonic()
            history = self._opened.history
            self._to_sum_up = await self._in_thread(kept_going, lambda: history.sum_up(1))
            await asyncio.sleep((time.monotonic() - began) * SUM_REST)

    def _save(self) -> None:
        kept, opened = kept_going(self._opened.save), self._opened
        self.trouble = "" if kept else f"{opened.history.path} cannot be written"
        if kept:
            self.resolutions = opened.resolutions()
            self._to_sum_up = True

    # ── what does not fit beside readings ──

    async def _publish_rest(self) -> None:
        """Batches of intervals alone: when no slot takes them along, and, at a tenth of the rate of a
        backlog, while there are more than a slot takes.
        """
        while not self._stopping:
            waits = self._offered != ([], []) and time.monotonic() - self._offered_at >= PATIENCE
            if not self._live or (self._behind <= LIVE_MOST and not waits):
                await asyncio.sleep(AGAIN)  # whoever wakes more often costs polling more than the engine does
                continue
            with contextlib.suppress(GatewayError):
                await self._commit(Draft())
            config = self._loaded.config
            rates = [uplink.backlog_rate or DEFAULT_RATE for uplink in config.uplinks]
            await asyncio.sleep(10.0 / max(rates, default=DEFAULT_RATE))
