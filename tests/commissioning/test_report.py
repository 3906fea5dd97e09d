"""The hand-over report: what it says of a site, and that no character of it can be changed unseen."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import sqlite3
import subprocess

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.cli.report import round_trips
from gateway.commissioning.report import open_report, seal_html, seal_json
from gateway.demo.show.gateway_status import gateway_status
from gateway.host import fingerprint, known_fingerprint, make_key, same_fingerprint
from gateway.host.signing import SigningKey, is_signed
from tests.mosquitto import MOSQUITTO
from tests.rig import Rig, rig, until

METERS = (("main", "eastron-sdm630"), ("hvac", "schneider-iem3155"))
CHROMIUM = shutil.which("chromium")
MOST = 90


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> SigningKey:
    directory = tmp_path_factory.mktemp("state")
    make_key(directory)
    return SigningKey(directory)


def sealed(key: SigningKey, kind: str) -> bytes:
    if kind == "html":
        return seal_html("<!doctype html>\n<p>475 kWh ö</p>\n", "g-1", key.public, key.sign)
    content = {"register": 475.5, "name": "Bina ö", "open": [], "none": None}
    return seal_json(content, "g-1", key.public, key.sign).encode()


def is_whole(data: bytes, key: SigningKey) -> bool:
    found = open_report(data)
    return (
        found is not None
        and is_signed(found.public, found.signature, found.data)
        and found.public == key.public
        and found.gateway == "g-1"
    )


@pytest.mark.parametrize("kind", ["html", "json"])
def test_no_character_can_be_changed_unseen(key, kind) -> None:
    data = sealed(key, kind)
    assert is_whole(data, key)
    dice = random.Random(7)
    for at in range(len(data)):
        other = bytes([dice.choice([c for c in range(32, 127) if c != data[at]])])
        for changed in (
            data[:at] + other + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + other + data[at:],
        ):
            assert not is_whole(changed, key), (at, changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"<p>more</p>",
        lambda data: b"<p>before</p>" + data,
        lambda data: data.replace(b"<!--", b"<p>475</p><!--"),
        lambda data: data + data.splitlines()[-1] + b"\n",
        lambda data: data.replace(b" g-1 -->", b" g-2 -->"),
        lambda data: data[: data.rindex(b"<!--")],
        lambda _: b"",
        lambda _: b'{"report": 1, "seal": []}',
        lambda _: b"\xff\xfe",
    ],
)
def test_what_is_put_beside_it_is_seen(key, change) -> None:
    assert not is_whole(change(sealed(key, "html")), key)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"report": {', '"report": {"verdict": "forged"},\n "report": {', 1),
        lambda text: text.replace('"report": {\n', '"report": {\n  "verdict": "forged",\n', 1),
        lambda text: text[: text.rindex("}")] + ', "more": 1}\n',
        lambda text: text.replace('"seal": {\n', '"seal": {\n  "by": "somebody",\n', 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text + " ",
        lambda text: json.dumps(json.loads(text)),
        lambda _: "[" * 100_000,
    ],
)
def test_json_that_another_reader_could_understand_in_another_way_is_no_report(key, change) -> None:
    text = sealed(key, "json").decode()
    assert change(text) != text
    assert not is_whole(change(text).encode(), key)


def test_the_key_is_made_once_and_is_nobodys_business(tmp_path) -> None:
    first = make_key(tmp_path)
    assert re.fullmatch(r"([0-9a-f]{4} ){7}[0-9a-f]{4}", first)
    assert make_key(tmp_path) == known_fingerprint(tmp_path) == first
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "signing.pub").unlink()
    assert known_fingerprint(tmp_path) == ""
    assert make_key(tmp_path) == first == fingerprint(SigningKey(tmp_path).public)
    assert same_fingerprint(first, first.upper().replace(" ", ":"))
    assert not same_fingerprint(first, first[:-1])
    assert not same_fingerprint("", "")


def submeter(site: Rig, *words: object, lang: str = "en") -> Result:
    socket = [] if "--verify" in words else ["--socket", site.socket]
    return CliRunner().invoke(
        cli, ["--lang", lang, *map(str, words), *map(str, socket)], env={"COLUMNS": "60"}
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    images = [
        {"driver": driver, "circuit": "main", "attributes": {"serial_number": f"8765432{unit}"}}
        for unit, (_, driver) in enumerate(METERS, 1)
    ]
    slaves = [
        {"unit": unit, "meter": name, "image": image}
        for unit, ((name, _), image) in enumerate(zip(METERS, images, strict=True), 1)
    ]
    spec = {
        "seed": 1,
        "building": {"start": 1795278300, "speed": 1, "step": 1},
        "servers": [{"name": "plant", "host": "127.0.0.1", "port": 0, "slaves": slaves}],
    }
    with rig(directory, spec) as made:
        assert made.simulator is not None
        host, port = made.simulator.addresses["plant"]
        meters = [
            {
                "id": name,
                "bus": "plant",
                "address": unit,
                "driver": driver,
                "interval": "1s",
                "name": f"Sayaç {name}",
            }
            for unit, (name, driver) in enumerate(METERS, 1)
        ]
        meters[1]["parent"] = "main"
        made.configure(
            gateway={"id": "izm-konak-017", "name": "Konak <Belediye> Binası", "commit_interval": "1s"},
            buses=[{"name": "plant", "type": "tcp", "host": host, "port": port, "label": "Ana pano"}],
            meters=meters,
            uplinks=[made.uplink()],
            building={"area": 4200, "contract_kw": 160},
            drivers={"directory": str(directory)},
        )
        made.start_broker()
        made.start_receiver()
        made.start_gateway()
        until(
            lambda: (now := gateway_status(made.socket)) and now["uplinks"][0]["last_receipt"],
            MOST,
            "a receipt",
        )
        until(lambda: gateway_status(made.socket)["key"], MOST, "the key is made")
        until(lambda: meters_stored(made) == len(METERS), MOST, "readings of every meter at the platform")
        yield made


def meters_stored(made: Rig) -> int:
    """Meters of which the platform has readings: the first receipt may be one of a batch without any."""
    with contextlib.closing(sqlite3.connect(f"file:{made.database}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(DISTINCT meter) FROM reading WHERE \"values\" != '{}'").fetchone()
    return int(count)


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("lang", ["tr", "en"])
def test_a_site_is_handed_over(site, tmp_path, lang) -> None:
    told = submeter(site, "report", "--to", tmp_path, "--by", "Ayşe", lang=lang)
    assert told.exit_code == 0, f"{told.output} {told.exception}"
    page, data = sorted(tmp_path.iterdir())
    text = page.read_text()
    report = json.loads(data.read_text())["report"]
    assert report["uplinks"][0]["round_trip"] > 0
    assert [meter["serial"] for meter in report["meters"]] == ["87654321", "87654322"]
    assert [meter["depth"] for meter in report["meters"]] == [0, 1]
    assert report["meters"][0]["verified"]
    assert {"active_energy_import"} <= {each["quantity"] for each in report["meters"][0]["registers"]}
    assert report["meters"][0]["wiring"] is not None
    assert report["gateway"]["key"] == gateway_status(site.socket)["key"]
    assert "Konak &lt;Belediye&gt; Binası" in text
    assert {"tr": "Teslim raporu", "en": "Hand-over report"}[lang] in text
    assert f'<html lang="{lang}">' in text
    for word in (
        "87654321",
        "87654322",
        report["gateway"]["key"],
        "Ayşe",
        "4200" if lang == "" else "200 m²",
    ):
        assert word in text
    assert not re.search(r"(?:src|href)=|<script|url\(|@import", text)  # it needs nothing beside itself
    assert not re.search(r"\b(None|nan|\{\{)", text)
    if CHROMIUM:
        paper = tmp_path / "report.pdf"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
                   f"--print-to-pdf={paper}", str(page)]  # fmt: skip
        subprocess.run(command, capture_output=True, timeout=120, check=True)
        sizes = set(re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", paper.read_bytes()))
        assert {(round(float(w)), round(float(h))) for w, h in sizes} <= {(595, 842), (596, 842), (594, 842)}
        assert sizes


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_wiring_is_judged_from_the_journal_with_its_period_said(site, monkeypatch) -> None:
    monkeypatch.setattr("gateway.cli.wiring.ENOUGH", 3)
    told = submeter(site, "wiring", "main", "--json")
    answer = json.loads(told.stdout)
    assert answer["rows"] >= 3
    assert answer["last"] > answer["first"] > 0
    said = submeter(site, "wiring")  # every meter of three phases
    assert "main, by " in said.stdout
    assert "hvac, by " in said.stdout
    assert said.exit_code in {0, 1, 3}


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_journal_with_too_little_has_the_meter_read(site, monkeypatch) -> None:
    monkeypatch.setattr("gateway.cli.wiring.ENOUGH", 10**9)
    monkeypatch.setattr("gateway.cli.wiring.LIVE", 8.0)
    monkeypatch.setattr("gateway.cli.wiring.PAUSE", 0.5)
    told = submeter(site, "wiring", "main", "--json")
    assert "the journal holds too little" in " ".join(told.stderr.split()).lower()
    assert json.loads(told.stdout)["rows"] >= 2


@pytest.mark.broker
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_report_is_proven_by_the_key_on_paper_and_by_what_the_platform_knows(site, tmp_path) -> None:
    assert submeter(site, "report", "--to", tmp_path).exit_code == 0
    page, data = sorted(tmp_path.iterdir())
    key = gateway_status(site.socket)["key"]
    for file in (page, data):
        proofs = {
            (): (2, "valid, key unknown"),
            ("--key", key): (0, "valid, key known"),
            ("--key", key.replace(" ", "").upper()): (0, "valid, key known"),
            ("--key", key[::-1]): (2, "valid, key unknown"),
            ("--database", site.database): (0, "valid, key known"),
        }
        for words, (code, sentence) in proofs.items():
            told = submeter(site, "report", "--verify", file, *words)
            assert (told.exit_code, told.stdout.splitlines()[0]) == (code, sentence), (words, told.stderr)
    forged = tmp_path / "forged.html"
    forged.write_text(re.sub("87654321", "87654329", page.read_text()))
    told = submeter(site, "report", "--verify", forged, "--key", key)
    assert (told.exit_code, told.stdout.strip()) == (1, "changed")
    told = submeter(site, "report", "--verify", forged, "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (1, {"verdict": "changed"})
    told = submeter(site, "report", "--verify", page, "--key", key, "--json")
    answer = json.loads(told.stdout)
    assert (told.exit_code, answer["verdict"], answer["key"]) == (0, "valid, key known", key)
    # Whoever signs another one with a key of their own is not the gateway.
    make_key(tmp_path)
    other = SigningKey(tmp_path)
    forged.write_bytes(seal_html(page.read_text(), "izm-konak-017", other.public, other.sign))
    told = submeter(site, "report", "--verify", forged, "--database", site.database)
    assert (told.exit_code, told.stdout.splitlines()[0]) == (2, "valid, key unknown")


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    told = CliRunner().invoke(cli, ["--lang", "en", "report", "--verify", str(tmp_path / "none.html")])
    assert told.exit_code == 3  # 1 is a report that was changed
    assert "none.html cannot be read" in " ".join(told.stderr.split())
    told = CliRunner().invoke(cli, ["--lang", "tr", "report", "--verify", str(tmp_path / "none.html")])
    assert "bir rapor dosyasının adını verin" in " ".join(told.stderr.split())
    told = CliRunner().invoke(cli, ["--lang", "en", "report", "--key", "abc"])
    assert told.exit_code == 2


def test_a_database_that_cannot_be_read_makes_no_report_changed(tmp_path) -> None:
    make_key(tmp_path)
    own = SigningKey(tmp_path)
    page, other = tmp_path / "report.html", tmp_path / "other.db"
    page.write_bytes(seal_html("<html><body></body></html>", "izm-konak-017", own.public, own.sign))
    other.write_text("no database at all, but a text that is longer than the head of one" * 9)
    told = CliRunner().invoke(
        cli, ["--lang", "en", "report", "--verify", str(page), "--database", str(other)]
    )
    assert (told.exit_code, told.stdout) == (3, "")
    assert "other.db" in told.stderr


class ToldInTurn:
    """A gateway whose state is told in turn; the last one stays."""

    def __init__(self, *states: tuple[int, int, int | None, int]) -> None:
        """Of each: `seq`, `pending`, `last_receipt` in ms, batches that wait."""
        self._states = list(states)

    def status(self) -> dict:
        seq, pending, heard, waiting = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        uplink = {"name": "city", "receipts": True, "last_receipt": heard, "last_delivery": heard}
        return {
            "journal": {"epoch": "e", "seq": seq, "pending": pending},
            "uplinks": [{**uplink, "backlog_batches": waiting}],
        }


@pytest.mark.parametrize(
    ("states", "seconds"),
    [
        # The receipt of the first batch, which has no readings; those that were read are stored later.
        ([(1, 3, 2000, 0), (1, 3, 2000, 0), (2, 0, 2000, 1), (2, 0, 9000, 0)], 8.0),
        ([(1, 3, None, 1), (1, 3, 2000, 0), (1, 3, 2000, 0)], None),
        ([(5, 0, 2000, 0)], 1.0),
        ([(5, 0, 500, 0)], None),
    ],
)
def test_a_receipt_that_comes_before_the_readings_are_stored_is_not_theirs(states, seconds) -> None:
    assert round_trips(ToldInTurn(*states), 1000, 2.0) == {"city": seconds}
