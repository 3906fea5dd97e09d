"""What became of each batch: PUBACKs and receipts in, settled ranges and figures out."""

import logging

import pytest
from uplink_parts import E1, E2, outbox, row

from gateway.common.troubles import Troubles
from gateway.model import Ranges
from gateway.uplink.delivery import Delivery, Settling, key_of
from gateway.uplink.delivery.conflicts import Conflicts, derived_epoch
from gateway.uplink.delivery.delivery import ABOUT_ONE_BATCH
from gateway.uplink.delivery.receipts import LAG, Receipts
from gateway.uplink.delivery.window import GRACE
from gateway.wire import Receipt, decompress, digest


def ranges(*pairs):
    return Ranges(pairs)


def delivery(count, consumers=("a",), patience=30.0, *, acked=True):
    found = Delivery(list(consumers), patience, 2.0 * patience)
    rows = [row(seq) for seq in range(1, count + 1)]
    for sealed in rows:
        found.sent(sealed, 0.0)
    if acked:
        found.acknowledged([(key_of(sealed), 0) for sealed in rows], 0.1)
    return found, rows


def says(found, consumer="a", now=1.0, **fields):
    return found.receipt(consumer, Receipt(**{"epoch": E1, "upto": 0, **fields}), now)


def test_what_some_have_and_others_not_is_not_delivered_and_counted_once():
    found, rows = delivery(3, ["a", "b"])
    assert found.undelivered == 3
    says(found, upto=2)
    assert found.undelivered == 3, "b lacks all three"
    found.sent(rows[0], 2.0)
    assert found.undelivered == 3, "sent again for b: still one batch"
    says(found, "b", upto=2)
    assert (found.undelivered, found.settled()) == (1, {E1: ranges((1, 2))})
    found.sent(row(9), 3.0, replay=True)
    assert found.undelivered == 1, "a replay is not ours to deliver"


def test_settled_is_told_once_and_again_when_the_journal_could_not_hear_it():
    found, _ = delivery(4, [])
    told = found.settled()
    assert told == {E1: ranges((1, 4))}
    assert found.settled() == {}
    found.unsettled(E1, told[E1])
    found.unsettled(E1, ranges((6, 6)))
    assert found.settled() == {E1: ranges((1, 4), (6, 6))}


def test_counters_tell_batches_and_readings():
    found, rows = delivery(3, ["a"])
    says(found, upto=3)
    counters = found.counters
    assert (counters.sent_batches, counters.resent_batches) == (3, 0)
    assert (counters.delivered_batches, counters.delivered_readings) == (3, 3)
    found.sent(rows[0], 2.0, replay=True)
    assert (counters.sent_batches, counters.resent_batches, counters.replayed_batches) == (4, 1, 1)
    found.ignored()
    assert counters.ignored_messages == 1


@pytest.mark.parametrize("code", sorted(ABOUT_ONE_BATCH))
def test_a_refusal_of_one_batch_stops_nobody(code):
    found, rows = delivery(2, acked=False)
    outcome = found.acknowledged([(key_of(rows[0]), code)], 1.0)
    assert [sealed.seq for sealed, _ in outcome.unfit] == [1]
    assert (outcome.again, outcome.refused, outcome.accepted) == ([], [], False)
    assert not found.one_by_one
    assert found.counters.refused == 1
    assert found.unacked == 1


def test_a_refusal_of_all_goes_on_one_by_one_until_one_is_taken():
    found, rows = delivery(3, acked=False)
    outcome = found.acknowledged([(key_of(rows[0]), 0x87), (key_of(rows[1]), 0x10)], 1.0)
    assert (outcome.accepted, outcome.refused, outcome.again) == (True, [0x87], [rows[0]])
    assert found.counters.refused == 1
    assert found.one_by_one
    assert not found.may_try(30.9)
    assert not found.may_try(31.0), "one is on its way"
    found.acknowledged([(key_of(rows[2]), 0x87)], 2.0)
    assert found.may_try(31.0)
    found.tried(31.0)
    assert not found.may_try(90.9)
    assert found.may_try(91.0), "twice as long after each try"
    found.sent(rows[0], 91.0)
    found.acknowledged([(key_of(rows[0]), 0)], 91.5)
    assert not found.one_by_one


def test_without_receipts_nobody_who_subscribes_is_a_refusal():
    found, rows = delivery(1, [], acked=False)
    outcome = found.acknowledged([(key_of(rows[0]), 0x10)], 1.0)
    assert (outcome.refused, outcome.again, outcome.accepted) == ([0x10], rows, False)
    assert found.settled() == {}


def test_a_refused_replay_is_not_offered_again():
    found = Delivery(["a"], 30.0, 60.0)
    found.sent(row(1), 0.0, replay=True)
    assert found.acknowledged([((E1, 1), 0x87)], 1.0).again == []
    found.sent(row(1), 2.0, replay=True)
    found.acknowledged([((E1, 1), 0)], 2.1)
    assert found.undelivered == 0
    assert found.retry(1000.0) is None, "whoever asked will ask again"


