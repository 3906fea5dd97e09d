"""Every command with something to say, so that what it prints can be looked at in any width and language."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch as patched

import click
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.language import in_words, speaking
from gateway.cli.prose import said
from gateway.errors import GatewayError
from gateway.host.clock import uptime_ms
from gateway.journal import Journal
from gateway.model import Event, Ranges
from gateway.receiver.store import SqliteStore
from gateway.status.api import as_json
from gateway.wire import State
from tests.journal.journal_data import Building, HandClock
from tests.receiver.receiver_feed import E1, E2, E3, arrival, batch, opening
from tests.status.status_building import NOW, SNAPSHOT


def every(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from every(child, (*words, name))


COMMANDS = tuple(every(cli))

TRUE = {
    0: 230.4,
    2: 231.2,
    4: 229.7,
    6: 10.0,
    8: 6.0,
    10: 3.0,
    12: 2188.8,
    14: 1317.8,
    16: 654.6,
    18: 2304.0,
    20: 1387.2,
    22: 689.1,
    52: 4161.2,
    70: 50.02,
    72: 12345.67,
}
ROWS = """
  0x0000 float32 voltage_{l1n,l2n,l3n}     V   fast decimals=1
  0x0006 float32 current_{l1,l2,l3}        A   fast decimals=3
  0x000C float32 active_power_{l1,l2,l3}   W   fast decimals=0
  0x0012 float32 apparent_power_{l1,l2,l3} VA  fast decimals=0
  0x0034 float32 active_power              W   fast decimals=0
  0x0046 float32 frequency                 Hz  fast decimals=2
  0x0048 float32 active_energy_import      kWh slow decimals=2
"""


class Client:
    """A running daemon's answers."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def must_run(self, config):
        pass

    def status(self):
        learnt = SNAPSHOT.buses[0]
        uplink = replace(SNAPSHOT.uplinks[0], state="refused", cause="unknown_ca")
        return json.loads(
            json.dumps(
                as_json(
                    replace(
                        SNAPSHOT, buses=(learnt, *SNAPSHOT.buses[1:]), uplinks=(*SNAPSHOT.uplinks, uplink)
                    )
                )
            )
        )

    def configuration(self):
        return {"path": "/etc/submeter/gateway.yaml", "read": NOW, "timezone": "Europe/Istanbul"}

    def unread_changes(self):
        return {
            "changes": ["meter chiller: address was 3, is 55", "bus line1: baudrate was 9600, is 19200"],
            "meters": {},
            "problems": [],
        }

    def read(self, _names):
        base = {
            "label": "Ana sayaç, zemin kat",
            "driver": "eastron-sdm630",
            "bus": "line1",
            "address": 1,
            "missing": "",
        }
        whole = {
            **base,
            "meter": "main",
            "uptime": uptime_ms() - 1000,
            "suspect": ["voltage_l1n"],
            "values": {
                "active_power": 84.213,
                "active_energy_import_l1": 1234567.891,
                "displacement_factor_l1": 0.95,
                "voltage_l1n": 231.4,
            },
            "absent": {
                "frequency": "exception_2",
                "reactive_energy_import_l1": "timeout",
                "thd_current_l1": "implausible",
            },
            "attributes": {"serial_number": "23481771"},
            "registers": [[4, 0, list(range(0x1000, 0x1014))]],
        }
        silent = {
            **base, "meter": "chiller", "missing": "timeout", "error": "unit 3 did not answer",
            "hint": "check its address and power, the line's A and B, baud rate and parity",
        }  # fmt: skip
        return [whole, silent]

    def pulses(self):
        base = {
            "id": "water",
            "pin": 17,
            "register": 1240.5,
            "unit": "m³",
            "count": 1234567,
            "short": 3,
            "gap": 4,
            "rate": 5,
            "closed": False,
            "per_minute": 3.25,
            "age": 125.0,
            "state": "counting",
            "error": "",
            "doubt": "no register is known",
            "fast": True,
        }
        failed = {
            "per_minute": None,
            "age": None,
            "state": "failed",
            "error": "this machine has no GPIO: it is not a Raspberry Pi "
            "→ move what is wired to pins to a gateway that is one",
            "doubt": "",
            "fast": False,
        }
        return [base, {**base, "id": "gas", "pin": 4, **failed}]

    def set_pulse(self, meter, value):
        return {"meter": meter, "quantity": "volume", "old": 1.5, "new": float(value), "pulse_count": 12}

    def reload(self):
        message = (
            "meter chiller: address was 3, is 55; its values, absences and health start anew, and so do "
            "its counters"
        )
        fields = {"meter": "chiller", "change": "changed", "fields": {"address": [3, 55]}}
        return {"messages": [message], "changed": [fields]}


