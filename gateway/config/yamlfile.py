"""YAML that remembers its lines: one loader for the configuration and for driver tables.

libyaml gives the events, what they mean is decided here, by the core schema of YAML 1.2: `N`, `yes` and `012`
are not what YAML 1.1 makes of them. The work is linear in the file: what aliases repeat is counted before
anybody walks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from gateway.common.files import MARK, let_read, read_regular
from gateway.common.text import code_point, in_short, quoted
from gateway.errors import Problem

__all__ = [
    "MAX_BYTES",
    "MAX_DIGITS",
    "MAX_PROBLEMS",
    "Block",
    "Key",
    "MappingNode",
    "Node",
    "Rows",
    "ScalarNode",
    "SequenceNode",
    "Table",
    "few",
    "load_yaml",
    "nodes_of",
    "odd_character",
    "parse_yaml",
    "read_text",
    "scalar",
]

MAX_BYTES = 1 << 20
"""A configuration is a few kilobytes; a megabyte is a wrong file."""
MAX_DEPTH = 50
"""Lists and mappings inside one another."""
MAX_VALUES = 300_000
"""Values of a file with its aliases written out: as many as a file of MAX_BYTES can hold by itself."""
MAX_PROBLEMS = 100
"""Problems of one file that are told; who has more has another one first."""
MAX_DIGITS = 30
"""A number with more is text: nothing here can mean it."""

_NO_YAML = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Not printable by YAML 1.2 (5.1); and U+0085, U+2028, U+2029, which end a line for YAML 1.1 and for no
editor.
"""
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}
_PLAIN_TAG = "tag:yaml.org,2002:"

Key = str | int


class Table(dict[str, Any]):
    """A mapping; `lines` says on which line each key stands."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.weight = 1
        """Values in it with its aliases written out, itself included."""


class Rows(list[Any]):
    """A list; `lines` says on which line each item begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []
        self.weight = 1


class Block(str):
    """A text written below its key, after `|`; `line` is the line of its first."""

    __slots__ = ("line",)
    line: int


