"""Installing, upgrading, going back, removing and purging in a fresh tree without a running systemd."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from deb.debian import ENVIRONMENT, ask, inside
from deb.tree import ROOT
from gateway.demo.show.self_check import committed
from tests.rig import rig, until

OFFLINE = ("-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=/dev/null")
PATIENCE = 3600.0
"""s; emulated, compiling the program takes its time."""
EMULATED = {"QEMU_GUEST_BASE": "0x100000000"}
"""An emulated 32-bit process reads the emulator's addresses in /proc/self/smaps; the daemon, which gives back
memory by them, is right when they differ from its own by what 32 bits do not hold.
"""
TEN_SECONDS = 10_000
"""ms."""
CONFIGURED = "gateway: {id: izm-1, name: Kept}\nclock: {trust: system}\n"


def run(tree: Path, *command: str, patience: float = PATIENCE) -> str:
    """What a command says in the tree, without a network. Raises AssertionError when it fails."""
    done = ask(tree, *command, patience=patience)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def apt(tree: Path, *words: str) -> str:
    """apt-get, with no source but the file itself."""
    return run(tree, "apt-get", *OFFLINE, "-y", "--no-install-recommends", *words)


def put(tree: Path, package: Path) -> str:
    """Lay a package into the tree: its path there."""
    place = tree / "srv" / package.name
    place.write_bytes(package.read_bytes())
    return f"/srv/{package.name}"


def owners(tree: Path) -> dict[str, str]:
    """Owner, group and rights of the folders of data, as the tree calls them."""
    said = run(
        tree, "stat", "--format=%n %U:%G %a", "/etc/submeter", "/etc/submeter/drivers", "/var/lib/submeter"
    )
    return dict(line.split(" ", 1) for line in said.splitlines())


def versions(tree: Path) -> str:
    """The version of the package that is installed in full; empty for none."""
    said = subprocess.run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f=${db:Status-Abbrev} ${Version}",
         "submeter-gateway"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return said.removeprefix("ii").strip() if said.startswith("ii") else ""


def lives(tree: Path, older: Path, newer: Path) -> list[str]:
    """A package's whole life in a tree; what held, a line each."""
    said = apt(tree, "install", put(tree, older))
    assert "submeter setup" in said
    assert owners(tree) == {
        "/etc/submeter": "root:submeter 750",
        "/etc/submeter/drivers": "root:submeter 750",
        "/var/lib/submeter": "submeter:submeter 750",
    }
    groups = run(tree, "id", "-nG", "submeter").split()
    assert {"submeter", "dialout", "gpio"} <= set(groups), groups
    assert "submeter, version" in run(tree, "submeter", "--version")
    assert "eastron-sdm630" in run(tree, "submeter", "drivers", "list")
    assert run(tree, "dpkg", "--verify", "submeter-gateway") == ""
    assert (tree / "etc/systemd/system/multi-user.target.wants/submeter-gateway.service").is_symlink()
    assert (
        run(tree, "/opt/submeter/bin/python", "-c", "import sys; print(sys.path)").count("dist-packages") == 0
    )
    compiled = len(list((tree / "opt/submeter/lib").rglob("*.pyc")))
    assert compiled > 300, compiled

    (tree / "etc/submeter/gateway.yaml").write_text(CONFIGURED)
    (tree / "var/lib/submeter/journal.db").write_bytes(b"kept")
    before = versions(tree)
    apt(tree, "install", put(tree, newer))
    after = versions(tree)
    assert before != after, (before, after)
    apt(tree, "install", "--allow-downgrades", f"/srv/{older.name}")
    assert versions(tree) == before
    kept(tree)
    assert "submeter, version" in run(tree, "submeter", "--version")

    apt(tree, "remove", "submeter-gateway")
    assert versions(tree) == ""
    assert not (tree / "opt/submeter").exists(), list((tree / "opt/submeter").rglob("*"))[:5]
    kept(tree)
    apt(tree, "install", f"/srv/{newer.name}")
    kept(tree)
    apt(tree, "purge", "submeter-gateway")
    for place in ("etc/submeter", "var/lib/submeter", "opt/submeter", "usr/bin/submeter"):
        assert not (tree / place).exists(), place
    assert not (tree / "etc/systemd/system/multi-user.target.wants/submeter-gateway.service").is_symlink()
    assert "submeter" not in (tree / "etc/passwd").read_text()
    return [
        f"installed without a network ({compiled} modules compiled), upgraded {before} → {after}, taken "
        f"back, removed (data kept), installed again, purged (nothing left)"
    ]


