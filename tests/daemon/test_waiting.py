"""A gateway without a configuration: it is up, says what it waits for, and begins by itself."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest

from gateway.daemon import Waiting
from tests.ports import free_port

GOOD = "gateway: {id: izm-1}\nclock: {trust: system}\n"


@pytest.fixture
async def waiting(tmp_path):
    """A waiting gateway, its file and a client of its page."""
    path, port = tmp_path / "gateway.yaml", free_port()
    task = asyncio.create_task(Waiting(path, ("127.0.0.1", port)).run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        await said(client, "Nothing is measured yet")
        yield path, task, client
    task.cancel()
    await asyncio.wait([task])


async def said(client: httpx.AsyncClient, words: str, path: str = "/?lang=en") -> httpx.Response:
    """The first answer that says so."""
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await client.get(path)
                if words in answer.text:
                    return answer
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)


async def test_the_page_says_what_to_do_in_both_languages_and_programs_are_told_that_it_is_not_ready(waiting):
    _, task, client = waiting
    english, turkish = await client.get("/meter/main?lang=en"), await client.get("/?lang=tr")
    assert "sudo submeter setup" in english.text
    assert "sudo submeter setup" in turkish.text
    assert 'lang="tr"' in turkish.text
    assert "bekliyor" in turkish.text
    assert english.status_code == 503
    for path in ("/healthz", "/metrics", "/api/v1/status"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert answer.json()["hint"] == "sudo submeter setup"
    assert "content-security-policy" in english.headers
    assert (await client.post("/")).status_code == 405
    assert (await client.get("/static/page.css")).status_code == 200
    assert not task.done()


async def test_it_begins_with_the_first_good_configuration_and_shows_why_another_one_is_not(waiting):
    path, task, client = waiting
    path.write_text("gateway: {id: izm-1}\nbuses: [{name: <b>, type: tcp}]\n")
    answer = await said(client, "buses[0].host")
    assert "sudo submeter check" in answer.text
    assert "<b>" not in answer.text
    assert not task.done()
    path.unlink()
    await said(client, "Nothing is measured yet")
    path.write_text(GOOD)
    assert await asyncio.wait_for(task, 60) is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_it_is_told_to(waiting, number):
    _, task, _ = waiting
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(task, 60) is False


async def test_a_reload_is_no_end(waiting):
    path, task, client = waiting
    os.kill(os.getpid(), signal.SIGHUP)
    await said(client, "Nothing is measured yet")
    assert not task.done()
    path.write_text(GOOD)
    assert await asyncio.wait_for(task, 60) is True
