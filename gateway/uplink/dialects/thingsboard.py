"""ThingsBoard, by its gateway API (https://thingsboard.io/docs/reference/gateway-mqtt-api/). A value is known
by (device, key, time), so that a second copy changes nothing.

Values are always floats: an integer beside a float at the same time makes a second, hidden row. What belongs
to one time of a device is one message: keys of one time in several ones were left out of the latest values.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.mqtt import Outgoing
from gateway.uplink.dialects.dialect import DescribedBuilding, Spoken, json_of, rows_of
from gateway.wire import Batch

_TOPIC = "v1/gateway/"


class ThingsBoard:
    """Devices are named `<gateway> <meter>`: a name is one in a whole tenant."""

    topics: Sequence[str] = ()
    away = None

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._connected: set[str] = set()

    def _device(self, meter: str) -> str:
        return f"{self._gateway} {meter}"

    def opening(self, now: int) -> Outgoing | None:
        """The broker itself notices that a gateway is gone."""
        del now
        self._connected = set()
        return None

    def birth(self, building: DescribedBuilding, now: int) -> list[Outgoing]:
        """Connects the devices, and says what they are."""
        del now
        present = {meter.id for meter in building.meters}
        gone = [Outgoing(f"{_TOPIC}disconnect", json_of({"device": self._device(id_)}))
                for id_ in sorted(self._connected - present)]  # fmt: skip
        self._connected = present
        connects = [
            Outgoing(
                f"{_TOPIC}connect",
                json_of(
                    {
                        "device": self._device(meter.id),
                        "type": f"{meter.maker} {meter.model}".strip() or "meter",
                    }
                ),
            )
            for meter in building.meters
        ]
        facts = {
            self._device(meter.id): {
                "name": meter.name,
                "maker": meter.maker,
                "model": meter.model,
                "serialNumber": meter.serial,
                "gateway": self._gateway,
                "building": building.name,
                "units": {quantity.name: quantity.unit for quantity in meter.quantities},
            }
            for meter in building.meters
        }
        return [
            *gone,
            *connects,
            *(Outgoing(f"{_TOPIC}attributes", json_of({k: v})) for k, v in facts.items()),
        ]

    def messages(self, batch: Batch, now: int) -> Spoken:
        """One message a reading; a meter that gave nothing that is good has none."""
        del now
        said = [
            Outgoing(
                f"{_TOPIC}telemetry",
                json_of({self._device(row.meter): [{"ts": row.t, "values": row.good}]}),
            )
            for row in rows_of(batch)
            if row.good
        ]
        return Spoken(said)

    def death(self, now: int) -> list[Outgoing]:
        """Disconnects the devices."""
        del now
        return [
            Outgoing(f"{_TOPIC}disconnect", json_of({"device": self._device(meter)}))
            for meter in sorted(self._connected)
        ]

    def heard(self, topic: str, payload: bytes, now: int) -> list[Outgoing]:
        """Nothing is subscribed to."""
        del topic, payload, now
        return []
