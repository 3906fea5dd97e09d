"""What the journal promises its callers while nothing goes wrong."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from journal_data import Building, small, until
from journal_tools import write

from gateway import wire
from gateway.errors import JournalBusy, JournalError, JournalFull
from gateway.journal import Journal
from gateway.model import Draft, Event, Interval, Ranges, Reading

OTHER_BOOT = "c1" * 16


async def fill(journal, count, clock, **more):
    taken = []
    for value in range(count):
        clock.now += 10_000
        taken += await journal.commit(small(uptime=clock.now - 300, value=float(value)), **more)
    return taken


async def test_a_batch_comes_back_as_the_bytes_that_go_on_the_wire(opened, clock):
    journal = opened()
    draft = Building(10).draft(clock.now)
    [sealed] = await journal.commit(draft)
    assert (sealed.epoch, sealed.seq) == journal.newest
    assert (sealed.readings, sealed.values, sealed.boot) == (10, 340, clock.boot)
    batch = wire.decode(sealed.body)
    assert (batch.gateway, batch.epoch, batch.seq, batch.t0) == ("g-1", sealed.epoch, 1, sealed.t0)
    assert batch.readings == draft.readings
    assert await journal.unsettled("city") == [sealed] == await journal.find(sealed.epoch, 1, 9)


async def test_t0_is_the_wall_time_of_the_earliest_reading_however_late_the_commit(opened, clock):
    journal = opened()
    draft = Draft(
        [
            Reading("b", clock.now - 4000, {"frequency": 50.0}),
            Reading("a", clock.now - 7000, {"frequency": 50.0}),
        ]
    )
    clock.offset += 1234
    [sealed] = await journal.commit(draft)
    assert (sealed.uptime, sealed.t0, sealed.clock) == (
        clock.now - 7000,
        clock.now - 7000 + clock.offset,
        "synced",
    )
    assert [r.uptime for r in wire.decode(sealed.body).readings] == [clock.now - 4000, clock.now - 7000]
    clock.synced = False
    assert (await journal.commit(small(uptime=clock.now)))[0].clock == "unsynced"
    assert journal.synced == (sealed.t0, sealed.uptime, clock.boot)


async def test_a_newer_boot_draws_an_epoch_that_names_the_one_before_and_numbers_go_on(opened, clock):
    journal = opened()
    await fill(journal, 3, clock)
    first = journal.epoch
    await journal.close()
    journal = opened()
    assert journal.epoch == first
    await fill(journal, 1, clock)
    await journal.close()
    clock.boot = OTHER_BOOT
    journal = opened()
    assert journal.epoch != first
    [sealed] = await fill(journal, 1, clock)
    assert journal.epochs() == [(first, 1, 4), (journal.epoch, 5, 5)]
    [event] = wire.decode(sealed.body).events
    assert (event.kind, event.fields) == ("epoch_started", {"previous": first, "last": 4, "reason": "boot"})
    assert sealed.keep
    await journal.close()
    journal = opened()
    assert journal.epochs() == [(first, 1, 4), (sealed.epoch, 5, 5)]


async def test_the_first_epoch_of_a_file_has_nothing_before_it(opened, clock):
    journal = opened()
    [sealed] = await fill(journal, 1, clock)
    assert wire.decode(sealed.body).events[0].fields == {"previous": None, "last": 0, "reason": "new_file"}
    assert len(sealed.epoch) == 16
    int(sealed.epoch, 16)


async def test_settled_numbers_are_not_offered_again_and_survive_a_restart_with_the_next_row(opened, clock):
    journal = opened(uplinks=["city", "lab"])
    await fill(journal, 10, clock)
    await journal.settle("city", journal.epoch, Ranges([(1, 4), (7, 7)]))
    assert [s.seq for s in await journal.unsettled("city")] == [5, 6, 8, 9, 10]
    assert [s.seq for s in await journal.unsettled("city", after=5, limit=2)] == [6, 8]
    assert len(await journal.unsettled("lab")) == 10
    backlog = journal.backlog("city")
    assert (backlog.batches, backlog.readings) == (5, 5)
    assert backlog.oldest_t0 == (await journal.unsettled("city", limit=1))[0].t0
    await fill(journal, 1, clock)
    await journal.close()
    journal = opened(uplinks=["city", "lab"])
    assert [s.seq for s in await journal.unsettled("city")] == [5, 6, 8, 9, 10, 11]
    assert (journal.backlog("city").batches, journal.backlog("lab").batches) == (6, 11)


async def test_settle_takes_only_numbers_that_were_given_out_under_that_epoch(opened, clock):
    journal = opened()
    await fill(journal, 3, clock)
    old = journal.epoch
    await journal.new_epoch("conflict")
    await fill(journal, 3, clock)
    await journal.settle("city", old, Ranges([(1, 1000)]))
    await journal.settle("city", "0" * 16, Ranges([(1, 1000)]))
    assert [s.seq for s in await journal.unsettled("city")] == [4, 5, 6]


async def test_an_uplink_that_was_away_keeps_its_marks(opened, clock):
    journal = opened(uplinks=["city", "lab"])
    await fill(journal, 4, clock)
    await journal.settle("lab", journal.epoch, Ranges([(1, 3)]))
    await journal.configure(uplinks=["city"])
    await fill(journal, 1, clock)
    await journal.close()
    journal = opened(uplinks=["city"])
    await journal.configure(uplinks=["city", "lab"])
    assert journal.backlog("lab").batches == 2


async def test_more_than_64_ranges_are_resent_not_lost(opened, clock):
    journal = opened()
    await fill(journal, 200, clock)
    await journal.settle("city", journal.epoch, Ranges((n, n) for n in range(2, 200, 2)))
    offered = {s.seq for s in await journal.unsettled("city", limit=500)}
    assert offered >= set(range(1, 201, 2))
    # The newest is never among those that are forgotten: what is delivered last is settled whatever came
    # before.
    assert offered == set(range(1, 201)) - set(range(2, 128, 2)) - {198}


async def test_what_a_caller_carries_comes_back(opened, clock):
    journal = opened()
    await journal.commit(small(), carry={"pulses": {"su": 12}})
    await journal.commit(small())
    assert journal.carried == {"pulses": {"su": 12}}
    await journal.close()
    assert opened().carried == {"pulses": {"su": 12}}


async def test_a_large_slot_becomes_several_batches_in_one_transaction(opened, clock):
    journal = opened()
    draft = Building(300).draft(clock.now)
    sealed = await journal.commit(draft)
    assert len(sealed) >= 2
    assert [s.seq for s in sealed] == list(range(1, len(sealed) + 1))
    batches = [wire.decode(s.body) for s in sealed]
    assert all(len(wire.encode(batch)) <= wire.MAX_PLAIN for batch in batches)
    assert sorted(r.meter for batch in batches for r in batch.readings) == sorted(
        r.meter for r in draft.readings
    )
    assert sum(s.readings for s in sealed) == 300 == journal.stats().taken == journal.backlog("city").readings
    assert len({s.t0 for s in sealed}) == 1


async def test_commits_that_come_together_keep_their_order(opened, clock):
    journal = opened()
    results = await asyncio.gather(*(journal.commit(small(value=float(n))) for n in range(100)))
    assert [sealed.seq for [sealed] in results] == list(range(1, 101))
    assert [
        wire.decode(sealed.body).readings[0].values["active_energy_import"] for [sealed] in results
    ] == list(range(100))


async def test_an_empty_draft_is_no_batch_and_events_and_intervals_are_kept_ones(opened, clock):
    journal = opened()
    assert await journal.commit(Draft()) == []
    await journal.commit(small())
    [plain] = await journal.commit(small())
    [event] = await journal.commit(Draft(events=[Event("door", clock.now, {"open": True})]))
    [interval] = await journal.commit(Draft(intervals=[Interval("m", "active_energy_import", 0, 5, "m")]))
    assert (plain.keep, event.keep, interval.keep) == (False, True, True)
    assert event.uptime == clock.now


async def test_a_draft_that_cannot_be_encoded_fails_alone(opened, clock):
    journal = opened()
    bad, good = await asyncio.gather(
        journal.commit(small(events=[Event("odd", 0, {"what": object()})])),
        journal.commit(small()),
        return_exceptions=True,
    )
    assert isinstance(bad, TypeError)
    assert good[0].seq == 1
    assert journal.stats().dropped == 1
    [sealed] = await journal.commit(small())
    events = [event for s in await journal.find(sealed.epoch, 1, 9) for event in wire.decode(s.body).events]
    assert [(e.kind, e.fields) for e in events if e.kind == "not_taken"] == [("not_taken", {"readings": 1})]


async def test_a_second_opener_is_told_who_holds_it(opened, clock, tmp_path):
    journal = opened()
    with pytest.raises(JournalBusy, match=rf"held by another process \(pid {os.getpid()}\)"):
        opened()
    with pytest.raises(AssertionError, match=r"JournalBusy: the journal in .* is held by another process"):
        write(tmp_path, count=1)
    await fill(journal, 1, clock)


async def test_a_newer_file_is_left_alone_and_readings_wait(opened, clock, tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        conn.execute(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, "
            "applied_at TEXT)"
        )
        conn.execute(
            "INSERT INTO _sqlite_migrations VALUES (1, 'journal', 'v1_batches', ''), (2, 'journal', "
            "'v99_future', '')"
        )
        conn.execute("PRAGMA user_version = 99")
    conn.close()
    before = (tmp_path / "journal.db").read_bytes()
    journal = opened()
    assert (journal.stats().state, journal.stats().unopened) == ("newer", True)
    assert "file version 99, known up to 2" in journal.stats().error
    assert "install that version again" in journal.stats().error
    with pytest.raises(JournalFull, match="was not touched"):
        await journal.commit(small(uptime=clock.now))
    assert journal.stats().waiting == journal.stats().not_taken == 1
    await journal.close()
    assert (tmp_path / "journal.db").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"journal.db", "journal.lock"}


async def test_a_directory_that_cannot_be_one_is_said_and_tried_again(opened, clock, tmp_path):
    (tmp_path / "file").write_text("x")
    journal = opened(tmp_path / "file" / "j")
    assert journal.stats().state == "failing"
    assert "cannot be made" in journal.stats().error
    assert "write another journal: directory:" in journal.stats().error
    with pytest.raises(JournalFull):
        await journal.commit(small(uptime=clock.now))
    (tmp_path / "file").unlink()
    await until(lambda: journal.stats().state == "ok")
    assert (journal.stats().waiting, journal.stats().taken, journal.stats().unopened) == (0, 1, False)


async def test_a_closed_journal_says_so(opened):
    journal = opened()
    await journal.close()
    with pytest.raises(JournalError, match="is closed"):
        await journal.commit(small())
    with pytest.raises(JournalError, match="is closed"):
        await journal.unsettled("city")


async def test_explain_says_what_is_unknown(opened, clock):
    journal = opened()
    await fill(journal, 3, clock)
    assert await journal.explain(journal.epoch, 2, 9) == [(4, 9, "unknown")]
    assert await journal.explain("0" * 16, 1, 2) == [(1, 2, "unknown")]


async def test_the_heartbeat_goes_on_without_work(opened):
    journal = opened()
    before = journal.heartbeat
    await until(lambda: journal.heartbeat > before)


async def test_stats_know_how_long_the_room_lasts(opened, clock):
    journal = opened(budget=10_000_000)
    assert journal.stats().room_days is None
    building = Building(10)
    for _ in range(100):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
    before = journal._writer.used
    for _ in range(100):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
    stats = journal.stats()
    each = (journal._writer.used - before) / 100
    assert stats.room_days == pytest.approx((10_000_000 - journal._writer.used) / each / 8640, rel=0.05)
    assert stats.room_basis == pytest.approx(1990, rel=0.01)
    assert (stats.batches, stats.readings, stats.taken, stats.state, stats.oldest_seq, stats.seq) == (
        200,
        2000,
        2000,
        "ok",
        1,
        200,
    )


async def test_the_room_does_not_jump_as_the_file_grows(opened, clock):
    journal = opened(budget=100_000_000)
    building, told = Building(10), []
    for count in range(1, 401):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
        if count in {30, 60, 120, 200, 400}:
            told.append(journal.stats().room_days)
    assert max(told) < 1.1 * min(told), told
    await journal.close()
    again = opened(budget=100_000_000)
    assert again.stats().room_days == pytest.approx(told[-1], rel=0.1)


STRANGER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from journal_data import HandClock
from gateway.journal import Journal
async def look(folder):
    journal = Journal.open(folder, gateway="g", clock=HandClock(), uplinks=["city"])
    stats = journal.stats()
    await journal.close()
    return stats
async def main():
    await look(Path(sys.argv[3]))  # everything is loaded before the rights are given up
    os.setgroups([])
    os.setgid(54321)
    os.setuid(54321)
    stats = await look(Path(sys.argv[1]))
    print(stats.state, stats.cause, stats.room_days, stats.error, sep="|")
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("what", ["folder", "file", "wal", "above", "nothing"])
async def test_a_journal_of_another_user_is_told_as_that(opened, clock, tmp_path, what):
    journal = opened()
    await fill(journal, 3, clock)
    await journal.close()
    folder = journal._writer.current.path.parent
    for place in (folder, *folder.parents[:-2]):
        place.chmod(place.stat().st_mode | 0o055)
    mine = {"folder": [], "file": ["journal.db"], "wal": ["journal.db-wal"]}.get(what, [])
    if what == "wal":
        (folder / "journal.db-wal").write_bytes(b"")
    if what != "folder":
        os.chown(folder, 54321, 54321)
        for file in folder.iterdir():
            file.chmod(0o640)
            os.chown(file, *(0, 0) if file.name in mine else (54321, 54321))
    if what == "above":
        folder.parent.chmod(0o700)
    words = [sys.executable, "-c", STRANGER, str(folder), str(Path(__file__).parent), str(tmp_path / "other")]
    told = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr[-1500:]
    state, cause, room, error = told.stdout.strip().split("|")
    if what == "nothing":
        assert (state, cause, error) == ("ok", "", ""), told
        return
    assert (state, cause, room) == ("failing", "permission", "None"), told
    action = (
        f"searched by the user 54321 → sudo chmod o+x {folder.parent};"
        if what == "above"
        else (f"written by the user 54321 → sudo chown -R 54321: {folder} ")
    )
    assert f"belongs to root and may not be {action}" in error
    assert "card" not in error


async def test_the_wal_stays_bounded_and_rows_are_small(opened, clock, tmp_path):
    journal = opened()
    building = Building(10)
    values = 0
    for _ in range(600):
        clock.now += 10_000
        [sealed] = await journal.commit(building.draft(clock.now))
        values += sealed.values
        await journal.settle("city", sealed.epoch, Ranges([(1, sealed.seq)]))
    assert (tmp_path / "journal.db-wal").stat().st_size < 3_000_000
    assert not (tmp_path / "journal.db-shm").exists()
    await journal.close()
    assert (tmp_path / "journal.db").stat().st_size / values <= 6.3


def test_carry_is_plain_json_that_anybody_can_read(tmp_path, clock):
    async def run():
        journal = Journal.open(tmp_path, gateway="g", clock=clock, uplinks=["city"])
        await journal.commit(small())
        await journal.settle("city", journal.epoch, Ranges([(1, 1)]))
        await journal.commit(small(), carry={"a": 1})
        await journal.close()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        texts = [json.loads(text) for (text,) in conn.execute("SELECT carry FROM batch ORDER BY seq")]
    conn.close()
    assert texts == [{}, {"settled": {"city": [[1, 1]]}, "with": {"a": 1}}]
