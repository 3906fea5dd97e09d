"""Meters whose replies say how many registers follow, not how many bytes: believed when that alone is odd, by
the length of the frame; never at the price of a wrong value.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from field_parts import pattern
from odd_devices import PROBES, Client, Request, Serve, ask_all, line_to, restarted, seated, served, station

from gateway.config.schema import TcpBus
from gateway.demo.simulator.frames import rtu_frame
from gateway.errors import BusError
from gateway.field.bus.station import Station
from gateway.field.port import rtu
from gateway.field.port.contract import registers_of
from gateway.field.port.mbap import split
from gateway.field.port.request import Request as Asked
from gateway.field.port.transport import has_right_crc, rtu_request

KINDS = ("tcp", "rtu-over-tcp")
Says = Callable[[Request], int]
"""What the byte count of a reply says."""


def registers(request: Request) -> int:
    return request.count


def right(request: Request) -> int:
    return 2 * request.count


def newest(says: list[Says]) -> Says:
    """As the list's last one says at the time."""

    def say(request: Request) -> int:
        return says[-1](request)

    return say


def saying(request: Request, count: int) -> bytes:
    answer = request.answer
    return answer[:1] + bytes((count & 0xFF,)) + answer[2:]


def serving(kind: str, says: Says, **odd: int) -> Serve:
    """Replies by `says`; `odd` fields of the header are off by so much."""

    async def serve(client: Client) -> None:
        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            pdu = saying(request, says(request))
            unit = request.unit + odd.get("unit", 0)
            if kind == "tcp":
                client.send(request.number + odd.get("number", 0), unit, pdu)
            else:
                client.send_rtu(unit, pdu)

    return serve


def known(who: Station) -> dict[str, object]:
    return {fact.name: fact.value for fact in who.facts.known()}


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_learnt_outlives_a_restart_and_ends_with_a_mended_meter(
    kind: str, tmp_path: Path
) -> None:
    says = [registers]
    async with served(serving(kind, newest(says))) as plant:
        bus = TcpBus(
            name="bus", type=kind, host="127.0.0.1", port=plant.port, baudrate=115200, timeout="300ms"
        )
        async for turn, line, who in restarted(bus, tmp_path, 3):
            assert await ask_all(line, who) == (12, 0)
            assert known(who) == ({"reply_count": "registers"} if turn < 2 else {})
            assert line.counters.bad_frames == (3 if turn == 0 else 0), "it is found out once"
            assert line.port.form.counting == ({1} if turn < 2 else set())
            if turn == 1:
                says.append(right)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_says_it(kind: str) -> None:
    says = [registers]
    async with line_to(serving(kind, newest(says)), kind=kind, timeout="300ms") as (
        line,
        _,
    ):
        who = seated(line, reply_count="registers")
        assert await ask_all(line, who) == (12, 0)
        says.append(right)
        assert await ask_all(line, who) == (12, 0)
        assert line.counters.bad_frames == 0
        assert known(who) == {"reply_count": "registers"}
    async with line_to(serving(kind, registers), kind=kind, timeout="60ms") as (line, _):
        assert await ask_all(line, seated(line, reply_count="bytes"), 2) == (0, 8)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_odd_is_said_while_it_is_not_read(kind: str) -> None:
    async with line_to(serving(kind, registers), kind=kind, timeout="60ms") as (line, _):
        with pytest.raises(BusError) as caught:
            await line.read(seated(line, reply_count="bytes"), 4, 1000, 2)
    assert "unit 1 answers with byte count 2 for 4" in str(caught.value)
    assert "set reply_count in gateway.yaml" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_one_meters_and_no_others(kind: str) -> None:
    """Exceptions are as they are."""

    async def serve(client: Client) -> None:
        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            pdu = saying(request, request.count * (1 if request.unit == 1 else 2))
            pdu = request.refused(2) if request.first == 9000 else pdu
            if kind == "tcp":
                client.send(request.number, request.unit, pdu)
            else:
                client.send_rtu(request.unit, pdu)

    async with line_to(serve, kind=kind, timeout="300ms") as (line, _):
        odd, plain = seated(line), seated(line, 2)
        for _ in range(2):
            assert await ask_all(line, odd) == await ask_all(line, plain) == (12, 0)
            for who in (odd, plain):
                with pytest.raises(BusError, match="exception 2"):
                    await line.read(who, 4, 9000, 2)
        assert (known(odd), known(plain)) == ({"reply_count": "registers"}, {})


@pytest.mark.parametrize("other", ["number", "unit"])
async def test_with_another_odd_field_nothing_is_left_to_know_it_by(other: str) -> None:
    async with line_to(serving("tcp", registers, **{other: 1}), timeout="60ms") as (line, _):
        who = seated(line)
        assert await ask_all(line, who, 2) == (0, 8)
        assert known(who) == {}


STRANGE: dict[str, Says] = {
    "one less": lambda request: 2 * request.count - 1,
    "nothing": lambda _: 0,
    "twice as many": lambda request: 4 * request.count,
    "for ever that of one": lambda _: 2,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STRANGE)
async def test_another_count_is_not_believed(kind: str, name: str) -> None:
    async with line_to(serving(kind, STRANGE[name]), kind=kind, timeout="60ms") as (line, _):
        who = seated(line)
        right_ones, _ = await ask_all(line, who, 1)
        assert right_ones == 0 or name == "for ever that of one"
        assert known(who) == {}


