"""A draft becomes rows, and a file says where it ends."""

import random
from dataclasses import replace

import pytest
from journal_data import Building, small

from gateway import wire
from gateway.errors import JournalDamaged
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.epochs import new_epoch
from gateway.journal.file.resume import Lost, ResumePoint, Synced, Thinned, read_carry, recall, write_carry
from gateway.journal.file.rows import CommitStamp, earliest, from_record, seal, tellers
from gateway.journal.file.store import JournalStore
from gateway.model import Draft, Event, Reading

STAMP = CommitStamp("g-1", "0a" * 8, "b0" * 16, 1_795_000_000_000, "synced")


def large(meters=900, uptime=5000, **more):
    """A draft that does not fit into one batch: values with all their digits."""
    rng = random.Random(4)
    names = ["active_power", "active_power_l1", "active_power_l2", "active_energy_import", "voltage_l1n"]
    readings = [
        Reading(f"m{n:03d}", uptime + n, {name: rng.random() * 1e6 for name in names}) for n in range(meters)
    ]
    return Draft(readings, **more)


def test_a_draft_is_dated_by_its_first_reading_or_event():
    assert earliest(Draft([Reading("a", 70, {}), Reading("b", 50, {})], [Event("door", 10)]), 99) == 50
    assert earliest(Draft(events=[Event("door", 30), Event("door", 20)]), 99) == 20
    assert earliest(Draft(), 99) == 99


def test_a_row_says_whose_it_is_and_counts_on():
    draft = Building(3).draft(5000)
    [row] = seal(draft, STAMP, 5000, 41, 1000)
    sealed = row.sealed
    assert (row.seq, sealed.epoch, sealed.boot, sealed.clock) == (41, "0a" * 8, "b0" * 16, "synced")
    assert (sealed.t0, sealed.uptime) == (1_795_000_005_000, 5000)
    assert (sealed.readings, sealed.values) == (3, 3 * 34)
    assert (row.total, row.carry, sealed.keep) == (1003, "", False)
    batch = wire.decode(wire.decompress(sealed.body))
    assert (batch.gateway, batch.epoch, batch.seq, batch.t0, batch.uptime) == (
        "g-1",
        "0a" * 8,
        41,
        1_795_000_005_000,
        5000,
    )
    assert from_record(row.record) == row


def test_a_clock_before_1970_dates_nothing_below_zero():
    [row] = seal(small(), replace(STAMP, offset=-10_000), 5000, 1, 0)
    assert row.sealed.t0 == 0


def test_a_draft_that_is_split_counts_each_reading_once():
    rows = seal(large(), STAMP, 5000, 7, 100)
    assert len(rows) > 1
    assert [row.seq for row in rows] == list(range(7, 7 + len(rows)))
    totals = [row.total for row in rows]
    assert totals == [100 + sum(row.sealed.readings for row in rows[: n + 1]) for n in range(len(rows))]
    assert totals[-1] == 1000
    assert sum(row.sealed.values for row in rows) == 4500


@pytest.mark.parametrize(
    ("more", "keep"),
    [({}, False), ({"keep": True}, True), ({"events": [Event("door", 1000)]}, True)],
)
def test_what_is_to_be_kept_and_events_are_spared(more, keep):
    [row] = seal(small(**more), STAMP, 1000, 1, 0)
    assert row.sealed.keep is keep


def test_the_batch_that_tells_is_the_one_that_holds_the_event():
    events = [Event("thinned", 5000, {"epoch": "0b" * 8, "from": n, "to": n}) for n in range(1, 4)]
    [row] = seal(small(events=events), STAMP, 1000, 9, 0)
    assert tellers([row], events) == [9, 9, 9]
    many = [Event("thinned", 5000, {"epoch": "0b" * 8, "from": n, "to": n + 7}) for n in range(1500)]
    rows = seal(large(events=many), STAMP, 5000, 20, 0)
    said = {
        (event.kind, event.fields["from"]): row.seq
        for row in rows
        for event in wire.decode(wire.decompress(row.sealed.body)).events
    }
    assert len(set(said.values())) > 1
    assert tellers(rows, many) == [said["thinned", n] for n in range(1500)]
    # What cannot be found is noted for the first: it is told again when that one goes.
    assert tellers(rows, [Event("thinned", 5000, {"from": 9999})]) == [20]


