"""Files that are missing, replaced, or no files: a start judges by what should be there, never hangs,
loses nothing in silence.
"""

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from journal_data import fill, small, until
from journal_tools import needs_root, told

from gateway import wire
from gateway.cli.journal_source import FileSource
from gateway.errors import JournalTooNew
from gateway.journal.file.schema import PAGE
from gateway.journal.lock import read_mark
from gateway.journal.paths import standing
from gateway.journal.recovery.examine import examine
from gateway.model import Draft, Event, Ranges

NAMES = ("journal.db", "journal.db-wal")
FILES = (*NAMES, "journal.db-shm", "journal.db-journal", "journal.lock", "journal.ballast")


@pytest.fixture
async def killed(opened, clock, tmp_path):
    """A folder as kill -9 leaves it: `count` batches, of which the WAL holds the newest, the file the
    others.
    """

    async def make(count=20):
        journal = opened()
        taken = await fill(journal, clock, count)
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in NAMES:
            shutil.copy(tmp_path / name, copy)
        await journal.close()
        assert (copy / "journal.db-wal").stat().st_size > 30_000
        return copy, taken

    return make


def system(command):
    subprocess.run(command, check=True)


async def everything(journal):
    rows, after = await journal.salvaged("city", 100_000), 0
    while page := await journal.unsettled("city", after=after, limit=500):
        rows += page
        after = page[-1].seq
    return rows


async def accounted(journal, clock, taken):
    """The promise: what was taken is held, or declared gone; and one event says that a file was read back."""
    await until(lambda: journal.stats().damaged and all(case.done for case in journal.stats().damaged))
    for _ in range(3):
        await journal.commit(Draft(events=[Event("door", clock.now)]))
    rows = await everything(journal)
    held = {(row.epoch, row.seq): row for row in rows}
    assert {(row.epoch, row.seq) for row in taken} <= set(held) | told(rows)
    assert all(held[row.epoch, row.seq].body == row.body for row in taken if (row.epoch, row.seq) in held)
    assert not told(rows) & set(held)
    events = [event for row in rows for event in wire.decode(row.body).events]
    assert [event.kind for event in events].count("salvaged") == len(journal.stats().damaged)
    assert [e.fields["reason"] for e in events if e.kind == "epoch_started"][-1] == "damage"
    return held


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("these are not the bytes that you are looking for\n" * 100)


def other_program(path):
    # Made elsewhere: SQLite would take our WAL for its own.
    other = path.with_name("contacts.db")
    with sqlite3.connect(other) as conn:
        conn.execute("CREATE TABLE contacts (name TEXT)")
        conn.execute("INSERT INTO contacts VALUES ('Ayşe')")
    conn.close()
    other.replace(path)


def noise(path):
    path.with_name("journal.db-wal").write_bytes(os.urandom(50_000))


def zeroed_head(path):
    with path.open("r+b") as file:
        file.write(bytes(PAGE))


SPOILS = {
    "missing": os.unlink,
    "empty": empty,
    "text": text,
    "another program's": other_program,
    "zeroed head": zeroed_head,
}


@pytest.mark.parametrize("count", [20, 800])
@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_a_wal_whose_file_is_gone_is_damage_and_comes_back(killed, opened, clock, spoil, count):
    copy, taken = await killed(count)
    spoil(copy / "journal.db")
    journal = opened(copy)
    stats = journal.stats()
    assert (stats.state, len(stats.damaged)) == ("ok", 1)
    assert journal.carried["pulses"]["su"] == taken[-1].uptime // 10_000 * 10_000
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert (sealed.seq, sealed.epoch != taken[0].epoch) == (count + 1, True)
    held = await accounted(journal, clock, taken)
    # All that the WAL held is here; of what the file alone held, all is told.
    if count == 20:
        assert len([row for row in taken if (row.epoch, row.seq) in held]) == 20
    elif spoil is zeroed_head:
        assert len([row for row in taken if (row.epoch, row.seq) in held]) >= 0.99 * count
    assert (taken[-1].epoch, count) in held


async def test_what_was_delivered_is_not_declared_lost(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 700)
    await journal.settle("city", journal.epoch, Ranges([(1, 690)]))
    await fill(journal, clock, 1)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "journal.db-wal", copy)
    journal = opened(copy)
    await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    await journal.commit(Draft(events=[Event("door", clock.now)]))
    assert told(await everything(journal)) == set()


