"""The past of the demo's building: whole, plausible, and read by the pages as any other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.demo.show.past import ZONE, make_past
from gateway.demo.show.site import METERS
from gateway.energy import Calendar
from gateway.history import HistoryReader

NOW = 1_795_278_300_000


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("past")
    assert make_past(path, NOW, months=2) > 0
    return path


def test_every_meter_has_each_quarter_hour_until_now(directory) -> None:
    reader, calendar = HistoryReader(directory), Calendar(ZONE)
    today = calendar.place(NOW)[0]
    assert {meter for meter, _ in reader.registers()} == {meter.id for meter in METERS}
    for meter, quantity in reader.registers():
        sums = list(reader.sums(meter, quantity, today - timedelta(40), today - timedelta(1)))
        assert len(sums) == 40
        assert all(each.intervals == len(calendar.quarters(each.day)) for each in sums)
    reader.close()


def test_the_parts_are_a_little_less_than_the_building(directory) -> None:
    reader, calendar = HistoryReader(directory), Calendar(ZONE)
    day = calendar.place(NOW)[0] - timedelta(3)

    def of(meter: str, way: str = "import") -> int:
        return sum(each.sum for each in reader.sums(meter, f"active_energy_{way}", day, day))

    used = of("main") - of("main", "export") + of("pv", "export")
    parts = sum(of(meter.id) for meter in METERS if meter.id not in {"main", "pv"})
    assert 1.01 < used / parts < 1.05
    assert of("pv", "export") > 0
    reader.close()


def test_a_past_that_is_there_is_left_alone(directory) -> None:
    before = (directory / "history.db").read_bytes()
    assert make_past(directory, NOW, months=3) == 0
    assert (directory / "history.db").read_bytes() == before
