"""kill -9 while the journal writes, checkpoints, thins, and salvages: what was taken is there, no number
is used twice.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from journal_data import Building, HandClock, small, until
from journal_salvage import MOMENTS
from journal_tools import HERE, WRITER, Run, contents, told

from gateway import wire
from gateway.journal import Journal
from gateway.journal.file.schema import PAGE
from gateway.model import Draft, Event, Ranges


def killed(directory, after, rng, **options):
    """A writer that is killed some time after its first commits; what it had said."""
    process = subprocess.Popen(
        [*WRITER, str(directory), json.dumps(options)], stdout=subprocess.PIPE, cwd=HERE
    )
    said = b""
    lines = 0
    while lines < after:
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        assert chunk, "the writer ended by itself"
        said += chunk
        lines = said.count(b"\n")
    time.sleep(rng.random() * 0.02)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read()
    process.wait(30)
    return Run(said[: said.rindex(b"\n") + 1].decode())


@pytest.mark.parametrize(
    "options", [{"meters": 10}, {"meters": 2, "settle": 20, "budget": 200_000, "keep": 9}]
)
async def test_what_was_taken_survives_kill_9_however_often(tmp_path, options):
    rng = random.Random(5)
    taken, gone = {}, {}
    for _ in range(6):
        run = killed(tmp_path, rng.randrange(5, 300), rng, count=100_000, **options)
        assert not run.twice
        assert not set(run.taken) & set(taken)
        taken |= run.taken
        # Each look is a restart on another boot: a new epoch follows.
        held, gone, stats = await contents(tmp_path)
        assert stats.damaged == ()
        missing = {key: body for key, body in taken.items() if held.get(key) != body}
        assert set(missing) <= set(gone)
        assert set(gone.values()) <= {"delivered", "thinned"}
        # At most the transaction that was under way is there without having been said.
        extra = set(held) | set(gone)
        assert len(extra - set(taken)) <= 6


@pytest.mark.parametrize(
    "options",
    [
        {"meters": 6, "budget": 150_000, "keep": 9},
        {"meters": 6, "budget": 150_000, "keep": 1},
        {"meters": 1, "budget": 60_000, "keep": 2},
    ],
)
@pytest.mark.parametrize("boots", [1, 3])
async def test_what_was_thinned_is_told_however_often_kill_9_comes(tmp_path, options, boots):
    """Nobody takes anything; the budget is met all the time; each kill comes somewhere within the lots."""
    rng = random.Random(11)
    taken = {}
    for number in range(8):
        run = killed(tmp_path, rng.randrange(60, 400), rng, count=100_000, **options)
        assert not set(run.taken) & set(taken)
        taken |= run.taken
        if number % boots == 0:
            # Another boot: the ranges of this epoch are told by batches of the next.
            clock = HandClock(boot=f"{number:032x}")
            journal = Journal.open(
                tmp_path, gateway="g-1", clock=clock, uplinks=["city"], budget=options["budget"]
            )
            await journal.commit(small(uptime=clock.now))
            await journal.close()
    journal = Journal.open(
        tmp_path, gateway="g-1", clock=HandClock(boot="dd" * 16), uplinks=["city"], budget=50_000_000
    )
    try:
        assert journal.stats().damaged == ()
        untold = "SELECT first FROM gone WHERE told = 0 UNION ALL SELECT first FROM epoch WHERE told = 0"
        while journal._thread.call(journal._writer.current.file.store.query, untold).result():
            await journal.commit(Draft(events=[Event("door", 1000)]))
        rows = await journal.unsettled("city", limit=100_000, max_bytes=1 << 30)
        held = {(row.epoch, row.seq): row.body.hex() for row in rows}
        assert all(held[key] == body for key, body in taken.items() if key in held)
        assert set(taken) <= set(held) | told(rows)
        assert not told(rows) & set(held)
        assert journal.stats().thinned > 100
        # All of it delivered: nothing waits.
        for row in rows:
            await journal.settle("city", row.epoch, Ranges([(row.seq, row.seq)]))
        assert journal.backlog("city").batches == 0
    finally:
        await journal.close()


async def test_kill_9_during_salvage_starts_it_again(tmp_path):
    rng = random.Random(6)
    run = killed(tmp_path, 800, rng, count=100_000, meters=4)
    with (tmp_path / "journal.db").open("r+b") as file:
        file.write(bytes(PAGE))
    (tmp_path / "journal.db-wal").unlink()  # the page must come from the file
    for after in (1, 3, 9):
        killed(tmp_path, after, rng, count=100_000)
    clock = HandClock(boot="cc" * 16)
    journal = Journal.open(tmp_path, gateway="g-1", clock=clock, uplinks=["city"])
    try:
        await until(lambda: all(case.done for case in journal.stats().damaged))
        [case] = journal.stats().damaged
        epoch = next(iter(run.taken))[0]
        back = {s.seq: s.body.hex() for s in await journal.find(epoch, 1, 100_000, 100_000)}
        # Without its WAL the file has what was checkpointed: that comes back whole and once.
        assert len(back) > 400
        assert all(run.taken.get((epoch, seq), body) == body for seq, body in back.items())
        assert len(await journal.salvaged("city", 100_000)) == len(back)
        assert case.done
    finally:
        await journal.close()


@pytest.fixture
async def with_a_hole(tmp_path):
    """A journal without its first page and without some in the middle."""
    directory, clock, building = tmp_path / "hole", HandClock(), Building(4)
    journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
    for _ in range(200):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
    await journal.close()
    pages = (directory / "journal.db").stat().st_size // PAGE
    with (directory / "journal.db").open("r+b") as file:
        file.write(bytes(PAGE))
        file.seek(pages // 2 * PAGE)
        file.write(bytes(40 * PAGE))
    return directory


async def told_after_salvage(directory):
    """What stats, and events of what is committed, say of the damage, before and after one more restart."""
    clock = HandClock(boot="ee" * 16)
    clock.now = 50_000_000
    journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
    await until(lambda: all(case.done for case in journal.stats().damaged))
    await journal.commit(small(uptime=clock.now))
    assert journal.newest[1] > 200, "numbers go on, whatever was left of the file and its report"
    events = [
        event
        for epoch, first, last in journal.epochs()
        for row in await journal.find(epoch, first, last, 1000)
        for event in wire.decode(row.body).events
        if event.kind in {"salvaged", "damaged"}
    ]
    await journal.close()
    journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
    said = journal.stats()
    assert [case.done for case in said.damaged] == [True], "the salvage does not begin again"
    await journal.close()
    salvaged = [event.fields["rows"] for event in events if event.kind == "salvaged"]
    lost = sorted({(e.fields["from"], e.fields["to"]) for e in events if e.kind == "damaged"})
    return (said.lost, said.lost_since, said.lost_until), said.lost_at, salvaged, lost


@pytest.mark.parametrize("moment", MOMENTS)
async def test_what_a_salvage_found_lost_is_said_however_it_ended(with_a_hole, tmp_path, moment):
    """By page and platform alike, with its figures: the first commit afterwards may never come."""
    calm, killed_in = tmp_path / "calm", tmp_path / "killed"
    for directory in (calm, killed_in):
        shutil.copytree(with_a_hole, directory)
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "journal_salvage.py"), str(killed_in), moment, cwd=HERE
    )
    assert await asyncio.wait_for(child.wait(), 250) == -signal.SIGKILL
    figures, at, salvaged, lost = await told_after_salvage(killed_in)
    expected = await told_after_salvage(calm)
    assert figures == expected[0]
    assert figures[0] > 10
    assert (at is None) == (expected[1] is None)
    assert lost == expected[3]
    # A batch whose telling was not noted down any more is told of again, never otherwise.
    assert salvaged == expected[2] * (2 if moment == "committed" else 1)
