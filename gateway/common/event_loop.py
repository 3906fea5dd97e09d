"""An event loop for a command that a person may end with Ctrl-C at any moment."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """What `main` gives. Raises KeyboardInterrupt after Ctrl-C, which ends `main` as a cancellation.

    As asyncio.run, but the key is not heard while the loop is made: half a loop that is thrown away prints a
    traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with asyncio.Runner() as runner:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return runner.run(main)
        finally:
            main.close()
