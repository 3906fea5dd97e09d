"""python -m gateway.demo.leash PARENT COMMAND…: become COMMAND, and be killed by the kernel when the parent
dies, however it dies.

PARENT is the starter's process id. The leash belongs to the thread that started us: start workers from a
thread that stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def leash(parent: int) -> None:
    """Tie this process to its parent; what it becomes by exec stays tied."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we were tied
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    leash(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose
