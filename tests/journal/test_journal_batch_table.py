"""What a file holds and what waits for whom: by running counts, in either table, and never for an uplink that
has it.
"""

import pytest
from journal_data import Building, small

from gateway.journal.file import missing
from gateway.journal.file.batches import JournalFile
from gateway.journal.file.recovered import Recovered, read_marks, write_marks
from gateway.journal.file.rows import CommitStamp, seal
from gateway.journal.file.settled import DORMANT, MOST, Settled
from gateway.journal.file.store import JournalStore
from gateway.journal.file.thinning import MayDelete
from gateway.journal.stats import file_stats
from gateway.model import Backlog, Ranges

A, B, BOOT = "0a" * 8, "0b" * 8, "b0" * 16


def opened(tmp_path, uplinks=("city",), boot=BOOT, **more):
    return JournalFile(tmp_path / "journal.db", boot, uplinks, **more)


def write(file, count=1, meters=2, uptime=1000, keep=False):
    rows = []
    for _ in range(count):
        draft = Building(meters).draft(uptime, keep=keep)
        [group] = file.write([draft], "g", 10_000_000, synced=True, carry=None, now=uptime)
        rows += group
    return rows


def counts(file):
    return file.tally.oldest, file.tally.stored, dict(file.tally.backlogs)


def counted(file):
    """The same by looking at every row."""
    rows = list(reversed(file.store.newest(10_000)))
    backlogs = {}
    for uplink in file.settled.active:
        waiting = [row for row in rows if row.seq not in file.settled.of(uplink)]
        oldest = waiting[0].sealed.t0 if waiting else None
        backlogs[uplink] = Backlog(len(waiting), sum(row.sealed.readings for row in waiting), oldest)
    oldest = (rows[0].seq, rows[0].sealed.t0) if rows else None
    return oldest, (len(rows), sum(row.sealed.readings for row in rows)), backlogs


def test_running_counts_are_those_of_the_rows_whatever_happens(tmp_path):
    file = opened(tmp_path, ("city", "second"))
    assert counts(file) == counted(file) == (None, (0, 0), {"city": Backlog(), "second": Backlog()})
    for number in range(1, 41):
        write(file, meters=1 + number % 3, uptime=1000 * number, keep=number % 7 == 0)
        assert counts(file) == counted(file)
        if number % 4 == 0:
            file.settle("city", file.epoch, [(max(1, number - 5), number - 2)])
            assert counts(file) == counted(file)
        if number % 9 == 0:
            file.settle("second", file.epoch, [(1, number - 6), (number, number)])
            assert file.make_room(MayDelete.UNDELIVERED, 1, 5) == 1
            assert counts(file) == counted(file)
        if number % 15 == 0:
            file.begin_epoch("conflict")
    file.settle("second", file.epoch, [(1, 99)])
    while file.make_room(MayDelete.UNDELIVERED, 3000, 5):
        assert counts(file) == counted(file)
    assert file.tally.stored[0] == 1
    file.close()
    file = opened(tmp_path, ("city", "second"))
    assert counts(file) == counted(file)
    file.close()


def test_only_an_uplink_that_is_configured_is_counted(tmp_path):
    file = opened(tmp_path)
    write(file, 3)
    file.settle("gone", file.epoch, [(1, 2)])
    assert set(file.tally.backlogs) == {"city"}
    assert file.settled.known == ("gone",)
    file.settled.activate(("city", "gone"))
    file.count()
    assert {uplink: backlog.batches for uplink, backlog in file.tally.backlogs.items()} == {
        "city": 3,
        "gone": 1,
    }
    file.close()


def test_only_numbers_of_the_epoch_are_settled(tmp_path):
    file = opened(tmp_path)
    first = file.epoch
    write(file, 3)
    file.begin_epoch("conflict")
    write(file, 3)
    assert file.epochs() == [(first, 1, 3), (file.epoch, 4, 6)]
    file.settle("city", first, [(2, 5)])
    assert list(file.settled.of("city")) == [(2, 3)]
    file.settle("city", "0c" * 8, [(1, 6)])
    assert list(file.settled.of("city")) == [(2, 3)]
    file.settle("city", file.epoch, [(1, 99)])
    assert list(file.settled.of("city")) == [(2, 6)]
    assert file.tally.backlogs["city"].batches == 1
    assert list(file.waiting("city")) == [(first, 1, 1)]
    assert list(file.waiting("city", 1)) == []
    file.close()


