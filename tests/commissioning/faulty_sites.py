"""Simulated lines with one of the faults of a site each, in many variations: number and kind of meters,
setting, length of the cable, how bad it is, what the adapter tells. Drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from installation import Installation
from line_physics import LineFaults, LineMeter, LineModel
from virtual_line import VirtualLine

from gateway.catalogue import Driver, build, library
from gateway.commissioning.doctor.targets import Target, target_of
from gateway.commissioning.scan import LineSetting
from gateway.config import Meter
from gateway.demo.simulator.meter_image import identity_words
from gateway.demo.simulator.slave import ModbusError, Served, Slave

SINGLE = {"current_l2", "voltage_l2n", "voltage_l23", "active_power_l2"}
RATES = (2400, 4800, 9600, 9600, 9600, 19200, 19200, 38400, 115200)
LIBRARY = list(library())
ON_A_LINE = [
    driver
    for driver in LIBRARY
    if driver.rows and not driver.dynamic and (driver.tcp_port is None or driver.serial.baudrate)
]
WITH_SERIAL = [d for d in ON_A_LINE if any(row.name == "serial_number" and row.words > 1 for row in d.rows)]


class LiveImage:
    """A meter's registers: what a sound installation shows at this moment, a little different each time, with
    its identity and serial number. What is not in its table is refused.
    """

    def __init__(
        self, driver: Driver, rng: random.Random, serial: str, fixed: Mapping[str, float | str] = {}
    ) -> None:
        self.driver, self.rng = driver, rng
        self.serial = serial
        self.installation = Installation(rng.uniform(224, 238), rng.uniform(2, 60), rng.uniform(0.75, 0.99))
        self._single = not SINGLE & {row.name for row in driver.rows}
        self._counters = {row.name: rng.uniform(100, 90_000) for row in driver.rows if not row.attribute}
        self._fixed = dict(fixed)
        self.most = driver.limits.max_registers
        self.rows = driver.rows

    def values(self) -> dict[str, float | str]:
        """What it shows now."""
        now = self.rng.uniform(0.97, 1.03)
        moment = replace(self.installation, amperes=self.installation.amperes * now)
        found: dict[str, float | str] = {}
        for row in self.rows:
            if row.attribute:
                found[row.name] = self.serial if row.name == "serial_number" else "1"
                if row.name == "serial_number" and row.words == 1:
                    found[row.name] = str(int(self.serial) % 10_000)
            else:
                shown = moment.shows(row.name, single=self._single)
                found[row.name] = self._counters[row.name] if shown is None else shown
        return found | self._fixed

    def read(self, function: int, address: int, count: int) -> Served:
        """The words now. Raises ModbusError."""
        if count > self.most:
            raise ModbusError(3)
        words = {**build(self.rows, self.values()), **identity_words(self.driver.identity)}
        try:
            return Served([words[function, at] for at in range(address, address + count)])
        except KeyError:
            raise ModbusError(2) from None


@dataclass
class FaultySite:
    """A line as the configuration has it (`targets`, `setting`) and as it is (`model`)."""

    fault: str
    line: VirtualLine
    targets: list[Target]
    setting: LineSetting
    model: LineModel
    notes: dict[str, object] = field(default_factory=dict)
    history: int | None = None
    """What the kernel's log says of lost ports; None where it may not be read."""


def draw_site(fault: str, seed: int) -> FaultySite:
    """A variation of a fault; "healthy" of none."""
    rng = random.Random(f"{fault} {seed}")
    setting = LineSetting(rng.choice(RATES), rng.choice("NNNNEEO"))
    count = rng.choice((1, 1, 2, 3, 4, 5, 6, 8))
    if fault in {"not_kept", "meter_setting"}:
        count = max(count, 2)
    units = rng.sample(range(1, 30), count)
    kinds = [rng.choice(ON_A_LINE) for _ in range(rng.choice((1, 1, 2, 3)))]
    faults = LineFaults(echo=rng.random() < 0.15, flip_everywhere=rng.choice((0, 0, 0, 1e-7, 1e-6)))
    meters, targets = [], []
    for number, unit in enumerate(units):
        driver = rng.choice(kinds)
        image = LiveImage(driver, random.Random(rng.random()), str(rng.randrange(10_000_000, 99_999_999)))
        gap = driver.limits.min_gap
        meters.append(
            LineMeter(
                Slave(unit, image), setting,
                turnaround=rng.choice((0.004, 0.01, 0.02, 0.04, 0.08, 0.25 if fault == "healthy" else 0.06)),
                jitter=rng.choice((0.001, 0.004, 0.015)), distance=(number + 1) / count,
                lead=rng.choice((0.0, 0.0002, 0.002)), gap=0.8 * gap,
            )
        )  # fmt: skip
        configured = Meter.model_validate(
            {"id": f"m{unit}", "bus": "line1", "address": unit, "driver": driver.name}
        )
        targets.append(target_of(configured, driver))
    model = LineModel(meters, faults, random.Random(rng.random()))
    line = VirtualLine(model, setting, counts=rng.random() < 0.6, latency=rng.choice((0.001, 0.004, 0.016)))
    site = FaultySite(fault, line, targets, setting, model, history=rng.choice((0, 0, None)))
    if fault != "healthy":
        FAULTS[fault](site, rng)
    return site


