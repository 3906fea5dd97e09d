"""The whole way: contact, filter, batch, restart. The meter's own log is the judge."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway.cli.client import ControlClient
from gateway.cli.pulses import lines
from gateway.daemon.daemon import Daemon
from gateway.errors import GatewayError
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.status import judge
from gateway.status.words.language import Locale
from gateway.status.words.notices import notices
from gateway.wire import decode
from tests.refusing_store import ALWAYS, Refusal
from tests.waiting import until, wait_until

HERE = Path(__file__).parent
CONFIG = """
gateway: {{id: pulses, commit_interval: 1s}}
clock: {{trust: system}}
pulses:
  - {{id: water, name: {name}, pin: 17, per_unit: 100, quantity: volume, start: 50, min_width: 4ms, \
min_gap: 4ms, max_rate: 200}}
  - {{id: gas, pin: 18, per_unit: 10, quantity: volume}}
status: {{enabled: false}}
health: {{enabled: false}}
journal: {{directory: "{directory}"}}
"""


class Gateway:
    """A daemon in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "gateway.yaml"
        self.socket = directory / "control.sock"
        self.log = directory / "meter.log"
        self.write()

    def write(self, name="Su") -> None:
        self.config.write_text(CONFIG.format(directory=self.directory / "state", name=name))

    def start(self) -> None:
        self.log.unlink(missing_ok=True)
        with (self.directory / "daemon.log").open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "pulse_daemon.py"), str(self.config), str(self.log)],
                env={**os.environ, "SUBMETER_SOCKET": str(self.socket)},
                stderr=errors,
                cwd=HERE.parents[1],
            )
        wait_until(lambda: self.given > 5)

    def end(self, number=signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    @property
    def pulses(self) -> list[tuple[int, int]]:
        """(number, uptime in ms) of every pulse that the meter gave in this run."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [
            (int(number), int(uptime))
            for number, uptime in (line.split() for line in lines if line.endswith("\n"))
        ]

    @property
    def given(self) -> int:
        return len(self.pulses)

    @property
    def seq(self) -> int:
        """The newest batch; 0 while nobody answers."""
        try:
            with ControlClient(self.socket) as client:
                return client.status()["journal"]["seq"]
        except GatewayError:
            return 0

    def client(self) -> ControlClient:
        wait_until(self.socket.exists)
        return ControlClient(self.socket)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env={**os.environ, "SUBMETER_SOCKET": str(self.socket)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path)
    yield made
    with contextlib.suppress(AttributeError, ProcessLookupError):
        made.process.kill()
        made.process.wait(30)


def known(carried) -> dict:
    """What of a carried state is the newest reading."""
    return {name: carried[name] for name in ("count", "register", "quantity")}


async def stored(gateway: Gateway) -> tuple[dict, list, list]:
    """What the journal carries, every reading of the water meter and every event, oldest first."""
    journal = Journal.open(gateway.directory / "state", gateway="pulses", clock=Clock("system"))
    try:
        batches = []
        for epoch, first, last in journal.epochs():
            found = await journal.find(epoch, first, last, limit=last - first + 1)
            batches += [decode(sealed.body) for sealed in found]
        readings = [reading for batch in batches for reading in batch.readings if reading.meter == "water"]
        return journal.carried["pulses"], readings, [event for batch in batches for event in batch.events]
    finally:
        await journal.close()


async def test_a_kill_loses_at_most_the_open_slot(gateway) -> None:
    before, seen, newest_seq, chance = 0, 0, 0, random.Random(7)
    for _ in range(4):
        gateway.start()
        wait_until(lambda newest=newest_seq: gateway.seq >= newest + 3)
        newest_seq = gateway.seq
        await asyncio.sleep(chance.random() * 1.5)
        gateway.end(signal.SIGKILL)
        pulses = gateway.pulses
        # The meter's log shows when this machine stood still: such a moment is no fault of the counting.
        stall = max(after - before for (_, before), (_, after) in pairwise(pulses))
        slack = 200 + 2 * stall
        carried, readings, _ = await stored(gateway)
        newest = readings[-1]
        # What goes on after the restart is exactly what was taken last.
        assert known(carried["water"]) == {
            "count": newest.values["pulse_count"],
            "register": newest.values["volume"],
            "quantity": "volume",
        }
        assert newest.values["volume"] == round(50 + newest.values["pulse_count"] / 100, 9)
        for reading in readings[seen:]:
            # Every pulse that was over before a reading is in it; the thread may have a few under way.
            certain = sum(uptime < reading.uptime - slack for _, uptime in pulses)
            possible = sum(uptime <= reading.uptime + slack for _, uptime in pulses) + 1
            assert before + certain <= reading.values["pulse_count"] <= before + possible
        assert pulses[-1][1] - newest.uptime < 5000 + slack
        assert len(readings) > seen + 1
        before, seen = int(carried["water"]["count"]), len(readings)
    counts = [reading.values["pulse_count"] for reading in readings]
    assert counts == sorted(counts)
    assert known(carried["gas"]) == {"count": 0, "register": 0.0, "quantity": "volume"}


async def test_a_clean_stop_and_reloads_lose_nothing(gateway) -> None:
    gateway.start()
    with gateway.client() as client:
        for number in range(4):
            gateway.write(f"Su {number}")
            gateway.process.send_signal(signal.SIGHUP) if number % 2 else client.reload()
            await asyncio.sleep(0.6)
        wait_until(lambda: client.pulses()[0]["label"] == "Su 3")
    given = gateway.given
    gateway.end()
    carried, readings, _ = await stored(gateway)
    assert given <= carried["water"]["count"] <= gateway.given + 1
    assert readings[-1].values["pulse_count"] == carried["water"]["count"]


async def test_a_reload_while_the_disk_is_full_keeps_what_was_counted(gateway, monkeypatch) -> None:
    factory, refusal = MockFactory(), Refusal(monkeypatch)
    monkeypatch.setattr(Device, "pin_factory", factory)
    daemon = Daemon(gateway.config, gateway.socket)
    task = asyncio.create_task(daemon.run())

    async def count(number: int) -> None:
        await until(lambda: daemon.assembly.pulses.health()[0].state == "counting")
        for _ in range(number):
            factory.pin(17).drive_low()
            await asyncio.sleep(0.006)
            factory.pin(17).drive_high()
            await asyncio.sleep(0.006)

    await until(gateway.socket.exists)
    await count(20)
    refusal.left = ALWAYS
    await count(30)
    await daemon.reload()
    await count(10)
    # The newest reading is among those that wait.
    await until(lambda: daemon.assembly.carry()["pulses"]["water"]["count"] == 60)
    await daemon.assembly.slots.flush()
    assert refusal.count > 0
    refusal.over(daemon.journal)
    daemon.end()
    await asyncio.wait_for(task, 30)
    carried, readings, _ = await stored(gateway)
    assert known(carried["water"]) == {"count": 60, "register": 50.6, "quantity": "volume"}
    assert readings[-1].values["pulse_count"] == 60


async def test_the_command_shows_and_sets(gateway) -> None:
    gateway.start()
    wait_until(gateway.socket.exists)
    shown = gateway.cli("pulses")
    assert shown.returncode == 0, shown.stderr
    water, _, doubt, gas, _, beginning = shown.stdout.splitlines()
    # A first start cannot be told from a past that is lost: somebody must look.
    assert doubt.startswith("  ! water: ")
    assert beginning.startswith("  ! gas: ")
    assert "read the display and set it: submeter pulses set gas VALUE" in beginning
    assert water.startswith("water (GPIO 17): ")
    assert " m³, " in water
    assert gas.startswith("gas (GPIO 18): 0 m³, 0 pulses")
    entry = json.loads(gateway.cli("pulses", "show", "--json").stdout)[0]
    assert (entry["id"], entry["state"], entry["label"]) == ("water", "counting", "Su")
    assert entry["count"] > 5
    answer = gateway.cli("pulses", "set", "water", "1240.5")
    assert answer.returncode == 0, answer.stderr
    assert "is 1240.5 at pulse" in answer.stdout
    assert "! water" not in gateway.cli("pulses").stdout
    assert gateway.cli("read", "water").returncode == 0
    with gateway.client() as client:
        assert [(reading["meter"], len(reading["values"])) for reading in client.read()] == [
            ("water", 2),
            ("gas", 2),
        ]
        assert {meter["id"]: meter["state"] for meter in client.status()["meters"]} == {
            "water": "answering",
            "gas": "answering",
        }
    refused = gateway.cli("pulses", "set", "water", "1240,5")
    assert refused.returncode == 1
    assert "like 1240.5" in refused.stderr
    unknown = gateway.cli("pulses", "set", "air", "1")
    assert unknown.returncode == 1
    assert "water, gas" in unknown.stderr
    gateway.end(signal.SIGKILL)  # the answer of `set` means that it is on disk
    carried, readings, events = await stored(gateway)
    assert carried["water"]["register"] >= 1240.5
    (event,) = [event for event in events if event.kind == "pulse_register_set"]
    assert event.fields["meter"] == "water"
    assert event.fields["new"] == 1240.5
    assert event.fields["old"] < 1240.5
    after = [reading for reading in readings if reading.values["pulse_count"] >= event.fields["pulse_count"]][
        -1
    ]
    assert after.values["volume"] == round(
        1240.5 + (after.values["pulse_count"] - event.fields["pulse_count"]) / 100, 9
    )


def test_the_command_without_a_daemon(gateway) -> None:
    answer = gateway.cli("pulses")
    assert answer.returncode == 1
    assert "no daemon listens" in answer.stderr


def test_the_table_says_why_an_input_does_not_count() -> None:
    assert "configuration" in lines([])[0]
    failed = {
        "id": "gas",
        "label": "Gaz",
        "pin": 4,
        "state": "failed",
        "error": "there is no GPIO → move it",
        "quantity": "volume",
        "unit": "m³",
        "count": 12,
        "register": 999999999999.12,
        "short": 3,
        "gap": 4,
        "rate": 5,
        "per_minute": None,
        "age": None,
        "closed": False,
    }
    row, noise, why = lines([failed])
    assert row == "gas (GPIO 4): 999999999999.12 m³, 12 pulses, does not count"
    assert noise == "  rejected as noise: 3 too short, 4 after too short a gap, 5 too fast"
    assert why == "  ! gas does not count: there is no GPIO → move it"


@contextlib.asynccontextmanager
async def here(gateway: Gateway, monkeypatch, factory=None):
    """The daemon in this process, so that its journal can be made to refuse; given: the daemon and its
    pins.
    """
    factory = factory or MockFactory()
    monkeypatch.setattr(Device, "pin_factory", factory)
    daemon = Daemon(gateway.config, gateway.socket)
    gateway.socket.unlink(missing_ok=True)
    task = asyncio.create_task(daemon.run())
    await until(lambda: gateway.socket.exists() or task.done())
    try:
        yield daemon, factory
    finally:
        daemon.end()
        await asyncio.wait_for(task, 60)


async def test_a_pin_that_cannot_be_used_is_told_once(gateway, monkeypatch) -> None:
    gateway.write()
    gateway.config.write_text(gateway.config.read_text().replace("pin: 18,", "pin: 2, pull: none,"))
    async with here(gateway, monkeypatch) as (daemon, _):
        await until(lambda: any(entry.error for entry in daemon.assembly.pulses.health()))
        daemon.assembly.pulses.poll("gas")
        now = daemon.snapshot()
        f = Locale("en", "UTC", now.taken)
        told = [notice.text for notice in notices(judge(now), now, f) if notice.level == "bad"]
    assert len(told) == 1, told
    assert told[0].startswith("gas: its pulses are not counted: GPIO 2 has a resistor")
    assert not any("GPIO 2" in line for line in now.problems)


async def give(daemon: Daemon, factory, number: int, pin=17) -> None:
    await until(lambda: all(entry.state == "counting" for entry in daemon.assembly.pulses.health()))
    before = {entry.pin: entry.count for entry in daemon.assembly.pulses.health()}[pin]
    for _ in range(number):
        factory.pin(pin).drive_low()
        await asyncio.sleep(0.008)
        factory.pin(pin).drive_high()
        await asyncio.sleep(0.008)
    await until(
        lambda: {entry.pin: entry.count for entry in daemon.assembly.pulses.health()}[pin] == before + number
    )


def without_inputs(text: str) -> str:
    """The configuration without its pulse inputs."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if "pin: " not in line and not line.startswith("pulses:"))


async def test_all_inputs_taken_out_and_put_back_while_the_journal_is_full(gateway, monkeypatch) -> None:
    refusal = Refusal(monkeypatch)
    async with here(gateway, monkeypatch) as (daemon, factory):
        await give(daemon, factory, 20)
        await daemon.assembly.slots.flush()
        refusal.left = ALWAYS
        await give(daemon, factory, 30)
        good = gateway.config.read_text()
        gateway.config.write_text(without_inputs(good))
        for _ in range(2):
            await daemon.reload()
            assert daemon.assembly.pulses is None
            assert daemon.assembly.carry()["pulses"]["water"]["count"] == 50
        gateway.config.write_text(good)
        await daemon.reload()
        await give(daemon, factory, 10)
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register) == (60, 50.6)


