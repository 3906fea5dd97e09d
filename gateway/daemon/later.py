"""The rooms that no reading waits for: each is loaded when it is first asked for, `later.history`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway import energy, history
    from gateway.config import rules, temperatures
    from gateway.remote import care

__all__ = ["care", "energy", "history", "rules", "temperatures"]

_WITHIN = {"care": "remote.care", "rules": "config.rules", "temperatures": "config.temperatures"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = globals()[name] = import_module(f"gateway.{_WITHIN.get(name, name)}")
    return room
