"""submeter.yaml on a FAT file system, as a Raspberry Pi's boot partition is: no owners, no permissions."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.provision import result
from gateway.provisioning import provision
from gateway.provisioning.boot_file import FILE, RESULT

SAMPLE = Path(__file__).parents[2] / "config/gateway.yaml"
PASSWORD = "Xq7-horse battery"
GOOD = f"""\
gateway: {{id: school-7, name: "Okul 7"}}
uplinks:
  - name: city
    url: mqtt://192.0.2.1:1883
    username: school-7
    password: "{PASSWORD}"
"""
SIZE = 40 << 20


class FatCard:
    """An image with a FAT, and the folders of a gateway beside it."""

    def __init__(self, folder: Path) -> None:
        self.image, self.boot, self.etc, self.state = (
            folder / name for name in ("image", "boot", "etc", "state")
        )
        for place in (self.boot, self.etc, self.state):
            place.mkdir()
        self.image.touch()
        os.truncate(self.image, SIZE)
        made = subprocess.run(["mkfs.vfat", self.image], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """The partition, by the kernel's vfat, or by FUSE where the kernel has none."""
        tried = []
        for command in (["mount", "-t", "vfat", "-o", "loop"], ["fusefat", "-o", "rw+"]):
            if shutil.which(command[0]) is None:
                tried.append(f"{command[0]} is not installed")
                continue
            done = subprocess.run(
                [*command, self.image, self.boot], capture_output=True, text=True, check=False, timeout=60
            )
            if done.returncode == 0:
                break
            tried.append((done.stderr or done.stdout).strip())
        else:
            pytest.skip(f"no FAT can be mounted here: {'; '.join(tried)}")
        try:
            yield self.boot
        finally:
            subprocess.run(["umount", self.boot], check=True)

    def laptop(self, text: str) -> None:
        """What somebody writes on the partition."""
        with self.mounted() as boot:
            (boot / FILE).write_text(text)

    def start(self):
        """As at a start of the machine: mounted, looked at, and gone."""
        with self.mounted() as boot:
            return provision(boot, self.etc / "gateway.yaml", SAMPLE, self.state, result)

    def left(self) -> dict[str, str]:
        """What the next laptop finds."""
        with self.mounted() as boot:
            return {file.name: file.read_text(encoding="utf-8-sig") for file in boot.iterdir()}


@pytest.fixture
def card(tmp_path) -> FatCard:
    if os.geteuid() != 0:
        pytest.skip("a file system is mounted by root alone")
    if shutil.which("mkfs.vfat") is None:
        pytest.skip("mkfs.vfat is not installed: apt install dosfstools")
    return FatCard(tmp_path)


def test_owners_and_permissions_are_refused_there(card):
    """The control: this is no file system of Linux."""
    with card.mounted() as boot:
        (boot / FILE).write_text("")
        with pytest.raises(OSError, match=r"not implemented|not permitted"):
            os.chown(boot / FILE, 12345, 12345)


def test_it_is_taken_and_no_block_of_the_partition_holds_its_password_any_more(card):
    card.laptop(GOOD)
    assert PASSWORD.encode() in card.image.read_bytes()
    assert card.start().kind == "taken"
    left = card.left()
    assert set(left) == {RESULT}
    assert "submeter.yaml was taken" in left[RESULT]
    assert "password" in left[RESULT]
    assert PASSWORD not in left[RESULT]
    assert PASSWORD.encode() not in card.image.read_bytes()
    assert (card.etc / "city.password").read_text() == f"{PASSWORD}\n"
    assert (card.etc / "city.password").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in (card.etc / "gateway.yaml").read_text()
    assert card.start() is None


def test_a_mistake_stays_with_its_line_and_goes_when_it_is_mended(card):
    card.laptop("gateway: {id: Not An Id}\n")
    assert card.start().kind == "mistakes"
    left = card.left()
    assert set(left) == {FILE, RESULT}
    assert "gateway.id" in left[RESULT]
    card.laptop(GOOD)
    assert card.start().kind == "taken"
    left = card.left()
    assert set(left) == {RESULT}
    assert "gateway.id" not in left[RESULT], "the result is that of the last start"


def test_a_later_file_is_put_aside_over_one_that_was_put_aside_before(card):
    (card.etc / "gateway.yaml").write_text("gateway: {id: other-1}\n")
    for text in (GOOD, GOOD.replace("Okul 7", "Okul 8")):
        card.laptop(text)
        assert card.start().kind == "ignored"
        left = card.left()
        assert set(left) == {f"{FILE}.ignored", RESULT}
        assert left[f"{FILE}.ignored"] == text
    assert (card.etc / "gateway.yaml").read_text() == "gateway: {id: other-1}\n"
