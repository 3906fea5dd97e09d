"""A Debian of a suite and an architecture in a folder: made once by debootstrap, from the mirror of this
machine's apt, and emulated where it is another architecture's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deb.emulation import emulated, own_architecture
from deb.libraries import CannotRun
from deb.target import Target

TREES = Path(__file__).parents[2] / "build" / "trees"
HOLDS = {
    # What a Raspberry Pi OS Lite has and the smallest Debian has not, as far as the package needs it.
    "gateway": "systemd,systemd-sysv,dbus,udev,python3,ca-certificates,kmod,libpam-systemd,procps,iproute2",
    # What compiles the libraries that have no wheel.
    "workshop": "gcc,libc6-dev,libffi-dev,libyaml-dev,python3-dev,swig",
}
"""Purpose of a tree → what is in it beside the smallest Debian."""
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
}


def mirror() -> str:
    """The Debian mirror of this machine's apt."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    for line in said.splitlines():
        address, _, whose = line.partition(" ")
        if whose == "Debian Debian":
            return address
    raise CannotRun("apt knows no mirror of Debian here")


def fresh(target: Target, purpose: str = "gateway") -> Path:
    """The tree for a purpose as debootstrap leaves it, for copies. Raises CannotRun with the reason."""
    if os.geteuid():
        raise CannotRun("a tree of Debian is root's to make: run it as root")
    if target.architecture != own_architecture():
        emulated(target.architecture)
    tree = TREES / f"{purpose}-{target.suite}-{target.architecture}"
    if (tree / "made").exists():
        return tree
    if shutil.which("debootstrap") is None:
        raise CannotRun("debootstrap is not installed: apt install debootstrap")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    command = ["debootstrap", f"--arch={target.architecture}", "--variant=minbase",
               f"--include={HOLDS[purpose]}", target.suite, str(tree), mirror()]  # fmt: skip
    # A tree that a power cut spoils is made anew: dpkg need not wait for the disk.
    environment = {**os.environ, "DPKG_FORCE": "unsafe-io"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        shutil.rmtree(tree, ignore_errors=True)
        raise CannotRun(f"debootstrap {target.suite} failed: {done.stdout.strip().splitlines()[-1:]}")
    # Whatever is installed later comes from the package alone.
    for source in (tree / "etc/apt").glob("sources.list*"):
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    (tree / "made").touch()
    return tree


@contextmanager
def copy(target: Target, into: Path, purpose: str = "gateway") -> Iterator[Path]:
    """A copy of a tree, deleted at the end."""
    source = fresh(target, purpose)
    tree = into / source.name
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(tree)], check=True)
    try:
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def inside(tree: Path, *command: str, network: bool = False) -> list[str]:
    """The command line that runs a command in the tree; with the network of whoever calls, or with none."""
    apart = ["--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={tree}/proc"]
    return ["unshare", *([] if network else ["--net"]), *apart, "chroot", str(tree), *command]


def ask(
    tree: Path, *command: str, patience: float, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command in the tree, without a network, ended after `patience` s."""
    return subprocess.run(
        inside(tree, *command), capture_output=True, text=True, check=False, timeout=patience,
        stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **(environment or {})},
    )  # fmt: skip
