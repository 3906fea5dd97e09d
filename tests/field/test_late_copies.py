"""One second copy of an answer that comes late, and the meters beside the one that gave it: they keep their
polls, and no value is wrong. On virtual time, with the shipped worker and port.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from copying_line import Kept, Outcome, VirtualLine, polled

from gateway.field.bus import line as bus_line
from gateway.field.bus.line import BusLine
from gateway.field.port import modbus
from tests import virtual_time

INTERVALS = ("500ms", "1s", "1s")
AFTER = 11.0
"""s from the first request to the answer that comes twice."""
DELAYS = (0.1, 0.2, 0.35, 0.75, 1.0, 1.5)
SEVERAL = range(0, 20, 7)
"""Which answer, counted from then on."""
KEEP = 0.95


def still(unit: int, address: int) -> int:
    return 10_000_000 + 1000 * unit + address


KINDS: dict[str, Kept] = {
    "all moving": lambda *_: None,
    "all standing still": still,
    "zeros": lambda _, address: 0 if address >= 100 else None,
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """What the meters of a line give."""
    monkeypatch.setattr("time.monotonic", virtual_time.monotonic)
    monkeypatch.setattr("time.sleep", virtual_time.sleep)

    def run(line: VirtualLine, seconds: float = 10.0, before: float = 10.0) -> Outcome:
        monkeypatch.setattr(modbus, "Transport", line)
        with asyncio.Runner(loop_factory=virtual_time.VirtualLoop) as runner:
            return runner.run(polled(line, INTERVALS, seconds, before=before))

    return run


def copied_once(kept: Kept, position: int, delay: float) -> tuple[VirtualLine, list[int]]:
    """A line on which one answer comes once more, and whose that was."""
    whose: list[int] = []
    left = [position]

    def again(_index: int, unit: int) -> float | None:
        if line.answers[-1].at - line.answers[0].at < AFTER or whose:
            return None
        left[0] -= 1
        if left[0] >= 0:
            return None
        whose.append(unit)
        return delay

    line = VirtualLine(again, kept=kept)
    return line, whose


def kept_by_others(run, kept: Kept, usual: Outcome, cases) -> list[float]:
    """The share of their whole readings that the other meters keep; a wrong value fails the test."""
    shares = []
    for position, delay in cases:
        line, whose = copied_once(kept, position, delay)
        outcome = run(line)
        assert line.copies == 1
        assert outcome.wrong == []
        others = [name for name in usual.whole if name != f"m{whose[0]}"]
        shares.append(sum(outcome.whole[name] for name in others) / sum(usual.whole[name] for name in others))
    return shares


@pytest.mark.parametrize("kind", KINDS)
def test_the_meters_beside_it_keep_their_polls(run, kind: str) -> None:
    kept = KINDS[kind]
    usual = run(VirtualLine(kept=kept))
    assert min(usual.whole.values()) >= 9
    cases = [(position, delay) for delay in DELAYS for position in SEVERAL]
    assert min(kept_by_others(run, kept, usual, cases)) >= KEEP


def test_the_control_that_takes_what_time_it_likes_costs_them_theirs(run, monkeypatch) -> None:
    kept = KINDS["zeros"]
    usual = run(VirtualLine(kept=kept))
    monkeypatch.setattr(bus_line, "COPIES", 3.0)
    monkeypatch.setattr(BusLine, "_may_spend", lambda *_: True)
    assert (
        min(
            kept_by_others(
                run, kept, usual, [(position, delay) for delay in DELAYS[1:4] for position in SEVERAL]
            )
        )
        < KEEP
    )


def test_a_line_on_which_nothing_comes_twice_is_asked_for_next_to_nothing_more(run) -> None:
    """Values that are like older ones of others now and then: a few are looked into."""

    def kept(unit: int, address: int) -> int:
        return 2300 + (int(time.monotonic()) * 31 + address * 7 + unit) % 37 % 5

    requests = []
    for compared in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not compared:
                patch.setattr("gateway.field.bus.station.Station.repeats", lambda *_: None)
            requests.append(run(VirtualLine(kept=kept), 60.0, 120.0).requests)
    assert requests[1] < requests[0] <= 1.01 * requests[1]


@pytest.mark.parametrize("delays", [(0.1, 0.2, 0.35, 0.5, 1.0, 1.5), (0.0, 0.004, 0.01, 0.03, 0.06)])
def test_copies_now_and_then_give_no_wrong_value(run, delays: tuple[float, ...]) -> None:
    """Also the first one, and those of older answers: before anything is known to answer twice."""
    draw = random.Random(2)

    def again(index: int, _unit: int) -> float | None:
        return draw.choice(delays) if index > 20 and draw.random() < 0.03 else None

    line = VirtualLine(again)
    outcome = run(line, 60.0)
    assert line.copies > 20
    assert outcome.wrong == []
    assert outcome.values > 1000


def test_the_control_that_compares_with_the_answer_before_only_gives_some(run, monkeypatch) -> None:
    monkeypatch.setattr("gateway.field.bus.station.FREE", -1_000_000)
    draw = random.Random(2)

    def again(index: int, _unit: int) -> float | None:
        return draw.choice((0.35, 0.5, 1.0)) if index > 20 and draw.random() < 0.03 else None

    line = VirtualLine(again)
    monkeypatch.setattr("gateway.field.bus.station.Station.answered_twice", lambda _: None)
    assert run(line, 60.0).wrong
