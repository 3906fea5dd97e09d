"""What a page weighs and may load: 150 kB with all of it, nothing from elsewhere, no script needed."""

from __future__ import annotations

import base64
import re

import httpx
import pytest
from page_browser import MARKS, Gateway, chromium, width
from page_states import PAGES, STATES
from test_status_page import Page, client

from gateway.status.page.guard import FORM_POLICY, POLICY

MOST = 150_000
"""Bytes of a page with all that it loads, before they are compressed."""
LONG = (
    "/energy?month=2026-10&by=hour",
    "/energy?week=2026-11-16&by=hour",
    "/energy?year=2025&by=day",
    "/energy?from=2025-11-01&to=2026-11-21&by=day",
    "/energy?day=2026-11-20&by=quarter",
)
"""Ranges with hundreds of bars."""
PACKED = 0.35
"""Of its bytes that go to a browser at most, where a page is long."""


def in_a_browser(test):
    """Marked like every test that needs one."""
    for mark in MARKS:
        test = mark(test)
    return test


HEAVY = ("five_years", "forty_meters", "long_names", "broker_away")
LOADS = {"link": "href"} | dict.fromkeys(("script", "img", "iframe", "source"), "src")


@pytest.fixture(scope="module", params=HEAVY)
def building(request, tmp_path_factory):
    return STATES[request.param](tmp_path_factory.mktemp("history"))


async def whole(http: httpx.AsyncClient, path: str) -> tuple[str, int, httpx.Headers]:
    """The page, its bytes with all that it loads, and its headers."""
    answer = await http.get(path)
    assert answer.status_code == 200, path
    total = len(answer.content)
    for tag, attributes in Page(answer.text).tags:
        address = attributes.get(LOADS.get(tag, ""))
        if not address or attributes.get("rel") in {"prev", "next"}:
            continue
        assert address.startswith("/"), f"{path} loads {address}"
        loaded = await http.get(address)
        assert loaded.status_code == 200, address
        total += len(loaded.content)
    return answer.text, total, answer.headers


async def test_every_page_is_light_strict_and_loads_nothing_from_elsewhere(building) -> None:
    async with client(building) as http:
        for number, path in enumerate((*PAGES, *LONG)):
            language = ("tr", "en")[number % 2]
            html, total, headers = await whole(http, f"{path}{'&' if '?' in path else '?'}lang={language}")
            assert total <= MOST, f"{path}: {total} bytes"
            form = "<form" in html
            assert form == path.startswith("/energy")
            assert headers["content-security-policy"] == (FORM_POLICY if form else POLICY)
            assert not re.findall(r"""(?:href|src|action)=["'](?:https?:)?//""", html), path
            for tag, attributes in Page(html).tags:
                assert not [name for name in attributes if name.startswith("on") or name == "style"], (
                    path,
                    tag,
                )
                assert tag != "style", path
                assert tag != "script" or attributes.get("src"), path


async def test_a_browser_gets_a_fraction_of_its_bytes_and_whoever_takes_no_gzip_the_same_text(
    building,
) -> None:
    async with client(building) as http:
        for path in (*PAGES, *LONG, "/static/page.css", "/api/v1/energy?day=2026-11-20"):
            packed = await http.get(path, headers={"accept-encoding": "br, gzip;q=0.8"})
            assert packed.headers["content-encoding"] == "gzip", path
            assert "Accept-Encoding" in packed.headers["vary"]
            on_the_way = int(packed.headers["content-length"])
            assert on_the_way < len(packed.content) * (PACKED if len(packed.content) > 10_000 else 1), path
            assert on_the_way <= 40_000, path
            for refused in ("identity", "gzip;q=0, br", "gzip; q=0.0", "xgzip"):
                plain = await http.get(path, headers={"accept-encoding": refused})
                assert "content-encoding" not in plain.headers, (path, refused)
                assert "Accept-Encoding" in plain.headers["vary"]
                assert int(plain.headers["content-length"]) == len(plain.content)
                assert plain.headers["content-type"] == packed.headers["content-type"]
            if not path.startswith(("/screen", "/system", "/meter", "/?")) and path != "/":
                assert plain.content == packed.content, path  # nothing of it moves with the seconds


