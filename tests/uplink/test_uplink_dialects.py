"""What a platform of another kind hears, on a real broker: Home Assistant, ThingsBoard, FIWARE."""

import asyncio
import json

import pytest
from uplink_host import METERS, NOW, batch_of, box_of, description, host, reading, sent
from uplink_parts import E1, FAST, PATIENT, T0, FakeClock, Running, config

from gateway.model import QUANTITIES
from gateway.mqtt import MemoryLink
from gateway.uplink.dialects.dialect import building_of
from gateway.uplink.dialects.fiware import Fiware, attribute_of
from gateway.uplink.dialects.homeassistant import HomeAssistant, sensor_class
from gateway.uplink.dialects.link import DialectLink
from gateway.uplink.dialects.thingsboard import ThingsBoard
from gateway.wire import Batch, Topics
from tests.waiting import until

LIFT = "submeter/v1/gw1/ha/lift/availability"


def running(broker, dialect, box, *, meters=(), **more):
    settings = config(url=f"mqtt://127.0.0.1:{broker.port}", dialect=dialect, **more)
    return Running(settings, box, describe=lambda: description(*meters), clock=FakeClock(), timing=FAST)


# -- Home Assistant ------------------------------------------------------------------------------------------


async def test_home_assistant_finds_every_quantity_with_device_unit_and_class(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        async with running(
            broker, "homeassistant", box_of(sent(1, active_power=2.5, reactive_power=0.25))
        ) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            await until(lambda: len(here.of("homeassistant/sensor/gw1/")) == 8)
            configs = {h.topic: h.said for h in here.of("homeassistant/sensor/gw1/")}
            assert len(configs) == 8, "two meters, four quantities"
            power = configs["homeassistant/sensor/gw1/main_active_power/config"]
            assert (power["device_class"], power["unit_of_measurement"]) == ("power", "kW")
            assert power["state_class"] == "measurement"
            assert power["expire_after"] == 300
            assert power["device"]["name"] == "Ana sayaç"
            assert power["device"]["serial_number"] == "123"
            energy = configs["homeassistant/sensor/gw1/main_active_energy_import/config"]
            assert (energy["device_class"], energy["state_class"]) == ("energy", "total_increasing")
            assert len({c["unique_id"] for c in configs.values()}) == 8
            await until(lambda: here.of(power["state_topic"]))
            [state] = here.of(power["state_topic"])
            assert state.said == {"active_power": 2.5, "reactive_power": 250.0}, "kvar go out as var"
            assert not state.retain
            said = {h.topic: h.payload for h in here.of("submeter/v1/gw1/ha/") if "availability" in h.topic}
            assert [said[entry["topic"]] for entry in power["availability"]] == [b"online", b"online"]
        await until(lambda: here.of("submeter/v1/gw1/ha/availability")[-1].payload == b"offline")


async def test_home_assistant_gets_no_stale_value_and_each_age_counts(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        old = [sent(seq, ago=4000 - seq, active_power=float(seq)) for seq in range(1, 11)]
        box = box_of(*old, sent(11, ago=20, active_power=11.0))
        async with running(broker, "homeassistant", box) as run:
            await until(lambda: run.stats.delivered_batches == 11)
            run.commit(sent(12, ago=30, active_power=12.0))  # older than what was said: it comes too late
            run.commit(sent(13, ago=10, active_power=13.0))
            await until(lambda: run.stats.delivered_batches == 13)
            await until(lambda: len(here.of("submeter/v1/gw1/ha/main/state")) == 2)
            states = [h.said for h in here.of("submeter/v1/gw1/ha/main/state")]
            assert states == [{"active_power": 11.0}, {"active_power": 13.0}]
            assert run.stats.skipped == 11


async def test_home_assistant_loses_a_meter_that_is_taken_out_whoever_had_announced_it(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        async with running(broker, "homeassistant", box_of(sent(1, meter="lift", active_power=1.0))):
            await until(lambda: len(here.of("homeassistant/sensor/gw1/")) == 8)
            await until(lambda: here.of(LIFT))
    with host(broker.port) as here:  # after a restart with one meter less
        await until(lambda: len(here.of("homeassistant/sensor/gw1/")) == 8)
        async with running(broker, "homeassistant", box_of(), meters=["main"]):
            await until(lambda: sum(not h.payload for h in here.of("homeassistant/sensor/gw1/lift_")) >= 4)
            await until(lambda: [h for h in here.of(LIFT) if not h.payload])
    with host(broker.port) as here:
        await until(lambda: len(here.of("homeassistant/sensor/gw1/")) == 4)
        await asyncio.sleep(0.3)
        assert all("/main_" in h.topic for h in here.of("homeassistant/sensor/gw1/"))
        assert not here.of(LIFT), "the broker keeps nothing of it"


@pytest.mark.parametrize("late", [True, False])
def test_home_assistant_what_is_taken_back_stays_away(late):
    """A batch of before, which goes out after the meter was taken out, brings nothing back that is kept."""
    dialect = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    dialect.birth(building_of(description()), T0)
    taken = dialect.birth(building_of(description("main")), T0)
    assert sum(not message.payload for message in taken) == 5, "four sensors, one availability"
    row = reading("lift" if late else "main", 1000, active_power=1.0)
    said = dialect.messages(Batch("gw1", E1, 1, T0, 0, "synced", [row], []), T0 + 1000).messages
    assert [message.topic for message in said if message.retain] == (
        [] if late else ["submeter/v1/gw1/ha/main/availability"]
    )


def test_a_factor_leaves_no_noise_behind():
    """1.005 × 1000 is 1004.9999999999999 in binary."""
    row = reading("main", 1000, reactive_power=1.005, active_power=1.005)
    batch = Batch("gw1", E1, 1, T0, 0, "synced", [row], [])
    home = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    home.birth(building_of(description("main")), T0)
    assert json.loads(home.messages(batch, T0 + 1000).messages[-1].payload)["reactive_power"] == 1005.0
    [said] = Fiware("gw1", apikey="k").messages(batch, T0).messages
    assert json.loads(said.payload)["totalActivePower"] == 1005.0


async def test_home_assistant_hears_that_a_meter_is_lost_and_there_again(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        async with running(broker, "homeassistant", box_of(sent(1, ago=9, active_power=1.0))) as run:
            lost = [reading("main", NOW - 6000, missing="timeout")]
            run.commit(batch_of(2, NOW - 6000, lost))
            run.commit(sent(3, ago=3, active_power=3.0))
            await until(lambda: run.stats.delivered_batches == 3)
            expected = [b"online", b"offline", b"online"]
            await until(
                lambda: [h.payload for h in here.of("submeter/v1/gw1/ha/main/availability")] == expected
            )


def test_every_quantity_has_a_class_whose_unit_home_assistant_knows():
    """Units and state classes of `homeassistant/components/sensor/const.py`, 2024.3 to 2025.4."""
    units = {
        "power": {"W", "kW"},
        "reactive_power": {"var"},
        "apparent_power": {"VA"},
        "voltage": {"V", "mV"},
        "current": {"A", "mA"},
        "frequency": {"Hz", "kHz", "MHz", "GHz"},
        "energy": {"Wh", "kWh", "MWh", "MJ", "GJ"},
        "temperature": {"°C", "°F", "K"},
        "power_factor": {"", "%"},
        "volume": {"m³", "L", "mL", "gal", "ft³", "CCF", "fl. oz."},
    }
    counters = {"energy", "volume"}
    for quantity in QUANTITIES.values():
        device_class, unit, _ = sensor_class(quantity)
        assert not device_class or unit in units[device_class], quantity.name
        assert (device_class in counters) <= (quantity.kind == "counter"), quantity.name
        assert (device_class not in {"", *counters}) <= (quantity.kind == "gauge"), quantity.name


@pytest.mark.parametrize("payload", [b"{", b"", b"\xff\xfe", b"null"])
def test_home_assistant_a_stranger_on_our_topics_changes_nothing(payload):
    dialect = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    assert dialect.heard("homeassistant/sensor/gw2/x/config", payload, NOW) == []


@pytest.mark.parametrize(
    ("interval", "slow", "announced"), [(10, 60, 300), (300, 300, 930), (60, 900, 300), (3600, 3600, 10_830)]
)
def test_home_assistant_keeps_a_value_until_the_next_one_can_be_there(interval, slow, announced):
    about = {"id": "main", "driver": "sdm630", "interval": interval, "slow_interval": slow}
    dialect = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    born = dialect.birth(building_of(json.dumps({**METERS, "meters": [about]}).encode()), T0)
    configs = [json.loads(m.payload) for m in born if m.topic.endswith("/config")]
    assert {config["expire_after"] for config in configs} == {announced}

    def said(t, now, **values):
        rows = [reading("main", 1000 * t, **values)]
        spoken = dialect.messages(Batch("gw1", E1, 1, T0, 0, "synced", rows, []), T0 + 1000 * now)
        return [json.loads(m.payload) for m in spoken.messages if m.topic.endswith("/state")]

    whole = {"active_energy_import": 5.0, "active_power": 1.0}
    assert said(0, 0, **whole) == [whole]
    t = max(interval, slow - interval)  # the last time before the slow class is read again
    assert said(t, t, active_power=2.0) == [{**whole, "active_power": 2.0}]
    assert said(t + 1, t + 1 + announced, active_power=3.0) != []
    assert said(t + 2, t + 3 + announced, active_power=3.0) == [], "older than that it is not said"


def doubted():
    """A register that shows 0 once, and goes on; a meter of which all is doubted; one that is good."""
    rows = [
        reading("main", NOW - 3000, active_power=1.0, active_energy_import=184_223.5),
        reading(
            "main", NOW - 2000, suspect=["active_energy_import"], active_power=2.0, active_energy_import=0.0
        ),
        reading("lift", NOW - 2000, suspect=["active_power"], active_power=999.0),
        reading("main", NOW - 1000, active_power=3.0, active_energy_import=184_223.6),
    ]
    return Batch("gw1", E1, 1, T0 + NOW, NOW, "synced", rows, [])


def test_a_value_that_is_doubted_is_not_told_as_a_good_one():
    now = T0 + NOW
    home = HomeAssistant("gw1", prefix="homeassistant", expire_after=300)
    said = home.messages(doubted(), now).messages
    states = [json.loads(m.payload) for m in said if m.topic.endswith("/main/state")]
    assert states == [
        {"active_power": 1.0, "active_energy_import": 184_223.5},
        {"active_power": 2.0},
        {"active_power": 3.0, "active_energy_import": 184_223.6},
    ]
    assert [json.loads(m.payload) for m in said if m.topic.endswith("/lift/state")] == [{}], (
        "unknown, not lost"
    )
    rows = [json.loads(m.payload) for m in ThingsBoard("gw1").messages(doubted(), now).messages]
    assert [row["gw1 main"][0]["values"] for row in rows] == states
    told = [json.loads(m.payload) for m in Fiware("gw1", apikey="k").messages(doubted(), now).messages]
    assert [each.get("totalActiveEnergyImport") for each in told] == [184_223.5, None, 184_223.6]
    assert [each["totalActivePower"] for each in told] == [1000.0, 2000.0, 3000.0]


# -- ThingsBoard ---------------------------------------------------------------------------------------------


async def test_thingsboard_gets_each_reading_as_floats_under_its_time(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        two = batch_of(
            1,
            NOW,
            [
                reading("main", NOW, active_power=2.0, voltage_l1n=231),
                reading("lift", NOW - 7, active_power=0.0),
            ],
        )
        async with running(broker, "thingsboard", box_of(two)) as run:
            await until(lambda: run.stats.delivered_batches == 1)
            await until(lambda: len(here.of("v1/gateway/")) >= 6)
            order = [h.topic for h in here.of("v1/gateway/")]
            assert (
                order
                == ["v1/gateway/connect"] * 2 + ["v1/gateway/attributes"] * 2 + ["v1/gateway/telemetry"] * 2
            )
            await until(lambda: len(here.of("v1/gateway/telemetry")) == 2)
            told = here.of("v1/gateway/telemetry")
            assert told[0].said == {"gw1 lift": [{"ts": T0 + NOW - 7, "values": {"active_power": 0.0}}]}
            assert b'"voltage_l1n":231.0' in told[1].payload, "an integer would make a second, hidden row"
            assert {h.said["device"] for h in here.of("v1/gateway/connect")} == {"gw1 main", "gw1 lift"}
            facts = here.of("v1/gateway/attributes")[0].said["gw1 main"]
            assert (facts["model"], facts["serialNumber"], facts["units"]["active_power"]) == (
                "SDM630",
                "123",
                "kW",
            )
        await until(lambda: len(here.of("v1/gateway/disconnect")) == 2)


async def test_thingsboard_a_backlog_goes_whole_and_a_second_copy_is_the_same(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        box = box_of(*(sent(seq, ago=9_000 - seq, active_power=float(seq)) for seq in range(1, 61)))
        async with running(broker, "thingsboard", box) as run:
            await until(lambda: run.stats.delivered_batches == 60)
        await until(lambda: len(here.of("v1/gateway/telemetry")) == 60)
        points = [h.said["gw1 main"][0] for h in here.of("v1/gateway/telemetry")]
        assert {p["ts"]: p["values"]["active_power"] for p in points} == {
            T0 + NOW - (9_000 - seq) * 1000: float(seq) for seq in range(1, 61)
        }
        assert run.stats.skipped == 0


# -- FIWARE --------------------------------------------------------------------------------------------------


async def test_fiware_gets_the_attributes_of_the_data_model_with_their_units_and_time(mosquitto):
    broker = mosquitto()
    values = {
        "active_power": 2.5,
        "active_power_l1": 1.0,
        "active_power_l2": 1.5,
        "voltage_l1n": 230.0,
        "current_n": 0.25,
        "active_energy_import": 1234.5,
        "reactive_energy_q1": 7.0,
        "thd_voltage_l1": 2.5,
    }
    with host(broker.port) as here:
        async with running(broker, "fiware", box_of(sent(1, **values)), fiware={"apikey": "izmir"}) as run:
            await until(lambda: run.stats.delivered_batches == 1)
        await until(lambda: here.of("/json/"))
        [measures] = here.of("/json/")
        assert measures.topic == "/json/izmir/gw1-main/attrs"
        assert measures.said == {
            "TimeInstant": "2026-11-21T19:11:40.000Z",
            "totalActivePower": 2500.0,
            "activePower": {"L1": 1000.0, "L2": 1500.0},
            "phaseVoltage": {"L1": 230.0},
            "current": {"N": 0.25},
            "totalActiveEnergyImport": 1234.5,
            "reactiveEnergyQ1": 7.0,
            "thdVoltage": {"L1": 0.025},
        }


def test_fiware_no_two_quantities_share_a_place():
    places = [attribute_of(name)[:2] for name in QUANTITIES]
    assert len(set(places)) == len(places)
    whole = {attribute for attribute, part in places if not part}
    assert not whole & {attribute for attribute, part in places if part}


# -- all -----------------------------------------------------------------------------------------------------


def powers(here, dialect):
    """Each active power that the platform has heard, in kW, in order."""
    if dialect == "homeassistant":
        return [h.said["active_power"] for h in here.of("submeter/v1/gw1/ha/main/state")]
    if dialect == "thingsboard":
        return [h.said["gw1 main"][0]["values"]["active_power"] for h in here.of("v1/gateway/telemetry")]
    return [h.said["totalActivePower"] / 1000 for h in here.of("/json/")]


@pytest.mark.parametrize("dialect", ["homeassistant", "thingsboard", "fiware"])
async def test_a_broker_that_goes_and_comes_costs_nothing(mosquitto, dialect):
    """Of Home Assistant what was read meanwhile may be told to nobody: it is not there yet."""
    broker = mosquitto()
    async with running(broker, dialect, box_of()) as run:
        await until(lambda: run.stats.connected)
        broker.kill()
        await until(lambda: not run.stats.connected)
        for seq in range(1, 21):
            run.commit(sent(seq, ago=30 - seq, active_power=float(seq)))
        broker.start()
        with host(broker.port) as here:
            await until(lambda: run.stats.delivered_batches == 20)
            run.commit(sent(21, ago=1, active_power=21.0))
            await until(lambda: run.stats.delivered_batches == 21)
            await until(lambda: powers(here, dialect)[-1:] == [21.0])
            heard = set(powers(here, dialect))
            assert heard <= {float(seq) for seq in range(1, 22)}
            assert dialect == "homeassistant" or len(heard) == 21


@pytest.mark.parametrize("dialect", ["thingsboard", "fiware"])
async def test_with_nobody_there_nothing_counts_as_delivered(mosquitto, dialect):
    broker = mosquitto()
    async with running(broker, dialect, box_of(sent(1, active_power=1.0))) as run:
        await until(lambda: "nobody subscribes" in run.stats.last_error)
        assert run.stats.delivered_batches == 0
        with host(broker.port):
            await until(lambda: run.stats.delivered_batches == 1)


async def test_a_meter_whose_description_changes_is_said_anew(mosquitto):
    broker = mosquitto()
    with host(broker.port) as here:
        told = [description("main")]
        settings = config(url=f"mqtt://127.0.0.1:{broker.port}", dialect="thingsboard")
        async with Running(
            settings, box_of(), describe=lambda: told[0], clock=FakeClock(), timing=FAST
        ) as run:
            await until(lambda: len(here.of("v1/gateway/connect")) == 1)
            told[0] = description("lift")
            run.forwarder.meters_changed()
            await until(
                lambda: [h.said for h in here.of("v1/gateway/disconnect")] == [{"device": "gw1 main"}]
            )
            await until(lambda: here.of("v1/gateway/connect")[-1].said["device"] == "gw1 lift")


# -- a batch that is several messages ------------------------------------------------------------------------


def three(seq):
    """A batch of three readings."""
    return batch_of(
        seq, NOW + seq, [reading("main", NOW + seq + at, active_power=float(at)) for at in range(3)]
    )


def on_memory(link, box):
    """A forwarder that speaks ThingsBoard to a broker which the test plays."""
    spoken = DialectLink(ThingsBoard("gw1"), link, Topics("gw1"), description, lambda: T0 + NOW)
    return Running(config(dialect="thingsboard"), box, link=spoken, describe=description, timing=PATIENT)


def telemetry(connection):
    return [m for m in connection.sent if m.topic == "v1/gateway/telemetry"]


@pytest.mark.virtual_time
async def test_a_batch_is_delivered_when_each_of_its_messages_is_acknowledged():
    link = MemoryLink()
    async with on_memory(link, box_of(three(1))) as run:
        connection = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: connection.acknowledge(count=4) or len(telemetry(connection)) == 3)
        connection.acknowledge(count=len(connection.unacked) - 1)
        await asyncio.sleep(1)
        assert run.stats.delivered_batches == 0
        connection.acknowledge()
        await until(lambda: run.stats.delivered_batches == 1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_batch_that_was_half_on_its_way_goes_whole_again(lost):
    link = MemoryLink()
    async with on_memory(link, box_of(three(1))) as run:
        connection = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: connection.acknowledge(count=4) or len(telemetry(connection)) == 3)
        connection.acknowledge(count=len(connection.unacked) - lost)
        connection.drop()
        again = await until(lambda: len(link.opened) == 2 and link.opened[-1])
        await until(lambda: again.acknowledge() or run.stats.delivered_batches == 1)
        assert len(telemetry(again)) == 3


@pytest.mark.virtual_time
async def test_a_batch_of_which_one_message_is_refused_is_not_delivered():
    link = MemoryLink()
    async with on_memory(link, box_of(three(1))) as run:
        connection = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: connection.acknowledge(count=4) or len(telemetry(connection)) == 3)
        connection.acknowledge(count=1)
        connection.acknowledge(0x87, count=1)
        connection.acknowledge()
        await until(lambda: run.stats.refused)
        assert run.stats.delivered_batches == 0


@pytest.mark.virtual_time
async def test_a_batch_larger_than_the_window_of_the_broker_goes_in_parts_and_in_order():
    link = MemoryLink()
    many = [reading("main", NOW + at, active_power=float(at)) for at in range(100)]
    async with on_memory(link, box_of(batch_of(1, NOW, many))) as run:
        connection = await until(lambda: link.opened and link.opened[-1])
        await until(lambda: connection.acknowledge(count=3) or run.stats.delivered_batches == 1)
        points = [
            json.loads(m.payload)["gw1 main"][0]["values"]["active_power"] for m in telemetry(connection)
        ]
        assert points == [float(at) for at in range(100)]
