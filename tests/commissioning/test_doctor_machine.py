"""What the machine says of itself, on copies of the kernel's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.catalogue import load_driver
from gateway.commissioning.doctor import MachineView, examine_machine
from gateway.commissioning.doctor.machine import kernel_losses
from gateway.commissioning.ports import SerialPortInfo
from gateway.config import load_config

RIGHT = 1_800_000_000_000


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "gateway.yaml"
    (tmp_path / "state").mkdir()
    path.write_text(
        f"gateway: {{id: izm-1}}\njournal: {{directory: {tmp_path / 'state'}}}\n"
        "buses: [{name: line1, type: serial, port: /dev/ttyUSB7}]\nstatus: {enabled: false}\n"
    )
    return path, load_config(path)


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def causes(
    config, root: Path, *, synced: bool = True, ports=(), throttled=None, wall=RIGHT
) -> dict[str, str]:
    path, loaded = config
    view = MachineView(root, lambda: synced, lambda: wall, lambda: throttled)
    found = examine_machine(path, loaded, {}, Path("/nonexistent.sock"), ports=list(ports), view=view)
    return {each.cause: each.severity for each in found.found if each.cause != "said"}


def test_a_sound_machine(config, tmp_path) -> None:
    put(
        tmp_path,
        proc__meminfo="MemAvailable: 400000 kB\n",
        sys__class__thermal__thermal_zone0__temp="51000\n",
    )
    assert causes(config, tmp_path, throttled=0) == {}


def test_the_clock(config, tmp_path) -> None:
    assert causes(config, tmp_path, synced=False) == {"clock_no_keeper": "harms"}
    put(tmp_path, proc__712__comm="chronyd\n")
    assert causes(config, tmp_path, synced=False) == {"clock_unsynced": "harms"}
    assert causes(config, tmp_path, synced=False, wall=1_500_000_000_000) == {"clock_wrong": "stops"}


@pytest.mark.parametrize(
    ("bits", "cause"),
    [
        (0x1, ("undervoltage", "harms")),
        (0x10000, ("undervoltage", "warns")),
        (0x40000, ("slowed_down", "warns")),
    ],
)
def test_the_power_supply(config, tmp_path, bits, cause) -> None:
    assert causes(config, tmp_path, throttled=bits) == dict([cause])


def test_heat_and_memory(config, tmp_path) -> None:
    put(tmp_path, sys__class__thermal__thermal_zone0__temp="83100\n", proc__meminfo="MemAvailable: 9000 kB\n")
    assert causes(config, tmp_path) == {"hot": "harms", "little_memory": "warns"}


def test_the_disk(config, tmp_path) -> None:
    state = config[1].journal.directory
    put(
        tmp_path,
        proc__self__mounts=f"/dev/root / ext4 rw 0 0\n/dev/mmcblk0p2 {state} ext4 ro,sync 0 0\n",
        proc__uptime="90000.0 1.0\n",
        sys__block__mmcblk0__mmcblk0p2__size="1",
        sys__block__mmcblk0__stat="1 2 3 4 5 6 2000000 8",
        sys__block__mmcblk0__device__life_time="0x09 0x02\n",
        sys__fs__ext4__mmcblk0p2__errors_count="3\n",
    )
    found = causes(config, tmp_path)
    assert found == {
        "disk_read_only": "stops", "disk_sync": "warns", "disk_errors": "harms", "disk_worn": "harms",
        "disk_busy": "warns",
    }  # fmt: skip


def test_ports_and_who_listens(config, tmp_path) -> None:
    port = SerialPortInfo("/dev/ttyUSB7", "/dev/ttyUSB7", "FTDI", latency=16)
    row = "  0: 00000000:075B 00000000:0000 0A 00000000:00000000\n"
    put(tmp_path, proc__net__tcp="head\n" + row)
    found = causes(config, tmp_path, ports=[port])
    assert found == {"unstable_name": "warns", "slow_adapter": "warns", "open_broker": "warns"}


def test_the_kernels_log_is_read_or_not_and_never_fails() -> None:
    assert kernel_losses("/dev/ttyUSB99") in {0, None}


@pytest.mark.parametrize(
    ("mounted", "said"),
    [
        ("ext4 rw,noatime", ("card_often", 31, 67)),
        ("ext4 rw,commit=60", ("card_seldom", 31, 67)),
        ("tmpfs rw", None),
    ],
)
def test_the_price_of_what_this_configuration_writes(tmp_path, mounted, said) -> None:
    """Ten meters of 34 values every 10 s, as they were measured in real time: docs/journal.md."""
    meters = ", ".join(f"{{id: m{n}, bus: b, address: {n}, driver: eastron-sdm630}}" for n in range(1, 11))
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "gateway: {id: izm-1}\njournal: {directory: /var/lib/submeter}\nstatus: {enabled: false}\n"
        f"buses: [{{name: b, type: tcp, host: 192.0.2.1}}]\nmeters: [{meters}]\n"
    )
    put(tmp_path, proc__self__mounts=f"/dev/mmcblk0p2 / {mounted} 0 0\n")
    loaded = load_config(path)
    drivers = {"eastron-sdm630": load_driver("eastron-sdm630", tmp_path)}
    view = MachineView(tmp_path, lambda: True, lambda: RIGHT, lambda: None)
    found = examine_machine(path, loaded, drivers, Path("/nonexistent.sock"), ports=[], view=view)
    seen = [each for each in found.observations if each.kind.startswith("card")]
    assert [each.kind for each in seen] == ([said[0]] if said else [])
    if said:
        costs = sorted((seen[0].facts["gigabytes"], seen[0].facts["other"]))
        assert costs == pytest.approx(said[1:], rel=0.25)
        assert (seen[0].facts["gigabytes"] == costs[0]) is (said[0] == "card_seldom")
