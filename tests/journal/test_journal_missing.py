"""What is no longer held: noted in ranges, told until somebody has heard it, and answered to whoever asks."""

import pytest

from gateway.errors import JournalDamaged
from gateway.journal.file import epochs, missing
from gateway.journal.file.epochs import EpochStart, ToTell
from gateway.journal.file.missing import DAMAGED, DELIVERED, NOBODY, TELL, THINNED, UNTOLD
from gateway.journal.file.store import JournalStore
from gateway.model import Ranges

A, B = "0a" * 8, "0b" * 8


@pytest.fixture
def store(tmp_path):
    store = JournalStore(tmp_path / "journal.db")
    yield store
    store.close()


def note(store, *entries, told=UNTOLD):
    with store.transaction():
        for entry in entries:
            epoch, first, last, reason, readings = (*entry, 0)[:5]
            missing.note(store, (epoch, first, last, reason), readings, told=told)


def table(store):
    rows = store.query("SELECT epoch, first, last, readings, reason, told FROM gone ORDER BY epoch, first")
    return [(epoch.hex(), *more) for epoch, *more in rows]


def test_a_range_melts_into_its_neighbours_when_they_say_the_same(store):
    note(store, (A, 5, 6, THINNED, 20))
    note(store, (A, 7, 9, THINNED, 30))
    assert table(store) == [(A, 5, 9, 50, THINNED, UNTOLD)]
    note(store, (A, 1, 3, THINNED, 3))
    assert table(store) == [(A, 1, 3, 3, THINNED, UNTOLD), (A, 5, 9, 50, THINNED, UNTOLD)]
    note(store, (A, 4, 4, THINNED, 7))
    assert table(store) == [(A, 1, 9, 60, THINNED, UNTOLD)]
    note(store, (A, 11, 12, THINNED, 1))
    assert len(table(store)) == 2, "there is one between them"


@pytest.mark.parametrize(
    ("reason", "told"),
    [(DELIVERED, UNTOLD), (THINNED, NOBODY), (THINNED, 9)],
)
def test_a_range_that_says_something_else_stays_apart_on_either_side(store, reason, told):
    note(store, (A, 4, 5, THINNED, 1), (A, 8, 9, THINNED, 1))
    note(store, (A, 6, 7, reason, 1), told=told)
    assert [entry[1:3] for entry in table(store)] == [(4, 5), (6, 7), (8, 9)]


def test_another_epochs_numbers_are_other_numbers(store):
    note(store, (A, 1, 2, THINNED, 1), (B, 3, 4, THINNED, 1))
    assert [entry[:3] for entry in table(store)] == [(A, 1, 2), (B, 3, 4)]
    assert missing.explain(store, A, Ranges([(1, 4)])) == [(1, 2, THINNED), (3, 4, "unknown")]
    assert missing.explained(store, A, 2, 9)
    assert missing.explained(store, A, 1, 1)
    assert not missing.explained(store, A, 3, 9)
    assert not missing.explained(store, B, 1, 2)


def test_an_answer_covers_what_was_asked_and_nothing_else(store):
    note(store, (A, 3, 5, THINNED, 1))
    note(store, (A, 6, 8, THINNED, 1), told=7)
    note(store, (A, 9, 9, DELIVERED, 1), told=NOBODY)
    note(store, (A, 20, 30, DAMAGED, 0))
    assert missing.explain(store, A, Ranges([(4, 7)])) == [(4, 7, THINNED)], (
        "told by two, the same to who asks"
    )
    assert missing.explain(store, A, Ranges([(1, 10)])) == [
        (1, 2, "unknown"),
        (3, 8, THINNED),
        (9, 9, DELIVERED),
        (10, 10, "unknown"),
    ]
    assert missing.explain(store, A, Ranges([(5, 5), (25, 40)])) == [
        (5, 5, THINNED),
        (25, 30, DAMAGED),
        (31, 40, "unknown"),
    ]
    assert missing.explain(store, A, Ranges()) == []


def test_ranges_that_overlap_are_one_answer(store):
    note(store, (A, 1, 2, DELIVERED, 1), (A, 3, 9, THINNED, 1))
    note(store, (A, 4, 6, THINNED, 1), told=7)
    assert len(table(store)) == 3
    said = [(1, 2, DELIVERED), (3, 9, THINNED), (10, 12, "unknown")]
    assert missing.explain(store, A, Ranges([(1, 12)])) == said


def test_what_was_told_is_told_again_when_its_teller_goes_unheard(store):
    note(store, (A, 1, 4, THINNED, 40), (A, 7, 8, DAMAGED))
    assert missing.untold(store) == [(A, 1, 4, THINNED), (A, 7, 8, DAMAGED)]
    with store.transaction():
        missing.tell(store, missing.untold(store), [50, 51])
    assert missing.untold(store) == []
    assert [entry[5] for entry in table(store)] == [50, 51]
    with store.transaction():
        missing.tellers_gone(store, 40, 50, heard=False)
    assert missing.untold(store) == [(A, 1, 4, THINNED)]
    assert [entry[3] for entry in table(store)] == [40, 0]
    with store.transaction():
        missing.tellers_gone(store, 51, 60, heard=True)
    assert [entry[5] for entry in table(store)] == [UNTOLD, NOBODY]
    # Who was told by nobody is not told by a teller of number 0 either.
    with store.transaction():
        missing.tellers_gone(store, 0, 60, heard=True)
    assert [entry[5] for entry in table(store)] == [NOBODY, NOBODY]


def test_what_is_no_longer_there_when_it_is_told_is_no_error(store):
    with store.transaction():
        missing.tell(store, [(A, 1, 4, THINNED)], [50])
    assert table(store) == []


