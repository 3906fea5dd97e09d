"""python -m tests.suite [pytest's options]: every test that is not slow, in three parts, on the Python that
runs this.

What mostly waits runs side by side; what measures time, or is about a machine under stress, one after the
other. There are no second chances: what fails is run once more only to say whether it is a race, and a race
fails the run as well, but for those of tests/chaos.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
AT_ONCE = 4
"""Processes that share the cores; their tests wait for brokers, timeouts and disks most of the time."""
TIMED = ("demo", "field", "pulses", "soak")
TIMED_FILES = (
    "commissioning/test_doctor_borrows.py",
    "commissioning/test_doctor_cli.py",
    "commissioning/test_scan.py",
)
"""Of other folders: a simulated meter that gets no processor is late, and doctor and scan take it at that."""
CHAOS = "chaos"
FAILED, NOTHING = 1, 5
"""Of pytest's exit codes."""


def parts() -> dict[str, list[str]]:
    """What pytest is given for each part."""
    folders = sorted(path.parent.name for path in HERE.glob("*/test_*.py"))
    side_by_side = [f"tests/{name}" for name in dict.fromkeys(folders) if name not in {*TIMED, CHAOS}]
    side_by_side += sorted(f"tests/{path.name}" for path in HERE.glob("test_*.py"))
    side_by_side += [f"--ignore=tests/{name}" for name in TIMED_FILES]
    return {
        "side by side": ["-n", str(AT_ONCE), "--dist", "loadfile", *side_by_side],
        "one after the other": [f"tests/{name}" for name in (*TIMED, *TIMED_FILES)],
        "chaos": [f"tests/{CHAOS}"],
    }


def failures(cache: Path) -> set[str]:
    """The tests that failed last."""
    file = cache / "v" / "cache" / "lastfailed"
    return set(json.loads(file.read_text())) if file.exists() else set()


def run(name: str, arguments: list[str]) -> tuple[bool, set[str]]:
    """Run a part: whether it is good as far as it failed for good, and the tests that passed only at the
    second time.
    """
    version = "{}.{}".format(*sys.version_info)
    cache = ROOT / ".pytest_cache" / f"{version} {name}".replace(" ", "-")
    (cache / "v" / "cache" / "lastfailed").unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", "-m", "not slow", "-o", f"cache_dir={cache}", *arguments]
    code = subprocess.run(pytest, cwd=ROOT, check=False).returncode
    if code in {0, NOTHING}:
        return True, set()
    first = failures(cache)
    if code != FAILED or not first:
        return False, set()
    print(f"Running once more what has failed {name}, to say whether it is a race …", flush=True)
    again = [*pytest, "--last-failed", "--last-failed-no-failures", "none"] + (
        ["-n", "0"] if "-n" in arguments else []
    )
    subprocess.run(again, cwd=ROOT, check=False)
    for_good = failures(cache)
    return not for_good, first - for_good


def main() -> int:
    """Every part, even after one has failed."""
    good, races = True, set()
    for name, arguments in parts().items():
        held, raced = run(name, [*arguments, *sys.argv[1:]])
        good, races = good and held, races | raced
    serious = {test for test in races if not test.startswith(f"tests/{CHAOS}/")}
    if races:
        print(
            f"{len(races)} tests passed only at the second "
            f"time{'' if serious else ', all of them of chaos'}:",
            *sorted(races),
            sep="\n  ",
        )
    if not good:
        print("Some tests failed twice.")
    return 0 if good and not serious else 1


if __name__ == "__main__":
    sys.exit(main())
