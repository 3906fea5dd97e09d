"""What this broker takes: the form in which each message goes, how large a new batch may be, and what is
left out or set aside because it is larger, or is not allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.common.troubles import Troubles
from gateway.model import Sealed
from gateway.mqtt import (
    FIRST_FAILURE,
    SPARE,
    SUCCESS,
    TOO_LARGE,
    Connection,
    Outgoing,
    packet_size,
    payload_room,
)
from gateway.uplink.delivery import Key, key_of
from gateway.uplink.outgoing.objections import Flying, Objections
from gateway.uplink.outgoing.set_aside import REFUSED, SetAside
from gateway.uplink.outgoing.set_aside import TOO_LARGE as TOO_LARGE_HERE
from gateway.uplink.rewrap import rewrap
from gateway.wire import compress

MAX_SIZE = 268_435_460
"""Bytes of the largest packet that MQTT has."""
LARGER = "allow larger messages at the broker (mosquitto: max_packet_size, message_size_limit)"
ALLOWED = "allow this topic, and retained messages, in the broker's access list"
MAX_PLAIN_TRIES = 1000
"""Batches that a broker refused for their content and that are offered uncompressed."""


class Fitting:
    """Of one uplink. `data` is the topic of the batches, `packed` whether they go compressed."""

    def __init__(
        self, data: str, gateway: str, objections: Objections, troubles: Troubles, *, packed: bool
    ) -> None:
        self._data = data
        self._gateway = gateway
        self._packed = packed
        self._objections = objections
        self._troubles = troubles
        self._limit: int | None = None
        self._five = True
        self._plain: dict[Key, None] = {}
        self._plain_only = False
        self._as_zlib: dict[Key, None] = {}
        """Batches that are on their way compressed: what is refused of them may still be taken as JSON."""
        self.set_aside = SetAside()
        self.left_out: dict[str, None] = {}
        """Topics beside the batches whose newest message is larger than the broker takes."""

    def begin(self, connection: Connection) -> None:
        """A new connection: the broker's limit may be another one by now."""
        self._limit = connection.limits.packet
        self._five = connection.protocol != "3.1.1"
        self.set_aside.forget(TOO_LARGE_HERE)

    def end(self) -> None:
        """The connection has ended: nothing fits until the next one."""
        self._limit, self._five = None, True
        self._as_zlib.clear()

    def size(self, message: Outgoing) -> int:
        """Bytes of the PUBLISH packet that a message becomes."""
        return self._size(len(message.payload), message.topic)

    def _size(self, payload: int, topic: str = "") -> int:
        return packet_size(topic or self._data, payload, five=self._five)

    def _fits(self, size: int) -> bool:
        bound = self._objections.bound
        return (self._limit is None or size <= self._limit) and (bound is None or size < bound)

    @property
    def batch_limit(self) -> int | None:
        """Bytes that the body of a new batch may have to fit this broker; None without a limit."""
        sizes = (self._limit, self._objections.good_size)
        least = min((size for size in sizes if size is not None), default=None)
        return None if least is None else max(1, payload_room(self._data, least, five=True) - SPARE)

    def batch(self, sealed: Sealed, *, t0: int | None, epoch: str) -> Outgoing | None:
        """The message for a batch, compressed or not; None when it is too large, and set aside. Raises
        WireError when it is none.
        """
        other = None if epoch == sealed.epoch else epoch
        key = key_of(sealed)
        packed = self._packed and not self._plain_only and key not in self._plain
        body = rewrap(sealed, self._gateway, t0=t0, epoch=other, packed=packed)
        if not packed and not self._fits(self._size(len(body))) and not self._plain_only:
            body = rewrap(sealed, self._gateway, t0=t0, epoch=other)
        size = self._size(len(body))
        if not self._fits(size):
            self.set_aside.put(key, TOO_LARGE_HERE, size=size)
            return None
        if packed:
            self._as_zlib[key] = None
        else:
            self._as_zlib.pop(key, None)
        return Outgoing(self._data, body, tag=key)

    def beside(self, message: Outgoing) -> Outgoing | None:
        """State, meters or a reply as the broker takes it: as it is, or compressed; None when it must be left
        out.
        """
        left_out = self._objections.left_out
        most = min(self._limit or MAX_SIZE, left_out.get(message.topic, MAX_SIZE + 1) - 1)
        subject, size = f"the size of {message.topic}", self.size(message)
        if size > most and message.packable:
            message = replace(message, payload=compress(message.payload))
        if (least := self.size(message)) <= most:
            self._troubles.end(subject)
            self.left_out.pop(message.topic, None)
            return message
        packed = f", {least} compressed" if least != size else ""
        takes = (
            f"takes {self._limit}" if self._limit is not None and most == self._limit else "does not take it"
        )
        what = (
            f"{message.topic} has {size} bytes{packed} and the broker {takes}: it is left out, batches go on"
        )
        # A batch of that size was taken: it is not the size.
        is_large = self._limit is not None or least > self._objections.largest
        self._troubles.begin(subject, what, LARGER if is_large else ALLOWED)
        self.left_out[message.topic] = None
        return None

    def acknowledged(self, tag: object, code: int, flown: Flying | None, now: float) -> None:
        """A PUBACK: what it says about what the broker takes."""
        if flown is not None and code < FIRST_FAILURE:
            self._objections.acknowledged(flown, now)
        elif flown is not None and code == TOO_LARGE and isinstance(tag, str):
            self._objections.left_out[flown.topic] = flown.size
        if code == SUCCESS:
            self._as_zlib.pop(tag, None)  # type: ignore[call-overload]  # a tag is a key or a word
        if code == SUCCESS and self._plain.pop(tag, 0) is None:  # type: ignore[call-overload]  # a tag is a key or a word
            self._plain_only = True  # refused as zlib, taken as JSON: that is a rule of this broker

    def unfit(self, sealed: Sealed, code: int, words: str, now: float) -> bool:
        """The broker refused one batch for its size or its content: whether it is offered in another form,
        or set aside; the others go on.
        """
        key = key_of(sealed)
        if code == TOO_LARGE:
            self._objections.too_large(self._size(len(sealed.body)), now)
            return True
        if self._as_zlib.pop(key, 0) is None and len(self._plain) < MAX_PLAIN_TRIES:
            if not self._plain_only:
                self._plain[key] = None
            return True
        if self.set_aside.put(key, REFUSED, now=now):
            self._plain.pop(key, None)
            what = (
                f"the broker does not allow what batch {key[0]}/{key[1]} holds{words}: it is set aside, the "
                "others go on → allow JSON and zlib on P/data at the broker"
            )
            self._troubles.note(f"content of {key[0]}", what)
        return False

    def ended(self, flying: Sequence[Flying], now: float, *, too_large: bool) -> bool:
        """The connection ended, perhaps because of what was on its way; `too_large`: the broker said so.
        Whether that is known now.
        """
        objection = self._objections.ended(flying, now, too_large=too_large)
        if objection is None:
            return False
        self._troubles.note(objection.what, f"{objection.what} → look into the broker's log")
        if isinstance(objection.batch, tuple):
            self.set_aside.put(objection.batch, REFUSED, now=now)
        return True

    def pardon(self) -> None:
        """The connections ended for another reason: all is tried again at the next tick."""
        self._objections.pardon()
        self.set_aside.hurry()

    def tell(self) -> None:
        """Say what is set aside, and when it is not any more."""
        large, subject = self.set_aside.count(TOO_LARGE_HERE), "batches that are too large"
        if not large or self.set_aside.example is None:
            self._troubles.end(subject)
            return
        (epoch, seq), size = self.set_aside.example
        takes = f"takes {self._limit}" if self._limit else f"did not take {self._objections.bound}"
        are = "1 batch is" if large == 1 else f"{large} batches are"
        what = f"{are} set aside, the others go on: {epoch}/{seq} has {size} bytes, and the broker {takes}"
        self._troubles.begin(subject, what, LARGER)

    def tick(self, now: float) -> bool:
        """Now and then what was left out or set aside may be tried again: whether that is now."""
        if not self.set_aside.tick(now) | self._objections.tick(now):
            return False
        self.set_aside.forget(TOO_LARGE_HERE)
        self._plain_only = False
        return True
