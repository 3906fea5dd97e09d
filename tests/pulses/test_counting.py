"""Pulse inputs on pins in memory: nothing is lost, readings and what the journal carries are one,
registers can be set.
"""

import asyncio
import json
import logging
import threading
import time
from collections import deque

import pytest
from gpiozero.pins.mock import MockFactory

from gateway.config.schema import Pulse
from gateway.errors import GatewayError
from gateway.field.pulses.counting import PulseInputs
from gateway.field.pulses.input import MOST_REJECTED, PulseInput
from gateway.field.pulses.register import PulseRegister, newer_carried
from gateway.host.pins import Pins
from gateway.model import Draft, Event, Reading
from gateway.wire import Batch, decode, split
from tests.waiting import until


def pulse(name="water", pin=17, **more) -> Pulse:
    return Pulse(
        **{
            "id": name,
            "pin": pin,
            "per_unit": 1000,
            "quantity": "volume",
            "min_width": "2ms",
            "min_gap": "2ms",
            "max_rate": 1000.0,
            **more,
        }
    )


def known(carried) -> dict:
    """What of a carried state is the newest reading."""
    return {name: carried[name] for name in ("count", "register", "quantity")}


class Slot:
    """Takes readings and events as the open slot does."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.events: list[Event] = []

    def of(self, meter: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.meter == meter]


class Running:
    """Inputs that run while the block lasts."""

    def __init__(self, pulses, carried=None, pins=None, interval=0.2) -> None:
        self.slot = Slot()
        self.pins = pins or Pins.mock()
        self.inputs = PulseInputs(
            pulses,
            self.slot.readings.append,
            carried,
            self.slot.events.append,
            pins=self.pins,
            interval=interval,
        )

    async def __aenter__(self):
        self._task = asyncio.create_task(self.inputs.run())
        await until(lambda: self.slot.readings)
        return self

    async def __aexit__(self, *_) -> None:
        await self.inputs.stop()
        await asyncio.wait_for(self._task, 10)

    @property
    def health(self):
        return self.inputs.health()[0]

    async def counted(self, number: int) -> None:
        await until(lambda: self.health.count >= number)


def give(pins: Pins, numbers, pulses: int, pause=0.003, *, closed=False) -> None:
    """Close and open contacts: never shorter than `pause`. `closed` is the level of a closed one."""
    for _ in range(pulses):
        for high in (closed, not closed):
            for number in numbers:
                pins.drive(number, high=high)
            time.sleep(pause)


async def test_ten_inputs_at_fifty_pulses_a_second_lose_nothing() -> None:
    pulses = [pulse(f"input-{number}", number, max_rate=60.0) for number in range(4, 14)]
    async with Running(pulses) as running:
        await asyncio.to_thread(give, running.pins, range(4, 14), 200, 0.01)
    health = running.inputs.health()
    assert [entry.count for entry in health] == [200] * 10
    assert [(entry.short, entry.gap, entry.rate) for entry in health] == [(0, 0, 0)] * 10
    for entry in pulses:
        counts = [reading.values["pulse_count"] for reading in running.slot.of(entry.id)]
        assert counts == sorted(counts)
        assert counts[-1] == 200
        assert len(counts) > 5
        assert running.slot.of(entry.id)[-1].values["volume"] == 0.2


async def test_ten_threads_as_fast_as_they_can_lose_nothing() -> None:
    numbers = range(4, 14)
    async with Running(
        [pulse(f"input-{number}", number, min_width="0s", min_gap="0s") for number in numbers]
    ) as running:
        threads = [threading.Thread(target=give, args=(running.pins, [number], 500, 0)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    for entry in running.inputs.health():
        assert entry.count + entry.rate == 500
        assert (entry.short, entry.gap) == (0, 0)


async def test_what_is_carried_is_what_was_read() -> None:
    async with Running([pulse(start=100.0), pulse("gas", 18)], interval=0.05) as running:
        task = asyncio.create_task(asyncio.to_thread(give, running.pins, [17], 150))
        while not task.done():
            await asyncio.sleep(0)
            carried = running.inputs.carry()["pulses"]
            for name in ("water", "gas"):
                newest = running.slot.of(name)[-1].values
                assert known(carried[name]) == {
                    "count": newest["pulse_count"],
                    "register": newest["volume"],
                    "quantity": "volume",
                }
            await asyncio.sleep(0.005)
        await task
    assert known(running.inputs.carry()["pulses"]["water"]) == {
        "count": 150,
        "register": 100.15,
        "quantity": "volume",
    }


async def test_a_restart_goes_on_where_the_newest_batch_was() -> None:
    async with Running([pulse(start=100.0)]) as running:
        await asyncio.to_thread(give, running.pins, [17], 10)
    async with Running([pulse(start=100.0)], running.inputs.carry()["pulses"]) as again:
        assert again.slot.readings[0].values == {"pulse_count": 10, "volume": 100.01}
        await asyncio.to_thread(give, again.pins, [17], 5)
    assert again.slot.readings[-1].values == {"pulse_count": 15, "volume": 100.015}


async def test_a_reload_in_the_middle_of_a_pulse_train_loses_nothing() -> None:
    pins, carried = Pins.mock(), None
    done = threading.Event()
    reloads, total, given = 0, 0, 0

    def drive() -> None:
        nonlocal given
        while reloads < 6:
            give(pins, [17], 1)
            given += 1
        done.set()

    driver = threading.Thread(target=drive)
    while not done.is_set():
        async with Running([pulse()], carried, pins, interval=0.05) as running:
            if not driver.ident:
                driver.start()
            await asyncio.sleep(0.1)
        carried, total = running.inputs.carry()["pulses"], running.health.count
        reloads += 1
        await asyncio.sleep(0.05)
    async with Running([pulse()], carried, pins) as running:
        pass
    assert total <= running.health.count == given
    assert given > 20


async def test_setting_a_register_is_carried_read_and_told_at_once() -> None:
    async with Running([pulse(start=5.0)], interval=60.0) as running:
        await asyncio.to_thread(give, running.pins, [17], 10)
        await running.counted(10)
        answer = running.inputs.set("water", 1240.5)
        assert answer == {
            "meter": "water",
            "quantity": "volume",
            "old": 5.01,
            "new": 1240.5,
            "pulse_count": 10,
            "why": "set",
        }
        assert running.slot.readings[-1].values == {"pulse_count": 10, "volume": 1240.5}
        assert [event.fields for event in running.slot.events if event.kind == "pulse_register_set"] == [
            answer
        ]
        assert known(running.inputs.carry()["pulses"]["water"]) == {
            "count": 10,
            "register": 1240.5,
            "quantity": "volume",
        }
        await asyncio.to_thread(give, running.pins, [17], 3)
    assert running.slot.readings[-1].values == {"pulse_count": 13, "volume": 1240.503}
    async with Running([pulse(start=5.0)], running.inputs.carry()["pulses"]) as again:
        assert again.slot.readings[0].values == {"pulse_count": 13, "volume": 1240.503}


@pytest.mark.parametrize(
    ("meter", "value", "words"),
    [("air", 1.0, "no pulse input 'air'"), ("water", -1.0, "-1.0"), ("water", float("nan"), "nan")],
)
async def test_a_register_that_cannot_be_is_refused(meter, value, words) -> None:
    async with Running([pulse()]) as running:
        with pytest.raises(GatewayError, match=words) as caught:
            running.inputs.set(meter, value)
    assert caught.value.hint
    assert {event.kind for event in running.slot.events} == {"pulse_register_started"}


async def test_more_pulses_than_the_meter_can_give_are_not_counted_and_make_the_reading_suspect() -> None:
    async with Running([pulse(max_rate=5.0)], interval=0.2) as running:
        await asyncio.to_thread(give, running.pins, [17], 100)
        await until(lambda: running.slot.readings[-1].values["pulse_count"] > 0)
    health = running.health
    assert health.count + health.rate == 100
    assert health.rate > 50
    suspect = [reading for reading in running.slot.readings if reading.suspect]
    assert suspect
    assert set(suspect[0].suspect) == {"pulse_count", "volume"}
    assert not running.slot.readings[0].suspect


async def test_health_tells_rate_age_and_noise() -> None:
    async with Running([pulse(min_width="50ms", min_gap="20ms")], interval=0.2) as running:
        assert running.health.age is None
        await asyncio.to_thread(give, running.pins, [17], 4, 0.06)
        await asyncio.to_thread(give, running.pins, [17], 3, 0.0)
        await running.counted(4)
        await until(lambda: running.health.per_minute)
        health = running.health
        assert (health.state, health.error, health.count, health.unit, health.pin) == (
            "counting",
            "",
            4,
            "m³",
            17,
        )
        assert health.register == 0.004
        assert health.short + health.gap > 0
        assert health.age >= 0
        assert 0 < health.per_minute <= 60 * 4
        running.pins.drive(17, high=False)
        await until(lambda: running.health.closed)


async def test_pulled_down_and_without_a_resistor() -> None:
    pins = Pins.mock()
    async with Running([pulse(pull="down")], pins=pins) as running:
        await asyncio.to_thread(give, pins, [17], 3, closed=True)
        await running.counted(3)
        assert not running.health.closed
    async with Running([pulse(pull="none")], running.inputs.carry()["pulses"], pins) as running:
        await asyncio.to_thread(give, pins, [17], 2)
        await until(lambda: running.health.count >= 4)


async def test_inputs_that_come_and_go() -> None:
    pins = Pins.mock()
    async with Running([pulse(start=10.0)], pins=pins) as first:
        await asyncio.to_thread(give, pins, [17], 20)
    async with Running([pulse("gas", 18, start=7.0)], first.inputs.carry()["pulses"], pins) as second:
        await asyncio.to_thread(give, pins, [17], 5)  # nobody counts this pin now
        assert second.slot.readings[0].values == {"pulse_count": 0, "volume": 7.0}
    carried = second.inputs.carry()["pulses"]
    assert known(carried["water"]) == {"count": 20, "register": 10.02, "quantity": "volume"}
    async with Running([pulse(start=99.0)], carried, pins) as third:
        assert third.slot.readings[0].values == {"pulse_count": 20, "volume": 10.02}


def test_other_units_hold_from_now_on_and_another_quantity_begins_anew() -> None:
    carried = {"count": 1000, "register": 50.0, "quantity": "volume", "base": [0, 49.0], "per_unit": 1000.0}
    register = PulseRegister(pulse(per_unit=100), carried)
    assert register.at(1100) == 51.0
    assert register.changed == {"old": 50.0, "new": 50.0, "why": "per_unit was 1000"}
    register = PulseRegister(pulse(quantity="heat_energy", start=3.0), carried)
    assert (register.at(1500), register.carried) == (3.5, 1000)
    assert register.changed == {"old": 50.0, "new": 3.0, "why": "quantity was volume"}
    assert PulseRegister(pulse(), carried).changed == {}


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        ({"count": 5}, {"count": 4}, 0),
        ({"count": 4}, {"count": 5}, 1),
        ({"count": 5, "sets": 1}, {"count": 5, "sets": 2}, 1),
        ({"count": 5, "sets": 1}, {"count": 5}, 0),
        ({"count": 5}, {"count": 5, "sets": 1}, 1),
        ({"count": None, "sets": 3}, {"count": 0}, 1),
        ({"count": "x", "sets": 3}, {"count": 0}, 1),
        (None, {"count": 0}, 1),
        ({"count": 0}, None, 0),
    ],
)
def test_the_newer_of_two_carried_states(one, other, newer) -> None:
    assert newer_carried(one, other) is (one, other)[newer]


def test_how_often_a_register_was_set_is_carried() -> None:
    register = PulseRegister(pulse(), {"count": 5, "register": 1.0, "quantity": "volume"})
    assert "sets" not in register.carry(5)
    register.set(5, 2.0)
    assert register.carry(5)["sets"] == 1
    again = PulseRegister(pulse(), register.carry(5))
    again.set(6, 3.0)
    assert again.carry(6)["sets"] == 2


BAD = [
    None,
    [],
    3,
    {},
    {"count": "x"},
    {"count": True},
    {"count": -1, "register": 1.0, "quantity": "volume"},
    {"count": 10**400},
]


@pytest.mark.parametrize("carried", BAD)
async def test_a_carried_state_that_makes_no_sense_is_a_loss_that_is_told(carried, caplog) -> None:
    register = PulseRegister(pulse(start=4.0), carried)
    assert known(register.carry(0)) == {"count": 0, "register": 4.0, "quantity": "volume"}
    async with Running([pulse(start=4.0)], {"water": carried}) as running:
        (event,) = running.slot.events
        assert running.health.doubt == "no register is known"
    assert event.kind == "pulse_register_started"
    assert event.fields == {"meter": "water", "count": 0, "register": 4.0, "why": "no register is known"}
    assert (
        sum(
            "read the display and set it: submeter pulses set water VALUE" in record.message
            for record in caplog.records
        )
        == 1
    )
    async with Running([pulse()], running.inputs.carry()["pulses"]) as again:
        assert again.slot.events == []  # once
        assert again.health.doubt  # until somebody has looked
        again.inputs.set("water", 1240.5)
        assert not again.health.doubt
    assert "doubt" not in again.inputs.carry()["pulses"]["water"]


@pytest.mark.parametrize("broken", [float("inf"), float("nan"), -1.0, None, "7", [], True])
def test_count_and_register_are_taken_over_each_by_itself(broken) -> None:
    register = PulseRegister(pulse(start=4.0), {"count": 175, "register": broken, "quantity": "volume"})
    assert register.carried == 175
    assert register.at(175) == 4.0
    assert register.began == "only the pulse count is known"
    assert json.loads(json.dumps(register.carry(175), allow_nan=False))["count"] == 175


def test_the_register_stays_exact_over_any_number_of_restarts() -> None:
    for per_unit, start, count in (
        (6400, 184223.91, 0),
        (3, 0.1, 120_000_000),
        (7, 999_999.123456789, 10**9),
    ):
        register = PulseRegister(pulse(per_unit=per_unit, quantity="active_energy_import", start=start))
        state, first = register.carry(count), register.at(count)
        for step in range(5000):
            register = PulseRegister(
                pulse(per_unit=per_unit, quantity="active_energy_import"), json.loads(json.dumps(state))
            )
            assert not register.changed
            state = register.carry(count + step)
        assert state["register"] == round(start + (count + 4999) / per_unit, 9)
        assert state["register"] > first


async def test_a_reading_passes_the_wire_unchanged() -> None:
    async with Running([pulse(start=1234.5)]) as running:
        await asyncio.to_thread(give, running.pins, [17], 123)
    reading = running.slot.readings[-1]
    ((_, plain),) = split(Draft([reading]), Batch("g", "0" * 16, 1, 1, 1, "synced"))
    assert decode(plain).readings[0].values == reading.values == {"pulse_count": 123, "volume": 1234.623}


async def test_the_next_reading_is_due_on_the_wall_clock() -> None:
    async with Running([pulse()], interval=5.0) as running:
        await until(
            lambda: running.inputs.next_due() > time.monotonic() + 0.2
        )  # not while one is being taken
        due = running.inputs.next_due()
        wall = time.time() + due - time.monotonic()
        assert abs(wall - 5 * round(wall / 5)) < 0.5
        assert due - time.monotonic() <= 5.6


async def test_a_stop_before_the_start_and_a_second_stop_do_nothing() -> None:
    inputs = PulseInputs([pulse()], lambda _: None, pins=Pins.mock())
    await inputs.stop()
    await inputs.run()
    await inputs.stop()
    assert inputs.health()[0].state == "starting"


async def test_a_pin_that_cannot_be_used_leaves_the_others_alone(caplog) -> None:
    caplog.set_level(logging.INFO)
    async with Running([pulse("fixed", 2, pull="down"), pulse("water", 17)], interval=0.05) as running:
        await asyncio.to_thread(give, running.pins, [17], 5)
        await until(lambda: len(running.slot.of("fixed")) > 3)
    fixed, water = running.inputs.health()
    assert (fixed.state, water.state, water.count) == ("failed", "counting", 5)
    assert "write pull: up" in fixed.error
    assert running.slot.of("fixed")[-1].missing == "not_available"
    told = [
        record.message
        for record in caplog.records
        if "fixed" in record.message and record.levelno == logging.WARNING
    ]
    assert [line for line in told if "goes on" not in line] == [
        f"pulse input fixed does not count: {fixed.error}"
    ]


async def test_inputs_with_the_same_trouble_are_told_in_one_line(caplog) -> None:
    async with Running([pulse("one", 2, pull="none"), pulse("two", 2, pull="none")]) as running:
        assert running.health.per_minute is None
    (told,) = [record.message for record in caplog.records if "do not count" in record.message]
    assert told.startswith("pulse inputs one, two do not count: GPIO 2 has a resistor")


class LatePins(Pins):
    """Edges reach their counter only when they are let through, as through the library's pipe."""

    def __init__(self, factory) -> None:
        super().__init__(factory)
        self.late: deque = deque()

    @classmethod
    def make(cls):
        return cls(MockFactory())

    def delay(self, number: int) -> None:
        pin = self._factory.pin(number)
        take = pin.when_changed
        self.post = lambda ticks, state: self.late.append(
            (take, ticks, state)
        )  # the library keeps no strong reference
        pin.when_changed = self.post

    def arrive(self) -> None:
        while self.late:
            take, ticks, state = self.late.popleft()
            take(ticks, state)


