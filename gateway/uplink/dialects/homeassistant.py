"""Home Assistant: MQTT discovery, a device a meter, a sensor a quantity. Live only: its states have no time.

The fields are those of https://www.home-assistant.io/integrations/sensor.mqtt/; units and classes are those
that every version since 2024.3 takes (`homeassistant/components/sensor/const.py`), so reactive and apparent
power go out in var and VA.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Quantity
from gateway.mqtt import Outgoing
from gateway.uplink.dialects.dialect import (
    DatedReading,
    DescribedBuilding,
    DescribedMeter,
    Spoken,
    json_of,
    rows_of,
)
from gateway.wire import Batch, Topics

_GAUGES = {
    "kW": ("power", "kW", 1.0),
    "kvar": ("reactive_power", "var", 1000.0),
    "kVA": ("apparent_power", "VA", 1000.0),
    "V": ("voltage", "V", 1.0),
    "A": ("current", "A", 1.0),
    "Hz": ("frequency", "Hz", 1.0),
    "°C": ("temperature", "°C", 1.0),
}
"""Unit → device_class, the unit that goes out, factor."""
_COUNTERS = {"kWh": "energy", "m³": "volume"}
"""Unit → device_class."""


def sensor_class(quantity: Quantity) -> tuple[str, str, float]:
    """(device_class or empty, unit, factor) of a quantity."""
    if quantity.kind == "counter":
        return _COUNTERS.get(quantity.unit, ""), quantity.unit, 1.0
    if quantity.name.startswith(("power_factor", "displacement_factor")):
        return "power_factor", "", 1.0
    return _GAUGES.get(quantity.unit, ("", quantity.unit, 1.0))


class HomeAssistant:
    """Discovery below `prefix`, states below P/ha; what is older than `expire_after` s is not said, but for
    what is read so seldom that nobody could have a newer one.
    """

    away = None

    def __init__(self, gateway: str, *, prefix: str, expire_after: float) -> None:
        self._gateway = gateway
        self._config = f"{prefix}/sensor/{gateway}/"
        self._states = f"{Topics(gateway).prefix}/ha"
        self._expire_after = expire_after
        self._building = DescribedBuilding()
        self._announced: set[str] = set()
        self._born = False
        self._units: dict[str, float] = {}
        self._present: dict[str, bool] = {}
        self._last: dict[str, dict[str, tuple[int, float]]] = {}
        self._newest: dict[str, int] = {}
        self.topics: Sequence[str] = (f"{self._config}+/config",)
        """Our own announcements, which the broker keeps: a meter that is gone is taken back, whoever
        announced it.
        """

    def opening(self, now: int) -> Outgoing | None:
        """Nobody is left who would say that the values stand still."""
        del now
        self._born = False
        return self._availability("", there=False)

    def birth(self, building: DescribedBuilding, now: int) -> list[Outgoing]:
        """All sensors, and that gateway and meters are there."""
        del now
        messages: list[Outgoing] = []
        self._building = building
        announced = {}
        for meter in building.meters:
            for quantity in meter.quantities:
                topic = f"{self._config}{meter.id}_{quantity.name}/config"
                announced[topic] = self._sensor(building, meter, quantity)
                self._units[quantity.name] = sensor_class(quantity)[2]
        gone = self._announced - set(announced)
        messages += dict.fromkeys(message for topic in sorted(gone) for message in self._withdrawn(topic))
        messages += [Outgoing(topic, json_of(config), retain=True) for topic, config in announced.items()]
        self._announced, self._born = set(announced), True
        self._present = {}
        return [*messages, self._availability("", there=True)]

    def _withdrawn(self, topic: str) -> list[Outgoing]:
        """An announcement of what is not there any more; of a meter that is gone the availability, too."""
        meter = topic.removeprefix(self._config).partition("_")[0]
        kept = [topic] if self._building.meter(meter) else [topic, f"{self._states}/{meter}/availability"]
        return [Outgoing(each, b"", retain=True) for each in kept]

    def _sensor(
        self, building: DescribedBuilding, meter: DescribedMeter, quantity: Quantity
    ) -> dict[str, object]:
        device_class, unit, _ = sensor_class(quantity)
        known = {
            "device_class": device_class,
            "unit_of_measurement": unit,
        }
        about = {"manufacturer": meter.maker, "model": meter.model, "serial_number": meter.serial}
        return {
            "name": quantity.en,
            "unique_id": f"{self._gateway}_{meter.id}_{quantity.name}",
            "state_topic": f"{self._states}/{meter.id}/state",
            "value_template": f"{{{{ value_json.get('{quantity.name}') }}}}",
            "state_class": "total_increasing" if quantity.kind == "counter" else "measurement",
            **{key: value for key, value in known.items() if value},
            "expire_after": round(self._expires(meter.interval)),
            "availability_mode": "all",
            "availability": [
                {"topic": f"{self._states}/availability"},
                {"topic": f"{self._states}/{meter.id}/availability"},
            ],
            "device": {
                "identifiers": [f"{self._gateway}_{meter.id}"],
                "name": meter.name,
                **{key: value for key, value in about.items() if value},
            },
            "origin": {"name": "Submeter Gateway", "sw_version": building.version},
        }

    def _expires(self, interval: float) -> float:
        """How many s a value counts that is read so often: until three are late, as on the page."""
        return max(self._expire_after, 3.0 * interval + 30.0)

    def _availability(self, meter: str, *, there: bool) -> Outgoing:
        topic = "/".join(part for part in (self._states, meter, "availability") if part)
        return Outgoing(topic, b"online" if there else b"offline", retain=True)

    def messages(self, batch: Batch, now: int) -> Spoken:
        """The states of its meters, as far as they are newer than what was said and not too old."""
        spoken = Spoken()
        for row in rows_of(batch):
            meter = self._building.meter(row.meter)
            interval, slow = (meter.interval, meter.slow_interval) if meter else (0.0, 0.0)
            if row.t < now - 1000 * self._expires(interval) or row.t <= self._newest.get(row.meter, 0):
                spoken.skipped += 1
                continue
            self._newest[row.meter] = row.t
            there = not row.missing
            if meter is not None and self._present.get(row.meter) is not there:
                self._present[row.meter] = there
                spoken.messages.append(self._availability(row.meter, there=there))
            if there:
                spoken.messages.append(self._state(row, slow))
        return spoken

    def _state(self, row: DatedReading, slow: float) -> Outgoing:
        """All that is known of a meter: its quantities come at different intervals, in one message. What is
        doubted is unknown: a register that shows 0 once would be a reset, and its whole count a use.
        """
        last = self._last.setdefault(row.meter, {})
        last.update({name: (row.t, value) for name, value in row.good.items()})
        for name in [
            *row.absent,
            *row.suspect,
            *(n for n, (t, _) in last.items() if t < row.t - 1000 * self._expires(slow)),
        ]:
            last.pop(name, None)
        values = {name: round(value * self._units.get(name, 1.0), 9) for name, (_, value) in last.items()}
        return Outgoing(f"{self._states}/{row.meter}/state", json_of(values))

    def death(self, now: int) -> list[Outgoing]:
        """The messages by which a gateway that ends becomes unavailable."""
        del now
        return [self._availability("", there=False)]

    def heard(self, topic: str, payload: bytes, now: int) -> list[Outgoing]:
        """An announcement that the broker has kept: taken back when it is of a meter that is gone."""
        del now
        if not payload or topic in self._announced or not topic.startswith(self._config):
            return []
        if not self._born:
            self._announced.add(topic)  # the birth tells what of it is gone
            return []
        return self._withdrawn(topic)
