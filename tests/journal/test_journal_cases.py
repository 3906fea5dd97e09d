"""Damage while the journal runs, sick storage, evidence, and starting when nothing can be opened."""

import asyncio
import json
import os
import shutil
import sqlite3
import time
from types import SimpleNamespace

import pytest
from journal_data import Building, small, until
from journal_tools import contents, needs_strace, write

from gateway.daemon.daemon import Daemon
from gateway.errors import JournalDamaged, JournalError, JournalFull
from gateway.journal.file.resume import ResumePoint
from gateway.journal.file.schema import PAGE
from gateway.journal.recovery.cases import DamagedCases
from gateway.journal.recovery.examine import wal_is_damaged
from gateway.journal.recovery.scan import PageScan, newest_in
from gateway.model import Event, Ranges


async def fill(journal, clock, count, meters=4):
    building = Building(meters)
    taken = []
    for _ in range(count):
        clock.now += 10_000
        taken += await journal.commit(building.draft(clock.now), carry={"pulses": {"su": clock.now}})
    return taken


def cases_of(directory):
    cases = DamagedCases(directory)
    cases.read()
    return cases


def judged(path):
    with PageScan(path) as scan:
        return wal_is_damaged(path, scan)


def spoil(path, part=0.5, pages=32):
    size = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        file.seek(int(size * part) * PAGE)
        file.write(os.urandom(pages * PAGE))


async def test_damage_that_shows_while_the_journal_runs_costs_no_commit(opened, clock, tmp_path):
    journal = opened()
    taken = await fill(journal, clock, 1500)
    await journal.settle("city", journal.epoch, Ranges([(1, 100)]))
    old = journal.epoch
    await until(lambda: journal.stats().walked == 1)
    spoil(tmp_path / "journal.db", 0.4)
    journal._thread.call(
        journal._writer.current.file.store.query, "PRAGMA shrink_memory"
    ).result()  # forget the pages that it read before
    # Whoever asks for the spoilt rows meets the damage; the answer comes from the new file, and commits go
    # on.
    await journal.find(old, 1, 1500, 1500)
    [next_one] = await fill(journal, clock, 1)
    assert next_one.epoch == journal.epoch != old
    assert next_one.seq == 1501
    await until(lambda: journal.stats().damaged[0].done)
    back = {s.seq: s for s in await journal.find(old, 1, 1500, 2000)}
    assert all(back[s.seq] == s for s in taken if s.seq in back)
    assert 1500 - len(back) <= 40
    assert min(s.seq for s in await journal.salvaged("city", 2000)) == 101
    assert journal.stats().salvaged["city"] == len([seq for seq in back if seq > 100])
    assert journal.carried["pulses"]["su"] == clock.now
    assert [(epoch, first) for epoch, first, _ in journal.epochs()] == [(old, 1), (journal.epoch, 1501)]


async def test_what_was_thinned_before_the_damage_is_still_explained_after_it(opened, clock, tmp_path):
    journal = opened(budget=300_000)
    await fill(journal, clock, 1200, meters=1)
    old = journal.epoch
    thinned = [gap for gap in await journal.explain(old, 1, 1200) if gap[2] == "thinned"]
    assert thinned
    await journal.close()
    with (tmp_path / "journal.db").open("r+b") as file:
        file.write(bytes(PAGE))
    journal = opened(budget=10_000_000)
    await until(lambda: journal.stats().damaged[0].done)
    held = {s.seq for s in await journal.find(old, 1, 1200, 2000)}
    explained = {
        n
        for a, b, reason in await journal.explain(old, 1, 1200)
        if reason == "thinned"
        for n in range(a, b + 1)
    }
    lost = {n for a, b, _ in thinned for n in range(a, b + 1)} - held
    assert lost == explained


async def test_rows_saved_once_survive_the_next_damage(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 100)
    first = journal.epoch
    for times in (1, 2):
        await journal.close()
        with (tmp_path / "journal.db").open("r+b") as file:
            file.write(bytes(PAGE))
        journal = opened()
        await until(
            lambda stats=journal.stats, times=times: [case.done for case in stats().damaged] == [True] * times
        )
        await fill(journal, clock, 10)
    assert len(await journal.find(first, 1, 100, 200)) == 100
    assert {s.epoch for s in await journal.salvaged("city", 200)} >= {first}


