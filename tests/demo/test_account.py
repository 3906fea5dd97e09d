"""The judge of the self-check must see every kind of loss, doubling and lie that it is there to see."""

import copy
import re

import pytest

from gateway.catalogue import load_driver
from gateway.config import parse_config
from gateway.demo.show.account import judge, resolutions
from gateway.demo.show.console import status_line, table
from gateway.demo.show.polls import Break, Received
from gateway.demo.show.self_check import rows
from gateway.demo.show.site import (
    BRISK,
    METERS,
    free_place,
    gateway_config,
    simulator_spec,
    stamp_drivers,
    write_analyser,
)
from gateway.demo.show.supervisor import SiteCounts

EPOCH = "00000000000000aa"


def world():
    """Ten polls of one meter, one a second, two reads each; the fourth reply is spoilt; batch n holds poll
    n.
    """
    serves, readings = [], []
    for n in range(1, 11):
        t = 10_000 + 1000 * n
        fault = "late" if n == 4 else ""
        serves.append(
            {
                "meter": "main",
                "t": t,
                "ordinal": n,
                "values": {"active_power": 1.25 * n, "pulse_count": float(n)},
                "fault": fault,
            }
        )
        if fault:
            readings.append(Received("main", t + 600, (EPOCH, n), {}, {}, "timeout"))
            continue
        serves.append(
            {
                "meter": "main",
                "t": t + 100,
                "ordinal": None,
                "values": {"frequency": 50 + n / 1000},
                "fault": "",
            }
        )
        values = {
            "active_power": round(1.25 * n, 2),
            "pulse_count": float(n),
            "frequency": round(50 + n / 1000, 3),
        }
        readings.append(Received("main", t + 50, (EPOCH, n), values, {}))
    committed = [reading.batch for reading in readings]
    return {
        "serves": serves,
        "committed": committed,
        "stored": dict.fromkeys(committed, 1),
        "readings": readings,
    }


def judged(world, breaks=()):
    return judge(**world, breaks=breaks, slot=1.0, tolerance=lambda *_: 0.006)


def replaced(world, n, **changes):
    old = world["readings"][n - 1]
    fields = {
        name: getattr(old, name) for name in ("meter", "uptime", "batch", "values", "absent", "missing")
    }
    world["readings"][n - 1] = Received(**{**fields, **changes})


def test_a_sound_world_is_good():
    account = judged(world())
    assert account.good, account.problems
    assert (account.committed, account.stored, account.served, account.arrived, account.spoilt) == (
        10,
        10,
        10,
        9,
        1,
    )
    assert (account.values, account.lost, account.wrong, account.twice) == (27, 0, 0, 0)
    assert account.faults == {"late": 1}


def test_the_gateway_itself_is_a_meter_that_nobody_simulates():
    w = world()
    w["readings"].append(Received("gateway", 15_000, (EPOCH, 5), {"memory_free": 212.0}, {}))
    w["stored"][EPOCH, 5] = 2
    account = judged(w)
    assert account.good, account.problems
    w["readings"][-1] = Received("nobody", 15_000, (EPOCH, 5), {"memory_free": 212.0}, {})
    assert not judged(w).good


def lose_a_batch(w):
    del w["stored"][EPOCH, 7]
    w["readings"] = [reading for reading in w["readings"] if reading.batch != (EPOCH, 7)]


def lose_a_reading_with_its_batch_from_both(w):
    lose_a_batch(w)
    w["committed"].remove((EPOCH, 7))


def invent_a_batch(w):
    w["stored"][EPOCH, 99] = 0


def store_a_reading_twice(w):
    w["readings"].append(w["readings"][2])


def deliver_a_poll_in_two_batches(w):
    w["committed"].append((EPOCH, 11))
    w["stored"][EPOCH, 11] = 1
    w["readings"].append(Received("main", w["readings"][2].uptime, (EPOCH, 11), w["readings"][2].values, {}))


def alter_a_value(w):
    replaced(w, 6, values={**w["readings"][5].values, "active_power": 7.52})


def give_the_value_of_the_poll_before(w):
    replaced(w, 6, values={**w["readings"][5].values, "frequency": 50.005 + 0.02})


def take_the_late_answer_for_a_good_one(w):
    replaced(w, 4, missing="", values={"active_power": 5.0, "pulse_count": 4.0})


def give_an_ordinal_that_nobody_served(w):
    replaced(w, 8, values={**w["readings"][7].values, "pulse_count": 77.0})


