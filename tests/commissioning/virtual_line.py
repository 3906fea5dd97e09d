"""The line of `line_physics` behind the doctor's own interface, in time that passes at once."""

from __future__ import annotations

from line_physics import LineModel

from gateway.commissioning.scan import LineCounters, LineSetting, RawExchange
from gateway.errors import BusDown
from gateway.field import frames, has_right_crc

CHUNK = 0.02


class VirtualLine:
    """A port as the doctor measures it. `outages`: spans in which the adapter is gone; `counts`: whether its
    driver counts damaged characters; `latency`: s that it hands bytes on late.
    """

    def __init__(
        self,
        model: LineModel,
        setting: LineSetting,
        *,
        name: str = "/dev/serial/by-id/usb-adapter",
        outages: tuple[tuple[float, float], ...] = (),
        counts: bool = True,
        latency: float = 0.002,
    ) -> None:
        self.name, self.setting = name, setting
        self.model = model
        self.opened = 0
        self._outages, self._counts, self._latency = outages, counts, latency
        self._now = self._decoded = 0.0
        self._pending: list[tuple[float, int]] = []

    def now(self) -> float:
        return self._now

    def rest(self, seconds: float) -> None:
        self._now += seconds

    def open(self) -> None:
        self._there(self._now, self._now)
        self.opened += 1

    def close(self) -> None:
        pass

    def use(self, setting: LineSetting) -> None:
        self.setting = setting
        self._pending.clear()
        self._decoded = self._now

    def counters(self) -> LineCounters | None:
        model = self.model
        return LineCounters(model.frame, model.parity, 0, model.breaks) if self._counts else None

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        self._now += self.setting.silence
        begin = self._now
        if self._decoded < begin:
            self._pending += self.model.listen(self._decoded, begin, self.setting)
            self._decoded = begin
        early = bytes(byte for t, byte in self._pending if t <= begin)
        self._pending = [each for each in self._pending if each[0] > begin]
        end = self.model.send(begin, sent, self.setting) if sent else begin
        self._pending = [each for each in self._pending if each[0] > end]
        horizon = end + wait
        if sent:
            horizon = max(horizon, min(self.model.ends(end), end + wait + 3.0)) + linger + 0.1
        self._there(begin, horizon)
        if horizon > self._decoded:
            self._pending += self.model.listen(max(end, self._decoded), horizon, self.setting)
            self._decoded = horizon
        data, first = self._take(sent, end, wait, linger)
        self._decoded = min(self._decoded, max(self._now, self.model.busy_until(self._now)))
        self._pending = [each for each in self._pending if each[0] <= self._decoded]
        if self.model.faults.echo and sent:
            data = sent + data
        return RawExchange(sent, early, data, first and max(0.0, first - end))

    def _take(self, sent: bytes, end: float, wait: float, linger: float) -> tuple[bytes, float]:
        """What the port's reader takes before it gives up, as SerialProbe does."""
        data, first, until = bytearray(), 0.0, end + wait
        gap = max(CHUNK, 3.5 * self.setting.character)
        taken = 0
        for place, (t, byte) in enumerate(self._pending):
            at = t + self._latency
            if at > until:
                break
            data.append(byte)
            taken = place + 1
            first = first or at
            following = self._pending[place + 1][0] if place + 1 < len(self._pending) else 1e12
            if sent:
                until = max(until, at + gap)
            if not sent or following - t < 1.5 * self.setting.character:
                continue
            if any(f[0] == sent[0] and f[1] & 0x7F == sent[1] for f in frames(bytes(data), has_right_crc)):
                until = at + linger
                if linger <= gap:
                    break
        self._pending = self._pending[taken:]
        self._now = max(self._now, until)
        return bytes(data), first

    def _there(self, begin: float, end: float) -> None:
        """Raise BusDown when the adapter is gone at some time of a span."""
        for a, b in self._outages:
            if a < end and b > begin:
                self._now = max(begin, min(a, end))
                if self._now >= begin:
                    self._decoded = self._now
                raise BusDown(f"{self.name} cannot be opened: no device is behind it", cause="no_device")
