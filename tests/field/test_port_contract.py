"""One contract, two ports: what the real one does on a line, its in-memory double does as well."""

from __future__ import annotations

import asyncio

import pytest
from field_parts import pattern

from gateway.demo.simulator.faults import Fault
from gateway.errors import BusDown, NoReply, Refused
from gateway.field.port.contract import words_of
from gateway.field.port.fake import FakePort
from gateway.field.port.modbus import ModbusPort

UNITS = (1, 2)


def tables() -> dict:
    return {unit: lambda _, at, unit=unit: pattern(unit, at, 1)[0] for unit in UNITS}


class Double:
    """The port in memory."""

    def __init__(self, *, has_transaction_ids: bool) -> None:
        self.port = FakePort(tables(), has_transaction_ids=has_transaction_ids)

    def refuse(self, unit: int, code: int) -> None:
        self.port.trouble.append(Refused(f"unit {unit} refused", code))

    def keep_silent(self, unit: int) -> None:
        self.port.trouble.append(NoReply(f"unit {unit} did not answer"))

    def break_down(self) -> None:
        self.port.down = True


class Real:
    """The port on a pty or a socket, with a simulated plant behind it."""

    def __init__(self, bus, faults, end) -> None:
        self.port = ModbusPort(bus)
        self._faults, self._end = faults, end

    def refuse(self, unit: int, code: int) -> None:
        self._faults.order(unit, Fault("exception", code=code))

    def keep_silent(self, unit: int) -> None:
        self._faults.order(unit, Fault("dead"))

    def break_down(self) -> None:
        self._end()


@pytest.fixture(params=["double numbered", "double", "tcp", "serial"])
async def kind(request, serial, tcp):
    if request.param.startswith("double"):
        made = Double(has_transaction_ids="numbered" in request.param)
    elif request.param == "tcp":
        server, bus, plant = tcp(list(UNITS))
        made = Real(bus, server.faults, plant.stop)
    else:
        line, bus = serial(list(UNITS))
        made = Real(bus, line.faults, line.stop)
    made.has_transaction_ids = request.param in {"double numbered", "tcp"}
    yield made
    made.port.close()


async def test_it_is_closed_until_it_is_opened_and_after_it_is_closed(kind) -> None:
    port = kind.port
    assert not port.connected
    with pytest.raises(BusDown):
        await port.read(1, 4, 0, 1, 1.0)
    await port.open()
    assert port.connected
    port.close()
    assert not port.connected
    with pytest.raises(BusDown):
        await port.read(1, 4, 0, 1, 1.0)
    await port.open()
    assert words_of(await port.read(1, 4, 0, 1, 10.0)) == pattern(1, 0, 1)


async def test_it_says_whether_replies_are_numbered(kind) -> None:
    await kind.port.open()
    assert kind.port.has_transaction_ids is kind.has_transaction_ids


@pytest.mark.parametrize(("function", "first", "count"), [(3, 0, 1), (4, 7, 33), (4, 40000, 125)])
async def test_it_gives_what_was_asked_and_notes_when(kind, function: int, first: int, count: int) -> None:
    port, loop = kind.port, asyncio.get_running_loop()
    await port.open()
    before = loop.time()
    for unit in UNITS:
        assert words_of(await port.read(unit, function, first, count, 10.0)) == pattern(unit, first, count)
        assert before <= port.sent_at <= port.heard_at <= loop.time()
        before = port.heard_at
    assert (port.strays, port.stray_frames, port.echoes) == (0, 0, 0)
    assert list(port.late) == []


@pytest.mark.parametrize("code", [1, 2, 6])
async def test_a_refusal_has_its_code_and_is_an_answer(kind, code: int) -> None:
    port = kind.port
    await port.open()
    kind.refuse(1, code)
    with pytest.raises(Refused) as caught:
        await port.read(1, 4, 0, 1, 10.0)
    assert caught.value.code == code
    assert port.heard_at >= port.sent_at > 0
    assert words_of(await port.read(1, 4, 0, 1, 10.0)) == pattern(1, 0, 1), "the next question is another one"


async def test_silence_lasts_as_long_as_was_allowed_and_leaves_no_time_of_an_answer(kind) -> None:
    port, loop = kind.port, asyncio.get_running_loop()
    await port.open()
    await port.read(1, 4, 0, 1, 10.0)
    heard, began = port.heard_at, loop.time()
    kind.keep_silent(1)
    with pytest.raises(NoReply):
        await port.read(1, 4, 0, 1, 0.2)
    assert loop.time() - began >= 0.2
    assert port.heard_at == heard
    assert port.sent_at >= began
    assert words_of(await port.read(2, 4, 3, 2, 10.0)) == pattern(2, 3, 2)


async def test_what_breaks_down_is_told_and_not_silence(kind) -> None:
    port = kind.port
    await port.open()
    await port.read(1, 4, 0, 1, 10.0)
    kind.break_down()
    for _ in range(40):
        try:
            await port.read(1, 4, 0, 1, 0.5)
        except BusDown:
            break
        except NoReply:
            await asyncio.sleep(0.05)
    else:
        raise AssertionError("the port never noticed")
    assert not port.connected
