"""A slow platform never delays another: one journal, an uplink of our own dialect, and a ThingsBoard whose
broker takes two seconds for each acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from gateway.config import Uplink
from gateway.host.clock import Clock
from gateway.journal import Journal
from gateway.model import Draft, Reading
from gateway.mqtt import MemoryConnection, MemoryLink, Outgoing
from gateway.uplink import Forwarder
from gateway.uplink.dialects.link import DialectLink
from gateway.uplink.dialects.thingsboard import ThingsBoard
from gateway.wire import Topics
from tests.bench.figures import Figure, at_most, plain

BATCHES, EVERY = 300, 0.02
SLOW = 2.0
"""Seconds until the slow broker acknowledges."""
GATEWAY = "bench-slow"


class _SlowLink(MemoryLink):
    """Acknowledges each message after a while, one at a time."""

    async def open(self, listener, *, will, topics):
        connection = await super().open(listener, will=will, topics=topics)
        asyncio.get_running_loop().call_later(SLOW, self._acknowledge, connection)
        return connection

    def _acknowledge(self, connection: MemoryConnection) -> None:
        if not connection.closed:
            connection.acknowledge(count=1)
            asyncio.get_running_loop().call_later(SLOW, self._acknowledge, connection)


def _meters() -> bytes:
    about = {"gateway": GATEWAY, "name": "b", "timezone": "UTC", "version": "1"}
    return json.dumps({**about, "drivers": {}, "meters": []}).encode()


async def _delays(folder: Path, *, beside: bool) -> tuple[list[float], int]:
    """(seconds from the commit of each batch to its delivery over the fast uplink, batches that the slow one
    still has in front of it).
    """
    clock = Clock("system")
    journal = Journal.open(folder, gateway=GATEWAY, clock=clock, uplinks=["city", "things"])
    facts = {"url": "mqtt://127.0.0.1", "spread": "0s", "backlog_rate": 0.0}
    fast = Uplink.model_validate({**facts, "name": "city"})
    slow = Uplink.model_validate({**facts, "name": "things", "dialect": "thingsboard"})
    sent: dict[int, float] = {}
    delivered: dict[int, float] = {}
    all_sent = asyncio.Event()

    class Fast(MemoryLink):
        async def open(self, listener, *, will, topics):
            connection = await super().open(listener, will=will, topics=topics)
            publish = connection.publish

            def noting(messages: list[Outgoing]) -> None:
                for message in messages:
                    if isinstance(message.tag, tuple):
                        delivered.setdefault(message.tag[1], time.monotonic())
                        if len(delivered) == BATCHES:
                            all_sent.set()
                publish(messages)

            connection.publish = noting
            return connection

    def forwarder(config, link):
        return Forwarder(config, GATEWAY, journal, clock, _meters, lambda _event: None, link=link)

    forwarders = [forwarder(fast, Fast(prompt=True))]
    if beside:
        things = ThingsBoard(GATEWAY)
        link = DialectLink(things, _SlowLink(), Topics(GATEWAY), _meters, clock.wall)
        forwarders.append(forwarder(slow, link))
    tasks = [asyncio.create_task(one.run()) for one in forwarders]
    try:
        for number in range(BATCHES):
            began = time.monotonic()
            values = {"active_power": 1.0 + number}
            readings = [Reading(f"m{meter}", clock.uptime(), dict(values)) for meter in range(10)]
            batches = await journal.commit(Draft(readings))
            for one in forwarders:
                one.committed(batches)
            sent[batches[-1].seq] = began
            await asyncio.sleep(EVERY)
        async with asyncio.timeout(60):
            await all_sent.wait()
        left = journal.backlog("things").batches if beside else 0
    finally:
        for one in forwarders:
            await one.stop()
        await asyncio.gather(*tasks)
        await journal.close()
    assert delivered.keys() >= sent.keys(), "the fast uplink did not deliver everything"
    return sorted(delivered[seq] - at for seq, at in sent.items()), left


def run() -> list[Figure]:
    """Twice the fast one alone, twice beside the slow one; the better of each counts."""
    alone, both, left = [], [], 0
    with tempfile.TemporaryDirectory() as name:
        for turn in range(4):
            delays, waiting = asyncio.run(_delays(Path(name) / str(turn), beside=bool(turn % 2)))
            (both if turn % 2 else alone).append(delays[int(0.95 * len(delays))])
            left = max(left, waiting)
    ratio = min(both) / min(alone)
    what = f"{1000 * min(both):.1f} and {1000 * min(alone):.1f} ms at the 95th percentile, commit included"
    return [
        at_most("a batch's delivery beside a slow uplink, over that without", ratio, "×", 1.5, what),
        plain(
            "the control, what the slow uplink still had to deliver",
            float(left),
            "batches",
            "its own account",
        ),
    ]