async def test_a_set_while_the_journal_is_full_says_so_and_survives(gateway, monkeypatch) -> None:
    refusal = Refusal(monkeypatch)
    async with here(gateway, monkeypatch) as (daemon, factory):
        await give(daemon, factory, 5)
        refusal.left = ALWAYS
        answer = await asyncio.to_thread(gateway.cli, "pulses", "set", "water", "1240.5")
        assert answer.returncode != 0
        assert "not on disk yet: the disk of " in answer.stderr
        assert "Do not set it again" in answer.stderr
        with monkeypatch.context() as patch:
            patch.setattr(
                daemon._copy,
                "_write",
                lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")),
            )
            answer = await asyncio.to_thread(gateway.cli, "pulses", "set", "water", "1241.5")
        assert answer.returncode != 0
        assert "a power cut now undoes it" in answer.stderr
        # What a kill leaves behind: the first set, which is in the second copy.
        kept = (gateway.directory / "state" / "pulses.json").read_bytes()
    (gateway.directory / "state" / "pulses.json").write_bytes(kept)
    async with here(gateway, monkeypatch) as (daemon, _):
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register) == (5, 1240.5)


async def test_a_clean_stop_while_the_journal_is_full_loses_neither_a_set_nor_a_pulse(
    gateway, monkeypatch
) -> None:
    refusal = Refusal(monkeypatch)
    async with here(gateway, monkeypatch) as (daemon, factory):
        await give(daemon, factory, 5)
        await daemon.assembly.slots.flush()
        refusal.left = ALWAYS
        answer = await asyncio.to_thread(gateway.cli, "pulses", "set", "water", "1240.5")
        assert answer.returncode != 0
        await give(daemon, factory, 7)
    assert refusal.count > 0
    async with here(gateway, monkeypatch) as (daemon, _):  # the disk is still full
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register, water.doubt) == (12, 1240.57, "")