def test_epochs_are_names_that_were_never_used():
    names = {new_epoch() for _ in range(200)}
    assert len(names) == 200
    assert all(len(bytes.fromhex(name)) == 8 for name in names)


# -- the column that goes on where a file ends


def test_a_carry_says_what_was_put_into_it_and_nothing_empty():
    parts = (
        {"city": [[1, 5]]},
        {"pulses": {"ğ": 1}},
        Synced(5, 6, "b0"),
        Thinned(7, 8, 9, 10),
        Lost(1, 0, 2, 3),
    )
    text = write_carry(*parts)
    assert read_carry(text) == parts
    assert " " not in text
    assert "ğ" in text
    assert write_carry({}, {}, None) == "{}"
    assert read_carry("{}") == ({}, {}, None, None, Lost())


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "7", '"x"'])
def test_a_carry_that_makes_no_sense_says_nothing(text):
    assert read_carry(text) == ({}, {}, None, None, Lost())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"settled":[],"with":7}', ({}, {}, None, None, Lost())),
        ('{"synced":[1,2]}', ({}, {}, None, None, Lost())),
        ('{"synced":[1,2,3]}', ({}, {}, None, None, Lost())),
        ('{"synced":[1,2,"b"]}', ({}, {}, Synced(1, 2, "b"), None, Lost())),
        ('{"synced":[1,2,"b",4]}', ({}, {}, None, None, Lost())),
        ('{"synced":{"a":1}}', ({}, {}, None, None, Lost())),
        ('{"thinned":[1,2,3]}', ({}, {}, None, None, Lost())),
        ('{"thinned":[1,2,3,4]}', ({}, {}, None, Thinned(1, 2, 3, 4), Lost())),
        ('{"thinned":[1,2,3,true]}', ({}, {}, None, None, Lost())),
        ('{"thinned":[1,2,3,4.0]}', ({}, {}, None, None, Lost())),
        ('{"lost":[1,2,3,4,5,6]}', ({}, {}, None, None, Lost(1, 2, 3, 4, 5, 6))),
        ('{"lost":[1,2,3,4]}', ({}, {}, None, None, Lost())),
        ('{"lost":"1234"}', ({}, {}, None, None, Lost())),
    ],
)
def test_a_part_of_a_carry_that_makes_no_sense_costs_that_part(text, found):
    assert read_carry(text) == found


def write(file, *, synced=True, carry=None, keep=False):
    return file.write([small(keep=keep)], "g", 10_000_000, synced=synced, carry=carry, now=1000)[0][0]


def test_a_file_says_where_it_ends(tmp_path):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    assert recall(file.store) is None
    first = write(file, carry={"n": 1})
    file.settle("city", first.epoch, [(1, 1)])
    write(file)
    assert recall(file.store) == file.resume
    assert file.resume.settled == {"city": [[1, 1]]}
    assert file.resume.carried == {"n": 1}
    assert (file.resume.epoch, file.resume.boot, file.resume.seq, file.resume.total) == (
        first.epoch,
        "b0" * 16,
        2,
        2,
    )
    assert file.resume.synced == (first.t0, 1000, "b0" * 16)
    # Without a trusted clock the newest trusted time is carried on; with one the row itself is it.
    write(file, synced=False)
    assert recall(file.store).synced == (first.t0, 1000, "b0" * 16)
    [carry] = file.store.query("SELECT carry FROM batch ORDER BY seq DESC LIMIT 1")
    assert read_carry(carry[0])[2] == (first.t0, 1000, "b0" * 16)
    write(file)
    [carry] = file.store.query("SELECT carry FROM batch ORDER BY seq DESC LIMIT 1")
    assert read_carry(carry[0])[2] is None
    file.close()


