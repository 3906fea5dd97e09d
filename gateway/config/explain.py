"""What pydantic says of a file, in words: what is wrong, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.common.near import did_you_mean
from gateway.common.text import quoted
from gateway.config.units import written_like
from gateway.config.yamlfile import MAX_DIGITS, Key

Told = tuple[str, str]
"""What is wrong, and what to write."""

_KINDS = {
    "int": "a whole number", "float": "a number", "string": "text in quotes", "bool": "true or false",
    "tuple": "a list of entries", "list": "a list of entries",
    "dict": "keys with values", "model": "keys with values",
}  # fmt: skip
_HUGE = re.compile(rf"[-+]?\d{{{MAX_DIGITS},}}")
"""More digits than any number that can be meant: it is not read as one."""
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def shown(value: object) -> str:
    """A value as it is told, cut; nothing of a list or mapping, nor of a URL, which may hold a password."""
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "@" in value):
        return ""
    return quoted(value)


def refused(value: object, error: object) -> Told:
    """What a validator says of a value."""
    what, _, mend = str(error).partition(": write ")
    return f"{shown(value)} {what}".strip(), f"write {mend}" if mend else ""


def explain(error: dict[str, Any], keys: Callable[[tuple[Key, ...]], Iterable[str]], elsewhere: str) -> Told:
    """One pydantic error. `keys` gives the keys that may stand at a place; `elsewhere` says where to look."""
    kind, value, context = error["type"], shown(error.get("input")), error.get("ctx", {})
    if kind == "finite_number":
        return f"{value} is not a number that can be meant", "write a finite number"
    if kind == "missing":
        return "is missing", f"write {error['loc'][-1]}: …"
    if kind == "extra_forbidden":
        return "is not a key here", did_you_mean(str(error["loc"][-1]), keys(error["loc"]), elsewhere)
    if kind == "value_error":
        return refused(error.get("input"), context.get("error", error["msg"]))
    if kind == "literal_error":
        return f"{value} is not one of the choices", f"write {context['expected']}"
    if kind in {"string_too_long", "too_long"}:
        if isinstance(error.get("input"), str):
            told = f"has more than {context['max_length']} characters"
            return f"{value} {told}".strip(), "write a shorter text"
        return f"has more than {context['max_length']} entries", "write fewer"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"{value} is out of range", f"write {words} {written_like(error.get('input'), context[key])}"
    if kind.endswith(("_type", "_parsing")):
        expected = _KINDS.get(kind.rsplit("_", 1)[0], "another kind of value")
        if error.get("input", "") is None:
            return "has no value", f"write {expected}, or remove the key"
        if _HUGE.fullmatch(str(error.get("input"))):
            return "is far out of range", "write a smaller number"
        if not value:
            return f"is not {expected}", f"write {expected}"
        return f"{value} is not {expected}", f"write {expected}"
    return f"{value}: {error['msg']}".removeprefix(": "), elsewhere
