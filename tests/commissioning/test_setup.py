"""`submeter setup` as a technician types it, in a pseudo-terminal of 60 columns: from a box to the first
receipt, broken off in the middle and resumed; a step alone; a file of answers for a fleet.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from converter import Converter
from scan_site import DriverImage, Mounted, Site
from typist import Typist

from gateway.catalogue import load_driver
from gateway.cli import cli
from gateway.cli.client import ControlClient
from gateway.cli.setup_answers import Setup
from gateway.cli.setup_meters import meters
from gateway.commissioning.scan import FoundMeter, Identified, LineSetting, Swept, propose_lines
from gateway.commissioning.setup import answers_of, merged, read_answers, said_of, unmet, written
from gateway.config import load_config, parse_config
from gateway.demo.simulator.slave import Slave
from gateway.demo.simulator.tcp_server import TcpPlant, TcpServer
from gateway.errors import ConfigError, GatewayError
from gateway.host import CardState
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port
from tests.rig import rig, until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(600),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


@contextmanager
def plants(*units: tuple[int, ...]):
    """TCP hosts with SDM630s at these units; gives their places."""
    servers = [
        TcpServer([Slave(unit, DriverImage(load_driver("eastron-sdm630"), 1000 + unit)) for unit in each])
        for each in units
    ]
    with TcpPlant(servers):
        yield [f"127.0.0.1:{server.port}" for server in servers]


def typing(site, *words: str, lang: str = "en", before: tuple[str, ...] = ()) -> Typist:
    file = str(site.directory / "mine.yaml")
    return Typist("setup", *words, "-c", file, lang=lang, before=before, SUBMETER_SOCKET=str(site.socket))


def kept(site) -> dict:
    return json.loads((site.directory / "mine.yaml.setup").read_text())


def runs_here(site) -> None:
    """The gateway of the file that was written, with places for its files in the test's folder."""
    site.config_path = site.directory / "mine.yaml"
    more = f"\njournal:\n  directory: {site.directory}/state\nstatus:\n  enabled: false\n"
    site.config_path.write_text(site.config_path.read_text() + more)
    site.start_gateway()


def second_broker(site, access: str) -> int:
    """A broker of its own with TLS, users and an access list; gives its port."""
    port, folder = free_port(), site.directory
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "90", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (folder / "acl").write_text(access)
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", folder / "users", "izm-1", "s3cret"], check=True, timeout=60
    )
    (folder / "strict.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/users\n"
        f"acl_file {folder}/acl\nuser root\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n"
    )
    site.start("strict", MOSQUITTO, "-c", str(folder / "strict.conf"))

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, 60, "the second broker listens")
    return port


def test_from_a_box_to_the_first_receipt_over_a_session_that_is_lost_three_times(tmp_path) -> None:
    meters = [Mounted(load_driver("eastron-sdm630"), 1, LineSetting(9600, "N"), serial=87654321)]
    with Site(meters) as line, rig(tmp_path) as site:
        site.start_broker()
        site.start_receiver()
        one = typing(site)
        one.answers("Id of this gateway", "Not An Id")
        one.answers("→", "izm-konak-099")
        one.answers("call the building", "?")
        one.answers("stands on the page", "Konak")
        one.hears("Time zone")
        one.loses_the_session()
        assert (tmp_path / "mine.yaml.setup").stat().st_mode & 0o777 == 0o600
        assert kept(site)["answers"]["gateway"] == {"id": "izm-konak-099", "name": "Konak"}

        two = typing(site)
        two.answers(r"\[izm-konak-099\]", "")
        two.answers("call the building")
        two.answers("Time zone")
        for question in ("Floor area", "Installed power", "Contracted power"):
            two.answers(question)
        two.answers("ports and hosts", "/dev/no-such-port")
        two.answers("no port /dev/no-such-port", line.port)
        two.hears("[1-9] found")
        two.loses_the_session()  # in the middle of the search

        three = typing(site)
        three.answers("Go on with meters")
        three.answers("ports and hosts")
        three.hears("[1-9] found")
        three.interrupts()  # somebody who knows that there is one meter
        three.hears("sure: the meter says so itself")
        three.answers("Are these all")
        three.answers("What is it called", "Ana sayaç")
        three.hears("What does it feed")
        three.loses_the_session()

        four = typing(site)
        four.answers("Go on with names")
        four.answers("What is it called")
        four.answers("What does it feed", "Bina girişi")
        four.answers("transformer ratio", "200:5")
        four.answers("is not a transformer ratio", "200/5")
        four.hears("active_power")
        four.answers("Are these values right")
        four.answers("platform's broker", f"mqtt://127.0.0.1:{site.broker_port}")
        four.answers("User name there", "-")
        four.answers("Whose receipts")
        four.hears("the platform has confirmed a batch|confirmed")
        four.answers("Who vouches", "sundial")
        four.answers("→", "system")
        four.hears("is written")
        four.hears("Start it")
        config = load_config(tmp_path / "mine.yaml")
        assert [(meter.name, meter.driver, meter.ct, meter.parent) for meter in config.meters] == [
            ("Ana sayaç", "eastron-sdm630", 40.0, None)
        ]
        runs_here(site)
        four.hears("has the readings")
        four.hears("submeter report")
        assert four.ends() == 0
        assert not (tmp_path / "mine.yaml.setup").exists()
        assert not four.too_wide

        # The gateway runs: one fact more, which it takes over.
        five = typing(site, "building")
        five.answers("Floor area", "4200")
        five.answers("Installed")
        five.answers("Contracted")
        five.hears("submeter reload")
        assert five.ends() == 0
        six = typing(site, "start")
        six.hears("has the readings")
        assert six.ends() == 0
        with ControlClient(site.socket) as client:
            assert not client.unread_changes()["changes"]


