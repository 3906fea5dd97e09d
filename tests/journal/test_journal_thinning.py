"""What an outage beyond the budget leaves behind: nothing waits for ever, everything is told by somebody
who arrives, a person sees it.
"""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from journal_data import small

from gateway import wire
from gateway.journal.file import missing
from gateway.journal.file.batches import NEWEST_PART, JournalFile
from gateway.journal.file.resume import read_carry, write_carry
from gateway.journal.file.settled import MOST, Settled
from gateway.journal.file.store import JournalStore
from gateway.journal.file.thinning import PART, MayDelete
from gateway.model import Draft, Event, Ranges, Reading
from gateway.model.quantities import QUANTITIES

BUDGET = 400_000
NAMES = [q.name for q in QUANTITIES.values() if q.high >= 1e6][:30]


def noise(rng, uptime, meters=3, **more):
    """A draft that does not compress: each value is drawn anew, with all its digits."""
    values = lambda: {name: rng.random() * 1e6 for name in NAMES}  # noqa: E731 - once here
    return Draft([Reading(f"m{n}", uptime + n, values()) for n in range(meters)], **more)


async def take(journal, clock, count, rng, *, keep=0.0, meters=3):
    taken = []
    for _ in range(count):
        clock.now += 10_000
        taken += await journal.commit(noise(rng, clock.now, meters, keep=rng.random() < keep))
    return taken


async def everything(journal, uplink="city"):
    rows, after = [], 0
    while page := await journal.unsettled(uplink, after=after, limit=500, max_bytes=50_000_000):
        rows += page
        after = page[-1].seq
    return rows


def told(rows, kinds=("thinned", "damaged")):
    events = [event for row in rows for event in wire.decode(row.body).events if event.kind in kinds]
    return {(e.fields["epoch"], n) for e in events for n in range(e.fields["from"], e.fields["to"] + 1)}


async def deliver(journal, uplink="city", every=7):
    """The platform takes all that is offered, a few at a time, in order."""
    after = 0
    while page := await journal.unsettled(uplink, after=after, limit=every):
        for row in page:
            await journal.settle(uplink, row.epoch, Ranges([(row.seq, row.seq)]))
        after = page[-1].seq


def ask(journal, sql, *parameters):
    return journal._thread.call(journal._writer.current.file.store.query, sql, parameters).result()


