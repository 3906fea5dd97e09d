"""A port that reads registers over Modbus RTU or Modbus TCP.

The transaction is ours, not pymodbus': an RTU reply carries no number, so a reply is the answer only when
unit, function and byte count are what was asked; pymodbus' own client compares the unit alone.
"""

from __future__ import annotations

import asyncio
import termios
import time
from collections import deque
from collections.abc import Callable

from gateway.config import Bus, SerialBus
from gateway.errors import BadFrame, BusDown, BusError, NoReply, OthersTalk
from gateway.field.port import rtu
from gateway.field.port.adapter import low_latency, not_opened
from gateway.field.port.contract import Ask, Late, Registers, TimedAnswer
from gateway.field.port.difference import (
    Difference,
    Field,
    Misfit,
    OddReply,
    ReplyForm,
    differences,
    expected,
    misfit,
    nearly,
    standard,
    tells_apart,
)
from gateway.field.port.mbap import (
    HEADER,
    REPLY,
    Frame,
    first_number,
    next_number,
    split,
    tcp_request,
)
from gateway.field.port.request import REMEMBERED, RecentRequests, Request, refused
from gateway.field.port.transport import Transport, has_right_crc, rtu_request

REST = 0.03
"""s without a byte after which what cannot become the answer is given up: beyond a USB adapter's 16 ms."""
MOST = 512
"""Bytes that are kept while an answer is waited for: it has 255 at most."""


