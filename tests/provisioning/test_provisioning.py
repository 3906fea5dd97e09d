"""submeter.yaml of the boot partition: taken once, whole or not at all, and no value in what is said."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.provision import result
from gateway.config import load_config
from gateway.provisioning import BootFileOutcome, provision
from gateway.provisioning.boot_file import FILE, RESULT

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config/gateway.yaml"
PASSWORD = "Xq7-horse battery"
GOOD = """\
# The gateway of the school
gateway: {id: school-7, name: "Okul 7"}
buses:
  - {name: line1, type: tcp, host: 192.0.2.10}
meters:
  - {id: main, bus: line1, address: 1, driver: eastron-sdm630, interval: 10s}
uplinks:
  - name: city
    url: mqtts://platform.city-of-seven.net:8883
    username: school-7
    password: "Xq7-horse battery"   # from the letter
    ca: |
CA
    receipts: [city]
"""


@pytest.fixture(scope="session")
def ca(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("ca")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-subj", "/CN=seven"]  # fmt: skip
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "ca.pem").read_text()


@pytest.fixture
def good(ca) -> str:
    return GOOD.replace("CA", "".join(f"      {line}\n" for line in ca.splitlines()).rstrip())


class Card:
    """A card: its boot partition, /etc/submeter, and the state directory whose owner reads the secrets."""

    def __init__(self, folder: Path) -> None:
        self.boot, self.etc, self.state = (folder / name for name in ("boot", "etc", "state"))
        for place in (self.boot, self.etc, self.state):
            place.mkdir()
        self.file, self.configuration = self.boot / FILE, self.etc / "gateway.yaml"

    def start(self, **more) -> BootFileOutcome | None:
        return provision(self.boot, self.configuration, SAMPLE, self.state, result, **more)

    @property
    def said(self) -> str:
        return (self.boot / RESULT).read_bytes().decode("utf-8-sig")

    def left(self) -> set[str]:
        return {path.name for path in self.boot.iterdir()}


@pytest.fixture
def card(tmp_path) -> Card:
    return Card(tmp_path)


def whole(card: Card, ca: str) -> None:
    """The gateway is set up, and its secrets are where only the service reads them."""
    config = load_config(card.configuration)
    assert (config.gateway.id, config.meters[0].id) == ("school-7", "main")
    (uplink,) = config.uplinks
    password, authority = Path(uplink.password_file), Path(uplink.ca)
    assert (password.read_text(), authority.read_text()) == (PASSWORD + "\n", ca)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (password, authority)} == {0o600}
    assert password.stat().st_uid == card.state.stat().st_uid
    assert stat.S_IMODE(card.configuration.stat().st_mode) == 0o640
    text = card.configuration.read_text()
    assert PASSWORD not in text
    assert "BEGIN" not in text
    assert "# The gateway of the school" in text
    assert "# from the letter" in text
    assert not [path for path in card.etc.iterdir() if path.name.startswith(".prov") and path.is_dir()]


def test_it_becomes_the_configuration_and_its_secrets_get_files_of_their_own(card, good, ca):
    if os.geteuid() == 0:
        os.chown(card.state, 12345, 12345)
    card.file.write_text(good)
    outcome = card.start()
    whole(card, ca)
    assert card.left() == {RESULT}
    assert [(each.line, each.key, each.mend) for each in outcome.verdicts] == [
        (11, "uplinks[0].password", "city.password"),
        (12, "uplinks[0].ca", "city.ca.pem"),
    ]
    assert "submeter.yaml was taken" in card.said
    assert "submeter.yaml alındı" in card.said
    assert "The old blocks of a card can still be read" in card.said
    assert "\r\n" in card.said
    assert card.start() is None


@pytest.mark.parametrize(
    "written", ["as it is", "with a mark and line ends of Windows", "the sample is there"]
)
def test_it_may_come_from_any_laptop_and_before_or_after_the_sample(card, good, ca, written):
    if written == "the sample is there":
        shutil.copy(SAMPLE, card.configuration)
    windows = written.startswith("with")
    card.file.write_bytes(good.replace("\n", "\r\n").encode("utf-8-sig") if windows else good.encode())
    assert card.start().kind == "taken"
    whole(card, ca)


@pytest.mark.parametrize(
    "own", ["gateway: {id: other-1}\n", "", "not: good\n"], ids=["good", "empty", "with a mistake"]
)
def test_a_gateway_that_has_a_configuration_keeps_it(card, good, own):
    card.configuration.write_text(own)
    card.file.write_text(good)
    assert card.start().kind == "ignored"
    assert card.configuration.read_text() == own
    assert card.left() == {RESULT, f"{FILE}.ignored"}
    assert list(card.etc.iterdir()) == [card.configuration]
    assert "It may hold passwords: delete it." in card.said
    assert card.start() is None


MARKERS = ("Zx9-secret", "Qq-building", "zz.example-host.net", "Zz7user", "31337")
MISTAKES = {
    "an unknown key": ("gateway: {id: a-1, naem: Qq-building}\n", 1, "gateway.naem"),
    "an id that is none": ("gateway: {id: Zz7user}\n", 1, "gateway.id"),
    "a number out of its bounds": ("gateway: {id: a-1}\nbuses:\n- {name: l, type: tcp, host: 192.0.2.1, "
                                   "port: 31337000}\n", 3, "buses[0].port"),
    "no such table": ("gateway: {id: a-1}\nbuses: [{name: l, type: tcp, host: 192.0.2.1}]\n"
                      "meters:\n- {id: m, bus: l, address: 1, driver: qq-building}\n", 4, "meters[0].driver"),
    "a bus that is not there": ("gateway: {id: a-1}\nmeters:\n- {id: m, bus: zz7user, address: 1, "
                                "driver: eastron-sdm630}\n", 3, "meters[0].bus"),
    "a password in the address": ("gateway: {id: a-1}\nuplinks:\n- {name: c, url: 'mqtts://Zz7user:Zx9-secret@h:1'}\n",
                                  3, "uplinks[0].url"),
    "a password without a user": ("gateway: {id: a-1}\nuplinks:\n- name: c\n  url: mqtts://h:1\n"
                                  "  password: Zx9-secret\n", 3, "uplinks[0]"),
    "two passwords": ("gateway: {id: a-1}\nuplinks:\n- name: c\n  url: mqtts://h:1\n  username: u\n"
                      "  password: Zx9-secret\n  password_file: Zz7user\n", 7, ""),
    "a secret as a key": ("gateway: {id: a-1}\nZx9-secret: 1\n", 2, ""),
    "no YAML": ("gateway: {id: a-1\nuplinks: [Zx9-secret\n", 0, ""),
    "a tab": ("gateway:\n\tid: Zz7user\n", 2, ""),
    "text that is none": ("Zx9-secret and Qq-building\n", 0, ""),
    "a list": ("- Zx9-secret\n", 0, ""),
    "empty": ("", 0, ""),
    "an alias as a password": ("gateway: {id: a-1}\nbuilding: {name: &p Zx9-secret}\nuplinks:\n- name: c\n"
                               "  url: mqtts://h:1\n  username: u\n  password: *p\n", 7,
                               "uplinks[0].password"),
    "a key that is no PEM": ("gateway: {id: a-1}\nuplinks:\n- name: c\n  url: mqtts://h:1\n  cert: |\n"
                             "    -----BEGIN Zx9-secret\n  key: |\n    -----BEGIN Qq-building\n", 5,
                             "uplinks[0].cert"),
    "an end of the password": ("gateway: {id: a-1}\nuplinks:\n- name: c\n  url: mqtts://h:1\n  username: u\n"
                               '  password: "Zx9-secret\\nQq-building"\n', 6, ""),
    "a character that is not seen": ("gateway: {id: a-1, name: 'Qq-building\u202e'}\n", 1, ""),
    "tag bombs": ("a: &a [x, x]\nb: &b [*a, *a]\nc: !!python/object/apply:os.system [Zx9-secret]\n", 0, ""),
    "depth": ("[" * 5000, 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_by_line_and_key_and_never_by_value(card, name):
    text, line, key = MISTAKES[name]
    card.file.write_text(text)
    outcome = card.start()
    assert outcome.kind == "mistakes"
    assert card.left() == {FILE, RESULT}
    assert card.file.read_text() == text
    assert list(card.etc.iterdir()) == []
    assert not [marker for marker in MARKERS if marker.casefold() in card.said.casefold()], card.said
    assert str(card.etc) not in card.said
    assert not line or line in {each.line for each in outcome.verdicts}, outcome
    assert not key or key in {each.key for each in outcome.verdicts}, outcome
    card.file.write_text("gateway: {id: a-1}\n")  # mended
    assert card.start().kind == "taken"


@pytest.mark.parametrize(
    "made",
    [
        lambda file: file.symlink_to("/etc/shadow"),
        lambda file: file.symlink_to("nowhere"),
        lambda file: file.mkdir(),
        os.mkfifo,
        lambda file: file.write_bytes(b"#" * (256 * 1024 + 1)),
        lambda file: file.write_bytes("gateway: {id: a-1}\n".encode("utf-16")),
        lambda file: file.write_bytes(b"gateway:\n  id: \xff\xfe\n"),
        lambda file: file.write_bytes(b"\0" * 4096),
    ],
    ids=["a link", "a link to nothing", "a folder", "a pipe", "huge", "UTF-16", "bytes", "zeros"],
)
def test_what_is_no_file_of_a_person_is_not_taken(card, made):
    made(card.file)
    assert card.start().kind in {"unreadable", "mistakes"}
    assert list(card.etc.iterdir()) == []
    assert "submeter.yaml" in card.said
    assert "root:" not in card.said


@pytest.mark.parametrize("name", ["submeter.yml", "submeter.yaml.txt", "submeter.txt"])
def test_a_name_that_a_laptop_has_changed_is_named(card, good, name):
    (card.boot / name).write_text(good)
    assert card.start().kind == "misnamed"
    assert f"it is called {name}" in card.said
    assert list(card.etc.iterdir()) == []


class PowerCut(Exception):
    pass


def steps_of(card: Card) -> list[str]:
    named: list[str] = []
    card.start(step=named.append)
    return named


def test_a_power_cut_at_any_step_leaves_a_gateway_or_none(tmp_path, good, ca):
    """And the next start makes it whole."""
    first = Card(_made(tmp_path / "all"))
    first.file.write_text(good)
    steps = steps_of(first)
    assert len(steps) >= 8
    for at in range(len(steps)):
        card = Card(_made(tmp_path / str(at)))
        card.file.write_text(good)
        heard: list[str] = []

        def cut(name: str, heard: list[str] = heard, at: int = at) -> None:
            heard.append(name)
            if len(heard) > at:
                raise PowerCut

        with pytest.raises(PowerCut):
            card.start(step=cut)
        if card.configuration.exists():
            whole(card, ca)
        card.start()
        whole(card, ca)
        assert card.left() == {RESULT}, steps[at]
        assert "was taken" in card.said
        assert "ignored" not in card.said


def test_a_torn_write_is_no_file(card, good, ca):
    """Half of a file that was being written, and half of an overwriting."""
    (card.etc / ".gateway.yaml.new").write_text("gateway: {id")
    (card.etc / ".city.password.new").write_text("Xq7")
    (card.boot / f"{FILE}.taken").write_bytes(b"\0" * 100 + PASSWORD.encode())
    card.file.write_text(good)
    assert card.start().kind == "taken"
    whole(card, ca)
    assert card.left() == {RESULT}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _read_only(monkeypatch, boot: Path) -> None:
    """A partition that is mounted read-only: whatever would change it fails as the kernel lets it fail."""

    def refusing(real):
        def called(path, *arguments, **named):
            flags = arguments[0] if arguments and isinstance(arguments[0], int) else 0
            inside = str(path).startswith(str(boot))
            if inside and (real is not opened or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                raise OSError(30, "Read-only file system", str(path))
            return real(path, *arguments, **named)

        return called

    opened = os.open
    for name in ("open", "rename", "replace", "unlink"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


def test_a_read_only_partition_costs_nothing_but_its_result(card, good, ca, monkeypatch):
    card.file.write_text(good)
    with monkeypatch.context() as patch:
        _read_only(patch, card.boot)
        outcome = card.start()
        assert (outcome.kind, outcome.stays) == ("taken", True)
        again = card.start()
        assert (again.kind, again.stays) == ("taken", True)
    whole(card, ca)
    assert card.left() == {FILE}
    assert "read-only: remove it yourself" in result(outcome)
    assert card.start().kind == "taken"  # it can be written again: nothing of it stays
    assert card.left() == {RESULT}


def test_a_partition_without_owners_is_written_all_the_same(card, good, ca, monkeypatch):
    """FAT: owners and modes cannot be changed."""
    card.file.write_text(good)

    real = {name: getattr(os, name) for name in ("fchmod", "fchown")}

    def refusing(name: str):
        def called(handle, *arguments):
            if str(Path(f"/proc/self/fd/{handle}").readlink()).startswith(str(card.boot)):
                raise PermissionError(1, "Operation not permitted")
            real[name](handle, *arguments)

        return called

    for name in real:
        monkeypatch.setattr(os, name, refusing(name))
    assert card.start().kind == "taken"
    whole(card, ca)
    assert card.left() == {RESULT}


def test_the_command_looks_at_each_partition_and_says_what_came_of_it(tmp_path, good, ca):
    card = Card(tmp_path)
    places = ["--config", card.configuration, "--sample", SAMPLE, "--state", card.state]
    places += ["--boot", tmp_path / "nowhere", "--boot", card.boot]
    run = CliRunner()
    assert run.invoke(cli, ["provision", *map(str, places)]).exit_code == 0
    card.file.write_text("gateway: {}\n")
    done = run.invoke(cli, ["provision", *map(str, places)])
    assert done.exit_code == 1
    assert "gateway.id" in done.output
    card.file.write_text(good)
    done = run.invoke(cli, ["provision", *map(str, places)])
    assert done.exit_code == 0, done.output
    assert "was taken" in done.output
    whole(card, ca)
