"""A document held against a model: each problem with the line and the key where a person has to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.yamlfile import Key, Rows, Table, few
from gateway.errors import Problem

AnyModel = TypeVar("AnyModel", bound=BaseModel)
_DESCRIBED = re.compile(r"(function-\w+|literal)\[|constrained-")
"""How pydantic calls a kind of value that has no name."""
_TAGS = {"serial", "tcp", "rtu-over-tcp"}


def line_of(document: Any, loc: Sequence[Key]) -> int:
    """The 1-based line of the deepest part of `loc` that the file has."""
    line, node = 1, document
    for key in loc:
        if (isinstance(node, Table) and key in node) or (
            isinstance(node, Rows) and isinstance(key, int) and key < len(node)
        ):
            line = node.lines[key]  # type: ignore[index]
            node = node[key]  # type: ignore[index]
        else:
            break
    return line


def value_of(document: Any, loc: Sequence[Key]) -> Any:
    """What stands there; None where the file has nothing."""
    node = document
    for key in loc:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return None
    return node


def validate(
    model: type[AnyModel], document: Table, name: str, explain: Callable[[dict[str, Any]], tuple[str, str]]
) -> tuple[AnyModel | None, list[Problem]]:
    """Check a document against a pydantic model; `explain` turns one pydantic error into (what is wrong,
    what to write).
    """
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        return None, few(_told(error, document, name, explain), name)


def _told(
    error: ValidationError, document: Table, name: str, explain: Callable[[dict[str, Any]], tuple[str, str]]
) -> Iterator[Problem]:
    """One at a time: of many mistakes a few are told, and to explain one may cost a search."""
    # What fits none of the kinds that a value may be of is one mistake, not one for each.
    seen: set[Problem] = set()
    for item in error.errors(include_url=False):
        # pydantic names the chosen kind of a union after its index: buses[0].serial.port is buses[0].port in
        # the file.
        loc = list(item["loc"])
        if loc[:1] == ["buses"] and loc[2:3] and loc[2] in _TAGS:
            del loc[2]
        # … and after a description of its own: verified.literal['datasheet',…] is verified.
        if item["type"] != "extra_forbidden":
            loc = [key for key in loc if isinstance(key, int) or not _DESCRIBED.match(key)]
        what, mend = explain(dict(item))
        problem = Problem(name, line_of(document, loc), dotted(loc), what, mend)
        if problem not in seen:
            seen.add(problem)
            yield problem


def dotted(loc: Sequence[Key]) -> str:
    """A path as a person writes it: buses[0].port."""
    path = ""
    for key in loc:
        path += f"[{key}]" if isinstance(key, int) else (f".{key}" if path else str(key))
    return path
