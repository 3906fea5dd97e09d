"""A certificate that ends is told a month ahead: once for each step, by a right clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.config import parse_config
from gateway.daemon.remote.certificates import DAY_MS, CertificateWatch
from gateway.host import Clock
from gateway.remote.enrolment import Authority, DeviceIdentity

NOW = int(datetime.now(UTC).timestamp() * 1000) + 3_600_000


@pytest.fixture
def ends(tmp_path):
    """A certificate of a gateway that is good for 40 days, and the configuration that names it."""
    authority = Authority.make(tmp_path / "sign", "Test", 1)
    identity = DeviceIdentity("izm-1", tmp_path / "city.pem", tmp_path / "city.pem")
    authority = Authority(tmp_path / "sign", days=40)
    identity.install(authority.certify("izm-1", identity.request()))
    file = identity.cert
    ca = tmp_path / "sign" / "authority.pem"
    uplink = {"name": "city", "url": "mqtts://h:1", "ca": str(ca), "cert": str(file), "key": str(file)}
    return parse_config(json.dumps({"gateway": {"id": "izm-1"}, "uplinks": [uplink]}))


async def test_each_step_is_told_once_and_a_wrong_clock_tells_nothing(ends):
    told, wall, synced = [], [NOW], [False]
    clock = Clock("kernel", wall=lambda: wall[0], uptime=lambda: 0, kernel=lambda: synced[0])
    watch = CertificateWatch(lambda: ends, lambda: clock, told.append)
    await watch.check_files()
    assert watch.ends.keys() == {"city"}
    assert 39 * DAY_MS < watch.ends["city"] - NOW <= 40 * DAY_MS
    wall[0] += 20 * DAY_MS
    await watch.check_files()
    assert told == []
    synced[0] = True
    clock.changes()
    for day in (20, 20, 22, 34, 36, 38, 41):
        wall[0] = NOW + day * DAY_MS
        await watch.check_files()
    kinds = {(event.kind, event.fields["uplink"], event.fields["file"]) for event in told}
    assert kinds == {("certificate_ends", "city", "cert")}
    assert [event.fields["days"] for event in told] == [19, 5, 1, 0]


async def test_another_certificate_begins_anew_and_what_cannot_be_read_is_left_to_others(ends, tmp_path):
    told = []
    clock = Clock("system", wall=lambda: NOW + 30 * DAY_MS, uptime=lambda: 0)
    watch = CertificateWatch(lambda: ends, lambda: clock, told.append)
    await watch.check_files()
    authority = Authority(tmp_path / "sign", days=60)
    identity = DeviceIdentity("izm-1", tmp_path / "city.pem", tmp_path / "city.pem")
    identity.install(authority.certify("izm-1", identity.request()))
    await watch.check_files()
    assert [event.fields["days"] for event in told] == [9, 29]
    (tmp_path / "city.pem").write_bytes(b"nothing")
    await watch.check_files()
    assert watch.ends["city"] > NOW + 300 * DAY_MS  # the authority's
