"""What is on its way, who has what, and which numbers are in conflict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplink_parts import E1, E2, row

from gateway.model import Ranges
from gateway.uplink.delivery.conflicts import Conflicts
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.delivery.receipts import Receipts
from gateway.uplink.delivery.window import GRACE, MAX_BATCHES, MAX_BYTES, Window, key_of
from gateway.wire import Receipt

# -- window


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "ack", "drop", "cut", "receipt"]), st.integers(1, 30)),
        max_size=120,
    )
)
def test_the_window_counts_right_whatever_happens(steps):
    window, acked, here = Window(), set(), set()
    for step, (what, seq) in enumerate(steps):
        key = (E1, seq)
        if what == "send":
            window.sent(row(seq), float(step))
            here.add(key)
            acked.discard(key)
        elif what == "ack":
            assert (window.acked(key) is not None) == (key in here - acked)
            acked |= here & {key}
        elif what == "drop":
            window.drop(key)
            here.discard(key)
            acked.discard(key)
        elif what == "cut":
            window.disconnected()
            here &= acked
        else:
            gone = window.leave(E1, Ranges([(1, seq)]), float(step))
            assert {key_of(entry.sealed) for entry in gone} == {k for k in here if k[1] <= seq}
            here = {k for k in here if k[1] > seq}
            acked &= here
        assert len(window) == len(here)
        assert window.unacked == len(here - acked)
        assert window._bytes == sum(len(entry.sealed.body) for entry in window)


def test_the_window_is_full_by_count_and_by_bytes():
    window = Window()
    for seq in range(1, MAX_BATCHES + 1):
        assert not window.full
        window.sent(row(seq), 0.0)
    assert window.full
    big = Window()
    body = b"x" * (MAX_BYTES // 4)
    for seq in range(1, 5):
        assert not big.full
        sealed = row(seq)
        big.sent(type(sealed)(*[body if f == "body" else getattr(sealed, f) for f in sealed.__slots__]), 0.0)
    assert big.full


def on_the_way(*times):
    """Batches 1, 2, … handed over at these times; the broker has them all."""
    window = Window()
    for seq, at in enumerate(times, 1):
        window.sent(row(seq), at)
        window.acked((E1, seq))
    return window


def arrived(window, now, *seqs):
    window.leave(E1, Ranges((seq, seq) for seq in seqs), now)


def lost(window, now):
    return [sealed.seq for sealed in window.lost(now)]


def test_what_was_handed_over_before_one_that_arrived_is_lost_after_the_grace():
    window = on_the_way(*[0.0] * 5)
    arrived(window, 40.0, 3)
    assert lost(window, 40.0 + GRACE / 2) == []
    assert lost(window, 40.1 + GRACE) == [1, 2]
    assert sorted(entry.sealed.seq for entry in window) == [4, 5]


def test_a_batch_whose_way_is_as_long_as_that_of_the_others_is_not_lost_however_long_that_is():
    window = on_the_way(0.0, 1.0, 2.0, 3.0)
    for seq in (1, 2, 3, 4):
        arrived(window, 300.0 + seq, seq)
        assert lost(window, 300.0 + seq) == []
    two_ways = on_the_way(*[0.1 * n for n in range(20)])  # two receivers, one of them two seconds slower
    for seq in range(1, 20, 2):
        arrived(two_ways, 60.0 + seq, seq + 1)
        arrived(two_ways, 62.0 + seq, seq)
        assert lost(two_ways, 62.0 + seq) == []
    assert not len(two_ways)


def test_what_a_much_later_batch_outran_is_lost_at_once():
    window = on_the_way(0.0, 10.0, 10.1)
    arrived(window, 10.3, 3)
    assert lost(window, 10.3) == [1], "the second one was sent a moment before"


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_that_was_offered_again_speaks_of_others_only_when_nothing_more_comes(first):
    """Its first copy may be what arrived, and then the others follow it."""
    window = on_the_way(*[0.0] * 10)
    window.sent(row(1), 30.0)
    window.acked((E1, 1))
    arrived(window, 31.0, 1)
    assert lost(window, 31.0) == []
    if first:
        for seq in range(2, 10):
            arrived(window, 31.0 + GRACE * 0.9 * seq, seq)
            assert lost(window, 31.0 + GRACE * 0.9 * seq) == []
        assert len(window) == 1
    else:
        assert lost(window, 31.0 + GRACE) == []
        assert lost(window, 31.1 + GRACE) == [*range(2, 11)]


def test_what_is_lost_and_offered_again_is_no_proof_against_what_follows():
    window = on_the_way(0.0, 10.0)
    arrived(window, 10.1, 2)
    assert lost(window, 10.1) == [1]
    for seq in (3, 4):
        window.sent(row(seq), 10.2)
        window.acked((E1, seq))
    window.sent(row(1), 10.2, again=True)
    arrived(window, 12.0, 1)
    assert lost(window, 12.0 + GRACE) == []
    arrived(window, 12.0 + GRACE, 3, 4)
    assert not len(window)


def test_the_newest_is_offered_again_first_and_then_another_one_each_time():
    window = on_the_way(0.0, 1.0, 2.0)
    tried = []
    for at in (40.0, 100.0, 220.0, 460.0):
        sealed = window.probe()
        tried.append(sealed.seq)
        window.sent(sealed, at)
        window.acked(key_of(sealed))
    assert tried == [3, 2, 1, 3]
    assert Window().probe() is None


# -- ledger


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from(["a", "b", "x"]),
            st.integers(0, 50),
            st.lists(st.integers(1, 50), max_size=4),
        ),
        max_size=30,
    )
)
def test_the_ledger_delivers_what_was_sent_and_all_have_and_nothing_else(steps):
    ledger = Receipts(["a", "b"])
    sent, held, delivered = set(), {"a": set(), "b": set()}, set()
    for seq, consumer, upto, have in steps:
        ledger.sent(E1, seq)
        sent.add(seq)
        new = ledger.receipt(consumer, Receipt(epoch=E1, upto=upto, have=[[h, h] for h in have]))
        if consumer in held:
            held[consumer] |= (set(range(1, upto + 1)) | set(have)) & sent
        both = held["a"] & held["b"]
        assert {s for first, last in new for s in range(first, last + 1)} == both - delivered
        delivered |= both
        assert all(ledger.is_delivered(E1, s) == (s in delivered) for s in range(1, 51))


def test_a_conflict_in_a_receipt_is_no_delivery():
    ledger = Receipts(["a"])
    ledger.sent(E1, 1)
    ledger.sent(E1, 2)
    assert list(ledger.receipt("a", Receipt(epoch=E1, upto=2, conflicts=[1]))) == [(2, 2)]


def test_what_is_forgotten_counts_as_neither_sent_nor_delivered_for_anybody():
    ledger = Receipts(["a", "b"])
    for seq in (1, 2):
        ledger.sent(E1, seq)
    for consumer in ("a", "b"):
        ledger.confirm(consumer, E1, Ranges([(1, 2)]))
    assert ledger.is_delivered(E1, 2)
    ledger.forget(E1, 2)
    ledger.forget(E2, 2)  # of which nothing is known
    assert not ledger.was_sent(E1, 2)
    assert not ledger.is_delivered(E1, 2)
    assert not ledger.somewhere(E1, 2)
    assert ledger.was_sent(E1, 1)
    assert ledger.is_delivered(E1, 1)
    assert ledger.somewhere(E1, 1)


def test_news_is_what_a_consumer_had_not_said_before():
    ledger = Receipts(["a", "b"])
    for seq in (1, 2, 3):
        ledger.sent(E1, seq)
    ledger.receipt("a", Receipt(epoch=E1, upto=2))
    assert list(ledger.news) == [(1, 2)]
    ledger.receipt("a", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == [(3, 3)]
    ledger.receipt("a", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == []
    ledger.receipt("b", Receipt(epoch=E1, upto=1))
    assert list(ledger.news) == [(1, 1)]
    ledger.receipt("stranger", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == []
    ledger.receipt("b", Receipt(epoch=E2, upto=3))
    assert list(ledger.news) == []


def test_a_conflict_is_pending_until_it_is_delivered_under_its_own_epoch():
    conflicts, mine = Conflicts(), row(3)
    conflicts.report(E1, [3])
    assert key_of(mine) not in conflicts
    conflicts.reissue(mine)
    assert key_of(mine) in conflicts
    assert key_of(row(4)) not in conflicts
    assert list(conflicts) == [mine]
    conflicts.delivered(key_of(mine))
    assert key_of(mine) not in conflicts
    assert list(conflicts) == []
    assert len(conflicts) == 1


def test_the_first_conflict_of_an_epoch_leaves_it_and_a_failure_to_leave_is_tried_again():
    conflicts = Conflicts()
    assert conflicts.leaves(E1)
    assert not conflicts.leaves(E1)
    assert conflicts.leaves(E2)
    conflicts.stays(E1)
    assert conflicts.leaves(E1)


def delivery_with(count, patience=30.0):
    found = Delivery(["a"], patience, 2.0 * patience)
    rows = [row(seq) for seq in range(1, count + 1)]
    for sealed in rows:
        found.sent(sealed, 0.0)
    return found, rows


def test_after_a_silence_the_first_receipt_brings_the_next_probe_within_a_second():
    found, rows = delivery_with(2)
    found.acknowledged([(key_of(sealed), 0) for sealed in rows], 0.0)
    assert found.retry(29.0) is None
    assert found.retry(30.0) == rows[1]
    found.receipt("a", Receipt(epoch=E1, upto=0), 35.0)
    assert found._receipt_timer.at == 36.0
    found._receipt_timer.tried(36.0)
    at = found._receipt_timer.at
    found.receipt("a", Receipt(epoch=E1, upto=0), 37.0)
    assert found._receipt_timer.at == at, "it is there, and says only that it has not got it"


def test_a_broker_that_owes_acknowledgements_is_left_and_met_with_one_batch_at_once():
    found, rows = delivery_with(2)
    assert not found.mute(30.0)
    assert found.mute(30.1)
    assert found._broker_timer.due(30.1)
    found.disconnected()
    found._broker_timer.tried(31.0)
    wait = found._broker_timer.at
    found.connected(32.0)
    assert found._broker_timer.at == wait, "a mute broker gets no other chance for answering a connection"
    found.sent(rows[0], wait)
    found.acknowledged([(key_of(rows[0]), 0)], wait + 1.0)
    assert not found._broker_timer.running
    assert not found.mute(1000.0), "nothing is owed"


def test_without_consumers_a_good_acknowledgement_delivers_once():
    found = Delivery([], 30.0, 60.0)
    assert not found.confirmed
    sealed = row(1)
    found.sent(sealed, 0.0)
    outcome = found.acknowledged([(key_of(sealed), 0), (key_of(sealed), 0), ("state", 0), ((E1, 99), 0)], 1.0)
    assert (outcome.accepted, outcome.refused, outcome.again) == (True, [], [])
    assert found.settled() == {E1: Ranges([(1, 1)])}
    assert found.settled() == {}
    assert (
        found.counters.delivered_batches,
        found.counters.delivered_readings,
        found.counters.sent_batches,
    ) == (1, 1, 1)
    assert found.delivered_at == 1.0
    found.sent(sealed, 2.0)
    assert found.counters.resent_batches == 1
