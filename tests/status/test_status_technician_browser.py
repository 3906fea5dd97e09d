"""The technician's window in a real browser: what a page elsewhere can do with it, and what its owner can."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from page_browser import AXE, MARKS, PHONE, Gateway, against_wcag, chromium, until, width
from test_status_states import LOOKS, OUTSIDE, keep, look_at
from test_status_technician import Desk

pytestmark = MARKS


@contextmanager
def foreign_page(html: str):
    """A page of somebody else, who knows where the gateway is."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 1  # a browser opens connections that it may want

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site():
    made = Gateway(Desk())
    made.start()
    yield made
    made.end()


def attack(address: str, fields: str) -> str:
    return f'<form id="f" method="post" action="{address}">{fields}</form><script>f.submit()</script>'


def test_a_page_elsewhere_gets_nothing_and_the_owner_both_actions(site, tmp_path) -> None:
    desk, base = site.desk, f"http://127.0.0.1:{site.port}/technician"
    desk.window.open()
    with chromium(tmp_path / "profile") as browser:
        with foreign_page(attack(f"{base}/open", "")) as page:
            browser.get(page)
            until(lambda: browser.current_url == f"{base}/open", "the form was sent")
            assert "no page of this gateway has sent this" in browser.page_source
        assert not desk.window.owned

        width(browser, PHONE)
        browser.get(f"{base}?lang=en")
        browser.find_element("css selector", "form button").click()
        until(lambda: len(browser.find_elements("css selector", "form")) == 2, "it has the window")
        token = f'<input name="token" value="{desk.window.token}">'
        with foreign_page(attack(f"{base}/identify", token)) as page:
            browser.get(page)
            until(lambda: browser.current_url == f"{base}/identify", "the form was sent")
        assert not desk.did

        browser.get(f"{base}?lang=en")
        browser.find_elements("css selector", "form button")[1].click()
        until(lambda: "Registers as they came" in browser.page_source, "the registers")
        browser.find_elements("css selector", "form button")[0].click()
        until(lambda: "The lamps flash" in browser.page_source, "the lamps")
        assert desk.did == ["read main", "identify"]
        assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE


def look_through(browser, stage: str, look: tuple[int, str, str]) -> None:
    """Nothing is cut, nothing is left in English, nobody is shut out."""
    keep(browser, stage, "/technician", look)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= look[0], (stage, look)
    assert browser.execute_script(OUTSIDE) == [], (stage, look)
    said = browser.execute_script("return document.querySelector('main').innerText")
    for text in ("The technician's window", "Read a meter", "Addresses and registers"):
        assert (text in said) <= (look[1] == "en"), (stage, look, text)
    if AXE.exists():
        assert against_wcag(browser) == [], (stage, look)


def test_the_window_is_there_for_everybody(tmp_path) -> None:
    with chromium(tmp_path / "profile") as browser:
        for look in LOOKS:
            site = Gateway(Desk())
            site.start()
            try:
                site.desk.window.open()
                look_at(browser, site, "/technician", look)
                look_through(browser, "way_in", look)
                browser.find_element("css selector", "form button").click()
                until(lambda: len(browser.find_elements("css selector", "form")) == 2, "it has the window")
                look_through(browser, "window", look)
                browser.find_elements("css selector", "form button")[1].click()
                until(lambda: browser.find_elements("css selector", "pre, .registers"), "the registers")
                look_through(browser, "registers", look)
            finally:
                browser.get("about:blank")
                site.end()
