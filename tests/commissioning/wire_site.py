"""The line of `scan_site` as the search's own probe sees it, in seconds of the wire: every request and every
answer costs what its characters cost, and a search of an hour is over at once, however busy the machine is.
"""

from __future__ import annotations

from scan_site import Mounted, mixed

from gateway.commissioning.scan import LineSetting
from gateway.commissioning.scan.exchange import Exchange, answered, dissect
from gateway.demo.simulator.frames import rtu_frame
from gateway.field import sealed

HANDED_ON = 0.003
"""s from the last bit of an answer until a program has it: an adapter with its timer at 1 ms, a wake-up."""
GAP = 0.02


class WireLine:
    """A port with meters behind it. `now`: seconds of the wire; `silent`: those that nobody answered in."""

    def __init__(self, meters: list[Mounted]) -> None:
        self.name = "the wire"
        self.setting: LineSetting | None = LineSetting()
        self.buffered = 0
        self.rtu = True
        self.now = 0.0
        self.requests = 0
        self.silent = 0.0
        self._meters = meters
        self._coming: list[tuple[float, bytes]] = []
        """When the last byte of a frame is there, and its bytes."""
        self._rest = False

    def open(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing is held."""

    def use(self, setting: LineSetting) -> None:
        """Go on at another setting; what was on its way is lost."""
        self.setting = setting
        self._coming.clear()

    def exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        """As `SerialProbe` does, in no time."""
        setting = self.setting
        assert setting is not None
        began = self.now
        sent = sealed(unit, pdu) if pdu else b""
        if sent:
            self.requests += 1
            self.now += setting.silence if self._rest else 0.0
        early = self._heard(self.now)
        self.now += len(sent) * setting.character
        ended, until, data, took = self.now, self.now + wait, b"", 0.0
        if sent:
            self._coming += self._answers(unit, pdu, ended)
        whole = False
        while not whole and (frame := self._next(until)):
            took = took or frame[0] - (len(frame[1]) - 1) * setting.character - ended
            data += frame[1]
            self.now = frame[0] + HANDED_ON
            self._coming.remove(frame)
            whole = bool(sent) and answered(data, sent)
            until = max(until, self.now + max(GAP, setting.silence))
        self.now = self.now if whole else until
        self._rest = bool(data)
        self.silent += 0.0 if data else self.now - began
        return dissect(early, data, sent, max(0.0, took))

    def _heard(self, now: float) -> bytes:
        """What has ended until now, and nobody took."""
        ended = sorted(each for each in self._coming if each[0] <= now)
        self._coming = [each for each in self._coming if each[0] > now]
        return b"".join(frame for _, frame in ended)

    def _next(self, until: float) -> tuple[float, bytes] | None:
        """The next frame, if it begins before `until`."""
        assert self.setting is not None
        frame = min(self._coming, default=None)
        late = frame and frame[0] - (len(frame[1]) - 1) * self.setting.character + HANDED_ON > until
        return None if late else frame

    def _answers(self, unit: int, pdu: bytes, ended: float) -> list[tuple[float, bytes]]:
        """When the last byte of each answer is there, and its bytes."""
        setting = self.setting
        assert setting is not None
        mine = [
            meter
            for meter in self._meters
            if meter.unit == unit
            and (meter.setting.baudrate, meter.setting.parity) == (setting.baudrate, setting.parity)
        ]
        frames = [rtu_frame(unit, meter.slave.respond(pdu)) for meter in mine]
        if len(frames) > 1:
            frames = [mixed(frames)]
        return [
            (ended + setting.silence + meter.turnaround + len(frame) * setting.character, frame)
            for meter, frame in zip(mine, frames, strict=False)
        ]
