"""What goes first when room is needed: one order for a file's own batches and for those of damaged files."""

import random

import pytest
from test_journal_thinning import noise

from gateway import wire
from gateway.journal.file import missing
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.thinning import MOST, OVERHEAD, MayDelete, any_delivered

OLD = "000000000000000d"
"""Before every epoch that a new file draws: what is told is told in the order of the epochs."""
BOOT = "b0" * 16
WALL = 5000


@pytest.fixture
def make(tmp_path):
    """A file with some batches of its own and some that came back from a damaged one, each kept or not."""
    files = []

    def made(own, recovered="", uplinks=("city",)):
        rng = random.Random(1)
        source = JournalFile(tmp_path / f"old-{len(files)}.db", BOOT, uplinks)
        source.epoch = OLD
        for kept in recovered:
            source.write([noise(rng, 1000, keep=kept == "k")], "g", 0, synced=True, carry=None, now=1000)
        rows = list(reversed(source.store.newest(1000)))
        source.close()
        file = JournalFile(tmp_path / f"journal-{len(files)}.db", BOOT, uplinks)
        files.append(file)
        # Newest first, as a damaged file is read.
        for row in reversed(rows):
            file.recover([(row, ())])
        for kept in own:
            file.write([noise(rng, 1000, keep=kept == "k")], "g", 0, synced=True, carry=None, now=1000)
        return file

    yield made
    for file in files:
        file.close()


def held(file):
    return (
        [seq for (seq,) in file.store.query("SELECT seq FROM salvage ORDER BY seq")],
        [row.seq for row in reversed(file.store.newest(1000))],
    )


def drop(file, size=1, may=MayDelete.UNDELIVERED):
    """One lot; what went of either table."""
    before = held(file)
    count = file.make_room(may, size, WALL)
    after = held(file)
    gone = tuple([seq for seq in old if seq not in new] for old, new in zip(before, after, strict=True))
    assert count == sum(map(len, gone))
    return gone


def test_one_row_at_a_time_goes_in_the_order_of_the_documentation(make):
    # The first batch of either file begins an epoch: it is kept.
    file = make("kpkpppppkpp", recovered="kpkpk")
    file.settle("city", OLD, [(1, 2)])
    file.settle("city", file.epoch, [(1, 3)])
    order = []
    while (gone := drop(file)) != ([], []):
        order.append(gone)
    delivered = [([1], []), ([2], []), ([], [1]), ([], [2]), ([], [3])]
    plain = [([4], []), ([], [4]), ([], [5]), ([], [6]), ([], [7]), ([], [8]), ([], [10])]
    kept = [([3], []), ([5], []), ([], [9])]
    assert order == delivered + plain + kept
    assert held(file) == ([], [11])


def test_undelivered_batches_of_a_damaged_file_outlive_delivered_ones_of_this_one(make):
    file = make("kppppp", recovered="kpp")
    file.settle("city", file.epoch, [(2, 4)])
    assert drop(file, size=1 << 20) == ([], [2, 3, 4])
    assert file.thinned == (0, 0)


def test_the_oldest_of_a_damaged_file_goes_first_although_it_came_back_last(make):
    file = make("k", recovered="kpppp")
    assert [drop(file)[0] for _ in range(4)] == [[2], [3], [4], [5]]
    assert drop(file) == ([1], [])


def test_a_batch_that_comes_back_late_is_looked_at_all_the_same(make, tmp_path):
    file = make("k", recovered="kpppp")
    assert [drop(file)[0] for _ in range(2)] == [[2], [3]]
    source = JournalFile(tmp_path / "old-0.db", BOOT, ())
    file.recover((row, ()) for row in source.store.between(2, 3, 9))
    source.close()
    assert [drop(file)[0] for _ in range(4)] == [[2], [3], [4], [5]]


