"""Every picture of every page says what its parts are when one points at it, and has its table a tap away."""

import re
from datetime import date, timedelta

import pytest
from energy_building import energy_history, make_history
from status_building import CALM, NOW, Building
from test_status_page import client

from gateway.status.energy.charts import Bar, Numbers, bars
from gateway.status.energy.period import Period
from gateway.status.energy.shown import tick
from gateway.status.words.language import Locale

PAGES = (
    "/",
    "/energy?day=2026-11-20",
    "/energy?day=2026-11-20&by=quarter",
    "/energy?week=2026-11-16&by=hour",
    "/energy?month=2026-11",
    "/energy?month=2026-10&by=hour",
    "/energy?year=2026",
    "/energy?year=2026&by=day",
    "/energy?from=2025-01-01&to=2026-11-21",
    "/energy?month=2026-11&meter=heat",
    "/reactive",
    "/quality",
    "/report",
    "/report/2026-10",
)
FAR = {"/quality", "/report", "/report/2026-10"}
"""Their tables stand on the page itself, not behind a tap beside each picture."""
PICTURE = re.compile(r'<svg[^>]*role="img".*?</svg>\s*(?=<figcaption|</figure|<p|</div)', re.DOTALL)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("charts")
    make_history(path, NOW, 70)
    return path


def untold(html: str, *, far: bool) -> list[str]:
    """What is wrong with the pictures of a page."""
    wrong = []
    found = list(PICTURE.finditer(html))
    for place, each in enumerate(found):
        name = (re.search(r'aria-label="([^"]*)"', each.group()) or [""])[0]
        titles = re.findall(r"<title>([^<]*)</title>", each.group())
        if not titles or not all(title.strip() for title in titles):
            wrong.append(f"{name}: no part of it says what it is")
        until = found[place + 1].start() if place + 1 < len(found) and not far else len(html)
        behind = html[each.end() : until]
        table = re.search(r"<table" if far else r"<details>.*?<table.*?</details>", behind, re.DOTALL)
        if table is None:
            wrong.append(f"{name}: it has no table")
    return wrong


@pytest.mark.parametrize("page", PAGES)
async def test_every_picture_has_titles_and_its_table(directory, page) -> None:
    building = Building(CALM)
    building.history = energy_history(directory)
    async with client(building) as http:
        html = (await http.get(page)).text
    assert PICTURE.search(html), "there is a picture"
    assert untold(html, far=page in FAR) == []


async def test_a_picture_without_them_is_found_out(directory) -> None:
    building = Building(CALM)
    building.history = energy_history(directory)
    async with client(building) as http:
        html = (await http.get("/reactive")).text
    assert untold(re.sub(r"<title>[^<]*</title>", "", html), far=False)
    assert untold(html.replace("<table", "<div"), far=False)


async def test_both_limits_stand_in_one_picture_with_words(directory) -> None:
    building = Building(CALM)
    building.history = energy_history(directory)
    async with client(building) as http:
        html = (await http.get("/reactive?lang=en")).text
    (gauge, *_) = PICTURE.finditer(html)
    said = re.findall(r">([^<>]+)</t(?:ext|itle)>", gauge.group())
    for limit in ("limit 20%", "limit 15%"):
        assert limit in said, said
    for kind in ("inductive", "capacitive"):
        assert any(text.startswith(f"{kind}: ") and "heading for" in text for text in said)
    assert gauge.group().count('class="lim"') == 2
    assert html.index("Table: both limits") > gauge.end()


def labels_of(span: str, first: date, last: date) -> dict[str, list[str]]:
    """Of a picture of that range day by day: its labels by their class."""
    period = Period(span, first, last, "day")
    f = Locale("en", "Europe/Istanbul", NOW)
    days = [first + timedelta(number) for number in range(period.days)]
    columns = [Bar((("f3", 1.0, "said"),), label=tick(period, (day, 0), f)) for day in days]
    svg = bars(columns, height=200, says="", number=Numbers(f.number, "kWh"))
    found: dict[str, list[str]] = {"": [], "wide": []}
    below = r'<text(?: class="(wide)")? x="[^"]*" y="194.0" text-anchor="\w+">(\w[^<]*)<'
    for css, text in re.findall(below, svg):
        found[css].append(text)
    return found


def test_the_months_below_the_days_of_a_year_have_room_on_a_phone() -> None:
    """There they are 28 px apart, and the next began where May ended: every other one is for wide screens."""
    year = labels_of("year", date(2026, 1, 1), date(2026, 12, 31))
    assert year[""] == ["Jan", "Mar", "May", "Jul", "Sep", "Nov"]
    assert year["wide"] == ["Feb", "Apr", "Jun", "Aug", "Oct", "Dec"]
    half = labels_of("range", date(2026, 1, 1), date(2026, 6, 30))
    assert half == {"": ["Jan", "Feb", "Mar", "Apr", "May", "Jun"], "wide": []}
