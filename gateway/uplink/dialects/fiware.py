"""FIWARE: the IoT Agent for JSON over MQTT (https://fiware-iotagent-json.readthedocs.io).

Attributes are those of ThreePhaseAcMeasurement 0.0.4 (smart-data-models/dataModel.Energy) where it has one:
powers in W, VAr and VA, energies in kWh, kVArh and kVAh, distortion as a share of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import QUANTITIES
from gateway.mqtt import Outgoing
from gateway.uplink.dialects.dialect import DatedReading, DescribedBuilding, Spoken, iso, json_of, rows_of
from gateway.wire import Batch

_NAMES = {
    "active_energy_import": ("totalActiveEnergyImport", "activeEnergyImport", 1.0),
    "active_energy_export": ("totalActiveEnergyExport", "activeEnergyExport", 1.0),
    "reactive_energy_import": ("totalReactiveEnergyImport", "reactiveEnergyImport", 1.0),
    "reactive_energy_export": ("totalReactiveEnergyExport", "reactiveEnergyExport", 1.0),
    "active_power": ("totalActivePower", "activePower", 1000.0),
    "reactive_power": ("totalReactivePower", "reactivePower", 1000.0),
    "apparent_power": ("totalApparentPower", "apparentPower", 1000.0),
    "power_factor": ("totalPowerFactor", "powerFactor", 1.0),
    "displacement_factor": ("totalDisplacementPowerFactor", "displacementPowerFactor", 1.0),
    "frequency": ("frequency", "", 1.0),
    "current": ("averageCurrent", "current", 1.0),
    "thd_voltage": ("", "thdVoltage", 0.01),
    "thd_current": ("", "thdCurrent", 0.01),
}
"""Quantity without its phase → attribute of the total, attribute that has the phases, factor."""
_VOLTAGES = {
    "voltage_l1n": ("phaseVoltage", "L1"),
    "voltage_l2n": ("phaseVoltage", "L2"),
    "voltage_l3n": ("phaseVoltage", "L3"),
    "voltage_l12": ("phaseToPhaseVoltage", "L12"),
    "voltage_l23": ("phaseToPhaseVoltage", "L23"),
    "voltage_l31": ("phaseToPhaseVoltage", "L31"),
}


def attribute_of(quantity: str) -> tuple[str, str, float]:
    """(attribute, part of it or empty, factor) of a quantity; what the model has no word for keeps its own,
    in camel case.
    """
    if quantity in _VOLTAGES:
        return *_VOLTAGES[quantity], 1.0
    stem, _, phase = quantity.rpartition("_")
    if phase in {"l1", "l2", "l3", "n"} and stem in _NAMES and _NAMES[stem][1]:
        return _NAMES[stem][1], phase.upper(), _NAMES[stem][2]
    if quantity in _NAMES and _NAMES[quantity][0]:
        return _NAMES[quantity][0], "", _NAMES[quantity][2]
    first, *others = quantity.split("_")
    return first + "".join(word.capitalize() for word in others), "", 1.0


class Fiware:
    """A device a meter, `<gateway>-<meter>`, in the service that `apikey` stands for. Devices are made at the
    agent, which knows the entity of each.
    """

    topics: Sequence[str] = ()
    away = None

    def __init__(self, gateway: str, *, apikey: str) -> None:
        self._gateway = gateway
        self._apikey = apikey

    def opening(self, now: int) -> Outgoing | None:
        """The agent has no word for it."""
        del now
        return None

    def birth(self, building: DescribedBuilding, now: int) -> list[Outgoing]:
        """Entities are described where they are made: at the agent."""
        del building, now
        return []

    def messages(self, batch: Batch, now: int) -> Spoken:
        """One message a reading, with its time; a meter that gave nothing that is good has none."""
        del now
        return Spoken([self._measures(row) for row in rows_of(batch) if row.good])

    def _measures(self, row: DatedReading) -> Outgoing:
        said: dict[str, object] = {"TimeInstant": iso(row.t)}
        for name, value in row.good.items():
            attribute, part, factor = attribute_of(name)
            scaled = round(value * factor, 9)
            if part:
                phases = said.setdefault(attribute, {})
                assert isinstance(phases, dict)
                phases[part] = scaled
            else:
                said[attribute] = scaled
        return Outgoing(f"/json/{self._apikey}/{self._gateway}-{row.meter}/attrs", json_of(said))

    def death(self, now: int) -> list[Outgoing]:
        """No message: NGSI-LD has none for a gateway that ends."""
        del now
        return []

    def heard(self, topic: str, payload: bytes, now: int) -> list[Outgoing]:
        """Nothing is subscribed to."""
        del topic, payload, now
        return []


def attributes() -> dict[str, tuple[str, str]]:
    """Quantity → (attribute, part of it or empty), of the whole vocabulary: for the documents."""
    return {name: attribute_of(name)[:2] for name in QUANTITIES}
