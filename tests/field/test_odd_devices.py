"""Devices that do what is in no standard, and serve their values: what is harmless costs nothing, and no
value is ever wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import struct
from collections.abc import Callable

import pytest
from field_parts import driver, meter, pattern
from odd_devices import Client, line_to, station

from gateway.config.schema import SerialBus, TcpBus
from gateway.demo.simulator.faults import Fault
from gateway.demo.simulator.frames import rtu_frame
from gateway.errors import BadFrame, BusDown, BusError, NoReply, Refused
from gateway.field.bus import transaction
from gateway.field.bus.line import BusLine
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.port import request
from gateway.field.port.fake import FakePort
from gateway.field.port.modbus import ModbusPort
from gateway.field.schedule import EVERYTHING

QUESTIONS = [(4, 1000, 2), (4, 2000, 2), (4, 3000, 4), (4, 4000, 2)]


async def ask_all(line: BusLine, who, rounds: int = 3) -> tuple[int, int]:
    """How many reads were right, and how many failed; a wrong value fails the test."""
    right = failed = 0
    for function, first, count in QUESTIONS * rounds:
        try:
            words = await line.read(who, function, first, count)
        except BusError:
            failed += 1
            continue
        assert words == pattern(who.unit, first, count)
        right += 1
    return right, failed


# -- noise beside a frame
# ------------------------------------------------------------------------------------------------

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
            client.send_rtu(request.unit, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="5s") as (line, _):
        who = station(line)
        for _ in range(2):
            assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
            await asyncio.sleep(0.05)
            if line.port.stray_frames:
                break
        assert line.port.stray_frames


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


async def test_a_stray_frame_of_another_unit_raises_no_doubt() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.rtu_request()
            client.send_rtu(request.unit, request.answer)
            client.send_rtu(9, request.answer)

    async with line_to(serve, kind="rtu-over-tcp", timeout="1s") as (line, _):
        who = station(line)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        await asyncio.sleep(0.05)
        assert line.port.strays >= 9
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


# -- replies that are odd in a constant way
# ------------------------------------------------------------------------------


def numbering(name: str) -> Callable[[int], int]:
    """The number of a reply by the number that was asked."""
    replies, few = itertools.count(500), itertools.count(1)
    return {
        "plus one": lambda asked: asked + 1,
        "one behind": lambda asked: asked - 1,
        "constant": lambda _: 7,
        "one": lambda _: 1,
        "zero": lambda _: 0,
        "own": lambda _: next(replies),
        "from one": lambda _: next(few),
        "swapped": lambda asked: asked >> 8 | (asked & 0xFF) << 8,
    }[name]


RULES = {
    "plus one": "+1",
    "one behind": "-1",
    "constant": "=7",
    "one": "=1",
    "zero": "=0",
    "own": "own",
    "from one": "own",
    "swapped": "swapped",
}


@pytest.mark.parametrize("name", RULES)
async def test_numbers_that_differ_in_a_constant_way_are_learnt(caplog, name: str) -> None:
    caplog.set_level(logging.INFO)
    number = numbering(name)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            code = request.first == 9000
            client.send(number(request.number), request.unit, request.refused(2) if code else request.answer)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        right, failed = await ask_all(line, who)
        assert (right, failed) == (12, 0)
        assert line.port.reply_number == RULES[name]
        assert line.facts.reply_number == RULES[name], "it is kept"
        assert "with number" in caplog.text
        before = who.counters.resyncs
        with pytest.raises(Refused):
            await line.read(who, 4, 9000, 2)
        assert await ask_all(line, who, 1) == (4, 0)
        assert who.counters.resyncs - before <= 4


async def test_the_first_number_for_ever_is_a_constant_one_and_no_late_reply(monkeypatch) -> None:
    monkeypatch.setattr(request, "COPY", 0.05)
    first: list[int] = []

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            first.append(request.number)
            client.send(first[0], request.unit, request.answer)

    async with line_to(serve, timeout="100ms") as (line, _):
        who = station(line)
        await ask_all(line, who, 8)
        assert line.port.reply_number == f"={first[0]}"
        assert await ask_all(line, who) == (12, 0)


@pytest.mark.parametrize("seen", [0, 255, 247])
async def test_a_unit_that_differs_in_a_constant_way_is_learnt(caplog, seen: int) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, seen, request.answer)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        assert who.facts.reply_unit == seen
        assert f"as unit {seen}" in caplog.text


@pytest.mark.parametrize("length", ["short", "long", "zero", "whole", "swapped"])
async def test_a_length_that_differs_in_a_constant_way_is_learnt(length: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            right = len(request.answer) + 1
            wrong = {
                "short": right - 1,
                "long": right + 1,
                "zero": 0,
                "whole": right + 6,
                "swapped": right << 8,
            }[length]
            client.send(request.number, request.unit, request.answer, length=wrong)

    async with line_to(serve, timeout="300ms") as (line, _):
        assert await ask_all(line, station(line)) == (12, 0)


@pytest.mark.parametrize("protocol", [1, 0x0100, 0xFFFF, 0x4D42])
async def test_a_protocol_that_differs_in_a_constant_way_is_read_after_two_check_reads(
    caplog, protocol: int
) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            answer = request.refused(2) if request.first == 9000 else request.answer
            client.send(request.number, request.unit, answer, protocol=protocol)

    async with line_to(serve, timeout="400ms") as (line, plant):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        assert line.counters.resyncs == 2, "it is paid for once"
        with pytest.raises(Refused) as caught:
            await line.read(who, 4, 9000, 2)
        assert caught.value.code == 2
        assert plant.connections == 1
        assert line.port.strays == 0
        assert f"with protocol {protocol} for 0: it is read so" in caplog.text


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 8, 9, 12])
async def test_a_protocol_that_differs_is_read_however_its_frames_are_cut(cut: int) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            frame = struct.pack(">HHHB", request.number, 0x0103, len(request.answer) + 1, request.unit)
            frame += request.answer
            client.writer.write(frame[:cut])
            await client.writer.drain()
            await asyncio.sleep(0.005)
            client.writer.write(frame[cut:])

    async with line_to(serve, timeout="400ms") as (line, plant):
        assert await ask_all(line, station(line)) == (12, 0)
        assert plant.connections == 1


async def test_a_protocol_that_is_never_the_same_is_not_believed() -> None:
    protocols = itertools.count(1)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.answer, protocol=next(protocols))

    async with line_to(serve, timeout="100ms") as (line, _):
        right, _ = await ask_all(line, station(line), 2)
        assert right == 0
        assert line.port.reply_protocol == 0


async def test_a_gateway_whose_protocol_was_mended_is_read_on() -> None:
    odd = [True]

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.answer, protocol=7 if odd[0] else 0)

    async with line_to(serve, timeout="400ms") as (line, _):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        odd[0] = False
        assert await ask_all(line, who) == (12, 0)


@pytest.mark.parametrize(("length", "more"), [(4, b""), (4, b"\0"), (2, b""), (9, b"")])
async def test_an_exception_has_nine_bytes_whatever_its_header_says(length: int, more: bytes) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.first == 9000:
                client.send(request.number, request.unit, request.refused(2), length=length, more=more)
            else:
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="5s") as (line, plant):
        who = station(line)
        for _ in range(5):
            with pytest.raises(Refused) as caught:
                await line.read(who, 4, 9000, 2)
            assert caught.value.code == 2
            assert await ask_all(line, who, 1) == (4, 0)
        assert plant.connections == 1


@pytest.mark.parametrize(
    "both",
    [
        "number and unit",
        "unit and length",
        "number and length",
        "number and protocol",
        "unit and protocol",
        "length and protocol",
    ],
)
async def test_two_odd_fields_are_never_believed(both: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            number = request.number + ("number" in both)
            client.send(
                number,
                255 if "unit" in both else request.unit,
                request.answer,
                length=99 if "length" in both else None,
                protocol=3 if "protocol" in both else 0,
            )

    async with line_to(serve, timeout="60ms") as (line, _):
        right, failed = await ask_all(line, station(line), 2)
        assert (right, failed) == (0, 8)


async def test_what_differs_now_and_then_is_not_believed() -> None:
    served = 0

    async def serve(client: Client) -> None:
        nonlocal served
        while True:
            request = await client.request()
            served += 1
            client.send(request.number, 2 if served % 3 == 0 else request.unit, request.answer)

    async with line_to(serve, timeout="100ms") as (line, _):
        who = station(line)
        right, failed = await ask_all(line, who, 10)
        assert right >= 10
        assert failed >= 5
        assert line.port.reply_units == {}


@pytest.mark.parametrize("numbers", ["its own", "a count", "the newest"])
async def test_a_gateway_that_is_always_one_reply_late_gives_no_wrong_value(numbers: str) -> None:
    late = 0

    async def serve(client: Client) -> None:
        nonlocal late
        held = None
        while True:
            request = await client.request()
            if held is not None:
                late += 1
                number = {"its own": held.number, "a count": 300 + late, "the newest": request.number}[
                    numbers
                ]
                client.send(number, held.unit, held.answer)
            held = request

    async with line_to(serve, timeout="60ms") as (line, _):
        who = station(line)
        alike = [(4, first, 2) for first in range(1000, 3000, 100)]
        for function, first, count in alike:
            try:
                words = await line.read(who, function, first, count)
            except BusError:
                continue
            assert words == pattern(1, first, count)
        assert late > 10
        assert line.port.reply_number == "asked"


@pytest.fixture
def hasty(monkeypatch) -> None:
    """The times of a line behind a network, a tenth of what they are."""
    monkeypatch.setattr(transaction, "LATENCY", {True: (0.1, 0.5, 1.0), False: (0.05, 0.1, 0.2)})
    monkeypatch.setattr(transaction, "FIRST", 0.25)
    monkeypatch.setattr(transaction, "SERVING", 0.6)
    monkeypatch.setattr(transaction, "LATEST", 1.0)


@pytest.mark.parametrize("units", [(1,), (1, 2)])
async def test_a_gateway_that_is_one_reply_behind_is_named_and_gets_no_more_time(
    hasty, caplog, units: tuple[int, ...]
) -> None:
    async def serve(client: Client) -> None:
        held = None
        while True:
            request = await client.request()
            if held is not None:
                client.send(held.number, held.unit, held.answer)
            held = request

    async with line_to(serve) as (line, _):
        stations = [station(line, unit) for unit in units]
        told = ""
        for _ in range(6):
            for who in stations:
                with pytest.raises(BusError) as caught:
                    await line.read(who, 4, 1000, 2)
                told = str(caught.value)
        assert "answers each request only when the next one comes → restart the gateway" in told
        assert all(who.facts.timeout == 0.0 for who in stations), "no time will do"
        assert caplog.text.count("only when the next one comes") == len(units), "said once"


async def test_a_meter_that_is_slow_is_none_that_is_one_reply_behind(hasty, caplog) -> None:
    """Its reply comes while the next request is waited for; with the time that it took it is there."""
    delays = {1: 0.0, 2: 0.0}

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            delay = delays[request.unit]
            asyncio.get_running_loop().call_later(
                delay, client.send, request.number, request.unit, request.answer
            )

    async with line_to(serve) as (line, _):
        slow, well = station(line, 1), station(line, 2)
        assert await ask_all(line, slow) == await ask_all(line, well) == (12, 0)
        delays[1] = 0.7
        right = 0
        for who in (slow, slow, well) * 6:
            with contextlib.suppress(BusError):
                right += await line.read(who, 4, 1000, 2) == pattern(who.unit, 1000, 2)
        assert right >= 12
        assert slow.facts.timeout >= 0.7
        assert "only when the next one comes" not in caplog.text


async def test_a_gateway_that_was_mended_is_believed_again() -> None:
    odd = True

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number + odd, request.unit, request.answer)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        odd = False
        assert await ask_all(line, who) == (12, 0)
        assert line.port.reply_number == line.facts.reply_number == "asked"


@pytest.mark.parametrize("text", [b"EW11-D8B04CAA0001", b"www.example.cn", b"\0\0"])
@pytest.mark.parametrize("where", ["before", "behind"])
async def test_a_text_in_the_stream_of_modbus_tcp_costs_nothing(text: bytes, where: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            before, behind = (text, b"") if where == "before" else (b"", text)
            client.send(request.number, request.unit, request.answer, before=before, more=behind)

    async with line_to(serve, timeout="5s") as (line, plant):
        assert await ask_all(line, station(line)) == (12, 0)
        assert plant.connections == 1


async def test_a_device_that_repeats_the_question_has_not_answered() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.pdu)

    async with line_to(serve, timeout="100ms") as (line, _):
        with pytest.raises(NoReply):
            await line.read(station(line), 4, 1000, 2)
        assert line.port.echoes


# -- what a gateway owes
# -------------------------------------------------------------------------------------------------


async def test_a_gateway_that_waits_for_a_dead_slave_costs_the_others_one_wait() -> None:
    """It serves one request at a time; its patience is longer than ours."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 9:
                await asyncio.sleep(1.6)
                client.send(request.number, 9, request.refused(11))
            else:
                client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve) as (line, plant):
        well, dead = station(line, 1), station(line, 9)
        for _ in range(3):
            assert await ask_all(line, well, 1) == (4, 0)
            with pytest.raises(Refused, match="exception 11"):
                await line.read(dead, 4, 1000, 2)
        assert well.counters.timeouts == dead.counters.timeouts == 0
        assert dead.facts.timeout >= 1.6, "it is learnt"
        assert well.facts.timeout == 0.0
        assert plant.connections == 1