@pytest.mark.parametrize("name", sorted(set(STRANGE) - {"twice as many"}))
async def test_another_count_is_named(name: str) -> None:
    async with line_to(serving("tcp", STRANGE[name]), timeout="60ms") as (line, _):
        with pytest.raises(BusError) as caught:
            await line.read(seated(line), 4, 3000, 4)
    said = STRANGE[name](Request(0, 1, bytes((4, 0, 0, 0, 4))))
    assert f"a reply came with byte count {said} for 8" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_now_and_then_is_not_constant(kind: str) -> None:
    draw = random.Random(3)
    says: Says = lambda request: request.count * draw.choice((1, 2))  # noqa: E731 - a drawn one
    async with line_to(serving(kind, says), kind=kind, timeout="300ms") as (line, _):
        right_ones, failed = await ask_all(line, seated(line), 5)
        assert right_ones + failed == 20
        assert right_ones > 0


@pytest.mark.parametrize("rewritten", [True, False])
async def test_one_reply_late_for_ever_is_none(rewritten: bool) -> None:
    """Each reply comes when the next request does, with its number or with that of its own request."""

    async def serve(client: Client) -> None:
        held: Request | None = None
        while True:
            request = await client.request()
            if held is not None:
                number = request.number if rewritten else held.number
                client.send(number, held.unit, saying(held, held.count))
            held = request

    async with line_to(serve, timeout="60ms") as (line, _):
        for who in (seated(line), seated(line, 2)):
            right_ones, failed = await ask_all(line, who, 2)  # a wrong value fails there
            assert right_ones + failed == 8
        assert line.port.form.counting == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learnt", [False, True])
async def test_late_and_double_replies_give_no_wrong_value(kind: str, learnt: bool) -> None:
    draw = random.Random(f"{kind} {learnt}")

    async def serve(client: Client) -> None:
        def send(request: Request) -> None:
            pdu = saying(request, request.count)
            if kind == "tcp":
                client.send(request.number, request.unit, pdu)
            else:
                client.send_rtu(request.unit, pdu)

        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            fate = draw.random()
            if fate < 0.15:
                asyncio.get_running_loop().call_later(draw.choice((0.07, 0.1, 0.2)), send, request)
                continue
            send(request)
            if fate < 0.3:
                asyncio.get_running_loop().call_later(draw.choice((0.0, 0.005, 0.05)), send, request)

    async with line_to(serve, kind=kind, timeout="60ms") as (line, _):
        who = seated(line, **({"reply_count": "registers"} if learnt else {}))
        who.probes = PROBES
        right_ones, failed = await ask_all(line, who, 10)
        assert right_ones + failed == 40
        assert right_ones >= (12 if learnt else 0)


# -- frames


def test_on_a_line_the_crc_says_how_long_it_is() -> None:
    asked = Asked(1, 4, 4, rtu_request(1, 4, 1000, 4))
    odd = rtu_frame(1, bytes((4, 4)) + registers_of(pattern(1, 1000, 4)))
    assert rtu.hear(odd, asked, has_right_crc).answer == (0, 13)
    assert rtu.hear(b"\0" + odd + b"\0\0", asked, has_right_crc).answer == (1, 14)
    known = replace(asked, counted=True)
    for end in range(1, len(odd)):
        assert rtu.hear(odd[:end], known, has_right_crc) == rtu.Heard(begun=True)
        assert rtu.hear(odd[:end], asked, has_right_crc) == rtu.Heard(begun=end < 3)
    late = rtu_frame(1, bytes((4, 4)) + registers_of(pattern(1, 1000, 2)))
    for behind in (b"", b"\0\0\0\0", late):
        heard = rtu.hear(late + behind, asked, has_right_crc)
        assert heard.answer is None, "the plain reply to a read of half as many"
        assert heard.foreign
    torn = odd[:7] + bytes((odd[7] ^ 1,)) + odd[8:]
    assert rtu.hear(torn, asked, has_right_crc).answer is None
    assert rtu.count(odd + odd, 1, has_right_crc) == 2


def test_in_a_stream_its_length_and_what_was_asked_say_it() -> None:
    asked = Asked(1, 4, 4, number=7, reply=7)
    words = registers_of(pattern(1, 1000, 4))
    odd = bytes((0, 7, 0, 0, 0, 11, 1, 4, 4)) + words
    plain = bytes((0, 8, 0, 0, 0, 11, 1, 4, 8)) + words
    for data, count in ((odd, 1), (odd + odd, 2), (odd + plain, 2), (plain + odd, 2)):
        found, done, noise, torn = split(data, asked)
        assert [frame.pdu[2:] for frame in found] == [words] * count
        assert (done, noise, torn) == (len(data), 0, False)
    for end in range(len(odd)):
        assert split(odd[:end], asked)[:2] == ([], 0)
    padded = bytes((0, 7, 0, 0, 0, 11, 1, 4, 4)) + words
    assert [len(frame.pdu) for frame in split(padded, Asked(1, 4, 2, number=7, reply=7))[0]] == [6], "as ever"


@pytest.mark.parametrize("kind", KINDS)
async def test_copies_of_its_answers_are_known_again(kind: str) -> None:
    """Each answer comes again while the next one is waited for: it costs no read."""

    async def serve(client: Client) -> None:
        before: Request | None = None
        while True:
            request = await (client.request() if kind == "tcp" else client.rtu_request())
            for each in (before, request):
                if each is not None:
                    pdu = saying(each, each.count)
                    if kind == "tcp":
                        client.send(each.number, each.unit, pdu)
                    else:
                        client.send_rtu(each.unit, pdu)
            before = request

    async with line_to(serve, kind=kind, timeout="300ms") as (line, _):
        who = station(line)
        who.facts.learn("reply_count", "registers")
        line.port.form.counting.add(1)
        right_ones, failed = 0, 0
        for index in range(20):
            count = 2 + index % 2
            try:
                right_ones += await line.read(who, 4, 1000 + index, count) == pattern(1, 1000 + index, count)
            except BusError:
                failed += 1
        assert right_ones + failed == 20
        assert right_ones >= 18
