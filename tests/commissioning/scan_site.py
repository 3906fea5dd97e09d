"""An RS-485 line as a technician finds it: meters of several makers at settings and addresses that nobody
wrote down, on a real pty at the pace of the wire.

A pty keeps the baud rate that a master sets and forgets the parity: `SiteLine` tells the site which one the
search has chosen.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import select
import time
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

from installation import Installation
from pty_thread import PtyThread

from gateway.catalogue import Driver, Span, build
from gateway.commissioning.scan import LineSetting, RawExchange, SerialProbe
from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.demo.simulator.meter_image import identity_words
from gateway.demo.simulator.slave import ModbusError, Served, Slave

SOUND = Installation(volts=231.0, amperes=5.2, factor=0.93)
_PATIENCE = 30.0
SINGLE = {"current_l2", "voltage_l2n", "voltage_l23", "active_power_l2"}


def plausible(name: str, *, single: bool, rng: random.Random) -> float:
    """What a sound installation shows; a register has counted something."""
    value = SOUND.shows(name, single=single)
    return 100.0 + rng.randrange(10_000) / 10 if value is None else value


class DriverImage:
    """Every register of a table with plausible values, its identity and a serial number; what else is asked
    for is refused. Who names itself only when nothing beside it is read gives its values otherwise.
    """

    def __init__(self, driver: Driver, serial: int = 12345678, seed: int = 1) -> None:
        rng = random.Random(seed)
        single = not SINGLE & {row.name for row in driver.rows}
        values: dict[str, float | str] = {}
        for row in driver.rows:
            if not row.attribute:
                values[row.name] = plausible(row.name, single=single, rng=rng)
            elif row.name == "serial_number":
                values[row.name] = str(serial) if row.words > 1 else str(serial % 10_000)
            else:
                values[row.name] = "1"
        self.words = dict(build(driver.rows, values))
        self._naming, self._apart = driver.identity, dict[Span, list[int]]()
        self.renamed([*identity_words(driver.identity).values()])

    def renamed(self, words: list[int] | None) -> None:
        """Hold these where the meter names itself; None: that register is not there."""
        if self._naming is None:
            return
        span = self._naming.span
        if span.alone:
            self._apart = {} if words is None else {span: words}
            return
        places = [(span.function, at) for at in range(span.address, span.end)]
        for place in places:
            self.words.pop(place, None)
        self.words.update(zip(places, words or (), strict=False))

    def read(self, function: int, address: int, count: int) -> Served:
        """The words, or a refusal: of a function that it does not know, or of registers that it lacks."""
        for span, words in self._apart.items():
            if span.comes_with(function, address, address + count):
                return Served([*words])
        if all(function != known for known, _ in self.words):
            raise ModbusError(1)
        try:
            return Served([self.words[function, at] for at in range(address, address + count)])
        except KeyError:
            raise ModbusError(2) from None


@dataclass
class Mounted:
    """A meter on the line."""

    driver: Driver
    unit: int
    setting: LineSetting
    turnaround: float = 0.02
    serial: int = 12345678
    slave: Slave = field(init=False)

    def __post_init__(self) -> None:
        self.slave = Slave(self.unit, DriverImage(self.driver, self.serial, self.serial))


class Site(PtyThread):
    """The line; `noise`: bytes of rubbish a second."""

    def __init__(self, meters: list[Mounted], *, noise: float = 0.0, echo: bool = False) -> None:
        super().__init__()
        self.meters = meters
        self.parity = "N"
        self.requests = 0
        self._noise, self._echo = noise, echo
        self._rng = random.Random(7)
        self._out: list[tuple[float, int, int]] = []
        self._count = 0
        self._busy = False

    def settled(self) -> None:
        """Return when all that was asked is answered: this thread may wait long for a processor, a line never
        does.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and (self._busy or select.select([self._master], [], [], 0)[0]):
            time.sleep(0.002)

    def _run(self) -> None:
        heard, until = b"", 0.0
        setting = LineSetting()
        while not self._stop.is_set():
            now = time.monotonic()
            due = min(
                [
                    0.05 + now,
                    *([self._out[0][0]] if self._out else []),
                    *([until + setting.silence] if heard else []),
                ]
            )
            if select.select([self._master], [], [], max(0.0, due - now))[0]:
                self._busy = True
                with contextlib.suppress(OSError):
                    data = os.read(self._master, 4096)
                    now = time.monotonic()
                    setting = LineSetting(self.rate, self.parity)
                    until = max(until, now) + len(data) * setting.character
                    if not heard:
                        until = now + len(data) * setting.character
                    heard += data
                    if self._echo:
                        os.write(self._master, data)
            now = time.monotonic()
            if heard and now >= until + setting.silence:
                self.requests += 1
                for frame in requests_in(heard):
                    self._answer(frame, setting, now)
                heard = b""
            self._say(now)
            self._busy = bool(heard or self._out)
            if self._noise and self._rng.random() < self._noise * 0.05:
                os.write(self._master, self._rng.randbytes(3))

    def _answer(self, frame: bytes, setting: LineSetting, now: float) -> None:
        parts = rtu_parts(frame)
        if parts is None:
            return
        unit, request = parts
        mine = [
            meter
            for meter in self.meters
            if meter.unit == unit
            and (meter.setting.baudrate, meter.setting.parity) == (setting.baudrate, setting.parity)
        ]
        replies = [(meter.turnaround, rtu_frame(unit, meter.slave.respond(request))) for meter in mine]
        if len(replies) > 1:
            replies = [(replies[0][0], mixed([data for _, data in replies]))]
        for turnaround, data in replies:
            for index, byte in enumerate(data, 1):
                self._count += 1
                heapq.heappush(self._out, (now + turnaround + index * setting.character, self._count, byte))

    def _say(self, now: float) -> None:
        due = bytearray()
        while self._out and self._out[0][0] <= now:
            due.append(heapq.heappop(self._out)[2])
        if due:
            with contextlib.suppress(OSError):
                os.write(self._master, due)


def requests_in(heard: bytes) -> list[bytes]:
    """What a master has sent: one request, or several that a busy machine has read at once."""
    found, rest = [], heard
    while rest:
        size = next((n for n in (len(rest), 8, 7, 4) if rtu_parts(rest[:n]) is not None), 0)
        if not size:
            return found or [heard]
        found.append(rest[:size])
        rest = rest[size:]
    return found


def mixed(replies: list[bytes]) -> bytes:
    """What a line carries when several answer at once: where they differ nobody knows, 0 often wins."""
    return bytes(
        reduce(and_, [data[at] for data in replies if at < len(data)]) ^ (0x11 if at % 3 == 1 else 0)
        for at in range(max(map(len, replies)))
    )


class SiteLine(SerialProbe):
    """The search's own line, which also tells the site the parity that it has chosen."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.port)
        self._site = site

    def use(self, setting: LineSetting) -> None:
        """As the search does."""
        self._site.settled()
        super().use(setting)
        self._site.parity = setting.parity

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        """As the search does; who only listens hears what the line still has to say."""
        if not sent:
            self._site.settled()
        return super().raw(sent, wait, linger)
