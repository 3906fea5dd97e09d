"""How long the room lasts: the pace of the batches, and what one more of them takes."""

import errno
import sqlite3

import pytest

from gateway.errors import JournalBusy, JournalDamaged, JournalError, JournalFull, JournalTooNew
from gateway.journal import damage
from gateway.journal.damage import damaged, only_what_was_written, primary, refusal, translate
from gateway.journal.stats import DAY_MS, EMPTY_BYTES, FIRST, MANY, POINTS, STEP_MS, SURE, Growth, room_days
from gateway.model import Backlog

SLOT = 10_000
EACH = 3000


def grown(count, *, slot=SLOT, each=EACH, start=0, growth=None, first=EMPTY_BYTES):
    growth = growth or Growth()
    for number in range(start + 1, start + count + 1):
        growth.add(number, number * slot, number, first + number * each)
    return growth


def test_a_pace_needs_two_points_and_some_time_between_them():
    growth = Growth()
    assert (growth.basis, growth.per_day(), growth.batch_bytes()) == (None, None, None)
    growth.add(1, 5000)
    assert (growth.basis, growth.per_day()) == (None, None)
    growth.add(2, 5000)
    assert (growth.basis, growth.per_day()) == (0.0, None)
    growth.add(3, 15_000)
    assert growth.basis == 10.0
    assert growth.per_day() == 2 * 8640
    growth.add(4, 14_000)
    assert growth.basis == 9.0


