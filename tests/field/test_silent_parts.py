"""A silent read taken apart: which questions are asked, in which order, and what follows from the answers."""

from __future__ import annotations

import pytest

from gateway.catalogue import Span
from gateway.errors import NoReply
from gateway.field.meter.planner import Read, Rules
from gateway.field.meter.poll import Poll
from gateway.field.meter.silent_read import HOPELESS, SilentRead

RULES = Rules()


def read_of(rows: int, width: int = 1, apart: int = 10) -> Read:
    """A read of so many rows."""
    spans = tuple(Span(4, apart * row, width) for row in range(rows))
    return Read(4, 0, apart * (rows - 1) + width, spans)


class Meter:
    """Asks a meter that `answers`, and writes down what it was asked."""

    def __init__(self, answers, *, beside: bool = True) -> None:
        self.answers, self.beside = answers, beside
        self.asked: list[tuple[int, int]] = []
        self.plain: list[int] = []
        self.failed: list[int] = []

    async def again(self, read: Read, poll: Poll) -> bool:
        self.asked.append((read.address, read.end))
        return bool(self.answers(self, read))

    async def plainly(self, read: Read, poll: Poll) -> None:
        self.plain.append(read.address)

    def fail(self, read: Read, poll: Poll, reason: str) -> None:
        self.failed.append(read.address)

    def answers_beside(self, _: Read) -> bool:
        return self.beside


def without(*addresses: int):
    return lambda _, read: not any(read.address <= at < read.end for at in addresses)


def allowing() -> Poll:
    return Poll(allowance=5.0)


async def test_one_row_is_at_fault_after_it_was_asked_twice_by_itself() -> None:
    silent, meter = SilentRead(read_of(4), lambda: RULES), Meter(without(20))
    await silent.go_on(meter, allowing())
    assert meter.asked == [(0, 11), (20, 31), (20, 21), (20, 21), (30, 31)]
    assert silent.known
    assert silent.silent() == [(4, 20, 21)]
    assert (silent.steps(), silent.too_long()) == ([], None)


async def test_a_row_that_was_silent_once_is_at_fault_only_when_it_is_so_again() -> None:
    silent = SilentRead(read_of(4), lambda: RULES)
    meter = Meter(lambda me, read: without(20)(me, read) or me.asked.count((20, 21)) == 2)
    await silent.go_on(meter, allowing())
    assert silent.silent() == []


async def test_what_is_known_to_be_answered_is_asked_plainly_and_the_rest_waits_for_time() -> None:
    silent, meter = SilentRead(read_of(4), lambda: RULES), Meter(without(20))
    hasty = Poll(allowance=0.0)
    await silent.go_on(meter, hasty)
    assert meter.asked == []
    assert meter.failed == [0, 20], "no time: both halves are given up for this poll"
    assert not silent.known
    await silent.go_on(meter, allowing())
    asked = len(meter.asked)
    meter.failed.clear()
    await silent.go_on(meter, hasty)
    assert meter.plain == [0, 30]
    assert meter.failed == [20], "what is at fault is not asked any more"
    assert len(meter.asked) == asked


async def test_of_a_read_without_any_answer_the_last_rows_are_not_asked_one_by_one() -> None:
    silent, meter = SilentRead(read_of(8), lambda: RULES), Meter(lambda *_: False)
    await silent.go_on(meter, allowing())
    single = {first for first, end in meter.asked if end - first == 1}
    assert single == {0, 10, 20}
    assert len(single) == HOPELESS
    assert silent.known
    assert [first for _, first, _ in silent.silent()] == [10 * row for row in range(8)]
    assert sorted(meter.failed) == [0, 10, 20, 30, 40], "the second half as one, the fourth row unasked"


async def test_of_the_only_read_each_row_is_asked() -> None:
    """Something has answered, else it would not be looked into: rows that do not must not speak for it."""
    silent = SilentRead(read_of(8), lambda: RULES)
    await silent.go_on(Meter(without(0, 10, 20), beside=False), allowing())
    assert silent.silent() == [(4, 0, 1), (4, 10, 11), (4, 20, 21)]


async def test_halves_that_are_answered_are_asked_together_once_more_it_may_have_been_noise() -> None:
    silent, meter = SilentRead(read_of(2), lambda: RULES), Meter(lambda *_: True)
    await silent.go_on(meter, allowing())
    assert meter.asked == [(0, 1), (10, 11), (0, 11)]
    assert silent.known
    assert (silent.silent(), silent.steps(), silent.too_long()) == ([], [], None)


@pytest.mark.parametrize(("even", "step"), [(False, (0, 11)), (True, (0, 12))])
async def test_the_length_is_at_fault_when_what_lies_between_its_halves_is_answered(even, step) -> None:
    rules = Rules(even=even)
    silent = SilentRead(read_of(2), lambda: rules)
    whole = silent.read
    meter = Meter(lambda me, read: (read.address, read.end) != (0, 11) or me.asked.count((0, 11)) > 1)
    await silent.go_on(meter, allowing())
    assert meter.asked[-2:] == [(0, 11), step], "from the last register of one half to the first of the other"
    assert silent.too_long() == whole.count
    assert silent.steps() == []


async def test_what_lies_between_two_rows_is_at_fault_when_it_is_silent_by_itself_as_well() -> None:
    silent = SilentRead(read_of(2, width=2), lambda: RULES)
    meter = Meter(without(5))
    await silent.go_on(meter, allowing())
    assert meter.asked == [(0, 2), (10, 12), (0, 12), (1, 11)]
    assert silent.steps() == [(4, 1, 11)]
    assert silent.too_long() is None
    assert NoReply.reason == "timeout"