def test_each_step_alone_with_two_meters_at_one_address_of_two_hosts(tmp_path) -> None:
    with plants((1,), (1,)) as (here, there), rig(tmp_path) as site:
        one = typing(site, "identity")
        for question, text in (("Id of", "izm-1"), ("building", "Konak"), ("Time zone", "Europe/Istanbul")):
            one.answers(question, text)
        one.hears("Kept")
        assert one.ends() == 0
        assert not (tmp_path / "mine.yaml").exists() or load_config(tmp_path / "mine.yaml")

        two = typing(site, "meters", lang="tr")
        two.answers("portlar ve cihazlar", f"{here}, {there}")
        two.answers("hepsi bunlar", "e")
        assert two.ends() == 0
        assert not two.too_wide

        three = typing(site, "names")
        for name, parent in (("Ana", "-"), ("Klima", "ana")):
            three.answers("What is it called", name)
            three.answers("What does it feed")
            three.answers("Below which", "nobody")
            three.answers("no such meter", parent)
            three.answers("transformer ratio", "1")
        assert three.ends() == 0
        assert typing(site, "write").ends() == 0
        config = load_config(tmp_path / "mine.yaml")
        assert [(meter.name, meter.address, meter.parent) for meter in config.meters] == [
            ("Ana", 1, None),
            ("Klima", 1, "sdm630-1"),
        ]
        assert {bus.port for bus in config.buses} == {
            int(place.rpartition(":")[2]) for place in (here, there)
        }

        four = typing(site, "values")
        four.hears("active_power")
        four.answers("Are these values right", "n")
        four.hears("drivers try")
        assert four.ends() == 1
        five = typing(site, "building")
        five.answers("Floor area", "minus one")
        five.answers("→", "4200")
        five.answers("Installed")
        five.answers("Contracted")
        assert five.ends() == 0
        six = typing(site, "clock")
        six.answers("Who vouches", "rtc")
        assert six.ends() == 0
        config = load_config(tmp_path / "mine.yaml")
        assert (config.building.area, config.clock.trust) == (4200, "rtc")
        assert [meter.name for meter in config.meters] == ["Ana", "Klima"]
        seven = typing(site, "identity")
        seven.answers(r"\[izm-1\]")
        seven.answers(r"\[Konak\]", "Alsancak")
        seven.answers("Time zone")
        assert seven.ends() == 0
        assert load_config(tmp_path / "mine.yaml").gateway.name == "Alsancak"


