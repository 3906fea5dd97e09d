"""What a configuration without a mistake needs no check by: each is loaded when it is first asked for."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway import mqtt, uplink

__all__ = ["mqtt", "uplink"]

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "gateway", {}, {name: name for name in __all__})
