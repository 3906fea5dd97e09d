"""A gateway's key is certified by a token, by hand and by the key before; what must not be is not."""

from __future__ import annotations

import base64
import hmac
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import EnrolmentError
from gateway.remote.enrolment import DeviceIdentity
from gateway.remote.enrolment.device import token_key
from gateway.remote.enrolment.keys import public_of, read_certificate, read_request
from gateway.wire.enrolment import EnrolmentRequest, proven
from tests.remote.conftest import GATEWAY, submeter


@pytest.fixture
def identity(tmp_path):
    folder = tmp_path / "device"
    folder.mkdir()
    return DeviceIdentity(GATEWAY, folder / "gateway.pem", folder / "gateway.key")


def changed(asked: EnrolmentRequest, **fields: object) -> EnrolmentRequest:
    return asked.model_copy(update=fields)


def enrolled(authority, identity):
    """The identity with its first certificate."""
    token = authority.new_token(identity.gateway, 1)
    return identity.install(authority.answer(identity.gateway, identity.ask_by_token(token)))


def test_a_token_brings_the_first_certificate_and_the_running_key_the_next(authority, identity):
    first = enrolled(authority, identity)
    old = identity.key.read_bytes()
    second = identity.install(authority.answer(GATEWAY, identity.ask_by_key()))
    assert second.serial != first.serial
    assert (second.name, second.authority) == (GATEWAY, False)
    assert read_certificate(identity.cert.read_bytes()).public == public_of(identity.key.read_bytes())
    assert identity.key.read_bytes() != old
    for path in (identity.cert, identity.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in identity.key.parent.iterdir()) == ["gateway.key", "gateway.pem"]
    found = x509.load_pem_x509_certificate(identity.cert.read_bytes())
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert len(authority.given()) == 2


def test_one_file_may_hold_both(authority, tmp_path):
    both = tmp_path / "city.pem"
    identity = DeviceIdentity(GATEWAY, both, both)
    enrolled(authority, identity)
    identity.install(authority.answer(GATEWAY, identity.ask_by_key()))
    assert both.read_bytes().count(b"BEGIN") == 2
    assert read_certificate(both.read_bytes()).public == public_of(both.read_bytes())


def test_a_lost_answer_is_given_again_and_nothing_twice(authority, identity):
    asked = identity.ask_by_token(authority.new_token(GATEWAY, 1))
    again = DeviceIdentity(GATEWAY, identity.cert, identity.key).ask_by_token("whatever")
    assert again.csr == asked.csr
    assert authority.answer(GATEWAY, asked) == authority.answer(GATEWAY, asked)
    assert len(authority.given()) == 1


def request(name: str, *extensions, key=None, subject=()) -> str:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name), *subject]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    made = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


FOREIGN = {
    "another gateway's name": (lambda: request("izm-2"), "asks for a certificate of izm-2"),
    "an authority's certificate": (
        lambda: request(GATEWAY, x509.BasicConstraints(ca=True, path_length=None)),
        "certificate of an authority",
    ),
    "more names": (
        lambda: request(GATEWAY, x509.SubjectAlternativeName([x509.DNSName("platform.example")])),
        "more than a name",
    ),
    "another name beside": (
        lambda: request(GATEWAY, subject=[x509.NameAttribute(NameOID.COMMON_NAME, "izm-2")]),
        "not just one common name",
    ),
    "an organisation beside": (
        lambda: request(GATEWAY, subject=[x509.NameAttribute(NameOID.ORGANIZATION_NAME, "City")]),
        "not just one common name",
    ),
    "another kind of key": (
        lambda: request(GATEWAY, key=rsa.generate_private_key(65537, 2048)),
        "no ECDSA P-256",
    ),
    "another curve": (
        lambda: request(GATEWAY, key=ec.generate_private_key(ec.SECP384R1())),
        "no ECDSA P-256",
    ),
    "a name with a wildcard": (lambda: request("+"), "asks for a certificate of"),
    "nonsense": (
        lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "no certificate request",
    ),
}