async def test_the_third_damage_within_ten_minutes_is_a_sick_disk_and_readings_wait(opened, clock, tmp_path):
    journal = opened()
    for _ in range(3):
        await fill(journal, clock, 3)
        await journal.close()
        (tmp_path / "journal.db").write_bytes(b"no database at all" * 1000)
        (tmp_path / "journal.db-wal").unlink(missing_ok=True)
        journal = opened()
        assert journal.stats().state == "ok"
    await journal.close()
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 1000)
    journal = opened()
    stats = journal.stats()
    assert (stats.state, len(stats.damaged)) == ("failing", 3)
    assert "replace the card" in stats.error
    with pytest.raises(JournalFull, match="damaged again"):
        await journal.commit(small(uptime=clock.now))
    assert journal.stats().waiting == 1
    # Ten minutes later it is tried again.
    clock.now += 700_000
    await until(lambda: journal.stats().state == "ok")
    assert journal.stats().waiting == 0
    epoch, seq = journal.newest
    assert seq == 10, "its number goes on after those of the damaged files"
    assert [row.readings for row in await journal.find(epoch, 1, 99)] == [1]
    assert journal.stats().taken == 1


async def test_only_the_newest_three_cases_are_kept_and_what_is_not_salvaged_is_never_deleted(tmp_path):
    cases = cases_of(tmp_path)
    for number in range(6):
        (tmp_path / "journal.db").write_bytes(bytes(1000))
        case = cases.move_aside(
            tmp_path / "journal.db", "test", ResumePoint(seq=number), boot="b", uptime=number
        )
        case.done = case.told = number != 1
        case.write()
    cases = cases_of(tmp_path)
    cases.prune()
    assert [case.folder.name for case in cases.all] == ["0002", "0004", "0005", "0006"]
    assert [case.resume.seq for case in cases_of(tmp_path).all] == [1, 3, 4, 5]
    assert cases.pending().folder.name == "0002"
    cases.prune(most=2700)
    assert [case.path.exists() for case in cases.all] == [True, False, True, True]
    assert (tmp_path / "damaged" / "0004" / "report.json").exists()


async def test_a_wal_without_its_file_finds_its_case(opened, clock, tmp_path):
    # The power failed between the two renames.
    journal = opened()
    taken = await fill(journal, clock, 20)
    keep = tmp_path / "keep"
    keep.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, keep)
    await journal.close()
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "damaged" / "0001").mkdir(parents=True)
    (keep / "journal.db").rename(tmp_path / "damaged" / "0001" / "journal.db")
    (keep / "journal.db-wal").rename(tmp_path / "journal.db-wal")
    journal = opened()
    await until(lambda: journal.stats().damaged[0].done)
    assert [s.seq for s in await journal.find(taken[0].epoch, 1, 99)] == [s.seq for s in taken]
    report = json.loads((tmp_path / "damaged" / "0001" / "report.json").read_text())
    assert report["rows"] == 20


async def test_rot_in_the_wal_is_not_passed_over_in_silence(opened, clock, tmp_path):
    journal = opened()
    taken = await fill(journal, clock, 60)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, copy)
    assert not judged(copy / "journal.db")
    with (copy / "journal.db-wal").open("r+b") as file:
        file.seek(32 + 20 * (PAGE + 24) + 2000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert judged(copy / "journal.db")
    assert newest_in(copy / "journal.db").seq == 60
    other = opened(copy)
    await until(lambda: other.stats().damaged[0].done)
    back = {s.seq for s in await other.find(taken[0].epoch, 1, 99, 99)}
    assert len(back) >= 59
    await fill(other, clock, 1)
    assert other.newest[1] == 61


async def test_a_torn_last_transaction_is_what_a_power_cut_leaves_and_no_damage(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 30)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, copy)
    size = (copy / "journal.db-wal").stat().st_size
    with (copy / "journal.db-wal").open("r+b") as file:
        file.seek(size - 3000)
        file.write(bytes(2000))
    assert not judged(copy / "journal.db")
    other = opened(copy)
    assert other.stats().damaged == ()
    assert other.newest[1] in {29, 30}


