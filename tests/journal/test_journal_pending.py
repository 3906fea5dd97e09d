"""Drafts that are not committed yet: they wait in bounded memory, and what has to be let go is counted."""

from concurrent.futures import Future

from journal_data import Building, small

from gateway.errors import JournalFull
from gateway.journal.pending import Pending, PendingDraft, answer, unpacked
from gateway.model import Draft, Event

FULL = JournalFull("no room", hint="make some")


def drafts_in(waiting, *drafts):
    made = [PendingDraft(draft, None) for draft in drafts]
    for draft in made:
        waiting.add(draft)
    return made


def refuse(waiting):
    """As the writer does when nothing can be committed."""
    for draft in waiting.pack_all():
        answer(draft, error=FULL)


def packed_size():
    waiting = Pending()
    drafts_in(waiting, Building(1).draft(1000))
    waiting.pack_all()
    return waiting.packed


def test_what_need_not_be_kept_is_let_go_first_and_the_oldest_of_it():
    waiting = Pending(most=int(3.5 * packed_size()))
    building = Building(1)
    drafts = [building.draft(1000 * number, keep=number in {0, 3}) for number in range(5)]
    made = drafts_in(waiting, *drafts)
    refuse(waiting)
    assert waiting.head(10) == [made[0], made[3], made[4]]
    assert (waiting.dropped, waiting.untold, waiting.late) == (2, 2, 3)
    assert waiting.packed == sum(len(draft.packed) for draft in waiting.head(10)) <= 3.5 * packed_size()
    for draft in made:
        assert isinstance(draft.outcome.exception(0), JournalFull), "whoever waits is told"
    assert [unpacked(draft).readings for draft in waiting.head(10)] == [
        drafts[number].readings for number in (0, 3, 4)
    ]


def test_with_nothing_else_left_the_oldest_that_was_to_be_kept_goes():
    waiting = Pending(most=int(2.5 * packed_size()))
    building = Building(1)
    made = drafts_in(waiting, *(building.draft(1000 * number, keep=True) for number in range(4)))
    refuse(waiting)
    assert waiting.head(10) == made[2:]
    assert waiting.dropped == 2


def test_an_event_is_kept_as_if_it_had_been_asked_for():
    waiting = Pending()
    plain, event, asked = drafts_in(
        waiting, small(), Draft([], [Event("clock_step", 5, {"by": 1})]), small(keep=True)
    )
    assert (plain.keep, event.keep, asked.keep) == (False, True, True)
    assert (plain.readings, event.readings) == (1, 0)


def test_what_is_committed_or_lost_is_counted_once():
    waiting = Pending()
    made = drafts_in(waiting, small(), small(), small())
    refuse(waiting)
    refuse(waiting)
    assert (waiting.late, waiting.packed) == (3, sum(len(draft.packed) for draft in made))
    waiting.committed(made[:1])
    waiting.committed(made[:1])
    waiting.lose(made[1])
    assert (waiting.late, waiting.packed, len(waiting)) == (1, len(made[2].packed), 1)
    assert (waiting.dropped, waiting.untold) == (1, 1)
    assert waiting.head(0) == []


def test_it_is_pressed_when_more_than_half_is_used():
    size = packed_size()
    waiting = Pending(most=4 * size)
    building = Building(1)
    drafts_in(waiting, building.draft(1000))
    refuse(waiting)
    assert not waiting.pressed
    drafts_in(waiting, *(building.draft(1000 * number) for number in (2, 3)))
    refuse(waiting)
    assert waiting.pressed
    waiting.committed(waiting.head(3))
    assert not waiting.pressed


def test_whoever_has_been_told_is_not_told_again():
    draft = PendingDraft(small(), None)
    assert answer(draft, sealed=[])
    assert not answer(draft, error=FULL)
    assert draft.outcome.result(0) == []
    refused = PendingDraft(small(), None, outcome=Future())
    assert answer(refused, error=FULL)
    assert refused.outcome.exception(0) is FULL
