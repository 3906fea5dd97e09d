"""Ports and hosts that cannot be opened say why and what to do; names and addresses have a patience of
their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.check import command as check
from gateway.common.network import connecting
from gateway.common.network.connecting import HostNames, NameNotFound, NoAddressWorked, connect
from gateway.config.schema import SerialBus, TcpBus
from gateway.errors import BusDown
from gateway.field.port import adapter
from gateway.field.port.modbus import ModbusPort
from gateway.status.words import causes
from gateway.status.words.language import Locale
from tests.ports import free_port


def tcp(host: str = "127.0.0.1", port: int = 502) -> TcpBus:
    return TcpBus(name="b", type="tcp", host=host, port=port)


def serial_bus(port: object) -> SerialBus:
    return SerialBus(name="b", type="serial", port=str(port))


@pytest.fixture
def pty_line():
    master, slave = os.openpty()
    yield Path(os.ttyname(slave))
    os.close(master)
    os.close(slave)


async def why(bus) -> BusDown:
    with pytest.raises(BusDown) as told:
        await ModbusPort(bus).open()
    return told.value


async def test_a_refused_connection_says_so() -> None:
    told = await why(tcp(port=free_port()))
    assert told.cause == "refused"
    assert "cannot be opened: connection refused" in told.message
    assert "another connection" in told.hint


async def test_an_unknown_name_says_so(monkeypatch) -> None:
    codes = []

    def lookup(host, flags):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        raise socket.gaierror(codes[0], "in the resolver's words")

    monkeypatch.setattr(connecting, "_lookup", lookup)
    for code, cause, word in (
        (socket.EAI_NONAME, "unknown_name", "is not known"),
        (socket.EAI_AGAIN, "no_name_server", "no name server"),
    ):
        codes[:] = [code]
        told = await why(tcp("meter.example"))
        assert told.cause == cause
        assert word in told.message
        assert "IP address" in told.hint


async def test_an_interface_that_is_not_there_is_named() -> None:
    told = await why(tcp("fe80::1%none9"))
    assert told.cause == "no_route"
    assert "this machine has no interface none9" in told.message
    assert "ip link" in told.hint


async def test_a_port_that_is_not_there_names_those_that_are(tmp_path, monkeypatch) -> None:
    (tmp_path / "usb-FTDI_1-if00-port0").touch()
    monkeypatch.setattr(adapter, "_BY_ID", tmp_path)
    told = await why(serial_bus(tmp_path / "ttyUSB9"))
    assert told.cause == "no_port"
    assert "usb-FTDI_1-if00-port0" in told.hint


@pytest.mark.parametrize("kind", ["file", "folder", "fifo"])
async def test_what_is_no_serial_port_is_named(tmp_path, kind) -> None:
    path = tmp_path / "thing"
    {"file": path.touch, "folder": path.mkdir, "fifo": lambda: os.mkfifo(path)}[kind]()
    told = await why(serial_bus(path))
    assert told.cause == "not_serial"
    assert "not a serial port" in told.message


async def test_a_setting_that_the_port_cannot_do_is_named(pty_line) -> None:
    # The kernel's pseudo-terminals know no parity, as some adapters do not.
    told = await why(SerialBus(name="b", type="serial", port=str(pty_line), parity="E"))
    assert told.cause == "not_serial"
    assert "9600 8E1" in str(told)
    assert "parity" in told.hint


async def test_a_port_in_use_says_by_whom(pty_line) -> None:
    held = os.open(pty_line, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        told = await why(serial_bus(pty_line))
        assert told.cause == "in_use"
        assert "in use by this gateway" in told.message
        assert "one bus" in told.hint
    finally:
        os.close(held)


async def test_another_program_that_holds_the_port_is_named(pty_line) -> None:
    code = (
        f"import fcntl, sys; f = open({str(pty_line)!r}, 'r+b', buffering=0); fcntl.flock(f, 2); "
        f"print(1, flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        "python3", "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        await process.stdout.readline()
        told = await why(serial_bus(pty_line))
        assert told.cause == "in_use"
        assert f"(pid {process.pid})" in told.message
        assert "one master" in told.hint
    finally:
        process.kill()
        await process.wait()


def told(bus, error) -> BusDown:
    return adapter.not_opened(bus, "it", error)


@pytest.mark.parametrize(("mode", "word"), [(0o600, "serial-getty@"), (0o660, "usermod -aG dialout")])
def test_a_port_without_rights_gets_the_advice_that_belongs_to_it(tmp_path, monkeypatch, mode, word) -> None:
    port = tmp_path / "ttyAMA0"
    port.touch()
    port.chmod(mode)
    monkeypatch.setattr(adapter, "_group", lambda _: "dialout")
    error = told(serial_bus(port), PermissionError(errno.EACCES, "Permission denied"))
    assert error.cause == "permission"
    assert "permission denied" in error.message
    assert word in error.hint


@pytest.mark.parametrize(
    ("code", "cause", "word"),
    [
        (errno.ENXIO, "no_device", "plug it in again"),
        (errno.ENODEV, "no_device", "plug it in again"),
        (errno.EIO, "no_device", "plug it in again"),
        (errno.EBUSY, "in_use", "one master"),
        (errno.EPERM, "permission", ""),
        (errno.ELOOP, "other", ""),
    ],
)
def test_each_errno_of_a_port_has_its_words(tmp_path, code, cause, word) -> None:
    error = told(serial_bus(tmp_path / "x"), OSError(code, os.strerror(code)))
    assert error.cause == cause
    assert word in error.hint
    assert not error.message.endswith(": ")


@pytest.mark.parametrize(
    ("error", "cause", "word"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no_route", "no route to host"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no_route", "unreachable"),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), "hung_up", "reset"),
        (OSError(errno.ECONNRESET, "Connect call failed ('192.0.2.1', 502)"), "hung_up", "reset by peer"),
        (
            OSError(errno.EHOSTUNREACH, "Connect call failed ('192.0.2.1', 502)"),
            "no_route",
            "no route to host",
        ),
        (
            NoAddressWorked([("::1", OSError(errno.ETIMEDOUT, "Connect call failed ('::1', 502)"))]),
            "silent",
            "timed out",
        ),
        (OSError(errno.EACCES, "Permission denied"), "permission", "denied"),
        (OSError(errno.EMFILE, "Too many open files"), "other", "open files"),
        (TimeoutError(), "no_name_server", "looking up"),
        (NoAddressWorked([("192.0.2.1", TimeoutError())]), "silent", "timed out"),
        (
            NoAddressWorked(
                [("192.0.2.1", TimeoutError()), ("::1", ConnectionRefusedError(errno.ECONNREFUSED, "x"))]
            ),
            "refused",
            "192.0.2.1: timed",
        ),
        (
            NameNotFound(socket.EAI_NODATA if hasattr(socket, "EAI_NODATA") else -5, "No address"),
            "unknown_name",
            "not known",
        ),
        (ValueError("what"), "other", "what"),
    ],
)
def test_each_error_of_a_host_has_its_words(error, cause, word) -> None:
    said = told(tcp("meter.example"), error)
    assert said.cause == cause
    assert word in said.message
    assert said.hint


def test_the_page_knows_every_cause_in_both_languages() -> None:
    for language in ("tr", "en"):
        f = Locale(language, "Europe/Istanbul", 0)
        assert len({causes.why(cause, f) for cause in causes.CAUSES}) == len(causes.CAUSES)
        assert len({causes.action(cause, f) for cause in causes.CAUSES}) == len(causes.CAUSES)
    assert causes.why("refused", Locale("tr", "Europe/Istanbul", 0)) != causes.why(
        "refused", Locale("en", "Europe/Istanbul", 0)
    )


async def test_a_name_that_takes_long_is_reached_in_the_end(monkeypatch) -> None:
    real, asked = connecting._lookup, []

    def slow(host, flags):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        asked.append(host)
        time.sleep(1.0)
        return real("127.0.0.1", 0)

    monkeypatch.setattr(connecting, "_lookup", slow)
    names = HostNames()
    with pytest.raises(TimeoutError):
        await names.addresses("meter.example", 0.05)
    found = await asyncio.gather(
        *(names.addresses("meter.example", 30.0) for _ in range(3)), return_exceptions=True
    )
    assert found == 3 * [[(socket.AF_INET, ("127.0.0.1", 0))]]
    assert asked == ["meter.example"], "whoever lost patience joins the lookup that goes on"
    await names.addresses("meter.example", 30.0)
    assert len(asked) == 2, "an answer is used once: a device may move"


async def test_two_lines_of_one_host_share_a_look_up_and_both_are_reached(monkeypatch) -> None:
    """A converter with several serial ports has a TCP port for each, under one name."""
    real, asked = connecting._lookup, threading.Event()

    def slow(host, flags):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        asked.wait(10)
        return [*real("127.0.0.3", socket.AI_NUMERICHOST), *real("127.0.0.1", socket.AI_NUMERICHOST)]

    monkeypatch.setattr(connecting, "_lookup", slow)
    (one, first), (two, second), names = await serve_one(), await serve_one(), HostNames()
    both = [asyncio.create_task(connect(names, "converter.example", port)) for port in (first, second)]
    await asyncio.sleep(0.01)
    asked.set()
    for sock, port in zip(await asyncio.gather(*both), (first, second), strict=True):
        assert sock.getpeername() == ("127.0.0.1", port)
        sock.close()
    one.close()
    two.close()


async def test_a_look_up_that_hangs_keeps_nobody(monkeypatch) -> None:
    def stuck(host, flags):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        time.sleep(3600)

    monkeypatch.setattr(connecting, "_lookup", stuck)
    monkeypatch.setattr(connecting, "LOOKUP", 0.05)
    names = HostNames()
    for number in range(40):
        with pytest.raises(TimeoutError):
            await names.addresses(f"meter{number % 4}.example", 0.01)
    assert (await asyncio.to_thread(lambda: 5)) == 5, "the workers of the loop are free"


async def serve_one():
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_the_first_address_may_be_dead_or_refuse(monkeypatch) -> None:
    server, port = await serve_one()
    with contextlib.ExitStack() as held:
        full = held.enter_context(socket.socket())
        full.bind(("127.0.0.2", port))
        full.listen(0)
        for _ in range(3):  # a queue that is full swallows further handshakes: a host that is silent
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        for first in ("127.0.0.2", "127.0.0.3"):
            good = [(socket.AF_INET, (first, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
            monkeypatch.setattr(connecting, "_lookup", lambda host, flags, good=good: list(good))
            sock = await connect(HostNames(), "meter.example", port)
            assert sock.getpeername()[0] == "127.0.0.1"
            sock.close()
    server.close()


async def test_every_address_that_failed_is_told(monkeypatch) -> None:
    both = [(socket.AF_INET, ("127.0.0.3", 0)), (socket.AF_INET, ("127.0.0.4", 0))]
    monkeypatch.setattr(connecting, "_lookup", lambda host, flags: list(both))
    said = await why(tcp("meter.example", free_port()))
    assert said.cause == "refused"
    assert "127.0.0.3: connection refused; 127.0.0.4: connection refused" in said.message


def test_families_take_turns(monkeypatch) -> None:
    raw = [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{n}", 0, 0, 0)) for n in range(3)] + [
        (socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))
    ] * 2
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: raw)
    assert [family for family, _ in connecting._lookup("x", 0)] == [
        socket.AF_INET6,
        socket.AF_INET,
        socket.AF_INET6,
        socket.AF_INET6,
    ]


async def test_giving_up_leaves_no_connection_open(monkeypatch) -> None:
    server, port = await serve_one()
    monkeypatch.setattr(connecting, "_lookup", lambda host, flags: [(socket.AF_INET, ("127.0.0.1", 0))])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting
    for delay in (0.0, 0.001, 0.01):
        task = asyncio.create_task(connect(HostNames(), "meter.example", port))
        await asyncio.sleep(delay)
        if task.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                (await task).close()
        else:
            task.result().close()
    for _ in range(100):
        if len(os.listdir("/proc/self/fd")) <= before:  # noqa: PTH208
            break
        await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
    server.close()


def test_check_warns_of_a_port_that_cannot_be_opened(tmp_path, pty_line) -> None:
    thing = tmp_path / "thing"
    thing.touch()
    config = tmp_path / "g.yaml"
    rows = "".join(
        f"  - {{name: b{n}, type: serial, port: {port}}}\n"
        for n, port in enumerate([pty_line, thing, tmp_path / "none"])
    )
    config.write_text(f"gateway: {{id: g}}\nbuses:\n{rows}")
    result = CliRunner().invoke(check, [str(config)])
    assert result.exit_code == 0, "what is plugged in at the moment is no mistake of the file"
    assert "buses[0]" not in result.output
    assert (
        f"warning: {config}:4: buses[1].port: {thing} cannot be opened: it is not a serial port"
        in result.output
    )
    assert f"warning: {config}:5: buses[2].port: " in result.output
    assert "there is no such port" in result.output


def test_a_port_that_others_own_is_foreseen(pty_line, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    doubt = adapter.port_trouble(serial_bus(pty_line))
    assert doubt
    assert doubt.cause == "permission"
