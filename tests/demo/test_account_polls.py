"""The judge that knows the gateway's polls: what excuses a served value from being at the platform is a poll
that was under way, or not committed yet; nothing else does.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.demo.show.account import judge
from gateway.demo.show.polls import Break, PollSpan, Received, read_polls

EPOCH = "00000000000000aa"
ORDER = ("main", "hvac", "pv")
BUS = {"main": "line", "hvac": "line", "pv": "roof"}
KILL = Break(16_500, 16_550)
"""In the sixth slot; the gateway is back a second later."""
END = Break(20_600, 20_700)


def serve(meter, t, ordinal, *, fault="", **values):
    stamped = {} if ordinal is None else {"pulse_count": float(ordinal)}
    return {"meter": meter, "t": t, "ordinal": ordinal, "values": stamped | values, "fault": fault}


def world():
    """Three meters on two buses, polled once a second from 10 s on; a poll lasts 90 ms and makes two reads.
    Batch n holds the polls that ended in second n. The gateway is killed at 16.5 s and stopped at 20.6 s;
    what was read in the second before has not been committed.
    """
    serves, readings, polls = [], [], []
    for n in range(11):
        for place, meter in enumerate(ORDER):
            began = 10_000 + 1000 * n + 100 * place
            serves += [
                serve(meter, began + 10, n, active_power=float(n)),
                serve(meter, began + 60, None, frequency=50 + n),
            ]
            polls.append(PollSpan(meter, BUS[meter], began, began + 90))
            if n in {6, 10}:
                continue
            values = {"pulse_count": float(n), "active_power": float(n), "frequency": 50.0 + n}
            readings.append(Received(meter, began + 45, (EPOCH, n), values, {}))
    return {"serves": serves, "readings": readings, "polls": polls}


def judged(world, *, breaks=(KILL, END)):
    batches = sorted({reading.batch for reading in world["readings"]})
    return judge(
        sorted(world["serves"], key=lambda each: each["t"]),
        batches,
        {batch: sum(reading.batch == batch for reading in world["readings"]) for batch in batches},
        world["readings"],
        breaks=breaks,
        slot=1.0,
        tolerance=lambda *_: 0.001,
        polls=world["polls"],
    )


def lose(world, meter, n):
    """The reading is nowhere, neither in its batch nor at the platform."""
    world["readings"] = [
        reading
        for reading in world["readings"]
        if (reading.meter, reading.values["pulse_count"]) != (meter, n)
    ]


def test_what_was_not_committed_as_the_gateway_was_killed_may_be_missing():
    account = judged(world())
    assert account.good, account.problems
    assert (account.served, account.arrived, account.open_slot, account.lost) == (33, 27, 6, 0)


@pytest.mark.parametrize(
    ("meter", "n"), [("main", 2), ("hvac", 2), ("pv", 2), ("main", 5), ("hvac", 5), ("main", 9), ("hvac", 9)]
)
def test_a_reading_that_is_nowhere_is_lost_however_near_the_kill_when_a_later_one_arrived(meter, n):
    hurt = world()
    lose(hurt, meter, n)
    account = judged(hurt)
    assert account.lost == 1
    assert f"1 readings of {meter} were served and are nowhere" in "\n".join(account.problems)
    assert "1 polls have ended whose readings are nowhere" in "\n".join(account.problems)


@pytest.mark.parametrize("n", [5, 9])
def test_the_last_one_before_a_kill_may_have_been_in_the_open_slot(n):
    fine = world()
    lose(fine, "pv", n)
    assert judged(fine).good
    lose(fine, "hvac", n)
    assert judged(fine).good


def test_a_gateway_that_commits_nothing_any_more_is_not_excused_by_a_kill():
    hurt = world()
    for n in range(3, 6):
        for meter in ORDER:
            lose(hurt, meter, n)
    account = judged(hurt)
    assert account.lost == 6, "two slots before the kill may be open, one after the other; not four"
    assert not account.good


def test_without_a_kill_nothing_is_excused():
    assert judged(world(), breaks=()).lost == 6
    assert judged(world(), breaks=(KILL,)).lost == 3


def slow_poll(world, *, ended):
    """The last poll before the kill began three seconds before, and its bus polled nobody else since then."""
    world["serves"] = [
        each for each in world["serves"] if BUS[each["meter"]] != "line" or not 13_400 < each["t"] < 17_000
    ]
    world["readings"] = [
        each for each in world["readings"] if BUS[each.meter] != "line" or not 13_400 < each.uptime < 17_000
    ]
    world["polls"] = [
        each for each in world["polls"] if each.bus != "line" or not 13_400 < each.began < 17_000
    ]
    world["serves"] += [
        serve("main", 13_450, 70, active_power=7.0),
        serve("main", 15_900, None, frequency=57.0),
    ]
    if ended:
        world["polls"].append(PollSpan("main", "line", 13_440, 15_990))
        world["polls"].sort(key=lambda each: each.ended)


def test_a_poll_of_seconds_that_was_under_way_at_the_kill_may_be_missing():
    hurt = world()
    slow_poll(hurt, ended=False)
    account = judged(hurt)
    assert account.good, account.problems
    assert account.open_slot == 6 - 2 + 1


@pytest.mark.parametrize(("t", "lost"), [(20_187, 1), (20_188, 0), (20_190, 0), (20_192, 0)])
def test_a_poll_that_follows_another_one_in_the_same_moment_may_be_under_way(t, lost):
    """Two clocks of one machine, each rounded to ms: what was served then need not be served before."""
    stopped = world()
    stopped["serves"].append(serve("main", t, 11))
    assert judged(stopped).lost == lost


@pytest.mark.parametrize(("t", "lost"), [(16_590, 0), (16_999, 0), (17_050, 1), (20_720, 0)])
def test_a_request_that_outlives_who_sent_it_may_be_answered_to_nobody(t, lost):
    """It was on its way as the gateway was killed, and its meter had no time for it until later; the next
    gateway, which asks from 17 s on, has ended nothing that it could belong to.
    """
    fine = world()
    fine["serves"].append(serve("main", t, 70))
    if t == 17_050:
        fine["polls"] = [each for each in fine["polls"] if (each.meter, each.began) != ("main", 17_000)]
        fine["polls"].append(PollSpan("pv", "line", 17_010, 17_020))
        fine["polls"].sort(key=lambda each: each.ended)
        lose(fine, "main", 7)
        fine["serves"] = [each for each in fine["serves"] if each["ordinal"] != 7 or each["meter"] != "main"]
    assert judged(fine).lost == lost


def test_a_poll_of_seconds_that_ended_in_the_open_slot_may_be_missing_but_not_one_that_was_overtaken():
    hurt = world()
    slow_poll(hurt, ended=True)
    account = judged(hurt)
    assert account.lost == 0, "what was read on the roof at 16.29 s is not at the platform either"
    hurt["readings"].append(Received("pv", 16_245, (EPOCH, 6), {"pulse_count": 6.0, "active_power": 6.0}, {}))
    account = judged(hurt)
    assert account.lost == 1, "a batch with what was read later has been committed without it"


def test_what_was_served_to_nobody_is_lost_once_its_bus_has_gone_on():
    hurt = world()
    hurt["serves"].append(serve("main", 13_950, 70))
    account = judged(hurt)
    assert account.lost == 1
    assert "ordinal 70, served at uptime 13950 ms" in "\n".join(account.problems)
    stranger = world()
    stranger["serves"].append(serve("ev", 13_950, 1))
    assert judged(stranger).lost == 1, "a meter that was never polled as far as the gateway says"


@pytest.mark.parametrize("after", [5, 40, 700])
def test_a_read_that_was_asked_again_within_its_poll_is_no_reading_of_its_own(after):
    """Re-synchronised, or asked once more after silence: the later answer is the reading's."""
    fine = world()
    fine["polls"] = [
        PollSpan("pv", "roof", each.began - after, each.ended)
        if (each.meter, each.began) == ("pv", 13_200)
        else each
        for each in fine["polls"]
    ]
    fine["serves"].append(serve("pv", 13_210 - after, 70, active_power=3.0))
    account = judged(fine)
    assert account.good, account.problems
    assert account.asked_again == 1


