"""A meter that is put in later takes nothing from what was measured before it; a plant that falls silent, or
of which nobody knows which register counts its yield, makes no past and no over-count.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date

import pytest
from energy_building import METERS, ZONE, energy_history, facts, make_history
from long_history import shape, write_years
from status_building import CALM, NOW, Building
from test_status_page import Page, client

from gateway.energy import Calendar
from gateway.history import BuildingMeters, History, HistoryReader
from gateway.status.energy.facts import EnergyMeter
from gateway.status.energy.figures import Figures
from gateway.status.energy.period import month_of

OCTOBER = month_of(date(2026, 10, 1))
ALONE = (EnergyMeter("main", "Ana sayaç"),)
LATER = {
    "a second main meter": EnergyMeter("cars", "Şarj"),
    "a plant": EnergyMeter("roof", "Çatı", "main", generates="import"),
}


def add_up(directory, meters: BuildingMeters) -> None:
    history = History(directory, Calendar(ZONE))
    history.sums.meters = meters
    while history.sum_up(500):
        pass
    history.close()


@pytest.fixture(params=LATER)
def site(request, tmp_path):
    """The meter that is put in on 10 November, and the file of the history."""
    write_years(tmp_path, NOW, 70, {("main", "active_energy_import"): shape(40.0, 0.2)})
    meter = LATER[request.param]
    later = {(meter.id, "active_energy_import"): shape(6.0, 0.0, sun=bool(meter.generates))}
    if meter.generates:
        later[meter.id, "active_energy_export"] = shape(0.0, 0.0)
    write_years(tmp_path, NOW, 11, later)
    return meter, tmp_path


@pytest.mark.parametrize("kept", [False, True], ids=["from quarter hours", "from kept sums"])
async def test_what_was_measured_before_a_meter_was_put_in_stays(site, kept) -> None:
    meter, directory = site
    if kept:
        plants = ((meter.id, meter.generates),) if meter.generates else ()
        add_up(directory, BuildingMeters(("main",) if plants else ("main", meter.id), plants))
    found = {}
    for name, meters in (("before", ALONE), ("after", (*ALONE, meter))):
        with closing(HistoryReader(directory)) as reader:
            figures = Figures(facts(meters=meters), reader, Calendar(ZONE), NOW)
            sums = figures.series_sums("used", OCTOBER.first, OCTOBER.last)
            found[name] = (
                sum(one.sum for one in sums.values()),
                figures.known_of(sums, OCTOBER.first, OCTOBER.last),
            )
            newest = figures.series_sums("used", date(2026, 11, 12), date(2026, 11, 12))
            found[f"{name} in November"] = sum(one.sum for one in newest.values())
    assert found["after"] == found["before"]
    assert found["after"][1].whole
    assert found["after in November"] > found["before in November"]
    building = Building(CALM)
    building.history = energy_history(directory, meters=(*ALONE, meter))
    async with client(building) as http:
        lines = (await http.get("/api/v1/report?year=2026")).json()["lines"]
        page = Page((await http.get("/energy?month=2026-10&lang=en")).text).text
    (october,) = [line for line in lines if line["from"] == "2026-10-01"]
    assert october["measured"] == october["known"] == october["expected"]
    assert "October 2026: nothing is known" not in page


async def test_a_plant_that_has_fallen_silent_stays_in_the_past(tmp_path) -> None:
    make_history(tmp_path, NOW, 60, gap=lambda meter, day: meter == "pv" and day > date(2026, 11, 14))
    meters = tuple(replace(each, generates="auto") if each.generates else each for each in METERS)
    with closing(HistoryReader(tmp_path)) as reader:
        figures = Figures(facts(meters=meters), reader, Calendar(ZONE), NOW)
        assert figures.rests(OCTOBER) == [], "which register counts its yield is not known: no over-count"
    # What the days before its silence told is in the file.
    history = History(tmp_path, Calendar(ZONE))
    history.sums.meters = BuildingMeters(("main",), (("pv", "import"),))
    while history.sum_up(500):
        pass
    history.close()
    with closing(HistoryReader(tmp_path)) as reader:
        figures = Figures(facts(meters=meters), reader, Calendar(ZONE), NOW)
        assert figures.direction(meters[-1]) == "import"
        assert figures.rests(OCTOBER)[0].rest > 0
        assert figures.generated(OCTOBER.first, OCTOBER.last)
