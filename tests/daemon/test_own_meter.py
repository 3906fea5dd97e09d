"""The meter that the gateway itself is: what the machine says, what is absent, its way to the platform."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from test_daemon import bus, control, meter, plant, started, status, submeter

from gateway.catalogue import load_file
from gateway.check import check
from gateway.cli import cli
from gateway.config import OWN_ID, Config, parse_config
from gateway.daemon import own_meter
from gateway.daemon.own_meter import DECIMALS, OwnMeter, OwnParts
from gateway.errors import DriverError
from gateway.history.values import COUNTERS
from gateway.host import MachineFiles
from gateway.model import OWN_METER, QUANTITIES, Reading
from gateway.status import Locale, MeterView, ValueView
from gateway.status.page.tables import tables
from tests.rig import rig, until

WHOLE = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51250\n",
    "sys/class/thermal/thermal_zone1/type": "iwlwifi_1",
    "sys/class/thermal/thermal_zone1/temp": "83000\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "proc/loadavg": "0.42 0.30 0.20 1/123 4567\n",
    "proc/meminfo": "MemTotal: 500000 kB\nMemAvailable:  212000 kB\n",
    "proc/self/mounts": "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n",
    "sys/block/mmcblk0/mmcblk0p2/size": "1",
    "sys/block/mmcblk0/stat": "1 2 3 4 5 6 2000000 8 9\n",
    "sys/block/mmcblk0/device/life_time": "0x02 0x03\n",
}
"""A Raspberry Pi with an eMMC."""


def machine(root: Path, files: dict[str, str]) -> MachineFiles:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return MachineFiles(root)


async def true(what) -> None:
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)


def config_of(folder: Path, more: str = "") -> Config:
    return parse_config(f"gateway: {{id: g}}\njournal: {{directory: {folder}}}\n{more}")


def read(root: Path, files: dict[str, str], parts: OwnParts | None = None) -> Reading:
    parts = parts or OwnParts({}, None, clock_synced=False)
    files_of = machine(root, files)
    return asyncio.run(OwnMeter(config_of(root), lambda _: None, lambda: parts, machine=files_of).read())


def test_what_a_whole_machine_says(tmp_path) -> None:
    parts = OwnParts({"line1": (200, 5), "line2": (50, 0)}, 224.96, clock_synced=False)
    reading = read(tmp_path, WHOLE, parts)
    assert reading.meter == OWN_METER
    free = reading.values.pop("disk_free")
    assert free > 0
    assert reading.values == {
        "cpu_temperature": 51.2, "undervoltage": 0.0, "cpu_load": 0.42, "memory_free": 217.0,
        "disk_written": 1.024, "disk_life_used": 30.0, "bus_error_rate": 2.5, "journal_days": 225.0,
    }  # fmt: skip
    assert reading.absent == {"clock_offset": "not_available", "certificate_days": "not_available"}


SD = {
    **WHOLE,
    "sys/block/mmcblk0/device/life_time": "",
    "sys/block/mmcblk0/mmcblk0p1/size": "1",
    "sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes": "2000000000\n",
    "sys/fs/ext4/sda1/lifetime_write_kbytes": "9000000000\n",
}
"""The same with an SD card, to which 2.048 TB were written; another disk's are none of it."""


@pytest.mark.parametrize(
    ("files", "endurance", "used"),
    [
        (SD, None, None),
        (SD, "20000GB", 10.0),
        (SD, "1000GB", 200.0),
        ({**SD, "sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes": ""}, "20000GB", None),
        (WHOLE, "20000GB", 30.0),
        ({**WHOLE, "sys/block/mmcblk0/device/pre_eol_info": "0x01\n"}, None, 30.0),
        ({**WHOLE, "sys/block/mmcblk0/device/pre_eol_info": "0x03\n"}, None, 90.0),
    ],
)
def test_the_life_of_a_card_is_its_own_word_or_reckoned_from_what_its_maker_says(
    tmp_path, files, endurance, used
) -> None:
    config = config_of(tmp_path, f"health: {{endurance: {endurance}}}\n" if endurance else "")
    parts = OwnParts({}, None, clock_synced=False)
    own = OwnMeter(config, lambda _: None, lambda: parts, machine=machine(tmp_path, files))
    reading = asyncio.run(own.read())
    assert reading.values.get("disk_life_used") == used
    assert reading.absent.get("disk_life_used") == (None if used is not None else "not_available")


