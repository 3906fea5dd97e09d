"""A Modbus TCP host: does it take the connection, keep it, take a second one; who answers behind it."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.commissioning.doctor.diagnosis import Diagnosis, Evidence, SentenceFacts
from gateway.commissioning.doctor.targets import Target
from gateway.config import TcpBus
from gateway.errors import BusDown
from gateway.field import frames, has_right_crc, not_opened, sealed
from gateway.model import is_not_ready

Ending = Literal["answer", "refused", "silent", "closed"]
_MBAP: Final = struct.Struct(">HHHB")
_CONNECT: Final = 5.0
_WAIT: Final = 2.0
_ATTEMPTS: Final = 3
_READS: Final = 4
_PAUSE: Final = 0.3
_AT_ONCE: Final = 0.5
"""s: a host that ends a connection sooner than this after it took it had no room for it."""
_NO_PATH, _NO_TARGET = 10, 11


@dataclass(frozen=True, slots=True)
class HostRead:
    """How one request ended: `code` of a refusal, `took` s."""

    ended: Ending
    code: int = 0
    took: float = 0.0

    @property
    def not_ready(self) -> bool:
        """Whether it was a refusal that passes."""
        return is_not_ready(self.code)


@dataclass(slots=True)
class HostTraces:
    """What was measured. `refusals`: connections that were not taken, of `attempts`; `closed`: those ended at
    once; `second`: whether a second connection was served beside the first, None when not tried; `rtu`: it
    answers RTU frames.
    """

    attempts: int = 0
    refusals: int = 0
    closed: int = 0
    error: BusDown | None = None
    second: bool | None = None
    first_lost: bool = False
    rtu: bool = False
    reads: dict[str, list[HostRead]] = field(default_factory=dict)


def measure_host(
    bus: TcpBus, targets: Sequence[Target], tell: Callable[[str], None] = lambda _: None
) -> HostTraces:
    """Connect, ask everybody, connect a second time."""
    found = HostTraces()
    link = None
    for _ in range(_ATTEMPTS):
        tell("connect")
        link = _attempt(bus, targets[0].unit if targets else 1, found)
        if link is not None:
            break
        time.sleep(_PAUSE)
    if link is None:
        return found
    with link:
        for target in targets:
            tell(target.id)
            reads = found.reads.setdefault(target.id, [])
            for _ in range(_READS):
                reads.append(_ask(link, target.unit, target.short))
                if reads[-1].ended in {"closed", "silent"} and len(reads) > 1:
                    break
            if reads[-1].ended == "closed":
                found.closed += 1
                break
        if not any(read.ended in {"answer", "refused"} for each in found.reads.values() for read in each):
            if targets and not found.closed:
                found.rtu = _speaks_rtu(bus, targets[0])
        elif not found.closed:
            _second(bus, link, targets[0], found)
    return found


def judge_host(part: str, bus: TcpBus, measured: HostTraces, targets: Sequence[Target]) -> list[Diagnosis]:
    """What is wrong with a host and its meters; empty for a sound one. Pure."""
    facts: SentenceFacts = {
        "where": bus.place,
        "closed": float(measured.closed),
        "port": float(bus.port),
    }
    served = [
        read for each in measured.reads.values() for read in each if read.ended in {"answer", "refused"}
    ]
    if measured.closed and not served:
        evidence = (Evidence("closed_at_once", facts),)
        return [Diagnosis(part, "connection_limit", 0.9, "stops", "", evidence, facts)]
    if not served and measured.error is not None and measured.attempts == measured.refusals:
        told: SentenceFacts = {
            "step": "connect",
            "what": measured.error.message,
            "mend": measured.error.hint,
            "who": "here",
        }
        return [Diagnosis(part, "said", 1.0, "stops", "", (), told)]
    if measured.rtu:
        return [Diagnosis(part, "rtu_framing", 0.97, "stops", "", (), facts)]
    found = []
    if measured.refusals or measured.closed or measured.first_lost:
        evidence = (Evidence("sometimes_refused" if measured.refusals else "closed_at_once", facts),)
        found.append(Diagnosis(part, "connection_limit", 0.85, "harms", "", evidence, facts))
    return [*found, *_meters(part, measured, targets, facts)]


def _meters(
    part: str, measured: HostTraces, targets: Sequence[Target], facts: SentenceFacts
) -> Iterator[Diagnosis]:
    silent = [
        t for t in targets if (reads := measured.reads.get(t.id)) and not any(_there(read) for read in reads)
    ]
    if silent and len(silent) == len(targets):
        codes = {read.code for t in silent for read in measured.reads[t.id]}
        cause = "gateway_line" if codes & {_NO_PATH, _NO_TARGET} else "host_silent"
        yield Diagnosis(part, cause, 0.8, "stops", "", (), facts)
        return
    for target in silent:
        yield Diagnosis(part, "silent_meter", 0.8, "stops", target.id, (), {"address": float(target.unit)})
    for target in targets:
        reads = measured.reads.get(target.id, [])
        answered = any(read.ended == "answer" for read in reads)  # what is never ready is not asked too fast
        if answered and sum(read.not_ready for read in reads) >= 2:
            yield Diagnosis(part, "too_fast", 0.8, "harms", target.id, (), {"address": float(target.unit)})


def _there(read: HostRead) -> bool:
    """Whether the unit itself answered."""
    return read.ended == "answer" or (read.ended == "refused" and read.code not in {_NO_PATH, _NO_TARGET})


def _attempt(bus: TcpBus, unit: int, found: HostTraces) -> socket.socket | None:
    """A connection that the host keeps for a moment."""
    found.attempts += 1
    try:
        link = socket.create_connection((bus.host, bus.port), _CONNECT)
    except OSError as error:
        found.refusals += 1
        found.error = not_opened(bus, bus.place, error)
        return None
    read = _ask(link, unit, None)
    if read.ended != "closed" or read.took > _AT_ONCE:
        return link
    found.closed += 1
    link.close()
    return None


def _ask(link: socket.socket, unit: int, span: object) -> HostRead:
    """One read; without a span nothing is sent, only listened whether the host hangs up."""
    began = time.monotonic()
    try:
        if span is None:
            if select.select([link], [], [], _AT_ONCE)[0] and not link.recv(1, socket.MSG_PEEK):
                return HostRead("closed", took=time.monotonic() - began)
            return HostRead("silent")
        pdu = struct.pack(">BHH", span.function, span.address, span.words)  # type: ignore[attr-defined]
        link.sendall(_MBAP.pack(1, 0, len(pdu) + 1, unit) + pdu)
        data = b""
        while (left := began + _WAIT - time.monotonic()) > 0:
            if not select.select([link], [], [], left)[0]:
                break
            got = link.recv(4096)
            if not got:
                return HostRead("closed", took=time.monotonic() - began)
            data += got
            if len(data) >= _MBAP.size + 2 and len(data) >= 6 + int.from_bytes(data[4:6], "big"):
                code = data[8] if data[7] & 0x80 else 0
                return HostRead("refused" if code else "answer", code, time.monotonic() - began)
    except OSError:
        return HostRead("closed", took=time.monotonic() - began)
    return HostRead("silent", took=time.monotonic() - began)


def _second(bus: TcpBus, link: socket.socket, target: Target, found: HostTraces) -> None:
    """Does a second client get service, and does the first one keep its own?"""
    try:
        with socket.create_connection((bus.host, bus.port), _CONNECT) as other:
            found.second = _there(_ask(other, target.unit, target.short))
    except OSError:
        found.second = False
    found.first_lost = _ask(link, target.unit, target.short).ended == "closed"


def _speaks_rtu(bus: TcpBus, target: Target) -> bool:
    """Whether the host answers RTU frames: a converter without translation."""
    span = target.short
    pdu = struct.pack(">BHH", span.function, span.address, span.words)
    try:
        with socket.create_connection((bus.host, bus.port), _CONNECT) as link:
            link.sendall(sealed(target.unit, pdu))
            data = b""
            until = time.monotonic() + _WAIT
            while (left := until - time.monotonic()) > 0 and select.select([link], [], [], left)[0]:
                got = link.recv(4096)
                if not got:
                    return False
                data += got
                if any(frame[0] == target.unit for frame in frames(data, has_right_crc)):
                    return True
    except OSError:
        pass
    return False
