"""The eight questions of a facility manager: each is answered one tap from the first screen."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser

import pytest
from energy_building import energy_history, make_history
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.status.energy.bars import bars_of
from gateway.status.energy.period import Period
from gateway.status.energy.shown import tick
from gateway.status.words.language import Locale


@pytest.fixture(scope="module")
def building(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 62, gap=lambda meter, day: meter == "kitchen" and day == date(2026, 11, 17))
    building = Building(CALM)
    building.history = energy_history(path)
    return building


class Below(HTMLParser):
    """The text below the element with an id."""

    def __init__(self, html: str, name: str) -> None:
        super().__init__()
        self._name, self._inside, self.text = name, False, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._inside = self._inside or dict(attrs).get("id") == self._name

    def handle_data(self, data):
        if self._inside:
            self.text += f"{data} "


QUESTIONS = {
    "today, by parts of the tariff": (
        "/energy?day=2026-11-21",
        "",
        ["21 Kasım 2026 Cumartesi: 30", "puant 17–22", "benzer gün"],
    ),
    "yesterday": ("/energy?day=2026-11-20", "", ["20 Kasım 2026 Cuma:", "gündüz 06–17", "benzer gün"]),
    "this week": ("/energy?week=2026-11-21", "", ["16 Kas – 22 Kas 2026", "gece 22–06"]),
    "this month": ("/energy?month=2026-11", "", ["Kasım 2026: 15.", "Ekim 2026 dönemindeki aynı günlere"]),
    "this year": ("/energy?year=2026", "", ["2026: ", "puant 17–22"]),
    "which part of the building": (
        "/energy?month=2026-11",
        "where",
        ["Prizler panosu", "%42", "Ölçülmeyen", "±"],
    ),
    "the peak and who made it": (
        "/energy?month=2026-11",
        "peak",
        ["Tepe güç", "kW", "en çok artan: "],
    ),
    "a reactive charge": ("/reactive", "", ["Reaktif bedel geliyor", "endüktif", "%20"]),
    "the sun": ("/energy?day=2026-11-21", "sun", ["Güneş 17", "binada kullanıldı"]),
    "nights and holidays": ("/energy?month=2026-11", "night", ["Geceleri", "Sunucu odası", "kapalı günler"]),
    "what is missing": ("/quality", "", ["1 günün verisi tam değil", "Yemekhane"]),
    "the report": ("/report", "", ["Mart raporu", "TEP"]),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_each_question_is_answered_one_tap_from_the_first_screen(building, question) -> None:
    address, place, said = QUESTIONS[question]
    async with client(building) as http:
        home = Page((await http.get("/?lang=tr")).text)
        link = f"{address}{'&' if '?' in address else '?'}lang=tr" + (f"#{place}" if place else "")
        links = [attrs["href"] for tag, attrs in home.tags if tag == "a"]
        assert link in links
        answer = await http.get(link)
    assert answer.status_code == 200
    text = Below(answer.text, place).text if place else Page(answer.text).text
    words = " ".join(text.split())
    assert all(piece in words for piece in said), words[:1500]


@pytest.mark.parametrize("language", ["tr", "en"])
@pytest.mark.parametrize("asked", [True, False])
async def test_every_link_of_the_first_screen_leads_somewhere_and_keeps_the_language(
    building, language, asked
) -> None:
    query = f"?lang={language}" if asked else ""
    async with client(building, **{"accept-language": language}) as http:
        home = Page((await http.get(f"/{query}")).text)
        for link in {attrs["href"] for tag, attrs in home.tags if tag == "a"}:
            if link.startswith("#"):
                continue
            answer = await http.get(link)
            assert answer.status_code == 200, link
            if "hreflang" not in link and "lang=" not in link:
                assert f'<html lang="{language}">' in answer.text, link


async def test_the_night_names_what_runs_and_a_plant_is_no_load(building) -> None:
    async with client(building) as http:
        html = (await http.get("/energy?month=2026-11&lang=en")).text
        alone = (await http.get("/energy?month=2026-11&meter=server&lang=en")).text
    text = " ".join(Below(html, "night").text.split())
    table = text[: text.index("% of the energy goes")]
    assert table.index("Prizler panosu 8") < table.index("Sunucu odası 6") < table.index("Yemekhane")
    assert table.index("Building") < table.index("Prizler panosu 8"), "the whole stands before its parts"
    assert "Çatı güneş" not in table
    assert "On average 6.0 kW run at night" in " ".join(Below(alone, "night").text.split())


async def test_days_without_data_are_told_where_they_are_not_in_the_sum(tmp_path, building) -> None:
    """All meters were silent for three days; the same building without the gap is the control."""
    make_history(tmp_path, NOW, 40, gap=lambda _meter, day: date(2026, 11, 16) <= day <= date(2026, 11, 18))
    other = Building(CALM)
    other.history = energy_history(tmp_path)
    for told, house in (("3 günde veri eksik: toplamda yok.", other), ("", building)):
        async with client(house) as http:
            for period in ("month=2026-11", "year=2026", "week=2026-11-16", "from=2026-11-10&to=2026-11-20"):
                text = (await http.get(f"/energy?{period}&lang=tr")).text
                assert told in text
                assert bool(told) == ("veri eksik" in text), period


@pytest.mark.parametrize(
    ("first", "last", "step", "labels"),
    [
        ((2026, 1, 1), (2026, 12, 31), "month", "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara"),
        ((2024, 11, 1), (2026, 3, 31), "month", "2025 Nis Tem Eki 2026"),
        ((2022, 1, 1), (2026, 11, 21), "month", "2022 2023 2024 2025 2026"),
        ((2022, 1, 1), (2026, 11, 21), "day", "2022 2023 2024 2025 2026"),
        ((2026, 8, 20), (2026, 11, 2), "day", "Eyl Eki Kas"),
        ((2026, 11, 1), (2026, 11, 21), "day", "2 Pzt 9 Pzt 16 Pzt"),
    ],
)
def test_bars_of_long_ranges_have_few_labels(first, last, step, labels) -> None:
    period = Period("range", date(*first), date(*last), step)
    locale = Locale("tr", "Europe/Istanbul", NOW)
    assert " ".join(filter(None, (tick(period, key, locale) for key in bars_of(period)))) == labels


async def test_any_days_are_chosen_without_writing_an_address(building) -> None:
    """By a form that needs no script, keeps meter and language, and gives an address to pass on."""
    async with client(building) as http:
        page = Page((await http.get("/energy?month=2026-11&meter=heat&lang=en")).text)
        [form] = [attrs for tag, attrs in page.tags if tag == "form"]
        fields = {attrs["name"]: attrs for tag, attrs in page.tags if tag == "input"}
        assert form == {"action": "/energy"}
        assert fields["from"]["value"] == "2026-11-01"
        assert fields["to"]["value"] == fields["to"]["max"] == "2026-11-21"
        asked = {name: attrs["value"] for name, attrs in fields.items()} | {"from": "2026-11-03"}
        answer = await http.get("/energy", params=asked)
    text = Page(answer.text).text
    assert answer.status_code == 200
    assert '<html lang="en">' in answer.text
    assert "3 Nov – 21 Nov 2026: " in text
    assert "meter: Isı pompası" in text
