"""A PostgreSQL server of the tests' own: on a socket in its own directory, ended by whom started it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_NUMBERS = itertools.count(1)


def programs() -> Path | None:
    """Where initdb and postgres are: in POSTGRES_PROGRAMS, else of the newest version that is installed."""
    if named := os.environ.get("POSTGRES_PROGRAMS"):
        return Path(named)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


def timescale() -> bool:
    """Whether the extension TimescaleDB is installed beside them."""
    if (bin_ := programs()) is None:
        return False
    share = Path(*bin_.parts[:-4]) / "share" / "postgresql" / bin_.parts[-2] / "extension"
    return (share / "timescaledb.control").exists()


class PostgresServer:
    """Started by root it runs as `postgres`: it refuses to be root."""

    def __init__(self, *, durable: bool = False, preload: str = "") -> None:
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._more = [f"shared_preload_libraries={preload}"] if preload else []
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        bin_ = programs()
        assert bin_ is not None
        self._bin = bin_
        subprocess.run(
            [str(bin_ / "initdb"), "-D", str(self.folder / "data"), "-U", "submeter", "-A", "trust", "-N",
             "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, user=self._user, timeout=120, cwd="/",
        )  # fmt: skip

    def start(self) -> None:
        """Returns when it answers."""
        settings = [
            f"unix_socket_directories={self.folder}", "listen_addresses=", "max_connections=40",
            "shared_buffers=64MB", f"fsync={'on' if self._durable else 'off'}", *self._more,
        ]  # fmt: skip
        more = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *more],
                stdout=log, stderr=log, user=self._user, cwd="/",
            )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=5).close()
            except psycopg.Error as error:
                if time.monotonic() > end:
                    raise RuntimeError("PostgreSQL did not start") from error
                time.sleep(0.05)
            else:
                return

    def setting(self, text: str) -> None:
        """As name=value, from the next start on."""
        self._more.append(text)
        self.end(keep=True)
        self.start()

    def address(self, database: str) -> str:
        return f"postgresql://submeter@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The address of an empty one."""
        name = f"t{os.getpid()}_{next(_NUMBERS)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.address(name)

    def kill(self) -> None:
        """As a power cut does, for the processes of one server."""
        if self._process is not None:
            for child in _children(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def end(self, *, keep: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
