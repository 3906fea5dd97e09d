"""TLS: the right authority and name, a client certificate, credentials; every refusal in words that help."""

import os
import subprocess
from pathlib import Path

import pytest
from uplink_parts import FakeClock, Running, config, link_to, outbox

from gateway.errors import LinkDown, LinkRefused
from gateway.mqtt import LinkState
from gateway.mqtt.link import Outgoing
from gateway.wire import Topics
from tests.fake_broker import Ear
from tests.ports import free_port
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "config"
MOSQUITTO = "/usr/sbin/mosquitto"
pytestmark = pytest.mark.broker
WILL = Outgoing(Topics("gw1").state, b"{}", retain=True)


def run_(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def started(*command):
    return subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def openssl(*args):
    run_("openssl", *args)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, a broker certificate for `localhost`, one for another name, an expired one, a
    client's; and a stranger.
    """
    home = tmp_path_factory.mktemp("pki")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca in ("ca", "stranger"):
        openssl(
            "req",
            "-x509",
            *new,
            "-keyout",
            home / f"{ca}.key",
            "-out",
            home / f"{ca}.crt",
            "-subj",
            f"/CN={ca}",
            "-days",
            2,
        )

    def issue(name, common, *, names="", dates=("-days", "2")):
        extra = home / f"{name}.ext"
        extra.write_text(names)
        openssl(
            "req",
            *new,
            "-keyout",
            home / f"{name}.key",
            "-out",
            home / f"{name}.csr",
            "-subj",
            f"/CN={common}",
        )
        openssl(
            "x509",
            "-req",
            "-in",
            home / f"{name}.csr",
            "-CA",
            home / "ca.crt",
            "-CAkey",
            home / "ca.key",
            "-CAcreateserial",
            "-out",
            home / f"{name}.crt",
            "-extfile",
            extra,
            *dates,
        )

    issue("broker", "localhost", names="subjectAltName=DNS:localhost,IP:127.0.0.1")
    issue("elsewhere", "elsewhere.example", names="subjectAltName=DNS:elsewhere.example")
    try:
        issue("expired", "localhost", names="subjectAltName=DNS:localhost", dates=("-days", "-1"))
    except subprocess.CalledProcessError:  # OpenSSL 3.5 wants the dates themselves, 3.0 does not know them
        dates = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        issue("expired", "localhost", names="subjectAltName=DNS:localhost", dates=dates)
    issue("client", "gw1")
    return home


def tls(pki, name="broker", *, certificate=False):
    more = (
        f"cafile {pki}/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n"
        if certificate
        else ""
    )
    return f"allow_anonymous true\ncertfile {pki}/{name}.crt\nkeyfile {pki}/{name}.key\n{more}"


async def opens(settings, clock=None):
    link = link_to(settings, synced=lambda: clock is None or clock.synced)
    connection = await link.open(Ear(), will=WILL, topics=[])
    await connection.close()
    return connection.protocol


@pytest.mark.parametrize(("host", "protocol"), [("localhost", "5.0"), ("127.0.0.1", "3.1.1")])
async def test_with_the_right_authority_and_name(mosquitto, pki, host, protocol):
    broker = mosquitto(conf=tls(pki))
    async with Running(
        config(
            url=f"mqtts://{host}:{broker.port}", ca=str(pki / "ca.crt"), protocol=protocol, receipts=["x"]
        ),
        outbox(50),
    ) as run:
        await until(lambda: run.stats.unconfirmed == 50)
        assert run.stats.protocol == protocol


async def test_a_certificate_for_another_name_is_refused(mosquitto, pki):
    broker = mosquitto(conf=tls(pki, "elsewhere"))
    with pytest.raises(LinkRefused, match=r"does not accept.*[Hh]ostname mismatch.*in url"):
        await opens(config(url=f"mqtts://localhost:{broker.port}", ca=str(pki / "ca.crt")))


async def test_an_unknown_authority_is_refused(mosquitto, pki):
    broker = mosquitto(conf=tls(pki))
    for ca in (str(pki / "stranger.crt"), None):
        with pytest.raises(LinkRefused, match=r"does not accept.*in ca"):
            await opens(config(url=f"mqtts://localhost:{broker.port}", ca=ca))


async def test_an_expired_certificate_is_refused_unless_it_may_be_our_clock(mosquitto, pki):
    broker = mosquitto(conf=tls(pki, "expired"))
    settings = config(url=f"mqtts://localhost:{broker.port}", ca=str(pki / "ca.crt"))
    with pytest.raises(LinkRefused, match="expired"):
        await opens(settings, FakeClock(synced=True))
    with pytest.raises(LinkDown, match="clock is not synchronised") as caught:
        await opens(settings, FakeClock(synced=False))
    assert not isinstance(caught.value, LinkRefused), "tried again soon, not in half a minute"


async def test_a_client_certificate_opens_the_door_and_nothing_else_does(mosquitto, pki):
    broker = mosquitto(conf=tls(pki, certificate=True))
    url, ca = f"mqtts://localhost:{broker.port}", str(pki / "ca.crt")
    settings = config(url=url, ca=ca, cert=str(pki / "client.crt"), key=str(pki / "client.key"))
    assert await opens(settings) == "5.0"
    with pytest.raises(LinkDown, match="client certificate"):
        await opens(config(url=url, ca=ca))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ca", "/nonexistent/ca.pem", "CA file"),
        ("ca", "KEY", "CA file"),
        ("cert", "/nonexistent/c.pem", "client certificate"),
        ("key", "STRANGER", "client certificate"),
        ("password_file", "/nonexistent/password", "password file"),
    ],
)
async def test_files_that_cannot_be_used_are_named(mosquitto, pki, field, value, words):
    broker = mosquitto(conf=tls(pki))
    value = {"KEY": str(pki / "client.key"), "STRANGER": str(pki / "stranger.key")}.get(value, value)
    files = {
        "ca": str(pki / "ca.crt"),
        "cert": str(pki / "client.crt"),
        "key": str(pki / "client.key"),
        field: value,
    }
    with pytest.raises(LinkRefused, match=words) as caught:
        await opens(config(url=f"mqtts://localhost:{broker.port}", username="gw1", **files))
    assert caught.value.hint


async def test_a_plain_port_under_mqtts_and_a_tls_port_under_mqtt(mosquitto, pki):
    plain, secret = mosquitto(), mosquitto(conf=tls(pki))
    with pytest.raises((LinkRefused, LinkDown)):
        await opens(config(url=f"mqtts://localhost:{plain.port}", ca=str(pki / "ca.crt")))
    with pytest.raises(LinkDown):
        await opens(config(url=f"mqtt://localhost:{secret.port}"))


async def test_a_wrong_password_is_told_as_such_and_a_right_one_works(mosquitto, tmp_path):
    passwords = tmp_path / "passwd"
    run_("mosquitto_passwd", "-b", "-c", passwords, "gw1", "secret")
    passwords.chmod(0o644)
    broker = mosquitto(conf=f"allow_anonymous false\npassword_file {passwords}\n")
    word = tmp_path / "word"
    word.write_text("wrong\n")
    settings = config(
        url=f"mqtt://127.0.0.1:{broker.port}", username="gw1", password_file=str(word), receipts=["x"]
    )
    async with Running(settings, outbox(1)) as run:
        await until(lambda: run.stats.state == LinkState.REFUSED.value)
        assert "password_file" in run.stats.last_error
    word.write_text("secret\n")
    async with Running(settings, outbox(1)) as run:
        await until(lambda: run.stats.unconfirmed == 1)


async def test_the_example_configuration_of_the_broker_works(mosquitto, pki, tmp_path):
    """config/mosquitto.example.conf with its paths put here: TLS, a password per gateway, the access list."""
    port = free_port()
    passwords = tmp_path / "passwd"
    run_("mosquitto_passwd", "-b", "-c", passwords, "gw1", "secret")
    text = (EXAMPLES / "mosquitto.example.conf").read_text()
    acl = tmp_path / "acl"
    acl.write_text((EXAMPLES / "mosquitto-acl.example").read_text())
    places = {
        "listener 8883": f"listener {port} 127.0.0.1",
        "/var/lib/mosquitto/": f"{tmp_path}/",
        "/etc/mosquitto/ca.crt": pki / "ca.crt",
        "/etc/mosquitto/broker.crt": pki / "broker.crt",
        "/etc/mosquitto/broker.key": pki / "broker.key",
        "/etc/mosquitto/acl": acl,
        "/etc/mosquitto/passwd\n": f"{passwords}\n",
    }
    for old, new in places.items():
        assert old in text
        text = text.replace(old, str(new))
    for file in (passwords, acl):
        file.chmod(0o644)
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(("user root\n" if os.geteuid() == 0 else "") + text)
    word = tmp_path / "word"
    word.write_text("secret\n")
    with started(MOSQUITTO, "-c", conf) as process:
        try:
            settings = config(
                url=f"mqtts://localhost:{port}",
                ca=str(pki / "ca.crt"),
                username="gw1",
                password_file=str(word),
                receipts=["city"],
            )
            async with Running(settings, outbox(5)) as run:
                await until(lambda: run.stats.unconfirmed == 5)
                assert run.stats.last_error == ""
        finally:
            process.terminate()
