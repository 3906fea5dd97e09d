"""MQTT: the way to a broker and its in-memory stand-in; for the gateway and for the platform's receiver."""

from gateway.mqtt.broker import Broker
from gateway.mqtt.broker_link import BrokerLink, open_unless
from gateway.mqtt.double import MemoryConnection, MemoryLink
from gateway.mqtt.limits import SPARE, Limits, packet_size, payload_room
from gateway.mqtt.link import (
    FIRST_FAILURE,
    NO_SUBSCRIBERS,
    SUCCESS,
    TO_THE_LOOP,
    Connection,
    Hearing,
    Link,
    Listener,
    Outgoing,
)
from gateway.mqtt.reasons import (
    ACCESS_LIST,
    NOT_AUTHORIZED,
    PAYLOAD,
    RETURN_CODES,
    SHARED,
    TOO_LARGE,
    NoWay,
    OddConnack,
    farewell,
    meaning,
    refusal,
    unreachable,
)
from gateway.mqtt.reconnect import LinkState, Reconnect
from gateway.mqtt.thread_link import ThreadLink
from gateway.mqtt.tls import check_files, file_mistakes, open_to_others, password, tls_context, tls_error

__all__ = [
    "ACCESS_LIST", "FIRST_FAILURE", "NOT_AUTHORIZED", "NO_SUBSCRIBERS", "PAYLOAD", "RETURN_CODES", "SHARED",
    "SPARE", "SUCCESS", "TOO_LARGE", "TO_THE_LOOP",
    "Broker", "BrokerLink", "Connection", "Hearing", "Limits", "Link", "LinkState", "Listener",
    "MemoryConnection", "MemoryLink", "NoWay", "OddConnack", "Outgoing", "Reconnect", "ThreadLink",
    "check_files", "farewell", "file_mistakes", "meaning", "open_to_others", "open_unless", "packet_size",
    "password", "payload_room", "refusal", "tls_context", "tls_error", "unreachable",
]  # fmt: skip