async def test_an_edge_that_is_under_way_during_a_reload_is_counted() -> None:
    for when in ("closing", "opening", "both"):
        pins = LatePins.make()
        async with Running([pulse()], pins=pins) as first:
            await asyncio.to_thread(give, pins, [17], 3)
            await first.counted(3)
            pins.delay(17)
            pins.drive(17, high=False)
            if when == "opening":
                pins.arrive()
            await asyncio.sleep(0.003)
            if when != "closing":
                pins.drive(17, high=True)
        async with Running([pulse()], first.inputs.carry()["pulses"], pins) as second:
            pins.arrive()
            pins.drive(17, high=True)
            pins.arrive()
            await second.counted(4)
        assert (second.health.count, second.health.short, second.health.gap) == (4, 0, 0), when


async def test_reloads_with_late_callbacks_lose_and_double_nothing() -> None:
    pins, given, done = LatePins.make(), 0, threading.Event()
    carried = None

    def meter() -> None:
        nonlocal given
        while not done.is_set():
            give(pins, [17], 1, 0.006)
            given += 1

    def courier() -> None:
        while threads[0].is_alive() or pins.late:
            time.sleep(0.004)
            pins.arrive()

    threads = [threading.Thread(target=meter), threading.Thread(target=courier)]
    for number in range(50):
        async with Running([pulse()], carried, pins, interval=0.02) as running:
            if not number:
                pins.delay(17)
                for thread in threads:
                    thread.start()
            await asyncio.sleep(0.013)
            if number == 49:
                done.set()
                for thread in threads:
                    await asyncio.to_thread(thread.join)
        carried = running.inputs.carry()["pulses"]
    assert given > 20
    assert running.health.count == given


