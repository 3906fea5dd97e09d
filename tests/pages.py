"""`make pages`: every page in every state, both languages, light and dark, on a phone and on a desk; axe-core
on each. Pictures go to build/page, the result to docs/proofs.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import proofs
from tests.soak.__main__ import ENDED, result

TESTS = tuple(f"tests/status/test_status_{name}.py" for name in ("states", "screen", "technician_browser"))


def main() -> int:
    """Run, then write."""
    commit = proofs.git("rev-parse", "--short=12", "HEAD")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "pages.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--timeout=0",
            f"--junit-xml={report}",
            *sys.argv[1:],
            *TESTS,
        ]
        environment = {**os.environ, "SUBMETER_PAGE_PROOF": "1"}
        code = subprocess.run(command, cwd=proofs.ROOT, check=False, env=environment).returncode
        if code in ENDED:
            proofs.write("pages", commit, result(report))
    return code


if __name__ == "__main__":
    sys.exit(main())
