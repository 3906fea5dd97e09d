"""A real browser for the tests of the page, and a page that is served to it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from status_building import Building

from gateway.status.page.answers import AT_LEAST
from gateway.status.page.app import create_page
from gateway.status.server import PageServer

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the dev extra")

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM.exists() and DRIVER.exists()), reason="chromium and chromium-driver are not installed"
    ),
]
PHONE, DESK = 360, 1200
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


class Gateway:
    """A page served from a thread with a loop of its own; changes are made on that loop, as in the daemon."""

    def __init__(self, desk=None) -> None:
        self.desk = desk
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
                create_page(self.building, (), None, self.desk),
                "127.0.0.1",
                self.port,
                self.building.changes.close,
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


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile that asks for English."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--lang=en"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.set_page_load_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()


def width(driver, pixels: int, height: int = 800, ratio: int = 1) -> None:
    fields = {"width": pixels, "height": height, "deviceScaleFactor": ratio, "mobile": pixels < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", fields)


def scheme(driver, name: str) -> None:
    """Light or dark, as the visitor's system says; empty: as it is."""
    features = [{"name": "prefers-color-scheme", "value": name}] if name else []
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


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


def against_wcag(driver) -> list[list[object]]:
    """What axe-core finds on the page as it stands, everything that can be opened opened."""
    driver.execute_script("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    driver.execute_script(AXE.read_text())
    found = driver.execute_async_script("""
        const done = arguments[0];
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        axe.run(document, { runOnly: { type: 'tag', values: tags } })
          .then((result) => done({ checked: result.passes.length,
            found: result.violations.map((v) => [v.id, v.help,
              v.nodes.slice(0, 5).map((n) => n.html.slice(0, 200))]) }));
    """)
    assert found["checked"] > 10
    return found["found"]
