"""The disk refuses: full, failing, read-only, at each write and sync of the shipped journal. Nothing taken
is missing or double.
"""

import contextlib
import subprocess
import sys

import pytest
from journal_data import Building, until
from journal_tools import WRITER, contents, needs_root, needs_strace, write

from gateway.errors import JournalFull
from gateway.journal import Journal
from gateway.journal.file.resume import recall
from gateway.model import Ranges
from tests.reliability import note

TRACED = "openat,pwrite64,fdatasync,fsync,ftruncate"
CASES = [
    f"{call}:error={error}:when={when}"
    for call, errors, whens in (
        ("pwrite64", ("ENOSPC", "EIO", "EROFS"), ("20..24", "41..90+3", "90..110")),
        ("fdatasync", ("EIO", "ENOSPC"), ("8..9", "12..60+7", "30..60")),
    )
    for error in errors
    for when in whens
]


@needs_strace
@pytest.mark.parametrize("injected", CASES)
async def test_nothing_taken_is_missing_and_nothing_is_there_twice(injected, tmp_path):
    trace = tmp_path / "trace"
    prefix = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={TRACED}", "-e", f"inject={injected}"]
    (tmp_path / "j").mkdir()
    run = write(tmp_path / "j", prefix=prefix, count=60, wait=20)
    hits = trace.read_text().count("INJECTED")
    assert hits > 0, "nothing was injected: the test would prove nothing"
    assert run.end["dropped"] == 0
    held, _, stats = await contents(tmp_path / "j")
    lost, wrong = (
        len(run.taken.keys() - held.keys()),
        sum(held.get(key, body) != body for key, body in run.taken.items()),
    )
    note(
        "disk-errors", part=injected, runs=hits, taken=len(run.taken), lost=lost, twice=run.twice, wrong=wrong
    )
    assert not run.twice
    assert {key: held.get(key) for key in run.taken} == run.taken
    # Each draft exactly once: taken at once, or late, or still waiting at the end.
    assert len(run.taken) + run.end["waiting"] // 2 == 60
    assert len(held) == len(run.taken) or run.end["waiting"]
    assert stats.state == "ok"
    assert stats.damaged == ()


@pytest.fixture
def small_disk(tmp_path):
    """16 MB of ext4."""
    mount, image = tmp_path / "disk", tmp_path / "image"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-qF", str(image)], check=True)
    if subprocess.run(
        ["mount", "-o", "loop,noatime", str(image), str(mount)], check=False, capture_output=True
    ).returncode:
        pytest.skip("this kernel has no loop devices")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.root
@needs_root
async def test_on_a_full_disk_readings_wait_until_room_appears_or_delivered_rows_make_it(small_disk, clock):
    await full_disk(small_disk, clock)


def fill_up(filler):
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


async def until_refused(commit):
    for _ in range(1000):
        try:
            await commit()
        except JournalFull:
            return
    pytest.fail("a full disk refused nothing")


async def full_disk(mount, clock):
    journal = Journal.open(mount, gateway="g-1", clock=clock, uplinks=["city"], budget=64_000_000)
    building = Building(10)
    late = []
    journal.on_late = late.extend
    taken = {}

    async def commit():
        clock.now += 10_000
        for sealed in await journal.commit(building.draft(clock.now)):
            taken[sealed.epoch, sealed.seq] = sealed

    try:
        for _ in range(50):
            await commit()
        await until((mount / "journal.ballast").exists)
        filler = mount / "filler"
        fill_up(filler)
        refused = 0
        for _ in range(3000):
            try:
                await commit()
            except JournalFull:
                refused += 1
                if refused == 30:
                    break
        assert (mount / "journal.ballast").exists(), "the ballast is kept for the rescue"
        stats = journal.stats()
        assert (stats.state, stats.waiting, stats.not_taken) == ("full", 300, 300)
        assert stats.seq == len(taken) >= 50
        assert "is full → make room" in stats.error

        filler.unlink()
        await until(lambda: not journal.stats().waiting)
        await commit()
        taken |= {(s.epoch, s.seq): s for s in late}
        stats = journal.stats()
        assert (stats.state, stats.error, stats.not_taken, len(late)) == ("ok", "", 0, 30)
        assert sorted(seq for _, seq in taken) == list(range(1, stats.seq + 1))
        await until((mount / "journal.ballast").exists)
        # The same again, and while readings wait the receipts come: delivered rows make way, and nothing
        # waits any more.
        fill_up(filler)
        await until_refused(commit)
        await journal.settle("city", journal.epoch, Ranges([(1, journal.newest[1])]))
        await until(lambda: not journal.stats().waiting)
        taken |= {(s.epoch, s.seq): s for s in late}
        for _ in range(1200):
            await commit()
            await journal.settle("city", journal.epoch, Ranges([(1, journal.newest[1])]))
        assert journal.stats().state == "ok"
        filler.unlink()
    finally:
        await journal.close()
    held, gone, stats = await contents(mount)
    wrong = sum(taken[key].body.hex() != body for key, body in held.items() if key in taken)
    note(
        "disk-full",
        runs=2,
        taken=len(taken),
        lost=len(taken.keys() - held.keys() - gone.keys()),
        twice=len((held | gone).keys() - taken.keys()),
        wrong=wrong,
    )
    assert set(held) | set(gone) == set(taken)
    assert not set(held) & set(gone)
    assert set(gone.values()) == {"delivered"}
    assert all(taken[key].body.hex() == body for key, body in held.items())


