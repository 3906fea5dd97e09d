"""YAML that remembers its lines: one loader for the configuration and for driver tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gateway.errors import Problem

MAX_BYTES = 1 << 20
"""A configuration is a few kilobytes; a megabyte is a wrong file."""

Key = str | int
_TAGS = {"serial", "tcp", "rtu-over-tcp"}
Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path) -> tuple[CommentedMap | None, list[Problem]]:
    """Read a YAML mapping. Returns it, or None and why not."""
    name = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            return None, [Problem(name, 1, "", f"is larger than {MAX_BYTES} bytes", "is this the right file?")]
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        return None, [Problem(name, 1, "", f"cannot be read: {error.strerror}", "check the path and its permissions")]
    except UnicodeDecodeError as error:
        return None, [Problem(name, 1, "", f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")]
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> tuple[CommentedMap | None, list[Problem]]:
    """Parse YAML text into a mapping with line numbers. Returns it, or None and why not."""
    try:
        document = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part) or "is not YAML"
        return None, [Problem(name, mark.line + 1 if mark else 1, "", f"is not valid YAML: {what}", "check indentation, colons and quotes")]
    except (YAMLError, ValueError, RecursionError) as error:
        return None, [
            Problem(
                name, 1, "", f"is not valid YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}", "check the file"
            )
        ]
    if not isinstance(document, CommentedMap):
        return None, [Problem(name, 1, "", "is not a mapping of keys to values", "start with the keys of the sample configuration")]
    return document, []


def line_of(document: Any, loc: Sequence[Key]) -> int:  # noqa: ANN401 - any YAML node
    """The 1-based line of the deepest part of `loc` that the file has."""
    line, node = 1, document
    for key in loc:
        if isinstance(node, CommentedMap) and key in node:
            line = node.lc.key(key)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            line = node.lc.item(key)[0] + 1
        else:
            break
        node = node[key]
    return line


def validate(
    model: type[Model], document: CommentedMap, name: str, explain: Callable[[dict[str, Any]], tuple[str, str]]
) -> tuple[Model | None, list[Problem]]:
    """Check a document against a pydantic model; `explain` turns one pydantic error into (what is wrong, what to write)."""
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False):
            # pydantic names the chosen kind of a union after its index: buses[0].serial.port is buses[0].port in the file.
            loc = [key for at, key in enumerate(item["loc"]) if not (at and key in _TAGS and isinstance(item["loc"][at - 1], int))]
            what, mend = explain(dict(item))
            problems.append(Problem(name, line_of(document, loc), dotted(loc), what, mend))
        return None, sorted(problems)


def dotted(loc: Sequence[Key]) -> str:
    """A path as a person writes it: buses[0].port."""
    path = ""
    for key in loc:
        path += f"[{key}]" if isinstance(key, int) else (f".{key}" if path else str(key))
    return path
