"""Live updates over a real connection: at once, not too often, in the visitor's language, and over when
the page ends.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from status_building import METERS, NOW, Building, electric, meter

import gateway.status.server as server_module
from gateway.status.page.app import PAUSE, create_page
from gateway.status.page.stream import MAX_STREAMS, event
from gateway.status.server import PageServer
from gateway.status.source import Changes


@asynccontextmanager
async def served(building: Building):
    server = PageServer(create_page(building), "127.0.0.1", 0, building.changes.close)
    assert await server.start()
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", timeout=30, trust_env=False
        ) as http:
            yield http
    finally:
        await server.stop()


async def events(response: httpx.Response):
    name, data = "", []
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


async def test_a_page_is_told_of_a_new_value():
    building = Building()
    async with served(building) as http, http.stream("GET", "/live/?lang=en") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in response.headers
        told = events(response)
        name, html = await anext(told)
        assert name == "page"
        assert ">84.2<small>" in html
        assert "<html" not in html
        building.change(meters=(meter("main", "Ana sayaç", 1, electric(99.5, 184_224.0)), *METERS[1:]))
        name, html = await anext(told)
        assert ">99.5<small>" in html


async def test_many_changes_make_few_events():
    building = Building()

    async def bustle() -> None:
        for step in range(300):
            building.change(taken=NOW + step)
            await asyncio.sleep(0.005)

    async with served(building) as http, http.stream("GET", "/live/?lang=tr") as response:
        told = events(response)
        begun = asyncio.get_running_loop().time()
        changing = asyncio.create_task(bustle())
        count = 0
        while not changing.done():
            await anext(told)
            count += 1
        assert count <= (asyncio.get_running_loop().time() - begun) / PAUSE + 2


async def test_programs_get_the_status_as_json():
    async with served(Building()) as http, http.stream("GET", "/api/v1/events?every=1") as response:
        told = events(response)
        name, data = await anext(told)
        assert name == "status"
        assert json.loads(data)["gateway"] == "izm-konak-017"
        await anext(told)  # once more without any change


async def test_a_pace_that_is_none_is_refused():
    async with served(Building()) as http:
        for every in ("0", "-1", "61", "x", "1e1", "٣", "9" * 400):
            response = await http.get("/api/v1/events", params={"every": every})
            assert response.status_code == 400
            assert "from 1 to 60" in response.json()["hint"]


async def test_streams_are_bounded_and_freed():
    async with served(Building()) as http:
        opened = []
        for _ in range(MAX_STREAMS):
            response = await http.send(http.build_request("GET", "/live/system"), stream=True)
            assert response.status_code == 200
            opened.append(response)
        refused = await http.get("/live/")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert (await http.get("/")).status_code == 200  # the page itself still comes
        for response in opened:
            await response.aclose()
        async with asyncio.timeout(20):
            while (await http.head("/live/")).status_code != 200:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)


async def test_a_meter_that_is_removed_ends_its_stream():
    building = Building()
    async with served(building) as http, http.stream("GET", "/live/meter/main") as response:
        told = events(response)
        await anext(told)
        building.change(meters=METERS[1:])
        assert [one async for one in told] == []


async def test_the_end_of_the_page_ends_its_streams_at_once(monkeypatch):
    monkeypatch.setattr(server_module, "GRACE", 60)
    building = Building()
    server = PageServer(create_page(building), "127.0.0.1", 0, building.changes.close)
    await server.start()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as http,
        http.stream("GET", "/live/") as response,
    ):
        told = events(response)
        await anext(told)
        begun = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(server.stop())
        assert [one async for one in told] == []
        await stopping
    assert asyncio.get_running_loop().time() - begun < 30, "long before the grace is over"


@pytest.mark.virtual_time
async def test_changes_wake_every_listener_and_lose_none():
    changes = Changes()
    seen: list[list[int]] = [[], []]

    async def listen(number: int) -> None:
        async for version in changes.follow(0.0, 5.0):
            seen[number].append(version)

    tasks = [asyncio.create_task(listen(0)), asyncio.create_task(listen(1))]
    await asyncio.sleep(0.01)
    for _ in range(3):
        changes.notify()
        await asyncio.sleep(0.01)
    changes.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert seen == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert not changes._waiters


@pytest.mark.virtual_time
async def test_a_change_during_the_pause_is_not_forgotten():
    changes = Changes()
    follow = changes.follow(0.05, 5.0)
    assert await anext(follow) == 0
    asyncio.get_running_loop().call_later(0.01, changes.notify)
    async with asyncio.timeout(2):
        assert await anext(follow) == 1


@pytest.mark.virtual_time
async def test_a_quiet_house_still_speaks():
    follow = Changes().follow(0.01, 0.05)
    async with asyncio.timeout(2):
        assert [await anext(follow) for _ in range(3)] == [0, 0, 0]


async def test_nobody_listens_after_the_end():
    changes = Changes()
    changes.close()
    assert [version async for version in changes.follow(1.0, 5.0)] == []


@pytest.mark.virtual_time
async def test_who_was_told_to_end_ends_although_new_listeners_are_taken():
    changes = Changes()
    old, new = changes.follow(0.0, 5.0), changes.follow(0.0, 5.0)
    assert await anext(old) == 0
    changes.close()
    changes.reopen()
    changes.notify()
    assert await anext(new) == 1
    async with asyncio.timeout(2):
        assert [version async for version in old] == []


def test_lines_of_an_event_cannot_break_out():
    assert (
        event("page", "a\nevent: evil\n\nb")
        == b"event: page\ndata: a\ndata: event: evil\ndata: \ndata: b\n\n"
    )