def test_two_polls_however_near_are_two_readings():
    hurt = world()
    hurt["serves"].append(serve("pv", 13_190, 70))
    hurt["polls"].insert(0, PollSpan("pv", "roof", 13_180, 13_199))
    hurt["polls"].sort(key=lambda each: each.ended)
    account = judged(hurt)
    assert (account.lost, account.asked_again) == (1, 0)


def silence(meter, n):
    """As it arrives: a poll that brought nothing has the time of its batch, whenever it was."""
    return Received(meter, 10_045 + 1000 * n, (EPOCH, n), {}, {}, "timeout")


def bring_nothing(world, meter, n):
    began = 10_000 + 1000 * n + 100 * ORDER.index(meter)
    world["polls"] = [
        replace(each, silent=True) if (each.meter, each.began) == (meter, began) else each
        for each in world["polls"]
    ]


def test_a_poll_that_brought_nothing_says_so_and_its_silence_must_arrive_as_well():
    fine = world()
    lose(fine, "pv", 3)
    fine["readings"].append(silence("pv", 3))
    assert judged(fine).lost == 1, "the gateway says that this poll brought values"
    bring_nothing(fine, "pv", 3)
    account = judged(fine)
    assert account.good, account.problems
    assert account.declared == 1
    fine["serves"] = [each for each in fine["serves"] if not 13_200 <= each["t"] <= 13_290]
    assert judged(fine).good
    fine["readings"].pop()
    account = judged(fine)
    assert account.lost == 0, "no ordinal was served"
    assert "1 polls have ended whose readings are nowhere: pv, from uptime 13200" in "\n".join(
        account.problems
    )


