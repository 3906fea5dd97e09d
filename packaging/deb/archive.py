"""A tree of files becomes a .deb: control files, checksums, and the same bytes for the same tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deb.target import Target

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
_CONTROL = """\
Package: submeter-gateway
Version: {version}
Architecture: {architecture}
Maintainer: Submeter Gateway contributors
Installed-Size: {size}
Depends: python3 (>= {python}), python3 (<< {next_python}), libc6, systemd, udev, passwd
Suggests: avahi-daemon
Section: net
Priority: optional
Description: energy meters to MQTT, every reading exactly once
 Reads Modbus RTU, Modbus TCP and pulse meters of a building, keeps every
 reading in a journal on this machine, and delivers it to a platform over
 MQTT; has a status page in Turkish and English.
 .
 Everything that it needs beside Python is inside: it is installed without
 a network.
"""


def seal(
    tree: Path,
    scripts: Path,
    target: Target,
    *,
    version: str,
    epoch: int,
    out: Path,
    squeeze: tuple[str, ...] = ("-Zxz", "-z2"),
) -> Path:
    """Write the control files into `tree` and make the package of it in `out`; its path.

    Every time in it is `epoch` (s since 1970), every owner root: two builds of one tree give the same bytes.
    """
    control = tree / "DEBIAN"
    control.mkdir()
    for name in SCRIPTS:
        shutil.copyfile(scripts / name, control / name)
        (control / name).chmod(0o755)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if control not in path.parents]
    sums = [(hashlib.md5(path.read_bytes()), path.relative_to(tree)) for path in files]  # noqa: S324 - as dpkg has it
    (control / "md5sums").write_text("".join(f"{known.hexdigest()}  {path}\n" for known, path in sums))
    configured = [path for path in files if tree / "etc" in path.parents]
    if configured:
        (control / "conffiles").write_text("".join(f"/{path.relative_to(tree)}\n" for path in configured))
    text = _CONTROL.format(
        version=target.version(version),
        architecture=target.architecture,
        size=sum(-(-path.stat().st_size // 1024) for path in files),
        python=target.python,
        next_python=target.next_python,
    )
    (control / "control").write_text(text)
    settle(tree, epoch)
    out.mkdir(parents=True, exist_ok=True)
    package = out / target.file_name(version)
    options = ["--root-owner-group", "--threads-max=1", *squeeze]
    command = ["dpkg-deb", *options, "--build", str(tree), str(package)]
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    )
    return package


def settle(tree: Path, epoch: int) -> None:
    """Rights and times that depend on neither the builder's umask nor the hour."""
    for path in (*tree.rglob("*"), tree):
        if path.is_symlink():
            os.utime(path, (epoch, epoch), follow_symlinks=False)
            continue
        runs = path.is_dir() or (path.stat().st_mode & 0o100 and "site-packages" not in path.parts)
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch))
