"""A meter in another one's place is noticed without a configured serial number; nothing that was not read
twice alike is believed.
"""

import pytest
from field_parts import driver, meter

from gateway.config.schema import Meter, TcpBus
from gateway.errors import BadFrame, NoReply
from gateway.field.learnt import Learnt
from gateway.field.meter.reader import MeterTask
from gateway.field.meter.serial_number import ACCEPTED_AFTER, SerialMemory, tells
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker

BUS = TcpBus(name="bus", type="tcp", host="192.0.2.1")
METER = Meter(id="m1", bus="bus", address=1, driver="d")
START = 1_795_000_000.0


class Wall:
    now = START

    def __call__(self) -> float:
        return self.now


def memory(path=None, wall=None, **more) -> tuple[SerialMemory, Learnt]:
    learnt = Learnt(path, wall=wall or Wall())
    return SerialMemory("m1", learnt.meter(BUS, METER.model_copy(update=more))), learnt


def read(serials: SerialMemory, *numbers: str) -> list[tuple[str, str]]:
    found = []
    for number in numbers:
        events, _ = serials.seen(number, 5)
        found += [
            (event.fields["old"], event.fields["new"]) for event in events if event.kind == "meter_changed"
        ]
    return found


@pytest.mark.parametrize(
    ("numbers", "changes"),
    [
        (["7", "7", "7"], []),
        (["7", "7", "8"], []),
        (["7", "7", "8", "7"], []),
        (["7", "7", "8", "9", "7"], []),
        (["7", "7", "8", "8", "8"], [("7", "8")]),
        (["007", "7", " 0007 "], []),
        (["3", "7", "7", "7"], []),
        (["7", "7", "", "", "0", "00", "ffffffff", "FFFF", "4294967295", "  "], []),
        (["0", "0", "7", "7"], []),
        (["7", "7", "8", "8", "7", "7", "7"], [("7", "8"), ("8", "7")]),
        (["7", "7", "8", "8", "9", "9"], [("7", "8"), ("8", "9")]),
        (["7", "7", "a\x1b[2J", "a\x1b[2J"], [("7", "a\\x1b[2J")]),
        (["7", "7", "x" * 500, "x" * 500], [("7", "x" * 63 + "…")]),
    ],
)  # fmt: skip
def test_what_is_an_exchange(numbers, changes) -> None:
    assert read(memory()[0], *numbers) == changes


@pytest.mark.parametrize("numbers", [["7"], ["7", "7", "8"], ["3", "7"]])
def test_what_is_new_is_asked_once_more(numbers) -> None:
    serials, _ = memory()
    asked = [serials.seen(number, 5)[1] for number in numbers]
    assert asked[-1]
    assert not serials.seen(numbers[-1], 5)[1]
    assert not serials.seen(numbers[-1], 5)[1]


async def test_it_outlives_a_restart_and_is_said_once(tmp_path) -> None:
    path, wall = tmp_path / "learnt.json", Wall()
    serials, learnt = memory(path, wall)
    read(serials, "7", "7")
    await learnt.save()
    serials, learnt = memory(path, wall)
    assert read(serials, "8", "8") == [("7", "8")]
    await learnt.save()
    serials, _ = memory(path, wall)
    assert read(serials, "8", "8") == []
    exchange = serials.exchange
    assert exchange is not None
    assert exchange[:2] == ("7", "8")


def test_after_a_week_the_new_one_is_the_meter() -> None:
    wall = Wall()
    serials, learnt = memory(wall=wall)
    read(serials, "7", "7", "8", "8")
    wall.now += ACCEPTED_AFTER - 1
    assert serials.exchange is not None
    wall.now += 2
    assert serials.exchange is None
    assert read(serials, "8") == []
    assert learnt.meter(BUS, METER).serial == "8"
    assert read(serials, "7", "7") == [("8", "7")], "the old one coming back is a change again"


def test_a_configured_serial_number_confirms_it() -> None:
    serials, learnt = memory()
    read(serials, "7", "7", "8", "8")
    pinned = SerialMemory("m1", learnt.meter(BUS, METER.model_copy(update={"serial": "8"})))
    assert pinned.exchange is None
    pinned.confirmed()
    unpinned = SerialMemory("m1", learnt.meter(BUS, METER))
    assert unpinned.exchange is None
    assert read(unpinned, "8", "8", "8") == []


@pytest.mark.parametrize(
    ("serial", "good"),
    [("1", True), ("F12", True), ("ff1", True), ("", False), ("000", False), ("65535", False)],
)
def test_what_tells(serial, good) -> None:
    assert tells(serial) is good


