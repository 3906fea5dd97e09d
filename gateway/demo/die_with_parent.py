"""python -m gateway.demo.die_with_parent PARENT COMMAND…: become COMMAND, killed when the parent dies.

The kernel does it, however the parent dies.

PARENT is the starter's process id. The kernel looks at the thread that started us: start workers from a
thread that stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def dying_with_us(*command: str) -> list[str]:
    """The words that start `command` so that it is killed when this process dies."""
    return [sys.executable, "-m", "gateway.demo.die_with_parent", str(os.getpid()), *command]


def die_with_parent(parent: int) -> None:
    """Tie this process to its parent; what it becomes by exec stays tied."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we were tied
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose
