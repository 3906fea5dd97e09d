"""python -m gateway.demo.leash COMMAND…: become COMMAND, and be killed by the kernel when the parent dies, however it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def leash() -> None:
    """Tie this process to its parent; what it becomes by exec stays tied."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died in between
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    leash()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - becoming the command is the purpose
