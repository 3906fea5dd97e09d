"""python -m tests.package.service SUITE OLDER NEWER BROKEN FOLDER: the service under a real systemd,
with meters, a broker and a receiver beside it. Prints what held, a line each; wants a network of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deb.debian import copy
from deb.emulation import own_architecture
from deb.libraries import CannotRun
from deb.target import Target
from gateway.backup import new_key
from gateway.catalogue import load_driver
from gateway.config import OWN_ID
from gateway.demo.show.account import judge, resolutions
from gateway.demo.show.polls import Break
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import GATEWAY, stamp_drivers
from tests.package.machine import Machine, booted
from tests.package.steps import OFFLINE, put
from tests.rig import Rig, rig, until

DRIVER = "eastron-sdm630"
SLOT = 1.0
LEFT_OUT = "skipped"
"""How the line of a step begins that cannot run on this machine."""
PATIENCE = 300.0


def spec(folder: Path) -> dict[str, Any]:
    """Two meters of one server, whose replies carry the simulator's own count."""
    stamp = {"address": stamp_drivers(folder, [DRIVER])[DRIVER].address}
    image = {"driver": DRIVER, "circuit": "main", "directory": str(folder / "drivers")}
    slaves = [{"unit": unit, "meter": f"m{unit}", "stamp": stamp, "image": image} for unit in (1, 2)]
    return {"seed": 1, "log": str(folder / "serves.jsonl"), "servers": [{"name": "plant", "slaves": slaves}]}


def uptime() -> int:
    """CLOCK_BOOTTIME in ms: the container's is ours."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Story:
    """One machine's life, and the breaks of its service that the judge is told of."""

    def __init__(self, machine: Machine, site: Rig) -> None:
        self.machine, self.site = machine, site
        self.breaks: list[Break] = []
        self.etc = machine.tree / "etc/submeter"

    def page(self) -> tuple[int, str]:
        """Status and text of the page's first screen; 0 while nobody listens."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:8080/?lang=en", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def status(self) -> dict[str, Any]:
        """What the running daemon says of itself."""
        code, said = self.machine.ask("submeter", "status", "--json")
        return json.loads(said) if code == 0 else {}

    def meters(self) -> list[dict[str, Any]]:
        """The meters of the site: the gateway itself is one, too."""
        return [meter for meter in self.status().get("meters", []) if meter["id"] != OWN_ID]

    def configure(self, interval: str, **more: Any) -> None:
        """Write the configuration as root would; `more` of its sections."""
        host, port = self.site.simulator.addresses["plant"]
        meters = [{"id": f"m{unit}", "bus": "plant", "address": unit, "driver": DRIVER, "interval": interval}
                  for unit in (1, 2)]  # fmt: skip
        table = self.site.directory / "drivers" / f"{DRIVER}.yaml"
        (self.etc / "drivers" / table.name).write_bytes(table.read_bytes())
        (self.etc / "drivers" / table.name).chmod(0o644)
        self.write({
            "gateway": {"id": GATEWAY, "commit_interval": "1s"}, "clock": {"trust": "system"},
            "buses": [{"name": "plant", "type": "tcp", "host": host, "port": port, "timeout": "5s"}],
            "meters": meters, "uplinks": [self.site.uplink()], **more,
        })  # fmt: skip

    def write(self, configuration: dict[str, Any]) -> None:
        """Put a configuration in its place at once, as an editor does."""
        (self.etc / "new.yaml").write_text(json.dumps(configuration, indent=1))
        self.machine.run("chown", "root:submeter", "/etc/submeter/new.yaml")
        self.machine.run("chmod", "0640", "/etc/submeter/new.yaml")
        self.machine.run("mv", "/etc/submeter/new.yaml", "/etc/submeter/gateway.yaml")

    def delivered(self) -> int:
        """Batches at the platform, by the daemon's own count."""
        uplinks = self.status().get("uplinks") or [{}]
        return int(uplinks[0].get("delivered", 0))

    def goes_on_reading(self, what: str) -> None:
        """Until it reads again."""
        seen = len(self.site.serves())
        until(lambda: len(self.site.serves()) > seen + 4, PATIENCE, f"meters are read after {what}", 0.5)
        until(
            lambda: self.machine.show("ActiveState") == "active", PATIENCE, f"it is ready after {what}", 0.5
        )

    def goes_on(self, what: str) -> None:
        """Until it delivers again."""
        self.goes_on_reading(what)
        until(self.delivered, PATIENCE, f"readings are delivered after {what}", 0.5)

    def interrupted(self, act: Callable[[], object]) -> None:
        """Do what interrupts the service; the judge is told when."""
        went = uptime()
        act()
        self.breaks.append(Break(went, uptime()))

    def install(self, package: Path, *options: str) -> None:
        """apt install FILE, inside."""
        self.machine.run("apt-get", *OFFLINE, "-y", "--no-install-recommends", *options, "install",
                         put(self.machine.tree, package))  # fmt: skip

    def drained(self) -> bool:
        """Whether the platform has everything."""
        now = self.status()
        return (
            bool(now)
            and now["uplinks"][0]["backlog_batches"] == 0
            and now["uplinks"][0]["state"] == "connected"
        )


