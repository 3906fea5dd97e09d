"""The search itself: settings × addresses, the likely ones first, and what else the line shows on the way.

One short read is a probe. Any whole frame counts as an answer, a refusal too, and a late one as well: it
names its unit. After the first answer the setting is finished before another one is tried.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from gateway.catalogue import Driver
from gateway.commissioning.scan.exchange import Answer, Exchange
from gateway.commissioning.scan.found import FoundMeter, ScanProgress, Swept, reply_keys
from gateway.commissioning.scan.identify import NAMING, Identified, identify, texts_of
from gateway.commissioning.scan.line import Probe
from gateway.commissioning.scan.settings import (
    LAST_ADDRESS,
    LineSetting,
    likely_addresses,
    time_for,
)
from gateway.common.text import visible
from gateway.errors import BadFrame, NoReply, NotReady
from gateway.field import Difference, refused

_PROBE: Final = struct.pack(">BHH", 3, 0, 2)
_PROBED: Final = bytes((3, 4))
_PROBED_SIZE: Final = 6
"""How its answer begins, and its bytes."""
_NOT_THERE: Final = (1, 2, 3)
"""Refusals that another probe would meet, too."""
_NOBODY: Final = (10, 11)
"""What a converter says for a unit that does not answer it."""
HOST_WAIT: Final = 1.0
"""s that a host is given: its own patience with a line behind it is often half a second."""
_READ_WAITS: Final = (0.35, 0.7)
"""s for each try of a read of a meter that is there."""
_LATE: Final = 2
"""Silent addresses asked before, of which one may be answering late, that are asked again."""
_AGAIN: Final = 3
"""Probes that must be damaged one after another before two meters are suspected."""
LISTEN: Final = 0.4

Tell = Callable[[ScanProgress], None]
Met = Callable[[FoundMeter], None]


class Sweep:
    """One search of one serial line. Use `await run()` once; `result` has what is known so far, at any
    time.
    """

    def __init__(
        self,
        line: Probe,
        library: Iterable[Driver],
        settings: Iterable[LineSetting] = (),
        *,
        addresses: Iterable[int] = (),
        one_setting: bool = False,
        tell: Tell = lambda _: None,
        met: Met = lambda _: None,
    ) -> None:
        """`settings`, the likelier first. `addresses`: only these. `one_setting`: stop
        when the setting of the first find is finished.
        """
        self.result = Swept()
        self._found, self._troubles = self.result.found, self.result.troubles
        self._line = line
        self._spoken = False
        self._library = list(library)
        self._settings = list(settings)
        self._only = sorted(set(addresses))
        self._one = one_setting
        self._tell, self._met = tell, met
        self._noisy = self._probes = self._bytes_lost = 0
        self._owed = self._hums = False
        self._patience = HOST_WAIT
        self._mute: list[tuple[Driver, ...]] = []
        self._odd: list[tuple[Difference, ...]] = []
        self._answers: dict[int, Answer] = {}
        self._damaged: set[int] = set()
        self._began = self._left = 0.0

    @property
    def worst(self) -> float:
        """Seconds that the whole search costs when nobody answers."""
        whole = [setting for setting in self._settings if setting.stopbits == 1]
        few = [setting for setting in self._settings if setting.stopbits != 1]
        buffered = self._line.buffered
        if len(self._settings) == 1:
            return time_for(self._settings, len(self._units()), buffered)
        return time_for(whole, len(self._units()), buffered) + time_for(few, len(self._likely()), buffered)

    async def run(self) -> Swept:
        """Search. Raises BusDown."""
        self._began = time.monotonic()
        self.result.ended = False
        try:
            await asyncio.to_thread(self._line.open)
            await self._search()
            self.result.ended = True
        finally:
            self.result.seconds = time.monotonic() - self._began
            self._judge()
            self._line.close()
        return self.result

    async def name_rest(self) -> Swept:
        """Say who those are that had answered when `run` was interrupted. Raises BusDown."""
        setting = self._line.setting
        for found in self._found:
            if found.setting == setting:
                self._answers.pop(found.unit, None)
        if self._answers:
            await asyncio.to_thread(self._line.open)
            try:
                if setting is not None:
                    self._line.use(setting)
                await self._name(setting)
            finally:
                self._line.close()
        return self.result

    # ---- a serial line

    async def _search(self) -> None:
        """Likely addresses at every setting, then the rest; a setting with a find is finished at once."""
        few = self._likely()
        rest = [unit for unit in self._units() if unit not in set(few)]
        usual = [setting for setting in self._settings if setting.stopbits == 1] or self._settings
        left = time_for(usual, len(few) + len(rest), self._line.buffered)
        tried = self.result.tried
        for stage, units in (("likely", few), ("all", rest)):
            for setting in usual:
                if setting in tried or not units:
                    continue
                left -= self._cost(setting) * len(units)
                found = await self._setting(setting, units, stage, left)
                self._note(setting, whole=units is rest or not rest)
                if found:
                    # Somebody is here. A meter may have taken what was sent at another setting for the
                    # beginning of a request: who was silent among the likely ones is asked once more.
                    more = [*(rest if stage == "likely" else ()), *(few if len(usual) > 1 else ())]
                    left -= self._cost(setting) * (len(more) - len(few))
                    await self._ask_all(setting, more, "finish", 0.0 if self._one else left)
                    self._note(setting, whole=True)
                    await self._name(setting)
                    if self._one:
                        return
        others = [setting for setting in self._settings if setting.stopbits != 1 and setting not in usual]
        if not self.result.found:
            for setting in others:
                found = await self._setting(setting, few, "stop bits", 0.0)
                if found:
                    await self._ask_all(setting, rest, "finish", 0.0)
                    await self._name(setting)
                self._note(setting, whole=found)

    async def _setting(self, setting: LineSetting, units: list[int], stage: str, left: float) -> bool:
        """Ask these addresses at a setting; whether anybody is there."""
        self._line.use(setting)
        self._answers.clear()
        self._damaged.clear()
        self._hums = self._probes == 0 and await self._listen(LISTEN) > 0
        await self._ask_all(setting, units, stage, left)
        return bool(self._answers or self._damaged)

    async def _ask_all(self, setting: LineSetting | None, units: list[int], stage: str, left: float) -> None:
        wait = setting.silent_wait if setting else self._patience
        cost = self._cost(setting)
        self._left = left
        silent: deque[int] = deque(maxlen=_LATE)
        for place, unit in enumerate(units):
            now = time.monotonic() - self._began
            to_go = cost * (len(units) - place) + left
            self._tell(
                ScanProgress(setting, unit, stage, now, to_go, len(self.result.found) + len(self._answers))
            )
            if unit in self._answers:
                continue
            heard = await self._exchange(unit, _PROBE, wait)
            self._hear(heard)
            while len(heard.odd) > 1 and len(self._odd) < _AGAIN:
                self._hear(heard := await self._exchange(unit, _PROBE, wait))  # in which way do they differ?
            if self._line.rtu and heard.noise and not heard.echo:
                if heard.of(unit, 3) is None:
                    await self._doubt([unit], wait)
                # What is no answer may be a late one of whoever was asked before.
                if unit not in self._damaged:
                    await self._doubt([*silent], _READ_WAITS[0])
            if unit not in self._answers:
                silent.appendleft(unit)
            if setting is None and self._one_device():
                return
        if self._line.rtu and await self._listen(wait):
            await self._doubt([*silent], _READ_WAITS[0])

    async def _doubt(self, units: list[int], wait: float) -> None:
        """Bytes came that are no answer, and one of these may have sent them: damage by chance, or two that
        answer at once? A line that is noisy by itself says nothing of anybody.
        """
        for unit in units if not self._hums else ():
            if unit in self._answers or unit in self._damaged:
                continue
            for _ in range(_AGAIN):
                heard = await self._exchange(unit, _PROBE, wait)
                self._hear(heard)
                if heard.of(unit, 3) is not None or not heard.noise:
                    break
            else:
                self._hums = await self._listen(_AGAIN * wait) > 0
                if not self._hums:
                    self._damaged.add(unit)
                return

    def _hear(self, heard: Exchange) -> None:
        """Everybody who has answered, whoever was asked."""
        for answer in heard.answers:
            self._spoken = True
            if answer.request:
                self._troubles.add("master")
            elif answer.exception not in _NOBODY:
                self._answers.setdefault(answer.unit, answer)

    async def _listen(self, seconds: float) -> int:
        """Does anybody talk unasked, or late? The bytes that belong to nobody's frame."""
        self._hear(heard := await self._exchange(0, b"", seconds))
        return heard.noise

    def _one_device(self) -> bool:
        """Whether one device answers whatever unit is asked for."""
        return False

    # ---- who it is

    async def _name(self, setting: LineSetting | None) -> None:
        """Identify everybody who answered at this setting."""
        every = setting is None and self._one_device()
        units = [1] if every else sorted(self._answers)
        known = len(self._found)
        for place, unit in enumerate(units):
            now = time.monotonic() - self._began
            every_one = known + len(units)
            self._tell(ScanProgress(setting, unit, "name", now, self._left, every_one, known + place))
            identified = await self._identify(unit)
            doubled = await self._garbled(unit) if self._line.rtu and self._bytes_lost else False
            found = FoundMeter(setting, unit, self._answers[unit].took, identified, doubled, every)
            if doubled:
                self._troubles.add("double")
            self._found.append(found)
            self._met(found)
        for unit in sorted(self._damaged - set(units)):
            if self._answers or len(self._damaged) <= _AGAIN:
                self._troubles.add("double")
                found = FoundMeter(setting, unit, 0.0, double=True)
                self._found.append(found)
                self._met(found)
        self._answers.clear()
        self._damaged.clear()

    async def _identify(self, unit: int) -> Identified:
        self._reads = self._bad = self._bytes_lost = 0
        answer = self._answers[unit]
        code = answer.exception
        # Under another master's requests nobody knows what an answer was to.
        own = (answer.pdu[:2], len(answer.pdu)) == (_PROBED, _PROBED_SIZE) and "master" not in self._troubles

        async def ask(function: int, address: int, count: int) -> list[int]:
            if code in _NOT_THERE and struct.pack(">BHH", function, address, count) == _PROBE:
                raise refused(unit, code)
            return await self._read(unit, function, address, count)

        return await identify(
            ask,
            self._library,
            before=[found.identified for found in reversed(self._found)],
            says=lambda found: self._says(unit, found),
            on_a_line=self._line.rtu,
            there=[struct.unpack(">BHH", _PROBE)] if own else (),
        )

    async def _garbled(self, unit: int) -> bool:
        """Whether so many answers are damaged that two meters must be at this address."""
        bad = 0
        for _ in range(4):
            heard = await self._exchange(unit, _PROBE, _READ_WAITS[0])
            bad += heard.of(unit, 3) is None and heard.noise > 0
        return bad >= 2 or self._bad > max(3, self._reads // 3)

    async def _read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """Read registers. Raises BusDown, NoReply, Refused, BadFrame."""
        pdu = struct.pack(">BHH", function, address, count)
        size = 2 * count
        self._reads += 1
        noise = 0
        if self._owed:
            # A late answer to the read before would be taken for that of this one.
            await self._exchange(0, b"", _READ_WAITS[0])
        self._owed = False
        for wait in _READ_WAITS:
            heard = await self._exchange(unit, pdu, wait if self._settings else HOST_WAIT)
            noise += heard.noise
            self._bytes_lost += heard.noise
            answer = heard.of(unit, function)
            if answer is None:
                self._owed = self._line.rtu
                continue
            if answer.exception is not None:
                refusal = refused(unit, answer.exception)
                if isinstance(refusal, NotReady) and wait == _READ_WAITS[0]:
                    await asyncio.sleep(_READ_WAITS[0])  # it may be ready a moment later
                    continue
                raise refusal
            if len(answer.pdu) == size + 2 and answer.pdu[1] == size:
                return list(struct.unpack(f">{count}H", answer.pdu[2:]))
            noise += 1
            self._bytes_lost += 1
        if noise:
            self._bad += 1
            raise BadFrame(f"unit {unit}: a damaged answer")
        raise NoReply(f"unit {unit} does not answer")

    async def _says(self, unit: int, found: tuple[Driver, ...]) -> str:
        """What it answers to "read device identification" and to "report server id"; a model that does not
        know them is not asked twice.
        """
        if found in self._mute:
            return ""
        for pdu in NAMING:
            heard = await self._exchange(unit, pdu, _READ_WAITS[0] if self._settings else HOST_WAIT)
            answer = heard.of(unit, pdu[0])
            if answer is not None and answer.exception is None:
                return visible(texts_of(answer.pdu), 80)
        if found:
            self._mute.append(found)
        return ""

    # ---- common

    async def _exchange(self, unit: int, pdu: bytes, wait: float) -> Exchange:
        heard = await asyncio.to_thread(self._line.exchange, unit, pdu, wait)
        self._probes += 1
        if heard.echo:
            self._troubles.add("echo")
        self._spoken = self._spoken or heard.framed
        if heard.odd:
            self._odd.append(heard.odd)
        self._noisy += heard.noise > 0 and not heard.answers and not heard.framed
        return heard

    def _cost(self, setting: LineSetting | None) -> float:
        """Seconds that an address costs at which nobody answers."""
        return setting.silent_cost + self._line.buffered * setting.character if setting else self._patience

    def _units(self) -> list[int]:
        return self._only or [*range(1, LAST_ADDRESS + 1)]

    def _likely(self) -> list[int]:
        units = set(self._units())
        return [unit for unit in likely_addresses(self._library) if unit in units]

    def _note(self, setting: LineSetting, *, whole: bool) -> None:
        """A setting is done at the likely addresses, or at all of them."""
        tried, likely_only = self.result.tried, self.result.likely_only
        if whole and setting in likely_only:
            likely_only.remove(setting)
        known = tried if whole else likely_only
        if setting not in known:
            known.append(setting)

    def _judge(self) -> None:
        """What the noise beside the answers means, and in what these differ."""
        odd_ones = [
            odd
            for odd in self._odd
            # Where answers are understood, those that are nobody's are refusals of the gateway itself.
            if not (self.result.found and {each.field for each in odd} == {"number", "unit"})
        ]
        fields = {each.field for odd in odd_ones for each in odd}
        if any(len(odd) > 1 for odd in odd_ones):
            self._troubles.add("odd_fields")
            self.result.odd = max(odd_ones, key=len)
            self.result.reply_keys = reply_keys(odd_ones)
        elif fields & {"unit", "number"}:
            self._troubles.add("odd_unit" if "unit" in fields else "odd_number")
        if self._probes and self._noisy > max(5, self._probes // 10):
            self._troubles.add("noise" if self.result.found else "no_frame")
