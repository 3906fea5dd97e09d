"""What a broker takes and what it does not: packet sizes, QoS, retained messages, keep-alive; against
mosquitto and on paper.
"""

import json
from dataclasses import replace
from zlib import crc32

import pytest
from uplink_parts import E1, PATIENT, Running, config, outbox, platform, row

from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import Draft, Event, Reading
from gateway.mqtt import LinkState
from gateway.mqtt.limits import packet_size, payload_room
from gateway.wire import MAX_PLAIN, Batch, Topics, compress, decode, encode, split
from tests.fake_broker import RefusesAWill
from tests.waiting import until

TOPICS = Topics("gw1")
HEADER = Batch("gw1", E1, 7, 1_795_278_300_000, 5, "synced")


def noise(meter, count):
    """A reading that does not compress."""
    return Reading(
        meter,
        5,
        {
            f"q{n}": (n * 7919 + len(meter) * 104729 + crc32(meter.encode()) % 9973) % 99991 / 100
            for n in range(count)
        },
    )


# -- on paper


@pytest.mark.parametrize("five", [True, False])
@pytest.mark.parametrize("room", [1, 100, 127, 128, 700, 16383, 16384, 100_000])
def test_the_largest_payload_fits_and_one_byte_more_does_not(five, room):
    size = packet_size("a/b", room, five=five)
    assert payload_room("a/b", size, five=five) == room
    assert payload_room("a/b", size - 1, five=five) < room


def test_the_size_of_a_packet_is_that_on_the_line():
    # fixed header 2, topic 2 + 3, packet identifier 2, properties 1, payload 4
    assert packet_size("a/b", 4, five=True) == 14
    assert packet_size("a/b", 4, five=False) == 13
    assert packet_size("ğ", 0, five=False) == 2 + 2 + 2 + 2


@pytest.mark.parametrize("limit", [400, 700, 1500, 8192])
def test_a_slot_is_cut_to_what_the_broker_takes_and_nothing_is_lost(limit):
    readings = [noise(f"m{n}", 30) for n in range(120)]
    draft = Draft(
        readings,
        [Event("epoch_started", 5, {"previous": None, "last": 0, "reason": "boot"})],
        packed_limit=limit,
    )
    parts = [plain for _, plain in split(draft, HEADER)]
    assert all(len(compress(part)) <= limit for part in parts)
    assert len(parts) > 1
    batches = [decode(part) for part in parts]
    assert [batch.seq for batch in batches] == list(range(7, 7 + len(parts)))
    assert batches[0].events[0].kind == "epoch_started", "an epoch's first batch says so"
    values = {}
    for batch in batches:
        for reading in batch.readings:
            assert values.setdefault(reading.meter, {}).keys().isdisjoint(reading.values)
            values[reading.meter] |= reading.values
    assert values == {reading.meter: reading.values for reading in readings}


def test_the_description_of_a_driver_is_divided_by_its_quantities():
    quantities = {
        f"quantity_{n}": {"unit": "kWh", "kind": "counter", "obis": f"1-0:{n * 37 % 97}.8.{n}"}
        for n in range(60)
    }
    draft = Draft(events=[Event("driver", 5, {"driver": "d", "quantities": quantities})], packed_limit=500)
    parts = [plain for _, plain in split(draft, HEADER)]
    events = [event for part in parts for event in decode(part).events]
    assert all(len(compress(part)) <= 500 for part in parts)
    assert {name: word for event in events for name, word in event.fields["quantities"].items()} == quantities
    assert {event.fields["driver"] for event in events} == {"d"}


def test_what_cannot_be_divided_stays_whole_and_without_a_limit_nothing_is_cut():
    assert len(split(Draft([noise("m", 1)], packed_limit=10), HEADER)) == 1
    assert len(split(Draft([noise(f"m{n}", 30) for n in range(12)]), HEADER)) == 1
    assert all(
        len(plain) <= MAX_PLAIN for _, plain in split(Draft([noise(f"m{n}", 30) for n in range(200)]), HEADER)
    )


