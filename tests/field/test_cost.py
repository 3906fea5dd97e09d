"""The cost of a read: guessed from the line, fitted to what is measured."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.schema import SerialBus, TcpBus
from gateway.field.bus.cost import TURN_AROUND, Cost, Fit, prior, wire_of

SERIAL = SerialBus(name="l", type="serial", port="/dev/x")
CONVERTER = TcpBus(name="r", type="rtu-over-tcp", host="h")
TCP = TcpBus(name="t", type="tcp", host="h")


def test_the_prior_of_a_serial_line_is_its_character_times() -> None:
    c, gap = 10 / 9600, 3.5 * 11 / 9600
    assert prior(SERIAL).time(40) == pytest.approx(8 * c + gap + TURN_AROUND + (5 + 80) * c + gap)
    even = SERIAL.model_copy(update={"parity": "E", "stopbits": 2})
    assert wire_of(even).char == pytest.approx(12 / 9600)
    assert wire_of(SERIAL.model_copy(update={"baudrate": 38400})).gap == 0.00175
    assert prior(SERIAL, min_gap=0.1).a == pytest.approx(prior(SERIAL).a - gap + 0.1)


def test_the_bar_of_the_design_is_the_wires_minimum() -> None:
    """Five meters, two reads of 131 registers together each, at 9600 baud with 20 ms of turn-around."""
    wire = wire_of(SERIAL)
    assert 5 * (wire.least(80, 0.02) + wire.least(50, 0.02)) == pytest.approx(1.77, abs=0.01)


@pytest.mark.parametrize(
    ("bus", "true"),
    [
        (SERIAL, (0.09, 2 / 960)),
        (CONVERTER, (0.07, 2 / 960)),
        (TCP, (0.003, 0.00001)),
        (TCP, (0.06, 2 / 960)),
    ],
)
def test_the_fit_finds_the_line(bus, true) -> None:
    """The last case: a converter that looks like TCP and costs like a slow line."""
    rng = random.Random(1)
    fit = Fit(
        prior(bus),
        gap=wire_of(bus).gap,
        sure_of_b=0.05 if bus is SERIAL else 0.5 if bus is CONVERTER else 100.0,
    )
    for _ in range(60):
        count = rng.choice([8, 40, 80])
        fit.add(count, true[0] + true[1] * count + rng.uniform(0, 0.001))
    for count in (10, 50, 80):
        assert fit.cost.time(count) - fit.gap == pytest.approx(true[0] + true[1] * count, rel=0.1, abs=0.001)


def test_reads_of_one_length_move_the_offset_not_the_slope() -> None:
    fit = Fit(prior(SERIAL), gap=wire_of(SERIAL).gap, sure_of_b=0.05)
    slope = fit.cost.b
    for _ in range(100):
        fit.add(40, 0.25)
    assert fit.cost.time(40) - fit.gap == pytest.approx(0.25, rel=0.02)
    assert fit.cost.b == pytest.approx(slope, rel=0.1)


def test_an_outlier_hardly_moves_it() -> None:
    fit = Fit(prior(SERIAL), gap=0.0)
    for _ in range(50):
        fit.add(40, 0.12)
    before = fit.cost.time(40)
    fit.add(40, 5.0)
    assert fit.cost.time(40) == pytest.approx(before, rel=0.05)


def test_a_line_that_has_really_changed_is_followed() -> None:
    fit = Fit(prior(TCP), sure_of_b=100.0)
    for _ in range(100):
        fit.add(40, 0.01)
    for _ in range(300):
        fit.add(40, 0.2)
    assert fit.cost.time(40) == pytest.approx(0.2, rel=0.1)


@example([(1, 0.0), (2, 25.0)])
@given(st.lists(st.tuples(st.integers(1, 125), st.floats(0.0, 100.0)), max_size=200))
def test_it_is_never_negative_whatever_is_measured(measured) -> None:
    fit = Fit(Cost(0.005, 0.00002), sure_of_b=100.0)
    for count, seconds in measured:
        fit.add(count, seconds)
        assert fit.cost.a >= 0.0
        assert fit.cost.b >= 0.0
        assert fit.cost.time(125) < 1000


@pytest.mark.parametrize(("short", "long"), [(0.1, 0.05), (0.3, 0.2), (0.06, 0.01)])
def test_where_long_reads_are_quicker_the_cost_of_all_is_what_they_take_on_average(
    short: float, long: float
) -> None:
    """A slope below zero would foretell less than nothing: without it, the offset has to be found anew."""
    fit = Fit(Cost(0.005, 0.00002), sure_of_b=100.0)
    for _ in range(60):
        fit.add(1, short)
        fit.add(100, long)
    assert fit.cost.b == 0.0
    assert fit.cost.a == pytest.approx((short + long) / 2, rel=0.1)


def test_an_offset_below_zero_is_none_and_the_slope_makes_up_for_it() -> None:
    fit = Fit(Cost(0.005, 0.001), sure_of_b=100.0)
    for _ in range(60):
        fit.add(10, 0.001)
        fit.add(100, 0.2)
    assert fit.cost.a == 0.0
    assert fit.cost.time(100) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("gap", [0.0, 0.02])
def test_to_measure_what_was_guessed_changes_nothing(gap: float) -> None:
    guess = Cost(0.09, 0.002)
    fit = Fit(guess, gap=gap)
    for count in (1, 40, 125, 8):
        fit.add(count, guess.time(count) - gap)
        assert (fit.cost.a, fit.cost.b) == (pytest.approx(guess.a), pytest.approx(guess.b))


def test_the_first_answers_say_where_the_level_is() -> None:
    fit = Fit(Cost(0.01, 0.0001), sure_of_b=0.05)
    fit.add(10, 2.0)
    assert fit.cost.time(10) > 1.5
