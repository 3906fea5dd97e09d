"""A line that loses answers, or hands them on late: who is there is said with fewer words, never with other
ones.
"""

from __future__ import annotations

import random

import pytest
from scan_site import DriverImage, Mounted
from wire_site import WireLine

from gateway.catalogue import Driver, library
from gateway.commissioning.scan import FoundMeter, Identified, LineSetting, Sweep, identify
from gateway.demo.simulator.slave import ModbusError
from gateway.errors import BadFrame, NoReply, Refused

LIBRARY = list(library())
PLAIN = [driver for driver in LIBRARY if not driver.discovery]
ON_A_LINE = [table for table in PLAIN if table.tcp_port is None or table.serial.baudrate]
SETTING = LineSetting(19200, "N")


async def told(driver: Driver, share: float, seed: int, *, ignores: bool) -> Identified:
    """What a meter is taken for of whose answers a `share` comes damaged or not at all; `ignores`: it says
    nothing where it should refuse.
    """
    image, rng = DriverImage(driver), random.Random(f"{driver.name} {seed}")

    async def ask(function: int, address: int, count: int) -> list[int]:
        if rng.random() < share:
            raise BadFrame("damaged") if rng.random() < 0.3 else NoReply("silence")
        try:
            return image.read(function, address, count).words
        except ModbusError as error:
            raise (NoReply("silence") if ignores else Refused("no such register", error.code)) from None

    return await identify(ask, LIBRARY)


@pytest.mark.parametrize(
    ("share", "ignores", "most_unnamed"), [(0.1, False, 0.0), (0.1, True, 0.7), (0.3, False, 0.2)]
)
async def test_a_meter_whose_answers_get_lost_is_itself_or_nobody(
    share: float, ignores: bool, most_unnamed: float
) -> None:
    wrong, named, drivers = [], 0, PLAIN[::4]
    for seed, driver in enumerate(drivers):
        found = await told(driver, share, seed, ignores=ignores)
        names = [each.name for each in found.candidates]
        named += bool(names)
        assert not (names and found.doubtful)
        if names and driver.name not in names:
            wrong.append((driver.name, names))
    assert wrong == []
    assert named >= (1 - most_unnamed) * len(drivers)


NAMED_APART = [driver for driver in PLAIN if driver.identity and driver.identity.alone]


@pytest.mark.parametrize("driver", NAMED_APART, ids=lambda driver: driver.name)
async def test_values_beside_a_name_that_was_lost_are_not_taken_for_it(driver: Driver) -> None:
    """Read with its neighbours the place of the name holds a voltage: that is no answer to who it is."""
    for seed in range(8):
        names = [each.name for each in (await told(driver, 0.3, seed, ignores=False)).candidates]
        assert not names or driver.name in names, (seed, names)


SPELT = [driver for driver in PLAIN if driver.identity and driver.identity.type == "text"]
NAMELESS = [
    driver for driver in PLAIN if driver.identity is None and any(driver.like == each.name for each in SPELT)
]


@pytest.mark.parametrize("driver", NAMELESS, ids=lambda driver: driver.name)
async def test_a_meter_that_says_no_name_is_not_its_sister_that_would_say_one(driver: Driver) -> None:
    """That the sister's table has a name in letters proves nothing when its values alone were read."""
    for seed in range(12):
        names = [each.name for each in (await told(driver, 0.3, seed, ignores=False)).candidates]
        assert not names or driver.name in names, (seed, names)


class LossyLine(WireLine):
    """A line whose meters answer one after the other, of which a share of the answers is lost, and another
    comes `late` s late.
    """

    def __init__(self, meters: list[Mounted], lost: float, slow: float, late: float, seed: int) -> None:
        super().__init__(meters)
        self._lost, self._slow, self._late = lost, slow, late
        self._chance = random.Random(seed)
        self._busy_until = 0.0

    def _answers(self, unit: int, pdu: bytes, ended: float) -> list[tuple[float, bytes]]:
        found = []
        for at, frame in super()._answers(unit, pdu, max(ended, self._busy_until)):
            drawn = self._chance.random()
            there = at + (self._late if self._lost <= drawn < self._lost + self._slow else 0.0)
            self._busy_until = there
            found += [(there, frame)] if drawn >= self._lost else []
        return found


async def searched(meters: list[Mounted], line: WireLine) -> list[FoundMeter]:
    units = sorted({meter.unit for meter in meters})
    return (await Sweep(line, LIBRARY, [SETTING], addresses=units, one_setting=True).run()).found


@pytest.mark.parametrize(
    ("lost", "slow", "late", "least"),
    [
        (0.1, 0.0, 0.0, 0.9),
        (0.3, 0.0, 0.0, 0.6),
        (0.0, 0.1, 0.9, 0.9),
        (0.0, 0.1, 1.6, 0.9),
        (0.05, 0.2, 2.5, 0.3),
    ],
)
async def test_sixty_meters_of_such_a_line_are_themselves_or_nobody(
    lost: float, slow: float, late: float, least: float
) -> None:
    rng = random.Random(5)
    models = [rng.choice(ON_A_LINE) for _ in range(15)]
    meters = [
        Mounted(models[unit % 15], unit, SETTING, rng.uniform(0.005, 0.04), 10_000_000 + unit)
        for unit in range(1, 61)
    ]
    quick = {each.unit: each.identified for each in await searched(meters, WireLine(meters))}
    found = await searched(meters, LossyLine(meters, lost, slow, late, 6))
    for each in found:
        names = [driver.name for driver in each.identified.candidates]
        right = meters[each.unit - 1].driver.name
        assert not names or right in names, (each.unit, right, names, each.identified.how)
        assert each.identified.serial in {"", quick[each.unit].serial}, each.unit
    named = sum(bool(each.identified.candidates) for each in found)
    assert named >= least * len(found) > 0