def test_so_many_are_told_at_once_and_the_rest_later(store):
    note(store, *((A, 2 * n, 2 * n, THINNED) for n in range(1, TELL + 6)))
    first = missing.untold(store)
    assert len(first) == TELL
    with store.transaction():
        missing.tell(store, first, [9] * TELL)
    assert missing.untold(store) == [(A, 2 * n, 2 * n, THINNED) for n in range(TELL + 1, TELL + 6)]


def test_an_event_for_each_range_with_its_reason_as_kind():
    [thinned, damaged] = missing.events([(A, 1, 4, THINNED), (B, 7, 7, DAMAGED)], 5000)
    assert (thinned.kind, thinned.uptime, thinned.fields) == (
        "thinned",
        5000,
        {"epoch": A, "from": 1, "to": 4},
    )
    assert (damaged.kind, damaged.fields) == ("damaged", {"epoch": B, "from": 7, "to": 7})


def test_only_this_files_numbers_count_as_this_files(store):
    with store.transaction():
        epochs.insert(store, EpochStart(A, 1, "new_file", "", 0))
    note(store, (A, 3, 5, THINNED, 30), (A, 8, 8, DELIVERED, 10), (B, 4, 9, THINNED, 70))
    assert missing.own(store) == [(3, 5), (8, 8)]
    assert missing.between(store, 2, 9) == (4, 40)
    assert missing.between(store, 3, 9) == (1, 10), "both ends are held"
    assert missing.between(store, 2, 8) == (3, 30)
    assert missing.between(store, 20, 30) == (0, 0)
    assert missing.thinned(store) == (9, 100), "what was given up counts whosever it was"
    assert missing.thinned_to(store) == 5


@pytest.mark.parametrize(
    "values",
    [
        (bytes(8), 1, 1, 0, "thinned", -1),
        (bytes(8), 1, 5, 7, "damaged", 0),
        (bytes(8), 1, 5, 7, "delivered", 12),
    ],
)
def test_an_entry_that_can_have_been_written_is_none_that_is_damaged(store, values):
    store.execute("INSERT INTO gone VALUES (?,?,?,?,?,?)", values)
    missing.check(store)


@pytest.mark.parametrize(
    "values",
    [
        (bytes(7), 1, 1, 0, "thinned", -1),
        (bytes(8), 0, 1, 0, "thinned", -1),
        (bytes(8), 2, 1, 0, "thinned", -1),
        (bytes(8), 1, 1, -1, "thinned", -1),
        (bytes(8), 1, 1, 0, "thinner", -1),
        (bytes(8), 1, 1, 0, "thinned", -2),
    ],
)
def test_an_entry_that_cannot_have_been_written_is_damage(store, values):
    store.execute("INSERT INTO gone VALUES (?,?,?,?,?,?)", values)
    with pytest.raises(JournalDamaged, match="holds nonsense"):
        missing.check(store)


def test_a_reason_that_spoilt_meanwhile_is_damage_when_it_is_asked_for(store):
    store.execute("INSERT INTO gone VALUES (?,?,?,?,?,?)", (bytes.fromhex(A), 1, 2, 0, "thinner", 0))
    with pytest.raises(JournalDamaged):
        missing.untold(store)
    with pytest.raises(JournalDamaged):
        missing.explain(store, A, Ranges([(1, 2)]))


# -- where epochs begin


START = EpochStart(A, 1, "new_file", "", 0)
NEXT = EpochStart(B, 7, "boot", A, 6)


def test_epochs_are_listed_in_the_order_of_their_numbers(store):
    with store.transaction():
        epochs.insert(store, NEXT)
        epochs.insert(store, START)
    assert epochs.firsts(store) == [(A, 1), (B, 7)]
    assert epochs.untold(store) == [], "the first batch of each says so"


def test_a_beginning_is_said_again_when_the_batch_that_said_it_goes_unheard(store):
    with store.transaction():
        for start in (START, NEXT):
            epochs.insert(store, start)
        epochs.tellers_gone(store, 2, 7, heard=False)
    assert epochs.untold(store) == [NEXT]
    with store.transaction():
        epochs.tell(store, NEXT, 9)
    assert epochs.untold(store) == []
    with store.transaction():
        epochs.tellers_gone(store, 1, 1, heard=True)
        epochs.tellers_gone(store, 9, 9, heard=False)
        epochs.tellers_gone(store, 1, 8, heard=False)
    assert epochs.untold(store) == [NEXT]


def test_a_beginning_tells_an_end_from_a_gap():
    first = NEXT.event(500)
    assert (first.kind, first.uptime) == ("epoch_started", 500)
    assert first.fields == {"previous": A, "last": 6, "reason": "boot"}
    assert NEXT.event(500, again=True).fields == {"epoch": B, "first": 7, **first.fields}
    assert START.event(500).fields["previous"] is None


def test_what_a_commit_has_to_tell_of_both_is_noted_with_the_right_batches(store):
    with store.transaction():
        for start in (START, NEXT):
            epochs.insert(store, start)
        epochs.tellers_gone(store, 1, 7, heard=False)
    note(store, (A, 3, 5, THINNED), (B, 8, 8, THINNED))
    told = ToTell(epochs.untold(store), missing.untold(store))
    assert told
    assert [event.kind for event in told.events(7)] == [
        "epoch_started",
        "epoch_started",
        "thinned",
        "thinned",
    ]
    told.tellers = [20, 21, 22, 23]
    with store.transaction():
        told.write(store)
    assert store.query("SELECT told FROM epoch ORDER BY first") == [(20,), (21,)]
    assert [entry[5] for entry in table(store)] == [22, 23]
    assert not ToTell()
    assert ToTell(ranges=[(A, 1, 1, THINNED)])
    assert ToTell(starts=[START])