def test_a_batch_that_can_never_be_sent_is_settled_once():
    found, rows = delivery(2, ["a"])
    assert found.give_up(rows[1])
    assert not found.give_up(rows[1]), "it is known"
    assert found.settled() == {E1: ranges((2, 2))}
    assert found.skip(rows[1])


def test_a_batch_in_conflict_that_can_never_be_sent_is_no_conflict_any_more():
    found, rows = delivery(2, ["a"])
    says(found, conflicts=[2])
    found.conflicts.reissue(rows[1])
    assert found.again() == [rows[1]]
    assert found.epoch(rows[1]) != E1
    assert not found.needless(rows[1])
    assert found.give_up(rows[1])
    assert found.again() == []


def test_what_a_receipt_overtakes_goes_again_after_the_grace_and_not_before():
    found, rows = delivery(3)
    assert says(found, now=60.0, have=[[2, 2]]).again == []
    assert found.lost(59.9 + GRACE) == []
    assert says(found, now=60.2 + GRACE, have=[[2, 3]]).again == [rows[0]]
    assert found.lost(99.0) == []


def test_a_platform_that_is_back_is_tried_soon():
    found, rows = delivery(1, patience=30.0)
    assert found.retry(29.0) is None
    assert found.retry(31.0) == rows[0]
    assert found.retry(60.0) is None
    says(found, now=61.0)
    assert found.retry(61.5) is None
    assert found.retry(62.0) == rows[0], "a second after its first word"
    says(found, now=62.1)
    assert found.retry(64.0) is None, "it was heard a moment ago: no reason to hurry"


def test_the_window_is_full_by_batches_without_receipt():
    found, _ = delivery(399)
    assert not found.full
    found.sent(row(400), 1.0)
    assert found.full


# -- who has what


def test_one_consumer_has_nobody_to_lag_behind():
    receipts = Receipts(["a"])
    receipts.sent(E1, 1)
    receipts.receipt("a", Receipt(epoch=E1, upto=1))
    assert not any(receipts.tick(now) for now in (0.0, LAG, 2 * LAG, 10 * LAG))
    assert receipts.partly() == 0


def test_what_another_one_lacks_for_two_looks_is_owed_until_it_is_sent():
    receipts = Receipts(["a", "b"])
    for seq in range(1, 5):
        receipts.sent(E1, seq)
    receipts.receipt("a", Receipt(epoch=E1, upto=4))
    receipts.receipt("b", Receipt(epoch=E1, upto=2))
    assert not receipts.tick(0.0), "nobody knows whether b is there"
    receipts.heard("b", 1.0, waiting=True)
    receipts.heard("a", 1.0, waiting=True)
    assert not receipts.tick(LAG - 0.1)
    assert not receipts.tick(LAG), "it may be on its way"
    assert receipts.tick(2 * LAG)
    assert [receipts.owes(E1, seq) for seq in range(1, 5)] == [False, False, True, True]
    receipts.sent(E1, 3)
    assert [receipts.owes(E1, seq) for seq in range(1, 5)] == [False, False, False, True]
    assert receipts.partly() == 2
    assert receipts.somewhere(E1, 4)
    assert not receipts.somewhere(E1, 5)


def test_a_silent_consumer_is_owed_nothing_and_named_with_its_last_word():
    receipts = Receipts(["a", "b"], silence=60.0)
    receipts.sent(E1, 1)
    receipts.in_custody(E1, 1, 0.0)
    receipts.heard("a", 1.0, waiting=False)
    assert receipts.silent(60.0) == {}
    assert receipts.silent(60.1) == {"b": None}
    assert receipts.waits_for_silent_alone(E1, 1, {"b": None}) is False, "a has not said that it has it"
    receipts.receipt("a", Receipt(epoch=E1, upto=1))
    assert receipts.waits_for_silent_alone(E1, 1, {"b": None})
    assert not receipts.waits_for_silent_alone(E1, 1, {})
    receipts.in_custody(E1, 2, 61.0)
    receipts.heard("b", 62.0, waiting=True)
    assert receipts.silent(121.0) == {}
    assert receipts.silent(122.1) == {"a": 1.0, "b": 62.0}
    receipts.heard("nobody", 200.0, waiting=True)
    assert "nobody" not in receipts.consumers


def test_who_confirmed_a_batch_before_the_broker_did_owes_nothing():
    receipts = Receipts(["a", "b"], silence=60.0)
    receipts.sent(E1, 1)
    receipts.receipt("a", Receipt(epoch=E1, upto=1))
    receipts.heard("a", 1.0, waiting=False)
    receipts.in_custody(E1, 1, 2.0)
    assert receipts.silent(100.0) == {"b": None}


# -- what the journal is told


def settling(box, found, caplog=None):
    return Settling("city", box, found, Troubles(logging.getLogger("gateway.uplink"), "uplink city: "))


def test_no_backlog_is_known_before_it_was_counted():
    box = outbox(3)
    told = settling(box, Delivery(["a"], 30.0, 60.0))
    assert (told.batches, told.readings, told.oldest_t0) == (0, 0, None)
    told.count_backlog()
    assert (told.batches, told.readings, told.oldest_t0) == (3, 3, box.rows[0].t0)