def waits(story: Story, package: Path) -> str:
    """Installed: the service runs, and says that it waits."""
    story.install(package)
    assert story.machine.show("ActiveState") == "active"
    until(lambda: "sudo submeter setup" in story.page()[1], PATIENCE, "the page says what it waits for", 0.5)
    story.machine.run("id", "submeter")
    return "`apt install` leaves a running service whose page says that it waits for `submeter setup`"


def begins(story: Story) -> str:
    """It begins by itself with a configuration, and a reload takes over another one in the same process."""
    pid = story.machine.show("MainPID")
    story.configure("1s")
    story.goes_on("the configuration came")
    assert story.page()[0] == 200
    story.configure("500ms")
    story.machine.run("systemctl", "reload", "submeter-gateway")
    until(
        lambda: {meter["interval"] for meter in story.meters()} == {0.5},
        PATIENCE,
        "it is taken over",
        0.5,
    )
    assert story.machine.show("MainPID") == pid
    assert story.machine.show("NRestarts") == "0"
    return (
        "it begins by itself when the configuration is there, and `systemctl reload` takes over another one"
    )


def frozen(story: Story) -> str:
    """A daemon that is stopped in its tracks is killed by the watchdog and started again."""
    pid = story.machine.show("MainPID")
    went = uptime()
    story.machine.run("kill", "-STOP", pid)
    until(
        lambda: story.machine.show("NRestarts") == "1", PATIENCE, "the watchdog restarts a frozen daemon", 1
    )
    story.breaks.append(Break(went, uptime()))
    story.goes_on("the watchdog")
    seconds = (uptime() - went) / 1000
    return (
        f"the watchdog restarts a daemon that was frozen with SIGSTOP (reading again after {seconds:.0f} s)"
    )


def outage(story: Story) -> str:
    """The machine restarts while the platform is away."""
    story.site.kill("broker")
    until(
        lambda: (story.status().get("uplinks") or [{}])[0].get("backlog_batches", 0) > 10,
        PATIENCE,
        "batches wait",
        0.5,
    )
    story.interrupted(story.machine.reboot)
    seen = len(story.site.serves())
    until(lambda: len(story.site.serves()) > seen + 10, PATIENCE, "meters are read after the reboot", 0.5)
    assert story.machine.run("systemctl", "show", "--value", "--property=RuntimeWatchdogUSec") == "1min"
    waiting = story.status()["uplinks"][0]["backlog_batches"]
    story.site.start_broker()
    until(story.drained, PATIENCE, "everything is delivered", 0.5)
    return f"a reboot in mid-outage: {waiting} batches waited, all were delivered"


def exchanged(story: Story, older: Path, newer: Path) -> str:
    """An upgrade and a downgrade keep configuration and journal."""
    before = (story.etc / "gateway.yaml").read_bytes()
    story.interrupted(lambda: story.install(newer))
    story.goes_on("the upgrade")
    story.interrupted(lambda: story.install(older, "--allow-downgrades"))
    story.goes_on("going back")
    assert (story.etc / "gateway.yaml").read_bytes() == before
    return "an upgrade and a downgrade keep configuration and journal, and the service goes on"


