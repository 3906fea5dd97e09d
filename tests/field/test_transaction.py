"""One request and its answer: what is counted, how long one that is late is waited for, and what a late one
says of its meter. On virtual time.
"""

from __future__ import annotations

import asyncio

import pytest
from field_parts import driver, meter

from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import BadFrame, BusDown, NoReply, Refused
from gateway.field.bus.doubts import LATEST
from gateway.field.bus.line import ENDINGS, BusLine
from gateway.field.bus.odd_replies import PLAIN
from gateway.field.bus.station import Station, patience_after
from gateway.field.bus.transaction import FIRST, SERVING
from gateway.field.facts import OLD
from gateway.field.learnt import Learnt
from gateway.field.meter.poll import Poll
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.port.contract import Late
from gateway.field.port.fake import FakePort
from gateway.field.schedule import Due

pytestmark = pytest.mark.virtual_time
SERIAL = SerialBus(name="bus", type="serial", port="/dev/fake", baudrate=9600)
TCP = TcpBus(name="bus", type="tcp", host="h")
OVER_TCP = TcpBus(name="bus", type="rtu-over-tcp", host="h", baudrate=9600)


class Waiting(FakePort):
    """Notes how long an overdue reply is waited for, and which reads it might ask by itself."""

    def __init__(self, *units: int, **more) -> None:
        super().__init__({unit: lambda _, at: at for unit in units}, **more)
        self.waits: list[float] = []
        self.followed: list[int] = []

    async def read(self, unit, function, address, count, timeout):
        self.followed.append(len(self.following))
        self.following = []
        return await super().read(unit, function, address, count, timeout)

    async def overdue(self, timeout):
        self.waits.append(timeout)
        return await super().overdue(timeout)


async def opened(bus, port, units: int = 1) -> tuple[BusLine, list[Station]]:
    line = BusLine(bus, port)
    await line.open()
    return line, [line.station(unit) for unit in range(1, units + 1)]


async def missed(line: BusLine, station: Station, count: int) -> None:
    with pytest.raises(NoReply):
        await line.read(station, 4, 0, count)


async def test_each_request_counts_once_for_its_meter_and_once_for_the_line() -> None:
    port = Waiting(1, 2, latency=0.05)
    line, (one, two) = await opened(TCP, port, 2)
    line.allowance = 0.0  # what is torn is not asked once more
    for _ in range(3):
        await line.read(one, 4, 0, 2)
    await line.read(two, 4, 0, 2)
    line._unused = 0.0
    port.trouble.extend([Refused("no", 2), Refused("no", 2), Refused("busy", 6), BadFrame("torn")])
    for error in (Refused, Refused, Refused, BadFrame):
        with pytest.raises(error):
            await line.read(one, 4, 0, 2)
    port.silent = {1}
    await missed(line, one, 3)
    counted = [
        (each.requests, each.replies, each.timeouts, each.bad_frames)
        for each in (one.counters, line.counters)
    ]
    assert counted == [(8, 3, 1, 1), (9, 4, 1, 1)]
    assert one.counters.exceptions == line.counters.exceptions == {2: 2, 6: 1}
    assert one.timeouts == 1
    assert (two.counters.requests, two.counters.replies, two.counters.timeouts) == (1, 1, 0)
    assert line.turn_around.mean == one.turn_around.mean == pytest.approx(0.05, rel=0.01)


async def test_nothing_else_was_wrong_when_no_other_meter_was_silent_and_no_byte_astray() -> None:
    port = Waiting(1, 2, has_transaction_ids=False)
    line, (one, two) = await opened(SERIAL, port, 2)
    now = asyncio.get_running_loop().time
    await asyncio.sleep(10)
    assert line.calm(one, now() - 5)
    assert not line.calm(one, now() - 15), "it was opened since"
    port.silent = {2}
    await missed(line, two, 1)
    assert not line.calm(one, now() - 5)
    assert line.calm(two, now() - 5), "its own silence is what is asked about"
    await asyncio.sleep(10)
    port.strays += 3
    await line.read(one, 4, 0, 2)
    assert not line.calm(one, now() - 5)
    assert not line.calm(two, now() - 5)
    await asyncio.sleep(10)
    assert line.calm(one, now() - 5)