async def test_a_wal_of_noise_is_damage(killed, opened, clock):
    copy, taken = await killed(800)
    noise(copy / "journal.db")
    with closing(sqlite3.connect(f"file:{copy}/journal.db?immutable=1", uri=True)) as conn:
        [(filed,)] = conn.execute("SELECT MAX(seq) FROM batch")
    journal = opened(copy)
    assert "is no write-ahead log" in journal.stats().damaged[0].reason
    held = await accounted(journal, clock, [row for row in taken if row.seq <= filed])
    assert {(row.epoch, row.seq) for row in taken if row.seq <= filed} <= set(held)
    assert filed > 400


async def test_a_file_of_another_program_is_moved_aside_as_it_was(opened, tmp_path, clock):
    (tmp_path / "journal.db").write_bytes(b"")
    other_program(tmp_path / "journal.db")
    before = (tmp_path / "journal.db").read_bytes()
    journal = opened()
    assert "another program" in journal.stats().damaged[0].reason
    await journal.commit(small(uptime=clock.now))
    assert (tmp_path / "damaged" / "0001" / "journal.db").read_bytes() == before


@pytest.mark.parametrize("wal", [b"", None])
async def test_an_empty_folder_and_an_empty_wal_are_a_first_start(opened, tmp_path, wal):
    if wal is not None:
        (tmp_path / "journal.db-wal").write_bytes(wal)
    journal = opened()
    assert journal.stats().damaged == ()
    [sealed] = await journal.commit(small())
    assert [e.fields["reason"] for e in wire.decode(sealed.body).events if e.kind == "epoch_started"] == [
        "new_file"
    ]


# ── what is no file ──


def folder(path):
    path.mkdir()
    (path / "x").write_text("x")


def unix_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path.name)
    finally:
        os.chdir(here)


THINGS = {
    "a folder": folder,
    "a FIFO": os.mkfifo,
    "a link that leads nowhere": lambda path: path.symlink_to("/nonexistent/x"),
    "a link in a loop": lambda path: path.symlink_to(path),
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a link to a FIFO": lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),
    "a socket": unix_socket,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
async def test_what_is_no_file_is_moved_aside(killed, opened, clock, name, thing):
    copy, taken = await killed()
    (copy / name).unlink(missing_ok=True)
    thing(copy / name)
    # In a thread: a start that hangs is a failed test, not a hanging one.
    async with asyncio.timeout(60):
        journal = await asyncio.to_thread(opened, copy)
    assert journal.stats().state == "ok"
    lost = {"journal.db-wal": len(taken)}.get(name, 0)
    await journal.commit(small(uptime=clock.now))
    await until((copy / "journal.ballast").is_file)
    assert not standing(copy / name)
    if name in {"journal.db", "journal.db-wal"}:
        held = await accounted(journal, clock, taken[: len(taken) - lost])
        assert len([row for row in taken if (row.epoch, row.seq) in held]) >= len(taken) - lost
    else:
        assert journal.stats().damaged == ()
        assert {row.seq for row in taken} <= {row.seq for row in await journal.unsettled("city")}
        assert [path.name for path in copy.glob(f"{name}.aside-*")] == [f"{name}.aside-1"]


@pytest.mark.parametrize(
    "thing", [os.mkfifo, text, THINGS["a link that leads nowhere"], THINGS["a link in a loop"]]
)
async def test_something_in_the_place_of_the_folder_for_damaged_files(killed, opened, clock, thing):
    copy, taken = await killed()
    thing(copy / "damaged")
    zeroed_head(copy / "journal.db")
    async with asyncio.timeout(60):
        journal = await asyncio.to_thread(opened, copy)
    assert journal.stats().state == "ok"
    await accounted(journal, clock, taken)
    assert (copy / "damaged" / "0001" / "journal.db").is_file()
    assert [path.name for path in copy.iterdir() if "aside" in path.name] == ["damaged.aside-1"]


@needs_root
async def test_a_folder_for_damaged_files_on_another_disk_gets_a_sister(killed, opened, clock):
    copy, taken = await killed()
    (copy / "damaged").mkdir()
    system(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "none", copy / "damaged"])
    try:
        zeroed_head(copy / "journal.db")
        journal = opened(copy)
        assert journal.stats().state == "ok"
        await accounted(journal, clock, taken)
        assert (copy / "damaged-2" / "0001" / "journal.db").is_file()
        await journal.close()
        journal = opened(copy)
        assert [case.name for case in journal.stats().damaged] == ["0001"]
        await journal.close()
    finally:
        system(["umount", copy / "damaged"])


