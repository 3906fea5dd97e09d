"""What stands behind a host is found in whichever frames it speaks: Modbus TCP, or a converter's RTU."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from converter import Converter
from scan_site import DriverImage
from test_scan_cli import run

from gateway.catalogue import library
from gateway.commissioning.scan import ConverterProbe, HostProbe, HostSweep, propose_lines
from gateway.config import load_config
from gateway.demo.simulator.slave import Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer

LIBRARY = list(library())
BY_NAME = {driver.name: driver for driver in LIBRARY}
EMPTY = "gateway: {id: izm-1}\nbuses: []\nmeters: []\nuplinks: []\n"


def meters(**units: int) -> list[Slave]:
    """Slaves by the name of their table, with _ for -."""
    named = {name.replace("_", "-"): unit for name, unit in units.items()}
    return [Slave(unit, DriverImage(BY_NAME[name], 87654321)) for name, unit in named.items()]


def sweep(place: str, **options) -> HostSweep:
    host, _, port = place.rpartition(":")
    ways = [HostProbe(host, int(port)), ConverterProbe(host, int(port))]
    return HostSweep(ways, LIBRARY, **options)


@pytest.mark.parametrize(
    "odd",
    [{}, {"hangs_up": True}, {"echo": True}, {"turnaround": 0.2}],
    ids=["plain", "hangs_up", "echo", "slow"],
)
async def test_the_meters_behind_a_converter_of_serial_frames_are_found(odd) -> None:
    with Converter(meters(eastron_sdm630=3, abb_b23=7), **odd) as line:
        search = sweep(line.place, addresses=[3, 5, 7])
        swept = await search.run()
    assert {each.unit: [table.name for table in each.identified.candidates] for each in swept.found} == {
        3: ["eastron-sdm630"],
        7: ["abb-b23"],
    }
    assert swept.rtu
    assert line.refused == 0
    assert "double" not in swept.troubles


async def test_a_search_that_ends_early_knows_the_frames_of_whom_it_has_heard() -> None:
    with Converter(meters(eastron_sdm630=3)) as line:
        heard = asyncio.Event()
        search = sweep(
            line.place,
            addresses=[3, 40],
            tell=lambda now: heard.set() if now.unit == 40 and now.found else None,
        )
        task = asyncio.create_task(search.run())
        await asyncio.wait_for(heard.wait(), 30)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.7)  # as the end of a loop waits for the request that is under way
        swept = await search.name_rest()
    assert [each.unit for each in swept.found] == [3]
    assert swept.rtu


async def test_the_printed_worst_case_holds_where_nobody_answers() -> None:
    with Converter([]) as line:
        search = sweep(line.place, addresses=[1, 40])
        swept = await search.run()
        assert swept.seconds <= search.worst
        assert line.frames == 2
    assert swept.found == []
    assert not swept.rtu
    assert 256 + 123 < sweep(line.place).worst < 400


async def test_a_modbus_tcp_host_whose_likely_units_are_silent_is_still_one() -> None:
    """RTU frames in between do it no harm."""
    server = TcpServer(meters(eastron_sdm630=40))
    with TcpPlant([server]):
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[1, 40]).run()
    assert [each.unit for each in swept.found] == [40]
    assert not swept.rtu


async def test_a_gateway_that_refuses_for_its_meters_is_asked_in_its_own_frames_alone() -> None:
    server = TcpServer(meters(eastron_sdm630=40), downstream=None)
    bad = []
    with TcpPlant([server]):
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[40]).run()
        bad.append(server.stats.bad_frames)
    assert [each.unit for each in swept.found] == [40]
    assert bad == [0]


ODD = {
    "one ahead": ({"numbers": "+1"}, "odd_number"),
    "one behind": ({"numbers": "-1"}, "odd_number"),
    "of its own": ({"numbers": "own"}, "odd_number"),
    "always 7": ({"numbers": "=7"}, "odd_number"),
    "another unit": ({"unit": 255}, "odd_unit"),
    "lengths": ({"lengths": "+1"}, None),
}


@pytest.mark.parametrize(("odd", "said"), ODD.values(), ids=[*ODD])
async def test_meters_whose_answers_are_odd_in_one_field_are_found_and_that_is_said(odd, said) -> None:
    """The daemon reads them."""
    server = TcpServer(meters(eastron_sdm630=3, abb_b23=7), **odd)
    with TcpPlant([server]):
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[3, 5, 7]).run()
    assert {each.unit: [table.name for table in each.identified.candidates] for each in swept.found} == {
        3: ["eastron-sdm630"],
        7: ["abb-b23"],
    }
    assert not swept.rtu
    assert swept.troubles == ({said} if said else set())


async def test_answers_odd_in_two_fields_are_nobody_s() -> None:
    server = TcpServer(meters(eastron_sdm630=3), numbers="own", unit=255)
    with TcpPlant([server]):
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[3]).run()
    assert not any(each.identified.candidates for each in swept.found)


def test_the_lines_have_the_converter_s_type_and_the_next_search_begins_with_it(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(EMPTY)
    with Converter(meters(eastron_sdm630=3)) as line:
        words = ["scan", line.place, "--addresses", "3", "-c", str(path)]
        told = run(*words, "--write")
        assert told.returncode == 0, told.stderr
        assert "type: rtu-over-tcp" in told.stdout
        assert "RTU over TCP" in " ".join(told.stdout.split())
        (bus,) = load_config(path).buses
        assert (bus.type, bus.place) == ("rtu-over-tcp", line.place)
        (place,) = json.loads(run("scan", bus.name, *words[2:], "--json", "--lang", "tr").stdout)["places"]
    assert place["type"] == "rtu-over-tcp"
    assert [found["address"] for found in place["found"]] == [3]
    assert place["lines"] == ""
    assert place["seconds"] < 30


def test_a_bus_of_the_other_type_is_told_and_not_written_twice(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    with Converter(meters(eastron_sdm630=3)) as line:
        host, _, port = line.place.partition(":")
        path.write_text(
            f"gateway: {{id: izm-1}}\nbuses:\n  - {{name: p1, type: tcp, host: {host}, port: {port}}}\n"
        )
        told = run("scan", "p1", "--addresses", "3", "-c", str(path))
    assert all(len(line) <= 60 for line in told.stdout.splitlines())
    text = " ".join(told.stdout.split())
    assert "Bus p1 of the configuration is of another type" in text
    assert "buses:" not in told.stdout
    assert "bus: p1" in told.stdout


def test_nobody_behind_a_host_says_what_to_look_at_there() -> None:
    with Converter([]) as line:
        told = run("scan", line.place, "--addresses", "3")
    assert told.returncode == 1
    assert "RTU frames" in told.stdout


def test_nothing_is_proposed_for_a_bus_that_is_there_whatever_its_type() -> None:
    place = {"type": "rtu-over-tcp", "host": "192.0.2.1", "port": 502}
    assert propose_lines([], place=place, buses=[{**place, "type": "tcp", "name": "p"}]).text == ""
