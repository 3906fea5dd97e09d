"""A thread that computes gives way to the loop: on the real loop, with a real thread."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from gateway.host import PollingLoop, give_way
from gateway.host import event_loop as module


def test_whoever_gives_way_waits_until_the_loop_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_MOST", 3600.0)
    order: list[str] = []

    async def poll() -> None:
        loop = asyncio.get_running_loop()
        begun = threading.Event()

        def compute() -> None:
            begun.set()
            give_way(loop)
            order.append("computed")

        thread = threading.Thread(target=compute)
        await asyncio.sleep(0.01)  # it has waited, and was woken
        thread.start()
        begun.wait(60)
        time.sleep(0.2)  # noqa: ASYNC251 - the loop is busy
        order.append("polled")
        await asyncio.to_thread(thread.join, 60)

    with asyncio.Runner(loop_factory=PollingLoop) as runner:
        runner.run(poll())
    assert order == ["polled", "computed"]


def test_a_loop_that_is_never_done_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(module.time, "sleep", looks.append)
    now = iter(range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now) * module.AT_MOST / 8)
    loop = PollingLoop()
    loop._waits_with.busy = True
    give_way(loop)
    loop.close()
    assert looks[0] == module.HAND_OVER
    assert 5 <= looks.count(module.NAP) <= 8


def test_a_loop_that_waits_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=PollingLoop) as runner:
        loop = runner.get_loop()
        running = threading.Thread(target=runner.run, args=(asyncio.sleep(0.5),))
        running.start()
        while loop.busy or not loop.is_running():
            time.sleep(0.001)
        looks: list[float] = []
        with monkeypatch.context() as patch:
            patch.setattr(module.time, "sleep", looks.append)
            give_way(loop)
        running.join()
    assert looks == [module.HAND_OVER]


def test_another_loop_is_none_to_give_way_to() -> None:
    loop = asyncio.new_event_loop()
    give_way(loop)
    loop.close()
