"""A read request that is under way, or was: what its answer must look like."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import MEND_FAILING, BusError, NotReady, Refused
from gateway.model import FAILING, is_not_ready

REFUSAL = 5
"""Bytes of an exception on a serial line; an answer has two more for each register."""
READING = (3, 4)
"""The functions that read registers."""
REMEMBERED = (60.0, 64)
"""s and requests for which a transaction number is known again: what carries it is a late reply."""
COPY = 10.0
"""s after a request that was answered in which a second copy of its answer may come: the longest
late-answer bound.
"""
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "accepted, not ready yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


def registers_short_of(asked: int, said: int, size: int) -> int:
    """How many registers a reply has that says `said` bytes and holds `size`, where that is fewer than were
    asked for; else 0.
    """
    return size // 2 if said == size and 0 < size < 2 * asked and size % 2 == 0 else 0


def refused(unit: int, code: int) -> Refused:
    """What an exception of a unit is raised as; by one with a hint the meter says how it is itself."""
    what = EXCEPTIONS.get(code, "an exception that the standard does not name")
    error = Refused(f"unit {unit} refused with exception {code} ({what})", code)
    if error.reason in FAILING:
        error.hint = MEND_FAILING
    if not is_not_ready(code):
        return error
    return NotReady(
        error.message,
        code,
        hint="it is asked again; if it stays so, take other masters off it, give it a longer interval or "
        "pause: 300ms, or restart it",
    )


@dataclass(slots=True)
class Request:
    """`sent` are its bytes on the wire, `at` is when they left (the loop's time in s).

    On Modbus TCP `number` is its transaction number and `reply` the one that its answer should carry; None
    where any may come.
    """

    unit: int
    function: int
    count: int
    sent: bytes = b""
    at: float = 0.0
    number: int = 0
    reply: int | None = None
    whole: bytes = b""
    """How its answer begins on Modbus TCP, if nothing about it is odd."""
    counted: bool = False
    """Whether the byte count of its answer should count registers."""
    answered: bool = False
    near: BusError | None = None
    """What became of it if nothing better comes: a reply would be its answer but for its number, or more."""

    @property
    def head(self) -> bytes:
        """How its answer begins on a serial line."""
        return bytes((self.unit, self.function, 2 * self.count))

    @property
    def odd_head(self) -> bytes:
        """The same of a meter that counts registers in place of bytes."""
        return bytes((self.unit, self.function, self.count))

    @property
    def size(self) -> int:
        """Bytes of its answer on a serial line."""
        return REFUSAL + 2 * self.count

    @property
    def refusal(self) -> bytes:
        """How an exception begins on a serial line."""
        return bytes((self.unit, self.function | 0x80))

    def answered_by(self, pdu: bytes) -> bool:
        """Whether function and length are those of its answer, and its byte count is, or counts registers."""
        return (
            len(pdu) == 2 + 2 * self.count
            and pdu[0] == self.function
            and pdu[1] in {2 * self.count, self.count}
        )

    def refused_by(self, pdu: bytes) -> bool:
        """Whether it is an exception to it."""
        return len(pdu) == 2 and pdu[0] == self.function | 0x80  # function and code


class RecentRequests(dict[int, Request]):
    """The last requests by the number of their reply."""

    def remember(self, request: Request, reply: int) -> None:
        """A request that leaves now; what is older than need be is forgotten."""
        seconds, most = REMEMBERED
        while self:
            oldest = next(iter(self))
            if len(self) < most and request.at - self[oldest].at < seconds:
                break
            del self[oldest]
        self.pop(reply, None)
        self[reply] = request

    def owed(self, number: int) -> bool:
        """Whether a number is that of a request which was not answered yet."""
        return number in self and not self[number].answered

    def recent(self, number: int, now: float) -> bool:
        """Whether a number is owed, or may be that of a second copy: a gateway may give its first one for
        ever.
        """
        request = self.get(number)
        return request is not None and (not request.answered or now - request.at <= COPY)
