"""A phase that gives while others draw: a reversed transformer, or a plant behind the meter."""

import json

import pytest

from gateway.energy import BASE, Context, MeterChecks
from gateway.energy.checks.meter import PERSIST
from gateway.energy.checks.meters import RECENT
from gateway.energy.tree import TreeMeter

T0 = 1_795_219_200_000
MINUTE = 60_000
TREE = (TreeMeter("main"), TreeMeter("floor", "main"), TreeMeter("sun", "main", is_plant=True))


def power(l1: float, l2: float, l3: float) -> dict[str, float]:
    """What a meter says of three phases (kW) at 230 V and a power factor of 0.98."""
    names = ("l1", "l2", "l3")
    phases = dict(zip(names, (l1, l2, l3), strict=True))
    values = {"active_power": l1 + l2 + l3}
    for name, kw in phases.items():
        values |= {f"active_power_{name}": kw, f"voltage_{name}n": 230.0}
        values[f"current_{name}"] = abs(kw) / 0.98 / 0.23
    return values


L2_GIVES = power(1.2, -1.3, 1.0)


class Site:
    """Meters behind transformers of 60 A, read once a minute."""

    def __init__(self, tree=TREE) -> None:
        self.tree, self.t = tree, T0
        self.checks = self.fresh()

    def fresh(self) -> MeterChecks:
        return MeterChecks(lambda _: Context(BASE["kWh"], ct_primary=60), self.tree)

    def run(self, count=2 * PERSIST, **values) -> list[str]:
        """The phases that are told, as `meter phase`."""
        told = []
        for _ in range(count):
            for meter, said in values.items():
                found = self.checks.take(meter, self.t, said)
                told += [f"{meter} {each.facts['what']}" for each in found if each.kind == "wiring"]
            self.t += MINUTE
        return told

    def restart(self) -> None:
        kept = json.loads(json.dumps(self.checks.state()))
        self.checks = self.fresh()
        self.checks.restore(kept)


def test_near_balance_a_phase_may_give() -> None:
    site = Site()
    assert site.run(sun=power(4.0, 4.0, 4.0), main=L2_GIVES) == []
    assert site.checks.lasting("main") == []


def test_a_single_phase_plant_turns_its_phase_for_good() -> None:
    assert Site().run(count=600, sun={"active_power": 3.0}, main=L2_GIVES) == []


@pytest.mark.parametrize("gives", [0.0, 0.02, -0.02, 0.3])
def test_at_night_a_phase_that_gives_is_a_reversed_transformer(gives) -> None:
    """Inverters draw some watts, and less than half of what makes a phase worth judging turns none."""
    assert Site().run(sun={"active_power": gives}, main=L2_GIVES) == ["main l2"]


@pytest.mark.parametrize("sign", [1, -1])
def test_whichever_sign_the_plants_meter_gives_its_power(sign) -> None:
    assert Site().run(sun={"active_power": sign * 2.0}, main=L2_GIVES) == []


def test_a_meter_without_a_plant_behind_it_is_judged_by_day() -> None:
    site = Site()
    assert site.run(sun={"active_power": 12.0}, floor=L2_GIVES) == ["floor l2"]


def test_what_was_told_at_night_goes_on_by_day_and_ends_when_it_is_right() -> None:
    site = Site()
    assert site.run(sun={"active_power": 0.0}, main=L2_GIVES) == ["main l2"]
    assert site.run(sun={"active_power": 12.0}, main=power(1.2, 1.1, 1.0)) == []
    assert site.checks.lasting("main") == ["wiring"]
    site.run(sun={"active_power": 0.0}, main=power(1.2, 1.3, 1.0))
    assert site.checks.lasting("main") == []


def test_what_nobody_knows_of_the_plant_is_no_night() -> None:
    site = Site()
    assert site.run(main=L2_GIVES) == []
    assert site.run(count=PERSIST - 1, sun={"active_power": 0.0}, main=L2_GIVES) == []
    # Its meter is not read any more.
    assert site.run(count=RECENT // MINUTE, main=L2_GIVES) == ["main l2"]
    site.checks.tell_again()
    assert site.run(count=60, main=L2_GIVES) == []


def test_a_restart_keeps_what_the_plants_give() -> None:
    site = Site()
    assert site.run(count=PERSIST - 1, sun={"active_power": 0.0}, main=L2_GIVES) == []
    site.restart()
    assert site.run(count=1, main=L2_GIVES) == ["main l2"]


@pytest.mark.parametrize(
    ("tree", "judged"),
    [
        ((TreeMeter("main"), TreeMeter("sun", is_plant=True)), []),  # beside the tree
        ((TreeMeter("main"), TreeMeter("hut", "main"), TreeMeter("sun", "hut", is_plant=True)), []),
        ((TreeMeter("main"), TreeMeter("sun", "gone", is_plant=True)), []),  # its parent is switched off
        ((TreeMeter("main"), TreeMeter("other"), TreeMeter("sun", "other", is_plant=True)), ["main l2"]),
        ((TreeMeter("main"), TreeMeter("sun")), ["main l2"]),
    ],
)
def test_where_in_the_tree_the_plant_is(tree, judged) -> None:
    assert Site(tree).run(sun={"active_power": 9.0}, main=L2_GIVES) == judged


def test_several_plants_are_judged_by_what_they_give_together() -> None:
    tree = (*TREE, TreeMeter("roof", "main", is_plant=True))
    site = Site(tree)
    assert site.run(sun={"active_power": 0.0}, roof={"active_power": 5.0}, main=L2_GIVES) == []
    assert site.run(sun={"active_power": 0.0}, roof={"active_power": 0.0}, main=L2_GIVES) == ["main l2"]
