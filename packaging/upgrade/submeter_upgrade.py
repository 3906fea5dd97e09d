#!/usr/bin/python3 -I
"""submeter-upgrade: a new version is on trial until it has been ready for ten minutes; else the one before
comes back.

Installed as /usr/lib/submeter/submeter-upgrade and run as root by the system's own Python: it loads nothing
of the program, which may be what does not work. The version before lies packed again in
/var/lib/submeter-upgrade/previous.deb (packaging/debian/preinst); `trial.json` beside it is there as long as
nothing is decided, and `result.json` says what came of the newest trial.

  begin OLD     the new version is unpacked: from here on it is on trial (packaging/debian/postinst)
  watch         decide: keep it, or install the version before (submeter-upgrade.service)
  install FILE  install a package (submeter-install.service), and go back at once when that fails
  status        say how it is, as JSON
  over          there is nothing to decide any more (packaging/debian/prerm)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("DPKG_ROOT") or "/")
HOME = ROOT / "var/lib/submeter-upgrade"
MARK, RESULT, PACKED, BEFORE = (
    HOME / name for name in ("trial.json", "result.json", "previous.deb", "before.json")
)
VERSIONS = ROOT / "usr/lib/submeter/versions.json"
"""By file: the oldest and the newest version that this program can write."""
FIRST_KNOWN = {"journal.db": [2, 2], "history.db": [1, 1], "learnt.json": [1, 1]}
"""What packages without that list can write."""
LOCK = ROOT / "var/lib/dpkg/lock"
PACKAGE, SERVICE = "submeter-gateway", "submeter-gateway.service"


def seconds(name: str, usual: float) -> float:
    """A time limit in s; the environment may shorten it, for a trial of the trial."""
    return float(os.environ.get(f"SUBMETER_UPGRADE_{name}", usual))


UNREADY = seconds("UNREADY", 120.0)
"""s that it may be without being ready."""
PROVEN = seconds("PROVEN", 600.0)
"""s that one run of it must have been ready."""
LONGEST = seconds("LONGEST", 3600.0)
"""s after which a version that is never ready for so long is not kept."""
EVERY = seconds("EVERY", 2.0)
STARTS = 5
"""Times that the machine may start while nothing is decided: a new version may be what makes it restart."""
DEPENDENCY = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z]+)?(?: \((<<|<=|=|>=|>>) ([^)]+)\))?")
"""One of a control file's Depends (deb-control(5))."""
STOPPED_BY_A_PERSON = "inactive"
"""A unit that ends by itself is failed, or activating again."""


class Trial:
    """Decides by what is seen of the service; the times are monotonic s."""

    def __init__(self, now: float) -> None:
        self._seen = self._ready_at = now
        self._unready = self._total = 0.0
        self._run = ""

    def look(self, now: float, state: str, run: str) -> tuple[str, str]:
        """("keep" | "back" | "", why). `state` is the unit's ActiveState, `run` its InvocationID."""
        passed, self._seen = now - self._seen, now
        if state == STOPPED_BY_A_PERSON:
            self._run = ""
            return "", ""
        self._total += passed
        if state == "active":
            if run != self._run:
                self._run, self._ready_at = run, now
            self._unready = 0.0
            if now - self._ready_at >= PROVEN:
                return "keep", f"it was ready for {PROVEN:.0f} s"
        else:
            self._run = ""
            self._unready += passed
            if self._unready >= UNREADY:
                return "back", f"it was not ready within {UNREADY:.0f} s ({state})"
        if self._total >= LONGEST:
            return "back", f"within {LONGEST:.0f} s it was never ready for {PROVEN:.0f} s"
        return "", ""


def read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, what: dict[str, Any]) -> None:
    """Put a file in its place at once, on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w") as body:
        json.dump(what, body, indent=1)
        body.flush()
        os.fsync(body.fileno())
    fresh.chmod(0o644)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def say(what: str) -> None:
    """To the log of the machine."""
    print(what, flush=True)


def asked(*command: str) -> str:
    """What a command says; empty when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def installed() -> tuple[str, str]:
    """Status of the package as dpkg abbreviates it ("ii": whole), and its version."""
    said = asked("dpkg-query", "-W", "-f=${db:Status-Abbrev}|${Version}", PACKAGE)
    status, _, version = said.partition("|")
    return status.strip(), version.strip()


def lacking() -> str:
    """What the version before depends on and this machine has not; empty when it has everything."""
    for clause in asked("dpkg-deb", "--field", str(PACKED), "Depends").split(","):
        choices = [found for each in clause.split("|") if (found := DEPENDENCY.fullmatch(each.strip()))]
        if choices and not any(satisfied(*choice.groups()) for choice in choices):
            return clause.strip()
    return ""


def satisfied(name: str, relation: str | None, version: str | None) -> bool:
    """Whether a package is installed, in a version that will do."""
    status, _, known = asked("dpkg-query", "-W", "-f=${db:Status-Abbrev}|${Version}", name).partition("|")
    if status.strip() != "ii":
        return False
    if not relation or not version:
        return True
    words = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}
    command = ["dpkg", "--compare-versions", known.strip(), words[relation], version]
    return subprocess.run(command, check=False).returncode == 0


def service() -> tuple[str, str]:
    """ActiveState and InvocationID of the gateway's service."""
    said = asked("systemctl", "show", "--property=ActiveState,InvocationID", SERVICE)
    known = dict(line.partition("=")[::2] for line in said.splitlines())
    return known.get("ActiveState", ""), known.get("InvocationID", "")


