"""What hostile bytes are thrown at: one function a target. It returns when the bytes did no harm and
raises when they did.
"""

from __future__ import annotations

import asyncio
import json
import logging
import selectors
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from unittest.mock import patch

from gateway.catalogue import load_text
from gateway.config import parse_config
from gateway.config.schema import SerialBus, TcpBus, Uplink
from gateway.demo.simulator.frames import rtu_frame, tcp_frame
from gateway.errors import BusDown, BusError, ConfigError, WireError
from gateway.field.bus.line import BusLine
from gateway.field.port.modbus import ModbusPort
from gateway.model import Reading, Sealed
from gateway.receiver.intake import Refusal, arrival, description, reply, state
from gateway.uplink import Forwarder, MemoryJournal
from gateway.wire import (
    Batch,
    Receipt,
    Replay,
    Reply,
    State,
    Topics,
    compress,
    decode,
    decompress,
    digest,
    encode,
    parse,
    with_header,
)
from tests.virtual_time import TURN

# -- a line with a slave that does what the bytes say
# -------------------------------------------------------------------------

READS = 6
LONGEST = 120.0
"""s of the line's own time that six reads may take, whatever happens."""
ANSWER_WITHIN = 0.3
"""s: the bus's timeout is 0.2 s, and an answer up to as much later is one that the line must not mistake."""


class _NoWaiting(selectors.DefaultSelector):
    """Time passes when there is nothing to do; a turn of the loop takes next to none."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list:
        if timeout is None:
            msg = "everybody waits, and nothing will ever come"
            raise AssertionError(msg)
        self.now += max(timeout, TURN)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._hands = _NoWaiting()
        super().__init__(self._hands)

    def time(self) -> float:
        return self._hands.now


class _Script:
    """The bytes, taken one after the other; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]


class _Link:
    """Stands where pymodbus' transport stands: hears requests, says what the script has."""

    def __init__(self, port: _Port) -> None:
        self.port = port
        self.loop = asyncio.get_running_loop()
        self.recv_buffer = b""
        self.open = True

    def is_active(self) -> bool:
        return self.open

    def close(self) -> None:
        self.open = False

    def leave(self) -> None:
        self.close()

    def write(self, frame: bytes) -> None:
        self.port.slave.asked(self, frame)

    def hear(self, data: bytes) -> None:
        """As pymodbus' transport does: what is not done with is offered again with what comes next."""
        if self.open and self.port._link is self:
            self.port.slave.said += data
            self.recv_buffer += data
            used = self.port._receive(self.recv_buffer)
            assert 0 <= used <= len(self.recv_buffer)
            self.recv_buffer = self.recv_buffer[used:]

    def hang_up(self) -> None:
        if self.open:
            self.open = False
            self.port._lost(None)


class _Port(ModbusPort):
    """The real port with another transport."""

    def __init__(self, bus: SerialBus | TcpBus, slave: _Slave) -> None:
        super().__init__(bus)
        self.slave = slave

    async def open(self) -> None:
        self.close()
        self._link = _Link(self)


