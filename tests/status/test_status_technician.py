"""The technician's window: who gets it, what it lets through, and what everybody else is told."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from status_building import Building

from gateway.errors import BadFrame
from gateway.status import WINDOW_SECONDS, TechnicianWindow, create_page

HOST = "http://gateway"
WAYS = ("/technician/open", "/technician/read", "/technician/identify")


class Desk:
    """A daemon's half, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.did: list[str] = []
        self.window = TechnicianWindow(
            lambda kind, fields: self.told.append((kind, fields)), lambda: self.now
        )
        self.lamps = True

    async def lines(self) -> list[str]:
        return [f"line {number} <script>" for number in range(200)]

    async def bundle(self) -> dict[str, Any]:
        return {"gateway": "g", "configuration": {"uplinks": [{"username": "(hidden)"}]}}

    async def read(self, meter: str) -> dict[str, Any]:
        self.did.append(f"read {meter}")
        if meter == "chiller":
            raise BadFrame("meter chiller gave what could not be understood", hint="look at the line")
        registers = [(4, 0x34, [0x1A2B, *range(9)])]
        return {"meter": meter, "values": {"active_power": 1.25}, "absent": {}, "registers": registers}

    def identify(self) -> bool:
        self.did.append("identify")
        return self.lamps


class Site:
    """The page with its window, and browsers that visit it."""

    def __init__(self) -> None:
        self.desk, self.building = Desk(), Building()
        self.app = create_page(self.building, ["gateway"], None, self.desk)

    def browser(self, address: str = "192.0.2.7") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(address, 5000))
        return httpx.AsyncClient(transport=transport, base_url=HOST)


@pytest.fixture
def site():
    return Site()


async def send(
    browser: httpx.AsyncClient, way: str, origin: str | None = HOST, **fields: str
) -> httpx.Response:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if origin is not None:
        headers["origin"] = origin
    return await browser.post(way, content=urlencode(fields), headers=headers)


async def taken(site: Site, browser: httpx.AsyncClient) -> str:
    """The window in this browser's hands; the token of its page."""
    site.desk.window.open()
    answer = await send(browser, "/technician/open")
    assert answer.status_code == 303
    return await token_of(browser)


async def token_of(browser: httpx.AsyncClient) -> str:
    page = await browser.get("/technician")
    assert page.status_code == 200
    tokens = set(re.findall(r'name="token" value="([^"]+)"', page.text))
    assert len(tokens) == 1
    return tokens.pop()


async def test_while_nobody_has_held_the_button_there_is_no_window(site) -> None:
    async with site.browser() as browser:
        assert (await browser.get("/technician")).status_code == 404
        assert (await browser.get("/technician/bundle")).status_code == 404
        for way in WAYS:
            answer = await send(browser, way)
            assert answer.status_code == 405
            assert answer.json()["error"] == "this page can only be read"
    assert not site.desk.did


async def test_the_first_browser_has_it_and_what_it_sees(site) -> None:
    async with site.browser() as browser:
        site.desk.window.open()
        before = await browser.get("/technician?lang=en")
        assert "line 199" not in before.text  # nothing before it belongs to somebody
        answer = await send(browser, "/technician/open?lang=en")
        cookie = answer.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/technician", f"Max-Age={int(WINDOW_SECONDS)}"):
            assert part in cookie
        assert answer.headers["location"] == "/technician?lang=en"
        page = await browser.get("/technician?lang=en")
        assert "line 199 &lt;script&gt;" in page.text
        assert "line 0 &lt;script&gt;" in page.text
        assert "<script>" not in re.sub(r"<script src=[^>]*>", "", page.text)
        assert "eastron-sdm630" in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert len(re.findall(r"<form ", page.text)) == 2  # exactly two actions
        assert "10 min" in before.text
    assert [kind for kind, _ in site.desk.told] == ["technician_window_opened", "technician_window_taken"]
    assert site.desk.told[1][1] == {"address": "192.0.2.7"}


async def test_every_other_page_may_send_no_form_all_the_same(site) -> None:
    async with site.browser() as browser:
        await taken(site, browser)
        for path in ("/", "/system", "/reactive", "/energy", "/meter/main"):
            # The form of /energy asks for days, by GET.
            allowed = "self" if path == "/energy" else "none"
            assert f"form-action '{allowed}'" in (await browser.get(path)).headers["content-security-policy"]
            assert (await send(browser, path)).status_code == 405
        for path in ("/technician", "/technician/bundle", "/technician/config", "/api/v1/status"):
            assert (await send(browser, path)).status_code == 405
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await browser.request(method, WAYS[1], headers={"origin": HOST})).status_code == 405


async def test_the_two_actions(site) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        assert (await send(browser, WAYS[1], meter="main", token=token)).status_code == 303
        page = (await browser.get("/technician?lang=en")).text
        assert "04  0x0034  1A2B 0000 0001" in page
        assert "1.25" in page
        assert (await send(browser, WAYS[2], token=await token_of(browser))).status_code == 303
        assert "The lamps flash for half a minute." in (await browser.get("/technician?lang=en")).text
        await send(browser, WAYS[1], meter="chiller", token=await token_of(browser))
        assert "gave what could not be understood" in (await browser.get("/technician?lang=en")).text
        bundle = await browser.get("/technician/bundle")
        assert "attachment" in bundle.headers["content-disposition"]
        assert json.loads(bundle.text)["gateway"] == "g"
    assert site.desk.did == ["read main", "identify", "read chiller"]
    used = [fields for kind, fields in site.desk.told if kind == "technician_window_used"]
    assert used == [
        {"action": "read", "meter": "main"}, {"action": "identify"},
        {"action": "read", "meter": "chiller"}, {"action": "bundle"},
    ]  # fmt: skip


