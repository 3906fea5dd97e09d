"""What an answer reads of the history: a range once, however many of its days are looked at one by one."""

from __future__ import annotations

import gc
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import pytest
from energy_building import METERS, ZONE, energy_history, facts, make_history
from status_building import CALM, NOW, Building
from test_status_page import client

from gateway.energy import Calendar
from gateway.history import HistoryReader
from gateway.status.energy.figures import Figures

LAST = date(2026, 11, 20)
FIRST = LAST - timedelta(27)
COLD = {date(2026, 1, 1) + timedelta(number): 8.0 for number in range(320)}


class CountedReader:
    """A history of which every look is counted, by name and register."""

    def __init__(self, reader: HistoryReader, looks: list[tuple[str, ...]]) -> None:
        self._reader, self._looks = reader, looks
        self.longest = 0

    def __getattr__(self, name: str):
        asked = getattr(self._reader, name)

        def counted(*what, **how):
            if name in {"days", "sums", "building_sums", "lost"}:
                self._looks.append((name, *map(str, what[:2])))
            if name == "days":
                self.longest = max(self.longest, (what[3] - what[2]).days + 1)
            return asked(*what, **how)

        return counted


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("history")
    make_history(path, NOW, 70)
    return path


@pytest.mark.parametrize(
    ("page", "more"),
    [
        ("/report/2026-10", {}),
        ("/report/2026-10", {"temperatures": COLD}),
        ("/report/2026", {"temperatures": COLD}),
        ("/energy?month=2026-10", {"open_slots": range(33, 70)}),
        ("/energy?month=2026-11&meter=heat", {"open_slots": range(33, 70)}),
    ],
    ids=["report", "report with degree days", "year with degree days", "odd hours", "odd hours of a meter"],
)
async def test_no_page_looks_a_day_at_a_time(directory, page, more) -> None:
    looks: list[tuple[str, ...]] = []
    history = energy_history(directory, **more)
    building = Building(CALM)
    building.history = type(history)(
        history.facts, lambda: CountedReader(history.open(), looks), bills=history.bills
    )
    async with client(building) as http:
        assert (await http.get(page)).status_code == 200
    most = max(map(looks.count, looks))
    # No sums are kept here: those of a year are made of a month of quarter hours at a time, for each series.
    assert 0 < most <= (60 if page == "/report/2026" else 16), max(
        (looks.count(look), look) for look in looks
    )


@pytest.mark.parametrize(
    "page", ["/", "/energy?year=2026", "/energy?month=2026-10", "/report/2026-10", "/reactive", "/system"]
)
async def test_nothing_of_a_page_waits_for_the_garbage_collector(directory, page) -> None:
    """Years of days would be held beside those of the next page."""
    building = Building(CALM)
    building.history = energy_history(directory)
    mark = "&" if "?" in page else "?"
    async with client(building) as http:
        # In another language first: templates and texts are loaded once, a page is made for each.
        assert (await http.get(f"{page}{mark}lang=en")).status_code == 200
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            assert (await http.get(f"{page}{mark}lang=tr")).status_code == 200
            gc.collect()
            left = {type(each) for each in gc.garbage if type(each).__module__.startswith("gateway.")}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not left


@pytest.mark.parametrize("what", ["days", "sums", "series"])
@pytest.mark.parametrize("meter", ["heat", ""])
def test_a_part_of_what_was_read_is_what_reading_it_gives(directory, what, meter) -> None:
    def read(figures: Figures, first: date, last: date) -> object:
        if what == "days":
            return figures.of(meter, first, last)
        return (
            figures.sums_of(meter, first, last)
            if what == "sums"
            else figures.series_sums("drawn", first, last)
        )

    with closing(HistoryReader(directory)) as reader:
        wide = Figures(facts(), reader, Calendar(ZONE), NOW)
        read(wide, FIRST, LAST)
        for first, last in ((FIRST, LAST), (FIRST + timedelta(3), FIRST + timedelta(9)), (LAST, LAST)):
            alone = Figures(facts(), reader, Calendar(ZONE), NOW)
            assert read(wide, first, last) == read(alone, first, last)
            assert read(wide, first, last)
        beyond = LAST + timedelta(1)
        assert read(wide, LAST, beyond) == read(Figures(facts(), reader, Calendar(ZONE), NOW), LAST, beyond)
        if what == "days" and meter:
            register = (meter, "active_energy_import")
            letters = wide.letters(*register, LAST, LAST)
            assert set(letters) == {LAST}
            assert len(letters[LAST]) == 96


def test_where_no_sums_of_the_building_are_kept_a_month_is_read_at_a_time(directory) -> None:
    """A meter was added at the top of the tree: until its days are summed up, quarter hours are read."""
    alone = tuple(replace(meter, parent="") for meter in METERS)
    with closing(HistoryReader(directory)) as reader:
        counted = CountedReader(reader, [])
        figures = Figures(facts(meters=alone), counted, Calendar(ZONE), NOW)
        begin = LAST - timedelta(65)
        sums = figures.series_sums("used", begin, LAST)
        assert 0 < counted.longest <= 31
        other = Figures(facts(meters=alone), reader, Calendar(ZONE), NOW)
        assert sums == other.added_up(other.series("used", begin, LAST))
        assert len(sums) == 66
