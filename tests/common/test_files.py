"""Files that are written whole or not at all, and stay."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.common.files import give_back, let_read, replacing, sync_folder, write_durably


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("mode", [None, 0o600, 0o640, 0o644])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_is_written_with_its_permissions_and_nothing_is_left_beside_it(tmp_path, old, mode) -> None:
    path = tmp_path / "a.json"
    if old is not None:
        path.write_bytes(old)
    umask = os.umask(0o027)
    try:
        write_durably(path, b"new", mode=mode)
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == (0o640 if mode is None else mode)
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_belongs_to_its_owner_before_it_takes_the_place(tmp_path) -> None:
    path = tmp_path / "a.json"
    write_durably(path, b"x", mode=0o640, owner=(12, 34))
    about = path.stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (12, 34, 0o640)


def test_whose_a_file_is_already_is_not_asked_for(tmp_path, monkeypatch) -> None:
    """A service without that right writes its own files."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refused)
    write_durably(tmp_path / "a", b"new", owner=(os.getuid(), tmp_path.stat().st_gid))
    assert (tmp_path / "a").read_bytes() == b"new"


def test_nobody_else_reads_a_file_that_is_being_written(tmp_path) -> None:
    with replacing(tmp_path / "secret", mode=0o644):
        (fresh,) = tmp_path.iterdir()
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o600


@pytest.mark.parametrize("fails", ["owner", "disk", "rename"])
def test_what_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch, fails) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    match fails:
        case "owner":
            monkeypatch.setattr(os, "fchown", refused)
        case "disk":
            monkeypatch.setattr(os, "fsync", refused)
        case "rename":
            monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new", owner=(os.getuid() + 1, os.getgid()))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_who_writes_it_may_give_it_up(tmp_path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def half_of_it() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise ValueError("no backup")

    with pytest.raises(ValueError, match="no backup"):
        half_of_it()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("left", ["file", "link"])
def test_what_a_power_cut_left_beside_it_is_not_written_into(tmp_path, left) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"of somebody else")
    fresh = tmp_path / ".a.json.new"
    if left == "link":
        fresh.symlink_to(other)
    else:
        fresh.write_bytes(b"half of a ")
    write_durably(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"new"
    assert other.read_bytes() == b"of somebody else"
    assert names(tmp_path) == ["a.json", "other"]


def test_content_is_on_the_disk_before_the_name_and_the_name_before_it_returns(tmp_path, monkeypatch) -> None:
    done: list[object] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        about = os.fstat(handle)
        done.append("folder" if stat.S_ISDIR(about.st_mode) else about.st_size)
        fsync(handle)

    def renamed(fresh: Path, to: Path) -> Path:
        done.append("rename")
        return replace(fresh, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_durably(tmp_path / "a.json", b"12345")
    assert done == [5, "rename", "folder"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_made_durable_is_told_where_it_could_be(
    tmp_path, monkeypatch, number
) -> None:
    """A share of the network may know no such thing for folders: EINVAL."""

    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    told = pytest.raises(OSError, match="Input/output") if number == errno.EIO else nullcontext()
    with told:
        sync_folder(tmp_path)


OURS = "sudo chown -R submeter: /j"


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("owner", "user", "here", "elsewhere"),
    [
        ("root", "submeter", OURS + " (was", OURS + " (was"),
        ("ali", "submeter", OURS + " (was", OURS + " (was"),
        ("root", "ali", OURS + ", then sudo systemctl start", "sudo chown -R ali: /j (was"),
        ("submeter", "ali", "sudo systemctl start submeter-gateway, or go", "go on as the user submeter"),
        ("eda", "ali", OURS + ", then sudo systemctl start", "go on as the user eda"),
    ],
)  # fmt: skip
def test_a_folder_is_given_to_whom_it_should_belong(  # noqa: PLR0917 - a case
    owner, user, here, elsewhere, installed, monkeypatch
) -> None:
    """Who asks does not take it away from the service."""

    def entry(name: str) -> SimpleNamespace:
        if not installed:
            raise KeyError(name)
        return SimpleNamespace(pw_uid=999)

    monkeypatch.setattr(pwd, "getpwnam", entry)
    assert give_back(Path("/j"), owner, user).startswith(here if installed else elsewhere)


@pytest.mark.parametrize(
    ("service", "mend"),
    [(os.geteuid(), "sudo chgrp submeter /f && sudo chmod 640 /f"), (os.geteuid() + 1, "use sudo")],
)
def test_what_the_service_may_not_read_is_let_to_its_group(service, mend, monkeypatch) -> None:
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: SimpleNamespace(pw_uid=service))
    assert let_read(Path("/f")).startswith(mend)
