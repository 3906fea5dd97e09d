"""The mutants of one module: small changes of its source, each of which some test should notice.

Not mutated, because no test should hold it: figures at the level of a module (they are choices), words of log
lines and errors, annotations, decorators. Nor is an attribute's first value left out, for that is noticed by
whoever reads it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.syntax import parsed

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
SWAPPED: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
}
LOGGERS = {"log", "logger"}


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from `start` to `end` of the module become `text`."""

    module: str
    line: int
    last_line: int
    operator: str
    start: int
    end: int
    was: str
    text: str

    @property
    def key(self) -> str:
        """What tells it from the others of its module."""
        return f"{self.module}:{self.line}:{self.start} {self.operator} {self.text}"

    def apply(self, source: bytes) -> bytes:
        """The mutated module."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(module: str, source: bytes) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    return sorted(set(_Finder(module, source).found()), key=lambda one: (one.start, one.operator, one.text))


def compiles(source: bytes) -> bool:
    """Whether it is Python at all."""
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


class _Finder:
    def __init__(self, module: str, source: bytes) -> None:
        self._module = module
        self._source = source
        self._first = False
        """Within `__init__`."""
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def found(self) -> Iterator[Mutant]:
        yield from self._inside(parsed(self._source), within=False)

    def _inside(self, node: ast.AST, *, within: bool) -> Iterator[Mutant]:
        """The mutants below a node; `within` a function, that is."""
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.AnnAssign)) and not (
            isinstance(node, ast.AnnAssign) and within
        ):
            return
        if _logs(node):
            return
        if within:
            yield from self._of(node)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list", "type_params"}:
                continue
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._first = node.name == "__init__"
            inner = within or (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and name == "body")
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._inside(child, within=inner)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left, [operator], [right]) if type(operator) in COMPARISONS:
                yield self._change(
                    node, "compare", f"({self._text(left)} {COMPARISONS[type(operator)]} {self._text(right)})"
                )
            case ast.BoolOp(operator, values):
                word = " or " if isinstance(operator, ast.And) else " and "
                yield self._change(
                    node, "and/or", "(" + word.join(f"({self._text(value)})" for value in values) + ")"
                )
            case ast.UnaryOp(ast.Not(), operand):
                yield self._change(node, "not", f"({self._text(operand)})")
            case ast.BinOp(left, operator, right) if type(operator) in SWAPPED and not (
                _wordy(left) or _wordy(right)
            ):
                yield self._change(
                    node,
                    "arithmetic",
                    f"(({self._text(left)}) {SWAPPED[type(operator)]} ({self._text(right)}))",
                )
            case ast.Constant(bool()):
                yield self._change(node, "flag", str(not node.value))
            case ast.Constant(int() | float()):
                yield self._change(node, "constant", repr(node.value + 1))
                if node.value != 0:
                    yield self._change(node, "constant", repr(node.value - 1))
            case ast.Return(value) if value is not None and not (
                isinstance(value, ast.Constant) and value.value in {None, False}
            ):
                yield self._change(value, "returned", "None")
            case ast.Expr(ast.Call() | ast.Await()):
                yield self._change(node, "removed", "pass")
            case ast.Assign([ast.Attribute() | ast.Subscript(), *_]) if not self._first:
                yield self._change(node, "removed", "pass")
            case ast.AugAssign(target, operator, value):
                yield self._change(node, "removed", "pass")
                if type(operator) in {ast.Add, ast.Sub} and not _wordy(value):
                    yield self._change(
                        node,
                        "arithmetic",
                        f"{self._text(target)} {SWAPPED[type(operator)]}= {self._text(value)}",
                    )
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and isinstance(
            node.test, (ast.Name, ast.Attribute, ast.Call, ast.BoolOp)
        ):
            yield self._change(node.test, "condition", f"(not ({self._text(node.test)}))")

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[end_line - 1] + end_column

    def _text(self, node: ast.expr) -> str:
        start, end = self._place(node)
        return (
            f"({self._source[start:end].decode()})"
            if isinstance(node, (ast.Compare, ast.BoolOp, ast.IfExp))
            else self._source[start:end].decode()
        )

    def _change(self, node: ast.expr | ast.stmt, operator: str, text: str) -> Mutant:
        start, end = self._place(node)
        was = self._source[start:end].decode()
        return Mutant(
            self._module, node.lineno, node.end_lineno or node.lineno, operator, start, end, was, text
        )


def _logs(node: ast.AST) -> bool:
    match node:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(name)))):
            return name in LOGGERS
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def _wordy(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    )
