import time

import pytest
from receiver_feed import E1, E2, E3

from gateway.model import Ranges
from gateway.receiver.ledger import MOST_GAPS, EpochLedger, GatewayLedger, receipts
from gateway.wire import MAX_SMALL, Receipt, parse


def epoch(*held, first=None, conflicts=(), **more):
    ledger = EpochLedger(first=first, **more)
    for start, end in held:
        ledger.store(start, end)
    for seq in conflicts:
        ledger.contradict(seq)
    return ledger


def test_upto_is_contiguous_from_the_first_seq_of_the_epoch():
    [answer] = receipts(E1, epoch((7, 9), (12, 12), (20, 30), first=7))
    assert (answer.upto, answer.have) == (9, [[12, 12], [20, 30]])


def test_without_the_first_batch_nothing_is_contiguous():
    [answer] = receipts(E1, epoch((7, 9), (12, 12)))
    assert (answer.upto, answer.have) == (0, [[7, 9], [12, 12]])


def test_an_epoch_that_is_empty_is_receipted_as_empty():
    [answer] = receipts(E1, EpochLedger())
    assert (answer.upto, answer.have) == (0, [])


def test_what_is_only_explained_is_not_receipted():
    ledger = epoch((1, 4), (9, 9), first=1)
    ledger.explain(5, 8, spills=False)
    [answer] = receipts(E1, ledger)
    assert (answer.upto, answer.have) == (4, [[9, 9]])


def test_a_seq_in_conflict_is_named_and_not_receipted():
    [answer] = receipts(E1, epoch((1, 9), first=1, conflicts={5}))
    assert (answer.upto, answer.have, answer.conflicts) == (4, [[6, 9]], [5])


@pytest.mark.parametrize("far", [1, 10**6, 2**53 - 10_000])
def test_many_ranges_fit_the_message_and_the_ones_just_committed_come_first(far):
    held = [(far + 2 * n, far + 2 * n) for n in range(4000)]
    ledger = epoch(*held, first=far)
    lately = {far + 2 * n for n in range(100, 150)}
    [answer] = receipts(E1, ledger, lately)
    assert len(answer.have) <= 1000
    assert parse(Receipt, answer.to_bytes()) == answer
    assert all(seq in answer.covers(far) for seq in lately)


def test_pages_together_name_everything():
    ledger = epoch(*((2 * n, 2 * n) for n in range(1, 3001)), first=2)
    whole = Ranges()
    for page in receipts(E1, ledger, pages=64):
        assert parse(Receipt, page.to_bytes()) == page
        whole.update(page.covers(2))
    assert whole == ledger.stored


def test_missing_lies_between_the_first_seq_and_what_is_known_to_exist():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((3, 5), (8, 9), first=2)
    ledger.newest = (E1, 11)
    gap = ledger.missing()[E1]
    assert list(gap.certain) == [(2, 2), (6, 7), (10, 11)]
    assert not len(gap.beginning)


def test_the_next_epoch_says_where_the_one_before_ended():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((1, 5), first=1)
    ledger.epochs[E2] = epoch((9, 9), first=9, previous=E1, previous_last=8)
    assert list(ledger.missing()[E1].certain) == [(6, 8)]


def test_an_epoch_never_seen_misses_at_least_its_last_batch():
    ledger = GatewayLedger()
    ledger.epochs[E2] = epoch((9, 9), first=9, previous=E1, previous_last=8)
    gap = ledger.missing()[E1]
    assert list(gap.certain) == [(8, 8)]
    assert list(gap.beginning) == [(1, 7)]


def test_while_the_first_batch_is_missing_the_beginning_is_unknown():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((40, 50))
    gap = ledger.missing()[E1]
    assert not len(gap.certain)
    assert list(gap.beginning) == [(1, 39)]


def test_explained_seqs_are_not_missing():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((1, 5), (20, 20), first=1)
    ledger.epochs[E1].explain(6, 15, spills=False)
    assert list(ledger.missing()[E1].certain) == [(16, 19)]
    ledger.epochs[E1].explain(16, 19, spills=False)
    assert ledger.missing() == {}


def test_an_event_without_an_epoch_speaks_of_earlier_epochs_below_its_own():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((1, 2), first=1)
    ledger.epochs[E2] = epoch((11, 12), first=11, previous=E1, previous_last=10)
    ledger.epochs[E3] = epoch((21, 21), first=21, previous=E2, previous_last=20)
    ledger.epochs[E3].explain(3, 20, spills=True)
    assert ledger.missing() == {}
    ledger.epochs[E3] = epoch((21, 21), first=21, previous=E2, previous_last=20)
    ledger.epochs[E3].explain(5, 15, spills=True)
    assert list(ledger.missing()[E1].certain) == [(3, 4)]
    assert list(ledger.missing()[E2].certain) == [(16, 20)]


