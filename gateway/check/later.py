"""What a configuration without a mistake needs no check by: each is loaded when it is first asked for."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway import mqtt, uplink
    from gateway.config import rules

__all__ = ["mqtt", "rules", "uplink"]

if not TYPE_CHECKING:
    __getattr__ = on_demand(
        globals(), "gateway", {}, {"mqtt": "mqtt", "rules": "config.rules", "uplink": "uplink"}
    )