async def test_a_copied_card_is_told_and_what_the_platform_holds_of_ours_is_delivered(caplog):
    box = outbox(1)
    found, (sealed,) = Delivery(["a"], 30.0, 60.0), box.rows
    found.sent(sealed, 0.0)
    mine = digest(decompress(sealed.body))
    found.receipt("a", Receipt(epoch=E1, upto=0, conflicts=[1], digests=[(1, mine)]), 1.0)
    again = []
    await settling(box, found).resolve_conflicts(again.append, "gw1")
    assert again == []
    assert found.settled() == {E1: ranges((1, 1))}
    assert "does a copy of this card run elsewhere?" in caplog.text
    assert box.reasons == [], "our own epoch is good"


@pytest.mark.parametrize("told", ["f" * 32, None])
async def test_a_damaged_batch_is_never_taken_for_what_the_platform_holds(told, caplog):
    box = outbox(1)
    broken = box.rows[0]
    box.rows[0] = type(broken)(
        *[getattr(broken, name) if name != "body" else b"\x78nonsense" for name in broken.__slots__]
    )
    found = Delivery(["a"], 30.0, 60.0)
    found.sent(box.rows[0], 0.0)
    digests = None if told is None else [(1, told)]
    found.receipt("a", Receipt(epoch=E1, upto=0, conflicts=[1], digests=digests), 1.0)
    again = []
    await settling(box, found).resolve_conflicts(again.append, "gw1")
    assert again == []
    assert found.settled() == {}
    assert f"batch {E1}/1 cannot be sent again" in caplog.text
    assert box.reasons == ["conflict"]


async def test_a_journal_that_cannot_leave_its_epoch_is_asked_again():
    box = outbox(2)
    found = Delivery(["a"], 30.0, 60.0)
    for sealed in box.rows:
        found.sent(sealed, 0.0)
    found.receipt("a", Receipt(epoch=E1, upto=0, conflicts=[1, 2]), 1.0)
    new_epoch, again = box.new_epoch, []

    async def trouble(reason):
        raise OSError(5, "Input/output error")

    box.new_epoch = trouble
    settles = settling(box, found)
    with pytest.raises(OSError, match="Input/output"):
        await settles.resolve_conflicts(again.append, "gw1")
    assert found.conflicts.reported == [(E1, 1), (E1, 2)]
    box.new_epoch = new_epoch
    await settles.resolve_conflicts(again.append, "gw1")
    assert box.reasons == ["conflict"], "once for an epoch"
    assert [sealed.seq for sealed in again] == [1, 2]


async def test_what_could_not_be_told_is_told_later_all_of_it():
    box = outbox(3)
    found, _ = delivery(3, [])
    found.unsettled(E2, ranges((7, 7)))
    settle, calls = box.settle, []

    async def trouble(*arguments):
        calls.append(arguments)
        raise OSError(5, "Input/output error")

    box.settle = trouble
    with pytest.raises(OSError, match="Input/output"):
        await settling(box, found).settle()
    assert len(calls) == 1
    box.settle = settle
    await settling(box, found).settle()
    assert list(box.settled["city", E1]) == [(1, 3)]
    assert found.settled() == {}


async def test_trouble_with_the_journal_is_said_once_and_its_end(caplog):
    caplog.set_level(logging.INFO)
    box = outbox(2)
    settles = settling(box, Delivery([], 30.0, 60.0))
    settles.count_backlog()
    assert (settles.batches, settles.readings, settles.oldest_t0) == (2, 2, box.rows[0].t0)
    backlog = box.backlog
    box.backlog = lambda uplink: 1 / 0
    settles.count_backlog()
    settles.count_backlog()
    assert (settles.batches, settles.readings) == (2, 2), "what was known"
    assert caplog.text.count("an unforeseen error: ZeroDivisionError") == 1
    box.backlog = backlog
    settles.count_backlog()
    assert "is over" not in caplog.text, "figures come from memory and prove nothing"
    settles.answered()
    assert caplog.text.count("the trouble with the journal is over") == 1
    settles.trouble(OSError(28, "No space left on device"))
    assert "the journal cannot be asked: [Errno 28]" in caplog.text


def test_a_derived_epoch_depends_on_identity_and_content_alone():
    assert derived_epoch(row(1)) == derived_epoch(row(1))
    assert len({derived_epoch(row(1)), derived_epoch(row(2)), derived_epoch(row(1, value=9))}) == 3
    assert derived_epoch(row(1)) == derived_epoch(row(1, clock="unsynced")), (
        "a repaired time is no other content"
    )


def test_conflicts_are_handled_once_and_bounded():
    conflicts = Conflicts()
    assert conflicts.report(E1, [3, 4]) == [(E1, 3), (E1, 4)]
    assert conflicts.report(E1, [3, 4, 5]) == [(E1, 5)]
    assert len(conflicts.report(E1, range(10, 5000))) < 1000
