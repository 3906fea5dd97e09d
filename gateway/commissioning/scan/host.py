"""A host that is probed: in Modbus TCP, or in the RTU frames that a converter passes on to its line."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from typing import Final, Literal

from gateway.commissioning.scan.exchange import Answer, Exchange, RawExchange, dissect, listen
from gateway.commissioning.scan.settings import LineSetting
from gateway.config import TcpBus
from gateway.field import Difference, next_number, not_opened, sealed

_MBAP: Final = struct.Struct(">HHHB")
_CONNECT: Final = 5.0
_REMEMBERED: Final = 64
_NUMBER: Final = 0x3A50
"""Before the first one: whoever numbers answers by himself begins with 0 or 1."""
_LATE: Final = 0.35
"""s in which an answer may come late where no number tells which request it belongs to."""
_READING: Final = (3, 4)
_REFUSAL: Final = 2
"""Bytes of a refusal: function and code; of an answer to a read: function and byte count."""
_CHUNK: Final = 0.1
"""s between bytes of one answer: a converter hands them on in packets."""
_REST: Final = 0.035
"""s between an answer and the next request: t3.5 at 1200 baud, for nobody says which rate the line has."""


class HostProbe:
    """A Modbus TCP host: a meter, a panel server, or a gateway with a line behind it."""

    setting: LineSetting | None = None
    buffered = 0
    rtu = False
    connect_pause = 0.0
    """s that it is left alone after connecting: some hear nothing on a connection that is used sooner."""

    def __init__(self, host: str, port: int = 502) -> None:
        self._bus = TcpBus(name="scan", type="tcp", host=host, port=port)
        self.name = self._bus.place
        self._socket: socket.socket | None = None
        self._number = _NUMBER
        self._asked: dict[int, int] = {}
        self._odd_numbers = self._owed = False
        """Whether numbers do not tell answers apart; whether the last request has none yet."""

    def open(self) -> None:
        """Connect. Raises BusDown."""
        try:
            self._socket = socket.create_connection((self._bus.host, self._bus.port), _CONNECT)
        except OSError as error:
            raise not_opened(self._bus, self.name, error) from error
        time.sleep(self.connect_pause)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def use(self, setting: LineSetting) -> None:
        """A host has no setting."""

    def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        """Send one request and listen; a connection that was ended is made anew once."""
        for again in (True, False):
            try:
                if self._socket is None:
                    self.open()
                return self._ask(unit, pdu, wait)
            except (ConnectionError, EOFError) as error:
                self.close()
                if not again:
                    lost = error if isinstance(error, OSError) else ConnectionResetError("it was closed")
                    raise not_opened(self._bus, self.name, lost) from error
            except OSError as error:
                self.close()
                raise not_opened(self._bus, self.name, error) from error
        raise AssertionError

    def _ask(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        assert self._socket is not None
        if not pdu:
            return Exchange()
        self._number = next_number(self._number)
        self._asked[self._number] = unit
        while len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]
        if self._owed and self._odd_numbers:
            # What comes late would be taken for the answer to this.
            while select.select([self._socket], [], [], _LATE)[0] and self._socket.recv(4096):
                pass
        self._owed = True
        began = time.monotonic()
        self._socket.sendall(_MBAP.pack(self._number, 0, len(pdu) + 1, unit) + pdu)
        heard, data = Exchange(), b""
        while select.select([self._socket], [], [], max(0.0, began + wait - time.monotonic()))[0]:
            got = self._socket.recv(4096)
            if not got:
                raise EOFError
            data += got
            while (frame := _tcp_frame(data, pdu)) is not None:
                (number, protocol, length, said), body, data = frame
                mine, fits, known = number == self._number, _answers(pdu, body), self._asked.get(number)
                odd: list[Difference] = []
                if fits and (mine or known is None or (said == unit and known != unit)):
                    odd = _differences((self._number, unit), (number, said), protocol, length, body)
                elif known is not None and said != known:
                    odd = [Difference("unit", known, said)]
                if fits and not mine and said == unit != known:
                    # Somebody who counts by himself: the unit is that of the answer.
                    self._odd_numbers, mine, number = True, True, self._number
                heard.framed = heard.framed or fits
                if len(odd) > len(heard.odd):
                    heard.odd = tuple(odd)
                asked = self._asked.pop(number, None)
                if body == pdu:
                    # A converter of serial frames that hears itself: no answer to a read is like its request.
                    heard.echo = True
                elif asked is None or len(body) < _REFUSAL:
                    heard.noise += 0 if odd else len(body)
                else:
                    heard.answers.append(Answer(asked, body, time.monotonic() - began))
                    if mine:
                        self._owed = False
                        return heard
        return heard


class ConverterProbe(HostProbe):
    """RTU over TCP. The line behind it has the converter's own setting, which nobody here can change."""

    rtu = True
    _quiet_from = 0.0

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        """Send these bytes, if any, and listen, as a serial port does. Raises BusDown."""
        try:
            if self._socket is None:
                self.open()
            return self._pass_on(sent, wait, linger)
        except OSError as error:
            self.close()
            raise not_opened(self._bus, self.name, error) from error

    def _ask(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        time.sleep(min(_REST, max(0.0, self._quiet_from - time.monotonic())))
        heard = self._pass_on(sealed(unit, pdu) if pdu else b"", wait, 0.0)
        if heard.data:
            self._quiet_from = time.monotonic() + _REST
        return dissect(heard.early, heard.data, heard.sent, heard.took)

    def _pass_on(self, sent: bytes, wait: float, linger: float) -> RawExchange:
        assert self._socket is not None
        early = self._receive(0.0)
        if sent:
            self._socket.sendall(sent)
        began = time.monotonic()
        data, first = listen(self._receive, sent, began + wait, linger=linger, rest=lambda _begun: _CHUNK)
        return RawExchange(sent, early, data, first - began if first else 0.0)

    def _receive(self, seconds: float) -> bytes:
        """What comes within so many s; nothing when nothing does. Raises OSError when it hangs up."""
        assert self._socket is not None
        if not select.select([self._socket], [], [], seconds)[0]:
            return b""
        with contextlib.suppress(BlockingIOError):
            if got := self._socket.recv(4096):
                return got
            raise ConnectionResetError("the connection was closed")
        return b""


def _answers(pdu: bytes, body: bytes) -> bool:
    """Whether function and length are those of the answer to a request, or of its refusal."""
    if body[:1] == bytes((pdu[0] | 0x80,)):
        return len(body) == _REFUSAL
    if pdu[0] not in _READING:
        return body[:1] == pdu[:1]
    size = 2 * int.from_bytes(pdu[3:5])
    return body[:2] == bytes((pdu[0], size & 0xFF)) and len(body) == _REFUSAL + size


def _differences(
    asked: tuple[int, int], seen: tuple[int, int], protocol: int, length: int, body: bytes
) -> list[Difference]:
    """In what an answer differs from the standard; `asked` and `seen`: number and unit. The length of a
    refusal matters to nobody.
    """
    named: tuple[Literal["number", "unit"], ...] = ("number", "unit")
    odd = [Difference(*each) for each in zip(named, asked, seen, strict=True) if each[1] != each[2]]
    if body[0] & 0x80:
        return odd
    odd += [Difference("length", len(body) + 1, length)] if length != len(body) + 1 else []
    return odd + ([Difference("protocol", 0, protocol)] if protocol else [])


def _tcp_frame(data: bytes, sent: bytes) -> tuple[tuple[int, int, int, int], bytes, bytes] | None:
    """The header (transaction number, protocol, length, unit), the PDU, and what follows; None until a frame
    is whole. The length of an answer to a read, or of a refusal, is what it says itself: some headers say
    another. `sent` may come back.
    """
    if len(data) < _MBAP.size + _REFUSAL:
        return None
    number, protocol, length, unit = _MBAP.unpack_from(data)
    function, size = data[_MBAP.size : _MBAP.size + _REFUSAL]
    end = 6 + length
    if function & 0x80:
        end = _MBAP.size + _REFUSAL
    elif function in _READING and not data[_MBAP.size :].startswith(sent):
        end = _MBAP.size + _REFUSAL + size
    header = (number, protocol, length, unit)
    return (header, data[_MBAP.size : end], data[end:]) if len(data) >= end else None
