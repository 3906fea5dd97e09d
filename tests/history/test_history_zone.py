"""The time zone of a building is set right, and the scale of a meter: what was published stays, days
are others.
"""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from history_gateway import ISTANBUL, QUARTER, T0, Gateway

from gateway.energy import Calendar, Manifest
from gateway.history import History, HistoryReader
from gateway.model import Event

ZONES = ["Europe/Istanbul", "America/New_York", "Asia/Kathmandu", "Europe/Berlin"]


def lived(directory, zone="UTC", days=4) -> Gateway:
    gateway = Gateway(directory, Calendar(ZoneInfo(zone)))
    for k in range(days * 96):
        gateway.poll(1000 + k * k / 1000, pause=QUARTER)
    gateway.drain()
    gateway.save()
    return gateway


@pytest.mark.parametrize("zone", ZONES)
def test_every_quarter_hour_stays_and_lies_in_its_new_day(tmp_path, zone) -> None:
    gateway = lived(tmp_path)
    before = gateway.platform.newest()
    told = dict(gateway.platform.manifests)
    gateway.history.close()
    gateway.calendar = Calendar(ZoneInfo(zone))
    gateway.start()
    gateway.drain()
    assert gateway.platform.newest() == before
    assert {len(versions) for versions in gateway.platform.held.values()} == {1}
    # Every day that the platform was told of is told again, under a higher version, and is true.
    for (meter, quantity, day), manifest in gateway.platform.manifests.items():
        old = told.get((meter, quantity, day))
        assert old is None or manifest.version > old.version
        quarters = gateway.calendar.quarters(date.fromisoformat(day))
        held = [each for start in quarters if (each := gateway.history.past(meter, quantity).get(start))]
        again = Manifest.of(meter, quantity, date.fromisoformat(day), manifest.version, held)
        assert again == manifest
    # It goes on as if it had always been there.
    for k in range(200):
        gateway.poll(1200 + k, pause=QUARTER)
    gateway.drain()
    gateway.save()
    gateway.history.close()
    reader = HistoryReader(tmp_path)
    first, last = reader.span()
    days = list(reader.days("m", "active_energy_import", first, last))
    assert [each.start for each in days] == [gateway.calendar.quarters(each.day)[0] for each in days]
    held = {each.start: each.value for each in reader.intervals("m", "active_energy_import", first, last)}
    assert held == {start: value for start, (value, _) in gateway.platform.newest().items()}
    sums = list(reader.sums("m", "active_energy_import", first, last))
    assert sum(each.sum for each in sums) == sum(held.values())
    reader.close()


def test_what_waits_to_be_published_waits_on(tmp_path) -> None:
    gateway = Gateway(tmp_path, Calendar())
    for k in range(300):
        gateway.poll(1000 + k, pause=QUARTER)
        gateway.pending = ([], [])  # the platform is given nothing of it
    behind = gateway.history.behind
    assert behind > 250
    gateway.save()
    gateway.history.close()
    history = History(tmp_path, ISTANBUL)
    assert history.behind == behind
    history.close()


def test_the_same_zone_changes_nothing(tmp_path) -> None:
    gateway = lived(tmp_path, "Europe/Istanbul")
    gateway.history.close()
    held = HistoryReader(tmp_path)
    before = held._conn.execute("SELECT * FROM day ORDER BY day, series").fetchall()
    held.close()
    gateway.start()
    assert gateway.history._conn.execute("SELECT * FROM day ORDER BY day, series").fetchall() == before
    gateway.history.close()


def test_another_transformer_ratio_is_no_jump(tmp_path) -> None:
    """A reload says by which scale a meter is read from now on; what was read before it is by the old
    one.
    """
    gateway = Gateway(tmp_path)
    for k in range(60):
        gateway.poll(40 * (1000 + k / 100))
    told = Event(
        "configuration_changed",
        gateway.uptime + 90_000,
        {"meter": "m", "change": "changed", "fields": {"ct": [40.0, 50.0]}},
    )
    # One slot holds the last reading by the old ratio, the reload, and the first by the new one.
    gateway.pending = (gateway.pending[0], [*gateway.pending[1], told])
    gateway.poll(40 * 1000.60)
    for k in range(61, 150):
        gateway.poll(50 * (1000 + k / 100))
    gateway.drain()
    values = [value for value, _ in gateway.platform.newest().values()]
    assert max(values) <= 50 * 150 + 1
    assert sum(letter == "s" for _, letter in gateway.platform.newest().values()) == 1
    assert [key for key in gateway.platform.findings if "impossible" in key or "leap" in key] == []


def test_a_new_name_is_no_exchange(tmp_path) -> None:
    gateway = Gateway(tmp_path)
    for k in range(200):
        gateway.poll(1000 + k / 100)
        if k == 100:
            fields = {
                "meter": "m",
                "change": "changed",
                "fields": {"name": ["a", "b"], "parent": [None, "x"]},
            }
            gateway.pending[1].append(Event("configuration_changed", gateway.uptime + 1, fields))
    gateway.drain()
    assert {letter for _, letter in gateway.platform.newest().values()} == {"m"}


def test_a_day_far_back_of_another_zone_is_found(tmp_path) -> None:
    """A file that was half of another zone, as a gateway before this one left it."""
    gateway = lived(tmp_path, "UTC", days=3)
    far = T0 - 500 * 96 * QUARTER
    key, day, index = gateway.history.place(("m", "active_energy_import"), far, make=True)
    day.put(index, 7, "m", corrected=False)
    gateway.history.touched(key, day)
    gateway.save()
    gateway.history.close()
    history = History(tmp_path, ISTANBUL)
    found = history.past("m", "active_energy_import").get(far)
    assert found is not None
    assert found.value == 7
    assert history.day(("m", "active_energy_import"), ISTANBUL.place(far)[0]) is not None
    assert history.day(("m", "active_energy_import"), ISTANBUL.place(far)[0] - timedelta(40)) is None
    history.close()
