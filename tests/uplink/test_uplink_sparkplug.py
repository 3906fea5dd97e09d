"""Sparkplug B on a real broker, read by an implementation that is not ours: births, data, deaths, the primary
host, rebirth, numbers, history.
"""

import shutil

import pytest
from uplink_host import NOW, SPARKPLUG, batch_of, box_of, decoded, description, host, reading, sent
from uplink_parts import FAST, PATIENT, T0, FakeClock, Running, config

from gateway.errors import WireError
from gateway.mqtt import MemoryLink
from gateway.uplink.dialects.dialect import building_of
from gateway.uplink.dialects.link import DialectLink
from gateway.uplink.dialects.sparkplug import SEQS, Sparkplug
from gateway.uplink.dialects.sparkplug_payload import BOOLEAN, Metric, asks_for_rebirth, encode
from gateway.wire import Batch, Topics
from tests.waiting import until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        not SPARKPLUG.exists() or shutil.which("node") is None,
        reason="sparkplug-payload is not installed (tests/tools.sh, needs npm)",
    ),
]
STATE = "spBv1.0/STATE/scada"
HEARD = ("spBv1.0/#",)
"""Nobody hears the message that proves the others."""
NODE = "spBv1.0/izmir/{}/gw1"


def running(broker, box, *, primary_host=None, clock=None):
    told = {"group": "izmir", "primary_host": primary_host}
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", dialect="sparkplug", sparkplug=told)
    return Running(settings, box, describe=description, clock=clock or FakeClock(), timing=FAST)


def state(*, online, t=1):
    return b'{"online":%s,"timestamp":%d}' % (b"true" if online else b"false", t)


def spoken(here):
    """(kind, meter or empty, payload) of each Sparkplug message, in order."""
    messages = [h for h in here.of("spBv1.0/izmir/") if "/NCMD/" not in h.topic]
    payloads = decoded([h.payload for h in messages])
    return [
        (h.topic.split("/")[2], [*h.topic.split("/"), ""][4], payload)
        for h, payload in zip(messages, payloads, strict=True)
    ]


def values_of(payload):
    return {metric["name"]: metric.get("value") for metric in payload["metrics"]}


