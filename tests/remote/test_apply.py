"""submeter-apply: a signed change is judged again by root's own keys, tried, and taken back when it does no
good; a request that a taken-over daemon has forged changes nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CommandRefused, ConfigError, ControlError, Problem
from gateway.remote.apply import Applier, Places
from gateway.remote.apply import applier as applier_module
from gateway.remote.fetch import fetch_package
from gateway.remote.requests import hand_over, read_requests, read_results
from gateway.remote.sending import Order, sign_order
from gateway.wire.care import MAX_COMMAND
from tests.remote.test_care import EPOCH, altered, make_key, restated

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it runs as root")
TABLE = (Path(__file__).parents[2] / "drivers" / "eastron-sdm120.yaml").read_text(encoding="utf-8")


def status(*, meter: str = "answering", uplink: str = "connected", uptime: float = 1000.0, age: float = 0.0):
    now = int(time.time() * 1000)
    return {
        "taken": now,
        "uptime": uptime,
        "meters": [{"id": "main", "state": meter, "age": age}, {"id": "old", "state": "lost", "age": 9e9}],
        "uplinks": [{"name": "city", "state": uplink, "cause": "", "last_delivery": now}],
    }


@dataclass
class Gateway:
    """A daemon of paper: its status before and after it has read the file again."""

    file: Path
    before: dict[str, Any] = field(default_factory=status)
    after: Callable[[], dict[str, Any]] = status
    refuses: bool = False
    dead: bool = False
    read: list[str] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        if self.dead:
            raise ControlError("no daemon listens")
        return self.after() if self.read else self.before

    def reload(self) -> None:
        text = self.file.read_text()
        self.read.append(text)
        if self.refuses and "Belediye" in text:
            raise ConfigError([Problem("gateway.yaml", 1, "", "is not good")])


@dataclass
class Site:
    """The folders of a machine, an engineer's key and a stranger's."""

    root: Path
    key: Any
    stranger: Any
    gateway: Gateway
    clock: int | None = 0

    @property
    def places(self) -> Places:
        etc = self.root / "etc"
        return Places(etc / "gateway.yaml", etc / "trust", self.root / "state", self.root / "apply")

    def config(self, **sections: Any) -> dict[str, Any]:
        etc = self.root / "etc"
        base: dict[str, Any] = {
            "gateway": {"id": "izm-1", "name": "Bina"},
            "journal": {"directory": str(self.root / "state")},
            "drivers": {"directory": str(etc / "drivers")},
            "uplinks": [{"name": "city", "url": "mqtts://broker.test", "ca": str(etc / "ca.pem")}],
            "remote": {"uplink": "city", "commands": ["config", "drivers"], "trust": str(etc / "trust")},
        }
        return {**base, **sections}

    def renamed(self) -> str:
        return json.dumps(self.config(gateway={"id": "izm-1", "name": "Konak Belediye"}))

    def send(self, message: bytes, name: str = "config-1") -> None:
        hand_over(self.places.daemon, name, message)

    def order(self, payload: str, command: str = "config", by: Any = None, **fields: Any) -> bytes:
        order = Order(**{"gateway": "izm-1", "command": command, "payload": payload, **fields})
        return sign_order(order, by or self.key, EPOCH)[1]

    def apply(self, patience: float = 0.3) -> Applier:
        times = {None: None, 0: int(time.time() * 1000)}
        applier = Applier(
            self.places, self.gateway, patience=patience, turn=0.01,
            clock=lambda _: times.get(self.clock, self.clock),
        )  # fmt: skip
        applier.work()
        return applier

    @property
    def text(self) -> str:
        return self.places.config.read_text()

    @property
    def outcome(self) -> tuple[str, str]:
        """State and error of the newest result; empty when nothing was said."""
        found = list(read_results(self.places.state).values())
        return (found[-1]["state"], found[-1]["error"]) if found else ("", "")


@pytest.fixture
def site(tmp_path):
    for name in ("etc", "etc/trust", "etc/drivers", "state", "apply"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "etc" / "ca.pem").write_text(CA)
    file = tmp_path / "etc" / "gateway.yaml"
    key = make_key(tmp_path / "engineer.key", tmp_path / "etc" / "trust")
    made = Site(tmp_path, key, make_key(tmp_path / "stranger.key"), Gateway(file))
    file.write_text(json.dumps(made.config()))
    file.chmod(0o640)
    return made


CA = """-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUNZ9fK7QTcGvyRkEUIUYqSkSRbWcwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""


