"""Daily sums say what the intervals add up to, whatever happened to them."""

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.energy import (
    EXPORT,
    IMPORT,
    NOT_YET,
    QUARTER,
    SERIES,
    BuildingRegisters,
    Calendar,
    Interval,
    day_sum,
    sum_of_quarters,
)
from gateway.errors import HistoryDamaged, HistoryError
from gateway.history import FILE, BuildingMeters, History, HistoryReader

T0 = 1_795_219_200_000  # 2026-11-21 00:00 UTC
ISTANBUL, BERLIN = Calendar(ZoneInfo("Europe/Istanbul")), Calendar(ZoneInfo("Europe/Berlin"))
LORD_HOWE = Calendar(ZoneInfo("Australia/Lord_Howe"))  # its clock is moved by half an hour
SITE = BuildingMeters(("main",), (("pv", "import"),))
TWO_ROOTS = BuildingMeters(("main", "pv"))
REGISTERS = [("main", IMPORT), ("main", EXPORT), ("pv", IMPORT), ("pv", EXPORT), ("sub", IMPORT)]
FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)


def judge(directory: Path, calendar: Calendar, building: BuildingMeters) -> int:
    """Every sum that a reader gives is that of the intervals; how many days were kept as sums."""
    with closing(HistoryReader(directory)) as reader:
        known = reader.registers()
        quarters = {}
        for register in known:
            days = list(reader.days(*register, FIRST, LAST))
            expected = [day_sum(each.day, each.values, each.quality, calendar) for each in days]
            assert list(reader.sums(*register, FIRST, LAST, calendar)) == expected, register
            taken = (sum(each.sum for each in expected), sum(each.intervals for each in expected))
            assert reader.counted(*register, FIRST, LAST) == taken
            assert taken[0] == sum(each.value for each in reader.intervals(*register, FIRST, LAST))
            quarters[register] = {
                each.day: [v if q else None for v, q in zip(each.values, each.quality, strict=True)]
                for each in days
            }
        registers = BuildingRegisters.of(building.roots, building.plants, known)
        kept_days = 0
        for series in SERIES:
            if registers.alone(series):
                continue
            kept, until = reader.building_sums(series, registers, FIRST, LAST)
            kept_days += len(kept)
            expected = []
            for day in sorted({day for each in quarters.values() for day in each}):
                begun = {each for each, days in quarters.items() if min(days) <= day}
                held = registers.quarters(
                    series,
                    lambda one, day=day, begun=begun: quarters.get(one, {}).get(
                        day, None if one in begun else NOT_YET
                    ),
                )
                if day < until and held is not None and any(value is not None for value in held):
                    expected.append(sum_of_quarters(day, held, calendar))
            assert kept == expected, series
    with closing(sqlite3.connect(directory / FILE)) as db:
        return db.execute("SELECT count(*) FROM day_sum WHERE series > 0").fetchone()[0] + kept_days


def opened(directory: Path, calendar=ISTANBUL, building=SITE) -> History:
    history = History(directory, calendar)
    history.sums.meters = building
    return history


def fill(history: History, days: int, since: int = T0, seed: int = 1, gap: float = 0.0) -> None:
    """Quarter hours of every register; some are missing, some were estimated."""
    dice = random.Random(seed)
    for register in REGISTERS:
        past = history.past(*register)
        for start in range(since, since + days * 96 * QUARTER, QUARTER):
            if dice.random() >= gap:
                value = dice.choice([0, dice.randrange(5000), -dice.randrange(30)])
                past.put(Interval(*register, start, value, dice.choice("mmmmes"), 0), corrected=False)


