"""The small backup at the platform: cut to what the broker takes, kept three times, and back from an empty
tree; a copy of a card that runs beside the original is noticed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paho.mqtt.publish import single

from gateway.backup import new_key, opener_for, restore, small_backup
from gateway.config import load_config, parse_config
from gateway.errors import BackupError, ConfigError
from gateway.receiver import BackupFolder
from gateway.receiver.clones import Clones
from gateway.wire import State
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port
from tests.rig import until

SECRET, RECIPIENT = new_key()


@pytest.fixture
def site(tmp_path) -> Path:
    """Configuration, secrets and state of a gateway; its state is more than a message holds."""
    home, state = tmp_path / "etc", tmp_path / "state"
    (home / "drivers").mkdir(parents=True)
    state.mkdir()
    config = {
        "gateway": {"id": "izm-1"}, "journal": {"directory": str(state)},
        "drivers": {"directory": str(home / "drivers")},
        "uplinks": [{"name": "city", "url": f"mqtt://127.0.0.1:{free_port()}", "username": "u",
                     "password_file": str(home / "city.password")}],
        "backup": {"recipient": RECIPIENT, "platform": "city"},
    }  # fmt: skip
    (home / "gateway.yaml").write_text(json.dumps(config))
    (home / "city.password").write_text("very secret words\n")
    (home / "drivers/own.yaml").write_text("a table\n")
    (state / "pulses.json").write_text("{}")
    (state / "signing.key").write_text("a key")
    (state / "history.db").write_bytes(os.urandom(1000))
    (state / "learnt.json").write_bytes(os.urandom(30_000))
    (state / "more.json").write_bytes(os.urandom(60_000))
    return home / "gateway.yaml"


def restored(body: bytes, site: Path) -> set[str]:
    """The files that come back onto an empty card."""
    for place in (site.parent, site.parents[1] / "state"):
        shutil.rmtree(place)
    with pytest.raises(BackupError, match="small backup"):
        restore(io.BytesIO(body), opener_for(secret=SECRET), site)
    back = restore(io.BytesIO(body), opener_for(secret=SECRET), site, from_platform=True)
    return {path.name for path in back.files}


ALWAYS = {"gateway.yaml", "city.password", "own.yaml", "pulses.json", "signing.key"}


@pytest.mark.parametrize(
    ("most", "more"), [(64 * 1024, {"learnt.json"}), (20_000, set()), (10**6, {"learnt.json", "more.json"})]
)
def test_it_holds_what_fits_in_the_order_of_its_worth_and_never_the_history(site, most, more):
    body, left = small_backup(site, load_config(site), RECIPIENT, most)
    assert len(body) <= most
    assert b"very secret" not in body
    missing = {Path(one.path).name for one in left}
    assert missing == {"history.db", "learnt.json", "more.json"} - more
    assert restored(body, site) == ALWAYS | more


def test_it_never_holds_the_tls_key_and_says_whose_is_missing(site):
    config = json.loads(site.read_text())
    state = site.parents[1] / "state"
    for name in ("cert", "key"):
        config["uplinks"][0][name] = str(state / f"city.{name}.pem")
        (state / f"city.{name}.pem").write_text(f"the {name} of city")
    config["uplinks"][0]["url"] = "mqtts://127.0.0.1:8883"
    site.write_text(json.dumps(config))
    for end in (".pending", ".next"):  # a renewal is under way
        (state / f"city.key.pem{end}").write_text("the key to come")
    body, left = small_backup(site, load_config(site), RECIPIENT, 64 * 1024)
    assert {str(state / f"city.key.pem{end}") for end in ("", ".pending", ".next")} <= {
        one.path for one in left
    }
    for place in (site.parent, state):
        shutil.rmtree(place)
    back = restore(io.BytesIO(body), opener_for(secret=SECRET), site, from_platform=True)
    assert back.missing == ("uplinks[0].key",)
    assert (state / "city.cert.pem").exists()
    assert not list(state.glob("city.key.pem*"))


def test_a_broker_that_takes_less_than_the_configuration_is_told(site):
    with pytest.raises(BackupError, match="larger than the 300 bytes"):
        small_backup(site, load_config(site), RECIPIENT, 300)


@pytest.mark.parametrize(
    ("backup", "words"),
    [
        ({"recipient": RECIPIENT, "platform": "town"}, "'town' is not the name of an uplink"),
        ({"recipient": RECIPIENT, "platform": "home"}, "'home' is no native uplink"),
        ({"platform": "city"}, "is not used without recipient"),
    ],
)
def test_where_it_goes_must_be_there(backup, words):
    uplinks = [{"name": "city", "url": "mqtts://b:1"},
               {"name": "home", "url": "mqtts://b:1", "dialect": "homeassistant"}]  # fmt: skip
    with pytest.raises(ConfigError, match=words) as told:
        parse_config(json.dumps({"gateway": {"id": "a"}, "uplinks": uplinks, "backup": backup}))
    assert [problem.key for problem in told.value.problems] == ["backup.platform"]


def test_the_newest_three_of_each_stay_and_the_same_one_is_kept_once(tmp_path):
    folder = BackupFolder(tmp_path / "kept")
    for number in range(5):
        body = b"submeter-backup/1\n%d" % number
        for gateway in ("izm-1", "izm-1-2", "a"):
            folder.keep(gateway, body, 1_795_278_300_000 + number)
            folder.keep(gateway, body, 1_795_278_400_000 + number)
    for gateway in ("izm-1", "izm-1-2", "a"):
        assert [file.read_bytes()[-1:] for file in folder.of(gateway)] == [b"2", b"3", b"4"]
    for bad in (b"", b"something else", b"submeter-backup/1\n" + bytes(64 * 1024)):
        folder.keep("izm-2", bad, 1_795_278_300_000)
    assert folder.of("izm-2") == []


def test_the_folder_is_looked_through_once_and_what_was_taken_away_is_not_missed(tmp_path, monkeypatch):
    body = b"submeter-backup/1\n%d"
    BackupFolder(tmp_path).keep("izm-1", body % 0, 1_795_278_300_000)
    looks = []
    look = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: looks.append(self) or look(self))
    monkeypatch.setattr(Path, "glob", None)
    folder = BackupFolder(tmp_path)
    for number in range(300):
        folder.keep("izm-1", body % (number // 100), 1_795_278_300_000 + number)
        folder.keep(f"izm-{number}-1", body % 0, 1_795_278_300_000)
    assert looks == [tmp_path]
    assert [file.read_bytes() for file in folder.of("izm-1")] == [body % 0, body % 1, body % 2]
    folder.of("izm-1")[1].unlink()
    folder.keep("izm-1", body % 2, 1_795_278_400_000)
    folder.keep("izm-1", body % 1, 1_795_278_400_000)
    assert [file.read_bytes() for file in folder.of("izm-1")] == [body % 0, body % 2, body % 1]
    assert [file.name for file in BackupFolder(tmp_path).of("izm-1")] == [f.name for f in folder.of("izm-1")]


def test_a_gateway_that_comes_back_to_an_epoch_is_another_machine():
    clones = Clones()
    heard = [clones.hear("izm-1", epoch) for epoch in "aabbbccdd"]
    assert not any(heard)
    assert not any(clones.hear("izm-2", epoch) for epoch in "dcba")
    assert [clones.hear("izm-1", epoch) for epoch in "aadd"] == ["d", "", "a", ""]


def mosquitto(folder: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", *more]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    return subprocess.Popen([MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words), "--lang", "en"], capture_output=True, text=True,
        check=False, timeout=240, env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_by_night_it_goes_to_the_platform_and_an_empty_card_comes_back_from_there(site, tmp_path):
    """Over a broker with small packets; a receiver that comes later has it, too, and hears a clone."""
    port, kept = int(load_config(site).uplinks[0].broker.port), tmp_path / "kept"
    broker = mosquitto(tmp_path, port, "max_packet_size 20000")
    receiver = None
    try:
        until(lambda: command("backup", "-c", site, "--nightly").returncode == 0, 120, "it is sent", 0.5)
        with (tmp_path / "receiver.log").open("wb") as log:
            receiver = subprocess.Popen(
                [sys.executable, "-m", "gateway", "receive", "--broker", f"mqtt://127.0.0.1:{port}",
                 "--database", tmp_path / "db", "--backups", kept], stderr=log)  # fmt: skip
        until(lambda: list(kept.glob("izm-1-*.submeter-backup")), 120, "it is kept", 0.2)
        (file,) = kept.glob("izm-1-*.submeter-backup")
        assert file.stat().st_size < 20_000
        for epoch in ("a" * 16, "b" * 16, "a" * 16):
            state = State(online=True, epoch=epoch, seq=1, backlog=0)
            _publish(port, "submeter/v1/izm-1/state", state.to_bytes())
            time.sleep(0.3)
        warned = "izm-1: two machines send under this id"
        until(lambda: warned in (tmp_path / "receiver.log").read_text(), 120, "the clone is noticed", 0.2)
    finally:
        for process in (receiver, broker):
            if process is not None:
                process.terminate()
                process.wait(60)
    (tmp_path / "key").write_text(SECRET)
    for place in (site.parent, tmp_path / "state"):
        shutil.rmtree(place)
    said = command("restore", file, "--key", tmp_path / "key", "-c", site, "--from-platform")
    assert said.returncode == 0, said.stderr
    assert "izm-1 again" in said.stdout
    assert (site.parent / "city.password").read_text() == "very secret words\n"
    assert not (tmp_path / "state/history.db").exists()


def _publish(port: int, topic: str, payload: bytes) -> None:
    single(topic, payload, qos=1, hostname="127.0.0.1", port=port)
