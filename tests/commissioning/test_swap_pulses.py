"""`submeter swap` for a pulse input: its meter is exchanged while it counts, on a running gateway; what the
journal then holds makes an energy series without a jump.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.energy import Calendar
from gateway.history import Committed, History, Projection
from gateway.model import Event, Reading
from tests.waiting import wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "pulses"))

from test_pulse_daemon import Gateway, stored

T0 = 1_795_219_200_000
QUARTER = 900_000
STRETCH = 600
"""By how much slower the few seconds of the test are told to the engine: they become hours."""
QUARTERS = 2
PULSE = 10_000
"""Millilitres of a pulse."""


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path)
    made.start()
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait(30)


def swap(gateway: Gateway, *words: str):
    return CliRunner().invoke(
        cli,
        ["--lang", "en", "swap", "water", *words, "--socket", str(gateway.socket)],
        env={"COLUMNS": "60"},
    )


def goes_on(gateway: Gateway) -> None:
    """Wait while the meter counts on, for some quarter hours as they are told to the engine; the journal has
    them then.
    """
    first = gateway.pulses[-1][1]
    wait_until(lambda: gateway.pulses[-1][1] >= first + QUARTERS * QUARTER / STRETCH)
    seq = gateway.seq
    wait_until(lambda: gateway.seq >= seq + 2)


def water(folder: Path, readings: list[Reading], events: list[Event]) -> tuple[list[int], list[str]]:
    """Millilitres per quarter hour, and their qualities, of what the journal holds, told slowly."""
    moments = sorted([*events, *readings], key=lambda each: (each.uptime, isinstance(each, Reading)))
    first = moments[0].uptime
    calendar = Calendar(ZoneInfo("Europe/Istanbul"))
    held: dict[int, tuple[int, str]] = {}
    history = History(folder, calendar)
    projection = Projection(history)
    now = 0.0
    for seq, each in enumerate(moments, 1):
        uptime = (each.uptime - first) * STRETCH
        slow = (
            Reading(each.meter, uptime, each.values, {})
            if isinstance(each, Reading)
            else Event(each.kind, uptime, each.fields)
        )
        readings_, events_ = ([slow], []) if isinstance(slow, Reading) else ([], [slow])
        projection.take(Committed("e", seq, "b", T0 + uptime, uptime, "synced", readings_, events_))
        now += 10
        for interval in history.offers(now, 500):
            if interval.quantity == "volume":
                held[interval.start] = (interval.value, interval.quality)
    history.close()
    starts = sorted(held)
    assert starts == list(range(starts[0], starts[-1] + QUARTER, QUARTER))
    return [held[start][0] for start in starts], [held[start][1] for start in starts]


async def journalled(gateway: Gateway) -> tuple[list[Reading], list[Event]]:
    gateway.end()
    _, readings, events = await stored(gateway)
    return readings, events


async def test_the_register_of_the_new_meter_goes_on_and_no_pulse_is_lost(gateway, tmp_path) -> None:
    goes_on(gateway)
    nothing = swap(gateway)
    assert nothing.exit_code == 1
    assert "--opening INDEX" in str(nothing.exception)
    assert swap(gateway, "--opening", "7.5").exit_code == 2  # without who and why
    done = swap(gateway, "--opening", "7,5", "--by", "Ayşe", "--why", "verification is due", "--yes")
    assert done.exit_code == 0, done.output
    assert "7.5" in done.output
    assert all(len(line) <= 60 for line in done.output.splitlines())
    goes_on(gateway)
    readings, events = await journalled(gateway)
    (event,) = [each for each in events if each.kind == "meter_swapped"]
    assert (event.fields["by"], event.fields["why"]) == ("Ayşe", "verification is due")
    assert event.fields["opening"] == {"volume": 7.5}
    assert event.fields["closing_how"] == "read"
    old = [each for each in readings if each.uptime < event.uptime]
    new = [each for each in readings if each.uptime >= event.uptime]
    assert old[-1].values["volume"] == event.fields["closing"]["volume"] >= 50
    assert all(7.5 <= each.values["volume"] < 50 for each in new)
    # The register moves, the count of pulses does not: none is lost between the two meters.
    counts = [each.values["pulse_count"] for each in readings]
    assert counts == sorted(counts)
    passed = new[-1].values["pulse_count"] - old[-1].values["pulse_count"]
    assert new[-1].values["volume"] == pytest.approx(7.5 + passed / 100, abs=0.0101)

    values, _ = water(tmp_path, readings, [event])
    whole = PULSE * (counts[-1] - counts[0])
    assert 0 <= whole - sum(values) <= whole / 2
    steady = sorted(values)[len(values) // 2]
    assert max(values) <= 2 * steady
    assert min(values) >= 0


async def test_a_display_that_differs_is_typed_with_who_and_why(gateway, tmp_path) -> None:
    """The old meter's display showed more than was counted: that much stands in the series, once."""
    goes_on(gateway)
    person = ("--by", "Ali", "--why", "burnt", "--json")
    less = swap(gateway, "--closing", "1", "--opening", "0", *person)
    assert less.exit_code == 1
    assert "cannot have ended" in str(less.exception)
    with gateway.client() as client:
        (shown,) = [each["register"] + 3.25 for each in client.pulses() if each["id"] == "water"]
    done = swap(gateway, "--closing", f"volume={shown}", "--opening", "volume=0", *person)
    assert done.exit_code == 0, str(done.exception)
    told = json.loads(done.stdout)
    assert (told["closing"], told["closing_how"]) == ({"volume": shown}, "typed")
    goes_on(gateway)
    readings, events = await journalled(gateway)
    (event,) = [each for each in events if each.kind == "meter_swapped"]
    old = [each for each in readings if each.uptime < event.uptime]
    values, _ = water(tmp_path, readings, [event])
    missed = 1_000_000 * (shown - old[-1].values["volume"])
    counted = PULSE * (readings[-1].values["pulse_count"] - readings[0].values["pulse_count"])
    assert sum(values) == pytest.approx(missed + counted, abs=counted / 2)
    assert sum(values) > missed


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("12.345", "two ways: write 12345, or 12.3450"),
        ("1,234", "two ways: write 1234, or 1,2340"),
        ("volume=123.456", "two ways"),
        ("12.345,6", "no daemon listens"),
        ("1.234.567", "is no index"),
        ("12,5x", "is no index"),
        ("12345.678", "no daemon listens"),
        ("0.123", "no daemon listens"),
        ("7,5", "no daemon listens"),
        ("12.3450", "no daemon listens"),
    ],
)
def test_an_index_that_can_be_read_in_two_ways_is_not_guessed(tmp_path, index: str, said: str) -> None:
    words = ["--lang", "en", "swap", "water", "--opening", index, "--by", "Ali", "--why", "burnt"]
    told = CliRunner().invoke(cli, [*words, "--socket", str(tmp_path / "none.sock")])
    assert told.exit_code != 0
    assert said in " ".join(f"{told.output} {told.exception}".split())
