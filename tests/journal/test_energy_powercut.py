"""The power fails at every write of a recorded run of journal and history: what the platform was given
before, and what it is given after the next start, has no quarter hour twice, under two values or
missing, and adds up to the registers.
"""

import asyncio
import random
import shutil
import sys
from fractions import Fraction

import pytest
from energy_life import METERS, PAUSE, QUANTITY, START, Life, register
from journal_powercut import cut, record, said
from journal_tools import HERE, Run, needs_strace

from gateway.wire import decode
from tests.intervals import QUARTER, Read, edges

LIFE = [sys.executable, str(HERE / "energy_life.py")]
POLLS, AFTER = 110, 40
HOW = ("dropped", "kept", "torn")


class Platform:
    """What it was given: readings, and intervals with each of their versions."""

    def __init__(self):
        self.reads = {meter: {} for meter in METERS}
        self.intervals = {meter: {} for meter in METERS}
        self.problems = []
        self.seen = {}

    def take(self, epoch, seq, body):
        if self.seen.setdefault((epoch, seq), body) != body:
            self.problems.append(f"batch {seq} has two contents")
        batch = decode(body)
        for reading in batch.readings:
            number = round(reading.uptime / PAUSE)
            self.reads[reading.meter][number] = reading.uptime
            assert reading.values[QUANTITY] == register(reading.meter, number) / 1000
        for each in batch.intervals:
            versions = self.intervals[each.meter].setdefault(each.start, {})
            if versions.setdefault(each.version, (each.value, each.quality)) != (each.value, each.quality):
                self.problems.append(f"{each.meter} at {each.start}: version {each.version} has two values")

    def judge(self):
        """Everything that is wrong, and how many intervals were compared."""
        compared = 0
        for meter in METERS:
            reads = [
                Read(START + uptime, uptime, Fraction(register(meter, number)))
                for number, uptime in sorted(self.reads[meter].items())
            ]
            known, owed = edges(reads), edges(reads[:-1])
            held = {start: versions[max(versions)] for start, versions in self.intervals[meter].items()}
            for q in sorted(owed):
                if q + QUARTER in owed and q not in held:
                    self.problems.append(f"{meter}: the quarter hour at {q} is missing")
            for start, (value, _) in sorted(held.items()):
                compared += 1
                if value != known[start + QUARTER][0] - known[start][0]:
                    self.problems.append(f"{meter} at {start}: {value} is not what its register gained")
        return compared


async def live_on(directory, platform):
    """The next start, and polls enough for every quarter hour to be closed."""
    life = Life(
        directory,
        lambda sealed: platform.take(sealed.epoch, sealed.seq, sealed.body),
        boot="ee" * 16,
        synchronous="OFF",
    )
    try:
        # What was on the disk already when the power failed, and was not said yet, is delivered now.
        for epoch, oldest, newest in life.journal.epochs():
            for sealed in await life.journal.find(epoch, oldest, newest, 10**6):
                platform.take(sealed.epoch, sealed.seq, sealed.body)
        await life.catch_up()
        first = max((max(each, default=-1) for each in platform.reads.values()), default=-1) + 2
        for number in range(first, first + AFTER):
            await life.poll(number)
        await life.drain()
    finally:
        await life.close()


def judge(ops, directory, scratch, points):
    """(cuts, intervals compared, everything that was wrong)."""
    compared, problems = 0, []
    for point, how, seed in points:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        cut(ops[:point], directory, scratch, how, seed)
        platform = Platform()
        for (epoch, seq), body in Run(said(ops[:point])).taken.items():
            platform.take(epoch, seq, bytes.fromhex(body))
        asyncio.run(live_on(scratch, platform))
        compared += platform.judge()
        problems += [f"cut at {point}, {how}: {problem}" for problem in platform.problems]
    return compared, problems


def points(ops, count):
    """Where to cut: around the syncs of the history, which saves once a quarter hour, and at random."""
    rng = random.Random(5)
    saves = [k for k, op in enumerate(ops) if "history.db" in op.path]
    near = [min(len(ops), max(1, place + rng.randint(-3, 3))) for place in rng.sample(saves, count // 2)]
    anywhere = [rng.randrange(1, len(ops) + 1) for _ in range(count - len(near))]
    return [(point, HOW[number % 3], number) for number, point in enumerate(near + anywhere)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recorded run, and where it wrote."""
    place = tmp_path_factory.mktemp("energy")
    directory = place / "state"
    directory.mkdir()
    return directory, record([*LIFE, str(directory), "0", str(POLLS)], place / "trace", HERE)


@needs_strace
def test_no_quarter_hour_is_lost_or_twice_at_any_cut(recorded, tmp_path):
    directory, ops = recorded
    compared, problems = judge(ops, directory, tmp_path / "cut", points(ops, 48))
    print(f"power cut: 48 cuts, {compared} intervals compared, {len(problems)} problems")
    assert not problems, "\n".join(problems[:20])
    assert compared > 48 * 2 * 2


@needs_strace
def test_the_control_contradicts_itself(recorded, tmp_path, monkeypatch):
    """An engine that does not take in what stands in the journal before it goes on publishes again."""
    directory, ops = recorded

    async def nothing(life):
        life.projection.seq = life.journal.newest[1]

    monkeypatch.setattr(Life, "catch_up", nothing)
    _, problems = judge(ops, directory, tmp_path / "cut", points(ops, 12))
    assert problems


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_quarter_hour_is_lost_or_twice_at_every_cut_in_every_way(recorded, tmp_path):
    directory, ops = recorded
    every = [(point, how, point) for point in range(1, len(ops) + 1) for how in HOW]
    _, problems = judge(ops, directory, tmp_path / "cut", every)
    assert not problems, "\n".join(problems[:20])
