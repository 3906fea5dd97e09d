"""Replies that differ from the standard in a constant way are learnt; what differs now and then is
not believed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
from collections.abc import Callable

import pytest
from field_parts import pattern
from odd_devices import Client, ask_all, line_to, station

from gateway.errors import BadFrame, BusError, NoReply, Refused
from gateway.field.port import request
from gateway.field.port.mbap import NUMBERS, STRIDE, next_number


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
        line.port._number = 0x5151  # none of the next is near those of the gateway: see test_shared_replies
        who = station(line)
        right, failed = await ask_all(line, who)
        assert (right, failed) == (12, 0)
        assert line.port.form.number == RULES[name]
        assert line.facts.reply_number == RULES[name], "it is kept"
        assert "with number" in caplog.text
        before = who.counters.resyncs
        with pytest.raises(Refused):
            await line.read(who, 4, 9000, 2)
        assert await ask_all(line, who, 1) == (4, 0)
        assert who.counters.resyncs - before <= 4


@pytest.mark.parametrize("which", range(4))
async def test_swapped_numbers_are_learnt_whatever_number_the_port_begins_with(which: int) -> None:
    """No question may have a number of two like bytes: its reply would seem to be as the standard has it."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(numbering("swapped")(request.number), request.unit, request.answer)

    async with line_to(serve, timeout="300ms") as (line, _):
        line.port._number = 0x4242 - (which + 1) * STRIDE
        assert await ask_all(line, station(line)) == (12, 0)


@pytest.mark.parametrize("name", ["the highest bit cleared", "with a sign"])
async def test_a_gateway_that_has_fifteen_bits_for_a_number_is_read_as_any_other(name: str) -> None:
    def kept(number: int) -> int:
        return number & 0x7FFF if name == "the highest bit cleared" else min(number, 0x7FFF)

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(kept(request.number), request.unit, request.answer)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = station(line)
        assert await ask_all(line, who, 20) == (80, 0)
        assert (line.port.form.number, who.counters.resyncs) == ("asked", 0)


def test_every_number_of_two_different_bytes_is_used_once_before_one_comes_again() -> None:
    numbers = [0x1234]
    while (following := next_number(numbers[-1])) != numbers[0]:
        numbers.append(following)
    assert sorted(numbers) == [each for each in range(NUMBERS) if each >> 8 != each & 0xFF]


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
        assert line.port.form.number == f"={first[0]}"
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


CHANGING = {
    "one more each time": itertools.count(1),
    "0 and 1 in turn": itertools.cycle([0, 1]),
    "1 and 0 in turn": itertools.cycle([1, 0]),
    "seldom 0": itertools.cycle([7, 9, 7, 7, 0]),
    "seldom another one": itertools.cycle([0, 0, 0, 0, 0, 0, 0x4D42]),
}


@pytest.mark.parametrize("name", CHANGING)
async def test_a_protocol_that_changes_says_nothing_and_costs_no_reading(caplog, name: str) -> None:
    """Right number, unit, function and length say whose a reply is."""
    caplog.set_level(logging.INFO)
    protocols = CHANGING[name]

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            answer = request.refused(2) if request.first == 9000 else request.answer
            client.send(request.number, request.unit, answer, protocol=next(protocols))

    async with line_to(serve, timeout="400ms") as (line, plant):
        who = station(line)
        assert await ask_all(line, who, 10) == (40, 0)
        assert line.counters.bad_frames <= 3, "it is found out once"
        assert line.facts.reply_protocol == line.port.form.protocol == "own"
        for _ in range(6):
            with pytest.raises(Refused) as caught:
                await line.read(who, 4, 9000, 2)
            assert caught.value.code == 2
        assert plant.connections == 1
        assert caplog.text.count("the protocol of replies changes and says nothing: it is read so") == 1


async def test_a_late_reply_with_a_protocol_of_its_own_is_known_as_late_and_hides_no_other() -> None:
    """Both in one piece: the late one is no noise in front of the right one."""
    held: list[bytes] = []

    async def serve(client: Client) -> None:
        for protocol in itertools.count(3, 5):
            request = await client.request()
            late = b"".join(held)
            held.clear()
            if protocol % 16 == 13:
                head = struct.pack(">HHHB", request.number, protocol, len(request.answer) + 1, request.unit)
                held.append(head + request.answer)
                continue
            client.send(request.number, request.unit, request.answer, before=late, protocol=protocol)

    async with line_to(serve, timeout="60ms", reply_protocol="own") as (line, plant):
        who = station(line)
        good, bad = await ask_all(line, who, 4)
        assert bad == 1
        assert good == 15
        assert who in line.came_late()
        assert plant.connections == 1


@pytest.mark.parametrize("other", ["number", "unit", "length"])
async def test_a_changing_protocol_beside_another_odd_field_is_not_believed(other: str) -> None:
    protocols = itertools.cycle([0, 1])

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(
                request.number + (other == "number"),
                255 if other == "unit" else request.unit,
                request.answer,
                length=99 if other == "length" else None,
                protocol=next(protocols) or 2,
            )

    async with line_to(serve, timeout="60ms", reply_protocol="own") as (line, _):
        assert await ask_all(line, station(line), 2) == (0, 8)


