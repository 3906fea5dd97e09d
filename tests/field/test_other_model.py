"""A meter that says it is another model than its table is told, at no cost for its polls."""

import pytest
from field_parts import driver, meter

from gateway.catalogue import load_text
from gateway.config.schema import TcpBus
from gateway.errors import NoReply, Refused
from gateway.field.meter.reader import MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker

BUS = TcpBus(name="bus", type="tcp", host="h", timeout="50ms")
TABLE = (
    "maker: A\nmodel: B\nverified: one-source\nsource: s\nreads: {function: 4}\n"
    "identity: {function: 4, address: 500, type: u16, values: [7, 9]}\n"
    "registers: |\n  0 u16 active_power W fast\n"
)


class Odd(FakePort):
    """A meter whose identity register says `says`: a number, an error, or a number for each time it is
    asked.
    """

    def __init__(self, says) -> None:
        super().__init__({1: lambda _, address: self.word(address)})
        self.says = says

    def word(self, address: int) -> int:
        if address != 500:
            return 5
        says = self.says.pop(0) if isinstance(self.says, list) else self.says
        if isinstance(says, Exception):
            raise says
        return says


@pytest.mark.parametrize(
    ("says", "stranger", "nameless"),
    [
        (7, (), ""), (9, (), ""), (0, (), ""), (0xFFFF, (), ""),
        (8, ("4:500 = 8", "7 / 9"), ""), ([8, 8], ("4:500 = 8", "7 / 9"), ""), ([8, 7], (), ""),
        # it does not have the register; it is busy, or is not reached: that tells nothing
        (Refused("no", 1), (), "4:500"), (Refused("no", 2), (), "4:500"), (Refused("no", 3), (), "4:500"),
        (Refused("busy", 6), (), ""), (Refused("not reached", 11), (), ""), (NoReply("silent"), (), ""),
    ],
)  # fmt: skip
async def test_what_it_says_of_itself(says, stranger, nameless, caplog) -> None:
    port, readings = Odd(says), []
    worker = BusWorker(
        BUS, [MeterTask(meter(1), load_text(TABLE, "a-b"))], readings.append, lambda _: None, port=port
    )
    await worker.meter("m1").read()
    (health,) = worker.health().meters
    assert (health.stranger, health.nameless) == (stranger, nameless)
    assert health.state == "ok", "a register that is not there makes no meter lost"
    assert readings[-1].values == {"active_power": 0.005}
    assert ("it may be another model" in caplog.text) == bool(stranger or nameless)
    await worker.stop()


@pytest.mark.parametrize("says", [8, Refused("no", 2)])
async def test_a_name_plate_that_was_compared_is_believed(says, caplog) -> None:
    port = Odd(says)
    compared = meter(1).model_copy(update={"identity": False})
    worker = BusWorker(
        BUS, [MeterTask(compared, load_text(TABLE, "a-b"))], lambda _: None, lambda _: None, port=port
    )
    await worker.meter("m1").read()
    (health,) = worker.health().meters
    assert (health.stranger, health.nameless) == ((), "")
    assert "another model" not in caplog.text
    assert [asked for asked in port.asked if 500 in asked] == []
    await worker.stop()


async def test_a_table_that_knows_no_such_register_asks_for_none() -> None:
    port = FakePort({1: lambda _, address: 5})
    worker = BusWorker(
        BUS,
        [MeterTask(meter(1), driver("0 u16 active_power W fast\n"))],
        lambda _: None,
        lambda _: None,
        port=port,
    )
    await worker.meter("m1").read()
    assert len(port.asked) == 1
    await worker.stop()


@pytest.mark.parametrize("says", [8, Refused("no", 2), NoReply("silent")])
async def test_an_identity_that_not_all_have_tells_nothing_of_one_without_it(says, caplog) -> None:
    """And it is not asked for: a poll is not made longer by what decides nothing."""
    port = Odd(says)
    table = load_text(TABLE.replace("values: [7, 9]", "values: [7, 9], not_all: true"), "a-b")
    worker = BusWorker(BUS, [MeterTask(meter(1), table)], lambda _: None, lambda _: None, port=port)
    await worker.meter("m1").read()
    (health,) = worker.health().meters
    assert (health.state, health.stranger, health.nameless) == ("ok", (), "")
    assert "another model" not in caplog.text
    await worker.stop()