@pytest.mark.parametrize(("csr", "words"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("by", ["token", "hand"])
def test_what_no_gateway_may_have_is_refused_and_told(authority, identity, csr, words, by):
    token = authority.new_token(GATEWAY, 1)
    if by == "token":
        pem = csr()
        try:
            der = x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER)
        except ValueError:
            der = b""
        proof = hmac.digest(token_key(token), proven(GATEWAY, der), "sha256")
        asked = changed(identity.ask_by_token(token), csr=pem, proof=base64.b64encode(proof).decode())
        with pytest.raises(EnrolmentError, match=words):
            authority.answer(GATEWAY, asked)
        assert words.split()[0] in authority.refusals()[-1][2]
    else:
        with pytest.raises(EnrolmentError, match=words):
            authority.certify(GATEWAY, csr())
    assert authority.given() == []
    # The control: the token is still good for what it was made for.
    assert authority.answer(GATEWAY, identity.ask_by_token(token))


def test_a_request_with_a_broken_signature_is_refused(authority):
    good = x509.load_pem_x509_csr(request(GATEWAY).encode()).public_bytes(serialization.Encoding.DER)
    bad = x509.load_der_x509_csr(good[:-1] + bytes([good[-1] ^ 1])).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(EnrolmentError, match="not signed by its own key"):
        authority.certify(GATEWAY, bad.decode())


def test_a_token_is_good_once_for_one_gateway_and_for_its_days(authority, tmp_path, identity):
    token = authority.new_token(GATEWAY, 1)
    asked = identity.ask_by_token(token)
    other = DeviceIdentity("izm-2", tmp_path / "o.pem", tmp_path / "o.key")
    refused = {
        "izm-2 asks for a certificate of izm-1": lambda: authority.answer("izm-2", asked),
        "izm-1 asks for a certificate of izm-2": lambda: authority.answer(
            GATEWAY, changed(asked, gateway="izm-2")
        ),
    }
    with pytest.raises(EnrolmentError, match="another gateway's"):
        authority.answer("izm-2", other.ask_by_token(token))
    for words, attempt in refused.items():
        with pytest.raises(EnrolmentError, match=words):
            attempt()
    assert authority.answer(GATEWAY, asked)
    again = DeviceIdentity(GATEWAY, tmp_path / "again.pem", tmp_path / "again.key")
    with pytest.raises(EnrolmentError, match="the token was used on"):
        authority.answer(GATEWAY, again.ask_by_token(token))
    with pytest.raises(EnrolmentError, match="not known"):
        authority.answer(GATEWAY, again.ask_by_token("AAAA"))
    late = authority.new_token(GATEWAY, 1)
    authority._database.execute("UPDATE token SET expires = ? WHERE used IS NULL", (int(time.time()) - 1,))
    with pytest.raises(EnrolmentError, match="the token was good until"):
        authority.answer(GATEWAY, again.ask_by_token(late))
    assert [given.gateway for given in authority.given()] == [GATEWAY]


def test_the_database_does_not_hold_the_token(authority, tmp_path):
    token = authority.new_token(GATEWAY, 1)
    authority._database.execute("PRAGMA wal_checkpoint")
    assert token.encode() not in (tmp_path / "sign" / "sign.db").read_bytes()
    assert stat.S_IMODE((tmp_path / "sign" / "sign.db").stat().st_mode) == 0o600


def test_a_renewal_takes_a_key_whose_certificate_is_valid(authority, identity, tmp_path):
    enrolled(authority, identity)
    asked = identity.ask_by_key()
    stranger = DeviceIdentity(GATEWAY, tmp_path / "s.pem", tmp_path / "s.key")
    stranger.key.write_bytes(stranger.request().encode() and (tmp_path / "s.key.pending").read_bytes())
    with pytest.raises(EnrolmentError, match="not signed by a key of this gateway"):
        authority.answer(GATEWAY, stranger.ask_by_key())
    authority._database.execute("UPDATE certificate SET ends = ?", (int(time.time()) - 1,))
    with pytest.raises(EnrolmentError, match="the certificate of this key ended on"):
        authority.answer(GATEWAY, asked)
    authority._database.execute("UPDATE certificate SET ends = ?", (int(time.time()) + 99,))
    assert authority.withdraw(GATEWAY) == 1
    with pytest.raises(EnrolmentError, match="was withdrawn on"):
        authority.answer(GATEWAY, asked)
    assert len(authority.refusals()) == 3


def test_a_renewal_cannot_be_for_another_gateway(authority, identity, tmp_path):
    """A gateway that was taken over asks with its own good key for another one's name."""
    enrolled(authority, identity)
    thief = DeviceIdentity("izm-2", tmp_path / "t.pem", identity.key)
    asked = thief.ask_by_key()
    with pytest.raises(EnrolmentError, match="not signed by a key of this gateway"):
        authority.answer("izm-2", asked)
    with pytest.raises(EnrolmentError, match="asks for a certificate of izm-2"):
        authority.answer(GATEWAY, changed(asked, gateway=GATEWAY))


def test_a_key_is_certified_once(authority, identity, tmp_path):
    enrolled(authority, identity)
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    with pytest.raises(EnrolmentError, match="certified before"):
        authority.certify(GATEWAY, request(GATEWAY, key=key))


@pytest.mark.parametrize("stage", range(4))
def test_an_installation_that_is_cut_off_is_ended_or_undone(authority, identity, monkeypatch, stage):
    """Killed before each of its writes: after the next start certificate and key belong together."""
    enrolled(authority, identity)
    before = identity.key.read_bytes()
    answer = authority.answer(GATEWAY, identity.ask_by_key())
    calls = iter(range(10))
    real = os.replace

    def dies(self, target):
        if next(calls) == stage:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr("pathlib.Path.replace", dies)
    if stage < 3:
        with pytest.raises(KeyboardInterrupt):
            identity.install(answer)
    else:
        identity.install(answer)
    monkeypatch.undo()
    identity.finish()
    key = identity.key.read_bytes()
    assert read_certificate(identity.cert.read_bytes()).public == public_of(key)
    assert (key == before) == (stage == 0)
    if stage == 0:  # it can still be installed
        identity.install(answer)


@pytest.mark.parametrize(
    ("what", "words"),
    [("other key", "for another key"), ("other name", "is that of"), ("nonsense", "no certificate")],
)
def test_what_does_not_belong_here_is_not_installed(authority, identity, tmp_path, what, words):
    enrolled(authority, identity)
    held = identity.cert.read_bytes(), identity.key.read_bytes()
    identity.request()
    if what == "other key":
        pem = authority.certify(GATEWAY, request(GATEWAY))
    elif what == "other name":
        key = serialization.load_pem_private_key(
            (tmp_path / "device" / "gateway.key.pending").read_bytes().split(b"-----BEGIN CERT")[0], None
        )
        pem = authority.certify("izm-2", request("izm-2", key=key))
    else:
        pem = "nothing"
    with pytest.raises(EnrolmentError, match=words):
        identity.install(pem)
    assert held == (identity.cert.read_bytes(), identity.key.read_bytes())


@pytest.fixture
def signing(tmp_path, authority, brokers):
    """`submeter sign run`, and the configuration of a gateway that has no certificate yet."""
    (tmp_path / "state").mkdir()
    both = str(tmp_path / "state" / "city.pem")
    uplink = {
        "name": "city",
        "url": f"mqtts://localhost:{brokers.tls}",
        "ca": str(tmp_path / "broker.pem"),
        "cert": both,
        "key": both,
        "spread": "0s",
    }
    config = {
        "gateway": {"id": GATEWAY, "commit_interval": "1s"},
        "clock": {"trust": "system"},
        "status": {"enabled": False},
        "journal": {"directory": str(tmp_path / "state")},
        "uplinks": [uplink],
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config))
    command = [
        "sign",
        "run",
        "--directory",
        tmp_path / "sign",
        "--broker",
        f"mqtt://localhost:{brokers.plain}",
    ]
    with (tmp_path / "sign.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *map(str, command)], stdout=log, stderr=log
        )
    yield file
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_a_whole_round_over_mosquitto_with_tls(signing, tmp_path, authority, brokers):
    """Token, certificate, connection by certificate, renewal: by the commands alone."""
    token = tmp_path / "token"
    token.write_text(submeter("sign", "token", GATEWAY, "--directory", tmp_path / "sign").stdout)
    plain = ("--broker", f"mqtt://localhost:{brokers.plain}")
    foreign = submeter("enroll", "-c", signing, "--renew")
    assert foreign.returncode == 1
    first = submeter("enroll", "-c", signing, "--token-file", token, *plain)
    assert first.returncode == 0, first.stderr
    assert f"the certificate of {GATEWAY}, good until" in first.stdout
    second = submeter("enroll", "-c", signing, "--renew")
    assert second.returncode == 0, second.stderr
    assert f"u'{GATEWAY}'" in brokers.log
    twice = submeter("enroll", "-c", signing, "--token-file", token, *plain)
    assert twice.returncode == 1
    assert "the token was used on" in " ".join(twice.stderr.split())
    listed = submeter("sign", "list", "--directory", tmp_path / "sign").stdout
    assert listed.count(GATEWAY) == 2
    assert (
        "the token was used" in submeter("sign", "list", "--refused", "--directory", tmp_path / "sign").stdout
    )