async def test_a_protocol_and_a_unit_that_differ_are_named_and_read_only_by_their_keys() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, 0, request.answer, protocol=0x0100)

    async with line_to(serve, timeout="60ms") as (line, plant):
        who = station(line)
        with pytest.raises(BadFrame, match="with protocol 256 for 0 and as unit 0, which may be an earlier"):
            await line.read(who, 4, 1000, 2)
        assert await ask_all(line, who, 2) == (0, 8)
        assert plant.connections == 1, "it is Modbus"
    async with line_to(serve, timeout="60ms", reply_protocol=0x0100, reply_unit=0) as (line, _):
        assert await ask_all(line, station(line), 2) == (8, 0)


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
        who = station(line)
        for _ in range(3):  # nor at a second and a third attempt
            who.check_at = 0.0
            right, failed = await ask_all(line, who, 2)
            assert (right, failed) == (0, 8)
        assert not line.port.form.units
        assert line.port.form.number == "asked"
        assert line.port.form.length == "asked"
        assert not line.port.form.protocol


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        ({"reply_number": "+1", "reply_unit": 255}, {}),
        ({"reply_unit": 255, "reply_length": "=99"}, {"length": 99}),
        ({"reply_number": "+1", "reply_length": "=99"}, {"length": 99}),
        ({"reply_number": "own", "reply_protocol": 3}, {"protocol": 3}),
        ({"reply_unit": 255, "reply_protocol": 3}, {"protocol": 3}),
        ({"reply_length": "=99", "reply_protocol": 3}, {"length": 99, "protocol": 3}),
    ],
)
async def test_odd_fields_that_were_told_are_read_and_another_one_beside_them_is_not(keys, more) -> None:
    odd_too = False

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            number = request.number + ("reply_number" in keys)
            unit = keys.get("reply_unit", request.unit) ^ (odd_too and 2)
            client.send(number, unit, request.answer, **more)

    async with line_to(serve, timeout="60ms", **keys) as (line, _):
        who = station(line)
        assert await ask_all(line, who) == (12, 0)
        odd_too = True
        assert await ask_all(line, who, 1) == (0, 4)


@pytest.mark.parametrize("other", ["length", "protocol"])
async def test_a_number_that_was_believed_needs_all_else_to_be_right(other: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(
                request.number + 1,
                request.unit,
                request.answer,
                length=99 if other == "length" else None,
                protocol=3 if other == "protocol" else 0,
            )

    async with line_to(serve, timeout="60ms", reply_number="+1") as (line, _):
        assert await ask_all(line, station(line), 2) == (0, 8)


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
        assert line.port.form.units == {}


@pytest.mark.parametrize("which", [1, 3])
async def test_one_reply_without_a_number_ends_neither_the_connection_nor_the_trust_in_numbers(
    which: int,
) -> None:
    served = 0

    async def serve(client: Client) -> None:
        nonlocal served
        while True:
            request = await client.request()
            served += 1
            client.send(0 if served == which else request.number, request.unit, request.answer)

    async with line_to(serve, timeout="1s") as (line, plant):
        who = station(line)
        right, failed = await ask_all(line, who)
        assert (right + failed, failed <= 1) == (12, True)
        assert plant.connections == 1
        assert line.port.has_transaction_ids
        assert line.port.form.number == "asked"


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
        assert line.port.form.number == "asked"


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


FIRSTS = [0, 255, 256, 512, 767, 768, 1000, 0x9C40]
"""Addresses whose high byte would be a byte count, or none."""


@pytest.mark.parametrize("first", FIRSTS)
async def test_a_device_that_repeats_the_question_has_not_answered(first: int) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.pdu)

    async with line_to(serve, timeout="100ms") as (line, _):
        with pytest.raises(NoReply):
            await line.read(station(line), 4, first, 2)
        assert line.port.echoes


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("first", FIRSTS)
async def test_a_question_that_comes_back_before_its_answer_does_no_harm(
    first: int, *, together: bool
) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.pdu)
            if not together:
                await client.writer.drain()
                await asyncio.sleep(0.01)
            client.send(request.number, request.unit, request.answer)

    async with line_to(serve) as (line, _):
        for count in (1, 2, 3, 5, 60):
            assert await line.read(station(line), 4, first, count) == pattern(1, first, count)
        assert line.port.strays == 0


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("header", "with number 0 for .* and as unit 255, .*reply_number, reply_unit"),
        ("function", "a reply of function 3 came for one of function 4"),
        ("short", "a reply of 2 bytes came for 2 registers"),
    ],
)
async def test_a_reply_that_is_not_believed_says_what_is_wrong_with_it(odd: str, said: str) -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            number, unit, answer = request.number, request.unit, request.answer
            if odd == "header":
                number, unit = 0, 255
            elif odd == "function":
                answer = b"\3" + answer[1:]
            else:
                answer = bytes((answer[0], 2)) + answer[2:4]
            client.send(number, unit, answer)

    async with line_to(serve, timeout="100ms") as (line, _):
        with pytest.raises(BusError, match=said):
            await line.read(station(line), 4, 1000, 2)


async def test_serial_frames_on_modbus_tcp_lead_to_the_type_that_reads_them() -> None:
    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send_rtu(request.unit, request.answer)

    async with line_to(serve, timeout="5s") as (line, _):
        with pytest.raises(BadFrame, match="what is not Modbus TCP"):
            await line.read(station(line), 4, 1000, 2)
        assert "type: rtu-over-tcp" in str(line.trouble)
