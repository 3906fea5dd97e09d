"""A signed package is taken over from the daemon, by its content alone, and left for its installation, which
goes back by itself when the new version does not get ready (docs/operation.md, Upgrading).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.common.file_versions import read_object
from gateway.common.files import put_in_place
from gateway.errors import CommandRefused
from gateway.wire.care import MAX_PACKAGE

PACKAGE = "submeter-gateway"
INCOMING = "incoming.deb"
"""Where submeter-install.path finds it."""
SUFFIX = ".deb"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://\S{1,1000}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class SignedPackage:
    """What was signed of a package: where it is, its SHA-256, its bytes."""

    url: str
    sha256: str
    size: int


def signed_package(payload: str) -> SignedPackage:
    """What an update command says. Raises CommandRefused."""
    try:
        said = json.loads(payload)
        found = SignedPackage(said["url"], said["sha256"], said["size"])
        good = _URL.fullmatch(found.url) and _DIGEST.fullmatch(found.sha256) and 0 < found.size <= MAX_PACKAGE
    except (ValueError, RecursionError, TypeError, KeyError):
        good = None
    if not good or type(found.size) is not int:
        raise CommandRefused("bad", "the payload is no JSON object with url, sha256 and size")
    return found


def copy_package(folder: Path, name: str, wanted: SignedPackage, upgrade: Path) -> str:
    """Copy the daemon's file, held against what was signed while it is copied, and leave it for the
    installation; its version. Raises CommandRefused.
    """
    if read_object(upgrade / "trial.json"):
        raise CommandRefused("busy", "another version is on trial")
    fresh = upgrade / f".{INCOMING}.new"
    try:
        if _copied(folder, name, fresh, wanted.size) != wanted.sha256:
            raise CommandRefused("forged", "the package is not the one that was signed")
        version = _version(fresh)
        put_in_place(fresh, upgrade / INCOMING)
    except OSError as error:
        raise CommandRefused("failed", f"the package cannot be taken over: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return version


def _copied(folder: Path, name: str, to: Path, size: int) -> str:
    """The SHA-256 of what was copied, at most `size` bytes; nothing of the daemon's folder is followed."""
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
        with os.fdopen(handle, "rb") as source, to.open("wb") as target:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise CommandRefused("forged", "the package is no file")
            digest, left = hashlib.sha256(), size + 1
            while left > 0 and (chunk := source.read(min(_CHUNK, left))):
                digest.update(chunk)
                target.write(chunk)
                left -= len(chunk)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=inside)
    finally:
        os.close(inside)
    return digest.hexdigest()


def _version(file: Path) -> str:
    """The version of a package of ours. Raises CommandRefused for any other one."""
    command = ["/usr/bin/dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandRefused("failed", f"the package cannot be looked into: {error}") from error
    name, _, version = done.stdout.strip().partition(" ")
    if done.returncode != 0 or name != PACKAGE:
        raise CommandRefused("bad", f"it is no package of {PACKAGE}")
    return version
