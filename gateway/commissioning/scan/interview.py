"""What one meter that is there is asked: registers, and its name. An answer that is lost is asked for again,
and one that comes late is taken for no other one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.commissioning.scan.exchange import Exchange
from gateway.commissioning.scan.identify import NAMING, texts_of
from gateway.common.text import visible
from gateway.errors import BadFrame, NoReply, NotReady
from gateway.field import refused

PROBE: Final = struct.pack(">BHH", 3, 0, 2)
READ_WAITS: Final = (0.35, 0.7)
"""s for each try of a read of a meter that is there."""
_PARTING: Final = (3, 4, 1)
"""Functions that only read, the likelier known first."""
_PATIENCE: Final = (0.35, 0.7, 1.4)
"""s for each try of another function."""

Send = Callable[[int, bytes, float], Awaitable[Exchange]]
"""Unit, request (empty: only listen) and the s that its answer may take."""


class Interview:
    """The questions to one meter. `missed`: answers that did not come at the first try, but at the next."""

    def __init__(self, unit: int, send: Send, *, rtu: bool, waits: tuple[float, ...] = READ_WAITS) -> None:
        """`rtu`: whether an answer may be a late one; `waits`: s for each try of a read."""
        self.missed = self.bytes_lost = 0
        self._unit, self._send = unit, send
        self._rtu, self._waits = rtu, waits
        self._reads = self._bad = 0
        self._owed: set[int] = set()
        """Functions that an answer may still come to."""
        self._deaf: set[int] = set()
        """Functions that it has not answered."""

    async def read(self, function: int, address: int, count: int) -> list[int]:
        """Read registers. Raises BusDown, NoReply, Refused, BadFrame."""
        pdu = struct.pack(">BHH", function, address, count)
        size = 2 * count
        self._reads += 1
        noise, silent = 0, False
        if self._owed:
            await self._part()
        for place, wait in enumerate(self._waits):
            heard = await self._send(self._unit, pdu, wait)
            noise += heard.noise
            self.bytes_lost += heard.noise
            answer = heard.of(self._unit, function)
            if answer is None:
                silent = True
                if self._rtu:
                    self._owed.add(function)
                continue
            self.missed += silent
            if answer.exception is not None:
                refusal = refused(self._unit, answer.exception)
                if isinstance(refusal, NotReady) and place == 0:
                    await asyncio.sleep(READ_WAITS[0])  # it may be ready a moment later
                    continue
                raise refusal
            if len(answer.pdu) == size + 2 and answer.pdu[1] == size:
                return list(struct.unpack(f">{count}H", answer.pdu[2:]))
            noise += 1
            self.bytes_lost += 1
        if noise:
            self._bad += 1
            raise BadFrame(f"unit {self._unit}: a damaged answer")
        raise NoReply(f"unit {self._unit} does not answer")

    async def says(self) -> str:
        """What it answers to "read device identification" and to "report server id". Raises BusDown."""
        for pdu in NAMING:
            heard = await self._send(self._unit, pdu, self._waits[0])
            answer = heard.of(self._unit, pdu[0])
            if answer is not None and answer.exception is None:
                return visible(texts_of(answer.pdu), 80)
        return ""

    async def garbled(self) -> bool:
        """Whether so many answers are damaged that two meters must be at this address. Raises BusDown."""
        bad = 0
        for _ in range(4):
            heard = await self._send(self._unit, PROBE, READ_WAITS[0])
            bad += heard.of(self._unit, PROBE[0]) is None and heard.noise > 0
        return bad >= 2 or self._bad > max(3, self._reads // 3)

    async def _part(self) -> None:
        """A late answer to a read before would be taken for that of the next one. Nothing is owed any more by
        who has answered another function, a refusal is enough; who answers no other is listened to.
        """
        other = next((each for each in _PARTING if each not in self._owed | self._deaf), None)
        if other is None:
            for wait in READ_WAITS:
                await self._send(0, b"", wait)
            self._owed.clear()
            return
        for place, wait in enumerate(_PATIENCE):
            await self._send(0, b"", wait)
            heard = await self._send(self._unit, struct.pack(">BHH", other, 0, 1), wait)
            if heard.of(self._unit, other) is not None:
                # Whoever was asked for it more than once has another answer to give.
                self._owed = {other} if place else set()
                return
        self._deaf.add(other)
        self._owed.clear()
