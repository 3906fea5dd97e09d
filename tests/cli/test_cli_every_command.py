"""What each command says when it has something to do, when it has nothing, and when it is asked for the
impossible: at 60 columns, in both languages.
"""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_screens import COMMANDS, show

from gateway import cli

COLUMNS = 60
NOWHERE = ["--broker", "mqtt://127.0.0.1:1"]
"""Port 1 refuses at once."""
KEY = r"[\w+/=:-]{40,}"
SCREENS = {
    "backup": "backup CONFIG",
    "backup to a bad recipient": "backup HOUSE/b.bak CONFIG --recipient nonsense",
    "backup --new-key": "backup --new-key HOUSE/key",
    "backup --nightly": "backup --nightly CONFIG",
    "bill without a history": "bill --from 2026-10-01 --to 2026-10-31 --t1 5 CONFIG",
    "bill of a bad profile": "bill HOUSE/nonsense.txt CONFIG",
    "card": "card CONFIG",
    "care new-key": "care new-key HOUSE/key",
    "care read with a bad key": "care read house NOWHERE --sign-with HOUSE/nonsense.txt",
    "care config with a bad broker": "care config house HOUSE/gateway.yaml --broker x --sign-with "
    "HOUSE/nonsense.txt",
    "correct a bad amount": "correct main 2026-10-01 2026-10-02 --value x --why y CONFIG",
    "correct without a gateway": "correct main 2026-10-01T00:00 2026-10-01T01:00 --value 5 --why y "
    "CONFIG SOCKET",
    "doctor of nothing": "doctor nothing CONFIG SOCKET",
    "drivers try of a meter": "drivers try --meter main CONFIG",
    "drivers try of no meter": "drivers try --meter mian CONFIG",
    "drivers try of nothing": "drivers try eastron-sdm630",
    "enroll": "enroll CONFIG --uplink city",
    "enroll of no uplink": "enroll CONFIG --uplink ciyt",
    "enroll with no certificate": "enroll CONFIG --install HOUSE/nonsense.txt",
    "fleet": "fleet NOWHERE --gateways 1 --seconds 0.1 --drain 0s",
    "journal of nothing": "journal status CONFIG SOCKET",
    "plan of nonsense": "plan HOUSE/nonsense.txt",
    "ports": "ports CONFIG",
    "provision": "provision --boot HOUSE CONFIG",
    "read of a port that is not there": "read main CONFIG SOCKET",
    "read of no meter": "read one CONFIG SOCKET",
    "receive with a bad broker": "receive --broker x --database HOUSE/r.db",
    "receive --report of nothing": "receive --report --database HOUSE/no.db",
    "report without a gateway": "report CONFIG SOCKET",
    "report --verify of nonsense": "report --verify HOUSE/nonsense.txt",
    "restore without a key": "restore HOUSE/nonsense.txt CONFIG --key HOUSE/key",
    "run of nonsense": "run HOUSE/nonsense.txt",
    "sign init": "sign init --directory HOUSE/ca",
    "sign token without an authority": "sign token house --directory HOUSE/ca",
    "sign list without an authority": "sign list --directory HOUSE/ca",
    "status without a gateway": "status SOCKET",
    "swap without a gateway": "swap main CONFIG SOCKET --yes",
    "wiring without a journal": "wiring CONFIG SOCKET",
    "wiring of nonsense": "wiring --from HOUSE/nonsense.txt CONFIG",
}


BESIDE = {"care", "demo", "fleet", "receive", "sign", "drivers new", "journal salvage"}
"""Commands of the platform, and others that know no gateway's configuration."""


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from leaves(child, f"{name} {child.name}")
    else:
        yield name, command


def test_every_command_that_knows_a_gateways_configuration_takes_its_file() -> None:
    found = [
        each
        for name in cli.COMMANDS
        for each in leaves(importlib.import_module(f"gateway.cli.{name}").command, name)
    ]
    without = {
        name
        for name, command in found
        if not any("-c" in option.opts for option in command.params if isinstance(option, click.Option))
    }
    assert len(found) > 40, "the control"
    assert {name if name in BESIDE else name.split(" ")[0] for name in without} == BESIDE


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Where a gateway could be: a configuration and nothing else."""
    return tmp_path / "house"


def written(house: Path) -> None:
    shutil.rmtree(house, ignore_errors=True)
    house.mkdir()
    (house / "nonsense.txt").write_text("a;b\n1;2\n")
    (house / "gateway.yaml").write_text(
        f"""
gateway: {{id: house, name: Konak Belediye Binası}}
drivers: {{directory: {house}/drivers}}
journal: {{directory: {house}/journal}}
buses: [{{name: line1, type: serial, port: {house}/no-such-port, baudrate: 9600}}]
meters: [{{id: main, bus: line1, address: 1, driver: eastron-sdm630}}]
uplinks: [{{name: city, url: "mqtts://127.0.0.1:1", cert: {house}/c.pem, key: {house}/c.key}}]
"""
    )


def words(line: str, house: Path) -> list[str]:
    for name, stands_for in {
        "CONFIG": "-c HOUSE/gateway.yaml",
        "SOCKET": "--socket HOUSE/no.sock",
        "NOWHERE": " ".join(NOWHERE),
        "HOUSE": str(house),
    }.items():
        line = line.replace(name, stands_for)
    return line.split(" ")


def judge(narrow: str, wide: str) -> None:
    """Nothing is wider than the terminal but single words, and what is pasted with a key in it; every word
    stands there whole, in the same order.
    """
    assert len(narrow) > 20
    wider = [line for line in narrow.splitlines() if len(line) > COLUMNS and not re.search(KEY, line)]
    assert not [line for line in wider if len(line.strip(" !→").split(" ")) > 1]
    same = [re.sub(rf"{KEY}|\d+", "…", text).split() for text in (narrow, wide)]
    assert same[0] == same[1]


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("name", SCREENS)
def test_what_it_says(name: str, language: str, house: Path) -> None:
    told = []
    for columns in (COLUMNS, 200):
        written(house)
        told.append(show(words(SCREENS[name], house), columns, language))
    narrow, wide = (re.sub(r"-----BEGIN.*-----END[^\n]*", "", text, flags=re.DOTALL) for text in told)
    judge(narrow, wide)
    if language == "tr":
        written(house)
        english = show(words(SCREENS[name], house), 200, "en")
        typed = re.compile(r"\s*(→ )?submeter [a-z]+ ")
        own = {line for line in english.splitlines() if len(line.split()) > 3 and not typed.match(line)}
        assert not own & set(wide.splitlines()), "a sentence that stayed English"


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_it_says_of_words_that_it_does_not_know(command: tuple[str, ...], language: str) -> None:
    judge(*(show([*command, "--no-such-option"], columns, language) for columns in (COLUMNS, 200)))


def test_every_command_has_a_screen() -> None:
    """Of its own, or in `cli_screens`; `demo` and `setup` are talks, shown by their own tests."""
    from test_cli_narrow import NAMES  # noqa: PLC0415 - beside this file

    shown = {words.split()[0] for words in (*SCREENS.values(), *NAMES)}
    assert {command[0] for command in COMMANDS if command} - shown <= {"demo", "setup", "apply", "scan"}
