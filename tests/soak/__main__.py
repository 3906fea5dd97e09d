"""python -m tests.soak: everything that is slow, for SOAK_MINUTES, and what came of it into
docs/proofs.md. What is given beside it goes to pytest (`-k months`), and the page says so.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

from tests import proofs

ENDED = (0, 1)
"""What pytest returns when it ran what was chosen to its end. Stopped halfway, or with nothing chosen, it
proved nothing, and the page stays as it is.
"""


def result(report: Path) -> str:
    """What a run brought, in words: how many passed, which failed, what was skipped and why."""
    outcomes: Counter[str] = Counter()
    failed, skipped = [], Counter[str]()
    for case in ET.parse(report).iter("testcase"):
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        left_out = case.find("skipped")
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        if bad is not None:
            outcomes["failed"] += 1
            failed.append(name)
        elif left_out is not None:
            outcomes["skipped"] += 1
            skipped[left_out.get("message") or "without a reason"] += 1
        else:
            outcomes["passed"] += 1
    lines = [f"{outcomes['passed']} passed, {outcomes['failed']} failed, {outcomes['skipped']} skipped."]
    lines += [f"- failed: {name}" for name in failed]
    lines += [f"- skipped ({count}): {' '.join(why.split())}" for why, count in sorted(skipped.items())]
    return "\n".join(lines)


def main() -> int:
    """Run, then write."""
    minutes = os.environ.get("SOAK_MINUTES", "60")
    commit = proofs.git("rev-parse", "--short=12", "HEAD")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "soak.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "slow",
            "--timeout=0",
            f"--junit-xml={report}",
            *sys.argv[1:],
            "tests",
        ]
        code = subprocess.run(command, cwd=proofs.ROOT, check=False).returncode
        if code in ENDED:
            only = f", of the slow tests those of `{shlex.join(sys.argv[1:])}`" if sys.argv[1:] else ""
            proofs.write("soak", commit, f"Faults for {minutes} minutes each{only}. {result(report)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