@pytest.mark.parametrize("endings", [1, ENDINGS, ENDINGS + 1])
async def test_a_connection_that_ends_at_each_request_is_opened_again_so_many_times(endings: int) -> None:
    """Each time after an answer: the read that re-synchronises is given it, the one behind it is not."""
    port = Waiting(1, has_transaction_ids=False)
    line, (station,) = await opened(OVER_TCP, port)
    station.probes = ((4, 0, 1),)
    await line.read(station, 4, 0, 1)
    read, left = port.read, endings

    async def hang_up(*args):
        nonlocal left
        if left and args[3] == 2:
            left -= 1
            port.sent_at = asyncio.get_running_loop().time() + 0.001
            raise BusDown("the other side has ended the connection")
        return await read(*args)

    port.read = hang_up
    if endings > ENDINGS:
        with pytest.raises(NoReply, match="ends when unit 1 is asked"):
            await line.read(station, 4, 0, 2)
    else:
        assert await line.read(station, 4, 0, 2) == (0, 1)


@pytest.mark.parametrize(("age", "kept"), [(0.9, 5.0), (1.1, 0.0)])
async def test_the_patience_for_one_that_answers_no_more_is_forgotten_after_a_week(
    age: float, kept: float
) -> None:
    now = 1_795_000_000.0
    learnt = Learnt(wall=lambda: now)
    port = Waiting(1)
    line = BusLine(TCP, port, learnt)
    station = line.station(1, learnt.meter(TCP, meter(1)))
    await line.open()
    station.facts.learn("timeout", 5.0)
    now += age * OLD
    await line.read(station, 4, 0, 1)
    assert station.facts.timeout == 5.0, "it answers"
    port.silent.add(1)
    with pytest.raises(NoReply):
        await line.read(station, 4, 0, 2)
    assert station.facts.timeout == kept


# -- a difference that is believed


async def test_plain_replies_in_a_row_end_the_belief_in_a_difference() -> None:
    port = Waiting(1)
    line, (station,) = await opened(TCP, port)
    line.facts.learn("reply_number", "+1")
    line.renumber("+1")
    port.form.units[1] = 7
    port.refuted = ("number", "unit")
    for _ in range(PLAIN - 1):
        await line.read(station, 4, 0, 1)
    assert port.form.number == "+1"
    port.refuted = ()
    await line.read(station, 4, 0, 1)
    port.refuted = ("number", "unit")
    for _ in range(PLAIN - 1):
        await line.read(station, 4, 0, 1)
    assert port.form.number == "+1", "not in a row"
    await line.read(station, 4, 0, 1)
    assert port.form.number == "asked"
    assert line.facts.since("reply_number") is None
    assert port.form.units == {}


# -- what follows an answer at once


def wait_by_table(line: BusLine) -> str:
    return "min_gap: 100ms"


def wait_by_line(line: BusLine) -> str:
    line.silence = 0.1
    return ""


def wait_by_doubt(line: BusLine) -> str:
    line._unanswered[77] = asyncio.get_running_loop().time()
    return ""


@pytest.mark.parametrize("wait", [None, wait_by_table, wait_by_line, wait_by_doubt])
async def test_no_request_follows_at_once_where_one_thing_asks_for_a_pause(wait) -> None:
    port = Waiting(1)
    line, _ = await opened(TCP, port, 0)
    limits = wait(line) if wait else ""
    table = driver(reads="function: 4, max_registers: 1" + (f", {limits}" if limits else ""))
    reader = MeterReader(MeterTask(meter(1), table), line, lambda: 0)
    poll = await reader.read(Poll(Due(fast=True)))
    assert len(poll.reading.values) == 8
    assert port.followed[0] == (0 if wait else 7)


# -- a reply that comes late


async def test_what_a_gateway_may_owe_is_waited_for_until_it_was_in_vain_and_again_once_it_came() -> None:
    port = Waiting(1)
    line, (station,) = await opened(TCP, port)
    await line.read(station, 4, 0, 9)
    port.silent = {1}
    await missed(line, station, 1)
    port.silent = set()
    await line.read(station, 4, 0, 9)
    port.silent = {1}
    await missed(line, station, 2)
    assert port.waits == [LATEST, 0.0], "the second time it is the meter's end"
    port.silent = set()
    port.late.append(Late(1, 1.5))
    await line.read(station, 4, 0, 9)
    port.silent = {1}
    await missed(line, station, 3)
    assert port.waits[2] == LATEST, "it is known to be late and not gone"


