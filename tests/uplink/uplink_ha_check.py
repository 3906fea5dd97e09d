"""Run by Home Assistant's own Python: discovery on stdin, what is wrong with each on stdout (JSON)."""

import json
import sys

from homeassistant.components.mqtt.sensor import DISCOVERY_SCHEMA
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
    SensorDeviceClass,
    SensorStateClass,
)


def flaw(config):
    try:
        known = DISCOVERY_SCHEMA(dict(config))
    except Exception as error:  # noqa: BLE001 - whatever its validators raise
        return f"{type(error).__name__}: {error}"
    if lost := set(config) - set(known):
        return f"not known: {sorted(lost)}"
    if "device_class" not in config:
        return None
    kind = SensorDeviceClass(config["device_class"])
    units = {None if unit is None else str(unit) for unit in DEVICE_CLASS_UNITS.get(kind, {None})}
    if config.get("unit_of_measurement") not in units:
        return f"{kind} has no unit {config.get('unit_of_measurement')}, but {sorted(map(str, units))}"
    if SensorStateClass(config["state_class"]) not in DEVICE_CLASS_STATE_CLASSES[kind]:
        return f"{kind} has no {config['state_class']}"
    return None


print(json.dumps([flaw(config) for config in json.load(sys.stdin)]))