def test_a_poll_of_seconds_that_brought_nothing_is_in_the_batch_of_its_end():
    """Stopped amid the poll, the gateway puts what ends with it into the slot that had been open before."""
    fine = world()
    lose(fine, "pv", 3)
    fine["polls"] = [each for each in fine["polls"] if (each.meter, each.began) != ("pv", 13_200)]
    fine["polls"].insert(9, PollSpan("pv", "roof", 12_300, 13_095, silent=True))
    fine["serves"].append(serve("pv", 12_310, 70))
    fine["serves"] = [
        each for each in fine["serves"] if each["meter"] != "pv" or not 13_200 <= each["t"] < 14_000
    ]
    fine["readings"].append(silence("pv", 2))
    account = judged(fine)
    assert account.good, account.problems
    assert account.declared == 1


def test_a_silence_stands_for_no_poll_of_another_batch_or_meter():
    hurt = world()
    lose(hurt, "hvac", 3)
    bring_nothing(hurt, "hvac", 3)
    hurt["readings"].append(silence("hvac", 4))
    assert judged(hurt).lost == 1
    hurt["readings"][-1] = silence("main", 3)
    assert judged(hurt).lost == 1
    hurt["readings"][-1] = silence("hvac", 8)
    assert judged(hurt).lost == 1


def test_beside_reasons_of_single_values_a_poll_that_brought_nothing_is_not_told_by_itself():
    """Twice in a second: as a batch is written, the reasons of the other poll stand for both."""
    fine = world()
    fine["polls"].insert(12, PollSpan("pv", "roof", 13_300, 13_302, silent=True))
    assert not judged(fine).good
    place = next(at for at, each in enumerate(fine["readings"]) if each.uptime == 13_245)
    fine["readings"][place] = replace(fine["readings"][place], absent={"thd": "timeout"})
    assert judged(fine).good
    assert fine["polls"][11].ended + 12 == fine["polls"][12].ended


def test_a_reading_is_not_taken_for_that_of_a_poll_beside_it_that_brought_nothing():
    fine = world()
    fine["polls"].insert(11, PollSpan("pv", "roof", 13_199, 13_244, silent=True))
    fine["polls"][12] = PollSpan("pv", "roof", 13_244, 13_290)
    fine["serves"] = [
        each | {"t": each["t"] + 40} if each["meter"] == "pv" and each["t"] == 13_210 else each
        for each in fine["serves"]
    ]
    fine["readings"].append(silence("pv", 3))
    account = judged(fine)
    assert account.good, account.problems


def test_a_value_is_one_that_its_own_poll_was_served():
    """However long the poll was, and however near another one."""
    fine = world()
    fine["polls"] = [
        PollSpan("pv", "roof", each.began, 15_990) if (each.meter, each.began) == ("pv", 13_200) else each
        for each in fine["polls"]
        if each.meter != "pv" or each.began not in {14_200, 15_200}
    ]
    fine["polls"].sort(key=lambda each: each.ended)
    for n in (3, 4, 5):
        lose(fine, "pv", n)
    fine["serves"] = [
        each for each in fine["serves"] if each["meter"] != "pv" or not 13_215 < each["t"] < 16_200
    ]
    fine["serves"].append(serve("pv", 15_950, None, frequency=53.0))
    long = Received(
        "pv", 14_580, (EPOCH, 5), {"pulse_count": 3.0, "active_power": 3.0, "frequency": 53.0}, {}
    )
    fine["readings"].append(long)
    account = judged(fine)
    assert account.good, account.problems
    hurt = world()
    lose(hurt, "pv", 3)
    other = {"pulse_count": 3.0, "active_power": 2.0, "frequency": 53.0}
    hurt["readings"].append(Received("pv", 13_245, (EPOCH, 3), other, {}))
    account = judged(hurt)
    assert account.wrong == 1
    assert "active_power is 2.0, served was [3.0]" in "\n".join(account.problems)


def test_a_reading_of_no_poll_was_invented():
    hurt = world()
    hurt["readings"].append(Received("pv", 13_600, (EPOCH, 3), {"active_power": 3.0}, {}))
    account = judged(hurt)
    assert account.wrong >= 1
    assert "1 readings with values are of no poll of their own: pv at uptime 13600 ms" in "\n".join(
        account.problems
    )


def test_polls_are_read_from_the_log_that_a_kill_has_torn(tmp_path: Path):
    log = tmp_path / "gateway.log"
    log.write_text(
        "INFO the page is at http://127.0.0.1:8080\n"
        "DEBUG meter main on bus line1: polled from 1000 to 1090 ms: values\n"
        "DEBUG meter hvac on bus line1: polled from 1090 to 12INFO the page is at http://127.0.0.1:8080\n"
        "DEBUG meter hvac on bus line1: polled from 3000 to 3100 ms: timeout\n"
        "DEBUG meter pv on bus roof: polled from 3000 to 31"
    )
    assert read_polls(log) == [
        PollSpan("main", "line1", 1000, 1090),
        PollSpan("hvac", "line1", 3000, 3100, silent=True),
    ]
    assert read_polls(tmp_path / "none.log") == []
