"""One flipped bit where SQLite notices nothing: found, moved aside, or harmless. Never a stop, and never a
silent one.
"""

import json
import random
import shutil
import sqlite3

import pytest
from journal_data import Building, small, until

from gateway.errors import JournalDamaged
from gateway.journal import Journal
from gateway.journal.file import missing
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.recovered import read_marks, write_marks
from gateway.journal.file.rows import COLUMNS
from gateway.journal.file.schema import VERSION
from gateway.model import Ranges

OLD = "00112233445566ff"
ROWS = 160
"""More than the hundred that are read at the start."""


async def fill(opened, clock, count=ROWS):
    journal = opened()
    building = Building(1)
    for number in range(1, count + 1):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now), carry={"who": f"sayaç {number}"})
    epoch = journal.epoch
    await journal.close()
    return epoch


def spoil(directory, sql, *parameters):
    with sqlite3.connect(directory / "journal.db") as conn:
        assert conn.execute(sql, parameters).rowcount == 1
    conn.close()


def flip(text, at, bit):
    data = bytearray(text)
    data[at] ^= 1 << bit
    return bytes(data)


def carry_of(directory, seq):
    with sqlite3.connect(directory / "journal.db") as conn:
        [text] = conn.execute("SELECT carry FROM batch WHERE seq = ?", (seq,)).fetchone()
    conn.close()
    return text.encode()


