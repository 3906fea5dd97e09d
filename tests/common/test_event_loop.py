"""Ctrl-C while the loop of a command is made: the command ends as at any other moment."""

import subprocess
import sys

import pytest

PRESSED = """
import asyncio, os, selectors, signal
from gateway.common import event_loop

class Slow(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        os.kill(os.getpid(), signal.SIGINT)  # the loop is half made

selectors.DefaultSelector = Slow

async def main():
    await asyncio.sleep(30)

try:
    {run}(main())
except KeyboardInterrupt:
    print("ended")
"""


@pytest.mark.parametrize(("run", "quiet"), [("event_loop.run", True), ("asyncio.run", False)])
def test_it_leaves_no_half_made_loop_behind(run: str, quiet: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRESSED.format(run=run)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "ended\n"
    assert ("Traceback" not in done.stderr) is quiet
