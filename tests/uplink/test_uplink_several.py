"""Uplinks of every dialect at once, from one journal on disk: what one platform lacks concerns no other."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from uplink_host import description, host
from uplink_parts import Running, config

from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import Draft, Reading
from gateway.wire import decode, decompress
from tests.waiting import until

pytestmark = pytest.mark.broker
READINGS = {
    "native": "submeter/v1/gw1/data",
    "homeassistant": "submeter/v1/gw1/ha/main/state",
    "thingsboard": "v1/gateway/telemetry",
    "fiware": "/json/",
    "sparkplug": "spBv1.0/submeter/DDATA/",
}
"""Dialect → where its readings go; each is the name of its uplink."""
BATCHES = 12


def opened(folder, clock):
    return Journal.open(folder, gateway="gw1", clock=clock, uplinks=list(READINGS))


def waiting(journal):
    return {name: journal.backlog(name).batches for name in READINGS}


@pytest.mark.parametrize("away", ["native", "thingsboard", "sparkplug"])
async def test_each_dialect_has_its_own_account_of_one_journal(mosquitto, tmp_path, away):
    there, late, clock = mosquitto(), mosquitto(), Clock("system")
    late.kill()
    journal = opened(tmp_path, clock)

    async def at_work(stack, dialect):
        broker = late if dialect == away else there
        settings = config(name=dialect, dialect=dialect, url=f"mqtt://127.0.0.1:{broker.port}")
        run = Running(settings, journal, clock=clock, describe=description)
        return (await stack.enter_async_context(run)).forwarder

    with host(there.port) as here:
        async with AsyncExitStack() as stack:
            forwarders = [await at_work(stack, dialect) for dialect in READINGS]
            await until(lambda: sum(one.stats().connected for one in forwarders) == len(READINGS) - 1)
            for number in range(BATCHES):
                at = clock.uptime() - 1000 * (BATCHES - number)  # no two at one time
                reading = Reading("main", at, {"active_power": float(number)})
                taken = await journal.commit(Draft([reading]))
                for one in forwarders:
                    one.committed(taken)
            expected = dict.fromkeys(READINGS, 0) | {away: BATCHES}
            await until(lambda: waiting(journal) == expected)
        # Home Assistant's states have no time: an epoch's first batch may come behind the second, too late.
        states = READINGS["homeassistant"]
        await until(lambda: here.of(states)[-1].said == {"active_power": BATCHES - 1.0})
        whole = {*READINGS} - {away, "homeassistant"}
        await until(
            lambda: {name: len(here.of(READINGS[name])) for name in whole} == dict.fromkeys(whole, BATCHES)
        )
        assert not here.of(READINGS[away]), "its platform is another broker"
    await journal.commit(Draft([Reading("main", clock.uptime(), {"active_power": 99.0})]))
    await journal.close()
    # What was settled stands in the file, of each uplink for itself.
    journal = opened(tmp_path, clock)
    assert waiting(journal) == dict.fromkeys(READINGS, 1) | {away: BATCHES + 1}
    late.start()
    with host(late.port) as here:
        async with AsyncExitStack() as stack:
            await at_work(stack, away)
            await until(lambda: waiting(journal)[away] == 0)
        await until(lambda: len(here.of(READINGS[away])) >= BATCHES + 1)
        if away == "native":
            said = [decode(decompress(h.payload)).seq for h in here.of(READINGS[away])]
            assert sorted(set(said)) == list(range(1, BATCHES + 2))
    assert waiting(journal) == dict.fromkeys(READINGS, 1) | {away: 0}
    await journal.close()
