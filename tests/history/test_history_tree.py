"""Main against sub meters in the history: told when it has lasted, once, and not before."""

import json
from contextlib import closing

import pytest
from history_gateway import ISTANBUL, QUARTER, T0, Gateway

from gateway.energy.tree import TreeMeter
from gateway.history import BuildingMeters, HistoryReader

KINDS = {"over_count", "transformer_ratio", "negative_use"}
METERS = (TreeMeter("main"), TreeMeter("hvac", "main"), TreeMeter("light", "main"))


class Building(Gateway):
    """`hvac` counts `factor` times what flows from a day on."""

    def start(self) -> None:
        super().start()
        self.projection._tree._meters = METERS

    def run(self, days, factor, since=0) -> None:
        wh = {"main": 5_000_000, "hvac": 1_000_000, "light": 700_000}
        seed = 5
        for k in range(days * 96):
            self.uptime = k * QUARTER
            seed = seed * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            hvac, light = (4000 if k // 9 % 2 else 700) + seed % 100, 900 + (seed >> 9) % 60
            wh["light"] += light
            wh["main"] += hvac + light + 50
            wh["hvac"] += round(hvac * (factor if k >= since * 96 else 1))
            self.commit([(meter, {"active_energy_import": value / 1000}) for meter, value in wh.items()])
        self.drain()

    def told(self) -> list[tuple[str, str, int]]:
        found = [json.loads(key) for key in self.platform.findings]
        return [(check, meter, (t - T0) // (96 * QUARTER)) for check, meter, _, t in found if check != "gap"]


def test_a_sub_meter_that_counts_double_is_told_once(tmp_path) -> None:
    gateway = Building(tmp_path)
    gateway.run(16, 2.0, since=4)
    told = [each for each in gateway.told() if each[0] in KINDS]
    kinds = [(check, meter) for check, meter, _ in told]
    assert sorted(kinds) == [("over_count", "main"), ("transformer_ratio", "hvac")]
    days = {check: day for check, _, day in told}
    assert days["over_count"] == 5  # the third local day of it, which begins at 21:00 UTC of the one before
    assert 4 <= days["transformer_ratio"] <= 12
    gateway.save()
    gateway.kill()
    gateway.drain()
    assert [each for each in gateway.told() if each[0] in KINDS] == told


def test_what_lasts_is_kept_as_lasting_and_what_is_over_as_over(tmp_path) -> None:
    gateway = Building(tmp_path)
    gateway.run(16, 2.0, since=4)
    gateway.save()
    gateway.kill()
    with closing(HistoryReader(tmp_path)) as reader:
        kept = {(each.meter, each.finding.kind): each for each in reader.findings()}
    lasting = [kept["main", "over_count"], kept["hvac", "transformer_ratio"]]
    assert all(each.seen - each.finding.t > 5 * 96 * QUARTER for each in lasting)
    assert 1.95 < float(lasting[1].finding.facts["factor"]) < 2.05
    assert "spike" not in {kind for _, kind in kept} or kept["hvac", "spike"].seen < lasting[1].seen


def test_right_ratios_and_two_bad_days_are_left_alone(tmp_path) -> None:
    gateway = Building(tmp_path)
    gateway.run(14, 1.0)
    assert not {each[0] for each in gateway.told()} & KINDS
    assert ISTANBUL.place(T0)[0].day == 21


class ForgottenBuilding(Building):
    """From a day on something draws beside the sub meters; on single days some more."""

    def run(self, days, extra=0, since=0, *, single=(), factor=1) -> None:
        wh = {"main": 5_000_000, "hvac": 1_000_000, "light": 700_000}
        for k in range(days * 96):
            self.uptime = k * QUARTER
            day = k // 96
            hvac, light = (4000 if k // 9 % 2 else 700), 900
            if day >= since:
                hvac, light = hvac * factor, light * factor
            wh["light"] += light
            wh["hvac"] += hvac
            wh["main"] += hvac + light + 300 + (extra if day >= since or day in single else 0)
            self.commit([(meter, {"active_energy_import": value / 1000}) for meter, value in wh.items()])
        self.drain()


def loads(gateway: Building) -> list[tuple[str, str, int]]:
    return [each for each in gateway.told() if each[0] == "unmetered_load"]


def test_a_load_that_no_sub_meter_counts_is_told_on_its_third_day(tmp_path) -> None:
    gateway = ForgottenBuilding(tmp_path)
    gateway.run(30, 400, since=25)
    # The third local day begins at 21:00 UTC of the day before.
    assert loads(gateway) == [("unmetered_load", "main", 26)]
    gateway.save()
    with closing(HistoryReader(tmp_path)) as reader:
        (one,) = [each for each in reader.findings() if each.finding.kind == "unmetered_load"]
    amounts = {name: grains // 10**12 for name, grains in one.finding.amounts.items()}
    assert amounts["usual"] == pytest.approx(300 * 96, rel=0.02)
    assert amounts["rest"] == pytest.approx(700 * 96, rel=0.02)
    assert one.seen - one.finding.t >= 2 * 96 * QUARTER


@pytest.mark.parametrize(
    ("days", "more"),
    [
        (29, {"extra": 120, "since": 25}),  # less than half of the usual
        (29, {"extra": 400, "since": 99, "single": (25, 26, 28)}),  # two days in a row
        (19, {"extra": 400, "since": 15}),  # nobody knows yet what is usual
        (29, {"extra": 400, "since": 0}),  # that is what is usual
        (29, {"extra": -250, "since": 99, "single": range(15, 21)}),  # a week of holidays went before
        (29, {"extra": -2000, "since": 99, "single": range(25)}),  # an over-count was mended
        (29, {"extra": 400, "since": 25, "factor": 3}),  # the building is busier
    ],
    ids=["little", "two days", "too early", "always", "holidays", "mended", "busier"],
)
def test_what_is_no_new_load_is_left_alone(tmp_path, days, more) -> None:
    gateway = ForgottenBuilding(tmp_path)
    gateway.run(days, **more)
    assert loads(gateway) == []


def test_a_load_of_working_days_is_told_once(tmp_path) -> None:
    gateway = ForgottenBuilding(tmp_path)
    gateway.run(44, 400, since=99, single=(25, 26, 27, 30, 31, 32, 33, 34, 37, 38, 39, 40, 41))
    assert len(loads(gateway)) == 1
    gateway.save()
    with closing(HistoryReader(tmp_path)) as reader:
        (one,) = [each for each in reader.findings() if each.finding.kind == "unmetered_load"]
    assert one.seen - one.finding.t > 14 * 96 * QUARTER


def test_a_new_load_is_told_once_over_restarts(tmp_path) -> None:
    gateway = ForgottenBuilding(tmp_path)
    gateway.run(30, 400, since=25)
    gateway.save()
    gateway.kill()
    gateway.drain()
    assert len(loads(gateway)) == 1


class SunBuilding(Gateway):
    """A roof that by day gives more than is used: then the main meter draws nothing and feeds in."""

    meters = (TreeMeter("main"), TreeMeter("hvac", "main"), TreeMeter("light", "main"), TreeMeter("pv"))
    yields = "export"
    step = 1
    """Wh that a register moves at once."""

    def start(self) -> None:
        super().start()
        self.projection._tree._meters = self.meters
        roots = tuple(each.id for each in self.meters if not each.parent and each.id != "pv")
        self.history.sums.meters = BuildingMeters(roots, (("pv", self.yields),))

    def run(self, days, factor=1.0, sun_factor=1.0) -> None:
        drawn = dict.fromkeys((each.id for each in self.meters), 5_000_000)
        fed = dict.fromkeys(("main", "pv"), 2_000_000)
        seed = 5
        for k in range(days * 96):
            self.uptime = k * QUARTER
            seed = seed * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            hvac, light = (4000 if k // 9 % 2 else 700) + seed % 100, 900 + (seed >> 9) % 60
            sun = 6000 + (seed >> 5) % 2000 if 20 <= k % 96 < 60 else 0  # 05 to 15 h UTC
            net = hvac + light + 50 - sun
            gains = {
                "main": max(0, net),
                "hvac": round(hvac * factor),
                "light": light,
                "pv": 0 if sun else 2,
                "other": 9,
            }
            for meter in drawn:
                drawn[meter] += gains[meter]
            fed["main"] += max(0, -net)
            fed["pv"] += round(sun * sun_factor)
            values = {meter: {"active_energy_import": self.shown(wh)} for meter, wh in drawn.items()}
            for meter, wh in fed.items():
                values[meter]["active_energy_export"] = self.shown(wh)
            self.commit(list(values.items()))
            if k % 96 == 95:
                self.save()
                while self.history.sum_up(10):
                    pass
        self.drain()

    def shown(self, wh) -> float:
        return wh // self.step * self.step / 1000

    def told(self) -> list[tuple[str, str]]:
        found = [json.loads(key)[:2] for key in self.platform.findings]
        return sorted((check, meter) for check, meter in found if check in KINDS)


class AutoBuilding(SunBuilding):
    """Nobody has said which register of the roof's meter counts what it gives."""

    yields = "auto"


class BelowBuilding(SunBuilding):
    """The roof is said to feed in below the main meter."""

    meters = (*SunBuilding.meters[:-1], TreeMeter("pv", "main"))


class TwoBuildings(SunBuilding):
    """The roof feeds in below one of two main meters, nobody has said below which."""

    meters = (*SunBuilding.meters, TreeMeter("other"))


@pytest.mark.parametrize("building", [SunBuilding, AutoBuilding, BelowBuilding])
def test_what_the_sun_gives_is_no_over_count_and_hides_none(tmp_path, building) -> None:
    sound = building(tmp_path)
    sound.run(9)
    assert sound.told() == []
    (tmp_path / "other").mkdir()
    wrong = building(tmp_path / "other")
    wrong.run(9, 2.0)
    assert wrong.told() == [("over_count", "main"), ("transformer_ratio", "hvac")]


def test_a_plant_of_which_nobody_knows_where_it_feeds_in_judges_nobody(tmp_path) -> None:
    gateway = TwoBuildings(tmp_path)
    gateway.run(6)
    assert gateway.told() == []


class RoofAlone(SunBuilding):
    """Nothing is measured below the main meter."""

    meters = (TreeMeter("main"), TreeMeter("pv"))


class CoarseRoof(RoofAlone):
    """Registers in steps of 10 kWh, two of which move in an hour or none."""

    step = 10_000


@pytest.mark.parametrize("building", [RoofAlone, CoarseRoof])
def test_a_building_whose_meters_say_that_it_used_what_it_had_is_left_alone(tmp_path, building) -> None:
    gateway = building(tmp_path)
    gateway.run(7)
    assert gateway.told() == []


def test_a_roof_that_counts_half_makes_a_building_that_uses_less_than_nothing(tmp_path) -> None:
    gateway = RoofAlone(tmp_path)
    gateway.run(7, sun_factor=0.5)
    assert gateway.told() == [("negative_use", "main")]


class WaterBeside(RoofAlone):
    """A water meter stands at the top of the tree, before all others."""

    def start(self) -> None:
        super().start()
        self.history.sums.meters = BuildingMeters(("water", "main"), (("pv", self.yields),))


def test_a_water_meter_beside_the_main_meter_hides_nothing(tmp_path) -> None:
    gateway = WaterBeside(tmp_path)
    gateway.run(7, sun_factor=0.5)
    assert gateway.told() == [("negative_use", "main")]


class PlantOnly(SunBuilding):
    """No meter counts what comes from the grid; at night the roof's own draws a little."""

    meters = (TreeMeter("pv"), TreeMeter("main", "pv"))


def test_plants_without_a_main_meter_are_no_building_that_uses_less_than_nothing(tmp_path) -> None:
    gateway = PlantOnly(tmp_path)
    gateway.run(7)
    assert gateway.history.sums.meters.roots == ()
    assert "negative_use" not in {check for check, _ in gateway.told()}