def taken_back(story: Story, broken: Path) -> str:
    """A version that never becomes ready, installed while the broker is away, goes by itself."""
    before = story.machine.run("dpkg-query", "-W", "-f=${Version}", "submeter-gateway")
    story.site.kill("broker")
    put(story.machine.tree, broken)
    story.machine.run("mv", f"/srv/{broken.name}", "/var/lib/submeter-upgrade/incoming.deb")
    story.interrupted(lambda: story.machine.run("systemctl", "start", "submeter-install"))
    assert not (story.machine.tree / "var/lib/submeter-upgrade/incoming.deb").exists()
    seen = len(story.site.serves())
    until(lambda: len(story.site.serves()) > seen + 10, PATIENCE, "the new version reads meters", 0.5)
    assert story.machine.show("ActiveState") == "activating"
    result = story.machine.tree / "var/lib/submeter-upgrade/result.json"
    went = uptime()
    until(result.exists, PATIENCE, "the upgrade is decided", 1)
    story.breaks.append(Break(went, uptime()))
    told = json.loads(result.read_text())
    assert (told["outcome"], told["from"]) == ("taken back", before), told
    assert story.machine.run("dpkg-query", "-W", "-f=${Version}", "submeter-gateway") == before
    story.machine.run("dpkg", "--verify", "submeter-gateway")
    story.goes_on_reading("it was taken back")
    assert "submeter-upgrade" in story.page()[1], "the page does not say it"
    story.site.start_broker()
    until(story.drained, PATIENCE, "everything is delivered", 0.5)
    return (
        f"a version that never becomes ready is taken back by itself ({told['why']}), with what it has read"
    )


def judged(story: Story) -> str:
    """Stopped: everything that was served is at the platform, once."""
    until(story.drained, PATIENCE, "everything is delivered", 0.5)
    story.interrupted(lambda: story.machine.run("apt-get", *OFFLINE, "-y", "remove", "submeter-gateway"))
    state = story.machine.tree / "var/lib/submeter"
    stored, readings, conflicts = platform(story.site.database)
    tables = {f"m{unit}": load_driver(DRIVER, story.site.directory / "drivers") for unit in (1, 2)}
    account = judge(story.site.serves(), committed(state / "journal.db"), stored, readings,
                    breaks=story.breaks, slot=SLOT, tolerance=resolutions(tables))  # fmt: skip
    account.say(conflicts, f"{conflicts} batches came twice with different content")
    assert account.good, account.problems
    assert account.arrived > 100, account
    story.machine.run("apt-get", *OFFLINE, "-y", "purge", "submeter-gateway")
    assert not state.exists()
    assert not story.etc.exists()
    return (
        f"over all of it, judged by the simulated meters: {account.served} replies served, {account.arrived} "
        f"polls at the platform, {account.open_slot} in an open slot, {account.lost} lost, "
        f"{account.twice} twice; "
        f"`apt remove` kept the journal, `apt purge` deleted it"
    )


def provisioned(story: Story, package: Path) -> str:
    """A copied card with a file on its boot partition: the units of root, each in its own sandbox."""
    machine = story.machine
    machine.run("apt-get", *OFFLINE, "-y", "purge", "submeter-gateway")
    story.install(package)
    host, port = story.site.simulator.addresses["plant"]
    recipient = new_key()[1]
    (machine.tree / "srv/backups").mkdir(exist_ok=True)
    uplink = {**story.site.uplink(username="city"), "password": "one word"}
    machine.run("submeter", "sign", "init")
    token = machine.run("submeter", "sign", "token", "provisioned").strip()
    place = "/var/lib/submeter/sealed.pem"
    sealed = {"name": "sealed", "url": "mqtts://localhost:1", "cert": place, "key": place, "token": token,
              "enroll_url": f"mqtt://127.0.0.1:{story.site.broker_port}"}  # fmt: skip
    written = {
        "gateway": {"id": "provisioned", "commit_interval": "1s"}, "clock": {"trust": "system"},
        "buses": [{"name": "plant", "type": "tcp", "host": host, "port": port}],
        "meters": [{"id": "m1", "bus": "plant", "address": 1, "driver": DRIVER, "interval": "1s"}],
        "uplinks": [uplink, sealed],
        "backup": {"recipient": recipient, "directory": "/srv/backups", "platform": "city"},
    }  # fmt: skip
    (machine.tree / "boot/submeter.yaml").write_text(json.dumps(written, indent=1))
    story.interrupted(machine.reboot)
    until(lambda: (story.status() or {}).get("gateway") == "provisioned", PATIENCE, "it is that gateway", 1)
    result = (machine.tree / "boot/submeter-result.txt").read_text(encoding="utf-8-sig")
    assert "was taken" in result, result
    assert "one word" not in result
    assert not (machine.tree / "boot/submeter.yaml").exists()
    secret = "/etc/submeter/city.password"
    assert machine.run("stat", "--format=%U %a", secret) == "submeter 600"
    until(story.delivered, PATIENCE, "it delivers with that password", 1)
    certified(story, token, place)
    assert machine.show("ActiveState", "submeter-backup.timer") == "active"
    machine.run("systemctl", "start", "submeter-backup")
    said = machine.run("journalctl", "-b", "-u", "submeter-backup")
    assert len(list((machine.tree / "srv/backups").glob("provisioned-*.submeter-backup"))) == 1, said
    assert "bytes are at the platform" in said, said
    # Its file system is this machine's own here: it is looked at, not changed (tests/host/test_card.py does).
    card = machine.run("journalctl", "-b", "-u", "submeter-card")
    assert "bookkeeping every" in card or "nothing can be changed" in card, card
    for unit in ("submeter-provision", "submeter-backup"):
        machine.run("systemd-analyze", "security", "--threshold=45", unit)
    return (
        "a file on the boot partition sets it up at the next start: its password in a file of its own, the "
        "result beside it; the one-time token in it becomes a certificate when the platform's signing "
        "program is there, under its own unit, with a key that no gateway can read; the nightly backup goes "
        "into its folder and to the platform"
    )


