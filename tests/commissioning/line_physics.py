"""An RS-485 line bit by bit: drivers that pull the pair, receivers that sample it, and what the faults of a
site do to both. Bytes and times follow from the fault, not from whoever looks for it.

Times are s of the model's own clock. A port's damaged characters are counted as a kernel would (TIOCGICOUNT).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.commissioning.scan import LineSetting
from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.demo.simulator.slave import Slave

STEPS = 4
"""Looks within a bit while a receiver waits for a start bit."""
MASTER = -1


@dataclass
class Talk:
    """A driver that has the line from `start` on, `lead` s of it at rest (mark)."""

    source: int
    start: float
    bits: list[int]
    bit: float
    lead: float = 0.0
    reach: float = 1.0
    """How strong it is where two pull: the nearer one wins more often."""
    flips: dict[int, set[int]] = field(default_factory=dict)
    """Bits that a receiver sees wrong."""
    data: bytes = b""
    setting: LineSetting = field(default_factory=LineSetting)

    @property
    def first(self) -> float:
        return self.start + self.lead

    @property
    def end(self) -> float:
        return self.first + len(self.bits) * self.bit

    def level(self, t: float, receiver: int) -> int | None:
        if not self.start <= t < self.end:
            return None
        at = int((t - self.first) / self.bit) if t >= self.first else -1
        if at < 0:
            return 1
        return self.bits[at] ^ (at in self.flips.get(receiver, ()))


def bits_of(data: bytes, setting: LineSetting) -> list[int]:
    """Start bit, eight data bits from the lowest, parity, stop bits, of every byte."""
    found: list[int] = []
    for byte in data:
        eight = [byte >> n & 1 for n in range(8)]
        parity = {"N": [], "E": [sum(eight) % 2], "O": [1 - sum(eight) % 2]}[setting.parity]
        found += [0, *eight, *parity, *[1] * setting.stopbits]
    return found


@dataclass
class LineMeter:
    """A meter on the line. `distance` 0 to 1 along the cable; `gap`: s that it wants to rest; `busy`:
    it then refuses with exception 6 instead of hearing nothing.
    """

    slave: Slave
    setting: LineSetting
    turnaround: float = 0.02
    jitter: float = 0.002
    distance: float = 0.5
    lead: float = 0.0002
    gap: float = 0.0
    busy: bool = False
    reversed: bool = False
    named: int | None = None
    """The unit that it gives as its own."""
    quiet_since: float = -1e9


@dataclass
class LineFaults:
    """What is wrong with the line; nothing by default.

    `flip`: chance of a wrong bit at distance 1 (it grows with its square), `flip_everywhere` at any. `bursts`
    a second, each `burst` s long, in which a bit is wrong with `burst_flip`. `float_low`: chance that a line
    without bias falls to space when nobody drives it; `chatter`: pulses a second on it. `foreign`: s between
    the requests of another master.
    """

    swapped: bool = False
    pulled: bool = True
    """Whether a bias elsewhere on the line pulls it: a swapped adapter then sees space at rest."""
    flip: float = 0.0
    flip_everywhere: float = 0.0
    bursts: float = 0.0
    burst: float = 0.05
    burst_flip: float = 0.3
    float_low: float = 0.0
    chatter: float = 0.0
    foreign: float = 0.0
    foreign_unit: int = 99
    foreign_answers: bool = True
    echo: bool = False


class LineModel:
    """The line with its meters."""

    def __init__(self, meters: list[LineMeter], faults: LineFaults, rng: random.Random) -> None:
        self.meters, self.faults, self.rng = meters, faults, rng
        self.frame = self.parity = self.breaks = 0
        self._talks: list[Talk] = []
        self._lows: list[tuple[float, float]] = []
        self._bursts: list[tuple[float, float]] = []
        self._drawn = 0.0
        self._known: dict[object, bytes] = {}
        self._foreign_at = rng.uniform(0, faults.foreign) if faults.foreign else 0.0

    # ---- what goes on the line

    def send(self, t: float, data: bytes, setting: LineSetting) -> float:
        """The master sends; gives when its last bit has gone, and puts the answers on the line."""
        self._talks = [talk for talk in self._talks if talk.end > t - 1.0]
        bits = bits_of(data, setting)
        if self.faults.swapped:
            bits = [1 - bit for bit in bits]
        talk = Talk(MASTER, t, bits, 1 / setting.baudrate, data=data, setting=setting)
        self._put(talk, 0.0)
        self._draw(talk.end + 1.0)
        for number, meter in enumerate(self.meters):
            heard = self._heard_by(number, meter, talk)
            if heard is not None:
                self._answer(number, meter, heard, talk.end)
        return talk.end

    def _heard_by(self, number: int, meter: LineMeter, talk: Talk) -> bytes | None:
        """The request as this meter's receiver has it, with what stood on the line just before it."""
        character = meter.setting.character
        if self._plain(number, talk, meter.setting, meter.setting.silence):
            return talk.data
        still = not (talk.flips[number] or self._bursts or self._lows or self.faults.float_low)
        still = still and not any(each is not talk and each.end > talk.start - 0.1 for each in self._talks)
        key = (talk.data, talk.setting, meter.setting, meter.reversed)
        if still and key in self._known:
            return self._known[key]
        found = self._receive(number, meter.setting, talk.start - 3.5 * character, talk.end + 2 * character)
        heard = bytes(byte for _, byte in found)
        if still:
            self._known[key] = heard
        return heard

    def _answer(self, number: int, meter: LineMeter, heard: bytes, end: float) -> None:
        parts = rtu_parts(heard)
        if parts is None or parts[0] != meter.slave.unit:
            return
        unit, request = parts
        early = end - meter.quiet_since < meter.gap
        if early and not meter.busy:
            return
        pdu = bytes((request[0] | 0x80, 6)) if early else meter.slave.respond(request)
        begin = end + meter.setting.silence + meter.turnaround + self.rng.uniform(0, meter.jitter)
        frame = rtu_frame(unit if meter.named is None else meter.named, pdu)
        bits = bits_of(frame, meter.setting)
        talk = Talk(
            number, begin, bits, 1 / meter.setting.baudrate, meter.lead, 1.2 - meter.distance,
            data=frame, setting=meter.setting,
        )  # fmt: skip
        self._put(talk, meter.distance)
        meter.quiet_since = talk.end

    def _put(self, talk: Talk, distance: float) -> None:
        """Draw which of its bits come wrong at whom."""
        for receiver in (MASTER, *range(len(self.meters))):
            if receiver != talk.source:
                way = max(distance, 0.0 if receiver == MASTER else self.meters[receiver].distance)
                chance = self.faults.flip * way**2 + self.faults.flip_everywhere
                talk.flips[receiver] = self._chosen(len(talk.bits), chance)
        self._talks.append(talk)

    def _chosen(self, count: int, chance: float) -> set[int]:
        found, at = set(), -1
        while chance > 0:
            at += 1 + int(self.rng.expovariate(chance))
            if at >= count:
                break
            found.add(at)
        return found

    # ---- what happens by itself

    def _draw(self, until: float) -> None:
        """Draw bursts, chatter and the other master's traffic up to a time."""
        faults, rng = self.faults, self.rng
        begin, self._drawn = self._drawn, max(self._drawn, until)
        if faults.bursts:
            t = begin + rng.expovariate(faults.bursts)
            while t < until:
                self._bursts.append((t, t + rng.expovariate(1 / faults.burst)))
                t += rng.expovariate(faults.bursts)
        if faults.chatter:
            t = begin + rng.expovariate(faults.chatter)
            while t < until:
                self._lows.append((t, t + rng.expovariate(1 / 0.0005)))
                t += rng.expovariate(faults.chatter)
        while faults.foreign and self._foreign_at < until:
            self._poll_of_another(self._foreign_at)
            self._foreign_at += faults.foreign * rng.uniform(0.8, 1.2)
        old = until - 5.0
        self._bursts = [each for each in self._bursts if each[1] > old]
        self._lows = [each for each in self._lows if each[1] > old]

    def _poll_of_another(self, t: float) -> None:
        """Another master asks a meter of its own, which answers."""
        setting = self.meters[0].setting if self.meters else LineSetting()
        ask = rtu_frame(self.faults.foreign_unit, bytes((3, 0, self.rng.randrange(20), 0, 4)))
        talk = Talk(-2, t, bits_of(ask, setting), 1 / setting.baudrate, data=ask, setting=setting)
        self._put(talk, 0.3)
        if self.faults.foreign_answers:
            reply = rtu_frame(self.faults.foreign_unit, bytes((3, 8)) + self.rng.randbytes(8))
            begin = talk.end + setting.silence + 0.02
            bits = bits_of(reply, setting)
            self._put(Talk(-3, begin, bits, 1 / setting.baudrate, data=reply, setting=setting), 0.5)

    # ---- what a receiver makes of it

    def listen(self, begin: float, end: float, setting: LineSetting) -> list[tuple[float, int]]:
        """(time, byte) that the master's port hears in a span in which it does not send."""
        self._draw(end)
        return self._receive(MASTER, setting, begin, end, count=True)

    def ends(self, t: float) -> float:
        """When the last answer that is on the line or will be is over."""
        return max((talk.end for talk in self._talks if talk.source != MASTER), default=t)

    def busy_until(self, t: float) -> float:
        """When what is being said at `t` is over; `t` when nobody speaks."""
        return max(
            (talk.end for talk in self._talks if talk.source != MASTER and talk.start < t < talk.end),
            default=t,
        )

    def _plain(self, receiver: int, talk: Talk, setting: LineSetting, before: float) -> bool:
        """Whether a talk comes through as it is, so that nobody needs to look at its bits."""
        faults = self.faults
        inverted = faults.swapped or (receiver >= 0 and self.meters[receiver].reversed)
        alone = not any(
            other is not talk and other.start < talk.end and other.end > talk.start - before
            for other in self._talks
        )
        disturbed = any(a < talk.end and b > talk.start - before for a, b in (*self._bursts, *self._lows))
        same = (talk.setting.baudrate, talk.setting.parity) == (setting.baudrate, setting.parity)
        floats = faults.float_low > 0
        return not (inverted or disturbed or floats or talk.flips[receiver]) and alone and same

    def _receive(
        self, receiver: int, setting: LineSetting, begin: float, end: float, *, count: bool = False
    ) -> list[tuple[float, int]]:
        talks = [
            talk for talk in self._talks if talk.source != receiver and talk.end > begin and talk.start < end
        ]
        own = [talk for talk in self._talks if talk.source == receiver]
        inner = [talk for talk in talks if begin <= talk.start and talk.end <= end]
        quiet = not self.faults.swapped and not self.faults.float_low
        plain = [self._plain(receiver, talk, setting, 0.0) for talk in talks]
        disturbed = any(a < end and b > begin for a, b in (*self._bursts, *self._lows))
        if quiet and all(plain) and len(inner) == len(talks) and not disturbed:
            return [
                (talk.first + (n + 1) * setting.character, byte)
                for talk in sorted(talks, key=lambda each: each.start)
                for n, byte in enumerate(talk.data)
            ]
        floats = self._floats(talks, begin, end)
        level = self._level_of(receiver, talks, own, [*floats, *self._lows])
        return self._uart(level, setting, begin, end, self._looks(talks, begin, end, floats), count=count)

    def _looks(
        self, talks: list[Talk], begin: float, end: float, floats: list[tuple[float, float]]
    ) -> Callable[[float, float], float]:
        """(time, step) → when the level may change next: an edge of what is said, or a step of the noise."""
        noise = [each for each in self._bursts if each[0] < end and each[1] > begin]
        lows = sorted({at for each in (*self._lows, *floats) for at in each if begin < at < end})

        def following(t: float, step: float) -> float:
            if any(a <= t <= b for a, b in noise):
                return t + 2 * step
            edges = [a for a, _ in noise if a > t] + [at for at in lows if at > t][:1]
            for talk in talks:
                if t < talk.start:
                    edges.append(talk.start)
                elif t < talk.end:
                    at = max(-1, int((t - talk.first) / talk.bit + 1e-6))
                    edges.append(max(talk.first + (at + 1) * talk.bit + 1e-9, t + 1e-9))
            return min(edges, default=end)

        return following

    def _level_of(
        self, receiver: int, talks: list[Talk], own: list[Talk], lows: list[tuple[float, float]]
    ) -> Callable[[float], int]:
        faults, rng = self.faults, self.rng
        inverted = (faults.swapped and receiver == MASTER) or (
            receiver >= 0 and self.meters[receiver].reversed
        )
        rest = 0 if inverted and faults.pulled else 1
        first = min((talk.start for talk in talks), default=0.0) - 1.0
        bursts = [each for each in self._bursts if each[1] > first]

        def level(t: float) -> int:
            if any(talk.start <= t < talk.end for talk in own):
                return 1  # its receiver is off while it drives
            on = [(talk, value) for talk in talks if (value := talk.level(t, receiver)) is not None]
            if not on:
                value = 0 if any(a <= t < b for a, b in lows) else rest
                weak = True
            else:
                weak = False
                values = {value for _, value in on}
                if len(values) == 1:
                    value = on[0][1]
                else:
                    strong = sum(talk.reach for talk, value in on if value)
                    value = int(rng.random() < strong / sum(talk.reach for talk, _ in on))
                value = 1 - value if inverted else value
            if any(a <= t < b for a, b in bursts) and rng.random() < faults.burst_flip * (
                1.0 if weak else 0.7
            ):
                value = 1 - value
            return value

        return level

    def _floats(self, talks: list[Talk], begin: float, end: float) -> list[tuple[float, float]]:
        """Spans in which an unbiased line that nobody drives is read as space."""
        faults, rng = self.faults, self.rng
        if not faults.float_low:
            return []
        spans, at = [], begin
        for talk in sorted(talks, key=lambda each: each.start):
            if talk.start > at:
                spans.append((at, talk.start))
            at = max(at, talk.end)
        if end > at:
            spans.append((at, end))
        found = []
        for a, b in spans:
            if rng.random() < faults.float_low:
                start = a + rng.expovariate(1 / 0.002)
                long = rng.random() < 0.5
                found.append((start, b if long and b - a < 0.5 else start + rng.expovariate(1 / 0.001)))
        return found

    def _uart(
        self,
        level: Callable[[float], int],
        setting: LineSetting,
        begin: float,
        end: float,
        following: Callable[[float, float], float],
        *,
        count: bool,
    ) -> list[tuple[float, int]]:
        """A receiver: wait for a falling edge, look at the middle of every bit, judge parity and stop bit."""
        bit, found = 1 / setting.baudrate, []
        step = bit / STEPS
        t, last = begin, 1
        while t < end:
            now = level(t)
            if last == 1 and now == 0:
                half = t + bit / 2
                if level(half) != 0:
                    t, last = half, 1
                    continue
                bits = [level(half + n * bit) for n in range(1, 9)]
                at = 9
                byte = sum(value << n for n, value in enumerate(bits))
                if setting.parity != "N":
                    parity = level(half + at * bit)
                    wrong = (sum(bits) + parity) % 2 != (setting.parity == "O")
                    self.parity += count and wrong
                    at += 1
                else:
                    wrong = False
                stop = level(half + at * bit)
                t = half + at * bit
                if count or (stop and not wrong):  # a meter drops what is damaged, a port hands it on
                    found.append((t + bit / 2, byte))
                if not stop:
                    self.breaks += count and byte == 0
                    self.frame += count and byte != 0
                    while t < end and level(t) == 0:
                        t = following(t, step)
                last = 1
                continue
            last = now
            t = following(t, step)
        return found
