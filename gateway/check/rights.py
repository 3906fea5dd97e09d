"""What another user of this machine may do with a file: the mode bits of the file and of each folder on
its way (path_resolution(7)).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway.common.files import SERVICE

_READ, _WRITE, _SEARCH = 4, 2, 1


@dataclass(frozen=True, slots=True)
class User:
    """A user with every group that it is in."""

    name: str
    number: int
    groups: frozenset[int]

    @property
    def group(self) -> str:
        """Its group at login, by name."""
        try:
            return grp.getgrgid(pwd.getpwuid(self.number).pw_gid).gr_name
        except KeyError:
            return str(self.number)

    def may(self, path: Path, *, write: bool = False) -> bool:
        """Whether it may read the file or list the folder, and write it too. Raises OSError when that
        cannot be seen.
        """
        return self.barred(path, write=write) is None

    def barred(self, path: Path, *, write: bool = False) -> Path | None:
        """What keeps it from that: a folder on the way that it may not search, or the place itself; None when
        nothing does. Raises OSError when that cannot be seen.
        """
        resolved = path.resolve()
        for folder in reversed(resolved.parents):
            if not self._allowed(folder.stat(), _SEARCH):
                return folder
        about = resolved.stat()
        wanted = _READ | (_WRITE if write else 0) | (_SEARCH if stat.S_ISDIR(about.st_mode) else 0)
        return None if self._allowed(about, wanted) else path

    def _allowed(self, about: os.stat_result, wanted: int) -> bool:
        if self.number == 0:
            return True
        if about.st_uid == self.number:
            bits = about.st_mode >> 6
        elif about.st_gid in self.groups:
            bits = about.st_mode >> 3
        else:
            bits = about.st_mode
        return bits & wanted == wanted


def service_user() -> User:
    """The user of the service; where there is none, whoever asks."""
    try:
        entry = pwd.getpwnam(SERVICE)
    except KeyError:
        return asking_user()
    return User(entry.pw_name, entry.pw_uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def asking_user() -> User:
    """Whoever asks."""
    number = os.geteuid()
    return User(name_of(number), number, frozenset({os.getegid(), *os.getgroups()}))


def name_of(number: int) -> str:
    """What a user is called; its number when it has no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
