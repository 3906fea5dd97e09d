"""The receiver with the in-memory link: what it answers to what it hears."""

import json
import sqlite3
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import psycopg
import pytest
from receiver_feed import E1, E2, MemoryBroker, batch, opening

from gateway.errors import JournalBusy
from gateway.model import Event, Interval
from gateway.receiver import Receiver, is_server, receipt_sender, service
from gateway.receiver.intake import schema_check
from gateway.receiver.ledger import receipts
from gateway.receiver.receipt_sender import ReceiptSender
from gateway.receiver.store import Store, open_store
from gateway.wire import (
    MAX_MESSAGE,
    MAX_SMALL,
    Receipt,
    Replay,
    Reply,
    State,
    Topics,
    compress,
    digest,
    encode,
    parse,
)
from tests.waiting import wait_until

P = Topics("gw-1")


class Running:
    """A receiver in a thread of its own."""

    def __init__(self, path, **options):
        self.link = MemoryBroker()
        self.receiver = Receiver(path, self.link.link, **options)
        self.thread = threading.Thread(target=self.receiver.run)
        self.thread.start()
        wait_until(lambda: self.link.link.connected)

    def hear(self, b):
        self.link.hear(Topics(b.gateway).data, compress(encode(b)))

    def state(self, epoch, seq, backlog=0, *, online=True):
        self.link.hear(P.state, State(online=online, epoch=epoch, seq=seq, backlog=backlog).to_bytes())

    def receipts(self, topics=P, consumer="city"):
        return [
            parse(Receipt, body) for topic, body in list(self.link.sent) if topic == topics.receipt(consumer)
        ]

    def replays(self):
        return [parse(Replay, body) for topic, body in list(self.link.sent) if topic == P.replay]

    def stop(self):
        self.receiver.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def run(database):
    started = []

    def start(**options):
        running = Running(database, **options)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


def look(database, sql):
    store = open_store(database, readonly=True)
    try:
        return [tuple(row) for row in store.conn.execute(sql).fetchall()]
    finally:
        store.close()


def test_a_receipt_follows_the_commit(run, database):
    running = run()
    for b in (opening(1), batch(2), batch(4)):
        running.hear(b)
    wait_until(lambda: running.receiver.counts.batches == 3 and running.receipts())
    last = running.receipts()[-1]
    assert (last.epoch, last.upto, last.have) == (E1, 2, [[4, 4]])
    assert look(database, "SELECT seq FROM batch ORDER BY seq") == [(1,), (2,), (4,)]


def test_a_duplicate_is_answered_too(run):
    running = run()
    running.hear(opening(1))
    wait_until(running.receipts)
    before = len(running.receipts())
    running.hear(opening(1))
    wait_until(lambda: len(running.receipts()) > before)
    assert running.receipts()[-1].upto == 1
    assert running.receiver.counts.duplicates == 1


def test_a_conflict_is_told_in_the_receipt_until_the_end_of_time(run):
    running = run()
    running.hear(opening(1))
    running.hear(batch(2, value=1.0))
    running.hear(batch(2, value=2.0))
    wait_until(lambda: running.receiver.counts.conflicts)
    wait_until(lambda: running.receipts() and running.receipts()[-1].conflicts == [2])
    assert 2 not in running.receipts()[-1].covers(1)
    held = digest(encode(batch(2, value=1.0)))
    assert running.receipts()[-1].digests == [(2, held)], "of the one that is stored: whose it is knows it"
    running.stop()
    again = run()
    again.state(E1, 2)
    wait_until(again.receipts)
    assert again.receipts()[-1].conflicts == [2]
    assert again.receipts()[-1].digests == [(2, held)]


@pytest.mark.parametrize("room", [None, 8192, 12_000, 100_000])
def test_of_many_conflicts_the_newest_are_told_with_their_digests_as_far_as_there_is_room(room):
    receipt = Receipt(epoch=E1, upto=0, conflicts=list(range(1, 1001)))
    store = SimpleNamespace(digest_of=lambda *_: "ab" * 16)
    link = SimpleNamespace(room_for=lambda _topic: room)
    teller = ReceiptSender(store, link, "city", SimpleNamespace())
    teller._add_digests("gw-1", receipt)
    told = [seq for seq, _ in receipt.digests]
    assert 50 < len(told) < 1000
    assert told == list(range(1001 - len(told), 1001))
    assert len(receipt.to_bytes()) <= min(MAX_SMALL, room or MAX_SMALL)


