"""Every page in every state that it meets, in a real browser: it fits, it is translated, nobody is shut out.

`make test` looks at each page of a state once, in turn in Turkish on a light phone and in English on a dark
desk; `make pages` at every mixture, and keeps a picture of each in build/page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from page_browser import AXE, MARKS, Gateway, against_wcag, chromium, scheme, width
from page_states import OTHER_METERS, PAGES, STATES

from gateway.status.words.language import catalogue

pytestmark = MARKS

EVERY = "SUBMETER_PAGE_PROOF" in os.environ
PICTURES = Path(__file__).parents[2] / "build" / "page"
LOOKS = [(390, "tr", "light"), (1280, "en", "dark")]
if EVERY:
    LOOKS = [(p, lang, look) for p in (390, 1280) for lang in ("tr", "en") for look in ("light", "dark")]
AXE_STATES = tuple(STATES) if EVERY else ("dead_meter", "water_and_heat", "short_names")
ENGLISH = re.compile(r"[A-Za-z]{4,}")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="module", params=tuple(STATES))
def state(request, driver, tmp_path_factory):
    """A page of its own for each state: what another one has computed must not be shown."""
    gateway = Gateway()
    gateway.building = STATES[request.param](tmp_path_factory.mktemp("history"))
    gateway.start()
    yield request.param, gateway
    driver.get("about:blank")
    gateway.end()
    driver.get_log("browser")


def look_at(driver, gateway: Gateway, path: str, look: tuple[int, str, str]) -> None:
    pixels, language, colours = look
    scheme(driver, colours)
    width(driver, pixels)
    joint = "&" if "?" in path else "?"
    driver.get(f"http://127.0.0.1:{gateway.port}{path}{joint}lang={language}")


def views(state: str) -> list[tuple[str, tuple[int, str, str]]]:
    """Pages with how they are looked at."""
    turn = list(STATES).index(state)
    return [
        (path, look)
        for number, path in enumerate((*PAGES, *(OTHER_METERS if state == "water_and_heat" else ())), turn)
        for look in (LOOKS if EVERY else [LOOKS[number % len(LOOKS)]])
    ]


def test_nothing_is_wider_than_the_screen_and_everything_is_said_in_the_language(driver, state) -> None:
    name, gateway = state
    english = {
        text for text in catalogue("tr") if len(text) > 12 and "%(" not in text and ENGLISH.search(text)
    }
    for path, look in views(name):
        look_at(driver, gateway, path, look)
        keep(driver, name, path, look)
        driver.execute_script("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= look[0], (
            path,
            look,
        )
        assert driver.execute_script(PUSHED) == [], (path, look)
        shown, said = (
            driver.execute_script(OUTSIDE),
            driver.execute_script("return document.body.innerText"),
        )
        assert shown == [], (path, look)
        assert driver.execute_script("return document.documentElement.lang") == look[1]
        if look[1] == "tr":
            lines = {line.strip() for line in said.splitlines()}
            assert not lines & english, (path, lines & english)
        assert not re.search(r"%\(|\bNone\b|\bnan\b|Traceback|undefined", said), (path, look)
        assert [entry["message"] for entry in driver.get_log("browser")] == [], (path, look)


@pytest.mark.parametrize("language", ["tr", "en"])
def test_the_first_screen_of_a_phone_says_the_five_things(driver, state, language) -> None:
    """What is wrong, what is used now, today, this month, and whether all data is at the platform."""
    name, gateway = state
    if name not in WHOLE:
        pytest.skip("nothing is known of today, or a name takes the place of a number")
    width(driver, 390, 844)
    driver.get(f"http://127.0.0.1:{gateway.port}/?lang={language}")
    ends = driver.execute_script(FIVE)
    assert len(ends) == 5, ends
    assert max(ends) <= driver.execute_script("return document.querySelector('.views').offsetTop"), ends


WHOLE = ("broker_away", "dead_meter", "five_years", "forty_meters", "water_and_heat", "first_day")
FIVE = """
    const five = '.verdict h1, .lead .big, .figs .fig .two, .figs .row:first-child b';
    return [...document.querySelectorAll(five)].map((e) => Math.round(e.getBoundingClientRect().bottom));
"""
"""Where each of them ends, px from the top."""

PUSHED = """
    return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1)
      .map((e) => [e.getAttribute('aria-label'), e.scrollWidth, e.clientWidth]);
"""
"""Tables of which a part is beyond the edge of the screen."""
OUTSIDE = """
    const outside = [];
    for (const e of document.querySelectorAll('main :is(text, p, li, dd, h1, h2, b)')) {
      if (!e.getClientRects().length || e.closest('.scroll') || e.closest('.unseen')) continue;
      const box = e.getBoundingClientRect();
      if (box.width && (box.right > innerWidth + 1 || box.left < -1))
        outside.push([e.textContent.slice(0, 60), Math.round(box.left), Math.round(box.right)]);
    }
    return outside;
"""


def keep(driver, state: str, path: str, look: tuple[int, str, str]) -> None:
    """A picture of the whole page."""
    if not EVERY:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    tall = driver.execute_script("return document.documentElement.scrollHeight")
    width(driver, look[0], min(tall, 6000))
    named = re.sub(r"\W+", "-", path).strip("-") or "home"
    driver.save_screenshot(str(PICTURES / f"{state}-{named}-{'-'.join(map(str, look))}.png"))


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (tests/tools.sh, needs npm)")
def test_axe_finds_nothing_on_any_page(driver, state) -> None:
    name, gateway = state
    if name not in AXE_STATES:
        pytest.skip("every state is in make pages")
    for path, look in views(name):
        look_at(driver, gateway, path, look)
        assert against_wcag(driver) == [], (path, look)