APT = """\
#!/bin/sh
# What make has built lies at the same place inside; without that apt-get finds nothing of that name.
mkdir -p "{tree}/dist"
cp dist/*.deb "{tree}/dist/" || exit 1
exec {command} "$@"
"""


def from_checkout(tree: Path, package: Path) -> str:
    """`make install` and `make uninstall` of the checkout as root of a machine calls them, with the apt of a
    tree for this machine's, and its release.
    """
    with tempfile.TemporaryDirectory(prefix="submeter-checkout-") as scratch:
        program = Path(scratch) / "apt-get"
        program.write_text(APT.format(tree=tree, command=" ".join(inside(tree, "apt-get", *OFFLINE))))
        program.chmod(0o755)

        def make(*words: str) -> str:
            release = f'mount --bind "{tree}/etc/os-release" /etc/os-release && exec make "$@"'
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", release, "make", *words],
                capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=ROOT,
                stdin=subprocess.DEVNULL,
                env={**ENVIRONMENT, "PATH": f"{scratch}:{ENVIRONMENT['PATH']}"},
            )  # fmt: skip
            assert done.returncode == 0, f"make {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done.stdout + done.stderr

        assert "submeter setup" in make("install")
        assert (tree / "dist" / package.name).read_bytes() == package.read_bytes()
        assert "submeter, version" in run(tree, "submeter", "--version")
        assert run(tree, "dpkg", "--verify", "submeter-gateway") == ""
        (tree / "etc/submeter/gateway.yaml").write_text(CONFIGURED)
        (tree / "var/lib/submeter/journal.db").write_bytes(b"kept")
        make("install")
        kept(tree)
        make("uninstall")
        assert versions(tree) == ""
        kept(tree)
        make("uninstall", "PURGE=1")
    for place in ("etc/submeter", "var/lib/submeter", "opt/submeter", "usr/bin/submeter"):
        assert not (tree / place).exists(), place
    return (
        "`make install` of the checkout builds and installs the same bytes, and again over itself; "
        "`make uninstall` keeps configuration and readings, and leaves nothing with PURGE=1"
    )


def runs(tree: Path, package: Path, folder: Path) -> list[str]:
    """A package of another architecture, emulated: installed, asked, and run against simulated meters."""
    said = run(tree, "dpkg", "--print-architecture").strip()
    apt(tree, "install", put(tree, package))
    assert "submeter, version" in run(tree, "submeter", "--version")
    tables = run(tree, "submeter", "drivers", "list")
    assert "eastron-sdm630" in tables
    slaves = [{"unit": 1, "meter": "m1", "image": {"driver": "eastron-sdm630", "circuit": "main"}}]
    with rig(folder, {"seed": 1, "servers": [{"name": "plant", "slaves": slaves}]}) as site:
        host, port = site.simulator.addresses["plant"] if site.simulator else ("", 0)
        bus = {"name": "plant", "type": "tcp", "host": host, "port": port, "timeout": "5s"}
        meter = {"id": "m1", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s"}
        configuration = {
            "gateway": {"id": "izm-1", "commit_interval": "1s"}, "clock": {"trust": "system"},
            "status": {"enabled": False}, "buses": [bus], "meters": [meter],
            "journal": {"directory": "/srv/state"},
        }  # fmt: skip
        (tree / "srv/gateway.yaml").write_text(json.dumps(configuration))
        # It ends when nothing more can come over its input.
        command = inside(
            tree, "sh", "-c", "submeter run /srv/gateway.yaml & read _; kill $!; wait", network=True
        )
        with (folder / "run.log").open("wb") as log, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**ENVIRONMENT, **EMULATED}
        ) as process:  # fmt: skip
            try:
                # Emulated, it takes its time to start: ten seconds are counted from the first answer.
                until(lambda: lasted(site.serves()) >= TEN_SECONDS, PATIENCE, "it reads for ten seconds", 0.5)
            finally:
                process.communicate(timeout=PATIENCE)
        served = len(site.serves())
    assert (tree / "srv/state/journal.db").exists(), (folder / "run.log").read_text()[-2000:]
    batches = committed(tree / "srv/state/journal.db")
    assert len(batches) >= 5, batches
    return [
        f"installed, `submeter --version` and `drivers list` ({said}), and a run against a simulated meter: "
        f"{served} replies, {len(batches)} batches committed"
    ]


def lasted(serves: list[dict[str, Any]]) -> int:
    """ms from the first to the newest answer of the simulated meters."""
    return serves[-1]["t"] - serves[0]["t"] if serves else 0


def kept(tree: Path) -> None:
    """Configuration and journal are as they were."""
    assert (tree / "etc/submeter/gateway.yaml").read_text() == CONFIGURED
    assert (tree / "var/lib/submeter/journal.db").read_bytes() == b"kept"
