"""`submeter doctor` as a technician types it, in a terminal of 60 columns, on lines in real time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from faulty_hosts import draw_host
from faulty_sites import LiveImage, draw_site
from line_physics import LineFaults, LineMeter, LineModel
from pty_line import PtyLine

from gateway.catalogue import library
from gateway.cli.doctor_words import _shown
from gateway.cli.language import speaking
from gateway.commissioning.scan import LineSetting
from gateway.demo.simulator.slave import Slave, exception

BY_NAME = {driver.name: driver for driver in library()}
FAST = LineSetting(115200)
MOST = 240


@contextmanager
def line(faults: LineFaults, *units: int, setting: LineSetting = FAST) -> Iterator[str]:
    """A port with meters of one table."""
    meters = [
        LineMeter(
            Slave(unit, LiveImage(BY_NAME["inepro-pro380"], random.Random(at), f"8765432{at}")), setting
        )
        for at, unit in enumerate(units)
    ]
    with PtyLine(LineModel(meters, faults, random.Random(1))) as here:
        yield here.port


def written(tmp_path, port: str) -> str:
    path = tmp_path / "gateway.yaml"
    (tmp_path / "state").mkdir(exist_ok=True)
    path.write_text(
        f"""
gateway: {{id: izm-1}}
clock: {{trust: system}}
buses: [{{name: lab, type: serial, port: {port}, baudrate: 115200}}]
meters:
  - {{id: main, bus: lab, address: 3, driver: inepro-pro380}}
  - {{id: hvac, bus: lab, address: 7, driver: inepro-pro380}}
uplinks: [{{name: city, url: "mqtt://127.0.0.1:1"}}]
status: {{enabled: false}}
journal: {{directory: {tmp_path / "state"}}}
"""
    )
    return str(path)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "60", "SUBMETER_SOCKET": "/nonexistent/control.sock", "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", *words],
        capture_output=True, text=True, timeout=MOST, check=False, env=env,
    )  # fmt: skip


def test_a_sound_line_in_both_languages(tmp_path) -> None:
    with line(LineFaults(), 3, 7) as port:
        config = written(tmp_path, port)
        told = run("main", "-c", config)
        turkish = run("machine", "-c", config, "--lang", "tr")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Nothing is wrong." in told.stdout
    assert "1 of 1 meters answer" in told.stdout
    assert all(len(text) <= 60 for text in told.stdout.splitlines())
    assert "bu makine" in turkish.stdout


@pytest.mark.parametrize("seed", range(2))
def test_a_host_without_room_and_one_with(seed) -> None:
    (found,) = draw_host("connection_limit", seed).examined().found
    assert found.cause == "connection_limit"
    assert not draw_host("healthy_host", 5).examined().found


def always_refusing(code: int) -> Callable[..., bytes]:
    return lambda pdu, **_: exception(pdu[0], code)


@pytest.mark.parametrize(
    ("code", "cause"), [(4, "failing"), (5, "not_ready"), (6, "not_ready"), (8, "failing")]
)
def test_a_meter_that_is_never_ready_or_fails_is_told_so_and_no_table_is_blamed(code, cause) -> None:
    host, site = draw_host("healthy_host", 5), draw_site("healthy", 3)
    for slaves in (host.slaves.values(), [meter.slave for meter in site.model.meters]):
        for slave in slaves:
            slave.respond = always_refusing(code)
    for found, targets in ((host.examined().found, host.targets), (site.examined().found, site.targets)):
        assert {each.meter for each in found} == {target.id for target in targets}
        assert {(each.cause, each.facts["code"]) for each in found} == {(cause, float(code))}


@pytest.mark.parametrize(
    ("lang", "value", "reads"),
    [
        ("en", 185_700.0, "185,700"), ("tr", 185_700.0, "185.700"),
        ("tr", 27.02, "27"), ("en", 4.613, "4.61"),
        ("tr", "journal.directory: there is no folder /srv/x", "journal.directory: /srv/x klasörü yok"),
        ("en", "status.listen: there is no folder /x", "status.listen: there is no folder /x"),
    ],
)  # fmt: skip
def test_a_fact_reads_as_a_person_writes_it(lang: str, value: str | float, reads: str) -> None:
    with speaking(lang):
        assert _shown({"fact": value})["fact"] == reads