@pytest.mark.parametrize(("forget", "count"), [(False, 1), (True, 2)])
async def test_a_reload_inside_chatter_counts_once_because_the_filter_goes_on(forget, count) -> None:
    slow = pulse(min_width="20ms", min_gap="2s")
    pins = Pins.mock()
    async with Running([slow], pins=pins) as first:
        pins.drive(17, high=False)
        await asyncio.sleep(0.05)
        pins.drive(17, high=True)
        await first.counted(1)
        pins.drive(17, high=False)  # chatter of the opening
        await until(lambda: first.health.closed)
        noise = first.health.gap
    if forget:  # the control: a new filter in the middle of it
        pins.kept.clear()
    async with Running(
        [slow.model_copy(update={"name": "Su"})], first.inputs.carry()["pulses"], pins
    ) as second:
        assert forget or second.health.gap == noise == 1  # a reload does not forget what was rejected
        await asyncio.sleep(0.05)
        pins.drive(17, high=True)
        await until(lambda: not second.health.closed)
        assert second.health.count == count


async def test_a_reload_inside_a_spike_makes_no_pulse() -> None:
    slow = pulse(min_width="2s", min_gap="20ms")
    pins = Pins.mock()
    async with Running([slow], pins=pins) as first:
        pins.drive(17, high=False)
        await until(lambda: first.health.closed)
    async with Running([slow], first.inputs.carry()["pulses"], pins) as second:
        pins.drive(17, high=True)
        await until(lambda: second.health.short == 1)
        assert second.health.count == 0


