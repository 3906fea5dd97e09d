"""What the page shows between two batches: the last known value of each quantity, its age and its doubts."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest

from gateway.catalogue import Driver, load_driver
from gateway.config import Config
from gateway.daemon import views
from gateway.daemon.last_values import LastValues, MeterValues
from gateway.field.health import MeterHealth, PollState
from gateway.model import Reading

DRIVER = "eastron-sdm120"


def test_a_value_is_suspect_when_its_newest_reading_said_so() -> None:
    values = LastValues(["m"])
    values.take(Reading("m", 10, {"active_power": 1.0, "frequency": 50.0}, suspect=("active_power",)))
    meter = values.meters["m"]
    assert (meter.values["active_power"].suspect, meter.values["frequency"].suspect) == (True, False)
    values.take(Reading("m", 20, {"active_power": 2.0, "frequency": 50.0}, suspect=("frequency",)))
    assert (meter.values["active_power"].suspect, meter.values["frequency"].suspect) == (False, True)
    assert (meter.values["active_power"].value, meter.values["active_power"].uptime) == (2.0, 20)


def test_what_a_reading_did_not_bring_keeps_its_value_and_gets_older() -> None:
    values = LastValues(["m"])
    values.take(Reading("m", 10, {"active_power": 1.0, "frequency": 50.0}))
    values.take(Reading("m", 20, {"active_power": 2.0}, {"frequency": "timeout"}))
    meter = values.meters["m"]
    assert (meter.values["frequency"].value, meter.values["frequency"].uptime) == (50.0, 10)
    assert meter.absent == {"frequency": "timeout"}
    values.take(Reading("m", 30, {"frequency": 49.9}))
    assert meter.absent == {}
    assert (meter.answered, meter.polled, meter.missing) == (30, 30, "")


def test_a_poll_that_brought_nothing_changes_no_value() -> None:
    values = LastValues(["m"])
    values.take(Reading("m", 10, {"active_power": 1.0}))
    assert values.take(Reading("m", 20, missing="timeout")) is False
    meter = values.meters["m"]
    assert (meter.answered, meter.polled, meter.missing) == (10, 20, "timeout")
    assert meter.values["active_power"].uptime == 10


def test_a_reading_without_a_value_is_a_poll_and_no_answer() -> None:
    values = LastValues(["m"])
    values.take(Reading("m", 10, {}, {"active_power": "exception_2"}))
    meter = values.meters["m"]
    assert (meter.answered, meter.polled) == (None, 10)


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_how_often_somebody_looks_changes_nothing(looks: int) -> None:
    random = Random(7)
    names = ("active_power", "frequency", "current_l1")
    for _ in range(200):
        kept, values, absent = LastValues(["m"]), {}, {}
        for at in range(1, 12):
            brought = {name: random.random() for name in names if random.random() < 0.7}
            lacking = {name: "timeout" for name in names if name not in brought and random.random() < 0.5}
            suspect = tuple(name for name in brought if random.random() < 0.2)
            kept.take(Reading("m", at, brought, lacking, suspect=suspect))
            values |= {name: (value, at, name in suspect) for name, value in brought.items()}
            absent = {name: why for name, why in absent.items() if name not in brought} | lacking
            if at % looks == 0:
                meter = kept.meters["m"]
                found = {name: (v.value, v.uptime, v.suspect) for name, v in meter.values.items()}
                assert (found, meter.absent) == (values, absent)


def test_a_meter_that_is_not_configured_is_not_kept() -> None:
    values = LastValues(["m"])
    assert values.take(Reading("other", 10, {"active_power": 1.0})) is False
    assert set(values.meters) == {"m"}


def test_news_is_what_was_never_given() -> None:
    values = LastValues(["m"])
    assert values.take(Reading("m", 10, {"active_power": 1.0})) is True
    assert values.take(Reading("m", 20, {"active_power": 2.0})) is False
    assert values.take(Reading("m", 30, {"active_power": 2.0, "frequency": 50.0})) is True
    assert values.meters["m"].given == {"active_power", "frequency"}


@pytest.mark.parametrize(("going_on", "kept"), [({"m"}, True), (set(), False), ({"other"}, False)])
def test_a_reload_keeps_the_values_of_what_is_measured_as_before(going_on, kept) -> None:
    older, newer = LastValues(["m", "removed"]), LastValues(["m", "added"])
    older.take(Reading("m", 10, {"active_power": 1.0}))
    newer.inherit(older, {*going_on, "removed"})
    assert bool(newer.meters["m"].values) is kept
    assert set(newer.meters) == {"m", "added"}


# -- as the page sees them


class Still:
    """One instant: ages are counted from it."""

    monotonic, uptime, wall = 100.0, 60_000, 1_795_278_300_000

    def age(self, uptime):
        return None if uptime is None else (self.uptime - uptime) / 1000

    def wall_of(self, monotonic):
        return self.wall - int((self.monotonic - monotonic) * 1000)


def shown(
    values: MeterValues,
    *,
    driver: str = DRIVER,
    state: PollState = PollState.OK,
    known: bool = True,
    exchange: tuple[str, str, int] | None = None,
    unidentified: bool = False,
    standing_still: frozenset[str] = frozenset(),
    as_shown: Driver | None = None,
    unsteady: tuple[str, ...] = (),
    **meter,
):
    entry = {"id": "m", "bus": "l", "address": 1, "driver": DRIVER, "interval": "2s", "slow_interval": "30s"}
    config = Config.model_validate(
        {
            "gateway": {"id": "g"},
            "buses": [{"name": "l", "type": "tcp", "host": "h"}],
            "meters": [entry | meter],
        }
    )
    assembly = SimpleNamespace(
        config=config,
        drivers={driver: load_driver(driver)} if driver else {},
        last_values=SimpleNamespace(meters={"m": values}),
        pulses=None,
        swaps=(),
        attributes=lambda _meter: {"serial_number": "7"},
    )
    health = SimpleNamespace(
        nameless="",
        driver=as_shown,
        meter="m",
        state=state,
        since=90.0,
        error="",
        facts=(),
        stranger=(),
        exchange=exchange,
        unidentified=unidentified,
        unsteady=unsteady,
        damaged=False,
    )
    bus = SimpleNamespace(meters=[health] if known else [])
    (view,) = views.meter_views(assembly, {"l": bus}, Still(), standing_still)
    return view


def read(*, absent: dict[str, str] | None = None, **values: float) -> MeterValues:
    kept = LastValues(["m"])
    kept.take(Reading("m", 59_000, values, absent or {}))
    return kept.meters["m"]


def test_a_meter_that_refuses_everything_gives_nothing_since_its_last_values() -> None:
    """Not since it was last silent, which may be weeks ago: its bus calls it well, for it answers."""
    values = read(active_power=1.0)
    well = shown(values).since
    values.missing = "exception_2"
    refusing = shown(values)
    assert (refusing.state, refusing.age) == ("lost", 1.0)
    assert refusing.since == Still().wall - 1000 != well
    assert shown(values, state=PollState.LOST).since == well, "the bus knows since when it is silent"
    assert shown(MeterValues(polled=1, missing="exception_2")).since == well, "it never gave any"


def test_that_a_meter_may_be_another_one_is_seen() -> None:
    assert shown(read(active_power=1.0), unidentified=True).remarks == ("unidentified",)
    assert shown(read(active_power=1.0)).remarks == ()


def test_a_meter_is_called_by_its_table() -> None:
    assert shown(read(active_power=1.0)).model == "Eastron SDM120-Modbus"
    assert shown(read(active_power=1.0), driver="").model == ""


def test_each_value_has_its_age_interval_and_digits() -> None:
    view = shown(read(active_power=1.5, active_energy_import=7.0))
    power, energy = view.value("active_power"), view.value("active_energy_import")
    assert (power.value, power.age, power.interval, power.suspect) == (1.5, 1.0, 2.0, False)
    assert (energy.value, energy.interval) == (7.0, 30.0), "energy is of the slow class"
    rows = {row.name: row for row in load_driver(DRIVER).rows}
    assert (power.decimals, energy.decimals) == (
        rows["active_power"].decimals,
        rows["active_energy_import"].decimals,
    )


def test_what_was_not_polled_yet_is_not_shown_and_what_was_refused_is() -> None:
    values = read(active_power=1.0)
    values.absent["frequency"] = "exception_2"
    view = shown(values)
    assert {each.quantity for each in view.values} == {"active_power", "frequency"}
    assert view.value("frequency").value is None
    assert view.value("frequency").absent == "exception_2"


def test_a_value_that_no_row_has_is_shown_with_the_fast_interval() -> None:
    view = shown(read(active_power=1.0, voltage_l3n=230.0))
    assert view.value("voltage_l3n").interval == 2.0
    assert view.value("voltage_l3n").decimals is None


def test_a_slow_value_that_only_this_meters_variant_has_is_shown_with_the_slow_interval() -> None:
    table = load_driver("siemens-mag6000")
    as_shown = replace(table, rows=table.variants[0].rows)
    view = shown(read(volume=3143.856, volume_flow=0.06), driver="siemens-mag6000", as_shown=as_shown)
    volume = view.value("volume")
    assert (volume.interval, volume.decimals) == (30.0, 3)
    assert replace(volume, age=80.0).quality == "good", "it is read every 30 s"
    assert view.value("volume_flow").interval == 2.0


def test_a_poll_that_brought_nothing_is_the_reason_of_every_value() -> None:
    values = read(active_power=1.0)
    values.missing = "timeout"
    view = shown(values)
    assert view.value("active_power").absent == "timeout"
    assert view.value("frequency").absent == "timeout"
    assert view.state == "lost"


@pytest.mark.parametrize(
    ("values", "more", "state"),
    [
        (MeterValues(), {}, "starting"),
        (MeterValues(polled=1), {}, "lost"),
        (MeterValues(polled=1, answered=1), {}, "answering"),
        (read(absent={"frequency": "timeout"}, active_power=1.0), {}, "partial"),
        (MeterValues(polled=2, answered=1, missing="timeout"), {}, "lost"),
        (MeterValues(polled=1, answered=1), {"enabled": False}, "disabled"),
    ],
)
def test_the_state_of_a_meter(values, more, state) -> None:
    assert shown(values, **more).state == state


def test_a_meter_that_its_bus_has_given_up_is_lost_whatever_it_gave() -> None:
    assert shown(read(active_power=1.0), state=PollState.LOST).state == "lost"
    assert shown(read(active_power=1.0), known=False).state == "disabled"
    assert {
        "meter",
        "state",
        "since",
        "error",
        "facts",
        "stranger",
        "exchange",
        "damaged",
        "unsteady",
    } <= set(MeterHealth.__dataclass_fields__), "what stands for it here has what it has"


def test_an_exchanged_meter_is_told_by_both_serial_numbers() -> None:
    assert shown(read(active_power=1.0), exchange=("4711", "4712", 5)).exchanged == ("4711", "4712")
    assert shown(read(active_power=1.0)).exchanged == ()


def test_a_line_as_the_page_sees_it() -> None:
    config = Config.model_validate(
        {"gateway": {"id": "g"}, "buses": [{"name": "l", "type": "tcp", "host": "h", "label": "Kazan"}]}
    )
    counters = SimpleNamespace(requests=9, timeouts=1, bad_frames=2, exceptions={2: 3, 6: 1})
    health = SimpleNamespace(
        bus="l",
        counters=counters,
        turn_around=0.025,
        state="ready",
        since=90.0,
        load=0.5,
        error="",
        cause="",
        facts=(),
        lent=False,
    )
    view = views.bus_view(SimpleNamespace(config=config), health, 7, Still())
    assert (view.name, view.label, view.where, view.state) == ("l", "Kazan", "h:502", "open")
    assert (view.since, view.turnaround, view.counted_since) == (Still.wall - 10_000, 25.0, 7)
    assert (view.requests, view.timeouts, view.bad_frames, view.exceptions) == (9, 1, 2, 4)
    health.since, health.turn_around, health.lent = 0.0, None, True
    view = views.bus_view(SimpleNamespace(config=config), health, 7, Still())
    assert (view.since, view.turnaround, view.state) == (None, None, "lent")


def test_a_meter_whose_register_stands_still_has_a_remark_of_its_own() -> None:
    values = read(active_power=1.2)
    assert shown(values, standing_still=frozenset({"m"})).remarks == ("register_still",)
    assert shown(values, standing_still=frozenset({"another"})).remarks == ()


def test_a_meter_whose_register_goes_back_and_forth_names_it() -> None:
    view = shown(read(active_energy_import=1.2), unsteady=("active_energy_import",))
    assert (view.remarks, view.unsteady) == (("register_unsteady",), ("active_energy_import",))
