"""What is wrong with a CA file, a certificate or a key of ours is said in words, with the file and what to
do: by `submeter check` and by an attempt to connect.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.common.address import BrokerAddress
from gateway.errors import LinkRefused
from gateway.mqtt import Broker, file_mistakes, tls_context
from tests.certificates import certificate

BROKER = Broker("uplink city", BrokerAddress.of("mqtts://127.0.0.1:8883"), "gw1-city")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("own")
    certificate(place, "a", "/CN=a")
    certificate(place, "b", "/CN=b")

    def openssl(words):
        done = subprocess.run(
            ["openssl", *words.split()], cwd=place, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr

    openssl("x509 -in a.crt -outform der -out a.crt.der")
    openssl("pkey -in a.key -outform der -out a.key.der")
    openssl("pkcs8 -topk8 -in a.key -passout pass:x -out locked.key")
    openssl("ec -in a.key -aes128 -passout pass:x -out old_locked.key")
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key")
    openssl("req -new -key a.key -subj /CN=a -out a.csr")
    (place / "empty").write_bytes(b"\n")
    (place / "text").write_text("hello\n")
    whole = (place / "a.crt").read_text().splitlines()
    (place / "cut").write_text("\n".join([*whole[:3], whole[-1]]))
    whole = (place / "a.key").read_text().splitlines()
    (place / "cut.key").write_text("\n".join([whole[0], whole[1][:20], whole[-1]]))
    (place / "folder").mkdir()
    return place


CAS = {
    "a.crt.der": "is in DER, not in PEM",
    "a.key": "a private key and no certificate",
    "a.csr": "the request for a certificate",
    "empty": "it is empty",
    "text": "no PEM file",
    "cut": "is damaged",
    "folder": "not a regular file",
}
PAIRS = {
    ("a.crt", "b.key"): "they do not belong together",
    ("a.crt", "rsa.key"): "they do not belong together",
    ("a.crt.der", "a.key"): "is in DER, not in PEM",
    ("a.crt", "a.key.der"): "is in DER, not in PEM",
    ("a.key", "a.key"): "a private key and no certificate",
    ("a.crt", "a.crt"): "a certificate and no private key",
    ("a.crt", "locked.key"): "has a passphrase",
    ("a.crt", "old_locked.key"): "has a passphrase",
    ("empty", "a.key"): "it is empty",
    ("a.crt", "empty"): "it is empty",
    ("text", "a.key"): "no PEM file",
    ("a.crt", "text"): "no PEM file",
    ("cut", "a.key"): "cut cannot be used: it is damaged",
    ("a.crt", "cut.key"): "cut.key cannot be used: it is damaged",
    ("a.csr", "a.key"): "the request for a certificate",
}


def in_words(place: Path, paths: dict[str, str], wrong: str) -> None:
    named = {key: str(place / name) for key, name in paths.items()}
    ((_, what, mend),) = list(file_mistakes(named))
    with pytest.raises(LinkRefused) as refused:
        tls_context(replace(BROKER, **named))
    for said, hint in ((what, mend), (refused.value.message, refused.value.hint)):
        assert wrong in said
        assert str(place) in said
        assert "_ssl.c" not in said
        assert hint
    assert refused.value.cause == "own_files"


@pytest.mark.parametrize(("ca", "wrong"), CAS.items())
def test_what_is_wrong_with_a_ca_file_is_said(files, ca, wrong):
    in_words(files, {"ca": ca}, wrong)


@pytest.mark.parametrize(("pair", "wrong"), PAIRS.items())
def test_what_is_wrong_with_a_certificate_or_its_key_is_said(files, pair, wrong):
    in_words(files, dict(zip(("cert", "key"), pair, strict=True)), wrong)


def test_files_that_can_be_used_are_taken(files):
    paths = {"ca": str(files / "a.crt"), "cert": str(files / "a.crt"), "key": str(files / "a.key")}
    assert not list(file_mistakes(paths))
    tls_context(replace(BROKER, **paths))


def test_what_is_told_to_do_about_der_does(files):
    """The command as it stands makes a file that can be used."""
    ((_, _, mend),) = list(file_mistakes({"ca": str(files / "a.crt.der")}))
    subprocess.run(mend.split(",")[0].split(), check=True, capture_output=True, timeout=60)
    assert not list(file_mistakes({"ca": str(files / "a.crt.der.pem")}))
