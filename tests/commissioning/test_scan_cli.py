"""`submeter scan` and `submeter ports` as a technician types them, in a terminal of 60 columns."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from scan_site import DriverImage, Mounted, Site

from gateway.catalogue import library
from gateway.cli.client import ControlClient
from gateway.cli.ports import read_here
from gateway.cli.scan_words import Report
from gateway.commissioning.ports import SerialPortInfo, serial_ports
from gateway.commissioning.scan import LineSetting, together
from gateway.config import load_config
from gateway.demo.simulator.slave import PatternImage, Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from gateway.errors import BusDown
from tests.ports import free_port
from tests.rig import until

BY_NAME = {driver.name: driver for driver in library()}
FAST = LineSetting(115200, "N")
NARROW = ["--baudrate", "115200", "--parity", "N", "--addresses", "1-12"]
MOST = 120


def mounted(name: str, unit: int, serial: int = 87654321) -> Mounted:
    return Mounted(BY_NAME[name], unit, FAST, serial=serial)


def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "60", "SUBMETER_SOCKET": "/nonexistent/control.sock", "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        capture_output=True,
        text=True,
        timeout=MOST,
        check=False,
        env={**env, **dict(more)},  # type: ignore[arg-type]
    )


@pytest.fixture
def site():
    with Site([mounted("eastron-sdm630", 3), mounted("abb-b23", 7)]) as here:
        yield here


def test_what_is_found_is_said_with_the_lines_to_write(site) -> None:
    told = run("scan", site.port, *NARROW)
    assert told.returncode == 0, told.stderr
    assert "Eastron SDM630" in told.stdout
    assert "serial number" in told.stdout
    assert "2 meters found" in told.stdout
    assert "driver: abb-b23" in told.stdout
    assert all(len(line) <= 60 for line in told.stdout.splitlines())
    assert "at most" in told.stderr


def test_turkish_and_the_same_in_json(site) -> None:
    told = run("scan", site.port, *NARROW, "--lang", "tr")
    assert "2 sayaç bulundu" in told.stdout
    assert "kesin: sayaç kendisi söylüyor" in told.stdout
    answer = json.loads(run("scan", site.port, *NARROW, "--json").stdout)
    (place,) = answer["places"]
    assert [(found["address"], found["drivers"], found["sure"]) for found in place["found"]] == [
        (3, ["eastron-sdm630"], True),
        (7, ["abb-b23"], True),
    ]
    assert place["found"][0]["setting"] == {"baudrate": 115200, "parity": "N", "stopbits": 1}
    assert place["ended"]


def test_the_lines_are_put_into_the_file_and_again_nothing(site, tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("gateway: {id: izm-1}\n# my line\nbuses: []\nmeters: []\nuplinks: []\n")
    told = run("scan", site.port, *NARROW, "--write", "-c", str(path))
    assert told.returncode == 0, told.stderr
    config = load_config(path)
    assert [(meter.address, meter.driver) for meter in config.meters] == [
        (3, "eastron-sdm630"),
        (7, "abb-b23"),
    ]
    assert config.buses[0].baudrate == 115200
    assert "# my line" in path.read_text()
    assert (tmp_path / "gateway.yaml.old").exists()
    again = run("scan", config.buses[0].name, *NARROW, "--write", "-c", str(path))
    assert "has them already" in again.stdout
    assert "buses:" not in again.stdout
    assert "nothing to write" in " ".join(again.stdout.split())
    assert load_config(path) == config


def test_every_place_of_the_file_is_searched_and_meters_of_one_address_have_ids_of_their_own(
    tmp_path,
) -> None:
    servers = [TcpServer([Slave(1, DriverImage(BY_NAME["eastron-sdm630"], 100 + n))]) for n in range(2)]
    path = tmp_path / "gateway.yaml"
    with TcpPlant(servers):
        rows = [
            f"  - {{name: p{n}, type: tcp, host: 127.0.0.1, port: {s.port}}}" for n, s in enumerate(servers)
        ]
        path.write_text("\n".join(["gateway: {id: izm-1}", "buses:", *rows, ""]))
        words = (
            "scan",
            "--all",
            "--baudrate",
            "115200",
            "--parity",
            "N",
            "--addresses",
            "1",
            "-c",
            str(path),
        )
        told = run(*words, "--write")
        assert "2 meters were written" in " ".join(told.stdout.split()), told.stdout + told.stderr
        meters = load_config(path).meters
        assert [(meter.bus, meter.address) for meter in meters] == [("p0", 1), ("p1", 1)]
        assert len({meter.id for meter in meters}) == 2
        answer = json.loads(run(*words, "--json", "--lang", "tr").stdout)
    found = {place["place"]: len(place["found"]) for place in answer["places"]}
    assert [found[f"127.0.0.1:{server.port}"] for server in servers] == [1, 1]


def test_an_empty_line_says_what_to_look_at() -> None:
    with Site([]) as here:
        told = run("scan", here.port, *NARROW)
    assert told.returncode == 1
    assert "Nobody answered" in told.stdout
    assert "A and B" in " ".join(told.stdout.split())
    assert "buses:" not in told.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/dev/no-such-port", *NARROW], "there is no such port"),
        (["a b", "--addresses", "1"], "neither a port, a host nor a bus"),
        (["/dev/null", "--addresses", "0-999"], "is no address"),
        (["/dev/null", "--baudrate", "1234"], "is no rate of a meter"),
        (["192.0.2.1", "--all"], "leave out"),
    ],
)
def test_what_cannot_be_searched_is_named_with_what_to_do(words, said) -> None:
    told = run("scan", *words)
    assert told.returncode == 2
    assert said in " ".join((told.stdout + told.stderr).split())


def test_a_host_that_answers_to_every_unit_is_one_device() -> None:
    server = TcpServer([Slave(unit, PatternImage()) for unit in range(256)])
    with TcpPlant([server]):
        answer = json.loads(run("scan", f"127.0.0.1:{server.port}", "--json").stdout)
    (place,) = answer["places"]
    assert len(place["found"]) == 1
    assert place["found"][0]["every_address"]


def test_a_search_that_is_interrupted_keeps_what_it_has_and_gives_the_port_back(site) -> None:
    leader, follower = pty.openpty()
    env = {**os.environ, "SUBMETER_SOCKET": "/nonexistent/control.sock", "LANG": "C.UTF-8", "COLUMNS": "60"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "scan", site.port, "--baudrate", "115200", "--parity", "N"],
        stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    text, asked = "", False
    end = time.monotonic() + MOST
    while time.monotonic() < end:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                data = os.read(leader, 4096)
            except OSError:
                break
            text += data.decode(errors="replace")
        if not asked and "found" in text and re.search(r"[1-9] found", text):
            os.killpg(process.pid, signal.SIGINT)
            asked = True
        if process.poll() is not None and not select.select([leader], [], [], 0.2)[0]:
            break
    os.close(leader)
    assert asked, text
    assert process.wait(30) == 0, text
    assert "Traceback" not in text
    assert "sure: the meter says so itself" in " ".join(text.split())
    told = run("scan", site.port, *NARROW)
    assert "2 meters found" in told.stdout


def test_ports_say_who_uses_them_and_what_is_wrong() -> None:
    told = run("ports", "--json")
    ports = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.returncode == (0 if ports else 1)
    assert {port["name"] for port in ports} == {port.name for port in serial_ports()}
    words = run("ports")
    assert words.returncode == told.returncode
    assert all(len(line) <= 60 for line in words.stdout.splitlines())
    assert words.stdout.strip()


def test_a_port_of_the_configuration_is_named_by_its_bus(tmp_path) -> None:
    ports = serial_ports()
    if not ports:
        pytest.skip("this machine has no serial port")
    named = serial_ports({"line1": ports[0].device})
    assert named[0].bus == "line1"


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ["configured as bus hall", "there is no such port", "plug the adapter in"]),
        ("tr", ["yapılandırmada hall hattı", "böyle bir port yok", "adaptörü takın"]),
    ],
)
def test_a_port_of_the_configuration_that_is_not_there_is_told(tmp_path, lang, said) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "gateway: {id: g-1}\nbuses:\n  - {name: hall, type: serial, port: /dev/serial/by-id/usb-gone}\n"
        "meters:\n  - {id: main, bus: hall, address: 1, driver: eastron-sdm630}\n"
    )
    told = run("ports", "-c", str(config), "--lang", lang)
    words = " ".join(told.stdout.split())
    assert all(part in words for part in said), told.stdout
    there = [port for port in serial_ports() if port.there]
    assert told.returncode == (0 if there else 1)
    assert [port.bus for port in serial_ports({"hall": "/dev/serial/by-id/usb-gone"}) if not port.there] == [
        "hall"
    ]


def test_a_name_that_changes_and_a_slow_timer_are_told() -> None:
    assert not SerialPortInfo("/dev/ttyUSB0", "/dev/ttyUSB0", "CH340").stable
    assert SerialPortInfo("/dev/serial/by-id/usb-x", "/dev/ttyUSB0", "FTDI", latency=16).slow
    assert not SerialPortInfo("/dev/ttyS0", "/dev/ttyS0").slow


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([LineSetting(9600, "N")], "9600 8N1"),
        ([LineSetting(9600, "N"), LineSetting(9600, "E")], "9600 8N1 8E1"),
        (
            [LineSetting(rate, parity) for rate in (19200, 1200) for parity in "NE"]
            + [LineSetting(9600, "O")],
            "1200, 19200 8N1 8E1; 9600 8O1",
        ),
    ],
)
def test_settings_are_said_in_few_words(settings, words) -> None:
    assert together(settings) == words


@pytest.fixture
def gateway(tmp_path, site):
    """A running daemon that polls a meter of the site; its control socket."""
    socket = tmp_path / "control.sock"
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"""
gateway: {{id: izm-1, commit_interval: 1s}}
clock: {{trust: system}}
buses:
  - {{name: lab, type: serial, port: {site.port}, baudrate: 115200}}