class _Unfit(Exception):
    """What is wrong, what to write, on which line."""

    def __init__(self, line: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.line, self.what, self.mend = line, what, mend


def load_yaml(path: Path) -> tuple[Table | None, list[Problem]]:
    """Read a YAML mapping. Returns it, or None and why not."""
    text, problems = read_text(path)
    return (None, problems) if text is None else parse_yaml(text, str(path))


def read_text(path: Path) -> tuple[str | None, list[Problem]]:
    """The text of a small file that a person wrote, or None and why not. A byte order mark is no part of
    it.
    """
    name = str(path)
    try:
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        if error.strerror and error.strerror.startswith("is "):
            return None, [Problem(name, 1, "", error.strerror, "is this the right file?")]
        mend = let_read(path) if isinstance(error, PermissionError) else "check the path and its permissions"
        return None, [Problem(name, 1, "", f"cannot be read: {error.strerror}", mend)]
    except ValueError as error:
        return None, [Problem(name, 1, "", f"cannot be read: {error}", "check the path")]
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return None, [Problem(name, 1, "", "is UTF-16 text, not UTF-8", "save it as UTF-8")]
    data = data.removeprefix(MARK)
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Problem(name, line, "", f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")]


def parse_yaml(text: str, name: str) -> tuple[Table | None, list[Problem]]:
    """Parse YAML text into a mapping with line numbers. Returns it, or None and why not. Raises nothing."""
    text = text.removeprefix("\ufeff")
    if odd := odd_character(text, name):
        return None, [odd]
    builder = _Builder(text)
    faults = builder.doubled
    try:
        document = builder.build()
    except _Unfit as unfit:
        faults.append(unfit)
    except yaml.MarkedYAMLError as error:
        faults.append(_in_words(error, text))
    except Exception as error:  # noqa: BLE001 - whatever a file makes the library raise is a problem of the file
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        faults.append(_Unfit(1, what, "check the file"))
    if faults:
        told = (Problem(name, each.line, "", f"is not valid YAML: {each.what}", each.mend) for each in faults)
        return None, few(told, name)
    if not isinstance(document, Table):
        return None, [
            Problem(
                name,
                1,
                "",
                "is not a mapping of keys to values",
                "start with the keys of the sample configuration",
            )
        ]
    return document, []


def nodes_of(text: str) -> Node | None:
    """Where everything stands in a YAML text, for whoever changes the text itself; None for an empty one.
    Raises ValueError for what is no YAML.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("the text is no YAML") from error


def _in_words(error: yaml.MarkedYAMLError, text: str) -> _Unfit:
    """What the library says, with the place where a person has to mend it."""
    mark = error.problem_mark or error.context_mark
    line, lines = mark.line + 1 if mark else 1, text.splitlines()
    begun = error.context_mark
    if begun and "quoted scalar" in (error.context or "") and "end of stream" in (error.problem or ""):
        return _Unfit(begun.line + 1, "a quotation mark opens here and never closes", "close it")
    if line <= len(lines) and "\t" in re.match(r"\s*", lines[line - 1])[0]:  # type: ignore[index]
        return _Unfit(line, "a tab stands where blanks belong", "write blanks in the place of the tab")
    # Further up such a blank may stand where it does no harm: in a text behind |, between quotation marks.
    first = max(1, line - 1)
    for number, written in enumerate(lines[first - 1 : line], first):
        if odd := re.match(r" *([^\S \t\r])", written):
            what = f"a blank that YAML does not take for one, {code_point(odd[1])}, stands before the text"
            return _Unfit(number, what, "write plain blanks in its place")
    what = " ".join(part for part in (error.context, error.problem) if part) or "is not YAML"
    return _Unfit(line, what, "check indentation, colons and quotes")


def odd_character(text: str, name: str) -> Problem | None:
    """The first character that no YAML file may hold."""
    if odd := _NO_YAML.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        return Problem(
            name,
            line,
            "",
            f"is not valid YAML: it has the character {code_point(odd[0])}",
            "write the line again by hand",
        )
    return None


class _Builder:
    """Events → mappings, lists and values, without recursion."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
        self._anchors: dict[str, Any] = {}
        self._stack: list[tuple[Table | Rows, str | None, int]] = []
        """What is open: the container, its anchor, the line where it began."""
        self._keys: list[tuple[str, int] | None] = []
        """Of each open mapping the key that waits for its value."""
        self._merges: list[list[tuple[int, Any]]] = []
        self._root: Any = None
        self._documents = 0
        self.doubled: list[_Unfit] = []
        """Keys that are given twice: the rest of the file is looked at all the same."""

    def build(self) -> Any:
        """The one document. Raises _Unfit, yaml.YAMLError."""
        for event in self._events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _Unfit(line, "a second document begins", "remove the line ---")
            elif isinstance(event, yaml.ScalarEvent):
                plain = event.implicit[0] and not event.style
                _refuse_tag(event.tag, line)
                text = _block(event.value, line + 1) if event.style == "|" else event.value
                if event.anchor:
                    self._anchors[event.anchor] = text if not plain else scalar(text)
                self._put(text, line, plain=plain)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self._anchors:
                    name = in_short(event.anchor)
                    raise _Unfit(
                        line,
                        f"*{name} names nothing, or what it stands in",
                        f"write &{name} in front of a value above",
                    )
                self._put(self._anchors[event.anchor], line)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event, line)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end()
        return self._root

    def _begin(self, event: Any, line: int) -> None:
        _refuse_tag(event.tag, line)
        if len(self._stack) >= MAX_DEPTH:
            raise _Unfit(
                line,
                f"lists and mappings stand more than {MAX_DEPTH} deep in one another",
                "check brackets and indentation",
            )
        if self._waits_for_key():
            raise _Unfit(line, "a list or a mapping is no key", "a key is a word in front of a colon")
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append((Table() if mapping else Rows(), event.anchor, line))
        self._keys.append(None)
        self._merges.append([])

    def _end(self) -> None:
        container, anchor, line = self._stack.pop()
        self._keys.pop()
        for at, source in self._merges.pop():
            assert isinstance(container, Table)
            _merge(container, source, at)
        if anchor:
            self._anchors[anchor] = container
        self._put(container, line)

    def _waits_for_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1][0], Table) and self._keys[-1] is None

    def _put(self, value: Any, line: int, *, plain: bool = False) -> None:
        if self._waits_for_key():
            if not isinstance(value, str):
                raise _Unfit(
                    line,
                    "a list or a mapping is no key"
                    if isinstance(value, (Table, Rows))
                    else f"{quoted(value)} is no key",
                    "write a word",
                )
            container = self._stack[-1][0]
            if value in container:
                first = container.lines[value]  # type: ignore[call-overload]
                what = f"the key {quoted(value)} is given twice (first in line {first})"
                self.doubled.append(_Unfit(line, what, "remove one of them"))
            self._keys[-1] = (value, line)
            return
        if plain:
            value = scalar(value)
        if not self._stack:
            self._root = value
            return
        container = self._stack[-1][0]
        weight = container.weight + getattr(value, "weight", 1)
        if weight > MAX_VALUES:
            raise _Unfit(
                line,
                f"its aliases repeat more than {MAX_VALUES} values",
                "write out what is meant, or use fewer aliases",
            )
        container.weight = weight
        if isinstance(container, Rows):
            container.append(value)
            container.lines.append(line)
            return
        key, at = self._keys[-1] or ("", line)
        self._keys[-1] = None
        if key == "<<":
            self._merges[-1].append((at, value))
        else:
            container[key] = value
            container.lines[key] = at


def _block(text: str, line: int) -> Block:
    block = Block(text)
    block.line = line
    return block


def _merge(table: Table, source: Any, line: int) -> None:
    """The keys of other mappings that this one does not have (yaml.org/type/merge)."""
    for other in source if isinstance(source, Rows) else [source]:
        if not isinstance(other, Table):
            raise _Unfit(
                line,
                "<< stands before something that is no mapping",
                "write <<: *name, or <<: [*one, *other]",
            )
        for key, value in other.items():
            if key not in table:
                table[key] = value
                table.lines[key] = other.lines[key]


def _refuse_tag(tag: str | None, line: int) -> None:
    if tag is not None and tag != "!":
        name = in_short(tag.replace(_PLAIN_TAG, "!!"))
        raise _Unfit(line, f"the tag {name} means nothing here", "remove it")


def scalar(text: str) -> Any:
    """What a text without quotes stands for in the core schema of YAML 1.2 (10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in "+-.0123456789" and len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        if _FLOAT.fullmatch(text):
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text


def few(problems: Iterator[Problem], name: str) -> list[Problem]:
    """The first MAX_PROBLEMS of them, in the order of the file; a last one says that there are more."""
    told = list(islice(problems, MAX_PROBLEMS))
    if next(problems, None) is not None:
        last = max(problem.line for problem in told)
        told.append(Problem(name, last, "", f"more than {MAX_PROBLEMS} problems", "mend these first"))
    return sorted(told)