def screens(folder: Path, bus: str) -> dict[str, list[str]]:
    """The words of the command line of every screen that answers by itself; `bus` is where a meter
    answers.
    """
    write(folder)
    found = {
        "check": ["check", "-c", str(folder / "etc" / "gateway.yaml")],
        "check of a bad file": ["check", str(folder / "bad" / "bad.yaml")],
        "plan": ["plan", "-c", str(folder / "etc" / "gateway.yaml"), "--reads"],
        "plan that is refused": ["plan", str(folder / "bad" / "full.yaml")],
        "drivers list": ["drivers", "list", "-c", str(folder / "etc" / "gateway.yaml")],
        "drivers list, few": ["drivers", "list", "sdm", "72"],
        "drivers show": ["drivers", "show", "eastron-sdm630"],
        "drivers show, SunSpec": ["drivers", "show", "sunspec-meter"],
        "drivers show, variants": ["drivers", "show", "abb-b23"],
        "drivers check": ["drivers", "check", str(folder / "t-table.yaml")],
        "drivers check of a bad one": [
            "drivers",
            "check",
            str(folder / "bad" / "bad-table.yaml"),
            str(folder / "t-table.yaml"),
        ],
        "drivers vocabulary": ["drivers", "list", "--vocabulary"],
        "drivers try": [
            "drivers",
            "try",
            str(folder / "t-table.yaml"),
            "--bus",
            bus,
            "--address",
            "1",
            "--seconds",
            "0",
        ],
        "drivers try of a wrong one": [
            "drivers",
            "try",
            str(folder / "t-table.yaml"),
            "--bus",
            bus,
            "--address",
            "2",
            "--seconds",
            "0",
        ],
        "energy": ["energy", "--from", str(folder / "etc" / "readings.csv")],
        "journal status": [
            "journal",
            "status",
            "-c",
            str(folder / "etc" / "gateway.yaml"),
            "--socket",
            str(folder / "none.sock"),
        ],
        "journal show": [
            "journal",
            "show",
            "--directory",
            str(folder / "journal"),
            "--socket",
            str(folder / "none.sock"),
        ],
        "journal salvage": ["journal", "salvage", str(folder / "journal" / "journal.db")],
        "receive --report": ["receive", "--report", "--database", str(folder / "received.db")],
        "status": ["status"],
        "read": ["read", "-c", "/etc/submeter/gateway.yaml"],
        "pulses": ["pulses", "-c", "/etc/submeter/gateway.yaml"],
        "pulses set": ["pulses", "set", "water", "1240.5"],
        "reload": ["reload"],
        "a word too many": ["plan", "one.yaml", "two"],
        "no such option": ["status", "--colour"],
    }
    return found | {" ".join(("submeter", *words, "--help")): [*words, "--help"] for words in COMMANDS}


def patch(monkeypatch) -> None:
    """The commands that ask a daemon ask the one above."""
    for name in ("status", "read", "pulses", "reload"):
        module = __import__(f"gateway.cli.{name}", fromlist=["command"])
        for asked in ("need_client", "control_client"):
            if hasattr(module, asked):
                monkeypatch.setattr(module, asked, lambda *_: Client())


