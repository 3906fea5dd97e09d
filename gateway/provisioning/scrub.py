"""What is wrong with a file, without anything that stands in it: whoever finds the card reads the result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.config import MappingNode, Node, ScalarNode, SequenceNode, nodes_of, parse_yaml
from gateway.errors import Problem

HIDDEN = "…"
LEAST = 3
"""Characters of a value below which it is hidden only where it is itself what is wrong."""
VOCABULARY = frozenset(
    {"serial", "tcp", "rtu-over-tcp", "kernel", "rtc", "system", "auto", "native", "homeassistant"}
    | {"thingsboard", "fiware", "sparkplug", "primary", "secondary", "true", "false", "null"}
)
"""Words of the configuration's language, which stand in what to write."""
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}(?:\[\d+\])*(?:\.[a-z][a-z0-9_]{0,31}(?:\[\d+\])*)*")
"""A key that a person meant as one."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|‘[^’]*’|“[^”]*”")
_WORD = re.compile(r"[^\s,;(){}\[\]\"']+")


def without_values(problems: Iterable[Problem], text: str) -> Iterator[tuple[int, str, str, str]]:
    """Of each: line, key, what is wrong and what to write, without a value of the file."""
    known = dict(_scalars(text))
    values = {*known.values()} or {*_WORD.findall(text)}
    long = sorted((value for value in values if len(value) >= LEAST), key=len, reverse=True)
    for problem in problems:
        itself = known.get(problem.key, "")
        key = problem.key if _KEY.fullmatch(problem.key) else HIDDEN if problem.key else ""
        what = _hidden(_QUOTED.sub(HIDDEN, problem.what), [*([itself] if itself else []), *long])
        yield problem.line, key, what, _hidden(_QUOTED.sub(HIDDEN, problem.mend), long)


def _hidden(told: str, values: list[str]) -> str:
    for value in values:
        if value in told and value not in VOCABULARY:
            told = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, told)
    return told


def _scalars(text: str) -> Iterator[tuple[str, str]]:
    """Every scalar by its dotted key, and every key that is none; nothing when the text is no YAML."""
    if parse_yaml(text, "")[0] is None:
        return  # also what is too deep to be walked
    try:
        root = nodes_of(text)
    except ValueError:
        return
    waiting: list[tuple[str, Node | None]] = [("", root)]
    seen: set[int] = set()
    while waiting:
        where, node = waiting.pop()
        if isinstance(node, ScalarNode):
            yield where, node.value.strip()
            yield from (
                (f"{where}/{number}", line.strip()) for number, line in enumerate(node.value.split("\n"))
            )
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            waiting += [(f"{where}[{index}]", each) for index, each in enumerate(node.value)]
        elif isinstance(node, MappingNode):
            for key, value in node.value:
                name = key.value if isinstance(key, ScalarNode) else ""
                if not _KEY.fullmatch(name):
                    waiting.append(("", key))
                waiting.append((f"{where}.{name}" if where else name, value))
