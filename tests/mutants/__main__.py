"""python -m tests.mutants [--map] [--survivors] [--again TESTS…] [--most N] [--only PART] [--report]
[--lines]: does some test notice when the code is wrong?

Takes a copy of the committed state (that of the last --map), samples SAMPLE mutants of the central modules
with a fixed seed, and runs for each, in a process of its own, the tests that run its line, the quickest
first, until one fails. What is known is kept in build/mutants: it goes on where it was stopped, and a mutant
is known as long as its module stays as it is.

--map        take the present state, and find out anew which test runs which line (done by itself the first
time)
--survivors  run those again that survived, against more tests, those too that could not be watched
--again TESTS…  take the present state, and run the survivors of docs/mutants.md against the tests of these
files alone (again.py); what is killed by none of them stays as it is on the page
--most N     stop after N mutants
--only PART  modules whose path has PART in it, a regular expression
--report     run nothing, write docs/mutants.md and the section of docs/proofs.md
--lines      run nothing, put each survivor of docs/mutants.md at the line where its code stands today

A mutant is killed when a test fails or does not end in its time. What survives is listed in docs/mutants.md;
tests/mutants/reasons.txt says why, one line each: module | what it was | what it became | reason.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import Queue
from typing import Any

from tests.mutants.again import counterpart, read_page, relined
from tests.mutants.operators import Mutant, compiles, mutants
from tests.mutants.reach import MARKS, OPTIONS
from tests.mutants.report import write_report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
STATE = ROOT / "build" / "mutants"
SEED = 20261126
SAMPLE = 480
AT_ONCE = 4
CENTRAL = {
    "field": "bus/line bus/transaction bus/doubts bus/station bus/cost meter/planner meter/decode "
    "meter/registers meter/reader worker schedule meter/state poll_queue meter/quiet meter/silent_read "
    "pulses/filter pulses/input pulses/register",
    "journal": "pending disk housekeeping writer current stats damage"
    " file/thinning file/settled file/recovered file/batches file/store file/rows file/batch_table"
    " file/resume file/missing file/verify file/epochs recovery/pages recovery/scan",
    "uplink": "forwarder retained rewrap"
    " outgoing/sender outgoing/fitting outgoing/queues outgoing/replay outgoing/clock_hold outgoing/rate"
    " delivery/delivery delivery/window delivery/receipts delivery/conflicts delivery/retry_timer"
    " delivery/settling",
    "mqtt": "reconnect connection broker_link thread_link",
    "wire": "batch messages meters topics",
    "daemon": "slots service/watchdog last_values changes register_copy views describe",
    "receiver": "ledger gaps intake report service broker receipt_sender"
    " store/base store/sqlite store/postgres store/intervals store/events",
}
FOLDERS = ["field", "journal", "uplink", "receiver", "daemon", "pulses", "catalogue", "wire", "model"]
ENOUGH = 12.0
"""Seconds of tests, as the map has them, that one mutant meets at most."""
THOROUGH = 120.0
"""… with --survivors."""

FAILED = 1
"""pytest's exit code when tests have failed; any other says that the run itself went wrong."""
LEAST = 60.0
"""Seconds that every run may take, beside five times what the map has for its tests."""


@dataclass(frozen=True)
class Candidate:
    """A mutant and the module that it belongs to, as it was committed."""

    mutant: Mutant
    source: bytes

    @property
    def key(self) -> str:
        """Known as long as the module stays as it is."""
        return f"{hashlib.sha1(self.source).hexdigest()[:12]} {self.mutant.key}"