@pytest.fixture(autouse=True)
def _certificates_are_good(monkeypatch):
    """What is in the files of an uplink is judged by others."""
    monkeypatch.setattr("gateway.check.configuration.file_mistakes", lambda _: [])


def test_a_good_change_stays_and_is_told(site):
    site.send(site.order(site.renamed()))
    site.apply()
    assert "Konak Belediye" in site.text
    assert site.outcome == ("kept", "")
    assert len(site.gateway.read) == 1
    assert stat.S_IMODE(site.places.config.stat().st_mode) == 0o640
    assert {path.name for path in site.places.state.iterdir()} == {"counter.json", "results"}
    assert not list((site.places.daemon / "requests").glob("*"))


LOST = {
    "a meter is lost": lambda: status(meter="lost"),
    "a meter has not answered since": lambda: status(age=1e6),
    "the platform is away": lambda: status(uplink="waiting"),
    "nothing is delivered": lambda: {
        **status(),
        "uplinks": [{"name": "city", "state": "connected", "cause": "", "last_delivery": None}],
    },
    "it was restarted": lambda: status(uptime=0.0),
    "its status is nonsense": lambda: {"taken": "soon"},
}


@pytest.mark.parametrize("after", LOST.values(), ids=LOST)
def test_a_change_that_does_no_good_is_taken_back(site, after):
    before = site.text
    site.gateway.after = after
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.text == before
    assert site.outcome[0] == "undone"
    assert "Konak Belediye" in site.gateway.read[0]
    assert site.gateway.read[-1] == before


def test_what_was_not_well_before_need_not_be_well_after(site):
    site.gateway.before = status(meter="lost", uplink="waiting")
    site.gateway.after = lambda: status(meter="lost", uplink="waiting")
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.outcome[0] == "kept"


@pytest.mark.parametrize("gone", ["taken out", "switched off"])
def test_a_meter_that_is_taken_out_need_not_answer(site, gone):
    after = status()
    after["meters"] = [] if gone == "taken out" else [{"id": "main", "state": "disabled", "age": None}]
    site.gateway.after = lambda: after
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.outcome[0] == "kept"


def test_a_change_that_the_gateway_refuses_is_taken_back_at_once(site):
    before = site.text
    site.gateway.refuses = True
    site.send(site.order(site.renamed()))
    site.apply(patience=60)
    assert (site.text, site.outcome[0]) == (before, "undone")
    assert "is not good" in site.outcome[1]


def test_without_a_gateway_nothing_is_tried(site):
    before = site.text
    site.gateway.dead = True
    site.send(site.order(site.renamed()))
    site.apply()
    assert (site.text, site.outcome) == (before, ("failed", "no daemon listens"))


def forged(site: Site) -> dict[str, tuple[bytes, str]]:
    """What a taken-over daemon may write, and the word that is told when its signature is right."""
    good = site.order(site.renamed())
    later = int(time.time() * 1000) + 3_600_000
    return {
        "a stranger's": (site.order(site.renamed(), by=site.stranger), ""),
        "another payload": (altered(good, payload=json.dumps(site.config(buses=[]))), "payload"),
        "a higher counter": (restated(good, counter=2**52), ""),
        "a later end": (restated(good, expires=later), ""),
        "another command": (restated(good, command="drivers"), ""),
        "another gateway's": (site.order(site.renamed(), gateway="izm-2"), "izm-2"),
        "expired": (site.order(site.renamed(), life=-1.0), "expired"),
        "for ever": (site.order(site.renamed(), life=1e7), "more than a day"),
        "what is for the daemon": (site.order("", command="read"), "not on"),
        "nonsense": (b"{", ""),
        "too long": (b" " * (MAX_COMMAND * 2), ""),
        "empty": (b"", ""),
    }


