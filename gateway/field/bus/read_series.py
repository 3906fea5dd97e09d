"""Reads of one station, one after the other: where replies are numbered, the next is asked in the moment
of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.field.port.contract import Registers

if TYPE_CHECKING:
    from gateway.field.meter.decode import Replies
    from gateway.field.meter.planner import Read
    from gateway.field.meter.poll import Poll
    from gateway.field.meter.registers import RegisterReader


class ReadSeries:
    """`function`, `address`, `count` are those of the read that is under way; this one has no other behind
    it.
    """

    __slots__ = ("address", "count", "function")

    def __init__(self, function: int, address: int, count: int) -> None:
        self.function, self.address, self.count = function, address, count

    @property
    def more(self) -> bool:
        """Whether another read follows this one."""
        return False

    def take(self, words: Registers) -> None:
        """Take the answer of a read that another one follows, which is under way from now on."""
        raise NotImplementedError


class PollReads(ReadSeries):
    """Reads of one poll; those that are answered as soon as they were asked are skipped when one goes
    through them.
    """

    __slots__ = ("_at", "_reads", "answers", "image", "reader", "turn")

    def __init__(self, reader: RegisterReader, reads: Sequence[Read], image: Replies, turn: Poll) -> None:
        self.reader, self.image, self.turn = reader, image, turn
        self._reads, self._at = reads, 0
        self.begin()

    def __iter__(self) -> Iterator[Read]:
        while self._at < len(self._reads):
            yield self.read
            self._at += 1

    @property
    def read(self) -> Read:
        """The one under way."""
        return self._reads[self._at]

    @property
    def more(self) -> bool:
        """Whether another read follows this one."""
        return self._at + 1 < len(self._reads)

    @property
    def after(self) -> tuple[float, float]:
        """Seconds from the meter's own last answer, and from the last byte of whomever, to the request
        under way.
        """
        line = self.reader.line
        sent_at = line.port.sent_at
        return sent_at - line.own_end, sent_at - line.line_end

    def begin(self) -> None:
        """What was there before a request."""
        self.answers = self.reader.station.answers
        if self._at < len(self._reads):
            read = self._reads[self._at]
            self.function, self.address, self.count = read.function, read.address, read.count

    def take(self, words: Registers) -> None:
        """Book the answer; the next read is under way."""
        self.reader.book(self, words)
        self._at += 1
        self.begin()