async def test_a_limit_of_the_file_size_is_a_budget(tmp_path):
    limit = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    run = write(tmp_path, prefix=[sys.executable, "-c", limit], count=1500, meters=10, settle=20)
    held, gone, _stats = await contents(tmp_path)
    assert {key: body for key, body in run.taken.items() if key in held} == held
    assert run.end["state"] == "ok", run.end
    assert run.end["waiting"] == run.end["dropped"] == 0
    assert len(run.taken) == 1500
    assert set(held) | set(gone) == set(run.taken)
    assert set(gone.values()) == {"delivered"}


async def test_memory_for_waiting_readings_is_bounded_and_what_is_let_go_is_counted_and_told(
    tmp_path, clock, opened, monkeypatch
):
    journal = opened()
    journal._writer.pending._most = 40_000
    writer = journal._writer
    # The directory turns into something that cannot be written: the file is closed and its place taken.
    building = Building(10)
    await journal.commit(building.draft(clock.now))
    file = writer.current.file
    file.store.conn.execute("PRAGMA query_only = ON")
    monkeypatch.setattr(
        writer.current, "_open", lambda: (_ for _ in ()).throw(OSError(30, "Read-only file system"))
    )
    for _ in range(60):
        clock.now += 10_000
        with pytest.raises(JournalFull, match=r"Read-only|readonly"):
            await journal.commit(building.draft(clock.now))
    stats = journal.stats()
    assert stats.state == "failing"
    assert stats.waiting > 50
    assert stats.dropped > 0
    assert stats.not_taken == 600
    assert writer.pending.packed <= 40_000
    monkeypatch.undo()
    writer.pending._most = 40_000
    await until(lambda: not journal.stats().waiting)
    after = journal.stats()
    assert (after.state, after.dropped) == ("ok", stats.dropped)
    assert after.let_go == stats.dropped
    assert abs((after.let_go_at or 0) - clock.wall()) < 1_000_000
    recalled = recall(writer.current.file.store)
    assert (recalled.lost.let_go, recalled.lost.let_go_at) == (after.let_go, after.let_go_at), (
        "a restart forgets nothing"
    )
    assert after.taken == 10 + 600 - stats.dropped


def test_the_writer_can_be_run_by_hand(tmp_path):
    run = write(tmp_path, count=3)
    assert len(run.taken) == 3
    assert WRITER[0] == sys.executable


@pytest.mark.root
@needs_root
async def test_on_a_full_disk_old_batches_are_thinned_before_new_readings_are_let_go(small_disk, clock):
    journal = Journal.open(small_disk, gateway="g-1", clock=clock, uplinks=["city"], budget=64_000_000)
    try:
        journal._writer.pending._most = 60_000
        building = Building(10)
        for _ in range(300):
            clock.now += 10_000
            await journal.commit(building.draft(clock.now))
        await until((small_disk / "journal.ballast").exists)
        fill_up(small_disk / "filler")
        refused = 0
        for _ in range(600):
            clock.now += 10_000
            try:
                await journal.commit(building.draft(clock.now))
            except JournalFull:
                refused += 1
        stats = journal.stats()
        assert refused > 3
        assert stats.dropped == 0
        assert stats.seq + stats.waiting // 10 == 900
        assert "thinned" in {reason for *_, reason in await journal.explain(journal.epoch, 1, stats.seq)}
    finally:
        await journal.close()


@pytest.mark.root
@needs_root
async def test_on_a_read_only_disk_the_journal_starts_and_waits(small_disk, clock):
    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(small_disk)], check=True)

    remount("ro")
    journal = Journal.open(small_disk, gateway="g-1", clock=clock, uplinks=["city"])
    late = []
    journal.on_late = late.extend
    try:
        with pytest.raises(JournalFull, match="cannot be written"):
            await journal.commit(Building(2).draft(clock.now))
        assert journal.stats().state == "failing"
        remount("rw")
        await until(lambda: late)
        assert journal.stats().state == "ok"
    finally:
        remount("rw")
        await journal.close()
