"""Each fault that a technician meets, at one time: thing, cause and action are named, in both languages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.language import speaking
from gateway.cli.status import lines
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port
from tests.rig import Rig, rig, until

pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

BIG, SMALL = "eastron-sdm630", "eastron-sdm120"
TABLES = Path(__file__).parents[2] / "drivers"


def slave(unit: int, driver: str = BIG) -> dict[str, Any]:
    return {"unit": unit, "meter": f"u{unit}", "image": {"driver": driver, "circuit": "main"}}


PLANT = {
    "seed": 1,
    "building": {"start": 1795278300, "speed": 1, "step": 1},
    "lines": [
        {"name": "slow", "baudrate": 9600, "check_speed": True, "slaves": [slave(1), slave(2)]},
        {"name": "noisy", "baudrate": 9600, "slaves": [slave(1), slave(2)]},
        {"name": "good", "baudrate": 38400, "slaves": [slave(1), slave(2), slave(3)]},
    ],
    "servers": [
        {
            "name": "plant",
            "host": "127.0.0.1",
            "port": 0,
            "slaves": [slave(1, SMALL), slave(2), slave(3), slave(4), slave(5)],
        }
    ],
}


def meter(name: str, bus: str, address: int, driver: str = BIG) -> dict[str, Any]:
    return {"id": name, "bus": bus, "address": address, "driver": driver, "interval": "2s"}


METERS = [
    meter("slow1", "slow", 1),
    meter("slow2", "slow", 2),
    meter("noisy1", "noisy", 1),
    meter("noisy2", "noisy", 2),
    meter("twice", "good", 1),
    meter("well", "good", 2),
    meter("dead", "good", 3),
    {**meter("large", "plant", 1), "identity": False},  # else its identity register says it before all others
    meter("little", "plant", 2, SMALL),
    meter("order", "plant", 3, "other-order"),
    meter("behind", "plant", 4),
    meter("healthy", "plant", 5),
    meter("unplugged", "pulled", 1),
    meter("unnamed", "nowhere", 1),
    meter("shut", "closed", 1),
]


def broker_with_a_password(site: Rig) -> None:
    passwords = site.directory / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "gw", "right"], check=True)
    passwords.chmod(0o644)
    conf = site.directory / "mosquitto.conf"
    conf.write_text(
        f"listener {site.broker_port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\nuser root\n"
    )
    site.start("broker", MOSQUITTO, "-c", str(conf))
    until(site._broker_listens, 10, "the broker listens")


def status(site: Rig) -> dict[str, Any]:
    transport = httpx.HTTPTransport(uds=str(site.socket))
    try:
        with httpx.Client(transport=transport, base_url="http://gateway", timeout=30) as client:
            found: dict[str, Any] = client.get("/status").json()
            return found
    except httpx.TransportError:
        return {"verdict": {"findings": []}}


def causes(site: Rig) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in status(site)["verdict"]["findings"]:
        found.setdefault(finding["subject"], set()).add(finding["cause"])
    return found


WANTED = {
    "slow": "bus_silent",
    "noisy": "bus_damaged",
    "twice": "meter_damaged",
    "dead": "meter_silent",
    "large": "table_doubtful",
    "little": "other_model",
    "order": "values_impossible",
    "behind": "meter_unreachable",
    "pulled": "bus_down",
    "nowhere": "bus_down",
    "closed": "bus_down",
    "password": "refused",
    "misspelt": "unreachable",
    "deaf": "unreachable",
}
"""What each fault is found as: by subject."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("site")
    tables = directory / "tables"
    tables.mkdir()
    text = (TABLES / f"{BIG}.yaml").read_text()
    assert "reads: {" in text
    (tables / "other-order.yaml").write_text(text.replace("reads: {", "reads: {order: little, ", 1))
    secret = directory / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    with rig(directory, PLANT) as started:
        broker_with_a_password(started)
        simulator = started.simulator
        for unit in (1, 2):
            simulator.fault("noisy", unit, "corrupt", times=None)
        simulator.fault("good", 1, "corrupt", times=None)
        simulator.fault("good", 3, "dead", times=None)
        simulator.fault("plant", 4, "exception", code=11, times=None)
        host, port = simulator.addresses["plant"]
        ports = simulator.ports
        started.configure(
            gateway={"id": "g", "commit_interval": "1s"},
            drivers={"directory": str(tables)},
            buses=[
                {"name": "slow", "type": "serial", "port": ports["slow"], "baudrate": 19200},
                {"name": "noisy", "type": "serial", "port": ports["noisy"], "baudrate": 9600},
                {"name": "good", "type": "serial", "port": ports["good"], "baudrate": 38400},
                {"name": "pulled", "type": "serial", "port": "/dev/serial/by-id/usb-none", "baudrate": 9600},
                {"name": "plant", "type": "tcp", "host": host, "port": port},
                {"name": "nowhere", "type": "tcp", "host": "no-such-host.invalid"},
                {"name": "closed", "type": "tcp", "host": "127.0.0.1", "port": free_port()},
            ],
            meters=METERS,
            uplinks=[
                started.uplink(name="password", username="gw", password_file=str(secret)),
                started.uplink(name="misspelt", url="mqtt://no-such-broker.invalid"),
                started.uplink(name="deaf", url=f"mqtt://127.0.0.1:{free_port()}"),
            ],
        )
        started.start_gateway()
        until(
            lambda: all(cause in causes(started).get(subject, ()) for subject, cause in WANTED.items()),
            240,
            "every fault is found as what it is",
            pause=1.0,
        )
        yield started


