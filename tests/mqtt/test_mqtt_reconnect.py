"""When a broker is tried again, and what is said of it meanwhile."""

import errno
import logging

from mqtt_parts import broker_at

from gateway.errors import LinkDown, LinkRefused, LinkTakenOver
from gateway.mqtt import LinkState, unreachable
from gateway.mqtt.reconnect import QUICK, REFUSED, SHORT_LIFE, TAKE_OVER_FORGOTTEN, Reconnect


class Now:
    def __init__(self):
        self.t = 1000.0

    def __call__(self):
        return self.t


def reconnect(chance=1.0):
    now = Now()
    return Reconnect(broker_at(1883), chance=lambda: chance, monotonic=now), now


def test_a_broker_that_is_back_is_noticed_within_five_seconds():
    state, _ = reconnect()
    waits = [state.failed(LinkDown("cannot be reached")) for _ in range(20)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == QUICK
    assert state.state is LinkState.WAITING


def test_a_connection_that_lasted_makes_the_next_wait_short_again():
    state, now = reconnect()
    for _ in range(8):
        state.failed(LinkDown("cannot be reached"))
    state.connected("5.0")
    now.t += 100
    assert state.lost(LinkDown("the connection was lost")) == QUICK[0]
    assert state.failed(LinkDown("cannot be reached")) == QUICK[0]
    assert state.failed(LinkDown("cannot be reached")) == 2 * QUICK[0]


def test_a_refusal_is_tried_slowly_and_jitter_spreads_a_fleet():
    state, _ = reconnect()
    assert [state.failed(LinkRefused("no")) for _ in range(5)] == [30.0, 60.0, 120.0, 240.0, 300.0]
    assert state.state is LinkState.REFUSED
    early, _ = reconnect(0.0)
    assert early.failed(LinkRefused("no")) == REFUSED[0] / 2


def test_lost_and_back_are_each_said_once(caplog):
    caplog.set_level(logging.INFO)
    state, now = reconnect()
    state.connected("5.0")
    now.t += 100
    state.lost(LinkDown("the connection was lost"))
    for _ in range(50):
        state.failed(LinkDown("cannot be reached"))
    state.connected("5.0")
    lines = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert [level for level, _ in lines] == ["INFO", "WARNING", "INFO"]
    assert "back at 127.0.0.1:1883" in lines[2][1]


def test_a_look_in_the_middle_of_short_lives_does_not_trust_them():
    state, now = reconnect()
    for _ in range(3):
        state.connected("5.0")
        now.t += SHORT_LIFE / 2
        state.steady()
        state.lost(LinkDown("the connection was lost"), idle=False)
    assert "right after accepting" in state.error.message
    state.connected("5.0")
    now.t += SHORT_LIFE
    state.steady()
    assert state.error is None


def test_a_flapping_link_is_one_trouble_and_grows_slow(caplog):
    caplog.set_level(logging.INFO)
    state, now = reconnect()
    waits = []
    for _ in range(30):
        state.connected("3.1.1")
        now.t += 0.2
        waits.append(state.lost(LinkDown("the connection was lost")))
    assert waits[0] == 1.0
    assert waits[-1] == 60.0
    assert len(caplog.records) <= 8
    assert "same gateway id" in str(state.error)
    state.connected("3.1.1")
    now.t += SHORT_LIFE
    state.steady()
    assert state.error is None
    assert "back at" in caplog.records[-1].getMessage()
    assert state.lost(LinkDown("x")) == QUICK[0]


def test_a_takeover_is_answered_with_patience():
    state, now = reconnect()
    waits = []
    for _ in range(5):
        state.connected("5.0")
        now.t += 40
        state.steady()
        waits.append(state.lost(LinkTakenOver("taken")))
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0]
    assert state.state is LinkState.TAKEN_OVER


def test_an_outage_is_measured_from_the_last_connection_that_lasted():
    state, now = reconnect()
    state.connected("5.0")
    now.t += 100
    state.lost(LinkDown("x"))
    lost = now.t
    now.t += 1000
    state.connected("5.0")
    now.t += 1
    state.lost(LinkDown("x"))
    assert state.lost_at == lost


def test_a_connection_of_exactly_the_bound_counts_as_one_that_lasted():
    state, now = reconnect()
    state.connected("5.0")
    now.t += SHORT_LIFE
    assert state.lost(LinkDown("x")) == QUICK[0]
    assert state.lost_at == now.t
    state.connected("5.0")
    now.t += SHORT_LIFE
    state.lost(LinkDown("x"))
    assert state.lost_at == now.t, "it ended the outage, so this is another one"


def test_a_second_takeover_long_after_the_first_begins_with_the_first_wait_again():
    state, now = reconnect()
    waits = []
    for lived in (40.0, 40.0, TAKE_OVER_FORGOTTEN, 40.0):
        state.connected("5.0")
        now.t += lived
        waits.append(state.lost(LinkTakenOver("taken")))
    assert waits == [30.0, 60.0, 30.0, 60.0]


def test_a_connection_that_is_lost_and_a_way_that_is_gone_then_are_one_line(caplog):
    state, _ = reconnect()
    state.connected("5.0")
    state.lost(LinkDown("the connection was lost"))
    for _ in range(5):
        state.failed(unreachable(OSError(errno.ECONNREFUSED, "Connection refused")))
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
