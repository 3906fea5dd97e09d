"""Bytes beside a frame, frames of others, echoes: what is harmless costs nothing, and no value
is ever wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import pytest
from field_parts import driver, meter, pattern
from odd_devices import Client, ask_all, line_to, station

from gateway.demo.simulator.frames import rtu_frame
from gateway.errors import BadFrame, BusError, NoReply
from gateway.field.bus import connection
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.port import rtu
from gateway.field.port.request import Request
from gateway.field.schedule import EVERYTHING
from tests.waiting import until

NOISE = [
    pytest.param(b"", b"\0", id="a zero behind"),
    pytest.param(b"", b"\0\0\0", id="three zeros behind"),
    pytest.param(b"\0", b"\0", id="a zero on each side"),
    pytest.param(b"", b"\r\n", id="a new line"),
    pytest.param(b"\xff\xff", b"\xff", id="the transceiver releases the line"),
    pytest.param(b"\x01\x04\x04", b"", id="the beginning of an answer"),
    pytest.param(b"heartbeat 0815", b"", id="a text in front"),
    pytest.param(b"", b"+++ATH\r\n", id="a text behind"),
    pytest.param(b"\x81\x04\x03\xe8\x00\x02\xff\xff", b"", id="an echo with a damaged first byte"),
]


@pytest.mark.parametrize(("before", "behind"), NOISE)
@pytest.mark.parametrize("apart", [False, True])
async def test_noise_beside_a_frame_costs_nothing(before: bytes, behind: bytes, apart: bool) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            if not apart:
                client.send_rtu(request.unit, request.answer, before=before, more=behind)
                continue
            for piece in (before, None, behind):  # a glitch in a segment of its own
                if piece is None:
                    client.send_rtu(request.unit, request.answer)
                elif piece:
                    client.writer.write(piece)
                await client.writer.drain()
                await asyncio.sleep(0.05)

    async with line_to(serve, kind="rtu-over-tcp", timeout="5s") as (line, _):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        assert who.counters.bad_frames == who.counters.timeouts == 0
        if not apart:
            assert who.counters.resyncs <= 3, "noise raises no doubt; the rest are answers that are alike"
            assert line.port.strays >= 12 * len(before)


async def test_a_whole_frame_beside_the_answer_still_raises_doubt() -> None:
    """The control: what may have been an answer is no noise."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer)
            client.send_rtu(request.unit, request.answer[:-1] + b"?")

    async with line_to(serve, kind="rtu-over-tcp", timeout="5s") as (line, _):
        who = station(line)
        for _ in range(2):
            assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
            await asyncio.sleep(0.05)
            if line.port.stray_frames:
                break
        assert line.port.stray_frames


