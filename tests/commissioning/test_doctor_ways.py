"""A converter that passes RTU frames hands an answer on as it likes: in packets, with pauses, with an echo or
a second answer behind it, or not at all.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from gateway.commissioning.doctor.line.traces import Trace, trace_of
from gateway.commissioning.doctor.line.ways import ConverterLine
from gateway.errors import BusDown
from gateway.field import sealed

REQUEST = sealed(7, struct.pack(">BHH", 3, 0, 2))
ANSWER = sealed(7, bytes((3, 4, 1, 2, 3, 4)))
OTHER = sealed(7, bytes((3, 4, 9, 9, 9, 9)))
WAIT = 1.0
"""s that the answer may take: the pauses in the packets are shorter by far."""

Packets = Sequence[tuple[float, bytes]]
"""s of pause, and what is sent then."""


@contextmanager
def converter(packets: Packets, *, ends: bool = False) -> Iterator[ConverterLine]:
    """A line behind a converter that hands these packets on after a request, and then may hang up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                while link.recv(64):
                    for pause, packet in packets:
                        time.sleep(pause)
                        link.sendall(packet)
                    if ends:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        line = ConverterLine("127.0.0.1", server.getsockname()[1])
        try:
            line.open()
            yield line
        finally:
            line.close()
            thread.join(5)


def read(packets: Packets, linger: float = 0.0) -> Trace:
    with converter(packets) as line:
        heard = line.raw(REQUEST, WAIT, linger)
    return trace_of(heard, unit=7, function=3, count=2, at=0.0)


@pytest.mark.parametrize(
    "packets",
    [
        [(0.0, ANSWER)],
        [(0.2, ANSWER)],
        [(0.0, ANSWER[:3]), (0.02, ANSWER[3:])],
        [(0.0, ANSWER[:3]), (0.3, ANSWER[3:])],
        [(0.0, ANSWER[:1]), (0.15, ANSWER[1:4]), (0.15, ANSWER[4:])],
        [(0.0, REQUEST), (0.3, ANSWER)],
        [(0.0, REQUEST + ANSWER[:2]), (0.2, ANSWER[2:])],
    ],
    ids=["at once", "late", "two packets", "a pause", "two pauses", "echo", "echo and a pause"],
)
def test_an_answer_is_whole_however_it_is_handed_on(packets) -> None:
    trace = read(packets)
    assert (trace.outcome, trace.words) == ("answer", (0x0102, 0x0304))


def test_the_time_of_an_answer_is_not_that_of_its_echo() -> None:
    assert read([(0.0, REQUEST), (0.3, ANSWER)]).took >= 0.25


def test_a_second_answer_is_heard_by_who_lingers() -> None:
    assert read([(0.0, ANSWER), (0.02, OTHER)], linger=0.5).answers == 2


@pytest.mark.parametrize(
    ("packets", "outcome"),
    [([], "silent"), ([(0.0, REQUEST)], "silent"), ([(0.0, ANSWER[:-1])], "damaged")],
    ids=["nothing", "an echo alone", "a byte too few"],
)
def test_what_is_no_answer_is_said_as_what_it_is(packets, outcome) -> None:
    began = time.monotonic()
    assert read(packets).outcome == outcome
    assert time.monotonic() - began < WAIT + 5


def test_a_converter_that_hangs_up_is_a_lost_line() -> None:
    with converter([], ends=True) as line, pytest.raises(BusDown):
        line.raw(REQUEST, WAIT)
