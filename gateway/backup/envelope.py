"""The encrypted file: to a public key (X25519) or to a passphrase (scrypt), then ChaCha20-Poly1305 in chunks.

A file is MAGIC, a line of JSON that says for whom it is, and chunks of 64 KiB, each with its number in its
nonce and the last one marked (STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): what is cut off,
exchanged or changed is found. The key is HKDF-SHA256 (RFC 5869) of the secret, bound to the line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.errors import BackupError

MAGIC = b"submeter-backup/1\n"
CHUNK = 64 * 1024
TAG = 16
MAX_HEADER = 1024
SCRYPT_N, SCRYPT_R = 2**15, 8
"""32 MiB and about a second on a Raspberry Pi (RFC 7914)."""
_PUBLIC, _SECRET = "x25519:", "submeter-secret-x25519:"
_DAMAGED = "the backup is damaged, was changed, or is not for this key"
_TRY = "take another copy of it, and the key that belongs to its recipient"

Opener = Callable[[dict[str, Any]], bytes]
"""From the line of a file to its secret."""


def new_key() -> tuple[str, str]:
    """A new pair: the secret half, for whoever restores, and the recipient, for the configuration."""
    key = X25519PrivateKey.generate()
    return _SECRET + _text(key.private_bytes_raw()), _PUBLIC + _text(key.public_key().public_bytes_raw())


def _key(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"does not begin with {prefix}")
    raw = base64.b64decode(text.removeprefix(prefix), validate=True)
    if len(raw) != 32:
        raise ValueError("has not the length of a key")
    return raw


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Sealer:
    """A file that encrypts what is written to it; without the last chunk, by `close`, it is not whole."""

    def __init__(self, target: BinaryIO, header: dict[str, Any], secret: bytes) -> None:
        line = json.dumps(header, sort_keys=True).encode() + b"\n"
        target.write(MAGIC + line)
        self._target = target
        self._cipher = ChaCha20Poly1305(_derive(secret, line))
        self._number = 0
        self._waiting = bytearray()

    @classmethod
    def to_recipient(cls, target: BinaryIO, recipient: str) -> Sealer:
        """For whoever has the secret half of `recipient`."""
        theirs = X25519PublicKey.from_public_bytes(_key(recipient, _PUBLIC))
        mine = X25519PrivateKey.generate()
        header = {"for": recipient, "key": _text(mine.public_key().public_bytes_raw())}
        return cls(target, header, mine.exchange(theirs))

    @classmethod
    def to_passphrase(cls, target: BinaryIO, passphrase: str) -> Sealer:
        """For whoever knows the words."""
        salt = os.urandom(16)
        return cls(target, {"for": "passphrase", "salt": _text(salt)}, _stretched(passphrase, salt))

    def write(self, data: bytes) -> int:
        """Encrypt bytes; how many were taken in."""
        self._waiting += data
        while len(self._waiting) > CHUNK:  # the last chunk is never empty unless all is
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Write the last chunk, which says that nothing follows."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._number, last=last), chunk, None))
        self._number += 1


class Unsealed:
    """A file that decrypts what is read from it; everything that it gives is genuine.

    Raises BackupError for what is not whole, was changed, or is for somebody else.
    """

    def __init__(self, source: BinaryIO, opener: Opener) -> None:
        if source.read(len(MAGIC)) != MAGIC:
            raise BackupError(
                "this is no backup of a gateway", hint="name a file that submeter backup has made"
            )
        line = source.readline(MAX_HEADER)
        try:
            header = json.loads(line)
            secret = opener(header)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(_DAMAGED, hint=_TRY) from error
        self._source = source
        self._cipher = ChaCha20Poly1305(_derive(secret, line))
        self._number, self._ended = 0, False
        self._next = source.read(CHUNK + TAG)
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while len(self._ready) < size and not self._ended:
            chunk, self._next = self._next, self._source.read(CHUNK + TAG)
            last = not self._next
            try:
                self._ready += self._cipher.decrypt(_nonce(self._number, last=last), chunk, None)
            except (InvalidTag, ValueError) as error:
                raise BackupError(_DAMAGED, hint=_TRY) from error
            self._number, self._ended = self._number + 1, last
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data


def opener_for(*, secret: str | None = None, ask: Callable[[], str] | None = None) -> Opener:
    """What opens a file: the secret half of its recipient, or what `ask` answers for a passphrase."""

    def opened(header: dict[str, Any]) -> bytes:
        if header["for"] == "passphrase":
            if ask is None:
                raise BackupError("the backup has a passphrase", hint="leave --key out")
            return _stretched(ask(), base64.b64decode(header["salt"], validate=True))
        if secret is None:
            hint = "name the file of its secret key: --key FILE"
            raise BackupError(f"the backup is for {header['for']}", hint=hint)
        mine = X25519PrivateKey.from_private_bytes(_key(secret.strip(), _SECRET))
        if _PUBLIC + _text(mine.public_key().public_bytes_raw()) != header["for"]:
            raise BackupError(f"the backup is for {header['for']}, not for this key", hint="name its own key")
        theirs = base64.b64decode(header["key"], validate=True)
        return mine.exchange(X25519PublicKey.from_public_bytes(theirs))

    return opened


def _stretched(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=1).derive(passphrase.encode())


def _derive(secret: bytes, line: bytes) -> bytes:
    info = MAGIC + hashlib.sha256(line).digest()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
