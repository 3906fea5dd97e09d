"""TCP ports on loopback for servers of tests. No two tests of this machine get the same one, in however
many processes they run.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 20_000, 31_999
"""Below what Linux gives to connections that name no port of their own (32768 and above)."""
_COUNTER = Path(tempfile.gettempdir()) / f"submeter-tests-{os.getuid()}.port"


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given for a while."""
    with _COUNTER.open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        said = counter.read()
        port = int(said) if said.isdigit() else FIRST
        for _ in range(LAST - FIRST):
            port = port + 1 if port < LAST else FIRST
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            counter.truncate(0)
            counter.write(str(port))
            return port
    raise RuntimeError(f"no port between {FIRST} and {LAST} is free")