@pytest.mark.parametrize("first", [11, None])
def test_such_an_event_reaches_back_to_the_first_batch_and_ends_where_its_own_epoch_begins(first):
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((4, 7), first=1)
    ledger.epochs[E2] = epoch((12, 20), first=first, previous=E1, previous_last=10)
    ledger.epochs[E2].explain(1, 3, spills=True)
    ledger.epochs[E2].explain(9, 15, spills=True)
    assert sorted(ledger.explanations(E1)) == [(1, 3), (9, 10)]
    assert list(ledger.missing()[E1].certain) == [(8, 8)]


def test_a_look_at_an_epoch_never_seen_tells_its_last_batch_from_its_beginning():
    ledger = GatewayLedger()
    ledger.newest = (E1, 7)
    (gap,) = ledger.newest_missing(lambda _: Ranges()).values()
    assert list(gap.certain) == [(7, 7)]
    assert list(gap.beginning) == [(1, 6)]


def test_a_look_goes_on_until_the_last_range_that_it_has_room_for():
    gateway = GatewayLedger()
    for name, gaps in ((E1, 1), (E2, MOST_GAPS - 1)):
        gateway.epoch(name).first = 1
        for seq in range(1, 2 * gaps + 2, 2):
            gateway.epoch(name).store(seq, seq)
    found = gateway.newest_missing(lambda _: Ranges())
    assert [(name, len(gap.certain)) for name, gap in found.items()] == [(E2, MOST_GAPS - 1), (E1, 1)]


def test_epochs_that_name_each_other_do_no_harm():
    ledger = GatewayLedger()
    ledger.epochs[E1] = epoch((1, 2), first=1, previous=E2, previous_last=5)
    ledger.epochs[E2] = epoch((1, 2), first=1, previous=E1, previous_last=5)
    assert set(ledger.missing()) == {E1, E2}


def test_the_nearest_anchor_gives_the_time():
    ledger = EpochLedger(anchors=[(1000, 50_000), (9000, 99_000)])
    assert ledger.anchored(1500) == 50_500
    assert ledger.anchored(8000) == 98_000
    assert EpochLedger().anchored(1) is None


def test_a_year_of_thinning_is_looked_through_quickly():
    ledger = GatewayLedger()
    one = ledger.epoch(E1)
    one.first = 1
    for seq in range(1, 40_000, 2):
        one.store(seq, seq)
    for seq in range(2, 40_000, 2):
        one.explain(seq, seq, spills=False)
    began = time.process_time()
    for seq in range(40_000, 40_200):
        one.store(seq, seq)
        assert len(receipts(E1, one, {seq})[0].have) == 1
        assert not ledger.missing()
    assert time.process_time() - began < 6.0


def test_conflicts_in_numbers_are_told_in_parts():
    one = epoch((1, 5000), first=1, conflicts=range(100, 1100))
    [answer] = receipts(E1, one, {100, 101, 4000})
    assert answer.conflicts == [100, 101]
    [answer] = receipts(E1, one)
    assert answer.conflicts == list(range(850, 1100))
    assert (answer.upto, answer.have) == (99, [[1100, 5000]])


def test_a_number_is_found_in_its_range_and_the_ends_are_known():
    ranges = Ranges([(1, 3), (7, 7)])
    assert [ranges.around(n) for n in (0, 1, 3, 4, 7, 8)] == [None, (1, 3), (1, 3), None, (7, 7), None]
    assert (ranges.span, Ranges().span) == ((1, 7), None)


def test_one_look_takes_up_so_many_ranges_of_all_epochs_together():
    gateway = GatewayLedger()
    names = [f"{number:016x}" for number in range(3)]
    for name in names:
        epoch = gateway.epoch(name)
        epoch.first = 1
        for seq in range(1, 602, 2):
            epoch.store(seq, seq)
    found = gateway.newest_missing(lambda _: Ranges())
    assert list(found) == [names[2], names[1]], "the newest first, and no further than the bound"
    assert [len(gap.certain) for gap in found.values()] == [300, MOST_GAPS - 300]


@pytest.mark.parametrize("most", [320, 900, 2000, 8192, MAX_SMALL])
@pytest.mark.parametrize("start", [1, 10**6, 2**52])
@pytest.mark.parametrize("conflicts", [0, 300])
def test_no_receipt_is_larger_than_the_broker_takes_and_nothing_is_left_out(most, start, conflicts):
    ledger = epoch(*((start + 2 * n, start + 2 * n) for n in range(700)))
    for seq in range(start, start + 2 * conflicts, 2):
        ledger.contradict(seq)
    held = set(range(start + 2 * conflicts, start + 1400, 2))
    every = receipts(E1, ledger, pages=10_000, most=most)
    assert named(every) == held
    lately = set(sorted(held)[-60:])
    late = receipts(E1, ledger, lately, most=most)
    assert named(late) >= lately
    assert max(len(page.to_bytes()) for page in every + late) <= most


def named(pages):
    return {seq for page in pages for first, last in page.have for seq in range(first, last + 1)}


def test_numbers_that_take_more_room_than_one_receipt_has_do_not_push_out_what_came_lately():
    ledger = epoch(*((2**50 + 2 * n, 2**50 + 2 * n) for n in range(900)))
    last = 2**50 + 2 * 899
    [answer] = receipts(E1, ledger, {last})
    assert answer.have == [[last, last]]
