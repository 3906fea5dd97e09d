"""Reads of a meter for whoever looks at its values, over a measured line or a host; a damaged answer is asked
for again.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from gateway.commissioning.doctor.line.reads import MeasuredLine
from gateway.commissioning.doctor.line.traces import trace_of
from gateway.commissioning.doctor.targets import Target
from gateway.commissioning.scan import HostProbe
from gateway.errors import BadFrame, NoReply, NotReady
from gateway.field import refused, sealed

_TRIES: Final = 3
_WAIT: Final = 0.6
_HOST_WAIT: Final = 2.0


class LineAsk:
    """Reads of one meter on an open line."""

    def __init__(self, line: MeasuredLine, target: Target, silence: float = 0.0) -> None:
        self._line, self._target = line, target
        self._gap = max(target.gap, silence)
        self._at = -1e9

    async def __call__(self, function: int, address: int, count: int) -> list[int]:
        """The words. Raises BusDown, NoReply, Refused, BadFrame."""
        unit, heard_something, error = self._target.unit, False, None
        pdu = struct.pack(">BHH", function, address, count)
        for _ in range(_TRIES):
            await asyncio.sleep(0)  # where Ctrl-C is heard: the line itself blocks
            self._line.rest(max(0.0, self._gap - (self._line.now() - self._at)))
            wait = max(_WAIT, self._target.patience or 0.0)
            heard = self._line.raw(sealed(unit, pdu), wait)
            self._at = self._line.now()
            trace = trace_of(heard, unit=unit, function=function, count=count, at=self._at)
            if trace.outcome == "answer":
                return list(trace.words)
            error = refused(unit, trace.code) if trace.outcome == "refused" else None
            if error is not None and not isinstance(error, NotReady):
                raise error
            heard_something = heard_something or trace.size > 0
        if error is not None:
            raise error
        if heard_something:
            raise BadFrame(f"unit {unit}: a damaged answer")
        raise NoReply(f"unit {unit} does not answer")


class HostAsk:
    """Reads of one unit of a Modbus TCP host."""

    def __init__(self, host: HostProbe, target: Target) -> None:
        self._host, self._target = host, target

    async def __call__(self, function: int, address: int, count: int) -> list[int]:
        """The words. Raises BusDown, NoReply, Refused, BadFrame."""
        unit = self._target.unit
        await asyncio.sleep(0)  # where Ctrl-C is heard: the host itself blocks
        heard = self._host.exchange(unit, struct.pack(">BHH", function, address, count), _HOST_WAIT)
        answer = heard.of(unit, function)
        if answer is None:
            raise NoReply(f"unit {unit} does not answer")
        if answer.exception is not None:
            raise refused(unit, answer.exception)
        if len(answer.pdu) != 2 * count + 2:
            raise BadFrame(f"unit {unit}: a damaged answer")
        return list(struct.unpack(f">{count}H", answer.pdu[2:]))
