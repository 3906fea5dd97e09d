"""What one gateway sends, however much of it, neither holds up the receipts of the others nor grows
without bound.
"""

from __future__ import annotations

import json
import time
from itertools import islice

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from receiver_feed import E1, batch, opening

from gateway.cli.receive import command
from gateway.errors import GatewayError, WireError
from gateway.model import Draft, Event, Ranges, Reading
from gateway.receiver.gaps import AGE, Gaps
from gateway.receiver.intake import Refusal, arrival
from gateway.receiver.ledger import MOST_GAPS, GatewayLedger, Missing, receipt_pages, receipts
from gateway.receiver.store import SqliteStore
from gateway.receiver.store.base import DESCRIPTIONS, bounded
from gateway.wire import decode, encode, split
from gateway.wire.batch import MAX_CELLS, MAX_EVENTS, MAX_READINGS

RUN = {
    "meter": "m",
    "quantity": "volume",
    "start": 0,
    "seconds": 900,
    "values": [1],
    "quality": "m",
    "version": 1,
}
SETS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=12)


def numbers(ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def made(pairs) -> Ranges:
    return Ranges((first, first + more) for first, more in pairs)


@given(SETS, SETS, st.integers(1, 40), st.integers(0, 40))
def test_sets_are_taken_apart_as_sets_are(one, other, low, width) -> None:
    left, right = made(one), made(other)
    assert numbers(left.without(right)) == numbers(left) - numbers(right)
    assert numbers(left.common(right)) == numbers(left) & numbers(right)
    assert list(reversed(list(left))) == list(reversed(left))
    found = list(left.newest_gaps(low, low + width))
    assert found == list(reversed(list(left.gaps(low, low + width))))
    for result in (left.without(right), left.common(right)):
        assert result == Ranges(result), "sorted, disjoint and melted"


def cost(work, size: int) -> float:
    """CPU seconds, the best of three: what else the machine does is not counted."""
    best = float("inf")
    for _ in range(3):
        prepared = work(size)
        began = time.process_time()
        prepared()
        best = min(best, time.process_time() - began)
    return best


def look_at_all(size: int):
    gaps, missing = Gaps(), {E1: Missing(Ranges((2 * n, 2 * n) for n in range(1, size)))}
    gaps.next_ask(missing, 0.0, ready=True)
    closing = {E1: Missing(Ranges((2 * n, 2 * n) for n in range(1, size) if n % 3))}
    return lambda: (gaps.next_ask(closing, 1.0, ready=True), gaps.next_ask(closing, AGE + 1, ready=True))


def test_a_look_at_many_gaps_is_linear() -> None:
    small, large = cost(look_at_all, 8_000), cost(look_at_all, 64_000)
    assert large < 24 * small + 0.05, "8 times as many ranges; a quadratic look takes 64 times as long"


def ledger_of(size: int, epochs: int = 1) -> GatewayLedger:
    ledger = GatewayLedger()
    for number in range(epochs):
        one = ledger.epoch(f"{number:016x}")
        one.first = 1
        for seq in range(1, 2 * size, 2):
            one.store(seq, seq)
    return ledger


def test_the_newest_gaps_cost_the_same_however_many_there_are() -> None:
    def look(size: int):
        ledger = ledger_of(size)
        return lambda: [ledger.newest_missing(lambda _: Ranges()) for _ in range(20)]

    small, large = cost(look, 2_000), cost(look, 60_000)
    assert large < 5 * small + 0.05


def test_epochs_without_end_cost_no_more_than_a_thousand() -> None:
    def look(size: int):
        ledger = ledger_of(2, size)
        return lambda: ledger.newest_missing(lambda _: Ranges())

    small, large = cost(look, 1_500), cost(look, 20_000)
    assert large < 5 * small + 0.05


def test_the_newest_come_first_and_what_was_in_vain_is_left_out() -> None:
    ledger = ledger_of(2 * MOST_GAPS)
    newest = ledger.newest_missing(lambda _: Ranges())["0" * 16].certain
    assert len(newest) == MOST_GAPS
    assert newest.span == (2 * MOST_GAPS, 4 * MOST_GAPS - 2)
    older = ledger.newest_missing(lambda _: Ranges([(1000, 4 * MOST_GAPS)]))
    assert not older, "what was put off uses up the look, so that it stays bounded"


@given(SETS, st.booleans(), st.integers(1, 80), SETS)
def test_a_bounded_look_finds_what_the_whole_one_finds(held, known, end, explained) -> None:
    ledger = GatewayLedger()
    one = ledger.epoch(E1)
    for first, more in held:
        one.store(first, first + more)
    for first, more in explained:
        one.explain(first, first + more, spills=False)
    one.first = 1 if known else None
    ledger.newest = (E1, end)
    whole = ledger.missing()
    bounded = ledger.newest_missing(lambda _: Ranges())
    assert {name: (gap.certain, gap.beginning) for name, gap in bounded.items()} == {
        name: (gap.certain, gap.beginning) for name, gap in whole.items()
    }


def test_pages_of_a_receipt_come_one_by_one() -> None:
    one = ledger_of(60_000).epoch("0" * 16)
    assert len(receipts(E1, one, pages=64)) > 30
    began = time.process_time()
    first = list(islice(receipt_pages(E1, one, pages=64), 1))
    assert first[0].upto == 1
    assert time.process_time() - began < 1.0


# -- the contract


def message(**parts) -> bytes:
    head = {
        "schema": "submeter/1",
        "gateway": "g",
        "epoch": "0" * 16,
        "seq": 1,
        "t0": 1,
        "uptime": 1,
        "clock": "synced",
    }
    return json.dumps({**head, **parts}).encode()


@pytest.mark.parametrize(
    "parts",
    [
        {"tables": [{"meter": ["m"] * (MAX_READINGS + 1), "dt": [0] * (MAX_READINGS + 1), "values": {}}]},
        {"tables": [{"meter": ["m"] * 1500, "dt": [0] * 1500, "values": {}}] * 2},
        {
            "tables": [
                {
                    "meter": ["m"] * 1000,
                    "dt": [0] * 1000,
                    "values": {f"q{n}": [None] * 1000 for n in range(26)},
                }
            ]
        },
        {"tables": [{"meter": ["m"], "dt": [0], "values": {f"q{n}": [1.0] for n in range(251)}}]},
        {"tables": [{"meter": [], "dt": [], "values": {}}] * (MAX_READINGS + 1)},
        {"tables": [{"meter": ["m"], "dt": [0], "values": {"q" * 65: [1.0]}}]},
        {"absent": {f"m{n}": "timeout" for n in range(MAX_READINGS + 1)}},
        {"absent": {"m": {f"q{n}": "timeout" for n in range(251)}}},
        {"suspect": {"m": ["q"] * 251}},
        {"events": [{"dt": 0, "kind": "x"}] * (MAX_EVENTS + 1)},
        {"intervals": [RUN] * (MAX_EVENTS + 1)},
        {"intervals": [RUN | {"values": [1] * MAX_EVENTS, "quality": "m" * MAX_EVENTS}, RUN]},
        {"intervals": [RUN | {"values": [1, 2]}]},
        {"intervals": [RUN | {"values": [], "quality": ""}]},
        {"intervals": [RUN | {"values": [2**53]}]},
        {"intervals": [RUN | {"values": [1.0]}]},
        {"intervals": [RUN | {"version": 0}]},
    ],
)
def test_a_batch_beyond_the_bounds_is_refused(parts) -> None:
    with pytest.raises(WireError):
        decode(message(**parts))


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b'{"a":[1,NaN]}'])
def test_an_event_with_a_value_that_json_does_not_have_is_refused_before_it_reaches_the_database(
    value,
) -> None:
    good = encode(opening(1))
    assert arrival("gw-1", good, 0)[0].batch.seq == 1
    with pytest.raises(Refusal, match="a value that JSON does not have") as caught:
        arrival("gw-1", good.replace(b'"new_file"', value), 0)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    ("number", "kept"), [(None, None), (0, 0), (2**53 - 1, 2**53 - 1), (2**53, 2**53 - 1)]
)
def test_a_number_that_a_state_tells_is_kept_as_far_as_json_can_carry_it(number, kept) -> None:
    assert bounded(number) == kept


