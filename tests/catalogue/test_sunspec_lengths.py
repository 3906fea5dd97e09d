"""SunSpec devices whose models say a wrong length: one that counts the head, one that is a word or two off,
none, more than there is. They are read as far as their chain can be told, and no value is another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sunspec_chains import MARK, Device, common, floats, inputs, inverter, meter, values

from gateway.catalogue import load_driver, resolve
from gateway.config.schema import Meter
from gateway.demo.simulator.slave import Slave
from gateway.errors import BusError
from gateway.field.meter.reader import MeterTask
from gateway.field.worker import BusWorker
from gateway.model import Reading
from tests.served_meters import served

HEAD = 2
VENDOR = [64110, 7, 15, 5, 0xFFFF, 0, 2300, 0, 1]
"""A model that no book has, with what a next model's head might be taken for in it."""


def by(words: int, model: list[int]) -> list[int]:
    """A model whose length is off by so many words."""
    return [model[0], model[1] + words, *model[2:]]


def saying(length: int, model: list[int]) -> list[int]:
    return [model[0], length, *model[2:]]


async def reading(stack: ExitStack, device: Device, driver: str = "sunspec-inverter") -> Reading:
    """What the gateway reads of it over TCP."""
    task = MeterTask(Meter(id="pv", bus="bus", address=1, driver=driver), load_driver(driver))
    worker = BusWorker(served(stack, [Slave(1, device)]), [task], lambda _: None)
    try:
        return await worker.meter("pv").read()
    finally:
        await worker.stop()


ENDS = {"book": [0xFFFF, 0], "zeros": [0, 0], "refused": [], "again and again": [0xFFFF] * 6}


@pytest.mark.parametrize("end", ENDS.values(), ids=[*ENDS])
@pytest.mark.parametrize(
    "counting",
    [(1, 1, 1, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 1, 0), (0, 1, 1, 1)],
    ids=["all", "common", "vendor", "inverter", "inputs", "common, inverter", "all but common"],
)
async def test_models_that_count_their_own_head(
    stack: ExitStack, counting: tuple[int, ...], end: list[int]
) -> None:
    models = [common(), VENDOR, inverter(6900), inputs(55, 66)]
    parts = [by(HEAD * more, model) for more, model in zip(counting, models, strict=True)]
    found = await reading(stack, Device(*parts, end=end))
    assert found.missing == ""
    assert (found.values["active_power"], found.values["active_energy_export"]) == (-6.9, 12.345)
    assert [found.values.get(f"dc_current_s{n}") for n in (1, 2, 3)] == [5.5, 6.6, None]


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
@pytest.mark.parametrize("which", range(4), ids=["common", "vendor", "inverter", "inputs"])
@pytest.mark.parametrize("end", [[0xFFFF, 0], []], ids=["book", "none"])
async def test_a_length_is_off_by_a_word_or_two(
    stack: ExitStack, which: int, off: int, end: list[int]
) -> None:
    models = [common(), VENDOR, inverter(6900), inputs(55)]
    models[which] = by(off, models[which])
    found = await reading(stack, Device(*models, end=end))
    assert (found.values["active_power"], found.values["dc_current_s1"]) == (-6.9, 5.5)
    assert "dc_current_s2" not in found.values


@pytest.mark.parametrize("said", [0, 3, 49, 500, 40000, 0xFFFF])
@pytest.mark.parametrize("which", [0, 1], ids=["common", "inverter"])
async def test_a_length_that_is_none_or_leads_out_of_the_map(stack: ExitStack, which: int, said: int) -> None:
    models = [common(), inverter(6900), inputs(55, 66)]
    models[which] = saying(said, models[which])
    found = await reading(stack, Device(*models))
    assert (found.values["active_power"], found.values["dc_current_s2"]) == (-6.9, 6.6)


@pytest.mark.parametrize("said", [0, 1, 400, 60000])
@pytest.mark.parametrize("end", [[0xFFFF, 0], []], ids=["book", "none"])
async def test_no_length_is_right(stack: ExitStack, said: int, end: list[int]) -> None:
    models = [common(), inverter(6900), floats(), inverter(1)]
    device = Device(*(saying(said, model) for model in models), end=end)
    assert (await reading(stack, device)).values["active_power"] == -6.9


