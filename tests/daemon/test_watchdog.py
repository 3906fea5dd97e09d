"""The watchdog is fed while every part moves, and by nobody when one stands still."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.daemon.service.watchdog import LOOP_LIMIT, Watchdog


@pytest.fixture
def manager(tmp_path: Path, monkeypatch) -> Iterator[socket.socket]:
    """The service manager's end of the notify socket, which wants a sign of life every 0.2 s."""
    path = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def heard(listener: socket.socket) -> list[str]:
    """What has been said since the last look."""
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(listener.recv(4096).decode())
    return said


async def beating(watchdog: Watchdog, listener: socket.socket, wanted: int) -> list[str]:
    """Let it beat until `wanted` messages came, or for three seconds."""
    task = asyncio.create_task(watchdog.run())
    said: list[str] = []
    end = time.monotonic() + (30 if wanted else 3)
    while time.monotonic() < end and (not wanted or len(said) < wanted):
        await asyncio.sleep(0.05)
        said += heard(listener)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return said


async def test_it_is_fed_while_every_part_moves(manager) -> None:
    watchdog = Watchdog(lambda: "9 of 9 meters answer")
    watchdog.watch("journal", time.monotonic, 5.0)
    said = await beating(watchdog, manager, 2)
    assert said
    assert all("WATCHDOG=1" in line and "STATUS=9 of 9 meters answer" in line for line in said)


@pytest.mark.parametrize("part", ["journal", "uplinks", "loop"])
async def test_it_is_not_fed_while_a_part_stands_still_and_says_once_which(manager, caplog, part) -> None:
    stopped = time.monotonic() - 2 * LOOP_LIMIT
    watchdog = Watchdog(lambda: "")
    watchdog.watch(part, lambda: stopped, LOOP_LIMIT)
    with caplog.at_level(logging.ERROR):
        assert await beating(watchdog, manager, 0) == []
    assert [
        record.getMessage()
        for record in caplog.records
        if f"no sign of life from {part}" in record.getMessage()
    ]
    assert len(caplog.records) == 1
    assert [beat.alive for beat in watchdog.beats() if beat.name == part] == [False]


async def test_it_is_fed_again_when_the_part_comes_back(manager, caplog) -> None:
    beats = {"journal": time.monotonic() - 1000}
    watchdog = Watchdog(lambda: "")
    watchdog.watch("journal", lambda: beats["journal"], 5.0)
    assert await beating(watchdog, manager, 0) == []
    beats["journal"] = time.monotonic() + 60
    assert await beating(watchdog, manager, 1)
    assert "all parts give signs of life again" in caplog.text
    beats["journal"] = time.monotonic() - 1000
    assert await beating(watchdog, manager, 0) == []
    assert caplog.text.count("no sign of life from journal") == 2, "another silence is told again"


async def test_the_loop_beats_each_time_it_looks(manager, monkeypatch) -> None:
    monkeypatch.setattr("gateway.daemon.service.watchdog.LOOP_LIMIT", 0.5)
    assert len(await beating(Watchdog(lambda: ""), manager, 12)) >= 12, (
        "longer apart than the loop may be silent"
    )


def test_a_beat_is_alive_up_to_its_limit() -> None:
    watchdog = Watchdog(lambda: "")
    watchdog.watch("fresh", lambda: time.monotonic() - 4, 5.0)
    watchdog.watch("stale", lambda: time.monotonic() - 6, 5.0)
    assert {beat.name: beat.alive for beat in watchdog.beats()} == {
        "loop": True,
        "fresh": True,
        "stale": False,
    }


def test_a_beat_that_is_ahead_has_no_age() -> None:
    watchdog = Watchdog(lambda: "")
    watchdog.watch("ahead", lambda: time.monotonic() + 60, 5.0)
    assert {beat.name: beat.age for beat in watchdog.beats()}["ahead"] == 0.0
