"""Another architecture on this machine: its programs run through qemu-user-static, which the kernel is told.

It remembers as long as this machine runs; the flag F keeps the emulator open, so that a tree needs no copy of
it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from deb.libraries import CannotRun

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_ELF = r"\x7fELF{size}\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00{machine}\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
KINDS = {"arm64": ("aarch64", r"\x02", r"\xb7"), "armhf": ("arm", r"\x01", r"\x28")}
"""Debian's name → qemu's, and in the header of an ELF file (elf(5)) the word size and the machine."""


def own_architecture() -> str:
    """Debian's name of this machine's own architecture; empty where it is no Debian."""
    if shutil.which("dpkg") is None:
        return ""
    command = ["dpkg", "--print-architecture"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def emulated(architecture: str) -> None:
    """Let programs of an architecture run here. Raises CannotRun with the reason."""
    if architecture not in KINDS:
        raise CannotRun(f"{architecture} cannot be emulated here")
    name, size, machine = KINDS[architecture]
    program = shutil.which(f"qemu-{name}-static")
    if program is None:
        raise CannotRun(f"qemu-{name}-static is not installed: apt install qemu-user-static")
    if not (BINFMT / "register").exists():
        command = ["mount", "-t", "binfmt_misc", "none", str(BINFMT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"binfmt_misc cannot be mounted: {done.stderr.strip()}")
    if not (BINFMT / f"qemu-{name}").exists():
        magic = _ELF.format(size=size, machine=machine)
        try:
            (BINFMT / "register").write_text(f":qemu-{name}:M::{magic}:{_MASK}:{program}:F")
        except OSError as error:
            raise CannotRun(f"the kernel takes no emulator: {error.strerror}") from error