def told(site: Rig, language: str) -> list[str]:
    """What `submeter status` says of each trouble, its action behind it."""
    with speaking(language):
        said = lines(status(site))
    notices: list[str] = []
    for line in said:
        if line.startswith("  ! "):
            notices.append(line[4:])
        elif line.startswith("    → ") and notices:
            notices[-1] += line[3:]
    return notices


ROWS = [
    ("wrong baud rate", "en", ["line slow", "answers", "baud rate and parity"]),
    ("wrong baud rate", "tr", ["slow hattındaki", "baud hızını ve paritesini"]),
    ("noise on the line", "en", ["line noisy arrives damaged", "A and B are not swapped", "terminators"]),
    ("noise on the line", "tr", ["noisy hattında", "bozuk geliyor", "A ile B"]),
    (
        "two meters with one address",
        "en",
        ["twice (good, 1)", "arrive damaged", "two meters with one address"],
    ),
    ("two meters with one address", "tr", ["twice (good, 1)", "aynı adres"]),
    ("dead meter", "en", ["dead (good, 3)", "no answer", "has power"]),
    ("dead meter", "tr", ["dead (good, 3)", "yanıt yok", "beslemesini"]),
    ("table of a bigger meter", "en", ["large", "it refuses 31", "wrong table", "drivers try"]),
    ("table of a bigger meter", "tr", ["large", "reddediyor", "yanlış register tablosu", "drivers try"]),
    ("table of a smaller meter", "en", ["little (plant, 2)", "another model", "drivers try"]),
    ("table of a smaller meter", "tr", ["little (plant, 2)", "başka bir model", "drivers try"]),
    ("wrong word order", "en", ["order", "beyond what is possible", "word order", "drivers try"]),
    ("wrong word order", "tr", ["order", "olabileceğin dışında", "kelime sırası", "drivers try"]),
    (
        "meter behind a converter",
        "en",
        ["behind (plant, 4)", "converter cannot reach it", "line between them"],
    ),
    (
        "meter behind a converter",
        "tr",
        ["behind (plant, 4)", "dönüştürücüsü ona ulaşamıyor", "aradaki hattı"],
    ),
    ("adapter pulled", "en", ["pulled", "usb-none", "there is no such port", "Plug the adapter in"]),
    ("adapter pulled", "tr", ["pulled", "usb-none", "böyle bir port yok", "Adaptörü takın"]),
    ("misspelt host", "en", ["nowhere", "no-such-host.invalid", "its name is not known", "configuration"]),
    ("misspelt host", "tr", ["nowhere", "no-such-host.invalid", "adı bilinmiyor", "Yapılandırmadaki adı"]),
    ("wrong port", "en", ["closed", "refuses the connection", "port number"]),
    ("wrong port", "tr", ["closed", "bağlantıyı reddediyor", "Port numarasını"]),
    ("wrong password", "en", ["platform password", "not authorised", "name, password or certificate"]),
    ("wrong password", "tr", ["password platformuna", "yetkisi yok", "parola"]),
    ("misspelt broker", "en", ["platform misspelt", "name of its broker is not known", "in `url`"]),
    ("misspelt broker", "tr", ["misspelt platformu", "adı bilinmiyor", "`url` içindeki adın yazılışını"]),
    ("no broker at that port", "en", ["platform deaf", "no broker listens at that port", "port in `url`"]),
    (
        "no broker at that port",
        "tr",
        ["deaf platformu", "o portta dinleyen bir broker yok", "`url` içindeki portu"],
    ),
]


@pytest.mark.parametrize(("fault", "language", "words"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_thing_cause_and_action_are_named(site: Rig, fault, language, words) -> None:
    notices = told(site, language)
    assert any(all(word in notice for word in words) for notice in notices), "\n".join(notices)


def test_who_is_well_is_not_told(site: Rig) -> None:
    for language in ("en", "tr"):
        assert not [notice for notice in told(site, language) if "well" in notice or "healthy" in notice]


READS = [
    ("dead", "en", ["unit 3 did not answer", "check its address and power"]),
    ("dead", "tr", ["adres 3 yanıt vermedi", "adresini ve beslemesini"]),
    ("behind", "tr", ["11 kodlu hatayla reddetti", "dönüştürücünün ardındaki cihaz yanıt vermedi"]),
    ("unplugged", "en", ["there is no such port", "plug the adapter in"]),
    ("unplugged", "tr", ["böyle bir port yok", "adaptörü takın"]),
    ("unnamed", "tr", ["no-such-host.invalid adı bilinmiyor", "yazılışını"]),
]


@pytest.mark.parametrize(("name", "language", "words"), READS, ids=[f"{row[0]} {row[1]}" for row in READS])
def test_a_read_through_the_running_gateway_says_why_it_brought_nothing(
    site: Rig, name, language, words
) -> None:
    env = {**os.environ, "SUBMETER_SOCKET": str(site.socket), "COLUMNS": "400"}
    said = subprocess.run(
        [sys.executable, "-m", "gateway", "--lang", language, "read", name],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        check=False,
    )
    assert said.returncode == 1
    assert all(word in said.stdout for word in words), said.stdout
