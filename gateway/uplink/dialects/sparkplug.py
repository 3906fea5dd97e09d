"""Sparkplug B 3.0 (Eclipse Sparkplug specification 3.0.0): the gateway is an edge node, each meter a device.

Data goes at QoS 0, as the specification wants it, and QoS 0 proves nothing. So a small message of ours at
QoS 1 follows each batch on the same connection: its PUBACK says that the broker has the data before it, and
the batch counts as delivered when the primary host was online from before to after. When that host goes
offline the connection ends, and what had no PUBACK goes again, as historical.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from gateway.common.text import visible
from gateway.errors import LinkDown, WireError
from gateway.mqtt import Outgoing
from gateway.uplink.dialects.dialect import (
    DatedReading,
    DescribedBuilding,
    DescribedMeter,
    Spoken,
    json_of,
    rows_of,
)
from gateway.uplink.dialects.sparkplug_payload import (
    BAD,
    BOOLEAN,
    GOOD,
    STALE,
    STRING,
    UINT64,
    Metric,
    asks_for_rebirth,
    encode,
)
from gateway.wire import Batch, Topics

log = logging.getLogger(__name__)

SEQS = 256
"""Numbers of messages, and of connections, before they begin anew."""


class Sparkplug:
    """One edge node. Without a `primary_host` the platform counts as always there."""

    def __init__(self, gateway: str, *, group: str, primary_host: str | None) -> None:
        self._node = gateway
        self._group = group
        self._proof = f"{Topics(gateway).prefix}/sparkplug"
        self._state = f"spBv1.0/STATE/{primary_host}" if primary_host else ""
        self._command = f"spBv1.0/{group}/NCMD/{gateway}"
        self.topics: Sequence[str] = tuple(topic for topic in (self._state, self._command) if topic)
        self._host = primary_host
        self._online = not primary_host
        self._state_at = 0
        self._bd_seq = SEQS - 1
        self._seq = SEQS - 1
        self._building = DescribedBuilding()
        self._born: set[str] = set()
        """Devices that are alive in the eyes of the host."""
        self._lost: set[str] = set()
        """Meters that gave nothing when they were asked last."""
        self._born_at = 0
        self._newest: dict[str, int] = {}
        self._last: dict[str, dict[str, tuple[int, float | None, int]]] = {}
        """Of each meter and quantity the newest time, value and quality: a birth says no more."""

    @property
    def away(self) -> LinkDown | None:
        """The primary host is not online."""
        if self._online:
            return None
        return LinkDown(
            f"the primary host {self._host} is not online",
            hint="start the host application of the platform, or leave primary_host out",
        )

    def opening(self, now: int) -> Outgoing | None:
        """The node's death; its number ties it to the birth that follows."""
        self._bd_seq = (self._bd_seq + 1) % SEQS
        self._born = set()
        self._online, self._state_at = not self._state, 0
        death = encode(now, [self._connection(now)], None)
        return Outgoing(self._topic("NDEATH"), death)

    def _topic(self, kind: str, meter: str = "") -> str:
        return "/".join(part for part in ("spBv1.0", self._group, kind, self._node, meter) if part)

    def _connection(self, now: int) -> Metric:
        return Metric("bdSeq", now, self._bd_seq, UINT64)

    def _next(self) -> int:
        self._seq = (self._seq + 1) % SEQS
        return self._seq

    def birth(self, building: DescribedBuilding, now: int) -> list[Outgoing]:
        """The node, then every meter that answers, with each of its quantities; data is younger from here
        on.
        """
        self._building = building
        self._born_at = now
        self._seq = SEQS - 1
        metrics = [
            self._connection(now),
            Metric("Node Control/Rebirth", now, False, BOOLEAN),
            Metric("Properties/Name", now, building.name, STRING),
            Metric("Properties/Version", now, building.version, STRING),
        ]
        node = Outgoing(self._topic("NBIRTH"), encode(now, metrics, self._next()), qos=0)
        self._born = set()
        return [node, *(self._device(meter, now) for meter in building.meters if meter.id not in self._lost)]

    def _device(self, meter: DescribedMeter, now: int) -> Outgoing:
        """What is known of it. A value counts until three are late; then, and all that is known of a meter
        that is lost, it is stale.
        """
        self._born.add(meter.id)
        stale = now - 1000 * (3.0 * meter.slow_interval + 30.0) if meter.id not in self._lost else now + 1
        last = self._last.get(meter.id, {})
        facts = {"Name": meter.name, "Maker": meter.maker, "Model": meter.model, "Serial": meter.serial}
        metrics = [Metric(f"Properties/{name}", now, text, STRING) for name, text in facts.items() if text]
        for quantity in meter.quantities:
            t, value, quality = last.get(quantity.name, (now, None, BAD))
            if quality == GOOD and t < stale:
                quality = STALE
            properties: dict[str, str | int] = {"Quality": quality}
            if quantity.unit:
                properties["engUnit"] = quantity.unit
            metrics.append(Metric(quantity.name, t, value, properties=properties))
        return Outgoing(self._topic("DBIRTH", meter.id), encode(now, metrics, self._next()), qos=0)

    def messages(self, batch: Batch, now: int) -> Spoken:
        """A DDATA a reading, and the message whose PUBACK proves them; a meter that is lost dies, and is born
        again.
        """
        known = {meter.id for meter in self._building.meters}
        rows = list(rows_of(batch))
        # A meter that is not in the configuration any more was never born, and has no data here.
        skipped = sum(row.meter not in known for row in rows)
        said = [message for row in rows for message in self._row(row, now)]
        if not said:
            return Spoken(skipped=skipped)
        proof = json_of({"epoch": batch.epoch, "seq": batch.seq})
        return Spoken([*said, Outgoing(self._proof, proof)], skipped)

    def _row(self, row: DatedReading, now: int) -> list[Outgoing]:
        historical = row.t < self._born_at or row.t < self._newest.get(row.meter, 0)
        meter = self._building.meter(row.meter)
        if meter is None:
            return []
        if row.missing:
            if historical:
                return []
            self._newest[row.meter] = row.t
            self._lost.add(row.meter)
            return self._end(row.meter, now)
        known = {quantity.name for quantity in meter.quantities}
        said: dict[str, tuple[float | None, int]] = {
            name: (value, BAD if name in row.suspect else GOOD) for name, value in row.values.items()
        } | dict.fromkeys(row.absent, (None, BAD))
        metrics = [
            Metric(name, row.t, value, historical=historical, properties={"Quality": quality})
            for name, (value, quality) in said.items()
            if name in known
        ]
        if not historical:
            self._lost.discard(row.meter)
        births = [] if row.meter in self._born else [self._device(meter, now)]
        if not historical:
            self._newest[row.meter] = row.t
            last = self._last.setdefault(row.meter, {})
            last.update({name: (row.t, *told) for name, told in said.items()})
        data = Outgoing(self._topic("DDATA", row.meter), encode(now, metrics, self._next()), qos=0)
        # The history of a meter that is lost: it may be told within a life alone, and lives no longer.
        return [*births, data, *(self._end(row.meter, now) if row.meter in self._lost else [])]

    def _end(self, meter: str, now: int) -> list[Outgoing]:
        if meter not in self._born:
            return []
        self._born.discard(meter)
        return [Outgoing(self._topic("DDEATH", meter), encode(now, [], self._next()), qos=0)]

    def death(self, now: int) -> list[Outgoing]:
        """Said before a good end, too: the Last Will is not sent then."""
        return [Outgoing(self._topic("NDEATH"), encode(now, [self._connection(now)], None))]

    def heard(self, topic: str, payload: bytes, now: int) -> list[Outgoing]:
        """The host's state, or its wish for a rebirth."""
        if topic == self._state:
            self._hear_state(payload)
            return []
        try:
            again = topic == self._command and asks_for_rebirth(payload)
        except WireError as error:
            log.warning("%s was ignored: %s", visible(topic), error)
            return []
        return self.birth(self._building, now) if again else []

    def _hear_state(self, payload: bytes) -> None:
        try:
            said = json.loads(payload)
            online, at = said["online"], int(said["timestamp"])
        except (ValueError, KeyError, TypeError, OverflowError):
            online, at = None, 0
        if not isinstance(online, bool):
            log.warning("%s was ignored: it is not a Sparkplug 3.0 state", self._state)
            return
        if at >= self._state_at:  # an older one is the Last Will of a session before
            self._state_at, self._online = at, online
