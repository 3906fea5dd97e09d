"""Memory: what a start makes is looked through no more, and code that nobody runs goes back."""

from __future__ import annotations

import subprocess
import sys

from gateway.host import memory

SMAPS = """\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 1 /usr/bin/python
Size:                  4 kB
Rss:                   4 kB
Anonymous:             0 kB
7f0000000000-7f0000002000 r-xp 00001000 fe:00 2 /usr/lib/a library.so
Rss:                   8 kB
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00003000 fe:00 2 /usr/lib/a library.so
Rss:                   4 kB
Anonymous:             4 kB
7f0000003000-7f0000004000 rw-p 00004000 fe:00 2 /usr/lib/a library.so
Rss:                   4 kB
Anonymous:             0 kB
7f0000004000-7f0000005000 r--s 00000000 fe:00 3 /var/lib/shared
Anonymous:             0 kB
7f0000010000-7f0000020000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
"""
RUN = """
import asyncio, gc, ssl
from gateway.host import memory

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssFile"))

memory.begin_start()
assert not gc.isenabled()
memory.START_SECONDS, memory.EVERY = 0.0, 0.01

async def lean():
    task = asyncio.create_task(memory.keep_lean())
    for _ in range(500):
        await asyncio.sleep(0.02)
        if resident() < before:
            break
    task.cancel()

before = resident() - 1000
asyncio.run(lean())
assert resident() < before + 500, (before, resident())
assert gc.isenabled() and gc.get_freeze_count() > 1000
memory.keep_what_is_there()  # a reload
assert ssl.create_default_context().get_ciphers()  # and everything works as before
print("well")
"""


def test_only_mappings_that_are_as_their_file_has_them_are_let_go_of() -> None:
    assert list(memory._read_only_files(SMAPS)) == [
        (0x55D0C0000000, 0x55D0C0001000),
        (0x7F0000000000, 0x7F0000002000),
    ]


def test_a_process_that_gives_back_goes_on() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout == "well\n", ran.stderr


def test_a_library_without_the_function_is_no_obstacle() -> None:
    assert memory._of_libc("no_such_function_anywhere")(1, 2) == 0