async def test_a_meter_that_is_swapped_while_it_runs(caplog) -> None:
    words = {0: 5, 10: 0, 11: 7000, 20: 0, 21: 4711}
    port = FakePort({1: lambda _, address: words.get(address, 0)})
    table = driver(
        "0 u16 active_power W fast\n10 u32 active_energy_import kWh slow decimals=0\n20 u32 serial_number "
        "- static\n"
    )
    events = []
    worker = BusWorker(BUS, [MeterTask(meter(1), table)], lambda _: None, events.append, port=port)
    for _ in range(3):
        await worker.meter("m1").read()
    words[21] = 4712
    reading = await worker.meter("m1").read()
    assert [event.kind for event in events] == []
    await worker.meter("m1").read()
    assert [(event.kind, event.fields) for event in events] == [
        ("meter_changed", {"meter": "m1", "old": "4711", "new": "4712"})
    ]
    assert reading.suspect == (), "its values are right: it is only another meter's register"
    assert 'write serial: "4712" at the meter and reload' in caplog.text
    (health,) = worker.health().meters
    assert health.exchange is not None
    assert health.exchange[:2] == ("4711", "4712")
    await worker.stop()


NUMBERED = driver(
    "0 u16 active_power W fast\n10 u32 active_energy_import kWh slow decimals=0\n20 u32 serial_number "
    "- static\n"
)


def numbered(**more) -> tuple[BusWorker, dict[int, int], FakePort]:
    """A bus with one meter that tells its serial number, its registers, and its port."""
    words = {0: 5, 10: 0, 11: 7000, 20: 0, 21: 4711}
    port = FakePort({1: lambda _, address: words.get(address, 0)})
    return BusWorker(BUS, [MeterTask(meter(1, **more), NUMBERED)], lambda _: None, port=port), words, port


def unsure(worker: BusWorker) -> bool:
    (health,) = worker.health().meters
    return health.unidentified


async def test_a_changed_meter_is_not_taken_for_the_same_before_its_number_is_read_twice() -> None:
    worker, words, _ = numbered()
    seen = []
    for _ in range(3):
        await worker.meter("m1").read()
        seen.append(unsure(worker))
    assert seen == [False] * 3, "a number that is only being learnt changes nothing"
    words[21] = 4712
    await worker.meter("m1").read()
    assert unsure(worker), "another number was read once"
    await worker.meter("m1").read()
    assert not unsure(worker), "now it is known that it is another one"
    assert worker.health().meters[0].exchange is not None
    await worker.stop()


async def test_a_number_that_was_misread_once_is_forgotten() -> None:
    worker, words, _ = numbered()
    for number in (4711, 4711, 9999, 4711):
        words[21] = number
        await worker.meter("m1").read()
    assert not unsure(worker)
    assert worker.health().meters[0].exchange is None
    await worker.stop()


@pytest.mark.parametrize("more", [{}, {"serial": "4711"}], ids=["seen", "configured"])
async def test_a_meter_that_comes_back_is_known_when_its_number_was_read(more) -> None:
    worker, _, port = numbered(**more)
    polled = worker.meter("m1")
    for _ in range(2):
        await polled.read()
    assert not unsure(worker)
    for error in (NoReply("gone"), NoReply("gone")):
        polled.mark_lost(error, 0.0, 0.0, 0.0)
    assert not unsure(worker), "of one that is silent it is said that it is lost"
    port.trouble.extend([None, BadFrame("noise"), BadFrame("noise")])
    await polled.read()
    assert unsure(worker), "it is back, and has not said who it is"
    assert worker.health().meters[0].state.shown == "ok"
    await polled.read()
    assert not unsure(worker)
    await worker.stop()


async def test_a_table_without_a_serial_number_leaves_nothing_open() -> None:
    table = driver("0 u16 active_power W fast\n")
    worker = BusWorker(BUS, [MeterTask(meter(1), table)], lambda _: None, port=FakePort({1: lambda *_: 5}))
    await worker.meter("m1").read()
    worker.meter("m1").mark_lost(NoReply("gone"), 0.0, 0.0, 0.0)
    await worker.meter("m1").read()
    assert not unsure(worker)
    await worker.stop()


async def test_a_swap_that_a_person_ends_leaves_nothing_open() -> None:
    worker, words, _ = numbered()
    polled = worker.meter("m1")
    for number in (4711, 4711, 4712):
        words[21] = number
        await polled.read()
    assert unsure(worker)
    polled.replaced()
    assert not unsure(worker)
    await worker.stop()
