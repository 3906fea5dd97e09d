"""How far a command has come, on the terminal: a bar that is gone when it is through."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


def progress_bar(total: float = 1.0, *, width: int = 12) -> Progress:
    """A bar of so many columns with its one task, whose description stands behind it; not begun yet. It shows
    nothing where the error output is no terminal.
    """
    bar = Progress(
        BarColumn(bar_width=width),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bar.add_task("", total=total)
    return bar