KINDS = (
    "a stranger's", "another payload", "a higher counter", "a later end", "another command",
    "another gateway's", "expired", "for ever", "what is for the daemon", "nonsense", "too long", "empty",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_a_taken_over_daemon_has_forged_changes_nothing(site, kind):
    before = site.text
    message, told = forged(site)[kind]
    site.send(message)
    site.apply()
    assert (site.text, site.gateway.read) == (before, [])
    assert told in site.outcome[1]
    assert bool(site.outcome[0]) == bool(told)
    assert not (site.places.state / "counter.json").exists()
    assert not list((site.places.daemon / "requests").glob("*"))
    # The control: what the engineer sends next is carried out.
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.outcome[0] == "kept"


def test_a_request_is_carried_out_once_also_when_the_daemon_forgets_its_counter(site):
    message = site.order(site.renamed())
    site.send(message)
    site.apply()
    site.places.config.write_text(json.dumps(site.config()))
    before = site.text
    site.send(message)
    site.apply()
    assert (site.text, len(site.gateway.read)) == (before, 1)
    assert "is not new" in site.outcome[1]


@pytest.mark.parametrize("kind", ["link to a file", "link of a folder", "pipe", "hard link", "folder"])
def test_links_and_pipes_of_the_daemon_are_not_followed(site, kind):
    folder = site.places.daemon / "requests"
    aside = site.root / "aside"
    aside.write_bytes(site.order(site.renamed()))
    name = "config-1.request"
    if kind == "link of a folder":
        (site.root / "elsewhere").mkdir()
        (site.root / "elsewhere" / name).write_bytes(aside.read_bytes())
        folder.symlink_to(site.root / "elsewhere")
    else:
        folder.mkdir()
        place = folder / name
        if kind == "link to a file":
            place.symlink_to(aside)
        elif kind == "pipe":
            os.mkfifo(place)
        elif kind == "hard link":
            place.hardlink_to(aside)
        else:
            place.mkdir()
    assert list(read_requests(folder)) == []
    assert aside.exists()


def test_results_are_written_where_the_daemon_may_not_write(site):
    """Whatever the daemon puts in its own folder: root writes nothing there."""
    for name in ("results", "trial.json"):
        (site.places.daemon / name).symlink_to(site.root / "victim")
    site.send(site.order(site.renamed()))
    site.apply()
    assert not (site.root / "victim").exists()


@pytest.mark.parametrize("spoilt", ["folder", "file", "owner"])
def test_keys_that_others_could_exchange_trust_nobody(site, spoilt):
    trust = site.places.trust
    if spoilt == "folder":
        trust.chmod(0o775)
    elif spoilt == "file":
        (trust / "engineer.pub").chmod(0o666)
    else:
        os.chown(trust / "engineer.pub", 12345, -1)
    before = site.text
    site.send(site.order(site.renamed()))
    site.apply()
    assert (site.text, site.outcome) == (before, ("", ""))


def test_without_a_right_clock_nothing_is_changed(site):
    before, site.clock = site.text, None
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.text == before
    assert "clock" in site.outcome[1]


def refused(site: Site) -> dict[str, dict[str, Any]]:
    """What no pushed configuration may say."""
    etc = site.root / "etc"
    (site.root / "outside.pem").write_text(CA)
    (etc / "link.pem").symlink_to(site.root / "outside.pem")
    (etc / "second.pem").write_text(CA)
    (site.root / "secret").write_text("root's\n")
    city = site.config()["uplinks"][0]
    other = {"name": "other", "url": "mqtts://other.test"}
    remote = site.config()["remote"]
    return {
        "remote": {"remote": {**remote, "commands": ["read", "config", "drivers"]}},
        "remote left out": {"remote": {}},
        "trust": {"remote": {**remote, "trust": str(etc)}},
        "the page's address": {"status": {"listen": "127.0.0.1:9999"}},
        "ca": {"uplinks": [{**city, "ca": str(etc / "second.pem")}]},
        "no ca": {"uplinks": [{key: city[key] for key in ("name", "url")}]},
        "the same platform by another name": {
            "uplinks": [city, {"name": "city2", "url": city["url"], "ca": str(etc / "second.pem")}]
        },
        "a ca outside": {"uplinks": [city, {**other, "ca": str(site.root / "outside.pem")}]},
        "a link to the outside": {"uplinks": [city, {**other, "ca": str(etc / "link.pem")}]},
        "dots to the outside": {"uplinks": [city, {**other, "ca": f"{etc}/../outside.pem"}]},
        "a password outside": {
            "uplinks": [city, {**other, "username": "u", "password_file": str(site.root / "secret")}]
        },
        "tables outside": {"drivers": {"directory": str(site.root / "state")}},
        "tables in the folder of the configuration": {"drivers": {"directory": str(etc)}},
        "another journal": {"journal": {"directory": str(etc)}},
        "a backup outside": {"backup": {"directory": str(site.root)}},
        "a port that is a file": {
            "buses": [{"name": "l", "type": "serial", "port": str(site.root / "secret")}]
        },
        "the id": {"gateway": {"id": "izm-2"}},
    }


LIMITS = (
    "remote", "remote left out", "trust", "the page's address", "ca", "no ca",
    "the same platform by another name", "a ca outside", "a link to the outside", "dots to the outside",
    "a password outside", "tables outside", "tables in the folder of the configuration", "another journal",
    "a backup outside", "a port that is a file", "the id",
)  # fmt: skip


@pytest.mark.parametrize("kind", LIMITS)
def test_what_no_configuration_from_afar_may_change(site, kind):
    before = site.text
    site.send(site.order(json.dumps(site.config(**refused(site)[kind]))))
    site.apply()
    assert (site.text, site.gateway.read) == (before, [])
    assert site.outcome[0] == "refused", site.outcome
    assert any(word in site.outcome[1] for word in ("cannot be", "is not below", "holds no key"))


def test_what_a_configuration_from_afar_may_change(site):
    etc = site.root / "etc"
    (etc / "second.pem").write_text(CA)
    second = {"name": "second", "url": "mqtts://second.test", "ca": str(etc / "second.pem")}
    buses = [{"name": "l", "type": "serial", "port": "/dev/serial/by-id/usb-1"}]
    site.send(site.order(json.dumps(site.config(uplinks=[*site.config()["uplinks"], second], buses=buses))))
    site.apply()
    assert site.outcome == ("kept", "")


@pytest.mark.parametrize("text", ["gateway: {}\n", "{", "", "gateway: {id: izm-1}\nremote: 5\n"])
def test_a_configuration_with_mistakes_is_refused_with_every_line(site, text):
    before = site.text
    site.send(site.order(text))
    site.apply()
    assert (site.text, site.outcome[0]) == (before, "refused")
    assert "gateway.yaml:" in site.outcome[1]
    assert "staged" not in site.outcome[1]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["the mark", "the file", "the reload", "the watch", "the way back"])
