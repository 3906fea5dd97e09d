"""An exchanged meter, from committed batches to intervals: neither a jump nor a hole."""

from __future__ import annotations

import pytest
from history_gateway import Gateway

from gateway.model import Event

KWH = "active_energy_import"
OLD_ENDS, NEW_BEGINS = 72_028.4, 3.25


def swapped(gateway: Gateway, closing: float | None, opening: float | None) -> None:
    """The event alone in its batch, as `submeter swap` journals it."""
    fields: dict = {"meter": "m", "closing": {}, "opening": {}}
    if closing is not None:
        fields["closing"][KWH] = closing
    if opening is not None:
        fields["opening"][KWH] = opening
    gateway.uptime += 1
    gateway.pending[1].append(Event("meter_swapped", gateway.uptime, fields))
    gateway.commit([])


def old_meter(gateway: Gateway, polls: int = 120) -> float:
    """A kWh a minute, up to its end."""
    for k in range(polls):
        gateway.poll(OLD_ENDS - polls + 1 + k)
    return OLD_ENDS - polls + 1


def new_meter(gateway: Gateway, polls: int = 120) -> float:
    for k in range(polls):
        gateway.poll(NEW_BEGINS + k)
    return NEW_BEGINS + polls - 1


def judge(gateway: Gateway, wh: float, *, least: int) -> None:
    """Every interval in a row, and their sum within what lies outside of the outer edges."""
    gateway.drain()
    held = gateway.platform.newest()
    starts = sorted(held)
    assert starts == list(range(starts[0], starts[-1] + 900_000, 900_000))
    assert len(starts) >= least
    assert 0 <= wh - gateway.platform.total() <= 2 * 15_000 + 1_001
    assert max(value for value, _ in held.values()) <= 15_001
    assert min(value for value, _ in held.values()) >= 0


def test_the_series_goes_on_without_a_jump_and_without_a_hole(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    gateway.uptime += 20 * 60_000  # both are off
    swapped(gateway, OLD_ENDS, NEW_BEGINS)
    ended = new_meter(gateway)
    judge(gateway, 1000 * (OLD_ENDS - began + ended - NEW_BEGINS), least=15)
    assert "s" not in {quality for _, quality in gateway.platform.newest().values()}
    assert any('"swap"' in key for key in gateway.platform.findings)


def test_without_the_event_it_does_jump(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    gateway.uptime += 20 * 60_000
    ended = new_meter(gateway)
    gateway.drain()
    whole = 1000 * (OLD_ENDS - began + ended - NEW_BEGINS)
    qualities = {quality for _, quality in gateway.platform.newest().values()}
    assert "s" in qualities or whole - gateway.platform.total() > 2 * 15_000 + 1_001


@pytest.mark.parametrize("ends", ["kill", "stop", "reboot"])
def test_it_outlives_the_end_of_the_process(tmp_path, ends) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    swapped(gateway, OLD_ENDS, NEW_BEGINS)
    getattr(gateway, ends)()
    ended = new_meter(gateway)
    judge(gateway, 1000 * (OLD_ENDS - began + ended - NEW_BEGINS), least=14)


def test_a_clock_that_is_not_right_yet_loses_no_exchange(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    gateway.reboot("unsynced", offset=0)
    gateway.poll(OLD_ENDS)
    swapped(gateway, OLD_ENDS, NEW_BEGINS)
    for k in range(5):
        gateway.poll(NEW_BEGINS + k)
    gateway.save()
    gateway.kill()
    gateway.poll(NEW_BEGINS + 5)
    gateway.offset, gateway.clock = gateway.journal[119].t0 + 10 * 60_000, "synced"
    gateway.kill()
    for k in range(6, 120):
        gateway.poll(NEW_BEGINS + k)
    judge(gateway, 1000 * (OLD_ENDS - began + 119), least=14)


def test_what_the_old_meter_took_after_its_last_reading_is_counted(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    gateway.uptime += 30 * 60_000  # it was silent, and went on counting: the display says so
    swapped(gateway, OLD_ENDS + 12, NEW_BEGINS)
    ended = new_meter(gateway)
    judge(gateway, 1000 * (OLD_ENDS + 12 - began + ended - NEW_BEGINS), least=15)


@pytest.mark.parametrize("ahead", [0.5, 3.0, 40.0])
def test_what_the_display_shows_beyond_a_reading_of_the_same_moment_is_counted(tmp_path, ahead) -> None:
    """Whoever types the last index has the meter read a millisecond before."""
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    swapped(gateway, OLD_ENDS + ahead, NEW_BEGINS)
    ended = new_meter(gateway)
    gateway.drain()
    held = gateway.platform.newest()
    whole = 1000 * (OLD_ENDS + ahead - began + ended - NEW_BEGINS)
    assert 0 <= whole - gateway.platform.total() <= 2 * 15_000 + 1_001
    assert max(value for value, _ in held.values()) >= 1000 * ahead
    assert "s" not in {quality for _, quality in held.values()}


@pytest.mark.parametrize("closing", [OLD_ENDS - 5, 10 * OLD_ENDS, 10 * OLD_ENDS * 1e6])
def test_an_index_that_cannot_be_makes_no_jump(tmp_path, closing) -> None:
    gateway = Gateway(tmp_path)
    began = old_meter(gateway)
    swapped(gateway, closing, NEW_BEGINS)
    ended = new_meter(gateway)
    judge(gateway, 1000 * (OLD_ENDS - began + ended - NEW_BEGINS), least=14)


def test_readings_that_follow_one_another_quickly_lose_nothing(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    began = OLD_ENDS - 7.19
    for k in range(720):
        gateway.poll(began + k / 100, pause=5_000)
    swapped(gateway, None, None)  # nothing but that it was exchanged is known
    for k in range(720):
        gateway.poll(NEW_BEGINS + k / 100, pause=5_000)
    gateway.drain()
    held = gateway.platform.newest()
    # 0.01 kWh in 5 s: of every quarter hour but the one of the exchange all is known.
    assert {value for value, quality in held.values() if quality == "m"} <= {1800}
    (value,) = [value for value, quality in held.values() if quality != "m"]
    assert 1800 - value <= 11