def test_a_machine_without_sensors_says_so_and_makes_nothing_up(tmp_path) -> None:
    reading = read(tmp_path, {})
    assert set(reading.values) == {"disk_free"}
    assert set(reading.absent.values()) == {"not_available"}
    assert reading.values.keys() | reading.absent.keys() == DECIMALS.keys()


@pytest.mark.parametrize(
    ("changed", "quantity"),
    [
        ({"sys/class/thermal/thermal_zone0/temp": ""}, "cpu_temperature"),
        ({"sys/class/thermal/thermal_zone0/type": "battery"}, "cpu_temperature"),
        ({"sys/class/hwmon/hwmon1/name": "other"}, "undervoltage"),
        ({"proc/loadavg": "x"}, "cpu_load"),
        ({"proc/meminfo": "MemTotal: 5 kB\n"}, "memory_free"),
        ({"proc/self/mounts": "overlay / overlay rw 0 0\n"}, "disk_written"),
        ({"sys/block/mmcblk0/device/life_time": "0x00 0x00"}, "disk_life_used"),
    ],
)
def test_one_sensor_that_is_not_there_takes_nothing_else_along(tmp_path, changed, quantity) -> None:
    before = read(tmp_path, WHOLE)
    reading = read(tmp_path, {**WHOLE, **changed})
    gone = before.values.keys() - reading.values.keys()
    assert quantity in gone
    assert gone <= {quantity, "disk_life_used"}  # a disk that is not known has no life either


def test_a_supply_that_sagged_for_two_seconds_is_in_the_next_reading(tmp_path) -> None:
    files = machine(tmp_path, WHOLE)
    readings: list[Reading] = []
    parts = OwnParts({}, None, clock_synced=False)

    async def run() -> None:
        wall = iter([59.2, *(0.0 for _ in range(9))])
        config = config_of(tmp_path, "health: {interval: 60s}\n")
        own = OwnMeter(config, readings.append, lambda: parts, machine=files,
                       wall=lambda: next(wall), start_seconds=0.0)  # fmt: skip
        task = asyncio.create_task(own.run())
        await true(lambda: own.newest is not None)
        alarm = tmp_path / "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
        alarm.write_text("1\n")
        own._see_supply()
        alarm.write_text("0\n")
        await true(lambda: readings)
        again = await own.read()
        await own.stop()
        await task
        assert again.values["undervoltage"] == 0.0

    asyncio.run(run())
    assert readings[0].values["undervoltage"] == 1.0


def test_the_error_rate_is_of_the_last_interval_and_of_the_worst_line(tmp_path) -> None:
    counted = [
        {"a": (100, 100), "b": (10, 0)},
        {"a": (200, 100), "b": (20, 1)},
        {"a": (200, 100), "b": (20, 1)},
        {"a": (5, 1)},
    ]
    now = [OwnParts(counted[0], None, clock_synced=False)]
    own = OwnMeter(config_of(tmp_path), lambda _: None, lambda: now[0], machine=MachineFiles(tmp_path))
    rates = []
    for each in counted:
        now[0] = OwnParts(each, None, clock_synced=False)
        rates.append(asyncio.run(own.read()).values.get("bus_error_rate"))
    assert rates == [100.0, 10.0, None, None]