@pytest.mark.parametrize("echoes", [0, 1, 2])
async def test_a_device_that_says_everything_twice_is_read(echoes: int) -> None:
    """So does a repeater with a loop; and a request may come back more than once."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.writer.write(rtu_frame(request.unit, request.pdu) * echoes)
            client.send_rtu(request.unit, request.answer)
            client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="5s") as (line, _):
        assert await ask_all(line, station(line), 2) == (8, 0)


LATE = [0.004, 0.02]
"""s after an answer in which something comes once more; the next request goes out after 2 ms."""


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("what", ["its answer", "the request"])
async def test_what_comes_once_more_while_the_next_answer_is_waited_for_loses_none(
    what: str, late: float
) -> None:
    """But for the read by which it is found out, perhaps. Most reads need one request, and a check read where
    a copy would fit.
    """

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer)
            await client.writer.drain()
            await asyncio.sleep(late)
            pdu = request.answer if what == "its answer" else request.pdu
            client.send_rtu(request.unit, pdu)

    async with line_to(serve, kind="rtu-over-tcp", timeout="5s") as (line, _):
        who = station(line)
        _, lost = await ask_all(line, who)
        assert lost <= (what == "its answer")
        assert who.counters.timeouts == 0
        assert line.counters.requests <= (28 if what == "its answer" else 18)


async def test_the_control_that_knows_no_copies_loses_them(monkeypatch) -> None:
    monkeypatch.setattr(rtu.Repeats, "heard", lambda *_: 0)

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            for _ in range(2):
                client.send_rtu(request.unit, request.answer)
                await client.writer.drain()
                await asyncio.sleep(0.004)

    async with line_to(serve, kind="rtu-over-tcp", timeout="1s") as (line, _):
        right, lost = await ask_all(line, station(line), 1)
        assert right < lost


@pytest.mark.parametrize("same", ["length", "refusal"])
def test_a_copy_that_may_be_the_answer_is_left_to_be_judged(same: str) -> None:
    """One of another length is none; nor does anything count after a request that had no answer."""
    asked, refused = rtu_frame(1, b"\x04\x03\xe8\x00\x02"), rtu_frame(1, b"\x84\x02")
    frame = rtu_frame(1, b"\x04\x04\0\1\0\2") if same == "length" else refused
    repeats = rtu.Repeats()
    repeats.begin(frame, asked, 0.0)
    assert repeats.heard(frame, Request(1, 4, 2 if same == "length" else 9)) == 0
    assert repeats.heard(frame, Request(1, 3, 1)) == len(frame)
    assert repeats.unit == 1
    repeats.begin(frame, asked, 0.0)
    assert repeats.heard(asked + frame, Request(2, 4, 2)) == len(asked)
    assert repeats.unit is None, "only the request"
    repeats.begin(b"", asked, 0.0)
    assert repeats.heard(frame, Request(1, 3, 1)) == 0
    assert repeats.unit is None


async def test_a_frame_in_front_of_the_answer_is_not_noise() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(2, request.answer)
            client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="200ms") as (line, _):
        with pytest.raises(BadFrame):
            await line.read(station(line), 4, 1000, 2)


@pytest.mark.parametrize("every", [3, 5])
async def test_another_master_is_named_and_costs_one_more_read(caplog, every: int) -> None:
    """What another unit tells somebody else is no silence of this meter, and no second answer of it."""
    asked = 0

    async def serve(client: Client) -> None:
        nonlocal asked
        while True:
            request = await client.rtu_request()
            asked += 1
            if (
                asked % every == 0
            ):  # our request was spoilt by the other master's, and the meter did not hear it
                client.writer.write(
                    rtu_frame(9, bytes((3, 0, 0, 0, 2))) + rtu_frame(9, bytes((3, 4, 0, 1, 0, 2)))
                )
            else:
                client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="1s") as (line, _):
        task = MeterTask(
            meter(1), driver("4 u16 active_power W fast\n1000 u32 active_energy_import kWh fast decimals=0")
        )
        reader = MeterReader(task, line, lambda: 0)
        whole = 0
        for _ in range(12):
            poll = await reader.read(Poll(EVERYTHING, 5.0))
            whole += len(poll.reading.values) == 2
        assert whole >= 6
        assert not reader.facts.skip, "nothing is left out because of somebody else"
    assert caplog.text.count("unit 9 answers another master") == 1


@pytest.mark.parametrize("late", [False, True])
async def test_another_master_that_reads_our_own_meters_is_named(caplog, late: bool) -> None:
    """A meter of ours that is only late answers nobody else."""
    asked = 0

    async def serve(client: Client) -> None:
        nonlocal asked
        while True:
            request = await client.rtu_request()
            asked += 1
            if late and request.unit == 2:
                continue
            other = rtu_frame(2, bytes((4, 4, 0, 1, 0, 2)))
            if asked % 3:
                client.send_rtu(request.unit, request.answer)
            else:
                client.writer.write(other)

    async with line_to(serve, kind="rtu-over-tcp", timeout="100ms") as (line, _):
        one, two = station(line), station(line, 2)
        for _ in range(10):
            for who in (one, two) if late else (one,):
                with contextlib.suppress(BusError):
                    await line.read(who, 4, 1000, 2)
    told = "unit 2 answers another master on this line, which reads our meters"
    assert caplog.text.count(told) == (not late)


@pytest.mark.parametrize("told", [True, False], ids=["told", "the control"])
async def test_what_another_master_reads_of_our_meters_is_no_value_of_ours(monkeypatch, told: bool) -> None:
    """A converter gives each reply to all its clients: that to the other master comes first now and then, as
    long as ours.
    """
    if not told:
        monkeypatch.setattr(connection, "SHARED", 0.0)
    asked = 0

    async def serve(client: Client) -> None:
        nonlocal asked
        while True:
            request = await client.rtu_request()
            asked += 1
            if asked <= 9:  # the other master is at the next unit
                unit, words = 3 - request.unit, 2
            else:
                unit, words = request.unit, request.count
            if asked % 3 == 0:
                client.send_rtu(unit, bytes((4, 2 * words)) + bytes(2 * words))
                await client.writer.drain()
                await asyncio.sleep(0.01)
            if asked > 9 or asked % 3:
                client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="100ms") as (line, _):
        both = [station(line), station(line, 2)]
        right, wrong = [], []
        for _ in range(12):
            for who in both:
                with contextlib.suppress(BusError):
                    words = await line.read(who, 4, 1000, 2)
                    (right if words == pattern(who.unit, 1000, 2) else wrong).append(words)
        assert line.is_shared is told
        assert len(right) >= 5
        assert bool(wrong) is not told


@pytest.mark.parametrize("what", ["a request", "a longer answer", "a copy of ours"])
async def test_what_cannot_be_our_answer_costs_none_where_another_master_reads(what: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer)
            await client.writer.drain()
            if what == "a request":
                client.send_rtu(request.unit, bytes((4, 0, 7, 0, request.count)))
            elif what == "a longer answer":
                client.send_rtu(request.unit, bytes((4, 20)) + bytes(20))
            else:
                client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="100ms") as (line, _):
        line._heard_ours.extend([time.monotonic()] * connection.OTHERS)
        assert line.is_shared
        who = station(line)
        right, failed = await ask_all(line, who, 2)
        assert (right, failed) == (8, 0)


async def test_a_stray_frame_of_another_unit_raises_no_doubt() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer)
            client.send_rtu(9, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="1s") as (line, _):
        who = station(line)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        await until(lambda: line.port.strays >= 9)
        assert not line.port.stray_frames


async def test_a_connection_that_brings_nothing_is_told_once(caplog) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        request = await client.request()
        if client.index < 5:
            client.writer.write(b"SSH-2.0-converter\r\n")
        else:
            while True:
                client.send(request.number, request.unit, request.answer)
                await client.writer.drain()
                request = await client.request()

    async with line_to(serve, timeout="1s") as (line, plant):
        who = station(line)
        while plant.connections < 5:
            with contextlib.suppress(BusError):
                await line.read(who, 4, 1000, 2)
            if not line.ready:
                await line.open()
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
    assert caplog.text.count("is lost") == caplog.text.count("is back") == 1
    assert caplog.text.index("is lost") < caplog.text.index("is back")


@pytest.mark.parametrize("noise", [b"\0", b"\xff\xff\xff", b"heartbeat 0815"])
async def test_noise_alone_is_silence(noise: bytes) -> None:
    async def serve(client: Client) -> None:
        while True:
            await client.rtu_request()
            client.writer.write(noise)

    async with line_to(serve, kind="rtu-over-tcp", timeout="100ms") as (line, _):
        with pytest.raises(NoReply, match="that are no frame"):
            await line.read(station(line), 4, 1000, 2)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("before", [b"", b"\0"])
async def test_an_echo_is_no_answer_and_is_said_once(serial, caplog, alone: bool, before: bytes) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.pdu, before=before)
            if not alone:
                client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="200ms" if alone else "5s") as (line, _):
        who = station(line)
        if alone:
            with pytest.raises(NoReply, match="hears only itself" if not before else "did not answer"):
                await line.read(who, 4, 1000, 2)
        else:
            assert await ask_all(line, who) == (12, 0)
            assert caplog.text.count("hears itself") == 1