def test_what_is_only_delivered_may_go_when_no_more_is_allowed(make):
    file = make("kpppp", recovered="kpp")
    assert not file.can_make_room(MayDelete.DELIVERED)
    assert drop(file, may=MayDelete.DELIVERED) == ([], [])
    file.settle("city", OLD, [(2, 2)])
    assert any_delivered(file.recovered, ("city",))
    assert not any_delivered(file, ("city",))
    assert file.can_make_room(MayDelete.DELIVERED)
    file.settle("city", file.epoch, [(1, 5)])
    assert drop(file, 1 << 20, MayDelete.DELIVERED) == ([2], [1, 2, 3, 4])
    assert not file.can_make_room(MayDelete.DELIVERED), "the newest stays"
    assert drop(file, 1 << 20, MayDelete.NOTHING) == ([], [])


def test_every_uplink_must_have_it(make):
    file = make("kpppp", recovered="kpp", uplinks=("city", "second"))
    file.settle("city", file.epoch, [(1, 4)])
    file.settle("city", OLD, [(1, 3)])
    assert not file.can_make_room(MayDelete.DELIVERED)
    file.settle("second", file.epoch, [(3, 3)])
    file.settle("second", OLD, [(2, 3)])
    assert drop(file, 1 << 20, MayDelete.DELIVERED) == ([2, 3], [3])


def test_without_an_uplink_nothing_counts_as_delivered(make):
    file = make("kpppp", recovered="kpp", uplinks=())
    assert not file.can_make_room(MayDelete.DELIVERED)
    assert drop(file) == ([2], [])
    assert missing.untold(file.store) == [], "nobody needs to hear it"


def test_a_lot_has_as_many_bytes_as_were_asked_for_and_one_row_more_at_most(make):
    file = make("k" + "p" * 30, recovered="k" + "p" * 10)
    sizes = {row.seq: len(row.sealed.body) for row in file.store.newest(100)}
    each = sum(sizes.values()) / len(sizes) + 150
    gone = drop(file, size=int(3.5 * each))
    assert [len(some) for some in gone] == [4, 0]
    gone = drop(file, size=int(11.5 * each))
    assert [len(some) for some in gone] == [6, 6], "what the one table lacks comes from the other"


def test_as_many_bytes_as_were_asked_for_are_enough_to_the_byte(make):
    file = make("kpppppppp", recovered="kppp")
    recovered = [
        len(row.sealed.body) + OVERHEAD for row in file.store.select("ORDER BY seq", table="salvage")
    ]
    own = [len(row.sealed.body) + OVERHEAD for row in reversed(file.store.newest(100))]
    # The second and the third of the damaged file: not a byte more is needed.
    assert drop(file, size=recovered[1] + recovered[2]) == ([2, 3], [])
    assert drop(file, size=recovered[3] + 1) == ([4], [2])
    assert drop(file, size=own[2]) == ([], [3])
    assert drop(file, size=own[3] + 1) == ([], [4, 5])
    file.settle("city", OLD, [(1, 1)])
    file.settle("city", file.epoch, [(1, 9)])
    assert drop(file, size=recovered[0]) == ([1], [])
    assert drop(file, size=own[0]) == ([], [1])


def test_kept_ones_of_this_file_stay_when_those_of_a_damaged_one_are_enough(make):
    file = make("kkkk", recovered="kkk")
    saved = [len(row.sealed.body) + OVERHEAD for row in file.store.select("ORDER BY seq", table="salvage")]
    assert drop(file, size=saved[0]) == ([1], [])
    assert drop(file, size=saved[1] + saved[2]) == ([2, 3], [])
    assert drop(file, size=1) == ([], [1])


def test_what_stands_between_those_that_go_stays(make):
    file = make("kpkpkppkkp" + "p" * 10, recovered="kpkpk")
    assert drop(file, size=1 << 20) == ([2, 4], [2, 4, 6, 7, *range(10, 19)])
    assert held(file) == ([1, 3, 5], [1, 3, 5, 8, 9, 19, 20])