@pytest.mark.parametrize(("meters", "values"), [(50, 34), (300, 1), (2000, 1), (700, 12)])
def test_what_is_cut_before_it_is_made_is_not_cut_needlessly_and_keeps_everything(
    meters: int, values: int
) -> None:
    readings = [noise(f"m{n}", values) for n in range(meters)]
    whole = len(encode(replace(HEADER, readings=readings)))
    parts = split(Draft(readings), HEADER)
    assert (len(parts) == 1) == (whole <= MAX_PLAIN)
    assert [reading for part, _ in parts for reading in part.readings] == readings
    for number, (part, plain) in enumerate(parts):
        batch = decode(plain)
        assert len(plain) <= MAX_PLAIN
        assert (batch.seq, batch.values) == (
            HEADER.seq + number,
            sum(len(reading.values) for reading in part.readings),
        )


# -- against mosquitto


def large(seq):
    """A stored batch of some kilobytes that was made before the limit was known."""
    batch = Batch(
        "gw1", E1, seq, 1_795_278_300_000 + seq, seq, "synced", [noise(f"m{n}", 30) for n in range(40)]
    )
    sealed = row(seq)
    return type(sealed)(
        sealed.epoch,
        seq,
        sealed.boot,
        batch.t0,
        seq,
        "synced",
        40,
        1200,
        False,
        compress(split(Draft(batch.readings), batch)[0][1]),
    )


@pytest.mark.broker
@pytest.mark.parametrize(
    ("option", "protocol"),
    [("max_packet_size", "5.0"), ("max_packet_size", "3.1.1"), ("message_size_limit", "5.0")],
)
async def test_batches_go_although_one_and_the_meters_are_too_large(mosquitto, monkeypatch, option, protocol):
    # a broker of 3.1.1 says its limit by hanging up alone: how often depends on what is on its way, and the
    # wait after each time doubles
    monkeypatch.setattr("gateway.mqtt.reconnect.UNSTEADY", (0.1, 0.5))
    broker = mosquitto(f"allow_anonymous true\n{option} 900\n")
    box = outbox(5)
    box.commit(large(6))
    for seq in range(7, 12):
        box.commit(row(seq))
    meters = json.dumps({"meters": [f"meter number {n} of {n * 7919 % 10007}" for n in range(300)]}).encode()
    with platform(broker.port, protocol=4 if protocol == "3.1.1" else 5) as here:
        settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol)
        async with Running(settings, box, describe=lambda: meters) as run:
            await until(lambda: here.seqs == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11], 60)
            run.commit(row(12))
            await until(lambda: 12 in here.seqs)
            await until(lambda: run.stats.set_aside == 1, 60)
            assert 6 not in here.seqs
            await until(
                lambda: run.stats.waiting_batches == 0
            )  # what is set aside is no reason to hide a gap for ever
            await until(lambda: "set aside" in run.stats.last_error or "left out" in run.stats.last_error)
            await until(lambda: run.stats.left_out == (TOPICS.meters,), 60)
            assert run.stats.set_aside_cause == "too_large"
            assert run.stats.refused_topics == (), "their size is no matter of the access list"


@pytest.mark.broker
async def test_what_a_broker_of_3_1_1_acknowledges_and_drops_stays_in_the_journal_where_receipts_decide(
    mosquitto,
):
    broker = mosquitto("allow_anonymous true\nmessage_size_limit 900\n")
    box = outbox(5)
    box.commit(large(6))
    for seq in range(7, 12):
        box.commit(row(seq))
    with platform(broker.port, consumer="city", protocol=4) as here:
        settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol="3.1.1", receipts=["city"])
        async with Running(settings, box) as run:
            await until(lambda: "Dropped too large PUBLISH" in broker.log)
            run.commit(row(12))
            await until(lambda: run.stats.delivered_batches == 11)
            assert set(here.seqs) == set(range(1, 13)) - {6}
            await until(lambda: run.stats.backlog_batches == 1)
            assert run.stats.set_aside == 0


@pytest.mark.broker
async def test_the_limit_is_known_to_whom_makes_batches_and_meters_go_compressed(mosquitto):
    broker = mosquitto("allow_anonymous true\nmax_packet_size 2000\n")
    meters = json.dumps({"meters": ["the same words again"] * 300}).encode()
    with platform(broker.port) as here:
        async with Running(
            config(url=f"mqtt://127.0.0.1:{broker.port}"), outbox(1), describe=lambda: meters
        ) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            assert 1800 < run.forwarder.batch_limit < 2000
            await until(lambda: here.of(TOPICS.meters))
            assert here.of(TOPICS.meters)[0][:1] == b"\x78"
            assert run.stats.last_error == ""