def test_a_stolen_gateway_is_refused_by_the_broker_and_the_others_are_not(
    signing, tmp_path, authority, brokers
):
    """With its certificate a gateway may ask; withdrawn, the broker does not even shake hands."""
    files = [tmp_path / "state" / name for name in ("city.pem", "two.pem")]
    mine = DeviceIdentity(GATEWAY, files[0], files[0])
    other = DeviceIdentity("izm-2", files[1], files[1])
    for identity in (mine, other):
        enrolled(authority, identity)
    neighbour = tmp_path / "two.yaml"
    neighbour.write_text(
        signing.read_text().replace(GATEWAY, "izm-2").replace(str(mine.cert), str(other.cert))
    )
    brokers.restart()  # with a list that names nobody
    assert submeter("enroll", "-c", signing, "--renew").returncode == 0
    here = ("--directory", tmp_path / "sign")
    told = submeter("sign", "withdraw", GATEWAY, *here)
    assert told.returncode == 0, told.stderr
    assert "revoked.pem" in told.stdout
    assert submeter("sign", "withdraw", GATEWAY, *here).returncode == 1
    brokers.restart()
    refused = submeter("enroll", "-c", signing, "--renew", "--seconds", "5")
    assert refused.returncode == 1, refused.stdout
    assert submeter("enroll", "-c", neighbour, "--renew").returncode == 0
    assert "certificate verify failed" in brokers.log, refused.stderr


