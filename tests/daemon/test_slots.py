"""A batch closes when nothing more can come, at the latest when its slot ends, and nothing that was read
is dropped.
"""

import asyncio
import time

import pytest

from gateway.daemon.slots import QUARTER_MS, SlotCollector
from gateway.errors import JournalFull
from gateway.model import Draft, Event, Reading

pytestmark = pytest.mark.virtual_time


class Journal:
    """Takes drafts and remembers when."""

    def __init__(self) -> None:
        self.drafts: list[tuple[float, Draft]] = []
        self.error: Exception | None = None

    async def commit(self, draft: Draft) -> None:
        self.drafts.append((time.monotonic(), draft))
        if self.error:
            raise self.error


def wall_at(start_ms: int):
    begin = time.monotonic()
    return lambda: start_ms + int((time.monotonic() - begin) * 1000)


async def run_for(collector: SlotCollector, seconds: float) -> None:
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(seconds)
    await collector.stop()
    await asyncio.wait_for(task, 5)


async def test_closes_early_when_every_bus_is_done() -> None:
    journal, due = Journal(), [time.monotonic() + 60, None]
    collector = SlotCollector(10.0, journal.commit, lambda: due, wall_at(1_000_000_000))
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0.05)
    collector.add(Reading("a", 1))
    await asyncio.sleep(0.05)
    assert [len(draft.readings) for _, draft in journal.drafts] == [1]
    await collector.stop()
    await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(("off", "waits"), [(-0.05, False), (0.0, False), (0.05, False), (-0.2, True)])
async def test_a_poll_that_is_due_at_the_slots_end_is_not_waited_for(off: float, waits: bool) -> None:
    """Computed a moment before the slot's end or behind it: both clocks are read one after the other."""
    journal, begin = Journal(), time.monotonic()
    due = begin + 10.0 + off
    collector = SlotCollector(10.0, journal.commit, lambda: [due], wall_at(1_000_000_000))
    collector.add(Reading("a", 1))
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(1.0)
    assert len(journal.drafts) == (0 if waits else 1)
    await collector.stop()
    await asyncio.wait_for(task, 5)


async def test_waits_for_a_bus_that_is_still_polling_until_the_slot_ends() -> None:
    journal = Journal()
    collector = SlotCollector(1.0, journal.commit, lambda: [time.monotonic()], wall_at(1_000_000_200))
    collector.add(Reading("a", 1))
    begin = time.monotonic()
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0.4)
    assert journal.drafts == []
    collector.add(Reading("b", 2))
    await asyncio.sleep(0.7)
    assert [len(draft.readings) for _, draft in journal.drafts] == [2]
    assert 0.79 < journal.drafts[0][0] - begin < 0.81, "at the slot's end"
    await collector.stop()
    await asyncio.wait_for(task, 5)


async def test_one_batch_a_slot_and_the_rest_at_the_stop() -> None:
    journal = Journal()
    collector = SlotCollector(30.0, journal.commit, lambda: [None], wall_at(1_000_000_000))
    task = asyncio.create_task(collector.run())
    for number in range(5):
        collector.add(Reading("a", number))
        await asyncio.sleep(0.02)
    await collector.stop()
    await asyncio.wait_for(task, 5)
    assert len(journal.drafts) == 2
    assert sum(len(draft.readings) for _, draft in journal.drafts) == 5


async def test_an_empty_slot_is_not_committed() -> None:
    journal = Journal()
    await run_for(SlotCollector(1.0, journal.commit, lambda: [None], wall_at(0)), 1.3)
    assert journal.drafts == []


async def test_the_first_energy_reading_after_a_quarter_hour_is_kept() -> None:
    journal, now = Journal(), [QUARTER_MS * 100]
    collector = SlotCollector(1.0, journal.commit, lambda: [None], lambda: now[0])
    kept = []
    for step, values in [
        (0, {"active_power": 1.0}),
        (1, {"active_energy_import": 5.0}),
        (2, {"active_energy_import": 5.1}),
        (QUARTER_MS, {"volume": 1.0}),
    ]:
        now[0] = QUARTER_MS * 100 + step
        collector.add(Reading("a", step, values))
        await collector.flush()
        kept.append(journal.drafts[-1][1].keep)
    assert kept == [False, True, False, True]


