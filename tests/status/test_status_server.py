"""The page on a real port, under visitors who mean no good, and the life of the server itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from contextlib import asynccontextmanager

import pytest
from status_building import Building

from gateway.status import server as server_module
from gateway.status.page.app import create_page
from gateway.status.server import MAX_PER_ADDRESS, SPARE, PageServer

NAMES = ("g", "gateway")
"""Host names of the requests here."""


@asynccontextmanager
async def served(building: Building | None = None, names=NAMES):
    building = building or Building()
    server = PageServer(create_page(building, names), "127.0.0.1", 0, building.changes.close)
    assert await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


async def say(port: int, data: bytes, limit: float = 15.0) -> bytes:
    """Everything the server says to these bytes until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
        answer = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(limit):
                while piece := await reader.read(65536):
                    answer += piece
        return answer
    finally:
        writer.close()


async def healthy(port: int) -> bool:
    return (await say(port, b"GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")).startswith(
        b"HTTP/1.1 200"
    )


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 300,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"\x01\x03\x00\x00\x00\x02\xc4\x0b\r\n\r\n",  # a Modbus frame
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"GET  / HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\nx",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: g\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\n" + b"X-Y: " + b"z" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: g\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
    ],
)
async def test_garbage_gets_an_error_or_a_closed_door(garbage, caplog):
    async with served() as port:
        head = (await say(port, garbage)).split(b"\r\n", 1)[0]
        assert head == b"" or head.split()[1] in {b"400", b"404", b"405", b"414", b"431"}
        assert await healthy(port)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "strange",
    [
        b"GET /healthz HTTP/9.9\r\nConnection: close\r\n\r\n",
        b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: upgrade, close\r\nUpgrade: "
        b"websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: g\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: "
        b"evil.example\r\nConnection: close\r\n\r\n",
    ],
)
async def test_strange_but_readable_requests_get_a_plain_answer_that_repeats_nothing(strange):
    async with served() as port:
        answer = await say(port, strange)
        assert answer.split()[1] in {b"200", b"404"}
        assert b"elsewhere" not in answer
        assert b"evil.example" not in answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.10", 200),
        ("192.0.2.10:8080", 200),
        ("[2001:db8::1]", 200),
        ("[::1]:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("gateway.local", 200),
        ("Gateway.Local.:8080", 200),
        (os.uname().nodename, 200),
        ("page.example", 200),
        ("PAGE.example.", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("page.example.evil.example", 421),
        ("192.0.2.10.evil.example", 421),
        ("local", 421),
        ("evil.example:127.0.0.1", 421),
        ("user@localhost", 421),
        ("", 421),
        ("[evil.example]", 421),
        ("a b", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/status", "/live/", "/static/page.css"])
async def test_only_names_of_ours_are_answered(host, status, path):
    async with served(names=["page.example"]) as port:
        answer = await say(
            port, f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.split()[1] in {str(status).encode(), b"400" if status == 421 else b"404"}
        assert b"evil" not in answer


async def test_random_bytes_for_a_while():
    chance = random.Random(17)
    async with served() as port:
        for _ in range(60):
            await say(port, chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n")
        assert await healthy(port)


async def test_mutated_requests_for_a_while():
    chance = random.Random(18)
    good = (
        b"GET /meter/main?lang=en HTTP/1.1\r\nHost: gateway\r\nAccept-Language: tr;q=0.5\r\nConnection: "
        b"close\r\n\r\n"
    )
    async with served() as port:
        for _ in range(80):
            bad = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                bad[chance.randrange(len(bad) - 4)] = chance.randrange(256)
            answer = await say(port, bytes(bad) + b"\r\n\r\n")
            assert not answer.startswith(b"HTTP/1.1 5"), bytes(bad)
        assert await healthy(port)


async def test_slow_visitors_are_shown_out_and_leave_room(monkeypatch):
    monkeypatch.setattr(server_module, "REQUEST_DEADLINE", 1.0)
    async with served() as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_PER_ADDRESS - 4)]

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> bytes:
            writer.write(first)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while not reader.at_eof():
                        writer.write(b"X-a: b\r\n")
                        await writer.drain()
                        with contextlib.suppress(TimeoutError):
                            return await asyncio.wait_for(reader.read(100), 0.2)
            return b""

        drips = [
            asyncio.create_task(drip(r, w, b"GET / HTTP/1.1\r\nHost: g\r\n" if n % 2 else b""))
            for n, (r, w) in enumerate(slow)
        ]
        assert await healthy(port)  # meanwhile
        assert all(
            answer == b"" or answer.startswith(b"HTTP/1.1 400") for answer in await asyncio.gather(*drips)
        )
        assert await healthy(port)


async def test_a_second_request_that_never_ends_is_cut_too(monkeypatch):
    monkeypatch.setattr(server_module, "KEEP_ALIVE", 1)
    monkeypatch.setattr(server_module, "REQUEST_DEADLINE", 1.0)
    async with served() as port:
        begin = b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n" + b"GET / HTTP/1.1\r\nHost"
        answer = await say(port, begin)
        assert answer.count(b"HTTP/1.1") == 1


async def test_a_body_that_never_comes_does_not_hold_the_connection(monkeypatch):
    monkeypatch.setattr(server_module, "REQUEST_DEADLINE", 1.0)
    async with served() as port:
        answer = await say(port, b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 1000\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 405")


async def test_one_address_cannot_take_every_connection():
    async with served() as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_PER_ADDRESS)]
        await asyncio.sleep(0.1)
        assert await healthy(port), "room is kept for whoever watches over this machine"
        assert (await say(port, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n")).startswith(b"HTTP/1.1 503")
        held += [await asyncio.open_connection("127.0.0.1", port) for _ in range(SPARE)]
        assert await say(port, b"") == b"", "that room has an end too"
        for _, other in held:
            other.close()
        async with asyncio.timeout(20):
            while not await healthy(port):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)


async def test_all_addresses_together_cannot_take_every_descriptor(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_PER_ADDRESS", 1000)
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 10)
    async with served() as port:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        assert await healthy(port)
        await asyncio.sleep(0.2)
        open_here = len(os.listdir("/proc/self/fd")) - before - len(held)  # noqa: PTH208
        assert open_here <= 10 + SPARE, "our ends of what was dropped are closed"
        for _, other in held:
            other.close()
        async with asyncio.timeout(20):
            while not await healthy(port):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)


async def test_a_full_page_drops_who_is_unfinished_longest_and_keeps_who_is_served(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_PER_ADDRESS", 1000)
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 6)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: g\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        slow = []
        for _ in range(5):
            slow.append(await asyncio.open_connection("127.0.0.1", port))
            slow[-1][1].write(b"GET / HTTP/1.1\r\nHost")
            await asyncio.sleep(0.05)
        for count in range(1, 4):
            assert await healthy(port), count
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(slow[0][0].read(), 10) == b"", "the oldest went first"
        slow[-1][1].write(b": g\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(slow[-1][0].readline(), 10)).startswith(b"HTTP/1.1 200"), (
            "the youngest is still here"
        )
        assert await asyncio.wait_for(reader.readuntil(b"event: status"), 20), "a stream goes on"
        writer.transport.abort()
        for _, other in slow:
            other.close()


async def test_a_page_full_of_streams_turns_others_away_but_not_the_watchman(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_PER_ADDRESS", 1000)
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 3)
    async with served() as port:
        streams = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: g\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            streams.append(writer)
        assert await healthy(port)
        assert (await say(port, b"GET /system HTTP/1.1\r\nHost: g\r\n\r\n")).startswith(b"HTTP/1.1 503")
        for writer in streams:
            writer.transport.abort()


async def test_an_idle_connection_is_closed_and_a_busy_one_kept(monkeypatch):
    monkeypatch.setattr(server_module, "KEEP_ALIVE", 5)  # a busy machine may be slow between two requests
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


async def test_a_visitor_who_does_not_read_his_answers_is_harmless():
    async with served() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: g\r\n\r\n" * 300)
        assert await healthy(port)
        writer.transport.abort()
        assert await healthy(port)


async def test_a_taken_port_is_told_once_and_tried_again(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        building = Building()
        server = PageServer(
            create_page(building, NAMES), "127.0.0.1", port, building.changes.close, retry=0.05
        )
        assert not await server.start()
        assert f"127.0.0.1:{port}" in server.error
        await asyncio.sleep(0.3)
    async with asyncio.timeout(10):
        while server.error:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)
    assert await healthy(port)
    await server.stop()
    told = [record.getMessage() for record in caplog.records if "page" in record.getMessage()]
    assert len(told) == 1 + (
        len([line for line in told if "again" in line and "served on" in line and "cannot" not in line])
    )
    assert "trying again" in told[0]


async def test_an_address_that_is_not_ours_is_told_too():
    building = Building()
    server = PageServer(create_page(building), "192.0.2.77", 8080, retry=30)
    assert not await server.start()
    assert "192.0.2.77:8080" in server.error
    await server.stop()


async def test_ipv6_where_the_host_has_it():
    building = Building()
    server = PageServer(create_page(building, NAMES), "::", 0, building.changes.close)
    if not await server.start():
        await server.stop()
        pytest.skip(f"no IPv6 here: {server.error}")
    assert await healthy(server.port)  # by IPv4, through the same socket
    await server.stop()


async def test_signals_stay_with_the_daemon():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with served():
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


async def test_start_and_stop_again_and_again_on_one_port():
    building = Building()
    first = PageServer(create_page(building, NAMES), "127.0.0.1", 0)
    await first.start()
    port = first.port
    await first.stop()
    for _ in range(3):
        again = PageServer(create_page(building, NAMES), "127.0.0.1", port)
        assert await again.start(), again.error
        assert await healthy(port)
        await again.stop()
