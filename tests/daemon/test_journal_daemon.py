"""The daemon on a journal that is none: it polls, says what is wrong, and takes readings as soon as it
can.
"""

import os
import signal
import sqlite3

import httpx
import pytest
from test_daemon import configure, meter, plant, started, status, submeter

from tests.ports import free_port
from tests.rig import rig, until


def polled(site):
    """Polls since the start, as the buses count them."""
    return sum(bus["requests"] for bus in status(site)["buses"])


def goes_on_polling(site):
    before = polled(site)
    until(lambda: polled(site) >= before + 4, 60, "meters are polled on")


def stop(site):
    process = site.processes["gateway"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def newer(state):
    with sqlite3.connect(state / "journal.db") as conn:
        conn.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('journal', "
            "'v99_future', '')"
        )
        conn.execute("PRAGMA user_version = 99")
    conn.close()


def file_instead_of_folder(state):
    state.rename(state.with_name("kept"))
    state.write_text("no folder")


@pytest.mark.parametrize(
    ("spoil", "state", "words"),
    [(newer, "newer", "newer version"), (file_instead_of_folder, "failed", "cannot be made")],
)
def test_a_journal_that_cannot_be_used_stops_no_polling(tmp_path, spoil, state, words) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 2, 60, "batches are committed")
        stop(site)
        folder = site.directory / "state"
        spoil(folder)
        started(site)
        goes_on_polling(site)
        until(lambda: status(site)["journal"]["pending"] >= 2, 60, "readings wait")
        journal = status(site)["journal"]
        assert journal["state"] == state
        assert words in journal["error"]
        assert words in submeter(site, "journal", "status").stdout
        assert words in site.log("gateway")
        # What a person is told to do, done: everything that waited is taken.
        if folder.is_dir():
            (folder / "journal.db").rename(folder / "kept.db")
        else:
            folder.unlink()
        until(lambda: status(site)["journal"]["state"] == "ok", 90, "the journal takes readings again")
        stop(site)
        assert "Traceback" not in site.log("gateway")


@pytest.mark.parametrize(
    "name", ["journal.db", "journal.db-wal", "journal.lock", "journal.ballast", "damaged"]
)
def test_a_fifo_in_the_place_of_a_file_hangs_no_start(tmp_path, name) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        state = site.directory / "state"
        state.mkdir()
        os.mkfifo(state / name)
        started(site)
        until(lambda: status(site)["journal"]["taken"] >= 2, 60, "readings are taken")
        assert status(site)["journal"]["state"] in {"ok", "salvaging"}
        stop(site)


def test_a_journal_that_is_removed_while_it_is_open_is_there_again_after_a_kill(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        configure(site, [meter(1)])
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 3, 60, "batches are committed")
        state = site.directory / "state"
        for name in ("journal.db", "journal.db-wal"):
            (state / name).unlink()
        until((state / "journal.db").exists, 60, "somebody looked")
        until(
            lambda: all(
                "salvaged" in line
                for line in submeter(site, "journal", "status").stdout.splitlines()
                if "damaged" in line
            ),
            60,
            "it is back",
        )
        seq = status(site)["journal"]["seq"]
        process = site.processes["gateway"]
        process.kill()
        process.wait(30)
        told = submeter(site, "journal", "status", "--directory", str(state)).stdout
        assert "salvaged, " in told
        shown = submeter(site, "journal", "export", "-", "--directory", str(state)).stdout.splitlines()
        assert len(shown) >= seq
        assert "was removed or renamed while it was open" in site.log("gateway")


def causes(site):
    return {finding["cause"] for finding in status(site)["verdict"]["findings"]}


def test_what_was_lost_for_good_is_told_everywhere_and_after_a_restart(tmp_path) -> None:
    with rig(tmp_path, plant(tmp_path)) as site:
        port = free_port()
        configure(site, [meter(1)], status={"listen": f"127.0.0.1:{port}"})
        started(site)
        until(lambda: status(site)["journal"]["seq"] >= 5, 60, "batches are committed")
        assert causes(site) & {"batches_lost"} == set(), "the control"
        stop(site)
        for path in (site.directory / "state").glob("journal.db*"):
            path.unlink()
        for start in ("without the file", "again"):
            started(site)
            until(lambda: status(site)["journal"]["lost"], 60, f"it is told at the start {start}")
            lost, seq = status(site)["journal"]["lost"], status(site)["journal"]["seq"]
            assert lost >= 5
            assert "batches_lost" in causes(site)
            until(lambda seq=seq: status(site)["journal"]["seq"] > seq + 1, 60, "a commit carries it")
            if start != "again":
                stop(site)
        assert "lost for good" in " ".join(submeter(site, "status", "--lang", "en").stdout.split())
        assert "kalıcı olarak kayboldu" in httpx.get(f"http://127.0.0.1:{port}/?lang=tr", timeout=30).text
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        assert f"submeter_journal_lost_batches {lost:.1f}" in metrics
