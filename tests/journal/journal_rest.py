"""A journal whose thread has come to rest, and one that is filled: for tests of the writer."""

import asyncio

from journal_data import Building


async def settled_job(journal, job=lambda: None):
    """Wait for the journal's thread to have nothing more to do."""
    return await asyncio.wrap_future(journal._thread.call(job))


async def fill(journal, clock, count, meters=2, **more):
    rows = []
    building = Building(meters)
    for _ in range(count):
        clock.now += 10_000
        rows += await journal.commit(building.draft(clock.now), **more)
    await settled_job(journal)
    return rows
