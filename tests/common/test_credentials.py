"""Files of a folder that is root's alone: the service reads what systemd has handed over to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.common import files
from gateway.common.address import BrokerAddress
from gateway.common.files import is_missing, read_regular, read_secret
from gateway.errors import LinkRefused
from gateway.mqtt import Broker, check_files, file_mistakes
from gateway.mqtt import tls as tls_module
from tests.certificates import certificate


@pytest.fixture
def given(tmp_path, monkeypatch) -> Path:
    """The folder that systemd hands over; what it is loaded from is another, as its name says."""
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    for module in (files, tls_module):
        monkeypatch.setattr(module, "SECRETS", tmp_path / "secrets")
    return folder


def test_it_is_named_as_it_lies_and_read_as_it_was_handed_over(given, tmp_path) -> None:
    (given / "secrets_city.password").write_text("word\n")
    (tmp_path / "city.password").write_text("another\n")
    assert read_secret(tmp_path / "secrets/city.password") == "word"
    assert read_secret(tmp_path / "city.password") == "another", "files of other folders lie where they lie"
    os.environ.pop("CREDENTIALS_DIRECTORY")
    with pytest.raises(FileNotFoundError):
        read_secret(tmp_path / "secrets/city.password")


def test_what_was_not_handed_over_is_read_where_it_lies(given, tmp_path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/later").write_bytes(b"root reads it")
    assert read_regular(tmp_path / "secrets/later", 100) == b"root reads it"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_takes_authority_certificate_and_key_from_there(given, tmp_path) -> None:
    cert, key = certificate(tmp_path, "city", "/CN=city")
    for file in (cert, key):
        file.rename(given / f"secrets_{file.name}")
    (given / "secrets_city.password").write_text("word\n")
    names = {"ca": "city.crt", "cert": "city.crt", "key": "city.key", "password_file": "city.password"}
    paths = {name: str(tmp_path / "secrets" / file) for name, file in names.items()}
    assert list(file_mistakes(paths)) == []
    check_files(Broker("city", BrokerAddress.of("mqtts://localhost"), "a", username="u", **paths))


def test_what_may_not_be_looked_at_is_not_missing(given, tmp_path, monkeypatch) -> None:
    (given / "secrets_city.crt").write_text("given")
    assert not is_missing(tmp_path / "secrets/city.crt")
    assert is_missing(tmp_path / "secrets/other.crt")
    assert is_missing(given / "secrets_city.crt/below")

    def barred(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", barred)
        assert not is_missing(Path("/etc/submeter/city.crt"))


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can go on as somebody else")
@pytest.mark.parametrize("service", [True, False])
def test_what_is_not_handed_over_yet_is_told_with_what_to_do(
    given, tmp_path, monkeypatch, service: bool
) -> None:
    if not service:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "new.password").write_text("word\n")
    folder.chmod(0o700)
    tmp_path.chmod(0o755)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setuid(65534)
            path = str(folder / "new.password")
            told = [mend for _key, _what, mend in file_mistakes({"password_file": path})]
            os.environ.pop("CREDENTIALS_DIRECTORY", None)  # this user may not look into pytest's folder
            for keys in ({"password_file": path}, {"ca": path}, {"cert": path, "key": path}):
                with pytest.raises(LinkRefused) as caught:
                    check_files(Broker("city", BrokerAddress.of("mqtts://localhost"), "a", **keys))
                told.append(caught.value.hint)
            os.write(writing, "\n".join(told).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        mends = [line.partition(":")[0] for line in said.read().splitlines()]
    restart = "sudo systemctl restart submeter-gateway"
    assert mends == [restart if service else "use sudo", restart, restart, restart]
