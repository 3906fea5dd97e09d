"""Sites as they are drawn for the search: meters of three makers at settings and addresses that nobody wrote
down.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from scan_site import Mounted

from gateway.catalogue import Driver
from gateway.commissioning.scan import FoundMeter, LineSetting, likely_addresses

METERS, MAKERS = 5, 3
RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


def _setting(rng: random.Random, rate: int | None = None) -> LineSetting:
    return LineSetting(rate or rng.choice(RATES), rng.choice("NEO"))


def drawn(kind: str, seed: int, tables: Sequence[Driver]) -> list[Mounted]:
    """Five meters of three makers. `kind`: `one` setting; `mixed`, two settings; `double`, two meters at one
    address; `unlikely`, no address that people or factories give; `known`, a rate in turn.
    """
    rng = random.Random(seed)
    likely = likely_addresses(tables)
    makers = rng.sample(sorted({table.maker for table in tables}), MAKERS)
    models = [rng.choice([table for table in tables if table.maker == maker]) for maker in makers]
    models += rng.choices(models, k=METERS - MAKERS)
    setting = _setting(rng, RATES[seed % len(RATES)] if kind == "known" else None)
    settings = [setting] * METERS
    rest = [unit for unit in range(1, 248) if unit not in likely]
    units = rng.sample(rest if kind == "unlikely" else range(1, 248), METERS)
    if kind != "unlikely":
        units[0] = rng.choice(likely)
    if kind == "mixed":
        other = next(each for each in iter(lambda: _setting(rng), None) if each != setting)
        settings[3:] = [other] * 2
        units[3] = rng.choice([unit for unit in likely if unit not in units])
    if kind == "double":
        units[1] = units[2]
    units[1:] = [
        next(free for free in (unit, *rest) if free not in units[:at] or (kind == "double" and at == 2))
        for at, unit in enumerate(units[1:], 1)
    ]
    return [
        Mounted(model, unit, at, rng.uniform(0.005, 0.045), rng.randrange(10**7, 10**8))
        for model, unit, at in zip(models, units, settings, strict=True)
    ]


def misjudged(meters: Sequence[Mounted], found: Sequence[FoundMeter]) -> tuple[list[str], list[str]]:
    """Which meters were not found, and which were taken for another."""
    missed, wrong = [], []
    for meter in meters:
        there = [each for each in found if each.unit == meter.unit and each.setting == meter.setting]
        alone = sum((each.unit, each.setting) == (meter.unit, meter.setting) for each in meters) == 1
        name = f"{meter.driver.name} at {meter.unit}, {meter.setting}"
        if not there:
            missed.append(name)
        elif not alone:
            wrong += [] if there[0].double else [f"{name}: not said to be two"]
        elif meter.driver.name not in (names := [each.name for each in there[0].identified.candidates]):
            wrong.append(f"{name}: {', '.join(names) or 'nobody'}")
    known = {(meter.unit, meter.setting) for meter in meters}
    wrong += [
        f"nobody is at {each.unit}, {each.setting}"
        for each in found
        if (each.unit, each.setting) not in known
    ]
    return missed, wrong
