"""The daemon as its users meet it: processes, signals, sockets, files."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from gateway.catalogue import load_driver
from tests.ports import free_port
from tests.rig import Rig, rig, until

SUBMETER = [sys.executable, "-m", "gateway"]


def plant(directory: Path, meters: int = 2) -> dict:
    """A simulated TCP plant with some meters behind it."""
    slaves = [
        {"unit": unit, "meter": f"m{unit}", "image": {"driver": "eastron-sdm630", "circuit": "main"}}
        for unit in range(1, meters + 1)
    ]
    return {
        "seed": 1,
        "building": {"start": 1795278300, "speed": 1, "step": 1},
        "servers": [{"name": "plant", "host": "127.0.0.1", "port": 0, "slaves": slaves}],
    }


def bus(site: Rig) -> dict:
    host, port = site.simulator.addresses["plant"]
    return {"name": "plant", "type": "tcp", "host": host, "port": port}


def meter(number: int, **more) -> dict:
    return {
        "id": f"m{number}",
        "bus": "plant",
        "address": number,
        "driver": "eastron-sdm630",
        "interval": "1s",
        **more,
    }


def configure(site: Rig, meters: list[dict], **more) -> None:
    site.configure(
        gateway={"id": "bench-1", "commit_interval": "1s"}, buses=[bus(site)], meters=meters, **more
    )


def control(site: Rig) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(site.socket)), base_url="http://gateway", timeout=30
    )


def status(site: Rig) -> dict:
    with control(site) as client:
        return client.get("/status").json()


def answers(site: Rig) -> bool:
    # The socket file of a daemon that was killed is still there.
    try:
        return bool(status(site))
    except httpx.TransportError:
        return False


def started(site: Rig) -> None:
    site.start_gateway()
    until(
        lambda: answers(site) or site.processes["gateway"].poll() is not None,
        60,
        "the control socket answers",
    )
    assert site.processes["gateway"].poll() is None, site.log("gateway")


def submeter(site: Rig, *words: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "SUBMETER_SOCKET": str(site.socket)}
    return subprocess.run(
        [*SUBMETER, *words], capture_output=True, text=True, timeout=60, env=env, check=False
    )


def test_starts_when_everything_is_absent_and_stops_cleanly(tmp_path) -> None:
    with rig(tmp_path) as site:
        site.configure(
            buses=[
                {"name": "line", "type": "serial", "port": str(tmp_path / "no-such-port")},
                {"name": "far", "type": "tcp", "host": "127.0.0.1", "port": free_port()},
            ],
            meters=[
                {"id": "a", "bus": "line", "address": 1, "driver": "eastron-sdm630", "interval": "1s"},
                {"id": "b", "bus": "far", "address": 1, "driver": "eastron-sdm630", "interval": "1s"},
            ],
            clock={"trust": "kernel"},
            uplinks=[site.uplink()],
        )
        started(site)
        until(
            lambda: all(entry["state"] == "lost" for entry in status(site)["meters"]),
            60,
            "both meters are lost",
        )
        seen = status(site)
        assert {entry["state"] for entry in seen["buses"]} == {"down"}
        assert seen["uplinks"][0]["state"] == "waiting"
        begin = time.monotonic()
        process = site.processes["gateway"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - begin < 30, "it waits for nobody who is absent"
        said = site.log("gateway")
        assert "Traceback" not in said
        assert said.count("bus line is lost") == 1
        assert not site.socket.exists()


def test_the_commands_ask_the_running_daemon(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1), meter(2)])
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 1, 60, "a batch is committed")
        told = submeter(site, "status")
        assert told.returncode == 0, told.stderr
        assert "bench-1" in told.stdout
        read = submeter(site, "read", "m2", "--json")
        assert read.returncode == 0, read.stderr
        (answer,) = json.loads(read.stdout)["readings"]
        assert (answer["meter"], answer["driver"], answer["address"]) == ("m2", "eastron-sdm630", 2)
        assert 207 < answer["values"]["voltage_l1n"] < 253
        unknown = submeter(site, "read", "m3")
        assert unknown.returncode == 1
        assert "m3" in unknown.stderr
        assert "Traceback" not in unknown.stderr
        with control(site) as client:
            rows = client.get("/journal/rows", params={"limit": 2}).json()["rows"]
        assert rows[0]["batch"]["gateway"] == "bench-1"


def test_what_is_shown_is_what_was_measured_under_the_configuration_that_measured_it(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1), meter(2, driver="eastron-sdm120")])
        started(site)
        until(
            lambda: all(entry["age"] is not None for entry in status(site)["meters"]),
            60,
            "both meters were read",
        )
        wrong = {
            name for name, value in status(site)["meters"][1]["values"].items() if value["value"] is not None
        }
        assert wrong
        configure(site, [meter(1, name="Ana"), meter(2, driver="janitza-umg96rm")])
        mixed = submeter(site, "read", "m2")
        assert mixed.returncode == 1
        assert "driver was eastron-sdm120, is janitza-umg96rm" in mixed.stderr
        assert "submeter reload" in mixed.stderr
        noted = submeter(site, "read", "m1", "-c", str(site.config_path))
        assert noted.returncode == 0, noted.stderr
        assert "not taken over yet: meter m1: name was not given, is Ana" in noted.stdout
        other = tmp_path / "other.yaml"
        other.write_text(site.config_path.read_text())
        refused = submeter(site, "read", str(other), "m1")
        assert refused.returncode == 1
        assert f"the running gateway uses {site.config_path}" in refused.stderr
        told = submeter(site, "reload", "-c", str(site.config_path))
        assert "meter m2: driver was eastron-sdm120, is janitza-umg96rm" in told.stdout
        first, second = status(site)["meters"]
        assert first["values"]["voltage_l1n"]["value"] is not None, "what is measured as before goes on"
        until(lambda: status(site)["meters"][1]["state"] != "starting", 60, "the other table was tried")
        second = status(site)["meters"][1]
        mine = {row.name for row in load_driver("janitza-umg96rm").rows}
        assert set(second["values"]) <= mine, "values of the old table are gone"


def test_a_bad_configuration_is_told_and_not_taken_over(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1, drvier="x")])
        broken = submeter(site, "run", str(site.config_path))
        assert broken.returncode == os.EX_CONFIG
        assert "did you mean driver?" in broken.stderr
        assert "Traceback" not in broken.stderr
        configure(site, [meter(1)])
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 1, 60, "a batch is committed")
        configure(site, [meter(1, interval="soon")])
        refused = submeter(site, "reload")
        assert refused.returncode == 1
        assert "is not a duration" in refused.stderr + refused.stdout
        before = status(site)["journal"]["seq"]
        until(lambda: status(site)["journal"]["seq"] > before + 1, 60, "the old configuration goes on")
        assert any("was not taken over" in line for line in status(site)["problems"])


def test_a_reload_rebuilds_without_losing_a_reading(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 2, 60, "two batches are committed")
        epoch = status(site)["journal"]["epoch"]
        configure(site, [meter(1, name="Ana sayaç"), meter(2)])
        reloaded = submeter(site, "reload")
        assert reloaded.returncode == 0, reloaded.stderr
        assert "meter m2 was added" in reloaded.stdout
        until(
            lambda: (
                {entry["id"]: entry["state"] for entry in status(site)["meters"]}
                == {"m1": "answering", "m2": "answering"}
            ),
            60,
            "both answer",
        )
        seen = status(site)
        assert seen["journal"]["epoch"] == epoch
        assert {entry["id"]: entry["label"] for entry in seen["meters"]}["m1"] == "Ana sayaç"
        site.processes["gateway"].send_signal(signal.SIGHUP)
        until(lambda: "nothing changed" in site.log("gateway"), 60, "SIGHUP reloads too")
        with control(site) as client:
            rows = client.get("/journal/rows", params={"limit": 1000}).json()["rows"]
        kinds = [event["kind"] for row in rows for event in row["batch"].get("events", [])]
        assert "configuration_changed" in kinds
        polled = {}
        for row in rows:
            for table in row["batch"]["tables"]:
                for name, dt in zip(table["meter"], table["dt"], strict=True):
                    polled.setdefault(name, []).append(row["batch"]["uptime"] + dt)
        gaps = [after - before for before, after in pairwise(polled["m1"])]
        assert max(gaps) <= 5_000, (
            gaps
        )  # generous: it is about a daemon that stops polling, not about milliseconds
        energy = [
            serve["t"]
            for serve in site.serves()
            if serve["meter"] == "m1" and "active_energy_import" in serve["values"]
        ]
        served = [t for t in energy if t <= polled["m1"][-1] + 500]
        assert len(served) - len(polled["m1"]) <= 2, "at most the poll under way at each of two reloads"


def test_a_second_daemon_says_who_holds_the_journal(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        started(site)
        second = submeter(site, "run", str(site.config_path))
        assert second.returncode == 1
        assert "journal" in second.stderr
        assert "Traceback" not in second.stderr
        assert site.processes["gateway"].poll() is None


def test_the_service_manager_is_told_and_fed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, rig(tmp_path, plant(tmp_path)) as site:
        manager.bind(str(path))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        configure(site, [meter(1)])
        started(site)
        said: list[str] = []
        while not any("READY=1" in text for text in said) or sum("WATCHDOG=1" in text for text in said) < 3:
            said.append(manager.recv(4096).decode())
        assert any("STATUS=" in text for text in said)
        site.processes["gateway"].send_signal(signal.SIGTERM)
        while "STOPPING=1" not in said[-1]:
            said.append(manager.recv(4096).decode())


@pytest.mark.parametrize("times", [3])
def test_kill_9_keeps_what_was_taken(tmp_path, times) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1), meter(2)])
        taken: list[tuple[str, int]] = []
        for _ in range(times):
            started(site)
            want = len(taken) + 2
            until(
                lambda want=want: status(site)["journal"]["batches"] >= want, 60, "more batches are committed"
            )
            with control(site) as client:
                taken = [
                    (row["epoch"], row["seq"])
                    for row in client.get("/journal/rows", params={"limit": 1000}).json()["rows"]
                ]
            site.kill("gateway")
        started(site)
        until(lambda: status(site)["journal"]["seq"] > taken[-1][1], 60, "it goes on")
        with control(site) as client:
            rows = client.get("/journal/rows", params={"limit": 1000}).json()["rows"]
        now = [(row["epoch"], row["seq"]) for row in rows]
        assert now[: len(taken)] == taken
        assert len(set(now)) == len(now)
        assert len({epoch for epoch, _ in now}) == 1, "one boot, one epoch"
        assert json.loads(json.dumps(rows[-1]["batch"]))["schema"] == "submeter/1"


def test_a_secret_that_everybody_may_read_is_told_by_check_and_by_the_daemon(tmp_path) -> None:
    secret, key, cert = tmp_path / "password", tmp_path / "key.pem", tmp_path / "cert.pem"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=gateway"]
    subprocess.run(
        ["openssl", "req", "-x509", *new, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    secret.write_text("x")
    for path, mode in ((secret, 0o666), (key, 0o640)):
        path.chmod(mode)
    with rig(tmp_path) as site:
        site.configure(
            uplinks=[
                site.uplink(username="u", password_file=str(secret)),
                {"name": "tls", "url": "mqtts://127.0.0.1:1", "cert": str(cert), "key": str(key)},
            ]
        )
        line = (
            f"uplink city: the password file {secret} may be read and changed by everybody on this "
            f"machine → chmod 640 {secret}"
        )
        checked = submeter(site, "check", str(site.config_path))
        assert checked.returncode == 0
        assert [text for text in checked.stdout.splitlines() if text.startswith("warning")] == [
            f"warning: {line}"
        ]
        started(site)
        assert line in site.log("gateway")
        assert str(key) + " may" not in site.log("gateway")
        secret.chmod(0o640)
        assert "warning" not in submeter(site, "check", str(site.config_path)).stdout


def test_check_warns_of_a_rate_that_is_never_reached(tmp_path) -> None:
    with rig(tmp_path) as site:
        site.configure(pulses=[
            {"id": "slow", "pin": 4, "per_unit": 10, "max_rate": 50, "min_width": "30ms", "min_gap": "30ms"},
            {"id": "fits", "pin": 5, "per_unit": 10, "max_rate": 50},
        ])  # fmt: skip
        checked = submeter(site, "check", str(site.config_path))
    assert checked.returncode == 0
    (line,) = [text for text in checked.stdout.splitlines() if text.startswith("warning")]
    assert line.startswith(
        "warning: pulse input slow: max_rate 50 is never reached, min_width and min_gap let 16.7 pulses a "
        "second"
    )
