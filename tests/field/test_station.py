"""What is known of one meter on its line: which read may re-synchronise, what is too soon, what is a
second copy.
"""

from __future__ import annotations

import pytest

from gateway.errors import BadFrame
from gateway.field.bus.cost import Cost, Fit
from gateway.field.bus.station import ALIKE, ALONE, ENOUGH, FORGET, OWED, SOON, Station
from gateway.field.facts import MeterFacts
from gateway.field.learnt import Learnt


def station(**more) -> Station:
    return Station(1, Fit(Cost(0.1, 0.001)), MeterFacts({}, {}, Learnt()), **more)


def said(made: Station, read, words, sent_at: float, heard_at: float) -> None:
    made.compare(read, words, sent_at)
    made.keep(read, words, heard_at)


def test_without_any_read_known_to_fit_it_asks_for_the_first_free_length() -> None:
    made = station()
    made.unanswered = {1: 0.0, 2: 0.0, 4: 0.0}
    assert made.probe(1.0) == (3, 0, 3)
    made.probes = ((4, 100, 1), (4, 200, 2))
    assert made.probe(1.0) == (4, 100, 3), "of its own registers, if it has any"
    made.unanswered = dict.fromkeys(range(1, 125), 0.0)
    assert made.probe(1.0)[2] == 125


def test_when_every_length_was_asked_for_in_vain_it_takes_one_that_is_not_answered_any_more() -> None:
    made = station()
    made.unanswered = dict.fromkeys(range(1, 126), 50.0) | {77: 49.0}
    with pytest.raises(BadFrame, match="answers no request by what was asked for"):
        made.probe(50.0 + OWED / 2)
    assert made.probe(49.5 + OWED)[2] == 77


def test_what_it_has_answered_before_is_asked_for_first_and_the_shortest_of_it() -> None:
    made = station(probes=((4, 0, 1), (4, 10, 5)))
    made.answered_reads = {9: (4, 90, 9), 7: (4, 70, 7), 3: (4, 30, 3)}
    made.unanswered = {3: 0.0}
    assert made.probe(1.0) == (4, 70, 7)
    made.unanswered = {3: 0.0, 7: 0.0, 9: 0.0}
    assert made.probe(1.0)[2] in {1, 5}


def test_a_question_that_was_never_answered_is_forgotten_in_time_but_for_the_last_one() -> None:
    made = station()
    made.unanswered = {1: 0.0, 2: 30.0, 5: 0.0}
    made.probe(FORGET)
    assert set(made.unanswered) == {1, 2, 5}, "not a moment too soon"
    made.probe(FORGET + 0.1)
    assert set(made.unanswered) == {2}
    made.probe(10 * FORGET)
    assert set(made.unanswered) == {2}, "while it is in doubt, something must be open"


def test_another_read_is_tried_each_time_away_from_what_was_missed() -> None:
    probes = ((4, 0, 1), (4, 50, 1), (4, 100, 2))
    made = station(probes=probes)
    made.unanswered = {9: 0.0}
    made.missed = (4, 0, 9)
    assert made.probe(1.0) == probes[1], "the first touches the registers that it may be silent about"
    assert made.probe(1.0) == probes[2]
    assert made.probe(1.0) == probes[0], "nothing else is left"
    assert made.probe(1.0) == probes[1], "and all over again"


@pytest.mark.parametrize(
    ("probe", "beside"),
    [
        ((4, 9, 1), False),
        ((4, 10, 1), True),
        ((4, 19, 1), True),
        ((4, 20, 1), False),
        ((3, 10, 5), False),
        ((4, 5, 5), False),
        ((4, 5, 6), True),
    ],
)
def test_what_touches_the_registers_of_a_read(probe, beside: bool) -> None:
    made = station()
    made.missed = (4, 10, 10)
    assert made._beside(probe) is beside


def known(turn: float = 0.1, answers: int = ENOUGH) -> Station:
    made = station()
    for _ in range(answers):
        made.heard(10, 0.2, turn)
    return made


def test_an_answer_is_too_soon_in_less_than_half_of_the_quickest_turn_around_once_that_is_known() -> None:
    assert not known(answers=ENOUGH - 1).too_soon(0.001)
    made = known()
    assert not made.too_soon(SOON * 0.1)
    assert made.early is None
    assert made.too_soon(SOON * 0.1 - 0.001)
    assert made.early == SOON * 0.1 - 0.001
    assert not known(turn=-0.01).too_soon(-0.02), (
        "where bytes do not keep the line's pace, nothing can be said"
    )
    assert not known(turn=0.0).too_soon(-0.02)