def busy() -> bool:
    """Whether a dpkg is at work."""
    try:
        with LOCK.open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def begin(before: str) -> int:
    """The new version is unpacked: put it on trial, if there is a way back."""
    mark = read(MARK)
    if mark.get("state") == "going back":
        return 0  # the version before comes back, and needs no trial
    if not mark or not PACKED.exists():
        over()
        return 0
    reads, writes = read(BEFORE) or FIRST_KNOWN, read(VERSIONS) or FIRST_KNOWN
    files = {name: newest for name, (_, newest) in reads.items()}
    for name, newest in files.items():
        oldest = writes.get(name, [newest])[0]
        if newest < oldest:
            say(f"No way back by itself: {before} cannot read the {name} that this version writes.")
            over()
            return 0
    _, version = installed()
    if version == mark["from"]:  # the one that was proven, put back by hand
        over()
        return 0
    write(MARK, {**mark, "state": "trial", "to": version, "files": files})
    say(f"{version} is on trial: when it is not ready within {UNREADY:.0f} s, {mark['from']} comes back.")
    return 0


def over(*, outcome: str = "", why: str = "", before: str = "") -> None:
    """Nothing is left to decide; `outcome`, if there is one, is what came of it."""
    mark = read(MARK)
    if outcome:
        known = {"id": mark.get("id") or os.urandom(8).hex(), "from": mark.get("from", before)}
        at = time.time_ns() // 1_000_000
        write(RESULT, {**known, "to": mark.get("to", ""), "outcome": outcome, "why": why, "at": at})
    for path in (MARK, PACKED, BEFORE):
        path.unlink(missing_ok=True)


def go_back(why: str) -> int:
    """Install the version before; again and again while something else installs."""
    mark = read(MARK)
    if not PACKED.exists():
        over(outcome="failed", why=f"{why}; the version before is not there any more")
        return 1
    write(MARK, {**mark, "state": "going back", "why": why})
    say(f"{mark.get('to') or 'The new version'} is taken back: {why}. Installing {mark['from']} …")
    command = ["dpkg", "--force-confdef", "--force-confold", "--force-downgrade", "--install", str(PACKED)]
    # What it needs may be gone, with a newer Debian for example: better the new version than half of the old.
    if lacks := lacking():
        over(outcome="failed", why=f"{why}; {mark['from']} needs {lacks}, which is not here any more")
        say(f"{mark['from']} needs {lacks}, which is not here any more: nothing was changed.")
        return 1
    for attempt in range(100):
        while busy():
            time.sleep(EVERY)
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment())
        if done.returncode == 0 and installed() == ("ii", mark["from"]):
            over(outcome="taken back", why=why)
            say(f"{mark['from']} is installed again; configuration and readings are as they were.")
            return 0
        said = (done.stderr or done.stdout).strip()[-400:]
        if attempt == 0:
            say(f"{mark['from']} could not be installed, it is tried again: {said}")
        time.sleep(EVERY)
    over(outcome="failed", why=f"{why}; {mark['from']} could not be installed: {said}")
    return 1


def environment() -> dict[str, str]:
    """Of a dpkg that nobody answers."""
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def resumed(mark: dict[str, Any]) -> tuple[bool, str]:
    """What was under way when the machine went down: whether it is over; why it must go back."""
    status, version = installed()
    if mark.get("state") == "going back":
        if (status, version) == ("ii", mark["from"]):
            over(outcome="taken back", why=mark.get("why", ""))
            return True, ""
        return False, mark.get("why", "")
    if mark.get("state") == "replacing":
        if (status, version) == ("ii", mark["from"]):
            over()  # it was never replaced
            return True, ""
        return False, "" if busy() else "its installation was cut off"
    starts = mark.get("starts", 0) + 1
    write(MARK, {**mark, "starts": starts})
    return False, f"the machine has started {starts} times since" if starts > STARTS else ""


def watch() -> int:
    """Until it is decided."""
    mark = read(MARK)
    if not mark:
        over()
        return 0
    ended, why = resumed(mark)
    if ended:
        return 0
    if why:
        return go_back(why)
    trial, idle = Trial(time.monotonic()), 0.0
    while mark := read(MARK):
        time.sleep(EVERY)
        if mark.get("state") == "replacing":  # another package on top of the one on trial
            idle = 0.0 if busy() else idle + EVERY
            if idle >= UNREADY:
                return go_back("its installation was cut off")
            trial = Trial(time.monotonic())
            continue
        decided, why = trial.look(time.monotonic(), *service())
        if decided == "back":
            return go_back(why)
        if decided == "keep":
            say(f"{mark['to']} is kept: {why}.")
            over(outcome="kept", why=why)
    return 0


def install(package: str) -> int:
    """Install a package; when that fails half-way, the version before."""
    while busy():
        time.sleep(EVERY)
    _, before = installed()
    command = ["dpkg", "--force-confdef", "--force-confold", "--install", package]
    done = subprocess.run(command, check=False, env=environment())
    if done.returncode == 0:
        return 0
    mark = read(MARK)
    if mark and installed() != ("ii", before):
        go_back("its installation failed")
    else:
        over(outcome="not installed", why=f"dpkg refused it ({done.returncode})", before=before)
    return 1


def status() -> int:
    """How it is."""
    _, version = installed()
    print(
        json.dumps(
            {"version": version, "trial": read(MARK) or None, "result": read(RESULT) or None}, indent=1
        )
    )
    return 0


def main(words: list[str]) -> int:
    """Do what is asked; 2 for what is not known."""
    match words:
        case ["begin", before]:
            return begin(before)
        case ["watch"]:
            return watch()
        case ["install", package]:
            return install(package)
        case ["status"]:
            return status()
        case ["over"]:
            with contextlib.suppress(OSError):
                over()
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