def show(words: list[str], columns: int, language: str) -> str:
    """What a person sees, standard error last; an error of ours as `main` prints it."""
    environment = {"COLUMNS": str(columns), "LC_ALL": "C"}
    result = CliRunner().invoke(cli, ["--lang", language, *words], env=environment)
    text = result.stdout + result.stderr
    if isinstance(result.exception, GatewayError):
        with patched.dict(os.environ, environment), speaking(language):
            text += "\n".join(said(f"submeter: {in_words(str(result.exception))}")) + "\n"
    else:
        assert isinstance(result.exception, SystemExit | None), result.exception
    return re.sub(r"[\d.,]+ (s|sn|m|min|dk) (ago|önce)", "… ago", text)


def write(folder: Path) -> None:
    """Configurations, tables, a journal, a receiver's database."""
    head = (
        "maker: T\nmodel: T\nverified: datasheet\nsource: a paper\nreads: {function: 4, max_registers: "
        "60}\nregisters: |"
    )
    for name in ("bad", "etc"):
        (folder / name).mkdir()
    (folder / "t-table.yaml").write_text(head + ROWS)
    counts = [*range(8), 3, *range(9, 20)]
    rows = [
        f"main,active_energy_import,{NOW + 300_000 * at},{100 + count / 4}" for at, count in enumerate(counts)
    ]
    (folder / "etc" / "readings.csv").write_text("\n".join(["meter,quantity,t,value", *rows, ""]))
    (folder / "bad" / "bad-table.yaml").write_text(
        head.replace("model: T\n", "") + "\n  0 u17 voltage_l9n V fast\n  x u16 nothing V slow\n"
    )
    text = f"""
gateway: {{id: house, name: Konak Belediye Binası}}
drivers: {{directory: {folder}}}
journal: {{directory: {folder}/journal}}
buses: [{{name: line1, type: serial, port: /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0, \
baudrate: 9600}}]
meters:
  - {{id: main, bus: line1, address: 1, driver: t-table, interval: %s}}
  - {{id: cooling-server-room-3, bus: line1, address: 2, driver: eastron-sdm630, interval: %s}}
"""
    (folder / "etc" / "gateway.yaml").write_text(text % ("10s", "1min"))
    (folder / "bad" / "full.yaml").write_text(text % ("100ms", "200ms"))
    (folder / "bad" / "bad.yaml").write_text(
        (text % ("soon", "10s")).replace("driver: eastron-sdm630", "driver: eastron-sdm603")
    )
    case = folder / "journal" / "damaged" / "0001"
    case.mkdir(parents=True)
    report = {
        "reason": "batch 5 does not fit its checksum",
        "pages": 900,
        "page": 41,
        "rows": 7,
        "done": True,
    }
    (case / "report.json").write_text(json.dumps(report | {"memory": {}}))
    asyncio.run(fill(folder / "journal"))
    store = SqliteStore(folder / "received.db")
    thinned = Event("thinned", 9000, {"epoch": E1, "from": 5, "to": 6})
    ends = [
        opening(1, previous=E3, last=0),
        batch(2),
        batch(2),
        batch(2, value=9.0),
        batch(4, clock="unsynced"),
        batch(9, events=[thinned]),
    ]
    with store.atomic():
        store.take([arrival(b) for b in (*ends, opening(11, epoch=E2, previous=E1, last=10, reason="boot"))])
        store.state("gw-1", State(online=True, epoch=E2, seq=13, backlog=2, version="1"), 1_795_278_400_000)
        store.refuse(
            "gw-1",
            "malformed",
            3,
            1_795_278_400_000,
            "not a batch but something that is quite a lot longer than a line",
        )
    store.close()


async def fill(folder: Path) -> None:
    """A journal with a backlog."""
    clock = HandClock()
    journal = Journal.open(folder, gateway="house", clock=clock, uplinks=["city"])
    building = Building(3)
    for _ in range(30):
        clock.now += 10_000
        await journal.commit(building.draft(clock.now))
    await journal.settle("city", journal.epoch, Ranges([(1, 20)]))
    await journal.commit(building.draft(clock.now))
    await journal.close()
