"""python -m deb [--suite bookworm] [--arch amd64] [--out dist]: make the Debian packages of this checkout."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deb.archive import seal
from deb.libraries import BuildError, Part, fetch, locked
from deb.sbom import sbom
from deb.sdists import built, verify
from deb.target import MACHINES, SUITES, Target
from deb.tree import ROOT, lay_out, own_wheel
from gateway import __version__

WHEELS = ROOT / "build" / "wheels"
"""What was downloaded stays here: a build that changes no library needs no network."""


def source_date() -> int:
    """The time that everything in a package carries: SOURCE_DATE_EPOCH, else that of the newest commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else int(time.time())


def libraries(target: Target, epoch: int) -> list[Part]:
    """What the lock names for a target, by name: wheels as far as there are any, the rest built from its
    sdists. Raises BuildError for what cannot be had, and for what would do its work badly.
    """
    folder = WHEELS / f"{target.suite}-{target.architecture}"
    wanted = list(locked((ROOT / "requirements" / "runtime.lock").read_text(), target))
    compiled = [library for library in wanted if library.name in target.from_sdist]
    wheels = fetch([library for library in wanted if library not in compiled], target, folder)
    parts = [Part(wheel, wheel) for wheel in wheels]
    if compiled:
        parts += built(compiled, target, folder / "built", epoch)
    verify(part.wheel for part in parts)
    return sorted(parts, key=lambda part: part.wheel.name.lower())


def build(
    target: Target,
    out: Path,
    epoch: int,
    version: str = __version__,
    change: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Make one package, of the tree as `change` leaves it; its path. Raises BuildError when something of it
    cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="submeter-deb-") as scratch:
        work = Path(scratch)
        parts = libraries(target, epoch)
        tree = work / "tree"
        lay_out(tree, [*(part.wheel for part in parts), own_wheel(work / "own", epoch)], target, version)
        listed = tree / "usr/share/doc/submeter-gateway/sbom.cdx.json"
        listed.write_text(sbom(parts, target, version=version, epoch=epoch))
        change(tree)
        return seal(tree, ROOT / "packaging" / "debian", target, version=version, epoch=epoch, out=out)


def main() -> int:
    """Build what was asked for; 1 when something could not be made."""
    arguments = argparse.ArgumentParser(prog="deb", description=__doc__)
    arguments.add_argument("--suite", choices=SUITES, action="append", help="default: every suite")
    arguments.add_argument("--arch", choices=MACHINES, action="append", help="default: amd64")
    arguments.add_argument("--out", type=Path, default=ROOT / "dist")
    asked = arguments.parse_args()
    epoch, good = source_date(), True
    for suite in asked.suite or SUITES:
        for architecture in asked.arch or ["amd64"]:
            try:
                package = build(Target(suite, architecture), asked.out, epoch)
            except BuildError as error:
                print(f"{suite} {architecture}: {error}", file=sys.stderr)
                good = False
            else:
                size = package.stat().st_size / 1e6
                print(f"{os.path.relpath(package)}: {size:.1f} MB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
