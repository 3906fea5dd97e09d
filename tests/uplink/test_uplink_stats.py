"""The state of an uplink in one sentence, for the log and the commands."""

from uplink_parts import T0

from gateway.uplink import UplinkStats


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
