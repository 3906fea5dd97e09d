"""A dead card: a backup is made while the gateway runs, and an empty card becomes the same gateway."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile

import pytest
import yaml
from click.testing import CliRunner

from gateway.backup import Sealer, new_key, opener_for, restore, write_backup
from gateway.backup.envelope import CHUNK, Unsealed
from gateway.check import check
from gateway.cli.backup import command as backup_command
from gateway.cli.restore import command as restore_command
from gateway.common.trusted import trusted_keys
from gateway.config import load_config
from gateway.demo.show.self_check import committed
from gateway.errors import BackupError
from tests.mosquitto import MOSQUITTO
from tests.rig import rig, until

SECRET, RECIPIENT = new_key()


def sealed(data: bytes, recipient: str = RECIPIENT) -> bytes:
    target = io.BytesIO()
    sealer = Sealer.to_recipient(target, recipient)
    sealer.write(data)
    sealer.close()
    return target.getvalue()


def opened(data: bytes, secret: str = SECRET) -> bytes:
    plain = Unsealed(io.BytesIO(data), opener_for(secret=secret))
    parts = iter(lambda: plain.read(10_000), b"")
    return b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17])
def test_what_is_sealed_is_opened_whole_and_nothing_of_it_is_seen(size):
    data = os.urandom(size // 2) + b"password" * ((size + 15) // 16)
    data = data[:size]
    body = sealed(data)
    assert opened(body) == data
    assert b"passwordpassword" not in body
    assert sealed(data) != body


@pytest.mark.parametrize("size", [0, 1000, CHUNK, 2 * CHUNK + 5])
def test_whatever_is_changed_cut_off_or_exchanged_is_found(size):
    body = sealed(os.urandom(size))
    start = body.index(b"\n", body.index(b"\n") + 1) + 1
    damaged = [body[:-1], body[:-17], body + b"x", body[: start + CHUNK + 16] if size > CHUNK else body[:-3]]
    damaged += [
        body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in (30, start - 5, start, len(body) - 1)
    ]
    if size > CHUNK:
        first, second = start + CHUNK + 16, start + 2 * (CHUNK + 16)
        damaged.append(body[:start] + body[first:second] + body[start:first] + body[second:])
    for bad in damaged:
        with pytest.raises(BackupError):
            opened(bad)


def test_another_key_and_another_passphrase_open_nothing():
    with pytest.raises(BackupError, match="not for this key"):
        opened(sealed(b"x"), new_key()[0])
    target = io.BytesIO()
    sealer = Sealer.to_passphrase(target, "correct horse battery")
    sealer.write(b"words")
    sealer.close()
    plain = Unsealed(io.BytesIO(target.getvalue()), opener_for(ask=lambda: "correct horse battery"))
    assert plain.read(100) == b"words"
    with pytest.raises(BackupError):
        Unsealed(io.BytesIO(target.getvalue()), opener_for(ask=lambda: "correct horse batterY")).read(1)
    with pytest.raises(BackupError, match="--key"):
        Unsealed(io.BytesIO(sealed(b"x")), opener_for(ask=lambda: "")).read(1)


def forged(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> io.BytesIO:
    """A backup that somebody else made: the recipient is no secret."""
    target = io.BytesIO()
    sealer = Sealer.to_recipient(target, RECIPIENT)
    with tarfile.open(fileobj=sealer, mode="w|gz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    sealer.close()
    return io.BytesIO(target.getvalue())


GOOD = [("manifest.json", b'{"v": 1, "made": 1795278300000}'), ("gateway.yaml", b"gateway: {id: izm-1}\n")]


@pytest.mark.parametrize(
    "name",
    [
        "/etc/cron.d/x",
        "../x",
        "beside/../../x",
        "state/../x",
        "state/a/b",
        "other/x",
        "x",
        "state/.ssh",
        "state/",
    ],
)
def test_a_forged_backup_writes_nowhere_else(tmp_path, name):
    home = tmp_path / "etc"
    with pytest.raises(BackupError):
        restore(forged(*GOOD, (name, b"x")), opener_for(secret=SECRET), home / "gateway.yaml")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_a_backup_holds_files_alone(tmp_path, kind):
    with pytest.raises(BackupError):
        restore(
            forged(("beside/x", b""), kind=kind), opener_for(secret=SECRET), tmp_path / "etc/gateway.yaml"
        )
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([GOOD[1]], "does not say"),
        ([GOOD[0]], "newer"),
        ([("manifest.json", b'{"v": 2, "made": 1}'), GOOD[1]], "newer"),
        ([GOOD[0], ("gateway.yaml", b"gateway: {}\n")], "cannot be used"),
    ],
)
def test_a_backup_that_cannot_be_used_changes_nothing(tmp_path, members, words):
    with pytest.raises(BackupError, match=words):
        restore(forged(*members), opener_for(secret=SECRET), tmp_path / "etc/gateway.yaml")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def site(tmp_path):
    """Configuration, secrets, tables and state of a gateway that does not run."""
    home, state = tmp_path / "etc", tmp_path / "state"
    (home / "drivers").mkdir(parents=True)
    state.mkdir()
    config = {
        "gateway": {"id": "izm-1"}, "journal": {"directory": str(state)},
        "drivers": {"directory": str(home / "drivers")},
        "uplinks": [{"name": "city", "url": "mqtts://broker.test", "username": "u",
                     "password_file": str(home / "city.password"), "ca": str(tmp_path / "elsewhere.pem")}],
    }  # fmt: skip
    path = home / "gateway.yaml"
    path.write_text(json.dumps(config))
    (home / "city.password").write_text("very secret words\n")
    (home / "city.password").chmod(0o640)
    (tmp_path / "elsewhere.pem").write_text("pem")
    (home / "drivers" / "own.yaml").write_text("a table\n")
    (state / "learnt.json").write_text("{}")
    for name in ("journal.db", "journal.db-wal", "history.db.copy", "control.lock"):
        (state / name).write_text("never in it")
    with sqlite3.connect(state / "history.db") as db:
        db.execute("create table day (x)")
        db.executemany("insert into day values (?)", [(number,) for number in range(5000)])
    return path


def test_everything_comes_back_with_its_rights_and_what_is_left_out_is_named(site, tmp_path):
    target = io.BytesIO()
    left = write_backup(site, load_config(site), Sealer.to_recipient(target, RECIPIENT))
    assert [one.path for one in left] == [str(tmp_path / "elsewhere.pem")]
    assert "outside" in left[0].why
    body = target.getvalue()
    assert b"very secret" not in body
    with pytest.raises(BackupError, match="already"):
        restore(io.BytesIO(body), opener_for(secret=SECRET), site)
    before = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shutil.rmtree(site.parent)
    with pytest.raises(BackupError, match="journal is there"):
        restore(io.BytesIO(body), opener_for(secret=SECRET), site)
    assert not [path for path in site.parent.rglob("*") if path.is_file()]
    shutil.rmtree(tmp_path / "state")
    back = restore(io.BytesIO(body), opener_for(secret=SECRET), site)
    assert back.gateway == "izm-1"
    after = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("etc/gateway.yaml", "etc/city.password", "etc/drivers/own.yaml", "state/learnt.json"):
        place = next(path for path in before if str(path) == name)
        assert after[place] == before[place], name
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o007 == 0
    with sqlite3.connect(tmp_path / "state/history.db") as db:
        assert db.execute("select count(*) from day").fetchone() == (5000,)
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"learnt.json", "history.db"}


def test_the_keys_whose_commands_count_come_back_so_that_the_service_begins(site, tmp_path):
    trust = site.parent / "trust"
    trust.mkdir()
    (trust / "office.pub").write_text("ed25519:" + base64.b64encode(bytes(range(32))).decode())
    (trust / "office.pub").chmod(0o644)
    config = json.loads(site.read_text())
    del config["uplinks"][0]["ca"]
    config["remote"] = {"uplink": "city", "commands": ["read"], "trust": str(trust)}
    site.write_text(json.dumps(config))
    target = io.BytesIO()
    assert write_backup(site, load_config(site), Sealer.to_recipient(target, RECIPIENT)) == []
    for place in (site.parent, tmp_path / "state"):
        shutil.rmtree(place)
    restore(io.BytesIO(target.getvalue()), opener_for(secret=SECRET), site)
    assert trusted_keys(trust) == {"office": bytes(range(32))}
    assert not [each for each in check(site).mistakes if "trust" in str(each)]


@pytest.mark.parametrize("there", [False, True])
def test_what_was_roots_alone_is_so_again(site, tmp_path, monkeypatch, there):
    """Passwords that systemd hands over, named by the configuration as they lie."""
    secrets = site.parent / "secrets"
    monkeypatch.setattr(sys.modules[restore.__module__], "SECRETS", secrets)
    secrets.mkdir(mode=0o700)
    (site.parent / "city.password").rename(secrets / "city.password")
    site.write_text(site.read_text().replace("city.password", "secrets/city.password"))
    target = io.BytesIO()
    write_backup(site, load_config(site), Sealer.to_recipient(target, RECIPIENT))
    for place in (site.parent, tmp_path / "state"):
        shutil.rmtree(place)
    if there:
        secrets.mkdir(mode=0o700, parents=True)
    restore(io.BytesIO(target.getvalue()), opener_for(secret=SECRET), site)
    file = secrets / "city.password"
    assert file.read_text() == "very secret words\n"
    assert [stat.S_IMODE(place.stat().st_mode) for place in (secrets, file)] == [0o700, 0o600]
    assert {place.stat().st_uid for place in (secrets, file)} == {os.geteuid()}


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words), "--lang", "en"], capture_output=True, text=True,
        check=False, timeout=240, env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip


def test_nightly_ones_go_into_their_folder_and_the_oldest_go(site, tmp_path):
    folder = tmp_path / "nights"
    folder.mkdir()
    said = command("backup", "-c", site, "--nightly")
    assert said.returncode == 0, said.stderr
    assert "No nightly backup" in said.stdout
    config = json.loads(site.read_text())
    config["backup"] = {"recipient": RECIPIENT, "directory": str(folder), "keep": 2}
    site.write_text(json.dumps(config))
    for day in ("01", "02", "03"):
        (folder / f"izm-1-202601{day}-030000.submeter-backup").write_text("old")
    (folder / "other-20250101-030000.submeter-backup").write_text("another's")
    said = command("backup", "-c", site, "--nightly")
    assert said.returncode == 0, said.stderr
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3, names
    assert names[0] == "izm-1-20260103-030000.submeter-backup"
    assert names[2].startswith("other-")
    assert "Not in it" in said.stdout


def test_without_its_stick_nothing_is_written_in_its_place(site, tmp_path):
    config = json.loads(site.read_text())
    config["backup"] = {"recipient": RECIPIENT, "directory": str(tmp_path / "stick" / "backups")}
    site.write_text(json.dumps(config))
    before = sorted(tmp_path.rglob("*"))
    said = command("backup", "-c", site, "--nightly")
    assert said.returncode == 1
    assert str(tmp_path / "stick" / "backups") in said.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_passphrase_is_asked_for_and_opens_what_it_closed(site, tmp_path):
    words, made = "correct horse battery", tmp_path / "b"

    def typed(*lines, program=backup_command, more=()):
        answers = "".join(f"{line}\n" for line in lines)
        return CliRunner().invoke(program, [str(made), "-c", str(site), *more], input=answers)

    short = typed("horse", "horse", more=["--passphrase"])
    assert isinstance(short.exception, BackupError)
    assert not made.exists()
    said = typed(words, words, more=["--passphrase"])
    assert said.exit_code == 0, said.output
    assert words not in said.output
    shutil.rmtree(tmp_path / "etc")
    shutil.rmtree(tmp_path / "state")
    wrong = typed("correct horse batteries", program=restore_command)
    assert isinstance(wrong.exception, BackupError)
    assert not site.exists()
    said = typed(words, program=restore_command)
    assert said.exit_code == 0, said.output
    assert json.loads(site.read_text())["gateway"]["id"] == "izm-1"


def test_without_a_recipient_there_is_none_and_a_key_is_made_once(site, tmp_path):
    said = command("backup", "-c", site, tmp_path / "b")
    assert said.returncode == 1
    assert "recipient" in said.stderr
    key = tmp_path / "office.key"
    made = command("backup", "--new-key", key)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret, where, line = made.stdout.splitlines()
    assert secret.startswith(f"The secret key is in {key}. Keep it where the gateway is not")
    assert where == "For the configuration of the gateways:"
    assert yaml.safe_load(line).keys() == {"backup"}
    assert command("backup", "--new-key", key).returncode == 1
    recipient = json.loads(made.stdout.split("recipient: ", 1)[1].split("}")[0])
    said = command("backup", "-c", site, tmp_path / "b", "--recipient", recipient)
    assert said.returncode == 0, said.stderr
    shutil.rmtree(tmp_path / "etc")
    shutil.rmtree(tmp_path / "state")
    said = command("restore", tmp_path / "b", "--key", key, "-c", site)
    assert said.returncode == 0, said.stderr
    assert "izm-1 again" in said.stdout


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_dead_card_is_the_same_gateway_again_with_a_new_epoch_and_its_history(tmp_path):
    slave = {"unit": 1, "meter": "m1", "image": {"driver": "eastron-sdm630", "circuit": "main"}}
    spec = {"seed": 1, "servers": [{"name": "plant", "slaves": [slave]}]}
    with rig(tmp_path, spec) as site:
        host, port = site.simulator.addresses["plant"]
        site.start_broker()
        site.start_receiver()
        site.configure(
            gateway={"id": "bench-1", "commit_interval": "1s"},
            buses=[{"name": "plant", "type": "tcp", "host": host, "port": port}],
            meters=[{"id": "m1", "bus": "plant", "address": 1, "driver": "eastron-sdm630", "interval": "1s",
                     "slow_interval": "1s"}],
            uplinks=[site.uplink()], backup={"recipient": RECIPIENT},
        )  # fmt: skip
        card, dead = tmp_path / "state", tmp_path / "dead"
        site.start_gateway()

        def at_platform() -> set[tuple[str, int]]:
            try:
                with sqlite3.connect(f"file:{site.database}?mode=ro", uri=True) as db:
                    return set(db.execute("select epoch, seq from batch"))
            except sqlite3.Error:
                return set()

        until(
            lambda: len(at_platform()) > 4 and (card / "history.db").exists(),
            120,
            "batches are delivered",
            0.2,
        )
        with sqlite3.connect(
            card / "history.db", timeout=30
        ) as db:  # a day of long ago, as the page would show it
            db.execute("insert into series values (900, 'm1', 'active_energy_import')")
            db.execute("insert into day values (739000, 900, 12345, 96, 96, 0, 0, 0, 0, 0, 0, x'00')")
        said = command("backup", "-c", site.config_path, tmp_path / "b")
        assert said.returncode == 0, said.stderr
        site.kill("gateway")  # -9: the card is dead
        first = at_platform()
        assert first <= {(epoch, seq) for epoch, seq in committed(card / "journal.db")}
        key, text = tmp_path / "key", site.config_path.read_bytes()
        key.write_text(SECRET)
        card.rename(dead)
        site.config_path.unlink()
        said = command("restore", tmp_path / "b", "--key", key, "-c", site.config_path)
        assert said.returncode == 0, said.stderr
        assert site.config_path.read_bytes() == text
        assert (card / "signing.key").read_bytes() == (dead / "signing.key").read_bytes()
        site.start_gateway()
        until(lambda: len(at_platform() - first) > 4, 120, "the restored gateway delivers", 0.2)
        again = at_platform() - first
        assert not {epoch for epoch, _ in again} & {epoch for epoch, _ in first}
        assert len({epoch for epoch, _ in again}) == 1
        site.kill("gateway", signal.SIGTERM)
        with sqlite3.connect(card / "history.db") as db:
            assert db.execute("select sum, intervals from day where day = 739000").fetchall() == [(12345, 96)]
