"""The whole product in compressed time: a gateway that is killed at any moment publishes every quarter hour
once, and what the platform holds adds up to the register that the meters served.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.cli.correct import command
from gateway.history import FILE, make_copy
from tests.rig import MOSQUITTO, until
from tests.soak.months import Run

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

QUARTER = 900_000
LONG = 7_200_000
HOUR = 3600.0


def intervals(database: Path) -> dict[tuple[str, str], dict[int, dict[int, tuple[int, str]]]]:
    """(meter, quantity) → start → version → (value, quality). Raises AssertionError for two values of one
    identity.
    """
    found: dict = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as db:
        rows = db.execute("SELECT meter, quantity, start, value, quality, version FROM interval").fetchall()
    for meter, quantity, start, value, quality, version in rows:
        versions = found.setdefault((meter, quantity), {}).setdefault(start, {})
        assert versions.setdefault(version, (value, quality)) == (value, quality), (meter, quantity, start)
    return found


def registers(database: Path) -> dict[tuple[str, str], list[tuple[int, Fraction]]]:
    """What the meters served, in Wh or varh, by its time."""
    found: dict = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as db:
        rows = db.execute('SELECT meter, t, "values" FROM reading ORDER BY t').fetchall()
    for meter, t, values in rows:
        for quantity, value in json.loads(values, parse_float=Decimal, parse_int=Decimal).items():
            if "energy" in quantity:
                found.setdefault((meter, quantity), []).append((t, Fraction(value) * 1000))
    return found


def edges(readings: list[tuple[int, Fraction]]) -> dict[int, int]:
    """The register at each quarter hour, on the line between the two readings around it, rounded half up."""
    found = {}
    for (a, at), (b, to) in pairwise(readings):
        if b - a > LONG:
            continue
        for q in range((a // QUARTER + 1) * QUARTER, b + 1, QUARTER):
            found[q] = floor(at + (to - at) * (q - a) / (b - a) + Fraction(1, 2))
    return found


def behind(run: Run) -> int:
    """Intervals that the platform lacks of those that its own readings make."""
    held, lacking = intervals(run.site.database), 0
    for register, readings in registers(run.site.database).items():
        known = edges(readings[:-1])  # the newest reading waits for the one after it
        lacking += sum(1 for q in known if q + QUARTER in known and q not in held.get(register, {}))
    return lacking


def judge(run: Run, *, least: int) -> int:
    """Every interval is the difference of its edges, none is missing, none has two values. How many there
    are.
    """
    held, judged = intervals(run.site.database), 0
    assert held
    for register, readings in registers(run.site.database).items():
        exact = edges(readings)
        newest = {start: versions[max(versions)] for start, versions in sorted(held[register].items())}
        for start, (value, _) in newest.items():
            assert value == exact[start + QUARTER] - exact[start], (register, start, value)
        starts = list(newest)
        assert starts == list(range(starts[0], starts[-1] + QUARTER, QUARTER))
        total = sum(value for value, _ in newest.values())
        assert total == exact[starts[-1] + QUARTER] - exact[starts[0]]
        assert {version for versions in held[register].values() for version in versions} == {1}
        judged += len(starts)
    assert judged >= least
    return judged


def correct(run: Run, register: tuple[str, str]) -> None:
    """A person sets the first half hour: it comes to the platform as edited."""
    first = min(intervals(run.site.database)[register])
    zone = ZoneInfo("Europe/Istanbul")
    times = [datetime.fromtimestamp((first + k * QUARTER) / 1000, zone) for k in (0, 2)]
    words = [register[0], *(f"{each:%Y-%m-%dT%H:%M}" for each in times), "--value", "12,5", "--why", "a fuse"]
    done = CliRunner().invoke(command, [*words, "--socket", str(run.site.socket)])
    assert done.exit_code == 0, f"{done.output} {done.exception}"

    def edited() -> list[tuple[int, str]]:
        run.go(60)
        held = intervals(run.site.database)[register]
        found = [held[first + k * QUARTER].get(2) for k in range(2)]
        return [each for each in found if each is not None]

    until(lambda: len(edited()) == 2, 60, "the edited intervals are at the platform")
    assert sum(value for value, _ in edited()) == 12_500
    assert {quality for _, quality in edited()} == {"d"}


@pytest.mark.timeout(600)
def test_killed_at_any_moment_every_quarter_hour_is_published_once(tmp_path) -> None:
    run = Run(tmp_path, interval=60, seed=11, coarse=5)
    try:
        run.start()
        for _ in range(8):
            # Around quarter hours, where readings, intervals and their commits are under way.
            wall = run.clock.uptime + time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            run.go(HOUR + 900 - wall % 900 + run.dice.uniform(-5, 120))
            run.kill()
        run.go(2 * HOUR)
        until(lambda: not (run.go(60), behind(run))[1], 120, "what is computed is at the platform")
        judge(run, least=8 * 4 * 2 * 2)
        said = run.site.log("gateway")
        assert "Traceback" not in said
    except BaseException as error:
        error.add_note(run.site.log("gateway")[-3000:])
        raise
    finally:
        run.site.stop()


@pytest.mark.timeout(600)
def test_a_history_that_is_lost_or_damaged_comes_back_from_journal_and_copy(tmp_path) -> None:
    """No history, as after an upgrade; then a damaged one with a copy. No interval gets another value."""
    run = Run(tmp_path, interval=900, seed=12, coarse=300)
    try:
        run.start()
        run.go(12 * HOUR)
        until(lambda: not (run.go(60), behind(run))[1], 120, "what is computed is at the platform")
        before = intervals(run.site.database)
        run.site.kill("gateway")
        for file in (tmp_path / "state").glob("history.db*"):
            file.unlink()
        run.start_gateway()
        run.go(HOUR)
        until(lambda: not (run.go(60), behind(run))[1], 120, "what is computed is at the platform")
        # Now with a copy, some hours later, and a file that is damaged.
        make_copy(tmp_path / "state" / FILE)
        run.go(3 * HOUR)
        until(lambda: not (run.go(60), behind(run))[1], 120, "what is computed is at the platform")
        run.site.kill("gateway")
        spoilt = bytearray((tmp_path / "state" / FILE).read_bytes())
        spoilt[100:8000] = b"\x5a" * 7900
        (tmp_path / "state" / FILE).write_bytes(bytes(spoilt))
        (tmp_path / "state" / f"{FILE}-wal").unlink(missing_ok=True)  # it may hold sound pages
        before = intervals(run.site.database)
        run.start_gateway()
        run.go(HOUR)
        until(lambda: not (run.go(60), behind(run))[1], 120, "what is computed is at the platform")
        after = intervals(run.site.database)
        for register, starts in before.items():
            assert {start: after[register][start] for start in starts} == starts
        judge(run, least=4 * 12 * 4)
        correct(run, ("m1", "active_energy_import"))
        said = run.site.log("gateway")
        assert "Traceback" not in said
        assert "is damaged" in said
        assert (tmp_path / "state" / "history.db.damaged").exists()
    except BaseException as error:
        error.add_note(run.site.log("gateway")[-3000:])
        raise
    finally:
        run.site.stop()
