"""Tables that multiply with the ratio that the meter holds, where the configuration multiplies, too."""

from __future__ import annotations

import pytest

from gateway.catalogue import load_driver
from gateway.commissioning.doctor.targets import target_of
from gateway.commissioning.doctor.values import examine_values
from gateway.config import Meter
from tests.catalogue.register_images import IMAGES, Section, sections

MULTIPLYING = [("chint-dtsu666", 6), ("entes-mpr63", 74), ("acrel-adl400-ct", 0x8E)]


async def causes(name: str, section: Section, **more: str) -> dict[str, object]:
    meter = Meter.model_validate({"id": "m", "bus": "line", "driver": name, **more})
    target = target_of(meter, load_driver(name))
    return {
        each.cause: each.facts.get("meter_ratio")
        for each in await examine_values("m", target, section.ask, lambda _: None)
    }


@pytest.mark.parametrize(("name", "place"), MULTIPLYING)
async def test_a_ratio_in_the_meter_and_in_the_configuration_counts_twice(name: str, place: int) -> None:
    section = sections(IMAGES / f"{name}.txt")[0]
    section.words[3, place] = 40
    assert await causes(name, section, values="secondary", ct="200/5") == {"ratio_twice": 40.0}
    assert "ratio_twice" not in await causes(name, section)
    section.words[3, place] = 1
    assert "ratio_twice" not in await causes(name, section, values="secondary", ct="200/5")


@pytest.mark.parametrize(("name", "place"), MULTIPLYING)
async def test_another_ratio_in_the_meter_than_on_the_plate_is_told(name: str, place: int) -> None:
    section = sections(IMAGES / f"{name}.txt")[0]
    section.words[3, place] = 40
    assert await causes(name, section, ct="300/5") == {"ratio": 40.0}
