"""MQTT: the way to a broker and its in-memory stand-in; for the gateway and for the platform's receiver."""

from gateway.mqtt.connection import PahoLink
from gateway.mqtt.double import MemoryConnection, MemoryLink
from gateway.mqtt.limits import SPARE, packet_size, payload_room
from gateway.mqtt.link import FIRST_FAILURE, NO_SUBSCRIBERS, SUCCESS, Connection, Link, Outgoing
from gateway.mqtt.reasons import ACCESS_LIST, PAYLOAD, TOO_LARGE, meaning
from gateway.mqtt.reconnect import LinkState, Reconnect
from gateway.mqtt.tls import file_mistakes, open_to_others

__all__ = [
    "ACCESS_LIST", "FIRST_FAILURE", "NO_SUBSCRIBERS", "PAYLOAD", "SPARE", "SUCCESS", "TOO_LARGE",
    "Connection", "Link", "LinkState", "MemoryConnection", "MemoryLink", "Outgoing", "PahoLink", "Reconnect",
    "file_mistakes", "meaning", "open_to_others", "packet_size", "payload_room",
]  # fmt: skip
