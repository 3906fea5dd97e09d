"""python -m gateway.host.clock_witness FILE: says in a file whether the kernel's clock is synchronised.

Reading the clock's state takes a system call that can also set it. The daemon's sandbox does not have it;
this process, which has nothing else, makes it instead.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway.host.clock import WITNESS_EVERY, asked_offset, asked_synced, uptime_ms


def witness(file: Path) -> None:
    """Write the uptime (ms) at which the clock was seen synchronised, and how far it is off (ms) if that is
    known; or remove it.
    """
    if asked_synced():
        fresh = file.with_suffix(".new")
        offset = asked_offset()
        fresh.write_text(f"{uptime_ms()}" if offset is None else f"{uptime_ms()} {offset:.6f}")
        fresh.replace(file)
    else:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    while True:
        witness(Path(sys.argv[1]))
        time.sleep(WITNESS_EVERY)
