"""What the writer does when it meets damage, or the name of its file is gone."""

import pytest
from journal_data import small
from journal_rest import fill, settled_job

from gateway.errors import JournalDamaged, JournalError, JournalFull
from gateway.journal.lock import is_locked
from tests.refusing_store import ALWAYS, Refusal, error_of


async def test_damage_that_a_commit_meets_costs_it_nothing(opened, clock, monkeypatch, tmp_path):
    journal = opened()
    await fill(journal, clock, 3)
    refusal = Refusal(monkeypatch)
    refusal.error, refusal.left = JournalDamaged("spoilt"), 1
    [row] = await journal.commit(small())
    assert row.seq == 4
    assert [case.reason for case in journal.stats().damaged] == ["spoilt"]
    assert (tmp_path / "damaged" / "0001" / "journal.db").exists()
    assert journal.stats().state == "ok"


async def test_damage_that_cannot_be_moved_aside_is_not_tried_again_at_once(opened, clock, monkeypatch):
    journal = opened()
    await fill(journal, clock, 3)
    refusal, tried = Refusal(monkeypatch), []
    refusal.error, refusal.left = JournalDamaged("spoilt"), ALWAYS

    def replace(reason):
        tried.append(reason)
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(journal._writer.current, "replace", replace)
    with pytest.raises(JournalFull, match="Read-only file system"):
        await journal.commit(small())
    # As many attempts as there were jobs: the commit's own, and one before it that had not ended yet.
    await settled_job(journal)
    assert len(tried) <= 2
    assert journal.stats().waiting == 1


async def test_a_stop_looks_once_more_whether_the_file_can_be_found_again(opened, clock, tmp_path):
    journal = opened()
    rows = await fill(journal, clock, 3)
    (tmp_path / "journal.db").rename(tmp_path / "moved.db")
    (tmp_path / "journal.db-wal").unlink()
    await journal.close()
    journal = opened()
    assert await journal.find(rows[0].epoch, 1, 3, 9) == rows


async def test_the_lock_of_a_folder_that_was_left_is_let_go(opened, clock, tmp_path):
    journal = opened(tmp_path / "state")
    await fill(journal, clock, 3)
    (tmp_path / "state").rename(tmp_path / "before")
    await settled_job(journal, journal._writer.current.check_names)
    assert is_locked(tmp_path / "state")
    assert not is_locked(tmp_path / "before")


async def test_a_log_that_is_another_files_is_no_part_of_the_one_that_lost_its_name(opened, clock, tmp_path):
    journal = opened()
    await fill(journal, clock, 3)
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).unlink()
    (tmp_path / "journal.db-wal").write_bytes(b"somebody else's")
    await settled_job(journal, journal._writer.current.check_names)
    assert not (tmp_path / "damaged" / "0001" / "journal.db-wal").exists()
    assert [case.name for case in journal.stats().damaged] == ["0001", "0002"]


async def test_a_question_that_meets_damage_is_asked_once_more_of_the_new_file(opened, clock):
    journal = opened()
    await fill(journal, clock, 3)
    asked = []

    def question(file):
        asked.append(file)
        if len(asked) == 1:
            raise JournalDamaged("spoilt")
        return 7

    assert await journal._ask(question) == 7
    assert len(set(asked)) == 2
    asked.clear()

    def always(file):
        asked.append(file)
        raise JournalDamaged("spoilt again")

    with pytest.raises(JournalError, match="is not open"):
        await journal._ask(always)
    assert len(asked) == 2
    with pytest.raises(JournalError, match="cannot be read: words of SQLite"):
        await journal._ask(lambda _: (_ for _ in ()).throw(error_of("SQLITE_IOERR")))
