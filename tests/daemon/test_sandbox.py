"""The unit's sandbox: the daemon runs under the unit's own list of system calls, without any capability,
and what it writes is its own.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.client import ControlClient
from gateway.errors import GatewayError
from gateway.host.identity import PUBLIC_FILE
from tests.mosquitto import MOSQUITTO
from tests.rig import rig, until

UNIT = Path(__file__).parents[2] / "systemd" / "submeter-gateway.service"
LAUNCH = """
import ctypes, os, sys
allowed, command = sys.argv[1].split(","), sys.argv[2:]
lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
lib.seccomp_init.restype = ctypes.c_void_p
ctx = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(0x00050000 | 1)))  # everything else fails with EPERM
for name in allowed:
    number = lib.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert lib.seccomp_rule_add(ctx, ctypes.c_uint32(0x7FFF0000), number, 0) == 0, name
assert lib.seccomp_load(ctx) == 0
os.execv(command[0], command)
"""


def words(key: str) -> list[str]:
    """Every line of a key of the unit, in order."""
    return [
        line.partition("=")[2].strip() for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")
    ]


def members(word: str) -> set[str]:
    """The system calls of a word of SystemCallFilter, as systemd itself expands it."""
    if not word.startswith("@"):
        return {word}
    answer = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True, timeout=60
    )
    found = [line.strip() for line in answer.stdout.splitlines()[1:]]
    return set().union(*(members(name) for name in found if name and not name.startswith("#")))


def allowed() -> set[str]:
    """What the unit allows: lists add up, a list with ~ takes away (systemd.exec(5))."""
    names: set[str] = set()
    for line in words("SystemCallFilter"):
        named = set().union(*(members(word) for word in line.removeprefix("~").split()))
        names = names - named if line.startswith("~") else names | named
    # The launcher's own exec and what every process needs are always allowed.
    return names | members("@default")


pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed"),
    pytest.mark.skipif(not ctypes.util.find_library("seccomp"), reason="libseccomp is not installed"),
]


def test_the_unit_takes_away_what_a_gateway_never_does() -> None:
    names = allowed()
    assert {"ioctl", "mknodat", "fdatasync", "connect", "clone3"} <= names
    assert names.isdisjoint(
        {
            "adjtimex",
            "clock_adjtime",
            "clock_settime",
            "settimeofday",
            "mount",
            "ptrace",
            "init_module",
            "reboot",
            "setuid",
            "chown",
            "bpf",
            "swapon",
        }
    )
    assert words("CapabilityBoundingSet") == [""]
    assert words("UMask") == ["0077"]
    assert words("PrivateUsers") == ["yes"]


def test_of_devices_it_has_serial_ports_and_pins_alone() -> None:
    assert words("DevicePolicy") == ["closed"]
    kinds = {line.split()[0] for line in words("DeviceAllow")}
    assert kinds == {"char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS", "char-gpiochip"}


EXPOSURE = {
    # Root for a moment, without network, to put files into their places.
    "submeter-apply": 17,
    "submeter-provision": 17,
    "submeter-recover": 17,
    # Root, with network: it reads keys and writes to a stick.
    "submeter-backup": 24,
    # It mounts in the machine's own namespace, so it may have none of its own.
    "submeter-card": 60,
    # They run dpkg, which may write wherever packages may.
    "submeter-install": 80,
    "submeter-upgrade": 80,
}
"""Tenths of systemd's points where more than 15 are allowed: of what runs as root, and listens to nobody."""
UNITS = [unit for unit in sorted(UNIT.parent.glob("submeter-*.service")) if ".avahi." not in unit.name]
"""Those of systemd; Avahi calls its files the same."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_that_systemd_computes_is_low(unit) -> None:
    answer = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=yes",
            f"--threshold={EXPOSURE.get(unit.stem, 15)}",
            str(unit),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout[-300:]


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_daemon_works_under_the_units_filter_and_without_capabilities(tmp_path) -> None:
    building = {"start": 1795278300, "speed": 1, "step": 1}
    spec = {
        "seed": 1,
        "building": building,
        "servers": [
            {
                "name": "plant",
                "slaves": [
                    {"unit": 1, "meter": "m1", "image": {"driver": "eastron-sdm630", "circuit": "main"}}
                ],
            }
        ],
    }
    before = os.umask(0o022)  # as a shell gives it to who starts it by hand
    try:
        with rig(tmp_path, spec) as site:
            host, port = site.simulator.addresses["plant"]
            site.start_broker()
            site.start_receiver()
            site.configure(
                gateway={"id": "bench-1", "commit_interval": "1s"},
                buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
                meters=[
                    {"id": "m1", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s"}
                ],
                uplinks=[site.uplink()],
                clock={"trust": "kernel", "hold": "0s"},
            )
            names = allowed()
            setpriv = [shutil.which("setpriv"), "--no-new-privs"]
            if os.geteuid() == 0:
                setpriv += ["--bounding-set=-all", "--inh-caps=-all"]
            site.start("gateway", *setpriv, sys.executable, "-c", LAUNCH, ",".join(sorted(names)),
                       sys.executable, "-m", "gateway", "run", str(site.config_path))  # fmt: skip

            def delivers() -> bool:
                try:
                    with ControlClient(site.socket) as client:
                        now = client.status()
                except GatewayError:
                    return False
                return now["uplinks"][0]["delivered"] > 2 and now["meters"][0]["state"] == "answering"

            until(
                lambda: delivers() or site.processes["gateway"].poll() is not None,
                90,
                "it polls, keeps and delivers",
            )
            assert site.processes["gateway"].poll() is None, site.log("gateway")
            said = site.log("gateway")
            assert "Operation not permitted" not in said, said
            assert "ERROR" not in said, said
            for path in (tmp_path / "state").iterdir():
                if path.name == PUBLIC_FILE:
                    continue  # the public half of the key is for everybody
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    finally:
        os.umask(before)
