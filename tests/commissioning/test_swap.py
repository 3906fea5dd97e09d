"""`submeter swap` as it is typed, on a running gateway: what is journalled, what is not taken, what outlives
a power cut.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from click.testing import CliRunner
from scan_site import DriverImage

from gateway.catalogue import build, load_driver
from gateway.cli import cli
from gateway.config import load_config
from gateway.demo.show.gateway_status import gateway_status
from gateway.demo.simulator.faults import Fault
from gateway.demo.simulator.slave import Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from tests.rig import Rig, until

DRIVER = load_driver("eastron-sdm630")
KWH = "active_energy_import"
MOST = 90


class Register(DriverImage):
    """An SDM630 whose register and number the test chooses."""

    def becomes(self, serial: int, kwh: float) -> None:
        """Another meter is wired."""
        rows = [row for row in DRIVER.rows if row.name in {KWH, "serial_number"}]
        self.words.update(build(rows, {KWH: kwh, "serial_number": str(serial)}))


class Said(NamedTuple):
    """What a command has said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class Building(Rig):
    """A gateway with one meter on a TCP bus that this process plays."""

    def __init__(self, directory: Path, **meter: object) -> None:
        super().__init__(directory)
        self.image = Register(DRIVER)
        self.image.becomes(111, 72_028.4)
        server = TcpServer([Slave(1, self.image)])
        self.plant, self.faults = TcpPlant([server]).start(), server.faults
        one = {"id": "main", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s"}
        self.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"},
            buses=[{"name": "plant", "type": "tcp", "host": server.host, "port": server.port}],
            meters=[{**one, "slow_interval": "1s", **meter}],
            drivers={"directory": str(directory)},
        )
        text = "# who wrote this\n" + yaml.safe_dump(json.loads(self.config_path.read_text()))
        self.config_path.write_text(text)

    def die(self) -> None:
        """The meter is off."""
        self.faults.order(1, Fault("dead"), None)

    def wire(self, serial: int, kwh: float) -> None:
        """Another meter is wired."""
        self.image.becomes(serial, kwh)
        self.faults.clear()

    def begin(self) -> None:
        self.start_gateway()
        until(lambda: self.view().get("state") == "answering", MOST, "the meter answers")
        until(self.knows_number, MOST, "its number was read twice")

    def knows_number(self) -> bool:
        """Written in the file, or read twice alike."""
        return "serial" in {fact["name"] for fact in self.view()["learnt"]}

    def view(self) -> dict:
        status = gateway_status(self.socket)
        return status["meters"][0] if status else {}

    def stop(self) -> None:
        super().stop()
        self.plant.stop()

    def submeter(self, *words: str) -> Said:
        """A command in this process, as wide as a phone."""
        socket = () if "export" in words else ("--socket", str(self.socket))
        done = CliRunner().invoke(cli, ["--lang", "en", *words, *socket], env={"COLUMNS": "60"})
        return Said(done.exit_code, done.stdout, f"{done.stderr} {done.exception or ''}")

    def rows(self) -> list[dict]:
        self.kill("gateway", signal.SIGTERM)
        file = self.directory / "rows.jsonl"
        told = self.submeter("journal", "export", str(file), "-c", str(self.config_path))
        assert told.returncode == 0, told.stderr
        return [json.loads(line) for line in file.read_text().splitlines()]

    def events(self, *kinds: str) -> list[dict]:
        return [event for row in self.rows() for event in row.get("events", ()) if event.get("kind") in kinds]


@pytest.fixture
def building(tmp_path):
    site = Building(tmp_path)
    try:
        site.begin()
        yield site
    except BaseException as error:
        error.add_note(site.log("gateway")[-3000:])
        raise
    finally:
        site.stop()


def registers(rows: list[dict]) -> list[float]:
    """What the journal holds of the counter, in its order."""
    found = []
    for row in rows:
        for table in row.get("tables", ()):
            found += [value for value in table["values"].get(KWH, ()) if value is not None]
    return found


def test_both_registers_stand_in_the_journal_and_nothing_between_them(building) -> None:
    told = building.submeter("swap", "main", "--begin", "--by", "Ayşe", "--why", "verification is due")
    assert told.returncode == 0, told.stderr
    assert "72,028.4" in told.stdout
    assert all(len(line) <= 60 for line in told.stdout.splitlines())
    assert "being_swapped" in building.view()["remarks"]
    assert "it is being exchanged" in building.submeter("status").stdout
    building.wire(222, 5.5)
    until(lambda: "222" in str(building.view()["attributes"]), MOST, "the new meter is polled")
    time.sleep(2)  # what it says is heard, and not taken
    done = building.submeter("swap", "main", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["old"], answer["new"]) == ("111", "222")
    assert answer["closing"][KWH] == pytest.approx(72_028.4, abs=0.01)
    assert answer["opening"][KWH] == 5.5
    assert building.view()["remarks"] == []
    assert building.view()["exchanged"] == []
    until(lambda: building.view()["age"] < 1, MOST, "it is read on")
    rows = building.rows()
    events = [event for row in rows for event in row.get("events", ())]
    kinds = [event["kind"] for event in events if "swap" in event["kind"] or event["kind"] == "meter_changed"]
    assert kinds == ["meter_swap_begun", "meter_swapped"]
    (swapped,) = [event for event in events if event["kind"] == "meter_swapped"]
    assert (swapped["by"], swapped["why"]) == ("Ayşe", "verification is due")
    values = registers(rows)
    assert values == sorted(values, reverse=True)  # old ones, then new ones
    at = next(number for number, row in enumerate(rows) if swapped in row.get("events", ()))
    assert all(value > 1000 for value in registers(rows[:at]))
    assert all(value < 1000 for value in registers(rows[at:]))


