"""Two versions of the product as packages that a real dpkg installs below a folder, and a service manager
for them: what an upgrade needs of a machine, where no systemd runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig import until

ROOT = Path(__file__).parents[2]
UPGRADE = ROOT / "packaging/upgrade/submeter_upgrade.py"
PATIENCE = 120.0
LAUNCHER = """\
#!{python}
import sys
sys.path.insert(0, {root!r})
{change}
from gateway.cli import main
main()
"""
NEWER_FILE = """\
from gateway.common import file_versions
file_versions.WRITABLE["journal.db"] = (2, 3)
from gateway.journal.file import schema
@schema.migrations()
def v3_more(db):
    db.conn.execute("CREATE TABLE more (id INTEGER PRIMARY KEY)")
    db.conn.execute("PRAGMA user_version = 3")
"""
"""A version that writes a newer file."""
NEVER_READY = """\
from gateway.daemon import daemon
say = daemon.notify
daemon.notify = lambda *words: None if any(word.startswith("READY") for word in words) else say(*words)
"""
"""A version that does everything but become ready."""
SYSTEMCTL = """\
#!{python} -S
import json, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({socket!r})
    line.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    sys.stdout.write(line.makefile().read())
"""
SCRIPTS = {
    "prerm": "#!/bin/sh\nset -e\nsystemctl stop submeter-gateway.service\n",
    "postinst": "#!/bin/sh\nset -e\n"
    'if [ -n "$2" ]; then "$DPKG_ROOT/usr/lib/submeter/submeter-upgrade" begin "$2"; fi\n'
    "systemctl --no-block start submeter-gateway.service\n",
}
"""As the package's own, but for users and units; its preinst is used as it is."""


