"""What a search costs in seconds of the wire, and that nobody is missed or taken for another meanwhile."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from drawn_sites import RATES, drawn, misjudged
from scan_site import DriverImage, Mounted
from wire_site import WireLine

from gateway.catalogue import Driver, library
from gateway.commissioning.scan import (
    FoundMeter,
    LineSetting,
    ScanProgress,
    Sweep,
    identify,
    likely_settings,
)
from gateway.commissioning.scan.exchange import Exchange
from gateway.commissioning.scan.settings import time_for
from gateway.demo.simulator.slave import ModbusError
from gateway.errors import NoReply, Refused

LIBRARY = list(library())
ON_A_LINE = [
    table for table in LIBRARY if not table.discovery and (table.tcp_port is None or table.serial.baudrate)
]
BY_NAME = {table.name: table for table in LIBRARY}
LIKELY, GIVEN = 120.0, 45.0
PLAIN_RATE = 2400


async def searched(
    meters: list[Mounted], settings: list[LineSetting], *, one: bool = True
) -> tuple[WireLine, list[FoundMeter]]:
    line = WireLine(meters)
    return line, (await Sweep(line, LIBRARY, settings, one_setting=one).run()).found


@pytest.mark.parametrize("seed", [4002, 4004, 4014, 4021])
async def test_an_unknown_setting_costs_two_minutes_at_most(seed: int) -> None:
    meters = drawn("double" if seed % 5 == 4 else "one", seed, ON_A_LINE)
    line, found = await searched(meters, likely_settings(LIBRARY))
    assert misjudged(meters, found) == ([], [])
    assert line.now <= LIKELY


@pytest.mark.parametrize("place", [*range(len(RATES)), 41, 185, 201, 281, 433, 1361])
async def test_a_known_setting_costs_what_its_silent_addresses_cost_and_little_more(place: int) -> None:
    meters = drawn("known", place, ON_A_LINE)
    line, found = await searched(meters, [meters[0].setting])
    assert misjudged(meters, found) == ([], [])
    assert line.now - line.silent <= 32.0
    if meters[0].setting.baudrate >= PLAIN_RATE:
        assert line.now <= GIVEN


async def test_meters_of_one_model_are_asked_little_from_the_second_on() -> None:
    setting = LineSetting(9600, "N")
    for name in ("iskra-wm3m4", "wago-879-3000", "kamstrup-multical-603"):
        one, _ = await searched([Mounted(BY_NAME[name], 1, setting)], [setting])
        two, found = await searched(
            [Mounted(BY_NAME[name], unit, setting, serial=unit) for unit in (1, 2)], [setting]
        )
        assert len(found) == 2
        # One probe more is no question; the second costs well below half of what the first did.
        assert two.requests - one.requests < (one.requests - 247) / 2, name


@pytest.mark.parametrize("unit", [247, 10])
async def test_a_slow_meter_at_the_last_address_of_a_setting_is_found(unit: int) -> None:
    """Its answer comes when nobody is asked any more."""
    settings = [LineSetting(19200, "N"), LineSetting(9600, "N")]
    meters = [Mounted(BY_NAME["inepro-pro380"], unit, settings[0], turnaround=0.09)]
    _, found = await searched(meters, settings, one=False)
    assert [(each.unit, each.setting) for each in found] == [(unit, settings[0])]


@pytest.mark.parametrize("rate", [9600, 115200])
@pytest.mark.parametrize(
    ("turnaround", "neighbours"), [(0.02, [5]), (0.09, [6]), (0.09, [5]), (0.12, [5, 6]), (0.16, [6])]
)
async def test_two_meters_at_one_address_are_told_however_late_they_answer(
    rate: int, turnaround: float, neighbours: list[int]
) -> None:
    """What is left of their answers comes when others are asked, or answer already."""
    setting = LineSetting(rate, "N")
    pair = [Mounted(BY_NAME[name], 4, setting, turnaround) for name in ("eastron-sdm630", "abb-b23")]
    others = [Mounted(BY_NAME["inepro-pro380"], unit, setting) for unit in neighbours]
    _, found = await searched([*pair, *others], [setting])
    assert {each.unit: each.double for each in found} == {4: True, **dict.fromkeys(neighbours, False)}


class Enough(Exception):
    """Somebody ends the search."""


@pytest.mark.parametrize(
    ("meters", "one", "ended_at", "tried", "likely_only"),
    [
        ({}, True, "", "NEO", "2"),
        ({}, False, "", "NEO", "2"),
        ({"E": 1}, True, "", "E", "N"),
        ({"N": 200}, True, "", "N", "EO"),
        ({"E": 1}, False, "", "ENO", ""),
        ({"E": 1}, False, "all", "E", "NO"),
        ({}, True, "all", "", "NEO"),
    ],
)
async def test_the_end_says_which_settings_were_tried_whole(
    meters, one, ended_at, tried, likely_only
) -> None:
    every = {parity: LineSetting(19200, parity) for parity in "NEO"} | {"2": LineSetting(19200, "N", 2)}

    def tell(now: ScanProgress) -> None:
        if now.stage == ended_at:
            raise Enough

    there = [Mounted(BY_NAME["inepro-pro380"], unit, every[parity]) for parity, unit in meters.items()]
    sweep = Sweep(WireLine(there), LIBRARY, every.values(), one_setting=one, tell=tell)
    with suppress(Enough):
        await sweep.run()
    assert sweep.result.ended == (not ended_at)
    assert sweep.result.tried == [every[key] for key in tried]
    assert sweep.result.likely_only == [every[key] for key in likely_only]


@pytest.mark.parametrize(
    ("says", "waits"), [(None, 0.05), (0.02, 0.05), (0.3, 0.3)], ids=["nothing", "quick", "slow"]
)
async def test_silent_addresses_cost_what_the_slowest_known_table_needs(
    says: float | None, waits: float
) -> None:
    told: set[float] = set()

    class Watched(WireLine):
        def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
            if pdu:
                told.add(wait)
            return super().exchange(unit, pdu, wait)

    known = BY_NAME["inepro-pro380"]
    other = replace(BY_NAME["abb-b23"], limits=replace(BY_NAME["abb-b23"].limits, answer_time=says))
    setting = LineSetting(9600, "N")
    sweep = Sweep(Watched([]), [known, other], [setting], addresses=[3, 4, 5])
    bound = sweep.worst
    await sweep.run()
    (waited,) = told
    assert waited == pytest.approx(setting.silence + waits + setting.character)
    assert bound == pytest.approx(time_for([setting], 3, answer_time=waits))
    assert bound == pytest.approx(3 * (8 * setting.character + waited) + waited)


async def test_a_search_that_goes_on_leaves_out_what_was_searched_and_keeps_what_was_found() -> None:
    asked: Counter[LineSetting | None] = Counter()

    class Counted(WireLine):
        def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
            asked[self.setting] += bool(pdu)
            return super().exchange(unit, pdu, wait)

    every = {parity: LineSetting(19200, parity) for parity in "NEO"}
    there = [
        Mounted(BY_NAME["inepro-pro380"], unit, every[parity])
        for parity, unit in (("E", 1), ("E", 30), ("O", 200))
    ]
    line = Counted(there)
    first = await Sweep(line, LIBRARY, every.values(), one_setting=True).run()
    assert [found.unit for found in first.found] == [1, 30]
    assert (first.tried, first.likely_only) == ([every["E"]], [every["N"]])
    likely = asked[every["N"]]
    asked.clear()
    on = Sweep(line, LIBRARY, every.values(), before=first)
    bound = on.worst
    assert bound == time_for([every["N"], every["O"]], 247)
    second = await on.run()
    assert asked[every["E"]] == 0
    assert asked[every["N"]] <= 247 - likely
    assert [(found.unit, found.setting) for found in second.found] == [
        (1, every["E"]),
        (30, every["E"]),
        (200, every["O"]),
    ]
    assert {*second.tried} == {*every.values()}
    assert second.likely_only == []


@pytest.mark.parametrize("name", ["inepro-pro380", "eastron-sdm630", "iskra-wm3m4"])
async def test_an_answer_that_comes_after_its_time_is_not_taken_for_the_next_one(name: str) -> None:
    """A meter that is slow at some reads: what it says late belongs to the read before."""

    class Hesitant(Mounted):
        chance = random.Random(3)

        @property
        def turnaround(self) -> float:
            return 0.5 if self.chance.random() < 0.2 else 0.02

        @turnaround.setter
        def turnaround(self, _: float) -> None: ...

    setting = LineSetting(9600, "N")
    (quick,) = (await searched([Mounted(BY_NAME[name], 1, setting)], [setting]))[1]
    (slow,) = (await searched([Hesitant(BY_NAME[name], 1, setting)], [setting]))[1]
    assert slow.identified.candidates == quick.identified.candidates
    assert slow.identified.values == quick.identified.values


async def scanned(driver: Driver, *, silent: bool, less: float) -> list[str]:
    """What a meter is taken for that lacks a share of its registers; `silent`: it ignores what it lacks."""
    image, rng = DriverImage(driver), random.Random(driver.name)
    kept = {
        (span.function, at)
        for row in driver.rows
        if row.attribute or rng.random() >= less
        for span in row.spans
        for at in range(span.address, span.end)
    }
    image.words = {place: word for place, word in image.words.items() if place in kept}

    async def ask(function: int, address: int, count: int) -> list[int]:
        try:
            return image.read(function, address, count).words
        except ModbusError as error:
            if silent:
                raise NoReply("silence") from None
            raise Refused("no such register", error.code) from None

    return [each.name for each in (await identify(ask, LIBRARY)).candidates]


@pytest.mark.parametrize("name", ["siemens-pac3120", "carlogavazzi-em511", "dzg-dvh4013", "klemsan-klea220p"])
async def test_registers_that_are_all_zero_are_no_table(name: str) -> None:
    """A heat meter's few registers are there in many meters, with nothing in them."""
    assert "kamstrup-multical-603" not in await scanned(BY_NAME[name], silent=False, less=0.05)


@pytest.mark.parametrize(
    "name", ["siemens-pac4220", "kohler-decision-maker", "ziehl-efr4000ip", "deye-string"]
)
async def test_a_meter_that_ignores_unknown_registers_is_itself_or_nobody(name: str) -> None:
    found = await scanned(BY_NAME[name], silent=True, less=0.0)
    assert not found or name in found