async def test_births_list_every_metric_and_data_follows_with_its_own_time(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        async with running(broker, box_of()) as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            run.commit(sent(1, ago=-1, active_power=2.5, active_energy_import=100.0))
            await until(lambda: run.stats.delivered_batches == 1 and here.of(NODE.format("DDATA")))
        await until(lambda: here.of(NODE.format("NDEATH")))
    said = spoken(here)
    assert [(kind, meter) for kind, meter, _ in said] == [
        ("NBIRTH", ""), ("DBIRTH", "main"), ("DBIRTH", "lift"), ("DDATA", "main"), ("NDEATH", ""),
    ]  # fmt: skip
    node, main, _, data, death = [payload for *_, payload in said]
    assert [payload["seq"] for payload in (node, main, said[2][2], data)] == [0, 1, 2, 3]
    born = {metric["name"]: metric for metric in node["metrics"]}
    assert (born["Node Control/Rebirth"]["type"], born["Node Control/Rebirth"]["value"]) == ("Boolean", False)
    assert born["bdSeq"]["value"] == values_of(death)["bdSeq"] == 0
    device = {metric["name"]: metric for metric in main["metrics"]}
    assert {"active_power", "reactive_power", "voltage_l1n", "active_energy_import"} <= set(device)
    power = device["active_power"]
    assert (power["type"], power["value"]) == ("Double", None)
    assert power["properties"]["engUnit"]["value"] == "kW"
    assert power["properties"]["Quality"]["value"] == 0, "not known yet"
    assert device["Properties/Serial"]["value"] == "123"
    [first, second] = data["metrics"]
    assert (first["name"], first["value"], first["timestamp"]) == ("active_power", 2.5, T0 + NOW + 1000)
    assert (second["name"], second["value"]) == ("active_energy_import", 100.0)
    assert first["properties"]["Quality"]["value"] == 192
    assert not first.get("isHistorical")
    assert {h.qos for h in here.of(NODE.format("DDATA"))} == {0}


async def test_absent_and_suspect_values_have_bad_quality(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        async with running(broker, box_of()) as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            one = reading(
                "main", NOW, absent={"voltage_l1n": "refused"}, suspect=["active_power"], active_power=1.0
            )
            run.commit(batch_of(1, NOW, [one]))
            await until(lambda: run.stats.delivered_batches == 1 and here.of(NODE.format("DDATA")))
        [data] = [payload for kind, _, payload in spoken(here) if kind == "DDATA"]
    metrics = {metric["name"]: metric for metric in data["metrics"]}
    assert metrics["voltage_l1n"]["value"] is None
    assert metrics["voltage_l1n"]["properties"]["Quality"]["value"] == 0
    assert (metrics["active_power"]["value"], metrics["active_power"]["properties"]["Quality"]["value"]) == (
        1.0,
        0,
    )


@pytest.mark.parametrize("absent", [True, False])
def test_a_birth_says_of_a_value_no_more_than_the_data_before_it(absent):
    """A rebirth must not turn a value that is doubted, or not there any more, into a good one."""
    dialect = Sparkplug("gw1", group="izmir", primary_host=None)
    dialect.birth(building_of(description()), T0)
    more = (
        {"absent": {"active_energy_import": "timeout"}} if absent else {"suspect": ["active_energy_import"]}
    )
    values = {} if absent else {"active_energy_import": 0.0}
    rows = [
        reading("main", 1000, active_power=1.0, active_energy_import=184_223.5),
        reading("main", 2000, **more, active_power=2.0, **values),
    ]
    dialect.messages(Batch("gw1", "e" * 16, 1, T0, 0, "synced", rows, []), T0 + 2000)
    [born] = [m for m in dialect.birth(building_of(description()), T0 + 3000) if m.topic.endswith("/main")]
    metrics = {metric["name"]: metric for metric in decoded([born.payload])[0]["metrics"]}
    energy, power = metrics["active_energy_import"], metrics["active_power"]
    assert (energy["value"], energy["timestamp"]) == (None if absent else 0.0, T0 + 2000)
    assert energy["properties"]["Quality"]["value"] == 0
    assert (power["value"], power["properties"]["Quality"]["value"]) == (2.0, 192)


async def test_a_lost_meter_dies_and_is_born_again_with_its_last_values(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        async with running(broker, box_of()) as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            run.commit(sent(1, ago=-1, active_power=1.0))
            run.commit(batch_of(2, NOW + 2000, [reading("main", NOW + 2000, missing="timeout")]))
            run.commit(batch_of(3, NOW + 3000, [reading("main", NOW + 3000, missing="timeout")]))
            run.commit(sent(4, ago=-4, active_power=4.0))
            await until(lambda: run.stats.delivered_batches == 4 and len(here.of(NODE.format("DDATA"))) == 2)
        said = [(kind, payload) for kind, meter, payload in spoken(here) if meter == "main"]
    assert [kind for kind, _ in said] == ["DBIRTH", "DDATA", "DDEATH", "DBIRTH", "DDATA"]
    assert values_of(said[3][1])["active_power"] == 1.0


def told(dialect, seq, *rows, now):
    """(kind, payload) of what a batch becomes, but for the message that proves it."""
    spoken = dialect.messages(Batch("gw1", "e" * 16, seq, T0, 0, "synced", list(rows), []), T0 + now).messages
    messages = [message for message in spoken if message.topic.startswith("spBv1.0/")]
    payloads = decoded([message.payload for message in messages])
    return [
        (message.topic.split("/")[2], payload) for message, payload in zip(messages, payloads, strict=True)
    ]


def quality_of(payload, name):
    [metric] = [metric for metric in payload["metrics"] if metric["name"] == name]
    return metric["value"], metric["properties"]["Quality"]["value"]


def test_the_history_of_a_meter_that_is_lost_leaves_it_lost():
    """After an outage its backlog goes beside live batches, in which it is missing."""
    dialect = Sparkplug("gw1", group="izmir", primary_host=None)
    dialect.birth(building_of(description("main")), T0)
    told(dialect, 50, reading("main", 50_000, active_power=1.0), now=50_000)
    assert [
        kind for kind, _ in told(dialect, 60, reading("main", 60_000, missing="timeout"), now=60_000)
    ] == ["DDEATH"]
    said = told(dialect, 7, reading("main", 7_000, active_power=7.0), now=61_000)
    assert [kind for kind, _ in said] == ["DBIRTH", "DDATA", "DDEATH"]
    assert quality_of(said[0][1], "active_power") == (1.0, 500), "stale: nobody knows it now"
    assert said[1][1]["metrics"][0]["isHistorical"]
    assert not told(dialect, 61, reading("main", 61_000, missing="timeout"), now=61_000), "it was lost before"
    back = told(dialect, 62, reading("main", 62_000, active_power=2.0), now=62_000)
    assert [kind for kind, _ in back] == ["DBIRTH", "DDATA"]
    assert [payload["seq"] for _, payload in said + back] == [4, 5, 6, 7, 8], "none is left out"


def test_a_rebirth_does_not_raise_a_meter_that_is_lost():
    dialect = Sparkplug("gw1", group="izmir", primary_host=None)
    dialect.birth(building_of(description()), T0)
    told(dialect, 1, reading("main", 1_000, missing="timeout"), now=1_000)
    births = [
        message.topic.rsplit("/", 1)[1] for message in dialect.birth(building_of(description()), T0 + 2_000)
    ]
    assert births == ["gw1", "lift"]
    dialect.opening(T0 + 3_000)
    births = [
        message.topic.rsplit("/", 1)[1] for message in dialect.birth(building_of(description()), T0 + 3_000)
    ]
    assert births == ["gw1", "lift"], "on a new connection, too"


@pytest.mark.parametrize(("age", "quality"), [(20, 192), (31, 500), (6 * 3600, 500)])
def test_a_value_from_before_an_outage_is_born_as_what_it_is(age, quality):
    dialect = Sparkplug("gw1", group="izmir", primary_host=None)
    dialect.birth(building_of(description("main")), T0)
    told(dialect, 1, reading("main", 1_000, active_power=2.5), now=1_000)
    dialect.opening(T0)
    [_, device] = dialect.birth(building_of(description("main")), T0 + 1_000 + age * 1000)
    [payload] = decoded([device.payload])
    assert quality_of(payload, "active_power") == (2.5, quality)
    assert quality_of(payload, "voltage_l1n") == (None, 0)


async def test_what_was_taken_before_the_birth_goes_as_historical_and_in_order(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        box = box_of(*(sent(seq, ago=100 - seq, active_power=float(seq)) for seq in range(1, 41)))
        async with running(broker, box) as run:
            await until(
                lambda: run.stats.delivered_batches == 40 and len(here.of(NODE.format("DDATA"))) == 40
            )
            run.commit(sent(41, ago=-1, active_power=41.0))
            await until(
                lambda: run.stats.delivered_batches == 41 and len(here.of(NODE.format("DDATA"))) == 41
            )
        data = [payload["metrics"][0] for kind, _, payload in spoken(here) if kind == "DDATA"]
    assert [metric["value"] for metric in data] == [float(seq) for seq in range(1, 42)]
    assert [bool(metric.get("isHistorical")) for metric in data] == [True] * 40 + [False]


async def test_nothing_is_said_while_the_primary_host_is_away_and_all_of_it_when_it_is_there(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        here.say(STATE, state(online=False, t=5), retain=True)
        box = box_of(*(sent(seq, ago=100 - seq, active_power=float(seq)) for seq in range(1, 21)))
        async with running(broker, box, primary_host="scada") as run:
            await until(lambda: "the primary host scada is not online" in run.stats.last_error)
            assert not here.of("spBv1.0/izmir/")
            assert run.stats.delivered_batches == 0
            here.say(STATE, state(online=True, t=6), retain=True)
            await until(lambda: run.stats.delivered_batches == 20, 60)
            here.say(STATE, state(online=False, t=5), retain=True)  # the Last Will of a session before
            run.commit(sent(21, ago=-1, active_power=21.0))
            await until(lambda: run.stats.delivered_batches == 21)


async def test_a_host_that_goes_offline_ends_the_connection_and_gets_what_it_missed(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        here.say(STATE, state(online=True, t=1), retain=True)
        async with running(broker, box_of(), primary_host="scada") as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            here.say(STATE, state(online=False, t=2), retain=True)
            await until(lambda: not run.stats.connected)
            for seq in range(1, 11):
                run.commit(sent(seq, ago=20 - seq, active_power=float(seq)))
            here.say(STATE, state(online=True, t=3), retain=True)
            await until(lambda: run.stats.delivered_batches == 10, 60)
            await until(lambda: len(here.of(NODE.format("DDATA"))) >= 10)
        said = spoken(here)
    node = [(kind, values_of(payload)["bdSeq"]) for kind, meter, payload in said if not meter]
    births = [number for kind, number in node if kind == "NBIRTH"]
    assert births == sorted(set(births)), "each connection has a number of its own"
    assert node[:2] == [("NBIRTH", births[0]), ("NDEATH", births[0])], "who leaves says so: no will is sent"
    values = [payload["metrics"][0]["value"] for kind, _, payload in said if kind == "DDATA"]
    assert sorted(set(values)) == [float(seq) for seq in range(1, 11)]


@pytest.mark.virtual_time
async def test_a_proof_that_comes_behind_the_end_of_the_host_proves_nothing_and_the_data_goes_as_history():
    """The host goes, and in the same breath comes the PUBACK: nobody has stored what the broker took."""
    link, now = MemoryLink(), [T0 + NOW]
    dialect = Sparkplug("gw1", group="izmir", primary_host="scada")
    told = {"group": "izmir", "primary_host": "scada"}
    spoken = DialectLink(dialect, link, Topics("gw1"), description, lambda: now[0])
    settings = config(dialect="sparkplug", sparkplug=told)

    def kinds(connection):
        return [m.topic.split("/")[2] for m in connection.sent if m.topic.startswith("spBv1.0/")]

    async with Running(settings, box_of(), link=spoken, describe=description, timing=PATIENT) as run:
        first = await until(lambda: link.opened and link.opened[-1])
        first.deliver(STATE, state(online=True, t=1))
        await until(lambda: first.acknowledge() or run.stats.connected)
        run.commit(sent(1, ago=-1, active_power=1.0))
        await until(lambda: "DDATA" in kinds(first) and first.unacked)
        first.deliver(STATE, state(online=False, t=2))
        first.acknowledge()
        second = await until(lambda: len(link.opened) == 2 and link.opened[-1])
        assert run.stats.delivered_batches == 0
        assert kinds(first)[-1] == "NDEATH"
        now[0] += 60_000
        second.deliver(STATE, state(online=True, t=3))
        await until(lambda: second.acknowledge() or run.stats.delivered_batches == 1)
    assert kinds(second)[:4] == ["NBIRTH", "DBIRTH", "DBIRTH", "DDATA"], "else the host drops the history"
    [data] = [m.payload for m in second.sent if "/DDATA/" in m.topic]
    [metric] = decoded([data])[0]["metrics"]
    assert (metric["value"], metric["isHistorical"]) == (1.0, True)


async def test_a_killed_gateway_dies_by_its_will_with_the_number_of_its_birth(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        async with running(broker, box_of()) as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            link = run.forwarder._link._link._newest
            link._client.socket().shutdown(2)
            await until(lambda: here.of(NODE.format("NDEATH")))
            await until(lambda: len(here.of(NODE.format("NBIRTH"))) == 2)
        said = [(kind, values_of(payload)["bdSeq"]) for kind, meter, payload in spoken(here) if not meter]
    assert said[:3] == [("NBIRTH", 0), ("NDEATH", 0), ("NBIRTH", 1)]


async def test_a_host_that_asks_is_told_everything_again(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD) as here:
        async with running(broker, box_of()) as run:
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 2)
            run.commit(sent(1, ago=-1, active_power=2.5))
            await until(lambda: run.stats.delivered_batches == 1)
            for junk in (b"\xff\xff", b"", encode(0, [], 0)):
                here.say(NODE.format("NCMD"), junk)
            here.say(NODE.format("NCMD"), encode(0, [Metric("Node Control/Rebirth", 0, True, BOOLEAN)], 0))
            await until(lambda: len(here.of(NODE.format("DBIRTH"))) == 4)
        said = [(kind, meter, payload) for kind, meter, payload in spoken(here) if kind.endswith("BIRTH")]
    assert [(kind, meter) for kind, meter, _ in said[3:]] == [
        ("NBIRTH", ""),
        ("DBIRTH", "main"),
        ("DBIRTH", "lift"),
    ]
    assert said[3][2]["seq"] == 0
    assert values_of(said[4][2])["active_power"] == 2.5, "the last value, not none"
    assert values_of(said[0][2])["bdSeq"] == values_of(said[3][2])["bdSeq"]


def test_numbers_go_round():
    dialect = Sparkplug("gw1", group="izmir", primary_host=None)
    dialect.opening(T0)
    dialect.birth(building_of(description("main")), T0)
    seqs = []
    for index in range(600):
        batch = Batch(
            "gw1",
            "a" * 16,
            index + 1,
            T0 + index,
            index,
            "synced",
            [reading("main", index, active_power=1.0)],
        )
        [data, _] = dialect.messages(batch, T0).messages
        seqs.append(data.payload)
    numbers = [payload["seq"] for payload in decoded(seqs)]
    assert numbers == [(2 + index) % SEQS for index in range(600)]
    for _ in range(300):
        will = dialect.opening(T0)
    [death] = decoded([will.payload])
    assert values_of(death)["bdSeq"] == 300 % SEQS


async def test_a_meter_that_is_not_described_any_more_is_skipped_and_counted(mosquitto):
    broker = mosquitto()
    with host(broker.port, topics=HEARD):
        async with running(broker, box_of(sent(1, meter="cellar", active_power=1.0))) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            assert run.stats.skipped == 1


@pytest.mark.parametrize("payload", [b"\x0a\xff", b"\x12\x02\x0a", b"\xff" * 50])
def test_a_command_that_is_none_is_a_wire_error(payload):
    with pytest.raises(WireError):
        asks_for_rebirth(payload)


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"null", b"[]", b"OFFLINE", b"\xff", b'{"online":1}'),
        *(b'{"online":true,"timestamp":"x"}', b'{"online":"false","timestamp":9}'),
    ],
)
def test_a_state_that_is_none_changes_nothing(payload):
    dialect = Sparkplug("gw1", group="izmir", primary_host="scada")
    dialect.opening(T0)
    assert dialect.heard(STATE, payload, T0) == []
    assert dialect.away is not None
    dialect.heard(STATE, state(online=True), T0)
    dialect.heard(STATE, payload, T0)
    assert dialect.away is None
