"""The whole product in compressed time: a gateway that is killed at any moment publishes every quarter hour
once, and what the platform holds adds up to the register that the meters served.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.cli.correct import command
from gateway.history import FILE, make_copy
from tests.intervals import intervals as of_platform
from tests.intervals import judge_intervals, lacking
from tests.mosquitto import MOSQUITTO
from tests.rig import until
from tests.soak.months import Run

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

QUARTER = 900_000
HOUR = 3600.0


def intervals(database: Path) -> dict[tuple[str, str], dict[int, tuple[int, int, str]]]:
    """(meter, quantity) → start → (version, value, quality) at the platform."""
    return {
        register: {start: (each.version, each.value, each.quality) for start, each in held.items()}
        for register, held in of_platform(database).items()
    }


def caught_up(run: Run) -> None:
    """Until what is computed is at the platform."""
    until(lambda: not (run.go(60), lacking(run.site.database))[1], 180, "everything is at the platform")


def judge(run: Run, *, least: int) -> None:
    """Every interval is the difference of its edges, none is missing, none has two values, each came once."""
    account = judge_intervals(run.site.database, least=least)
    print(f"{account.intervals} intervals, {account.exact} compared, {account.wh} Wh, {account.days} days")
    assert account.good, "\n".join(account.problems[:30])
    versions = {each[0] for held in intervals(run.site.database).values() for each in held.values()}
    assert versions == {1}


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
        found = [held[first + k * QUARTER] for k in range(2)]
        return [(value, quality) for version, value, quality in found if version == 2]

    until(lambda: len(edited()) == 2, 60, "the edited intervals are at the platform")
    assert sum(value for value, _ in edited()) == 12_500
    assert {quality for _, quality in edited()} == {"d"}


@pytest.mark.timeout(600)
def test_killed_at_any_moment_every_quarter_hour_is_published_once(tmp_path) -> None:
    run = Run(tmp_path, interval=60, seed=11, coarse=5)
    try:
        run.start()
        for number in range(8):
            # Around quarter hours, where readings, intervals and their commits are under way.
            wall = run.clock.uptime + time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            run.go(HOUR + 900 - wall % 900 + run.dice.uniform(-5, 120))
            run.kill()
            # The platform and what the broker holds go now and then, too.
            if number % 3 == 1:
                run.receiver_away(run.dice.uniform(60, 2 * HOUR))
            elif number % 3 == 2:
                run.broker_away(run.dice.uniform(60, 2 * HOUR))
        run.go(2 * HOUR)
        caught_up(run)
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
        caught_up(run)
        before = intervals(run.site.database)
        run.site.kill("gateway")
        for file in (tmp_path / "state").glob("history.db*"):
            file.unlink()
        run.start_gateway()
        run.go(HOUR)
        caught_up(run)
        # Now with a copy, some hours later, and a file that is damaged.
        make_copy(tmp_path / "state" / FILE)
        run.go(3 * HOUR)
        caught_up(run)
        run.site.kill("gateway")
        spoilt = bytearray((tmp_path / "state" / FILE).read_bytes())
        spoilt[100:8000] = b"\x5a" * 7900
        (tmp_path / "state" / FILE).write_bytes(bytes(spoilt))
        (tmp_path / "state" / f"{FILE}-wal").unlink(missing_ok=True)  # it may hold sound pages
        before = intervals(run.site.database)
        run.start_gateway()
        run.go(HOUR)
        caught_up(run)
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
