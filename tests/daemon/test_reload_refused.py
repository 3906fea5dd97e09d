"""A reload refuses whatever `submeter check` refuses, in the same words, and what ran goes on."""

from __future__ import annotations

import copy
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_daemon import configure, control, meter, plant, started, status, submeter

from gateway.check import check
from gateway.check.sample import SAMPLE_BROKER, SAMPLE_ID
from tests.rig import Rig, rig, until

Sections = dict[str, Any]
TABLE = "maker: M\nmodel: M\nverified: datasheet\nsource: p\nregisters: |\n  0 u17 voltage_l9n V fast\n"


def entry(section: str, **keys: Any) -> Callable[[Sections, Path], None]:
    """Keys of the first entry of a section."""
    return lambda config, _: config[section][0].update(keys)


def another(section: str, **keys: Any) -> Callable[[Sections, Path], None]:
    """A second entry like the first one, but for some keys."""
    return lambda config, _: config[section].append({**config[section][0], **keys})


def a_table(config: Sections, folder: Path) -> None:
    (folder / "my-own.yaml").write_text(TABLE)
    config["drivers"] = {"directory": str(folder)}
    config["meters"][0]["driver"] = "my-own"


def a_file(key: str) -> Callable[[Sections, Path], None]:
    def name_it(config: Sections, folder: Path) -> None:
        broker = {"name": "city", "url": "mqtts://127.0.0.1:1", "username": "u"}
        config["uplinks"] = [{**broker, key: str(folder / "no-such-file")}]

    return name_it


def no_address(config: Sections, _: Path) -> None:
    """Of a meter that has address 247 when it leaves the factory: the line would be asked at 1."""
    config["meters"][0]["driver"] = "goodwe-meter"
    del config["meters"][0]["address"]