async def test_the_first_silence_costs_the_others_little_and_several_in_a_row_are_a_gateway_that_serves() -> (
    None
):
    port = Waiting(*range(1, 6))
    line, stations = await opened(TCP, port, 5)
    await line.read(stations[4], 4, 0, 9)
    port.silent = {1, 2, 3}
    began = asyncio.get_running_loop().time()
    timeout = line.timeout(stations[0], 1)
    for count, station in enumerate(stations[:3], 1):
        await missed(line, station, count)
    first, second, third = port.waits
    assert first == pytest.approx(FIRST - timeout), "two and a half seconds with its time-out"
    assert second == pytest.approx(SERVING - FIRST, abs=0.01)
    assert third == 0.0, "nobody was served in that time: they are gone"
    assert asyncio.get_running_loop().time() - began == pytest.approx(SERVING + 2 * timeout, abs=0.1)


async def late_reply(line: BusLine, port: FakePort, late: Late) -> None:
    """It comes while another meter is asked."""
    port.late.append(late)
    await line.read(line._stations[1], 4, 0, 1)


@pytest.mark.parametrize(("later", "asks"), [(0.5, 2), (-0.5, 1)])
async def test_who_was_asked_while_a_gateway_served_another_one_is_asked_once_more(later, asks) -> None:
    port = Waiting(1, 2)
    line, (one, two) = await opened(TCP, port, 2)
    await line.read(one, 4, 0, 9)
    await line.read(two, 4, 0, 9)
    loop, before = asyncio.get_running_loop(), len(port.asked)
    come = loop.time() + 1.0 + later
    loop.call_at(come, lambda: port.late.append(Late(2, 4.0, heard_at=come)))
    await asyncio.sleep(1.0)
    port.silent = {1}
    with pytest.raises(NoReply):
        await line.read(one, 4, 0, 9)
    assert [unit for unit, *_ in port.asked[before:]].count(1) == asks


async def test_who_was_late_has_more_time_and_is_asked_again_at_once() -> None:
    port = Waiting(1, 2)
    line, (one, _) = await opened(TCP, port, 2)
    await late_reply(line, port, Late(1, 3.1))
    assert line.were_late == [one]
    assert one.facts.timeout == patience_after(3.1) == 4.0
    assert (one.tried_wait, one.behind) == (0.0, False)


async def test_who_gives_the_reply_before_is_tried_with_more_time_and_found_to_be_always_behind(
    caplog,
) -> None:
    port = Waiting(1, 2)
    line, (one, _) = await opened(TCP, port, 2)
    await late_reply(line, port, Late(1, 3.1, behind=True))
    assert (one.tried_wait, one.behind, line.were_late) == (4.0, False, [one])
    assert one.facts.timeout == 0.0, "nothing is learnt from another request's answer"
    line.were_late.clear()
    await late_reply(line, port, Late(1, 3.9, behind=True))
    assert (one.tried_wait, one.behind, line.were_late) == (4.0, False, []), "within the time that is tried"
    await late_reply(line, port, Late(1, 4.0, behind=True))
    assert (one.tried_wait, one.behind, line.were_late) == (0.0, True, [])
    assert "unit 1 answers each request only when the next one comes" in caplog.text


async def test_a_time_out_that_a_person_has_set_is_not_tried_against() -> None:
    port = Waiting(1, 2)
    line, (one, _) = await opened(TCP.model_copy(update={"timeout": 1.0}), port, 2)
    await late_reply(line, port, Late(1, 3.1, behind=True))
    assert line.were_late == [one]
    assert (one.tried_wait, one.facts.timeout) == (4.0, 0.0)
    await late_reply(line, port, Late(1, 3.1, behind=True))
    assert line.were_late == [one], "once, until it answers in time"
    await late_reply(line, port, Late(1, 3.1))
    assert line.were_late == [one, one]
    assert one.tried_wait == 0.0
