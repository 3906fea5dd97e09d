"""What this process takes of the machine's memory.

Nearly all that a start makes lives as long as the process. To look through it for cycles, again and again,
costs a tenth of the start and of each poll; so nobody looks until the start is over, and then never again at
what is there by then. Threads share one arena of malloc, and what is free goes back to the machine.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import cast

START_TAKES = 10.0
"""s after which everything that a start makes is there."""
_ARENA_MAX = -8
"""M_ARENA_MAX of mallopt(3)."""


def _of_libc(name: str) -> Callable[..., int]:
    """A function of the C library; one that does nothing where there is none of that name (musl)."""
    try:
        return cast("Callable[..., int]", getattr(ctypes.CDLL(None), name))
    except (AttributeError, OSError):
        return lambda *_: 0


def begin_start() -> None:
    """A daemon starts: nothing of it is looked through until `keep_what_is_there`."""
    gc.disable()
    _of_libc("mallopt")(_ARENA_MAX, 1)


def keep_what_is_there() -> None:
    """A start or a reload is over: what is in use now stays, the rest goes."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.enable()
    _of_libc("malloc_trim")(0)
