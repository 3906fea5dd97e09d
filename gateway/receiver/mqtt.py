"""The receiver's broker adapter. paho is imported here once more than in uplink: the receiver is a program of
its own.

`MemoryLink` is the double for tests. Every callback is wrapped: one exception would end paho's network thread
for good.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.common.text import visible
from gateway.errors import GatewayError, LinkDown, LinkRefused
from gateway.receiver.inbox import Inbox, Message
from gateway.wire import MAX_MESSAGE

log = logging.getLogger(__name__)

KEEPALIVE = 20
SETTLE = 10.0
"""Seconds for TCP, TLS, CONNACK and SUBACK, each."""
FIRST_SETTLE = 2.5
"""Seconds for the first CONNACK: there are brokers for 3.1.1 only that do not answer a version 5 CONNECT
at all.
"""
BACKOFF = (0.5, 10.0)
"""First and longest pause in seconds between attempts; the pause is drawn from its upper half."""
REASONS = 5
"""Different reasons of one outage that are worth a line."""
_SCHEMES = {
    "mqtt": (1883, "tcp", False),
    "mqtts": (8883, "tcp", True),
    "ws": (80, "websockets", False),
    "wss": (443, "websockets", True),
}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there."""

    url: str
    client_id: str
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def parts(self) -> tuple[str, int, str, bool, str]:
        """(host, port, transport, tls, path). Raises GatewayError."""
        try:
            url = urlsplit(self.url)
            port, transport, tls = _SCHEMES[url.scheme if url.hostname else ""]
            port = url.port or port
        except (KeyError, ValueError) as error:
            mend = "write mqtt://HOST:1883 or mqtts://HOST:8883 (ws:// and wss:// work too)"
            raise GatewayError(f"--broker {self.url}: not the address of a broker", hint=mend) from error
        return url.hostname or "", port, transport, tls, url.path or "/mqtt"


class _Client(paho.Client):
    """A client that says when its network thread has ended, however it ended."""

    ended: threading.Event

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        finally:
            self.ended.set()


