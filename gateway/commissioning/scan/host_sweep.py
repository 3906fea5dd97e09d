"""The search of a host. A converter that passes the frames of a serial line on looks like a Modbus TCP host
with nobody behind it: who is silent in Modbus TCP is asked in RTU frames too, before the search gets long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.commissioning.scan.host import HostProbe
from gateway.commissioning.scan.settings import LAST_ADDRESS, likely_addresses
from gateway.commissioning.scan.sweep import HOST_WAIT, LISTEN, Sweep
from gateway.errors import BusDown

_CONVERTER_WAIT: Final = 0.5
"""s that the line behind a converter is given, which has no patience of its own: a probe and its answer are
0.2 s at 1200 baud.
"""
_OWN: Final = 0.01
"""s of a small machine's own time that a request takes beside the wait for its answer."""
_TURN: Final = 2.0
"""s in which a host that serves one connection takes another one after the first was ended."""
_TURNS: Final = 4
_PAUSE: Final = 5.0
"""s after connecting in which some dongles hear nothing, or end the connection when they are asked: the
longest that a line finds out by itself.
"""
_PAUSED: Final = 3
"""Units that are asked after such a pause, while nobody has said anything."""
_FIRST: Final = (1, 255, 0, 247, 2, 3, 4, 5, 6, 7, 8, 9, 10, 126, 71, 100)


@dataclass(frozen=True, slots=True)
class _Phase:
    """Units that are asked in one kind of frames."""

    way: HostProbe
    stage: str
    units: list[int]
    pause: float = 0.0
    """s after connecting before the first of them is asked."""

    @property
    def seconds(self) -> float:
        """What it costs when nobody answers; a line is also listened to, for a late answer at its end."""
        patience = _patience(self.way)
        listening = (patience + LISTEN * (self.stage == "likely")) if self.way.rtu else 0.0
        return self.pause + (patience + _OWN) * len(self.units) + listening


class HostSweep(Sweep):
    """One search of one host. Use `await run()` once; `result` has what is known so far, at any time."""

    def __init__(self, ways: Sequence[HostProbe], *more: Any, **options: Any) -> None:
        """`ways`: the host in each kind of frames, the likelier first; the rest as for a line."""
        super().__init__(ways[0], *more, **options)
        self._ways = [*ways]

    @property
    def worst(self) -> float:
        """Seconds that the whole search costs when nobody answers."""
        turns = 2 * (len(self._ways) - 1)
        return sum(phase.seconds for phase in self._phases()) + turns * _TURN

    async def _search(self) -> None:
        """The likely units in each kind of frames, then the rest; once anybody has said anything, a refusal
        too, in those frames alone.
        """
        try:
            await self._ask_in_turn()
        finally:
            # Known as soon as anybody answers, for a search that ends early too.
            self.result.rtu = self._line.rtu and self._heard_anybody()
        await self._name(None)

    async def _ask_in_turn(self) -> None:
        phases = self._phases()
        broken: BusDown | None = None
        while phases:
            phase = phases.pop(0)
            try:
                await self._turn_to(phase)
                if phase.way.rtu and phase.stage == "likely":
                    self._hums = await self._listen(LISTEN) > 0
                left = sum(each.seconds for each in phases)
                await self._ask_all(None, phase.units, phase.stage, left)
            except BusDown as error:
                if self._heard_anybody():
                    raise
                # Frames that a host does not know may make it hang up.
                phases = [each for each in phases if each.way is not phase.way or each.pause > phase.pause]
                broken = broken or error
                if not phases:
                    raise broken from None
            if self._heard_anybody():
                if phase.stage == "paused":
                    self._troubles.add("connect_pause")
                    phases = [_Phase(phase.way, "likely", self._likely_units(phase.way)), *phases]
                phases = [
                    replace(each, pause=phase.pause)
                    for each in phases
                    if each.way is self._line and each.stage != "paused" and not self._one_device()
                ]

    def _heard_anybody(self) -> bool:
        return self._spoken or bool(self._damaged)

    def _phases(self) -> list[_Phase]:
        """Which units are asked in which frames, one after another; of the rest the cheaper ones first."""
        likely, rest = [], []
        for way in self._ways:
            units = self._only or [*(range(1, LAST_ADDRESS + 1) if way.rtu else range(256))]
            first = self._likely_units(way)
            likely.append(_Phase(way, "likely", first))
            rest.append(_Phase(way, "all", [unit for unit in units if unit not in first]))
        paused = [
            replace(each, stage="paused", units=each.units[:_PAUSED], pause=_PAUSE)
            for each in likely
            if not each.way.rtu
        ]
        rest.sort(key=lambda phase: _patience(phase.way))
        return [phase for phase in (*likely, *paused, *rest) if phase.units]

    def _likely_units(self, way: HostProbe) -> list[int]:
        known = likely_addresses(self._library) if way.rtu else _FIRST
        return [unit for unit in known if not self._only or unit in self._only]

    async def _turn_to(self, phase: _Phase) -> None:
        """Go on in its frames, on a connection of their own: the one before is ended first. Raises
        BusDown.
        """
        way = phase.way
        self._patience = _patience(way)
        if way is self._line and way.connect_pause == phase.pause:
            return
        await asyncio.to_thread(self._line.close)
        self._line, way.connect_pause = way, phase.pause
        for again in reversed(range(_TURNS)):
            await asyncio.sleep(_TURN / _TURNS)
            try:
                await asyncio.to_thread(way.open)
            except BusDown:
                if not again:
                    raise
            else:
                return

    def _one_device(self) -> bool:
        """Whether the first units that were asked all answered, and the same: units do not matter here."""
        asked = [] if self._only or self._line.rtu else _FIRST[:5]
        return bool(asked) and all(unit in self._answers for unit in asked)


def _patience(way: HostProbe) -> float:
    """Seconds that a host is given for its answer to a probe."""
    return _CONVERTER_WAIT if way.rtu else HOST_WAIT
