"""submeter-apply: a signed change is judged again by root's own keys, tried, and taken back when it does no
good; a request that a taken-over daemon has forged changes nothing.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.remote.apply import Applier
from gateway.remote.apply import applier as applier_module
from gateway.remote.requests import read_requests
from gateway.wire.care import MAX_COMMAND
from tests.remote.apply_site import CA, Site, status
from tests.remote.test_care import altered, restated

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it runs as root")
TABLE = (Path(__file__).parents[2] / "drivers" / "eastron-sdm120.yaml").read_text(encoding="utf-8")


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


@pytest.mark.parametrize("patience", [0.0, 0.05])
def test_a_slow_card_takes_nothing_from_the_time_of_the_gateway(site, monkeypatch, patience):
    """Writing and reading took longer than the gateway may take to be well again."""
    reload = site.gateway.reload

    def slowly() -> None:
        time.sleep(0.1)
        reload()

    monkeypatch.setattr(site.gateway, "reload", slowly)
    site.send(site.order(site.renamed()))
    site.apply(patience=patience)
    assert site.outcome == ("kept", "")


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
