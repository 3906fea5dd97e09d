"""The link to a real broker: paho-mqtt, in a thread of our own. The only module that imports paho.

A fresh client serves one connection and is thrown away with it, so nothing is ever queued, reconnected or
sent twice inside paho. No exception ends its thread unseen: callbacks are wrapped, and the end of the thread
is the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.config import Uplink
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt.concessions import Concessions
from gateway.mqtt.crossing import Crossing
from gateway.mqtt.limits import LEAST_PACKET, UNLIMITED, Limits, limits_of
from gateway.mqtt.link import DEAF, MAX_UNACKED, Connection, Listener, Outgoing
from gateway.mqtt.reasons import (
    CLIENT_ID,
    RETAIN,
    NoConnack,
    Unwelcome,
    WrongVersion,
    every_code,
    farewell,
    no_connack,
    packets_too_small,
    qos_0_only,
    refusal,
    said,
)
from gateway.mqtt.tls import is_this_machine, password, tls_context, tls_error

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 20.0
"""Seconds for name resolution, TCP, TLS, CONNACK and SUBACK together."""
CONNACK_TIMEOUT = 4.0
"""Seconds for an answer to CONNECT while there is another version to try: some 3.1.1 brokers wait for more
of an MQTT 5 one.
"""
CLOSE_TIMEOUT = 2.0
MAX_PACKET = 262144
"""Bytes of one message that a broker may send us (MQTT 5 only)."""
_TURN = 1.0

_VERSIONS = {"5.0": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

ReasonCode.names = every_code(
    ReasonCode.names, (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT)
)

_UNENCRYPTED = (
    "THE LINK TO {host} IS NOT ENCRYPTED: anybody on the way can read the readings and the password, and "
    "change them "
    "→ write {scheme}:// in url"
)


class PahoLink:
    """A Link to the broker of one uplink. `protocol: auto` tries MQTT 5, then 3.1.1, and remembers what
    worked.

    What a broker does not like about CONNECT is left out at once and remembered, too: our client id (it may
    give us one), a retained Last Will. One that ends the connection instead of answering SUBSCRIBE is asked
    for one topic after the other.
    """

    def __init__(self, config: Uplink, gateway: str, *, synced: Callable[[], bool] = lambda: True) -> None:
        self._config = config
        self._client_id = f"{gateway}-{config.name}"
        self._synced = synced
        self._concessions = Concessions(config.protocol)
        self._newest: PahoConnection | None = None
        if not config.tls and not is_this_machine(config.host):
            better = {"mqtt": "mqtts", "ws": "wss"}[config.scheme]
            log.warning("uplink %s: %s", config.name, _UNENCRYPTED.format(host=config.host, scheme=better))

    async def open(self, listener: Listener, *, will: Outgoing, topics: Sequence[str]) -> Connection:
        """See Link."""
        if self._newest is not None and self._newest.ended_with == RETAIN:
            self._concessions.leave_out(RETAIN)
        versions = self._concessions.versions()
        for version in versions:
            try:
                connection = await self._attempt(
                    version, listener, will, topics, last=version == versions[-1]
                )
            except (NoConnack, WrongVersion):
                if version == versions[-1]:
                    raise
            else:
                self._concessions.spoke(version)
                return connection
        raise AssertionError  # the last version returns or raises

    async def _attempt(
        self, version: str, listener: Listener, will: Outgoing, topics: Sequence[str], *, last: bool
    ) -> PahoConnection:
        while True:
            try:
                return await self._connect(version, listener, will, topics, last=last)
            except Unwelcome as error:
                if not self._concessions.leave_out(error.code):
                    raise

    async def _connect(
        self, version: str, listener: Listener, will: Outgoing, topics: Sequence[str], *, last: bool
    ) -> PahoConnection:
        known = self._concessions
        client_id = "" if known.leaves_out(CLIENT_ID) else self._client_id
        self._newest = connection = PahoConnection(
            self._config, client_id, version, listener, synced=self._synced
        )
        connection.one_by_one, connection.skips = known.one_by_one, known.skips
        connection.keeps_retained = not known.leaves_out(RETAIN)
        if not last:
            connection.connack_timeout = CONNACK_TIMEOUT
        try:
            await connection.open(will, topics)
        except LinkDown:
            known.ended_at(connection.asked)
            raise
        return connection


class PahoConnection:
    """One paho client and the thread that serves it. Everything but `_serve` and the `_on_…` runs on the
    event loop.
    """

    def __init__(
        self,
        config: Uplink,
        client_id: str,
        version: str,
        listener: Listener,
        *,
        synced: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._listener = listener
        self._synced = synced
        self.protocol = version
        self.refused_topics: dict[str, int] = {}
        self.limits = UNLIMITED
        self.words = ""
        self.ended_with = 0
        """Reason code of the broker's DISCONNECT."""
        self.one_by_one = False
        self.skips: frozenset[str] = frozenset()
        """Topics that ended the connection before: they are not subscribed to."""
        self.keeps_retained = True
        self.asked: str | None = None
        """The topic whose SUBACK is awaited, when topics are subscribed to one after the other, or the
        first of all.
        """
        self.beat = time.monotonic()
        self.connack_timeout = OPEN_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_VERSIONS[version],
            reconnect_on_failure=False,
            clean_session=None if version == "5.0" else True,
            transport="websockets" if config.scheme in {"ws", "wss"} else "tcp",
        )
        self._limit = MAX_UNACKED
        self._tags: dict[int, object] = {}
        self._live = False
        self._closing = False
        self._quit = False
        self._crossing = Crossing(self._loop, self._arrive)
        self._said: UplinkError | None = None
        """What the broker said by CONNACK or DISCONNECT: better than what the socket says."""
        self._connected = False
        self._limit_offered = MAX_UNACKED
        self._limits_offered = UNLIMITED
        self._to_ask: list[str] = []
        self._asking: list[str] = []
        self._end: UplinkError | None = None

    # -- on the event loop
    # --------------------------------------------------------------------------------------------

    async def open(self, will: Outgoing, topics: Sequence[str]) -> None:
        """Connect and subscribe. Raises LinkDown, LinkRefused, LinkTaken."""
        self._to_ask = [topic for topic in topics if topic not in self.skips]
        self.refused_topics = dict.fromkeys((topic for topic in topics if topic in self.skips), 0)
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
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain and self.keeps_retained)
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
            info = self._client.publish(
                message.topic, message.payload, qos=1, retain=message.retain and self.limits.retain
            )
            self._tags[info.mid] = message.tag

    async def close(self) -> None:
        """See Connection."""
        self._live = False
        self._listener = DEAF
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
        self._listener = DEAF
        self._quit = True

    def _arrive(self) -> None:
        """Everything that has come from the thread since the last hop."""
        try:
            acks = [(self._tags.pop(mid), code) for mid, code in self._crossing.acks() if mid in self._tags]
            if acks:
                self._listener.acknowledged(acks)
            for topic, payload in self._crossing.messages():
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

    def _open_done(self, limit: int, limits: Limits) -> None:
        self._limit = limit
        self.limits = limits
        if not self._ready.done():
            self._ready.set_result(None)

    # -- in paho's thread
    # ---------------------------------------------------------------------------------------------

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
            self._crossing.notify()

    def _connect_and_loop(self) -> UplinkError:
        host, keepalive = self._config.host, round(self._config.keepalive)
        try:
            if self.protocol == "5.0":
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho ships partial types
                properties.SessionExpiryInterval = 0
                properties.MaximumPacketSize = MAX_PACKET
                self._client.connect(
                    host, self._config.port, keepalive, clean_start=True, properties=properties
                )
            else:
                self._client.connect(host, self._config.port, keepalive)
        except ssl.SSLError as error:
            return tls_error(error, host, clock_synced=self._synced())
        except OSError as error:
            return LinkDown(f"cannot be reached: {error.strerror or error}", cause="unreachable")
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
        known = {
            MQTTErrorCode.MQTT_ERR_KEEPALIVE: ("the broker has fallen silent", "silent"),
            MQTTErrorCode.MQTT_ERR_PROTOCOL: ("the broker broke the protocol", "broke_protocol"),
        }
        what, cause = known.get(code, ("the connection was lost", "ended"))
        return LinkDown(what, cause=cause)

    def _clean_up(self) -> None:
        """Close the socket, and cut the callbacks: without the cycle the client and its wake-up pipe are
        freed at once.
        """
        client = self._client
        client.on_connect = client.on_subscribe = client.on_publish = client.on_message = (
            client.on_disconnect
        ) = None
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

    def _on_connect(
        self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties
    ) -> None:
        words = said(getattr(properties, "ReasonString", None), getattr(properties, "ServerReference", None))
        limits = limits_of(properties, words)
        if reason.is_failure:
            self._said = refusal(reason.value, words)
        elif getattr(properties, "MaximumQoS", 1) == 0:
            self._said = qos_0_only()
        elif limits.packet is not None and limits.packet < LEAST_PACKET:
            self._said = packets_too_small(limits.packet)
        if self._said is not None:
            self._quit = True
            client.disconnect()
            return
        self._connected = True
        self._limit_offered = max(1, min(MAX_UNACKED, getattr(properties, "ReceiveMaximum", MAX_UNACKED)))
        self._limits_offered = limits if self.keeps_retained else replace(limits, retain=False)
        self._ask()

    def _ask(self) -> None:
        """Subscribe to all topics, or to the next; when there is none left the connection is open."""
        self._asking = self._to_ask[: 1 if self.one_by_one else None]
        del self._to_ask[: len(self._asking)]
        self.asked = next(iter(self._asking), None)
        if not self._asking:
            self._crossing.call(self._open_done, self._limit_offered, self._limits_offered)
        elif self.protocol == "5.0":
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe([(topic, options) for topic in self._asking])
        else:
            self._client.subscribe([(topic, 1) for topic in self._asking])

    def _on_subscribe(
        self, _client: Client, _user: object, _mid: int, reasons: Sequence[ReasonCode], properties: Properties
    ) -> None:
        refused = {
            topic: reason.value
            for topic, reason in zip(self._asking, reasons, strict=False)
            if reason.is_failure
        }
        self.refused_topics |= refused
        if refused:
            self.words = said(getattr(properties, "ReasonString", None))
        self._ask()

    def _on_publish(
        self, _client: Client, _user: object, mid: int, reason: ReasonCode, properties: Properties
    ) -> None:
        if reason.is_failure:
            self.words = said(getattr(properties, "ReasonString", None))
        self._crossing.acknowledged(mid, reason.value)

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        # A receipt or command that somebody left behind is stale by nature.
        if len(message.payload) <= MAX_PACKET and not message.retain:
            self._crossing.received(message.topic, bytes(message.payload))

    def _on_disconnect(
        self,
        _client: Client,
        _user: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        if flags.is_disconnect_packet_from_server and self._said is None:
            self.ended_with = reason.value
            words = said(
                getattr(properties, "ReasonString", None), getattr(properties, "ServerReference", None)
            )
            self._said = farewell(reason.value, words)
