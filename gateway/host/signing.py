"""Signatures by the gateway's key, Ed25519 (RFC 8032): loaded by what is rare, never by the daemon.

`python -m gateway.host.signing DIRECTORY` makes the key, if there is none.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_pem

from gateway.common.files import MAX_SECRET, read_regular
from gateway.errors import GatewayError
from gateway.host.identity import KEY_FILE, PUBLIC_FILE, write_secret

_RAW = (Encoding.Raw, PublicFormat.Raw)


class SigningKey:
    """The private key in a folder: a gateway's own, or another file there. Raises GatewayError when there is
    none that can be used.
    """

    def __init__(self, directory: Path, name: str = KEY_FILE) -> None:
        path = directory / name
        try:
            key = load_pem(read_regular(path, MAX_SECRET), None)
        except (OSError, ValueError, TypeError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is no key"
            raise GatewayError(
                f"the signing key {path} cannot be read: {why}",
                hint="use sudo; a gateway makes its key when it first runs"
                if name == KEY_FILE
                else "name the file that submeter care new-key has made",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise GatewayError(f"{path} is no Ed25519 key", hint="move it away: the gateway makes another")
        self._key = key

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._key.public_key().public_bytes(*_RAW)

    def sign(self, data: bytes) -> bytes:
        """The signature of exactly these bytes, 64 bytes."""
        return self._key.sign(data)


def is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of a public key signed exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def new_key(path: Path) -> None:
    """Make a private key in a file of its owner alone. Raises GatewayError when there is a file already."""
    if path.exists():
        raise GatewayError(f"{path} is there already", hint="name a file that is not there yet")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(path, pem)


def make(directory: Path) -> None:
    """Make the key of a gateway; one that is there stays, its public half is written anew."""
    if not (directory / KEY_FILE).exists():
        new_key(directory / KEY_FILE)
    write_secret(directory / PUBLIC_FILE, SigningKey(directory).public.hex().encode() + b"\n")
    (directory / PUBLIC_FILE).chmod(0o644)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
