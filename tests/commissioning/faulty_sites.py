"""Simulated lines with one of the faults of a site each, in many variations: number and kind of meters,
setting, length of the cable, how bad it is, what the adapter tells. Drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from installation import Installation
from line_physics import LineFaults, LineMeter, LineModel
from virtual_line import VirtualLine

from gateway.catalogue import Driver, build, library
from gateway.commissioning.doctor import BusSurroundings, ExaminedPart, Target, examine_bus, target_of
from gateway.commissioning.plausibility.fit import TableChange, apply
from gateway.commissioning.scan import LineSetting, likely_settings
from gateway.config import Meter, SerialBus
from gateway.demo.simulator.meter_image import identity_words
from gateway.demo.simulator.slave import ModbusError, Served, Slave
from gateway.errors import BusDown
from tests.bench.wiring_sites import MISTAKES
from tests.bench.wiring_sites import Site as WiringSite

SINGLE = {"current_l2", "voltage_l2n", "voltage_l23", "active_power_l2"}
PORT = "/dev/serial/by-id/usb-adapter"
PHASES = ("l1", "l2", "l3")
RATES = (2400, 4800, 9600, 9600, 9600, 19200, 19200, 38400, 115200)
LIBRARY = list(library())
ON_A_LINE = [
    driver
    for driver in LIBRARY
    if driver.rows and not driver.dynamic and (driver.tcp_port is None or driver.serial.baudrate)
]
RATIOS = [d for d in ON_A_LINE if {"ct_ratio", "ct_primary"} & {row.name for row in d.rows}]
WIRED = [
    driver
    for driver in ON_A_LINE
    if {f"{name}_{phase}" for name in ("active_power", "reactive_power", "current") for phase in PHASES}
    <= {row.name for row in driver.rows}
]
FLOATS = [d for d in ON_A_LINE if sum(r.type.startswith("float") for r in d.rows) > 6]
WHOLE = [d for d in ON_A_LINE if sum(r.words == 2 and not r.attribute for r in d.rows) > 6]
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
        self.functions: frozenset[int] = frozenset()
        self.code = 1
        self.recorded: dict[str, list[float | None]] = {}
        self.clock: Callable[[], float] = lambda: 0.0

    def show(self, **values: float | str) -> None:
        """From now on these instead of what a sound installation shows."""
        self._fixed |= values

    def values(self) -> dict[str, float | str]:
        """What it shows now."""
        now = self.rng.uniform(0.99, 1.01)
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
        if self.recorded:
            rows = len(next(iter(self.recorded.values())))
            minute = int(self.clock() / 60) % rows
            found |= {n: v * now for n, column in self.recorded.items() if (v := column[minute]) is not None}
        return found | self._fixed

    def read(self, function: int, address: int, count: int) -> Served:
        """The words now. Raises ModbusError."""
        if count > self.most:
            raise ModbusError(3)
        if self.functions and function not in self.functions:
            raise ModbusError(self.code)
        one, words = self.driver.identity, dict(build(self.rows, self.values()))
        if one is not None and one.alone and one.span.comes_with(function, address, address + count):
            return Served([*identity_words(one).values()])
        if one is not None and not one.alone:
            words |= identity_words(one)
        try:
            return Served([words[function, at] for at in range(address, address + count)])
        except KeyError:
            raise ModbusError(2) from None


@dataclass
class FaultySite:
    """A line as the configuration has it (`targets`, `setting`) and as it is (`model`), with the machine's
    ports: `others` are free ones beside `line`, which is None when the configured port is not there.
    """

    fault: str
    line: VirtualLine | None
    targets: list[Target]
    setting: LineSetting
    model: LineModel
    notes: dict[str, object] = field(default_factory=dict)
    history: int | None = None
    """What the kernel's log says of lost ports; None where it may not be read."""
    others: dict[str, VirtualLine] = field(default_factory=dict)

    def port(self, name: str) -> VirtualLine:
        """The port of that name."""
        found = self.others.get(name, self.line)
        assert found is not None
        return found

    def trouble(self, bus: SerialBus) -> BusDown | None:
        """Why the configured port cannot be used."""
        if self.line is not None:
            return None
        return BusDown(
            f"{bus.port} cannot be opened: there is no such port", hint="plug it in", cause="no_port"
        )

    def losses(self, _port: str) -> int | None:
        """How often the kernel has lost it."""
        return self.history

    def examined(self) -> ExaminedPart:
        """What the doctor says of it, from the port to the values."""
        setting = self.setting
        bus = SerialBus(
            name="line1", type="serial", port=PORT, baudrate=setting.baudrate, parity=setting.parity,
            stopbits=setting.stopbits,
        )  # fmt: skip
        around = BusSurroundings(
            _Access(self), tuple(self.others), tuple(likely_settings(LIBRARY, [setting]))
        )
        return examine_bus(bus, self.targets, around)


@dataclass
class _Access:
    site: FaultySite

    def line(self, port: str, setting: LineSetting) -> VirtualLine:
        line = self.site.port(port)
        line.setting = setting
        return line

    def trouble(self, bus: SerialBus) -> BusDown | None:
        return self.site.trouble(bus)

    def losses(self, port: str) -> int | None:
        return self.site.losses(port)


