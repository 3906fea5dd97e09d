"""From a file on the boot partition with a one-time token to a gateway that its broker knows."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.provision import answers
from gateway.common.address import BrokerAddress
from gateway.mqtt import Broker
from gateway.provisioning import Enrolled, keep_answer, tell_answers
from gateway.remote.enrolment import DeviceIdentity, SigningService, exchange
from gateway.remote.enrolment.keys import read_certificate
from tests.fake_broker import FakeBroker
from tests.remote.conftest import GATEWAY, submeter
from tests.rig import until
from tests.waiting import until as until_async

RESULT = "submeter-result.txt"
UNANSWERED = 75


class Card:
    """The boot partition, /etc/submeter and /var/lib/submeter of a gateway that nobody has set up."""

    def __init__(self, home: Path, tls: int, plain: int) -> None:
        self.boot, self.etc, self.state = (home / name for name in ("boot", "etc", "state"))
        for folder in (self.boot, self.etc, self.state):
            folder.mkdir()
        self.configuration, self.certificate = self.etc / "gateway.yaml", self.state / "city.pem"
        self.token = self.etc / "city.token"
        self._ca, self._tls, self._plain = (home / "broker.pem").read_text(), tls, plain

    def write(self, token: str | None, **changed: object) -> None:
        """As a laptop does."""
        uplink = {
            "name": "city",
            "url": f"mqtts://localhost:{self._tls}",
            "ca": self._ca,
            "cert": str(self.certificate),
            "key": str(self.certificate),
            "token": token,
            "enroll_url": f"mqtt://localhost:{self._plain}",
            **changed,
        }
        written = {
            "gateway": {"id": GATEWAY},
            "journal": {"directory": str(self.state)},
            "status": {"enabled": False},
            "uplinks": [{key: value for key, value in uplink.items() if value is not None}],
        }
        (self.boot / "submeter.yaml").write_text(json.dumps(written, indent=1))

    def provision(self) -> int:
        """What submeter-provision.service does; its exit code."""
        places = ("--boot", self.boot, "--state", self.state, "--sample", self.etc / "none")
        words = ("provision", "-c", self.configuration, *places, "--lang", "en")
        return CliRunner().invoke(cli, [*map(str, words)]).exit_code

    def enroll(self, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """What submeter-enroll.service does."""
        words = ("--configured", "--state", self.state, "--seconds", seconds)
        return submeter("enroll", "-c", self.configuration, *words)

    @property
    def said(self) -> str:
        return (self.boot / RESULT).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")


@pytest.fixture
def card(tmp_path, brokers) -> Card:
    return Card(tmp_path, brokers.tls, brokers.plain)


@contextmanager
def signing(home, brokers):
    words = ("sign", "run", "--directory", home / "sign", "--broker", f"mqtt://localhost:{brokers.plain}")
    with (home / "sign.log").open("wb") as log:
        command = [sys.executable, "-m", "gateway", *map(str, words)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def platform(tmp_path, brokers):
    """`submeter sign run`."""
    with signing(tmp_path, brokers):
        yield


@pytest.mark.usefixtures("platform")
def test_the_token_in_the_file_becomes_a_certificate_that_the_broker_knows(card, authority, brokers):
    token = authority.new_token(GATEWAY, 1)
    card.write(token)
    assert card.provision() == 0
    assert "its answer will stand here" in card.said
    assert "old blocks" not in card.said, "what can be read later was of use once"
    assert card.token.read_text() == token + "\n"
    assert stat.S_IMODE(card.token.stat().st_mode) == 0o600
    assert token not in card.configuration.read_text()
    asked = card.enroll()
    assert asked.returncode == 0, asked.stderr
    found = read_certificate(card.certificate.read_bytes())
    assert found.name == GATEWAY
    card.provision()
    assert f"the platform has certified this gateway, until {found.ends:%Y-%m-%d}" in card.said
    assert "submeter.yaml was taken" in card.said, "what was said before stays"
    assert token not in card.said
    assert not card.token.exists(), "it was of use once"
    assert sorted(path.name for path in card.state.iterdir()) == ["city.pem"]
    # The broker's listener for certificates lets it in, under its own name.
    renewed = submeter("enroll", "-c", card.configuration, "--renew")
    assert renewed.returncode == 0, renewed.stderr
    assert f"u'{GATEWAY}'" in brokers.log
    # Later starts of the machine change nothing.
    before = (card.certificate.read_bytes(), card.said)
    assert (card.enroll().returncode, card.provision()) == (0, 0)
    assert (card.certificate.read_bytes(), card.said) == before


def used(authority, folder):
    other = folder / "other.pem"
    token = authority.new_token(GATEWAY, 1)
    authority.answer(GATEWAY, DeviceIdentity(GATEWAY, other, other).ask_by_token(token))
    return token


REFUSED = {
    "used before": (used, "the token was used on"),
    "of another gateway": (lambda made, _: made.new_token("izm-2", 1), "the token is another gateway's"),
}


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(("made", "why"), REFUSED.values(), ids=REFUSED)
def test_a_token_that_is_not_good_is_refused_and_told_and_goes(card, authority, tmp_path, made, why):
    token = made(authority, tmp_path)
    card.write(token)
    assert card.provision() == 0
    asked = card.enroll()
    assert asked.returncode == 1
    assert why in " ".join(asked.stderr.split())
    card.provision()
    assert why in card.said
    assert "sudo submeter enroll --token-file -" in card.said
    assert token not in card.said
    assert not card.certificate.exists()
    assert not card.token.exists()
    assert card.enroll().returncode == 0, "there is nothing to ask with any more"


def test_while_nobody_answers_it_is_asked_again_with_the_same_key(card, authority, tmp_path, brokers):
    card.write(authority.new_token(GATEWAY, 1))
    card.provision()
    before = card.said
    assert card.enroll(1.0).returncode == UNANSWERED
    pending = card.state / "city.pem.pending"
    key = pending.read_bytes()
    assert card.provision() == 0
    assert card.said == before, "nobody has answered"
    assert card.token.exists()
    with signing(tmp_path, brokers):
        until(lambda: card.enroll(5.0).returncode == 0, 120, "it is answered")
    assert key.partition(b"-----END PRIVATE KEY-----")[0] in card.certificate.read_bytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cert": None, "key": None}, "write where it shall be, cert and key"),
        ({"token": None}, "enroll_url is not used without token_file"),
        ({"token": "two\nlines"}, "more than one line"),
    ],
    ids=["no place for the certificate", "no token", "two lines"],
)
def test_a_file_that_cannot_work_is_not_taken(card, changed, words):
    card.write(**{"token": "AAAA2222BBBB3333", **changed})
    assert card.provision() == 1
    assert words in card.said
    assert not card.configuration.exists()
    assert (card.boot / "submeter.yaml").exists()


def test_without_a_token_the_places_of_certificate_and_key_may_be_empty(card):
    """They are filled by hand, with `submeter enroll`."""
    card.write(None, enroll_url=None)
    assert card.provision() == 0, card.said
    checked = submeter("check", card.configuration)
    assert checked.returncode == 0
    assert "there is no certificate" in " ".join((checked.stdout + checked.stderr).split())


@pytest.fixture
def told(tmp_path):
    """What root makes of what lies in the state directory."""
    for name in ("boot", "etc", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "boot" / RESULT).write_text("before")
    (tmp_path / "etc" / "city.token").write_text("AAAA")

    def tell() -> str:
        tell_answers([tmp_path / "boot"], tmp_path / "etc" / "gateway.yaml", tmp_path / "state", answers)
        return (tmp_path / "boot" / RESULT).read_text("utf-8-sig")

    return tell


@pytest.mark.parametrize(
    "written",
    [
        '{"uplink": "../../root", "until": "2027-01-01", "why": ""}',
        '{"uplink": "other", "until": "2027-01-01", "why": ""}',
        '{"uplink": "city", "until": "<b>soon</b>", "why": ""}',
        '{"uplink": "city", "until": "2027-01-01", "why": "", "more": 1}',
        '{"uplink": 7, "until": "2027-01-01", "why": ""}',
        "[]",
        "{",
        None,
    ],
)
def test_an_answer_of_another_form_is_told_to_nobody(tmp_path, told, written):
    """A daemon that was taken over may write what it likes there."""
    answer = tmp_path / "state" / "city.enrolment"
    if written is None:
        (tmp_path / "elsewhere").write_text('{"uplink": "city", "until": "2027-01-01", "why": ""}')
        answer.symlink_to(tmp_path / "elsewhere")
    else:
        answer.write_text(written)
    assert told() == "before"
    assert (tmp_path / "etc" / "city.token").exists()
    assert not answer.is_symlink()
    assert not answer.exists()


def test_control_one_of_the_right_form_is_and_is_made_harmless(tmp_path, told):
    keep_answer(tmp_path / "state", Enrolled("city", why="the token is \u202e not known\x1b[2J"))
    said = told()
    assert said.startswith("before")
    assert "the token is" in said
    assert "\u202e" not in said
    assert "\x1b" not in said
    assert not (tmp_path / "etc" / "city.token").exists()


class Counting(FakeBroker):
    """How often each connection has subscribed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    async def on_subscribe(self, writer, mid):
        self.asked.append(writer)
        await super().on_subscribe(writer, mid)


async def test_the_signing_program_subscribes_again_while_nobody_asks(authority, monkeypatch):
    """It cannot know whether its broker has lost that."""
    monkeypatch.setattr(exchange, "QUIET", 0.05)
    async with Counting() as broker:
        account = Broker("sign", BrokerAddress.of(f"mqtt://127.0.0.1:{broker.port}"), "sign")
        service = SigningService(authority, account)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            await until_async(lambda: len(broker.asked) >= 4)
            assert broker.connects == 1
        finally:
            service.stop()
            await asyncio.to_thread(thread.join, 30)
