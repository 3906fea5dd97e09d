"""The demo as a visitor meets it: `submeter demo` in a folder of its own, with everything on its pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PORT = 18_080
LONGEST = 180.0
"""s until every meter has answered."""
SETTLES = 20.0
"""s more, so that the last hour has a beginning and the platform has confirmed."""


@contextmanager
def running_demo(port: int = PORT) -> Iterator[str]:
    """The address of its page. Raises TimeoutError when it does not come."""
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said"
        with said.open("wb") as out:
            demo = subprocess.Popen(
                [sys.executable, "-m", "gateway", "demo", "--port", str(port), "--directory", scratch],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(address, demo)
            time.sleep(SETTLES)
            yield address
        finally:
            demo.send_signal(signal.SIGINT)
            try:
                demo.wait(30)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(demo.pid, signal.SIGKILL)
                demo.wait()


def _wait(address: str, demo: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and demo.poll() is None:
        with suppress(urllib.error.URLError, OSError):
            page = urllib.request.urlopen(f"{address}/?lang=en", timeout=10).read().decode()
            if "meters answer" in page or "Everything is in order" in page or "needs you" in page:
                return
        time.sleep(0.5)
    raise TimeoutError(f"the page of the demo at {address} does not come")