meters:
  - {{id: main, bus: lab, address: 3, driver: eastron-sdm630, interval: 1s}}
uplinks: []
status: {{listen: "127.0.0.1:{free_port()}"}}
journal: {{directory: {tmp_path / "state"}}}
"""
    )
    (tmp_path / "state").mkdir()
    env = {**os.environ, "SUBMETER_SOCKET": str(socket), "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", str(path)], env=env, stderr=subprocess.PIPE
    )
    try:
        yield socket, path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.parametrize("place", ["192.0.2.10", "192.0.2.10:502", "[2001:db8::10]:502", "/dev/ttyUSB0"])
@pytest.mark.parametrize("named", [True, False])
def test_a_place_that_cannot_be_searched_is_named_once(capsys, place, named) -> None:
    what = "cannot be opened: connection refused" if named else "nothing can be read"
    error = BusDown(f"{place} {what}" if named else what, hint="check its power")
    Report(as_json=False).trouble(place, error)
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith(place)
    assert told.count(place) == 1
    assert what in told
    assert "check its power" in told


def test_a_running_gateway_lends_the_bus_and_polls_again(gateway, site) -> None:
    socket, path = gateway
    env = {"SUBMETER_SOCKET": str(socket)}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        told = run("read", "main", "--json", **env)
        if told.returncode == 0 and "values" in told.stdout:
            break
        time.sleep(0.5)
    told = run("scan", "lab", *NARROW, "-c", str(path), **env)
    assert told.returncode == 0, told.stderr
    assert "lends bus lab" in " ".join(told.stderr.split())
    assert "2 meters found" in told.stdout
    after = run("read", "main", "--json", **env)
    assert after.returncode == 0, after.stdout + after.stderr
    with ControlClient(socket) as client:
        rows = client.journal_rows(limit=1000)
    kinds = {event["kind"] for row in rows for event in row["batch"].get("events", [])}
    assert {"bus_lent", "bus_returned"} <= kinds


def test_a_port_that_the_running_gateway_reads_is_no_trouble(site, gateway, tmp_path) -> None:
    """Whoever is told to end that program ends the gateway."""
    held = SerialPortInfo(
        site.port, site.port, "FTDI", holder="python (pid 7)", trouble="in use", hint="end it"
    )
    socket, _path = gateway
    until(lambda: read_here([held], socket)[0].gateway, 60, "the gateway reads the port")
    other = dataclasses.replace(held, device="/dev/null")
    free = dataclasses.replace(held, holder="")
    port, *rest = read_here([held, other, free], socket)
    assert (port.gateway, port.bus, port.trouble, port.hint) == (True, "lab", "", "")
    assert rest == [other, free]
    assert read_here([held], tmp_path / "nobody.sock") == [held]


def test_however_many_ports_are_open_the_running_gateway_is_asked_once(monkeypatch) -> None:
    asked = []

    class Daemon:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def status(self) -> dict:
            asked.append("status")
            return {"buses": [{"name": f"b{at}", "where": f"/dev/ttyUSB{at}"} for at in range(3)]}

    monkeypatch.setattr("gateway.cli.ports.control_client", lambda _socket: asked.append("there") or Daemon())
    ports = [SerialPortInfo(f"/dev/ttyUSB{at}", f"/dev/ttyUSB{at}", "FTDI", holder="x") for at in range(4)]
    assert [port.bus for port in read_here(ports, None)] == ["b0", "b1", "b2", ""]
    assert asked == ["there", "status"]
    asked.clear()
    free = [dataclasses.replace(port, holder="") for port in ports]
    assert read_here(free, None) == free
    assert asked == []


@pytest.mark.parametrize(("asked", "least"), [(None, 300.0), (["m1", "m2"], 65.0)])
def test_a_full_line_has_the_time_to_be_read(tmp_path, monkeypatch, asked, least) -> None:
    """A meter of a line of sixty waits for the others."""
    patience = []

    def ask(self, method, path, query=None, *, timeout=None) -> dict:
        patience.append(timeout)
        return {"meters": [{}] * 60} if path == "/status" else {"readings": []}

    monkeypatch.setattr(ControlClient, "_ask", ask)
    with ControlClient(tmp_path / "control.sock") as client:
        client.read(asked)
    assert patience[-1] >= least