class ModbusPort:
    """A serial port or a connection: one request in flight, no retry, no queue. Times are the loop's, in
    s.
    """

    def __init__(self, bus: Bus) -> None:
        self.name = bus.place
        self.sent_at = self.heard_at = 0.0
        self.strays = 0
        """Bytes that came when nothing was asked, or beside the answer."""
        self.echoes = 0
        """Requests that came back, from an adapter that hears itself or a device that repeats them."""
        self.late: deque[Late] = deque(maxlen=REMEMBERED[1])
        """Replies that came after their time, known by their numbers."""
        self.on_late: Callable[[], None] = lambda: None
        self.repeats = rtu.Repeats()
        self.form = ReplyForm()
        """How replies differ from the standard."""
        self.refuted: tuple[Field, ...] = ()
        """Fields in which the last answer did not differ, though it should."""
        self.following: list[Ask] = []
        self.answers: list[TimedAnswer] = []
        self._bus = bus
        self._framed = bus.type == "tcp"
        self._link: Transport | None = None
        self._hint = "check its address and power" + (
            "" if self._framed else ", the line's A and B, baud rate and parity"
        )
        self._number = first_number()
        self._request = Request(0, 0, 0)
        self._previous = self._request
        self._recent = RecentRequests()
        self._answer: asyncio.Future[Registers] | None = None
        self._timeout = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._noise = self._stray_frames = 0
        self._loose = bytearray()  # what came since the last answer's frame
        self._given = b""
        self._other: int | None = None  # the unit of somebody else's frame since the request

    @property
    def has_transaction_ids(self) -> bool:
        """Whether a reply's transaction number says which request it belongs to."""
        return self._framed and tells_apart(self.form.number)

    @property
    def connected(self) -> bool:
        """Whether the port is open."""
        return self._link is not None and bool(self._link.is_active())

    @property
    def stray_frames(self) -> int:
        """Frames of the unit asked last, beside its answer, where no number tells them apart."""
        return self._stray_frames + rtu.count(self._unread(), self._request.unit, has_right_crc)

    @property
    def second_answer(self) -> bool:
        """Whether another frame came that would be the answer to the last request, and is no copy of it."""
        return rtu.has_answer(self._unread(), self._request, has_right_crc)

    def _unread(self) -> bytes:
        # What a request left in the link's buffer was no answer to it.
        left = b"" if self._framed or self._link is None or self._waiting else self._link.recv_buffer
        return (bytes(self._loose) + left).removeprefix(self._given).removeprefix(self._request.sent)

    @property
    def copied(self) -> bool:
        """Whether the last answer came once more before anything else was asked."""
        return bool(self._given) and self._loose.startswith(self._given)

    @property
    def _waiting(self) -> bool:
        return self._answer is not None and not self._answer.done()

    async def open(self) -> None:
        """Open the port for us alone. Raises BusDown."""
        self.close()
        link = Transport(self._bus, self._receive, self._receive_plain if self._framed else None, self._lost)
        try:
            await link.open()
        except (OSError, ValueError, termios.error) as error:  # the last where a port cannot do the parity
            link.close()
            raise await asyncio.to_thread(not_opened, self._bus, self.name, error) from error
        except BusDown:
            link.close()
            raise
        self._link = link
        self._recent.clear()  # nothing that was asked on another connection is answered on this one
        if isinstance(self._bus, SerialBus):
            low_latency(self._bus.port, getattr(link.transport, "sync_serial", None))

    def close(self) -> None:
        """Close the port; whoever waits for an answer gets BusDown."""
        if self._link is not None:
            link, self._link = self._link, None
            link.leave()
        self._fail(BusDown(f"{self.name} was closed"))

    async def read(self, unit: int, function: int, address: int, count: int, timeout: float) -> Registers:
        """The registers [address, address + count). Raises BusDown, NoReply, BadFrame, Refused; OddReply
        is a BadFrame.
        """
        if self._link is None or not self._link.is_active():
            raise BusDown(f"{self.name} is not open")
        self.answers = []
        if not self._framed:
            self._stray_frames, left = self.stray_frames, len(self._unread())
            self.strays += max(0, left - len(self._loose))
            self.repeats.begin(self._given, self._request.sent, time.monotonic())
            self._loose, self._given = bytearray(), b""
        self._answer = asyncio.get_running_loop().create_future()
        self._link.write(self._ask(unit, function, address, count))
        return await self._wait(timeout)

    async def overdue(self, timeout: float) -> Registers:
        """The answer to the last request, after its time-out. Raises like `read`."""
        if self._link is None or not self._link.is_active():
            raise BusDown(f"{self.name} is not open")
        self._answer = asyncio.get_running_loop().create_future()
        return await self._wait(timeout)

    def _ask(self, unit: int, function: int, address: int, count: int) -> bytes:
        """A new request, and its bytes."""
        now = self.sent_at = time.monotonic()
        previous = self._previous = self._request
        previous.sent = previous.whole = b""  # a late reply is known by its number
        number = self._number = next_number(self._number)
        form, reply = self.form, expected(self.form.number, number)
        self._noise, self._other = 0, None
        if not self._framed:
            sent = rtu_request(unit, function, address, count)
            counted = unit in form.counting
            self._request = Request(unit, function, count, sent, now, number, reply, counted=counted)
            return sent
        sent = tcp_request(number, unit, function, address, count)
        whole = form.head(number, unit, function, count) if reply == number else b""
        self._request = Request(unit, function, count, sent, now, number, reply, whole)
        self._recent.remember(
            self._request, number if whole or reply is None or not self.has_transaction_ids else reply
        )
        return sent

    async def _wait(self, timeout: float) -> Registers:
        assert self._answer is not None
        loop = asyncio.get_running_loop()
        self._timeout, self._deadline = timeout, time.monotonic() + timeout
        self._timer = loop.call_at(self._deadline, self._expire)
        try:
            return await self._answer
        finally:
            self._timer.cancel()
            self._answer = None
            self.following = []
            if self._rest_timer is not None:
                self._rest_timer.cancel()
                self._rest_timer = None

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        if self._deadline > time.monotonic():  # another request was sent meanwhile
            self._timer = loop.call_at(self._deadline, self._expire)
            return
        unit, hint = self._request.unit, self._hint
        data = self._link.recv_buffer if self._link is not None else b""
        if self._framed:
            if data:
                self._fail(BadFrame(f"unit {unit}: {len(data)} bytes came, but no whole answer"))
            elif self._noise:
                self._out_of_step()
            elif near := self._request.near:
                self._fail(NoReply(near.message, hint=near.hint) if isinstance(near, Misfit) else near)
        elif (other := self._other or self.repeats.unit) is not None:  # a copy may drown a request
            self._fail(OthersTalk(unit, other))
        elif data:
            self.echoes += rtu.is_echo(data, self._request)
            self._fail(rtu.no_answer(data, self._request, has_right_crc, hint))
        self._fail(NoReply(f"unit {unit} did not answer", hint=hint))

    def _fail(self, error: BusError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _lost(self, error: Exception | None) -> None:
        if self._noise:
            self._fail(
                BusDown(f"{self.name} sent what is not Modbus TCP, and hung up", hint="check the port number")
            )
        self._fail(BusDown(f"{self.name} was lost" + (f": {error}" if error else "")))

    def _receive(self, data: bytes) -> int:
        """What has come so far; returns how much of it is done with."""
        self.heard_at = time.monotonic()
        if self._framed:
            return self._receive_tcp(data)
        if not self._waiting:
            self.strays += len(data)
            self._loose += data
            if len(self._loose) > MOST:
                self._stray_frames += rtu.count(bytes(self._loose), self._request.unit, has_right_crc)
                self._loose.clear()
            return len(data)
        return self._receive_rtu(data)

    def _receive_plain(self, data: bytes) -> bool:
        """Take what is the whole answer and nothing else, as nearly always; False when it has to be looked
        at.
        """
        request = self._request
        if not (
            request.whole
            and len(data) == REPLY + 2 * request.count
            and data.startswith(request.whole)
            and self._waiting
        ):
            return False
        self.heard_at = time.monotonic()
        request.answered, self.refuted = True, ()
        self._give(data[REPLY:])
        return True

    def _receive_tcp(self, data: bytes) -> int:
        request = self._request if self._waiting else None
        frames, done, noise, torn = split(data, request, self.form.known_protocol)
        self._noise += noise
        self.strays += noise
        for frame in frames:
            self._receive_frame(frame)
        if torn:
            self._out_of_step()
        return done

    def _out_of_step(self) -> None:
        self._fail(BadFrame(f"{self.name} sent what is not Modbus TCP"))
        if self._link is not None:
            self._link.close()

    def _receive_frame(self, frame: Frame) -> None:
        """Find the request of a reply. One field may be odd, if the line has found it constant."""
        request, number, form = self._request, frame.number, self.form
        units = {request.unit, form.unit_of(request.unit)}
        mine = number in {request.number, request.reply} or (
            request.reply is None and not self._recent.owed(number)
        )
        odd = differences(asked := standard(request, frame), frame)
        if self._waiting and mine and frame.pdu == request.sent[HEADER:]:
            self.echoes += 1  # a device that repeats the request has not answered it
        elif self._waiting and mine:
            refused = request.refused_by(frame.pdu)
            unknown = [each for each in odd if not form.foretells(each, request.unit)]
            if refused and not frame.protocol and (self.has_transaction_ids or frame.unit in units):
                self._answered(request)
                self._refuse(frame.pdu[1])
            elif not (refused or request.answered_by(frame.pdu)) or form.too_odd(odd, unknown, request.unit):
                self._fail(misfit(request, frame, odd))
            elif unknown:
                self._fail(OddReply(request.unit, unknown[0]))
            else:
                self._answered(request, () if refused else form.refuted(asked, odd))
                self._refuse(frame.pdu[1]) if refused else self._give(frame.pdu[2:])
        elif self._recent.recent(number, self.heard_at):
            self._receive_late(frame, self._recent[number])
        else:
            self._stray(frame)
            if self._waiting:
                request.near = nearly(request, frame, odd, units) or request.near

    def _stray(self, frame: Frame) -> None:
        self.strays += HEADER + len(frame.pdu)
        self._stray_frames += not self.has_transaction_ids  # nothing says that it was no answer

    def _answered(self, request: Request, refuted: tuple[Field, ...] = ()) -> None:
        request.answered, self.refuted = True, refuted

    def _receive_late(self, frame: Frame, request: Request) -> None:
        self._stray(frame)
        if not request.answered and frame.unit == self.form.unit_of(request.unit):
            self._answered(request)
            behind = self._waiting and request is self._previous
            refused = request.refused_by(frame.pdu)
            self.late.append(Late(request.unit, self.heard_at - request.at, behind, refused, self.heard_at))
            self.on_late()

    def _receive_rtu(self, data: bytes) -> int:
        if repeated := self.repeats.heard(data, self._request):
            self.strays += repeated
            return repeated + self._receive_rtu(data[repeated:])
        heard = rtu.hear(data, self._request, has_right_crc)
        if heard.answer is not None:
            start, end = heard.answer
            self.echoes += heard.echo
            self.strays += len(data) - (end - start) - heard.echo * len(self._request.sent)
            self._given = data[start:end]
            self._loose += data[end:]
            if self._request.answered_by(data[start + 1 : end - 2]):
                self._receive_registers(data[start + 2], data[start + 3 : end - 2])
            else:
                self._refuse(data[start + 2])
            return len(data)
        self._other = heard.other or self._other
        if (heard.foreign or heard.damaged or heard.other is not None) and self._rest_timer is None:
            self._rest_timer = asyncio.get_running_loop().call_later(REST, self._fallen_silent)
        if len(data) > MOST:  # a line that babbles; an answer has half of that
            self.strays += len(data) - MOST // 2
            return len(data) - MOST // 2
        return 0

    def _receive_registers(self, said: int, registers: Registers) -> None:
        """The answer on a serial line, with what its byte count says."""
        unit, plain, form = self._request.unit, 2 * self._request.count, self.form
        odd = [Difference("count", plain, said)] if said != plain else []
        if odd and not form.foretells(odd[0], unit):
            self._fail(OddReply(unit, odd[0]))
        else:
            self.refuted = form.refuted({"unit": unit, "count": plain}, odd)
            self._give(registers)

    def _fallen_silent(self) -> None:
        loop = asyncio.get_running_loop()
        rest = self.heard_at + REST - time.monotonic()
        if rest > 0.001:  # s; more came meanwhile: it may still become the answer
            self._rest_timer = loop.call_later(rest, self._fallen_silent)
            return
        self._rest_timer = None
        if self._other is not None:
            self._fail(OthersTalk(self._request.unit, self._other))
        error = BadFrame(f"unit {self._request.unit}: what came is not the answer, or is damaged")
        data = self._link.recv_buffer if self._link is not None else b""
        error.shorter = rtu.shorter(data, self._request, has_right_crc)
        self._fail(error)

    def _give(self, registers: Registers) -> None:
        if self.following and not self.refuted:
            self.answers.append((self.sent_at, self.heard_at, registers))
            self._follow(*self.following.pop())
        elif self._answer is not None:
            self._answer.set_result(registers)

    def _follow(self, function: int, address: int, count: int) -> None:
        if self._link is None or not self._link.is_active():
            self._fail(BusDown(f"{self.name} is not open"))
            return
        self._link.write(self._ask(self._request.unit, function, address, count))
        self._deadline = self.sent_at + self._timeout

    def _refuse(self, code: int) -> None:
        self._fail(refused(self._request.unit, code))
