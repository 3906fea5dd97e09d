"""What stands behind a host is found in whichever frames it speaks: Modbus TCP, or a converter's RTU."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re

import pytest
from converter import Converter
from scan_site import DriverImage
from test_scan_cli import run

from gateway.catalogue import library
from gateway.cli.scan_words import Report
from gateway.commissioning.scan import ConverterProbe, HostProbe, HostSweep, host_sweep, propose_lines
from gateway.config import Meter, TcpBus, load_config
from gateway.demo.simulator import tcp_server
from gateway.demo.simulator.slave import Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from gateway.field import BusWorker, MeterTask

server_client = tcp_server._Client
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


TWICE_ODD = {
    "number and unit": ({"numbers": "own", "unit": 255}, {"reply_number": "own", "reply_unit": 255}, False),
    "one ahead and unit": ({"numbers": "+1", "unit": 255}, {"reply_number": "+1", "reply_unit": 255}, False),
    "always 7 and unit": ({"numbers": "=7", "unit": 1}, {"reply_number": "=7", "reply_unit": 1}, False),
    "unit and length": ({"unit": 255, "lengths": "+1"}, {"reply_unit": 255, "reply_length": "+1"}, True),
    "number and length": (
        {"numbers": "-1", "lengths": "+1"}, {"reply_number": "-1", "reply_length": "+1"}, True,
    ),
    "unit and protocol": ({"unit": 9, "protocol": 3}, {"reply_unit": 9, "reply_protocol": 3}, True),
    "length and protocol": (
        {"lengths": "+1", "protocol": 3}, {"reply_length": "+1", "reply_protocol": 3}, True,
    ),
}  # fmt: skip
"""By which keys of the bus they are read; whether the search can tell whose they are without them."""


@pytest.mark.parametrize(("odd", "keys", "known"), TWICE_ODD.values(), ids=[*TWICE_ODD])
async def test_answers_odd_in_several_fields_are_said_with_the_keys_by_which_they_are_read(
    odd, keys, known, capsys
) -> None:
    """No two meters at one address, no line of which A and B are swapped."""
    server = TcpServer(meters(eastron_sdm630=3), **odd)
    with TcpPlant([server]):
        place = f"127.0.0.1:{server.port}"
        swept = await sweep(place, addresses=[3]).run()
        assert swept.troubles == {"odd_fields"}
        assert swept.reply_keys == keys
        assert bool([table for each in swept.found for table in each.identified.candidates]) is known
        assert not any(each.double for each in swept.found)
        report = Report(as_json=False)
        report.begin(place, 1.0, [])
        report.done(swept)
        said = " ".join(capsys.readouterr().out.split())
        for key, value in keys.items():
            assert re.search(rf'{key}: "?{re.escape(str(value))}', said), said
        assert "share an address" not in said
        assert "Nobody answered" not in said
        # What it says is what helps.
        bus = TcpBus(name="bus", type="tcp", host="127.0.0.1", port=server.port, timeout="5s", **keys)
        table = BY_NAME["eastron-sdm630"]
        meter = Meter(id="m", bus="bus", address=3, driver=table.name, interval="10s")
        worker = BusWorker(bus, [MeterTask(meter, table)], lambda _: None)
        reading = await worker.meter("m").read()
        await worker.stop()
        assert not reading.missing
        assert reading.values["frequency"] > 0


async def test_a_gateway_whose_refusals_alone_are_odd_needs_no_key() -> None:
    """For a unit that it does not have it answers as nobody, without the number."""
    server = TcpServer(meters(eastron_sdm630=3))
    plain = server_client._odd

    def odd(self, frame: bytes) -> bytes:
        return b"\0\0" + frame[2:6] + b"\0" + frame[7:] if frame[8:9] == b"\x0b" else plain(self, frame)

    with pytest.MonkeyPatch.context() as patch, TcpPlant([server]):
        patch.setattr(server_client, "_odd", odd)
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[2, 3, 5]).run()
    assert [each.unit for each in swept.found] == [3]
    assert swept.troubles == set()
    assert swept.reply_keys == {}


@contextlib.asynccontextmanager
async def dongle(slave: Slave, *, ends: bool):
    """A device that hears nothing on a connection that is used within 0.3 s, or `ends` it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        since = asyncio.get_running_loop().time()
        deaf = False
        while data := await reader.read(256):
            deaf = deaf or asyncio.get_running_loop().time() < since + 0.3
            if deaf and ends:
                break
            if not deaf and len(data) >= 8 and data[6] == slave.unit:
                answer = slave.respond(data[7:])
                writer.write(data[:4] + (len(answer) + 1).to_bytes(2) + data[6:7] + answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("ends", [False, True], ids=["stays dead", "hangs up"])
async def test_a_device_that_needs_rest_after_connecting_is_found(monkeypatch, ends) -> None:
    monkeypatch.setattr(host_sweep, "_PAUSE", 2.0)
    (slave,) = meters(eastron_sdm630=1)
    async with dongle(slave, ends=ends) as place:
        search = sweep(place, addresses=[1, 9])
        swept = await search.run()
    assert [table.name for each in swept.found for table in each.identified.candidates] == ["eastron-sdm630"]
    assert swept.troubles == {"connect_pause"}
    assert not swept.rtu


@pytest.mark.parametrize("code", [4, 5, 6, 8])
async def test_a_meter_that_only_complains_of_itself_is_told_so_and_no_table_is_blamed(code, capsys) -> None:
    (slave,) = meters(eastron_sdm630=3)
    slave.respond = lambda pdu, **_: bytes((pdu[0] | 0x80, code))
    server = TcpServer([slave])
    with TcpPlant([server]):
        report = Report(as_json=False)
        report.begin("host", 1.0, [])
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[3], met=report.met).run()
    (found,) = swept.found
    assert found.identified.complaint is not None
    said = " ".join(capsys.readouterr().out.split())
    assert f"(code {code})" in said
    assert ("off and on again" in said) is (code in {4, 8})
    assert ("take other masters off it, and search again" in said) is (code in {5, 6})
    assert "drivers try" not in said


async def test_a_meter_that_is_busy_for_a_moment_is_asked_once_more() -> None:
    (slave,) = meters(eastron_sdm630=3)
    answer, turns = slave.respond, itertools.count(1)

    def respond(pdu: bytes, **more) -> bytes:
        return answer(pdu, **more) if next(turns) % 4 else bytes((pdu[0] | 0x80, 6))

    slave.respond = respond
    server = TcpServer([slave])
    with TcpPlant([server]):
        swept = await sweep(f"127.0.0.1:{server.port}", addresses=[3]).run()
    (found,) = swept.found
    assert [table.name for table in found.identified.candidates] == ["eastron-sdm630"]
    assert found.identified.complaint is None


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
