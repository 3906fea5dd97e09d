"""The doctor's way to the platform, step by step, on a real broker: the first step that fails is named, with
who must act.
"""

from __future__ import annotations

import pytest
from test_uplink_tls import pki, tls  # noqa: F401 - a fixture
from uplink_parts import E1, config, platform, row

from gateway.commissioning.doctor import SampleBatch, examine_uplink
from tests.ports import free_port

pytestmark = pytest.mark.broker
SAMPLE = SampleBatch(E1, 7, row(7).body)
ACL = "user gw1\ntopic write submeter/v1/gw1/state\ntopic read submeter/v1/gw1/receipt/city\n"


def examined(url: str, *, sample: SampleBatch | None = SAMPLE, running=None, synced: bool = True, **keys):
    return examine_uplink(config(url=url, **keys), "gw1", sample=sample, running=running, synced=synced)


def looks(found) -> dict[str, bool | None]:
    return {seen.kind: seen.ok for seen in found.observations}


def test_a_batch_goes_out_and_its_receipt_comes_back(mosquitto) -> None:
    broker = mosquitto()
    with platform(broker.port, consumer="city") as here:
        found = examined(f"mqtt://127.0.0.1:{broker.port}", receipts=["city"])
        assert here.seqs == [7]
    assert not found.found
    assert looks(found)["receipt"] is True
    assert looks(found)["credentials"] is True


def test_without_a_batch_it_says_that_nothing_could_be_sent(mosquitto) -> None:
    broker = mosquitto()
    found = examined(f"mqtt://127.0.0.1:{broker.port}", sample=None)
    assert not found.found
    assert found.blind
    assert looks(found)["nothing_stored"] is None


def test_a_platform_that_does_not_confirm_is_named(mosquitto, monkeypatch) -> None:
    monkeypatch.setattr("gateway.commissioning.doctor.uplink.RECEIPT", 3.0)
    broker = mosquitto()
    with platform(broker.port, consumer="city"):
        found = examined(f"mqtt://127.0.0.1:{broker.port}", receipts=["city", "mirror"])
    (each,) = found.found
    assert (each.cause, each.facts["consumer"], each.facts["who"]) == ("no_receipt", "mirror", "operator")


def test_nobody_there_is_told_by_mqtt_5(mosquitto) -> None:
    broker = mosquitto()
    (each,) = examined(f"mqtt://127.0.0.1:{broker.port}", protocol="5.0").found
    assert each.cause == "nobody_listens"


def test_name_port_and_encryption() -> None:
    name = examined("mqtt://no-such-broker.invalid").found[0]
    assert name.facts["step"] == "name"
    refused = examined(f"mqtt://127.0.0.1:{free_port()}").found[0]
    assert (refused.facts["step"], refused.facts["who"]) == ("connection", "operator")
    assert "refused" in str(refused.facts["what"])


@pytest.mark.parametrize(
    ("certificate", "authority", "words"),
    [("expired", "ca", "expired"), ("elsewhere", "ca", "ostname"), ("broker", "stranger", "certificate")],
)
def test_the_certificate_is_judged(mosquitto, pki, certificate, authority, words) -> None:  # noqa: F811
    broker = mosquitto(conf=tls(pki, certificate))
    url = f"mqtts://localhost:{broker.port}"
    (each,) = examined(url, ca=str(pki / f"{authority}.crt")).found
    assert each.facts["step"] == "tls"
    assert words in str(each.facts["what"])


def test_a_certificate_that_ends_soon_is_told_and_the_rest_goes_on(mosquitto, pki) -> None:  # noqa: F811
    broker = mosquitto(conf=tls(pki))
    found = examined(f"mqtts://localhost:{broker.port}", ca=str(pki / "ca.crt"), sample=None)
    assert [each.cause for each in found.found] == ["broker_certificate"]
    assert looks(found)["credentials"] is True


def test_a_wrong_password_is_for_whoever_is_here(mosquitto, tmp_path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    broker = mosquitto(conf=f"password_file {passwords}\nallow_anonymous false\n")
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    url = f"mqtt://127.0.0.1:{broker.port}"
    (each,) = examined(url, username="gw1", password_file=str(secret)).found
    assert each.facts["step"] == "credentials"
    missing = examined(url, username="gw1", password_file=str(tmp_path / "none")).found[0]
    assert (missing.facts["step"], missing.facts["who"]) == ("files", "here")


def test_the_access_list_is_tried_by_a_batch(mosquitto, tmp_path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(ACL)
    broker = mosquitto(conf=f"allow_anonymous true\nacl_file {acl}\n")
    found = examined(f"mqtt://127.0.0.1:{broker.port}", username="gw1", protocol="5.0", receipts=["city"])
    assert "publish_refused" in {each.cause for each in found.found}


@pytest.mark.parametrize("dialect", ["homeassistant", "thingsboard", "fiware"])
def test_a_platform_of_another_dialect_is_sent_nothing_of_ours(mosquitto, dialect) -> None:
    broker = mosquitto()
    with platform(broker.port, consumer="city") as here:
        found = examined(f"mqtt://127.0.0.1:{broker.port}", dialect=dialect, receipts=[])
        assert here.seqs == []
    assert not found.found
    assert looks(found)["credentials"] is True
    assert looks(found)["other_dialect"] is None


@pytest.mark.parametrize(
    ("running", "cause"),
    [
        ({"state": "connected", "receipts": True, "last_receipt": 1}, None),
        ({"state": "connected", "silent": ["city"]}, "no_receipt"),
        ({"state": "connected", "refused_topics": ["a/b"], "last_delivery": 1}, "topic_refused"),
        ({"state": "refused", "cause": "credentials", "error": "no → check username"}, "said"),
        ({"state": "connected", "set_aside": 3, "last_delivery": 1}, "set_aside"),
        ({"state": "connecting"}, None),
    ],
)
def test_a_running_gateway_holds_the_connection_and_is_asked(mosquitto, running, cause) -> None:
    broker = mosquitto()
    found = examined(f"mqtt://127.0.0.1:{broker.port}", running=running)
    assert [each.cause for each in found.found] == ([cause] if cause else [])
    assert found.blind == (running["state"] == "connecting")