def test_an_epoch_begins_where_nobody_knows_how_it_went_on(tmp_path):
    path = tmp_path / "journal.db"

    def opened(boot="b0" * 16, **more):
        file = JournalFile(path, boot, ["city"], **more)
        opening, epoch, last = file.opening, file.epoch, file.last
        return file, opening, epoch, last

    file, opening, first, last = opened()
    assert (opening, last) == ("new_file", 0)
    write(file)
    write(file)
    file.close()
    file, opening, epoch, last = opened()
    assert (opening, epoch, last) == (None, first, 2)
    resume = file.resume
    file.close()
    file, opening, epoch, last = opened(boot="b1" * 16)
    assert (opening, last) == ("boot", 2)
    assert epoch != first
    file.close()
    # What was taken after this copy of the file is not in it: its numbers are not given out again.
    file, opening, epoch, last = opened(before=replace(resume, seq=3))
    assert (opening, last) == ("damage", 3)
    assert epoch != first
    assert write(file).seq == 4
    file.close()
    file, opening, epoch, last = opened(before=resume)
    assert (opening, last) == (None, 4), "what is known already is no damage"
    file.close()


@pytest.mark.parametrize(("newest", "missing"), [(3, None), (4, (4, 4)), (9, (4, 9))])
def test_a_mark_that_is_newer_than_the_file_tells_what_is_missing(tmp_path, newest, missing):
    path = tmp_path / "journal.db"
    file = JournalFile(path, "b0" * 16, ["city"])
    for _ in range(3):
        write(file)
    epoch = file.epoch
    file.close()
    file = JournalFile(path, "b0" * 16, ["city"], mark=(epoch, 1, newest))
    assert file.missing == (missing and (epoch, *missing))
    assert file.opening == ("damage" if missing else None)
    assert file.last == newest
    if missing:
        assert file.explain(epoch, *missing) == [(*missing, "damaged")]
        assert file.store.query("SELECT readings FROM gone") == [(0,)], "nobody knows how many they were"
        row = write(file, keep=True)
        assert row.seq == newest + 1
        kinds = [event.kind for event in wire.decode(wire.decompress(row.body)).events]
        assert kinds == ["epoch_started", "damaged"]
    file.close()
    # With what is known of the end there is nothing to learn from a mark.
    file = JournalFile(path, "b0" * 16, ["city"], before=ResumePoint(epoch=epoch, seq=3), mark=(epoch, 1, 99))
    assert file.missing is None
    file.close()


@pytest.mark.parametrize("first", [2, 3, 9])
def test_rows_before_the_first_epoch_are_damage(tmp_path, first):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    for _ in range(3):
        write(file)
    file.store.execute("UPDATE epoch SET first = ?", (first,))
    if first == 3:
        file.store.execute("DELETE FROM batch WHERE seq = 2")
    file.close()
    with pytest.raises(JournalDamaged, match="its epochs are not those of its rows"):
        JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])


def test_every_row_is_found_as_it_was_written(tmp_path):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    rows = [write(file) for _ in range(5)]
    assert file.contains(rows)
    assert file.contains([])
    assert not file.contains([*rows, replace(rows[0], seq=9)])
    assert not file.contains([replace(rows[0], body=b"other")])
    assert file.find(file.epoch, 2, 4, 10) == rows[1:4]
    assert file.find(file.epoch, 1, 5, 2) == rows[:2]
    assert file.find("0c" * 8, 1, 5, 9) == []
    assert file.unsettled("city", 0, 9, 1 << 20) == rows
    assert file.unsettled("city", 3, 9, 1 << 20) == rows[3:]
    size = len(rows[0].body)
    assert file.unsettled("city", 0, 9, 0) == rows[:1], "one at least"
    assert file.unsettled("city", 1, 9, 2 * size + 2) == rows[1:3]
    file.settle("city", file.epoch, [(2, 3)])
    assert file.unsettled("city", 0, 9, 1 << 20) == [rows[0], *rows[3:]]
    assert [file.store.edge(2, 4)[0], file.store.edge(2, 4, "DESC")[0]] == [2, 4]
    assert file.store.edge(6, 9) is None
    assert [row.seq for row in file.store.newest(2)] == [5, 4]
    assert [row.seq for row in file.store.newest()] == [5]
    file.close()