FOREIGN = [
    None,
    "null",
    "http://evil.example",
    "http://gateway.evil.example",
    "http://gateway:8081",
    "ftp://gateway",
    "http://gateway/",
    "http://gateway http://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN, ids=str)
async def test_a_form_from_a_foreign_page_does_nothing(site, origin) -> None:
    async with site.browser() as browser:
        site.desk.window.open()
        answer = await send(browser, WAYS[0], origin)
        assert answer.status_code == 403
        assert not site.desk.window.owned
        token = await taken(site, browser)
        for way in WAYS[1:]:
            assert (await send(browser, way, origin, meter="main", token=token)).status_code == 403
        assert not site.desk.did
        assert (
            await send(browser, WAYS[1], meter="main", token=token)
        ).status_code == 303  # it is still good


@pytest.mark.parametrize("host", ["evil.example", "gateway.evil.example", ""])
async def test_a_name_that_is_not_ours_opens_nothing(site, host) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        headers = {"host": host, "origin": f"http://{host}"}
        kind = {"content-type": "application/x-www-form-urlencoded"}
        content = urlencode({"meter": "main", "token": token})
        answer = await browser.post(WAYS[1], content=content, headers={**kind, **headers})
        assert answer.status_code in {403, 421}
    assert not site.desk.did


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json"},
        {"transfer-encoding": "chunked"},
    ],
    ids=str,
)
async def test_what_no_form_of_ours_sends_is_refused(site, headers) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        content = f"meter=main&token={token}"
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = await browser.post(WAYS[1], content=content, headers={"origin": HOST, **kind, **headers})
        assert answer.status_code == 403
    assert not site.desk.did


async def test_a_body_that_is_too_large_is_refused(site) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        assert (await send(browser, WAYS[1], meter="m" * 2000, token=token)).status_code == 403
    assert not site.desk.did


async def test_a_second_browser_gets_nothing(site) -> None:
    async with site.browser() as first, site.browser("192.0.2.8") as second:
        token = await taken(site, first)
        for path in ("/technician", "/technician/bundle"):
            answer = await second.get(path)
            assert answer.status_code == 403
            assert "line 199" not in answer.text
            assert token not in answer.text
        assert (await send(second, WAYS[0])).status_code == 403
        for way in WAYS[1:]:
            assert (await send(second, way, meter="main", token=token)).status_code == 403
        second.cookies.set("technician", "x" * 43, path="/technician")
        assert (await send(second, WAYS[1], meter="main", token=token)).status_code == 403
        assert not site.desk.did
        assert (await send(first, WAYS[1], meter="main", token=token)).status_code == 303
    assert sum(kind == "technician_window_taken" for kind, _ in site.desk.told) == 1


@pytest.mark.parametrize("made", ["", "replayed", "x" * 43, "é", None])
async def test_a_token_is_good_once(site, made) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        assert (await send(browser, WAYS[1], meter="main", token=token)).status_code == 303
        fields = (
            {"meter": "main"}
            if made is None
            else {"meter": "main", "token": token if made == "replayed" else made}
        )
        assert (await send(browser, WAYS[1], **fields)).status_code == 403
        assert (await send(browser, WAYS[2], **fields)).status_code == 403
    assert site.desk.did == ["read main"]


@pytest.mark.parametrize("how", ["time", "press", "stop"])
async def test_after_its_end_nothing_is_left_of_it(site, how) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        if how == "time":
            site.desk.now += WINDOW_SECONDS
        else:
            site.desk.window.end("pressed" if how == "press" else "stopped")
        assert (await browser.get("/technician")).status_code == 404
        assert (await browser.get("/technician/bundle")).status_code == 404
        for way in WAYS:
            assert (await send(browser, way, meter="main", token=token)).status_code == 405
        # Opened again, it is another one: the former owner has nothing.
        site.desk.window.open()
        assert not site.desk.window.owned
        assert (await send(browser, WAYS[1], meter="main", token=token)).status_code == 403
        async with site.browser("192.0.2.9") as other:
            assert (await send(other, WAYS[0])).status_code == 303
        assert (await browser.get("/technician")).status_code == 403
    assert not site.desk.did


@pytest.mark.parametrize("meter", ["", "nobody", "gateway", "../main", "main' or 1=1"])
async def test_only_a_meter_of_the_building_is_read(site, meter) -> None:
    async with site.browser() as browser:
        token = await taken(site, browser)
        assert (await send(browser, WAYS[1], meter=meter, token=token)).status_code == 404
    assert not site.desk.did


async def test_without_a_window_the_page_has_no_such_address() -> None:
    transport = httpx.ASGITransport(app=create_page(Building(), ["gateway"]))
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as browser:
        assert (await browser.get("/technician")).status_code == 404
        for way in WAYS:
            assert (await send(browser, way)).status_code == 405


async def test_turkish(site) -> None:
    async with site.browser() as browser:
        await taken(site, browser)
        page = (await browser.get("/technician?lang=tr")).text
    assert "Teknisyen penceresi" in page
    assert "The technician" not in page
