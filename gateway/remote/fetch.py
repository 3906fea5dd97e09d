"""`python -m gateway.remote.fetch URL SHA256 SIZE TARGET`: a package is fetched for an update, whole and as
it was signed, or not at all. A process that ends, without any right but the daemon's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from gateway.errors import CommandRefused

LIMIT = 1800.0
"""s that it may take."""
_PATIENCE = 60.0
"""s without a byte."""
_CHUNK = 64 * 1024


def fetch_package(url: str, sha256: str, size: int, target: Path) -> None:
    """Fetch it by a process of its own. Blocks. Raises CommandRefused."""
    command = [sys.executable, "-m", "gateway.remote.fetch", url, sha256, str(size), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        target.unlink(missing_ok=True)
        raise CommandRefused("failed", f"the package cannot be fetched: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise CommandRefused("failed", f"the package cannot be fetched: {said[-1] if said else ''}")


def main(url: str, sha256: str, size: str, target: str) -> None:
    """Fetch it; a failure is one line on stderr and exit code 1, and leaves nothing."""
    import httpx  # noqa: PLC0415 - in this process alone

    place, digest, wanted = Path(target), hashlib.sha256(), int(size)
    try:
        with (
            httpx.stream("GET", url, timeout=_PATIENCE, follow_redirects=True, trust_env=False) as answer,
            os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ):
            answer.raise_for_status()
            got = 0
            for chunk in answer.iter_raw(_CHUNK):
                got += len(chunk)
                if got > wanted:
                    break
                digest.update(chunk)
                file.write(chunk)
        if got != wanted or digest.hexdigest() != sha256:
            raise ValueError("it is not the file that was signed")  # noqa: TRY301
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        place.unlink(missing_ok=True)
        sys.exit(str(error) or type(error).__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