@pytest.mark.parametrize("inside", ["report.json", "journal.db", "journal.db-wal"])
async def test_a_fifo_within_a_case_hangs_nothing(killed, opened, clock, inside):
    copy, _ = await killed()
    case = copy / "damaged" / "0001"
    case.mkdir(parents=True)
    os.mkfifo(case / inside)
    os.mkfifo(copy / "damaged" / "0002")
    async with asyncio.timeout(60):
        journal = await asyncio.to_thread(opened, copy)
        await until(lambda: all(one.done for one in journal.stats().damaged))
    assert [one.name for one in journal.stats().damaged] == ["0001"]
    await fill(journal, clock, 1)


async def test_a_link_to_a_journal_elsewhere_is_followed_its_wal_too(killed, opened, clock):
    copy, taken = await killed()
    away = copy / "stick"
    away.mkdir()
    for name in NAMES:
        (copy / name).rename(away / name)
    (copy / "journal.db").symlink_to("stick/journal.db")
    journal = opened(copy)
    assert journal.stats().damaged == ()
    assert len(await everything(journal)) == len(taken)
    await fill(journal, clock, 1)
    await journal.close()
    # Damage at the other end of the link is salvaged there.
    zeroed_head(away / "journal.db")
    journal = opened(copy)
    await accounted(journal, clock, taken)


async def test_a_link_to_a_foreign_file_is_moved_and_the_file_untouched(killed, opened, clock):
    copy, _ = await killed()
    precious = copy / "precious"
    precious.write_bytes(b"precious" * 1000)
    for name in ("journal.lock", "journal.ballast", "journal.db"):
        (copy / name).unlink(missing_ok=True)
        (copy / name).symlink_to(precious)
    journal = opened(copy)
    await fill(journal, clock, 1)
    await until(lambda: (copy / "journal.ballast").is_file() and not (copy / "journal.ballast").is_symlink())
    assert precious.read_bytes() == b"precious" * 1000


async def test_a_stray_wal_never_writes_over_the_evidence_of_another_case(killed, opened, clock):
    copy, taken = await killed()
    zeroed_head(copy / "journal.db")
    journal = opened(copy)
    await until(lambda: journal.stats().damaged[0].done)
    cases = (copy / "damaged" / "0001" / "journal.db-wal").read_bytes()
    more = await fill(journal, clock, 30)
    shutil.copy(copy / "journal.db-wal", copy / "kept")
    await journal.close()
    (copy / "journal.db").unlink()
    (copy / "kept").rename(copy / "journal.db-wal")
    journal = opened(copy)
    await accounted(journal, clock, [*taken, *more])
    assert [case.name for case in journal.stats().damaged] == ["0001", "0002"]
    assert (copy / "damaged" / "0001" / "journal.db-wal").read_bytes() == cases


# ── a newer version ──


async def test_a_newer_file_whose_newest_step_is_still_in_the_wal_is_left_alone(opened, clock, tmp_path):
    journal = opened()
    taken = await fill(journal, clock, 10)
    await journal.close()
    conn = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("BEGIN")
    conn.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('journal', 'v9_future', "
        "'2027-01-01')"
    )
    conn.execute("PRAGMA user_version = 9")
    conn.execute("COMMIT")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in NAMES:
        shutil.copy(tmp_path / name, copy)
    conn.close()
    before = {name: (copy / name).read_bytes() for name in NAMES}
    journal = opened(copy)
    assert journal.stats().state == "newer"
    # The registers go on where they were, whoever wrote them down.
    assert journal.carried["pulses"]["su"] == taken[-1].uptime // 10_000 * 10_000
    await journal.close()
    assert {name: (copy / name).read_bytes() for name in NAMES} == before
    with pytest.raises(JournalTooNew, match="file version 9"):
        examine(copy / "journal.db")


async def test_when_the_newer_file_is_moved_away_what_waited_is_taken(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 5)
    await journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('journal', "
            "'v9_future', '')"
        )
        conn.execute("PRAGMA user_version = 9")
    conn.close()
    late = []
    journal = opened()
    journal.on_late = late.extend
    for _ in range(3):
        with pytest.raises(Exception, match="newer version"):
            await journal.commit(small(uptime=clock.now))
    assert journal.stats().not_taken == 3
    (tmp_path / "journal.db").rename(tmp_path / "kept.db")
    journal._writer._retry_at = 0
    await until(lambda: len(late) == 3)
    # Its numbers are not used again.
    assert [row.seq for row in late] == [6, 7, 8]


# ── a folder that cannot be written ──