def test_the_list_of_what_was_withdrawn_names_what_has_not_ended(authority, identity, tmp_path):
    file = tmp_path / "sign" / "revoked.pem"
    assert not list(x509.load_pem_x509_crl(file.read_bytes()))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    certificate = enrolled(authority, identity)
    authority.withdraw(GATEWAY)
    found = x509.load_pem_x509_crl(file.read_bytes())
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    assert found.is_signature_valid(issuer.public_key())
    assert found.next_update_utc == issuer.not_valid_after_utc
    assert [f"{each.serial_number:x}" for each in found] == [certificate.serial]
    authority._database.execute("UPDATE certificate SET ends = ?", (int(time.time()) - 1,))
    authority.withdraw(GATEWAY)
    assert not list(x509.load_pem_x509_crl(file.read_bytes()))


def test_by_hand_nothing_but_files_is_carried(tmp_path, authority):
    both = str(tmp_path / "city.pem")
    file = tmp_path / "gateway.yaml"
    file.write_text(
        json.dumps(
            {
                "gateway": {"id": GATEWAY},
                "uplinks": [{"name": "city", "url": "mqtts://localhost:1", "cert": both, "key": both}],
            }
        )
    )
    printed = submeter("enroll", "-c", file)
    assert "PRIVATE" not in printed.stdout
    assert read_request(printed.stdout).name == GATEWAY
    signed = submeter("sign", "certify", GATEWAY, "-", "--directory", tmp_path / "sign", input=printed.stdout)
    (tmp_path / "new.pem").write_text(signed.stdout)
    done = submeter("enroll", "-c", file, "--install", tmp_path / "new.pem")
    assert done.returncode == 0, done.stderr
    assert read_certificate((tmp_path / "city.pem").read_bytes()).ends > datetime.now(UTC) + timedelta(
        days=300
    )


def test_no_receiver_loads_the_signing_program():
    code = (
        "import sys, gateway.cli.receive, gateway.receiver; "
        "print([n for n in sys.modules if n.startswith('gateway.remote')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can go on as somebody else")
def test_root_goes_on_as_the_owner_of_the_directory():
    """What it writes there stays readable for the service that runs as that owner."""
    with tempfile.TemporaryDirectory(prefix="submeter-sign-", dir="/tmp") as folder:
        directory = Path(folder)
        os.chown(directory, 65534, 65534)
        for words in (("init",), ("token", GATEWAY), ("list",)):
            done = submeter("sign", *words, "--directory", directory)
            assert done.returncode == 0, done.stderr
        owners = {file.name: file.stat().st_uid for file in directory.iterdir()}
    assert owners.keys() >= {"authority.key", "authority.pem", "sign.db", "revoked.pem"}
    assert set(owners.values()) == {65534}