def test_more_rows_than_one_piece_are_asked_for_piece_by_piece(tmp_path):
    file = JournalFile(tmp_path / "journal.db", "b0" * 16, ["city"])
    for _ in range(13):
        file.write([small() for _ in range(10)], "g", 0, synced=True, carry=None, now=1000)
    assert [row.seq for row in file.unsettled("city", 0, 500, 1 << 30)] == list(range(1, 131))
    assert [row.seq for row in file.unsettled("city", 7, 101, 1 << 30)] == list(range(8, 109))
    file.settle("city", file.epoch, [(40, 60), (70, 70)])
    assert [row.seq for row in file.unsettled("city", 30, 500, 1 << 30)] == [
        *range(31, 40),
        *range(61, 70),
        *range(71, 131),
    ]
    assert file.uptimes("b0" * 16) == [1000] * 100
    assert file.uptimes("b1" * 16) == []
    file.close()


def test_a_row_that_was_saved_twice_is_saved_once(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    [row] = seal(small(), STAMP, 1000, 1, 0)
    with store.transaction():
        assert store.insert([row], "salvage") == 1
        assert store.insert([row], "salvage") == 0
    assert store.select("", table="salvage") == [row]
    assert store.used == store.size - store.free
    store.close()


WEEK = 7 * 86_400_000


@pytest.mark.parametrize(
    ("before", "let_go", "synced", "after"),
    [
        (Lost(), 0, True, Lost()),
        (Lost(), 5, True, Lost(let_go=5, let_go_at=9 * WEEK)),
        (Lost(), 5, False, Lost(let_go=5)),
        (Lost(let_go=5), 0, True, Lost(let_go=5, let_go_at=9 * WEEK)),
        (Lost(let_go=5), 0, False, Lost(let_go=5)),
        (Lost(let_go=5, let_go_at=9 * WEEK - 9), 2, True, Lost(let_go=7, let_go_at=9 * WEEK)),
        (Lost(let_go=5, let_go_at=7 * WEEK), 2, True, Lost(let_go=2, let_go_at=9 * WEEK)),
        (Lost(let_go=5, let_go_at=7 * WEEK), 0, True, Lost(let_go=5, let_go_at=7 * WEEK)),
        (Lost(batches=3), 0, True, Lost(batches=3, at=9 * WEEK)),
        (Lost(3, 1, 2, 4), 0, True, Lost(3, 1, 2, 4)),
    ],
)
def test_what_is_lost_is_dated_by_the_first_commit_with_a_right_clock(before, let_go, synced, after):
    assert before.told(let_go, 9 * WEEK, synced=synced) == after


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        (Lost(), (3, 10, 20, 30), Lost(3, 10, 20, 30)),
        (Lost(2, 5, 15, 25), (3, 10, 20, 30), Lost(5, 5, 20, 30)),
        (Lost(2, 5, 15, 25, 7, 8), (3, 0, 20, 30), Lost(5, 0, 20, 30, 7, 8)),
        (Lost(2, 5, 15, 25), (3, 10, 0, 30), Lost(5, 5, 0, 30)),
        (Lost(2, 5, 15, 0), (3, 10, 20, 30), Lost(5, 5, 20, 30)),
        (Lost(2, 5, 15, 25), (3, 10, 20, 25 + WEEK), Lost(3, 10, 20, 25 + WEEK)),
    ],
)
def test_what_two_files_cost_within_a_week_is_told_as_one(before, found, after):
    assert before.more(*found) == after
