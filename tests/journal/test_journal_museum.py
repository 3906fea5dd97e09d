"""Every file version that was ever shipped opens with today's program and keeps everything; a migration that fails changes nothing."""

import json
import sqlite3
from pathlib import Path

import pytest
from journal_data import small

from gateway.errors import JournalFull
from gateway.journal import schema
from gateway.journal.schema import VERSION, migrations
from gateway.model import Ranges
from gateway.wire import decompress, digest

MUSEUM = Path(__file__).parent / "museum"
VERSIONS = sorted(path.stem for path in MUSEUM.glob("*.sql"))


def restore(name, directory):
    with sqlite3.connect(directory / "journal.db") as conn:
        conn.executescript((MUSEUM / f"{name}.sql").read_text())
    conn.close()
    return json.loads((MUSEUM / f"{name}.json").read_text())


def test_every_version_stands_in_the_museum():
    assert [f"v{number}" for number in range(1, VERSION + 1)] == VERSIONS
    assert len(migrations._migrations) == VERSION


@pytest.mark.parametrize("name", VERSIONS)
async def test_an_old_file_upgrades_and_keeps_everything(name, tmp_path, opened, clock):
    expected = restore(name, tmp_path)
    journal = opened(gateway="izm-konak-017", uplinks=["city", "lab"])
    assert [list(epoch) for epoch in journal.epochs() if epoch[0] != "00112233445566ff"] == expected["epochs"]
    assert [s.seq for s in await journal.unsettled("city")] == expected["city"]
    assert journal.backlog("lab").batches == expected["lab"]
    assert journal.carried == expected["carried"]
    assert list(journal.synced) == expected["synced"]
    assert {str(s.seq): digest(decompress(s.body)) for s in await journal.unsettled("lab", limit=99)} == expected["digests"]
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


async def test_a_migration_that_fails_leaves_the_file_as_it_was_and_says_what_to_do(tmp_path, opened, clock, monkeypatch):
    restore("v1", tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        before = list(conn.iterdump())
    conn.close()

    def half_way(db):
        db.conn.execute("ALTER TABLE batch ADD COLUMN more INTEGER")
        db.conn.execute("DELETE FROM batch WHERE seq < 5")
        raise ZeroDivisionError("a bug of the next version")

    broken = schema.Migrations("journal")
    broken._migrations = list(migrations._migrations)
    broken(name="v2_fine")(lambda db: db.conn.execute("CREATE TABLE fine (x)"))
    broken(name="v3_half_way")(half_way)
    monkeypatch.setattr(schema, "migrations", broken)
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