async def test_another_id_on_the_same_pin_goes_on_in_the_middle_of_a_pulse() -> None:
    pins = Pins.mock()
    async with Running([pulse(), pulse("gas", 18)], pins=pins) as first:
        await asyncio.to_thread(give, pins, [17], 5)
        await first.counted(5)
        pins.drive(17, high=False)
        pins.drive(18, high=False)
        await asyncio.sleep(0.01)
    swapped = [pulse("gas", 17), pulse("water", 18)]
    async with Running(swapped, first.inputs.carry()["pulses"], pins) as second:
        pins.drive(17, high=True)
        pins.drive(18, high=True)
        await until(lambda: [entry.count for entry in second.inputs.health()] == [1, 6])


@pytest.mark.parametrize("rise", [0.005, 0.015, 0.04, 0.09])
async def test_a_line_that_rises_after_its_resistor_was_set_gives_no_pulse(rise, monkeypatch) -> None:
    pins, threads = Pins.mock(), []
    pin = pins._factory.pin(17)
    pin.drive_low()
    set_pull = pin._set_pull

    def slowly(value) -> None:
        pin._pull = value
        threads.append(threading.Timer(rise, set_pull, [value]))
        threads[-1].start()

    monkeypatch.setattr(pin, "_set_pull", slowly)
    async with Running([pulse(min_width="30ms", min_gap="30ms", max_rate=None)], pins=pins) as running:
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.1)
        assert running.health.count == 0
        await asyncio.to_thread(give, pins, [17], 3, 0.04)
        await running.counted(3)
    assert running.health.count == 3