def test_the_platform_is_proved_by_a_round_trip_and_the_password_stays_in_its_file(tmp_path) -> None:
    """One broker that takes nothing from us, then one with the platform behind it."""
    with rig(tmp_path) as site:
        site.start_broker()
        deaf = second_broker(site, "user izm-1\ntopic read submeter/v1/izm-1/#\n")
        (tmp_path / "mine.yaml").write_text("gateway:\n  id: izm-1  # ours\nclock: {trust: system}\n")
        one = typing(site, "uplink", lang="tr")
        one.answers("adresi", "platform")
        one.answers("→", f"mqtts://localhost:{deaf}")
        one.answers(r"\[izm-1\]", "")
        one.hears("Parola[^:]*: ")
        one.child.sendline("s3cret")
        one.answers("imzalayan", "/no/such/ca.pem")
        one.answers("/no/such/ca.pem", str(tmp_path / "cert.pem"))
        one.answers("Kimin onayı", "city")
        one.answers("Yine de", "h")
        assert one.ends() == 1
        assert not one.too_wide
        secret = tmp_path / "city.password"
        assert secret.read_text() == "s3cret\n"
        assert secret.stat().st_mode & 0o007 == 0
        assert "s3cret" not in (tmp_path / "mine.yaml.setup").read_text() + one.text
        assert "uplinks" not in (tmp_path / "mine.yaml").read_text()

        site.start_receiver()
        until(lambda: "connected" in site.log("receiver"), 60, "the receiver is connected")
        two = typing(site, "uplink")
        two.answers("broker", f"mqtt://127.0.0.1:{site.broker_port}")
        two.answers("User name")
        two.hears("as it is")
        two.child.sendline("")
        two.answers("Whose receipts")
        two.hears("is written")
        assert two.ends() == 0, two.text
        assert "confirmed" in " ".join(two.text.split())
        (uplink,) = load_config(tmp_path / "mine.yaml").uplinks
        assert (uplink.username, uplink.password_file, uplink.receipts) == ("izm-1", str(secret), ("city",))
        assert "# ours" in (tmp_path / "mine.yaml").read_text()
        told = subprocess.run(
            [sys.executable, "-m", "gateway", "receive", "--database", str(site.database), "--report"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "izm-1" in told.stdout + told.stderr


FLEET = """gateway: {{id: izm-1, name: Konak}}
clock: {{trust: system}}
journal: {{directory: {state}}}
status: {{enabled: false}}
card: {{remount: yes}}
scan: ["{here}", "{there}"]
names:
  "{here}":
    1: {{name: Ana, feeds: Bina, ct: 200/5}}
  "{there}":
    1: {{name: Klima, parent: sdm630-1}}
uplinks:
  - {{name: city, url: "mqtt://127.0.0.1:{port}", receipts: [city], spread: 0s}}
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {calls}
case "$1" in
  enable) setsid {python} -m gateway run /etc/submeter/gateway.yaml > {log} 2>&1 & echo $! > {pid} ;;
  is-active) echo active ;;
esac
"""
REFUSED = "#!/bin/sh\necho 'Failed to enable unit: Access denied' >&2\nexit 4\n"
FAILED = '#!/bin/sh\n[ "$1" = is-active ] && echo failed\nexit 0\n'
MACHINE = """mkdir -p {root}/etc && cp -a /etc/. {root}/etc/ 2>/dev/null
mkdir -p {root}/etc/submeter {root}/run
mount --bind {root}/etc /etc && mount --bind {root}/run /run && mkdir -p /run/systemd/system && exec "$@"
"""
"""A machine with systemd and without a configuration, in a mount namespace of its own."""
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a mount namespace")


def machine(folder, systemctl: str) -> tuple[str, ...]:
    """What a command is called with to be on such a machine, with this stand-in for systemctl on PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "systemctl").write_text(systemctl)
    (folder / "bin" / "systemctl").chmod(0o755)
    script = MACHINE.format(root=folder / "root")
    path = f"PATH={folder / 'bin'}:{os.environ['PATH']}"
    return ("unshare", "-m", "sh", "-c", script, "sh", "env", path)


@ROOT
def test_a_fleets_file_makes_a_gateway_that_systemd_starts_and_again_changes_nothing(tmp_path) -> None:
    with plants((1,), (1,)) as (here, there), rig(tmp_path) as site:
        site.start_broker()
        site.start_receiver()
        answers = tmp_path / "answers.yaml"
        answers.write_text(
            FLEET.format(state=tmp_path / "state", here=here, there=there, port=site.broker_port)
        )
        pid = tmp_path / "pid"
        script = SYSTEMCTL.format(
            calls=tmp_path / "calls", python=sys.executable, log=tmp_path / "gateway.log", pid=pid
        )
        before = machine(tmp_path, script)
        words = ("setup", "--answers", str(answers))
        one = Typist(*words, before=before, SUBMETER_SOCKET=str(site.socket))
        try:
            assert one.ends() == 0, one.text
            calls = (tmp_path / "calls").read_text().splitlines()
            # The gateway may have waited for this file: then its start was no start for the card's service.
            assert calls[:2] == ["enable --now submeter-gateway", "restart submeter-card"]
            assert "has the readings" in " ".join(one.text.split())
            assert not one.too_wide
            path = tmp_path / "root" / "etc" / "submeter" / "gateway.yaml"
            config, text = load_config(path), path.read_text()
            assert [(meter.name, meter.ct, meter.parent) for meter in config.meters] == [
                ("Ana", 40.0, None),
                ("Klima", 1.0, "sdm630-1"),
            ]
            assert not config.status.enabled
            # The same file once more, on the gateway that runs.
            step = Typist(*words, "write", before=before, SUBMETER_SOCKET=str(site.socket))
            assert step.ends() == 0, step.text
            assert path.read_text() == text
        finally:
            os.kill(int(pid.read_text()), 15)


@ROOT
@pytest.mark.parametrize(
    ("systemctl", "said"), [(REFUSED, "Access denied"), (FAILED, "has ended again"), (None, "systemctl")]
)
def test_a_service_that_does_not_start_is_said_at_once(tmp_path, systemctl, said) -> None:
    before = machine(tmp_path, systemctl or "")
    if systemctl is None:
        (tmp_path / "bin" / "systemctl").chmod(0o644)
        before = (*before[:-1], f"PATH={tmp_path / 'bin'}:{tmp_path}")
    (tmp_path / "root" / "etc" / "submeter").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "submeter" / "gateway.yaml").write_text("gateway: {id: izm-1}\n")
    one = Typist("setup", "start", before=before, SUBMETER_SOCKET=str(tmp_path / "control.sock"))
    assert one.ends() == 1
    assert said in " ".join(one.text.split())
    assert "Traceback" not in one.text


def test_a_fleets_file_at_a_converter_of_serial_frames_up_to_the_first_receipt(tmp_path) -> None:
    """Real connections: the search, the values and the gateway one after another, for it serves one."""
    slaves = [
        Slave(unit, DriverImage(load_driver(name), 1000 + unit))
        for unit, name in ((1, "eastron-sdm630"), (7, "abb-b23"))
    ]
    with Converter(slaves) as line, rig(tmp_path) as site:
        site.start_broker()
        site.start_receiver()
        answers = tmp_path / "answers.yaml"
        answers.write_text(
            f"""gateway: {{id: izm-1, name: Konak}}
clock: {{trust: system}}
journal: {{directory: {tmp_path / "state"}}}
status: {{enabled: false}}
scan: ["{line.place}"]
names:
  1: {{name: Ana, feeds: Bina, ct: 200/5}}
  7: {{name: Klima, parent: sdm630-1}}
uplinks:
  - {{name: city, url: "mqtt://127.0.0.1:{site.broker_port}", receipts: [city], spread: 0s}}
"""
        )
        one = typing(site, "--answers", str(answers))
        one.hears("2 found")
        one.interrupts()  # nobody else is there: the other 237 addresses cost two minutes
        one.hears("Start it")
        site.config_path = tmp_path / "mine.yaml"
        config = load_config(site.config_path)
        assert [(bus.type, bus.place) for bus in config.buses] == [("rtu-over-tcp", line.place)]
        assert [(meter.name, meter.driver, meter.ct, meter.parent) for meter in config.meters] == [
            ("Ana", "eastron-sdm630", 40.0, None),
            ("Klima", "abb-b23", 1.0, "sdm630-1"),
        ]
        site.start_gateway()
        one.hears("has the readings")
        assert one.ends() == 0, one.text
        assert not one.too_wide
        with ControlClient(site.socket) as client:
            status = client.status()
            assert [each["id"] for each in status["meters"] if each["age"] is not None]
            assert status["journal"]["readings"] > 0
    assert line.refused == 0


def test_two_meters_at_one_address_stay_open_and_are_not_called_silent(tmp_path) -> None:
    meters = [
        Mounted(load_driver("eastron-sdm630"), unit, LineSetting(9600, "N"), serial=serial)
        for unit, serial in ((1, 11111111), (4, 22222222), (4, 33333333))
    ]
    with Site(meters) as line:
        answers = tmp_path / "answers.yaml"
        answers.write_text(
            f"gateway: {{id: izm-1}}\nscan: ['{line.port}']\nnames: {{1: {{name: Ana}}, 4: {{name: B}}}}\n"
        )
        told = CliRunner().invoke(
            cli, ["setup", "meters", "--answers", str(answers), "--json", "-c", str(tmp_path / "mine.yaml")]
        )
    answer = json.loads(told.stdout)
    assert (told.exit_code, answer["meters"]) == (1, ["sdm630-1"])
    (point,) = answer["open"]
    assert "two meters answer there" in point
    assert "submeter" not in point
    assert answer["error"] is None


def test_a_meter_that_the_file_names_and_nobody_finds_stays_open(tmp_path) -> None:
    with plants((1,)) as (here,), rig(tmp_path) as site:
        answers = tmp_path / "answers.yaml"
        answers.write_text(
            f"gateway: {{id: izm-1}}\nscan: ['{here}']\nnames:\n  1: {{name: Ana}}\n  2: {{name: Klima}}\n"
        )
        one = typing(site, "meters", "--answers", str(answers))
        assert one.ends() == 1
        assert "nobody answers at address 2" in " ".join(one.text.split())
        told = CliRunner().invoke(
            cli,
            ["setup", "meters", "--answers", str(answers), "--json", "-c", str(tmp_path / "mine.yaml")],
            env={"SUBMETER_SOCKET": str(site.socket)},
        )
        answer = json.loads(told.stdout)
        assert (told.exit_code, answer["gateway"], answer["meters"]) == (1, "izm-1", ["sdm630-1"])
        assert (answer["done"], len(answer["open"])) == (["meters"], 1)
    # The host has gone: an object says that, too.
    told = CliRunner().invoke(
        cli, ["setup", "meters", "--answers", str(answers), "--json", "-c", str(tmp_path / "mine.yaml")]
    )
    assert (told.exit_code, json.loads(told.stdout)["meters"]) == (1, [])
    assert json.loads(told.stdout)["error"]


GOOD = """gateway:
  id: izm-konak-099
  name: Konak
scan: [192.0.2.10, /dev/ttyUSB0]
names:
  3: {name: Ana, feeds: Bina}
  /dev/ttyUSB0:
    1: {name: Klima, parent: x}
"""


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD.replace("id:", "idd:"), 2, "idd"),
        (GOOD.replace("scan: [192.0.2.10, /dev/ttyUSB0]\n", ""), 1, "scan"),
        (GOOD.replace("scan:", "scam:"), 4, "scam"),
        (GOOD.replace("feeds", "feed"), 6, "feed"),
        (GOOD.replace("izm-konak-099", "Not An Id"), 2, "id"),
        (GOOD.replace("  /dev/ttyUSB0:", "  /dev/ttyUSB1:"), 7, "/dev/ttyUSB1"),
        (GOOD.replace("1: {name: Klima", "one: {name: Klima"), 8, "one"),
        (GOOD.replace("parent", "parents"), 8, "parents"),
        (GOOD + "stauts: {enabled: false}\n", 9, "stauts"),
    ],
)
def test_a_file_of_answers_is_judged_by_line_before_anything_is_touched(tmp_path, text, line, said) -> None:
    assert read_answers(GOOD, "a.yaml")["names"]["3"]["name"] == "Ana"
    with pytest.raises(ConfigError) as caught:
        read_answers(text, "a.yaml")
    assert any(problem.line == line and said in str(problem) for problem in caught.value.problems)
    file = tmp_path / "a.yaml"
    file.write_text(text)
    config = tmp_path / "mine.yaml"
    told = CliRunner().invoke(cli, ["setup", "--answers", str(file), "-c", str(config)])
    assert told.exit_code != 0
    assert not config.exists()


TWO_LINES = {
    "buses": [
        {"name": "line1", "type": "serial", "port": "/dev/ttyUSB0"},
        {"name": "plant1", "type": "tcp", "host": "192.0.2.10"},
    ],
    "meters": [
        {"id": "a", "bus": "line1", "address": 1, "driver": "eastron-sdm630"},
        {"id": "b", "bus": "plant1", "address": 1, "driver": "eastron-sdm630"},
        {"id": "c", "bus": "plant1", "address": 2, "driver": "eastron-sdm630"},
    ],
}


@pytest.mark.parametrize(
    ("names", "called", "open_points"),
    [
        ({"/dev/ttyUSB0": {1: {"name": "A"}}, "192.0.2.10:502": {"1": {"name": "B"}}}, ["A", "B", None], 0),
        ({2: {"name": "C"}, "192.0.2.10": {1: {"name": "B"}}}, [None, "B", "C"], 0),
        ({1: {"name": "X"}}, [None, None, None], 1),
        ({"192.0.2.10": {7: {"name": "Z"}}, 9: {"name": "Y"}}, [None, None, None], 2),
    ],
)
def test_a_meter_is_named_by_its_place_and_address(names, called, open_points) -> None:
    answers = {"gateway": {"id": "x"}, **TWO_LINES, "names": names}
    assert [said_of(meter, answers).get("name") for meter in answers["meters"]] == called
    assert len(unmet(answers)) == open_points
    assert [meter.name for meter in parse_config(written("", answers)).meters] == called


def test_what_a_person_wrote_stays() -> None:
    old = "# mine\ngateway:\n  id: a  # ours\n  name: B\nstatus: {enabled: false}\nbuses: []  # none yet\n"
    answers = {
        "gateway": {"id": "c"},
        "building": {"area": 4200},
        "status": {"enabled": False},
        "buses": [{"name": "line1", "type": "tcp", "host": "192.0.2.1"}],
        "meters": [{"id": "m", "bus": "line1", "address": 1, "driver": "eastron-sdm630"}],
        "names": {"1": {"name": "Yes", "feeds": "no", "parent": ""}},
        "uplinks": [{"name": "city", "url": "mqtt://127.0.0.1:1", "receipts": ["city"], "replay": False}],
    }
    new = written(old, answers)
    config = parse_config(new)
    assert (config.gateway.id, config.gateway.name, config.building.area) == ("c", "B", 4200)
    assert (config.meters[0].name, config.meters[0].feeds) == ("Yes", "no")
    assert (config.uplinks[0].receipts, config.uplinks[0].replay) == (("city",), False)
    for comment in ("# mine", "# ours", "# none yet", "status: {enabled: false}"):
        assert comment in new
    answers["uplinks"][0]["url"] = "mqtt://127.0.0.1:2"
    assert parse_config(written(new, answers)).uplinks[0].url.endswith(":2")
    # What the file says already is not written again, and what is taken back is.
    assert written(new, merged(answers_of(new), {})) == new
    tree = new.replace('    name: "Yes"', '    parent: top\n    name: "Yes"')
    assert "parent: null" in written(tree, {**answers_of(tree), "names": answers["names"]})


SIXTY = "".join(
    f"  - id: m{unit}\n    bus: line1\n    address: {unit}\n    driver: eastron-sdm630\n"
    for unit in range(1, 61)
)
LINE = "gateway: {id: a}\nbuses:\n  - {name: line1, type: serial, port: /dev/ttyUSB0}\nmeters:\n"


@pytest.mark.parametrize(
    ("meters", "said", "intervals"),
    [
        (SIXTY, "cannot read all of its meters", {60.0}),
        (SIXTY.replace("bus: line1\n", "bus: line1\n    interval: 10s\n"), "cannot be held", {10.0}),
        (SIXTY[: SIXTY.index("  - id: m5\n")], "", {10.0}),
        (SIXTY[: SIXTY.index("  - id: m18\n")], "gets interval: 15s", {15.0}),
    ],
    ids=["nobody wrote one", "a person did", "there is room", "nothing to spare"],
)
def test_a_line_of_sixty_meters_gets_an_interval_that_it_can_hold(
    tmp_path, capsys, meters, said, intervals
) -> None:
    s = Setup(tmp_path / "mine.yaml", None, None)
    s.answers = answers_of(LINE + meters)
    importlib.import_module("gateway.cli.setup_start").write(s)
    config = load_config(s.path)
    assert {meter.interval for meter in config.meters} == intervals
    told = " ".join(capsys.readouterr().out.split())
    assert said in told
    assert ("write interval" in told) == (said == "cannot be held")


def test_a_port_has_one_bus_whatever_it_is_called(tmp_path) -> None:
    """The name by id of a port that the file has by the kernel's."""
    there, alias = tmp_path / "ttyUSB0", tmp_path / "usb-FTDI-port0"
    there.touch()
    alias.symlink_to(there)
    bus = {"name": "line1", "type": "serial", "port": str(there)}
    place = {"type": "serial", "port": str(alias)}
    found = [FoundMeter(LineSetting(), 7, 0.0, Identified("identity", (load_driver("eastron-sdm630"),)))]
    proposal = propose_lines(found, place=place, buses=[bus])
    assert proposal.bus is None
    assert [meter["bus"] for meter in proposal.meters] == ["line1"]
    meter = {"id": "a", "bus": "line1", "address": 7, "driver": "eastron-sdm630"}
    answers = {"buses": [bus], "meters": [meter], "names": {str(alias): {7: {"name": "Ana"}}}}
    assert said_of(meter, answers)["name"] == "Ana"
    assert not unmet(answers)


def test_what_takes_several_lines_is_not_written_over() -> None:
    old = "gateway: {id: a}\nbuilding:\n  area: 10\n  closed:\n    - 2026-01-01\n"
    assert written(old, {**answers_of(old), "building": {"area": 11}}).count("area: 11") == 1
    with pytest.raises(GatewayError, match="several lines"):
        written(old, {"building": {"closed": ["2026-01-02"]}})


@pytest.mark.parametrize(
    ("machine", "typed", "kept_as"),
    [
        ((True, 5), ("?", "y"), {"remount": True}),
        ((True, 5), ("",), {"remount": False}),
        ((False, 5), (), None),
        ((True, None), (), None),
        ((True, 60), (), None),
    ],
)
def test_the_card_is_asked_about_where_the_service_can_spare_it(
    tmp_path, monkeypatch, machine, typed, kept_as
):
    """`machine`: whether the service runs with this file, and how often the file system commits."""
    serves, commit = machine
    step = importlib.import_module("gateway.cli.setup")
    monkeypatch.setattr(step, "serves", lambda _: serves)
    monkeypatch.setattr(
        step, "card_state", lambda _: CardState("/", "ext4" if commit else "tmpfs", (), commit)
    )
    left = [*typed]
    monkeypatch.setattr("builtins.input", lambda _: left.pop(0))
    s = Setup(tmp_path / "mine.yaml", None, None)
    s.answers = {"gateway": {"id": "izm-1"}}
    step.card(s)
    assert not left
    assert s.answers.get("card") == kept_as
    config = parse_config(written("", s.answers))
    assert config.card.remount is bool(kept_as and kept_as["remount"])


def test_who_lacks_meters_and_who_comes_back_is_searched_for_with_what_is_known(
    tmp_path, monkeypatch
) -> None:
    """The other settings of a line go on from the first search; a session that was lost begins where somebody
    was met.
    """
    port, at = "/dev/ttyUSB7", LineSetting(19200, "E", 1)
    asked: list[tuple[list[LineSetting], Swept | None, bool]] = []

    def search(place, _config, report, options, *, likely, before, met) -> Swept:
        asked.append((likely, before, options["one_setting"]))
        swept = before or Swept(tried=[at])
        met(FoundMeter(at, 5, 0.01))
        report.proposals.append(propose_lines([], place={"type": "serial", "port": place}))
        if len(asked) > 1:
            raise KeyboardInterrupt
        return swept

    monkeypatch.setattr("gateway.cli.setup_meters.search", search)
    monkeypatch.setattr("gateway.cli.setup_meters._asked_places", lambda _setup: [port])
    monkeypatch.setattr("gateway.cli.setup_meters.confirm", lambda *_, **__: False)
    one = Setup(tmp_path / "gateway.yaml", None, None)
    with pytest.raises(KeyboardInterrupt):
        meters(one)
    assert [(likely, one_setting) for likely, _before, one_setting in asked] == [([], True), ([at], False)]
    assert (asked[0][1], asked[1][1]) == (None, Swept(tried=[at]))
    two = Setup(tmp_path / "gateway.yaml", None, None)
    assert two.recall()
    with pytest.raises(KeyboardInterrupt):
        meters(two)
    assert asked[2] == ([at], None, True)
