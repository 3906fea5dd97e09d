"""Every file version that was ever shipped opens with today's program and keeps everything; a migration
that fails changes nothing.
"""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from journal_data import Building, small, until

from gateway.errors import JournalFull
from gateway.journal.file import schema
from gateway.journal.file.schema import VERSION, migrations
from gateway.journal.file.store import JournalStore
from gateway.journal.recovery.examine import examine
from gateway.journal.recovery.scan import PageScan
from gateway.model import Ranges
from gateway.wire import decode, decompress, digest

MUSEUM = Path(__file__).parent / "museum"
FILES = sorted(path.stem for path in MUSEUM.glob("*.sql"))
"""By version; the first ones were begun with pages of 4096 bytes."""


def restore(name, directory):
    with sqlite3.connect(directory / "journal.db") as conn:
        conn.executescript((MUSEUM / f"{name}.sql").read_text())
    conn.close()
    return json.loads((MUSEUM / f"{name.split('-')[0]}.json").read_text())


def test_every_version_stands_in_the_museum():
    assert {f"v{number}" for number in range(1, VERSION + 1)} == {name.split("-")[0] for name in FILES}
    assert len(migrations._migrations) == VERSION


@pytest.mark.parametrize("name", FILES)
async def test_an_old_file_upgrades_and_keeps_everything(name, tmp_path, opened, clock):
    expected = restore(name, tmp_path)
    journal = opened(gateway="izm-konak-017", uplinks=["city", "lab"])
    assert [list(epoch) for epoch in journal.epochs() if epoch[0] != "00112233445566ff"] == expected["epochs"]
    assert [s.seq for s in await journal.unsettled("city")] == expected["city"]
    assert journal.backlog("lab").batches == expected["lab"]
    assert journal.carried == expected["carried"]
    assert list(journal.synced) == expected["synced"]
    assert {
        str(s.seq): digest(decompress(s.body)) for s in await journal.unsettled("lab", limit=99)
    } == expected["digests"]
    assert [[s.epoch, s.seq] for s in await journal.salvaged("city")] == expected["salvaged"]
    for epoch, first, last, reason in expected["gone"]:
        assert await journal.explain(epoch, first, last) == [(first, last, reason)]
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert sealed.seq == 16
    await journal.settle("city", expected["epochs"][0][0], Ranges([(1, 99)]))
    assert journal.stats().damaged == ()
    await journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (VERSION,)
    conn.close()


async def test_an_old_file_does_not_know_who_told_so_all_is_said_once_more(tmp_path, opened, clock):
    restore("v1", tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        conn.execute("UPDATE gone SET told = 1")
        [(name,)] = conn.execute("SELECT epoch FROM epoch WHERE first = 1")
        conn.execute("DELETE FROM batch WHERE seq < 4")
        conn.execute(
            "INSERT INTO gone VALUES (?, 1, 2, 4, 'delivered', 1), (?, 3, 3, 2, 'thinned', 1)", (name, name)
        )
    conn.close()
    journal = opened(gateway="izm-konak-017", uplinks=["city", "lab"])
    [sealed] = await journal.commit(small(uptime=clock.now, keep=True))
    said = [
        (e.fields["epoch"], e.fields["from"], e.fields["to"])
        for e in decode(sealed.body).events
        if e.kind == "thinned"
    ]
    assert sorted(said) == sorted([("00112233445566ff", 10, 20), (name.hex(), 3, 3)])
    assert await journal.explain(name.hex(), 1, 3) == [(1, 2, "delivered"), (3, 3, "thinned")]
    [after] = await journal.commit(small(uptime=clock.now, keep=True))
    assert decode(after.body).events == []


def found_in(directory):
    with PageScan(directory / "journal.db") as scan:
        return {(one.row.sealed.epoch, one.row.seq) for some in scan.found() for one in some}


@pytest.mark.parametrize(("name", "size"), [("v1", 1024), ("v1-4096", 4096), ("v2", 1024)])
async def test_a_file_keeps_its_pages_and_salvage_reads_them_whatever_their_size(
    name, size, tmp_path, opened, clock
):
    expected = restore(name, tmp_path)
    rows = {(epoch, seq) for epoch, first, last in expected["epochs"] for seq in range(first, last + 1)}
    rows |= {(epoch, seq) for epoch, seq in expected["salvaged"]}
    path = tmp_path / "journal.db"
    assert found_in(tmp_path) == rows
    store = JournalStore(path)
    assert store.page == size
    whole = store.size
    store.close()
    assert path.stat().st_size == whole
    journal = opened()
    for _ in range(40):
        clock.now += 10_000
        [sealed] = await journal.commit(Building(10).draft(clock.now))
        rows.add((sealed.epoch, sealed.seq))
    assert path.with_name("journal.db-wal").stat().st_size % (size + 24) == 32
    (tmp_path / "copy").mkdir()
    for file in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / file, tmp_path / "copy")
    assert found_in(tmp_path / "copy") == rows
    examine(tmp_path / "copy" / "journal.db")
    await journal.close()
    # Without a header the size is seen from the pages themselves; a sound file is all there, to the last row.
    with path.open("r+b") as file:
        file.write(bytes(100))
    assert found_in(tmp_path) == rows
    journal = opened()
    await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    assert journal.stats().damaged[0].rows == len(rows)


async def test_a_migration_that_fails_leaves_the_file_as_it_was_and_says_what_to_do(
    tmp_path, opened, clock, monkeypatch
):
    restore(f"v{VERSION}", tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        before = list(conn.iterdump())
    conn.close()

    def half_way(db):
        db.conn.execute("ALTER TABLE batch ADD COLUMN more INTEGER")
        db.conn.execute("DELETE FROM batch WHERE seq < 5")
        raise ZeroDivisionError("a bug of the next version")

    broken = schema.Migrations("journal")
    broken._migrations = list(migrations._migrations)
    broken(name=f"v{VERSION + 1}_fine")(lambda db: db.conn.execute("CREATE TABLE fine (x)"))
    broken(name=f"v{VERSION + 2}_half_way")(half_way)
    monkeypatch.setattr(schema, "migrations", broken)
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    journal = opened()
    stats = journal.stats()
    assert stats.state == "failing"
    assert "could not be brought to file version" in stats.error
    assert "install the version before" in stats.error
    with pytest.raises(JournalFull, match="a bug of the next version"):
        await journal.commit(small(uptime=clock.now))
    await journal.close()
    assert not (tmp_path / "damaged").exists()
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        assert list(conn.iterdump()) == before
    conn.close()
