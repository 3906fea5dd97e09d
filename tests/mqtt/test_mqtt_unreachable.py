"""Whatever ends the way to a broker before it answers is told with what to do about it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from dataclasses import replace

import pytest

from gateway.common.address import BrokerAddress
from gateway.errors import UplinkError
from gateway.mqtt import BrokerLink, unreachable
from gateway.status.words.errors import in_words
from gateway.status.words.language import Locale
from gateway.status.words.platforms import action, why
from tests.fake_broker import Ear, Loopback
from tests.mqtt.mqtt_parts import broker_at

SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
NUMBERS = {number for name, number in vars(errno).items() if name.startswith("E")}
NUMBERS |= {number for name, number in vars(socket).items() if name.startswith("EAI_")}


class Answers(Loopback):
    """Says `told` to whoever has asked something, or cuts the connection off."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    async def _serve(self, reader, writer):
        self.open.append(writer)
        if self.told is None:
            writer.transport.abort()
            return
        await reader.read(1)
        writer.write(self.told)
        await writer.drain()
        writer.close()


def http(status):
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"


async def told_at(url):
    broker = replace(broker_at(1, "auto"), address=BrokerAddress.of(url))
    with pytest.raises(UplinkError) as caught:
        await BrokerLink(broker).open(Ear(), will=None, topics=[])
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [*map(http, (b"404 Not Found", b"403 Forbidden", b"502 Bad Gateway", b"200 OK")), SWITCHES, b"", None],
    ids=["404", "403", "502", "200", "101 without its key", "closed", "reset"],
)
async def test_a_server_that_does_not_switch_to_websockets_is_told_with_path_and_proxy(answer):
    async with Answers(answer) as server:
        error = await told_at(f"ws://127.0.0.1:{server.port}/mqtt")
    assert error.cause == "no_answer"
    assert "path in url" in error.hint


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
async def test_a_port_that_resets_tls_is_told_with_the_scheme(scheme):
    async with Answers(None) as server:
        error = await told_at(f"{scheme}://127.0.0.1:{server.port}")
    assert error.cause in {"no_answer", "tls"}
    assert error.hint


async def test_a_server_of_websockets_that_says_nothing_is_told_as_silent(monkeypatch):
    patience = property(lambda _: 0.2, lambda *_: None)
    monkeypatch.setattr("paho.mqtt.client.Client._connect_timeout", patience, raising=False)
    hold = asyncio.Event()

    class Mute(Loopback):
        async def _serve(self, reader, writer):
            self.open.append(writer)
            await hold.wait()
            writer.close()

    async with Mute() as server:
        error = await told_at(f"ws://127.0.0.1:{server.port}/mqtt")
        hold.set()
    assert error.cause == "silent"
    assert "firewalls" in error.hint


@pytest.mark.parametrize("number", sorted(NUMBERS))
def test_every_error_of_the_system_has_a_next_action_and_a_sentence_on_the_page(number):
    error = unreachable(OSError(number, os.strerror(abs(number))))
    assert error.hint
    english, turkish = (Locale(language, "Europe/Istanbul", 0) for language in ("en", "tr"))
    assert in_words(error.hint, turkish) != error.hint
    for words in (english, turkish):
        assert why(error.cause, words)
        assert action(error.cause, words)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError("timed out"), "silent"),
        (TimeoutError("_ssl.c:989: The handshake operation timed out"), "silent"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "no_answer"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "no_answer"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "no_route"),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), "no_name_server"),
        (UnicodeError("label empty or too long"), "unreachable"),
        (OSError("something of a library"), "unreachable"),
    ],
)
def test_what_has_no_number_has_a_cause_too(error, cause):
    told = unreachable(error)
    assert told.cause == cause
    assert told.hint