class Reach:
    """Which test runs which lines. `enough`: seconds of tests that one mutant meets at most; `thorough`: also
    the tests of its room of which that is not known.
    """

    def __init__(self, reached: dict[str, Any], enough: float = ENOUGH, *, thorough: bool = False) -> None:
        self._enough = enough
        self._tests: dict[str, tuple[float, dict[str, set[int]]]] = {
            test: (seconds, {module: set(lines) for module, lines in modules.items()})
            for test, (seconds, modules) in reached.items()
            if modules is not None
        }
        self._others = [
            (test, seconds) for test, (seconds, modules) in reached.items() if thorough and modules is None
        ]

    def tests(self, mutant: Mutant) -> list[tuple[str, float]]:
        """Those that run the mutant's lines, quickest first; those that enter its module when none is
        known to.
        """
        lines = set(range(mutant.line, mutant.last_line + 1))
        entering = [
            (name, seconds, reached[mutant.module])
            for name, (seconds, reached) in self._tests.items()
            if mutant.module in reached
        ]
        near = [(name, seconds) for name, seconds, reached in entering if lines & reached] or [
            (name, s) for name, s, _ in entering
        ]
        near.sort(key=lambda each: each[1])
        chosen, total = [], 0.0
        for name, seconds in near:
            total += seconds
            if chosen and total > self._enough:
                break
            chosen.append((name, seconds))
        rooms = {mutant.module.split("/")[1], *(["uplink"] if "/mqtt/" in mutant.module else [])}
        return chosen + [each for each in self._others if each[0].split("/")[1] in rooms]


def git(*arguments: str) -> str:
    """What git says."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def committed(base: Path) -> None:
    """The committed state as files."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(base)], input=archive, check=True)
    (base / "COMMIT").write_text(git("rev-parse", "--short=12", "HEAD"))


def pytest(copy: Path, *arguments: str, seconds: float, **environment: str) -> tuple[int | None, str]:
    """Run pytest in a copy: its exit code, None when its time was over, and what it printed."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, "-m", MARKS, *arguments]
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        settings = {
            **os.environ,
            "PYTHONPATH": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": scratch,
            **environment,
        }
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.Popen(
                command, cwd=copy, env=settings, stdout=out, stderr=out, start_new_session=True
            )
            try:
                code: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            return code, out.read()


UNSUITABLE = (
    "journal/test_journal_flips.py",
    "journal/test_journal_powercut.py",
    "journal/test_journal_kill.py",
    "uplink/test_uplink_chaos.py",
    "uplink/test_uplink_peers.py",
    "uplink/test_uplink_acl.py",
    "receiver/test_receiver_acl.py",
    "pulses/test_pulse_daemon.py",
    "daemon/test_daemon.py",
    "daemon/test_outside_daemon.py",
    "daemon/test_sandbox.py",
)
"""Test files that take minutes, or run the gateway in processes of their own, where no mutant is."""


def map_folder(base: Path, tests: list[str], file: Path) -> None:
    """Run the tests of folders or files on the committed state, and note what they reach."""
    begin = time.monotonic()
    made = file.with_suffix(".new")
    unsuitable = [f"--ignore=tests/{name}" for name in UNSUITABLE]
    several = ["-n", str(AT_ONCE), "--dist", "load"]
    code, said = pytest(
        base, "--timeout=120", *several, *unsuitable, *tests, seconds=1800, MUTANTS_REACH=str(made)
    )
    parts = sorted(made.parent.glob(f"{made.name}.*"))
    if not parts:
        raise SystemExit(said[-4000:])
    reached: dict[str, Any] = {}
    for part in parts:
        reached |= json.loads(part.read_text())
        part.unlink()
    file.write_text(json.dumps(reached))
    print(
        f"  {' '.join(tests)}: {len(reached)} tests, {time.monotonic() - begin:.0f} s",
        flush=True,
    )
    if code != 0:
        print(
            "    failed, and met by what survives all others only:",
            *[line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))],
            sep="\n    ",
            flush=True,
        )


def make_map(base: Path, *, anew: bool) -> dict[str, Any]:
    """Which test runs which lines, as reach.py has it; a folder's part is made if it is missing."""
    parts = {folder: STATE / f"reach-{folder}.json" for folder in FOLDERS}
    missing = [folder for folder, part in parts.items() if anew or not part.exists()]
    if missing:
        print("Finding out which test runs which line …", flush=True)
        for folder in missing:
            map_folder(base, [f"tests/{folder}"], parts[folder])
    reached: dict[str, Any] = {}
    for part in parts.values():
        reached |= json.loads(part.read_text())
    return reached


