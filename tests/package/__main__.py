"""python -m tests.package: the packages are built, installed into fresh Debian trees and booted; what held
goes into docs/proofs.md. What this machine cannot do is named there with its reason.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from deb.__main__ import build, source_date
from deb.libraries import BuildError
from deb.target import MACHINES, SUITES, Target
from gateway import __version__
from tests import proofs
from tests.package.emulation import emulated
from tests.package.stand_in import NEVER_READY, NEWER_FILE
from tests.package.steps import lives, runs
from tests.package.trees import CannotRun, copy, fresh

NEWER = f"{__version__}.1"
"""The version of the second package: the same program, which is what an upgrade of this one finds."""
BROKEN = f"{__version__}.2"


def never_ready(tree: Path) -> None:
    """A version that does everything but become ready, and writes a newer journal."""
    (command,) = tree.glob("opt/submeter/bin/submeter")
    head, _, rest = command.read_text().partition("\n")
    command.write_text(f"{head}\n{NEWER_FILE}{NEVER_READY}{rest}")
    known = tree / "usr/lib/submeter/versions.json"
    known.write_text(json.dumps({**json.loads(known.read_text()), "journal.db": [2, 3]}))


_BUILDING = threading.Lock()
"""One build at a time: each makes the program's wheel in the checkout."""


def packages(suite: str, architecture: str, folder: Path) -> tuple[Path, Path, Path, str]:
    """This checkout's package, the same with a higher version, a broken one, and what two builds say of one
    another.
    """
    target, epoch = Target(suite, architecture), source_date()
    with _BUILDING:
        older, again = (build(target, folder / name, epoch) for name in ("first", "second"))
        newer = build(target, folder / "newer", epoch, NEWER)
        broken = build(target, folder / "broken", epoch, BROKEN, never_ready)
    assert older.read_bytes() == again.read_bytes(), f"{suite}: two builds differ"
    size = older.stat().st_size / 1e6
    return older, newer, broken, f"{older.name}: {size:.1f} MB, two builds give the same bytes"


def service(suite: str, built: tuple[Path, Path, Path], folder: Path) -> list[str]:
    """The booted half, in a network namespace of its own."""
    for program, package in (("systemd-nspawn", "systemd-container"), ("mosquitto", "mosquitto")):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            raise CannotRun(f"{program} is not installed: apt install {package}")
    command = ["unshare", "--net", sys.executable, "-m", "tests.package.service"]
    command += [suite, *map(str, built), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=proofs.ROOT, timeout=3600)
    lines = done.stdout.splitlines()
    if done.returncode:
        raise AssertionError("\n".join([*lines, done.stderr[-4000:]]))
    return lines


def proven(suite: str, architecture: str) -> tuple[list[str], bool]:
    """The lines of one suite; whether everything held that could be tried."""
    lines, good = [], True
    with tempfile.TemporaryDirectory(prefix="submeter-package-") as scratch:
        folder = Path(scratch)
        try:
            older, newer, broken, said = packages(suite, architecture, folder)
            lines.append(said)
            fresh(suite)
            with copy(suite, folder) as tree:
                lines += [f"in a fresh tree: {line}" for line in lives(tree, older, newer)]
            (folder / "service").mkdir()
            lines += [
                f"booted: {line}" for line in service(suite, (older, newer, broken), folder / "service")
            ]
        except CannotRun as reason:
            lines.append(f"skipped from here on: {reason}")
        except AssertionError as error:
            lines.append(f"FAILED: {error}")
            good = False
    return lines, good


def foreign(suite: str, architecture: str) -> tuple[list[str], bool]:
    """The lines of a suite on another architecture, emulated; whether everything held that could be tried."""
    target, epoch = Target(suite, architecture), source_date()
    with tempfile.TemporaryDirectory(prefix="submeter-package-") as scratch:
        folder = Path(scratch)
        try:
            package = build(target, folder, epoch)
            emulated(architecture)
            with copy(suite, folder, architecture) as tree:
                size = package.stat().st_size / 1e6
                return [f"{package.name}: {size:.1f} MB", *runs(tree, package, folder)], True
        except BuildError as error:
            # pip names what is missing last.
            return [f"skipped: {str(error).splitlines()[0]} {str(error).splitlines()[-1]}"], True
        except CannotRun as reason:
            return [f"skipped: {reason}"], True
        except AssertionError as error:
            return [f"FAILED: {error}"], False


Part = tuple[str, str]
"""Suite and architecture."""


def tried(part: Part, own: str) -> tuple[list[str], bool]:
    """The lines of a part; whether everything held that could be tried. A mistake of ours is one of them."""
    suite, architecture = part
    try:
        return proven(suite, architecture) if architecture == own else foreign(suite, architecture)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are tried, and the page is written
        return [f"FAILED: {type(error).__name__}: {str(error)[:500]}"], False


def main() -> int:
    """Every suite on this machine's architecture at the same time, then on the others; the page after each,
    so that what was proven stays when somebody ends it.
    """
    commit = proofs.git("rev-parse", "--short=12", "HEAD")
    names = {machine: name for name, machine in MACHINES.items()}
    own = names.get(platform.machine(), "amd64")
    others = [(suite, name) for name in MACHINES if name != own for suite in SUITES]
    waiting, told, good = [*((suite, own) for suite in SUITES), *others], [], True

    def note(part: Part, outcome: tuple[list[str], bool]) -> None:
        lines, held = outcome
        waiting.remove(part)
        emulation = "" if part[1] == own else " (emulated)"
        words = [f"**{part[0]}, {part[1]}{emulation}**", "", *(f"- {line}" for line in lines), ""]
        print("\n".join(words), flush=True)
        told.extend(words)
        nonlocal good
        good = good and held
        rest = [f"Not tried yet: {', '.join(' '.join(each) for each in waiting)}."] if waiting else []
        proofs.write("prove-package", commit, "\n".join([*told, *rest]).strip())

    with ThreadPoolExecutor(len(SUITES)) as pool:
        running = {pool.submit(tried, (suite, own), own): (suite, own) for suite in SUITES}
        for done in as_completed(running):
            note(running[done], done.result())
    for part in others:
        note(part, tried(part, own))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
