"""A line with meters at settings and addresses that nobody knows, on a real pty at wire speed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from scan_site import Mounted, Site, SiteLine

from gateway.catalogue import library
from gateway.commissioning.scan import (
    FoundMeter,
    LineSetting,
    SerialProbe,
    Sweep,
    Swept,
    likely_addresses,
    likely_settings,
)
from gateway.commissioning.scan.exchange import answered, dissect
from gateway.commissioning.scan.settings import time_for
from gateway.field import has_right_crc, sealed

LIBRARY = list(library())
BY_NAME = {driver.name: driver for driver in LIBRARY}
FAST = LineSetting(115200, "N")


def mounted(name: str, unit: int, setting: LineSetting = FAST, **more: float) -> Mounted:
    return Mounted(BY_NAME[name], unit, setting, **more)


async def searched(
    site: Site, settings: list[LineSetting], *, addresses: range = range(1, 13), one: bool = False
) -> Swept:
    sweep = Sweep(SiteLine(site), LIBRARY, settings, addresses=addresses, one_setting=one)
    return await sweep.run()


def names(found: FoundMeter) -> list[str]:
    return [driver.name for driver in found.identified.candidates]


def by_unit(swept: Swept) -> dict[int, FoundMeter]:
    return {found.unit: found for found in swept.found}


async def test_meters_of_three_makers_are_found_with_model_and_serial_number() -> None:
    meters = [
        mounted("eastron-sdm630", 3, serial=87654321),
        mounted("abb-b23", 7),
        mounted("schneider-iem3155", 12, turnaround=0.04),
    ]
    with Site(meters) as site:
        swept = await searched(site, [FAST])
    assert swept.ended
    found = by_unit(swept)
    assert set(found) == {3, 7, 12}
    for meter in meters:
        assert meter.driver.name in names(found[meter.unit])
    assert found[3].identified.serial == "87654321"
    assert not swept.troubles


async def test_the_setting_is_found_and_every_one_of_a_mixed_line() -> None:
    meters = [
        mounted("eastron-sdm630", 1, LineSetting(38400, "N")),
        mounted("inepro-pro380", 1, LineSetting(57600, "E")),
        mounted("entes-mpr63", 1, LineSetting(115200, "O")),
    ]
    settings = [LineSetting(rate, parity) for rate in (57600, 38400, 115200) for parity in "NEO"]
    with Site(meters) as site:
        swept = await searched(site, settings, addresses=range(1, 4))
    at = {
        (found.setting.baudrate, found.setting.parity): names(found) for found in swept.found if found.setting
    }
    assert set(at) == {(38400, "N"), (57600, "E"), (115200, "O")}
    assert "entes-mpr63" in at[115200, "O"]
    with Site(meters) as site:
        swept = await searched(site, settings, addresses=range(1, 4), one=True)
    assert len(swept.found) == 1
    assert swept.tried
    assert len(swept.tried) < len(settings)


async def test_a_meter_that_answers_late_is_found_by_its_own_name() -> None:
    with Site([mounted("inepro-pro380", 5, turnaround=0.25)]) as site:
        swept = await searched(site, [FAST])
    assert "inepro-pro380" in names(by_unit(swept)[5])


async def test_two_meters_at_one_address_are_said_to_be_two() -> None:
    meters = [mounted("eastron-sdm630", 4), mounted("abb-b23", 4), mounted("inepro-pro380", 6)]
    with Site(meters) as site:
        swept = await searched(site, [FAST])
    found = by_unit(swept)
    assert found[4].double
    assert not found[6].double
    assert "double" in swept.troubles


async def test_two_slow_meters_at_one_address_are_said_to_be_two() -> None:
    """What is left of their answers comes when the next address has been asked already."""
    meters = [
        mounted("eastron-sdm630", 4, turnaround=0.09),
        mounted("abb-b23", 4, turnaround=0.09),
        mounted("inepro-pro380", 6),
    ]
    with Site(meters) as site:
        swept = await searched(site, [FAST])
    found = by_unit(swept)
    assert found[4].double
    assert not found[6].double


async def test_an_echo_is_told_and_harms_nothing() -> None:
    with Site([mounted("inepro-pro380", 2)], echo=True) as site:
        swept = await searched(site, [FAST])
    assert "inepro-pro380" in names(by_unit(swept)[2])
    assert "echo" in swept.troubles


async def test_noise_alone_is_no_meter() -> None:
    with Site([], noise=20.0) as site:
        swept = await searched(site, [FAST])
    assert not [found for found in swept.found if not found.double]
    assert "no_frame" in swept.troubles


async def test_an_empty_line_is_searched_to_its_end_within_the_printed_bound() -> None:
    with Site([]) as site:
        sweep = Sweep(SiteLine(site), LIBRARY, [FAST], addresses=range(1, 60))
        swept = await sweep.run()
    assert swept.ended
    assert not swept.found
    assert sweep.worst == pytest.approx(time_for([FAST], 59))


@pytest.mark.parametrize(
    ("name", "to", "held"),
    [
        ("serial0", "ttyAMA0", 8),
        ("ttyAMA1", "", 8),
        ("ttyUSB0", "", 0),
        ("by-id", "ttyUSB7", 0),
        ("ttyS0", "", 0),
    ],
)
def test_a_port_that_keeps_bytes_back_is_waited_for(tmp_path, name, to, held) -> None:
    port = tmp_path / name
    if to:
        port.symlink_to(tmp_path / to)
    assert SerialProbe(str(port)).buffered == held


@pytest.mark.parametrize("held", [0, 8])
def test_the_wait_for_an_answer_holds_what_the_port_keeps_back(monkeypatch, held) -> None:
    waits = []

    def nothing(_read, _write, _error, seconds):
        waits.append(seconds)
        return [], [], []

    setting = LineSetting(1200, "N")
    with Site([]) as site:
        probe = SerialProbe(site.port, setting)
        probe.buffered = held
        probe.open()
        clock = SimpleNamespace(monotonic=lambda: 1000.0, sleep=lambda _: None)
        for module in ("line", "exchange"):
            monkeypatch.setattr(f"gateway.commissioning.scan.{module}.time", clock)
        monkeypatch.setattr("gateway.commissioning.scan.line.select", SimpleNamespace(select=nothing))
        probe.exchange(1, bytes((3, 0, 0, 0, 2)), 0.05)
        monkeypatch.undo()
        probe.close()
    assert waits == [pytest.approx((8 + held) * setting.character + 0.05)]
    silent = time_for([setting], 10, held) - time_for([setting], 10)
    assert silent == pytest.approx(10 * held * setting.character)


def test_likely_settings_and_addresses_come_first_and_nothing_is_left_out() -> None:
    own = LineSetting(4800, "O", 1)
    settings = likely_settings(LIBRARY, [own])
    assert settings[0] == own
    assert settings[1] == LineSetting(9600, "N", 1)
    assert len({(each.baudrate, each.parity) for each in settings}) == 24
    addresses = likely_addresses(LIBRARY)
    assert addresses[0] == 1
    assert {*range(1, 11), 247} <= set(addresses)
    factory = {driver.serial.address for driver in LIBRARY if driver.serial.address is not None}
    assert factory <= set(addresses)


def test_a_frame_of_another_master_is_no_meter() -> None:
    request = sealed(9, bytes((3, 0, 0, 0, 2)))
    answer = sealed(9, bytes((3, 4, 1, 2, 3, 4)))
    heard = dissect(b"", request + answer, sealed(1, bytes((3, 0, 0, 0, 2))), 0.0)
    assert [(each.unit, each.request) for each in heard.answers] == [(9, True), (9, False)]


def test_an_answer_that_begins_before_the_next_request_and_ends_behind_it_is_whole() -> None:
    answer, sent = sealed(9, bytes((3, 4, 1, 2, 3, 4))), sealed(10, bytes((3, 0, 0, 0, 2)))
    heard = dissect(answer[:4], answer[4:], sent, 0.0)
    assert [each.unit for each in heard.answers] == [9]
    assert heard.noise == 0


def test_the_beginning_of_an_answer_that_looks_like_a_request_is_not_the_answer() -> None:
    """By chance the first eight bytes of this answer have a right checksum, as a master's request has."""
    sent = sealed(173, bytes((3, 0, 0x1B, 0, 2)))
    answer = sealed(173, bytes((3, 4, 0, 0, 4, 0x5D)))
    assert has_right_crc(answer[:8])
    assert not any(answered(answer[:size], sent) for size in range(len(answer)))
    assert answered(answer, sent)
    (heard,) = dissect(b"", answer, sent, 0.0).answers
    assert (heard.unit, heard.request, heard.pdu[2:]) == (173, False, bytes((0, 0, 4, 0x5D)))