def sample(base: Path) -> list[Candidate]:
    """SAMPLE mutants, from each module in proportion to how many it has. A change of one module leaves the
    others' sample alone.
    """
    found: dict[str, list[Candidate]] = {}
    for room, names in CENTRAL.items():
        for name in names.split():
            module = f"gateway/{room}/{name}.py"
            source = (base / module).read_bytes()
            found[module] = [Candidate(mutant, source) for mutant in mutants(module, source)]
    total = sum(map(len, found.values()))
    chosen = []
    for module, all_of_it in found.items():
        count = max(2, round(SAMPLE * len(all_of_it) / total))
        random.Random(f"{SEED} {module}").shuffle(all_of_it)
        good = (one for one in all_of_it if compiles(one.mutant.apply(one.source)))
        chosen += islice(good, count)
    random.Random(SEED).shuffle(chosen)
    return chosen


class Server:
    """A process that has everything loaded and forks for each mutant (server.py)."""

    def __init__(self, base: Path, tests: Sequence[str]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="mutants-")
        self.directory = Path(self._scratch.name)
        settings = {
            **os.environ,
            "PYTHONPATH": str(base),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.directory),
        }
        command = [sys.executable, "-m", "tests.mutants.server", *(f"tests/{name}" for name in tests)]
        self._process = subprocess.Popen(
            command, cwd=base, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **job: object) -> int | None:
        """The exit code of pytest for a job; None when its time was over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code: int | None = json.loads(self._process.stdout.readline())
        return code

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._scratch.cleanup()


def attempt(
    candidate: Candidate, source: bytes, server: Server, tests: list[tuple[str, float]]
) -> tuple[int | None, str, float]:
    """Run tests against a module: pytest's exit code, None when its time was over, the test that failed,
    and the time there was.
    """
    files = {name: server.directory / name for name in ("source", "chosen", "out")}
    files["source"].write_bytes(source)
    files["chosen"].write_text(json.dumps([name for name, _ in tests]))
    limit = LEAST + 5 * sum(seconds for _, seconds in tests)
    folders = sorted({name.split("::")[0] for name, _ in tests})
    places = {name: str(file) for name, file in files.items()}
    code = server.ask(module=candidate.mutant.module, files=folders, seconds=limit, **places)
    said = files["out"].read_text(errors="replace")
    failed = next(
        (line for line in said.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/"))), ""
    )
    return code, failed.split(" - ")[0].partition(" ")[2], limit


def judge(candidate: Candidate, servers: Queue[Server], reach: Reach) -> dict[str, Any]:
    """Run the nearest tests against one mutant. A test that fails without the mutant as well proves
    nothing, and is left out.
    """
    mutant = candidate.mutant
    near = reach.tests(mutant)
    begin = time.monotonic()
    verdict, by = "survived", "" if near else "no test of the map enters the module"
    server = servers.get()
    while near:
        code, failed, limit = attempt(candidate, mutant.apply(candidate.source), server, near)
        if code is None:
            verdict, by = "timed out", f"no end within {limit:.0f} s"
        elif code != 0:
            alone = [each for each in near if each[0] == failed]
            if code != FAILED or not alone:
                verdict, by = "not run", f"pytest ended with {code} {failed}"
            elif attempt(candidate, candidate.source, server, alone)[0] != 0:
                near.remove(alone[0])
                continue
            else:
                verdict, by = "killed", failed
        break
    servers.put(server)
    return {
        "module": mutant.module,
        "line": mutant.line,
        "operator": mutant.operator,
        "was": mutant.was,
        "text": mutant.text,
        "verdict": verdict,
        "by": by,
        "tests": len(near),
        "seconds": round(time.monotonic() - begin, 1),
    }


def meet_again(base: Path, tests: list[str], results_file: Path, only: re.Pattern[str], most: int) -> None:
    """The survivors of the page against some tests, and the page anew."""
    record = read_page(ROOT / "docs/mutants.md")
    reach_file = STATE / "reach-again.json"
    map_folder(base, [f"tests/{name}" for name in tests], reach_file)
    reach = Reach(json.loads(reach_file.read_text()), THOROUGH)
    met: list[dict[str, Any]] = []
    todo: list[Candidate] = []
    for module, line, was, became in record.survivors:
        found = counterpart(base, module, line, was, became)
        if found is None:
            print(f"     gone      {module}:{line} {was} → {became}", flush=True)
        elif only.search(module) and len(todo) < most:
            todo.append(Candidate(*found))
        else:
            mutant = found[0]
            met.append(
                {
                    "module": module,
                    "line": mutant.line,
                    "was": mutant.was,
                    "text": mutant.text,
                    "verdict": "survived",
                }
            )
    met += run_all(todo, reach, {}, results_file, tests)
    commit = (base / "COMMIT").read_text()
    results = record.results(
        [each | ({"verdict": "survived"} if each["verdict"] == "not run" else {}) for each in met]
    )
    write_report(ROOT, commit, results, len(results), SEED, drawn=record.drawn)


def run_all(
    todo: list[Candidate], reach: Reach, results: dict[str, Any], results_file: Path, tests: Sequence[str]
) -> list[dict[str, Any]]:
    """Each against its tests, several at once; what is known is written down after each."""
    servers: Queue[Server] = Queue()
    for _ in range(AT_ONCE):
        servers.put(Server(STATE / "base", tests))
    made = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {pool.submit(judge, one, servers, reach): one for one in todo}
        for count, run in enumerate(as_completed(runs), 1):
            result = results[runs[run].key] = run.result()
            made.append(result)
            results_file.write_text(json.dumps(results, indent=1))
            change = " ".join(f"{result['was']} → {result['text']}".split())[:120]
            place = f"{result['module']}:{result['line']}"
            print(
                f"{count:4} {result['verdict']:9} {result['seconds']:6} s  {place} {change}  "
                f"{result['by'][:80]}",
                flush=True,
            )
    while not servers.empty():
        servers.get().close()
    return made


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--again", nargs="+", metavar="TESTS")
    parser.add_argument("--most", type=int, default=10**6)
    parser.add_argument("--only", default="")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--lines", action="store_true")
    wanted = parser.parse_args()
    if wanted.lines:
        PAGE.write_text(relined(PAGE.read_text(), ROOT))
        return
    STATE.mkdir(parents=True, exist_ok=True)
    base, results_file = STATE / "base", STATE / "results.json"
    results: dict[str, Any] = json.loads(results_file.read_text()) if results_file.exists() else {}
    if wanted.map or wanted.again or not base.exists():
        committed(base)
    if wanted.again:
        meet_again(base, wanted.again, results_file, re.compile(wanted.only), wanted.most)
        return
    candidates = sample(base)
    if not wanted.report:
        reach = Reach(
            make_map(base, anew=wanted.map),
            THOROUGH if wanted.survivors else ENOUGH,
            thorough=wanted.survivors,
        )
        todo = [one for one in candidates if re.search(wanted.only, one.mutant.module)]
        again = {"not run", *(["survived"] if wanted.survivors else [])}
        known = {key for key, result in results.items() if result["verdict"] not in again}
        todo = [one for one in todo if one.key not in known][: wanted.most]
        if wanted.survivors:
            todo = [one for one in todo if one.key in results]
        print(f"{len(candidates)} mutants, {len(todo)} to run", flush=True)
        run_all(todo, reach, results, results_file, FOLDERS)
    known = [results[one.key] for one in candidates if one.key in results]
    write_report(
        ROOT,
        (base / "COMMIT").read_text(),
        [each for each in known if each["verdict"] != "not run"],
        len(candidates),
        SEED,
    )


if __name__ == "__main__":
    main()
