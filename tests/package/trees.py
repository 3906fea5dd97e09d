"""Fresh Debian trees to install into: made once by debootstrap, from the mirror of this machine's apt."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREES = ROOT / "build" / "trees"
WITHIN = "systemd,systemd-sysv,dbus,udev,python3,ca-certificates,kmod,libpam-systemd,procps,iproute2"
"""What a Raspberry Pi OS Lite has and the smallest Debian has not, as far as the package needs it."""


class CannotRun(Exception):
    """A step that this machine cannot make; the message is the reason."""


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


def fresh(suite: str, architecture: str = "") -> Path:
    """The tree of a suite as debootstrap leaves it, for copies; of this machine's architecture, or of another
    one that is emulated here. Raises CannotRun with the reason.
    """
    tree = TREES / (f"{suite}-{architecture}" if architecture else suite)
    if (tree / "made").exists():
        return tree
    if shutil.which("debootstrap") is None:
        raise CannotRun("debootstrap is not installed: apt install debootstrap")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    other = [f"--arch={architecture}"] if architecture else []
    command = ["debootstrap", *other, "--variant=minbase", f"--include={WITHIN}", suite, str(tree), mirror()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(tree, ignore_errors=True)
        raise CannotRun(f"debootstrap {suite} failed: {done.stdout.strip().splitlines()[-1:]}")
    # Whatever is installed later comes from the package alone.
    for source in (tree / "etc/apt").glob("sources.list*"):
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    (tree / "made").touch()
    return tree


@contextmanager
def copy(suite: str, into: Path, architecture: str = "") -> Iterator[Path]:
    """A copy of a suite's tree, deleted at the end."""
    tree = into / f"{suite}{architecture}"
    source = fresh(suite, architecture)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(tree)], check=True)
    try:
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)
