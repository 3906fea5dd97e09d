"""The sentences of errors and problems, collected for the catalogue: `make translations`.

An error is written once, in English, where it is met. Whoever shows it to a person says it in their language,
by the sentence that it was made from (gateway/status/words/errors.py). These sentences are what this module
finds: messages and hints of every error, problems of files, and the words that they are put together from.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import Any

from babel.messages.extract import extract_python

from gateway import errors
from tests.syntax import parsed

LEAVES = {
    *(name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)),
    *("Problem", "PinsError", "_BadQuery", "_NoSuchMeter", "NoAnswer", "WrongQuery", "_Unfit", "damaged"),
    *("ConfigurationChange", "PhysicsCheck", "UnusableKeys", "tell"),
    *("HTTPException", "OSError", "UsageError", "ValueError"),
}
"""What is made with a text for a person."""
SILENT = re.compile(
    r"gateway/(wire|model|energy|demo/(?!show)|demo/show/site|receiver/(store/schema|upkeep|fleet/(?!reader|postgres))"
    r"|catalogue/(driver|encode|listing)|journal/(recovery/(?!examine)|file/rows)|.*(double|fake))"
)
"""Modules whose words reach nobody but the log, or are said in another way."""
MARKED = re.compile(r"gateway/(cli|platform|status)/")
"""Modules that mark their texts themselves: only their errors are collected here."""
_PROGRAM = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|WHERE|NULL|ORDER BY)\b"
    r"|\bBETWEEN \?|= \?|\bepoch IN\b|^file:|^https?://|\?mode=|\bday\.day\b"
)
"""What is written for SQLite, and addresses."""
VALUE = "%()s"
_WORDS = re.compile(r"[A-Za-z]{2,}")
_LEAST = 2
Told = tuple[int, str, str, list[str]]


def extract(file: BufferedIOBase, keywords: Any, tags: Any, options: Any) -> Iterator[Told]:
    """Babel's extractor: the marked texts of a module, and the sentences of its errors."""
    yield from extract_python(file, keywords, tags, options)
    file.seek(0)
    for line, text in sentences(file.read().decode(), str(getattr(file, "name", ""))):
        yield line, "N_", text, []


def sentences(source: str, name: str) -> Iterator[tuple[int, str]]:
    """(line, sentence with %(1)s, %(2)s … where values stand) of a module."""
    seen: set[str] = set()
    if SILENT.search(name):
        return
    marked = bool(MARKED.search(name))
    for node in ast.walk(parsed(source)):
        for part in _told(node, marked=marked, screen="/demo/" in name):
            for text in map(_numbered, itertools.chain.from_iterable(map(_pieces, _expanded(part)))):
                if text not in seen and _is_sentence(text):
                    seen.add(text)
                    yield part.lineno, text


def _told(node: ast.AST, *, marked: bool, screen: bool) -> Iterable[ast.expr]:
    """The expressions that hold a text for a person."""
    if isinstance(node, ast.Call) and (
        _name(node.func) in LEAVES or _is_super(node.func) or (screen and _on_screen(node.func))
    ):
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    if isinstance(node, ast.Assign) and marked:
        names = {_name(one) for target in node.targets for one in getattr(target, "elts", [target])}
        return [node.value] if names & {"hint", "mend", "what"} else []
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return, ast.Yield)) and node.value is not None:
        return [] if marked else [node.value]
    return []


def _is_super(node: ast.expr) -> bool:
    """The words that a class gives to the one that it is made from: super().__init__(…)."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "__init__"
        and isinstance(node.value, ast.Call)
        and _name(node.value.func) == "super"
    )


def _on_screen(node: ast.expr) -> bool:
    """What the demo prints: screen.say, account.say, screen.status."""
    return isinstance(node, ast.Attribute) and node.attr in {"say", "status"}


def _name(node: ast.expr) -> str:
    return getattr(node, "id", "") or getattr(node, "attr", "")


def _is_sentence(text: str) -> bool:
    """Whether it has words of its own: an identifier or a path has none."""
    if _PROGRAM.search(text):
        return False
    bare = re.sub(r"%\(\w+\)s", " ", text)
    return (
        bool(re.search(r"[a-z)] +[a-z(%]|[a-z]: | [a-z]+ ", bare + " "))
        and len(_WORDS.findall(bare)) >= _LEAST
    )


def _expanded(node: ast.expr) -> list[str]:
    """Every sentence that an expression may come to; a value becomes VALUE."""
    match node:
        case ast.Constant(value=str(text)):
            return [re.sub(r"\{[a-z_]+\}", VALUE, text.replace("%", "%%") if "%(" in text else text)]
        case ast.JoinedStr(values=values):
            return _joined(values)
        case ast.IfExp(body=body, orelse=orelse):
            return [*_expanded(body), *_expanded(orelse)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([left, right])
        case ast.BoolOp(values=values):
            return [text for value in values for text in _expanded(value)]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [text for part in parts for text in _expanded(part) if not isinstance(part, ast.Starred)]
        case ast.Dict(values=values):
            return [text for value in values if value is not None for text in _expanded(value)]
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Dict() as table), args=args):
            return [*_expanded(table), *(text for arg in args[1:] for text in _expanded(arg))]
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.GeneratorExp(elt=part)]):
            return _expanded(part)
        case ast.Call(func=ast.Attribute(attr="join" | "strip")):
            return []
        case ast.Call(func=ast.Name(id="did_you_mean" | "explain"), args=[_, _, *otherwise]):
            return [text for part in otherwise for text in _expanded(part)]
        case ast.Call(args=args, keywords=keywords) if _name(node.func)[:1].isupper():
            return [text for part in (*args, *(k.value for k in keywords)) for text in _expanded(part)]
        case ast.Subscript(value=ast.Dict() as table):
            return _expanded(table)
    return []


def _joined(parts: Iterable[ast.expr]) -> list[str]:
    pieces: list[list[str]] = []
    for part in parts:
        if isinstance(part, ast.Constant):
            pieces.append([str(part.value).replace("%", "%%")])
            continue
        value = part.value if isinstance(part, ast.FormattedValue) else part
        made = _expanded(value) if isinstance(value, (ast.IfExp, ast.JoinedStr, ast.BinOp)) else []
        pieces.append(made or [VALUE])
    return ["".join(choice) for choice in itertools.product(*pieces)]


def _pieces(text: str) -> Iterator[str]:
    """What is wrong and what to do are told apart where they are shown; the place before is not words."""
    for part in text.split(" → "):
        told = re.sub(rf"^{re.escape(VALUE)}:\d+: ", "", part.strip())
        what, colon, mend = told.partition(": ")
        yield from [what, mend] if colon and mend.startswith(("write ", "save ", "leave ")) else [told]


def _numbered(text: str) -> str:
    """Values have numbers, not the names of variables: code may change around a sentence."""
    count = itertools.count(1)
    return re.sub(re.escape(VALUE), lambda _: f"%({next(count)})s", text)
