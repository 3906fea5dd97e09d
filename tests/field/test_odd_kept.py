"""A difference of a gateway's replies that is believed is a fact like any other: kept, said, set by a key,
and forgotten when the gateway answers as the standard has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_devices import Client, Serve, ask_all, line_to, restarted, seated, served

from gateway.config.schema import TcpBus
from gateway.field.bus.line import BusLine
from gateway.field.bus.station import Station
from gateway.field.learnt import LEARNT_FILE, Learnt
from gateway.field.port.difference import ReplyForm
from gateway.field.port.modbus import ModbusPort

counter, changing = itertools.count(500), itertools.cycle([5, 6, 7])
ODD: dict[str, tuple[str, object, Callable[[int, int], dict[str, int]]]] = {
    "number +1": ("reply_number", "+1", lambda asked, _: {"number": asked + 1}),
    "number -1": ("reply_number", "-1", lambda asked, _: {"number": asked - 1}),
    "number 7": ("reply_number", "=7", lambda *_: {"number": 7}),
    "number of its own": ("reply_number", "own", lambda *_: {"number": next(counter)}),
    "unit 255": ("reply_unit", 255, lambda *_: {"unit": 255}),
    "unit 0": ("reply_unit", 0, lambda *_: {"unit": 0}),
    "length 6": ("reply_length", "=6", lambda *_: {"length": 6}),
    "length +1": ("reply_length", "+1", lambda _, right: {"length": right + 1}),
    "length swapped": ("reply_length", "swapped", lambda _, right: {"length": right << 8}),
    "length in words": ("reply_length", "own", lambda _, right: {"length": right // 2}),
    "protocol 3": ("reply_protocol", 3, lambda *_: {"protocol": 3}),
    "protocols": ("reply_protocol", "own", lambda *_: {"protocol": next(changing)}),
}
"""The key, what is learnt, and what a reply carries in place of what it should."""


def serving(odd: list[str]) -> Serve:
    """A gateway that is as odd as the list's last one; empty: as the standard has it."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            right = {"number": request.number, "unit": request.unit, "length": len(request.answer) + 1}
            carried = right | (ODD[odd[-1]][2](request.number, right["length"]) if odd else {})
            client.send(pdu=request.answer, **carried)

    return serve


def known(line: BusLine, who: Station) -> dict[str, object]:
    return {fact.name: fact.value for fact in (*line.facts.known(), *who.facts.known())}


@pytest.mark.parametrize("name", sorted(set(ODD) - {"number -1", "unit 0", "length 6", "length swapped"}))
async def test_it_is_a_fact_that_a_restart_keeps_and_a_mended_gateway_ends(name: str, tmp_path: Path) -> None:
    key, value, _ = ODD[name]
    odd = [name]
    async with served(serving(odd)) as plant:
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=plant.port, timeout="300ms")
        async for turn, line, who in restarted(bus, tmp_path, 3):
            assert await ask_all(line, who) == (12, 0)
            if turn < 2:
                assert known(line, who) == {key: value}
                assert line.counters.bad_frames == (3 if turn == 0 else 0), "it is found out once"
            else:
                await ask_all(line, who, 25 if value == "own" else 0)  # no reply is foretold then
                assert known(line, who) == {}
                assert line.port.form == ReplyForm()
            if turn == 1:
                odd.clear()
        assert known(line, seated(BusLine(bus, ModbusPort(bus), Learnt(tmp_path / LEARNT_FILE)))) == {}


@pytest.mark.parametrize("name", ODD)
async def test_a_key_says_it_and_nothing_is_to_be_found_out_nor_forgotten(name: str) -> None:
    key, value, _ = ODD[name]
    odd = [name]
    async with line_to(serving(odd), timeout="300ms", **{key: value}) as (line, _):
        who = seated(line)
        assert await ask_all(line, who) == (12, 0)
        odd.clear()
        assert await ask_all(line, who) == (12, 0)
        assert line.counters.bad_frames == 0
        form, given = line.port.form, {key: value}
        assert (form.number, form.length, form.protocol, form.units.get(1)) == (
            given.get("reply_number", "asked"),
            given.get("reply_length", "asked"),
            given.get("reply_protocol", 0),
            given.get("reply_unit"),
        )


STANDARD = {"reply_number": "asked", "reply_length": "asked", "reply_protocol": 0, "reply_unit": 1}


@pytest.mark.parametrize("name", ["number +1", "unit 255", "length +1", "protocol 3"])
async def test_a_key_that_asks_for_the_standard_is_never_learnt_against(name: str) -> None:
    key = ODD[name][0]
    async with line_to(serving([name]), timeout="60ms", **{key: STANDARD[key]}) as (line, _):
        assert await ask_all(line, seated(line), 2) == (0, 8)


@pytest.mark.parametrize("name", ["unit 255", "length +1", "protocol 3"])
async def test_a_few_plain_replies_end_nothing(name: str) -> None:
    """Control: only so many in a row do."""
    odd = [name]
    async with line_to(serving(odd), timeout="300ms") as (line, _):
        who = seated(line)
        await ask_all(line, who)
        for _ in range(4):
            for each in ([], [], [name]):
                odd[:] = each
                await line.read(who, 4, 1000, 2)
        assert known(line, who) == {ODD[name][0]: ODD[name][1]}


async def test_a_constant_length_that_is_right_by_chance_ends_nothing() -> None:
    """It says seven bytes for ever, which is right for two registers."""

    async def serve(client: Client) -> None:
        while True:
            request = await client.request()
            client.send(request.number, request.unit, request.answer, length=7)

    async with line_to(serve, timeout="300ms") as (line, _):
        who = seated(line)
        line.facts.learn("reply_length", "=7")
        line.port.form.length = "=7"
        for first in range(1000, 1040):
            await line.read(who, 4, first, 2)
        assert known(line, who) == {"reply_length": "=7"}
        assert await ask_all(line, who) == (12, 0)
