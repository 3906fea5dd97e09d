"""The lobby screen: what it says of a day, honestly, and that it fits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from energy_building import energy_history, facts, make_history
from long_history import shape, write_years
from page_browser import AXE, Gateway, against_wcag, chromium, until, width
from status_building import CALM, METERS, NOW, Building, electric, lost, meter, value
from test_status_page import Page, client

from gateway.errors import HistoryError
from gateway.status.energy.facts import EnergyHistory, EnergyMeter
from gateway.status.screen.view import TURN
from gateway.status.snapshot import ClockView

NOON = NOW - 26_400_000 - 900_000
"""Saturday 21 November 2026, 11:50 in Istanbul."""
SIZES = ((1920, 1080), (1080, 1920), (1280, 720), (1024, 768), (3840, 2160))


def on_screen(**more):
    """The town hall with its plant, at noon."""
    meters = (METERS[0], meter("pv", "Güneş", 1, electric(12.0, 310.2), bus="plant"))
    return replace(CALM, **{"screen": True, "taken": NOON, "meters": meters, **more})


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOON, 60)
    return path


@pytest.fixture
def building(directory):
    building = Building(on_screen())
    building.history = energy_history(directory)
    return building


async def screen(building: Building, path: str = "/screen?lang=en") -> Page:
    async with client(building) as http:
        response = await http.get(path)
    assert response.status_code == 200
    return Page(response.text)


# ---- what it says


def water(**more):
    return meter("water", "Su sayacı", 0, (value("volume", 1842.317),), bus="pins", driver="pulse", **more)


async def test_a_water_meter_beside_the_main_meter_is_no_silent_one(building, directory) -> None:
    building.now = on_screen(meters=(*building.now.meters, water()))
    beside = (*facts().meters, EnergyMeter("water", "Su sayacı"))
    building.history = energy_history(directory, meters=beside)
    page = await screen(building)
    assert "Now 96 kW" in page.text
    assert "Su sayacı" not in page.text


async def test_where_no_meter_counts_electricity_none_is_promised(directory, tmp_path) -> None:
    building = Building(on_screen(meters=(water(),)))
    building.history = energy_history(tmp_path, meters=(EnergyMeter("water", "Su sayacı"),))
    write_years(tmp_path, NOON, 3, {("water", "volume"): shape(2.0, 0.2)})
    page = await screen(building)
    assert "Nobody measures the electricity of our building here." in page.text
    assert "silent" not in page.text
    assert "quarter hour" not in page.text


async def test_a_meter_that_tells_no_power_is_not_called_silent(building) -> None:
    energy = tuple(each for each in METERS[0].values if "energy" in each.quantity)
    building.now = on_screen(meters=(replace(METERS[0], values=energy), building.now.meters[1]))
    page = await screen(building)
    assert "Now" not in page.text
    assert "silent" not in page.text
    assert re.search(r"Today \d+ kWh", page.text)


async def test_what_is_usual_of_a_small_building_has_its_decimals(tmp_path) -> None:
    write_years(tmp_path, NOON, 60, {("main", "active_energy_import"): shape(2.6, 0.2)})
    building = Building(on_screen(meters=(METERS[0],)))
    building.history = energy_history(tmp_path, meters=(EnergyMeter("main", "Ana sayaç"),))
    page = await screen(building)
    assert re.search(r"usual at this hour: \d\.\d(\S+\d\.\d)?\b", page.text), page.text


async def test_now_today_the_sun_and_what_it_compares_with(building) -> None:
    page = await screen(building)
    assert "Now 96 kW" in page.text  # 84.2 drawn and 12.0 of the plant
    assert re.search(r"Today \d+ kWh usual until 11:45: \d+", page.text), page.text
    assert re.search(r"Sun \d+% of what we used today", page.text)
    assert re.search(r"CO₂ \d+ kg by what we drew today; the sun saved \d+ kg", page.text)
    glasses, lamps = re.search(
        r"As much as ([\d,]+) glasses .* As much as ([\d,]+) lamps", page.text
    ).groups()
    used = int(re.search(r"Today (\d+) kWh", page.text)[1])
    assert abs(int(glasses.replace(",", "")) / (used / 0.00988) - 1) < 0.06
    assert abs(int(lamps.replace(",", "")) / (used / 0.24) - 1) < 0.06


async def test_nobody_can_do_anything_with_it_and_it_goes_on_by_itself(building) -> None:
    page = await screen(building, "/screen")
    tags = [tag for tag, _ in page.tags]
    assert not {"a", "button", "input", "details", "form", "select"} & {*tags}
    assert ("meta", {"http-equiv": "refresh", "content": str(TURN // 1000)}) in page.tags


async def test_turkish_and_english_take_turns_unless_one_is_asked_for(building) -> None:
    said = []
    for turn in range(4):
        building.now = replace(building.now, booted=turn * TURN + 5)
        page = await screen(building, "/screen")
        said.append(dict(page.tags)["html"]["lang"])
        assert (dict(page.tags)["html"]["lang"] == "tr") == ("Şimdi" in page.text)
    assert said == ["tr", "en", "tr", "en"]
    for turn in range(2):
        building.now = replace(building.now, booted=turn * TURN + 5)
        assert "Şimdi" in (await screen(building, "/screen?lang=tr")).text


async def test_no_place_shows_the_same_for_long(building) -> None:
    seen = set()
    for minute in range(0, 60, 2):
        building.now = replace(building.now, booted=minute * 60_000)
        page = await screen(building)
        seen |= {next(at["class"] for tag, at in page.tags if "screen" in (at.get("class") or ""))}
    assert len(seen) == 16


async def test_dark_at_night_and_light_by_day(building) -> None:
    for hours, look in ((0, "light"), (12, "dark"), (16, "dark"), (20, "light")):
        building.now = replace(building.now, taken=NOON + hours * 3_600_000)
        page = await screen(building)
        assert any(look in (at.get("class") or "").split() for _, at in page.tags), hours


async def test_the_sun_is_praised_when_it_gives_most(building) -> None:
    building.now = on_screen(
        meters=(
            replace(METERS[0], values=electric(3.0, 100.0)),
            meter("pv", "Güneş", 1, electric(12.0, 310.2)),
        )
    )
    assert "Right now the sun gives more than half" in (await screen(building)).text
    building.now = on_screen(
        meters=(
            replace(METERS[0], values=electric(-3.0, 100.0)),
            meter("pv", "Güneş", 1, electric(12.0, 310.2)),
        )
    )
    page = await screen(building)
    assert "Right now the sun gives all the electricity that we use." in page.text
    assert "Now 9.0 kW" in page.text  # 12 given, 3 of them fed to the grid


# ---- what is not known


@pytest.mark.parametrize("silent", [0, 1])
async def test_a_silent_meter_leaves_no_number_of_now(building, silent) -> None:
    meters = list(building.now.meters)
    meters[silent] = lost(meters[silent], NOON - 600_000, 600.0)
    building.now = on_screen(meters=tuple(meters))
    page = await screen(building)
    assert "Now" not in page.text
    assert f"{meters[silent].label} has been silent for 10 min." in page.text
    assert "At the moment we cannot see what our building uses." in page.text
    assert "Today" in page.text


async def test_a_clock_that_nobody_vouches_for_has_no_today(building) -> None:
    building.now = on_screen(clock=ClockView(synced=False), taken=1_000_000)
    page = await screen(building)
    assert "Now 96 kW" in page.text
    assert "The clock is not set yet" in page.text
    assert "Today" not in page.text
    assert "1970" not in page.text


async def test_hours_that_are_missing_are_told(tmp_path) -> None:
    """The history ends at nine, the clock says noon."""
    make_history(tmp_path, NOON - 3 * 3_600_000, 60)
    building = Building(on_screen())
    building.history = energy_history(tmp_path)
    assert re.search(r"Today \d+ kWh at least: 3\.0 h are not known", (await screen(building)).text)


async def test_a_plant_without_a_known_direction_gives_no_number_of_now(directory) -> None:
    building = Building(on_screen())
    meters = [replace(each, generates="auto") if each.generates else each for each in facts().meters]
    building.history = EnergyHistory(facts(meters=tuple(meters)), _no_history)
    assert "Now" not in (await screen(building)).text


async def test_before_there_is_a_history_and_without_one() -> None:
    building = Building(on_screen())
    assert "Soon you will see here" in (await screen(building)).text
    building.history = EnergyHistory(facts(), _no_history, 0.4)
    assert "The past is being prepared: 40%" in (await screen(building)).text


def _no_history():
    raise HistoryError("there is none", hint="wait")


async def test_it_is_not_there_unless_it_is_switched_on(building) -> None:
    building.now = on_screen(screen=False)
    async with client(building) as http:
        for path in ("/screen", "/live/screen"):
            response = await http.get(path, headers={"accept-language": "en"})
            assert response.status_code == 404
            assert "The lobby screen is not switched on." in response.text
            told = re.sub("</?code>", "`", response.text)
            assert "write `screen: true` under `status`" in told, "for people, and for programs"
        turkish = await http.get("/screen", headers={"accept-language": "tr"})
    assert "Giriş ekranı açık değil." in turkish.text
    assert "<code>status</code> altına <code>screen: true</code> yazın" in turkish.text


# ---- in a browser


@pytest.fixture(scope="module")
def gateway(directory):
    gateway = Gateway()
    gateway.building.history = energy_history(directory)
    gateway.building.now = on_screen()
    gateway.start()
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


BAD_DAY = {
    "meters": (
        lost(replace(METERS[0], label="Ana dağıtım panosu giriş sayacı, bodrum kat, trafo odası"), NOON, 9e5),
    ),
    "name": "Konak Belediyesi Kültür Merkezi ve Yüzme Havuzu Ek Hizmet Binası",
}


@pytest.mark.parametrize(
    "more", [{}, BAD_DAY, {"clock": ClockView(synced=False)}], ids=["good", "bad", "clock"]
)
def test_everything_fits_and_can_be_read_from_afar(gateway, browser, more) -> None:
    gateway.show(on_screen(**more))
    for pixels, height in SIZES:
        width(browser, pixels, height)
        for language in ("tr", "en"):
            browser.get(f"http://127.0.0.1:{gateway.port}/screen?lang={language}")
            until(
                lambda: browser.execute_script("return document.querySelector('.screen h1') !== null"), "it"
            )
            beyond, small = browser.execute_script(
                """
                const beyond = [], sizes = [];
                for (const e of document.querySelectorAll('.screen p, .screen h1, .screen h2, .screen svg')) {
                  const box = e.getBoundingClientRect();
                  if (!box.width) continue;
                  const range = document.createRange();
                  range.selectNodeContents(e);
                  const inside = e.tagName === 'svg' ? box : range.getBoundingClientRect();
                  if (inside.left < 0 || inside.top < 0 || inside.right > innerWidth + 1
                      || inside.bottom > innerHeight + 1) beyond.push([e.textContent, inside.toJSON()]);
                  if (e.textContent.trim() && e.tagName !== 'svg') {
                    sizes.push(parseFloat(getComputedStyle(e).fontSize));
                  }
                }
                return [beyond, Math.min(...sizes) / Math.min(innerWidth, innerHeight)];
                """
            )
            assert beyond == [], (pixels, height, language)
            # A 43 inch panel is 54 cm high: letters of more than 12 mm, 9 minutes of arc at five metres.
            assert small > (0.035 if pixels * 9 >= height * 16 else 0.027), (pixels, height)


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (tests/tools.sh, needs npm)")
@pytest.mark.parametrize("hours", [0, 12], ids=["light", "dark"])
def test_axe_finds_nothing_on_it(gateway, browser, hours) -> None:
    gateway.show(on_screen(taken=NOON + hours * 3_600_000))
    for pixels, height in SIZES[:2]:
        width(browser, pixels, height)
        for language in ("tr", "en"):
            browser.get(f"http://127.0.0.1:{gateway.port}/screen?lang={language}")
            assert against_wcag(browser) == [], (pixels, language)


def test_it_goes_on_without_being_loaded_again(gateway, browser) -> None:
    gateway.show(on_screen())
    width(browser, 1920, 1080)
    browser.get(f"http://127.0.0.1:{gateway.port}/screen?lang=en")
    browser.execute_script("window.same = true")
    gateway.show(
        meters=(replace(METERS[0], values=electric(50.0, 1.0)), meter("pv", "Güneş", 1, electric(1.0, 2.0)))
    )
    until(lambda: "51 kW" in browser.execute_script("return document.body.innerText"), "the new power")
    assert browser.execute_script("return window.same")
