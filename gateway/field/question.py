"""A read request that is under way, or was: what its answer must look like."""

from __future__ import annotations

from dataclasses import dataclass

REFUSAL = 5
"""Bytes of an exception on a serial line; an answer has two more for each register."""
READING = (3, 4)
"""The functions that read registers."""


@dataclass(frozen=True, slots=True)
class Question:
    """`sent` are its bytes on the wire, `at` is when they left (the loop's time in s).

    On Modbus TCP `number` is its transaction number and `reply` the one that its answer should carry; None where any may come.
    """

    unit: int
    function: int
    count: int
    sent: bytes = b""
    at: float = 0.0
    number: int = 0
    reply: int | None = None

    @property
    def head(self) -> bytes:
        """How its answer begins on a serial line."""
        return bytes((self.unit, self.function, 2 * self.count))

    @property
    def size(self) -> int:
        """Bytes of its answer on a serial line."""
        return REFUSAL + 2 * self.count

    @property
    def refusal(self) -> bytes:
        """How an exception begins on a serial line."""
        return bytes((self.unit, self.function | 0x80))

    def answered_by(self, pdu: bytes) -> bool:
        """Whether function and byte count are those of its answer."""
        return len(pdu) == 2 + 2 * self.count and pdu[0] == self.function and pdu[1] == 2 * self.count

    def refused_by(self, pdu: bytes) -> bool:
        """Whether it is an exception to it."""
        return len(pdu) == 2 and pdu[0] == self.function | 0x80  # noqa: PLR2004 - function and code