async def test_a_batch_with_an_event_is_kept() -> None:
    journal = Journal()
    collector = SlotCollector(1.0, journal.commit, lambda: [None], wall_at(0))
    collector.tell(Event("clock_step", 5, {"by": 100}))
    await collector.flush()
    assert journal.drafts[0][1].keep


async def test_a_full_journal_does_not_stop_the_slots() -> None:
    journal = Journal()
    journal.error = JournalFull("no room", hint="make some")
    collector = SlotCollector(1.0, journal.commit, lambda: [None], wall_at(0))
    collector.add(Reading("a", 1))
    await collector.flush()
    journal.error = None
    collector.add(Reading("a", 2))
    await collector.flush()
    assert len(journal.drafts) == 2


@pytest.mark.parametrize("most", [1, 5])
async def test_what_a_journal_that_does_not_answer_makes_wait_is_bounded_and_the_newest_refused(
    monkeypatch, most
) -> None:
    monkeypatch.setattr("gateway.daemon.slots.MOST_READINGS", most)
    journal = Journal()
    collector = SlotCollector(1.0, journal.commit, lambda: [None], wall_at(0))
    for number in range(most + 3):
        collector.add(Reading("a", number))
    assert (collector.pending, collector.refused) == (most, 3)
    await collector.flush()
    assert [reading.uptime for reading in journal.drafts[0][1].readings] == list(range(most))
    collector.add(Reading("a", 99))
    assert (collector.pending, collector.refused) == (1, 3), "there is room again"


async def test_what_was_told_to_a_collector_that_had_stopped_goes_on_in_the_next() -> None:
    journal = Journal()
    old, new = (SlotCollector(1.0, journal.commit, lambda: [None], wall_at(0)) for _ in range(2))
    await old.stop()
    old.add(Reading("a", 1))
    old.tell(Event("clock_step", 5, {"by": 100}))
    new.inherit(old)
    await old.flush()
    assert journal.drafts == []
    await new.flush()
    ((_, draft),) = journal.drafts
    assert ([reading.uptime for reading in draft.readings], [event.kind for event in draft.events]) == (
        [1],
        ["clock_step"],
    )
    assert draft.keep


async def test_a_burst_of_answers_is_one_question_to_the_buses() -> None:
    asked = []

    def due():
        asked.append(time.monotonic())
        return [time.monotonic() + 0.5]  # one bus is still polling

    journal = Journal()
    collector = SlotCollector(10.0, journal.commit, due, wall_at(1_000_000_000))
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0.05)
    for number in range(50):
        collector.add(Reading(f"m{number}", 1))
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert 1 <= len(asked) <= 3, "fifty answers, a look at all buses each would cost more than the polls"
    await collector.stop()
    await asyncio.wait_for(task, 5)
    assert sum(len(draft.readings) for _, draft in journal.drafts) == 50


async def test_a_flush_says_why_a_batch_is_not_on_disk_yet() -> None:
    journal = Journal()
    collector = SlotCollector(10.0, journal.commit, lambda: [None], wall_at(1_000_000_000))
    assert await collector.flush() is None, "nothing to write is no failure"
    collector.add(Reading("a", 1))
    assert await collector.flush() is None
    journal.error = JournalFull("the disk is full", hint="make room")
    collector.add(Reading("a", 2))
    assert await collector.flush() is journal.error


async def test_what_was_told_after_the_stop_goes_to_the_next_collector() -> None:
    journal = Journal()
    old, new = (SlotCollector(10.0, journal.commit, lambda: [None], wall_at(1_000_000_000)) for _ in range(2))
    await old.stop()
    old.add(Reading("a", 1))
    old.tell(Event("clock_step", 2))
    new.inherit(old)
    assert await new.flush() is None
    ((_, draft),) = journal.drafts
    assert ([r.meter for r in draft.readings], [e.kind for e in draft.events]) == (["a"], ["clock_step"])
    assert draft.keep, "what was told is spared when room runs out"
    assert await old.flush() is None
    assert len(journal.drafts) == 1, "nothing is written twice"
