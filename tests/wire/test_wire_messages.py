"""Receipts, commands, replies, state: checked strictly, and what is no such message is a WireError."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import WireError
from gateway.model import Ranges
from gateway.wire import MAX_SMALL, Receipt, Replay, Reply, State, Topics, parse

E = "b7f2c6d05a91e3f4"
SEQ = st.integers(1, 2**53 - 1)


@given(
    st.integers(0, 2**53 - 1),
    st.lists(st.tuples(SEQ, SEQ).map(sorted).map(list), max_size=20),
    st.none() | st.lists(SEQ, max_size=5),
)
def test_a_receipt_comes_back_as_it_went(upto, have, conflicts):
    receipt = Receipt(epoch=E, upto=upto, have=have, conflicts=conflicts)
    again = parse(Receipt, receipt.to_bytes())
    assert again == receipt
    covered = again.covers(1)
    assert all(seq in covered for pair in have for seq in pair)
    assert covered == Ranges([*([(1, upto)] if upto else []), *map(tuple, have)])


def test_upto_counts_from_the_first_of_the_epoch():
    assert list(Receipt(epoch=E, upto=20).covers(11)) == [(11, 20)]
    assert list(Receipt(epoch=E, upto=20).covers(21)) == []
    with pytest.raises(WireError, match="backwards"):
        Receipt(epoch=E, upto=0, have=[[5, 4]]).covers(1)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_wire_error(payload):
    for model in (Receipt, Replay, Reply, State):
        for body in (payload, b"{" + payload, b'{"epoch":"' + E.encode() + b'","upto":' + payload + b"}"):
            with contextlib.suppress(WireError):
                parse(model, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=10), child, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [
            "epoch",
            "upto",
            "have",
            "conflicts",
            "id",
            "from",
            "to",
            "ok",
            "gone",
            "seq",
            "backlog",
            "online",
            "version",
        ]
    ),
    JSON,
)
def test_any_json_in_any_field(field, value):
    good = {"epoch": E, "upto": 1, "id": "a", "from": 1, "to": 2, "ok": True, "online": True}
    payload = json.dumps({**good, field: value}).encode()
    for model in (Receipt, Replay, Reply, State):
        with contextlib.suppress(WireError):
            parse(model, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"{}", b"x" * 20_000, b"{" * 9_000, b'{"epoch":"b7f2c6d05a91e3f4","upto":1.0}',
        b'{"epoch":"b7f2c6d05a91e3f4","upto":null}',
        json.dumps({"epoch": E, "upto": 1, "have": [[1, 2]] * 1001}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_refused_in_words(payload):
    with pytest.raises(WireError) as caught:
        parse(Receipt, payload)
    assert caught.value.message


def test_unknown_fields_are_ignored():
    assert parse(Receipt, json.dumps({"epoch": E, "upto": 3, "colour": {"x": 1}}).encode()).upto == 3
    assert parse(State, b'{"online":true,"mood":"good"}').online


def test_a_command_and_its_reply():
    command = parse(Replay, json.dumps({"id": "r1", "epoch": E, "from": 3, "to": 9}).encode())
    assert (command.from_, command.to) == (3, 9)
    assert json.loads(command.to_bytes()) == {"id": "r1", "epoch": E, "from": 3, "to": 9}
    reply = Reply(id="r1", ok=True, epoch=E, sent=5, gone=[(5, 6, "thinned")])
    assert parse(Reply, reply.to_bytes()) == reply


def test_topics():
    topics = Topics("izm-konak-017")
    assert topics.data == "submeter/v1/izm-konak-017/data"
    assert topics.receipt("city") == "submeter/v1/izm-konak-017/receipt/city"
    assert topics.replay == "submeter/v1/izm-konak-017/cmd/replay"
    assert {topics.state, topics.meters, topics.reply} == {
        f"{topics.prefix}/{part}" for part in ("state", "meters", "reply")
    }


@pytest.mark.parametrize(("size", "good"), [(MAX_SMALL, True), (MAX_SMALL + 1, False)])
def test_the_longest_message_that_is_read_is_exactly_as_long_as_said(size, good):
    body = Receipt(epoch=E, upto=1).to_bytes()
    padded = body + b" " * (size - len(body))
    if good:
        assert parse(Receipt, padded).upto == 1
    else:
        with pytest.raises(WireError, match=f"has {size} bytes"):
            parse(Receipt, padded)
