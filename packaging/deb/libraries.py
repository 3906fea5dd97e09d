"""The libraries of the lock, unpacked as pip would lay them out, for another Python and machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pip._vendor.packaging.requirements import Requirement

from deb.target import Target

UNUSED = frozenset({"pip", "setuptools"})
"""Named by sqlite-utils, for a command of its own, and by colorzero, for nothing: what installs programs has
no place in a gateway. A test loads every module without them.
"""
_ARROW = re.compile(r" \\\n\s*")


class BuildError(Exception):
    """A package that cannot be made; the message says why."""


class CannotRun(BuildError):
    """What this machine cannot do; the message is the reason."""


@dataclass(frozen=True)
class Locked:
    """A library of the lock: its line with the hashes."""

    name: str
    version: str
    line: str


@dataclass(frozen=True)
class Part:
    """A library as it goes into a package: its wheel, and the file that was held to a hash of the lock, which
    is the wheel itself or the sdist that it was built from.
    """

    wheel: Path
    held: Path


def locked(lock: str, target: Target, unused: frozenset[str] = UNUSED) -> Iterator[Locked]:
    """The libraries that a lock names for a target, in its order, without those that are of no use there."""
    for line in _ARROW.sub(" ", lock).splitlines():
        if not line or line.startswith("#"):
            continue
        words, *hashes = line.split(" --hash=")
        if not hashes:
            raise BuildError(f"the lock has no hash for {words!r}: make lock")
        needed = Requirement(words.strip())
        if needed.name in unused or (needed.marker and not needed.marker.evaluate(target.environment)):
            continue
        version = str(needed.specifier).removeprefix("==")
        plain = f"{needed.name}=={version}" + "".join(f" --hash={one.strip()}" for one in hashes)
        yield Locked(needed.name, version, plain)


def fetch(libraries: list[Locked], target: Target, folder: Path) -> list[Path]:
    """Their wheels in `folder`, downloaded with pip; it holds each to its hash, also what was there before.

    Raises BuildError for what has no wheel there.
    """
    return _download(libraries, ["--only-binary=:all:", *target.wheels], folder, "*.whl", str(target))


def fetch_sdists(libraries: list[Locked], folder: Path) -> list[Path]:
    """Their sources in `folder`, likewise. Raises BuildError for what cannot be had."""
    # pip asks a source what it is: by what is installed here, nothing is fetched for it without a hash.
    return _download(libraries, ["--no-binary=:all:", "--no-build-isolation"], folder, "*.tar.gz", "sources")


def _download(libraries: list[Locked], kind: list[str], folder: Path, files: str, whose: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        wanted = Path(fresh) / "wanted.txt"
        wanted.write_text("".join(f"{library.line}\n" for library in libraries))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--no-input", "--no-deps", "--require-hashes", *kind,
                   "--dest", fresh, "-r", str(wanted)]  # fmt: skip
        # What was fetched before needs no network; pip looks there alone first.
        done = _run([*command, "--no-index", "--find-links", str(folder)])
        if done.returncode:
            done = _run([*command, "--find-links", str(folder)])
        if done.returncode:
            raise BuildError(f"pip cannot fetch what is locked ({whose}):\n{done.stderr.strip()}")
        found = [shutil.move(file, folder / file.name) for file in sorted(Path(fresh).glob(files))]
    if len(found) != len(libraries):
        raise BuildError(f"{len(found)} files came for {len(libraries)} libraries ({whose})")
    return [Path(file) for file in found]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


def unpack(wheel: Path, site: Path) -> None:
    """Lay out a wheel's files below `site`, its site-packages (PEP 427). Scripts and headers are left out."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = _place(member.filename)
            if place is None or member.is_dir():
                continue
            if place.is_absolute() or ".." in place.parts:
                raise BuildError(f"{wheel.name} names a file outside of itself: {member.filename}")
            path = site / place
            if path.exists():
                raise BuildError(f"{wheel.name} brings {place}, which another library has brought")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))


def _place(name: str) -> PurePosixPath | None:
    parts = PurePosixPath(name).parts
    if not parts[0].endswith(".data"):
        return PurePosixPath(name)
    return PurePosixPath(*parts[2:]) if parts[1] in {"purelib", "platlib"} else None
