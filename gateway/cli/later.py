"""What a command needs in some of its runs: Turkish, files and meters that no daemon is asked for, a daemon
that is.
"""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    import httpx

    from gateway import catalogue, check, config, daemon, field, journal, status, wire

__all__ = ["catalogue", "check", "config", "daemon", "field", "httpx", "journal", "status", "wire"]

_MODULES = {name: f"gateway.{name}" for name in __all__} | {"httpx": "httpx"}

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "", {}, _MODULES)
