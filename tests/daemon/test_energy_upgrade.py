"""A gateway of version 0.1 is upgraded: its journal, which holds no interval, becomes its history."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path

from test_energy_reload import MINUTE, REGISTER, START, running

from gateway.daemon.energy import worker
from gateway.history import HistoryReader
from gateway.journal.file.rows import BatchRow, CommitStamp, seal
from gateway.model import Draft, Reading

MUSEUM = Path(__file__).parents[1] / "journal" / "museum"
DAYS = 4
FIRST = 400_001
"""The journal's oldest batch: what was older was delivered and made room."""


def shipped(directory, minutes) -> None:
    """The file as version 0.1 wrote it, with a batch a minute."""
    with contextlib.closing(sqlite3.connect(directory / "journal.db")) as db:
        db.executescript((MUSEUM / "v1.sql").read_text())
        for table in ("batch", "epoch", "gone", "salvage", "salvage_settled"):
            db.execute(f"DELETE FROM {table}")
        stamp = CommitStamp("g", "6c34518e21942f8a", "0a" * 16, START - minutes * MINUTE, "synced")
        db.execute("INSERT INTO epoch VALUES (1, ?, 'new_file')", (bytes.fromhex(stamp.epoch),))
        rows: list[BatchRow] = []
        for minute in range(minutes):
            wh = 500_000 + 40 * (minute - minutes)
            readings = [
                Reading(meter, minute * MINUTE, {REGISTER[1]: wh / 1000, "frequency": 50.0})
                for meter in ("main", "hvac")
            ]
            rows += seal(Draft(readings), stamp, minute * MINUTE, FIRST + minute, 2 * minute + 2)
        marks = ", ".join("?" * 13)
        db.executemany(f"INSERT INTO batch VALUES ({marks})", [row.record for row in rows])
        db.execute("UPDATE batch SET carry = '{}'")
        db.executemany("UPDATE batch SET crc = ? WHERE seq = ?", [(_crc(row), row.seq) for row in rows])
        db.commit()


def _crc(row: BatchRow) -> int:
    return BatchRow(row.sealed, row.total, "{}").crc


async def test_a_journal_of_0_1_becomes_the_history_and_says_how_far_it_is(
    tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(worker, "FIRST", 0.0)
    monkeypatch.setattr(worker, "SAY", 0.0)
    monkeypatch.setattr(worker, "FROM_JOURNAL", 600)
    shipped(tmp_path, DAYS * 24 * 60)
    caplog.set_level(logging.INFO, "gateway")
    async with running(tmp_path) as site:
        assert site.journal.stats().damaged == ()
        await site.poll(31)
        await site.drained()
        progress = site.energy.progress
    told = [record.getMessage() for record in caplog.records]
    assert any("batches of the journal become intervals, in the background" in each for each in told)
    shares = [int(each.split()[1]) for each in told if "batches are intervals" in each]
    assert shares[:3] == [600, 1200, 1800]
    assert any("the journal is read" in each for each in told)
    assert progress.live
    with contextlib.closing(HistoryReader(tmp_path)) as history:
        span = history.span()
        for meter in ("main", "hvac"):
            held = list(history.intervals(meter, REGISTER[1], *span))
            assert {each.value for each in held} == {40 * 15}
            assert {each.quality for each in held} == {"m"}
            # Over the upgrade, too, no quarter hour is missing.
            assert [each.start for each in held] == list(range(held[0].start, held[-1].start + 1, 900_000))
            assert held[0].start == START - DAYS * 96 * 900_000
            assert held[-1].start == START + 900_000
    # What was never published goes out now, each once.
    assert {key[3] for key in site.published} == {1}
    assert len(site.published) == 2 * len(held)


async def test_what_the_journal_does_not_hold_any_more_is_no_work_ahead(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(worker, "FIRST", 0.0)
    shipped(tmp_path, 2000)
    seen = []
    async with running(tmp_path) as site, asyncio.timeout(200):
        while not site.energy.progress.live:
            if site.energy._first:
                seen.append(site.energy.progress)
            await asyncio.sleep(0)
    assert max(each.batches for each in seen) <= 2100
    assert all(each.taken <= each.batches for each in seen if each.batches)
