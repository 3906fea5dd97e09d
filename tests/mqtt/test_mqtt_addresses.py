"""A broker is found behind its name also where some of its addresses are dead, or the name takes its time."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from gateway.common.address import BrokerAddress
from gateway.common.network import connecting
from gateway.common.network.connecting import connected_socket
from gateway.errors import LinkDown
from gateway.mqtt import BrokerLink
from gateway.mqtt.connection import OPEN_TIMEOUT
from tests.fake_broker import Ear, FakeBroker
from tests.mqtt.mqtt_parts import broker_at
from tests.ports import free_port

NAME = "broker.example"


@contextmanager
def dead_at(addresses, port):
    """Addresses at which the system answers no handshake: their queues of connections are full."""
    taken = []
    try:
        for address in addresses:
            taken.append(socket.socket())
            taken[-1].bind((address, port))
            taken[-1].listen(0)
            for _ in range(3):
                taken.append(socket.socket())
                taken[-1].setblocking(False)
                taken[-1].connect_ex((address, port))
        yield
    finally:
        for each in taken:
            each.close()


@pytest.fixture
def resolved(monkeypatch):
    """What the name leads to; the test fills it."""
    addresses = []

    def lookup(host, flags):
        if flags or host != NAME:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, (address, 0)) for address in addresses]

    monkeypatch.setattr(connecting, "_lookup", lookup)
    return addresses


def account(port):
    return replace(broker_at(port), address=BrokerAddress.of(f"mqtt://{NAME}:{port}"))


@pytest.mark.parametrize("count", [1, 3, 6])
async def test_dead_addresses_in_front_of_a_living_one_do_not_keep_a_broker_away(resolved, count):
    dead = [f"127.0.{number}.1" for number in range(201, 201 + count)]
    async with FakeBroker() as broker:
        resolved += [*dead, "127.0.0.1"]
        with dead_at(dead, broker.port):
            link = await BrokerLink(account(broker.port)).open(Ear(), will=None, topics=[])
            assert link.protocol == "5.0"
            await link.close()


async def test_a_broker_whose_every_address_is_dead_is_told_as_silent(resolved, monkeypatch):
    monkeypatch.setattr(connecting, "FAR_CONNECT", 0.2)
    port = free_port()
    resolved.append("127.0.201.1")
    with dead_at(resolved, port), pytest.raises(LinkDown, match="Connection timed out") as caught:
        await BrokerLink(account(port)).open(Ear(), will=None, topics=[])
    assert caught.value.cause == "silent"
    assert "firewalls" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "number", "words"),
    [
        (NAME, errno.ECONNREFUSED, "Connection refused"),
        ("no.example", socket.EAI_NONAME, "Name or service not known"),
    ],
)
def test_an_error_has_the_words_and_the_number_of_the_system(resolved, host, number, words):
    resolved += ["127.0.201.1", "127.0.0.1"]
    with pytest.raises(OSError, match=words) as caught:
        connected_socket(host, free_port())
    assert caught.value.errno == number


def test_a_name_that_is_not_answered_is_a_matter_of_the_name_servers(monkeypatch):
    answered = threading.Event()

    def stuck(host, flags):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(connecting, "_lookup", stuck)
    monkeypatch.setattr(connecting, "FAR_LOOKUP", 0.05)
    with pytest.raises(OSError, match="name resolution") as caught:
        connected_socket(NAME, 1883)
    assert caught.value.errno == socket.EAI_AGAIN
    answered.set()


def test_small_messages_in_a_row_do_not_wait_for_each_other():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = connected_socket(*server.getsockname())
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_name_and_addresses_have_less_time_together_than_a_connection():
    assert connecting.FAR_LOOKUP + connecting.FAR_CONNECT < OPEN_TIMEOUT