@pytest.mark.parametrize("seq", [ROWS, ROWS - 50, 20])
@pytest.mark.parametrize("bit", [7, 3])
async def test_a_bit_of_a_carry_is_damage_wherever_the_row_is(seq, bit, opened, clock, tmp_path):
    epoch = await fill(opened, clock)
    carry = carry_of(tmp_path, seq)
    spoil(
        tmp_path,
        "UPDATE batch SET carry = CAST(? AS TEXT) WHERE seq = ?",
        flip(carry, len(carry) // 2, bit),
        seq,
    )
    journal = opened()
    [sealed] = await journal.commit(small(uptime=clock.now))
    await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
    stats = journal.stats()
    assert (stats.state, stats.waiting, stats.damaged[0].rows) == (
        "ok",
        0,
        ROWS - 1 + (sealed.epoch == epoch),
    )
    assert f"batch {seq} does not fit its checksum" in stats.damaged[0].reason
    back = {s.seq for s in await journal.salvaged("city", 2 * ROWS)} - {sealed.seq}
    assert back == set(range(1, ROWS + 1)) - {seq}
    assert await journal.explain(epoch, seq, seq) == [(seq, seq, "damaged")]


async def test_a_question_that_meets_such_a_row_is_answered_without_it(opened, clock, tmp_path):
    await fill(opened, clock)
    journal = opened()
    await until(lambda: journal.stats().walked == 1.0)
    await journal._ask(
        lambda file: file.store.conn.execute(
            "UPDATE batch SET carry = CAST(x'7bff7d' AS TEXT) WHERE seq = 20"
        )
    )
    assert await journal.unsettled("city") == []
    assert journal.stats().damaged
    await until(lambda: journal.stats().damaged[0].done)
    assert {s.seq for s in await journal.salvaged("city", 2 * ROWS)} >= set(range(1, ROWS + 1)) - {20}


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("bit", [7, 0])
async def test_a_bit_of_a_reason_is_damage(at, bit, opened, clock, tmp_path):
    epoch = await fill(opened, clock, 12)
    spoil(tmp_path, "DELETE FROM batch WHERE seq = 5")
    spoil(
        tmp_path,
        "INSERT INTO gone VALUES (?, 5, 5, 1, CAST(? AS TEXT), 0)",
        bytes.fromhex(epoch),
        flip(b"thinned", at, bit),
    )
    with pytest.raises(JournalDamaged, match="nonsense"):
        JournalFile(tmp_path / "journal.db", "", ())
    journal = opened()
    [sealed] = await journal.commit(small(uptime=clock.now))
    await until(lambda: journal.stats().damaged[0].done)
    assert {s.seq for s in await journal.salvaged("city")} == set(range(1, 13)) - {5}
    assert await journal.explain(epoch, 5, 5) == [(5, 5, "damaged")]
    assert sealed.epoch != epoch


async def test_a_reason_that_spoils_while_the_journal_runs_costs_no_commit(opened, clock, tmp_path):
    await fill(opened, clock, 12)
    journal = opened()
    row = "INSERT INTO gone VALUES (x'00112233445566ff', 5, 5, 1, 'shinned', 0)"
    await journal._ask(lambda file: file.store.conn.execute(row))
    clock.now += 1000
    [sealed] = await journal.commit(small(uptime=clock.now, keep=True))
    assert sealed.seq == 13
    assert "nonsense" in journal.stats().damaged[0].reason
    assert (journal.stats().state, journal.stats().dropped) == ("ok", 0)


async def with_marks(opened, clock, tmp_path, text):
    """A journal with one row saved from an older file, and what the column `ranges` is to say of it."""
    epoch = await fill(opened, clock, 3)
    spoil(tmp_path, f"INSERT INTO salvage (id, {COLUMNS}) SELECT NULL, {COLUMNS} FROM batch WHERE seq = 2")
    spoil(tmp_path, "DELETE FROM batch WHERE seq = 2")
    spoil(
        tmp_path,
        "INSERT INTO salvage_settled VALUES ('city', ?, CAST(? AS TEXT))",
        bytes.fromhex(epoch),
        text,
    )
    return epoch


@pytest.mark.parametrize(
    "text",
    [
        b"[[1,2],[5",
        b"[[5,3]]",
        b"7",
        b"",
        b"[[1,\xb2]]",
        b"[[1,1e999]]",
        b'{"1":2}',
        b"[[1]]",
        b"[[1,2]] 00000000",
        b"[[1,2]] x",
    ],
)
async def test_marks_that_cannot_be_read_cost_a_resend(text, opened, clock, tmp_path):
    await with_marks(opened, clock, tmp_path, text)
    journal = opened()
    assert (journal.stats().state, journal.stats().damaged) == ("ok", ())
    assert [s.seq for s in await journal.salvaged("city")] == [2]
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert sealed.seq == 4


async def test_marks_of_before_and_of_now_are_believed(opened, clock, tmp_path):
    epoch = await with_marks(opened, clock, tmp_path, b"[[1,2]]")
    journal = opened()
    assert await journal.salvaged("city") == []
    await journal.settle("city", epoch, Ranges([(2, 2)]))
    await journal.commit(small(uptime=clock.now))
    await journal.close()
    journal = opened()
    assert await journal.salvaged("city") == []


def test_no_flipped_bit_settles_what_was_not_delivered():
    epoch, ranges = bytes.fromhex(OLD), Ranges([(1, 20), (24, 25), (300, 4711)])
    text = write_marks("city", epoch, ranges).encode()
    assert list(read_marks("city", epoch, text.decode())) == list(ranges)
    for at in range(len(text)):
        for bit in range(8):
            found = read_marks("city", epoch, flip(text, at, bit).decode(errors="replace"))
            assert list(found) in ([], list(ranges))
    assert not read_marks("lab", epoch, text.decode())
    assert json.loads(text.split()[0]) == [[1, 20], [24, 25], [300, 4711]]


@pytest.mark.parametrize(
    "change",
    ["epoch = x'00112233445566ff' WHERE first = 1", "epoch = x'00112233445566ff' WHERE first = 13"]
    + [
        f"first = {first} WHERE first = {was}"
        for was, others in ((1, (3, 1 << 40)), (13, (5, 15, 1 << 40)))
        for first in others
    ],
)
async def test_a_bit_of_the_list_of_epochs_is_damage(change, opened, clock, tmp_path):
    old = await fill(opened, clock, 12)
    clock.boot = "b1" * 16
    new = await fill(opened, clock, 6)
    spoil(tmp_path, f"UPDATE epoch SET {change}")
    journal = opened()
    assert "epochs are not those of its rows" in journal.stats().damaged[0].reason
    await until(lambda: journal.stats().damaged[0].done)
    assert [len(await journal.find(epoch, 1, 99)) for epoch in (old, new)] == [12, 6]
    await journal.commit(small(uptime=clock.now))


async def test_a_bit_of_the_version_is_damage_and_no_newer_file(opened, clock, tmp_path):
    epoch = await fill(opened, clock, 12)
    with sqlite3.connect(tmp_path / "journal.db") as conn:
        conn.execute("PRAGMA user_version = 257")
    conn.close()
    journal = opened()
    assert "claims file version 257" in journal.stats().damaged[0].reason
    [sealed] = await journal.commit(small(uptime=clock.now))
    await until(lambda: journal.stats().damaged[0].done)
    assert len(await journal.find(epoch, 1, 12)) == 12
    assert sealed.seq == 13


@pytest.mark.parametrize("step", range(1, VERSION + 1))
@pytest.mark.parametrize("column", ["name", "migration_set"])
async def test_a_bit_of_the_list_of_steps_is_damage(column, step, opened, clock, tmp_path):
    epoch = await fill(opened, clock, 12)
    spoil(
        tmp_path,
        f"UPDATE _sqlite_migrations SET {column} = CAST(x'6a6fff726e616c' AS TEXT) WHERE id = ?",
        step,
    )
    if step < VERSION:
        # As if the version before had written the file: what its list does not name cannot be done a second
        # time.
        spoil(tmp_path, "DELETE FROM _sqlite_migrations WHERE id = ?", VERSION)
        with sqlite3.connect(tmp_path / "journal.db") as conn:
            conn.execute(f"PRAGMA user_version = {VERSION - 1}")
        conn.close()
    journal = opened()
    assert "list of steps" in journal.stats().damaged[0].reason
    await until(lambda: journal.stats().damaged[0].done)
    assert len(await journal.find(epoch, 1, 12)) == 12
    await journal.commit(small(uptime=clock.now))


async def test_every_bit_of_page_one_lets_the_journal_start_and_take(opened, clock, tmp_path):
    """The header, the schema's text, and its names: whatever is flipped, readings are taken at once."""
    await fill(opened, clock, 3)
    data = (tmp_path / "journal.db").read_bytes()
    for at in [*range(100), *range(100, 1024, 23)]:
        directory = tmp_path / f"{at}"
        directory.mkdir()
        (directory / "journal.db").write_bytes(flip(data, at, at % 8))
        journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
        try:
            [sealed] = await journal.commit(small(uptime=clock.now))
            assert (sealed.seq, journal.stats().state) == (4, "ok"), at
        finally:
            await journal.close()
        shutil.rmtree(directory)


async def test_what_nobody_foresaw_is_told_and_ends_nothing(opened, clock, monkeypatch, caplog):
    journal = opened()
    await journal.commit(small(uptime=clock.now))
    writer = journal._writer

    def fail(*_, **__):
        raise IndexError("nobody thought of this")

    monkeypatch.setattr(writer, "_attach", fail)
    with pytest.raises(Exception, match="nobody thought of this"):
        await journal.commit(small(uptime=clock.now))
    assert (journal.stats().state, journal.stats().waiting) == ("failing", 1)
    monkeypatch.setattr(writer, "idle", fail)
    before = journal.heartbeat
    await until(lambda: journal.heartbeat > before + 1.5)
    assert "failed in an unforeseen way" in caplog.text
    monkeypatch.undo()
    late = []
    journal.on_late = late.extend
    await until(lambda: late)
    assert (late[0].seq, journal.stats().state, journal.stats().dropped) == (2, "ok", 0)


async def test_a_file_that_cannot_be_understood_at_the_start_is_no_reason_not_to_start(
    opened, clock, tmp_path, monkeypatch
):
    await fill(opened, clock, 3)

    def fail(_):
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(missing, "check", fail)
    journal = opened()
    assert journal.stats().state == "failing"
    monkeypatch.undo()
    await until(lambda: journal.stats().state == "ok")
    [sealed] = await journal.commit(small(uptime=clock.now))
    assert sealed.seq == 4


async def lost_of(journal, epoch, count):
    """What of so many batches is not offered, after everything was looked at; each must be declared
    damaged.
    """
    # The walk begins with the newest row; when it meets damage the salvage of that file begins.
    await until(lambda: journal.stats().walked == 1.0 and all(case.done for case in journal.stats().damaged))
    offered = {
        (s.epoch, s.seq)
        for s in [*await journal.unsettled("city", limit=999), *await journal.salvaged("city", limit=999)]
    }
    lost = [seq for seq in range(1, count + 1) if (epoch, seq) not in offered]
    assert [found for seq in lost for found in await journal.explain(epoch, seq, seq)] == [
        (seq, seq, "damaged") for seq in lost
    ]
    return lost


async def test_a_bit_anywhere_costs_one_batch_at_the_most_and_says_so(opened, clock, tmp_path):
    """Flips in a whole file, chosen by a fixed seed: everything unsettled is offered, or declared damaged."""
    epoch = await fill(opened, clock, 120)
    data = (tmp_path / "journal.db").read_bytes()
    rng = random.Random(5)
    for number in range(15):
        at, bit = rng.randrange(len(data)), rng.choice([7, rng.randrange(8)])
        directory = tmp_path / f"{number}"
        directory.mkdir()
        (directory / "journal.db").write_bytes(flip(data, at, bit))
        journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
        try:
            await journal.commit(small(uptime=clock.now))
            assert len(await lost_of(journal, epoch, 120)) <= 1, (at, bit)
            assert journal.stats().state == "ok", (at, bit)
        finally:
            await journal.close()
        shutil.rmtree(directory)