def give_a_quantity_that_nobody_served(w):
    replaced(w, 8, values={**w["readings"][7].values, "voltage_l1n": 230.0})


DAMAGE = {
    lose_a_batch: "1 committed batches are not at the platform",
    lose_a_reading_with_its_batch_from_both: "1 readings of main were served and are nowhere",
    invent_a_batch: "1 batches at the platform were never committed",
    store_a_reading_twice: "twice",
    deliver_a_poll_in_two_batches: "1 readings of main are at the platform twice",
    alter_a_value: "active_power is 7.52, served was [7.5]",
    give_the_value_of_the_poll_before: "frequency is 50.025",
    take_the_late_answer_for_a_good_one: "1 spoilt replies of main were taken for good ones",
    give_an_ordinal_that_nobody_served: "pulse_count is 77.0",
    give_a_quantity_that_nobody_served: "voltage_l1n is 230.0, served was nothing",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damage_is_seen_and_named(damage):
    hurt = copy.deepcopy(world())
    damage(hurt)
    account = judged(hurt)
    assert not account.good
    assert DAMAGE[damage] in "\n".join(account.problems)
    assert "This is not good" in "\n".join(table(account))


def test_the_open_slot_of_a_kill_is_excused_and_nothing_before_it():
    hurt = world()
    lose_a_reading_with_its_batch_from_both(hurt)
    served = 17_000
    assert judged(hurt, [Break(served + 900, served + 950)]).open_slot == 1
    assert judged(hurt, [Break(served + 900, served + 950)]).good
    assert judged(hurt, [Break(served + 1800, served + 1850)]).lost == 1
    assert judged(hurt, [Break(served - 500, served - 100)]).lost == 1


def test_a_gateway_that_says_that_it_got_no_answer_has_lost_nothing_but_excuses_one_poll_only():
    hurt = world()
    replaced(hurt, 7, values={}, missing="timeout")
    account = judged(hurt)
    assert account.good
    assert account.declared == 1
    replaced(
        hurt,
        8,
        values={name: value for name, value in hurt["readings"][7].values.items() if name != "pulse_count"},
    )
    account = judged(hurt)
    assert (account.declared, account.lost) == (1, 1)


def test_the_values_of_a_reading_must_be_of_its_own_poll():
    hurt = world()
    replaced(hurt, 6, values={**hurt["readings"][5].values, "active_power": 6.25})  # poll 5's
    assert judged(hurt).wrong == 1


def test_the_table_names_every_count():
    lines = table(judged(world()))
    assert len(lines) == len(rows(judged(world()))) + 2
    assert lines[-1].startswith("Good")


def test_rounding_is_forgiven_as_far_as_the_register_goes():
    tolerance = resolutions({"ev": load_driver("abb-b23"), "main": load_driver("eastron-sdm630")})
    by_name = {row.name: row for row in load_driver("abb-b23").rows}
    assert tolerance("ev", "active_energy_import", 1000.0) >= by_name["active_energy_import"].factor / 2
    assert tolerance("main", "active_power", 10.0) < 0.0006
    assert tolerance("main", "active_power", 10.0) >= 0.0005
    of_a_variant = resolutions({"water": load_driver("siemens-mag6000")})
    assert 0.0005 <= of_a_variant("water", "volume", 1000.0) < 0.002
    assert tolerance("main", "no_such_quantity", 1.0) == 0.0


# --- the site
# -------------------------------------------------------------------------------------------------------


def test_the_demo_configuration_is_one_that_the_gateway_accepts(tmp_path):
    text = gateway_config(
        tmp_path,
        {"plant": ("127.0.0.1", 1502), "roof": ("127.0.0.1", 1503)},
        broker=1883,
        listen="127.0.0.1:8080",
        pace=BRISK,
    )
    config = parse_config(text)
    assert [meter.id for meter in config.meters] == [meter.id for meter in METERS]
    assert config.gateway.commit_interval == 1.0
    assert {meter.parent for meter in config.meters} == {None, "main"}
    assert [meter.id for meter in config.meters if meter.parent is None] == ["main", "water"]
    quiet = gateway_config(
        tmp_path, {"plant": ("h", 1), "roof": ("h", 2)}, broker=1, listen="h:1", meters_on=False
    )
    assert not any(meter.enabled for meter in parse_config(quiet).meters)


def test_every_demo_driver_takes_an_ordinal_in_a_place_that_was_free(tmp_path):
    stamps = stamp_drivers(tmp_path)
    assert stamps.keys() == {meter.driver for meter in METERS}
    write_analyser(tmp_path / "plain")
    for name, stamp in stamps.items():
        plain, stamped = (
            load_driver(name, tmp_path / "plain" / "drivers"),
            load_driver(name, tmp_path / "drivers"),
        )
        assert len(stamped.rows) == len(plain.rows) + 1
        row = next(row for row in stamped.rows if row.name == "pulse_count")
        assert (row.address, row.words, row.function, row.order) == (
            stamp.address,
            2,
            stamp.functions[0],
            "big",
        )
        assert free_place(stamped) != free_place(plain)
    slaves = [slave for line in simulator_spec(tmp_path, stamps)["lines"] for slave in line["slaves"]]
    assert {slave["stamp"]["address"] for slave in slaves} <= {stamp.address for stamp in stamps.values()}


def test_the_status_line_counts_in_words():
    assert re.search(
        r"taken 10 · delivered 7 · missing at the platform 1 · waiting 1",
        status_line(SiteCounts(10, 1, 7, 2, 90)),
    )
    assert SiteCounts(10, 3, 7, 2, 90).missing == 0
    assert SiteCounts(10, 0, 12, 0, 90).delivered == 10
    assert "starting" in status_line(None)


def test_a_read_that_was_asked_again_in_the_same_poll_is_part_of_its_reading():
    """The first read is good, the second comes late, and is asked again two seconds later: one reading of
    both.
    """
    w = world()
    w["serves"].append(
        {"meter": "main", "t": 30_000, "ordinal": None, "values": {"frequency": 50.5}, "fault": ""}
    )
    w["serves"].append(
        {
            "meter": "main",
            "t": 30_200,
            "ordinal": 11,
            "values": {"active_power": 1.0, "pulse_count": 11.0},
            "fault": "late",
        }
    )
    w["serves"].append(
        {
            "meter": "main",
            "t": 32_000,
            "ordinal": 12,
            "values": {"active_power": 2.0, "pulse_count": 12.0},
            "fault": "",
        }
    )
    w["serves"].append(
        {"meter": "main", "t": 32_400, "ordinal": None, "values": {"frequency": 50.7}, "fault": ""}
    )
    w["committed"].append((EPOCH, 12))
    w["stored"][EPOCH, 12] = 1
    values = {"active_power": 2.0, "pulse_count": 12.0, "frequency": 50.5}
    w["readings"].append(Received("main", 31_000, (EPOCH, 12), values, {}))
    account = judged(w)
    assert account.wrong == 0, account.problems
    replaced(w, len(w["readings"]), values={**values, "active_power": 1.0})
    assert judged(w).wrong == 1, "the late answer's values are not the reading's"


def test_a_late_reply_whose_number_says_whose_it_is_may_be_the_answer():
    w = world()
    w["serves"].append(
        {
            "meter": "main",
            "t": 30_000,
            "ordinal": 11,
            "values": {"active_power": 1.0, "pulse_count": 11.0},
            "fault": "late",
        }
    )
    w["committed"].append((EPOCH, 11))
    w["stored"][EPOCH, 11] = 1
    w["readings"].append(
        Received("main", 30_900, (EPOCH, 11), {"active_power": 1.0, "pulse_count": 11.0}, {})
    )
    assert judged(w).wrong > 0, "on a serial line nobody can know"
    owed = judge(**w, breaks=(), slot=1.0, tolerance=lambda *_: 0.006, owed=True)
    assert (owed.wrong, owed.lost) == (0, 0), owed.problems
    w["serves"][-1]["fault"] = "double"
    assert judged(w).wrong > 0
    assert judge(**w, breaks=(), slot=1.0, tolerance=lambda *_: 0.006, owed=True).good
    w["serves"][-1]["fault"] = "wrong_count"
    assert judge(**w, breaks=(), slot=1.0, tolerance=lambda *_: 0.006, owed=True).wrong > 0


@pytest.mark.parametrize(("before", "lost"), [(20, 0), (300, 1)])
def test_a_read_that_re_synchronised_is_no_reading_but_one_poll_does_not_hide_the_next(before, lost):
    w = world()
    extra = {
        "meter": "main",
        "t": 17_000 - before,
        "ordinal": 70,
        "values": {"pulse_count": 70.0},
        "fault": "",
    }
    w["serves"].insert(next(n for n, serve in enumerate(w["serves"]) if serve["t"] == 17_000), extra)
    account = judged(w)
    assert (account.lost, account.asked_again) == (lost, 1 - lost), account.problems