def test_each_gateway_is_asked_one_question_at_a_time_and_only_the_newest_answer_counts(run, database):
    running = run(gap_age=0.05, gap_spacing=0.05, gap_answer=0.2, tick=0.05)
    other = Topics("gw-2")
    for gateway in ("gw-1", "gw-2"):
        for b in (opening(1), batch(2), batch(7)):
            running.hear(replace(b, gateway=gateway))
        state = State(online=True, epoch=E1, seq=7, backlog=0)
        running.link.hear(Topics(gateway).state, state.to_bytes())

    def asked(topics):
        return [parse(Replay, body) for topic, body in list(running.link.sent) if topic == topics.replay]

    wait_until(lambda: len(asked(P)) >= 2 and len(asked(other)) >= 2)
    assert len(running.receiver._replays) <= 2, "what was not answered in its time is forgotten"
    lie = Reply(id=asked(other)[0].id, ok=True, epoch=E1, sent=0, gone=[(3, 6, "late")])
    running.link.hear(other.reply, lie.to_bytes())
    wait_until(lambda: {sender for sender, _ in list(running.receiver._replays.values())} == {"gw-1", "gw-2"})
    assert look(database, "SELECT count(*) FROM explained") == [(0,)]


def test_a_gateway_that_comes_online_is_told_what_is_held_of_each_epoch(run):
    running = run()
    running.hear(opening(1))
    running.hear(opening(2, epoch=E2, previous=E1, last=1))
    wait_until(lambda: running.receiver.counts.batches == 2)
    running.stop()
    again = run()
    again.state(E2, 2)
    wait_until(lambda: len(again.receipts()) == 2)
    assert [(r.epoch, r.upto) for r in again.receipts()] == [(E2, 2), (E1, 1)]
    again.state(E2, 2, online=False)
    wait_until(lambda: look(again.receiver._database, "SELECT online FROM state") == [(0,)])
    assert len(again.receipts()) == 2


def test_a_new_gateway_is_told_that_nothing_is_held(run):
    running = run()
    running.state(E1, 17, 17)
    wait_until(running.receipts)
    assert running.receipts() == [Receipt(epoch=E1, upto=0)]


def test_while_the_link_is_down_nothing_is_queued_and_nothing_is_lost(run):
    running = run()
    running.link.drop()
    running.receiver._hear(P.data, compress(encode(opening(1))))  # it came a moment before
    wait_until(lambda: running.receiver.counts.batches == 1)
    running.link.back()
    assert running.link.sent == []
    running.state(E1, 1)
    wait_until(running.receipts)
    assert running.receipts()[-1].upto == 1


HOSTILE = [
    (P.data, b""),
    (P.data, b"{"),
    (P.data, b"\x78\x9c garbage"),
    (P.data, compress(b"{}")),
    (P.data, b"[" * 100_000),
    (P.data, b'{"a":' * 50_000),
    (P.data, compress(b" " * (MAX_MESSAGE + 1))),
    (P.data, b"\xff\xfe\x00"),
    (P.data, encode(opening(1)).replace(b"50.0", b"NaN")),
    (P.data, encode(opening(1)).replace(b"50.0", b"1e999")),
    (P.data, encode(opening(1)).replace(b'"seq":1', b'"seq":0')),
    (P.data, encode(opening(1)).replace(b'"seq":1', b'"seq":' + b"9" * 5000)),
    (P.data, encode(opening(1)).replace(b'"frequency":[50.0]', b'"frequency":[50.0,1]')),
    (P.data, encode(opening(1)).replace(b'"reason":"new_file"', b'"reason":"\\ud800"')),
    (P.data, encode(opening(1)).replace(b'"reason":"new_file"', b'"reason":' + b"9" * 5000)),
    (P.data, encode(opening(1)).replace(b'"new_file"', b"NaN")),
    (P.data, encode(opening(1)).replace(b'"new_file"', b"[" * 5000 + b"]" * 5000)),
    (P.state, b"no"),
    (P.state, b'{"online":1}'),
    (P.state, b" " * 20_000),
    (P.reply, b"{}"),
    (P.meters, b"[]"),
    (P.meters, b'{"gateway":"gw-2"}'),
    (P.meters, b"{" * 100_000),
]