class _Slave:
    """Answers each request with words that no other request has, or with what the script wants instead."""

    def __init__(self, script: _Script, *, framed: bool) -> None:
        self.script, self.framed = script, framed
        self.requests = 0
        self.number = self.unit = self.function = 0
        self.words: tuple[int, ...] = ()
        """The answer to the newest request."""
        self.said = b""
        """What was said since."""

    def asked(self, link: _Link, frame: bytes) -> None:
        self.requests += 1
        number, unit, pdu = (frame[:2], frame[6], frame[7:]) if self.framed else (b"", frame[0], frame[1:-2])
        function, _, count = struct.unpack(">BHH", pdu)
        self.number, self.unit, self.function = int.from_bytes(number, "big"), unit, function
        self.words = tuple((self.requests << 6) + at & 0xFFFF for at in range(count))
        self.said = b""
        right = struct.pack(f">BB{count}H", function, 2 * count, *self.words)

        def framed(pdu: bytes, unit: int = unit, more: int = 0) -> bytes:
            return (
                tcp_frame(int.from_bytes(number, "big") + more & 0xFFFF, unit, pdu)
                if self.framed
                else rtu_frame(unit, pdu)
            )

        answered = False
        for _ in range(self.script.byte() % 4):
            delay, kind = self.script.byte() / 255 * ANSWER_WITHIN, self.script.byte() % 10
            if kind in {1, 2, 5} and answered:
                kind = (
                    0  # a slave that answers twice at its leisure cannot be told from one that answers once
                )
            answered |= kind in {1, 2, 5}
            match kind:
                case 1:
                    said = framed(right)
                case 2:
                    said = framed(right) * 2
                case 3:
                    whole = bytearray(framed(right))
                    whole[self.script.byte() % len(whole)] ^= self.script.byte() or 1
                    # On TCP nothing guards the words themselves, nor is it meant to.
                    said = (
                        bytes(whole)
                        if not self.framed or bytes(whole[9:]) == right[2:]
                        else framed(right)[:9]
                    )
                case 4:
                    said = framed(right)[: self.script.byte() % len(framed(right))]
                case 5:
                    said = framed(bytes((function | 0x80, self.script.byte())))
                case 6:
                    said = framed(right, unit % 247 + 1)
                case 7:
                    said = frame
                case 8:
                    self.hang_up_later(link, delay)
                    continue
                case 9 if self.framed:
                    said = framed(right, more=1 + self.script.byte() % 255)
                case _:
                    said = self.script.take(self.script.byte())
            link.loop.call_later(delay, link.hear, said)

    def hang_up_later(self, link: _Link, delay: float) -> None:
        link.loop.call_later(delay, link.hang_up)

    def may_have_said(self, words: tuple[int, ...], rule: str) -> bool:
        """Whether a whole frame with these words stands in what was said: one that is right in every way may
        be believed.

        `rule`: how replies are numbered, by what the line has found constant.
        """
        right = struct.pack(f">BB{len(words)}H", self.function, 2 * len(words), *words)
        if not self.framed:
            return rtu_frame(self.unit, right) in self.said
        return tcp_frame(self.number, self.unit, right)[0 if rule == "asked" else 2 :] in self.said