class Service:
    """The gateway's service: what systemctl says of it, and does."""

    def __init__(self, tree: Path, config: Path) -> None:
        self._tree, self._config = tree, config
        self._process: subprocess.Popen[bytes] | None = None
        self._run = ""
        self.state = "inactive"
        self._log = (tree / "daemon.log").open("ab")
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(tree / "notify"))
        self._asked = socket.create_server(str(tree / "ctl"), family=socket.AF_UNIX)
        for work in (self._listen, self._answer):
            threading.Thread(target=work, daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Of the daemon that runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start what is installed."""
        self._run, self.state = uuid.uuid4().hex, "activating"
        self._process = subprocess.Popen(
            [str(self._tree / "opt/submeter/bin/submeter"), "run", str(self._config)],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(self._tree / "notify"),
                 "SUBMETER_SOCKET": str(self._tree / "control"),
                 "SUBMETER_UPGRADE": str(self._tree / "var/lib/submeter-upgrade")},
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it as systemd does: politely, then not."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(60)
        self.state = "inactive"

    def log(self) -> str:
        """What the daemons have said."""
        return (self._tree / "daemon.log").read_text()

    def close(self) -> None:
        """End everything."""
        self.stop()
        for each in (self._asked, self._notified, self._log):
            each.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while said := self._notified.recv(4096):
                if b"READY=1" in said.splitlines():
                    self.state = "active"

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._asked.accept()
                with line, line.makefile("rw") as talk:
                    words = json.loads(talk.readline())
                    if "start" in words:
                        self.start()
                    elif "stop" in words:
                        self.stop()
                    elif "show" in words:
                        state = self.state if self.pid or self.state == "inactive" else "failed"
                        talk.write(f"ActiveState={state}\nInvocationID={self._run}\n")


class StandIn:
    """A folder that stands for / with a dpkg of its own, packages for it, and what is run in it."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.tree, self._folder = folder / "tree", folder
        for place in (
            "run/systemd/system",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "opt",
            "usr/lib/submeter",
        ):
            (self.tree / place).mkdir(parents=True)
        (self.tree / "var/lib/dpkg/status").touch()
        programs = folder / "programs"
        programs.mkdir()
        dpkg = shutil.which("dpkg")
        options = (
            f"--root={self.tree} --force-not-root --force-script-chrootless --force-bad-path --log=/dev/null"
        )
        _program(programs / "dpkg", f'#!/bin/sh\nexec {dpkg} {options} "$@"\n')
        _program(
            programs / "systemctl", SYSTEMCTL.format(python=sys.executable, socket=str(self.tree / "ctl"))
        )
        path = f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self._environment = {**os.environ, "PATH": path, "DPKG_ROOT": str(self.tree)}
        self.home = self.tree / "var/lib/submeter-upgrade"
        self.service = Service(self.tree, config)

    def package(
        self,
        version: str,
        change: str = "",
        writes: tuple[int, int] = (2, 2),
        *,
        launcher: str = "",
        depends: str = "",
        **scripts: str,
    ) -> Path:
        """A package of the checkout, changed; or of another program, with other scripts."""
        work = self._folder / f"work-{version}"
        (work / "DEBIAN").mkdir(parents=True)
        own = {"preinst": (ROOT / "packaging/debian/preinst").read_text()}
        for name, text in {**own, **SCRIPTS, **scripts}.items():
            _program(work / "DEBIAN" / name, text)
        (work / "DEBIAN/control").write_text(
            f"Package: submeter-gateway\nVersion: {version}\nArchitecture: all\nMaintainer: x\n"
            f"{depends}Description: a stand-in\n with a second line\n .\n and a third\n"
        )
        (work / "DEBIAN/conffiles").write_text("/etc/kept.conf\n")
        for place, text in {"etc/kept.conf": f"of {version}\n", "opt/submeter/with a blank": "x",
                            f"opt/submeter/only-{version}": version}.items():  # fmt: skip
            (work / place).parent.mkdir(parents=True, exist_ok=True)
            (work / place).write_text(text)
        (work / "opt/submeter/bin").mkdir()
        launcher = launcher or LAUNCHER.format(python=sys.executable, root=str(ROOT), change=change)
        _program(work / "opt/submeter/bin/submeter", launcher)
        (work / "opt/submeter/link").symlink_to("bin/submeter")
        (work / "usr/lib/submeter").mkdir(parents=True)
        shutil.copy(UPGRADE, work / "usr/lib/submeter/submeter-upgrade")
        known = {"journal.db": writes, "history.db": (1, 1), "learnt.json": (1, 1)}
        (work / "usr/lib/submeter/versions.json").write_text(json.dumps(known))
        package = self._folder / f"{version}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Znone", "--build", work, package],
            check=True,
            capture_output=True,
        )
        return package

    def run(self, *command: str | Path, code: int = 0, **limits: str) -> str:
        """What a command says, as root's programs see this machine."""
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=False, timeout=600,
            env=self._environment | {f"SUBMETER_UPGRADE_{name}": value for name, value in limits.items()},
        )  # fmt: skip
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, package: Path, **limits: str) -> str:
        """As apt does."""
        return self.run("dpkg", "--force-confold", "--install", package, **limits)

    def upgrade(self, *words: str | Path, code: int = 0, **limits: str) -> str:
        """submeter-upgrade, from where it is installed."""
        program = self.tree / "usr/lib/submeter/submeter-upgrade"
        return self.run(program, *words, code=code, **{"EVERY": "0.1", **limits})

    def version(self) -> str:
        """What is installed, with its status."""
        return self.run("dpkg-query", "-W", "-f=${db:Status-Abbrev}${Version}", "submeter-gateway")

    def files(self) -> dict[str, str]:
        """Everything that a package has put here, but what every one of them has."""
        places = [self.tree / "etc", self.tree / "opt", self.tree / "usr"]
        found = [path for place in places for path in place.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.tree)): path.read_text() for path in found}

    def ready(self) -> None:
        """Until the daemon says that it is."""
        until(lambda: self.service.state == "active", PATIENCE, "the daemon is ready")


@contextmanager
def stand_in(folder: Path, config: Path) -> Iterator[StandIn]:
    """A StandIn whose service is stopped at the end."""
    made = StandIn(folder, config)
    try:
        yield made
    except Exception as error:
        error.add_note(made.service.log()[-3000:])
        raise
    finally:
        made.service.close()


def _program(place: Path, text: str) -> None:
    place.write_text(text)
    place.chmod(0o755)