def test_a_power_cut_in_the_middle_changes_nothing(building) -> None:
    assert building.submeter("swap", "main", "--begin").returncode == 0
    building.kill("gateway")
    building.wire(222, 0.0)
    building.begin()
    assert "being_swapped" in building.view()["remarks"]
    done = building.submeter("swap", "main", "--yes")
    assert "has begun already" in done.stdout
    assert done.returncode == 0, done.stderr
    (swapped,) = building.events("meter_swapped", "meter_changed")
    assert swapped["closing"][KWH] == pytest.approx(72_028.4, abs=0.01)
    assert swapped["opening"][KWH] == 0.0


def test_a_dead_meter_ends_at_what_its_display_shows(building) -> None:
    building.die()
    until(lambda: building.view()["state"] == "lost", MOST, "it is lost")
    refused = building.submeter("swap", "main", "--begin")
    assert refused.returncode == 1
    assert "--closing INDEX" in refused.stderr
    typed = ("swap", "main", "--begin", "--by", "Ali", "--why", "burnt")
    assert building.submeter(*typed[:3], "--closing", "72040").returncode == 2  # without who and why
    less = building.submeter(*typed, "--closing", "71000")
    assert less.returncode == 1
    assert "cannot have ended" in " ".join(less.stderr.split())
    told = building.submeter(*typed, "--closing", "72.040,5".replace(".", ""))
    assert told.returncode == 0, told.stderr
    assert "more than last read" in " ".join(told.stdout.split())
    building.wire(222, 0.5)
    assert building.submeter("swap", "main", "--yes").returncode == 0
    (swapped,) = building.events("meter_swapped")
    assert swapped["closing"] == {KWH: 72_040.5}
    assert (swapped["closing_how"], swapped["opening_how"]) == ("typed", "read")


def test_the_old_meter_is_not_taken_for_the_new_one(building) -> None:
    assert building.submeter("swap", "main", "--begin").returncode == 0
    refused = building.submeter("swap", "main", "--yes")
    assert refused.returncode == 1
    assert "was not exchanged" in " ".join(refused.stderr.split())
    assert building.submeter("swap", "main", "--cancel").returncode == 0
    assert building.view()["remarks"] == []
    again = building.submeter("swap", "main", "--cancel")
    assert again.returncode == 1
    assert "no exchange of meter main has begun" in again.stderr
    assert [event["kind"] for event in building.events("meter_swapped", "meter_swap_cancelled")] == [
        "meter_swap_cancelled"
    ]


def test_what_was_exchanged_without_a_word_is_confirmed(building) -> None:
    building.wire(222, 1.0)
    until(lambda: building.view()["exchanged"], MOST, "another meter is noticed")
    told = building.submeter("swap", "main", "--yes", "--by", "Ayşe", "--why", "done yesterday")
    assert told.returncode == 0, told.stderr
    assert "222" in told.stdout
    assert building.view()["exchanged"] == []
    (event,) = building.events("meter_swapped", "meter_swap_confirmed")
    assert (event["kind"], event["old"], event["new"]) == ("meter_swap_confirmed", "111", "222")


def test_a_number_that_the_file_demands_is_written_into_it(tmp_path) -> None:
    site = Building(tmp_path, serial="111")
    file = site.config_path
    try:
        site.begin()
        assert site.submeter("swap", "main", "--begin").returncode == 0
        site.wire(222, 5.5)
        done = site.submeter("swap", "main", "--yes")
        assert done.returncode == 0, done.stderr + done.stdout
        assert load_config(file).meters[0].serial == "222"
        assert file.read_text().startswith("# who wrote this\n")
        assert "'111'" in file.with_name(file.name + ".old").read_text()
        until(lambda: site.view().get("state") == "answering", MOST, "it is read on")
        assert not any(value["suspect"] for value in site.view()["values"].values())
    finally:
        site.stop()


def test_in_a_terminal_it_waits_for_the_person(building) -> None:
    master, slave = pty.openpty()
    env = {**os.environ, "SUBMETER_SOCKET": str(building.socket), "COLUMNS": "60", "TERM": "dumb"}
    command = [sys.executable, "-m", "gateway", "swap", "main", "--lang", "tr"]
    heard = ""

    def listen(word: str) -> None:
        nonlocal heard
        end = time.monotonic() + MOST
        while word not in heard and word not in " ".join(heard.split()):
            assert time.monotonic() < end, heard
            if select.select([master], [], [], 0.2)[0]:
                heard += os.read(master, 4096).decode()

    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        try:
            listen("> ")
            assert "Sayacı şimdi değiştirin" in " ".join(heard.split())
            building.die()
            heard = ""
            os.write(master, b"\n")
            listen("cevap vermiyor")
            building.wire(222, 0.0)
            listen("> ")
            os.write(master, b"\n")
            listen("222")
            heard = heard[heard.index("222") :]  # the question may have come with it
            listen("> ")
            os.write(master, b"e\n")
            listen("kaldığı yerden")
            assert process.wait(MOST) == 0
        finally:
            process.kill()
            os.close(master)
            os.close(slave)
    assert all(len(line.rstrip()) <= 60 for line in heard.splitlines())
