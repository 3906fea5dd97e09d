"""Replays, one command after the other: what is there is read ahead and sent, what is gone is explained."""

import json

import pytest
from uplink_parts import E1, E2, outbox, row

from gateway.errors import WireError
from gateway.uplink import MemoryJournal
from gateway.uplink.outgoing.replay import CHUNK, COMMANDS_AT_ONCE, MAX_GONE, MAX_PENDING, NO_ID, Replays


def asked(first, last, *, name="r1", epoch=E1):
    return json.dumps({"id": name, "epoch": epoch, "from": first, "to": last}).encode()


async def worked(replays):
    """Work until the reply of the command at the front; the seqs that went, and the reply."""
    seqs = []
    while (reply := await replays.work()) is None:
        while (sealed := replays.next()) is not None:
            seqs.append(sealed.seq)
    return seqs, reply


async def test_a_range_is_read_in_chunks_and_counted():
    replays = Replays(outbox(2 * CHUNK + 20), 0.0)
    assert replays.next() is None
    assert not replays.ready
    assert replays.command(asked(11, 2 * CHUNK + 10), 0.0) is None
    assert replays.next() is None, "nothing was read yet"
    assert len(replays) == 1
    assert await replays.work() is None
    assert replays.ready
    assert await replays.work() is None, "what was read goes first"
    seqs, reply = await worked(replays)
    assert seqs == list(range(11, 2 * CHUNK + 11))
    assert (reply.id, reply.ok, reply.epoch, reply.sent, reply.gone) == ("r1", True, E1, 2 * CHUNK, [])
    assert len(replays) == 0


async def test_a_range_of_one_is_a_range_and_one_that_runs_backwards_is_none():
    replays = Replays(outbox(5), 0.0)
    assert replays.command(asked(3, 3), 0.0) is None
    assert (await worked(replays))[0] == [3]
    reply = replays.command(asked(4, 3), 0.0)
    assert (reply.ok, reply.error) == (False, "the range runs backwards: from 4 to 3")
    assert len(replays) == 0


async def test_commands_wait_for_each_other_and_only_so_many():
    replays = Replays(outbox(9), 0.0)
    for number in range(MAX_PENDING):
        assert replays.command(asked(number + 1, number + 1, name=f"r{number}"), 0.0) is None
    busy = replays.command(asked(1, 1, name="last"), 0.0)
    assert (busy.id, busy.ok) == ("last", False)
    assert "busy" in busy.error
    told = [await worked(replays) for _ in range(MAX_PENDING)]
    assert [(seqs, reply.id) for seqs, reply in told] == [
        ([number + 1], f"r{number}") for number in range(MAX_PENDING)
    ]


async def test_what_could_not_be_sent_is_not_counted_and_named():
    replays = Replays(outbox(4), 0.0)
    replays.command(asked(1, 4), 0.0)
    await replays.work()
    sent = [replays.next() for _ in range(4)]
    replays.left_out(sent[1], "too_large")
    replays.left_out(sent[2], "")
    replays.left_out(row(9, epoch=E2), "too_large")
    reply = await replays.work()
    assert (reply.sent, reply.gone) == (2, [(2, 2, "too_large")])
    replays.left_out(sent[0], "too_large")  # nobody asks any more


async def test_explanations_are_bounded():
    box = outbox(3)
    box.gone = [(E1, seq, seq, "thinned") for seq in range(4, 500)]
    replays = Replays(box, 0.0)
    replays.command(asked(1, 499), 0.0)
    _, reply = await worked(replays)
    assert reply.gone == [(seq, seq, "thinned") for seq in range(4, 4 + MAX_GONE)]
    assert len(reply.to_bytes()) < 16 * 1024


async def test_what_is_left_out_is_bounded_too():
    replays = Replays(outbox(MAX_GONE + 20), 0.0)
    replays.command(asked(1, MAX_GONE + 20), 0.0)
    reply = None
    while reply is None:
        reply = await replays.work()
        while (sealed := replays.next()) is not None:
            replays.left_out(sealed, "refused")
    assert (reply.sent, len(reply.gone)) == (0, MAX_GONE)


async def test_a_lost_connection_forgets_them_also_in_the_middle_of_a_look():
    class Slow(MemoryJournal):
        async def explain(self, *arguments):
            replays.clear()
            replays.command(asked(1, 1, name="r2"), 0.0)
            return await super().explain(*arguments)

    replays = Replays(Slow(), 0.0)
    replays.command(asked(1, 1), 0.0)
    assert (await replays.work()).id == "r1"
    assert len(replays) == 1, "the newer command is still to be answered"


def test_a_flood_is_bounded_for_commands_and_for_nonsense_apart():
    replays = Replays(outbox(0), 0.0)
    for _ in range(int(COMMANDS_AT_ONCE)):
        assert replays.command(b"nonsense", 0.0).id == NO_ID
    with pytest.raises(WireError, match="not a replay"):
        replays.command(b"nonsense", 0.0)
    for number in range(int(COMMANDS_AT_ONCE)):
        replays.command(asked(1, 1, name=str(number)), 0.0)
    with pytest.raises(WireError, match="faster"):
        replays.command(asked(1, 1), 0.0)
    assert replays.command(asked(2, 1), 0.6).ok is False, "half a second later one more is answered"


@pytest.mark.parametrize(
    ("name", "told"), [("x" * 64, "x" * 64), ("x" * 65, NO_ID), ("", NO_ID), (7, NO_ID), (None, NO_ID)]
)
def test_the_id_of_a_bad_command_is_repeated_when_it_is_one(name, told):
    reply = Replays(outbox(0), 0.0).command(json.dumps({"id": name, "epoch": "?"}).encode(), 0.0)
    assert (reply.id, reply.ok) == (told, False)
    assert len(reply.error) <= 500


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
