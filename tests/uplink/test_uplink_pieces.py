"""The uplink's small parts: hold, state, bodies, words, commands, the form that a broker takes."""

import logging

import pytest
from uplink_parts import BOOT, E1, EARLIER, T0, FakeClock, row

from gateway.common.troubles import Troubles
from gateway.mqtt import Outgoing
from gateway.mqtt.tls import is_this_machine
from gateway.uplink import UplinkStats
from gateway.uplink.delivery.conflicts import Conflicts, derived_epoch
from gateway.uplink.delivery.window import key_of
from gateway.uplink.journal_port import MemoryJournal
from gateway.uplink.outgoing.clock_hold import ClockHold
from gateway.uplink.outgoing.fitting import Fitting
from gateway.uplink.outgoing.objections import Objections
from gateway.uplink.outgoing.replay import Replays
from gateway.uplink.outgoing.set_aside import AGAIN, REFUSED
from gateway.uplink.rewrap import rewrap
from gateway.uplink.state_topic import EVERY, SELDOM, STEADY, UNKEPT, StateTopic
from gateway.wire import decode, decompress

# -- hold


def test_the_verdict_on_a_batch():
    clock = FakeClock(synced=False, uptime=10_000)
    hold = ClockHold(clock, 60.0)
    mine, earlier, good = (
        row(1, clock="unsynced", uptime=9_000),
        row(2, clock="unsynced", boot=EARLIER),
        row(3),
    )
    hold.met(mine)
    assert hold.release(mine).wait
    assert not hold.release(earlier).wait
    assert not hold.release(good).wait
    assert not hold.released()
    clock.synced = True
    assert hold.released()
    assert not hold.released(), "once"
    assert hold.release(mine).t0 == T0 + 9_000
    assert list(hold.anchors()) == [], "nothing unsynced has been sent"
    assert mine.boot == BOOT


def test_no_hold_at_all():
    clock = FakeClock(synced=False, uptime=10_000)
    hold = ClockHold(clock, 0.0)
    mine = row(1, clock="unsynced", uptime=10_000)
    hold.met(mine)
    assert not hold.release(mine).wait
    clock.synced = True
    assert [event.fields["t"] for event in hold.anchors()] == [T0 + 10_000]
    assert list(hold.anchors()) == []


def test_a_clock_that_is_lost_and_found_again_is_anchored_again():
    clock = FakeClock(synced=True, uptime=100_000)
    hold = ClockHold(clock, 10.0)
    hold.met(row(1, uptime=1_000))
    assert list(hold.anchors()) == []
    clock.synced = False
    assert list(hold.anchors()) == []
    late = row(2, clock="unsynced", uptime=99_000)
    assert not hold.release(late).wait, "this boot holds no more"
    clock.synced = True
    assert [event.kind for event in hold.anchors()] == ["clock_anchor"]


# -- state


def test_the_state_is_told_sparsely_and_its_zero_at_once():
    report = StateTopic()

    def tell(seq, backlog, now):
        due = report.due(E1, seq, backlog, now)
        if due:
            report.said(E1, seq, backlog, now)
        return due

    assert tell(1, 0, 0.0)
    assert not tell(2, 1, 1.0), "a live batch is a backlog for a moment"
    assert not tell(3, 0, 2.0)
    assert not tell(4, 5, 10.0)
    assert tell(4, 9, 10.0 + STEADY)
    assert not tell(4, 500, 20.0)
    assert tell(4, 500, 10.0 + STEADY + EVERY)
    assert tell(5, 0, 45.0)
    assert not tell(6, 0, 46.0)
    assert tell(60, 0, 45.0 + SELDOM)
    assert report.due("0" * 16, 61, 0, 346.0), "a new epoch is news"
    report.forget()
    assert report.due(E1, 60, 0, 346.0)


# -- bodies, words


def test_dressing():
    sealed = row(4, clock="unsynced")
    assert rewrap(sealed, "gw1") is sealed.body
    assert rewrap(sealed, "gw1", packed=False) == decompress(sealed.body)
    changed = decode(rewrap(sealed, "gw2", t0=77))
    assert (changed.gateway, changed.t0, changed.clock, changed.seq) == ("gw2", 77, "anchored", 4)
    assert changed.readings[0].values == {"active_power": 4.0}


def test_a_derived_epoch_depends_on_identity_and_content_alone():
    assert derived_epoch(row(1)) == derived_epoch(row(1))
    assert len({derived_epoch(row(1)), derived_epoch(row(2)), derived_epoch(row(1, value=9))}) == 3
    assert derived_epoch(row(1)) == derived_epoch(row(1, clock="unsynced")), (
        "a repaired time is no other content"
    )


