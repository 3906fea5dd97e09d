"""The pins in memory keep what gpiozero promises of the machine's own: one contract, run against both.

The machine's own are gpiozero's factory for lgpio over a chip in memory (test_pins): its callbacks, its weak
references, its watch that ends when a pin's function is set are the real ones.
"""

from __future__ import annotations

import gc
import time

import pytest
from gpiozero import Pin
from gpiozero.exc import PinFixedPull, PinInvalidPin
from gpiozero.pins.mock import MockFactory
from test_pins import lgpio, no_factory  # noqa: F401 - fixtures

from gateway.host.pins import Pins, PinsError


class InMemory:
    """Pins as the demo and the tests have them."""

    def __init__(self) -> None:
        self.pins = Pins.mock()

    def move(self, pin: int, high: bool) -> None:
        self.pins.drive(pin, high=high)


class OfTheMachine:
    """Pins as a Raspberry Pi has them, its chip in memory."""

    def __init__(self, library) -> None:
        self.pins = Pins()
        self._library = library

    def move(self, pin: int, high: bool) -> None:
        self._library.fire(pin, int(high), time.monotonic_ns())


@pytest.fixture(params=["in memory", "of the machine"])
def board(request, lgpio):  # noqa: F811 - the fixture
    return InMemory() if request.param == "in memory" else OfTheMachine(lgpio)


class Edges(list):
    """What a counter is told."""

    def __call__(self, *edge) -> None:
        self.append(edge)

    @property
    def levels(self) -> list[bool]:
        return [level for _, level, _ in self]


def test_the_level_is_told_first_and_has_no_time(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    assert edges == [(17, True, None)]


def test_each_edge_is_told_once_with_its_time_in_ns(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    begin = time.monotonic_ns()
    for high in (False, True, False, True):
        board.move(17, high)
    end = time.monotonic_ns()
    assert edges.levels == [True, False, True, False, True]
    ticks = [tick for _, _, tick in edges[1:]]
    assert all(isinstance(tick, int) for tick in ticks)
    assert ticks == sorted(ticks)
    assert begin - 1_000_000 <= ticks[0] <= ticks[-1] <= end + 1_000_000, "on the clock of the process"


def test_two_pins_are_told_apart(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    board.pins.open(27, "up", edges)
    board.move(27, False)
    board.move(17, False)
    assert [(pin, level) for pin, level, _ in edges] == [(17, True), (27, True), (27, False), (17, False)]


def test_whom_to_call_is_not_forgotten_when_nobody_else_remembers(board) -> None:
    # gpiozero keeps a weak reference of it.
    edges = Edges()
    board.pins.open(17, "up", edges)
    gc.collect()
    board.move(17, False)
    assert edges.levels == [True, False]


def test_what_came_in_a_pause_comes_at_its_end_in_order(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    board.pins.pause()
    board.move(17, False)
    board.move(17, True)
    assert edges.levels == [True]
    board.pins.open(17, "up", edges)
    board.move(17, False)
    assert edges.levels == [True, True, False, True, False]


def test_a_resistor_that_is_set_again_costs_no_edge_and_doubles_none(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    board.pins.claim(17, "up")
    board.pins.open(17, "up", edges)
    board.move(17, False)
    assert edges.levels == [True, True, False]


def test_another_resistor_keeps_the_watch(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    board.pins.open(17, "none", edges)
    seen = len(edges)
    board.move(17, False)
    board.move(17, True)
    assert edges.levels[seen:] == [False, True]


def test_a_pin_that_nobody_wants_tells_nobody(board) -> None:
    edges = Edges()
    board.pins.open(17, "up", edges)
    board.pins.only({27})
    board.move(17, False)
    assert edges.levels == [True]


def test_a_pin_that_the_board_has_not_is_an_error(board) -> None:
    with pytest.raises(PinsError, match="no GPIO 99"):
        board.pins.open(99, "up", Edges())


def test_a_resistor_of_its_own_is_an_error(board) -> None:
    with pytest.raises(PinsError, match="resistor of its own"):
        board.pins.open(2, "down", Edges())


def test_what_is_used_of_a_pin_is_what_gpiozero_has_for_every_factory() -> None:
    pin = MockFactory().pin(17)
    assert isinstance(pin, Pin)
    for name in ("function", "pull", "state", "when_changed"):
        assert isinstance(getattr(Pin, name), property), name
    with pytest.raises(PinInvalidPin):
        MockFactory().pin(99)
    with pytest.raises(PinFixedPull):
        MockFactory().pin(2).pull = "down"
