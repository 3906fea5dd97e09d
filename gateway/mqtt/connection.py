"""One connection to a real broker: paho-mqtt, in a thread of our own. The only module that imports paho.

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
from functools import partial

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.common.network.connecting import connected_socket
from gateway.errors import LinkDown, LinkRefused, UplinkError
from gateway.mqtt.broker import Broker
from gateway.mqtt.connack import first_bytes, may_be_connack
from gateway.mqtt.crossing import Crossing
from gateway.mqtt.limits import UNLIMITED, Limits, limits_of
from gateway.mqtt.link import DEAF, FIRST_FAILURE, MAX_UNACKED, TO_THE_LOOP, Hearing, Listener, Outgoing
from gateway.mqtt.reasons import (
    ended,
    every_code,
    farewell,
    no_answer,
    no_connack,
    odd_connack,
    refusal,
    said,
    unreachable,
    useless,
    without_keys,
)
from gateway.mqtt.tls import password, tls_context, tls_error

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 20.0
"""Seconds for name resolution, TCP, TLS, CONNACK and SUBACK together."""
CLOSE_TIMEOUT = 2.0
_TURN, _BEGIN = 1.0, 0.1
"""s that is waited for the other side: at most in each turn, and while it has not answered CONNECT."""

_RETAINED = {False: SubscribeOptions.RETAIN_DO_NOT_SEND, True: SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE}
_VERSIONS = {"5.0": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
_ENDINGS = {MQTTErrorCode.MQTT_ERR_KEEPALIVE: "silent", MQTTErrorCode.MQTT_ERR_PROTOCOL: "broke_protocol"}

ReasonCode.names = every_code(
    ReasonCode.names, (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT)
)


class PahoConnection:
    """One paho client and the thread that serves it. Everything but `_serve` and the `_on_…` runs on the
    event loop.
    """

    def __init__(
        self,
        broker: Broker,
        version: str,
        listener: Listener,
        *,
        hearing: Hearing = TO_THE_LOOP,
        synced: Callable[[], bool] = lambda: True,
        at_idle_end: Callable[[UplinkError, float], UplinkError] = lambda error, _: error,
    ) -> None:
        """`at_idle_end` says what an end with nothing on its way means, after so many seconds of silence."""
        self._broker = broker
        self._listener = listener
        self._hearing = hearing
        self._synced = synced
        self._at_idle_end = at_idle_end
        self._silence = 0.0
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
            client_id=broker.client_id,
            protocol=_VERSIONS[version],
            reconnect_on_failure=False,
            clean_session=None if version == "5.0" else True,
            transport="websockets" if broker.address.websockets else "tcp",
        )
        self._limit = MAX_UNACKED
        self._tags: dict[int, object] = {}
        self.live = False
        self._quit = False
        self._crossing = Crossing(self._loop, self._arrive)
        self._said: UplinkError | None = None
        """What the broker said by CONNACK or DISCONNECT: better than what the socket says."""
        self._connected = False
        self._limit_offered = MAX_UNACKED
        self._limits_offered = UNLIMITED
        self._topics: list[str] = []
        self._to_ask: list[str] = []
        self._asking: list[str] = []
        self._end: UplinkError | None = None

    # -- on the event loop -----------------------------------------------------------------------------------

    async def open(self, will: Outgoing | None, topics: Sequence[str]) -> None:
        """Connect and subscribe. Raises LinkDown, LinkRefused, LinkTakenOver."""
        self._topics = [topic for topic in topics if topic not in self.skips]
        self._to_ask = list(self._topics)
        self.refused_topics = dict.fromkeys((topic for topic in topics if topic in self.skips), 0)
        self._prepare(will)
        threading.Thread(target=self._serve, name=f"mqtt {self._broker.name}", daemon=True).start()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._ready
        except TimeoutError:
            self._abandon()
            raise no_answer(OPEN_TIMEOUT, to="SUBSCRIBE" if self._connected else "") from None
        except BaseException:
            self._abandon()
            raise
        if self._end is not None and self._ended.is_set():
            raise self._end  # it ended between the broker's yes and this line
        self.live = True

    def _prepare(self, will: Outgoing | None) -> None:
        client, broker = self._client, self._broker
        client.suppress_exceptions = True
        client.max_inflight_messages_set(0)  # we count: with 0 paho hands over at once and queues nothing
        client.on_connect = self._guarded(self._on_connect)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_publish = self._guarded(self._on_publish)
        client.on_message = self._guarded(self._on_message)
        client.on_disconnect = self._guarded(self._on_disconnect)
        # Without this, paho writes to the socket from the caller's thread while ours may be writing too.
        client.on_socket_register_write = lambda *_: None
        # paho tries one address after the other, and has no patience of its own for the name.
        reach = partial(connected_socket, broker.address.host, broker.address.port)
        client._create_socket_connection = reach  # type: ignore[method-assign]  # noqa: SLF001 - no other way
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain and self.keeps_retained)
        if broker.username:
            client.username_pw_set(broker.username, password(broker))
        if broker.address.tls:
            client.tls_set_context(tls_context(broker))
        if broker.address.websockets:
            client.ws_set_options(path=broker.address.path)

    @property
    def room(self) -> int:
        return self._limit - len(self._tags) if self.live else 0

    @property
    def idle(self) -> bool:
        return not self._tags

    def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            info = self._client.publish(
                message.topic,
                message.payload,
                qos=message.qos,
                retain=message.retain and self.limits.retain,
            )
            self._tags[info.mid] = message.tag

    def subscribe_again(self) -> None:
        if self.live and not self._asking:  # else an answer is still awaited, in the thread
            self._to_ask = list(self._topics)
            self._ask()

    async def close(self) -> None:
        self.live = False
        self._listener = DEAF
        if not self._ended.is_set():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._ended.wait()
        self._abandon()

    def _abandon(self) -> None:
        self.live = False
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
        elif self.live:
            self.live = False
            self._listener.lost(self._at_idle_end(error, self._silence) if self.idle else error)

    def _open_done(self, limit: int, limits: Limits) -> None:
        self._limit = limit
        self.limits = limits
        if not self._ready.done():
            self._ready.set_result(None)

    # -- in paho's thread ------------------------------------------------------------------------------------

    def _serve(self) -> None:
        reason: UplinkError = LinkDown("the connection was closed")
        try:
            reason = self._connect_and_loop()
        except Exception as error:
            log.exception("%s: the MQTT library failed", self._broker.name)
            reason = LinkDown(f"the MQTT library failed: {type(error).__name__}: {error}")
        finally:
            self._clean_up()
            self._end = self._said or reason
            if not self._broker.configured:
                self._end.hint = without_keys(self._end.hint)
            self._crossing.notify()

    def _connect_and_loop(self) -> UplinkError:
        address = self._broker.address
        host, port = address.host, address.port
        keepalive = round(self._broker.keepalive)
        try:
            if self.protocol == "5.0":
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho ships partial types
                properties.SessionExpiryInterval = 0
                properties.MaximumPacketSize = self._hearing.most
                self._client.connect(host, port, keepalive, clean_start=True, properties=properties)
            else:
                self._client.connect(host, port, keepalive)
        except ssl.SSLError as error:
            return tls_error(error, host, clock_synced=self._synced())
        except OSError as error:
            return unreachable(error, host if "%" in host else "")
        except ValueError as error:
            return LinkRefused(f"cannot be used: {error}", hint="check url")
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        deadline = time.monotonic() + self.connack_timeout
        begun: bytes | None = b""
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._quit:
            self.beat = time.monotonic()
            turn = _TURN
            if not self._connected:
                begun = begun or self._beginning()
                if self.beat > deadline or not may_be_connack(begun or b""):
                    break
                # Where the beginning has been waited for, paho must not wait, too, and take it unseen.
                turn = _BEGIN if begun != b"" else 0.0
            code = self._client.loop(turn)
        client = self._client
        self._silence = time.monotonic() - max(client._last_bytes_received, client._last_msg_out)  # noqa: SLF001 - no other way
        begun = begun or b""
        five = self.protocol == "5.0"
        if not self._connected and (code == MQTTErrorCode.MQTT_ERR_PROTOCOL or not may_be_connack(begun)):
            return odd_connack(begun, five=five)
        if not self._connected:
            return no_connack(tls=address.tls, five=five)
        return ended(_ENDINGS.get(code, "ended"), five=five)

    def _beginning(self) -> bytes | None:
        """`first_bytes`; waits a moment for them."""
        return first_bytes(self._client.socket(), 0.0 if self._client.want_write() else _BEGIN)

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
                log.exception("%s: a message from the broker could not be handled", self._broker.name)

        return call

    def _on_connect(
        self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties
    ) -> None:
        words = said(getattr(properties, "ReasonString", None), getattr(properties, "ServerReference", None))
        limits = limits_of(properties, words)
        self._said = refusal(reason.value, words) if reason.is_failure else useless(properties, limits.packet)
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
            options = SubscribeOptions(qos=1, retainHandling=_RETAINED[self._hearing.retained])
            self._client.subscribe([(topic, options) for topic in self._asking])
        else:
            self._client.subscribe([(topic, 1) for topic in self._asking])

    def _on_subscribe(
        self, _client: Client, _user: object, _mid: int, reasons: Sequence[ReasonCode], properties: Properties
    ) -> None:
        codes = dict.fromkeys(self._asking, FIRST_FAILURE)  # where the answer has none: it is not heard
        codes |= zip(self._asking, (reason.value for reason in reasons), strict=False)
        refused = {topic: code for topic, code in codes.items() if code >= FIRST_FAILURE}
        accepted = set(self._asking) - set(refused)
        self.refused_topics = {
            topic: code for topic, code in (self.refused_topics | refused).items() if topic not in accepted
        }
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
        if message.retain and not self._hearing.retained:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if self._hearing.direct:
            self._listener.received(topic, bytes(message.payload))
        elif len(message.payload) <= self._hearing.most:
            self._crossing.received(topic, bytes(message.payload))

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
            refuses = reason.is_failure and not self._connected
            self._said = (refusal if refuses else farewell)(reason.value, words)
