"""What the package puts where: the files of a gateway below a folder that stands for /."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deb.libraries import BuildError, unpack
from deb.manual import completion, manual
from deb.target import Target
from gateway.common.file_versions import WRITABLE

ROOT = Path(__file__).parents[2]
HOME = Path("opt/submeter")
_COMMAND = """\
#!/opt/submeter/bin/python -I
from gateway.cli import main

main()
"""
_ENVIRONMENT = """\
home = /usr/bin
include-system-site-packages = false
version = {python}
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: submeter-gateway

Files: *
Copyright: Submeter Gateway contributors
License: Apache-2.0
 The text is in /usr/share/common-licenses/Apache-2.0. The libraries below
 /opt/submeter/lib carry their own licenses, each in its *.dist-info; what is
 inside is listed in /usr/share/doc/submeter-gateway/sbom.cdx.json.
"""
FILES = {
    "packaging/files/60-submeter.rules": "usr/lib/udev/rules.d/60-submeter.rules",
    "packaging/files/submeter.sysusers": "usr/lib/sysusers.d/submeter.conf",
    "packaging/files/60-submeter.journald": "usr/lib/systemd/journald.conf.d/60-submeter.conf",
    "packaging/files/60-submeter.system": "usr/lib/systemd/system.conf.d/60-submeter.conf",
    "systemd/submeter-gateway.service": "usr/lib/systemd/system/submeter-gateway.service",
    "systemd/submeter-clock.service": "usr/lib/systemd/system/submeter-clock.service",
    "systemd/submeter-upgrade.service": "usr/lib/systemd/system/submeter-upgrade.service",
    "systemd/submeter-card.service": "usr/lib/systemd/system/submeter-card.service",
    "systemd/submeter-backup.service": "usr/lib/systemd/system/submeter-backup.service",
    "systemd/submeter-backup.timer": "usr/lib/systemd/system/submeter-backup.timer",
    "systemd/submeter-provision.service": "usr/lib/systemd/system/submeter-provision.service",
    "systemd/submeter-enroll.service": "usr/lib/systemd/system/submeter-enroll.service",
    "systemd/submeter-install.service": "usr/lib/systemd/system/submeter-install.service",
    "systemd/submeter-install.path": "usr/lib/systemd/system/submeter-install.path",
    "systemd/submeter-apply.path": "usr/lib/systemd/system/submeter-apply.path",
    "systemd/submeter-apply.service": "usr/lib/systemd/system/submeter-apply.service",
    "systemd/submeter-recover.service": "usr/lib/systemd/system/submeter-recover.service",
    "systemd/submeter-sign.service": "usr/lib/systemd/system/submeter-sign.service",
}
UPGRADE = "packaging/upgrade/submeter_upgrade.py"
"""Runs beside whatever version is on trial: it loads nothing of the program."""
AVAHI = "systemd/submeter-gateway.avahi.service"
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/submeter",
    "zsh": "usr/share/zsh/vendor-completions/_submeter",
    "fish": "usr/share/fish/vendor_completions.d/submeter.fish",
}
DOCUMENTS = ("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE")


def site_packages(target: Target) -> Path:
    """Where the libraries lie, from /."""
    return HOME / "lib" / f"python{target.python}" / "site-packages"


def own_wheel(folder: Path, epoch: int) -> Path:
    """The program itself as a wheel."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]  # fmt: skip
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(f"the program could not be made a wheel:\n{done.stderr.strip()}")
    return next(folder.glob("submeter_gateway-*.whl"))


def lay_out(tree: Path, wheels: list[Path], target: Target, version: str) -> None:
    """Everything but the control files and the list of what is inside."""
    site = tree / site_packages(target)
    for wheel in wheels:
        unpack(wheel, site)
    _environment(tree / HOME, target)
    _link(tree / "usr/bin/submeter", "/opt/submeter/bin/submeter")
    for source, place in FILES.items():
        _copy(ROOT / source, tree / place)
    _copy(ROOT / UPGRADE, tree / "usr/lib/submeter/submeter-upgrade")
    (tree / "usr/lib/submeter/submeter-upgrade").chmod(0o755)
    _write(tree / "usr/lib/submeter/versions.json", json.dumps(WRITABLE, indent=1) + "\n")
    if (ROOT / AVAHI).exists():
        _copy(ROOT / AVAHI, tree / "etc/avahi/services/submeter-gateway.service")
    for shell, place in COMPLETIONS.items():
        _write(tree / place, completion(shell))
    for language, folder in (("en", "man1"), ("tr", "tr/man1")):
        _write(tree / "usr/share/man" / folder / "submeter.1", manual(language, version))
    _documents(tree)


def _environment(home: Path, target: Target) -> None:
    # Laid out like a virtual environment: this Python, and processes of our own (`sys.executable -m …`), find
    # what is inside and nothing else, no dist-packages of the machine.
    _write(home / "pyvenv.cfg", _ENVIRONMENT.format(python=target.python))
    _link(home / "bin/python", f"/usr/bin/python{target.python}")
    _write(home / "bin/submeter", _COMMAND)
    (home / "bin/submeter").chmod(0o755)


def _documents(tree: Path) -> None:
    folder = tree / HOME / "share/doc/submeter-gateway"
    for name in DOCUMENTS:
        if (ROOT / name).exists():
            _copy(ROOT / name, folder / name)
    for name in ("docs", "config", "drivers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    _write(tree / "usr/share/doc/submeter-gateway/copyright", _COPYRIGHT)


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def _link(place: Path, to: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)