def test_an_epoch_of_which_every_batch_is_gone_is_looked_at_no_more(tmp_path):
    file = opened(tmp_path)
    first = file.epoch
    write(file, 3)
    file.begin_epoch("conflict")
    write(file, 16)
    file.settle("city", first, [(1, 3)])
    assert list(file.delivered(("city",))) == [(first, 1, 3)]
    assert [span[0] for span in file.spans()] == [first, file.epoch]
    assert file.make_room(MayDelete.DELIVERED, 1 << 30, 5) == 3
    assert [span[0] for span in file.spans()] == [file.epoch]
    assert file.epochs()[0] == (first, 1, 3), "whoever asks for it gets an answer"
    assert list(file.numbers(first)) == [(1, 3)]
    assert list(file.numbers("0c" * 8)) == []
    assert (file.deletable, file.thinnable) == (18, 17)
    file.close()


# -- what need not be sent


def test_what_all_have_is_what_each_has():
    settled = Settled(("a", "b"))
    settled.add("a", [(1, 10)])
    settled.add("b", [(3, 4), (8, 12)])
    assert list(settled.by_all(1, 20)) == [(3, 4), (8, 10)]
    assert list(settled.by_all(4, 8)) == [(4, 4), (8, 8)]
    assert list(settled.by_all(5, 4)) == []
    settled.activate(("a",))
    assert list(settled.by_all(1, 20)) == [(1, 10)]
    settled.activate(())
    assert list(settled.by_all(1, 20)) == [(1, 20)], "nobody is left to wait for"


def test_so_many_ranges_are_carried_and_the_shortest_are_forgotten():
    settled = Settled(("a",))
    settled.add("a", [(10 * n, 10 * n + (n % 5)) for n in range(1, MOST + 1)])
    assert len(settled.of("a")) == MOST
    settled.add("a", [(10_000, 10_009)])
    assert len(settled.of("a")) == MOST
    assert 10_005 in settled.of("a")


def test_sleepers_are_carried_as_far_as_there_is_room_and_the_oldest_go_first():
    settled = Settled()
    names = [f"u{n}" for n in range(DORMANT + 3)]
    for name in names:
        settled.add(name, [(1, 5)])
    settled.activate(())
    assert settled.known == tuple(names[3:])
    settled.activate(("u5", "new"))
    assert settled.known == tuple(names[3:])
    assert settled.active == ("u5", "new")
    assert settled.to_json()["u5"] == [[1, 5]]
    assert "new" not in settled.to_json()


def test_an_uplink_that_was_known_by_its_name_alone_is_the_same_at_its_address():
    settled = Settled()
    settled.load({"city": [[1, 5]], "other": [[1, 2]]})
    settled.activate(("city@mqtts://a", "other"))
    assert list(settled.of("city@mqtts://a")) == [(1, 5)]
    assert settled.known == ("other", "city@mqtts://a")
    # One that has ranges of its own keeps them, and a name that is in use is nobody else's.
    settled.load({"third": [[1, 9]], "third@b": [[2, 2]]})
    settled.activate(("third@b", "other@c", "other"))
    assert list(settled.of("third@b")) == [(2, 2)]
    assert list(settled.of("other@c")) == []


@pytest.mark.parametrize(
    "data",
    [None, [], 7, {"city": 7}, {"city": [1]}, {"city": [[2, 1]]}, {"city": [["x", 1]]}, {"city": None}],
)
def test_ranges_that_make_no_sense_settle_nothing(data):
    settled = Settled(("city",))
    settled.add("city", [(1, 2)])
    settled.load(data)
    assert list(settled.of("city")) == [(1, 2)]


# -- batches of damaged files


def rows_of(epoch, seqs):
    stamp = CommitStamp("g", epoch, BOOT, 0, "synced")
    return [seal(small(), stamp, 1000, seq, seq)[0] for seq in seqs]