def certified(story: Story, token: str, place: str) -> None:
    """Nobody has answered so far; the token's file goes when somebody does, and the answer is told."""
    machine, result = story.machine, story.machine.tree / "boot/submeter-result.txt"
    assert machine.run("stat", "--format=%U %a", "/etc/submeter/sealed.token") == "submeter 600"
    assert machine.ask("systemctl", "is-enabled", "submeter-sign")[1] == "disabled"
    (machine.tree / "etc/submeter-sign/word").write_text("of the signing program\n")
    (machine.tree / "etc/submeter-sign/options").write_text(
        f"OPTIONS=--broker mqtt://127.0.0.1:{story.site.broker_port} --username sign "
        f"--password-file /run/credentials/submeter-sign.service/sign_word\n"
    )
    machine.run("systemctl", "enable", "--now", "submeter-sign")
    until(
        lambda: "has certified this gateway" in result.read_text(encoding="utf-8-sig"), PATIENCE,
        "the platform's answer stands beside the file", 1,
    )  # fmt: skip
    assert token not in result.read_text(encoding="utf-8-sig")
    assert machine.run("stat", "--format=%U %a", place) == "submeter 600"
    assert not list(machine.tree.glob("etc/submeter/*.token"))
    assert not list(machine.tree.glob("var/lib/submeter/*.enrolment"))
    for unit in ("submeter-enroll", "submeter-sign"):
        machine.run("systemd-analyze", "security", "--threshold=15", unit)
    for file in ("authority.key", "sign.db"):
        said = machine.run("stat", "--format=%U %a", f"/var/lib/submeter-sign/{file}")
        assert said == "submeter-sign 600", said
    for file in ("/var/lib/submeter-sign/authority.key", "/etc/submeter-sign/word"):
        assert machine.ask("runuser", "-u", "submeter", "--", "cat", file)[0] != 0, (
            f"the gateway reads {file}"
        )
    machine.run("systemctl", "disable", "--now", "submeter-sign")


@contextmanager
def begun(suite: str, folder: Path) -> Iterator[Story]:
    """A machine that is booted, beside meters, a broker and a platform."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with (
        copy(Target(suite, own_architecture()), folder) as tree,
        rig(folder, spec(folder)) as site,
        booted(tree, folder / "boot.log") as machine,
    ):
        site.start_broker()
        site.start_receiver()
        yield Story(machine, site)


def main() -> None:
    """The whole life of one machine."""
    from tests.package.afar import looked_after, updated  # noqa: PLC0415 - it is made of this
    from tests.package.cards import remounted, replaced, spared  # noqa: PLC0415 - likewise
    from tests.package.sandbox import sandboxed  # noqa: PLC0415 - likewise

    suite, older, newer, broken, folder = sys.argv[1], *map(Path, sys.argv[2:6])
    with begun(suite, folder) as story:
        for step in (
            lambda: waits(story, older), lambda: begins(story), lambda: outage(story), lambda: frozen(story),
            lambda: exchanged(story, older, newer), lambda: taken_back(story, broken), lambda: judged(story),
            lambda: sandboxed(story, older), lambda: provisioned(story, older), lambda: looked_after(story),
            lambda: updated(story, newer, folder), lambda: spared(story, older),
            lambda: remounted(story, older, folder), lambda: replaced(story, suite, older, folder),
        ):  # fmt: skip
            try:
                print(step(), flush=True)
            except CannotRun as reason:
                print(f"{LEFT_OUT}: {reason}", flush=True)


if __name__ == "__main__":
    main()