class PahoLink:
    """A connection that is made anew for ever: a fresh client each time, nothing is queued between two."""

    def __init__(self, broker: Broker, filters: list[str]) -> None:
        """Raises GatewayError for a URL or TLS files that cannot be used."""
        self._broker = broker
        self._filters = filters
        self._host, self._port, self._transport, self._tls, self._path = broker.parts()
        self._context = self._tls_context() if self._tls else None
        if not self._tls and not _local(self._host):
            log.warning(
                "%s: no TLS: everybody on the way can read the readings and forge receipts → use mqtts://",
                broker.url,
            )
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._patience = FIRST_SETTLE
        self._client: _Client | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._said: set[str] = set()

    def _tls_context(self) -> ssl.SSLContext:
        broker = self._broker
        try:
            context = ssl.create_default_context(cafile=str(broker.ca) if broker.ca else None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # Python 3.13 began to refuse private CAs without a key usage extension; both supported versions
            # judge alike.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if broker.cert:
                context.load_cert_chain(
                    broker.cert, broker.key, password=""
                )  # an encrypted key must fail, not ask the terminal
        except OSError as error:
            names = ", ".join(str(path) for path in (broker.ca, broker.cert, broker.key) if path)
            raise GatewayError(
                f"{names}: cannot be used for TLS: {error}",
                hint="name readable PEM files that belong together",
            ) from error
        return context

    def start(self, inbox: Inbox) -> None:
        """Connect in a thread of its own, for ever."""
        self._inbox = inbox
        self._thread.start()

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1; False when not connected."""
        client = self._client
        if client is None:
            return False
        with contextlib.suppress(ValueError, OSError):
            return client.publish(topic, payload, qos=1).rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        return False

    def stop(self) -> None:
        """Disconnect; waits at most three seconds."""
        self._stopping.set()
        if self._client is not None:
            self._client.disconnect()
        self._thread.join(3.0)

    def _run(self) -> None:
        pause = BACKOFF[0]
        while not self._stopping.is_set():
            try:
                self._session()
                pause = BACKOFF[0]
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer is to try again
                self._say_lost(str(error) or type(error).__name__)
            self._client = None
            self._stopping.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, BACKOFF[1])

    def _session(self) -> None:
        """One connection from beginning to end. Raises LinkDown, LinkRefused, OSError before it is up."""
        client = self._make()
        answer: list[ReasonCode] = []
        connacked, subscribed, failed = threading.Event(), threading.Event(), list[str]()

        def on_connect(_c: object, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
            answer.append(code)
            connacked.set()

        def on_subscribe(_c: object, _u: object, _mid: int, codes: list[ReasonCode], _p: object) -> None:
            failed.extend(str(code) for code in codes if code.is_failure)
            subscribed.set()

        client.on_connect = _safe(on_connect)
        client.on_subscribe = _safe(on_subscribe)
        client.on_message = _safe(self._on_message)
        client.connect(self._host, self._port, KEEPALIVE, properties=self._properties())
        client.loop_start()
        try:
            self._await(connacked, client, "no answer to CONNECT", self._patience)
            if answer[0].is_failure:
                if answer[0] == "Unsupported protocol version":
                    self._other_protocol(str(answer[0]))
                raise LinkRefused(
                    f"the broker said: {answer[0]}",
                    hint="check user name, password, certificate and the broker's ACL",
                )
            client.subscribe([(name, 1) for name in self._filters])
            self._await(subscribed, client, "no answer to SUBSCRIBE")
            if failed:
                raise LinkRefused(
                    f"the broker refused the subscription: {failed[0]}",
                    hint="allow reading submeter/v1/+/# in its ACL",
                )
            self._client = client
            self._say_back()
            client.ended.wait()
            if not self._stopping.is_set():
                self._say_lost("the connection ended")
        finally:
            self._client = None
            client.disconnect()
            client.ended.wait(2.0)

    def _make(self) -> _Client:
        broker = self._broker
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            broker.client_id,
            clean_session=None if v5 else True,
            protocol=self._protocol,
            transport=self._transport,  # type: ignore[arg-type]
            reconnect_on_failure=False,  # a literal by construction
        )
        client.ended = threading.Event()
        client.suppress_exceptions = True
        client.connect_timeout = SETTLE
        client.max_queued_messages_set(10_000)
        if self._transport == "websockets":
            client.ws_set_options(path=self._path)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        if self._context:
            client.tls_set_context(self._context)
        return client

    def _properties(self) -> Properties | None:
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        # The broker keeps from us what is absurd; what is merely too large comes in and is counted.
        properties.MaximumPacketSize = 4 * MAX_MESSAGE
        return properties

    def _await(self, event: threading.Event, client: _Client, what: str, seconds: float = SETTLE) -> None:
        limit = time.monotonic() + seconds
        while not event.wait(0.05):
            if client.ended.is_set() or self._stopping.is_set() or time.monotonic() > limit:
                # A broker that knows only 3.1.1 may simply hang up on a version 5 CONNECT.
                self._other_protocol(what)
                raise LinkDown(what)

    def _other_protocol(self, why: str) -> None:
        v5, v311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
        self._protocol = v311 if self._protocol == v5 else v5
        self._patience = SETTLE
        log.debug("%s; next attempt with MQTT %s", why, "5" if self._protocol == v5 else "3.1.1")

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        size = len(message.payload)
        payload = bytes(message.payload) if size <= MAX_MESSAGE else b""
        self._inbox.put(Message(topic, payload, time.monotonic(), size))

    def _say_lost(self, why: str) -> None:
        # Once per outage and reason: a wrong password that follows a closed port is news, the fifth closed
        # port is not.
        if why not in self._said and len(self._said) < REASONS:
            self._said.add(why)
            log.warning("%s: %s; trying again until it is back", self._broker.url, visible(why))

    def _say_back(self) -> None:
        log.info(
            "%s: connected (MQTT %s)",
            self._broker.url,
            "5" if self._protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1",
        )
        self._said.clear()


def _safe(callback: Callable[..., None]) -> Callable[..., None]:
    def wrapped(*arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("a callback of the broker link failed")

    return wrapped


def _local(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class MemoryLink:
    """The double: `hear` brings a message in once `ready`; `sent` is what went out as (topic, payload);
    `up` is the connection.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.up = True
        self._inbox: Inbox | None = None

    def start(self, inbox: Inbox) -> None:
        """Remember where messages go."""
        self._inbox = inbox

    @property
    def ready(self) -> bool:
        """Whether somebody listens."""
        return self._inbox is not None

    def hear(self, topic: str, payload: bytes) -> None:
        """A message from the broker."""
        assert self._inbox is not None
        self._inbox.put(Message(topic, payload, time.monotonic(), len(payload)))

    def send(self, topic: str, payload: bytes) -> bool:
        """Keep it, when up."""
        if self.up:
            self.sent.append((topic, payload))
        return self.up

    def stop(self) -> None:
        """Nothing to do."""
