"""The file of intervals: what it holds, what is published of it, what becomes of it when it is damaged."""

import os
import sqlite3
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from history_gateway import ISTANBUL, QUARTER, T0, Gateway
from hypothesis import given
from hypothesis import strategies as st

from gateway.energy import Calendar, Interval, base_unit, to_grains
from gateway.errors import HistoryDamaged, HistoryError
from gateway.history import FILE, History, HistoryReader, Projection, copy_of, make_copy
from gateway.history.day import Day
from gateway.history.values import DenseReadings, in_grains
from gateway.model import Event, Reading
from gateway.wire import Batch, encode


@given(
    st.sampled_from([92, 96, 100]),
    st.data(),
)
def test_a_day_is_unpacked_as_it_was_packed(n, data) -> None:
    day = Day(T0, n)
    for index in data.draw(st.sets(st.integers(0, n - 1))):
        day.values[index] = data.draw(st.integers(-(2**62), 2**62) | st.integers(0, 5000))
        day.quality[index] = data.draw(st.sampled_from("mesd"))
        day.version[index] = data.draw(st.integers(0, 2**31))
        if data.draw(st.booleans()):
            day.pending[index] = data.draw(
                st.sampled_from([None, (0, "")]) | st.tuples(st.integers(-5, 10**9), st.sampled_from("mesd"))
            )
    again = Day.unpack(day.pack())
    for name in ("start", "n", "values", "quality", "version", "pending"):
        assert getattr(again, name) == getattr(day, name)


def test_bytes_that_are_no_day_are_told() -> None:
    for data in (b"", b"x" * 40, Day(T0, 96).pack()[:-9]):
        with pytest.raises(HistoryError):
            Day.unpack(data)


def test_a_day_of_usual_values_takes_little_room() -> None:
    day = Day(T0, 96)
    for index in range(96):
        day.put(index, 2000 + index * 37 % 900, "m", corrected=False)
        day.publish(index, day.values[index], "m", 1)
    assert len(day.pack()) < 300


