"""Files that are removed, renamed or replaced while the journal has them open: durable means that a start
finds it by its name.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from functools import partial

import journal_data
import pytest
from journal_data import small, until
from journal_tools import HERE, contents

from gateway import wire
from gateway.errors import JournalError
from gateway.journal import Journal, housekeeping
from gateway.model import Draft, Event, Ranges

fill = partial(journal_data.fill, meters=2)


def look(journal):
    """The look that comes every ten seconds comes now."""
    journal._writer.housekeeping._measure_at = 0


async def back(journal):
    look(journal)
    await until(lambda: journal.stats().damaged and all(case.done for case in journal.stats().damaged))


def unlink_both(directory):
    for name in ("journal.db", "journal.db-wal"):
        (directory / name).unlink()


def unlink_file(directory):
    (directory / "journal.db").unlink()


def rename_file(directory):
    (directory / "journal.db").rename(directory / "moved.db")


def replace_file(directory):
    other = directory / "other.db"
    other.write_bytes(b"")
    other.replace(directory / "journal.db")


def older_copy(directory):
    (directory / "older.db").replace(directory / "journal.db")


def link_file(directory):
    (directory / "journal.db").unlink()
    (directory / "journal.db").symlink_to("/nonexistent/x")


def folder_instead(directory):
    (directory / "journal.db").unlink()
    (directory / "journal.db").mkdir()


def foreign_file(directory):
    other = sqlite3.connect(directory / "other.db")
    other.execute("CREATE TABLE orders (id INTEGER)")
    other.commit()
    other.close()
    (directory / "other.db").replace(directory / "journal.db")


def pipe_instead(directory):
    (directory / "journal.db").unlink()
    os.mkfifo(directory / "journal.db")


def rename_folder(directory):
    directory.rename(directory.with_name("gone"))


def new_folder(directory):
    directory.rename(directory.with_name("gone"))
    directory.mkdir()


def remove_folder(directory):
    shutil.rmtree(directory)


WAYS = [
    unlink_both,
    unlink_file,
    rename_file,
    replace_file,
    older_copy,
    link_file,
    folder_instead,
    foreign_file,
    pipe_instead,
    rename_folder,
    new_folder,
    remove_folder,
]


@pytest.mark.parametrize(
    "loss",
    [(way, count) for way in WAYS for count in (30, 900)],
    ids=lambda loss: f"{loss[0].__name__}-{loss[1]}",
)
async def test_what_lost_its_name_is_written_again(opened, clock, tmp_path, loss, caplog):
    way, count = loss
    directory = tmp_path / "state"
    journal = opened(directory)
    shutil.copy(directory / "journal.db", directory / "older.db")
    taken = await fill(journal, clock, count)
    await journal.settle("city", journal.epoch, Ranges([(1, 10)]))
    old = journal.epoch
    way(directory)
    # Nobody has looked yet: readings are taken into what has no name, and come back with the rest.
    taken += await fill(journal, clock, 3)
    await back(journal)
    stats = journal.stats()
    assert stats.state == "ok"
    assert [record.message for record in caplog.records if "at the next start" in record.message]
    taken += await fill(journal, clock, 3)
    assert journal.epoch != old
    assert [row.seq for row in taken] == list(range(1, count + 7))
    assert journal.carried["pulses"]["su"] == clock.now
    waiting = {
        (s.epoch, s.seq): s
        for s in [*await journal.salvaged("city", 9999), *await journal.unsettled("city", limit=9999)]
    }
    assert [key for key in waiting if key[1] <= 10] == []
    assert {(row.epoch, row.seq) for row in taken[10:]} <= set(waiting)
    assert all(waiting[row.epoch, row.seq].body == row.body for row in taken[10:])
    await journal.close()
    held, _, stats = await contents(directory)
    assert {(row.epoch, row.seq) for row in taken[10:]} <= set(held)
    assert stats.state == "ok"
    assert stats.lost == 0, "nobody is told that what came back is lost"
    # A file was never written that somebody else had put there, nor anything through a link.
    assert not (directory / "journal.db").is_symlink()


async def test_a_wal_without_a_name_goes_into_the_file_and_costs_nothing(opened, clock, tmp_path):
    journal = opened()
    taken = await fill(journal, clock, 40)
    epoch = journal.epoch
    (tmp_path / "journal.db-wal").unlink()
    taken += await fill(journal, clock, 3)
    look(journal)
    await until((tmp_path / "journal.db-wal").exists)
    taken += await fill(journal, clock, 3)
    assert (journal.epoch, journal.stats().damaged) == (epoch, ())
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, copy)
    held, _, _ = await contents(copy)
    assert {key for key in held if key[0] == epoch} == {(row.epoch, row.seq) for row in taken}


@pytest.mark.parametrize("thing", [os.mkfifo, os.mkdir, lambda path: path.write_bytes(b"foreign" * 1000)])
async def test_something_in_the_place_of_the_open_wal(opened, clock, tmp_path, thing):
    journal = opened()
    taken = await fill(journal, clock, 40)
    (tmp_path / "journal.db-wal").unlink()
    thing(tmp_path / "journal.db-wal")
    look(journal)
    await until(lambda: (tmp_path / "journal.db-wal.aside-1").exists() and journal.stats().state == "ok")
    taken += await fill(journal, clock, 3)
    assert journal.stats().damaged == ()
    await journal.close()
    held, _, _ = await contents(tmp_path)
    assert {(row.epoch, row.seq) for row in taken} <= set(held)


async def test_what_was_thinned_is_told_again_from_the_file_without_a_name(opened, clock, tmp_path):
    journal = opened(budget=200_000)
    taken = await fill(journal, clock, 700)
    (tmp_path / "journal.db").unlink()
    await back(journal)
    for _ in range(3):
        await journal.commit(Draft(events=[Event("door", clock.now)]))
    rows = [*await journal.salvaged("city", 9999), *await journal.unsettled("city", limit=9999)]
    events = [e for row in rows for e in wire.decode(row.body).events if e.kind in {"thinned", "damaged"}]
    told = {(e.fields["epoch"], n) for e in events for n in range(e.fields["from"], e.fields["to"] + 1)}
    assert {(row.epoch, row.seq) for row in taken} <= told | {(row.epoch, row.seq) for row in rows}
    assert told


async def test_a_clean_stop_looks_once_more(opened, clock, tmp_path):
    journal = opened()
    taken = await fill(journal, clock, 400)
    unlink_both(tmp_path)
    taken += await fill(journal, clock, 1)
    await journal.close()
    held, _, _ = await contents(tmp_path)
    assert {(row.epoch, row.seq) for row in taken} <= set(held)


async def test_what_could_not_be_written_again_before_a_kill_is_declared_lost(
    opened, clock, tmp_path, monkeypatch
):
    journal = opened()
    taken = await fill(journal, clock, 300)
    await journal.settle("city", journal.epoch, Ranges([(1, 100)]))
    monkeypatch.setattr(housekeeping.Housekeeping, "_salvage", lambda *_: 1.0)
    monkeypatch.setattr(housekeeping, "FINISH", 0.0)
    (tmp_path / "journal.db").unlink()
    (tmp_path / "journal.db-wal").unlink()
    old = journal.epoch
    look(journal)
    await until(lambda: journal.epoch != old)  # another file is open
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, copy)
    shutil.copytree(tmp_path / "damaged", copy / "damaged")
    monkeypatch.undo()
    journal = opened(copy)
    await back(journal)
    await journal.commit(Draft(events=[Event("door", clock.now)]))
    events = [
        e
        for row in await journal.unsettled("city")
        for e in wire.decode(row.body).events
        if e.kind == "damaged"
    ]
    told = {(e.fields["epoch"], n) for e in events for n in range(e.fields["from"], e.fields["to"] + 1)}
    assert told == {(row.epoch, row.seq) for row in taken[100:]}


async def test_two_never_write_one_folder_also_when_it_was_replaced(opened, clock, tmp_path):
    directory = tmp_path / "state"
    journal = opened(directory)
    await fill(journal, clock, 5)
    new_folder(directory)
    other = Journal.open(directory, gateway="g-2", clock=clock, uplinks=["city"])
    look(journal)
    await until(lambda: journal.stats().state == "failing")
    assert "held by another process" in journal.stats().error
    with pytest.raises(JournalError):
        await journal.commit(small(uptime=clock.now))
    await other.commit(small(uptime=clock.now))
    await other.close()
    await until(lambda: journal.stats().state == "ok")
    await back(journal)
    assert journal.stats().taken >= 6


CHILD = """
import asyncio, os, sys
from journal_data import small
from gateway.host.clock import Clock
from gateway.journal import Journal, housekeeping
housekeeping.DISK_CHECK = 0.5
async def main():
    journal = Journal.open(sys.argv[1], gateway="g-1", clock=Clock("system"), uplinks=["city"])
    while True:
        for one in await journal.commit(small(uptime=1000)):
            os.write(1, f"{one.epoch} {one.seq}\\n".encode())
        await asyncio.sleep(0.01)
asyncio.run(main())
"""


def started(directory):
    env = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory)], stdout=subprocess.PIPE, cwd=HERE, env=env
    )


@pytest.mark.parametrize("way", [unlink_both, rename_file])
async def test_kill_9_after_the_look_costs_nothing(tmp_path, way):
    directory = tmp_path / "state"
    process = started(directory)
    said = b""
    try:
        while said.count(b"\n") < 50:
            said += os.read(process.stdout.fileno(), 1 << 16)
        way(directory)
        first = said.split()[0]
        while said.split()[-2] == first or said.count(b"\n") < 400:
            said += os.read(process.stdout.fileno(), 1 << 16)
        await until(lambda: b'"done": true' in (directory / "damaged" / "0001" / "report.json").read_bytes())
    finally:
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read()
        process.wait(30)
    taken = {
        (epoch, int(seq))
        for epoch, seq in (line.split() for line in said.decode().splitlines() if len(line.split()) == 2)
    }
    held, _, _ = await contents(directory)
    assert taken <= set(held)
