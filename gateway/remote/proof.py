"""`python -m gateway.remote.proof FOLDER`: is a command signed by a key of that folder? A process that ends:
the daemon loads nothing of cryptography.

Its input is the signature (64 bytes) and the signed bytes; exit code 0 and the key's name when it is, 1 when
it is not, with what is wrong and what to do on stderr.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.common.trusted import PUT_ONE, UnusableKeys, trusted_keys
from gateway.errors import SEE_LOG, CommandRefused

LIMIT = 60.0
"""s that it may take."""
SIGNATURE = 64
MAX_SIGNED = 4096
_NO = 1


def ask_signer(trust: str, signed: bytes, signature: bytes) -> str:
    """The name of the key that signed a command, by a process of its own. Blocks. Raises CommandRefused."""
    command = [sys.executable, "-m", "gateway.remote.proof", trust]
    try:
        done = subprocess.run(  # noqa: S603
            command, input=signature + signed, capture_output=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        what = f"the signature cannot be checked: {error}"
        raise CommandRefused("failed", what, hint=SEE_LOG) from error
    if done.returncode == 0:
        return done.stdout.decode().strip()
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode == _NO and said and "Traceback" not in done.stderr.decode(errors="replace"):
        what, _arrow, mend = said[-1].partition(" → ")
        raise CommandRefused("forged", what, hint=mend or None)
    what = f"the signature cannot be checked: {said[-1] if said else ''}"
    raise CommandRefused("failed", what, hint=SEE_LOG)


def signer(trust: Path, signed: bytes, signature: bytes, owner: int | None = None) -> str:
    """The name of the key in a folder that signed exactly these bytes. Raises CommandRefused."""
    from gateway.host.signing import is_signed  # noqa: PLC0415 - loads the library

    try:
        keys = trusted_keys(trust, owner)
    except UnusableKeys as unusable:
        what = f"no key is trusted: {unusable.what}"
        raise CommandRefused("forged", what, hint=unusable.mend) from unusable
    if not keys:
        raise CommandRefused("forged", f"no key is trusted: {trust} holds none", hint=PUT_ONE)
    for name, key in keys.items():
        if is_signed(key, signature, signed):
            return name
    raise CommandRefused("forged", "it is not signed by a key that is trusted here")


def main() -> None:
    """Say who signed what comes in."""
    data = sys.stdin.buffer.read(SIGNATURE + MAX_SIGNED)
    try:
        sys.stdout.write(signer(Path(sys.argv[1]), data[SIGNATURE:], data[:SIGNATURE]))
    except CommandRefused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
