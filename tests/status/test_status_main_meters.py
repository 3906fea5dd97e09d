"""A building with several main meters: what no sub meter counts is told of each of them, and of what nobody
can know nothing.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import date
from math import isqrt

import pytest
from energy_building import ZONE, energy_history, facts
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import HistoryReader
from gateway.status.energy.building import energy_view
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import Period, month_of
from gateway.status.energy.shown import EnergyView
from gateway.status.words.language import Locale

METERS = (
    EnergyMeter("north", "Kuzey", class_="B"),
    EnergyMeter("south", "Güney", class_="C"),
    EnergyMeter("shop", "Büfe"),
    EnergyMeter("lamps", "Aydınlatma", "north"),
    EnergyMeter("heat", "Isı pompası", "north"),
    EnergyMeter("kitchen", "Yemekhane", "south"),
    EnergyMeter("roof", "Çatı", "south", generates="import"),
)
KW = {"north": 40.0, "south": 20.0, "shop": 5.0, "lamps": 12.0, "heat": 18.0, "kitchen": 9.0}
IMPORT = "active_energy_import"
OCTOBER = month_of(date(2026, 10, 1))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("mains")
    registers = {(name, "active_energy_import"): shape(kw, 0.2) for name, kw in KW.items()}
    registers["south", "active_energy_export"] = shape(2.0, 0.0, sun=True)
    registers["roof", "active_energy_import"] = shape(6.0, 0.0, sun=True)
    registers["roof", "active_energy_export"] = shape(0.0, 0.0)
    write_years(path, NOW, 70, registers)
    return path


def figures_of(directory, meters=METERS):
    reader = HistoryReader(directory)
    return reader, Figures(facts(meters=meters), reader, Calendar(ZONE), NOW)


async def get(directory, address: str, meters=METERS):
    building = Building(CALM)
    building.history = energy_history(directory, meters=meters)
    async with client(building) as http:
        return await http.get(address)


def test_each_main_meter_has_its_own_rest(directory) -> None:
    reader, figures = figures_of(directory)
    with closing(reader):
        took = {
            (meter, quantity): figures.sum_of(meter, quantity, OCTOBER.first, OCTOBER.last)
            for meter, quantity in figures.registers
        }
        rests = {rest.meter.id: rest for rest in figures.rests(OCTOBER)}
        used = sum(one.sum for one in figures.series_sums("used", OCTOBER.first, OCTOBER.last).values())
    drawn = {meter: wh for (meter, quantity), wh in took.items() if quantity == "active_energy_import"}
    assert set(rests) == {"north", "south"}, "the shop has no sub meters: all of it is its own"
    assert rests["north"].rest == drawn["north"] - drawn["lamps"] - drawn["heat"]
    south = drawn["south"] - took["south", "active_energy_export"] + drawn["roof"]
    assert rests["south"].rest == south - drawn["kitchen"]
    metered = sum(drawn[name] for name in ("lamps", "heat", "kitchen", "shop"))
    assert sum(rest.rest for rest in rests.values()) + metered == pytest.approx(used, rel=1e-3)
    assert rests["north"].share == pytest.approx(rests["north"].rest / used)
    assert not any(rest.over_counted for rest in rests.values())


async def test_page_and_programs_and_files_tell_each(directory) -> None:
    page = (await get(directory, "/energy?month=2026-10&lang=en")).text
    lines = re.findall('<span class="nm">(.*?)</span>', page.split('id="where"')[1].split("</section>")[0])
    names = [re.sub("<small>.*|<[^>]*>", "", line).strip() for line in lines]
    north, south = names.index("Kuzey"), names.index("Güney")
    assert names[north : north + 4] == ["Kuzey", "Isı pompası", "Aydınlatma", "Unmetered"]
    assert names[south : south + 3] == ["Güney", "Yemekhane", "Unmetered"]
    tree = (await get(directory, "/api/v1/tree?month=2026-10")).json()["unmetered"]
    assert [each["meter"] for each in tree["below"]] == ["north", "south"]
    assert tree["energy"] == sum(each["energy"] for each in tree["below"])
    assert tree["uncertainty"] == isqrt(sum(each["uncertainty"] ** 2 for each in tree["below"]))
    table = (await get(directory, "/api/v1/tree?month=2026-10&format=csv&lang=en")).text.splitlines()
    assert [line.split(",")[2] for line in table if line.startswith("Unmetered")] == ["north", "south"]
    report = Page((await get(directory, "/report/2026-10?lang=en")).text).text
    assert "Unmetered: Kuzey" in report
    assert "Unmetered: Güney" in report


@pytest.mark.parametrize("several", [True, False])
async def test_of_their_reactive_energy_nothing_is_said_and_why(directory, several) -> None:
    meters = METERS if several else (METERS[1], METERS[5], METERS[6])
    page = Page((await get(directory, "/reactive?lang=en", meters=meters)).text).text
    assert ("several main meters: each connection has its own limits" in page) == several
    assert ("gives no reactive energy" in page) != several, "the control: one main meter"


def test_a_plant_that_may_feed_in_below_either_leaves_the_rest_untold(directory) -> None:
    loose = (*METERS[:-1], replace(METERS[-1], parent=""))
    reader, figures = figures_of(directory, loose)
    with closing(reader):
        assert figures.rests(OCTOBER) == []
    one = tuple(meter for meter in loose if meter.id not in {"north", "lamps", "heat", "shop"})
    reader, figures = figures_of(directory, one)
    with closing(reader):
        assert [rest.meter.id for rest in figures.rests(OCTOBER)] == ["south"], "the control: one main meter"


def test_days_on_which_one_of_them_was_silent_are_in_no_rest(tmp_path) -> None:
    registers = {
        (name, "active_energy_import"): shape(KW[name], 0.2) for name in ("north", "lamps", "kitchen")
    }
    write_years(tmp_path, NOW, 70, registers)
    write_years(tmp_path, NOW, 45, {("south", "active_energy_import"): shape(20.0, 0.2)})  # from 7 October on
    reader, figures = figures_of(tmp_path, tuple(m for m in METERS if m.id not in {"shop", "roof", "heat"}))
    with closing(reader):
        rests = figures.rests(OCTOBER)
    assert [rest.left_out for rest in rests] == [6, 6]
    assert all(rest.rest > 0 and not rest.over_counted for rest in rests)
    assert rests[0].known < 0.9


# ---- at night, and at the peak


def view_of(directory, meters, period: Period = OCTOBER) -> EnergyView:
    reader, figures = figures_of(directory, meters)
    with closing(reader):
        return energy_view(figures, period, "", Locale("en", "Europe/Istanbul", NOW))


def night_of(view: EnergyView) -> list[str]:
    """Whose rows the table of the night has."""
    return [row[0] for row in view.night.rows] if view.night else []


def rose_most(view: EnergyView) -> str:
    """Whom the peak names."""
    (text,) = [text for name, _, text in view.facts if name == "Peak"]
    found = re.search("; ([^;]*) rose most", text)
    return found[1] if found else ""


def test_a_main_meter_is_a_part_of_what_runs_at_night_and_of_the_peak(tmp_path) -> None:
    """The shop is a cold store without sub meters: most of the building, above all at night."""
    kw = {"north": (6.0, 0.2), "lamps": (3.0, 0.2), "heat": (2.5, 0.2), "shop": (40.0, 0.5)}
    write_years(tmp_path, NOW, 60, {(name, IMPORT): shape(*each) for name, each in kw.items()})
    view = view_of(tmp_path, tuple(each for each in METERS if each.id in kw))
    assert "the largest part of it Büfe with" in view.night_title
    assert night_of(view) == ["Building", "Büfe", "Kuzey", "Aydınlatma", "Isı pompası"]
    whole, shop, north = (float(row[1]) for row in view.night.rows[:3])
    assert whole == pytest.approx(shop + north, abs=0.2)
    assert rose_most(view) == "Büfe"


@pytest.mark.parametrize(("heat", "named"), [(25.0, "Isı pompası"), (15.0, "Kuzey")])
def test_a_sub_meter_that_made_most_of_a_peak_is_named_and_not_its_main_meter(tmp_path, heat, named) -> None:
    kw = {"north": 40.0, "heat": heat, "shop": 5.0}
    write_years(tmp_path, NOW, 60, {(name, IMPORT): shape(each, 0.2) for name, each in kw.items()})
    assert rose_most(view_of(tmp_path, tuple(each for each in METERS if each.id in kw))) == named


def test_main_meters_without_sub_meters_have_their_night(directory) -> None:
    view = view_of(directory, METERS[:2])
    assert "the largest part of it Kuzey with" in view.night_title
    assert night_of(view) == ["Building", "Kuzey", "Güney"]
    view = view_of(directory, METERS[:1])
    assert view.night_title.endswith("kW run at night")
    assert night_of(view) == ["Building"]


def test_one_main_meter_is_the_building_and_no_part_of_it(directory) -> None:
    view = view_of(directory, (METERS[0], *METERS[3:5]))
    assert night_of(view) == ["Building", "Isı pompası", "Aydınlatma"]
    assert rose_most(view) == "Isı pompası"


def test_a_night_of_which_only_sub_meters_are_known_is_no_mean_of_the_building(tmp_path) -> None:
    write_years(tmp_path, NOW, 60, {("lamps", IMPORT): shape(12.0, 0.2)})
    write_years(tmp_path, NOW, 0, {("north", IMPORT): shape(40.0, 0.2)})  # since this morning
    today = date(2026, 11, 21)
    view = view_of(tmp_path, (METERS[0], METERS[3]), Period("day", today, today, "hour"))
    assert night_of(view) == ["Aydınlatma"]
    assert view.night_title.startswith("Of the meters Aydınlatma takes most at night: ")


# ---- more meters than can be looked through


def many(*more: tuple[str, str, float], panels: int = 10) -> dict[EnergyMeter, float]:
    """A main meter with so many panels, the largest first, and more meters: id, parent, kW."""
    kw = {EnergyMeter("north", "north"): 100.0}
    kw |= {EnergyMeter(f"n{each}", f"n{each}", "north"): 9.0 - each * 0.3 for each in range(panels)}
    return kw | {EnergyMeter(name, name, parent): power for name, parent, power in more}


def folded_of(path, kw: dict[EnergyMeter, float]) -> tuple[EnergyView, dict[str, float]]:
    """The view, and the kWh of each meter."""
    write_years(path, NOW, 60, {(each.id, IMPORT): shape(power, 0.2) for each, power in kw.items()})
    reader, figures = figures_of(path, tuple(kw))
    with closing(reader):
        its = {each.id: figures.sum_of(each.id, IMPORT, OCTOBER.first, OCTOBER.last) / 1000 for each in kw}
    return view_of(path, tuple(kw)), its


def lines(shares) -> list[tuple[str, int]]:
    return [(share.id or "rest", share.depth) for share in shares]


def test_folded_meters_are_summed_once_and_a_rest_goes_with_its_main_meter(tmp_path) -> None:
    small = (("south", "", 1.0), ("s0", "south", 0.5), ("t", "north", 2.0), ("t1", "t", 1.9))
    view, its = folded_of(tmp_path, many(*small))
    largest = [(f"n{each}", 2) for each in range(7)]
    assert lines(view.shares) == [("north", 1), *largest, ("rest", 2)], "the rest of north"
    folded = [("n7", 1), ("n8", 1), ("n9", 1), ("t", 1), ("t1", 2), ("south", 1), ("s0", 2), ("rest", 2)]
    assert lines(view.folded) == folded
    count, kwh = re.fullmatch(r"(\d+) more meters, ([\d,]+) kWh", view.folded_says).groups()
    assert int(count) == 7
    once = sum(its[name] for name in ("n7", "n8", "n9", "t", "south"))
    assert int(kwh.replace(",", "")) == pytest.approx(once, abs=1)


def test_what_stays_in_sight_stays_below_what_it_is_a_part_of(tmp_path) -> None:
    """Of the smallest meter the beginning of October is missing: it stays, and its panel with it."""
    kw = many(("t", "north", 2.0), ("t1", "t", 1.9), ("t2", "t", 0.1), panels=11)
    write_years(tmp_path, NOW, 45, {("t2", IMPORT): shape(0.1, 0.2)})
    _, its = folded_of(tmp_path, {each: power for each, power in kw.items() if each.id != "t2"})
    view = view_of(tmp_path, tuple(kw))
    assert lines(view.shares) == [*((f"n{each}", 1) for each in range(8)), ("t", 1), ("t2", 2), ("rest", 1)]
    assert lines(view.folded) == [("n8", 1), ("n9", 1), ("n10", 1), ("t1", 1)]
    once = sum(its[name] for name in ("n8", "n9", "n10", "t1"))
    assert int(re.search(r"([\d,]+) kWh", view.folded_says)[1].replace(",", "")) == pytest.approx(once, abs=1)


def test_a_tree_that_can_be_looked_through_is_not_folded(tmp_path) -> None:
    view, _its = folded_of(tmp_path, many(("t", "n0", 2.0)))
    assert not view.folded
    assert lines(view.shares)[:2] == [("n0", 1), ("t", 2)]
