"""Every kind of damage: found, moved aside, a new epoch at once, and what is sound comes back under its
old identity.
"""

import asyncio
import json
import random
import shutil
import sqlite3

import pytest
from journal_data import Building, HandClock, small, until

from gateway import wire
from gateway.journal import Journal
from gateway.journal.file.schema import PAGE
from gateway.journal.recovery.scan import PageScan
from gateway.model import Ranges
from tests.reliability import note

ROWS = 600
SETTLED = 400


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed journal of 600 batches, 400 of them settled, and what is in it."""
    directory = tmp_path_factory.mktemp("sound")

    async def fill():
        clock = HandClock()
        journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
        building = Building(4)
        for number in range(1, ROWS + 1):
            clock.now += 10_000
            await journal.commit(
                building.draft(clock.now, keep=number % 90 == 0), carry={"pulses": {"su": number}}
            )
            if number == SETTLED:
                await journal.settle("city", journal.epoch, Ranges([(1, SETTLED)]))
        rows = {s.seq: s for s in await journal.find(journal.epoch, 1, ROWS, ROWS)}
        epoch = journal.epoch
        await journal.close()
        return epoch, rows

    epoch, rows = asyncio.run(fill())
    return directory, epoch, rows


def pages_of_rows(path):
    """{seq: page numbers}, the leaf first, then its overflow pages."""
    found = {}
    with PageScan(path) as scan:
        for number in range(1, scan.pages + 1):
            more = []

            def read(follow, more=more, scan=scan):
                more.append(follow)
                return scan.read(follow)

            for rows in scan._rows(scan.read(number), number, read):
                for one in rows:
                    found[one.row.seq] = [number, *more]
                if rows:
                    more.clear()
    return found


class Damage:
    """Each method spoils a file and returns the numbers whose bytes it touched."""

    def __init__(self, path):
        self.path = path
        self.data = bytearray(path.read_bytes())
        self.rng = random.Random(7)
        self.pages = pages_of_rows(path)
        self.used = sorted({page for pages in self.pages.values() for page in pages})
        self.leaves = sorted({pages[0] for pages in self.pages.values()})
        with sqlite3.connect(path) as conn:
            self.root = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'batch'").fetchone()[0]
        conn.close()

    def zero(self, number):
        self.data[(number - 1) * PAGE : number * PAGE] = bytes(PAGE)

    def garbage(self, number, pages=1):
        self.data[(number - 1) * PAGE : (number - 1 + pages) * PAGE] = self.rng.randbytes(pages * PAGE)

    def rows_on(self, numbers):
        return {seq for seq, pages in self.pages.items() if set(pages) & set(numbers)}

    def sixteen_flipped_bytes(self):
        numbers = self.rng.choices(self.used, k=16)
        for number in numbers:
            self.data[(number - 1) * PAGE + self.rng.randrange(PAGE)] ^= 0xFF
        return self.rows_on(numbers)

    def four_zeroed_pages(self):
        numbers = self.rng.sample(self.leaves, 4)
        for number in numbers:
            self.zero(number)
        return self.rows_on(numbers)

    def four_swapped_pages(self):
        a, b, c, d = self.rng.sample(self.leaves, 4)
        pages = [bytes(self.data[(n - 1) * PAGE : n * PAGE]) for n in (a, b, c, d)]
        for number, page in zip((b, c, d, a), pages, strict=False):
            self.data[(number - 1) * PAGE : number * PAGE] = page
        return set()

    def a_garbage_erase_block(self):
        first, pages = len(self.data) // PAGE // 2, (128 << 10) // PAGE
        self.garbage(first, pages)
        return self.rows_on(range(first, first + pages))

    def page_one_zeroed(self):
        self.zero(1)
        return set()

    def page_one_garbage(self):
        self.garbage(1)
        return set()

    def root_page_garbage(self):
        self.garbage(self.root)
        return set()

    def truncated_to_half(self):
        half = len(self.data) // PAGE // 2
        del self.data[half * PAGE :]
        return self.rows_on(range(half + 1, max(self.used) + 1))

    def a_single_bit_of_a_body(self, seq=137):
        with sqlite3.connect(self.path) as conn:
            body = conn.execute("SELECT body FROM batch WHERE seq = ?", (seq,)).fetchone()[0]
        conn.close()
        at = next(at for start in range(20, 200) if (at := self.data.rfind(body[start : start + 40])) >= 0)
        assert self.data.count(self.data[at : at + 40]) == 1
        self.data[at + 5] ^= 0x10
        return {seq}

    def a_single_bit_of_the_newest_body(self):
        return self.a_single_bit_of_a_body(ROWS)


KINDS = [name for name in vars(Damage) if name[0] != "_" and name not in {"zero", "garbage", "rows_on"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_damage_is_moved_aside_and_sound_rows_come_back(kind, sound, tmp_path, clock):
    source, epoch, rows = sound
    shutil.copy(source / "journal.db", tmp_path / "journal.db")
    damage = Damage(tmp_path / "journal.db")
    hit = getattr(damage, kind)()
    (tmp_path / "journal.db").write_bytes(damage.data)
    clock.now = 50_000_000
    journal = Journal.open(tmp_path, gateway="g-1", clock=clock, uplinks=["city"])
    try:
        # Polling goes on at once: the first commit does not wait for anything.
        [first] = await journal.commit(small(uptime=clock.now))
        await until(lambda: journal.stats().damaged and journal.stats().damaged[0].done)
        [second] = await journal.commit(small(uptime=clock.now))
        assert second.epoch == journal.epoch != epoch
        stats = journal.stats()
        assert stats.state == "ok"
        assert (tmp_path / "damaged" / "0001" / "journal.db").exists()
        assert json.loads((tmp_path / "damaged" / "0001" / "report.json").read_text())["done"]

        if first.epoch == epoch:  # found by the walk only: it was taken into the damaged file
            rows = rows | {first.seq: first}
        untouched = set(rows) - hit
        back = {s.seq: s for s in await journal.find(epoch, 1, ROWS + 1, 2 * ROWS)}
        wrong = sum(back[seq] != rows.get(seq) for seq in back)
        note(
            "damage",
            part=kind,
            runs=1,
            taken=len(rows),
            lost=len(untouched - set(back)),
            twice=0,
            wrong=wrong,
        )
        assert len(set(back) & untouched) >= 0.99 * len(untouched)
        assert all(back[seq] == rows[seq] for seq in back)
        # The new epoch says which went before; numbers go on where the newest row could still be read.
        new = await journal.find(journal.epoch, 1, 10_000_000)
        started = [e for e in wire.decode(new[0].body).events if e.kind == "epoch_started"]
        assert started[0].fields["reason"] == "damage"
        assert started[0].fields["previous"] == epoch
        assert new[0].seq == started[0].fields["last"] + 1
        if kind != "truncated_to_half":
            assert started[0].fields["last"] >= ROWS - 2

        # Delivered rows are not sent again; the others are, under their old identity.
        offered = {s.seq for s in await journal.salvaged("city", 2 * ROWS)}
        assert offered <= set(back)
        if started[0].fields["last"] >= ROWS - 2:
            assert not offered & set(range(1, SETTLED + 1))
        assert offered >= set(back) - set(range(1, SETTLED + 1))
        # What is lost for good is explained, and told.
        lost = {n for n in range(SETTLED + 1, min(ROWS, started[0].fields["last"]) + 1) if n not in back}
        explained = {
            n
            for a, b, reason in await journal.explain(epoch, 1, ROWS)
            if reason == "damaged"
            for n in range(a, b + 1)
        }
        assert explained >= lost
        said = journal.stats()
        assert said.lost == len(explained)
        if lost:
            assert (said.lost_since or 0) <= min(rows[seq].t0 for seq in lost)
            assert (said.lost_until or clock.wall()) >= max(rows[seq].t0 for seq in lost)
            assert said.lost_at is not None
            assert abs(said.lost_at - clock.wall()) < 60_000
        events = [
            e
            for s in await journal.find(journal.epoch, 1, 10_000_000, 100)
            for e in wire.decode(s.body).events
        ]
        told = {
            n
            for e in events
            if e.kind == "damaged" and e.fields["epoch"] == epoch
            for n in range(e.fields["from"], e.fields["to"] + 1)
        }
        assert told >= lost
        assert [e.fields["rows"] for e in events if e.kind == "salvaged"] == [len(back)]
        assert journal.carried["pulses"]["su"] >= (ROWS - 2 if kind != "truncated_to_half" else 1)
        assert first.seq <= second.seq

        await journal.settle("city", epoch, Ranges([(1, ROWS + 1)]))
        assert await journal.salvaged("city") == []
        await journal.commit(small(uptime=clock.now))
    finally:
        await journal.close()
    journal = Journal.open(tmp_path, gateway="g-1", clock=clock, uplinks=["city"])
    assert await journal.salvaged("city") == []
    assert len(await journal.find(epoch, 1, ROWS + 1, 2 * ROWS)) == len(back)
    again = journal.stats()
    assert (again.lost, again.lost_since, again.lost_until, again.lost_at) == (
        said.lost,
        said.lost_since,
        said.lost_until,
        said.lost_at,
    ), "a restart forgets nothing"
    await journal.close()