def _swapped(site: FaultySite, rng: random.Random) -> None:
    site.model.faults.swapped = True
    site.model.faults.pulled = rng.random() < 0.7


def _setting(site: FaultySite, rng: random.Random) -> None:
    other = site.setting
    while (other.baudrate, other.parity) == (site.setting.baudrate, site.setting.parity):
        other = LineSetting(rng.choice((*RATES, site.setting.baudrate)), rng.choice("NEO"))
    for meter in site.model.meters:
        meter.setting = other


def _bias(site: FaultySite, rng: random.Random) -> None:
    site.model.faults.float_low = rng.uniform(0.3, 0.95)
    site.model.faults.chatter = rng.choice((0.0, 0.0, 0.3, 2.0))


def _termination(site: FaultySite, rng: random.Random) -> None:
    longest = max(target.long.words for target in site.targets)
    site.model.faults.flip = rng.uniform(0.3, 3.0) / (20 * longest + 50)


def _interference(site: FaultySite, rng: random.Random) -> None:
    site.model.faults.bursts = rng.uniform(0.5, 4.0)
    site.model.faults.burst = rng.choice((0.005, 0.02, 0.1))
    site.model.faults.burst_flip = rng.uniform(0.1, 0.5)


def _duplicate(site: FaultySite, rng: random.Random) -> None:
    first = rng.choice(site.model.meters)
    own = next(target.driver for target in site.targets if target.unit == first.slave.unit)
    driver = own if rng.random() < 0.6 else rng.choice(ON_A_LINE)
    image = LiveImage(driver, random.Random(rng.random()), str(rng.randrange(10_000_000, 99_999_999)))
    turnaround = first.turnaround if driver is own else rng.choice((0.004, 0.01, 0.02, 0.06))
    site.model.meters.append(
        replace(first, slave=Slave(first.slave.unit, image), turnaround=turnaround, distance=rng.random())
    )
    site.notes["unit"] = first.slave.unit


def _second_master(site: FaultySite, rng: random.Random) -> None:
    site.model.faults.foreign = rng.choice((0.15, 0.4, 1.0, 2.0))
    mine = {target.unit for target in site.targets}
    site.model.faults.foreign_unit = rng.choice([unit for unit in range(1, 60) if unit not in mine])
    site.model.faults.foreign_answers = rng.random() < 0.8


def _too_fast(site: FaultySite, rng: random.Random) -> None:
    meter = rng.choice(site.model.meters)
    own = next(target for target in site.targets if target.unit == meter.slave.unit)
    meter.gap = own.gap + rng.uniform(0.06, 0.25)
    meter.busy = rng.random() < 0.4


def _brown_out(site: FaultySite, rng: random.Random) -> None:
    t, outages = 0.0, []
    while t < 300:
        t += rng.expovariate(1 / rng.uniform(1.5, 5))
        outages.append((t, t + rng.uniform(0.3, 3)))
        t = outages[-1][1]
    site.line._outages = tuple(outages)
    site.history = rng.randrange(2, 30) if rng.random() < 0.7 else None


def _not_kept(site: FaultySite, rng: random.Random) -> None:
    at = rng.randrange(len(site.model.meters))
    meter, target = site.model.meters[at], site.targets[at]
    taken = {each.unit for each in site.targets}
    factory = target.driver.serial.address or 1
    if target.factory and target.factory != site.setting and rng.random() < 0.5:
        meter.setting = target.factory
    elif factory not in taken:
        meter.slave.unit = factory
    else:
        meter.setting = LineSetting(4800 if site.setting.baudrate != 4800 else 9600, site.setting.parity)
    site.notes["unit"] = target.unit


FAULTS = {
    "swapped": _swapped, "setting": _setting, "bias": _bias, "termination": _termination,
    "interference": _interference, "duplicate": _duplicate, "second_master": _second_master,
    "too_fast": _too_fast, "brown_out": _brown_out, "not_kept": _not_kept,
}  # fmt: skip