async def test_the_journal_starts_when_its_file_cannot_be_opened_and_takes_over_later(
    opened, clock, tmp_path
):
    (tmp_path / "state").write_text("a file where the folder should be")
    late = []
    journal = opened(tmp_path / "state")
    journal.on_late = late.extend
    assert journal.stats().state == "failing"
    assert journal.newest == ("", 0)
    assert journal.epochs() == []
    # Nothing known is not the same as nothing there: whoever asks is told, and asks again.
    for question in (
        journal.unsettled("city"),
        journal.salvaged("city"),
        journal.find("0" * 16, 1, 5),
        journal.explain("0" * 16, 1, 5),
        journal.settle("city", "0" * 16, Ranges([(1, 5)])),
        journal.new_epoch("conflict"),
    ):
        with pytest.raises(JournalError, match="is not open"):
            await question
    await journal.configure(uplinks=["city"], budget=10_000_000)
    with pytest.raises(JournalFull, match="cannot be made: File exists"):
        await journal.commit(small(uptime=clock.now))
    (tmp_path / "state").unlink()
    await until(lambda: late)
    assert [s.seq for s in late] == [1]
    assert journal.stats().state == "ok"


async def test_the_daemon_starts_while_the_journal_cannot_be_asked(opened, clock):
    journal = opened()
    [sealed] = await fill(journal, clock, 1)
    writer = journal._writer
    writer._retry_at = time.monotonic() + 60
    await asyncio.wrap_future(journal._thread.call(writer.current.let_go))
    assert journal.newest == (sealed.epoch, 1)
    remembered = []
    daemon = SimpleNamespace(
        journal=journal,
        clock=SimpleNamespace(boot=clock.boot, remember=lambda *what: remembered.append(what)),
    )
    await Daemon._remember_time(daemon)
    assert daemon._newest_wall is None
    assert remembered == [(sealed.t0, (sealed.t0, sealed.uptime))]


async def test_a_commit_whose_caller_gave_up_is_taken_all_the_same(opened, clock):
    journal = opened()
    task = asyncio.create_task(journal.commit(small(uptime=clock.now)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [after] = await journal.commit(small(events=[Event("door", clock.now)]))
    assert after.seq == 2


async def test_the_evidence_keeps_the_file_as_it_was_found(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 50)
    await journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        conn.execute("UPDATE batch SET body = zeroblob(10) WHERE seq = 20")
    conn.close()
    before = (tmp_path / "journal.db").read_bytes()
    journal = opened()
    await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    assert (tmp_path / "damaged" / "0001" / "journal.db").read_bytes() == before
    assert "batch 20 does not fit its checksum" in journal.stats().damaged[0].reason


async def test_a_file_that_cannot_be_moved_aside_is_tried_again(opened, clock, tmp_path, monkeypatch):
    journal = opened()
    await fill(journal, clock, 5)
    writer = journal._writer

    def refuse(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer.current.cases, "move_aside", refuse)
    journal._thread.call(writer._replace, JournalDamaged("spoilt")).result()
    assert journal.stats().state == "failing"
    monkeypatch.undo()
    [sealed] = await fill(journal, clock, 1)
    assert (sealed.seq, journal.stats().state) == (6, "ok")


@needs_strace
async def test_a_sector_that_cannot_be_read_is_damage(tmp_path):
    write(tmp_path / "j", count=2000, meters=4)
    trace = tmp_path / "trace"
    prefix = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(trace),
        "-P",
        str(tmp_path / "j" / "journal.db"),
        "-e",
        "trace=pread64",
        "-e",
        "inject=pread64:error=EIO:when=900",
    ]
    run = write(tmp_path / "j", prefix=prefix, count=40, pause=0.1)
    assert trace.read_text().count("INJECTED") == 1
    assert (run.end["damaged"], run.end["state"], len(run.taken)) == (1, "ok", 40)
    held, _, _ = await contents(tmp_path / "j")
    assert {key: held.get(key) for key in run.taken} == run.taken
