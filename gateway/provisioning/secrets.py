"""Passwords, tokens, keys and certificates that stand in the file itself: out of it, into files of their own.

In `submeter.yaml` an uplink may have `password` instead of `password_file`, `token` instead of `token_file`,
and PEM text as `ca`, `cert` or `key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config import MappingNode, Node, ScalarNode, SequenceNode, nodes_of
from gateway.errors import Problem

ONE_LINE = {"password": "password_file", "token": "token_file"}
PLACES = {**ONE_LINE, "ca": "ca", "cert": "cert", "key": "key"}
"""Key in the boot partition's file → key of the configuration."""
ENDINGS = {
    "password": ".password",
    "token": ".token",
    "ca": ".ca.pem",
    "cert": ".cert.pem",
    "key": ".key.pem",
}
LASTING = frozenset({"password", "key"})
"""Of use to whoever finds them later: a token is good once, and certificates are for everybody."""
PEM = "-----BEGIN "
_ID = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that stood at `where` (line and dotted key), for the file `name`; `start` and `end` span key and
    value in the file, `rest` is what must follow.
    """

    line: int
    where: str
    key: str
    name: str
    value: str
    start: int
    end: int
    rest: str


def find_secrets(text: str, file: str) -> tuple[list[Secret], list[Problem]]:
    """What must not stay in a YAML text, in its order, and what is wrong with it. Text that is no YAML has
    none: its mistakes are told by who reads it.
    """
    try:
        root = nodes_of(text)
    except ValueError:
        return [], []
    found, problems = [], []
    for index, uplink in _uplinks(root):
        pairs = {key.value: (key, value) for key, value in uplink.value if isinstance(key, ScalarNode)}
        named = pairs["name"][1].value if "name" in pairs else ""
        name = named if isinstance(named, str) and _ID.fullmatch(named) else f"uplink{index}"
        for key, (node, value) in pairs.items():
            if key not in PLACES or not isinstance(value, ScalarNode):
                continue
            if key not in ONE_LINE and PEM not in value.value:
                continue  # the name of a file
            where, line = f"uplinks[{index}].{key}", node.start_mark.line + 1
            if value.start_mark.index < node.end_mark.index:
                problems.append(Problem(file, line, where, "is an alias", "write the text itself"))
                continue
            start, end = node.start_mark.index, value.end_mark.index
            rest = "\n" if text[start:end].endswith("\n") else ""
            kept = value.value.rstrip("\n") if key in ONE_LINE else value.value
            found.append(Secret(line, where, key, name + ENDINGS[key], kept, start, end, rest))
    return sorted(found, key=lambda secret: secret.start), problems


def _uplinks(root: Node | None) -> Iterator[tuple[int, MappingNode]]:
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if key.value == "uplinks" and isinstance(value, SequenceNode):
            rows = enumerate(value.value)
            yield from ((index, row) for index, row in rows if isinstance(row, MappingNode))


def without(text: str, secrets: list[Secret], folder: Path, *, same_lines: bool = False) -> str:
    """The text with the names of files in `folder` in the place of the secrets; `same_lines`: what follows
    stays on its line.
    """
    parts, at = [], 0
    for secret in secrets:
        lines = text.count("\n", secret.start, secret.end) - len(secret.rest) if same_lines else 0
        parts += [text[at : secret.start], f"{PLACES[secret.key]}: {folder / secret.name}", "\n" * lines]
        parts.append(secret.rest)
        at = secret.end
    return "".join([*parts, text[at:]])