def test_when_nothing_follows_it_has_become_quicker() -> None:
    made = known()
    made.nothing_followed()
    assert made.quickest == 0.1
    assert made.too_soon(0.02)
    made.nothing_followed()
    assert (made.quickest, made.early) == (0.02, None)
    assert not made.too_soon(0.02)


def test_answers_count_and_end_its_silence() -> None:
    made = station()
    made.timeouts = 3
    made.heard(10, 0.2, 0.05)
    made.heard(10, 0.3, 0.15)
    assert (made.answers, made.timeouts, made.quickest) == (2, 0, 0.05)
    assert made.slowest == pytest.approx(0.15)


def test_the_same_words_again_may_be_a_second_copy_of_the_answer_before() -> None:
    made = station()
    words = (1, 2)
    said(made, (4, 0, 2), words, 0.0, 1.0)
    assert made.repeats((4, 0, 2), 5.0, 5.0) is None, "it is the first"
    said(made, (4, 10, 2), words, 1.2, 1.3)
    assert made.repeats((4, 10, 2), 0.1, 0.3) == 0, "0.2 s after that answer"
    assert made.repeats((4, 10, 2), 5.0, 0.1) is None, "too long after it"
    said(made, (4, 10, 2), words, 1.6, 1.7)
    assert made.repeats((4, 10, 2), 0.4, 0.1) == 10, "of the same registers, within the shorter time"
    assert made.repeats((4, 10, 2), 0.2, 5.0) is None, "registers often stay as they are"
    said(made, (4, 10, 2), (3, 4), 1.8, 1.9)
    assert made.repeats((4, 10, 2), 5.0, 5.0) is None, "other words"
    said(made, (3, 10, 2), (3, 4), 2.0, 2.1)
    assert made.repeats((4, 10, 2), 5.0, 5.0) is None, "of another function"


def test_registers_that_stay_alike_are_believed_after_some_that_were_confirmed() -> None:
    made = station()
    said(made, (4, 0, 2), (1, 2), 0.0, 1.0)
    said(made, (4, 10, 2), (1, 2), 1.1, 1.2)
    said(made, (4, 0, 2), (1, 2), 1.3, 1.4)
    made.alike = ALIKE - 1
    assert made.repeats((4, 0, 2), 1.0, 1.0) == 10
    made.alike = ALIKE
    assert made.repeats((4, 0, 2), 1.0, 1.0) is None
    made.copies = True
    assert made.repeats((4, 0, 2), 1.0, 1.0) == 10, "it has answered twice before"


def test_registers_that_become_alike_are_believed_after_the_same_ones_were_confirmed() -> None:
    made = station()
    made.alike = ALIKE
    for value in range(ALIKE + 2):
        said(made, (4, 0, 2), value, 0.0, 1.0)
        said(made, (4, 10, 2), value, 1.1, 1.2)
        assert made.repeats((4, 10, 2), 1.0, 1.0) == (0 if value < ALIKE else None)
        made.answered_once(made.like)
    said(made, (4, 20, 2), ALIKE + 1, 1.3, 1.4)
    assert made.repeats((4, 20, 2), 1.0, 1.0) == 10, "others"
    made.doubt_copies()
    said(made, (4, 0, 2), 99, 0.0, 1.0)
    said(made, (4, 10, 2), 99, 1.1, 1.2)
    assert made.repeats((4, 10, 2), 1.0, 1.0) == 0, "something has happened on the line"


def test_one_that_has_answered_twice_is_believed_once_silence_has_followed_its_answers() -> None:
    made = station()
    made.alike = ALIKE
    made.answered_twice()
    said(made, (4, 70, 2), (1, 2), 0.0, 0.1)
    said(made, (4, 70, 2), (1, 2), 0.2, 0.3)
    for _ in range(ALONE - 1):
        made.answered_once(None)
        assert made.repeats((4, 70, 2), 1.0, 2.0) == 70
    made.answered_twice()
    for _ in range(ALONE - 1):
        made.answered_once(None)
    assert made.repeats((4, 70, 2), 1.0, 2.0) == 70, "it has done it again"
    made.answered_once(None)
    assert made.repeats((4, 70, 2), 1.0, 2.0) is None