def test_a_trial_that_is_cut_off_is_taken_back_by_the_next_start(site, monkeypatch, at):
    """Killed at each step: the next start, of the machine or of submeter-apply, finds the mark."""
    before = site.text

    def dies(*_: object, **__: object) -> None:
        raise Killed

    if at == "the mark":
        monkeypatch.setattr("gateway.remote.apply.trial.put", dies)
    elif at == "the file":
        monkeypatch.setattr(site.gateway, "reload", dies)
    elif at == "the reload":
        monkeypatch.setattr(applier_module, "well", lambda status: set())
        monkeypatch.setattr(site.gateway, "status", lambda: status() if not site.gateway.read else dies())
    elif at == "the watch":
        monkeypatch.setattr(applier_module.time, "sleep", dies)
    else:
        site.gateway.after = LOST["a meter is lost"]
        monkeypatch.setattr("gateway.remote.apply.trial.FileTrial.end", dies)
    site.send(site.order(site.renamed()))
    with pytest.raises(Killed):
        site.apply()
    monkeypatch.undo()
    assert (site.places.state / "trial.json").exists()
    again = Applier(site.places, site.gateway)
    assert again.recover()
    assert site.text == before
    assert site.outcome[0] == "undone"
    assert not again.recover()


def test_a_kill_between_the_counter_and_the_trial_changes_nothing_ever(site, monkeypatch):
    before, message = site.text, site.order(site.renamed())

    def dies(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Applier, "_carry_out", dies)
    site.send(message)
    with pytest.raises(Killed):
        site.apply()
    monkeypatch.undo()
    site.send(message)
    site.apply()
    assert site.text == before
    assert "is not new" in site.outcome[1]


def test_what_a_person_changes_meanwhile_stays(site):
    site.gateway.after = LOST["a meter is lost"]
    by_hand = json.dumps(site.config(gateway={"id": "izm-1", "name": "By hand"}))
    reload = site.gateway.reload

    def edited() -> None:
        reload()
        if len(site.gateway.read) == 1:
            site.places.config.write_text(by_hand)

    site.gateway.reload = edited
    site.send(site.order(site.renamed()))
    site.apply()
    assert site.text == by_hand
    assert "changed by somebody else" in site.outcome[1]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("good", [False, True])
def test_a_table_is_tried_like_a_configuration(site, there, good):
    place = site.root / "etc" / "drivers" / "own-meter.yaml"
    if there:
        place.write_text("the one before\n")
    if not good:
        site.gateway.after = LOST["a meter is lost"]
    site.send(site.order(json.dumps({"name": "own-meter", "table": TABLE}), "drivers"))
    site.apply()
    assert site.outcome[0] == ("kept" if good else "undone")
    wanted = TABLE if good else "the one before\n" if there else None
    assert (place.read_text() if place.exists() else None) == wanted


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"name": "own", "table": "maker: X\n"}),
        json.dumps({"name": "../gateway", "table": TABLE}),
        json.dumps({"name": "own.yaml", "table": TABLE}),
        json.dumps({"name": "own", "table": 5}),
    ],
)
def test_what_is_no_table_is_refused(site, payload):
    site.send(site.order(payload, "drivers"))
    site.apply()
    assert site.outcome[0] == "refused"
    assert not list((site.root / "etc" / "drivers").iterdir())
    assert site.gateway.read == []


