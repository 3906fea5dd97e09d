"""Whatever happens in whatever order: taken == delivered ∪ held ∪ declared gone, and nothing is held or
offered that was not taken.
"""

import asyncio
import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from journal_data import HandClock

from gateway.journal import Journal
from gateway.model import Draft, Event, Ranges, Reading


class Outbox(RuleBasedStateMachine):
    """Two uplinks, one of which is always behind; a budget that is soon met."""

    uplinks = ("city", "lab")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.mkdtemp()
        self.clock = HandClock()
        self.taken = {}
        self.delivered = {uplink: set() for uplink in self.uplinks}
        self.carried = {}
        self.boots = 0
        self.open()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def open(self):
        self.journal = Journal.open(
            self.directory, gateway="g-1", clock=self.clock, uplinks=self.uplinks, budget=90_000
        )

    def note(self, batches):
        for sealed in batches:
            assert (sealed.epoch, sealed.seq) not in self.taken, "a number was used twice"
            self.taken[sealed.epoch, sealed.seq] = sealed

    @rule(count=st.integers(1, 40), keep=st.booleans(), readings=st.integers(1, 6), together=st.booleans())
    def take(self, count, keep, readings, together):
        drafts = []
        for _ in range(count):
            self.clock.now += 10_000
            drafts.append(
                Draft(
                    [
                        Reading(f"m{n}", self.clock.now, {"active_energy_import": n + 0.5})
                        for n in range(readings)
                    ],
                    keep=keep,
                )
            )
        self.carried = {"pulses": {"su": self.clock.now}}

        async def commit():
            if together:
                return await asyncio.gather(*(self.journal.commit(draft, self.carried) for draft in drafts))
            return [await self.journal.commit(draft, self.carried) for draft in drafts]

        for batches in self.run(commit()):
            self.note(batches)

    @rule(
        uplink=st.sampled_from(uplinks),
        first=st.integers(0, 400),
        length=st.integers(0, 300),
        which=st.integers(0, 5),
    )
    def receipt(self, uplink, first, length, which):
        epochs = self.journal.epochs()
        if epochs:
            epoch = epochs[which % len(epochs)][0]
            self.run(self.journal.settle(uplink, epoch, Ranges([(max(1, first), max(1, first) + length)])))
            self.delivered[uplink] |= {
                (e, n) for e, n in self.taken if e == epoch and max(1, first) <= n <= max(1, first) + length
            }

    @rule(epoch=st.text("0123456789abcdef", min_size=16, max_size=16), last=st.integers(1, 2**52))
    def hostile_receipt(self, epoch, last):
        self.run(self.journal.settle("city", epoch, Ranges([(1, last)])))

    @rule(new_boot=st.booleans())
    def restart(self, new_boot):
        self.run(self.journal.close())
        if new_boot:
            self.boots += 1
            self.clock.boot = f"{self.boots:032x}"
        self.open()
        assert self.journal.carried == self.carried

    @rule()
    def power_cut(self):
        # What a process that is killed leaves: the files as they are.
        copy = tempfile.mkdtemp()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(f"{self.directory}/{name}", copy)
        self.run(self.journal.close())
        shutil.rmtree(self.directory)
        self.directory = copy
        self.boots += 1
        self.clock.boot = f"{self.boots:032x}"
        self.open()
        # Marks that had not ridden in a row are lost: that costs a resend, and the model must not know
        # better.
        for uplink in self.uplinks:
            offered = {(s.epoch, s.seq) for s in self.offered(uplink)}
            self.delivered[uplink] -= offered

    @rule()
    def conflict(self):
        self.run(self.journal.new_epoch("conflict"))

    def offered(self, uplink):
        found, after = [], 0
        while page := self.run(self.journal.unsettled(uplink, after=after, limit=97)):
            found += page
            after = page[-1].seq
        return found

    @invariant()
    def nothing_is_lost_and_nothing_invented(self):
        held, gone = set(), {}
        for epoch, first, last in self.journal.epochs():
            for sealed in self.run(self.journal.find(epoch, first, last, 100_000)):
                assert self.taken[epoch, sealed.seq] == sealed
                held.add((epoch, sealed.seq))
            for a, b, reason in self.run(self.journal.explain(epoch, first, last)):
                gone |= {(epoch, n): reason for n in range(a, b + 1)}
        assert held | set(gone) == set(self.taken)
        assert not held & set(gone)
        assert set(gone.values()) <= {"thinned", "delivered"}
        for uplink in self.uplinks:
            offered = {(s.epoch, s.seq) for s in self.offered(uplink)}
            assert offered <= held
            assert set(self.taken) == offered | self.delivered[uplink] | set(gone)
            assert {key for key, reason in gone.items() if reason == "delivered"} <= self.delivered[uplink]
            backlog = self.journal.backlog(uplink)
            assert (backlog.batches, backlog.readings) == (
                len(offered),
                sum(self.taken[key].readings for key in offered),
            )
        stats = self.journal.stats()
        assert (stats.batches, stats.readings) == (len(held), sum(self.taken[key].readings for key in held))

    def teardown(self):
        self.run(self.journal.commit(Draft(events=[Event("end", self.clock.now)])))
        self.run(self.journal.close())
        shutil.rmtree(self.directory)
        self.loop.close()


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