async def test_inputs_that_were_taken_out_come_back_after_a_kill_and_starts_without_them(
    gateway, monkeypatch
) -> None:
    refusal, copy = Refusal(monkeypatch), gateway.directory / "state" / "pulses.json"
    good = gateway.config.read_text()
    async with here(gateway, monkeypatch) as (daemon, factory):
        await give(daemon, factory, 20)
        await daemon.assembly.slots.flush()
        refusal.left = ALWAYS
        await give(daemon, factory, 30)
        gateway.config.write_text(without_inputs(good))
        await daemon.reload()
        assert daemon.assembly.pulses is None
        assert await daemon.save_registers()
        kept = copy.read_bytes()
    copy.write_bytes(kept)  # a kill leaves this behind, and in the journal what was before the disk was full
    for _ in range(2):
        async with here(gateway, monkeypatch) as (daemon, _):
            assert daemon.assembly.carry()["pulses"]["water"]["count"] == 50
    gateway.config.write_text(good)
    async with here(gateway, monkeypatch) as (daemon, _):
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register) == (50, 50.5)
        assert "a minute" in water.doubt


@pytest.mark.parametrize(
    "loss", ["gone beside its WAL", "gone altogether", "older copy put back", "copy torn", "everything gone"]
)
async def test_a_journal_that_has_lost_the_registers_takes_none_along(
    gateway, monkeypatch, caplog, loss
) -> None:
    state = gateway.directory / "state"
    async with here(gateway, monkeypatch) as (daemon, factory):
        await give(daemon, factory, 20)
        await daemon.assembly.slots.flush()
        old = {path.name: path.read_bytes() for path in state.glob("journal.db*")}
        await give(daemon, factory, 20)
    for path in state.glob("journal.db*"):
        if loss != "gone beside its WAL" or path.name == "journal.db":
            path.unlink()
    if loss == "older copy put back":
        for name, content in old.items():
            (state / name).write_bytes(content)
    if loss == "copy torn":
        (state / "pulses.json").write_bytes(
            (state / "pulses.json").read_bytes().replace(b'"count":40', b'"count":90', 1)
        )
    if loss == "everything gone":
        (state / "pulses.json").unlink()
    caplog.clear()
    async with here(gateway, monkeypatch) as (daemon, _):
        (water, gas) = daemon.assembly.pulses.health()
        lines_of = await asyncio.to_thread(gateway.cli, "pulses")
        page = {meter.id: meter.remarks for meter in daemon.snapshot().meters}
    _, _, events = await stored(gateway)
    told = [
        event.fields
        for event in events
        if event.kind == "pulse_register_started" and event.fields["meter"] == "water"
    ]
    started, reasons = told[-1], [fields["why"] for fields in told]
    if loss in {"copy torn", "everything gone"}:
        assert (water.count, water.register) == (0, 50)
        assert (started["count"], started["register"]) == (0, 50.0)
        assert "no register is known" in reasons
    else:
        assert (water.count, water.register) == (40, 50.4)
        assert (started["count"], started["register"]) == (40, 50.4)
        assert any("second copy of a clean stop" in why for why in reasons)
    # The journal knows by its mark that it is not the one that was there.
    assert "the journal was damaged, its last batches may be missing" in reasons
    assert "read the display and set it: submeter pulses set water VALUE" in lines_of.stdout
    assert page["water"] == ("register_unsure",)
    assert gas.id == "gas"