def test_the_pace_is_that_of_a_day_and_of_the_newest_at_first():
    growth = grown(FIRST + 1)
    assert growth.basis == 10.0 * FIRST
    assert growth.per_day() == pytest.approx(8640)
    # From then on the points stand a step apart, but for the newest, so that they reach over a day.
    grown(4 * 8640, start=FIRST + 1, growth=growth)
    assert len(growth._times) == POINTS
    assert growth.basis == pytest.approx((POINTS - 1) * STEP_MS / 1000, rel=0.02)
    assert growth.per_day() == pytest.approx(8640)
    newest = FIRST + 1 + 4 * 8640
    assert growth._times[-1] == (newest, newest * SLOT)
    steps = [
        after[1] - before[1] for before, after in zip(growth._times, list(growth._times)[1:-1], strict=False)
    ]
    assert min(steps[FIRST // 2 :]) >= STEP_MS


def test_a_start_goes_on_with_the_batches_that_are_there():
    growth = Growth()
    growth.seed([50_000, 40_000, 20_000], 3, 9000)
    assert growth.basis == 30.0
    assert growth.per_day() == 2 * DAY_MS / 30_000
    growth.add(71, 60_000, 4, 12_000)
    assert growth.basis == 40.0
    assert growth.per_day() == 3 * DAY_MS / 40_000
    growth.add(72, 70_000, 5, 15_000)
    assert growth.per_day() == 4 * DAY_MS / 50_000
    growth.seed([])
    assert growth.basis is None


def test_a_number_that_is_not_higher_begins_anew():
    growth = grown(5)
    growth.add(5, 100_000)
    assert growth.basis is None
    growth.add(6, 110_000)
    assert growth.per_day() == 8640


def test_what_a_batch_takes_is_known_after_enough_of_them():
    growth = grown(SURE + 1)
    # The first two describe the meters: what they took is no measure.
    assert growth._base == (2, EMPTY_BYTES + 2 * EACH)
    assert growth.batch_bytes() is None
    growth = grown(SURE + 2)
    assert growth.batch_bytes() == EACH
    larger = Growth()
    larger.add(1, SLOT, 1, 500_000)
    larger.add(2, 2 * SLOT, 2, 600_000)
    for number in range(3, 40):
        larger.add(number, number * SLOT, number, 600_000 + (number - 2) * EACH)
    assert larger.batch_bytes() == EACH
    # Beside a thousand batches the beginning is nothing.
    growth = grown(MANY, first=600_000)
    assert growth.batch_bytes() == pytest.approx((600_000 - EMPTY_BYTES) / MANY + EACH)
    shrunk = Growth()
    for number in range(1, 60):
        shrunk.add(number, number * SLOT, number, 50_000)
    assert shrunk.batch_bytes() == 1.0, "never nothing"


def test_a_file_that_is_opened_again_measures_from_what_it_holds():
    growth = Growth()
    growth.seed([2000, 1000], SURE, EMPTY_BYTES + SURE * EACH)
    assert growth.batch_bytes() == EACH
    growth.seed([2000, 1000], SURE - 1, 50_000)
    assert growth.batch_bytes() is None
    for number in range(1, SURE + 1):
        growth.add(number, number * SLOT, SURE - 1 + number, 50_000 + number * EACH)
    assert growth.batch_bytes() == EACH
    # Batches made room: what was measured from is not there any more.
    growth.add(SURE + 1, 10**6, SURE - 2, EMPTY_BYTES + (SURE - 2) * EACH)
    assert growth._base == (0, EMPTY_BYTES)


def test_room_lasts_until_what_nobody_has_fetched_meets_the_budget():
    growth = grown(100)
    used = EMPTY_BYTES + 100 * EACH
    budget = EMPTY_BYTES + 1000 * EACH
    full = {"city": Backlog(100), "second": Backlog(40)}
    assert room_days(growth, budget, used, 100, full) == pytest.approx(900 / 8640)
    assert room_days(growth, budget, used, 100, {"second": Backlog(40)}) == pytest.approx(960 / 8640)
    assert room_days(growth, budget, used, 100, {"second": Backlog(0)}) == pytest.approx(1000 / 8640)
    assert room_days(growth, budget, used, 100, {}) == pytest.approx(900 / 8640), "nobody fetches anything"
    assert room_days(growth, used - EACH, used, 100, full) == 0.0
    assert room_days(growth, budget, used, 0, full) is None
    assert room_days(grown(1), budget, used, 100, full) is None
    assert room_days(grown(10), budget, used, 100, full) is None
    # A file that holds less than its batches take: deleted ones left room in it.
    assert room_days(growth, 1000 * EACH, 50 * EACH, 100, full) == pytest.approx(900 / 8640)


# -- what damage is


def sqlite_error(name, kind=sqlite3.OperationalError, text="words of SQLite"):
    error = kind(text)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


@pytest.mark.parametrize(
    "name",
    [
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
        "SQLITE_FORMAT",
        "SQLITE_CONSTRAINT",
        "SQLITE_CONSTRAINT_UNIQUE",
        "SQLITE_CORRUPT_INDEX",
        "SQLITE_IOERR_READ",
        "SQLITE_IOERR_SHORT_READ",
        "SQLITE_IOERR_CORRUPTFS",
    ],
)
def test_what_sqlite_cannot_read_or_make_sense_of_is_damage(tmp_path, name):
    error = translate(sqlite_error(name), tmp_path / "journal.db")
    assert isinstance(error, JournalDamaged)
    assert "words of SQLite" in error.message
    assert "salvaged" in error.hint


@pytest.mark.parametrize(
    "name",
    [
        "SQLITE_FULL",
        "SQLITE_IOERR",
        "SQLITE_IOERR_WRITE",
        "SQLITE_IOERR_FSYNC",
        "SQLITE_READONLY",
        "SQLITE_CANTOPEN",
        "SQLITE_MISUSE",
    ],
)
def test_what_the_file_system_refuses_is_none(tmp_path, name):
    error = sqlite_error(name)
    assert translate(error, tmp_path / "journal.db") is error
    assert primary(error) == error.sqlite_errorcode & 0xFF


@pytest.mark.parametrize("name", ["SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT"])
def test_a_file_that_somebody_holds_is_busy(tmp_path, name):
    assert isinstance(translate(sqlite_error(name), tmp_path / "journal.db"), JournalBusy)


@pytest.mark.parametrize(
    ("text", "damage_"),
    [
        ("no such table: batch", True),
        ("malformed database schema", True),
        ("unsupported file format", True),
        ("near FROM: syntax error", False),
    ],
)
def test_a_schema_that_is_not_there_is_damage_and_a_mistake_of_ours_is_none(tmp_path, text, damage_):
    error = translate(sqlite_error("SQLITE_ERROR", text=text), tmp_path / "journal.db")
    assert isinstance(error, JournalDamaged) is damage_


def test_an_error_without_a_code_is_pythons_verdict_on_what_it_read(tmp_path):
    path = tmp_path / "journal.db"
    assert isinstance(translate(sqlite3.OperationalError("Could not decode to UTF-8"), path), JournalDamaged)
    closed = sqlite3.ProgrammingError("Cannot operate on a closed database.")
    assert translate(closed, path) is closed
    assert primary(ValueError()) == 0


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AttributeError, OverflowError])
def test_values_that_make_no_sense_are_damage(tmp_path, error):
    told = f"holds what no journal holds: {error.__name__}"
    with pytest.raises(JournalDamaged, match=told), only_what_was_written(tmp_path / "journal.db"):
        raise error("x")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O"), JournalError("x"), RuntimeError()])
def test_other_errors_are_what_they_are(tmp_path, error):
    with pytest.raises(type(error)), only_what_was_written(tmp_path / "journal.db"):
        raise error


def test_whoever_waits_is_told_what_refuses_and_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    full = refusal(sqlite_error("SQLITE_FULL"), path)
    assert isinstance(full, JournalFull)
    assert full.message == f"the disk of {tmp_path} is full"
    other = refusal(OSError(5, "Input/output error"), path)
    assert "cannot be written: [Errno 5] Input/output error" in other.message
    assert "readings wait in memory" in other.hint
    newer = JournalTooNew("it is newer", hint="install it")
    assert (refusal(newer, path).message, refusal(newer, path).hint) == ("it is newer", "install it")
    assert str(path) in refusal(damaged(path, "spoilt"), path).message
    # It is a matter of rights, whatever SQLite calls it; damage and a newer version are none.
    monkeypatch.setattr(damage, "blocked", lambda _: tmp_path)
    assert "may not be written by the user" in refusal(sqlite_error("SQLITE_CANTOPEN"), path).message
    assert "may not be written by the user" in refusal(JournalError("x"), path).message
    assert refusal(newer, path).message == "it is newer"
    assert "spoilt" in refusal(damaged(path, "spoilt"), path).message
    assert refusal(sqlite_error("SQLITE_FULL"), path).message == full.message
