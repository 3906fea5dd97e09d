"""What this process takes of the machine's memory.

Nearly all that a start makes lives as long as the process. To look through it for cycles, again and again,
costs a tenth of the start and of each poll; so nobody looks until the start is over, and then never again at
what is there by then. Threads share one arena of malloc. What is free goes back to the machine, and so does
code that was not run for a while: most of it only the start needs, or a visitor.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

START_SECONDS = 10.0
"""s after which everything that a start makes is there."""
EVERY = 300.0
"""s between two times that something is given back."""
_SMAPS = Path("/proc/self/smaps")
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
    """A start or a reload is over: what is in use now is not looked through again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    # It comes when there is a quarter more than was left the last time: that is little from now on.
    gc.collect()
    gc.enable()


async def keep_lean() -> None:
    """Keep what a start has made, once it is over; from then on give back now and then what is not used."""
    await asyncio.sleep(START_SECONDS)
    keep_what_is_there()
    while True:
        await asyncio.to_thread(_give_back)
        await asyncio.sleep(EVERY)


def _give_back() -> None:
    """Memory that is free, and code and constants of libraries: where these are needed again they are read
    from their files, or found in the machine's cache of them, which it may now use for something else.
    """
    _of_libc("malloc_trim")(0)
    madvise = _of_libc("madvise")
    with contextlib.suppress(OSError, ValueError):
        for first, last in _read_only_files(_SMAPS.read_text()):
            madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def _read_only_files(smaps: str) -> Iterator[tuple[int, int]]:
    """First address and end of each mapping of a file that cannot be written, and of which no page was ever
    changed: those are as the file has them (a page that the loader has relocated is not).
    """
    where: tuple[int, int] | None = None
    for line in smaps.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            first, last = (int(part, 16) for part in words[0].split("-"))
            of_file = len(words) > 5 and words[5].startswith("/") and words[1] in {"r--p", "r-xp"}
            where = (first, last) if of_file else None
        elif words[0] == "Anonymous:" and where is not None and words[1] == "0":
            yield where
