"""The rooms that a command needs in some of its runs: Turkish, files that no daemon is asked for."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway import daemon, journal, status, wire

__all__ = ["daemon", "journal", "status", "wire"]

_ROOMS = {name: name for name in __all__}

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "gateway", {}, _ROOMS)