@needs_root
@pytest.mark.parametrize("below", ["", "state", "a/b"])
async def test_a_folder_that_cannot_be_written_yet_is_waited_for(opened, clock, tmp_path, below):
    disk = tmp_path / "disk"
    disk.mkdir()
    system(["mount", "-t", "tmpfs", "-o", "size=20m,ro", "none", disk])
    try:
        journal = opened(disk / below)
        assert journal.stats().state == "failing"
        assert "ead-only" in journal.stats().error or "unable to open" in journal.stats().error
        for _ in range(3):
            with pytest.raises(Exception, match="→"):
                await journal.commit(small(uptime=clock.now))
        system(["mount", "-o", "remount,rw", disk])
        await until(lambda: journal.stats().state == "ok")
        assert (journal.stats().taken, journal.stats().waiting) == (3, 0)
        await journal.close()
    finally:
        system(["umount", disk])


# ── a journal that is gone, or older than the one that was here ──


async def declared(journal, clock):
    await journal.commit(Draft(events=[Event("door", clock.now)]))
    rows = await everything(journal)
    starts = [e.fields for row in rows for e in wire.decode(row.body).events if e.kind == "epoch_started"]
    return told(rows), starts[-1]


async def test_an_older_copy_gives_no_number_out_again_and_says_what_is_missing(
    opened, clock, tmp_path, caplog
):
    journal = opened()
    await fill(journal, clock, 10)
    await journal.close()
    shutil.copy(tmp_path / "journal.db", tmp_path / "older.db")
    journal = opened()
    later = await fill(journal, clock, 15)
    await journal.close()
    (tmp_path / "older.db").replace(tmp_path / "journal.db")
    journal = opened()
    assert [
        record.message
        for record in caplog.records
        if "is older than the journal that was here" in record.message
    ]
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert (sealed.seq, sealed.epoch != later[0].epoch) == (26, True)
    lost, start = await declared(journal, clock)
    assert lost == {(row.epoch, row.seq) for row in later}
    assert start == {"previous": later[0].epoch, "last": 25, "reason": "damage"}
    assert (journal.stats().batches, journal.backlog("city").batches) == (12, 12)
    assert await journal.explain(later[0].epoch, 1, 25) == [(11, 25, "damaged")]
    # Said once.
    await journal.close()
    journal = opened()
    assert journal.stats().batches == 12
    assert (await declared(journal, clock))[0] == lost


@pytest.mark.parametrize("keep", [(), ("journal.ballast",)])
async def test_a_journal_that_is_gone_is_no_first_start(opened, clock, tmp_path, caplog, keep):
    journal = opened()
    taken = await fill(journal, clock, 10)
    await journal.close()
    for path in list(tmp_path.iterdir()):
        if path.name not in {"journal.lock", *keep}:
            path.unlink()
    journal = opened()
    assert [record.message for record in caplog.records if "was gone" in record.message]
    lost, start = await declared(journal, clock)
    assert lost == {(row.epoch, row.seq) for row in taken}
    assert start == {"previous": taken[0].epoch, "last": 10, "reason": "damage"}
    assert journal.newest[1] == 11


@pytest.mark.parametrize("thing", [folder, os.mkfifo, text, None])
async def test_what_was_destroyed_without_a_trace_is_told_as_far_as_the_mark_knows(
    opened, clock, tmp_path, thing
):
    journal = opened()
    taken = await fill(journal, clock, 10)
    await journal.close()
    journal = opened()
    more = await fill(journal, clock, 5)
    # Noted within the first second, then every ten minutes.
    await until(lambda: read_mark(tmp_path / "journal.lock")[2] == 15)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "journal.lock", copy)
    if thing:
        thing(copy / "journal.db")
    journal = opened(copy)
    if thing:
        await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert sealed.seq == 16
    lost, start = await declared(journal, clock)
    assert lost == {(row.epoch, row.seq) for row in [*taken, *more]}
    assert start == {"previous": taken[0].epoch, "last": 15, "reason": "damage"}


@pytest.mark.parametrize(
    "line",
    [b"", b"newest x 1 2 00000000\n", b"\xff" * 50, b"newest " + b"a" * 16 + b" 1 99999999 00000000\n"],
)
async def test_a_mark_that_is_not_sound_means_nothing(opened, clock, tmp_path, line):
    journal = opened()
    await fill(journal, clock, 10)
    await journal.close()
    (tmp_path / "journal.lock").write_bytes(b"pid 17\n" + line)
    journal = opened()
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert sealed.seq == 11
    assert (await declared(journal, clock))[0] == set()


async def test_who_looks_in_without_the_daemon_leaves_the_mark(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 10)
    await journal.close()
    source = FileSource(tmp_path)
    assert source.status()["seq"] == 10
    source.close()
    assert read_mark(tmp_path / "journal.lock")[1:] == (1, 10)
