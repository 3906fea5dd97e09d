"""Main against sub meters in the history: told when it has lasted, once, and not before."""

import json

from history_gateway import ISTANBUL, QUARTER, T0, Gateway

from gateway.energy.tree import TreeMeter

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
    told = [each for each in gateway.told() if each[0] in {"over_count", "transformer_ratio"}]
    kinds = [(check, meter) for check, meter, _ in told]
    assert sorted(kinds) == [("over_count", "main"), ("transformer_ratio", "hvac")]
    days = {check: day for check, _, day in told}
    assert days["over_count"] == 5  # the third local day of it, which begins at 21:00 UTC of the one before
    assert 4 <= days["transformer_ratio"] <= 12
    gateway.save()
    gateway.kill()
    gateway.drain()
    assert [each for each in gateway.told() if each[0] in {"over_count", "transformer_ratio"}] == told


def test_right_ratios_and_two_bad_days_are_left_alone(tmp_path) -> None:
    gateway = Building(tmp_path)
    gateway.run(14, 1.0)
    assert not {each[0] for each in gateway.told()} & {"over_count", "transformer_ratio"}
    assert ISTANBUL.place(T0)[0].day == 21