@pytest.mark.parametrize(("topic", "payload"), HOSTILE)
def test_a_hostile_message_is_counted_and_does_no_harm(run, database, topic, payload):
    running = run()
    running.link.hear(topic, payload)
    running.hear(opening(1))
    wait_until(running.receipts)
    assert running.receipts()[-1].upto == 1
    assert running.receiver.counts.refused.total() == 1
    assert look(database, "SELECT gateway, count FROM refused") == [("gw-1", 1)]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "submeter/v1/GW/data",
        "submeter/v1/a/b/data",
        "submeter/v2/gw-1/data",
        "submeter/v1/gw-1/receipt/city",
        "x",
    ],
)
def test_a_message_on_a_foreign_topic_is_counted(run, topic):
    running = run()
    running.link.hear(topic, encode(opening(1)))
    wait_until(lambda: running.receiver.counts.refused)
    assert running.receiver.counts.refused == {"unknown_topic": 1}


def test_a_batch_must_be_of_the_gateway_in_its_topic(run, database):
    running = run()
    running.link.hear(Topics("gw-2").data, encode(opening(1)))
    wait_until(lambda: running.receiver.counts.refused)
    assert running.receiver.counts.refused == {"wrong_gateway": 1}
    assert look(database, "SELECT count(*) FROM batch") == [(0,)]
    assert running.receipts() == running.receipts(Topics("gw-2")) == []


def test_an_oversized_message_is_counted(run):
    running = run()
    running.link.hear(P.data, b"{" + b" " * MAX_MESSAGE)
    wait_until(lambda: running.receiver.counts.refused)
    assert running.receiver.counts.refused == {"oversized": 1}


def test_one_batch_that_cannot_be_stored_does_not_take_others_along(run, database):
    running = run()
    bad = batch(2)
    bad.readings[0].meter = "main"
    bad.intervals = [Interval("main", "active_energy_import", 1, 2, "m", version=2**62)]
    worse = encode(batch(3)).replace(b'"active_power"', b'"' + b"x" * 60 + b'"').replace(b'"main"', b'"m"')
    running.hear(opening(1))
    running.hear(bad)
    running.link.hear(P.data, worse)
    wait_until(lambda: running.receiver.counts.batches == 2)
    assert look(database, "SELECT seq FROM batch ORDER BY seq") == [(1,), (3,)]
    assert running.receiver.counts.refused == {"malformed": 1}


def test_a_row_that_the_database_refuses_is_found_and_the_rest_is_kept(run, database, monkeypatch):
    gather = Store._gather

    def poison(self, group, arrival, totals):
        gather(self, group, arrival, totals)
        if arrival.batch.seq == 2:
            group.readings.append(("one", "column", "short"))

    monkeypatch.setattr(Store, "_gather", poison)
    running = run()
    for b in (opening(1), batch(2), batch(3)):
        running.hear(b)
    wait_until(lambda: running.receiver.counts.batches == 2)
    assert look(database, "SELECT seq FROM batch ORDER BY seq") == [(1,), (3,)]
    wait_until(lambda: running.receipts() and running.receipts()[-1].have == [[3, 3]])
    assert all(2 not in receipt.covers(1) for receipt in running.receipts())


def test_a_disk_that_fails_is_outlived_and_nothing_is_receipted_meanwhile(run, database, monkeypatch):
    take = Store.take
    kind = psycopg.OperationalError if is_server(database) else sqlite3.OperationalError
    broken = threading.Event()
    broken.set()

    def fail(self, arrivals):
        if broken.is_set():
            raise kind("database or disk is full")
        return take(self, arrivals)

    monkeypatch.setattr(Store, "take", fail)
    running = run()
    running.hear(opening(1))
    wait_until(lambda: running.receiver._troubles.open)
    assert running.receipts() == []
    broken.clear()
    running.hear(opening(1))
    wait_until(running.receipts)
    assert running.receipts()[-1].upto == 1


def test_a_mistake_of_ours_does_not_end_it(run, monkeypatch, caplog):
    wrong = iter([True])

    def stumble(*arguments, **options):
        if next(wrong, False):
            raise ZeroDivisionError
        return receipts(*arguments, **options)

    monkeypatch.setattr(receipt_sender, "receipts", stumble)
    running = run()
    running.hear(opening(1))
    wait_until(lambda: "could not be handled" in caplog.text)
    running.hear(opening(1))
    wait_until(running.receipts)
    assert running.receipts()[-1].upto == 1


