"""What the package gives to other programs of the machine says what they understand: rules of udev, bounds of
journald and systemd, the service of Avahi.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from configparser import ConfigParser
from pathlib import Path

import pytest

from gateway.common.files import SECRETS
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


UNITS = [file for file in sorted((ROOT / "systemd").iterdir()) if ".avahi." not in file.name]
UNKNOWN = re.compile(r"Command \S+ is not executable: No such file or directory$")
"""What this machine lacks, and a gateway has."""


def users() -> set[str]:
    """Those that the package makes."""
    lines = (FILES / "submeter.sysusers").read_text().splitlines()
    return {line.split()[1] for line in lines if line.startswith("u ")}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_says_nothing_that_systemd_does_not_know(unit: Path) -> None:
    assert strange(unit) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_control_a_key_that_systemd_does_not_know_is_told(tmp_path: Path) -> None:
    copy = tmp_path / "submeter-sign.service"
    text = (ROOT / "systemd" / copy.name).read_text()
    copy.write_text(text.replace("LoadCredential=", "LoadCredentials="))
    assert strange(copy)


def strange(unit: Path) -> list[str]:
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return [line for line in said.stderr.splitlines() if not UNKNOWN.search(line)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_as_root_or_as_a_user_that_the_package_makes(unit: Path) -> None:
    named = re.findall(r"^User=(.*)$", unit.read_text(), re.MULTILINE)
    assert set(named) <= users()


def test_the_signing_program_has_a_user_of_its_own_and_is_off() -> None:
    text = (ROOT / "systemd" / "submeter-sign.service").read_text()
    assert "\nUser=submeter-sign\n" in text
    assert "submeter-sign" in users()
    others = [unit for unit in UNITS if unit.name != "submeter-sign.service"]
    assert not [unit for unit in others if "submeter-sign" in unit.read_text()]
    enabled = (ROOT / "packaging/debian/postinst").read_text().splitlines()[2]
    assert enabled.startswith("enabled=")
    assert "submeter-sign" not in enabled


def test_the_folder_of_secrets_is_that_of_the_units_and_of_the_package() -> None:
    script = (ROOT / "packaging/debian/postinst").read_text()
    assert f"install -d -m 0700 -o root -g root {SECRETS}\n" in script
    for name in ("submeter-gateway", "submeter-enroll"):
        unit = (ROOT / "systemd" / f"{name}.service").read_text()
        assert f"\nLoadCredential={SECRETS.name}:{SECRETS}\n" in unit
        assert f"\nSetCredential={SECRETS.name}:" in unit, "without it the service needs the folder to start"


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


def test_a_removal_waits_for_the_card_before_its_program_goes() -> None:
    """dpkg deletes /opt/submeter after this script; what the unit found is put back by a program in there."""
    script = (ROOT / "packaging/debian/prerm").read_text()
    stops = [line for line in script.splitlines() if "deb-systemd-invoke stop submeter-gateway" in line]
    assert len(stops) == 1
    assert "submeter-card.service" in stops[0]
    assert "PartOf=submeter-gateway.service" in (ROOT / "systemd/submeter-card.service").read_text()
