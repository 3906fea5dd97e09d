"""python -m tests.package: the packages are built, installed into fresh Debian trees and booted; what held
goes into docs/proofs.md. What this machine cannot do is named there with its reason, and at the end: a proof
with a gap ends with 2, one that failed with 1.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from enum import IntEnum
from functools import partial
from pathlib import Path

from deb.__main__ import build, source_date
from deb.debian import copy, fresh
from deb.emulation import own_architecture
from deb.libraries import CannotRun
from deb.target import MACHINES, SUITES, Target
from gateway import __version__
from tests import proofs
from tests.package.service import LEFT_OUT
from tests.package.stand_in import NEVER_READY, NEWER_FILE
from tests.package.steps import from_checkout, lives, runs

NEWER = f"{__version__}.1"
"""The version of the second package: the same program, which is what an upgrade of this one finds."""
BROKEN = f"{__version__}.2"
SKIPPED, BOOTED = "skipped from here on", "booted"


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
    return older, newer, broken, alike(older, again, target)


def alike(package: Path, again: Path, target: Target) -> str:
    """What two builds say of one another. What was compiled from sources was compiled for each."""
    assert package.read_bytes() == again.read_bytes(), f"{target}: two builds differ"
    compiled = f", {', '.join(sorted(target.from_sdist))} compiled for each" if target.from_sdist else ""
    return f"{package.name}: {package.stat().st_size / 1e6:.1f} MB, two builds give the same bytes{compiled}"


def service(suite: str, built: tuple[Path, Path, Path], folder: Path) -> list[str]:
    """The booted half, in a network namespace of its own."""
    for program, package in (("systemd-nspawn", "systemd-container"), ("mosquitto", "mosquitto")):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            raise CannotRun(f"{program} is not installed: apt install {package}")
    command = ["unshare", "--net", sys.executable, "-m", "tests.package.service"]
    command += [suite, *map(str, built), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=proofs.ROOT, timeout=5400)
    lines = done.stdout.splitlines()
    if done.returncode:
        raise AssertionError("\n".join([*lines, done.stderr[-4000:]]))
    return lines


class Outcome(IntEnum):
    """What came of a part, as the program ends with it."""

    HELD = 0
    FAILED = 1
    NOT_TRIED = 2
    """What could be tried held; something could not, and is named with its reason."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """A failure, else a gap, else that all of it held."""
    return max(outcomes, key=lambda each: (each is Outcome.FAILED, each), default=Outcome.HELD)


def told(steps: Callable[[Path], Iterator[str]]) -> tuple[list[str], Outcome]:
    """The lines of the steps of a part in a folder of its own, and what came of them. A mistake of ours is
    one of them: the other parts are tried all the same, and the page is written.
    """
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="submeter-package-") as scratch:
        try:
            lines.extend(steps(Path(scratch)))
        except CannotRun as reason:
            return [*lines, f"{SKIPPED}: {reason}"], Outcome.NOT_TRIED
        except AssertionError as error:
            return [*lines, f"FAILED: {error}"], Outcome.FAILED
        except Exception as error:  # noqa: BLE001 - whatever it is
            return [*lines, f"FAILED: {type(error).__name__}: {str(error)[:500]}"], Outcome.FAILED
    return lines, Outcome.NOT_TRIED if any(map(_left_out, lines)) else Outcome.HELD


def _left_out(line: str) -> bool:
    """Whether a step of the booted half could not run here; the ones after it did."""
    return line.startswith(f"{BOOTED}: {LEFT_OUT}: ")


def proven(suite: str, architecture: str, folder: Path) -> Iterator[str]:
    """The steps of a suite on this machine's architecture."""
    target = Target(suite, architecture)
    older, newer, broken, said = packages(suite, architecture, folder)
    yield said
    fresh(target)
    with copy(target, folder) as tree:
        yield from (f"in a fresh tree: {line}" for line in lives(tree, older, newer))
        with _BUILDING:
            said = from_checkout(tree, older)
        yield f"in a fresh tree: {said}"
    (folder / "service").mkdir()
    yield from (f"{BOOTED}: {line}" for line in service(suite, (older, newer, broken), folder / "service"))


def foreign(suite: str, architecture: str, folder: Path) -> Iterator[str]:
    """The steps of a suite on another architecture, emulated."""
    target, epoch = Target(suite, architecture), source_date()
    package, again = (build(target, folder / name, epoch) for name in ("first", "second"))
    yield alike(package, again, target)
    with copy(target, folder) as tree:
        yield from runs(tree, package, folder)


Part = tuple[str, str]
"""Suite and architecture."""


def tried(part: Part, own: str) -> tuple[list[str], Outcome]:
    """The lines of a part, and what came of it."""
    return told(partial(proven if part[1] == own else foreign, *part))


def gaps(name: str, lines: list[str]) -> list[str]:
    """What of a part was not tried, and why."""
    return [f"{name}: {line}" for line in lines if line.startswith(SKIPPED) or _left_out(line)]


def main() -> int:
    """Every suite on this machine's architecture at the same time, then on the others; the page after each,
    so that what was proven stays when somebody ends it. A part that is named (`trixie armhf`) is tried alone,
    and not written down.
    """
    if sys.argv[1:]:
        suite, architecture = sys.argv[1:]
        lines, outcome = tried((suite, architecture), own_architecture())
        print(*lines, sep="\n")
        return outcome
    commit = proofs.git("rev-parse", "--short=12", "HEAD")
    own = own_architecture()
    others = [(suite, name) for name in MACHINES if name != own for suite in SUITES]
    waiting: list[Part] = [*((suite, own) for suite in SUITES), *others]
    page: list[str] = []
    missing: list[str] = []
    outcomes: list[Outcome] = []

    def note(part: Part, lines: list[str], outcome: Outcome) -> None:
        waiting.remove(part)
        emulation = "" if part[1] == own else " (emulated)"
        words = [f"**{part[0]}, {part[1]}{emulation}**", "", *(f"- {line}" for line in lines), ""]
        print("\n".join(words), flush=True)
        page.extend(words)
        missing.extend(gaps(" ".join(part), lines))
        outcomes.append(outcome)
        rest = f"Not tried yet: {', '.join(' '.join(each) for each in waiting)}. " if waiting else ""
        said = "\n".join([*page, f"{rest}None of it was tried on a Raspberry Pi."])
        proofs.write("prove-package", commit, said)

    with ThreadPoolExecutor(len(SUITES)) as pool:
        running = {pool.submit(tried, (suite, own), own): (suite, own) for suite in SUITES}
        for done in as_completed(running):
            note(running[done], *done.result())
    for part in others:
        note(part, *tried(part, own))
    if missing:
        print("Not proven here:", *missing, sep="\n")
    return worst(outcomes)


if __name__ == "__main__":
    sys.exit(main())
