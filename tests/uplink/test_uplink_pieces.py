"""The uplink's small parts: pace, patience, reconnect, window, ledger, hold, state, words."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplink_parts import BOOT, E1, E2, EARLIER, T0, FakeClock, config, row

from gateway.common.troubles import Troubles
from gateway.errors import LinkDown, LinkRefused, LinkTaken
from gateway.model import Ranges
from gateway.mqtt import LinkState
from gateway.mqtt.reconnect import QUICK, REFUSED, SHORT_LIFE, TAKEN_FORGOTTEN, Reconnect
from gateway.mqtt.tls import is_this_machine
from gateway.uplink import UplinkStats, broker_of
from gateway.uplink.delivery.conflicts import Conflicts, derived_epoch
from gateway.uplink.delivery.delivery import Delivery
from gateway.uplink.delivery.receipts import Receipts
from gateway.uplink.delivery.retry_timer import RetryTimer
from gateway.uplink.delivery.window import GRACE, MAX_BATCHES, MAX_BYTES, Window, key_of
from gateway.uplink.journal_port import MemoryJournal
from gateway.uplink.outgoing.clock_hold import ClockHold
from gateway.uplink.outgoing.fitting import Fitting
from gateway.uplink.outgoing.objections import Objections
from gateway.uplink.outgoing.rate import TokenBucket, live_offset, start_delay
from gateway.uplink.outgoing.replay import Replays
from gateway.uplink.rewrap import rewrap
from gateway.uplink.state_topic import EVERY, SELDOM, STEADY, UNKEPT, StateTopic
from gateway.wire import Receipt, decode, decompress


class Now:
    def __init__(self):
        self.t = 1000.0

    def __call__(self):
        return self.t


# -- pace


@given(st.floats(0.1, 5000), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_a_bucket_never_gives_more_than_its_rate(rate, waits):
    bucket, now, taken = TokenBucket(rate, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        while bucket.spend(now):
            taken += 1
    assert taken <= rate * now + max(1.0, rate * 0.2) + 1e-6


@given(st.floats(0.1, 5000))
def test_after_the_wait_there_is_a_token(rate):
    bucket = TokenBucket(rate, 0.0)
    while bucket.spend(0.0):
        pass
    wait = bucket.wait(0.0)
    assert wait > 0
    assert bucket.spend(wait * (1 + 1e-9) + 1e-9)


def test_a_rate_of_zero_is_no_limit():
    bucket = TokenBucket(0.0, 0.0)
    assert all(bucket.spend(0.0) for _ in range(10_000))
    assert bucket.wait(0.0) == 0.0


@given(st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_the_live_offset_belongs_to_the_id(gateway):
    assert 0.0 <= live_offset(gateway, 60.0) < 2.0
    assert live_offset(gateway, 60.0) == live_offset(gateway, 1.0)
    assert live_offset(gateway, 0.0) == 0.0


def test_the_live_offsets_of_a_fleet_are_spread():
    offsets = sorted(live_offset(f"gw-{n:03}", 60.0) for n in range(400))
    assert all(abs(offset - n / 200) < 0.25 for n, offset in enumerate(offsets))


def test_only_a_long_outage_delays_the_backlog():
    assert start_delay(299.0, 60.0, lambda: 0.5) == 0.0
    assert start_delay(301.0, 60.0, lambda: 0.5) == 30.0
    assert start_delay(301.0, 0.0, lambda: 0.5) == 0.0


# -- patience


def test_patience_doubles_to_five_minutes_and_is_restored_by_progress():
    probe, now, waits = RetryTimer(), 0.0, []
    assert not probe.due(1e9)
    probe.expect(now)
    for _ in range(7):
        waits.append(probe.at - now)
        now = probe.at
        assert probe.due(now)
        probe.tried(now)
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 300.0]
    probe.progress(now, waiting=True)
    assert probe.at - now == 30.0
    probe.soon(now, 1.0)
    assert probe.at - now == 1.0
    probe.progress(now, waiting=False)
    probe.soon(now, 1.0)
    assert not probe.running


# -- reconnect


def reconnect(chance=1.0):
    now = Now()
    return Reconnect(broker_of(config(), "gw1"), chance=lambda: chance, monotonic=now), now


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
        waits.append(state.lost(LinkTaken("taken")))
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0]
    assert state.state is LinkState.TAKEN


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


# -- window


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "ack", "drop", "cut", "receipt"]), st.integers(1, 30)),
        max_size=120,
    )
)
def test_the_window_counts_right_whatever_happens(steps):
    window, acked, here = Window(), set(), set()
    for step, (what, seq) in enumerate(steps):
        key = (E1, seq)
        if what == "send":
            window.sent(row(seq), float(step))
            here.add(key)
            acked.discard(key)
        elif what == "ack":
            assert (window.acked(key) is not None) == (key in here - acked)
            acked |= here & {key}
        elif what == "drop":
            window.drop(key)
            here.discard(key)
            acked.discard(key)
        elif what == "cut":
            window.disconnected()
            here &= acked
        else:
            gone = window.leave(E1, Ranges([(1, seq)]))
            assert {key_of(entry.sealed) for entry in gone} == {k for k in here if k[1] <= seq}
            here = {k for k in here if k[1] > seq}
            acked &= here
        assert len(window) == len(here)
        assert window.unacked == len(here - acked)
        assert window._bytes == sum(len(entry.sealed.body) for entry in window)


def test_the_window_is_full_by_count_and_by_bytes():
    window = Window()
    for seq in range(1, MAX_BATCHES + 1):
        assert not window.full
        window.sent(row(seq), 0.0)
    assert window.full
    big = Window()
    body = b"x" * (MAX_BYTES // 4)
    for seq in range(1, 5):
        assert not big.full
        sealed = row(seq)
        big.sent(type(sealed)(*[body if f == "body" else getattr(sealed, f) for f in sealed.__slots__]), 0.0)
    assert big.full


def test_what_is_overtaken_after_the_grace_was_lost():
    window = Window()
    for seq in range(1, 6):
        window.sent(row(seq), 0.0)
        window.acked((E1, seq))
    order = max(entry.order for entry in window.leave(E1, Ranges([(3, 3)])))
    assert window.overtaken(order, GRACE / 2) == []
    assert [sealed.seq for sealed in window.overtaken(order, GRACE + 1)] == [1, 2]
    assert sorted(entry.sealed.seq for entry in window) == [4, 5]


# -- ledger


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from(["a", "b", "x"]),
            st.integers(0, 50),
            st.lists(st.integers(1, 50), max_size=4),
        ),
        max_size=30,
    )
)
def test_the_ledger_delivers_what_was_sent_and_all_have_and_nothing_else(steps):
    ledger = Receipts(["a", "b"])
    sent, held, delivered = set(), {"a": set(), "b": set()}, set()
    for seq, consumer, upto, have in steps:
        ledger.sent(E1, seq)
        sent.add(seq)
        new = ledger.receipt(consumer, Receipt(epoch=E1, upto=upto, have=[[h, h] for h in have]))
        if consumer in held:
            held[consumer] |= (set(range(1, upto + 1)) | set(have)) & sent
        both = held["a"] & held["b"]
        assert {s for first, last in new for s in range(first, last + 1)} == both - delivered
        delivered |= both
        assert all(ledger.is_delivered(E1, s) == (s in delivered) for s in range(1, 51))


def test_a_conflict_in_a_receipt_is_no_delivery():
    ledger = Receipts(["a"])
    ledger.sent(E1, 1)
    ledger.sent(E1, 2)
    assert list(ledger.receipt("a", Receipt(epoch=E1, upto=2, conflicts=[1]))) == [(2, 2)]


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


# -- what small changes of the code would go unnoticed without


def test_with_a_token_there_is_nothing_to_wait_for():
    bucket = TokenBucket(1.0, 0.0)
    assert bucket.wait(0.0) == 0.0
    assert bucket.spend(0.0)
    assert bucket.wait(0.0) == 1.0
    assert bucket.wait(0.75) == pytest.approx(0.25)
    slow = TokenBucket(100.0, 0.0)
    while slow.spend(0.0):
        pass
    assert slow.wait(0.0) == pytest.approx(0.1), "half of what may be used at once: not one wake-up per batch"


def test_where_the_broker_keeps_nothing_the_state_is_said_again_now_and_then():
    for kept in (True, False):
        report = StateTopic()
        assert report.due(E1, 1, 0, 0.0, kept=kept)
        report.said(E1, 1, 0, 0.0)
        assert not report.due(E1, 1, 0, UNKEPT - 1.0, kept=kept)
        assert report.due(E1, 1, 0, UNKEPT, kept=kept) is not kept


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
    for lived in (40.0, 40.0, TAKEN_FORGOTTEN, 40.0):
        state.connected("5.0")
        now.t += lived
        waits.append(state.lost(LinkTaken("taken")))
    assert waits == [30.0, 60.0, 30.0, 60.0]


def test_news_is_what_a_consumer_had_not_said_before():
    ledger = Receipts(["a", "b"])
    for seq in (1, 2, 3):
        ledger.sent(E1, seq)
    ledger.receipt("a", Receipt(epoch=E1, upto=2))
    assert list(ledger.news) == [(1, 2)]
    ledger.receipt("a", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == [(3, 3)]
    ledger.receipt("a", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == []
    ledger.receipt("b", Receipt(epoch=E1, upto=1))
    assert list(ledger.news) == [(1, 1)]
    ledger.receipt("stranger", Receipt(epoch=E1, upto=3))
    assert list(ledger.news) == []
    ledger.receipt("b", Receipt(epoch=E2, upto=3))
    assert list(ledger.news) == []


def test_a_conflict_is_pending_until_it_is_delivered_under_its_own_epoch():
    conflicts, mine = Conflicts(), row(3)
    conflicts.report(E1, [3])
    assert key_of(mine) not in conflicts
    conflicts.reissue(mine)
    assert key_of(mine) in conflicts
    assert key_of(row(4)) not in conflicts
    assert list(conflicts) == [mine]
    conflicts.delivered(key_of(mine))
    assert key_of(mine) not in conflicts
    assert list(conflicts) == []
    assert len(conflicts) == 1


def test_the_first_conflict_of_an_epoch_leaves_it_and_a_failure_to_leave_is_tried_again():
    conflicts = Conflicts()
    assert conflicts.leaves(E1)
    assert not conflicts.leaves(E1)
    assert conflicts.leaves(E2)
    conflicts.stays(E1)
    assert conflicts.leaves(E1)


def delivery_with(count, patience=30.0):
    found = Delivery(["a"], patience)
    rows = [row(seq) for seq in range(1, count + 1)]
    for sealed in rows:
        found.sent(sealed, 0.0)
    return found, rows


def test_after_a_silence_the_first_receipt_brings_the_next_probe_within_a_second():
    found, rows = delivery_with(2)
    found.acknowledged([(key_of(sealed), 0) for sealed in rows], 0.0)
    assert found.trial(29.0) is None
    assert found.trial(30.0) == rows[0]
    found.receipt("a", Receipt(epoch=E1, upto=0), 35.0)
    assert found._receipt_timer.at == 36.0
    found._receipt_timer.tried(36.0)
    at = found._receipt_timer.at
    found.receipt("a", Receipt(epoch=E1, upto=0), 37.0)
    assert found._receipt_timer.at == at, "it is there, and says only that it has not got it"


def test_a_broker_that_owes_acknowledgements_is_left_and_met_with_one_batch_at_once():
    found, rows = delivery_with(2)
    assert not found.mute(30.0)
    assert found.mute(30.1)
    assert found._broker_timer.due(30.1)
    found.disconnected()
    found._broker_timer.tried(31.0)
    wait = found._broker_timer.at
    found.connected(32.0)
    assert found._broker_timer.at == wait, "a mute broker gets no other chance for answering a connection"
    found.sent(rows[0], wait)
    found.acknowledged([(key_of(rows[0]), 0)], wait + 1.0)
    assert not found._broker_timer.running
    assert not found.mute(1000.0), "nothing is owed"


def test_without_consumers_a_good_acknowledgement_delivers_once():
    found = Delivery([], 30.0)
    assert not found.confirmed
    sealed = row(1)
    found.sent(sealed, 0.0)
    outcome = found.acknowledged([(key_of(sealed), 0), (key_of(sealed), 0), ("state", 0), ((E1, 99), 0)], 1.0)
    assert (outcome.accepted, outcome.refused, outcome.again) == (True, [], [])
    assert found.settled() == {E1: Ranges([(1, 1)])}
    assert found.settled() == {}
    assert (
        found.counters.delivered_batches,
        found.counters.delivered_readings,
        found.counters.sent_batches,
    ) == (1, 1, 1)
    assert found.delivered_at == 1.0
    found.sent(sealed, 2.0)
    assert found.counters.resent_batches == 1


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


def test_what_was_on_its_way_as_zlib_goes_again_as_json_once_the_rule_is_known():
    fitting = Fitting(
        "P/data", "gw1", Objections("P/data"), Troubles(logging.getLogger("x"), "x"), packed=True
    )
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
