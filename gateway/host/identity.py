"""Who the gateway is, on paper and at the platform: the fingerprint of its signing key, which is made once.

Making it and signing are `gateway.host.signing`, in a process that ends: nothing of it is loaded here.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from gateway.common.files import MAX_SECRET, owner_of, read_regular, write_durably
from gateway.errors import GatewayError

KEY_FILE: Final = "signing.key"
"""The private half (PEM), 0600; beside it the public one, 32 bytes as hexadecimal digits."""
PUBLIC_FILE: Final = "signing.pub"
LIMIT: Final = 60.0
"""s that making a key may take."""
_DIGITS: Final = 32
"""Of the fingerprint: 128 bits of SHA-256, as many as a person can compare."""


def fingerprint(public: bytes) -> str:
    """What a person compares: eight groups of four hexadecimal digits, the first 128 bits of the SHA-256 of
    a raw public key.
    """
    digits = hashlib.sha256(public).hexdigest()[:_DIGITS]
    return " ".join(digits[at : at + 4] for at in range(0, _DIGITS, 4))


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two fingerprints are the same, however they are grouped."""
    plain = [re.sub(r"[\s:.-]", "", text).casefold() for text in (one, other)]
    return plain[0] == plain[1] and re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", plain[0]) is not None


def known_fingerprint(directory: Path) -> str:
    """The fingerprint of the key in a state directory; empty while there is none."""
    try:
        public = bytes.fromhex(read_regular(directory / PUBLIC_FILE, MAX_SECRET).decode("ascii").strip())
    except (OSError, ValueError):
        return ""
    return fingerprint(public) if public else ""


def make_key(directory: Path) -> str:
    """The fingerprint of the key in a state directory; the key is made if there is none, by a process of its
    own. Raises GatewayError.
    """
    if not (directory / KEY_FILE).exists() or not known_fingerprint(directory):
        command = [sys.executable, "-m", "gateway.host.signing", str(directory)]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            raise GatewayError(
                f"the signing key in {directory} cannot be made: {said[-1] if said else error}",
                hint="until then reports are not signed; the disk and the rights of the folder are told by "
                "submeter check --here",
            ) from error
    return known_fingerprint(directory)


def write_secret(path: Path, data: bytes) -> None:
    """A file that nobody but its owner may read, whole or not at all; the owner of its folder owns it."""
    write_durably(path, data, mode=0o600, owner=owner_of(path.parent))