async def _read(bus: SerialBus | TcpBus, data: bytes) -> None:
    script = _Script(data)
    slave = _Slave(script, framed=bus.type == "tcp")
    line = BusLine(bus, _Port(bus, slave))
    stations = [line.station(unit) for unit in (1, 7)]
    for station in stations:
        station.probes = ((3, 0, 1), (3, 0, 2), (3, 0, 3))
    loop = asyncio.get_running_loop()
    for _ in range(READS):
        choice = script.byte()
        count = 1 + choice // 2 % 4
        try:
            if not line.ready:
                await line.open()
            words = await line.read(stations[choice % 2], 3 + choice // 8 % 2, choice // 16, count)
        except BusDown:
            await asyncio.sleep(max(0.0, line.retry_at - loop.time()))
        except BusError:
            pass
        else:
            right = words == slave.words or slave.may_have_said(words, line.port.form.number)
            assert right, f"{words} is not what was said to this question"
    assert loop.time() < LONGEST, f"six reads have taken {loop.time():g} s"
    line.close()


def _on_line(bus: SerialBus | TcpBus, data: bytes) -> None:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(_never)
        with patch.object(time, "monotonic", loop.time):  # the line's clock is the loop's
            runner.run(_read(bus, data))


def _never(_loop: object, context: dict) -> None:
    error = context.get("exception")
    raise error if error is not None else AssertionError(context["message"])


def rtu(data: bytes) -> None:
    """A serial line whose slaves say anything: no wrong value, no error but BusError, no hang."""
    _on_line(SerialBus(name="b", type="serial", port="/dev/none", timeout="200ms"), data)


def tcp(data: bytes) -> None:
    """The same for Modbus TCP."""
    _on_line(TcpBus(name="b", type="tcp", host="127.0.0.1", timeout="200ms"), data)


def rtu_over_tcp(data: bytes) -> None:
    """And for RTU frames over TCP."""
    _on_line(TcpBus(name="b", type="rtu-over-tcp", host="127.0.0.1", timeout="200ms"), data)


# -- messages
# ----------------------------------------------------------------------------------------------------

E1 = "00000000000000a1"
T0 = 1_795_278_300_000
TOPICS = Topics("gw1")
SENT = 10


class _Clock:
    synced = True
    boot = "b" * 32

    def wall(self) -> int:
        return T0 + 100_000

    def uptime(self) -> int:
        return 100_000

    def moment(self) -> tuple[int, int]:
        return self.wall(), self.uptime()


class _Alarm(logging.Handler):
    """The gateway survives a mistake of its own in a handler, and logs its trace: here it is a finding."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            raise record.exc_info[1]


@contextmanager
def _alarmed() -> Iterator[None]:
    """The alarm is heard while a target runs, and by nobody after it."""
    log, alarm = logging.getLogger("gateway"), _Alarm()
    level, propagate = log.level, log.propagate
    log.addHandler(alarm)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(alarm)
        log.setLevel(level)
        log.propagate = propagate


@cache
def _sealed() -> tuple[Sealed, ...]:
    def one(seq: int) -> Sealed:
        batch = Batch(
            "gw1",
            E1,
            seq,
            T0 + 1000 * seq,
            1000 * seq,
            "synced",
            [Reading("main", 1000 * seq, {"active_power": float(seq)})],
        )
        return Sealed(
            E1, seq, _Clock.boot, batch.t0, batch.uptime, "synced", 1, 1, False, compress(encode(batch))
        )

    return tuple(one(seq) for seq in range(1, SENT + 1))


def commands(data: bytes) -> None:
    """Messages on the topics that a gateway subscribes to, split at 0xFFFF, each behind a byte that
    chooses the topic.
    """
    with _alarmed():
        asyncio.run(_commands(data))


async def _commands(data: bytes) -> None:
    outbox = MemoryJournal()
    for sealed in _sealed():
        outbox.commit(sealed)
    forwarder = Forwarder(
        Uplink(name="city", url="mqtt://127.0.0.1", receipts=("city",)),
        "gw1",
        outbox,
        _Clock(),
        lambda: b"{}",
        lambda _: None,
    )
    delivery = forwarder._delivery
    for sealed in _sealed():
        delivery.sent(sealed, 0.0)
    topics = (TOPICS.receipt("city"), TOPICS.replay, TOPICS.receipt("other"), TOPICS.data)
    for message in data.split(b"\xff\xff")[:8]:
        forwarder.received(topics[message[0] % len(topics)] if message else "", message[1:])
    for epoch, ranges in delivery.settled().items():
        assert epoch == E1, "an epoch that was never sent is settled"
        assert all(1 <= first <= last <= SENT for first, last in ranges), "what was not sent is settled"
    await forwarder._sender._replays.work()


def small(data: bytes) -> None:
    """Receipts, commands, replies, states: a message or a WireError; a message comes back as it went."""
    for model in (Receipt, Replay, Reply, State):
        with suppress(WireError):
            message = parse(model, data)
            assert parse(model, message.to_bytes()) == message
            if isinstance(message, Receipt):
                message.covers(1)


def batch(data: bytes) -> None:
    """P/data: a batch or a WireError; what is a batch can be written again and says the same."""
    with suppress(WireError):
        plain = decompress(data)
        with suppress(WireError):
            digest(plain)
        with suppress(WireError):
            with_header(plain, t0=1, events=[{"dt": 0, "kind": "x"}])
        found = decode(data)
        assert digest(plain)
        again = decode(encode(found))
        assert (again.epoch, again.seq, again.values) == (found.epoch, found.seq, found.values)


def intake(data: bytes) -> None:
    """What a receiver reads from a gateway: understood, or refused with a reason."""
    for read in (state, reply, description):
        with suppress(Refusal):
            read("gw1", data)
    with suppress(Refusal):
        arrival("gw1", data, 1)


# -- files
# ----------------------------------------------------------------------------------------------------

MOST = 6000
"""Bytes of a table: longer ones are only slower."""


def _told(error: ConfigError) -> None:
    assert error.problems
    assert all(problem.line >= 0 and problem.what for problem in error.problems)


def driver(data: bytes) -> None:
    """A driver table, as a hand or a disk has left it."""
    try:
        load_text(data[:MOST].decode("utf-8", "replace"), "t-table")
    except ConfigError as error:  # DriverError is one
        _told(error)


def configuration(data: bytes) -> None:
    """gateway.yaml, likewise."""
    try:
        parse_config(data[:MOST].decode("utf-8", "replace"))
    except ConfigError as error:
        _told(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (rtu, tcp, rtu_over_tcp, commands, small, batch, intake, driver, configuration)
}


def seeds() -> dict[str, list[bytes]]:
    """Where to begin: what a good peer sends, and what a good file says."""
    good = [sealed.body for sealed in _sealed()[:2]]
    plain = [decompress(body) for body in good]
    receipt = Receipt(epoch=E1, upto=3, have=[[5, 7]], conflicts=[2]).to_bytes()
    replay = json.dumps({"id": "r", "epoch": E1, "from": 2, "to": 4}).encode()
    replying = Reply(id="r", ok=True, epoch=E1, sent=3, gone=[(1, 1, "thinned")]).to_bytes()
    online = State(online=True, epoch=E1, seq=5, backlog=0, version="1").to_bytes()
    lines = [
        bytes(60),
        bytes((2, 1, 60, 1)) * 12,
        bytes((2, 1, 250, 1, 4, 1, 30, 3, 4, 9, 6, 1, 10, 2)) * 4,
        bytes((2, 2, 5, 0, 3, 1, 2, 3, 90, 1, 4, 1, 8, 8, 2, 1, 20, 5, 2)) * 3,
        bytes((3, 1, 40, 9, 7, 3, 3, 1, 90, 6, 5, 7, 20, 4, 3)) * 4,
    ]
    table = (
        b'maker: Test\nmodel: Table\nverified: datasheet\nsource: "none"\nreads: {function: 3, '
        b"max_registers: 50, holes: [0x10..0x20]}\n"
        b"identity: {address: 0xFC02, type: u16, values: [112]}\nregisters: |\n  0 float32 voltage_l1n V "
        b"fast decimals=1\n"
        b"  2 i32 active_power 0.1W fast order=little\n  0x{30,40} u16 current_l{1,2} A slow\n"
    )
    config = (
        b"gateway: {id: a}\nbuses: [{name: b, type: tcp, host: h}]\nmeters:\n  - {id: m, bus: b, driver: "
        b"eastron-sdm630, ct: 200/5}\n"
        b"uplinks: [{name: c, url: 'mqtts://p:8883', receipts: [c]}]\njournal: {budget: 4GB}\nclock: "
        b"{hold: 5min}\n"
    )
    return {
        "rtu": lines,
        "tcp": lines,
        "rtu_over_tcp": lines,
        "commands": [b"\x00" + receipt, b"\x01" + replay, b"\x00" + receipt + b"\xff\xff\x01" + replay],
        "small": [receipt, replay, replying, online],
        "batch": [*good, *plain],
        "intake": [*good, *plain, online, replying, b'{"meters":[]}'],
        "driver": [table],
        "configuration": [config],
    }