def close_summed(history: History, at_once: int = 9) -> None:
    history.save()
    while history.sum_up(at_once):
        pass
    history.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), st.integers(-600, 900), st.integers(-(2**40), 2**40)),
        st.tuples(st.just("publish"), st.integers(0, 4), st.integers(-600, 900), st.integers(0, 9000)),
        st.tuples(st.just("adopt"), st.integers(0, 4), st.integers(-3000, 900), st.integers(1, 200)),
        st.tuples(st.just("sum"), st.integers(1, 3), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(["save", "kill", "stop"]), st.just(0), st.just(0), st.just(0)),
        st.tuples(st.just("zone"), st.integers(0, 2), st.just(0), st.just(0)),
        st.tuples(st.just("building"), st.integers(0, 2), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_sums_are_those_of_the_intervals_after_any_sequence_of_changes(changes) -> None:
    zones, buildings = (ISTANBUL, BERLIN, LORD_HOWE), (SITE, TWO_ROOTS, BuildingMeters(("main",)))
    with tempfile.TemporaryDirectory() as name:
        directory, zone, building = Path(name), 0, 0
        history = opened(directory)
        fill(history, 3)
        history.save()
        history.sum_up(2)
        for what, which, quarter, amount in changes:
            register, start = REGISTERS[which % 5], T0 + quarter * QUARTER
            match what:
                case "put":
                    interval = Interval(*register, start, amount, "e", 0)
                    history.past(*register).put(interval, corrected=amount % 2 == 0)
                case "publish":
                    history.published(Interval(*register, start, amount, "m", 1 + amount % 4))
                case "adopt":
                    history.adopt(register, start, [7] * amount, "m" * amount)
                case "sum":
                    history.sum_up(which)
                case "save":
                    history.save()
                case _:
                    if what != "kill":
                        history.save()
                    history.close()
                    zone = which if what == "zone" else zone
                    building = which if what == "building" else building
                    history = opened(directory, zones[zone], buildings[building])
            judge(directory, zones[zone], buildings[building])
        close_summed(history, 5)
        kept = judge(directory, zones[zone], buildings[building])
        assert kept >= 4 * len(REGISTERS) - 5


@pytest.mark.parametrize("change", ["sum = sum + 1", "intervals = 95", "data = zeroblob(27)"])
def test_a_sum_that_is_not_that_of_its_intervals_is_found_out_by_the_judge(tmp_path, change) -> None:
    history = opened(tmp_path)
    fill(history, 3)
    close_summed(history)
    assert judge(tmp_path, ISTANBUL, SITE)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute(f"UPDATE day_sum SET {change} WHERE series = 1 AND day = (SELECT min(day) FROM day_sum)")
        db.commit()
    with pytest.raises(AssertionError):
        judge(tmp_path, ISTANBUL, SITE)


def test_a_file_of_before_is_read_at_once_and_gets_its_sums_a_day_at_a_time(tmp_path) -> None:
    history = opened(tmp_path)
    fill(history, 4, gap=0.1)
    history.save()
    history.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(
            "DROP TABLE day_sum; DELETE FROM _sqlite_migrations WHERE name = 'v2_sums';"
            "PRAGMA user_version = 1;"
        )
    with closing(HistoryReader(tmp_path)) as reader:
        assert len(reader.sums("sub", IMPORT, FIRST, LAST, ISTANBUL)) == 5
    history, made = opened(tmp_path), []
    while True:
        more = history.sum_up(1)
        made.append(judge(tmp_path, ISTANBUL, SITE))
        if not more:
            break
    history.close()
    assert made == sorted(set(made)), "each step added something"
    assert made[-1] == 4 * len(REGISTERS) + 4 * 2, (
        "what is used and what was generated, of four days that are over"
    )


def test_while_a_new_version_is_on_trial_the_file_stays_one_of_before(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SUBMETER_UPGRADE", str(tmp_path / "upgrade"))
    (tmp_path / "upgrade").mkdir()
    trial = tmp_path / "upgrade" / "trial.json"
    trial.write_text('{"files": {"history.db": 1}}')
    history = opened(tmp_path)
    fill(history, 3)
    history.save()
    assert not history.sum_up(9)
    history.close()
    history = opened(tmp_path, BERLIN)
    history.save()
    history.close()
    with closing(HistoryReader(tmp_path)) as reader:
        assert len(reader.sums("sub", IMPORT, FIRST, LAST, BERLIN)) == 4
    trial.unlink()
    history = opened(tmp_path, BERLIN)
    while history.sum_up(1):
        pass
    history.close()
    assert judge(tmp_path, BERLIN, SITE) == 3 * len(REGISTERS) + 3 * 2


@pytest.mark.parametrize(
    ("calendar", "day", "quarters"),
    [(BERLIN, date(2026, 3, 29), 92), (BERLIN, date(2026, 10, 25), 100), (LORD_HOWE, date(2026, 4, 5), 98)],
)
def test_a_day_on_which_the_clock_is_moved_has_all_its_quarter_hours(
    tmp_path, calendar, day, quarters
) -> None:
    history = opened(tmp_path, calendar)
    fill(history, 3, since=calendar.quarters(day)[0] - 40 * QUARTER)
    close_summed(history)
    assert judge(tmp_path, calendar, SITE)
    with closing(HistoryReader(tmp_path)) as reader:
        (one,) = reader.sums("sub", IMPORT, day, day, calendar)
        (values,) = reader.days("sub", IMPORT, day, day)
    assert one.quarters == one.intervals == sum(one.counts) == quarters == len(values.values)
    assert sum(one.hours) == one.sum == sum(values.values)
    assert one.counts.count(4) in {22, 23}, "and one hour is there twice, half, or not at all"


def test_which_register_of_a_plant_counts_its_yield_is_told_by_its_days(tmp_path) -> None:
    history = opened(tmp_path, building=BuildingMeters(("main",), (("pv", "auto"),)))
    fill(history, 3)
    for quantity in (IMPORT, EXPORT):
        for start in range(T0, T0 + 3 * 96 * QUARTER, QUARTER):
            noon = 9 <= ISTANBUL.place(start)[1] // 4 < 16
            value = 900 if noon and quantity == EXPORT else 0
            history.past("pv", quantity).put(Interval("pv", quantity, start, value, "m", 0), corrected=False)
    close_summed(history)
    judge(tmp_path, ISTANBUL, BuildingMeters(("main",), (("pv", "export"),)))
    with closing(HistoryReader(tmp_path)) as reader:
        told = BuildingRegisters.of(("main",), [("pv", "export")], reader.registers())
        kept, until = reader.building_sums("generated", told, FIRST, LAST)
        other = BuildingRegisters.of(("main",), [("pv", "import")], reader.registers())
        assert len(kept) == 3
        assert until > FIRST
        assert reader.building_sums("generated", other, FIRST, LAST) == ([], date.min)


def test_sums_of_an_earlier_version_are_made_anew(tmp_path) -> None:
    """By its rule a building was not known before the newest of its meters had begun."""
    history = opened(tmp_path)
    fill(history, 3)
    close_summed(history)
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        kept, until = json.loads(
            db.execute("SELECT value FROM known WHERE name = 'building_sums'").fetchone()[0]
        )
        old = json.dumps([json.dumps(json.loads(kept)[:3], separators=(",", ":")), until])
        db.execute("UPDATE known SET value = ? WHERE name = 'building_sums'", (old.encode(),))
        db.execute("UPDATE day_sum SET sum = 1 WHERE series < 0")
    with closing(HistoryReader(tmp_path)) as reader:
        registers = BuildingRegisters.of(SITE.roots, SITE.plants, reader.registers())
        assert reader.building_sums("used", registers, FIRST, LAST) == ([], date.min), (
            "and meanwhile none is told"
        )
    close_summed(opened(tmp_path))
    assert judge(tmp_path, ISTANBUL, SITE)


WRITER = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_history_sums import IMPORT, QUARTER, REGISTERS, T0, Interval, opened
history, dice, number = opened(Path(sys.argv[1])), random.Random(int(sys.argv[3])), 0
print("ready", flush=True)
while True:
    for register in REGISTERS:
        start = T0 + dice.randrange(480) * QUARTER
        interval = Interval(*register, start, dice.randrange(9000), "m", 0)
        history.past(*register).put(interval, corrected=False)
    number += 1
    if number % 3 == 0:
        history.save()
    if number % 5 == 0:
        history.sum_up(1)
"""


def test_a_kill_leaves_no_sum_beside_other_intervals(tmp_path) -> None:
    history = opened(tmp_path)
    fill(history, 4)
    history.save()
    history.close()
    dice = random.Random(4)
    for number in range(6):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(dice.uniform(0.01, 0.3))
            os.kill(writer.pid, signal.SIGKILL)
        assert judge(tmp_path, ISTANBUL, SITE) or number < 2
    assert judge(tmp_path, ISTANBUL, SITE)


def test_what_is_over_is_summed_up_with_the_next_day(tmp_path) -> None:
    history = opened(tmp_path)
    fill(history, 1)
    history.save()
    days = ISTANBUL.place(T0)[0].toordinal(), ISTANBUL.place(T0 + 95 * QUARTER)[0].toordinal()
    assert days[1] - days[0] == 1, "a day in UTC is two in Istanbul"
    assert not history.sum_up(9)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        kept = {day for (day,) in db.execute("SELECT day FROM day_sum WHERE series > 0")}
    assert kept == {days[0]}, "the newest day goes on"
    history.published(Interval("sub", IMPORT, T0 + timedelta(days=2) // timedelta(milliseconds=1), 5, "m", 1))
    history.save()
    history.sum_up(9)
    history.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert {day for (day,) in db.execute("SELECT day FROM day_sum WHERE series > 0")} == {*days}
    judge(tmp_path, ISTANBUL, SITE)


@contextlib.contextmanager
def full_disk():
    """No file may grow: what SQLite is to write at its COMMIT has no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("again", [1, 9])
def test_days_whose_sums_found_no_room_get_them_later(tmp_path, again) -> None:
    history = opened(tmp_path)
    fill(history, 6)
    history.save()
    assert history.sum_up(1)
    for _ in range(3):
        with full_disk(), pytest.raises(HistoryError):
            history.sum_up(3)
    # What is saved meanwhile must not be held against marks that were never written.
    history.past("main", IMPORT).put(Interval("main", IMPORT, T0, 77, "m", 0), corrected=True)
    history.save()
    while history.sum_up(again):
        pass
    history.close()
    assert judge(tmp_path, ISTANBUL, SITE) == 6 * 5 + 6 * 2, "6 days are over: of 5 registers and 2 series"


def test_a_register_that_found_no_room_has_its_name_when_there_is_room_again(tmp_path) -> None:
    history = opened(tmp_path)
    interval = Interval("late", IMPORT, T0, 7, "m", 0)
    with full_disk(), pytest.raises(HistoryError):
        history.past("late", IMPORT).put(interval, corrected=False)
    history.past("late", IMPORT).put(interval, corrected=False)
    history.save()
    history.close()
    with closing(HistoryReader(tmp_path)) as reader:
        assert reader.registers() == [("late", IMPORT)]
        assert reader.counted("late", IMPORT, FIRST, LAST) == (7, 1)


@pytest.mark.parametrize("restart", [True, False])
def test_a_plant_under_snow_keeps_the_sums_of_its_building(tmp_path, restart) -> None:
    history = opened(tmp_path, building=BuildingMeters(("main",), (("pv", "auto"),)))
    fill(history, 3)
    for start in range(T0, T0 + 9 * 96 * QUARTER, QUARTER):
        noon = 9 <= ISTANBUL.place(start)[1] // 4 < 16
        value = 900 if noon and start < T0 + 3 * 96 * QUARTER else 0
        for quantity, each in ((IMPORT, 0), (EXPORT, value)):
            history.past("pv", quantity).put(Interval("pv", quantity, start, each, "m", 0), corrected=False)
        if start == T0 + 3 * 96 * QUARTER - QUARTER:
            history.save()
            while history.sum_up(9):
                pass
    history.save()
    if restart:
        history.close()
        history = opened(tmp_path, building=BuildingMeters(("main",), (("pv", "auto"),)))
    while history.sum_up(1):
        pass
    history.close()
    with closing(HistoryReader(tmp_path)) as reader:
        told = BuildingRegisters.of(("main",), [("pv", "export")], reader.registers())
        kept, until = reader.building_sums("generated", told, FIRST, LAST)
        assert len(kept) == 9
        assert until > date.fromordinal(ISTANBUL.place(T0)[0].toordinal() + 8)


@pytest.mark.parametrize("ask", ["sums", "counted", "building_sums"])
def test_a_file_that_cannot_be_read_is_told_each_time(tmp_path, ask) -> None:
    history = opened(tmp_path)
    fill(history, 3)
    close_summed(history)
    sound = (tmp_path / FILE).read_bytes()
    with closing(HistoryReader(tmp_path)) as reader:
        registers = BuildingRegisters.of(SITE.roots, SITE.plants, REGISTERS)
        first = ("generated", registers) if ask == "building_sums" else ("main", IMPORT)
        (tmp_path / FILE).write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
        for _ in range(2):
            with pytest.raises(HistoryDamaged, match="is damaged"):
                getattr(reader, ask)(*first, FIRST, LAST)


def test_a_history_that_one_may_not_open_is_not_called_missing() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o700 if os.geteuid() == 0 else 0)  # noqa: PTH101 - beside geteuid
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(HistoryError, match=r"may not open.*sudo"):
                HistoryReader(place)
        finally:
            if root:
                os.seteuid(0)
            os.chmod(place, 0o700)  # noqa: PTH101