def test_what_a_gateway_writes_is_within_the_bounds() -> None:
    readings = [Reading(f"m{n % 250}", n) for n in range(5000)] + [
        Reading("m", n, {"active_power": 1.0}) for n in range(4000)
    ]
    events = [Event("x", n) for n in range(3000)]
    parts = [decode(plain) for _, plain in split(Draft(readings, events, []), batch())]
    assert sum(len(part.readings) for part in parts) == len(readings)
    assert sum(len(part.events) for part in parts) == len(events)
    assert [part.seq for part in parts] == list(range(parts[0].seq, parts[0].seq + len(parts)))
    for part in parts:
        assert len(part.readings) <= MAX_READINGS
        assert part.values <= MAX_CELLS
    assert encode(parts[0])


def test_only_the_newest_descriptions_are_kept(tmp_path) -> None:
    store = SqliteStore(tmp_path / "platform.db")
    with store.atomic():
        for number in range(3 * DESCRIPTIONS):
            assert store.describe("gw-1", f'{{"n": {number}}}', number)
            store.describe("gw-2", '{"n": 0}', number)
    kept = store.rows("meters", "gw-1")
    assert [row["description"] for row in kept] == [
        f'{{"n": {n}}}' for n in range(2 * DESCRIPTIONS, 3 * DESCRIPTIONS)
    ]
    assert len(store.rows("meters", "gw-2")) == 1
    store.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--broker", "mqtt://h "], "--broker has a blank at its end"),
        (["--broker", "mqtt://h?token=1"], "--broker has a part behind"),
        (
            ["--broker", "mqtt://h", "--username", "\ufeffplatform"],
            "--username has a character that is not seen, U+FEFF",
        ),
    ],
)
def test_options_are_held_against_the_rules_of_the_configuration(tmp_path, words, why) -> None:
    result = CliRunner().invoke(command, ["--database", str(tmp_path / "p.db"), *words])
    assert isinstance(result.exception, GatewayError)
    assert why in str(result.exception)
