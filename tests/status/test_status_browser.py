"""The page in a real browser, on a phone and on a desk: live, whole, quiet in the console."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from status_building import CALM, METERS, NOW, SNAPSHOT, Building, electric, meter

from gateway.status.page.answers import AT_LEAST
from gateway.status.page.app import create_page
from gateway.status.server import PageServer

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM.exists() and DRIVER.exists()), reason="chromium and chromium-driver are not installed"
    ),
]
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the dev extra")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PHONE, DESK = 360, 1200


class Gateway:
    """A page served from a thread with a loop of its own; changes are made on that loop, as in the daemon."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.building = Building()
        self.server: PageServer | None = None
        self.port = 0

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def start(self) -> None:
        async def begin() -> None:
            self.building.changes = type(self.building.changes)()
            self.server = PageServer(
                create_page(self.building), "127.0.0.1", self.port, self.building.changes.close
            )
            assert await self.server.start(), self.server.error
            self.port = self.server.port

        self.call(begin())

    def stop(self) -> None:
        self.call(self.server.stop())

    def show(self, snapshot=None, **fields) -> None:
        """Change what is shown; returns when a new visitor will see it too."""

        async def change() -> None:
            self.building.now = snapshot or self.building.now
            self.building.change(**fields)
            await asyncio.sleep(AT_LEAST)  # so long an answer may be shared

        self.call(change())

    def end(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway()
    gateway.start()
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--lang=en"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def browser(gateway, driver):
    gateway.show(SNAPSHOT)
    width(driver, DESK)
    driver.get_log("browser")
    yield driver
    driver.get("about:blank")
    # Whatever a test did: no error, no policy violation, no refused resource.
    assert [entry["message"] for entry in driver.get_log("browser")] == []


def width(driver, pixels: int) -> None:
    fields = {"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": pixels < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", fields)


def go(driver, gateway: Gateway, path: str) -> None:
    driver.get(f"http://127.0.0.1:{gateway.port}{path}")


def text(driver, selector: str = "body") -> str:
    return driver.execute_script("return document.querySelector(arguments[0]).innerText", selector)


def until(condition, what: str, limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {limit:g} s: {what}")


def test_the_page_shows_values_in_both_languages(gateway, browser):
    go(browser, gateway, "/")
    assert "84.2\u00a0kW" in text(browser, "#meter-main")  # the browser asks for English
    browser.execute_script("document.querySelector('nav a').click()")
    until(lambda: "84,2\u00a0kW" in text(browser, "#meter-main"), "Turkish")
    assert "14:02'den beri bekliyor" in text(browser)
    assert browser.execute_script("return document.documentElement.lang") == "tr"


def test_a_new_value_comes_without_a_reload(gateway, browser):
    go(browser, gateway, "/?lang=en")
    browser.execute_script(
        "window.untouched = document.querySelector('#meter-main .big'); window.same = true"
    )
    gateway.show(meters=(replace(METERS[0], values=electric(99.5, 184_224.0)), *METERS[1:]))
    until(lambda: "99.5\u00a0kW" in text(browser, "#meter-main"), "the new value")
    assert browser.execute_script(
        "return window.same && window.untouched === document.querySelector('#meter-main .big')"
    )


def test_a_meter_that_comes_and_one_that_goes(gateway, browser):
    go(browser, gateway, "/?lang=en")
    gateway.show(meters=(*METERS[1:], meter("new", "Yeni sayaç", 9, electric(1.0, 2.0))))
    until(lambda: "Yeni sayaç" in text(browser), "the new meter")
    assert browser.execute_script("return [...document.querySelectorAll('.card')].map(c => c.id)") == [
        *(f"meter-{m.id}" for m in METERS[1:]),
        "meter-new",
    ]


def test_a_problem_comes_and_goes(gateway, browser):
    gateway.show(CALM)
    go(browser, gateway, "/?lang=en")
    assert "Everything is in order" in text(browser)
    gateway.show(SNAPSHOT)
    until(lambda: "7 of 8 meters answer" in text(browser, "h1"), "the verdict")
    gateway.show(CALM)
    until(lambda: "Everything is in order" in text(browser, "h1"), "calm again")
    assert browser.execute_script("return document.querySelectorAll('.notice.bad:not([hidden])').length") == 0


def test_a_tap_during_an_update_is_not_lost(gateway, browser):
    go(browser, gateway, "/?lang=en")
    browser.execute_script("document.querySelector('#meter-hvac a').focus()")
    gateway.show(taken=NOW + 1000)
    until(lambda: "19:25:01" in text(browser, "#as-of"), "the update")
    assert browser.execute_script("return document.activeElement.closest('.card')?.id") == "meter-hvac"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?lang=en",
        "/meter/main",
        "/meter/chiller?lang=en",
        "/meter/server",
        "/system",
        "/system?lang=en",
        "/nowhere",
    ],
)
def test_a_phone_never_scrolls_sideways(gateway, browser, path):
    long = replace(
        METERS[0],
        id="long",
        label="Donaudampfschifffahrtsgesellschaftskapitänsmützenzähler",
        feeds="ÇokUzunBirKelime" * 6,
        error="x" * 300,
    )
    gateway.show(meters=(*METERS, long))
    for pixels in (320, PHONE):
        width(browser, pixels)
        go(browser, gateway, path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= pixels
    if path == "/nowhere":
        assert all("404" in entry["message"] for entry in browser.get_log("browser"))


@pytest.mark.parametrize("path", ["/", "/meter/server", "/meter/chiller", "/system"])
def test_no_word_is_broken_inside_on_a_phone(gateway, browser, path):
    width(browser, 390)
    for language in ("tr", "en"):
        go(browser, gateway, f"{path}?lang={language}")
        broken = browser.execute_script("""
            document.querySelectorAll('details').forEach((e) => { e.open = true; });
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), broken = [];
            while (walker.nextNode()) {
              const node = walker.currentNode;
              if (!node.parentElement.offsetParent) continue;
              for (const match of node.data.matchAll(/[\\p{L}\\p{N}'.,:]+/gu)) {
                const range = document.createRange();
                range.setStart(node, match.index);
                range.setEnd(node, match.index + match[0].length);
                const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
                // MarkedNames of ports are as long as they are.
                if (lines.size > 1 && match[0].length < 25 && !node.data.includes('/dev/')) \
broken.push(match[0]);
              }
            }
            return broken;
        """)
        assert broken == [], (path, language)


def test_what_a_reader_opened_stays_open(gateway, browser):
    go(browser, gateway, "/meter/main?lang=en")
    browser.execute_script("document.querySelector('figure details').open = true")
    gateway.show(taken=NOW + 1000)
    until(lambda: "19:25:01" in text(browser, "#as-of"), "the update")
    assert browser.execute_script("return document.querySelector('figure details').open")


def test_the_first_stop_of_the_keyboard_leads_to_the_content(gateway, browser):
    go(browser, gateway, "/")
    assert browser.execute_script("return document.querySelector('a').hash") == "#live"
    assert (
        browser.execute_script("document.querySelector('a').click(); return document.activeElement.id")
        == "live"
    )


AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
SCENES = {
    "trouble": SNAPSHOT,
    "calm": CALM,
    "delivering": replace(
        CALM,
        uplinks=(
            replace(
                CALM.uplinks[0],
                backlog_batches=90,
                backlog_readings=720,
                backlog_oldest=NOW - 3_600_000,
                done_at=NOW + 1_200_000,
            ),
        ),
    ),
    "many": replace(
        CALM, meters=(METERS[0], *(replace(METERS[1], id=f"m{n}", label=f"Kat {n}") for n in range(40)))
    ),
}


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (tests/tools.sh, needs npm)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("scene", "path"),
    [
        ("trouble", "/"),
        ("trouble", "/meter/server"),
        ("trouble", "/meter/chiller"),
        ("trouble", "/system"),
        ("calm", "/"),
        ("calm", "/meter/main"),
        ("delivering", "/"),
        ("many", "/"),
    ],
)
def test_axe_finds_nothing_against_wcag(gateway, browser, scene, path, scheme):
    gateway.show(SCENES[scene])
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    for pixels, language in ((390, "tr"), (DESK, "en")):
        width(browser, pixels)
        go(browser, gateway, f"{path}?lang={language}")
        browser.execute_script("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        browser.execute_script(AXE.read_text())
        found = browser.execute_async_script("""
            const done = arguments[0];
            const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            axe.run(document, { runOnly: { type: 'tag', values: tags } })
              .then((result) => done({ checked: result.passes.length,
                found: result.violations.map((v) => [v.id, v.help, v.nodes.map((n) => n.html.slice(0, \
200))]) }));
        """)
        assert found["checked"] > 20
        assert found["found"] == [], (scene, path, language)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_picture_is_shown(gateway, browser):
    go(browser, gateway, "/meter/main?lang=en")
    until(
        lambda: browser.execute_script(
            "const i = document.querySelector('figure img'); return i.complete && i.naturalWidth > 0"
        ),
        "the picture",
    )


def test_everything_comes_from_the_gateway(gateway, browser):
    for path in ("/", "/meter/main", "/system"):
        go(browser, gateway, path)
        names = browser.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")
        assert names
        assert all(name.startswith(f"http://127.0.0.1:{gateway.port}/") for name in names)


def test_dark_and_light_differ_and_both_can_be_read(gateway, browser):
    colours = {}
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        go(browser, gateway, "/")
        script = """
            const luminance = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
              .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * \
g + .0722 * b; };
            const ratio = (e) => { let p = e; while (getComputedStyle(p).backgroundColor === 'rgba(0, 0, 0, \
0)') p = p.parentElement;
              const a = luminance(getComputedStyle(e).color), b = \
luminance(getComputedStyle(p).backgroundColor);
              return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); };
            return [getComputedStyle(document.body).backgroundColor,
              ...[...document.querySelectorAll('main p, main h1, main h2, main li, main b, main small, \
.note, .way, footer span')]
                .map((e) => [ratio(e), e.className])];
        """
        colours[scheme], *ratios = browser.execute_script(script)
        assert min(ratios)[0] >= 4.5, (scheme, min(ratios))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours["light"] != colours["dark"]


def test_without_script_the_page_is_whole(gateway, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    go(browser, gateway, "/?lang=en")
    source = browser.page_source
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "84.2" in source
    assert 'http-equiv="refresh"' in source


def test_a_gateway_that_goes_away_is_told_and_its_return_too(gateway, browser):
    gateway.show(CALM)
    go(browser, gateway, "/?lang=en")
    assert browser.execute_script("return document.getElementById('lost').hidden")
    gateway.stop()
    until(
        lambda: not browser.execute_script("return document.getElementById('lost').hidden"), "the warning", 40
    )
    assert "The numbers below are old: they are from Saturday 21 November 2026, 19:25:00" in text(
        browser, "#lost"
    )
    assert browser.execute_script("return document.getElementById('live').classList.contains('old')")
    gateway.start()
    gateway.show(SNAPSHOT)
    until(lambda: browser.execute_script("return document.getElementById('lost').hidden"), "the return", 40)
    assert "7 of 8 meters answer" in text(browser, "h1")
    # The browser reports the refused connections of the outage itself.
    assert all("ERR_" in entry["message"] for entry in browser.get_log("browser"))
