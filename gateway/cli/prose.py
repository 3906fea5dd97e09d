"""How the commands write: paragraphs as wide as the terminal, broken between words only, actions under
what they are for.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

from gateway.cli.language import _
from gateway.common.text import visible

UNBOUNDED = 1_000_000
"""Columns of what is no terminal: a line for a line, for whoever searches it."""

LEAST = 20
_ARROW = " → "
_UNIT = re.compile(r"(?<=\d) (?=(?:ms|s|sn|V|A|Hz|kV?[AW]h?|k?W|k?var|kvarh|m³|k?B|MB|GB)\b)")
"""Between a number and its unit: no line ends there."""
_TYPED = re.compile(r"`[^`\n]{1,40}`")
"""What is typed as it stands: no line ends in it."""
_MOST_HELP = 80
"""Columns of a help text at most: longer lines are hard to read."""


def width() -> int:
    """Columns that there are: COLUMNS, else the terminal's, else no bound."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return max(int(said), LEAST)
    return (
        max(shutil.get_terminal_size().columns, LEAST)
        if sys.stdout.isatty() or sys.stderr.isatty()
        else UNBOUNDED
    )


def wrapped(text: str, first: str = "", rest: str | None = None, columns: int | None = None) -> list[str]:
    """A paragraph: `first` before its first line, `rest` before the others. A word that is too long has a
    line of its own.
    """
    whole = _TYPED.sub(lambda typed: typed[0].replace(" ", "\u00a0"), _UNIT.sub("\u00a0", text))
    lines = textwrap.wrap(
        whole, columns or width(), initial_indent=first, subsequent_indent=first if rest is None else rest,
        break_long_words=False, break_on_hyphens=False, expand_tabs=False,
    ) or [first.rstrip()]  # fmt: skip
    return [line.replace("\u00a0", " ") for line in lines]


def said(text: str, indent: str = "", mark: str = "") -> list[str]:
    """A message, of one line or more; `what → what to do` is one line if it fits, else the action begins a
    line of its own.

    `mark` ("! ") stands before the first line, the others are indented as much. What is not seen, in the name
    of a file for one, is written as its code point.
    """
    told: list[str] = []
    for line in (visible(each.replace("\t", " ")) for each in text.split("\n")):
        first, rest = indent + mark, indent + " " * max(len(mark), 2 if told or not mark else 0)
        what, arrow, action = line.strip().partition(_ARROW)
        own = line[: len(line) - len(line.lstrip())]
        if not arrow or len(first + own + line.strip()) <= width():
            told += wrapped(line.strip(), first + own, rest + own)
        else:
            told += wrapped(what, first + own, rest + own)
            told += wrapped(action, f"{rest}{own}→ ", f"{rest}{own}  ")
        mark = " " * len(mark)
    return told


def say(text: str = "", indent: str = "", mark: str = "", *, err: bool = False) -> None:
    """Print a message."""
    print("\n".join(said(text, indent, mark)) if text else "", file=sys.stderr if err else sys.stdout)


def entry(name: str, text: str, names: int, indent: str = "") -> list[str]:
    """A word and what it means: beside it, or below it where the terminal is narrow. `names`: columns of
    the longest word.
    """
    hang = len(indent) + names + 2
    if width() - hang >= min(2 * LEAST, len(text)) and len(name) <= names:
        return wrapped(text, f"{indent}{name:<{names}}  ", " " * hang)
    return [f"{indent}{name}", *wrapped(text, indent + "    ")]


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = (), indent: str = "  ") -> list[str]:
    """Rows of cells in columns; the last cell is prose: it stands beside the others, or below them where
    it does not fit.
    """
    count, right = max((len(row) for row in rows), default=1) - 1, set(right)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(count)]
    told = []
    for row in rows:
        sized = [(at, cell, widths[at]) for at, cell in enumerate(row[:count])]
        line = indent + "  ".join(
            cell.rjust(size) if at in right else cell.ljust(size) for at, cell, size in sized
        )
        if not row[count]:
            told.append(line.rstrip())
        elif len(line) + 2 + len(row[count]) <= width():
            told.append(f"{line}  {row[count]}")
        else:
            told += [line.rstrip(), *wrapped(row[count], indent + "    ")]
    return told


class HelpFormatter(click.HelpFormatter):
    """Click's help, wrapped as everything else."""

    def __init__(
        self,
        indent_increment: int = 2,
        width: int | None = None,  # noqa: ARG002
        max_width: int | None = None,  # noqa: ARG002
    ) -> None:
        super().__init__(indent_increment, _help_width())

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """One line, or more between words."""
        head = (prefix or _("Usage:") + " ") + f"{prog} "
        self.write(
            "\n".join(wrapped(args, head, "    ", self.width)) + "\n" if args else head.rstrip() + "\n"
        )

    def write_text(self, text: str) -> None:
        """Wrap the text as paragraphs, as `say` does."""
        indent = " " * self.current_indent
        parts = [wrapped(" ".join(part.split()), indent, columns=self.width) for part in text.split("\n\n")]
        self.write("\n\n".join("\n".join(part) for part in parts) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Words and what they mean, beside or below them."""
        rows = list(rows)
        indent = " " * self.current_indent
        names = min(max((len(name) for name, _ in rows), default=0), col_max)
        for name, text in rows:
            hang = len(indent) + names + col_spacing
            if len(name) <= names and self.width - hang >= 2 * LEAST:
                lines = wrapped(text, f"{indent}{name:<{names}}{' ' * col_spacing}", " " * hang, self.width)
            else:
                lines = [indent + name, *wrapped(text, indent + "    ", columns=self.width)]
            self.write("\n".join(lines) + "\n")


def _help_width() -> int:
    return min(width(), _MOST_HELP)


class HelpContext(click.Context):
    """Click's context, with our help."""

    formatter_class = HelpFormatter
