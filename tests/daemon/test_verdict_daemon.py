"""The running gateway never says "in order" while its platform takes nothing: a broker that refuses, a
program that is dead.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.mosquitto import MOSQUITTO
from tests.rig import Rig, rig, until

SUBMETER = [sys.executable, "-m", "gateway"]
BOUND = 60
"""s after which what is not delivered is late."""
pytestmark = [pytest.mark.broker, pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")]

PLANT = {
    "seed": 1,
    "building": {"start": 1795278300, "speed": 1, "step": 1},
    "servers": [
        {"name": "plant", "host": "127.0.0.1", "port": 0,
         "slaves": [{"unit": 1, "meter": "m1", "image": {"driver": "eastron-sdm630", "circuit": "main"}}]}
    ],
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, PLANT) as started:
        host, port = started.simulator.addresses["plant"]
        started.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"},
            buses=[{"name": "plant", "label": "Kazan dairesi", "type": "tcp", "host": host, "port": port}],
            meters=[{"id": "m1", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s"}],
            uplinks=[started.uplink(label="Şehir")],
        )
        yield started


def verdict(site: Rig) -> dict:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(site.socket)), base_url="http://gateway", timeout=30
    ) as client:
        try:
            return client.get("/status").json()["verdict"]
        except httpx.TransportError:
            return {"state": "", "findings": []}


def causes(site: Rig) -> set[str]:
    return {finding["cause"] for finding in verdict(site)["findings"] if finding["level"] != "good"}


def words(site: Rig) -> str:
    env = {**os.environ, "SUBMETER_SOCKET": str(site.socket), "LANG": "C.UTF-8"}
    said = subprocess.run(
        [*SUBMETER, "status"], capture_output=True, text=True, timeout=60, env=env, check=True
    ).stdout
    return " ".join(said.split())


def page(site: Rig, language: str) -> str:
    listen = json.loads(site.config_path.read_text())["status"]["listen"]
    return httpx.get(f"http://{listen}/?lang={language}", timeout=30).text


def agreed(site: Rig, state: str, cause: str, *sentences: str) -> None:
    """Socket, API, metrics, command and page say the same; `sentences` in English and in Turkish."""
    listen = json.loads(site.config_path.read_text())["status"]["listen"]

    def told() -> bool:
        try:
            api = httpx.get(f"http://{listen}/api/v1/status", timeout=30).json()["verdict"]
            metrics = httpx.get(f"http://{listen}/metrics", timeout=30).text
        except httpx.TransportError:
            return False  # it does not listen yet
        return (
            verdict(site)["state"] == api["state"] == state
            and cause in causes(site) & {finding["cause"] for finding in api["findings"]}
            and f'submeter_verdict{{state="{state}"}} 1.0' in metrics
            and sentences[0] in words(site)
            and sentences[1] in page(site, "tr")
            and sentences[0].replace("'", "&#39;") in page(site, "en")
        )

    until(told, BOUND + 60, f"everybody says {cause}")


def forbid(site: Rig) -> None:
    """The broker's access list lets this gateway write its state and nothing else."""
    acl = site.directory / "acl"
    acl.write_text(
        "topic write submeter/v1/bench-1/state\ntopic write submeter/v1/bench-1/meters\ntopic read "
        "submeter/v1/bench-1/#\n"
    )
    acl.chmod(0o644)
    conf = site.directory / "mosquitto.conf"
    conf.write_text(
        f"listener {site.broker_port} 127.0.0.1\nallow_anonymous true\npersistence false\nacl_file "
        f"{acl}\nuser root\n"
    )
    site.start("broker", MOSQUITTO, "-c", str(conf))
    until(site._broker_listens, 10, "the broker listens")


