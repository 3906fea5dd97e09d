"""The power fails at every write of a recorded run of the shipped journal: no committed batch is lost,
nothing is found damaged.
"""

import asyncio
import json
import random
import shutil

import pytest
from journal_powercut import cut, record, said
from journal_tools import HERE, WRITER, Run, contents, needs_strace

HOW = ("dropped", "kept", "torn")


def run(tmp_path, **options):
    directory = tmp_path / "journal"
    return directory, record([*WRITER, str(directory), json.dumps(options)], tmp_path / "trace", HERE)


def judge(ops, directory, scratch, points):
    """(cuts, lost batches, cuts with damage, foreign batches) over all points and ways."""
    cuts = lost = damaged = foreign = 0
    everything = Run(said(ops)).taken
    for point, how, seed in points:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        cut(ops[:point], directory, scratch, how, seed)
        taken = Run(said(ops[:point])).taken
        held, gone, stats = asyncio.run(contents(scratch))
        cuts += 1
        lost += sum(held.get(key) != body and gone.get(key) != "delivered" for key, body in taken.items())
        damaged += len(stats.damaged) or stats.state != "ok"
        foreign += sum(everything.get(key, body) != body for key, body in held.items())
    return cuts, lost, damaged, foreign


def interesting(ops, count):
    """Where to cut: around creation and around each sync of the file itself (a checkpoint), and at random."""
    rng = random.Random(11)
    file_syncs = [
        index for index, op in enumerate(ops) if op.kind == "sync" and op.path.endswith("journal.db")
    ]
    near = {index + shift for index in file_syncs for shift in range(-6, 7)} | set(range(60))
    places = sorted(place for place in near if 0 < place <= len(ops))
    chosen = rng.sample(places, min(len(places), count // 2)) + [
        rng.randrange(1, len(ops) + 1) for _ in range(count // 2)
    ]
    return [(point, HOW[number % 3], number) for number, point in enumerate(chosen)]


@needs_strace
def test_no_committed_batch_is_lost_at_any_cut(tmp_path):
    directory, ops = run(tmp_path, count=330, meters=10, settle=30, budget=400_000)
    assert sum(op.kind == "sync" and op.path.endswith("journal.db") for op in ops) >= 2, (
        "no checkpoint was recorded"
    )
    cuts, lost, damaged, foreign = judge(ops, directory, tmp_path / "cut", interesting(ops, 240))
    print(f"power cut: {cuts} cuts, {lost} committed batches lost, {damaged} damaged")
    assert (lost, damaged, foreign) == (0, 0, 0)


@needs_strace
def test_the_control_loses(tmp_path):
    directory, ops = run(tmp_path, count=60, synchronous="NORMAL")
    points = [(point, "dropped", 0) for point in range(len(ops) // 2, len(ops) + 1, 20)]
    cuts, lost, _, _ = judge(ops, directory, tmp_path / "cut", points)
    print(f"control, synchronous=NORMAL: {cuts} cuts, {lost} committed batches lost")
    assert lost > 0


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [
        {"count": 300, "meters": 10, "settle": 30},
        {"count": 900, "meters": 10, "settle": 5, "budget": 1_000_000, "keep": 9},
    ],
)
def test_no_committed_batch_is_lost_at_every_cut_in_every_way(options, tmp_path):
    directory, ops = run(tmp_path, **options)
    step = max(1, len(ops) // 1500)
    points = [(point, how, point) for point in range(1, len(ops) + 1, step) for how in HOW]
    cuts, lost, damaged, foreign = judge(ops, directory, tmp_path / "cut", points)
    print(f"power cut: {cuts} cuts, {lost} committed batches lost, {damaged} damaged")
    assert (lost, damaged, foreign) == (0, 0, 0)


@needs_strace
def test_one_commit_is_one_fdatasync(tmp_path):
    # Between checkpoints; delivered rows are deleted and several batches are written without another one.
    directory, ops = run(tmp_path, count=60, meters=2, settle=10)
    syncs_between, count = [], 0
    for op in ops:
        if op.kind == "sync" and op.path.startswith(str(directory)):
            count += 1
        elif op.kind == "say" and op.data.startswith(b"taken"):
            syncs_between.append(count)
            count = 0
    assert syncs_between[1:] == [1] * 59
