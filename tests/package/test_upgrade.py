"""A new version that does not become ready goes, the one before comes back, and no reading is lost."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from gateway.catalogue import load_driver
from gateway.common import file_versions as versions
from gateway.demo.show.account import Break, judge, resolutions
from gateway.demo.show.gateway_status import gateway_status
from gateway.demo.show.self_check import committed, platform
from gateway.demo.show.site import GATEWAY
from gateway.demo.show.supervisor import open_readonly
from gateway.errors import JournalTooNew
from gateway.journal.file import schema
from tests.mosquitto import MOSQUITTO
from tests.package.service import DRIVER, SLOT, spec, uptime
from tests.package.stand_in import NEVER_READY, NEWER_FILE, PATIENCE, UPGRADE, stand_in
from tests.rig import rig, until

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg is not installed"),
]


def loaded():
    described = importlib.util.spec_from_file_location("submeter_upgrade", UPGRADE)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def decided(*seen: tuple[float, str, str]) -> list[str]:
    watched = loaded().Trial(0.0)
    return [watched.look(*one)[0] for one in seen]


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        ([(60, "activating", ""), (119, "activating", "")], ""),
        ([(60, "activating", ""), (120, "activating", "")], "back"),
        ([(60, "failed", ""), (121, "failed", "")], "back"),
        ([(5, "active", "a"), (604, "active", "a")], ""),
        ([(5, "active", "a"), (605, "active", "a")], "keep"),
        # Another run: ten minutes anew, and two minutes again without.
        ([(5, "active", "a"), (600, "active", "b"), (1100, "active", "b")], ""),
        ([(5, "active", "a"), (600, "failed", ""), (700, "activating", ""), (710, "active", "b")], "back"),
        ([(100, "activating", ""), (101, "active", "a"), (102, "failed", ""), (200, "failed", "")], ""),
        # A person has stopped it: nobody can say how it is.
        ([(5, "inactive", ""), (9000, "inactive", ""), (9001, "active", "a"), (9100, "active", "a")], ""),
        # Ready again and again, and never for long.
        ([(at, "active", str(at)) for at in range(300, 3601, 300)], "back"),
    ],
)
def test_what_is_seen_of_a_service_decides(seen, end) -> None:
    said = decided(*seen)
    assert said[-1] == end or (end == "back" and "back" in said), said
    assert end or not any(said)


@pytest.fixture
def newer_program(monkeypatch):
    """This program with one more file version of the journal."""
    monkeypatch.setitem(versions.WRITABLE, schema.FILE, (2, 3))
    monkeypatch.setattr(schema, "VERSION", 3)
    steps = list(schema.migrations._migrations)
    monkeypatch.setattr(schema.migrations, "_migrations", steps)

    @schema.migrations()
    def v3_more(db) -> None:
        db.conn.execute("CREATE TABLE more (id INTEGER PRIMARY KEY)")
        db.conn.execute("PRAGMA user_version = 3")

    return monkeypatch


def file_version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.parametrize("there", [True, False], ids=["a file of the version before", "a file made anew"])
@pytest.mark.parametrize(
    ("mark", "written"),
    [({"files": {"journal.db": 2}}, 2), ({"files": {"journal.db": 9}}, 3), ({"files": []}, 3), (None, 3)],
)
def test_no_newer_file_version_is_written_before_it_is_decided(tmp_path, newer_program, there, mark, written):
    path = tmp_path / "journal.db"
    newer_program.setenv(versions.UPGRADE_VARIABLE, str(tmp_path))
    if there:
        (tmp_path / "trial.json").write_text('{"files": {"journal.db": 2}}')
        schema.connect(path).conn.close()
        assert file_version(path) == 2
        (tmp_path / "trial.json").unlink()
    if mark is not None:
        (tmp_path / "trial.json").write_text(json.dumps(mark))
    schema.connect(path).conn.close()
    assert file_version(path) == written
    (tmp_path / "trial.json").unlink(missing_ok=True)  # decided: the next start takes the step
    schema.connect(path).conn.close()
    assert file_version(path) == 3
    newer_program.undo()
    with pytest.raises(JournalTooNew):
        schema.connect(path)


CONFIGURED = {"gateway": {"id": GATEWAY, "commit_interval": "1s"}}


@pytest.fixture
def site(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with rig(tmp_path, spec(tmp_path)) as made:
        host, port = made.simulator.addresses["plant"]
        made.configure(
            **CONFIGURED,
            buses=[{"name": "plant", "type": "tcp", "host": host, "port": port, "timeout": "5s"}],
            meters=[{"id": f"m{unit}", "bus": "plant", "address": unit, "driver": DRIVER, "interval": "250ms"}
                    for unit in (1, 2)],
            drivers={"directory": str(tmp_path / "drivers")}, uplinks=[made.uplink()],
        )  # fmt: skip
        yield made


def test_a_version_that_never_becomes_ready_goes_and_what_it_has_taken_stays(site, tmp_path):
    journal = tmp_path / "state/journal.db"
    with stand_in(tmp_path, site.config_path) as machine:
        older, newer = machine.package("1.0"), machine.package("2.0", NEWER_FILE + NEVER_READY, (2, 3))
        machine.install(older)
        machine.ready()
        until(lambda: len(site.serves()) > 4, PATIENCE, "the older version reads")
        (machine.tree / "etc/kept.conf").write_text("changed by hand\n")
        before = machine.files()

        breaks = [Break(uptime(), 0)]
        assert "is on trial" in machine.install(newer)
        breaks[0] = Break(breaks[0].went, uptime())
        seen = len(site.serves())
        until(lambda: len(site.serves()) > seen + 12, PATIENCE, "the newer version reads")
        assert machine.version() == "ii 2.0"
        assert file_version_beside(journal, tmp_path) == 2
        went = uptime()
        said = machine.upgrade("watch", UNREADY="1")
        assert "1.0 is installed again" in said
        machine.ready()
        breaks.append(Break(went, uptime()))

        assert machine.version() == "ii 1.0"
        assert machine.files() == {**before, "etc/kept.conf.dpkg-dist": "of 2.0\n"}
        result = json.loads((machine.home / "result.json").read_text())
        assert (result["outcome"], result["from"], result["to"]) == ("taken back", "1.0", "2.0")
        assert sorted(path.name for path in machine.home.iterdir()) == ["result.json"]
        assert machine.upgrade("watch") == ""
        seen = len(site.serves())
        until(lambda: len(site.serves()) > seen + 8, PATIENCE, "the older version reads on")
        site.start_broker()
        site.start_receiver()
        until(lambda: told(site.database), PATIENCE, "the platform is told")
        went = uptime()
        machine.service.stop()
        breaks.append(Break(went, uptime()))
        site.configure(**CONFIGURED, uplinks=[site.uplink()])  # nothing is read any more
        machine.service.start()
        until(lambda: drained(site, machine), PATIENCE, "everything is delivered", 0.2)
        machine.service.stop()
    stored, readings, conflicts = platform(site.database)
    tables = {f"m{unit}": load_driver(DRIVER, site.directory / "drivers") for unit in (1, 2)}
    account = judge(site.serves(), committed(journal), stored, readings, breaks=breaks, slot=SLOT,
                    tolerance=resolutions(tables))  # fmt: skip
    assert account.good, account.problems
    assert (account.lost, account.twice, conflicts) == (0, 0, 0)
    assert account.arrived > 10


def file_version_beside(journal: Path, scratch: Path) -> int:
    """The daemon has the file for itself: its copy is looked at."""
    for name in ("journal.db", "journal.db-wal"):
        if journal.with_name(name).exists():
            shutil.copy(journal.with_name(name), scratch / name)
    return file_version(scratch / "journal.db")


def told(database: Path) -> bool:
    """Whether the platform knows what became of the upgrade."""
    with suppress(sqlite3.Error), closing(open_readonly(database)) as db:
        asked = "SELECT fields FROM event WHERE kind = 'upgrade_taken_back'"
        found = [json.loads(fields) for (fields,) in db.execute(asked)]
        return [(each["from"], each["to"]) for each in found] == [("1.0", "2.0")]
    return False


def drained(site, machine) -> bool:
    """Whether the platform has everything that was committed."""
    status = gateway_status(machine.tree / "control") or {"uplinks": [{"backlog_batches": 1}]}
    uplink, stored = status["uplinks"][0], platform(site.database)[0]
    return uplink["backlog_batches"] == 0 and (status["journal"]["epoch"], status["journal"]["seq"]) in stored


SLEEPS = "#!/bin/sh\nexec sleep 600\n"
"""A program that never becomes ready."""
READY = f"""\
#!{sys.executable} -S
import os, socket, time
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(600)
"""


@pytest.fixture
def machine(tmp_path):
    with stand_in(tmp_path, tmp_path / "gateway.yaml") as made:
        made.install(made.package("1.0", launcher=READY))
        made.ready()
        yield made


def outcome(machine) -> tuple[str, str, str]:
    result = json.loads((machine.home / "result.json").read_text())
    assert result["id"]
    assert result["why"]
    return result["outcome"], result["from"], result["to"]


def nothing_is_left_to_decide(machine) -> bool:
    return sorted(path.name for path in machine.home.iterdir()) == ["result.json"]


def mark(machine, **changed) -> dict:
    path = machine.home / "trial.json"
    now = json.loads(path.read_text()) | changed
    path.write_text(json.dumps(now))
    return now


def test_a_version_that_stays_ready_is_kept_and_the_one_before_is_forgotten(machine):
    assert "is on trial" in machine.install(machine.package("2.0", launcher=READY))
    assert mark(machine)["files"] == {"journal.db": 2, "history.db": 1, "learnt.json": 1}
    machine.ready()
    assert "2.0 is kept" in machine.upgrade("watch", PROVEN="0.5")
    assert (machine.version(), outcome(machine)) == ("ii 2.0", ("kept", "1.0", "2.0"))
    assert nothing_is_left_to_decide(machine)


@pytest.mark.parametrize("torn", ["in unpacking", "in going back", "before it began", "after it was back"])
def test_a_power_cut_leaves_one_whole_version(machine, torn):
    machine.install(machine.package("2.0", launcher=SLEEPS))
    kept = (machine.home / "previous.deb").read_bytes(), mark(machine)
    status = machine.tree / "var/lib/dpkg/status"
    match torn:
        case "in unpacking":  # dpkg had not come to the new version's postinst
            mark(machine, state="replacing")
            status.write_text(status.read_text().replace("install ok installed", "install ok unpacked"))
        case "in going back":
            mark(machine, state="going back", why="it was not ready")
            (machine.tree / "opt/submeter/bin/submeter").unlink()
            status.write_text(
                status.read_text().replace("install ok installed", "install reinstreq half-installed")
            )
        case "before it began" | "after it was back":
            machine.upgrade("watch", UNREADY="0.2")
            (machine.home / "previous.deb").write_bytes(kept[0])
            state = "replacing" if torn == "before it began" else "going back"
            (machine.home / "trial.json").write_text(json.dumps(kept[1] | {"state": state, "why": "x"}))
            (machine.home / "result.json").unlink()
    machine.upgrade("watch", UNREADY="600")
    machine.ready()
    assert machine.version() == "ii 1.0"
    assert (machine.tree / "opt/submeter/bin/submeter").read_text() == READY
    assert {path.name for path in machine.home.iterdir()} <= {"result.json"}
    assert torn == "before it began" or outcome(machine)[0] == "taken back"


def test_a_machine_that_starts_again_and_again_goes_back(machine):
    machine.install(machine.package("2.0", launcher=READY))
    mark(machine, starts=5)
    assert "the machine has started 6 times" in machine.upgrade("watch")
    assert (machine.version(), outcome(machine)) == ("ii 1.0", ("taken back", "1.0", "2.0"))


def test_a_package_on_top_of_one_on_trial_goes_back_to_the_one_that_was_proven(machine):
    machine.install(machine.package("2.0", launcher=SLEEPS))
    machine.install(machine.package("3.0", launcher=SLEEPS))
    assert (mark(machine)["from"], mark(machine)["to"]) == ("1.0", "3.0")
    machine.upgrade("watch", UNREADY="0.2")
    assert (machine.version(), outcome(machine)) == ("ii 1.0", ("taken back", "1.0", "3.0"))


def test_the_version_before_put_back_by_hand_is_on_no_trial(machine, tmp_path):
    machine.install(machine.package("2.0", launcher=READY))
    machine.install(tmp_path / "1.0.deb")
    assert machine.version() == "ii 1.0"
    assert list(machine.home.iterdir()) == []


def test_a_package_whose_script_fails_goes_back_at_once(machine, tmp_path):
    broken = machine.package("2.0", launcher=READY, postinst="#!/bin/sh\nexit 1\n")
    machine.upgrade("install", broken, code=1)
    assert (machine.version(), outcome(machine)) == ("ii 1.0", ("taken back", "1.0", ""))
    no_package = tmp_path / "no.deb"
    no_package.write_text("no package")
    machine.upgrade("install", no_package, code=1)
    assert (machine.version(), outcome(machine)[0]) == ("ii 1.0", "not installed")


def test_where_the_version_before_cannot_read_what_this_one_writes_there_is_no_way_back(machine):
    said = machine.install(machine.package("2.0", launcher=READY, writes=(3, 3)))
    assert "No way back by itself: 1.0 cannot read the journal.db" in said
    assert list(machine.home.iterdir()) == []
    assert machine.upgrade("watch") == ""


def test_a_version_whose_libraries_are_gone_does_not_come_back_by_half(machine, tmp_path):
    """As after an upgrade of Debian itself: the other Python is there, the old one is not."""
    base = tmp_path / "base/DEBIAN"
    base.mkdir(parents=True)
    (base / "control").write_text(
        "Package: base\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    )
    subprocess.run(
        ["dpkg-deb", "--build", base.parent, tmp_path / "base.deb"], check=True, capture_output=True
    )
    machine.install(tmp_path / "base.deb")
    machine.install(
        machine.package("1.5", launcher=READY, depends="Depends: nothing | base (>= 1), base (<< 2)\n")
    )
    machine.upgrade("over")
    machine.install(machine.package("2.0", launcher=SLEEPS))
    machine.run("dpkg", "--purge", "base")
    said = machine.upgrade("watch", code=1, UNREADY="0.2")
    assert "nothing was changed" in said
    assert (machine.version(), outcome(machine)) == ("ii 2.0", ("failed", "1.5", "2.0"))
    assert nothing_is_left_to_decide(machine)


def test_a_version_that_cannot_be_packed_again_is_replaced_all_the_same(machine):
    programs = machine.tree.parent / "programs"
    (programs / "dpkg-deb").write_text(
        "#!/bin/sh\n[ $1 = --root-owner-group ] && exit 2\nexec /usr/bin/dpkg-deb $@\n"
    )
    (programs / "dpkg-deb").chmod(0o755)
    package = machine.package("2.0", launcher=READY)
    assert "could not be kept" in machine.install(package)
    assert machine.version() == "ii 2.0"
    assert list(machine.home.iterdir()) == []
    assert not list((machine.tree / "opt").glob("submeter.pack*"))


def test_where_no_systemd_runs_nothing_is_on_trial(machine):
    (machine.tree / "run/systemd/system").rmdir()
    machine.install(machine.package("2.0", launcher=SLEEPS))
    assert not machine.home.exists()


def test_how_it_is_said_for_programs(machine):
    machine.install(machine.package("2.0", launcher=SLEEPS))
    said = json.loads(machine.upgrade("status"))
    assert (said["version"], said["trial"]["state"], said["result"]) == ("2.0", "trial", None)
    machine.upgrade("over")
    assert json.loads(machine.upgrade("status"))["trial"] is None
    machine.upgrade("what", code=2)
