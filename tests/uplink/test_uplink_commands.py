"""Commands of the platform to the forwarder, on virtual time: replays, nonsense, floods."""

import asyncio
import json

import pytest
from forwarder_parts import TOPICS, connected, drained, receipt, said, seqs
from uplink_parts import E1, E2, Running, config, outbox

from gateway.mqtt.double import MemoryLink
from tests.waiting import until

pytestmark = pytest.mark.virtual_time


async def test_replay_sends_what_is_there_and_says_what_is_gone():
    link = MemoryLink()
    box = outbox(20)
    box.rows = [r for r in box.rows if not 5 <= r.seq <= 7]
    box.gone.append((E1, 5, 7, "thinned"))
    async with Running(config(receipts=["city"]), box, link=link) as run:
        connection = await connected(link)
        await drained(connection, 17)
        receipt(connection, have=[[1, 4], [8, 20]])
        await until(lambda: run.stats.delivered_batches == 17)
        command = {"id": "r1", "epoch": E1, "from": 3, "to": 9}
        connection.listener.received(TOPICS.replay, json.dumps(command).encode())
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.reply))
        reply = said(connection, TOPICS.reply)[0]
        assert reply == {"id": "r1", "ok": True, "epoch": E1, "sent": 4, "gone": [[5, 7, "thinned"]]}
        assert seqs(connection)[17:] == [3, 4, 8, 9]
        assert run.stats.replayed_batches == 4
        connection.listener.received(
            TOPICS.replay, json.dumps({"id": "r2", "epoch": E2, "from": 1, "to": 2}).encode()
        )
        await until(lambda: connection.acknowledge() or len(said(connection, TOPICS.reply)) == 2)
        assert said(connection, TOPICS.reply)[1]["gone"] == [[1, 2, "unknown"]]


async def test_a_bad_command_is_answered_and_a_flood_is_bounded(kept):
    await kept.take(3)
    link = MemoryLink()
    async with Running(config(), kept, link=link) as run:
        connection = await connected(link)
        await drained(connection, 3)
        connection.listener.received(
            TOPICS.replay, json.dumps({"id": "x", "epoch": E1, "from": 9, "to": 2}).encode()
        )
        await until(lambda: connection.acknowledge() or said(connection, TOPICS.reply))
        assert said(connection, TOPICS.reply)[0]["ok"] is False
        for n in range(300):
            connection.listener.received(
                TOPICS.replay, json.dumps({"id": str(n), "epoch": E1, "from": 1, "to": 3}).encode()
            )
        await asyncio.sleep(0.2)
        connection.acknowledge()
        assert run.stats.ignored_messages > 200
        assert run.stats.replayed_batches <= 60


async def test_replay_can_be_forbidden(kept):
    await kept.take(1)
    link = MemoryLink()
    async with Running(config(replay=False), kept, link=link):
        connection = await connected(link)
        assert connection.topics == ()