@pytest.mark.parametrize(
    ("even", "noise", "counted", "fast"),
    [
        (20, 20, 0, True),
        (19, 19, 0, False),
        (20, 79, 0, True),
        (20, 80, 0, False),
        (20, 20, 199, True),
        (20, 20, 200, False),
    ],
)
def test_what_the_limits_reject_is_a_meter_when_it_came_evenly_and_is_much_of_all(
    even, noise, counted, fast
) -> None:
    """A quarter of what was rejected, and a tenth of what was counted."""
    assert MOST_REJECTED == 20
    one = PulseInput(pulse(), None, None)
    assert not one.too_fast
    one.filter.rejected.gap, one.filter.regular, one.filter.count = 500, 400, 7000
    one.sample(100.0)
    assert not one.too_fast
    one.filter.rejected.gap += noise // 2
    one.filter.rejected.short += noise - noise // 2
    one.filter.regular += even
    one.filter.count += counted
    assert one.too_fast is fast


async def test_a_contact_faster_than_its_limits_is_told_once_and_marks_the_readings(caplog) -> None:
    async with Running([pulse(min_width="30ms", min_gap="30ms", max_rate=None)], interval=0.2) as running:
        for _ in range(4):
            await asyncio.to_thread(give, running.pins, [17], 25, 0.02)
            if running.health.fast:
                break
        await until(lambda: running.health.fast)
        assert running.slot.readings[-1].suspect == ("pulse_count", "volume")
        assert not running.slot.readings[0].suspect
        assert "faster" in running.health.doubt  # the register lacks them from here on
    (line,) = [record.message for record in caplog.records if "limits reject" in record.message]
    assert "allow 16.7 a second" in line


async def test_what_the_configuration_moves_is_told() -> None:
    async with Running([pulse(start=50.0)]) as first:
        await asyncio.to_thread(give, first.pins, [17], 10)
    async with Running(
        [pulse(quantity="heat_energy", start=900.0)], first.inputs.carry()["pulses"]
    ) as second:
        (event,) = second.slot.events
    assert event.kind == "pulse_register_set"
    assert event.fields == {
        "meter": "water",
        "quantity": "heat_energy",
        "old": 50.01,
        "new": 900.0,
        "why": "quantity was volume",
        "pulse_count": 10,
    }
    async with Running(
        [pulse(quantity="heat_energy", per_unit=10)], second.inputs.carry()["pulses"]
    ) as third:
        (event,) = third.slot.events
    assert (event.fields["old"], event.fields["new"], event.fields["why"]) == (
        900.0,
        900.0,
        "per_unit was 1000",
    )
    async with Running(
        [pulse(quantity="heat_energy", per_unit=10)], third.inputs.carry()["pulses"]
    ) as fourth:
        assert fourth.slot.events == []