@pytest.mark.parametrize("said", [68, 88, 188, 40000])
@pytest.mark.parametrize(
    "behind",
    [[], [[0xFFFF, 0]], [[64000, 90, *[77] * 90]], [common(serial="S2"), inverter(1)]],
    ids=["nothing", "the end", "what nobody knows", "another one"],
)
async def test_inputs_that_a_length_promises_and_nobody_has(
    stack: ExitStack, said: int, behind: list[list[int]]
) -> None:
    device = Device(common(), inverter(6900), saying(said, inputs(55, 66)), *behind, end=[])
    found = await reading(stack, device)
    assert found.values["active_power"] == -6.9
    assert [found.values.get(f"dc_current_s{n}") for n in (1, 2, 3, 4)] == [5.5, 6.6, None, None]


@pytest.mark.parametrize("formats", [(meter, meter), (floats, floats)], ids=["whole numbers", "floats"])
@pytest.mark.parametrize("off", [HEAD, -1, 400])
async def test_the_second_meter_behind_an_inverter_of_wrong_lengths(
    stack: ExitStack, formats: tuple, off: int
) -> None:
    first, second = formats
    parts = [common(), inverter(), common(serial="S2"), first(500), common(serial="S3"), second(600)]
    device = Device(*(by(off, part) for part in parts))
    assert (await reading(stack, device, "sunspec-meter")).values["active_power"] == 0.5
    assert (await reading(stack, device, "sunspec-meter-2")).values["active_power"] == 0.6


@pytest.mark.parametrize("odd", [[103, 7], [103, 0], [103, 400], [1, 9], [160, 55]])
async def test_a_model_that_only_a_wrong_length_leads_to_is_none(stack: ExitStack, odd: list[int]) -> None:
    """Data that look like a head, where the length of a model that nobody knows leads into them."""
    trap = [64000, 5, *[9] * 12, *odd, *[30] * 60]
    for where in ([common(), trap, inverter(6900)], [common(), inverter(6900), trap]):
        found = await reading(stack, Device(*where))
        assert found.values.get("active_power") in {-6.9, None}


async def test_a_chain_that_leads_nowhere_says_by_which_length() -> None:
    device = Device(common(), [64000, 3, *[9] * 30], inverter())
    with pytest.raises(
        BusError, match=r"it lists 1, 64000, then what may be no model at 40075: the length 3"
    ):
        await resolve(load_driver("sunspec-inverter"), device.ask)


async def test_lengths_of_the_book_cost_no_question_more() -> None:
    models = [common(), inverter(), [120, 26, *[0] * 26], inputs(11, 12), inputs(13)]
    device = Device(*models)
    await resolve(load_driver("sunspec-inverter"), device.ask)
    assert len(device.asked) == 1 + len(models) + 1 + 1, "marker, heads, end and maker"


DATA = st.lists(st.sampled_from([0, 1, 7, 9, 101, 103, 160, 203, 0x8000, 0xFFFF]), min_size=0, max_size=30)


@settings(deadline=None, max_examples=200)
@given(
    data=DATA,
    vendor=st.integers(0, 40),
    lengths=st.lists(st.sampled_from([None, 0, 5, 44, 48, 52, 64, 68, 120, 5000]), min_size=2, max_size=2),
    off=st.integers(-2, 2),
    order=st.permutations([0, 1, 2, 3]),
)
def test_no_value_is_another_ones_whatever_the_lengths_say(
    data: list[int], vendor: int, lengths: Sequence[int | None], off: int, order: list[int]
) -> None:
    models = [common(), inverter(6900), by(off, inputs(55, 66)), [64000, vendor, *data]]
    for which, said in enumerate(lengths):
        models[which] = models[which] if said is None else saying(said, models[which])
    device = Device(*(models[which] for which in order), beyond="zeros")
    device.words |= dict.fromkeys(range(max(device.words) + 1, max(device.words) + 400), 7)
    try:
        found = asyncio.run(values("sunspec-inverter", device))
    except (BusError, KeyError):
        return
    assert found.get("active_power") in {-6.9, None}
    assert found.get("frequency") in {50.0, None}
    assert [found.get(f"dc_current_s{n}") for n in (1, 2, 3, 4)] in [
        [*pair, None, None] for pair in product((5.5, None), (6.6, None))
    ]


def test_the_devices_here_are_what_they_seem() -> None:
    device = Device(by(HEAD, common()), inverter())
    assert [device.words[40000 + at] for at in range(4)] == [*MARK, 1, 68]
    assert [device.words[40070], device.words[40071]] == [103, 50]