def test_quarter_hours_are_published_once_and_the_days_add_up(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(1500):
        gateway.poll(1000 + k / 100)
    gateway.drain()
    # The newest reading waits for the one after it.
    assert gateway.platform.total() == 10 * 15 * 98
    assert {len(versions) for versions in gateway.platform.held.values()} == {1}
    assert gateway.history.behind == 0
    gateway.save()
    reader = HistoryReader(tmp_path)
    assert reader.registers() == [("m", "active_energy_import")]
    first, last = reader.span()
    assert (first, last) == (date(2026, 11, 21), date(2026, 11, 22))
    sums = list(reader.sums("m", "active_energy_import", first, last))
    assert [each.intervals for each in sums] == [83, 15]  # from 03:15 local time on
    assert sum(each.sum for each in sums) == gateway.platform.total()
    held = list(reader.intervals("m", "active_energy_import", first, last))
    assert {each.start: (each.value, each.quality) for each in held} == gateway.platform.newest()
    assert {each.version for each in held} == {1}


def test_a_manifest_says_what_the_platform_holds(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(0, 3 * 1440, 5):
        gateway.poll(1000 + k / 100, pause=300_000)
    gateway.drain()
    first = T0 + 100 * QUARTER
    corrected(gateway, first, first + QUARTER, 77)
    gateway.drain()
    told = {day: each for (_, _, day), each in gateway.platform.manifests.items()}
    assert sorted(told) == ["2026-11-21", "2026-11-22", "2026-11-23"]  # the 24th is not over
    for day, manifest in told.items():
        quarters = gateway.calendar.quarters(date.fromisoformat(day))
        held = {
            start: versions for (_, _, start), versions in gateway.platform.held.items() if start in quarters
        }
        text = "".join(
            f"{start},{held[start][max(held[start])][0]},{held[start][max(held[start])][1]},{max(held[start])}\n"
            for start in sorted(held)
        )
        assert manifest.sha256 == sha256(text.encode()).hexdigest()
        edited = first in quarters
        assert (manifest.version, manifest.count) == (1 + edited, len(held))
        assert [start for start in held if max(held[start]) == 2] == [first] * edited
        assert (manifest.first, manifest.last) == (min(held), max(held) + QUARTER)


def test_what_comes_late_sends_the_manifest_again(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(288):
        gateway.poll(1000 + k / 100, pause=300_000)
    gateway.poll(None, pause=300_000)
    gateway.uptime += 6 * 3_600_000  # no reading before midnight, none after it for hours
    gateway.commit([])
    gateway.drain()
    early = dict(gateway.platform.manifests)
    gateway.poll(1004)
    gateway.poll(1004)
    gateway.drain()
    late = gateway.platform.manifests
    changed = [key for key in early if late[key] != early[key]]
    assert [(early[key].version, late[key].version) for key in changed] == [(1, 2)] * len(changed)
    assert all(late[key].count > early[key].count for key in changed)


def test_the_newest_day_goes_first_and_what_is_under_way_is_not_given_twice(tmp_path) -> None:
    history = History(tmp_path, ISTANBUL)
    past = history.past("m", "volume")
    for k in range(200):
        past.put(Interval("m", "volume", T0 + k * QUARTER, k, "m"), corrected=False)
    first = list(history.offers(0.0, 50))
    days = [ISTANBUL.place(each.start)[0] for each in first]
    assert days == sorted(days, reverse=True)
    assert set(days) == {date(2026, 11, 23), date(2026, 11, 22)}
    second = list(history.offers(5.0, 500))
    assert len(second) == 150
    assert not {each.start for each in first} & {each.start for each in second}
    assert list(history.offers(800.0, 500)) == []
    again = list(
        history.offers(901.0, 50)
    )  # the first fifty never came back: a higher version, in case they did
    assert {each.version for each in again} == {2}


def encoded(intervals) -> int:
    return len(encode(Batch("g", "6c34518e21942f8a", 1, 0, 0, "synced", intervals=intervals)))


@pytest.mark.parametrize(
    ("meters", "count", "each", "value"),
    [(10, 100, 1, 4000), (30, 100, 2, 4000), (200, 1, 1, 2**50), (10, 100, 1, -(2**50))],
    ids=["usual", "holes", "one-of-each", "long-values"],
)
def test_what_rides_in_one_batch_has_its_bound_on_the_wire(tmp_path, meters, count, each, value) -> None:
    history = History(tmp_path, ISTANBUL)
    for number in range(meters):
        meter = f"a-meter-with-a-very-long-name-{number}"
        for quantity in ("active_energy_import", "reactive_energy_import_l3"):
            past = history.past(meter, quantity)
            for k in range(0, count, each):
                letter = "me"[k // 3 % 2]
                start = T0 + k * QUARTER
                past.put(Interval(meter, quantity, start, value + k, letter), corrected=False)
    room, now, sizes, given = 16 * 1024, 0.0, [], 0
    while offered := list(history.offers(now, 900, room)):
        sizes.append(encoded(offered) - encoded([]))
        given, now = given + len(offered), now + 1
    assert given == meters * 2 * -(-count // each)
    assert max(sizes) <= room
    assert len(sizes) > 1
    assert len(sizes) <= 2 + max(given // 900, sum(sizes) // (room * 9 // 10)), "room is used"
    history.close()


def test_a_correction_while_the_first_version_is_under_way_goes_out_afterwards(tmp_path) -> None:
    history = History(tmp_path, ISTANBUL)
    past = history.past("m", "volume")
    past.put(Interval("m", "volume", T0, 5, "m"), corrected=False)
    [offered] = history.offers(0.0, 50)
    past.put(Interval("m", "volume", T0, 5, "s"), corrected=True)
    assert list(history.offers(1.0, 50)) == []
    assert history.published(offered)
    assert [(each.quality, each.version) for each in history.offers(2.0, 50)] == [("s", 2)]


def test_what_was_published_is_a_fact_whatever_is_computed(tmp_path) -> None:
    history = History(tmp_path, ISTANBUL)
    past = history.past("m", "volume")
    past.put(Interval("m", "volume", T0, 5, "m"), corrected=False)
    assert history.published(Interval("m", "volume", T0, 6, "e", 3))
    assert not history.published(Interval("m", "volume", T0, 7, "e", 2))
    assert past.get(T0) == Interval("m", "volume", T0, 6, "e", 3)
    assert history.behind == 0


def corrected(gateway, first, last, value, meter="m") -> None:
    fields = {"meter": meter, "quantity": "active_energy_import", "from": first, "to": last, "value": value}
    gateway.pending[1].append(Event("intervals_corrected", gateway.uptime, fields | {"why": "a fuse"}))
    gateway.commit([])


def test_what_a_person_sets_is_shared_out_and_nothing_undoes_it(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(300):
        gateway.poll(1000 + k / 100)
    gateway.drain()
    before = gateway.platform.newest()
    first = T0 + 4 * QUARTER
    edited = range(first, first + 3 * QUARTER, QUARTER)
    corrected(gateway, first, first + 3 * QUARTER, 1000)
    gateway.drain()
    after = gateway.platform.newest()
    assert [after[start] for start in edited] == [(334, "d"), (333, "d"), (333, "d")]
    assert all(after[start] == before[start] for start in before if start not in edited)
    gateway.kill()  # nothing was saved: it is found again, and set but once
    gateway.drain()
    assert gateway.platform.newest() == after
    assert max(len(held) for held in gateway.platform.held.values()) == 2
    corrected(gateway, first, first + QUARTER, 5, meter="nobody")
    corrected(gateway, T0 - 99 * QUARTER, T0 - 98 * QUARTER, 5)
    corrected(gateway, first, first + QUARTER, -5)
    corrected(gateway, first, first + QUARTER, 2.5)
    gateway.drain()
    assert gateway.platform.newest() == after


def test_what_a_person_sets_has_the_shape_that_it_had(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    wh = 0
    for k in range(300):
        wh += 10 * (1 + k // 15 % 4)
        gateway.poll(1000 + wh / 1000)
    gateway.drain()
    first = T0 + 4 * QUARTER
    were = [gateway.platform.newest()[first + k * QUARTER][0] for k in range(4)]
    assert len(set(were)) > 1
    corrected(gateway, first, first + 4 * QUARTER, 3 * sum(were))
    gateway.drain()
    assert [gateway.platform.newest()[first + k * QUARTER] for k in range(4)] == [
        (3 * each, "d") for each in were
    ]
    # Undone: what it was is set again, and stands as edited.
    corrected(gateway, first, first + 4 * QUARTER, sum(were))
    gateway.drain()
    assert [gateway.platform.newest()[first + k * QUARTER] for k in range(4)] == [
        (each, "d") for each in were
    ]
    assert max(gateway.platform.held["m", "active_energy_import", first]) == 3


def test_a_batch_that_comes_again_changes_nothing(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(100):
        gateway.poll(1000 + k / 100)
    gateway.drain()
    before = gateway.platform.newest()
    for batch in (gateway.journal[30], gateway.journal[70]):
        gateway.projection.take(batch)
    assert gateway.projection.seq == gateway.journal[-1].seq
    assert gateway.history.behind == 0
    gateway.drain()
    assert gateway.platform.newest() == before


def test_a_register_in_steps_of_ten_kwh_says_so_and_loses_nothing(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(2000):
        gateway.commit([("m", {"active_energy_import": 1000 + k // 100 * 10, "volume": 5 + k / 10})])
        gateway.uptime += 60_000
    gateway.drain()
    assert gateway.projection.resolutions() == {"m": {"active_energy_import": 10_000}}
    gateway.save()
    assert HistoryReader(tmp_path).steps() == {("m", "active_energy_import"): 10_000}
    assert gateway.platform.total() == 190_000
    assert {quality for _, quality in gateway.platform.newest().values()} == {"m"}


# ── two files, each damaged ──


def days_of_readings(gateway, days=30) -> float:
    kwh = 1000.0
    for _ in range(days * 48):
        kwh += 0.25
        gateway.poll(round(kwh, 2), pause=1_800_000)
        if gateway.uptime % 21_600_000 == 0:
            gateway.save()
    gateway.drain()
    gateway.save()
    return kwh


def spoil(path) -> None:
    """The head of every page but the first."""
    data = bytearray(path.read_bytes())
    assert len(data) > 3 * 4096
    for at in range(4096, len(data), 4096):
        data[at : at + 64] = b"\xa5" * 64
    path.write_bytes(bytes(data))


def test_a_damaged_history_is_made_again_from_its_copy_and_the_journal_behind_it(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 10)
    make_copy(tmp_path / FILE)
    for k in range(200):
        gateway.poll(1000 + 0.25 * 480 + k / 100)
    gateway.drain()
    before = gateway.platform.newest()
    versions = {key: max(held) for key, held in gateway.platform.held.items()}
    gateway.save()
    gateway.history.close()
    spoil(tmp_path / FILE)
    copied = len(gateway.journal) - 201
    gateway.journal = gateway.journal[copied // 2 :]  # the journal does not go back to the beginning
    gateway.start()
    assert gateway.history.found.damaged
    assert gateway.history.found.copy_of
    gateway.drain()
    assert gateway.platform.newest() == before
    assert {key: max(held) for key, held in gateway.platform.held.items()} == versions
    gateway.save()
    held = HistoryReader(tmp_path).intervals("m", "active_energy_import", date(2026, 11, 1), date(2027, 1, 1))
    assert {each.start: (each.value, each.quality) for each in held} == before
    assert (tmp_path / "history.db.damaged").exists()


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_moved_aside_like_a_damaged_one(tmp_path, put) -> None:
    put(tmp_path / FILE)
    history = History(tmp_path, ISTANBUL)
    assert "is no file" in history.found.damaged
    assert (tmp_path / FILE).is_file()
    assert os.path.lexists(tmp_path / f"{FILE}.damaged")
    history.close()
    again = History(tmp_path, ISTANBUL)
    assert not again.found.damaged
    again.close()


def somebodys_files(path) -> None:
    path.mkdir()
    (path / "files").write_text("somebody's")


BEFORE = {
    "a file": lambda path: path.write_text("the one before"),
    "an empty folder": Path.mkdir,
    "somebody's files": somebodys_files,
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize(
    "put",
    [lambda path: path.write_bytes(b"no history" * 1000), somebodys_files, os.mkfifo],
    ids=["a damaged file", "a folder", "a pipe in its place"],
)
def test_what_was_moved_aside_before_blocks_nothing_and_no_folder_goes(tmp_path, put, before) -> None:
    aside = tmp_path / f"{FILE}.damaged"
    before(aside)
    for number in (2, 3):
        put(tmp_path / FILE)
        history = History(tmp_path, ISTANBUL)
        assert history.found.damaged
        assert (tmp_path / FILE).is_file()
        history.close()
        (tmp_path / FILE).unlink()
        kept = [path for path in tmp_path.glob(f"{FILE}.damaged*") if path.is_dir()]
        folders = (before in {Path.mkdir, somebodys_files}) + (number - 1) * (put is somebodys_files)
        assert len(kept) == folders, "a folder may hold somebody's files"
    assert len(list(tmp_path.glob(f"{FILE}.damaged*"))) <= 3, "of files the newest alone"
    if before is somebodys_files:
        assert (aside / "files").read_text() == "somebody's"


@pytest.mark.parametrize("name", [f"{FILE}.new", f"{FILE}.1"])
def test_a_folder_in_the_place_of_the_copy_keeps_no_history_from_being_opened(tmp_path, name) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 2)
    make_copy(tmp_path / FILE)
    gateway.history.close()
    (tmp_path / f"{FILE}.1").unlink()
    somebodys_files(tmp_path / name)
    history = History(tmp_path, ISTANBUL)
    with pytest.raises(HistoryError, match=r"history\.db\.1 cannot be written"):
        make_copy(tmp_path / FILE)
    history.close()
    (tmp_path / FILE).write_bytes(b"no history" * 1000)
    if name == f"{FILE}.new":
        (tmp_path / f"{FILE}.1").touch()
    history = History(tmp_path, ISTANBUL)
    assert history.found.damaged
    assert history.found.copy_of is None
    history.close()


def test_without_a_copy_what_the_journal_holds_comes_back_and_nothing_gets_another_value(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 6)
    before = gateway.platform.newest()
    gateway.history.close()
    spoil(tmp_path / FILE)
    gateway.journal = gateway.journal[100:]
    gateway.start()
    assert gateway.history.found.copy_of is None
    gateway.drain()
    assert gateway.platform.newest() == before
    for k in range(40):
        gateway.poll(1000 + 0.25 * 288 + k / 100)
    gateway.drain()
    exact = {start: value for start, (value, _) in gateway.platform.newest().items()}
    assert sum(exact.values()) == gateway.platform.total()
    assert {start: gateway.platform.newest()[start] for start in before} == before


def test_a_damaged_copy_does_not_take_the_place_of_a_damaged_history(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 2)
    make_copy(tmp_path / FILE)
    gateway.history.close()
    spoil(tmp_path / FILE)
    spoil(copy_of(tmp_path / FILE))
    history = History(tmp_path, ISTANBUL)
    assert history.found.damaged
    assert history.found.copy_of is None
    assert history.watermark == ("", 0)


def test_a_day_that_cannot_be_read_is_found_when_it_is_asked_for_and_the_copy_takes_its_place(
    tmp_path,
) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 2)
    make_copy(tmp_path / FILE)
    gateway.history.close()
    with sqlite3.connect(tmp_path / FILE) as conn:
        conn.execute("UPDATE day SET data = zeroblob(100)")
    history = History(tmp_path, ISTANBUL)
    with pytest.raises(HistoryDamaged):
        history.past("m", "active_energy_import").get(T0 + 20 * QUARTER)
    history.close()
    history = History(tmp_path, ISTANBUL, distrust="a day cannot be read")
    assert history.past("m", "active_energy_import").get(T0 + 20 * QUARTER)


def test_a_damaged_history_is_not_copied_over_a_good_copy(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 4)
    make_copy(tmp_path / FILE)
    good = copy_of(tmp_path / FILE).read_bytes()
    gateway.history.close()
    spoil(tmp_path / FILE)
    with pytest.raises(HistoryError):
        make_copy(tmp_path / FILE)
    assert copy_of(tmp_path / FILE).read_bytes() == good
    assert not (tmp_path / "history.db.new").exists()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path) -> None:
    History(tmp_path, ISTANBUL).close()
    with sqlite3.connect(tmp_path / FILE) as conn:
        conn.execute("PRAGMA user_version = 99")
    with pytest.raises(HistoryError, match="newer version"):
        History(tmp_path, ISTANBUL)
    assert not (tmp_path / "history.db.damaged").exists()


def test_state_that_is_not_understood_is_learnt_again_and_the_days_stand(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    days_of_readings(gateway, 2)
    before = gateway.platform.newest()
    gateway.history.save(engine=b"nonsense", watermark=b"e 5")
    gateway.kill()
    gateway.drain()
    assert gateway.platform.newest() == before
    assert {len(held) for held in gateway.platform.held.values()} == {1}


def answers(gateway) -> list[tuple[int, int]]:
    """How the meter answered, by the hour, as a reader finds it."""
    gateway.save()
    reader = HistoryReader(gateway.directory)
    found = reader.polls("m")
    reader.close()
    return [*found.values()]


def test_how_a_meter_answered_is_counted_once_whatever_ends_a_process(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    expected: dict[int, list[int]] = {}
    for number in range(130):
        gateway.uptime += 60_000
        failed = number % 7 == 3
        counts = expected.setdefault((T0 + gateway.uptime) // 3_600_000, [0, 0])
        counts[0] += 1
        counts[1] += failed
        values = {} if failed else {"active_energy_import": 10.0 + number}
        gateway.take([Reading("m", gateway.uptime, values, missing="timeout" if failed else "")])
        if number == 40:
            gateway.save()
        if number in {30, 70}:
            gateway.kill()
        if number == 100:
            gateway.stop()
    told = [(due, failed) for due, failed in expected.values()]
    assert answers(gateway) == told
    gateway.history.save(engine=b"nonsense", watermark=b"e 5")
    gateway.kill()
    assert answers(gateway) == told, "the journal is read again from its beginning"


@pytest.mark.parametrize(("ahead", "used"), [(3_600_000 + 2_000, True), (3_600_000 + 2_001, False)])
def test_a_reading_that_is_younger_than_its_batch_is_not_used(tmp_path, ahead, used) -> None:
    gateway = Gateway(tmp_path)
    for minute in range(20):
        gateway.uptime = minute * 60_000
        made = [Reading("m", gateway.uptime, {"active_energy_import": 100.0 + minute})]
        if minute == 19:
            made.append(Reading("m", gateway.uptime + ahead, {"active_energy_import": 500.0}))
        gateway.take(made)
    assert (gateway.projection.newest > T0 + 3_600_000) is used


def test_polls_of_a_clock_that_nobody_vouches_for_are_of_no_hour(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    gateway.clock = "unsynced"
    gateway.poll(10.0)
    gateway.clock = "synced"
    gateway.poll(11.0)
    assert answers(gateway) == [(1, 0)]


def test_days_where_the_clock_is_moved_have_92_and_100_quarter_hours() -> None:
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    assert [
        len(berlin.quarters(day)) for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1))
    ] == [
        92,
        100,
        96,
    ]
    assert len(ISTANBUL.quarters(date(2026, 10, 25))) == 96


def test_lost_days_are_told(tmp_path) -> None:
    history = History(tmp_path, ISTANBUL)
    history.lose(date(2026, 1, 1), date(2026, 3, 5))
    Projection(history).save()
    assert HistoryReader(tmp_path).lost() == [(date(2026, 1, 1), date(2026, 3, 5))]


def test_where_there_is_no_history_that_is_said(tmp_path) -> None:
    with pytest.raises(HistoryError, match="no history"):
        HistoryReader(tmp_path)


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 10**6).map(lambda value: round(value, 3))
    | st.integers(-(10**16), 10**16).map(float)
)
def test_the_quick_way_to_grains_is_the_exact_one(value) -> None:
    try:
        exact = to_grains(Decimal(repr(value)), base_unit("active_energy_import"))
    except ValueError:
        exact = None
    assert in_grains("active_energy_import", value) == exact


def test_dense_readings_are_passed_over_except_after_a_quarter_hour() -> None:
    dense = DenseReadings()

    def passed(t: int, meter: str = "m", quantity: str = "active_energy_import") -> bool:
        reading = Reading(meter, t, {quantity: 1.0})
        return dense.passes_over(reading, t, frozenset({quantity}), counts=True)

    taken = [t for t in range(0, QUARTER + 12_000, 1000) if not passed(t)]
    often = [*range(0, 11_000, 1000), *range(40_000, QUARTER, 30_000)]
    assert taken == [*often, *range(QUARTER, QUARTER + 11_000, 1000)]
    # What else the meter counts, and other meters, have times of their own.
    now = QUARTER + 20_000
    assert not passed(now, quantity="pulse_count")
    assert not passed(now, meter="n")
    assert passed(now + 1000)
    assert passed(now + 1000, meter="n")
    dense.forget("m")
    assert not passed(now + 2000), "its times count anew"
    assert passed(now + 2000, meter="n"), "those of others do not"


@pytest.mark.parametrize("untouched", [True, False])
def test_a_look_at_a_history_that_nobody_has_open_makes_and_changes_nothing(
    tmp_path: Path, untouched: bool
) -> None:
    History(tmp_path, ISTANBUL).close()

    def found() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}

    before = found()
    reader = HistoryReader(tmp_path, untouched=untouched)
    assert reader.span() is None
    during = found()
    reader.close()
    assert (found() == during == before) == untouched, "the control: SQLite leaves its log and its index"


def test_a_look_at_a_history_that_is_open_sees_what_was_written_last(tmp_path: Path) -> None:
    history = History(tmp_path, ISTANBUL)
    day = date(2026, 10, 29)
    history.keep_holidays("TR", 2025, 2027, [(day.toordinal(), "Cumhuriyet", "Republic", False)])
    reader = HistoryReader(tmp_path, untouched=True)
    assert list(reader.holidays()) == [day]
    reader.close()
    history.close()
