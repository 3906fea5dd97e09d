"""Modbus TCP servers, and serial converters that pass RTU frames over TCP: many units, many clients, one
thread for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from gateway.demo.simulator.faults import (
    CONVERTER_KINDS,
    TCP_KINDS,
    UNSERVED,
    Fault,
    Faults,
    faulted_frames,
    faulted_pdu,
)
from gateway.demo.simulator.frames import character_time, rtu_parts, silence, tcp_frame
from gateway.demo.simulator.slave import Slave

Mode = Literal["tcp", "rtu"]
TransactionNumber = Literal["asked", "+1", "-1", "=7", "=1", "=0", "swapped", "own", "newest"]
"""The transaction number of a reply: as it was asked, one more or less, always 7, its bytes swapped, a count
of replies, the newest one's.
"""
Lengths = Literal["asked", "+1", "=6", "swapped"]
"""What the header of a reply says its length is, likewise."""
_HEADER = struct.Struct(">HHHB")
_SHORTEST, _LONGEST = 2, 254  # unit and PDU, as the MBAP header counts them
_EXCEPTION = 2
"""Bytes of an exception."""
_REQUEST = 8
"""Bytes of a read request as an RTU frame."""


@dataclass(slots=True)
class ServerStats:
    """What the server saw."""

    connections: int = 0
    requests: int = 0
    answers: int = 0
    bad_frames: int = 0
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class Downstream:
    """The serial line behind a converter: one request at a time, each as long as the wire needs."""

    baudrate: int = 9600
    turnaround: float = 0.02

    def seconds(self, request: int, response: int) -> float:
        """How long a transaction of so many bytes occupies the line."""
        return (
            (request + response) * character_time(self.baudrate)
            + 2 * silence(self.baudrate)
            + self.turnaround
        )


class TcpServer:
    """A listening socket with slaves behind it. `latency`: seconds from request to answer. `port` 0 takes a
    free one.

    `behind`: each reply is held back until the next one is due. `unit`, `protocol`: those that all replies
    carry; protocol `own` is another one each time. `counted`: their byte counts count registers. `echo`: each
    request comes back before its reply.
    """

    def __init__(
        self,
        slaves: Iterable[Slave],
        *,
        name: str = "tcp",
        host: str = "127.0.0.1",
        port: int = 0,
        mode: Mode = "tcp",
        latency: float = 0.0,
        numbers: TransactionNumber = "asked",
        lengths: Lengths = "asked",
        unit: int | None = None,
        protocol: int | str = 0,
        counted: bool = False,
        echo: bool = False,
        behind: bool = False,
        downstream: Downstream | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.name = name
        self.slaves = {slave.unit: slave for slave in slaves}
        self.faults = faults or Faults()
        self.faults.restrict(TCP_KINDS if mode == "tcp" else CONVERTER_KINDS)
        self.stats = ServerStats()
        self.mode = mode
        self.latency = latency
        self.numbers: TransactionNumber = numbers
        self.lengths: Lengths = lengths
        self.unit = unit
        self.protocol = protocol
        self.counted = counted
        self.echo = echo
        self.behind = behind
        self.downstream = downstream
        self.free_at = 0.0
        self.clients: set[_Client] = set()
        self._socket = socket.create_server((host, port), backlog=64)
        self.host, self.port = self._socket.getsockname()[:2]
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept; on the loop that will serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), sock=self._socket)

    async def stop(self) -> None:
        """Stop listening and drop every client."""
        if self._server is not None:
            self._server.close()
        self.drop_clients()
        self._socket.close()

    def drop_clients(self) -> None:
        """Reset every open connection, as a gateway does that restarts."""
        for client in list(self.clients):
            client.reset()


class _Client(asyncio.Protocol):
    """One connection of a client, with the requests that wait for their reply."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._stats, self._clients, self._random = server.stats, server.clients, server.faults.rng
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._deaf = False
        self._delayed = b""
        self._newest = self._replies = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._clients.add(self)
        self._stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._clients.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._heard += data
        take = self._receive_tcp if self._server.mode == "tcp" else self._receive_rtu
        while self._heard and take():
            pass

    def _receive_tcp(self) -> bool:
        """Handle one frame of what was heard; False when it is not whole yet."""
        if len(self._heard) < _HEADER.size:
            return False
        transaction, protocol, length, unit = _HEADER.unpack_from(self._heard)
        if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
            self._stats.bad_frames += 1
            self.reset()
            return False
        if len(self._heard) < 6 + length:
            return False
        request = bytes(self._heard[_HEADER.size : 6 + length])
        del self._heard[: 6 + length]
        self._serve(transaction, unit, request)
        return True

    def _receive_rtu(self) -> bool:
        # Over TCP there is no silence to go by: a read request is eight bytes; anything else is dropped
        # whole.
        if len(self._heard) < _REQUEST:
            return False
        parts = rtu_parts(bytes(self._heard[:_REQUEST]))
        if parts is None:
            self._stats.bad_frames += 1
            self._heard.clear()
            return False
        del self._heard[:_REQUEST]
        self._serve(0, *parts)
        return True

    def _serve(self, transaction: int, unit: int, request: bytes) -> None:
        server = self._server
        server.stats.requests += 1
        self._newest = transaction
        slave = server.slaves.get(unit)
        if slave is None:
            # A TCP server without that unit says 0x0B, gateway target failed to respond; a line stays silent.
            server.stats.strangers += 1
            if server.mode == "tcp":
                self._send(
                    server.latency, tcp_frame(transaction, unit, bytes((request[0] & 0x7F | 0x80, 0x0B)))
                )
            return
        fault = server.faults.next_fault(unit)
        match fault.kind if fault else "":
            case "reset":
                self.reset()
                return
            case "half_open":
                self._deaf = True
                return
            case "dead":
                return
        response = (
            b""
            if fault and fault.kind in UNSERVED
            else slave.respond(request, fault=fault.kind if fault else "")
        )
        response = faulted_pdu(fault, request, response)
        if server.counted and len(response) > _EXCEPTION:
            response = response[:1] + bytes((response[1] // 2,)) + response[2:]
        if server.echo:
            self._put(tcp_frame(transaction, unit, request))
        wait = self._wait(len(request), len(response))
        for delay, frame in self._frames(fault, transaction, unit, response, request):
            server.stats.answers += 1
            self._send(wait + delay, frame)

    def _wait(self, request: int, response: int) -> float:
        server = self._server
        if server.downstream is None:
            return server.latency
        now = asyncio.get_running_loop().time()
        server.free_at = max(server.free_at, now) + server.downstream.seconds(request + 3, response + 3)
        return server.free_at - now + server.latency

    def _frames(
        self, fault: Fault | None, transaction: int, unit: int, response: bytes, request: bytes
    ) -> list[tuple[float, bytes]]:
        if self._server.mode == "rtu":
            return faulted_frames(fault, unit, response, self._random, request)
        frame = tcp_frame(transaction, unit, response)
        match fault.kind if fault else "":
            case "late" if fault:
                return [(fault.delay, frame)]
            case "truncated":
                return [(0.0, frame[: self._random.randrange(1, len(frame))])]
            case "foreign":
                return [(0.0, tcp_frame(transaction, unit % 247 + 1, response))]
            case "wrong_transaction":
                return [(0.0, tcp_frame(transaction + 1, unit, response))]
            case "short_exception":
                return [(0.0, frame[:4] + (len(response) + 2).to_bytes(2) + frame[6:])]
            case "double":
                return [(0.0, frame), (0.0, frame)]
            case "echo":
                return [(0.0, tcp_frame(transaction, unit, request)), (0.0, frame)]
        return [(0.0, frame)]

    def _send(self, wait: float, frame: bytes) -> None:
        if wait <= 0:
            self._write(frame)
        else:
            asyncio.get_running_loop().call_later(wait, self._write, frame)

    def _write(self, frame: bytes) -> None:
        if self._server.behind:
            frame, self._delayed = self._delayed, frame
        if self._server.mode == "tcp" and len(frame) > _HEADER.size:
            frame = self._odd(frame)
        self._put(frame)

    def _put(self, frame: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def _odd(self, frame: bytes) -> bytes:
        """A reply as this server gives it."""
        server = self._server
        number, _, length, unit = _HEADER.unpack_from(frame)
        self._replies += 1
        return (
            _HEADER.pack(
                self._ruled(server.numbers, number),
                self._replies % 3 if isinstance(server.protocol, str) else server.protocol,
                self._ruled(server.lengths, length),
                unit if server.unit is None else server.unit,
            )
            + frame[_HEADER.size :]
        )

    def _ruled(self, rule: str, asked: int) -> int:
        match rule:
            case "asked":
                return asked
            case "swapped":
                return asked >> 8 | (asked & 0xFF) << 8
            case "own":
                return self._replies & 0xFFFF
            case "newest":
                return self._newest
        return int(rule[1:]) if rule[0] == "=" else (asked + int(rule)) & 0xFFFF

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class TcpPlant:
    """TCP servers on a thread of their own: for tests and benches whose own loop must not serve."""

    def __init__(self, servers: Iterable[TcpServer]) -> None:
        self.servers = list(servers)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tcp-plant", daemon=True)
        self._ready = threading.Event()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for server in self.servers:
            self._loop.run_until_complete(server.start())
        self._ready.set()
        self._loop.run_forever()
        for server in self.servers:
            self._loop.run_until_complete(server.stop())
        self._loop.run_until_complete(asyncio.sleep(0))  # let the transports close
        self._loop.close()

    def start(self) -> Self:
        """Listen and answer, in a thread of its own; returns when it listens."""
        self._thread.start()
        self._ready.wait(5)
        return self

    def stop(self) -> None:
        """Drop every client and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    def drop_clients(self, names: Iterable[str] | None = None) -> None:
        """Reset every connection, of the servers named or of all."""
        chosen = [server for server in self.servers if names is None or server.name in set(names)]
        for server in chosen:
            self._loop.call_soon_threadsafe(server.drop_clients)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
