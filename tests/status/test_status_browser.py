"""The page in a real browser, on a phone and on a desk: live, whole, quiet in the console."""

from __future__ import annotations

from dataclasses import replace

import pytest
from page_browser import (
    AXE,
    DESK,
    MARKS,
    PHONE,
    Gateway,
    against_wcag,
    chromium,
    go,
    scheme,
    text,
    until,
    width,
)
from status_building import CALM, METERS, NOW, SNAPSHOT, electric, meter

pytestmark = MARKS


@pytest.fixture(scope="module")
def gateway():
    gateway = Gateway()
    gateway.start()
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(gateway, driver):
    gateway.show(SNAPSHOT)
    width(driver, DESK)
    driver.get_log("browser")
    yield driver
    driver.get("about:blank")
    # Whatever a test did: no error, no policy violation, no refused resource.
    assert [entry["message"] for entry in driver.get_log("browser")] == []


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
def test_axe_finds_nothing_against_wcag(gateway, browser, scene, path):
    gateway.show(SCENES[scene])
    for pixels, language, colours in ((390, "tr", "light"), (DESK, "en", "dark")):
        scheme(browser, colours)
        width(browser, pixels)
        go(browser, gateway, f"{path}?lang={language}")
        assert against_wcag(browser) == [], (scene, path, language)
    scheme(browser, "")


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
    for name in ("light", "dark"):
        scheme(browser, name)
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
        colours[name], *ratios = browser.execute_script(script)
        assert min(ratios)[0] >= 4.5, (name, min(ratios))
    scheme(browser, "")
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