def test_recovered_batches_wait_until_they_are_settled_under_their_old_identity(tmp_path):
    file = opened(tmp_path, ("city", "second"))
    old, older = rows_of(B, [5, 6, 7, 9]), rows_of(A, [1, 2])
    assert file.recover((row, ()) for row in [*reversed(old), *reversed(older)]) == 6
    assert file.recover((row, ()) for row in old) == 0, "a row is taken in once"
    assert file.recovered.spans() == [(A, 1, 2), (B, 5, 9)]
    assert file.recovered.counts == {"city": 6, "second": 6}
    assert file_stats(file, file.resume)["salvaged"] == {"city": 6, "second": 6}
    assert [row.seq for row in file.recovered.unsettled("city", 0, 3, 1 << 20)] == [1, 2, 5]
    file.settle("city", B, [(1, 6)])
    assert file.recovered.counts == {"city": 4, "second": 6}
    assert [(row.epoch, row.seq) for row in file.recovered.unsettled("city", 0, 9, 1 << 20)] == [
        (A, 1),
        (A, 2),
        (B, 7),
        (B, 9),
    ]
    assert [row.seq for row in file.find(B, 6, 8, 9)] == [6, 7]
    assert file.explain(B, 5, 10) == [(8, 8, "unknown"), (10, 10, "unknown")]
    assert file.epochs()[:2] == [(A, 1, 2), (B, 5, 9)]
    write(file)
    file.close()
    # The marks were written with the batch.
    file = opened(tmp_path, ("city", "second"))
    assert file.recovered.counts == {"city": 4, "second": 6}
    assert file.recovered.spans() == [(A, 1, 2), (B, 5, 9)]
    assert list(file.recovered.delivered(("city",))) == [(B, 5, 6)]
    assert list(file.recovered.delivered(("city", "second"))) == []
    assert list(file.recovered.delivered(())) == []
    file.close()


def test_what_an_uplink_had_settled_before_the_damage_stays_settled(tmp_path):
    file = opened(tmp_path, ("city", "second"))
    assert file.recover([(row, ["second"]) for row in rows_of(A, [1, 2])]) == 2
    assert file.recovered.counts == {"city": 2, "second": 0}
    file.close()
    file = opened(tmp_path, ("city", "second"))
    assert file.recovered.counts == {"city": 2, "second": 0}
    file.close()


def test_marks_of_an_epoch_that_is_not_held_are_no_marks(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    recovered = Recovered(store)
    assert not recovered.settle("city", A, [(1, 2)])
    assert recovered.counts == {}
    with store.transaction():
        recovered.add(rows_of(A, [1, 2]))
    assert recovered.settle("city", A, [(1, 1)])
    recovered.recount(("city",))
    assert recovered.counts == {"city": 1}
    with store.transaction():
        recovered.write_marks()
    recovered.marks_written()
    assert store.query("SELECT COUNT(*) FROM salvage_settled") == [(1,)]
    store.execute("DELETE FROM salvage_settled")
    with store.transaction():
        recovered.write_marks()
    assert store.query("SELECT COUNT(*) FROM salvage_settled") == [(0,)], "they were written already"
    store.close()


def test_marks_are_believed_with_their_checksum_or_with_none_at_all():
    name = bytes.fromhex(A)
    text = write_marks("city", name, Ranges([(1, 5), (9, 9)]))
    assert list(read_marks("city", name, text)) == [(1, 5), (9, 9)]
    assert list(read_marks("other", name, text)) == []
    assert list(read_marks("city", bytes(8), text)) == []
    assert list(read_marks("city", name, "[[1,5]]")) == [(1, 5)], "an older version wrote none"
    assert list(read_marks("city", name, text[:-1] + ("0" if text[-1] != "0" else "1"))) == []


def test_a_transaction_that_was_rolled_back_is_forgotten(tmp_path):
    file = opened(tmp_path)
    file.recover([(row, ()) for row in rows_of(A, [1, 2])])
    broken = [(row, ()) for row in rows_of(A, [3])]
    write_marks_of = file.recovered.write_marks

    def fail():
        raise OSError(5, "Input/output error")

    file.recovered.write_marks = fail
    with pytest.raises(OSError, match="Input/output"):
        file.recover(broken)
    file.recovered.write_marks = write_marks_of
    assert file.recovered.spans() == [(A, 1, 2)]
    assert file.recovered.counts == {"city": 2}
    assert file.recover(broken) == 1
    assert missing.untold(file.store) == []
    file.close()
