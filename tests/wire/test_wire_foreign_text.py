"""What a sender puts into a message cannot act on the terminal, the log or the page of who reads about it."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.common.text import is_hidden
from gateway.errors import WireError
from gateway.receiver.intake import Refusal, arrival, description, reply, state
from gateway.wire import Receipt, Replay, Reply, State, decode, parse

HOSTILE = [
    "\x1b]0;owned\x07",
    "\x9b2J",
    "a\nERROR forged line",
    "\u202egnp.exe",
    "\u200b\u2028",
    "\x00",
    "\U000e0041",
]
HEAD = {
    "schema": "submeter/1",
    "gateway": "g",
    "epoch": "0" * 16,
    "seq": 1,
    "t0": 1,
    "uptime": 1,
    "clock": "synced",
}


def hidden(text):
    return [character for character in text if is_hidden(character)]


@pytest.mark.parametrize("evil", HOSTILE)
@pytest.mark.parametrize(
    "broken",
    [
        lambda evil: {"absent": {evil: "timeout"}},
        lambda evil: {"absent": {"m": {evil: 7}}},
        lambda evil: {"tables": [{"meter": ["m"], "dt": [0], "values": {evil: ["x"]}}]},
        lambda evil: {"intervals": [{"meter": evil}]},
        lambda evil: {"gateway": evil},
        lambda evil: {"clock": evil},
    ],
)
def test_a_refused_batch_is_told_without_its_escapes(evil, broken) -> None:
    with pytest.raises(WireError) as error:
        decode(json.dumps({**HEAD, **broken(evil)}).encode())
    assert not hidden(str(error.value))
    with pytest.raises(Refusal) as refusal:
        arrival("g", json.dumps({**HEAD, **broken(evil)}).encode(), 1)
    assert not hidden(refusal.value.what)


@pytest.mark.parametrize("evil", HOSTILE)
def test_small_messages_are_told_without_their_escapes(evil) -> None:
    body = json.dumps({"id": "x", "ok": True, "error": evil, "gone": [[1, 2, evil]]}).encode()
    got = reply("g", body)
    assert got.gone
    assert not hidden(f"{got.error}{got.gone[0][2]}")
    assert not hidden(state("g", json.dumps({"online": True, "version": evil}).encode()).version or "")
    for model in (Receipt, Replay, Reply, State):
        with pytest.raises(WireError) as error:
            parse(
                model,
                json.dumps({"online": evil, "ok": evil, "epoch": evil, "id": 5, "have": [[evil]]}).encode(),
            )
        assert not hidden(str(error.value))
    with pytest.raises(Refusal) as refusal:
        description("g", evil.encode())
    assert not hidden(refusal.value.what)


@given(st.dictionaries(st.text(), st.integers()))
def test_a_path_of_foreign_keys_stays_short_and_harmless(keys) -> None:
    with pytest.raises(WireError) as error:
        decode(json.dumps({**HEAD, "absent": {**keys, "\x1b" * 5000: 1}}).encode())
    assert not hidden(str(error.value))
    assert len(re.sub(r"\\x1b|\\u....|\\U........", "?", str(error.value))) < 1000
