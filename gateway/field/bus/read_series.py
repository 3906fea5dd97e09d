"""Reads of one station, one after the other: where replies are numbered, the next is asked in the moment
of an answer.
"""

from __future__ import annotations

from gateway.field.port.contract import Registers


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

    def proceed(self, registers: Registers) -> None:
        """Take the answer of a read that another one follows, which is under way from now on."""
        raise NotImplementedError
