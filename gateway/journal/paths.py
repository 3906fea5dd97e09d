"""What stands under a name: a file, or something in its place. Nothing here ever waits for a FIFO or
writes through a link.
"""

from __future__ import annotations

import logging
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from gateway.common.files import give_back
from gateway.errors import JournalFull

log = logging.getLogger(__name__)

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


def standing(path: Path, *, link: bool = False, kind: int = stat.S_IFREG) -> str:
    """What stands in the place of a file (of a folder with S_IFDIR), in words; empty when it is one, or
    nothing is there.

    `link`: a link that leads to one is as good.
    """
    try:
        found = path.lstat().st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(found) and link:
        try:
            found = path.stat().st_mode
        except OSError:
            return "a link that leads nowhere"
    if stat.S_IFMT(found) == kind:
        return ""
    return "a file" if stat.S_ISREG(found) else _KINDS.get(stat.S_IFMT(found), "something that is no file")


def real(path: Path) -> Path:
    """The file that a link leads to; the path itself when it is no link, or one that leads to no file."""
    return Path(os.path.realpath(path)) if path.is_symlink() and not standing(path, link=True) else path


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside another: it follows a link first."""
    at = real(path)
    return at.with_name(at.name + suffix)


def open_regular(path: Path) -> int:
    """A handle to read a file with. Raises OSError, also for what is no file."""
    handle = os.open(real(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(0, f"{path} is no file")
    return handle


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file. Raises OSError, also for what is no file."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read(most)


def size_of(path: Path) -> int | None:
    """Bytes of a file; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def aside(path: Path) -> Path:
    """Give what stands there another name in the same folder, the first that is free. Raises OSError."""
    number = 1
    while os.path.lexists(to := path.with_name(f"{path.name}.aside-{number}")):
        number += 1
    path.rename(to)
    return to


def clear(path: Path, *, link: bool = False, kind: int = stat.S_IFREG) -> None:
    """Move aside what stands in the place of a file, and say so. What cannot be moved stays: whoever opens
    it is told.
    """
    if what := standing(path, link=link, kind=kind):
        with suppress(OSError):
            log.warning("%s stood in the place of %s and was moved to %s", what, path, aside(path))


def blocked(path: Path) -> Path | None:
    """The folder or the file of a journal that this process may not use; None when it is not a matter of
    rights.
    """
    if closed := _closed(path.parent):
        return closed
    if path.parent.exists() and not path.parent.is_dir():
        return None  # what stands there is no folder: no rights make it one
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return None  # the kernel itself refuses: that is the card, or how it is mounted
    except OSError:
        pass
    if path.parent.exists() and not _may(path.parent, os.R_OK | os.W_OK | os.X_OK):
        return path.parent
    files = (path, beside(path, "-wal"))
    return next((each for each in files if each.exists() and not _may(each, os.R_OK | os.W_OK)), None)


def _closed(folder: Path) -> Path | None:
    """The first folder on the way to this one that may not be searched."""
    return next(
        (each for each in reversed(folder.parents) if each.is_dir() and not _may(each, os.X_OK)), None
    )


def _may(place: Path, mode: int) -> bool:
    return os.access(place, mode, effective_ids=True)


def not_ours(path: Path, place: Path) -> JournalFull:
    """What to tell about a journal of another user, or in a folder of another."""
    user, owner = _name(os.geteuid()), _name(place.stat().st_uid)
    if place in path.parent.parents:
        return JournalFull(
            f"{place} belongs to {owner} and may not be searched by the user {user}",
            hint=f"sudo chmod o+x {place}; readings wait in memory until then",
        )
    return JournalFull(
        f"{place} belongs to {owner} and may not be written by the user {user}",
        hint=f"{give_back(path.parent, owner, user)}; readings wait in memory until then",
    )


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
