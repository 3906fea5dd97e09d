"""The self-check end to end: `submeter demo --seconds N` must be good, and must say why."""

import re
import subprocess
import sys

import psutil
import pytest


@pytest.mark.timeout(180)
def test_the_self_check_is_good(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--seconds", "40", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: int(number) for name, number in re.findall(r"^  (\S.*?)  +(\d+)(?:   .*)?$", done.stdout, re.MULTILINE)}
    assert found["batches committed by the gateway"] >= 15
    assert found["of these at the platform"] == found["batches committed by the gateway"]
    assert found["of these at the platform, each once"] > 100
    assert found["replies that came late on purpose"] >= 1
    assert found["replies with a byte damaged on purpose"] >= 1
    assert found["served, and lost"] == found["of these wrong"] == found["batches or readings that count twice"] == 0
    for event in ("late", "damaged byte", "the broker is killed", "the broker is back", "killed with -9"):
        assert event in done.stdout
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(process.info["cmdline"] or [])]
