"""A fast way through the plain part of YAML that nearly every head keeps to; whatever is not plain goes to the YAML library.

Plain is: keys at the start of a line; a value that is a number, a word, a text in double quotes without escapes, or a
flow list or mapping of those on one line; or, below the key, a list of such values, one a line. The library needs about
8 ms for a head, this a tenth: `submeter drivers list` reads some sixty. What it says is what the library says: a test
holds them against each other for every table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_KEY = re.compile(r"([a-z_]+):(?: +(.*))?")
_ITEM = re.compile(r" +- +(.*)")
_TOKEN = re.compile(
    r'"(?P<text>[^"\\]*)"|(?P<hex>0x[0-9A-Fa-f]+)(?=[\s,\]}]|$)|(?P<int>0|-?[1-9]\d*)(?=[,\]}]|$)'
    r"|(?P<word>[A-Za-z0-9][A-Za-z0-9 ._/()+°-]*)|(?P<mark>[\[\]{},:])|(?P<space> +)"
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,._/()+°-]*")
"""A whole value without quotes, where commas are text."""
_NUMBER = re.compile(r"[-+.0-9][0-9_.eExXoO+-]*")
_SPECIAL = {"true", "false", "null", "yes", "no", "on", "off", "inf", "nan"}


class _NotPlain(Exception):
    """Leave it to the library."""


def quick_head(text: str) -> dict[str, Any] | None:
    """The mapping that a plain text stands for; None when it is not plain."""
    head: dict[str, Any] = {}
    at: list[Any] | None = None
    try:
        for raw in text.split("\n"):
            line = raw.rstrip()
            if not line or line.lstrip().startswith("#"):
                continue
            if match := _KEY.fullmatch(line):
                if match[1] in head:
                    return None
                at = None
                if match[2]:
                    head[match[1]] = _value(match[2])
                else:
                    head[match[1]] = at = []
            elif at is not None and (match := _ITEM.fullmatch(line)):
                at.append(_value(match[1]))
            else:
                return None
    except _NotPlain:
        return None
    # A key without a value is null to YAML, not an empty list.
    return None if any(value == [] for value in head.values()) else head


def _value(text: str) -> Any:  # noqa: ANN401 - any YAML value
    if _PLAIN.fullmatch(text) and text.lower() not in _SPECIAL:
        return text
    tokens = _tokens(text)
    value = _node(next(tokens, ("", None)), tokens)
    if next(tokens, None) is not None:
        raise _NotPlain
    return value


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _NotPlain
        kind, found = match.lastgroup or "", match[match.lastgroup or 0]
        at = match.end()
        if kind == "mark" and found == ":" and text[at : at + 1] != " ":
            raise _NotPlain
        if kind == "word":
            found = found.rstrip()
            if found.lower() in _SPECIAL - {"true", "false"} or _NUMBER.fullmatch(found) or " #" in found:
                raise _NotPlain
            yield ("value", found == "true") if found in {"true", "false"} else ("value", found)
        elif kind in {"hex", "int"}:
            yield "value", int(found, 0)
        elif kind == "text":
            yield "value", found
        elif kind == "mark":
            yield found, None


def _node(token: tuple[str, Any], tokens: Iterator[tuple[str, Any]]) -> Any:  # noqa: ANN401 - any YAML value
    kind, value = token
    if kind == "value":
        return value
    if kind == "[":
        return _list(tokens)
    if kind == "{":
        return _mapping(tokens)
    raise _NotPlain


def _list(tokens: Iterator[tuple[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for token in tokens:
        if token[0] == "]" and not found:
            return found
        found.append(_node(token, tokens))
        mark = next(tokens, ("", None))[0]
        if mark == "]":
            return found
        if mark != ",":
            raise _NotPlain
    raise _NotPlain


def _mapping(tokens: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, key in tokens:
        if kind != "value" or not isinstance(key, str) or key in found or next(tokens, ("", None))[0] != ":":
            raise _NotPlain
        found[key] = _node(next(tokens, ("", None)), tokens)
        mark = next(tokens, ("", None))[0]
        if mark == "}":
            return found
        if mark != ",":
            raise _NotPlain
    raise _NotPlain
