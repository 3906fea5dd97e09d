"""The whole way over a real broker with TLS: a gateway that is looked after from afar, and nobody else."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.common.address import BrokerAddress
from gateway.host import signing
from gateway.mqtt import Broker
from gateway.remote.enrolment import Authority, Certificate, DeviceIdentity
from gateway.remote.enrolment.keys import read_certificate
from gateway.remote.sending import CareAnswer, CareSender, Order, key_in, sign_order
from tests.remote.conftest import GATEWAY, submeter
from tests.rig import Rig, rig, until

PLANT = {
    "seed": 1,
    "building": {"start": 1795278300, "speed": 1, "step": 1},
    "servers": [
        {"name": "plant", "host": "127.0.0.1", "port": 0,
         "slaves": [{"unit": 1, "meter": "main", "image": {"driver": "eastron-sdm630", "circuit": "main"}}]}
    ],
}  # fmt: skip


def configuration(site: Rig, brokers) -> dict:
    host, port = site.simulator.addresses["plant"]
    both = str(site.directory / "state" / "city.pem")
    return {
        "gateway": {"id": GATEWAY, "commit_interval": "1s"},
        "buses": [{"name": "plant", "type": "tcp", "host": host, "port": port}],
        "meters": [
            {"id": "main", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s"}
        ],
        "uplinks": [
            {
                "name": "city",
                "url": f"mqtts://localhost:{brokers.tls}",
                "ca": str(site.directory / "broker.pem"),
                "cert": both,
                "key": both,
                "spread": "0s",
            }
        ],
        "remote": {
            "uplink": "city",
            "commands": ["read", "diagnostics"],
            "trust": str(site.directory / "trust"),
            "renew": "30d",
        },
    }


@pytest.fixture
def site(tmp_path, authority, brokers):
    """A gateway with a certificate that ends in 20 days, a key that it trusts, and a stranger's."""
    (tmp_path / "state").mkdir()
    (tmp_path / "trust").mkdir(mode=0o755)
    signing.new_key(tmp_path / "stranger.key")
    printed = submeter("care", "new-key", tmp_path / "engineer.key")
    (tmp_path / "trust" / "engineer.pub").write_text(printed.stdout)
    both = tmp_path / "state" / "city.pem"
    identity = DeviceIdentity(GATEWAY, both, both)
    identity.install(Authority(tmp_path / "sign", days=20).certify(GATEWAY, identity.request()))
    with rig(tmp_path, PLANT) as made:
        made.configure(**configuration(made, brokers))
        made.start_gateway()
        yield made


def care(site: Rig, brokers, *words: object, key: str = "engineer"):
    sign, broker = site.directory / f"{key}.key", f"mqtt://localhost:{brokers.plain}"
    return submeter("care", *words, "--sign-with", sign, "--broker", broker)


def status_of(site: Rig) -> dict:
    """The gateway's status; nothing while it does not answer."""
    transport = httpx.HTTPTransport(uds=str(site.socket))
    try:
        with httpx.Client(transport=transport, base_url="http://gateway", timeout=30) as client:
            return client.get("/status").json()
    except (httpx.HTTPError, ValueError):
        return {}


def remote_view(site: Rig) -> dict:
    """What it says of remote care."""
    return status_of(site).get("remote") or {}


def test_a_gateway_is_looked_after_from_afar(site, brokers):
    """Read, fetch diagnostics, be refused, be renewed; what was recorded is never done again."""
    old = read_certificate((site.directory / "state" / "city.pem").read_bytes())
    words = ("--directory", site.directory / "sign", "--broker", f"mqtt://localhost:{brokers.plain}")
    site.start("sign", sys.executable, "-m", "gateway", "sign", "run", *map(str, words))
    until(
        lambda: "remote care" in site.log("gateway") or f"u'{GATEWAY}'" in brokers.log, 60, "it is connected"
    )
    read = care(site, brokers, "read", GATEWAY, "main")
    assert read.returncode == 0, read.stderr + site.log("gateway")
    assert "main:" in read.stdout
    assert "active_energy_import" in read.stdout
    file = site.directory / "diagnostics.json"
    fetched = care(site, brokers, "diagnostics", GATEWAY, "-o", file)
    assert fetched.returncode == 0, fetched.stderr
    bundle = file.read_text()
    found = json.loads(bundle)
    assert found["status"]["gateway"] == GATEWAY
    assert any("remote care: read" in line for line in found["log"])
    key = (site.directory / "state" / "city.pem").read_text().split("PRIVATE KEY-----\n")[1].splitlines()[0]
    assert key not in bundle
    assert "PRIVATE" not in bundle
    account = Broker("care", BrokerAddress.of(f"mqtt://localhost:{brokers.plain}"), "recorder")
    with CareSender(account, GATEWAY) as sender:
        answer = sender.send(Order(GATEWAY, "read"), key_in(site.directory / "stranger.key"), 60)
        assert (answer.ok, answer.state) == (False, "refused")
        assert "not signed by a key that is trusted here" in answer.error
        view = remote_view(site)
        assert (view["done"], view["refused"]) == (2, {"forged": 1})
        _is_renewed(site, old)
        # The kill makes it connect with the new certificate.
        _replay_over_a_kill(site, sender)