def test_unknown_fields_are_ignored(run):
    running = run()
    message = json.loads(encode(opening(1))) | {"weather": "rain", "tables2": [1]}
    message["tables"][0]["unit"] = ["kW"]
    running.link.hear(P.data, json.dumps(message).encode())
    wait_until(running.receipts)
    assert running.receipts()[-1].upto == 1
    assert not running.receiver.counts.refused


def test_only_the_gateways_that_were_named_are_received(run, database):
    running = run(gateways=frozenset({"gw-2"}))
    running.hear(opening(1))
    running.hear(opening(1, gateway="gw-2"))
    wait_until(lambda: running.receiver.counts.batches)
    assert look(database, "SELECT gateway FROM batch") == [("gw-2",)]


def test_validate_reports_what_the_schema_does_not_allow_and_keeps_it(run, database):
    said = schema_check()
    running = run(
        check=lambda message: said(message) or ("$.seq: no even numbers" if message["seq"] % 2 == 0 else None)
    )
    running.hear(opening(1))
    running.hear(batch(2))
    wait_until(lambda: running.receiver.counts.batches == 2)
    assert look(database, "SELECT reason, example FROM refused") == [
        ("schema", "stored, but not as the schema says: $.seq: no even numbers")
    ]


def test_the_published_schema_accepts_what_gateways_send_and_says_what_is_wrong():
    said = schema_check()
    message = json.loads(encode(opening(1, events=[Event("thinned", 1000, {"from": 1, "to": 2})])))
    assert said(message) is None
    assert "seq" in said(message | {"seq": "1"})


def test_descriptions_and_states_are_kept(run, database):
    running = run()
    running.link.hear(P.meters, b'{"gateway":"gw-1","meters":[]}')
    running.link.hear(P.meters, b'{"gateway":"gw-1","meters":[]}')
    running.state(E1, 5, 2)
    wait_until(lambda: look(database, "SELECT online, epoch, seq, backlog FROM state") == [(1, E1, 5, 2)])
    assert look(database, "SELECT count(*) FROM meters") == [(1,)]


def test_a_retained_message_that_was_cleared_is_nothing(run):
    running = run()
    running.link.hear(P.state, b"")
    running.link.hear(P.meters, b"")
    running.hear(opening(1))
    wait_until(running.receipts)
    assert not running.receiver.counts.refused


def gap(run, **options):
    """A receiver that misses seqs 3 to 6 of a gateway that has no backlog."""
    running = run(gap_age=0.2, gap_spacing=0.05, tick=0.05, **options)
    for b in (opening(1), batch(2), batch(7)):
        running.hear(b)
    running.state(E1, 7)
    return running


def test_a_gap_is_asked_for_and_filled(run):
    running = gap(run)
    wait_until(running.replays)
    [replay] = running.replays()
    assert (replay.epoch, replay.from_, replay.to) == (E1, 3, 6)
    for seq in range(3, 7):
        running.hear(batch(seq))
    running.link.hear(P.reply, Reply(id=replay.id, ok=True, epoch=E1, sent=4, gone=[]).to_bytes())
    wait_until(lambda: running.receipts()[-1].upto == 7)
    time.sleep(0.6)
    assert len(running.replays()) == 1


def test_a_gap_that_the_gateway_explains_is_closed_with_the_reason(run, database):
    running = gap(run)
    wait_until(running.replays)
    [replay] = running.replays()
    running.link.hear(
        P.reply,
        Reply(
            id=replay.id, ok=True, epoch=E1, sent=0, gone=[(1, 4, "thinned"), (5, 900, "damaged")]
        ).to_bytes(),
    )
    wait_until(
        lambda: (
            look(database, "SELECT first, last, reason FROM explained ORDER BY first")
            == [(3, 4, "thinned"), (5, 6, "damaged")]
        )
    )
    assert look(database, "SELECT ok FROM replay") == [(1,)]
    time.sleep(0.6)
    assert len(running.replays()) == 1
    assert running.receipts()[-1].upto == 2