async def test_a_kill_while_the_journal_is_full_costs_what_the_second_copy_lacks_and_is_told(
    gateway, monkeypatch
) -> None:
    state, refusal = gateway.directory / "state", Refusal(monkeypatch)
    async with here(gateway, monkeypatch) as (daemon, factory):
        await asyncio.to_thread(gateway.cli, "pulses", "set", "water", "100")
        await give(daemon, factory, 10)
        await daemon.assembly.slots.flush()
        refusal.left = ALWAYS
        await give(daemon, factory, 30)
        daemon.assembly.pulses.poll("water")
        assert await daemon.save_registers()
        kept = (state / "pulses.json").read_bytes()
        await give(daemon, factory, 5)
    monkeypatch.undo()
    (state / "pulses.json").write_bytes(kept)
    async with here(gateway, monkeypatch) as (daemon, _):
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register) == (40, 100.4)
        assert "a minute" in water.doubt
    _, readings, events = await stored(gateway)
    assert [reading.values["pulse_count"] for reading in readings] == sorted(
        reading.values["pulse_count"] for reading in readings
    )
    assert [event.fields["count"] for event in events if event.kind == "pulse_register_started"][-2:].count(
        40
    ) == 1


async def test_epochs_after_damage_and_conflict_ask_for_the_display(gateway, monkeypatch, caplog) -> None:
    state = gateway.directory / "state"
    async with here(gateway, monkeypatch) as (daemon, factory):
        for meter in ("water", "gas"):
            assert (await asyncio.to_thread(gateway.cli, "pulses", "set", meter, "100")).returncode == 0
        for _ in range(5):
            await give(daemon, factory, 4)
            daemon.assembly.pulses.poll("water")
            await daemon.assembly.slots.flush()
        assert not daemon.assembly.pulses.health()[0].doubt
        await daemon.journal.new_epoch("conflict")
        daemon.assembly.pulses.poll("water")
        await daemon.assembly.slots.flush()
        assert "older than what the platform has" in daemon.assembly.pulses.health()[0].doubt
        for meter in ("water", "gas"):
            await asyncio.to_thread(gateway.cli, "pulses", "set", meter, "200")
    # A page of zeros in the middle of the file.
    database = bytearray((state / "journal.db").read_bytes())
    for page in range(len(database) // 1024 // 2, len(database) // 1024):
        database[page * 1024 : page * 1024 + 600] = bytes(600)
    (state / "journal.db").write_bytes(database)
    caplog.clear()
    async with here(gateway, monkeypatch) as (daemon, _):
        await until(lambda: daemon.assembly.pulses.health()[0].doubt)
        (water, _) = daemon.assembly.pulses.health()
        assert (water.count, water.register) == (20, 200)
    _, _, events = await stored(gateway)
    told = [
        event.fields["why"]
        for event in events
        if event.kind == "pulse_register_started" and event.fields["meter"] == "water"
    ]
    assert any("damaged" in why or "lost" in why for why in told), told
    assert any("set water VALUE" in record.message for record in caplog.records)


async def test_fifty_reloads_of_the_process_lose_and_double_nothing(gateway) -> None:
    gateway.start()
    with gateway.client() as client:
        for number in range(50):
            gateway.write(f"Su {number}")
            client.reload()
            await asyncio.sleep(0.03)
        wait_until(lambda: client.pulses()[0]["label"] == "Su 49")
        entry = client.pulses()[0]
    given = gateway.given
    gateway.end()
    carried, readings, events = await stored(gateway)
    # The meter goes on while the process stops. A machine that stood still makes a pulse of 10 ms too short,
    # which is told.
    counted = carried["water"]["count"] + entry["short"] + entry["gap"]
    assert given > 60
    assert given <= counted <= gateway.given + 1
    counts = [reading.values["pulse_count"] for reading in readings]
    assert counts == sorted(counts)
    assert sum(event.kind == "pulse_register_started" for event in events) == 2