def test_a_broker_that_refuses_every_batch_is_named_within_the_bound(site: Rig) -> None:
    forbid(site)
    site.start_gateway()
    until(lambda: "refused" in causes(site), BOUND + 60, "the refusal is a finding")
    assert verdict(site)["state"] == "trouble"
    said = words(site)
    assert "are in order" not in said
    assert "are being delivered" not in said
    assert (
        "The platform Şehir does not take what this gateway sends. This gateway is not authorised there."
        in said
    )
    for language, sentence in (
        ("en", "does not take what this gateway sends"),
        ("tr", "gönderdiklerini kabul etmiyor"),
    ):
        assert sentence in page(site, language)


def test_a_dead_program_behind_a_living_broker_is_named_within_the_bound_and_its_return_ends_it(
    site: Rig,
) -> None:
    site.start_broker()
    site.start_receiver()
    site.start_gateway()
    until(lambda: verdict(site)["state"] == "in_order", 60, "everything is in order")
    site.kill("receiver")
    until(lambda: causes(site) & {"no_receipt", "no_subscriber"}, BOUND + 60, "the silence is a finding")
    assert verdict(site)["state"] == "trouble"
    assert "are in order" not in words(site)
    site.start_receiver()
    until(lambda: verdict(site)["state"] == "in_order", 120, "everything is in order again")


def test_a_connection_that_breaks_was_lost_and_nothing_is_said_to_start(site: Rig) -> None:
    site.start_broker()
    site.start_receiver()
    site.start_gateway()
    until(lambda: verdict(site)["state"] == "in_order", 60, "everything is in order")
    site.kill("broker")
    agreed(
        site,
        "starting",
        "reconnecting",
        "The meter answers. The connection to the platform was lost and is being made again.",
        "Platform bağlantısı koptu, yeniden kuruluyor.",
    )
    said = words(site)
    assert "Starting" not in said
    assert "platform Şehir: connection lost, tried again." in said
    site.start_broker()
    until(lambda: verdict(site)["state"] == "in_order", 120, "everything is in order again")


def test_a_platform_that_never_confirmed_is_no_all_clear_at_any_moment(site: Rig) -> None:
    site.start_broker()
    site.start_gateway()
    seen = set()

    def looked() -> bool:
        found = verdict(site)
        seen.add(found["state"])
        return any(finding["cause"] in {"no_receipt", "no_subscriber"} for finding in found["findings"])

    until(looked, BOUND + 60, "the silence is a finding", pause=0.2)
    assert "in_order" not in seen


def test_a_history_that_cannot_be_kept_and_a_line_that_is_lent_are_said_everywhere(site: Rig) -> None:
    newer = site.directory / "state" / "history.db"
    newer.parent.mkdir()
    with contextlib.closing(sqlite3.connect(newer)) as conn:
        conn.execute("PRAGMA user_version = 99")  # it is nobody's to move aside
    site.start_broker()
    site.start_receiver()
    site.start_gateway()
    agreed(
        site,
        "trouble",
        "history_failed",
        "The energy of quarter hours cannot be kept: journal.directory/history.db was written by a newer "
        "version of this program. Readings are stored and sent as usual.",
        "Çeyrek saatlik enerji saklanamıyor: journal.directory/history.db",
    )
    assert "install that version again" in words(site)
    newer.unlink()
    until(lambda: verdict(site)["state"] == "in_order", 120, "everything is in order")
    assert "platforms and clock are in order. What the energy comes to" in words(site)
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(site.socket)), base_url="http://gateway", timeout=30
    ) as client:
        given = client.post("/v1/buses/plant/lend", params={"to": "submeter scan", "seconds": 300})
        assert given.is_success
        agreed(
            site,
            "attention",
            "bus_lent",
            "is lent to submeter scan",
            "submeter scan komutuna ödünç",
        )
        assert causes(site) == {"bus_lent", "meter_on_lost_bus"}, "neither store nor meters are blamed"
        assert client.post("/v1/buses/plant/return").is_success
    until(lambda: verdict(site)["state"] == "in_order", 120, "everything is in order again")