def test_an_offset_is_said_only_while_the_clock_is_right(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(own_meter, "clock_offset", lambda: -1.25)
    for synced, said in [(True, -1.25), (False, None)]:
        reading = read(tmp_path, WHOLE, OwnParts({}, None, clock_synced=synced))
        assert reading.values.get("clock_offset") == said
    monkeypatch.setattr(own_meter, "clock_offset", lambda: float("nan"))
    assert "clock_offset" in read(tmp_path, WHOLE, OwnParts({}, None, clock_synced=True)).absent


def test_the_vocabulary_and_the_meter_are_of_one_mind() -> None:
    assert OWN_ID == OWN_METER
    assert DECIMALS.keys() == {word.name for word in QUANTITIES.values() if word.own}
    assert not DECIMALS.keys() & COUNTERS  # nothing of it is energy


def test_no_table_of_a_meter_gives_what_the_gateway_says_of_itself(tmp_path) -> None:
    table = tmp_path / "own.yaml"
    head = "maker: A\nmodel: B\nverified: one-source\nsource: s\nregisters: |\n"
    table.write_text(head + "  0x0 float32 cpu_temperature C fast\n")
    with pytest.raises(DriverError, match="is what the gateway says of itself"):
        load_file(table)


@pytest.mark.parametrize(
    "text",
    [
        "meters: [{id: gateway, bus: b, address: 1, driver: eastron-sdm630}]\n"
        "buses: [{name: b, type: tcp, host: 192.0.2.1}]\n",
        "pulses: [{id: gateway, pin: 4, per_unit: 1000}]\n",
    ],
)
def test_the_id_is_reserved_and_an_old_file_starts_all_the_same(tmp_path, text) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("gateway: {id: g}\n" + text)
    checked = check(path)
    assert any(
        "id: 'gateway' is the meter that the gateway itself is" in str(each) for each in checked.problems
    )
    assert not checked.fatal
    assert checked.config is not None
    assert checked.config.own_interval is None


def test_its_way_to_the_platform_the_page_and_the_terminal(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path, 1)) as site:
        site.start_broker()
        site.start_receiver()
        site.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"}, buses=[bus(site)], meters=[meter(1)],
            uplinks=[site.uplink()], health={},
        )  # fmt: skip
        started(site)
        said = submeter(site, "read", "gateway")
        assert said.returncode == 0, said.stderr
        assert "memory_free" in said.stdout
        reading = json.loads(submeter(site, "read", "--json", "gateway").stdout)["readings"][0]
        assert reading["meter"] == "gateway"
        assert reading["values"].keys() | reading["absent"].keys() == DECIMALS.keys()

        def stored() -> list[tuple[str, ...]]:
            with sqlite3.connect(f"file:{site.database}?mode=ro", uri=True) as base:
                names = [
                    row[0] for row in base.execute("select name from sqlite_master where type = 'table'")
                ]
                assert "reading" in names, names
                return base.execute("select * from reading where meter = 'gateway'").fetchall()

        until(lambda: site.database.exists() and stored(), 60, "the platform has it")
        until(lambda: status(site)["verdict"]["state"] == "in_order", 90, "everything is in order")
        now = status(site)
        mine = next(each for each in now["meters"] if each["id"] == "gateway")
        assert mine["state"] == "answering"
        assert mine["values"]["memory_free"]["unit"] == "MB"
        assert not [each for each in now["verdict"]["findings"] if each["subject"] == "gateway"]
        with control(site) as client:
            assert client.post("/read").json()["readings"][0]["meter"] == "m1"
            assert len(client.post("/read").json()["readings"]) == 1
        listen = json.loads(site.config_path.read_text())["status"]["listen"]
        for language, words in [("tr", "Boş bellek"), ("en", "Free memory")]:
            for page in ("meter/gateway", "system"):
                text = submeter_page(listen, page, language)
                assert words in text, page
        assert "gateway" not in [each["id"] for each in now["meters"] if each["bus"]]


def submeter_page(listen: str, page: str, language: str) -> str:
    return httpx.get(f"http://{listen}/{page}?lang={language}", timeout=30).text


@pytest.mark.parametrize(
    ("language", "unknown", "sagged"),
    [
        ("tr", "Burada bilinmeyenler: Diskin tükenen ömrü", "evet"),
        ("en", "Not known here: Life of the disk used up", "yes"),
    ],
)
def test_what_a_machine_does_not_know_is_no_fault_on_the_page(language, unknown, sagged) -> None:
    values = (
        ValueView("undervoltage", 1.0, 3.0, 60.0, 0),
        ValueView("memory_free", 212.4, 3.0, 60.0, 0),
        ValueView("disk_life_used", None, None, 60.0, 0, "not_available"),
    )
    view = MeterView(OWN_METER, OWN_METER, "answering", "", None, "", values=values, age=3.0)
    [table] = tables(view, Locale(language, "UTC", 1_800_000_000_000))
    assert not table.folded
    assert not table.notes
    assert table.ages == (unknown,)
    assert [row.cells[0].text for row in table.rows] == [sagged, "212", "–"]


def test_without_a_running_gateway_the_machine_is_read_alone(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"gateway: {{id: g}}\njournal: {{directory: {tmp_path}}}\n")
    socket = str(tmp_path / "none.sock")
    result = CliRunner().invoke(cli, ["read", "-c", str(path), "--json", "--socket", socket, "gateway"])
    assert result.exit_code == 0, result.output
    [reading] = json.loads(result.output)["readings"]
    assert reading["values"]["disk_free"] > 0
    assert reading["absent"]["journal_days"] == "not_available"
    path.write_text(path.read_text() + "health: {enabled: false}\n")
    result = CliRunner().invoke(cli, ["read", "-c", str(path), "--socket", socket, "gateway"])
    assert result.exit_code == 1
