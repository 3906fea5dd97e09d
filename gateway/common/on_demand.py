"""The one place that loads a module by its name: rooms, and parts of them, that are needed late or by few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

_NONE: Mapping[str, str] = MappingProxyType({})


def load(name: str) -> ModuleType:
    """The module `name`, loaded if nobody has asked for it before. Raises ImportError."""
    return import_module(name)


def on_demand(
    known: dict[str, Any], package: str, homes: Mapping[str, str], modules: Mapping[str, str] = _NONE
) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose globals are `known`. `homes`: a name → the module of `package` in
    which it stands; `modules`: a name → the module of `package` that is meant; "": none, the whole name.
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(load(f"{package}.{homes[name]}"), name)
        if name not in modules:
            raise AttributeError(f"module {known['__name__']!r} has no attribute {name!r}")
        known[name] = load(f"{package}.{modules[name]}".lstrip("."))
        return known[name]

    return get
