"""What a broker takes: the limits that its CONNACK names, and how large a message of ours is on the line.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.common.text import visible

LEAST_PACKET = 320
"""Bytes; below, not even a batch with a single value fits, so the broker is of no use."""
SPARE = 48
"""Bytes by which a batch is made smaller than the limit: a repaired time or another gateway id makes it
longer later.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection allows. `packet`: bytes of a whole MQTT packet, None without a limit. `retain`:
    whether messages are kept.

    `client_id` is what the broker calls us when it gave us a name of its own, else empty. `note` is what else
    it said. `without_will` is how it refused the connection with a Last Will, and empty where it takes one.
    """

    packet: int | None = None
    retain: bool = True
    client_id: str = ""
    note: str = ""
    without_will: str = ""


UNLIMITED = Limits()
MAX_SHOWN = 100
"""Characters of a name that a broker gave us."""


def limits_of(properties: object, note: str = "") -> Limits:
    """Out of the properties of a CONNACK (MQTT 5, 3.2.2.3); a limit of 0 bytes is against the standard and
    counts as none.
    """
    assigned = getattr(properties, "AssignedClientIdentifier", "")
    return Limits(
        packet=getattr(properties, "MaximumPacketSize", None) or None,
        retain=getattr(properties, "RetainAvailable", 1) != 0,
        client_id=visible(str(assigned), MAX_SHOWN),
        note=note,
    )


def packet_size(topic: str, payload: int, *, five: bool) -> int:
    """Bytes of a PUBLISH at QoS 1 without properties, fixed header included (MQTT 5, 3.3; 3.1.1, 3.3)."""
    rest = 2 + len(topic.encode()) + 2 + (1 if five else 0) + payload
    return 1 + _varint(rest) + rest


def payload_room(topic: str, packet: int, *, five: bool) -> int:
    """The largest payload whose PUBLISH has at most `packet` bytes; below 0 when the topic alone is too
    long.
    """
    room = packet - packet_size(topic, 0, five=five)
    while room > 0 and packet_size(topic, room, five=five) > packet:
        room -= 1
    return room


def _varint(number: int) -> int:
    return 1 if number < 1 << 7 else 2 if number < 1 << 14 else 3 if number < 1 << 21 else 4
