"""What the package gives to other programs of the machine says what they understand: rules of udev, bounds of
journald and systemd, the service of Avahi.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from configparser import ConfigParser
from pathlib import Path

import pytest

from gateway.config.schema import StatusSection

ROOT = Path(__file__).parents[2]
FILES = ROOT / "packaging" / "files"
PART = re.compile(r'([A-Z]+)(?:\{([^}"]+)\})?(==|!=|\+=|:=|=)"([^"]*)"')
MATCHES = {"ACTION", "SUBSYSTEM", "SUBSYSTEMS", "KERNEL", "DRIVER", "ENV"}
"""Keys that are compared (udev(7)), those with == or !=."""
SETS = {"ATTR", "IMPORT", "SYMLINK", "GROUP", "MODE"}
"""Keys that are set."""
KNOWN = {
    "60-submeter.journald": {
        "Journal": {"SystemMaxUse", "RuntimeMaxUse", "SyncIntervalSec", "ForwardToSyslog"}
    },
    "60-submeter.system": {"Manager": {"RuntimeWatchdogSec", "RebootWatchdogSec"}},
}
"""Section → keys of journald.conf(5) and systemd-system.conf(5) that are used here."""


def rules() -> list[str]:
    lines = (FILES / "60-submeter.rules").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def flaws(rule: str) -> list[str]:
    """What udev would not understand of a rule: it leaves such a line out."""
    parts = [(part, PART.fullmatch(part.strip())) for part in re.split(r",(?=\s*[A-Z]+[{=!+:])", rule)]
    wrong = [part for part, match in parts if match is None]
    found = [match for _, match in parts if match is not None]
    wrong += [
        match[0]
        for match in found
        if (match[3] in {"==", "!="}) != (match[1] in MATCHES) or match[1] not in MATCHES | SETS
    ]
    return wrong if any(match[1] in SETS for match in found) else [*wrong, "nothing is set"]


@pytest.mark.parametrize("rule", rules())
def test_a_rule_is_one_that_udev_understands(rule: str) -> None:
    assert flaws(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        'SUBSYSTEM="tty", SYMLINK+="x"',
        'SUBSYSTEM=="tty", SYMLINK+="x',
        'SUBSYSTEM=="tty", SYMLNK+="x"',
        'SUBSYSTEM=="tty", KERNEL=="ttyUSB*"',
    ],
)
def test_the_control_a_rule_with_a_slip_is_none(rule: str) -> None:
    assert flaws(rule)


@pytest.mark.parametrize("name", KNOWN)
def test_a_setting_is_one_that_systemd_knows(name: str) -> None:
    found = ConfigParser()
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string((FILES / name).read_text())
    assert {section: {*found[section]} for section in found.sections()} == KNOWN[name]


def test_avahi_tells_the_port_of_the_page() -> None:
    group = ET.fromstring((ROOT / "systemd" / "submeter-gateway.avahi.service").read_bytes())
    assert group.findtext("service/type") == "_http._tcp"
    assert StatusSection().listen.rpartition(":")[2] == group.findtext("service/port")
