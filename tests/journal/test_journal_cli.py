"""submeter journal: the same answers from the files and through a daemon."""

import asyncio
import csv
import json
import shutil
from dataclasses import asdict

import pytest
from click.testing import CliRunner
from journal_data import Building, HandClock

from gateway.cli import journal as cli
from gateway.cli import journal_source
from gateway.cli.journal_source import DaemonSource, FileSource
from gateway.errors import JournalError
from gateway.journal import Journal
from gateway.model import Ranges


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    directory = tmp_path_factory.mktemp("filled")

    async def fill():
        clock = HandClock()
        journal = Journal.open(directory, gateway="g-1", clock=clock, uplinks=["city"])
        building = Building(3)
        for _ in range(250):
            clock.now += 10_000
            await journal.commit(building.draft(clock.now))
        await journal.settle("city", journal.epoch, Ranges([(1, 240)]))
        await journal.commit(building.draft(clock.now))
        await journal.close()

    asyncio.run(fill())
    return directory


def call(directory, *words, ok=True):
    verb, *rest = words
    done = CliRunner().invoke(
        cli.command,
        [verb, *map(str, rest), "--directory", str(directory), "--socket", str(directory / "none.sock")],
    )
    assert (done.exit_code == 0) is ok, done.output
    return done


def test_status_in_words_and_as_json(filled):
    told = call(filled, "status").stdout
    assert "holds 251 batches (753 readings), 1 to 251" in told
    assert "city: 11 batches (33 readings) wait, the oldest of 2026-11-18T" in told
    state = json.loads(call(filled, "status", "--json").stdout)
    assert (state["seq"], state["batches"], state["backlog"]["city"]["batches"]) == (251, 251, 11)
    assert [(e["first"], e["last"]) for e in state["epochs"]] == [(1, 251)]


def test_show_lists_the_newest_and_prints_one_in_full(filled):
    assert len(call(filled, "show").stdout.splitlines()) == 11
    batch = json.loads(call(filled, "show", 7).stdout)
    assert (batch["seq"], batch["gateway"], batch["schema"]) == (7, "g-1", "submeter/1")
    assert "batch 999 is not in the journal" in call(filled, "show", 999, ok=False).output


def test_export_as_json_lines_and_as_csv(filled, tmp_path):
    call(filled, "export", tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, 252))
    call(filled, "export", tmp_path / "rows.csv", "--format", "csv", "--from", 10, "--to", 12)
    with (tmp_path / "rows.csv").open() as file:
        sheet = list(csv.DictReader(file))
    assert len(sheet) == 3 * 3 * 34
    first = rows[9]["tables"][0]
    assert (sheet[0]["meter"], sheet[0]["quantity"]) == ("meter-01", next(iter(first["values"])))
    assert float(sheet[0]["value"]) == next(iter(first["values"].values()))[0]
    assert sheet[0]["time"].endswith("Z")


def test_numbers_the_wrong_way_round_are_told_and_write_no_empty_file(filled, tmp_path):
    refused = call(filled, "export", tmp_path / "rows.csv", "--from", 12, "--to", 10, ok=False)
    assert "--to is before --from (10, 12)" in " ".join(refused.output.split())
    assert not (tmp_path / "rows.csv").exists()


def test_salvage_counts_and_writes_what_is_sound(filled, tmp_path):
    data = bytearray((filled / "journal.db").read_bytes())
    data[:1024] = bytes(1024)
    (tmp_path / "bad.db").write_bytes(data)
    done = CliRunner().invoke(cli.command, ["salvage", str(tmp_path / "bad.db")])
    assert "251 sound batches" in done.output
    assert "batches 1 to 251, 251 sound, 0 missing" in done.output
    done = CliRunner().invoke(
        cli.command, ["salvage", str(tmp_path / "bad.db"), "--to", str(tmp_path / "back.jsonl")]
    )
    assert done.exit_code == 0
    assert {json.loads(line)["seq"] for line in (tmp_path / "back.jsonl").read_text().splitlines()} == set(
        range(1, 252)
    )
    assert (tmp_path / "bad.db").read_bytes() == data


def test_a_damaged_file_and_an_absent_one_are_clear_lines(filled, tmp_path):
    with pytest.raises(JournalError, match=r"there is no journal in .*--directory"):
        FileSource(tmp_path)
    shutil.copy(filled / "journal.db", tmp_path)
    with (tmp_path / "journal.db").open("r+b") as file:
        file.seek(4096 * 10)
        file.write(bytes(4096 * 100))
    with pytest.raises(JournalError, match="submeter journal salvage"):
        FileSource(tmp_path)
    assert (tmp_path / "journal.db").exists()


class Client:
    """The daemon's side of the protocol, over a file."""

    def __init__(self, source):
        self.source = source
        self.asked = []

    def journal(self):
        return self.source.status()

    def journal_rows(self, first, last, limit, epoch):
        self.asked.append((first, last, limit, epoch))
        return list(self.source.rows(first, last, epoch))[:limit]


def test_rows_come_from_the_daemon_a_page_at_a_time(filled):
    source = FileSource(filled)
    try:
        direct = list(source.rows(1, 10_000, None))
        client = Client(source)
        assert list(DaemonSource(client).rows(1, 10_000, None)) == direct
        assert len(client.asked) == 3
        assert journal_source.PAGE == 100
    finally:
        source.close()


def test_a_progress_bar_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(cli._shown(iter([1, 2, 3]), 3, "batches")) == [1, 2, 3]
    assert "3/3" in capsys.readouterr().err


def test_damage_and_readings_that_wait_are_told(opened):
    journal = opened()
    state = asdict(journal.stats()) | {
        "epochs": [],
        "waiting": 3,
        "dropped": 2,
        "state": "full",
        "error": "the disk is full → make room",
    }
    state["damaged"] = [
        {"name": "0001", "reason": "batch 5", "pages": 9, "page": 4, "rows": 7, "done": False}
    ]
    told = "\n".join(cli.lines(state))
    assert "no room: the disk is full → make room" in told
    assert "3 readings wait in memory, 2 were let go" in told
    assert "damaged file 0001: being salvaged, page 4 of 9, 7 batches came back (batch 5)" in told
