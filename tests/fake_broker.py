"""A broker of a hundred lines that misbehaves on purpose, and the listener of a link to it."""

from __future__ import annotations

import asyncio
import contextlib

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1,
    2,
    3,
    4,
    8,
    9,
    12,
    13,
    14,
)


def packet(kind, body=b"", flags=0):
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind << 4 | flags]) + length + body


def publish(topic, payload, *, five, qos=0, mid=1, retain=False):
    topic = topic if isinstance(topic, bytes) else topic.encode()
    body = (
        len(topic).to_bytes(2, "big")
        + topic
        + (mid.to_bytes(2, "big") if qos else b"")
        + (b"\x00" if five else b"")
    )
    return packet(PUBLISH, body + payload, qos << 1 | retain)


def topics_in(body, *, five):
    """How many topics a SUBSCRIBE asks for; `body` without its packet id, and with few properties if any."""
    at, found = (1 + body[0] if five else 0), 0
    while at < len(body):
        at += 3 + int.from_bytes(body[at : at + 2], "big")  # length, topic, options
        found += 1
    return found


class Loopback:
    """A TCP server on this machine; `open` has the writers of its connections."""

    def __init__(self):
        self.open = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self.open:
            writer.close()


class FakeBroker(Loopback):
    """Overwrite `on_publish` and the like in a subclass; `published` counts PUBLISH packets by QoS 1 id,
    `connects` CONNECTs.
    """

    def __init__(self):
        super().__init__()
        self.connects = 0
        self.published = []
        self.versions = []

    async def _serve(self, reader, writer):
        self.open.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    digit = (await reader.readexactly(1))[0]
                    size |= (digit & 0x7F) << shift
                    shift += 7
                    if not digit & 0x80:
                        break
                body = await reader.readexactly(size)
                await self._handle(head >> 4, head & 15, body, writer)
        writer.close()

    async def _handle(self, kind, flags, body, writer):
        if kind == CONNECT:
            self.connects += 1
            writer.five, writer.has_will = body[6] == 5, bool(body[7] & 4)
            self.versions.append(body[6])
            await self.on_connect(writer)
        elif kind == SUBSCRIBE:
            writer.topics = topics_in(body[2:], five=writer.five)
            await self.on_subscribe(writer, body[:2])
        elif kind == PUBLISH:
            size = int.from_bytes(body[:2], "big")
            mid = body[2 + size : 4 + size]
            self.published.append((body[2 : 2 + size].decode(), body[4 + size + writer.five :]))
            await self.on_publish(writer, mid)
        elif kind == PINGREQ:
            writer.write(packet(PINGRESP))

    async def on_connect(self, writer):
        writer.write(packet(CONNACK, b"\x00\x00" + b"\x00" * writer.five))

    async def on_subscribe(self, writer, mid):
        writer.write(packet(SUBACK, mid + b"\x00" * writer.five + b"\x01" * writer.topics))

    async def on_publish(self, writer, mid):
        writer.write(packet(PUBACK, mid))

    def data(self):
        return [payload for topic, payload in self.published if topic.endswith("/data")]


class RefusesAWill(FakeBroker):
    """`code` says no to a CONNECT with one; None hangs up. `wills` are whether each CONNECT had one."""

    def __init__(self, code):
        super().__init__()
        self.code, self.wills = code, []

    async def on_connect(self, writer):
        self.wills.append(writer.has_will)
        if not self.refuses(writer):
            await super().on_connect(writer)
        elif self.code is None:
            writer.close()
        else:
            writer.write(packet(CONNACK, bytes((0, self.code)) + b"\x00" * writer.five))

    def refuses(self, writer):
        return writer.has_will


class Ear:
    """The listener of a link, which keeps what it is told."""

    def __init__(self):
        self.acks, self.messages, self.errors = [], [], []

    def acknowledged(self, acks):
        self.acks += acks

    def received(self, topic, payload):
        self.messages.append((topic, payload))

    def lost(self, error):
        self.errors.append(error)
