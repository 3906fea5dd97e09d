"""Small files: read whole, never more than a bound, never from what is no file; written whole or not
at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gateway.common.text import flaw

MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors of Windows put in front of UTF-8: no part of the text."""
SERVICE = "submeter"
"""The user that the service runs as (systemd/submeter-gateway.service)."""
SECRETS = Path("/etc/submeter/secrets")
"""Files that root alone may read: systemd hands them over to the service when it starts (LoadCredential=)."""
LOAD_SECRETS = "sudo systemctl restart submeter-gateway: it is handed over to the service at its start"
"""What helps with a file that root put among them after the start."""
MAX_SECRET = 64 * 1024
_AT_ONCE = 1 << 20
_STDIN, _HANDED_OVER = Path("/dev/stdin"), frozenset({Path("/dev/fd"), Path("/proc/self/fd")})
"""How the shell names what it has opened for a command."""
PENDING, NEXT = ".pending", ".next"
"""Behind the name of a key that waits for its certificate, and of files that are about to take over."""


def has_service() -> bool:
    """Whether the gateway is installed here as a service, with a user of its own."""
    return _number_of(SERVICE) is not None


def _number_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def give_back(folder: Path, owner: str, user: str) -> str:
    """What to do about a folder of the gateway that belongs to `owner` and that `user` may not write.

    It is the service's where there is one, whoever asks: taking it away would stop the service. Elsewhere it
    is whose who began it, or, after root, whose who goes on.
    """
    installed = has_service()
    if user == SERVICE or (owner == "root" and not installed):
        return f"sudo chown -R {user}: {folder} (was the gateway started by hand as another user?)"
    if not installed:
        return f"go on as the user {owner} (sudo -u {owner}), or hand it over: sudo chown -R {user}: {folder}"
    if owner == SERVICE:
        return f"sudo systemctl start submeter-gateway, or go on as its user (sudo -u {SERVICE})"
    return f"sudo chown -R {SERVICE}: {folder}, then sudo systemctl start submeter-gateway"


def let_read(path: Path) -> str:
    """What to do about a file of the gateway that this user may not read."""
    return open_to(SERVICE, path) if os.geteuid() == _number_of(SERVICE) else "use sudo"


def open_to(group: str, path: Path) -> str:
    """What to do so that a group may read a file."""
    return f"sudo chgrp {group} {path} && sudo chmod 640 {path}, and the folders on its way likewise (750)"


def as_loaded(path: Path) -> Path:
    """Where this process reads a file: one of `SECRETS` as systemd has handed it over, when it has
    (systemd.exec(5), LoadCredential= of a folder), every other one where it lies.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and path.parent == SECRETS and (loaded := Path(folder, f"{SECRETS.name}_{path.name}")).exists():
        return loaded
    return path


def is_missing(path: Path) -> bool:
    """Whether a file is not there, `as_loaded`; one that may not be looked at is."""
    try:
        as_loaded(path).stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes, `as_loaded`. Raises OSError, its `strerror` in
    words.

    A device or a pipe would hold up whoever reads it, for ever or until memory is full: size and kind are
    asked of what was opened.
    """
    with _open_regular(as_loaded(path)) as file:
        return _bounded(file, path, most)


def open_given(path: Path) -> BinaryIO:
    """A file that a command was given, to be read: a regular one, or what the shell hands over by /dev/stdin
    or /dev/fd/N (`<(…)`), which ends when the shell says so. Raises OSError, its `strerror` in words.
    """
    return path.open("rb") if path == _STDIN or path.parent in _HANDED_OVER else _open_regular(path)


def read_given(path: Path, most: int) -> bytes:
    """The bytes of such a file, at most `most` of them. Raises OSError, its `strerror` in words."""
    with open_given(path) as file:
        return _bounded(file, path, most)


def _open_regular(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def _bounded(file: BinaryIO, path: Path, most: int) -> bytes:
    data, left = bytearray(), most + 1
    while left and (part := file.read(min(left, _AT_ONCE))):  # it asks for the memory before it reads
        data += part
        left -= len(part)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(path))
    return bytes(data)


def write_durably(
    path: Path, data: bytes, *, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Put a file in its place, whole or not at all, on the disk when this returns: see `replacing`."""
    with replacing(path, mode=mode, owner=owner) as file:
        file.write(data)


@contextmanager
def replacing(
    path: Path, *, mode: int | None = None, owner: tuple[int, int] | None = None
) -> Iterator[BinaryIO]:
    """An empty file beside `path` that takes its place at the end; what raises leaves `path` as it was.

    `mode`: its permission bits, otherwise what the umask leaves; nobody else can read it before it has them.
    `owner`: user and group, otherwise this process's. Raises OSError.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(fresh, flags, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            made = os.fstat(handle)
            if owner not in {None, (made.st_uid, made.st_gid)}:  # whose it is already needs no right to that
                os.fchown(handle, *owner)
            if mode is not None:  # behind the owner, whose change clears bits of it
                os.fchmod(handle, mode)
        put_in_place(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def owner_of(folder: Path) -> tuple[int, int] | None:
    """Whose a file in this folder must be that root makes: user and group; None for who is not root."""
    about = folder.stat()
    return (about.st_uid, about.st_gid) if os.geteuid() == 0 else None


def put_in_place(fresh: Path, path: Path) -> None:
    """Rename a finished file; a power cut takes neither its content nor its name. Raises OSError."""
    handle = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems of the network have no such thing for folders
            raise
    finally:
        os.close(handle)


def read_secret(path: Path) -> str:
    """A password or token: the one line of a UTF-8 file. Raises OSError, and ValueError with what is wrong,
    never with the secret.

    A byte order mark and one line end of either kind are no part of it.
    """
    data = read_regular(path, MAX_SECRET).removeprefix(MARK)
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise ValueError("is UTF-16 text: save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    if rest.strip("\n"):
        raise ValueError("has more than one line: leave only the line with the secret")
    if what := flaw(first):
        raise ValueError(f"{what}: write it again by hand")
    return first