def test_the_policy_lets_nothing_in_but_what_is_ours() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) <= {"'none'", "'self'"}
    assert "unsafe" not in POLICY


CUT = """
    return [...document.querySelectorAll('main table, main svg.c')]
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.textContent.slice(0, 40));
"""
WORDS = {
    "/": "kWh",
    "/energy": "Ölçülmeyen",
    "/reactive": "kvarh",
    "/quality": "Sayaçlara göre",
    "/report": "Açık konular",
    "/system": "Teknik ayrıntılar",
    "/meter/main": "kW",
}


@in_a_browser
def test_without_a_script_every_page_says_the_same_and_its_tables_open(tmp_path) -> None:
    gateway = Gateway()
    gateway.building = STATES["broker_away"](tmp_path)
    gateway.start()
    try:
        with chromium(tmp_path / "chromium") as driver:
            width(driver, 390, 1200)
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
            for path, word in WORDS.items():
                driver.get(f"http://127.0.0.1:{gateway.port}{path}?lang=tr")
                main = driver.find_element("css selector", "main").text
                assert word in main, path
                assert len(main) > 300, path
            driver.get(f"http://127.0.0.1:{gateway.port}/energy?lang=tr")
            driver.find_element("css selector", "details:not(.seg) summary").click()
            assert driver.find_element("css selector", "details[open] table").text
            driver.find_element("css selector", "a[rel=prev]").click()
            assert "Ekim 2026" in driver.find_element("css selector", "h1").text
    finally:
        gateway.end()


@in_a_browser
@pytest.mark.parametrize("language", ["tr", "en"])
def test_the_report_prints_light_on_a4_and_no_picture_is_cut(tmp_path, language) -> None:
    gateway = Gateway()
    gateway.building = STATES["dead_meter"](tmp_path)
    gateway.start()
    try:
        with chromium(tmp_path / "chromium") as driver:
            dark = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
            width(driver, 680)  # the printable width of A4
            driver.get(f"http://127.0.0.1:{gateway.port}/report/2026?lang={language}")
            style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
            assert driver.execute_script(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
            assert driver.execute_script(style, "h1", "color") == "rgb(0, 0, 0)"
            for gone in (".views", ".pick", ".downloads", "footer", "header"):
                assert driver.execute_script(style, gone, "display") == "none", gone
            assert driver.execute_script(style, "figure", "breakInside") == "avoid"
            assert driver.execute_script(style, "tr", "breakInside") == "avoid"
            assert driver.execute_script(style, "thead", "display") == "table-header-group"
            assert driver.execute_script(CUT) == [], "all columns are on the paper"
            options = {"printBackground": True, "preferCSSPageSize": True}
            pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", options)["data"])
            boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox\s*\[([\d. ]+)\]", pdf)}
            assert {(round(box[2]), round(box[3])) for box in boxes} == {(595, 842)}
            pages = max(map(int, re.findall(rb"/Count (\d+)", pdf)))
            assert 2 <= pages <= 3
    finally:
        gateway.end()


SMALLEST = """
    return Math.min(...[...document.querySelectorAll('article *')]
      .filter((e) => e.getClientRects().length && e.textContent.trim() && e.tagName != 'title')
      .map((e) => parseFloat(getComputedStyle(e).fontSize)));
"""


@in_a_browser
def test_a_whole_year_prints_on_two_sheets_and_nothing_is_smaller_than_8_points(tmp_path) -> None:
    """With a year before beside it, a plant, reactive energy, and every month of both."""
    gateway = Gateway()
    gateway.building = STATES["five_years"](tmp_path)
    gateway.start()
    try:
        with chromium(tmp_path / "chromium") as driver:
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
            width(driver, 680)
            for language in ("tr", "en"):
                driver.get(f"http://127.0.0.1:{gateway.port}/report/2025?lang={language}")
                assert len(driver.find_elements("css selector", ".record tbody tr")) == 12
                assert driver.execute_script(SMALLEST) >= 8 * 96 / 72 - 0.01
                options = {"printBackground": True, "preferCSSPageSize": True}
                pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", options)["data"])
                assert max(map(int, re.findall(rb"/Count (\d+)", pdf))) == 2, language
    finally:
        gateway.end()
