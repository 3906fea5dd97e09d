"""One quiet time by itself: when a shorter one is tried, from when it is kept, and what is believed."""

from __future__ import annotations

import pytest
from field_parts import driver, meter
from odd_port import SERIAL

from gateway.field.bus.cost import Cost
from gateway.field.bus.line import BusLine
from gateway.field.facts import MeterFacts
from gateway.field.learnt import Learnt
from gateway.field.meter.poll import Poll
from gateway.field.meter.quiet import CONFIRMED, HEARD, RARER, SELDOM, SHARE, QuietTime, QuietTimes
from gateway.field.meter.reader import MeterReader, MeterTask
from gateway.field.port.fake import FakePort
from gateway.field.schedule import Due

pytestmark = pytest.mark.virtual_time
NOW = 10_000.0
FAST = Due(fast=True)


def facts(**learnt: float) -> MeterFacts:
    found = Learnt().meter(SERIAL, meter(1))
    for name, value in learnt.items():
        found.learn(name, value)
    return found


def pause(value: float = 0.15, floor: float = 0.0) -> QuietTime:
    return QuietTime("pause", "m1", facts(pause=value), floor)


@pytest.mark.parametrize(
    ("known", "floor", "value"), [(0.15, 0.1, 0.15), (0.15, 0.15, 0.0), (0.15, 0.2, 0.0)]
)
def test_what_it_gets_in_any_case_need_not_be_learnt(known: float, floor: float, value: float) -> None:
    quiet = pause(known, floor)
    assert quiet.value == value
    assert quiet.idle == (value == 0.0)


def test_the_shorter_time_is_kept_from_the_third_answer_and_each_step_begins_anew() -> None:
    quiet = pause(0.15)
    for value, shorter in ((0.15, 0.075), (0.075, 0.0)):
        assert (quiet.value, quiet.shorter) == (value, shorter)
        changed = [quiet.answered(shorter) for _ in range(HEARD)]
        assert changed == [False] * (HEARD - 1) + [True]
    assert quiet.value == 0.0
    assert quiet.idle


def test_answers_that_tried_nothing_shorter_prove_nothing() -> None:
    quiet = pause(0.15)
    assert not any(quiet.answered(0.15) for _ in range(10 * HEARD))
    assert quiet.value == 0.15


def test_a_try_that_failed_waits_for_a_twentieth_of_the_time_and_longer_once_it_is_believed() -> None:
    quiet = pause(0.15)
    cost = 0.4
    at = NOW
    for failed in range(1, CONFIRMED + 2):
        assert not quiet.too_soon(0.05, at, cost, sure=True, calm=True)
        rarer = RARER ** max(0, failed + 1 - CONFIRMED)
        wait = cost / SHARE * rarer
        assert quiet.believed == (failed >= CONFIRMED)
        due = at + wait * (2 if quiet.believed else 1)  # where others want the line all the time
        assert not quiet.due(due - 0.1, calm=True, allowed=False)
        assert quiet.due(due + 0.1, calm=True, allowed=False)
        at = due + 1.0


def test_on_a_line_that_is_not_calm_a_try_proves_nothing_and_the_next_is_seldom() -> None:
    quiet = pause(0.15)
    assert not quiet.too_soon(0.05, NOW, 0.4, sure=True, calm=False)
    assert not quiet.believed
    assert not quiet.due(NOW + 2 * SELDOM - 1, calm=False, allowed=True)
    assert quiet.due(NOW + 2 * SELDOM + 1, calm=False, allowed=True)
    assert quiet.due(NOW + 1, calm=True, allowed=True), "calm again, and there is time"
    quiet.too_soon(0.05, NOW, 0.4, sure=True, calm=False)
    assert not quiet.due(NOW + 4 * SELDOM - 1, calm=False, allowed=True), (
        "twice as long after each further one"
    )


def test_one_silence_that_may_have_been_noise_is_no_evidence_and_two_are() -> None:
    quiet = QuietTime("pause", "m1", facts())
    assert not quiet.too_soon(0.01, NOW, 0.4, sure=False, calm=True)
    assert quiet.value == 0.0
    assert quiet.too_soon(0.01, NOW, 0.4, sure=False, calm=True)
    assert quiet.value == 0.15
    other = QuietTime("pause", "m1", facts())
    assert other.too_soon(0.01, NOW, 0.4, sure=True, calm=True), "it never answered one that came so soon"
    assert other.value == 0.15


@pytest.mark.parametrize(("known", "station_pause"), [(0.15, 0.15), (0.001, 0.0)])
def test_a_station_begins_with_what_is_known_beyond_the_lines_own_silence(
    known: float, station_pause: float
) -> None:
    line = BusLine(SERIAL, FakePort({}, has_transaction_ids=False))
    station = line.station(1, facts(pause=known))
    quiet = QuietTimes("m1", line, station)
    assert station.pause == station_pause
    assert quiet.idle == (station_pause == 0.0)
    assert station.fit.gap == max(station_pause, line.wire.gap)


# -- a meter's plan


@pytest.mark.parametrize(("better", "looks"), [(False, [16, 48, 112]), (True, [16, 48, 80])])
async def test_another_plan_is_looked_for_ever_more_seldom_until_one_was_better(
    better: bool, looks: list[int], monkeypatch
) -> None:
    rows = "0 u16 active_power kW fast\n1 u32 active_energy_import kWh fast\n60 u16 heat_power kW fast"
    line = BusLine(SERIAL, FakePort({1: lambda _, at: at}, has_transaction_ids=False))
    await line.open()
    reader = MeterReader(MeterTask(meter(1), driver(rows)), line, lambda: 0)
    monkeypatch.setattr(reader.station.fit, "add", lambda *_: None)
    looked, replan = [], reader._replan

    def look() -> None:
        looked.append(reader._polls)
        replan()

    monkeypatch.setattr(reader, "_replan", look)
    assert len(reader.reads(FAST)) == 1
    if better:
        reader.station.fit.cost = Cost(0.0001, 0.01)  # each register costs much, each request next to nothing
    for _ in range(looks[-1]):
        assert (await reader.read(Poll(FAST))).error is None
    assert looked == looks
    assert len(reader.reads(FAST)) == (2 if better else 1)
