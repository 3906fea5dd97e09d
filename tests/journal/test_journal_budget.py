"""Months without a platform on a small budget: energy is kept, every gap is explained, file and memory
stay flat.
"""

import resource

import pytest
from journal_data import small

from gateway import wire
from gateway.model import Draft, Event, Ranges, Reading

SLOT = 10_000
QUARTER = 90


async def take(journal, clock, count, keep_every=QUARTER):
    for _ in range(count):
        clock.now += SLOT
        number = clock.now // SLOT
        await journal.commit(small(uptime=clock.now, value=float(number), keep=number % keep_every == 0))


async def everything(journal, uplink="city"):
    rows, after = [], 0
    while page := await journal.unsettled(uplink, after=after, limit=500, max_bytes=10_000_000):
        rows += page
        after = page[-1].seq
    return rows


def told(rows):
    """(epoch, seq) of everything that an event declares gone."""
    events = [event for row in rows for event in wire.decode(row.body).events]
    return {
        (e.fields["epoch"], n)
        for e in events
        if e.kind in {"thinned", "damaged"}
        for n in range(e.fields["from"], e.fields["to"] + 1)
    }


async def tell_all(journal, clock):
    """All that is left to tell goes with the next kept batches."""
    untold = "SELECT first FROM gone WHERE told = 0 UNION ALL SELECT first FROM epoch WHERE told = 0"
    await journal.commit(Draft(events=[Event("door", clock.now)]))
    while journal._thread.call(journal._writer.current.file.store.query, untold).result():
        await journal.commit(Draft(events=[Event("door", clock.now)]))


async def test_an_outage_longer_than_the_budget_keeps_every_quarter_hour_and_explains_every_gap(
    opened, clock
):
    journal = opened(budget=1_000_000)
    days = 2
    await take(journal, clock, days * 8640)
    await take(journal, clock, QUARTER)
    stats = journal.stats()
    assert journal._writer.used < 1_100_000
    assert stats.batches < stats.seq / 3
    rows = await everything(journal)
    assert len(rows) == stats.batches == stats.backlog["city"].batches
    assert sum(row.readings for row in rows) == stats.backlog["city"].readings
    quarters = {
        int(r.values["active_energy_import"]) for row in rows for r in wire.decode(row.body).readings
    } & set(range(0, clock.now // SLOT + 1, QUARTER))
    expected = {n for n in range(1_000_000 // SLOT + 1, clock.now // SLOT + 1) if n % QUARTER == 0}
    assert quarters == expected
    held = {(row.epoch, row.seq) for row in rows}
    missing = {(journal.epoch, n) for n in range(1, stats.seq + 1)} - held
    untold = missing - told(rows)
    # What was thinned since the last kept batch is told with the next one.
    await journal.commit(Draft(events=[Event("door", clock.now)]))
    assert not missing - told(await everything(journal))
    assert all(seq > 0 for _, seq in untold)
    assert not told(rows) & held
    explained = {
        (journal.epoch, n)
        for a, b, reason in await journal.explain(journal.epoch, 1, stats.seq)
        if reason == "thinned"
        for n in range(a, b + 1)
    }
    assert explained == missing


async def test_when_nothing_but_kept_batches_is_left_the_oldest_go_and_all_is_told_again(opened, clock):
    journal = opened(budget=300_000)
    await take(journal, clock, 6000, keep_every=2)
    await tell_all(journal, clock)
    assert journal._writer.used < 400_000
    rows = await everything(journal)
    held = {(row.epoch, row.seq) for row in rows}
    missing = {(journal.epoch, n) for n in range(1, journal.newest[1] + 1)} - held
    assert missing == told(rows) - held
    assert missing
    # Merged: it does not need an event for each.
    assert sum(len(wire.decode(row.body).events) for row in rows if row.seq == journal.newest[1]) < 300


async def test_delivered_batches_stay_until_the_budget_needs_the_room_and_go_first(opened, clock):
    journal = opened(budget=400_000)
    await take(journal, clock, 200)
    await journal.settle("city", journal.epoch, Ranges([(1, 150)]))
    await take(journal, clock, 50)
    assert journal.stats().batches == 250
    await take(journal, clock, 2000)
    gone = await journal.explain(journal.epoch, 1, journal.newest[1])
    assert (1, 150, "delivered") in [
        (1, last, reason) for first, last, reason in gone if reason == "delivered"
    ]
    assert all(first > 150 for first, _, reason in gone if reason == "thinned")


async def test_the_newest_batch_is_never_deleted_and_numbers_are_never_used_again(opened, clock):
    journal = opened(budget=100_000)
    for _ in range(800):
        await take(journal, clock, 1)
        await journal.settle("city", journal.epoch, Ranges([(1, journal.newest[1])]))
    last = journal.newest
    assert len(await journal.find(*last, last[1])) == 1
    await journal.close()
    journal = opened(budget=100_000)
    assert journal.newest == last
    await take(journal, clock, 1)
    assert journal.newest[1] == last[1] + 1


async def test_without_an_uplink_old_batches_are_thinned_in_silence(opened, clock):
    journal = opened(uplinks=[], budget=300_000)
    await take(journal, clock, 3000)
    assert journal._writer.used < 400_000
    rows = await journal.find(journal.epoch, 1, 10_000, 10_000)
    assert sum(row.keep for row in rows) >= 33
    assert told(rows) == set()
    assert {reason for *_, reason in await journal.explain(journal.epoch, 1, 3000)} == {"thinned"}


async def test_a_smaller_budget_after_a_reload_is_kept(opened, clock):
    journal = opened()
    await take(journal, clock, 2000)
    await journal.configure(budget=200_000)
    await take(journal, clock, 60)
    assert journal._writer.used < 250_000


@pytest.mark.slow
@pytest.mark.timeout(3000)
async def test_a_year_of_outage(opened, clock):
    """Two meters, a slot a minute, 20 MB: a year without a platform, as fast as the machine goes."""
    journal = opened(budget=20_000_000)
    year, quarter = 365 * 1440, 15
    peak = 0
    for number in range(1, year + 1):
        clock.now += 60_000
        readings = [
            Reading(f"m{meter}", clock.now, {"active_energy_import": number / 100 + meter})
            for meter in range(2)
        ]
        await journal.commit(Draft(readings, keep=number % quarter == 1))
        if number == year // 10:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < peak + 16_000
    await tell_all(journal, clock)
    rows = await everything(journal)
    held = {(row.epoch, row.seq) for row in rows}
    assert {(journal.epoch, n) for n in range(1, journal.newest[1] + 1)} == held | told(rows)
    kept = {
        round(r.values["active_energy_import"] * 100)
        for row in rows
        for r in wire.decode(row.body).readings
        if r.meter == "m0"
    }
    assert set(range(1, year + 1, quarter)) <= kept