@pytest.fixture
def package(site, monkeypatch):
    """A small package of ours, as the daemon has fetched it, and what an engineer signs of it."""
    upgrade = site.root / "upgrade"
    upgrade.mkdir()
    monkeypatch.setenv("SUBMETER_UPGRADE", str(upgrade))
    return packed(site.root, "submeter-gateway")


def packed(root: Path, name: str) -> bytes:
    control = root / "inside" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True, exist_ok=True)
    control.write_text(
        f"Package: {name}\nVersion: 9.9\nArchitecture: all\nMaintainer: us\nDescription: nothing\n"
    )
    made = root / "made.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", root / "inside", made], check=True, capture_output=True)
    return made.read_bytes()


def update(site: Site, content: bytes, fetched: bytes | None = None, **more: Any) -> Path:
    """The daemon hands over a signed command, and a file that it says it is about; where it would be left."""
    wanted = {"url": "https://h/x.deb", "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    message = site.order(json.dumps({**wanted, **more}), "update")
    statement = json.loads(json.loads(message)["signed"])
    site.send(message, "update-1")
    if fetched is not None:
        place = site.places.daemon / "requests" / f"update-{statement['counter']}.deb"
        place.write_bytes(fetched)
    return site.root / "upgrade" / "incoming.deb"


@pytest.fixture
def updates_on(site):
    remote = {**site.config()["remote"], "commands": ["update"]}
    site.places.config.write_text(json.dumps(site.config(remote=remote)))


@pytest.mark.usefixtures("updates_on")
def test_a_signed_package_is_left_for_its_installation(site, package):
    place = update(site, package, package)
    site.apply()
    assert site.outcome == ("done", "")
    assert place.read_bytes() == package
    assert not list((site.places.daemon / "requests").iterdir())


@pytest.mark.usefixtures("updates_on")
@pytest.mark.parametrize(
    "kind", ["other", "longer", "shorter", "none", "a link", "other package", "no package"]
)
def test_another_package_than_the_signed_one_is_not_installed(site, package, kind):
    if kind in {"other package", "no package"}:
        package = packed(site.root, "evil") if kind == "other package" else b"!<arch>\n"
        place = update(site, package, package)
    elif kind == "a link":
        place = update(site, package, b"")
        fetched = next((site.places.daemon / "requests").glob("*.deb"))
        fetched.unlink()
        fetched.symlink_to(site.root / "made.deb")
    else:
        fetched = {"other": b"x" * len(package), "longer": package + b"x", "shorter": package[:-1]}
        place = update(site, package, fetched.get(kind))
    site.apply()
    assert site.outcome[0] in {"refused", "failed"}, site.outcome
    assert not list(place.parent.iterdir())


@pytest.mark.usefixtures("updates_on")
@pytest.mark.parametrize(
    "more",
    [
        {"url": "file:///etc/shadow"},
        {"sha256": "x"},
        {"size": -1},
        {"size": 2**40},
        {"size": True},
        {"url": 5},
    ],
)
def test_what_does_not_name_a_package_is_refused(site, package, more):
    place = update(site, package, package, **more)
    site.apply()
    assert site.outcome[0] == "refused"
    assert not place.exists()


@pytest.mark.usefixtures("updates_on")
def test_while_another_version_is_on_trial_none_is_installed(site, package):
    place = update(site, package, package)
    (place.parent / "trial.json").write_text('{"state": "trial"}')
    site.apply()
    assert site.outcome == ("refused", "another version is on trial")
    assert not place.exists()


@pytest.mark.parametrize("kind", ["good", "other", "longer", "missing", "nobody there"])
def test_what_is_fetched_is_what_was_signed_or_nothing(tmp_path, kind):
    content = b"package" * 50_000
    served = {"other": b"x" * len(content), "longer": content + b"x"}.get(kind, content)
    (tmp_path / "x.deb").write_bytes(served)
    target, digest = tmp_path / "got.deb", hashlib.sha256(content).hexdigest()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = 1 if kind == "nobody there" else server.server_port
        url = f"http://127.0.0.1:{port}/{'y' if kind == 'missing' else 'x'}.deb"
        with nullcontext() if kind == "good" else pytest.raises(CommandRefused, match="cannot be fetched"):
            fetch_package(url, digest, len(content), target)
        server.shutdown()
    assert (target.read_bytes() if target.exists() else b"") == (content if kind == "good" else b"")