MEANING: dict[str, tuple[Callable[[Sections, Path], None], str]] = {
    "a misspelt key": (entry("meters", intervall="5s"), "did you mean interval?"),
    "a misspelt table": (entry("meters", driver="eastron-sdm603"), "there is no driver"),
    "a table with a mistake": (a_table, "u17"),
    "a bus that is none": (entry("meters", bus="palnt"), "did you mean plant?"),
    "two buses on one line": (another("buses", name="twin"), "the line of the bus plant"),
    "a host that is no machine": (
        another("buses", name="far", host="0.0.0.0"),
        "is the address of no machine",
    ),
    "a page that nobody can reach": (
        lambda config, _: config["status"].update(listen="255.255.255.255:80"),
        "has an address of many machines",
    ),
    "two meters at one address": (another("meters", id="m9"), "already taken by m1"),
    "a meter that is called as the gateway": (entry("meters", id="gateway"), "the gateway itself"),
    "no address": (no_address, "is missing"),
    "an interval that the line cannot hold": (entry("meters", interval="1ms"), "of bus plant need"),
    "a password file that is not there": (a_file("password_file"), "no-such-file"),
    "an authority that is not there": (a_file("ca"), "no-such-file"),
    "temperatures that are not there": (
        lambda config, folder: config.update(building={"temperatures": str(folder / "no-such.csv")}),
        "no-such.csv",
    ),
    "commands that nobody may sign": (
        lambda config, folder: config.update(
            uplinks=[{"name": "city", "url": "mqtt://127.0.0.1:1"}],
            remote={"uplink": "city", "commands": ["read"], "trust": str(folder / "no-keys")},
        ),
        "no-keys",
    ),
    "the untouched sample": (
        lambda config, _: config.update(
            gateway={"id": SAMPLE_ID}, uplinks=[{"name": "city", "url": f"mqtts://{SAMPLE_BROKER}:8883"}]
        ),
        "the sample configuration",
    ),
    "a pin that two things share": (
        lambda config, _: config.update(
            pulses=[
                {"id": name, "pin": 17, "per_unit": 1000, "quantity": "volume"} for name in ("water", "gas")
            ]
        ),
        "is used twice",
    ),
}
"""What a file may say that cannot be meant, and what of it must be told."""
TEXT: dict[str, tuple[Callable[[str], str], str]] = {
    "a key that stands twice": (lambda text: text + "gateway: {id: other}\n", "is given twice"),
    "a tab": (lambda text: text + "journal:\n\tbudget: 1GB\n", "a tab stands where blanks belong"),
    "an open quotation mark": (lambda text: text + 'building: {city: "İzmir}\n', "never closes"),
    "nothing": (lambda _: "", "is not a mapping of keys to values"),
    "no YAML": (lambda text: text + "}}\n", "is not valid YAML"),
    "bytes of another alphabet": (lambda text: text.replace("bench-1", "\ud800"), "is not UTF-8"),
}
"""What may be wrong with the text itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("reload")
    with rig(folder, plant(folder)) as made:
        configure(made, [meter(1)])
        started(made)
        until(lambda: status(made)["journal"]["seq"] >= 1, 60, "a batch is committed")
        yield made


@pytest.fixture
def good(site: Rig) -> Iterator[Sections]:
    """The configuration that runs, which stands in the file again afterwards."""
    text = site.config_path.read_text()
    yield json.loads(text)
    site.config_path.write_text(text)


def spoilt(site: Rig, good: Sections, name: str) -> str:
    """Write the file with this mistake; what of it must be told."""
    if name in TEXT:
        change, said = TEXT[name]
        text = change(yaml.safe_dump(good))
        site.config_path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return said
    config = copy.deepcopy(good)
    alter, said = MEANING[name]
    alter(config, site.directory)
    site.config_path.write_text(json.dumps(config, indent=1))
    return said


def refused(site: Rig) -> str:
    with control(site) as client:
        answer = client.post("/reload")
    assert not answer.is_success
    return json.dumps(answer.json(), ensure_ascii=False)


@pytest.mark.parametrize("name", [*MEANING, *TEXT])
def test_it_is_refused_with_every_problem_that_check_names(site: Rig, good: Sections, name: str) -> None:
    said = spoilt(site, good, name)
    problems = check(site.config_path).problems
    assert problems, "the control: check finds it"
    answer = json.loads(refused(site))
    told = str(answer)
    assert said in told
    assert all(problem.what in told for problem in problems)
    seen = status(site)
    assert any("was not taken over" in line for line in seen["problems"])
    assert [entry["id"] for entry in seen["meters"]] == ["m1"], "what ran goes on"
    until(lambda: status(site)["journal"]["seq"] > seen["journal"]["seq"], 60, "it goes on storing")


@pytest.mark.parametrize("name", ["two buses on one line", "a key that stands twice", "no address"])
def test_a_signal_is_refused_as_well(site: Rig, good: Sections, name: str) -> None:
    with control(site) as client:
        assert client.post("/reload").is_success
    said, before = spoilt(site, good, name), len(site.log("gateway"))
    site.processes["gateway"].send_signal(signal.SIGHUP)
    until(lambda: "was not taken over" in site.log("gateway")[before:], 60, "the log says so")
    assert said in site.log("gateway")[before:]
    until(
        lambda: any("was not taken over" in line for line in status(site)["problems"]), 60, "the page says so"
    )


@pytest.mark.parametrize(("language", "said"), [("en", "is missing"), ("tr", "eksik")])
def test_the_command_prints_it_in_the_language_of_its_reader(
    site: Rig, good: Sections, language: str, said: str
) -> None:
    spoilt(site, good, "no address")
    done = submeter(site, "reload", "--lang", language)
    assert done.returncode == 1
    assert said in done.stderr
    assert "meters[0].address" in done.stderr


def test_a_good_file_ends_what_was_said_and_makes_nothing_late(site: Rig, good: Sections) -> None:
    spoilt(site, good, "a tab")
    refused(site)
    assert status(site)["refused"]
    site.config_path.write_text(json.dumps(good, indent=1))
    # The newest batch stays known over a reload: without that nothing would seem to be stored.
    until(lambda: status(site)["journal"]["newest"], 60, "a batch is committed")
    good["meters"].append(meter(2))
    good["gateway"]["commit_interval"] = "5s"
    site.config_path.write_text(json.dumps(good, indent=1))
    newest = status(site)["journal"]["newest"]
    with control(site) as client:
        answer = client.post("/reload").json()
        seen = client.get("/status").json()
        again = client.post("/reload").json()
    assert answer["messages"] == ["meter m2 was added", "gateway: commit_interval was 1, is 5"]
    assert answer["changed"] == [
        {"meter": "m2", "change": "added"},
        {"section": "gateway", "change": "changed", "fields": {"commit_interval": [1.0, 5.0]}},
    ]
    assert again == {"messages": [], "changed": []}
    assert not seen["refused"]
    assert not seen["problems"]
    assert seen["journal"]["newest"] >= newest - 1000
    begun = next(entry["since"] for entry in seen["meters"] if entry["id"] == "m2")
    assert begun is None or abs(begun - time.time() * 1000) < 60_000, "the new meter begins now"


def test_what_the_service_of_the_card_has_to_do_is_told_with_its_command(site: Rig, good: Sections) -> None:
    for spared, said in ((True, "remount was false, is true"), (False, "remount was true, is false")):
        site.config_path.write_text(json.dumps({**good, "card": {"remount": spared}}, indent=1))
        told = submeter(site, "reload").stdout
        assert said in told
        assert "sudo systemctl restart submeter-card" in told
    assert "systemctl" not in submeter(site, "reload").stdout, "the control: nothing of it has changed"