def test_conflicts_are_handled_once_and_bounded():
    conflicts = Conflicts()
    assert conflicts.report(E1, [3, 4]) == [(E1, 3), (E1, 4)]
    assert conflicts.report(E1, [3, 4, 5]) == [(E1, 5)]
    assert len(conflicts.report(E1, range(10, 5000))) < 1000


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("broker.localhost", True),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_this_machine(host, here):
    assert is_this_machine(host) is here


def test_the_sentence():
    facts = dict.fromkeys(UplinkStats.__slots__, 0)
    facts.update(
        broker="b:8883",
        state="connected",
        protocol="5.0",
        backlog_readings=1240,
        oldest_t0=T0,
        last_error="",
        held=3,
    )
    words = (
        "Connected to b:8883 (MQTT 5.0); 1240 readings wait since 2026-11-21 16:25 UTC; 3 batches are "
        "held until the clock is right."
    )
    assert UplinkStats(**facts).sentence == words


def test_where_the_broker_keeps_nothing_the_state_is_said_again_now_and_then():
    for kept in (True, False):
        report = StateTopic()
        assert report.due(E1, 1, 0, 0.0, kept=kept)
        report.said(E1, 1, 0, 0.0)
        assert not report.due(E1, 1, 0, UNKEPT - 1.0, kept=kept)
        assert report.due(E1, 1, 0, UNKEPT, kept=kept) is not kept


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        (b"not json", "?"),
        (b'{"id": 5}', "?"),
        (b'{"id": "a"}', "a"),
        (b"[]", "?"),
        (b'{"id": "a\\u001b"}', "?"),
    ],
)
def test_a_bad_command_is_answered(payload, asked) -> None:
    reply = Replays(MemoryJournal(), 0.0).command(payload, 0.0)
    assert reply is not None
    assert (reply.id, reply.ok) == (asked, False)
    assert reply.error


# -- the form that a broker takes


def fitting_of(objections=None):
    return Fitting(
        "P/data",
        "gw1",
        objections or Objections("P/data"),
        Troubles(logging.getLogger("x"), "x"),
        packed=True,
    )


def test_a_message_beside_the_batches_goes_when_it_is_smaller_than_the_one_that_ended_the_connection():
    objections = Objections("P/data")
    made = fitting_of(objections)
    message = Outgoing("P/state", b"x" * 100)
    size = made.size(message)
    objections.left_out["P/state"] = size
    assert made.beside(message) is None
    objections.left_out["P/state"] = size + 1
    assert made.beside(message) == message
    assert made.beside(Outgoing("P/meters", b"x" * 5000)) is not None, "another topic was never in the way"


def test_what_a_broker_has_taken_is_not_remembered_as_on_its_way():
    made = fitting_of()
    for seq in range(1, 30):
        sealed = row(seq)
        made.batch(sealed, t0=None, epoch=E1)
        made.acknowledged(key_of(sealed), 0, None, 1.0)
    assert not made._as_zlib


def test_what_was_refused_for_its_content_is_offered_again_after_an_hour():
    made = fitting_of()
    made.set_aside.put((E1, 1), REFUSED, now=10.0)
    assert made.tick(10.0 + AGAIN - 1) is False
    assert made.tick(10.0 + AGAIN) is True
    assert len(made.set_aside) == 0
    assert made.tick(10.0 + 3 * AGAIN) is False, "once"


def test_what_was_on_its_way_as_zlib_goes_again_as_json_once_the_rule_is_known():
    fitting = fitting_of()
    one, two = row(1), row(2)
    packed = [fitting.batch(each, t0=None, epoch=E1) for each in (one, two)]
    assert all(message is not None and message.payload[:1] != b"{" for message in packed)
    assert fitting.unfit(one, 0x99, "", 1.0)
    plain = fitting.batch(one, t0=None, epoch=E1)
    assert plain is not None
    assert plain.payload[:1] == b"{"
    fitting.acknowledged(key_of(one), 0, None, 2.0)
    # The refusal of the second one, which had left as zlib, comes when the rule is known already.
    assert fitting.unfit(two, 0x99, "", 2.1)
    again = fitting.batch(two, t0=None, epoch=E1)
    assert again is not None
    assert again.payload[:1] == b"{"
    assert fitting.set_aside.count("refused") == 0
    assert not fitting.unfit(two, 0x99, "", 2.2), "refused in both forms: it is what it holds"
