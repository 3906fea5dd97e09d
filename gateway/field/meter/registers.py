"""The reads of one meter, one after the other: what is refused or not answered is found out, remembered, and
said.

A meter is lost when no read of it is answered. A read that is silent while another is answered is like a
refused one: it is halved until the registers at fault are known. First it is asked again after silence, for a
meter may be deaf after its own answer; and as learning takes the line's time, which is the others' too, it
goes on only as far as it is allowed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from gateway.catalogue import Span
from gateway.errors import BadFrame, BusDown, BusError, NoReply, NotReady, OthersTalk, Refused
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station, Undecided
from gateway.field.meter.planner import Read, Rules
from gateway.field.meter.poll import Poll
from gateway.field.meter.quiet import QuietTimes
from gateway.field.meter.silent_read import NEVER, SILENT, MissedReads
from gateway.field.meter.skipped import PROMPT, SPLIT, SkippedRegisters
from gateway.field.port.contract import ReadSeries, Registers

log = logging.getLogger(__name__)

GENEROUS = 1.0
"""s; with so much time left a silent meter is asked for another read, and a new one for single rows."""
FEW = 3
"""Single rows that are tried in one poll when no read of a meter has ever been answered."""
NOISY = 0.1
"""Share of reads lost on the way, above which a silent read means little."""
SILENT_IN_NOISE = 6
_FADE = 0.02
_MOST_KEYS = 64


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
        self.began = 0.0
        """When the first request of a poll that was answered went out."""
        self.skipped = SkippedRegisters(meter, station.facts, rules, changed)
        self._missing = MissedReads()
        self._unanswered, self._tried = self._missing.unanswered, self._missing.tried
        self._proven: set[Read] = set()
        self._refusals = self.skipped.refusals
        self._proof: Read | None = None
        """The shortest read that was answered."""
        self._mute = False
        self._after, self._loss = (0.0, 0.0), 0.0
        self.longest = self._answers = 0  # the latter: its station's, when the read under way was asked
        self._shorter = 0
        self._quiet = QuietTimes(meter, line, station)

    def forget(self) -> None:
        """It may be another meter now: what was refused or silent is asked again."""
        self.facts.forget("skip", "max_registers")
        self.skipped.forget_open()
        self._proven.clear()
        self._proof = None
        station = self.station
        station.answered_reads.clear()
        self.longest = 0
        self._quiet.question()

    async def read_all(
        self, reads: Sequence[Read], poll: Poll, single_rows: Sequence[Read] = ()
    ) -> BusError | None:
        """All reads, back to back; the error that makes the meter lost, if nothing was answered.

        `single_rows`: short reads to find it by.
        """
        ended: BusError | None = None
        first: BusError | None = None
        missed = 0
        early: list[Read] = []
        ordered: Sequence[Read] = reads
        if self._unanswered or self._tried:
            ordered = self._missing.in_order(reads, () if poll.answered else single_rows, self._proven)
        run = self._series(ordered, poll)
        for at in run:
            begun = ordered[at]
            if ended is not None:
                poll.lacks(begun, ended.reason)
                continue
            if not self._quiet.idle:
                self._quiet.offer(allowed=poll.may_learn)
            alive = poll.answered
            try:
                if self._unanswered or poll.after_silence:
                    await self._read_one(begun, poll)
                else:
                    await self._go_on(run, ordered, poll)
                missed = 0
            except BusDown as error:
                read = ordered[run.at]
                if poll.answered or first is None:  # else it is the meter's silence that ended the connection
                    first = error
                poll.answered, ended = False, error
                poll.lacks(read, error.reason)
            except (NoReply, Refused) as error:
                read, missed = ordered[run.at], missed if run.at == at else 0
                news = isinstance(error, Refused) and read not in self._proven
                learning = missed > 0 or (alive and (news or read in self._unanswered))
                if await self._missed(read, poll, learning=learning):
                    missed = 0
                    continue
                poll.lacks(read, error.reason)
                first = first or error
                missed += 1
                if not poll.answered:
                    early.append(read)
                if missed > 1 if poll.answered else not poll.go_on:
                    ended = error
        if not self._quiet.idle:
            self._quiet.apply()
        self.skipped.leave_out(poll)
        if first is not None:
            await self._try_further(reads, early, poll, single_rows)
        in_vain = poll.refused_for > PROMPT and not poll.replies.reads
        return None if poll.answered and not in_vain else first or poll.refused

    async def _try_further(
        self, reads: Sequence[Read], early: Sequence[Read], poll: Poll, single_rows: Sequence[Read]
    ) -> None:
        """Something was not answered: `early` reads once more, or a meter that has never answered."""
        generous = poll.allowance - poll.spent >= GENEROUS
        if poll.answered:
            await self._once_more(early, poll)
        elif generous and not self._proven and await self._find_by_row(single_rows, poll):
            for read in reads:
                self._unanswered[read] = (SILENT_IN_NOISE, *self._after)
                try:
                    await self._read_one(read, poll)
                except (NoReply, Refused) as error:
                    poll.lacks(read, error.reason)
                    return

    async def _once_more(self, early: Sequence[Read], poll: Poll) -> None:
        """Reads that were missed before the first answer: it may have been the request to re-synchronise
        that was not answered.
        """
        for read in early:
            if took := self.skipped.took_long(read) if read not in self._proven else 0.0:
                poll.spent += took
                self._count(read)
            elif not (poll.may_learn and self.line.ready and await self._answers_now(read, poll)):
                self._count(read)

    async def _find_by_row(self, single_rows: Sequence[Read], poll: Poll) -> bool:
        """Whether a meter that has never answered answers one of its rows by itself."""
        for _ in range(min(len(single_rows), FEW)):
            if not (poll.may_learn and self.line.ready):
                return False
            try:
                await self.again(self._missing.next_row(single_rows), poll)
            except (NoReply, Refused):
                return False
            if poll.answered:
                return True
        return False

    async def _read_one(self, read: Read, poll: Poll) -> None:
        """One read of a poll, when some were not answered lately. Raises what was not answered."""
        before = self._unanswered.get(read, NEVER)[0]
        tell = poll.answered and before >= (SILENT if self._loss < NOISY else SILENT_IN_NOISE)
        if poll.answered and (tell or read not in self._proven) and self.skipped.must_wait(read, poll):
            return
        if tell and not self.skipped.passing(read):
            await self._find_fault(read, poll)
        elif poll.after_silence and not poll.answered:
            await self._patiently(read, poll)
        else:
            await self.fetch(read, poll)

    async def fetch(self, read: Read, poll: Poll) -> bool:
        """One request; whether it came whole. Raises NoReply, BusDown, and Refused by the meter's gateway."""
        reads = (read,)
        return await self._go_on(self._series(reads, poll), reads, poll)

    def _series(self, reads: Sequence[Read], poll: Poll) -> ReadSeries:
        def answered(at: int, registers: Registers) -> None:
            self._note(reads[at], poll, registers)
            self._answers = self.station.answers

        return ReadSeries([read.place for read in reads], answered)

    async def _go_on(self, run: ReadSeries, reads: Sequence[Read], poll: Poll) -> bool:
        """A series from where it stands. As `fetch`, about the read then under way."""
        self._answers = self.station.answers
        try:
            registers = await self.line.go_on(self.station, run)
        except Refused as error:
            self._after = self.line.silence_before
            line, cost = self.line, self.station.cost
            took = line.port.heard_at - line.port.sent_at - line.wire.time(0)
            if self.skipped.like_silence(reads[run.at], error, poll, took, cost.time(reads[run.at].count)):
                self._mute = True
                raise
            busy = isinstance(error, NotReady)
            self._answered(poll, heard=not busy)
            poll.refusal = poll.refusal or (error if error.hint else None)
            soon = busy and self._quiet.may_be_busy_with(self._after[0])
            if soon and await self._after_rest(reads[run.at], poll, sure=False):
                return True
            if error.code in SPLIT:
                await self.skipped.split(reads[run.at], error, poll, self)
            elif not busy and self.skipped.lasts(reads[run.at]) and poll.may_learn:
                began, spent = time.monotonic(), poll.spent
                await self.skipped.split(reads[run.at], error, poll, self)
                poll.spent = spent + time.monotonic() - began
            else:
                poll.lacks(reads[run.at], error.reason)
            return False
        except BadFrame as error:
            poll.lacks(reads[run.at], error.reason)
            poll.again = True
            poll.unfit = error if error.hint else poll.unfit
            if not isinstance(error, (OthersTalk, Undecided)):  # which say nothing about its registers
                self._miss(reads[run.at], poll)
            self._heed_shorter(reads[run.at], error.shorter)
            return False
        except NoReply:
            self._after = self.line.silence_before
            self._mute = True
            self.station.missed = reads[run.at].place
            if self.station.answers != self._answers:  # the one to re-synchronise was: it is there
                poll.answered = True
            raise
        self._note(reads[run.at], poll, registers)
        return True

    def _heed_shorter(self, read: Read, registers: int) -> None:
        """A whole reply came with fewer `registers` than a read asked for; 0: it did not. Where that comes
        twice alike, and no read has that length whose answer it could be, reads have no more from then on.
        """
        before, self._shorter = self._shorter, registers
        station = self.station
        of_another = registers in station.answered_reads or registers in station.unanswered
        if registers > 1 and registers == before and not of_another and self.longest < read.count:
            self.skipped.too_long(read.count, max(registers, self.longest))

    def _note(self, read: Read, poll: Poll, registers: Registers) -> None:
        """A read was answered."""
        self._after = self.line.silence_before
        self._answered(poll)
        if self._unanswered:
            self._unanswered.pop(read, None)
        if self._refusals:
            self._refusals.pop(read, None)
        if read not in self._proven:
            self._proven.add(read)
            self._proof = min(self._proven, key=lambda each: each.count)
            self.longest = max(self.longest, read.count)
            self.station.answered_reads[read.count] = read.place
        self.began = self.began or self.line.asked_at
        poll.replies.reads.append((read.function, read.address, registers))

    def _answered(self, poll: Poll, *, heard: bool = True) -> None:
        poll.answered, self._mute = True, False
        if self._tried:
            self._tried.clear()
        self._loss -= _FADE * self._loss
        if heard:
            self._quiet.answered(*self._after)

    async def _missed(self, read: Read, poll: Poll, *, learning: bool) -> bool:
        """A read was not answered. If it may have come too soon it is asked once more, after silence; whether
        it is answered then.

        The first one of a poll costs nobody's share: it may be the meter's end, or noise. Another one, or one
        that was not answered before, is `learning`, as is a try with less silence.
        """
        own, line = self._after
        poll.again = True
        before = self._unanswered.get(read, NEVER)[0]
        news = read in self._proven and not before
        self._miss(read, poll)
        if news:
            self._loss += _FADE * (1.0 - self._loss)
        # a meter that does not answer what it has always answered is gone, unless it was noise; one that
        # never did may answer another read
        poll.go_on = poll.may_learn and (not news or poll.allowance - poll.spent >= GENEROUS)
        if learning or self._quiet.tried(own, line):
            poll.spent += time.monotonic() - self.line.asked_at
        return await self._after_rest(read, poll)

    async def _after_rest(self, read: Read, poll: Poll, *, sure: bool = True) -> bool:
        """Ask a read that may have come too soon once more, after silence; whether it is answered then.
        `sure`: nothing else is known that may keep it from answering.
        """
        (own, line), quiet, asked_at = self._after, self._quiet, self.line.asked_at
        worth = (poll.may_learn or quiet.tried(own, line)) and not poll.second_try
        if not (quiet.suspect(own, line) and worth and self.line.ready):
            return False
        answered = await self._answers_now(read, poll)
        if answered:
            self._came_too_soon(own, line, asked_at, sure=sure)
        else:
            quiet.in_vain()
        return answered

    def _came_too_soon(self, own: float, line: float, asked_at: float, *, sure: bool) -> None:
        if self._quiet.too_soon(own, line, asked_at, sure=sure):
            self._unanswered.clear()
            self.skipped.forget_open()

    def _miss(self, read: Read, poll: Poll) -> None:
        if poll.answered:
            self._count(read)
        else:
            self._missing.not_even(read)

    def _count(self, read: Read) -> None:
        if len(self._unanswered) > _MOST_KEYS:
            self._unanswered.clear()
            self.skipped.forget_open()
        self._unanswered[read] = (self._unanswered.get(read, NEVER)[0] + 1, *self._after)

    async def _patiently(self, read: Read, poll: Poll) -> bool:
        """One request after silence in which any meter hears, as is the request that re-synchronises the
        line before it.
        """
        self._quiet.rest()
        try:
            return await self.fetch(read, poll)
        finally:
            self._quiet.apply()

    async def again(self, read: Read, poll: Poll) -> bool:
        """The read after silence; whether it was answered. What it takes is spent.

        Two silences in a row may be the meter's end, so a read that it has answered stands between them.
        Raises when that is silent, or when there is no other one.
        """
        began = time.monotonic()
        try:
            proof = self._proof if self._mute else None
            if proof == read:
                proof = min(self._proven - {read}, key=lambda each: each.count, default=read)
            if proof is not None and proof != read:
                await self._patiently(proof, poll)
            try:
                return await self._patiently(read, poll)
            except (NoReply, Refused):
                if proof == read:
                    raise
                return False
        finally:
            poll.spent += time.monotonic() - began

    async def _answers_now(self, read: Read, poll: Poll) -> bool:
        with contextlib.suppress(NoReply, Refused):
            return await self.again(read, poll)
        return False

    async def _find_fault(self, read: Read, poll: Poll) -> None:
        """A read that is not answered while others are: which of its registers are at fault?"""
        _, own, line = self._unanswered[read]
        known, again_at = await self.skipped.find_fault(read, poll, self)
        if again_at is not None:
            self._came_too_soon(own, line, again_at, sure=False)
        elif known:
            self._unanswered.pop(read, None)

    # -- what finding out which registers are at fault needs

    async def plainly(self, read: Read, poll: Poll) -> None:
        """A read that was answered before."""
        with contextlib.suppress(NoReply, Refused):
            await self.fetch(read, poll)
            return
        self.fail(read, poll)

    def answers_beside(self, read: Read) -> bool:
        """Whether it has answered a read of other registers."""
        return any(not each.meets(read) for each in self._proven)

    def may_be_noise(self, row: Span) -> bool:
        """Whether the silence of a row proves nothing: much is lost, and it was answered before."""
        return self._loss >= NOISY and any(each.covers(row) for each in self._proven)

    def fail(self, read: Read, poll: Poll, reason: str = NoReply.reason) -> None:
        """A read is not asked, or in vain."""
        poll.again = True
        poll.lacks(read, reason)
