"""The self-check end to end: `submeter demo --seconds N` must be good, and must say why."""

import json
import re
import sqlite3
import subprocess
import sys

import psutil
import pytest

from gateway.catalogue import load_driver
from gateway.demo.show.account import judge, resolutions
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import METERS
from gateway.demo.simulator.process import read_serves
from tests.reliability import note


def problems(directory):
    """What the judge says of a finished self-check when no kill excuses anything."""
    stored, readings, _ = platform(directory / "platform.db")
    drivers = {meter.id: load_driver(meter.driver, directory / "drivers") for meter in METERS}
    serves, batches = read_serves(directory / "serves.jsonl"), committed(directory / "journal" / "journal.db")
    return judge(
        serves, batches, stored, readings, breaks=[], slot=1.0, tolerance=resolutions(drivers)
    ).problems


def there_is_no_way_to_cheat(directory):
    """The same judge, on the same run, after somebody has tampered with the platform's database."""
    as_found = problems(directory)
    assert all("served and are nowhere" in problem for problem in as_found)
    with sqlite3.connect(directory / "platform.db") as db:
        ((epoch, seq),) = db.execute("SELECT epoch, seq FROM batch WHERE readings > 3 ORDER BY seq LIMIT 1")
        db.execute(
            "DELETE FROM reading WHERE rowid = (SELECT max(rowid) FROM reading WHERE epoch = ? AND seq = ?)",
            (epoch, seq),
        )
    db.close()
    assert any("more or fewer readings" in problem for problem in problems(directory))
    with sqlite3.connect(directory / "platform.db") as db:
        db.execute("DELETE FROM batch WHERE epoch = ? AND seq = ?", (epoch, seq))
        db.execute("DELETE FROM reading WHERE epoch = ? AND seq = ?", (epoch, seq))
    db.close()
    assert any("1 committed batches are not at the platform" in problem for problem in problems(directory))
    with sqlite3.connect(directory / "platform.db") as db:
        ((row, text),) = db.execute(
            """
            SELECT rowid, "values" FROM reading
            WHERE meter = 'main' AND "values" LIKE '%active_power%' LIMIT 1
            """
        )
        values = json.loads(text)
        values["active_power"] += 0.002
        db.execute('UPDATE reading SET "values" = ? WHERE rowid = ?', (json.dumps(values), row))
    db.close()
    assert any("1 values of main are not what its meter served" in problem for problem in problems(directory))


@pytest.mark.timeout(360)
def test_the_self_check_is_good(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--seconds", "40", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        name: int(number)
        for name, number in re.findall(r"^  (\S.*?)  +(\d+)(?:   .*)?$", done.stdout, re.MULTILINE)
    }
    note(
        "selfcheck",
        runs=1,
        taken=found["batches committed by the gateway"],
        lost=found["committed, and not at the platform"] + found["served, and lost"],
        twice=found["batches or readings that count twice"],
        wrong=found["of these wrong"],
    )
    assert found["batches committed by the gateway"] >= 15
    assert found["of these at the platform"] == found["batches committed by the gateway"]
    assert found["of these at the platform, each once"] > 100
    assert found["replies that came late on purpose"] >= 1
    assert found["replies with a byte damaged on purpose"] >= 1
    assert (
        found["served, and lost"]
        == found["of these wrong"]
        == found["batches or readings that count twice"]
        == 0
    )
    for event in ("late", "damaged byte", "the broker is killed", "the broker is back", "killed with -9"):
        assert event in done.stdout
    there_is_no_way_to_cheat(next(tmp_path.glob("self-check-*")))
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
