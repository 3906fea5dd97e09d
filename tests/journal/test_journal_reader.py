"""A look at the files changes nothing: no file made, moved or removed, no byte and no time of one changed."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from journal_data import Building, HandClock, small

from gateway.cli import journal as cli
from gateway.errors import JournalBusy, JournalError, JournalTooNew
from gateway.journal import Journal, JournalReader
from gateway.journal.file.schema import VERSION
from gateway.model import Ranges

MUSEUM = Path(__file__).parent / "museum"
BATCHES = 40


def snapshot(folder):
    """Everything that a write would change, of the folder, too: names, kinds, rights, owners, bytes,
    times.
    """
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        stat = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (
            stat.st_ino,
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            stat.st_size,
            stat.st_mtime_ns,
            data,
        )
    return found


async def fill(folder):
    clock = HandClock()
    journal = Journal.open(folder, gateway="g-1", clock=clock, uplinks=["city"])
    building = Building(3)
    for _ in range(BATCHES):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
    await journal.settle("city", journal.epoch, Ranges([(1, 30)]))
    await journal.commit(building.draft(clock.now))
    return journal


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A journal after a clean stop: no WAL."""
    folder = tmp_path_factory.mktemp("clean")

    async def make():
        journal = await fill(folder)
        await journal.close()

    asyncio.run(make())
    assert not (folder / "journal.db-wal").exists() or not (folder / "journal.db-wal").stat().st_size
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A journal after a kill: everything is in the WAL."""
    folder, live = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("live")

    async def make():
        journal = await fill(live)
        for name in ("journal.db", "journal.db-wal", "journal.lock"):
            shutil.copy2(live / name, folder)
        await journal.close()

    asyncio.run(make())
    assert (folder / "journal.db-wal").stat().st_size > 10_000
    return folder


def call(folder, *words):
    return CliRunner().invoke(
        cli.command, [*map(str, words), "--directory", str(folder), "--socket", str(folder / "no.sock")]
    )


def look(folder, tmp_path):
    """Every verb that looks; their results."""
    out = tmp_path.parent / f"{tmp_path.name}.out"
    return [
        call(folder, "status"),
        call(folder, "status", "--json"),
        call(folder, "show"),
        call(folder, "show", 3),
        call(folder, "export", out),
    ]


@pytest.mark.parametrize("kind", ["clean", "killed"])
def test_every_verb_reads_all_and_writes_nothing(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)
    before = snapshot(folder)
    status, state, newest, third, _ = results = look(folder, tmp_path)
    assert [result.exit_code for result in results] == [0] * 5, [result.output for result in results]
    assert f"holds {BATCHES + 1} batches" in status.stdout
    assert json.loads(state.stdout)["backlog"]["city"]["batches"] == BATCHES + 1 - 30
    assert f"{BATCHES + 1}  " in newest.stdout
    assert json.loads(third.stdout)["seq"] == 3
    exported = (tmp_path.parent / f"{tmp_path.name}.out").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in exported] == list(range(1, BATCHES + 2))
    for result in results:
        assert "no gateway runs" in result.stderr
        assert str(folder) in result.stderr.replace("\n", "")
    assert snapshot(folder) == before


def test_the_control_sqlite_itself_would_change_them(killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "copy")
    before = snapshot(folder)
    with closing(sqlite3.connect(folder / "journal.db")) as conn:
        conn.execute("SELECT count(*) FROM batch").fetchone()
    assert snapshot(folder) != before


@pytest.mark.parametrize("log", ["empty", "header", "zeros", "torn", "stale"])
def test_a_wal_that_holds_little_or_nothing_stays_as_it_is(log, clean, killed, tmp_path):
    folder = shutil.copytree(clean if log in {"empty", "header", "stale"} else killed, tmp_path / "copy")
    whole = (killed / "journal.db-wal").read_bytes()
    torn = {
        "empty": b"",
        "header": whole[:32],
        "zeros": bytes(len(whole)),
        "torn": whole[:-700],
        "stale": whole[:24] + bytes(8) + whole[32:],
    }
    (folder / "journal.db-wal").write_bytes(torn[log])
    before = snapshot(folder)
    results = look(folder, tmp_path)
    assert snapshot(folder) == before
    if log == "torn":
        assert json.loads(results[1].stdout)["seq"] == BATCHES
    elif log in {"empty", "header"}:
        assert json.loads(results[1].stdout)["seq"] == BATCHES + 1


@pytest.mark.parametrize("name", sorted(path.stem for path in MUSEUM.glob("*.sql")))
def test_an_older_file_is_read_as_it_is(name, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "journal.db")) as conn:
        conn.executescript((MUSEUM / f"{name}.sql").read_text())
    expected = json.loads((MUSEUM / f"{name.split('-')[0]}.json").read_text())
    before = snapshot(folder)
    results = look(folder, tmp_path)
    assert [result.exit_code for result in results if result is not results[3]] == [0] * 4, [
        result.output for result in results
    ]
    assert json.loads(results[1].stdout)["seq"] == expected["epochs"][-1][2]
    assert snapshot(folder) == before


def damage_row(folder):
    with (folder / "journal.db").open("r+b") as file:
        file.seek(1024 * 20)
        file.write(bytes(1024 * 400))


def damage_header(folder):
    with (folder / "journal.db").open("r+b") as file:
        file.write(b"nonsense" * 30)


def no_file(folder):
    (folder / "journal.db").unlink()
    (folder / "journal.db-wal").write_bytes(b"x" * 500)


def a_fifo(folder):
    (folder / "journal.db").unlink()
    os.mkfifo(folder / "journal.db")


@pytest.mark.parametrize("how", [damage_row, damage_header, no_file, a_fifo])
def test_a_damaged_one_is_told_and_left(how, clean, tmp_path):
    folder = shutil.copytree(clean, tmp_path / "copy")
    how(folder)
    before = {name: value for name, value in snapshot(folder).items() if not name.endswith("fifo")}
    with pytest.raises(JournalError, match="submeter journal salvage"):
        JournalReader(folder)
    look(folder, tmp_path)
    assert snapshot(folder) == before


def test_a_newer_one_is_told_and_left(clean, tmp_path):
    folder = shutil.copytree(clean, tmp_path / "copy")
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE")
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('journal', "
            "'v9_more', 'then')"
        )
        conn.execute("CREATE TABLE more (x)")
        conn.execute(f"PRAGMA user_version = {VERSION + 7}")
    before = snapshot(folder)
    with pytest.raises(JournalTooNew, match="newer version"):
        JournalReader(folder)
    look(folder, tmp_path)
    assert snapshot(folder) == before


def test_a_folder_that_nobody_may_write_into_can_be_read(killed):
    root = os.geteuid() == 0
    # What pytest makes is closed to others, and root may write everywhere: it becomes somebody else for the
    # look.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = shutil.copytree(killed, Path(place) / "copy")
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        before = snapshot(folder)
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                (folder / "new").touch()
            with closing(JournalReader(folder)) as reader:
                assert reader.stats().seq == BATCHES + 1
        finally:
            if root:
                os.seteuid(0)
        assert snapshot(folder) == before
        folder.chmod(0o755)


def test_one_that_may_not_be_read_is_no_damage(killed):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = shutil.copytree(killed, Path(place) / "copy")
        folder.chmod(0o755)
        (folder / "journal.db").chmod(0o000)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(JournalError, match=r"may not open.*sudo"):
                JournalReader(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_gateway_that_runs_is_not_looked_at_behind_its_back(tmp_path):
    code = f"""
import sys, time; sys.path[:0] = {[str(Path(__file__).parent)]!r}
from pathlib import Path
from journal_data import HandClock
from gateway.journal import Journal
j = Journal.open(Path({str(tmp_path)!r}), gateway="g", clock=HandClock())
print("open", flush=True); time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "open\n"
            with pytest.raises(JournalBusy, match=str(process.pid)):
                JournalReader(tmp_path)
        finally:
            process.send_signal(signal.SIGKILL)


async def test_one_that_starts_during_a_look_is_not_kept_out_and_the_look_is_doubted(clean, tmp_path):
    folder = shutil.copytree(clean, tmp_path / "copy")
    reader = JournalReader(folder)
    journal = Journal.open(folder, gateway="g-1", clock=HandClock(), uplinks=["city"])
    await journal.commit(small(1))
    with pytest.raises(JournalBusy, match="meanwhile"):
        reader.must_rest()
    reader.close()
    await journal.close()
    with closing(JournalReader(folder)) as again:
        assert again.stats().seq == BATCHES + 2
