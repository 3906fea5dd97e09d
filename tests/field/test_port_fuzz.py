"""Whatever bytes come, in whatever pieces: the port gives the registers that were asked for, or an error;
it never breaks.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.schema import SerialBus, TcpBus
from gateway.demo.simulator.frames import rtu_frame, tcp_frame
from gateway.errors import BadFrame, Refused
from gateway.field.port.contract import words_of
from gateway.field.port.mbap import STRIDE
from gateway.field.port.modbus import ModbusPort

SERIAL = SerialBus(name="b", type="serial", port="/dev/none")
TCP = TcpBus(name="b", type="tcp", host="127.0.0.1")
UNIT, FUNCTION, COUNT, NUMBER = 3, 4, 2, 77
GOOD = bytes((FUNCTION, 2 * COUNT, 0, 1, 0, 2))

# Frames that are nearly right, and noise; the right one may be among them.
PDUS = st.sampled_from(
    [
        GOOD,
        GOOD[:-2],
        GOOD + b"\0\0",
        b"\x03" + GOOD[1:],
        b"\x84\x02",
        b"\x83\x02",
        b"\x04\x02\0\1",
        b"\x04",
        bytes((FUNCTION, 255)) + bytes(255),
    ]
)
SERIAL_PIECES = st.one_of(
    st.binary(max_size=12), st.tuples(st.sampled_from([UNIT, 4, 0]), PDUS).map(lambda t: rtu_frame(*t))
)
TCP_PIECES = st.one_of(
    st.binary(max_size=12),
    st.tuples(st.sampled_from([NUMBER, 76, 0]), st.sampled_from([UNIT, 4]), PDUS).map(
        lambda t: tcp_frame(*t)
    ),
)


async def feed(bus, pieces: list[bytes], cuts: list[int], *, plain: bool = False) -> asyncio.Future:
    """An open question, and these bytes cut anywhere; what becomes of it. `plain`: a whole answer is
    looked for first, as a link does.
    """
    port = ModbusPort(bus)
    port._number = NUMBER - STRIDE
    port._ask(UNIT, FUNCTION, 0, COUNT)
    answer = port._answer = asyncio.get_running_loop().create_future()
    stream, buffer = b"".join(pieces), b""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        if plain and not buffer and port._receive_plain(stream[begin:end]):
            continue
        buffer += stream[begin:end]
        used = port._receive(buffer)
        assert 0 <= used <= len(buffer)
        buffer = buffer[used:]
    if port._rest_timer is not None:
        port._rest_timer.cancel()
    if not answer.done():
        answer.cancel()
    return answer


def check(answer: asyncio.Future) -> None:
    if answer.cancelled():
        return
    error = answer.exception()
    if error is None:
        assert words_of(answer.result()) == (1, 2)
    else:
        assert isinstance(error, (BadFrame, Refused))
        assert not isinstance(error, Refused) or error.code == 2


@settings(max_examples=400, deadline=None)
@given(st.lists(SERIAL_PIECES, max_size=5), st.lists(st.integers(0, 600), max_size=6))
def test_a_serial_port_gives_what_was_asked_or_an_error(pieces: list[bytes], cuts: list[int]) -> None:
    check(asyncio.run(feed(SERIAL, pieces, cuts)))


@settings(max_examples=400, deadline=None)
@given(st.lists(TCP_PIECES, max_size=5), st.lists(st.integers(0, 600), max_size=6))
def test_a_connection_gives_what_was_asked_or_an_error(pieces: list[bytes], cuts: list[int]) -> None:
    async def both() -> tuple[asyncio.Future, asyncio.Future]:
        return await feed(TCP, pieces, cuts), await feed(TCP, pieces, cuts, plain=True)

    slow, quick = asyncio.run(both())
    check(slow)
    check(quick)
    assert slow.cancelled() == quick.cancelled()
    if not slow.cancelled():
        assert str(slow.exception()) == str(quick.exception())


async def test_a_whole_answer_is_taken_at_once_and_nothing_else_is() -> None:
    port = ModbusPort(TCP)
    for spoilt in range(9):
        port._ask(UNIT, FUNCTION, 0, COUNT)
        port._answer = asyncio.get_running_loop().create_future()
        good = tcp_frame(port._number, UNIT, bytes((FUNCTION, 4, 0, 1, 0, 2)))
        bad = bytes(byte ^ (at == spoilt) for at, byte in enumerate(good))
        assert not port._receive_plain(bad)
        assert not port._receive_plain(good[:-1])
        assert not port._receive_plain(good + good)
        assert not port._answer.done()
        assert port._receive_plain(good)
        assert words_of(port._answer.result()) == (1, 2)
        assert not port._receive_plain(good)
