"""`submeter setup` in a scripted terminal of 60 columns: from a box to the first receipt, broken off in the
middle and resumed; and from a file of answers.
"""

from __future__ import annotations

import json
import os
import sys

import pexpect
import pytest
from click.testing import CliRunner
from scan_site import Mounted, Site

from gateway.catalogue import load_driver
from gateway.cli import cli
from gateway.commissioning.scan import LineSetting
from gateway.commissioning.setup import read_answers, written
from gateway.config import load_config, parse_config
from gateway.errors import ConfigError
from tests.rig import MOSQUITTO, rig

MOST = 240


def terminal(site, *words: str) -> pexpect.spawn:
    env = {**os.environ, "SUBMETER_SOCKET": str(site.socket), "COLUMNS": "60", "LANG": "C.UTF-8"}
    command = ["-m", "gateway", "setup", *words, "-c", str(site.directory / "mine.yaml"), "--lang", "en"]
    return pexpect.spawn(
        sys.executable, command, env=env, encoding="utf-8", timeout=MOST, dimensions=(40, 60)
    )


def say(child: pexpect.spawn, question: str, answer: str = "") -> None:
    child.expect(question)
    child.expect("> ")
    child.sendline(answer)


@pytest.mark.broker
@pytest.mark.timeout(600)
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_from_a_box_to_the_first_receipt(tmp_path) -> None:
    meters = [Mounted(load_driver("eastron-sdm630"), 1, LineSetting(9600, "N"), serial=87654321)]
    with Site(meters) as line, rig(tmp_path) as site:
        site.start_broker()
        site.start_receiver()
        child = terminal(site)
        say(child, "Id of this gateway", "Not An Id")
        say(child, "→", "izm-konak-099")
        say(child, "call the building", "?")
        say(child, "stands on the page", "Konak")
        child.expect("Time zone")
        child.close(force=True)  # the SSH session is lost
        kept = tmp_path / "mine.yaml.setup"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert json.loads(kept.read_text())["answers"]["gateway"]["name"] == "Konak"

        child = terminal(site)
        say(child, r"\[izm-konak-099\]")
        say(child, r"\[Konak\]")
        say(child, "Time zone")
        for _ in range(3):
            say(child, r"\?")
        say(child, "ports and hosts", line.port)
        say(child, "What is it called", "Ana sayaç")
        say(child, "What does it feed", "Bina girişi")
        say(child, "Below which meter")
        say(child, "transformer ratio", "200/5")
        child.expect("active_power")
        say(child, "Are these values right")
        say(child, "platform's broker", f"mqtt://127.0.0.1:{site.broker_port}")
        say(child, "User name there", "-")
        say(child, "Whose receipts")
        child.expect("takes this gateway")
        say(child, "Who vouches", "system")
        child.expect("is written")
        child.expect("Start it")
        config = load_config(tmp_path / "mine.yaml")
        assert [(meter.name, meter.driver, meter.ct, meter.parent) for meter in config.meters] == [
            ("Ana sayaç", "eastron-sdm630", 40.0, None)
        ]
        text = (tmp_path / "mine.yaml").read_text()
        site.config_path = tmp_path / "mine.yaml"
        site.config_path.write_text(
            text + f"\njournal:\n  directory: {tmp_path}/state\nstatus:\n  enabled: false\n"
        )
        site.start_gateway()
        child.expect("has the readings")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert not kept.exists()


GOOD = """gateway:
  id: izm-konak-099
  name: Konak
scan: [192.0.2.10]
names:
  3: {name: Ana, feeds: Bina}
"""


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD.replace("id:", "idd:"), 2, "idd"),
        (GOOD.replace("scan: [192.0.2.10]\n", ""), 1, "scan"),
        (GOOD.replace("scan:", "scam:"), 4, "scam"),
        (GOOD.replace("feeds", "feed"), 6, "feed"),
        (GOOD.replace("izm-konak-099", "Not An Id"), 2, "id"),
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


def test_what_a_person_wrote_stays() -> None:
    old = "# mine\ngateway:\n  id: a  # ours\n  name: B\nbuses: []  # none yet\n"
    answers = {
        "gateway": {"id": "c"},
        "building": {"area": 4200},
        "buses": [{"name": "line1", "type": "tcp", "host": "192.0.2.1"}],
        "meters": [{"id": "m", "bus": "line1", "address": 1, "driver": "eastron-sdm630"}],
        "names": {"1": {"name": "Ana", "feeds": "", "parent": ""}},
        "uplinks": [{"name": "city", "url": "mqtt://127.0.0.1:1", "receipts": ["city"]}],
    }
    new = written(old, answers)
    config = parse_config(new)
    assert (config.gateway.id, config.gateway.name, config.building.area) == ("c", "B", 4200)
    assert (config.meters[0].name, config.uplinks[0].receipts) == ("Ana", ("city",))
    for comment in ("# mine", "# ours", "# none yet"):
        assert comment in new
    answers["uplinks"][0]["url"] = "mqtt://127.0.0.1:2"
    assert parse_config(written(new, answers)).uplinks[0].url.endswith(":2")
