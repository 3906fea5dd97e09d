import json

import pytest
from click.testing import CliRunner
from receiver_feed import E1, E2, E3, arrival, batch, opening

from gateway.cli import cli
from gateway.cli.receive_words import lines, sentence
from gateway.errors import JournalError
from gateway.model import Event
from gateway.receiver.report import build
from gateway.wire import State


@pytest.fixture
def full(store, database):
    """E1: a gap, a thinned range, a conflict, a duplicate, an unsynced batch; E2: its tail is missing; E3:
    only its end is known.
    """
    thinned = Event("thinned", 9000, {"epoch": E1, "from": 5, "to": 6})
    with store.atomic():
        store.take([
            arrival(b)
            for b in (
                opening(1, previous=E3, last=0),
                batch(2),
                batch(2),
                batch(2, value=9.0),
                batch(4, clock="unsynced"),
                batch(9, events=[thinned]),
                opening(11, epoch=E2, previous=E1, last=10, reason="boot"),
            )
        ])  # fmt: skip
        store.state("gw-1", State(online=True, epoch=E2, seq=13, backlog=2, version="1"), 1_795_278_400_000)
        store.refuse("gw-1", "malformed", 3, 1_795_278_400_000, "not a [bold]batch")
        store.describe("gw-1", "{}", 1)
    return database


def test_two_machines_with_one_identity_are_named(store, database):
    """Also when they began one after the other; an epoch that mends a conflict is none."""
    mended = "00000000000000e4"
    with store.atomic():
        store.take([
            arrival(b)
            for b in (
                opening(1),
                opening(1, epoch=E2, previous=E1, last=1),
                opening(1, epoch=E3, previous=E1, last=1),
                opening(1, epoch=mended, previous=E1, last=1, reason="conflict"),
                batch(1, value=9.0),
            )
        ])  # fmt: skip
    found = build(database)
    [fork] = found["gateways"][0]["forks"]
    assert (fork["previous"], {*fork["epochs"]}, found["totals"]["forks"]) == (E1, {E2, E3}, 1)
    text = "\n".join(lines(found))
    assert f"both follow {E1}" in text
    assert "1 in conflict (1)" in text


def test_the_report_says_what_is_held_and_what_is_missing(full):
    found = build(full)
    [gateway] = found["gateways"]
    assert (gateway["gateway"], gateway["online"], gateway["backlog"], gateway["heard"]) == (
        "gw-1",
        True,
        2,
        "2026-11-21T16:26:40.000Z",
    )
    one, two = gateway["epochs"]
    assert (one["epoch"], one["first"], one["lowest"], one["highest"]) == (E1, 1, 1, 9)
    assert (one["batches"], one["readings"], one["duplicates"], one["conflicts"]) == (4, 8, 1, 1)
    assert one["conflict_seqs"] == [2]
    assert (one["missing"], one["missing_ranges"]) == (4, [[3, 3], [7, 8], [10, 10]])
    assert (one["explained"], one["explained_ranges"], one["explanations"]) == (
        2,
        [[5, 6]],
        [[5, 6, "thinned"]],
    )
    assert one["clock"] == {"synced": 3, "anchored": 0, "unsynced": 1}
    assert (one["first_time"], one["last_time"]) == ("2026-11-21T16:25:01.000Z", "2026-11-21T16:25:09.000Z")
    assert (two["epoch"], two["reason"], two["previous"], two["missing_ranges"]) == (
        E2,
        "boot",
        E1,
        [[12, 13]],
    )
    assert found["refused"] == [
        {
            "gateway": "gw-1",
            "reason": "malformed",
            "count": 3,
            "at": "2026-11-21T16:26:40.000Z",
            "example": "not a [bold]batch",
        }
    ]
    assert found["totals"] == {
        "batches": 5,
        "readings": 10,
        "values": 10,
        "duplicates": 1,
        "conflicts": 1,
        "missing": 6,
        "explained": 2,
        "days_complete": 0,
        "days_incomplete": 0,
        "days_contradicted": 0,
        "forks": 0,
    }
    assert (
        sentence(found)
        == "5 batches with 10 readings of 1 gateway; 6 missing, 2 explained, 1 in conflict, 1 duplicate "
        "ignored"
    )


def test_an_epoch_that_never_came_is_in_the_report(store, database):
    with store.atomic():
        store.take([arrival(opening(9, epoch=E2, previous=E1, last=8))])
    epochs = {epoch["epoch"]: epoch for epoch in build(database)["gateways"][0]["epochs"]}
    assert (epochs[E1]["batches"], epochs[E1]["missing_ranges"], epochs[E1]["beginning_unknown"]) == (
        0,
        [[8, 8]],
        [[1, 7]],
    )


def test_the_command_prints_json(full):
    done = CliRunner().invoke(cli, ["receive", "--report", "--json", "--database", str(full)])
    assert done.exit_code == 0
    assert json.loads(done.output) == build(full)


def test_the_command_prints_readable_words(full):
    done = CliRunner().invoke(cli, ["receive", "--report", "--database", str(full)], env={"COLUMNS": "220"})
    assert done.exit_code == 0
    for words in (
        "6 missing, 2 explained",
        "gw-1: online, heard 2026-11-21T16:26:40.000Z, 2 waiting there",
        "4 missing (3, 7–8, 10)",
        "2 explained (5–6): thinned",
        "1 came again",
        "4 batches",
        "1 in conflict",
        "3 synced",
        "1 unsynced",
        "2026-11-21 16:25:09",
        "refused: gw-1: malformed × 3",
        "not a [bold]batch",
    ):
        assert words in done.output


def test_a_narrow_terminal_cuts_neither_epochs_nor_times(full):
    done = CliRunner().invoke(cli, ["receive", "--report", "--database", str(full)], env={"COLUMNS": "60"})
    assert all(
        word in done.output for word in (E1, E2, "2026-11-21 16:25:01", "7–8", "thinned", "1 unsynced")
    )


def test_an_empty_database_has_an_empty_report(store, database):
    assert build(database)["gateways"] == []
    assert sentence(build(database)).startswith("0 batches")


def test_a_time_beyond_all_calendars_is_printed_as_it_is(store, database):
    with store.atomic():
        store.take([arrival(opening(1, t0=2**53 - 1))])
    assert build(database)["gateways"][0]["epochs"][0]["first_time"] == f"{2**53 - 1} ms"


def test_another_file_is_a_clear_error(tmp_path):
    (tmp_path / "x.db").write_text("no")
    with pytest.raises(JournalError, match=r"x\.db"):
        build(tmp_path / "x.db")