def test_an_answer_to_another_question_explains_nothing(run, database):
    running = gap(run)
    wait_until(running.replays)
    [replay] = running.replays()
    running.link.hear(P.reply, Reply(id="other", ok=True, epoch=E1, sent=0, gone=[(3, 6, "lie")]).to_bytes())
    running.link.hear(
        P.reply, Reply(id=replay.id, ok=True, epoch=E2, sent=0, gone=[(3, 6, "lie")]).to_bytes()
    )
    running.link.hear(
        Topics("gw-2").reply, Reply(id=replay.id, ok=True, epoch=E1, sent=0, gone=[(3, 6, "lie")]).to_bytes()
    )
    running.hear(batch(8))
    wait_until(lambda: running.receiver.counts.batches == 4)
    assert look(database, "SELECT count(*) FROM explained") == [(0,)]


def test_a_gateway_with_a_backlog_or_offline_is_not_asked(run):
    running = run(gap_age=0.2, gap_spacing=0.05, tick=0.05)
    running.hear(opening(1))
    running.hear(batch(7))
    running.state(E1, 7, 3)
    time.sleep(0.6)
    assert running.replays() == []
    running.state(E1, 7, 0, online=False)
    time.sleep(0.4)
    assert running.replays() == []
    running.state(E1, 7, 0)
    wait_until(running.replays)


def test_a_thinned_event_explains_a_gap_unasked(run):
    running = run(gap_age=0.2, gap_spacing=0.05, tick=0.05)
    running.hear(opening(1))
    running.hear(batch(7, events=[Event("thinned", 7000, {"from": 2, "to": 6})]))
    running.state(E1, 7)
    wait_until(lambda: running.receiver.counts.batches == 2)
    time.sleep(0.6)
    assert running.replays() == []


def test_the_tail_of_the_epoch_before_is_asked_for(run):
    running = run(gap_age=0.2, gap_spacing=0.05, tick=0.05)
    running.hear(opening(1))
    running.hear(opening(4, epoch=E2, previous=E1, last=3))
    running.state(E2, 4)
    wait_until(running.replays)
    assert (running.replays()[0].epoch, running.replays()[0].from_, running.replays()[0].to) == (E1, 2, 3)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_second_receiver_on_the_file_ends_with_a_clear_error(run, database):
    run()
    with pytest.raises(JournalBusy, match="another receiver"):
        Receiver(database, MemoryBroker().link).run()


@pytest.mark.parametrize(("sent", "others"), [(0, True), (4, False)])
def test_an_answer_that_brings_nothing_lets_the_next_gap_be_asked_for(run, sent, others):
    running = run(gap_age=0.1, gap_spacing=0.05, gap_answer=300.0, tick=0.05)
    for b in (opening(1), batch(2), batch(7), batch(12)):
        running.hear(b)
    running.state(E1, 12)
    wait_until(running.replays)
    [first] = running.replays()
    assert (first.from_, first.to) == (8, 11)
    answer = Reply(id=first.id, ok=True, epoch=E1, sent=sent, gone=[])
    running.link.hear(P.reply, answer.to_bytes())
    if others:
        wait_until(lambda: [(ask.from_, ask.to) for ask in running.replays()[1:]] == [(3, 6)])
    else:
        wait_until(lambda: look(running.receiver._database, "SELECT ok FROM replay") == [(1,)])
        time.sleep(0.5)
        assert len(running.replays()) == 1, "what was sent is on its way"


def test_what_was_stored_is_counted_and_a_contradiction_is_said(run, caplog):
    running = run()
    running.hear(opening(1))
    running.hear(batch(2))
    wait_until(lambda: running.receiver.counts.batches == 2)
    assert running.receiver.counts.values == opening(1).values + batch(2).values
    assert "contradict" not in caplog.text
    for value in (1.0, 5.0):
        running.hear(batch(2, value=value))
        wait_until(lambda: running.receiver.counts.conflicts)
    wait_until(lambda: running.receiver.counts.conflicts == 2)
    assert caplog.text.count("batches contradict what is stored under the same number") == 1, "not each time"


def test_a_message_that_hits_a_mistake_of_ours_is_counted(run, monkeypatch):
    monkeypatch.setattr(service.intake, "state", lambda *_: 1 / 0)
    running = run()
    running.state(E1, 1)
    running.hear(opening(1))
    wait_until(running.receipts)
    assert running.receiver.counts.refused == {"malformed": 1}
    assert "ZeroDivisionError" in look(running.receiver._database, "SELECT example FROM refused")[0][0]