def draw_site(fault: str, seed: int) -> FaultySite:
    """A variation of a fault; "healthy" of none."""
    rng = random.Random(f"{fault} {seed}")
    setting = LineSetting(rng.choice(RATES), rng.choice("NNNNEEO"))
    count = rng.choice((1, 1, 2, 3, 4, 5, 6, 8))
    if fault in {"not_kept", "meter_setting"}:
        count = max(count, 2)
    units = rng.sample(range(1, 30), count)
    choice = {"ratio": RATIOS, "wiring": WIRED, "byte_order": FLOATS + WHOLE}.get(fault, ON_A_LINE)
    kinds = [rng.choice(choice) for _ in range(rng.choice((1, 1, 2, 3)))]
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


def _renumbered(site: FaultySite, rng: random.Random) -> None:
    """The adapter with the meters has another name; the configured port is not there, or another one."""
    assert site.line is not None
    moved = replace_name(site.line, "/dev/serial/by-id/usb-other")
    site.others = {moved.name: moved}
    if rng.random() < 0.4:
        empty = VirtualLine(LineModel([], LineFaults(), random.Random(1)), site.setting, name="/dev/ttyS9")
        site.others = {empty.name: empty, **site.others} if rng.random() < 0.5 else site.others
    site.line = None
    if rng.random() < 0.5:
        site.line = VirtualLine(LineModel([], LineFaults(), random.Random(2)), site.setting, name=PORT)


def replace_name(line: VirtualLine, name: str) -> VirtualLine:
    """The same line behind another name."""
    line.name = name
    return line


def _chosen(site: FaultySite, rng: random.Random) -> tuple[LiveImage, int]:
    """A meter of the site, and its place."""
    at = rng.randrange(len(site.targets))
    site.notes["unit"] = site.targets[at].unit
    image = site.model.meters[at].slave._image
    return image, at


def _retabled(site: FaultySite, at: int, change: TableChange) -> None:
    """The configuration has a table with a slip in it."""
    target = site.targets[at]
    driver = replace(
        target.driver,
        rows=apply(target.driver.rows, change),
        limits=replace(target.driver.limits, function=change.function or target.driver.limits.function),
        identity=None,
    )
    site.targets[at] = target_of(target.configured, driver)


def _byte_order(site: FaultySite, rng: random.Random) -> None:
    _, at = _chosen(site, rng)
    now = site.targets[at].driver.order
    other = rng.choice([each for each in ("big", "little") if each != now])
    _retabled(site, at, TableChange(order=other))


def _off_by_one(site: FaultySite, rng: random.Random) -> None:
    _, at = _chosen(site, rng)
    first = min(span.address for row in site.targets[at].driver.rows for span in row.spans)
    _retabled(site, at, TableChange(shift=rng.choice((-1, 1)) if first else 1))


def _function(site: FaultySite, rng: random.Random) -> None:
    image, at = _chosen(site, rng)
    image.code = rng.choice((1, 2))
    image.functions = frozenset(span.function for row in image.rows for span in row.spans)
    if len(image.functions) > 1 or rng.random() < 0.25:
        image.functions = frozenset()
        image.most = max(2, site.targets[at].long.words // 2)
        site.notes["long"] = True
        return
    (own,) = image.functions
    _retabled(site, at, TableChange(function={3: 4, 4: 3}[own]))


def _ratio(site: FaultySite, rng: random.Random) -> None:
    image, at = _chosen(site, rng)
    names = {row.name for row in image.rows}
    true, typed = rng.sample((1, 10, 20, 30, 40, 50, 60, 80, 100, 120), 2)
    if "ct_ratio" in names:
        image.show(ct_ratio=str(true))
    if "ct_primary" in names:
        image.show(ct_primary=str(5 * true), ct_secondary="5")
    configured = site.targets[at].configured
    typed_in = {"ct": float(typed)}
    site.targets[at] = target_of(
        Meter.model_validate(configured.model_dump(by_alias=True, exclude_unset=True) | typed_in),
        site.targets[at].driver,
    )


def _wiring(site: FaultySite, rng: random.Random) -> None:
    image, _at = _chosen(site, rng)
    mistake = rng.choice([each for each in MISTAKES if each != ((1, 2, 3), (1, 1, 1))])
    if rng.random() < 0.6:  # one thing wrong is what is met most
        mistake = rng.choice(
            [((1, 2, 3), signs) for signs in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
            + [(order, (1, 1, 1)) for order in ((2, 1, 3), (1, 3, 2), (3, 2, 1))]
        )
    here = WiringSite(rng.randrange(10_000), rows=24)
    image.recorded = here.record(mistake)
    image.recorded.pop("t")
    assert site.line is not None
    image.clock = site.line.now


FAULTS = {
    "swapped": _swapped, "setting": _setting, "bias": _bias, "termination": _termination,
    "interference": _interference, "duplicate": _duplicate, "second_master": _second_master,
    "too_fast": _too_fast, "brown_out": _brown_out, "not_kept": _not_kept,
    "renumbered": _renumbered, "byte_order": _byte_order, "off_by_one": _off_by_one, "function": _function,
    "ratio": _ratio, "wiring": _wiring,
}  # fmt: skip