@pytest.mark.broker
async def test_a_batch_that_is_too_large_plain_goes_compressed(mosquitto):
    broker = mosquitto("allow_anonymous true\nmax_packet_size 900\n")
    box = outbox()
    readings = [Reading(f"m{n}", 5, {f"quantity_{q}": 230.0 for q in range(20)}) for n in range(10)]
    sealed = row(1)
    body = compress(split(Draft(readings), Batch("gw1", E1, 1, sealed.t0, 5, "synced"))[0][1])
    assert len(body) < 800
    box.commit(type(sealed)(E1, 1, sealed.boot, sealed.t0, 5, "synced", 10, 200, False, body))
    with platform(broker.port) as here:
        async with Running(config(url=f"mqtt://127.0.0.1:{broker.port}", compress=False), box) as run:
            await until(lambda: here.seqs == [1])
            assert run.stats.set_aside == 0


@pytest.mark.broker
async def test_a_broker_with_qos_0_only_is_named_as_what_it_is(mosquitto):
    broker = mosquitto("allow_anonymous true\nmax_qos 0\n")
    async with Running(config(url=f"mqtt://127.0.0.1:{broker.port}"), outbox(3)) as run:
        await until(lambda: run.stats.state == LinkState.REFUSED.value)
        assert "QoS 0 only" in run.stats.last_error
        assert "username" not in run.stats.last_error
        assert (run.stats.cause, run.stats.sent_batches) == ("qos", 0)


@pytest.mark.broker
async def test_with_3_1_1_which_has_no_words_for_it_the_log_of_such_a_broker_is_referred_to(mosquitto):
    broker = mosquitto("allow_anonymous true\nmax_qos 0\n")
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol="3.1.1")
    async with Running(settings, outbox(3)) as run:
        await until(lambda: "mosquitto: max_qos" in run.stats.last_error)
        assert (run.stats.cause, run.stats.sent_batches) == ("no_answer", 0)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["auto", "5.0", "3.1.1"])
async def test_a_broker_without_retained_messages_gets_everything_unretained(mosquitto, protocol):
    broker = mosquitto("allow_anonymous true\nretain_available false\n")
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol)
    with platform(broker.port) as here:
        async with Running(settings, outbox(3), timing=PATIENT) as run:
            await until(lambda: here.seqs == [1, 2, 3])
            await until(lambda: here.of(TOPICS.state) and here.of(TOPICS.meters))
            assert "no retained messages" in run.stats.last_error
            assert run.stats.state == "connected"


@pytest.mark.parametrize("code", [0x87, None])
async def test_a_broker_without_last_wills_gets_every_batch(code):
    """Nothing stands in front of readings; that it cannot say when we are cut off is told."""
    async with RefusesAWill(code) as broker:
        settings = config(url=f"mqtt://127.0.0.1:{broker.port}", protocol="5.0")
        async with Running(settings, outbox(3)) as run:
            await until(lambda: run.stats.delivered_batches == 3)
            assert "it takes the connection without one" in run.stats.last_error
            assert "access list" in run.stats.last_error
            assert run.stats.state == "connected"
            assert broker.wills[-1] is False


@pytest.mark.broker
async def test_the_broker_dictates_the_keep_alive(mosquitto):
    broker = mosquitto("allow_anonymous true\nmax_keepalive 10\n")
    with platform(broker.port):
        async with Running(
            config(url=f"mqtt://127.0.0.1:{broker.port}", keepalive="1h"), outbox(1), timing=PATIENT
        ) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            assert run.forwarder._connection._client.keepalive == 10


# -- from the broker's word to the journal's rows


async def test_the_journal_makes_no_batch_that_is_larger_than_the_draft_says(tmp_path):
    journal = Journal.open(tmp_path, gateway="gw1", clock=Clock("system"), uplinks=["city"])
    try:
        free = await journal.commit(Draft([noise(f"m{n}", 30) for n in range(40)]))
        kept = await journal.commit(Draft([noise(f"m{n}", 30) for n in range(40)], packed_limit=700))
        assert len(free) == 1
        assert len(free[0].body) > 2000
        assert len(kept) > 4
        assert max(len(sealed.body) for sealed in kept) <= 700
        assert sum(sealed.values for sealed in kept) == 40 * 30
        assert [sealed.seq for sealed in kept] == list(range(2, 2 + len(kept)))
    finally:
        await journal.close()