@pytest.mark.parametrize("keep", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("uplinks", [["city"], ["city", "dead"]])
async def test_after_an_outage_everything_delivered_counts_as_delivered(opened, clock, keep, uplinks):
    rng = random.Random(3)
    journal = opened(budget=BUDGET, uplinks=uplinks)
    await take(journal, clock, 1200, rng, keep=keep)
    rows = await everything(journal)
    islands = sum(after.seq > before.seq + 1 for before, after in pairwise(rows))
    assert journal.stats().thinned > 300
    assert islands >= {0.02: 5, 0.3: MOST, 1.0: 0}[keep]
    await deliver(journal)
    assert journal.backlog("city").batches == 0
    before = journal.newest[1]
    await take(journal, clock, 3, rng)
    # Of what was delivered nothing waits again; what is new is not given up for the sake of a dead uplink.
    assert [row.seq for row in await everything(journal)] == [before + 1, before + 2, before + 3]
    assert journal.backlog("city").batches == 3
    await deliver(journal)
    # A restart reads it from the file, another boot too.
    await journal.commit(small(uptime=clock.now))
    await deliver(journal)
    await take(journal, clock, 1, rng)
    for boot in ("b0" * 16, "b1" * 16):
        await journal.close()
        clock.boot = boot
        journal = opened(budget=BUDGET, uplinks=uplinks)
        assert [row.seq for row in await everything(journal)] == [journal.newest[1]]
    if "dead" in uplinks:
        assert journal.backlog("dead").batches == journal.stats().batches


@pytest.mark.parametrize(("keep", "count"), [(0.3, 1400), (0.9, 700), (1.0, 700)])
async def test_a_platform_that_is_there_gets_all_that_is_new_while_another_one_is_dead(
    opened, clock, keep, count
):
    """Kept batches alone fill the budget: the oldest of them go, not what has just been taken."""
    rng = random.Random(10)
    journal = opened(budget=BUDGET, uplinks=["city", "dead"])
    for number in range(count):
        [row] = await take(journal, clock, 1, rng, keep=keep)
        # It takes what it finds every fifth slot: up to five batches wait for it at any time.
        if number % 5 == 4:
            fresh = [each.seq for each in await everything(journal)]
            assert fresh == list(range(row.seq - 4, row.seq + 1)), number
            await journal.settle("city", row.epoch, Ranges([(1, row.seq)]))
    assert journal.stats().thinned > 300
    held = await everything(journal, "dead")
    plain = [row for row in held if not row.keep]
    share = len(held) // NEWEST_PART
    if keep < 1.0:
        # What is not kept is the newest part, without a gap; before it there are only kept ones.
        newest = held[-share:]
        assert [row.seq for row in newest] == list(range(newest[0].seq, newest[-1].seq + 1))
        lot = BUDGET // PART // 3000 + 2
        assert all(row.seq >= newest[0].seq - lot / (1 - keep) for row in plain)
    # The oldest kept ones went, in order.
    kept = [row.seq for row in held if row.keep]
    explained = await journal.explain(row.epoch, 1, kept[0])
    assert [(first, last) for first, last, _ in explained] == [(1, kept[0] - 1)]


@pytest.mark.parametrize("count", [1, 3, 7])
async def test_when_hardly_anything_is_held_only_the_newest_is_spared(tmp_path, count):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    rng = random.Random(11)
    for number in range(count):
        file.write([noise(rng, 1000 + number)], "g", 0, synced=True, carry=None, now=1000)
    while file.make_room(MayDelete.UNDELIVERED, 1, 5000):
        pass
    assert [row.seq for row in file.store.newest(10)] == [count]
    assert not file.can_make_room(MayDelete.UNDELIVERED)
    file.close()


async def test_a_file_in_which_ranges_were_forgotten_heals_when_it_is_opened(opened, clock, tmp_path):
    rng = random.Random(4)
    journal = opened(budget=BUDGET)
    taken = await take(journal, clock, 900, rng, keep=0.3)
    held = await everything(journal)
    assert len(held) > 2 * MOST
    # What a version wrote that kept the oldest 64 and knew nothing of what is gone.
    rows = [[row.seq, row.seq] for row in held]
    await journal.settle("city", held[0].epoch, Ranges((a, b) for a, b in rows))
    await journal.commit(small(uptime=clock.now))
    last = journal.newest[1]
    carry = wire_carry(ask(journal, "SELECT carry FROM batch WHERE seq = ?", last)[0][0], rows[:MOST])
    await journal.close()
    rewrite(tmp_path, last, carry)
    journal = opened(budget=BUDGET)
    waiting = [row.seq for row in await everything(journal)]
    assert waiting == [row.seq for row in held[MOST:]] + [last]
    await deliver(journal)
    assert journal.backlog("city").batches == 0
    assert len(journal._writer.current.file.settled.of("city")) == 1
    assert len(taken) == 900


def wire_carry(text, ranges):
    _, carried, synced, *_ = read_carry(text)
    return write_carry({"city": ranges}, carried, synced)


def rewrite(directory, seq, carry):
    store = JournalStore(directory / "journal.db")
    [row] = store.between(seq, seq, 1)
    row = replace(row, carry=carry)
    with store.transaction():
        store.execute("UPDATE batch SET carry = ?, crc = ? WHERE seq = ?", (carry, row.crc, seq))
    store.close()


@pytest.mark.parametrize("later_keep", [1.0, 0.4])
async def test_a_range_told_in_a_later_epoch_is_told_again_when_its_teller_goes(opened, clock, later_keep):
    rng = random.Random(5)
    taken, starts = set(), {}
    for boot, count, keep in (("a0" * 16, 700, 0.0), ("b0" * 16, 700, 0.0), ("c0" * 16, 1800, later_keep)):
        clock.boot = boot
        journal = opened(budget=BUDGET)
        rows = await take(journal, clock, count, rng, keep=keep)
        taken |= {(row.epoch, row.seq) for row in rows}
        starts[rows[0].epoch] = (rows[0].seq, boot)
        if boot[0] != "c":
            await journal.close()
    untold = "SELECT first FROM gone WHERE told = 0 UNION ALL SELECT first FROM epoch WHERE told = 0"
    while ask(journal, untold):
        await journal.commit(Draft(events=[Event("door", clock.now)]))
    rows = await everything(journal)
    held = {(row.epoch, row.seq) for row in rows}
    assert not {epoch for epoch, _ in held} & set(list(starts)[:2])
    assert taken <= held | told(rows)
    assert not held & told(rows)
    # The epochs themselves are not forgotten either: each says where it began and where the one before ended.
    said = {}
    for row in rows:
        for event in wire.decode(row.body).events:
            if event.kind == "epoch_started":
                said[event.fields.get("epoch", row.epoch)] = (
                    event.fields.get("first", row.seq),
                    event.fields["last"],
                )
    assert said == {epoch: (first, first - 1) for epoch, (first, _) in starts.items()}


async def test_what_was_told_and_delivered_is_not_told_again(opened, clock):
    rng = random.Random(6)
    journal = opened(budget=BUDGET)
    await take(journal, clock, 600, rng, keep=0.05)
    while ask(journal, "SELECT 1 FROM gone WHERE told = 0"):
        await journal.commit(Draft(events=[Event("door", clock.now)]))
    before = told(await everything(journal))
    assert before
    await deliver(journal)
    # Everything makes room as delivered now, the tellers too.
    for _ in range(600):
        [row] = await take(journal, clock, 1, rng, keep=0.05)
        await journal.settle("city", row.epoch, Ranges([(row.seq, row.seq)]))
        assert not told([row]) & before
    assert ask(
        journal, "SELECT COUNT(*) FROM gone WHERE reason = 'delivered' AND told != ?", missing.NOBODY
    ) == [(0,)]
    assert ask(journal, "SELECT told FROM epoch") == [(missing.NOBODY,)]


@pytest.mark.parametrize(("meters", "budget"), [(3, 300_000), (12, 1_000_000), (1, 1_000_000)])
async def test_a_lot_is_no_more_than_must_be(opened, clock, meters, budget):
    rng = random.Random(7)
    journal = opened(budget=budget)
    before, first = 0, None
    while first is None or journal.stats().thinned < first * 5:
        [row] = await take(journal, clock, 1, rng, meters=meters)
        now = journal.stats().thinned
        if now > before:
            lot = (now - before) * (len(row.body) + 150)
            assert lot < budget / PART + 2 * (len(row.body) + 2000)
            first = first or now
        before = now
    # The file is as full after a lot as before it, but for that lot.
    assert journal._writer.used > 0.9 * budget
    assert journal._writer.used < 1.05 * budget + 20_000


async def test_thinning_is_counted_dated_and_said_once(opened, clock, caplog):
    rng = random.Random(8)
    journal = opened(budget=BUDGET)
    taken = await take(journal, clock, 600, rng)
    stats = journal.stats()
    held = {row.seq for row in await everything(journal)}
    lost = [row for row in taken if row.seq not in held]
    assert (stats.thinned, stats.thinned_readings) == (len(lost), sum(row.readings for row in lost)) != (0, 0)
    assert (stats.thinned_since, stats.thinned_until) == (lost[0].t0, lost[-1].t0)
    assert clock.wall() - 1_000_000 < stats.thinned_at <= clock.wall()
    said = [record for record in caplog.records if "met its budget" in record.message]
    assert len(said) == 1
    assert "mend the uplinks, or raise journal: budget" in said[0].message
    await journal.commit(small(uptime=clock.now))
    stats = journal.stats()  # that one may have needed room, too
    await journal.close()
    journal = opened(budget=BUDGET)
    again = journal.stats()
    assert (again.thinned, again.thinned_readings) == (stats.thinned, stats.thinned_readings)
    assert again.thinned_since == stats.thinned_since
    # A day later it is said anew.
    clock.now += 90_000_000
    await take(journal, clock, 100, rng)
    assert sum("met its budget" in record.message for record in caplog.records) >= 2


def test_settled_ranges_melt_over_what_is_gone():
    settled = Settled(["city"], gone=[(3, 5), (20, 30)])
    settled.add("city", [(1, 2), (6, 6)])
    assert list(settled.of("city")) == [(1, 6)]
    settled.gone([(7, 9)])
    assert list(settled.of("city")) == [(1, 9)]
    settled.gone([(40, 50)])
    assert list(settled.of("city")) == [(1, 9)]
    settled.add("city", [(31, 39)])
    assert list(settled.of("city")) == [(1, 9), (20, 50)]
    other = Settled(["city"], gone=[(10, 19)])
    other.load(settled.to_json())
    assert list(other.of("city")) == [(1, 50)]


def test_a_draft_that_is_split_knows_which_batch_tells(tmp_path):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    rng = random.Random(9)
    for number in range(12):
        file.write([noise(rng, 1000 + number, keep=False)], "g", 0, synced=True, carry=None, now=1000)
    file.make_room(MayDelete.UNDELIVERED, 3_000, 5000)
    [rows] = file.write([noise(rng, 9000, meters=150, keep=True)], "g", 0, synced=True, carry=None, now=9000)
    assert len(rows) > 1
    said = {row.seq for row in rows if any(event.kind == "thinned" for event in wire.decode(row.body).events)}
    assert {teller for (teller,) in file.store.query("SELECT told FROM gone")} == said
    file.store.close()
