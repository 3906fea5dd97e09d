"""docs/proofs.md: what was proven at length, when, at which commit, on what machine. `python -m tests.proofs`
says what is out of date.

`make test` holds a smoke of each proof. What takes hours (`make soak`, `make mutants`) writes its section
here.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "proofs.md"
HEAD = """# Proofs

What takes longer than `make test` allows. Each section is written by its command; `make lint` says when the \
code has changed since.
"""


@dataclass(frozen=True)
class Proof:
    """A proof, the code that it proves, and its smoke in `make test`."""

    what: str
    paths: tuple[str, ...]
    smoke: str


PROOFS = {
    "soak": Proof(
        "Faults of every kind for hours and months, judged by the simulator's log and by the platform's "
        "store",
        (
            "gateway/field",
            "gateway/journal",
            "gateway/uplink",
            "gateway/mqtt",
            "gateway/daemon",
            "gateway/receiver",
            "gateway/wire",
            "gateway/host",
            "gateway/energy",
            "gateway/history",
        ),
        "tests/soak and tests/chaos without what is marked slow",
    ),
    "pages": Proof(
        "Every page in each state of a building (broker away, a dead meter, an empty journal, a clock that "
        "is not set, five years, 40 meters, names of 60 letters, a meter that only feeds in, the first day), "
        "in both languages, light and dark, 390 and 1280 pixels wide: nothing is cut or wider than the "
        "screen, nothing is left in English, axe-core finds nothing",
        ("gateway/status/page", "gateway/status/energy", "gateway/status/screen", "gateway/status/report"),
        "tests/status/test_status_states.py, each page of a state once",
    ),
    "mutants": Proof(
        "Whether some test notices when the code is wrong",
        (
            "gateway/field",
            "gateway/journal",
            "gateway/uplink",
            "gateway/mqtt",
            "gateway/daemon",
            "gateway/receiver",
            "gateway/wire",
        ),
        "tests/test_mutants.py",
    ),
    "prove-city": Proof(
        "The platform at the size of a city, all on one machine: 3 000 gateways for ten minutes, their "
        "herd with six minutes and once with an hour of backlog each, the cost of a batch beside ten "
        "million readings; receivers, the database and the broker killed at any moment, a receiver that "
        "never comes back, a cluster of three brokers",
        ("gateway/receiver", "gateway/demo/fleet", "gateway/uplink", "gateway/wire", "gateway/mqtt"),
        "tests/city/test_city.py",
    ),
    "prove-package": Proof(
        "The Debian package in fresh trees and under a booted systemd: installed, upgraded, taken back by "
        "hand and by itself, removed, purged, from a checkout, too; frozen, reloaded, restarted in "
        "mid-outage, set up from its boot partition, with a root that is read-only, on a new card in the "
        "place of a dead one; on other architectures, emulated",
        (
            "packaging",
            "systemd",
            "Makefile",
            "tests/package",
            "gateway/daemon/service",
            "gateway/common/file_versions.py",
            "gateway/provisioning",
            "gateway/remote",
            "gateway/backup",
            "gateway/host",
            "requirements/runtime.lock",
        ),
        "tests/package/test_deb.py",
    ),
}


def git(*arguments: str) -> str:
    """What git says; empty where there is no repository."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


def machine() -> str:
    """What it ran on, without names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kind = (
        f"{os.cpu_count()}-core {platform.machine()}, {memory:.0f} GB, {platform.system()} "
        f"{platform.release().split('-')[0]}"
    )
    return f"{kind}, Python {platform.python_version()}"


def when(commit: str) -> str:
    """Date, commit and machine, as a line of a page."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return f"{today}, commit {commit}; {machine()}."


def sections(page: str) -> dict[str, str]:
    """The sections of the page by name."""
    parts = re.split(r"^## (\S+)\n", page, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def write(name: str, commit: str, result: str) -> None:
    """Put a proof's section in the place of its former one."""
    known = sections(PAGE.read_text()) if PAGE.exists() else {}
    proof = PROOFS[name]
    known[name] = (
        f"{proof.what}: `make {name}`. Smoke in `make test`: {proof.smoke}.\n\n{when(commit)}\n\n{result}"
    )
    PAGE.write_text(HEAD + "".join(f"\n## {each}\n\n{known[each]}\n" for each in PROOFS if each in known))


def stale(page: str) -> list[str]:
    """A line for each proof that is missing or older than the code that it proves."""
    known, lines = sections(page), []
    for name, proof in PROOFS.items():
        commit = re.search(r"commit ([0-9a-f]{7,40})\b", known.get(name, ""))
        if commit is None:
            lines.append(f"docs/proofs.md: {name} was never proven → make {name}")
            continue
        if not git("rev-parse", "--quiet", "--verify", f"{commit[1]}^{{commit}}"):
            continue  # a copy without that history: nothing can be said
        later = git("log", "--format=%h", f"{commit[1]}..HEAD", "--", *proof.paths).split()
        if later:
            lines.append(
                f"docs/proofs.md: {name} is older than what it proves ({len(later)} commits since "
                f"{commit[1]}) → make {name}"
            )
    return lines


if __name__ == "__main__":
    for line in stale(PAGE.read_text() if PAGE.exists() else ""):
        print(line)
