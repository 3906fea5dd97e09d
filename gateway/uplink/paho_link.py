"""The link to a real broker: paho-mqtt, in a thread of our own. The only module that imports paho.

A fresh client serves one connection and is thrown away with it, so nothing is ever queued, reconnected or sent twice inside
paho. No exception ends its thread unseen: callbacks are wrapped, and the end of the thread is the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.config.schema import Uplink
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.uplink.hold import ClockView
from gateway.uplink.link import MAX_UNACKED, Connection, Listener, Outgoing
from gateway.uplink.reasons import NoConnack, WrongVersion, farewell, no_connack, refusal
from gateway.uplink.security import is_this_machine, password, tls_context, tls_error

log = logging.getLogger(__name__)

KEEPALIVE = 20
"""Seconds: a half-open connection is noticed within two of these."""
OPEN_TIMEOUT = 20.0
"""Seconds for name resolution, TCP, TLS, CONNACK and SUBACK together."""
CONNACK_TIMEOUT = 4.0
"""Seconds for an answer to CONNECT while there is another version to try: some 3.1.1 brokers wait for more of an MQTT 5 one."""
CLOSE_TIMEOUT = 2.0
MAX_INBOX = 1000
"""Received messages that wait for the event loop; a flood beyond that is dropped and counted."""
MAX_PACKET = 262144
"""Bytes of one message that a broker may send us (MQTT 5 only)."""
RELEARN = 3600.0
"""Seconds after which `auto` tries MQTT 5 again at a broker that had refused it."""
_TURN = 1.0

_VERSIONS = {"5.0": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

_UNENCRYPTED = (
    "THE LINK TO {host} IS NOT ENCRYPTED: anybody on the way can read the readings and the password, and change them "
    "→ write {scheme}:// in url"
)


class PahoLink:
    """A Link to the broker of one uplink. `protocol: auto` tries MQTT 5, then 3.1.1, and remembers what worked."""

    def __init__(self, config: Uplink, gateway: str, *, clock: ClockView | None = None) -> None:
        self._config = config
        self._client_id = f"{gateway}-{config.name}"
        self._clock = clock
        self._learned: tuple[str, float] | None = None
        if not config.tls and not is_this_machine(config.host):
            better = {"mqtt": "mqtts", "ws": "wss"}[config.scheme]
            log.warning("uplink %s: %s", config.name, _UNENCRYPTED.format(host=config.host, scheme=better))

    def _versions(self) -> list[str]:
        if self._config.protocol != "auto":
            return [self._config.protocol]
        if self._learned is not None:
            version, at = self._learned
            if version == "5.0" or time.monotonic() - at < RELEARN:
                return [version]
        return ["5.0", "3.1.1"]

    async def open(self, listener: Listener, *, will: Outgoing, topics: Sequence[str]) -> Connection:
        """See Link."""
        versions = self._versions()
        for version in versions:
            connection = PahoConnection(self._config, self._client_id, version, listener, clock=self._clock)
            if version != versions[-1]:
                connection.connack_timeout = CONNACK_TIMEOUT
            try:
                await connection.open(will, topics)
            except (NoConnack, WrongVersion):
                if version == versions[-1]:
                    raise
            else:
                if self._learned is None or self._learned[0] != version:
                    self._learned = (version, time.monotonic())
                return connection
        raise AssertionError  # the last version returns or raises


class PahoConnection:
    """One paho client and the thread that serves it. Everything but `_serve` and the `_on_…` runs on the event loop."""

    def __init__(self, config: Uplink, client_id: str, version: str, listener: Listener, *, clock: ClockView | None = None) -> None:
        self._config = config
        self._listener = listener
        self._clock = clock
        self.protocol = version
        self.refused_topics: tuple[str, ...] = ()
        self.beat = time.monotonic()
        self.connack_timeout = OPEN_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=_VERSIONS[version], reconnect_on_failure=False,
            clean_session=None if version == "5.0" else True,
            transport="websockets" if config.scheme in {"ws", "wss"} else "tcp",
        )  # fmt: skip
        self._limit = MAX_UNACKED
        self._tags: dict[int, object] = {}
        self._topics: tuple[str, ...] = ()
        self._live = False
        self._closing = False
        self._quit = False
        # Crossing from paho's thread to the loop: one hop for everything that has gathered since the last.
        self._acks: deque[tuple[int, int]] = deque()
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._hop = threading.Lock()
        self._hopping = False
        self._dropped = 0
        self._said: UplinkError | None = None
        """What the broker said by CONNACK or DISCONNECT: better than what the socket says."""
        self._connected = False
        self._limit_offered = MAX_UNACKED
        self._end: UplinkError | None = None

    # -- on the event loop --------------------------------------------------------------------------------------------

    async def open(self, will: Outgoing, topics: Sequence[str]) -> None:
        """Connect and subscribe. Raises LinkDown, LinkRefused, LinkTaken."""
        self._topics = tuple(topics)
        self._prepare(will)
        threading.Thread(target=self._serve, name=f"uplink-{self._config.name}", daemon=True).start()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._ready
        except TimeoutError:
            self._abandon()
            msg = f"no answer within {OPEN_TIMEOUT:g} s"
            raise LinkDown(msg) from None
        except BaseException:
            self._abandon()
            raise
        if self._end is not None and self._ended.is_set():
            raise self._end  # it ended between the broker's yes and this line
        self._live = True

    def _prepare(self, will: Outgoing) -> None:
        client, config = self._client, self._config
        client.suppress_exceptions = True
        client.max_inflight_messages_set(0)  # we count: with 0 paho hands over at once and queues nothing
        client.on_connect = self._guarded(self._on_connect)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_publish = self._guarded(self._on_publish)
        client.on_message = self._guarded(self._on_message)
        client.on_disconnect = self._guarded(self._on_disconnect)
        # Without this, paho writes to the socket from the caller's thread while ours may be writing too.
        client.on_socket_register_write = lambda *_: None
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.username_pw_set(config.username, password(config)) if config.username else None
        if config.tls:
            client.tls_set_context(tls_context(config))
        if config.scheme in {"ws", "wss"}:
            client.ws_set_options(path=urlsplit(config.url).path or "/mqtt")

    @property
    def room(self) -> int:
        """See Connection."""
        return self._limit - len(self._tags) if self._live else 0

    @property
    def idle(self) -> bool:
        """See Connection."""
        return not self._tags

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See Connection."""
        for message in messages:
            info = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self._tags[info.mid] = message.tag

    async def close(self) -> None:
        """See Connection."""
        self._live = False
        self._listener = _DEAF
        self._closing = True
        if not self._ended.is_set():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._ended.wait()
        self._abandon()

    def _abandon(self) -> None:
        self._live = False
        self._closing = True
        self._listener = _DEAF
        self._quit = True

    def _arrive(self) -> None:
        """Everything that has come from the thread since the last hop."""
        with self._hop:
            self._hopping = False
        try:
            acks = [(self._tags.pop(mid), code) for mid, code in self._take(self._acks) if mid in self._tags]
            if acks:
                self._listener.acknowledged(acks)
            for topic, payload in self._take(self._inbox):
                self._listener.received(topic, payload)
        finally:
            if self._end is not None and not self._ended.is_set():
                self._ended.set()
                self._over(self._end)

    def _over(self, error: UplinkError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # looked at: an abandoned attempt is no "exception was never retrieved"
        elif self._live:
            self._live = False
            self._listener.lost(error)

    @staticmethod
    def _take(queue: deque[Any]) -> list[Any]:
        taken = []
        while queue:
            taken.append(queue.popleft())
        return taken

    def _open_done(self, refused: tuple[str, ...], limit: int) -> None:
        self.refused_topics = refused
        self._limit = limit
        if not self._ready.done():
            self._ready.set_result(None)

    # -- in paho's thread ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        reason: UplinkError = LinkDown("the connection was closed")
        try:
            reason = self._connect_and_loop()
        except Exception as error:
            log.exception("uplink %s: the MQTT library failed", self._config.name)
            reason = LinkDown(f"the MQTT library failed: {type(error).__name__}: {error}")
        finally:
            self._clean_up()
            self._end = self._said or reason
            self._notify()

    def _connect_and_loop(self) -> UplinkError:
        host = self._config.host
        try:
            if self.protocol == "5.0":
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho ships partial types
                properties.SessionExpiryInterval = 0
                properties.MaximumPacketSize = MAX_PACKET
                self._client.connect(host, self._config.port, KEEPALIVE, clean_start=True, properties=properties)
            else:
                self._client.connect(host, self._config.port, KEEPALIVE)
        except ssl.SSLError as error:
            return tls_error(error, host, clock_synced=self._clock is None or self._clock.synced)
        except OSError as error:
            return LinkDown(f"cannot be reached: {error.strerror or error}")
        except ValueError as error:
            return LinkRefused(f"cannot be used: {error}", hint="check url")
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        deadline = time.monotonic() + self.connack_timeout
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._quit:
            self.beat = time.monotonic()
            code = self._client.loop(_TURN if self._connected else 0.1)
            if not self._connected and self.beat > deadline:
                break
        if not self._connected:
            return no_connack(tls=self._config.tls)
        return LinkDown(
            {
                MQTTErrorCode.MQTT_ERR_KEEPALIVE: "the broker has fallen silent",
                MQTTErrorCode.MQTT_ERR_PROTOCOL: "the broker broke the protocol",
            }.get(code, "the connection was lost")
        )

    def _clean_up(self) -> None:
        """Close the socket, and cut the callbacks: without the cycle the client and its wake-up pipe are freed at once."""
        client = self._client
        client.on_connect = client.on_subscribe = client.on_publish = client.on_message = client.on_disconnect = None
        client.on_socket_register_write = None
        sock = client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            try:
                callback(*args)
            except Exception:
                log.exception("uplink %s: a message from the broker could not be handled", self._config.name)

        return call

    def _notify(self) -> None:
        with self._hop:
            if self._hopping:
                return
            self._hopping = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._arrive)

    def _on_connect(self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties) -> None:
        if reason.is_failure:
            self._said = refusal(reason.value, str(reason))
            return
        self._connected = True
        self._limit_offered = min(MAX_UNACKED, getattr(properties, "ReceiveMaximum", MAX_UNACKED))
        if not self._topics:
            self._loop.call_soon_threadsafe(self._open_done, (), self._limit_offered)
        elif self.protocol == "5.0":
            client.subscribe(
                [(topic, SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)) for topic in self._topics]
            )
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, _client: Client, _user: object, _mid: int, reasons: Sequence[ReasonCode], _properties: Properties) -> None:
        refused = tuple(topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure)
        self._loop.call_soon_threadsafe(self._open_done, refused, self._limit_offered)

    def _on_publish(self, _client: Client, _user: object, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        self._acks.append((mid, reason.value))
        self._notify()

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        if len(self._inbox) >= MAX_INBOX or len(message.payload) > MAX_PACKET:
            self._dropped += 1
            return
        if message.retain:
            return  # a receipt or command that somebody left behind is stale by nature
        self._inbox.append((message.topic, bytes(message.payload)))
        self._notify()

    def _on_disconnect(self, _client: Client, _user: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties) -> None:
        if flags.is_disconnect_packet_from_server:
            self._said = farewell(reason.value, str(reason))


class _Deaf:
    """Hears nothing: after `close` nobody is told anything."""

    def acknowledged(self, acks: Sequence[tuple[object, int]]) -> None:
        """See Listener."""

    def received(self, topic: str, payload: bytes) -> None:
        """See Listener."""

    def lost(self, error: UplinkError) -> None:
        """See Listener."""


_DEAF = _Deaf()
