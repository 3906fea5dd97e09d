"""An authority and a broker that asks for certificates, for the tests of enrolment and remote care."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.remote.enrolment import Authority
from tests.mosquitto import MOSQUITTO
from tests.ports import free_port
from tests.remote.apply_site import Site, make_site
from tests.rig import until

GATEWAY = "izm-1"
ACL = """
user enroller
pattern write submeter/v1/+/enroll/request
pattern read submeter/v1/+/enroll/answer
user sign
topic read submeter/v1/+/enroll/request
topic write submeter/v1/+/enroll/answer
user platform
topic readwrite submeter/v1/#
pattern readwrite submeter/v1/%u/#
"""


@pytest.fixture
def authority(tmp_path: Path):
    made = Authority.make(tmp_path / "sign", "Test authority", 1)
    yield made
    made.close()


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


def submeter(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command, in English."""
    command = [sys.executable, "-m", "gateway", *map(str, words), "--lang", "en"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


class Brokers:
    """One mosquitto: a TLS listener for the certificates of an authority, and a plain one for the platform's
    own programs.
    """

    def __init__(self, home: Path, authority: Path) -> None:
        self.tls, self.plain, self.home = free_port(), free_port(), home
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        openssl("req", "-x509", *new, *names, "-keyout", home / "broker.key", "-out", home / "broker.pem")
        (home / "acl").write_text(ACL)
        (home / "mosquitto.conf").write_text(
            f"user root\nper_listener_settings true\nlistener {self.tls} 127.0.0.1\n"
            f"cafile {authority / 'authority.pem'}\n"
            f"certfile {home / 'broker.pem'}\nkeyfile {home / 'broker.key'}\nrequire_certificate true\n"
            f"crlfile {authority / 'revoked.pem'}\n"
            f"use_identity_as_username true\nallow_anonymous false\nacl_file {home / 'acl'}\n"
            f"listener {self.plain} 127.0.0.1\nallow_anonymous true\nmax_packet_size 400000\n"
        )
        self._starts = 0
        self._start()

    def _start(self) -> None:
        self._starts += 1
        with (self.home / "mosquitto.log").open("ab") as log:
            command = [str(MOSQUITTO), "-v", "-c", str(self.home / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._listens, 60, "mosquitto listens")

    def restart(self) -> None:
        """End it and begin again with what its files hold now."""
        self.stop()
        self._start()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log
        return self.log.count("Opening ipv4 listen socket") == 2 * self._starts

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.home / "mosquitto.log").read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(30)


@pytest.fixture
def brokers(tmp_path: Path, authority: Authority):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    made = Brokers(tmp_path, tmp_path / "sign")
    yield made
    made.stop()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """For submeter-apply. What is in the files of an uplink is judged by others."""
    monkeypatch.setattr("gateway.mqtt.file_mistakes", lambda _: [])
    return make_site(tmp_path)