def _replay_over_a_kill(site: Rig, sender: CareSender) -> None:
    """A command is recorded, answered, and sent again: at once, and after kill -9."""
    key = key_in(site.directory / "engineer.key")
    message = sign_order(Order(GATEWAY, "read", life=3600.0), key, status_of(site)["journal"]["epoch"])[1]
    sender._link.send(f"submeter/v1/{GATEWAY}/cmd/read", message)
    until(lambda: remote_view(site).get("done") == 3, 60, "the recorded command is done")
    for step in ("again", "killed"):
        if step == "killed":
            site.kill("gateway", signal.SIGKILL)
            site.start_gateway()
        before = remote_view(site).get("refused", {}).get("replayed", 0)

        def sent(before: int = before) -> bool:
            sender._link.send(f"submeter/v1/{GATEWAY}/cmd/read", message)
            time.sleep(0.3)
            return remote_view(site).get("refused", {}).get("replayed", 0) > before

        until(sent, 60, f"{step}: the replay is counted")
        assert remote_view(site)["done"] == (3 if step == "again" else 0)


def _is_renewed(site: Rig, old: Certificate) -> None:
    """Over MQTT, by the running key, while all the rest went on."""
    both = site.directory / "state" / "city.pem"
    until(lambda: read_certificate(both.read_bytes()).serial != old.serial, 90, "it is renewed")
    fresh = read_certificate(both.read_bytes())
    assert fresh.ends > datetime.now(UTC) + timedelta(days=300)
    assert fresh.public != old.public
    until(lambda: "has a new certificate" in site.log("gateway"), 30, "it says so")


@pytest.fixture
def site_with_root(site, brokers):
    """The same, with its configuration in a folder that only root writes, and what is on there."""
    etc = site.directory / "etc"
    (etc / "drivers").mkdir(parents=True)
    (site.directory / "trust").rename(etc / "trust")
    (site.directory / "broker.pem").rename(etc / "broker.pem")
    made = configuration(site, brokers)
    made["uplinks"][0]["ca"] = str(etc / "broker.pem")
    made["remote"] = {"uplink": "city", "commands": ["config", "drivers"], "trust": str(etc / "trust")}
    made["drivers"] = {"directory": str(etc / "drivers")}
    site.kill("gateway", signal.SIGTERM)
    site.config_path = etc / "gateway.yaml"
    site.configure(**made)
    os.environ["SUBMETER_APPLY"] = str(site.directory / "apply")
    site.start_gateway()
    yield site
    del os.environ["SUBMETER_APPLY"]


def applied(site: Rig, patience: float) -> None:
    """What submeter-apply.path does: a request is there, and the service runs."""
    requests = site.directory / "state" / "requests"
    until(lambda: list(requests.glob("*.request")), 60, "a request is handed over")
    words = ("--requests-of", site.directory / "state", "--patience", patience)
    done = submeter("apply", "-c", site.config_path, "--socket", site.socket, *words)
    assert done.returncode == 0, done.stderr


def test_a_change_from_afar_stays_or_is_taken_back(site_with_root, brokers):
    """Over the broker, by the daemon and by root, with a meter that is still read or not."""
    site = site_with_root
    until(lambda: remote_view(site).get("uplink"), 60, "it runs")
    path, before = site.config_path, json.loads(site.config_path.read_text())
    account = Broker("care", BrokerAddress.of(f"mqtt://localhost:{brokers.plain}"), "engineer")
    key = key_in(site.directory / "engineer.key")
    named = {**before, "gateway": {**before["gateway"], "name": "Konak"}}
    deaf = {**named, "meters": [{**before["meters"][0], "address": 9}]}
    with CareSender(account, GATEWAY) as sender, ThreadPoolExecutor(1) as pool:

        def pushed(text: str, patience: float) -> CareAnswer:
            told: list[CareAnswer] = []
            asked = pool.submit(sender.send, Order(GATEWAY, "config", text), key, 120, told.append)
            applied(site, patience)
            answer = asked.result()
            assert {each.state for each in told} <= {"trying"}
            return answer

        until(lambda: status_of(site)["meters"][0]["state"] == "answering", 60, "its meter answers")
        good = pushed(json.dumps(named), 60)
        assert (good.ok, good.state) == (True, "kept"), good.error
        assert json.loads(path.read_text())["gateway"]["name"] == "Konak"
        bad = pushed(json.dumps(deaf), 4)
        assert (bad.ok, bad.state) == (False, "undone")
        assert "meter main" in bad.error
        assert json.loads(path.read_text())["meters"] == before["meters"]
        until(lambda: status_of(site)["meters"][0]["state"] == "answering", 60, "it is read as before")
    view = remote_view(site)
    assert (view["done"], view["failed"], view["trial"]) == (1, 1, "")
