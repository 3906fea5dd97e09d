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
from gateway.commissioning.scan.identify import Identified, identify
from gateway.commissioning.scan.interview import PROBE, READ_WAITS, Interview
from gateway.commissioning.scan.line import Probe
from gateway.commissioning.scan.settings import (
    LAST_ADDRESS,
    LineSetting,
    likely_addresses,
    slowest_answer,
    time_for,
)
from gateway.field import Difference, refused

_PROBED: Final = bytes((3, 4))
_PROBED_SIZE: Final = 6
"""How its answer begins, and its bytes."""
_NOT_THERE: Final = (1, 2, 3)
"""Refusals that another probe would meet, too."""
_NOBODY: Final = (10, 11)
"""What a converter says for a unit that does not answer it."""
HOST_WAIT: Final = 1.0
"""s that a host is given: its own patience with a line behind it is often half a second."""
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
        before: Swept | None = None,
        tell: Tell = lambda _: None,
        met: Met = lambda _: None,
    ) -> None:
        """`settings`, the likelier first. `addresses`: only these. `one_setting`: stop when the setting of
        the first find is finished. `before`: a search of this line that goes on, with what it left out.
        """
        self.result = before or Swept()
        self._found, self._troubles = self.result.found, self.result.troubles
        self._line = line
        self._spoken = False
        self._library = list(library)
        self._answer_time = slowest_answer(self._library)
        self._settings = list(settings)
        self._only = sorted(set(addresses))
        self._one = one_setting
        self._tell, self._met = tell, met
        self._noisy = self._probes = 0
        self._hums = False
        self._patience = HOST_WAIT
        self._mute: list[tuple[Driver, ...]] = []
        self._odd: list[tuple[Difference, ...]] = []
        self._answers: dict[int, Answer] = {}
        self._damaged: set[int] = set()
        self._began = self._left = 0.0

    @property
    def worst(self) -> float:
        """Seconds that the whole search costs when nobody answers."""
        whole = [each for each in self._settings if each.stopbits == 1 and each not in self.result.tried]
        few = [setting for setting in self._settings if setting.stopbits != 1]
        every, likely = len(self._units()), len(self._likely())
        if len(self._settings) == 1:
            return self._time_for(self._settings, every)
        return self._time_for(whole, every) + self._time_for(few, likely)

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
        known = {found.unit for found in self._found if found.setting == setting}
        if self._answers.keys() - known:
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
        tried = self.result.tried
        open_ = [setting for setting in usual if setting not in tried]
        left = self._time_for(open_, len(few) + len(rest))
        for stage, units in (("likely", few), ("all", rest)):
            for setting in usual:
                if setting in tried or not units:
                    continue
                left -= self._cost(setting) * len(units)
                if units is few and setting in self.result.likely_only:
                    continue
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
        wait = setting.silent_wait(self._answer_time) if setting else self._patience
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
            heard = await self._exchange(unit, PROBE, wait)
            self._hear(heard)
            while len(heard.odd) > 1 and len(self._odd) < _AGAIN:
                self._hear(heard := await self._exchange(unit, PROBE, wait))  # in which way do they differ?
            if self._line.rtu and heard.noise and not heard.echo:
                if heard.of(unit, 3) is None:
                    await self._doubt([unit], wait)
                # What is no answer may be a late one of whoever was asked before.
                if unit not in self._damaged:
                    await self._doubt([*silent], READ_WAITS[0])
            if unit not in self._answers:
                silent.appendleft(unit)
            if setting is None and self._one_device():
                return
        if self._line.rtu and await self._listen(wait):
            await self._doubt([*silent], READ_WAITS[0])

    async def _doubt(self, units: list[int], wait: float) -> None:
        """Bytes came that are no answer, and one of these may have sent them: damage by chance, or two that
        answer at once? A line that is noisy by itself says nothing of anybody.
        """
        for unit in units if not self._hums else ():
            if unit in self._answers or unit in self._damaged:
                continue
            for _ in range(_AGAIN):
                heard = await self._exchange(unit, PROBE, wait)
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
        for there in self._found:
            if setting is not None and there.setting == setting:
                self._answers.pop(there.unit, None)
        units = [1] if every else sorted(self._answers)
        known = len(self._found)
        for place, unit in enumerate(units):
            now = time.monotonic() - self._began
            every_one = known + len(units)
            self._tell(ScanProgress(setting, unit, "name", now, self._left, every_one, known + place))
            identified, doubled = await self._identify(unit)
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

    async def _identify(self, unit: int) -> tuple[Identified, bool]:
        """Who it is, and whether two answer there."""
        rtu = self._line.rtu
        waits = READ_WAITS if self._settings else (HOST_WAIT, HOST_WAIT)
        interview = Interview(unit, self._exchange, rtu=rtu, waits=waits)
        answer = self._answers[unit]
        # Under another master's requests nobody knows what an answer was to.
        alone = "master" not in self._troubles
        own = alone and (answer.pdu[:2], len(answer.pdu)) == (_PROBED, _PROBED_SIZE)
        code = answer.exception if alone else None

        async def ask(function: int, address: int, count: int) -> list[int]:
            if code in _NOT_THERE and struct.pack(">BHH", function, address, count) == PROBE:
                raise refused(unit, code)
            return await interview.read(function, address, count)

        identified = await identify(
            ask,
            self._library,
            before=[found.identified for found in reversed(self._found)],
            says=lambda found: self._says(interview, found),
            on_a_line=rtu,
            there=[struct.unpack(">BHH", PROBE)] if own else (),
            lost=lambda: interview.missed,
        )
        return identified, bool(rtu and interview.bytes_lost and await interview.garbled())

    async def _says(self, interview: Interview, found: tuple[Driver, ...]) -> str:
        """What a meter calls itself; a model that does not say it is not asked twice."""
        if found in self._mute:
            return ""
        said = await interview.says()
        if found and not said:
            self._mute.append(found)
        return said

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
        if setting is None:
            return self._patience
        return setting.silent_cost(self._answer_time) + self._line.buffered * setting.character

    def _time_for(self, settings: Iterable[LineSetting], addresses: int) -> float:
        """Seconds that so many addresses cost at each of these settings when nobody answers."""
        return time_for(settings, addresses, self._line.buffered, self._answer_time)

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
