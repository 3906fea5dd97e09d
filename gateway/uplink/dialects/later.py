"""The dialects, and the link that speaks them: an uplink in the native one needs none of them."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway.uplink.dialects.fiware import Fiware
    from gateway.uplink.dialects.homeassistant import HomeAssistant
    from gateway.uplink.dialects.link import DialectLink
    from gateway.uplink.dialects.sparkplug import Sparkplug
    from gateway.uplink.dialects.thingsboard import ThingsBoard

__all__ = ["DialectLink", "Fiware", "HomeAssistant", "Sparkplug", "ThingsBoard"]

_HOMES = {
    "DialectLink": "link",
    "Fiware": "fiware",
    "HomeAssistant": "homeassistant",
    "Sparkplug": "sparkplug",
    "ThingsBoard": "thingsboard",
}

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "gateway.uplink.dialects", _HOMES)
