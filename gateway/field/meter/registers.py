"""The reads of one meter, one after the other: what is refused or not answered is found out, remembered, and
said.

A meter is lost when no read of it is answered. A read that is silent while another is answered is like a
refused one: it is halved until the registers at fault are known. First it is asked again after silence, for a
meter may be deaf after its own answer; and as learning takes the line's time, which is the others' too, it
goes on only as far as it is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from gateway.errors import BadFrame, BusDown, BusError, NoReply, OthersTalk, Refused
from gateway.field.bus.line import BusLine
from gateway.field.bus.read_series import PollReads
from gateway.field.bus.station import Station
from gateway.field.meter.decode import Replies
from gateway.field.meter.planner import Read, Rules, between, halves
from gateway.field.meter.poll import Poll
from gateway.field.meter.quiet import QuietTimes
from gateway.field.meter.silent_read import PartsAsked, SilentRead
from gateway.field.meter.skipped import SkippedRegisters
from gateway.field.port.contract import Registers

log = logging.getLogger(__name__)

ABSENT_STATION = frozenset({10, 11})
"""Exceptions with which a gateway says that the meter behind it does not answer."""
SPLIT = frozenset({2, 3})
"""Exceptions that may come from one register of a longer read, or from its length."""
SILENT = 2
"""Polls in a row in which a read was not answered while others were: then it is looked into."""
GENEROUS = 1.0
"""s; with so much time left a meter whose first read is not answered is asked for another, and a new one
for single rows.
"""
KNOCKS = 3
"""Single rows that are tried in one poll when no read of a meter has ever been answered."""
NOISY = 0.1
"""Share of reads lost on the way, above which a silent read means little."""
SILENT_IN_NOISE = 6
_FADE = 0.02
_MOST_KEYS = 64
_NONE = (0, 0.0, 0.0)

Key = tuple[int, int, int]


class RegisterReader:
    """Reads of one meter. `rules` are those of today; `changed` is called when they have become others."""

    def __init__(
        self,
        meter: str,
        line: BusLine,
        station: Station,
        rules: Callable[[], Rules],
        changed: Callable[[], None],
    ) -> None:
        self.meter, self.line, self.station, self.facts = meter, line, station, station.facts
        self.image: list[tuple[int, int, Registers]] = []
        """The registers that the last poll brought: function, first address, words."""
        self.began = 0.0
        """When the first request of a poll that was answered went out."""
        self.left_out = SkippedRegisters(meter, station.facts, changed)
        self._rules, self._changed = rules, changed
        self._unanswered: dict[Key, tuple[int, float, float]] = {}
        """How often in a row a read was not answered, and how long it came after the meter's own answer
        and the line's last byte.
        """
        self._tried: dict[Key, int] = {}
        """The same for polls in which nothing was answered: which read is the next to find the meter by."""
        self._silent: dict[Key, SilentRead] = {}
        self._proven: set[Read] = set()
        self._proof: Read | None = None
        """The shortest read that was answered."""
        self._mute = False
        self._knocked = -1
        self._after = (0.0, 0.0)
        self._loss = 0.0
        self._longest = 0
        self._quiet = QuietTimes(meter, line, station)

    def forget(self) -> None:
        """It may be another meter now: what was refused or silent is asked again."""
        self.facts.forget("skip", "max_registers")
        self._silent.clear()
        self._proven.clear()
        self._proof = None
        self.station.answered_reads.clear()
        self._longest = 0
        self._quiet.question()

    async def read_all(
        self, reads: Sequence[Read], image: Replies, turn: Poll, knocks: Sequence[Read] = ()
    ) -> BusError | None:
        """All reads, back to back; the error that makes the meter lost, if nothing was answered. `knocks`:
        short reads to find it by.
        """
        ended: BusError | None = None
        first: BusError | None = None
        missed = 0
        early: list[Read] = []
        run = PollReads(
            self,
            self._in_order(reads, turn, knocks) if self._unanswered or self._tried else reads,
            image,
            turn,
        )
        for begun in run:
            if ended is not None:
                self._fail(begun, ended.reason, image)
                continue
            if not self._quiet.idle:
                self._quiet.offer(allowed=turn.may_learn)
            alive = turn.alive
            try:
                if self._unanswered or turn.patient:
                    await self._take(begun, image, turn)
                else:
                    await self.fetch(begun, image, turn, run)
                missed = 0
            except BusDown as error:
                read = run.read
                if turn.alive or first is None:  # else it is the meter's silence that ended the connection
                    first = error
                turn.alive, ended = False, error
                self._fail(read, error.reason, image)
            except (NoReply, Refused) as error:
                read, missed = run.read, missed if run.read is begun else 0
                learning = missed > 0 or (alive and _key(read) in self._unanswered)
                if await self._missed(read, image, turn, learning=learning):
                    missed = 0
                    continue
                self._fail(read, error.reason, image)
                first = first or error
                missed += 1
                if not turn.alive:
                    early.append(read)
                if missed > 1 if turn.alive else not turn.go_on:
                    ended = error
        if not self._quiet.idle:
            self._quiet.apply()
        generous = turn.allowance - turn.spent >= GENEROUS
        if (
            first is not None
            and generous
            and not turn.alive
            and not self._proven
            and await self._knock(knocks, image, turn)
        ):
            for read in reads:
                self._unanswered[_key(read)] = (SILENT_IN_NOISE, *self._after)
                await self._take(read, image, turn)
        elif turn.alive and early:
            await self._once_more(early, image, turn)
        return None if turn.alive else first

    async def _once_more(self, early: Sequence[Read], image: Replies, turn: Poll) -> None:
        """Reads that were missed before the first answer: it may have been the request to re-synchronise
        that was not answered.
        """
        for read in early:
            answered = False
            if turn.may_learn and self.line.ready:
                with contextlib.suppress(NoReply, Refused):
                    answered = await self.again(read, image, turn)
            if not answered:
                self._count(read)

    async def _knock(self, knocks: Sequence[Read], image: Replies, turn: Poll) -> bool:
        """Whether a meter that has never answered answers one of its rows by itself."""
        for _ in range(min(len(knocks), KNOCKS)):
            if not (turn.may_learn and self.line.ready):
                return False
            self._knocked += 1
            try:
                await self.again(knocks[self._knocked % len(knocks)], image, turn)
            except (NoReply, Refused):
                return False
            if turn.alive:
                return True
        return False

    def _in_order(self, reads: Sequence[Read], turn: Poll, knocks: Sequence[Read]) -> Sequence[Read]:
        """Those that were answered go first: a silent one says nothing about the meter."""
        missed = self._unanswered
        tried = self._tried
        if (
            knocks
            and not turn.alive
            and all(_key(read) in missed or tried.get(_key(read), 0) >= SILENT for read in reads)
        ):
            self._knocked += 1
            reads = [knocks[self._knocked % len(knocks)], *(read for read in reads if read not in knocks)]
        return sorted(reads, key=lambda read: missed.get(_key(read), _NONE)[0] + tried.get(_key(read), 0))

    async def _take(self, read: Read, image: Replies, turn: Poll) -> None:
        """One read of a poll, when some were not answered lately. Raises what was not answered."""
        before = self._unanswered.get(_key(read), _NONE)[0]
        if turn.alive and before >= (SILENT if self._loss < NOISY else SILENT_IN_NOISE):
            await self._look_into(read, image, turn)
        elif turn.patient and not turn.alive:
            await self._patiently(read, image, turn)
        else:
            await self.fetch(read, image, turn)

    async def fetch(self, read: Read, image: Replies, turn: Poll, run: PollReads | None = None) -> bool:
        """One request, or a run that stands at it; whether it came whole. What is said or raised is about the
        run's read.

        Raises NoReply, BusDown, and Refused for a meter that its gateway does not reach.
        """
        run = run or PollReads(self, (read,), image, turn)
        run.begin()
        try:
            words = await self.line.go_on(self.station, run)
        except Refused as error:
            self._after = run.after
            if error.code in ABSENT_STATION:
                self._mute = True
                raise
            self._answered(turn)
            if error.code in SPLIT:
                await self._split(run.read, error, image, turn)
            else:
                self._fail(run.read, error.reason, image)
            return False
        except BadFrame as error:
            self._fail(run.read, error.reason, image)
            turn.again = True
            if not isinstance(error, OthersTalk):  # which says nothing about this meter
                self._miss(run.read, turn)
            return False
        except NoReply:
            self._after = run.after
            self._mute = True
            self.station.missed = _key(run.read)
            if self.station.answers != run.answers:  # the request to re-synchronise was answered: it is there
                turn.alive = True
            raise
        self.book(run, words)
        return True

    def book(self, run: PollReads, words: Registers) -> None:
        """A read of a run was answered."""
        read, port = run.read, self.line.port
        self._after = run.after
        self._answered(run.turn)
        if self._unanswered:
            self._unanswered.pop(_key(read), None)
        if read not in self._proven:
            self._proven.add(read)
            self._proof = min(self._proven, key=lambda each: each.count)
            self._longest = max(self._longest, read.count)
            self.station.answered_reads[read.count] = _key(read)
        self.began = self.began or port.sent_at
        self.image.append((read.function, read.address, words))
        run.image.add(read.function, read.address, words)

    def _answered(self, turn: Poll) -> None:
        turn.alive, self._mute = True, False
        if self._tried:
            self._tried.clear()
        self._loss -= _FADE * self._loss
        self._quiet.answered(*self._after)

    async def _missed(self, read: Read, image: Replies, turn: Poll, *, learning: bool) -> bool:
        """A read was not answered. If it may have come too soon it is asked once more, after silence; whether
        it is answered then.

        The first one of a poll costs nobody's share: it may be the meter's end, or noise. Another one, or one
        that was not answered before, is `learning`, as is a try with less silence.
        """
        own, line = self._after
        key = _key(read)
        turn.again = True
        before = self._unanswered.get(key, _NONE)[0]
        news = read in self._proven and not before
        self._miss(read, turn)
        if news:
            self._loss += _FADE * (1.0 - self._loss)
        # a meter that does not answer what it has always answered is gone, unless it was noise; one that
        # never did may answer another read
        turn.go_on = turn.may_learn and (not news or turn.allowance - turn.spent >= GENEROUS)
        quiet, asked_at = self._quiet, self.line.port.sent_at
        tried = quiet.tried(own, line)
        if tried or learning:
            turn.spent += asyncio.get_running_loop().time() - asked_at
        if not (quiet.suspect(own, line) and (turn.may_learn or tried) and self.line.ready):
            return False
        answered = False
        with contextlib.suppress(NoReply, Refused):
            answered = await self.again(read, image, turn)
        if answered:
            self._came_too_soon(own, line, asked_at, sure=True)
        else:
            quiet.in_vain()
        return answered

    def _came_too_soon(self, own: float, line: float, asked_at: float, *, sure: bool) -> None:
        if self._quiet.too_soon(own, line, asked_at, sure=sure):
            self._unanswered.clear()
            self._silent.clear()

    def _miss(self, read: Read, turn: Poll) -> None:
        if turn.alive:
            self._count(read)
        else:
            self._tried[_key(read)] = self._tried.get(_key(read), 0) + 1

    def _count(self, read: Read) -> None:
        if len(self._unanswered) > _MOST_KEYS:
            self._unanswered.clear()
            self._silent.clear()
        key = _key(read)
        self._unanswered[key] = (self._unanswered.get(key, _NONE)[0] + 1, *self._after)

    async def _patiently(self, read: Read, image: Replies, turn: Poll) -> bool:
        """One request after silence in which any meter hears, as is the request that re-synchronises the
        line before it.
        """
        self._quiet.rest()
        try:
            return await self.fetch(read, image, turn)
        finally:
            self._quiet.apply()

    async def again(self, read: Read, image: Replies, turn: Poll) -> bool:
        """The read after silence; whether it was answered. What it takes is spent.

        Two silences in a row may be the meter's end, so a read that it has answered stands between them.
        Raises when that is silent.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if self._mute and self._proof is not None and self._proof != read:
                await self._patiently(self._proof, image, turn)
            try:
                return await self._patiently(read, image, turn)
            except (NoReply, Refused):
                return False
        finally:
            turn.spent += loop.time() - began

    # -- a read that is not answered while others are

    async def _look_into(self, read: Read, image: Replies, turn: Poll) -> None:
        """Find out which registers are at fault, as far as the turn allows."""
        key = _key(read)
        asking = PartsAsked(self, image, turn)
        silent = self._silent.get(key)
        if silent is None:
            _, own, line = self._unanswered[key]
            if not turn.may_learn:
                asking.fail(read)
                return
            began = asyncio.get_running_loop().time()
            if await self.again(read, image, turn):
                self._came_too_soon(own, line, began, sure=False)
                return
            silent = self._silent[key] = SilentRead(read, self._rules)
        if self.facts.fixed("skip"):
            del self._silent[key]
            asking.fail(read)
            return
        await silent.go_on(asking)
        if silent.known:
            del self._silent[key]
            self._unanswered.pop(key, None)
            self._conclude(silent)

    def _conclude(self, silent: SilentRead) -> None:
        """What is known now is remembered, so that it is not asked again."""
        if rows := silent.silent():
            self.left_out.add(rows, NoReply.reason)
        count = silent.too_long()
        if count is not None and self._longest < count:
            if self.facts.learn("max_registers", self._longest):
                log.info(
                    "meter %s does not answer reads of %d registers: they have at most %d now",
                    self.meter,
                    count,
                    self._longest,
                )
        elif steps := silent.steps():
            self.left_out.add(steps, NoReply.reason)
        self._changed()

    # -- what it refuses

    async def _split(self, read: Read, error: Refused, image: Replies, turn: Poll) -> None:
        """The two halves of a refused read; what is at fault is remembered, so that it is not asked again."""
        parts = halves(read, self._rules())
        if parts is None:
            span = read.spans[0]
            self.left_out.add([(span.function, span.address, span.end)], error.reason)
            self._fail(read, error.reason, image)
            return
        whole = []
        for part in parts:
            try:
                whole.append(await self.fetch(part, image, turn))
            except (NoReply, Refused) as problem:
                self._fail(part, problem.reason, image)
                turn.again = True
                whole.append(False)
        if all(whole):
            self.left_out.add([between(*parts)], error.reason)

    async def ask_again(self, image: Replies, turn: Poll) -> None:
        """Once a day: what was refused may be answered now. A refusal costs little, a silence is asked for
        by itself.
        """
        self.left_out.looked_at = time.monotonic()
        kept = [span for span in self.facts.skip if span[3] == NoReply.reason]
        answered = []
        for span in kept:
            function, first, end, _ = span
            first, end = self._rules().bounds(first, end)
            if turn.may_learn and await self.again(Read(function, first, end - first, ()), image, turn):
                answered.append(span)
        left = tuple(span for span in kept if span not in answered)
        if left != self.facts.skip and not self.facts.fixed("skip"):
            self.facts.learn("skip", left)
            self._changed()

    def _fail(self, read: Read, reason: str, image: Replies) -> None:
        image.fail(read.function, read.address, read.count, reason)


def _key(read: Read) -> Key:
    return read.function, read.address, read.count
