"""What becomes of the card under a real systemd: layouts that spare it, and a new one in the place of a dead
one.

`python -m tests.package.cards SUITE PACKAGE FOLDER` is that part of the machine's life alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from deb.debian import copy
from deb.emulation import own_architecture
from deb.libraries import CannotRun
from deb.target import Target
from gateway.backup import new_key
from gateway.demo.show.account import ORDINAL
from gateway.demo.show.self_check import committed, platform
from gateway.energy import Calendar
from gateway.history import History
from gateway.host import SELDOM
from tests.package.machine import booted
from tests.package.service import PATIENCE, SLOT, Story, begun, uptime
from tests.package.steps import OFFLINE
from tests.rig import until

STATE = "/var/lib/submeter"
OPEN = SLOT + 2.0
"""s: what a kill costs, the open slot and the polls that are under way."""
LAST_SECONDS = 10.0
"""s: what may be lost with a journal in memory while the platform answers."""
FIVE_MINUTES = 300.0
DAYS = 10
ZONE = ZoneInfo("Europe/Istanbul")


def anew(story: Story, package: Path) -> None:
    """The service of an empty card, which waits for its configuration."""
    story.machine.run("apt-get", *OFFLINE, "-y", "purge", "submeter-gateway")
    story.install(package)


def numbers(story: Story) -> set[tuple[str, int]]:
    """Epoch and seq of the batches that are at the platform, of which none may contradict another."""
    stored, _, conflicts = platform(story.site.database)
    assert conflicts == 0, f"{conflicts} batches came twice with different content"
    return set(stored)


def epochs(story: Story) -> set[str]:
    """Those of the batches that are at the platform."""
    return {epoch for epoch, _ in numbers(story)}


def killed(story: Story) -> float:
    """Kill the machine as a whole while it reads and delivers, boot it as it was, until it delivers again; s
    before that moment of which a reply that was served is not at the platform.
    """
    until(story.drained, PATIENCE, "the platform has everything", 0.2)
    began = uptime()
    seen = len(story.site.serves())
    until(lambda: len(story.site.serves()) > seen + 20, PATIENCE, "meters are read", 0.2)
    went = uptime()
    story.machine.die()
    before = numbers(story)
    story.machine.start_again(*story.machine.options)
    story.goes_on("the kill")
    until(lambda: len(numbers(story) - before) > 1, PATIENCE, "readings are delivered again", 0.2)
    until(story.drained, PATIENCE, "the platform has everything", 0.2)
    _, readings, _ = platform(story.site.database)
    arrived = {(reading.meter, int(reading.values.get(ORDINAL, -1))) for reading in readings}
    stamped = [serve for serve in story.site.serves() if serve["ordinal"] is not None]
    served = [serve for serve in stamped if began < serve["t"] < went]
    lost = [serve["t"] for serve in served if (serve["meter"], serve["ordinal"]) not in arrived]
    assert len(lost) < len(served), "nothing of that time arrived"
    return (went - min(lost)) / 1000 if lost else 0.0


def spared(story: Story, package: Path) -> str:
    """The layouts of docs/operation.md with a root that is read-only."""
    machine = story.machine
    anew(story, package)
    story.configure("1s")
    story.goes_on("the installation")
    own = machine.tree.with_name("partition")
    machine.run("systemctl", "stop", "submeter-gateway")
    user, group = (machine.run("id", option, "submeter") for option in ("-u", "-g"))
    machine.run("cp", "-a", STATE, "/srv/state")
    machine.run("sh", "-c", f"rm -rf {STATE}/*")  # the image has none of it: nothing is there twice
    (machine.tree / "srv/state").rename(own)
    in_memory = f"--tmpfs={STATE}:size=256M,mode=0750,uid={user},gid={group}"
    costs = {}
    for layout, options, bound, kept in (
        ("a partition of its own", ("--read-only", f"--bind={own}:{STATE}"), OPEN, True),
        ("a journal on tmpfs", ("--read-only", in_memory), LAST_SECONDS, False),
        ("everything in memory", ("--volatile=overlay",), LAST_SECONDS, False),
    ):
        machine.start_again(*options)
        story.goes_on(layout)
        writable = machine.ask("touch", "/etc/submeter/written")[0] == 0
        assert writable == ("--read-only" not in options), f"{layout}: /etc can be written: {writable}"
        before = epochs(story)
        costs[layout] = killed(story)
        assert costs[layout] <= bound, f"{layout}: {costs[layout]:.1f} s are lost, bar {bound:g}"
        # A new file has a new epoch. What is kept has one only where systemd makes the container's boot one
        # of the service's too: trixie's does, bookworm's does not.
        assert kept or epochs(story) > before, f"{layout}: {before} was followed by {epochs(story)}"
    assert not (machine.tree / "etc/submeter/written").exists()
    machine.start_again()
    told = ", ".join(f"with {layout} {seconds:.1f} s" for layout, seconds in costs.items())
    return (
        f"a root that is read-only: it reads and delivers; while the platform answers, a kill of the whole "
        f"machine costs the readings of the last seconds ({told}; bars {OPEN:g}, {LAST_SECONDS:g} and "
        f"{LAST_SECONDS:g} s), and what was in memory begins a new epoch"
    )


class Partition:
    """An ext4 of its own on a loop device, mounted at `place` so that it commits every `FOUND` s."""

    FOUND = 17

    def __init__(self, folder: Path) -> None:
        self.place, self._image = folder / "partition-of-ext4", folder / "partition.image"
        self.place.mkdir()
        self._image.touch()
        os.truncate(self._image, 64 << 20)
        subprocess.run(["mkfs.ext4", "-qF", str(self._image)], check=True)

    def mount(self) -> None:
        """As a line of fstab does it. Raises CannotRun with the reason."""
        options = f"loop,noatime,commit={self.FOUND}"
        done = subprocess.run(
            ["mount", "-o", options, str(self._image), str(self.place)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CannotRun(f"no ext4 can be mounted here: {done.stderr.strip()}")

    def unmount(self) -> None:
        """Not there any more: what the next mount says is the image's and the command's alone."""
        subprocess.run(["umount", str(self.place)], check=True)

    @property
    def commit(self) -> int | None:
        """Every how many s it commits, as the kernel says it."""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1] == str(self.place) and (said := re.search(r"\bcommit=(\d+)", line)):
                return int(said[1])
        return None


@contextmanager
def mounted(folder: Path) -> Iterator[Partition]:
    """A partition that is mounted, until the end."""
    partition = Partition(folder)
    partition.mount()
    try:
        yield partition
    finally:
        partition.unmount()


def remounted(story: Story, package: Path, folder: Path) -> str:
    """card.remount under the unit that does it, with the journal on an ext4 of its own."""
    machine = story.machine
    anew(story, package)
    story.configure("1s", card={"remount": True})
    story.goes_on("the installation")
    machine.run("systemctl", "stop", "submeter-gateway")
    with mounted(folder) as partition:

        def seldom(when: str, wanted: int = SELDOM) -> None:
            until(lambda: partition.commit == wanted, PATIENCE, f"it commits every {wanted} s {when}", 0.2)

        # Moved: without the partition no journal may be there that would give its numbers once more.
        subprocess.run(["cp", "-a", f"{machine.tree}{STATE}/.", str(partition.place)], check=True)
        for moved in Path(f"{machine.tree}{STATE}").iterdir():
            shutil.rmtree(moved) if moved.is_dir() else moved.unlink()
        machine.start_again(f"--bind={partition.place}:{STATE}")
        story.goes_on("the boot")
        seldom("after the boot")
        assert machine.show("Result", "submeter-card") == "success"
        machine.run("systemctl", "stop", "submeter-gateway")
        seldom("after the stop", partition.FOUND)  # its unit is stopped with the gateway, and ends by itself
        machine.run("systemctl", "start", "submeter-gateway")
        story.goes_on("the start")
        seldom("after the start")
        for spared, wanted in ((False, partition.FOUND), (True, SELDOM)):
            story.configure("1s", card={"remount": spared})
            machine.run("systemctl", "restart", "submeter-card")
            assert partition.commit == wanted, f"card.remount is {spared}: {partition.commit}"
        machine.run("kill", "-KILL", machine.show("MainPID"))
        story.goes_on("a kill of the daemon")
        seldom("after a kill of the daemon")
        machine.die()
        partition.unmount()  # a machine that starts again mounts it as it is told to
        partition.mount()
        machine.start_again(*machine.options)
        story.goes_on("a kill of the machine")
        seldom("after a kill of the machine")
        machine.run("systemctl", "stop", "submeter-gateway")
        seldom("at the end", partition.FOUND)
        machine.start_again()
    return (
        f"card.remount on an ext4 of its own: the unit lets it commit every {SELDOM} s while the gateway "
        f"runs, also after a kill of the daemon and of the whole machine, follows the key, and puts back the "
        f"{partition.FOUND} s that it found whenever the gateway is stopped"
    )


def lived(state: Path) -> None:
    """Give a gateway that waits a history of `DAYS` days until yesterday, of the meter m1."""
    today = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    first = int((today - timedelta(DAYS)).timestamp() * 1000)
    values = [100 + number % 96 for number in range((DAYS - 1) * 96)]
    history = History(state, Calendar(ZONE))
    history.adopt(("m1", "active_energy_import"), first, values, "m" * len(values))
    history.save()
    history.close()
    owner = state.stat()
    for file in state.glob("history.db*"):
        os.chown(file, owner.st_uid, owner.st_gid)


def days_shown() -> dict[str, Any]:
    """What the page shows of these days."""
    today = datetime.now(ZONE).date()
    first, last = today - timedelta(DAYS), today - timedelta(2)
    url = f"http://127.0.0.1:8080/api/v1/energy?meter=m1&from={first}&to={last}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
    return {name: told[name] for name in ("sum", "known", "intervals")}


def replaced(story: Story, suite: str, package: Path, folder: Path) -> str:
    """The card dies; a fresh system becomes the same gateway, in five minutes from its first boot on."""
    anew(story, package)
    lived(story.machine.tree / STATE[1:])
    secret, recipient = new_key()
    story.configure("1s", backup={"recipient": recipient})
    story.goes_on("the installation")
    until(lambda: days_shown().get("known") == (DAYS - 1) * 96, PATIENCE, "the page shows those days", 0.5)
    before = days_shown()
    story.machine.run("submeter", "backup", "/srv/kept.submeter-backup")
    kept = (story.machine.tree / "srv/kept.submeter-backup").read_bytes()
    until(story.drained, PATIENCE, "the platform has everything", 0.2)
    story.machine.die()
    used = set(committed(story.machine.tree / STATE[1:] / "journal.db"))
    known = epochs(story)
    (folder / "card").mkdir()
    with copy(Target(suite, own_architecture()), folder / "card") as tree:
        went = time.monotonic()
        with booted(tree, folder / "card.log") as machine:
            story.machine = machine
            story.install(package)
            (tree / "srv/kept.submeter-backup").write_bytes(kept)
            (tree / "srv/office.key").write_text(secret)
            machine.run("submeter", "restore", "/srv/kept.submeter-backup", "--key", "/srv/office.key")
            until(lambda: epochs(story) - known, PATIENCE, "its readings are at the platform", 0.2)
            until(lambda: days_shown() == before, PATIENCE, "the page shows the same days", 0.2)
            seconds = time.monotonic() - went
            story.goes_on("the restoration")
            until(story.drained, PATIENCE, "the platform has everything", 0.2)
            machine.die()
        again = set(committed(tree / STATE[1:] / "journal.db"))
    assert seconds <= FIVE_MINUTES, f"it took {seconds:.0f} s"
    assert again, "nothing was committed"
    assert not used & again, f"numbers were used twice: {sorted(used & again)[:5]}"
    assert epochs(story) >= {epoch for epoch, _ in again}
    return (
        f"a dead card: a fresh system is the same gateway {seconds:.0f} s after its first boot began (bar "
        f"{FIVE_MINUTES:.0f}): installed, restored, readings at the platform under a new epoch; the page "
        f"shows the {DAYS - 1} days before as it did; of {len(used)} and {len(again)} numbers none was used "
        f"twice"
    )


def main() -> None:
    """Install, and try each."""
    suite, package, folder = sys.argv[1], *map(Path, sys.argv[2:4])
    with begun(suite, folder) as story:
        story.install(package)
        print(spared(story, package), flush=True)
        print(remounted(story, package, folder), flush=True)
        print(replaced(story, suite, package, folder), flush=True)


if __name__ == "__main__":
    main()
