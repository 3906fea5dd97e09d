"""The network of simulated gateways: their connections to the brokers on one event loop, and its outages."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import time
from collections.abc import Sequence

from gateway.demo.fleet import packets
from gateway.demo.fleet.packets import BadPacket, Packets
from gateway.errors import LinkDown, UplinkError
from gateway.mqtt import (
    RETURN_CODES,
    Broker,
    Limits,
    Listener,
    Outgoing,
    farewell,
    password,
    refusal,
    tls_context,
    tls_error,
    unreachable,
)

UNACKED = 20
"""Messages without PUBACK on one connection, as a gateway has them."""
OPEN = 20.0
"""Seconds for TCP, TLS, CONNACK and SUBACK together."""
AT_ONCE = 500
"""Connections that are being opened at a time: a listening socket's queue is not longer."""
NOBODY = LinkDown("closed")


class Network:
    """Where gateways reach brokers, or nobody does."""

    def __init__(self) -> None:
        self.away = False
        """The network of the whole city."""
        self.without: set[str] = set()
        """Gateways that have lost their own."""
        self.sent = 0
        """Batches that were handed to a broker."""
        self.opening = asyncio.Semaphore(AT_ONCE)
        self.open: set[FleetConnection] = set()
        self._contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}

    def reaches(self, gateway: str) -> bool:
        """Whether a gateway has a network."""
        return not self.away and gateway not in self.without

    def cut(self) -> None:
        """End every connection whose gateway has no network any more, without a word."""
        for connection in list(self.open):
            if not self.reaches(connection.gateway):
                connection.abort(LinkDown("the network is away"))

    def lose(self, gateway: str) -> None:
        """A gateway's own network goes away."""
        self.without.add(gateway)
        self.cut()

    def restore(self) -> None:
        """Everybody has a network again."""
        self.away = False
        self.without.clear()

    def note(self, connection: FleetConnection, *, live: bool) -> None:
        """A connection was opened, or is over."""
        (self.open.add if live else self.open.discard)(connection)

    def context(self, broker: Broker) -> ssl.SSLContext | None:
        """TLS for a broker; one for all gateways. Raises LinkRefused."""
        if not broker.address.tls:
            return None
        key = (broker.ca, broker.cert, broker.key)
        if key not in self._contexts:
            self._contexts[key] = tls_context(broker)
        return self._contexts[key]


class FleetLink:
    """A Link of one gateway: the brokers of a cluster in turn, begun at another one by each gateway."""

    skipped = 0

    def __init__(self, network: Network, gateway: str, brokers: Sequence[Broker], turn: int) -> None:
        self._network = network
        self._gateway = gateway
        self._brokers = brokers
        self._turn = turn

    async def open(
        self, listener: Listener, *, will: Outgoing | None, topics: Sequence[str]
    ) -> FleetConnection:
        """Connect and subscribe. Raises LinkDown, LinkRefused."""
        if not self._network.reaches(self._gateway):
            raise LinkDown("the network is away")
        broker = self._brokers[self._turn % len(self._brokers)]
        self._turn += 1  # the next attempt goes to another one; a steady connection makes none
        connection = FleetConnection(self._network, self._gateway, broker, listener)
        async with self._network.opening:
            await connection.begin(will, topics)
        return connection


