"""`make install` and `make uninstall` of a checkout do what the package does: it is the package that they
build, install and remove. Its own scripts are tried in Debian trees by `make prove-package`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deb.target import SUITES
from deb.tree import ROOT

RELEASE = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
pytestmark = [
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg is not installed"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
    pytest.mark.skipif(
        RELEASE.get("VERSION_CODENAME") not in SUITES, reason="this machine is no such Debian"
    ),
]
BUILD = """\
#!{python}
# A small package of the asked-for suite and architecture, by the name that the real one has.
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {packaging!r})
from deb.target import Target
words = sys.argv[1:]
open("asked", "a").write(" ".join(words) + "\\n")
options = dict(zip(words[2::2], words[3::2]))
target = Target(options["--suite"], options["--arch"])
work = Path("work")
(work / "DEBIAN").mkdir(parents=True, exist_ok=True)
(work / "DEBIAN/control").write_text(
    f"Package: submeter-gateway\\nVersion: {{target.version('1.2.3')}}\\n"
    f"Architecture: {{target.architecture}}\\n"
    "Maintainer: Test <test@example.com>\\nDescription: test\\n"
)
(work / "DEBIAN/conffiles").write_text("/etc/submeter/gateway.yaml\\n")
for place, text in (("etc/submeter/gateway.yaml", "sample"), ("usr/bin/submeter", "program")):
    (work / place).parent.mkdir(parents=True, exist_ok=True)
    (work / place).write_text(text)
Path("dist").mkdir(exist_ok=True)
made = Path("dist") / target.file_name("1.2.3")
subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(work), str(made)], check=True)
"""
APT = """\
#!/bin/sh
echo "$*" >>apt
for last; do :; done
case "$1" in
install) exec dpkg --root="{root}" --force-not-root --install "$last" ;;
remove | purge) exec dpkg --root="{root}" --force-not-root "--$1" "$last" ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """The Makefile in a folder of its own; its builder and its apt-get work below that folder."""
    folder, root = tmp_path / "checkout", tmp_path / "root"
    for place in ("requirements", "venv/bin", "programs", "dist"):
        (folder / place).mkdir(parents=True)
    for place in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / place).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    shutil.copy(ROOT / "Makefile", folder)
    for place in ("requirements/demo.lock", "pyproject.toml", "venv/.demo"):
        (folder / place).touch()
    build = BUILD.format(python=sys.executable, packaging=str(ROOT / "packaging"))
    for place, text in (("venv/bin/python", build), ("programs/apt-get", APT.format(root=root))):
        (folder / place).write_text(text)
        (folder / place).chmod(0o755)
    become(folder, 0)
    return folder


def become(folder, user):
    program = folder / "programs/id"
    program.write_text(f"#!/bin/sh\necho {user}\n")
    program.chmod(0o755)


def make(folder, *words):
    path = f"{folder / 'programs'}:/usr/sbin:/sbin:{os.environ['PATH']}"
    own = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "-C", folder, *words, f"VENV={folder / 'venv'}"], capture_output=True, text=True,
        check=False, timeout=300, env={**own, "PATH": path},
    )  # fmt: skip


def test_it_is_the_package_of_this_machine_that_is_built_installed_and_removed(checkout):
    root = checkout.parent / "root"
    (checkout / "dist/submeter-gateway_0.9+deb12_amd64.deb").write_text("an older one, of yesterday")
    done = make(checkout, "install")
    assert done.returncode == 0, done.stdout + done.stderr
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    asked = f"-m deb --suite {RELEASE['VERSION_CODENAME']} --arch {architecture}"
    assert (checkout / "asked").read_text().splitlines() == [asked]
    made = f"./dist/submeter-gateway_1.2.3+deb{RELEASE['VERSION_ID']}_{architecture}.deb"
    words = (checkout / "apt").read_text().split()
    assert words[0] == "install"
    assert words[-1] == made
    assert "--reinstall" in words, "the same version of a changed checkout is installed, too"
    assert "--allow-downgrades" in words
    assert (root / "usr/bin/submeter").read_text() == "program"

    (root / "etc/submeter/gateway.yaml").write_text("the technician's own")
    done = make(checkout, "uninstall")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (root / "usr/bin/submeter").exists()
    assert (root / "etc/submeter/gateway.yaml").read_text() == "the technician's own"
    done = make(checkout, "uninstall", "PURGE=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (root / "etc/submeter/gateway.yaml").exists()


@pytest.mark.parametrize("target", ["install", "uninstall"])
def test_without_root_nothing_is_begun_and_the_command_is_named(checkout, target):
    become(checkout, 1000)
    done = make(checkout, target)
    assert done.returncode != 0
    assert f"sudo make {target}" in done.stdout
    assert not (checkout / "asked").exists()
    assert not (checkout / "apt").exists()


def test_what_cannot_be_built_is_not_installed(checkout):
    (checkout / "venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    assert make(checkout, "install").returncode != 0
    assert not (checkout / "apt").exists()
