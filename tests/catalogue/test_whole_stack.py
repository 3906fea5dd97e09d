"""Every driver reads its image from a simulated meter, over TCP and over a serial line, through the whole
stack.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
from register_images import IMAGES, Section, sections
from test_images import check

from gateway.catalogue import load_driver
from gateway.config.schema import Meter, SerialBus, TcpBus
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import Slave
from gateway.errors import BusError
from gateway.field.meter.decode import Decoded
from gateway.field.meter.reader import MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.worker import BusWorker
from tests.served_meters import served

EVERYTHING = [(path.stem, section) for path in sorted(IMAGES.glob("*.txt")) for section in sections(path)]
TELLING = {
    "second version",
    "application H",
    "feeding in",
    "feeding back",
    "at 50000",
    "at 0",
    "float",
    "fronius",
}
METERS = [(name, section) for name, section in EVERYTHING if section.name == "table"]


def tasks() -> list[MeterTask]:
    return [
        MeterTask(Meter(id=f"m{unit}", bus="bus", address=unit, driver=name), load_driver(name))
        for unit, (name, _) in enumerate(METERS, 1)
    ]


def slaves() -> list[Slave]:
    """A simulated meter for each image; it refuses reads that are longer than its maker allows."""
    return [
        Slave(unit, section, limit=load_driver(name).limits.max_registers)
        for unit, (name, section) in enumerate(METERS, 1)
    ]


async def read_everything(worker: BusWorker) -> None:
    try:
        for unit, (name, section) in enumerate(METERS, 1):
            reading = await worker.meter(f"m{unit}").read()
            trouble: BusError | None = worker.meter(f"m{unit}").error
            assert not reading.missing, (name, reading.missing, trouble)
            driver = worker.meters[f"m{unit}"].reader.driver
            found = Decoded(reading.values, dict(reading.absent), worker.meter(f"m{unit}").attributes)
            check(driver, found, section)
            assert reading.absent == without_attributes(section, found), name
    finally:
        await worker.stop()


def without_attributes(section: Section, found: Decoded) -> dict[str, str]:
    return {name: reason for name, reason in section.absent.items() if name not in found.attributes}


async def test_sentinels_and_variants_over_tcp(stack: ExitStack) -> None:
    """The images that show a meter's own "not available", other firmware, other scales, other SunSpec
    devices.
    """
    special = [
        (name, section)
        for name, section in EVERYTHING
        if section.absent or section.alone or section.name in TELLING
    ]
    assert len(special) > len(TELLING)
    bus = served(stack, [Slave(unit, section) for unit, (_, section) in enumerate(special, 1)])
    meters = [
        MeterTask(Meter(id=f"m{unit}", bus="bus", address=unit, driver=name), load_driver(name))
        for unit, (name, _) in enumerate(special, 1)
    ]
    worker = BusWorker(bus, meters, lambda _: None)
    try:
        for unit, (name, section) in enumerate(special, 1):
            reading = await worker.meter(f"m{unit}").read()
            assert not reading.missing, (name, section.name, reading.missing)
            driver = worker.meters[f"m{unit}"].reader.driver
            without_facts = replace(
                section, absent={key: why for key, why in section.absent.items() if key in driver.quantities}
            )
            check(
                driver,
                Decoded(reading.values, reading.absent, worker.meter(f"m{unit}").attributes),
                without_facts,
            )
    finally:
        await worker.stop()


async def test_over_tcp(stack: ExitStack) -> None:
    await read_everything(BusWorker(served(stack, slaves()), tasks(), lambda _: None))


async def test_over_a_serial_line(stack: ExitStack) -> None:
    line = stack.enter_context(SerialLine(slaves(), baudrate=115200, turnaround=0.001, quantum=0.003))
    await read_everything(
        BusWorker(
            SerialBus(name="bus", type="serial", port=line.port, baudrate=115200), tasks(), lambda _: None
        )
    )


@pytest.mark.parametrize("after", ["float", "at 50000", "at 0"])
async def test_a_device_that_describes_itself_anew_is_read_anew(caplog, after: str) -> None:
    """In the middle of a connection, as after a change of its settings: no value is decoded as before."""
    before, then = (
        next(section for name, section in EVERYTHING if name == "sunspec-inverter" and section.name == each)
        for each in ("table", after)
    )
    table = load_driver("sunspec-inverter")
    task = MeterTask(Meter(id="m1", bus="bus", address=1, driver=table.name), table)
    port = FakePort({1: {address: word for (_, address), word in before.words.items()}})
    worker = BusWorker(TcpBus(name="bus", type="tcp", host="x"), [task], lambda _: None, port=port)
    assert (await worker.meter("m1").read()).values["active_power"] == before.values["active_power"]
    port.tables[1] = {address: word for (_, address), word in then.words.items()}
    reading = await worker.meter("m1").read()
    wanted = {name: then.values[name] for name in reading.values}
    assert reading.values == pytest.approx(wanted, rel=0.01)
    assert "active_power" in wanted
    assert caplog.text.count("its registers are those of") == 1
    again = len(port.asked)
    await worker.meter("m1").read()
    assert len(port.asked) - again <= 4, "it is looked up once"
    await worker.stop()
