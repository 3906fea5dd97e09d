"""Signed commands: what is for this gateway, now, and signed by a trusted key is done once; nothing else is,
and is counted.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import care as care_commands
from gateway.config import Config, RemoteSection, parse_config
from gateway.errors import CommandRefused, GatewayError, JournalFull
from gateway.host import signing
from gateway.remote.bundle import _SECRET_KEY, make_bundle
from gateway.remote.care import CareService
from gateway.remote.care import service as service_module
from gateway.remote.counter import CommandCounter
from gateway.remote.proof import ask_signer, signer
from gateway.remote.sending import CareAnswer, Order, key_in, sign_order
from gateway.wire import parse
from gateway.wire.care import CareReply
from tests.waiting import until

EPOCH, OTHER = "b7f2c6d05a91e3f4", "00000000000000aa"


@dataclass
class Host:
    """A gateway of paper: what was done stands in `done`."""

    gateway: str = "izm-1"
    epoch: str = EPOCH
    synced: bool = True
    journal_full: bool = False
    done: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    replies: list[CareReply] = field(default_factory=list)

    def now(self) -> int | None:
        return time.time_ns() // 1_000_000 if self.synced else None

    async def audit(self, kind: str, fields: dict[str, Any]) -> None:
        if self.journal_full:
            raise JournalFull("no room")
        self.events.append({"kind": kind, **fields})

    def reply(self, payload: bytes) -> None:
        assert len(payload) <= 16 * 1024
        self.replies.append(parse(CareReply, payload))

    async def read(self, meters: list[str]) -> dict[str, Any]:
        self.done.append("read")
        return {meter: {"values": {"active_power": 1.5}} for meter in meters or ["main"]}

    async def diagnostics(self) -> dict[str, Any]:
        self.done.append("diagnostics")
        return {"log": [hashlib.sha256(b"%d" % number).hexdigest() for number in range(2000)]}


def make_key(file: Path, trust: Path | None = None) -> signing.SigningKey:
    signing.new_key(file)
    key = key_in(file)
    if trust is not None:
        (trust / f"{file.stem}.pub").write_text(f"ed25519:{base64.b64encode(key.public).decode()} engineer\n")
    return key


@pytest.fixture
def trust(tmp_path):
    folder = tmp_path / "trust"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def key(tmp_path, trust):
    return make_key(tmp_path / "engineer.key", trust)


@pytest.fixture
def stranger(tmp_path):
    return make_key(tmp_path / "stranger.key")


@pytest.fixture
def section(trust):
    return RemoteSection(uplink="city", commands=["read", "diagnostics"], trust=str(trust))


def order(command: str = "read", **fields: Any) -> Order:
    return Order(**{"gateway": "izm-1", "command": command, **fields})


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    """The signature is judged here: a process for each would only cost time."""
    monkeypatch.setattr(service_module, "ask_signer", lambda trust, *signed: signer(Path(trust), *signed))


async def ask(host: Host, section: RemoteSection, folder: Path, *messages: tuple[str, bytes]) -> CareService:
    """Let a service that has just started work on messages."""
    service = CareService(host, folder, section)
    for topic, message in messages:
        service.received(topic, message)
    task = asyncio.create_task(service.run())
    await until(lambda: not service._waiting and len(host.replies) >= len(messages))
    task.cancel()
    return service


async def test_a_good_command_is_noted_then_done_and_answered(tmp_path, key, section):
    host = Host()
    service = await ask(host, section, tmp_path, ("read", sign_order(order(), key, EPOCH)[1]))
    assert host.done == ["read"]
    assert host.replies[0].result == {"readings": {"main": {"values": {"active_power": 1.5}}}}
    assert host.events[0]["kind"] == "remote_command"
    assert host.events[0]["key"] == "engineer"
    assert service.counts == Counter(done=1)


async def test_a_long_answer_comes_in_parts(tmp_path, key, section):
    host = Host()
    service = CareService(host, tmp_path, section)
    service.received("diagnostics", sign_order(order("diagnostics"), key, EPOCH)[1])
    task = asyncio.create_task(service.run())
    await until(lambda: bool(host.replies) and len(host.replies) == host.replies[0].parts)
    task.cancel()
    packed = b"".join(base64.b64decode(reply.data) for reply in host.replies)
    assert len(json.loads(zlib.decompress(packed))["log"]) == 2000
    assert len(host.replies) > 1


def altered(message: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(message), **fields}).encode()


def restated(message: bytes, **fields: Any) -> bytes:
    """The statement says something else; the signature is that of before."""
    statement = {**json.loads(json.loads(message)["signed"]), **fields}
    return altered(message, signed=json.dumps(statement))


def bad(key, stranger) -> dict[str, tuple[str, str, bytes]]:
    """What must not be done: name → (reason, topic, message)."""

    def signed(epoch: str = EPOCH, by: signing.SigningKey = key, **fields: Any) -> bytes:
        return sign_order(order(**fields), by, epoch)[1]

    late = int(time.time() * 1000) + 3_600_000
    return {
        "a stranger's key": ("forged", "read", signed(by=stranger)),
        "another payload": ("forged", "read", altered(signed(), payload='{"meters":["b"]}')),
        "a later end": ("forged", "read", restated(signed(), expires=late)),
        "a higher counter": ("forged", "read", restated(signed(), counter=2**52)),
        "another command": ("forged", "diagnostics", restated(signed(), command="diagnostics")),
        "no signature": ("forged", "read", altered(signed(), signature="A" * 86 + "==")),
        "another topic": ("forged", "diagnostics", signed()),
        "another gateway's": ("foreign", "read", signed(gateway="izm-2")),
        "another epoch": ("replayed", "read", signed(OTHER)),
        "expired": ("expired", "read", signed(life=-1.0)),
        "good for a week": ("expired", "read", signed(life=7 * 86400.0)),
        "no JSON": ("malformed", "read", b"\xff{"),
        "no statement": ("malformed", "read", altered(signed(), signed="{}")),
        "another version": ("malformed", "read", restated(signed(), v=2)),
        "a counter in words": ("malformed", "read", restated(signed(), counter="7")),
        "a command that is none": ("malformed", "read", restated(signed(), command="shell")),
        "endless": ("malformed", "read", altered(signed(), payload="x" * 300_000)),
        "deeply nested": ("malformed", "read", b"[" * 100_000),
    }


async def test_whatever_is_not_for_this_gateway_now_does_nothing_and_is_counted(
    tmp_path, key, stranger, section, monkeypatch
):
    monkeypatch.setattr(service_module, "BURST", 100.0)
    monkeypatch.setattr(service_module, "MAX_WAITING", 100)
    host, tried = Host(), bad(key, stranger)
    service = await ask(host, section, tmp_path, *((topic, message) for _, topic, message in tried.values()))
    assert host.done == host.events == []
    assert service.counts == Counter(reason for reason, *_ in tried.values())
    assert {reply.state for reply in host.replies} == {"refused"}
    assert CommandCounter(tmp_path / "remote.json").newest() == 0
    # The control: the same gateway does what is right, after all this.
    host = Host()
    await ask(host, section, tmp_path, ("read", sign_order(order(), key, EPOCH)[1]))
    assert host.done == ["read"]


@pytest.mark.parametrize("whose", ["engineer", "stranger"])
def test_the_process_that_judges_a_signature_says_who_signed(trust, key, stranger, whose):
    """As the daemon asks it."""
    by = {"engineer": key, "stranger": stranger}[whose]
    if whose == "engineer":
        assert ask_signer(str(trust), b"bytes", by.sign(b"bytes")) == "engineer"
    else:
        with pytest.raises(CommandRefused, match="not signed by a key that is trusted here"):
            ask_signer(str(trust), b"bytes", by.sign(b"bytes"))


def test_what_that_process_finds_wrong_with_the_keys_is_told_with_its_own_mend(tmp_path, trust, key) -> None:
    def told() -> str:
        with pytest.raises(CommandRefused) as caught:
            ask_signer(str(trust), b"bytes", key.sign(b"bytes"))
        assert caught.value.reason == "forged"
        return str(caught.value)

    trust.chmod(0o777)
    assert told() == f"no key is trusted: {trust} may be written by others → chmod go-w {trust}"
    trust.chmod(0o755)
    put = " → put the line that submeter care new-key prints into a file there, NAME.pub, owned by root"
    (trust / "engineer.pub").unlink()
    assert told() == f"no key is trusted: {trust} holds none{put}"
    trust.rename(tmp_path / "elsewhere")
    assert told() == f"no key is trusted: {trust} cannot be read: No such file or directory{put}"


@pytest.mark.parametrize("command", ["read", "diagnostics"])
async def test_a_result_that_is_too_large_says_what_the_same_command_can_do(
    tmp_path, key, section, monkeypatch, command
):
    monkeypatch.setattr(service_module, "MOST_PARTS", 1)
    host = Host()
    large = await host.diagnostics()

    async def read(_meters: list[str]) -> dict[str, Any]:
        return large

    monkeypatch.setattr(host, "read", read)
    await ask(host, section, tmp_path, (command, sign_order(order(command), key, EPOCH)[1]))
    mend = {"read": " → name some of the meters", "diagnostics": ""}[command]
    assert host.replies[0].error == f"the result is too large to send{mend}"


@pytest.mark.parametrize(
    ("verb", "more"),
    [("read", "submeter care diagnostics"), ("diagnostics", "journalctl -u submeter-gateway")],
)
def test_what_failed_is_not_told_to_do_the_same_once_more(tmp_path, key, monkeypatch, verb, more) -> None:
    """The control: whoever read meters is told to fetch the diagnostics."""

    def send(*_given: object) -> CareAnswer:
        return CareAnswer(ok=False, state="failed", error="KeyError")

    monkeypatch.setattr(care_commands.CareSender, "send", send)
    monkeypatch.setattr(care_commands.CareSender, "__enter__", lambda sender: sender)
    monkeypatch.setattr(care_commands.CareSender, "__exit__", lambda *_: None)
    words = [verb, "izm-1", "--broker", "mqtt://localhost", "--sign-with", str(tmp_path / "engineer.key")]
    words += ["-o", str(tmp_path / "out.json")] * (verb == "diagnostics")
    done = CliRunner().invoke(care_commands.command, words)
    assert isinstance(done.exception, GatewayError), done.output
    assert more in done.exception.hint
    assert ("care diagnostics" in done.exception.hint) is (verb == "read")


async def test_a_command_that_is_off_is_refused(tmp_path, key, section, trust):
    host = Host()
    only = RemoteSection(uplink="city", commands=["diagnostics"], trust=str(trust))
    service = await ask(host, only, tmp_path, ("read", sign_order(order(), key, EPOCH)[1]))
    assert (host.done, service.counts) == ([], Counter(off=1))


@pytest.mark.parametrize("spoilt", ["others may write it", "no key in it", "not there", "no key"])
async def test_a_folder_of_keys_that_cannot_be_trusted_trusts_nobody(tmp_path, key, section, trust, spoilt):
    if spoilt == "others may write it":
        trust.chmod(0o777)
    elif spoilt == "no key in it":
        (trust / "engineer.pub").unlink()
    elif spoilt == "not there":
        trust.rename(tmp_path / "elsewhere")
    else:
        (trust / "engineer.pub").write_text("ed25519:AAAA\n")
    host = Host()
    service = await ask(host, section, tmp_path, ("read", sign_order(order(), key, EPOCH)[1]))
    assert (host.done, service.counts) == ([], Counter(forged=1))


@pytest.mark.parametrize(
    "when", ["again", "after a restart", "after a boot", "after a restore", "an older one"]
)
async def test_what_was_heard_once_is_never_done_again(tmp_path, key, section, when):
    host = Host()
    older = sign_order(order(), key, EPOCH)[1]
    await asyncio.sleep(0.002)
    message = sign_order(order(), key, EPOCH)[1]
    await ask(host, section, tmp_path, ("read", message))
    host = Host()
    folder = tmp_path
    if when == "after a boot":
        host.epoch = OTHER
    elif when == "after a restore":  # another card, a new journal, no counter
        host.epoch, folder = OTHER, tmp_path / "card"
        folder.mkdir()
    service = await ask(host, section, folder, ("read", older if when == "an older one" else message))
    assert (host.done, service.counts) == ([], Counter(replayed=1))


@pytest.mark.parametrize("killed_at", ["note", "act"])
async def test_a_kill_between_commit_and_act_costs_the_command_and_nothing_twice(
    tmp_path, key, section, killed_at, monkeypatch
):
    """Killed when the counter is on disk and nothing was done yet: the same message brings nothing more."""

    class Killed(BaseException):
        pass

    async def dies(*_: object) -> None:
        raise Killed

    host = Host()
    monkeypatch.setattr(host, {"note": "audit", "act": "read"}[killed_at], dies)
    service = CareService(host, tmp_path, section)
    message = sign_order(order(), key, EPOCH)[1]
    service.received("read", message)
    with pytest.raises(Killed):
        await service._work_off()
    after = Host()
    service = await ask(after, section, tmp_path, ("read", message))
    assert (after.done, service.counts) == ([], Counter(replayed=1))


@pytest.mark.parametrize("broken", ["journal", "counter", "read-only"])
async def test_what_cannot_be_noted_is_not_done(tmp_path, key, section, broken, monkeypatch):
    host = Host(journal_full=broken == "journal")
    if broken == "counter":
        (tmp_path / "remote.json").write_text("{")
    elif broken == "read-only":

        def fails(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("gateway.remote.counter.write_secret", fails)
    service = await ask(host, section, tmp_path, ("read", sign_order(order(), key, EPOCH)[1]))
    assert (host.done, service.counts) == ([], Counter(failed=1))
    said = host.replies[0].error
    assert said
    # Every signed command fails so: another one fetches nothing.
    assert "diagnostics" not in said
    assert said.endswith(
        "make room on the disk" if broken == "read-only" else "journalctl -u submeter-gateway"
    )


async def test_without_a_right_clock_the_gateway_can_still_be_looked_at(tmp_path, key, section):
    host = Host(synced=False)
    await ask(host, section, tmp_path, ("read", sign_order(order(life=-9.0), key, EPOCH)[1]))
    assert host.done == ["read"]


async def test_a_flood_is_counted_and_costs_no_process(tmp_path, stranger, section):
    host = Host()
    message = sign_order(order(), stranger, EPOCH)[1]
    service = CareService(host, tmp_path, section)
    for _ in range(1000):
        service.received("read", message)
    assert service.counts["too_many"] == 1000 - service_module.MAX_WAITING


SECRETS = ("paSSword-1", "apikey-2", "izm-user-3")


def secret_config(tmp_path: Path):
    (tmp_path / "password").write_text(SECRETS[0] + "\n")
    signing.new_key(tmp_path / "gateway.key")
    uplinks = [
        {
            "name": "city", "url": "mqtts://h:1", "username": SECRETS[2],
            "password_file": str(tmp_path / "password"),
            "cert": str(tmp_path / "gateway.pem"), "key": str(tmp_path / "gateway.key"),
        },
        {"name": "iot", "url": "mqtts://h:1", "dialect": "fiware", "fiware": {"apikey": SECRETS[1]}},
    ]  # fmt: skip
    return parse_config(json.dumps({"gateway": {"id": "izm-1"}, "uplinks": uplinks}))


def test_the_bundle_holds_no_secret_wherever_it_came_from(tmp_path):
    config = secret_config(tmp_path)
    body = (tmp_path / "gateway.key").read_text().splitlines()[1]
    told = [f"a line with {secret} in it" for secret in (*SECRETS, body)]
    bundle = json.dumps(make_bundle(config, {"log": told, "deep": {"a": [{"b": told}], SECRETS[0]: 1}}))
    for secret in (*SECRETS, body):
        assert secret not in bundle
    assert '"id": "izm-1"' in bundle


def text_keys(model: Any, path: tuple[str, ...] = ()):
    """Every key of the configuration, by its section."""
    for name, info in model.model_fields.items():
        kinds = [info.annotation, *getattr(info.annotation, "__args__", ())]
        inner = [kind for kind in kinds if hasattr(kind, "model_fields")]
        for kind in inner:
            yield from text_keys(kind, (*path, name))
        if not inner:
            yield (*path, name)


def test_every_key_whose_name_sounds_secret_is_hidden(tmp_path):
    """A key that is added tomorrow is hidden by its name; this lists those of today."""
    hidden = {path[-1] for path in text_keys(Config) if _SECRET_KEY.search(path[-1])}
    assert {"password_file", "key", "cert", "ca", "username", "apikey", "recipient"} <= hidden
    shown = make_bundle(secret_config(tmp_path), {})["configuration"]
    for uplink in shown["uplinks"]:
        for name in hidden & uplink.keys():
            assert uplink[name] in {None, "(hidden)"}, name