def test_what_was_told_by_a_batch_that_goes_unheard_is_told_again(make):
    file = make("kpppp" + "k" * 10)
    assert drop(file, size=1 << 20) == ([], [2, 3, 4, 5])
    file.write([noise(random.Random(5), 2000, keep=True)], "g", 0, synced=True, carry=None, now=2000)
    [teller] = {told for (told,) in file.store.query("SELECT told FROM gone")}
    assert (teller, missing.untold(file.store)) == (16, [])
    file.write([noise(random.Random(6), 2000)] * 3, "g", 0, synced=True, carry=None, now=2000)
    # Numbers that are gone need no sending: what is settled on both sides of them is one range.
    file.settle("city", file.epoch, [(1, 1), (6, 6)])
    assert list(file.settled.of("city")) == [(1, 6)]
    told_by = "SELECT told FROM gone WHERE first <= 2 AND last >= 5"
    while teller in held(file)[1]:
        assert file.store.query(told_by) == [(teller,)]
        assert file.make_room(MayDelete.UNDELIVERED, 1, WALL)
    assert file.store.query(told_by) == [(missing.UNTOLD,)]
    # The beginning of the epoch was said by the first batch, which everybody has.
    assert file.store.query("SELECT told FROM epoch") == [(missing.NOBODY,)]


def test_a_transaction_deletes_a_thousand_rows_at_most(tmp_path):
    file = JournalFile(tmp_path / "journal.db", BOOT, ["city"])
    rng = random.Random(2)
    drafts = [noise(rng, 1000, meters=1) for _ in range(50)]
    for _ in range(1 + MOST // 50):
        file.write(drafts, "g", 0, synced=True, carry=None, now=1000)
    file.settle("city", file.epoch, [(1, 700)])
    assert file.make_room(MayDelete.UNDELIVERED, 1 << 40, WALL) == 700
    file.settle("city", file.epoch, [(1, 1049)])
    file.write(drafts * 30, "g", 0, synced=True, carry=None, now=1000)
    file.settle("city", file.epoch, [(1, 2500)])
    assert file.make_room(MayDelete.UNDELIVERED, 1 << 40, WALL) == MOST
    file.close()


def test_what_was_deleted_is_noted_with_its_readings_and_told(make):
    file = make("kpppppppppk", recovered="kpp")
    file.settle("city", file.epoch, [(2, 3)])
    drop(file, 1 << 20)
    drop(file, 1 << 20)
    asked = [(file.epoch, 1, 11), (OLD, 1, 3)]
    assert [file.explain(*each) for each in asked] == [
        [(2, 3, "delivered"), (4, 10, "thinned")],
        [(2, 3, "thinned")],
    ]
    readings = file.store.query("SELECT SUM(readings) FROM gone WHERE reason = 'thinned'")
    assert readings == [(27,)]
    assert file.thinned == (9, 27)
    assert missing.untold(file.store) == [(OLD, 2, 3, "thinned"), (file.epoch, 4, 10, "thinned")]
    [[row]] = file.write(
        [noise(random.Random(3), 2000, keep=True)], "g", 0, synced=True, carry=None, now=2000
    )
    said = [
        (e.fields["epoch"], e.fields["from"], e.fields["to"])
        for e in wire.decode(row.body).events
        if e.kind == "thinned"
    ]
    assert said == [(OLD, 2, 3), (file.epoch, 4, 10)]
    assert missing.untold(file.store) == []


def test_a_transaction_that_fails_leaves_everything_as_it_was(make, monkeypatch):
    file = make("kpppp", recovered="kpp")
    before = held(file), file.thinned, file.recovered.counts, file.tally.stored
    note = missing.note

    def fail(*arguments, **more):
        note(*arguments, **more)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(missing, "note", fail)
    with pytest.raises(OSError, match="Input/output"):
        file.make_room(MayDelete.UNDELIVERED, 1, WALL)
    monkeypatch.undo()
    assert (held(file), file.thinned, file.recovered.counts, file.tally.stored) == before
    assert file.recovered.spans() == [(OLD, 1, 3)]
    assert drop(file) == ([2], [])