async def test_a_gateway_that_waits_for_a_dead_slave_for_long_costs_no_other_meter_its_reply() -> None:
    """It serves one request at a time, and its patience is longer than what a dead meter may cost."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 9:
                await asyncio.sleep(4.0)
                client.send(request.number, 9, request.refused(11))
            else:
                client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve) as (line, plant):
        well, other, dead = station(line, 1), station(line, 2), station(line, 9)
        assert await ask_all(line, well, 3) == (12, 0)
        assert await ask_all(line, other, 3) == (12, 0)
        with pytest.raises(NoReply):
            await line.read(dead, 4, 1000, 2)
        assert await ask_all(line, well, 1) == (4, 0)
        assert await ask_all(line, other, 1) == (4, 0)
        assert line.were_late == [dead]
        with pytest.raises(Refused, match="exception 11"):
            await line.read(dead, 4, 1000, 2)
        assert dead.facts.timeout >= 4.0, "it has the time that the first reply took, and used it"
        assert plant.connections == 1


async def test_a_late_reply_is_the_answer_when_its_number_says_so() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            await asyncio.sleep(0.3)
            client.send(request.number, request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve, timeout="100ms") as (line, _):
        assert await ask_all(line, station(line), 1) == (4, 0)


@pytest.mark.virtual_time
async def test_a_reply_that_never_comes_is_waited_for_once() -> None:
    port = FakePort({1: lambda _, address: address, 2: lambda _, address: address})
    line = BusLine(TcpBus(name="b", type="tcp", host="h"), port)
    well, dead = line.station(1), line.station(2)
    port.silent.add(2)
    await line.open()
    await line.read(well, 4, 0, 2)
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(3):
        began = loop.time()
        with pytest.raises(NoReply):
            await line.read(dead, 4, 0, 2)
        waits.append(loop.time() - began)
        assert await line.read(well, 4, 0, 2) == (0, 1)
    assert waits[0] == pytest.approx(2.5, abs=0.1), "others are answered: it is not waited for longer"
    assert max(waits[1:]) <= 4.1, "nothing came: the next wait is no longer than that of a line"


@pytest.mark.virtual_time
async def test_a_meter_that_nobody_answers_beside_gets_all_the_time_that_a_gateway_may_need() -> None:
    port = FakePort({})
    line = BusLine(TcpBus(name="b", type="tcp", host="h"), port)
    alone = line.station(2)
    await line.open()
    began = asyncio.get_running_loop().time()
    with pytest.raises(NoReply):
        await line.read(alone, 4, 0, 2)
    assert asyncio.get_running_loop().time() - began > 10


# -- connections that do not stay
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("per_connection", [1, 2, 3])
async def test_a_server_that_ends_each_connection_gives_every_value(
    caplog, kind: str, per_connection: int
) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        for _ in range(per_connection):
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            if kind == "tcp":
                client.send(request.number, request.unit, request.answer)
            else:
                client.send_rtu(request.unit, request.answer)
            await client.writer.drain()

    async with line_to(serve, kind=kind, timeout="5s") as (line, plant):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        assert plant.connections >= 12 // per_connection - 1
        assert not caplog.records, "nothing is wrong, and nothing is said"
        assert line.openings == 1


async def test_a_connection_that_ends_with_half_a_reply_is_not_asked_again() -> None:
    async def serve(client: Client) -> None:
        request = await client.request()
        client.writer.write(request.number.to_bytes(2) + b"\0\0\0\x07")

    async with line_to(serve, timeout="5s") as (line, plant):
        with pytest.raises(BusDown):
            await line.read(station(line), 4, 1000, 2)
        assert plant.connections == 1


@pytest.mark.parametrize("mode", ["dead", "close", "ignore"])
async def test_a_device_that_needs_rest_after_connecting_gets_it(caplog, mode: str) -> None:
    caplog.set_level(logging.INFO)

    async def serve(client: Client) -> None:
        loop = asyncio.get_running_loop()
        began, dead = loop.time(), False
        while True:
            request = await client.request()
            if loop.time() - began < 0.9:
                if mode == "close":
                    return
                dead = mode == "dead"
            elif not dead:
                client.send(request.number, request.unit, request.answer)

    async with line_to(serve, timeout="100ms") as (line, plant):
        who = station(line)
        assert await line.read(who, 4, 1000, 2) == pattern(1, 1000, 2)
        assert line.facts.connect_pause == 1.0
        assert "1 s between connecting and the first request" in caplog.text
        line.port.close()
        connections = plant.connections
        assert await ask_all(line, who, 1) == (4, 0)
        assert plant.connections == connections + 1, "it is kept"


async def test_a_dead_meter_is_no_reason_for_a_pause_after_connecting() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            if request.unit == 1:
                client.send(request.number, 1, request.answer)

    async with line_to(serve, timeout="100ms") as (line, plant):
        well, dead = station(line, 1), station(line, 9)
        for _ in range(2):
            with pytest.raises(NoReply):
                await line.read(dead, 4, 1000, 2)
            assert await ask_all(line, well, 1) == (4, 0)
        assert plant.connections == 1
        assert line.facts.connect_pause == 0.0


# -- two copies of an answer
# ---------------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_second_copy_that_comes_in_place_of_the_answer_is_found_out() -> None:
    """Same unit, function and length, in good time: only its words tell."""
    port = FakePort({1: lambda _, address: address}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for _ in range(12):
        await line.read(who, 4, 1000, 2)
    assert await line.read(who, 4, 1000, 2) == (1000, 1001)
    port.tables[1] = lambda _, address: address - 1000 if address >= 2000 else address
    asked = len(port.asked)
    read = port.read

    async def restored(*what):
        words = await read(*what)
        port.tables[1] = lambda _, address: address
        return words

    port.read = restored
    who.alike = 0
    assert await line.read(who, 4, 2000, 2) == (2000, 2001)
    assert [length for *_, length in port.asked[asked:]] == [2, 1, 2], (
        "asked again, after a read of another length"
    )
    assert who.copies


@pytest.mark.parametrize("stands_still", [0.0, 1.0])
@pytest.mark.virtual_time
async def test_copies_in_a_row_are_each_found_out(stands_still: float) -> None:
    """Also that of an answer which was asked for again, and one that comes after this machine stood still."""
    port = FakePort({1: lambda _, address: address}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    read, copies = port.read, {2000: 1000, 3000: 2000, 4000: 3000}

    async def twice(unit: int, function: int, address: int, length: int, allowed: float):
        return await read(unit, function, copies.pop(address, address), length, allowed)

    port.read = twice
    for first in (1000, 2000, 3000, 4000):
        assert await line.read(who, 4, first, 2) == (first, first + 1)
        await asyncio.sleep(stands_still)
    assert not copies


@pytest.mark.virtual_time
async def test_registers_that_are_alike_cost_a_few_reads_and_no_more() -> None:
    port = FakePort({1: lambda *_: 0}, latency=0.03, has_transaction_ids=False)
    line = BusLine(SerialBus(name="b", type="serial", port="/dev/fake", baudrate=115200), port)
    who = station(line)
    await line.open()
    for index in range(50):
        await line.read(who, 4, 100 * index, 2)
    assert len(port.asked) <= 50 + 2 * 3


@pytest.mark.parametrize("busy", ["queue", "drop"])
async def test_meters_that_answer_twice_give_no_wrong_value(serial, busy: str) -> None:
    line, bus = serial([1], busy=busy, timeout="300ms", turnaround=0.001)
    line.faults.kinds, line.faults.rate = (Fault("double"),), 0.5
    ours = BusLine(bus, ModbusPort(bus))
    who = station(ours)
    await ours.open()
    right = 0
    for index in range(200):
        first = 100 * (index % 7)
        try:
            words = await ours.read(who, 4, first, 2)
        except BusError:
            continue
        assert words == pattern(1, first, 2)
        right += 1
    ours.close()
    assert right > 100
