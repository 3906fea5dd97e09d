from itertools import pairwise

from receiver_feed import E1, E2

from gateway.model import Ranges
from gateway.receiver.gaps import AGE, ANSWER, SPACING, SPAN, TRIES, AskedReplay, Gaps
from gateway.receiver.ledger import Missing


def missing(*certain, beginning=(), epoch=E1):
    return {epoch: Missing(Ranges(certain), Ranges(beginning))}


def test_a_young_gap_is_not_asked_for():
    gaps = Gaps()
    assert gaps.next_ask(missing((5, 9)), 0.0, ready=True) is None
    assert gaps.next_ask(missing((5, 9)), AGE - 1, ready=True) is None
    assert gaps.next_ask(missing((5, 9)), AGE, ready=True) == AskedReplay(E1, 5, 9)


def test_a_gateway_with_a_backlog_is_left_alone():
    gaps = Gaps()
    gaps.next_ask(missing((5, 9)), 0.0, ready=False)
    assert gaps.next_ask(missing((5, 9)), 10 * AGE, ready=False) is None
    assert gaps.next_ask(missing((5, 9)), 10 * AGE + 1, ready=True) == AskedReplay(E1, 5, 9)


def test_each_seq_has_its_own_age():
    gaps = Gaps()
    gaps.next_ask(missing((5, 9)), 0.0, ready=True)
    gaps.next_ask(missing((7, 12)), 30.0, ready=True)
    assert gaps.next_ask(missing((7, 12)), AGE, ready=True) == AskedReplay(E1, 7, 9)


def test_a_gap_that_closed_and_opened_again_is_young():
    gaps = Gaps()
    gaps.next_ask(missing((5, 9)), 0.0, ready=True)
    gaps.next_ask({}, 30.0, ready=True)
    assert gaps.next_ask(missing((5, 9)), AGE, ready=True) is None


def test_one_replay_at_a_time():
    gaps = Gaps()
    both = missing((5, 9)) | missing((1, 3), epoch=E2)
    gaps.next_ask(both, 0.0, ready=True)
    assert gaps.next_ask(both, 60.0, ready=True) == AskedReplay(E1, 5, 9)
    assert gaps.next_ask(both, 61.0 + SPACING, ready=True) is None
    rest = missing((1, 3), epoch=E2)
    assert gaps.next_ask(rest, 62.0 + SPACING, ready=True) == AskedReplay(E2, 1, 3)


def test_a_long_gap_is_asked_for_in_parts_from_the_newest_down():
    gaps = Gaps()
    whole = missing(beginning=[(1, 5000)])
    gaps.next_ask(whole, 0.0, ready=True)
    assert gaps.next_ask(whole, AGE, ready=True) == AskedReplay(E1, 5000 - SPAN + 1, 5000)
    assert gaps.next_ask(missing((1, 4000)), AGE + SPACING, ready=True) == AskedReplay(
        E1, 4000 - SPAN + 1, 4000
    )


def test_a_replay_that_brings_a_part_is_asked_again_for_the_rest():
    gaps = Gaps()
    gaps.next_ask(missing((1, 10)), 0.0, ready=True)
    gaps.next_ask(missing((1, 10)), 60.0, ready=True)
    assert gaps.next_ask(missing((1, 4)), 61.0, ready=True) is None
    assert gaps.next_ask(missing((1, 4)), 60.0 + ANSWER, ready=True) == AskedReplay(E1, 1, 4)


def test_tries_are_bounded_and_ever_more_seldom_until_the_gateway_comes_online_anew():
    gaps = Gaps()
    gaps.next_ask(missing((5, 9)), 0.0, ready=True)
    asked = [now for now in range(60, 40_000) if gaps.next_ask(missing((5, 9)), float(now), ready=True)]
    assert len(asked) == TRIES
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= ANSWER
    gaps.online()
    assert gaps.next_ask(missing((5, 9)), 41_000.0, ready=True) == AskedReplay(E1, 5, 9)


def test_a_stubborn_gap_does_not_stand_in_the_way_of_others():
    gaps = Gaps()
    both = missing((5, 9), (20, 29))
    gaps.next_ask(both, 0.0, ready=True)
    first = gaps.next_ask(both, 60.0, ready=True)
    second = next(ask for now in range(61, 400) if (ask := gaps.next_ask(both, float(now), ready=True)))
    assert {first, second} == {AskedReplay(E1, 5, 9), AskedReplay(E1, 20, 29)}


def test_an_answer_without_batches_ends_the_wait_at_once():
    gaps = Gaps()
    both = missing((5, 9), (20, 29))
    gaps.next_ask(both, 0.0, ready=True)
    assert gaps.next_ask(both, 60.0, ready=True) == AskedReplay(E1, 20, 29)
    gaps.answered()
    assert gaps.next_ask(both, 60.0 + SPACING, ready=True) == AskedReplay(E1, 5, 9)


def test_what_was_asked_before_the_gateway_came_online_anew_is_asked_again():
    gaps = Gaps()
    gaps.next_ask(missing((5, 9)), 0.0, ready=True)
    assert gaps.next_ask(missing((5, 9)), 60.0, ready=True) == AskedReplay(E1, 5, 9)
    assert gaps.next_ask(missing((5, 9)), 60.0 + SPACING, ready=True) is None, "an answer is awaited"
    gaps.online()
    assert gaps.next_ask(missing((5, 9)), 60.0 + SPACING, ready=True) == AskedReplay(E1, 5, 9)