class FleetConnection(asyncio.Protocol):
    """One connection; everything happens on the event loop."""

    def __init__(self, network: Network, gateway: str, broker: Broker, listener: Listener) -> None:
        self.gateway = gateway
        self.protocol = "3.1.1" if broker.protocol == "3.1.1" else "5.0"
        self.refused_topics: dict[str, int] = {}
        self.limits = Limits()
        self.words = ""
        self._five = self.protocol == "5.0"
        self._network = network
        self._broker = broker
        self._listener: Listener | None = listener
        self._packets = Packets()
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._topics: Sequence[str] = ()
        self._will: Outgoing | None = None
        self._tags: dict[int, object] = {}
        self._number = 1
        self._most = UNACKED
        self._pinger: asyncio.TimerHandle | None = None
        self._heard_at = time.monotonic()

    # -- what an uplink asks ---------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many messages may be handed over now."""
        return self._most - len(self._tags) if self._transport is not None else 0

    @property
    def idle(self) -> bool:
        """Everything that was handed over has its PUBACK."""
        return not self._tags

    @property
    def beat(self) -> float:
        """The event loop serves the connection: it is alive when it is asked."""
        return time.monotonic()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand over at most `room` messages."""
        if self._transport is None:
            return
        out = []
        for message in messages:
            self._number = self._number % 0xFFFF + 1
            self._tags[self._number] = message.tag
            self._network.sent += isinstance(message.tag, tuple)
            out.append(packets.publish(self._five, self._number, message))
        self._transport.write(b"".join(out))

    def subscribe_again(self) -> None:
        """Subscribe to every topic, for the first time or once more."""
        if self._topics and self._transport is not None:
            self._number = self._number % 0xFFFF + 1
            self._transport.write(packets.subscribe(self._five, self._number, self._topics))

    async def close(self) -> None:
        """End it in good order."""
        self._listener = None
        if self._transport is not None:
            self._transport.write(packets.GOODBYE)
            self._transport.close()
        self._ended()

    # -- its life --------------------------------------------------------------------------------------------

    async def begin(self, will: Outgoing | None, topics: Sequence[str]) -> None:
        """Returns when it is open. Raises LinkDown, LinkRefused."""
        self._will, self._topics = will, topics
        address = self._broker.address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN):
                context = self._network.context(self._broker)
                await loop.create_connection(lambda: self, address.host, address.port, ssl=context)
                await self._ready
        except TimeoutError:
            self.abort(NOBODY)
            raise LinkDown(f"no answer within {OPEN:g} s") from None
        except (OSError, UnicodeError) as error:
            self.abort(NOBODY)
            raise _why(error, address.host) from error
        except BaseException:
            self.abort(NOBODY)
            raise
        self._network.note(self, live=True)
        if not self._network.reaches(self.gateway):
            self.abort(NOBODY)
            raise LinkDown("the network is away")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        broker = self._broker
        user = None if broker.username is None else broker.username.replace("{gateway}", self.gateway)
        transport.write(
            packets.connect(
                self._five, broker.client_id, round(broker.keepalive), self._will, (user, password(broker))
            )
        )

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        acks: list[tuple[object, int]] = []
        try:
            for kind, flags, body in self._packets.feed(data):
                if kind == packets.PUBACK:
                    number, code = packets.acknowledged(body)
                    if number in self._tags:
                        acks.append((self._tags.pop(number), code))
                else:
                    self._handle(kind, flags, body)
        except (BadPacket, UplinkError) as error:
            self.abort(error if isinstance(error, UplinkError) else LinkDown(f"the broker sent {error}"))
            return
        if acks and self._listener is not None:
            self._listener.acknowledged(acks)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):  # in TLS 1.3 a client certificate is looked at after the handshake
            self.abort(_why(exc, self._broker.address.host))
        else:
            self.abort(LinkDown("the connection was lost" + (f": {exc}" if exc else "")))

    def abort(self, error: UplinkError) -> None:
        """End it at once, and say so."""
        listener, self._listener = self._listener, None
        if self._transport is not None:
            self._transport.abort()
        self._ended()
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # who waits for it gets it; nobody may be left
        elif listener is not None and error is not NOBODY:
            listener.lost(error)

    def _ended(self) -> None:
        self._transport = None
        self._network.note(self, live=False)
        if self._pinger is not None:
            self._pinger.cancel()

    # -- packets ---------------------------------------------------------------------------------------------

    def _handle(self, kind: int, flags: int, body: bytes) -> None:
        if kind == packets.PUBLISH:
            message = packets.heard(flags, body, self._five)
            if message.number and self._transport is not None:
                self._transport.write(packets.puback(message.number))
            if self._listener is not None and not message.retained:
                self._listener.received(message.topic, message.payload)
        elif kind == packets.CONNACK:
            self._welcomed(packets.welcome(body, self._five))
        elif kind == packets.SUBACK:
            codes = packets.granted(body, self._five)
            self.refused_topics = {
                topic: code for topic, code in zip(self._topics, codes, strict=False) if code >= 0x80
            }
            self._opened()
        elif kind == packets.DISCONNECT:
            raise farewell(body[0] if body else 0)

    def _welcomed(self, welcome: packets.Welcomed) -> None:
        if welcome.code:
            code = welcome.code if self._five else RETURN_CODES.get(welcome.code, 0x80)
            raise refusal(code, five=self._five)
        self._most, self.limits = max(1, min(UNACKED, welcome.unacked)), welcome.limits
        self.subscribe_again()
        if not self._topics:
            self._opened()

    def _opened(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)
            self._ping()

    def _ping(self) -> None:
        """Twice within the keepalive; a broker that has fallen silent is left."""
        keepalive = self._broker.keepalive
        if time.monotonic() - self._heard_at > 1.5 * keepalive:
            self.abort(LinkDown("the broker has fallen silent", cause="silent"))
        elif self._transport is not None:
            self._transport.write(packets.PING)
            self._pinger = asyncio.get_running_loop().call_later(keepalive / 2, self._ping)


def _why(error: OSError | UnicodeError, host: str) -> UplinkError:
    """What a connection that failed means, in the words that a gateway's uplink has for it."""
    if isinstance(error, ssl.SSLError):
        return tls_error(error, host, clock_synced=True)
    # asyncio has texts of its own, also one of several addresses, where the system has one that everybody
    # knows; a name that was not found has a number of another kind.
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        told = [error.errno] if error.errno else [int(n) for n in re.findall(r"\[Errno (\d+)\]", str(error))]
        if told:
            error = OSError(told[-1], os.strerror(told[-1]))
    return unreachable(error)
