"""Whatever a message says, it is refused with a reason or stored: there is no third way."""

import json
from contextlib import suppress
from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from receiver_feed import E1, E2, batch, opening

from gateway.model import Event, Interval
from gateway.receiver.intake import Refusal, arrival, description, reply, state
from gateway.receiver.ledger import receipts
from gateway.receiver.store import SqliteStore
from gateway.wire import Receipt, compress, encode, parse

EVENTS = [
    Event("thinned", 5, {"epoch": E1, "from": 2, "to": 3}),
    Event("clock_anchor", 6, {"epoch": E1, "uptime": 6, "t": 7}),
    Event("meter", 7, {"meter": "main", "registers": [[1, 2], {"x": None}]}),
]


def whole():
    """A message that has every part."""
    b = opening(4, previous=E2, last=3, clock="unsynced", events=EVENTS)
    b.intervals = [Interval("main", "active_energy_import", 1, 3070, "m")]
    return json.loads(encode(b))


def places(node, path=()):
    """The path of every node."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


PLACES = [path for path in places(whole()) if path]
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from(
    [0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**63, -(2**63), 10**30]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from([E1, E2, "gw-1", "main", "synced", "unsynced"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def put(message, path, value):
    """Replace what stands at a path; with two changes the path may be gone."""
    *way, last = path
    for key in way:
        try:
            message = message[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(message, dict) or (
        isinstance(message, list) and isinstance(last, int) and last < len(message)
    ):
        message[last] = value


def attempt(read, *arguments):
    """What a reader gives; None when it refuses, in words. Anything else it raises is a fault."""
    refusal = None
    try:
        return read(*arguments)
    except Refusal as error:
        refusal = error
    assert refusal.reason in {"malformed", "wrong_gateway"}
    assert str(refusal)
    return None


class Undo(Exception):
    """Ends an example: nothing of it stays."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = SqliteStore(tmp_path_factory.mktemp("fuzz") / "p.db")
    yield opened
    opened.close()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), max_size=3), st.booleans())
@example(changes=[(("intervals", 0, "values", 0), 10**30)], packed=True)
@example(changes=[(("t0",), 2**53 - 1), (("tables", 0, "dt", 0), 2**53 - 1)], packed=True)
@example(changes=[(("events", 1, "to"), 2**53 - 1)], packed=False)
def test_a_changed_message_is_refused_or_stored(store, changes, packed):
    message = deepcopy(whole())
    for path, value in changes:
        put(message, path, value)
    plain = json.dumps(message).encode()
    found = attempt(arrival, "gw-1", compress(plain) if packed else plain, 1)
    if found is None:
        return
    taken, _ = found
    with suppress(Undo), store.atomic():
        assert store.take([taken, taken]).batches == 1
        ledger = store.ledger("gw-1")
        ledger.missing()
        for epoch, known in ledger.epochs.items():
            for receipt in receipts(epoch, known, {1, 4}, pages=3):
                assert parse(Receipt, receipt.to_bytes()) == receipt
        for text in store.conn.execute("SELECT fields FROM event").fetchall():
            assert store.conn.execute("SELECT json_valid(?)", text).fetchone() == (1,)
        assert store.conn.execute("SELECT count(*) FROM value").fetchone()[0] == taken.batch.values
        raise Undo


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"null")
@example(compress(encode(batch(1)))[:-3])
def test_any_bytes_are_refused_with_a_reason_or_understood(payload):
    for read in (arrival, state, reply, description):
        attempt(read, *(("gw-1", payload, 1) if read is arrival else ("gw-1", payload)))
