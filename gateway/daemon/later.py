"""The rooms that no reading waits for: each is loaded when it is first asked for, `later.history`."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway import energy, history
    from gateway.config import rules, temperatures
    from gateway.remote import bundle, care

__all__ = ["bundle", "care", "energy", "history", "rules", "temperatures"]

_ROOMS = {
    "bundle": "remote.bundle",
    "care": "remote.care",
    "energy": "energy",
    "history": "history",
    "rules": "config.rules",
    "temperatures": "config.temperatures",
}

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "gateway", {}, _ROOMS)
