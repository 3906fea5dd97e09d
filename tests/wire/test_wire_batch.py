"""Batch ⇄ bytes: nothing is lost on the way, and whatever else comes is refused as a WireError."""

import contextlib
import json
import math
import random
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import WireError
from gateway.model import QUANTITIES, Draft, Event, Interval, Reading
from gateway.wire import (
    MAX_MESSAGE,
    MAX_PLAIN,
    Batch,
    compress,
    cut,
    decode,
    decompress,
    digest,
    encode,
    peek_gateway,
    split,
    with_header,
)

NAMES = st.sampled_from(sorted(QUANTITIES))
REASONS = st.sampled_from(["timeout", "bad_frame", "exception_2", "not_available", "implausible"])
METERS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
MS = st.integers(0, 2**50)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
EPOCH = "b7f2c6d05a91e3f4"


@st.composite
def readings(draw, meter):
    uptime = draw(MS)
    if draw(st.booleans()):
        return Reading(meter, uptime, missing=draw(REASONS))
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=8))
    cut = draw(st.integers(0, len(names)))
    values = {name: draw(FLOATS) for name in names[:cut]}
    absent = {name: draw(REASONS) for name in names[cut:]}
    suspect = tuple(sorted(draw(st.sets(st.sampled_from(names)))))
    return Reading(meter, uptime, values, absent, "", suspect)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | st.text(max_size=20),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=10), child, max_size=3),
    max_leaves=8,
)
EVENTS = st.builds(
    Event,
    st.text(min_size=1, max_size=20),
    MS,
    st.dictionaries(st.text(max_size=10).filter(lambda k: k not in {"dt", "kind"}), JSON, max_size=3),
)


@st.composite
def runs(draw, meter):
    """Intervals of one meter: some neighbours, some not, of more than one version and length."""
    start, found = draw(st.integers(0, 2**40)) * 1000, []
    for skip, value, quality, version, seconds in draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0, 900_000]),
                st.integers(-(2**52), 2**52),
                st.sampled_from("mesd"),
                st.sampled_from([1, 1, 2]),
                st.sampled_from([900, 900, 3600]),
            ),
            max_size=8,
        )
    ):
        start += skip
        found.append(Interval(meter, "active_energy_import", start, value, quality, version, seconds))
        start += seconds * 1000
    return found


@st.composite
def batches(draw):
    meters = draw(st.lists(METERS, unique=True, max_size=5))
    batch = Batch(
        draw(METERS),
        EPOCH,
        draw(st.integers(1, 2**53 - 1)),
        draw(MS),
        draw(MS),
        draw(st.sampled_from(["synced", "anchored", "unsynced"])),
    )
    batch.readings = [draw(readings(meter)) for meter in meters]
    batch.events = draw(st.lists(EVENTS, max_size=3))
    batch.intervals = [interval for meter in meters for interval in draw(runs(meter))]
    return batch


def comparable(batch):
    """A meter that gave nothing has no time of its own on the wire; order within a batch is the tables'."""
    rows = [
        (r.meter, None if r.missing else r.uptime, r.values, r.absent, r.missing, r.suspect)
        for r in batch.readings
    ]
    return (
        batch.gateway,
        batch.epoch,
        batch.seq,
        batch.t0,
        batch.uptime,
        batch.clock,
        sorted(rows, key=lambda row: row[0]),
        [(e.kind, e.uptime, e.fields) for e in batch.events],
        batch.intervals,
    )


def test_neighbouring_intervals_travel_as_one_run():
    start = 1_795_277_700_000
    day = [Interval("main", "volume", start + k * 900_000, 3000 + k, "em"[k > 3]) for k in range(6)]
    later = [
        replace(day[0], start=start + 7 * 900_000),
        replace(day[0], start=start + 8 * 900_000, version=2),
    ]
    other = [replace(day[0], quantity="heat_energy"), replace(day[1], meter="hvac", quantity="heat_energy")]
    plain = encode(Batch("g", EPOCH, 1, 0, 0, "synced", intervals=[*day, *later, *other]))
    told = json.loads(plain)["intervals"]
    assert [(len(run["values"]), run["quality"], run["version"]) for run in told] == [
        (6, "eeeemm", 1),
        (1, "e", 1),
        (1, "e", 2),
        (1, "e", 1),
        (1, "e", 1),
    ]
    assert told[0] == {
        "meter": "main",
        "quantity": "volume",
        "start": start,
        "seconds": 900,
        "values": [3000, 3001, 3002, 3003, 3004, 3005],
        "quality": "eeeemm",
        "version": 1,
    }
    assert decode(plain).intervals == [*day, *later, *other]


@given(batches())
def test_what_is_encoded_is_decoded_again_plain_and_compressed(batch):
    plain = encode(batch)
    assert comparable(decode(plain)) == comparable(batch)
    assert comparable(decode(compress(plain))) == comparable(batch)
    assert decompress(compress(plain)) == decompress(plain) == plain
    assert peek_gateway(plain) == peek_gateway(compress(plain)) == batch.gateway


@given(batches())
def test_encoding_is_deterministic_and_names_each_value_once(batch):
    plain = encode(batch)
    assert plain == encode(batch)
    message = json.loads(plain)
    assert message["schema"] == "submeter/1"
    assert sum(len(table["meter"]) for table in message["tables"]) == sum(
        not r.missing for r in batch.readings
    )


@given(batches(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_damage_is_a_wire_error_and_nothing_else(batch, rng):
    body = bytearray(compress(encode(batch)) if rng.random() < 0.5 else encode(batch))
    for _ in range(rng.randint(1, 4)):
        kind = rng.randint(0, 3)
        at = rng.randrange(len(body)) if body else 0
        if kind == 0 and body:
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del body[at:]
        elif kind == 2:
            body[at:at] = rng.randbytes(rng.randint(1, 9))
        elif body:
            del body[at]
    with contextlib.suppress(WireError):
        decode(bytes(body))
    for function in (decompress, digest, peek_gateway):
        with contextlib.suppress(WireError):
            function(bytes(body))


@given(st.binary(max_size=200))
def test_any_bytes(body):
    for prefix in (b"", b"{", b"\x78", b"\x78\x9c"):
        with pytest.raises(WireError):
            decode(prefix + body)


def header(**changes):
    return {
        "schema": "submeter/1",
        "gateway": "g",
        "epoch": EPOCH,
        "seq": 1,
        "t0": 0,
        "uptime": 0,
        "clock": "synced",
        **changes,
    }


@given(JSON)
def test_any_json(value):
    for part in ("tables", "absent", "suspect", "intervals", "events", *header()):
        if part != "schema":
            with contextlib.suppress(WireError):
                decode(json.dumps(header(**{part: value})).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"schema":"submeter/2"}',
        b"{" * 100_000,
        b'{"a":' * 100_000,
        *[
            json.dumps(header(**{field: value})).encode()
            for field, values in {
                "seq": (0, 2**53, 1.5, "1", True, None),
                "t0": (-1, "now"),
                "epoch": ("B7F2C6D05A91E3F4", "", 7),
                "gateway": ("../etc", "", "a" * 33),
                "clock": ("right", None),
            }.items()
            for value in values
        ],
        *[
            json.dumps(header(tables=[{"meter": ["a"], "dt": dt, "values": values}])).encode()
            for dt, values in (
                ([0, 1], {}),
                ([0], {"x": [1, 2]}),
                ([0], {"x": ["1"]}),
                ([1e3], {"x": [1]}),
                ([0], {"x": [math.nan]}),
                ([0], {"x": [math.inf]}),
            )
        ],
        b"{" + b" " * MAX_MESSAGE + b"}",
        zlib.compress(b"{" + b" " * MAX_MESSAGE + b"}"),
        zlib.compress(b"{}") + b"x",
        zlib.compress(b"{}")[:-3],
        zlib.compress(b"\x00" * 50_000_000),
    ],
)
def test_what_is_no_batch_is_refused_in_words(body):
    with pytest.raises(WireError) as caught:
        decode(body)
    assert caught.value.message


@pytest.mark.parametrize("behind", [b"x", b"\x00", compress(b"{}"), b"{}" * 1000])
def test_nothing_may_stand_behind_what_was_compressed(behind):
    body = compress(encode(Batch("gw", "00000000000000a1", 1, 1_000, 1_000, "synced")))
    assert decode(body).seq == 1
    with pytest.raises(WireError, match="padded"):
        decompress(body + behind)
    with pytest.raises(WireError):
        decode(body + behind)


@pytest.mark.parametrize("limit", [1, 50])
def test_the_limit_of_a_message_is_exact_in_both_forms(limit):
    plain = b"{" + b" " * (limit - 1)
    assert decompress(plain, limit) == plain
    assert decompress(compress(plain), limit) == plain
    for body in (plain + b" ", compress(plain + b" ")):
        with pytest.raises(WireError):
            decompress(body, limit)


def test_a_bomb_costs_no_more_than_a_message():
    began = time.process_time()
    with pytest.raises(WireError, match="larger"):
        decode(zlib.compress(b"{" + b" " * 100_000_000))
    for many, good in ((2_000, True), (15_000, False)):
        body = header(
            tables=[{"meter": ["a"] * many, "dt": [0] * many, "values": {"x": [1] * many}}],
            suspect={"a": [f"n{i}" for i in range(200)]},
        )
        plain = json.dumps(body, separators=(",", ":")).encode()
        if good:
            assert len(decode(plain).readings) == many
        else:
            with pytest.raises(WireError, match="2000"):
                decode(zlib.compress(plain))
    assert time.process_time() - began < 15


def test_unknown_fields_quantities_and_events_are_ignored_or_kept_as_they_are():
    plain = encode(Batch("g", EPOCH, 1, 5, 5, "synced", [Reading("a", 5, {"active_power": 1.0})]))
    message = json.loads(plain)
    message["new_part"] = {"x": [1]}
    message["tables"][0]["colour"] = "blue"
    message["tables"][0]["values"]["quantity_of_next_year"] = [3.5]
    message["events"] = [{"dt": -3, "kind": "event_of_next_year", "size": 7}]
    batch = decode(json.dumps(message).encode())
    assert batch.readings[0].values == {"active_power": 1.0, "quantity_of_next_year": 3.5}
    assert batch.events == [Event("event_of_next_year", 2, {"size": 7})]


def test_a_value_without_a_reason_is_absent_all_the_same():
    body = header(tables=[{"meter": ["a"], "dt": [0], "values": {"x": [None]}}])
    assert decode(json.dumps(body).encode()).readings[0].absent == {"x": "not_available"}


def test_no_number_of_a_faulty_decoder_costs_the_slot():
    batch = Batch(
        "g",
        EPOCH,
        1,
        0,
        0,
        "synced",
        [
            Reading("a", 0, {"active_power": math.nan, "frequency": 50.0}),
            Reading("b", 0, {"frequency": math.inf}),
        ],
    )
    back = decode(encode(batch))
    assert back.readings[0].values == {"frequency": 50.0}
    assert back.readings[1].absent == {"frequency": "not_available"}


def test_a_lone_surrogate_costs_no_batch():
    batch = decode(
        encode(Batch("g", EPOCH, 1, 0, 0, "synced", events=[Event("meter", 0, {"name": "caf\udce9"})]))
    )
    assert batch.events[0].fields == {"name": "caf?"}


def test_an_event_cannot_rename_itself():
    batch = decode(
        encode(
            Batch(
                "g",
                EPOCH,
                1,
                0,
                100,
                "synced",
                events=[Event("thinned", 100, {"kind": "x", "dt": 9, "from": 1})],
            )
        )
    )
    assert batch.events == [Event("thinned", 100, {"from": 1})]


@given(batches(), MS, st.sampled_from(["synced", "anchored", "unsynced"]))
def test_a_repaired_clock_is_the_same_batch_and_a_changed_value_is_not(batch, t0, clock):
    plain = encode(batch)
    repaired = with_header(plain, t0=t0, clock=clock)
    assert digest(repaired) == digest(plain)
    assert (decode(repaired).t0, decode(repaired).clock) == (t0, clock)
    assert comparable(decode(repaired))[6:] == comparable(batch)[6:]
    renamed = with_header(plain, gateway="another-one", epoch="0" * 16)
    assert (decode(renamed).gateway, decode(renamed).epoch) == ("another-one", "0" * 16)
    assert digest(renamed) != digest(plain)
    message = json.loads(plain)
    message["seq"] = message["seq"] % 1000 + 1001
    assert digest(json.dumps(message).encode()) != digest(plain) or message["seq"] == batch.seq


def test_the_order_and_the_spelling_of_json_do_not_change_the_digest():
    plain = encode(
        Batch(
            "g",
            EPOCH,
            1,
            0,
            0,
            "synced",
            [Reading("main", 0, {"frequency": 50.0})],
        )
    )
    message = json.loads(plain)
    assert digest(json.dumps(dict(reversed(message.items())), indent=3).encode()) == digest(plain)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b'{"a":NaN}'])
def test_what_is_no_object_has_no_digest_and_no_header(body):
    with pytest.raises(WireError):
        digest(body)
    if body != b'{"a":NaN}':
        with pytest.raises(WireError):
            with_header(body, gateway="x")


@given(st.lists(METERS, min_size=1, max_size=40, unique=True), st.integers(1, 6), st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_a_long_slot_is_split_into_whole_batches_with_nothing_lost(meters, polls, events):
    rng = random.Random(3)
    names = sorted(QUANTITIES)[:60]
    draft = Draft(
        [Reading(m, 10 * n, {name: rng.random() for name in names}) for n in range(polls) for m in meters]
    )
    draft.events = [Event("meter", n, {"text": "x" * 100}) for n in range(events)]
    parts = [plain for _, plain in split(draft, Batch("g", EPOCH, 7, 0, 0, "synced"))]
    assert all(len(part) <= MAX_PLAIN for part in parts)
    back = [decode(part) for part in parts]
    assert [b.seq for b in back] == list(range(7, 7 + len(parts)))
    assert sorted((r.meter, r.uptime) for b in back for r in b.readings) == sorted(
        (r.meter, r.uptime) for r in draft.readings
    )
    assert sum(len(b.events) for b in back) == events


@pytest.mark.parametrize("meters", [60, 150, 240, 500, 900])
def test_a_long_slot_is_made_once_in_parts_of_one_size_and_as_few_as_may_be(monkeypatch, meters):
    rng = random.Random(8)
    names = sorted(QUANTITIES)[:34]
    draft = Draft(
        [Reading(f"m{m}", m, {name: round(rng.gauss(230, 30), 2) for name in names}) for m in range(meters)],
        [Event("meter", 0, {"text": "x" * 100})],
        [Interval("m1", "active_energy_import", 900_000, 7, "g", 1)],
    )
    made = []
    monkeypatch.setattr(cut, "encode", lambda batch: made.append(plain := encode(batch)) or plain)
    parts = [plain for _, plain in split(draft, Batch("g", EPOCH, 1, 0, 0, "synced"))]
    least = math.ceil(sum(map(len, parts)) / MAX_PLAIN)
    assert len(parts) in {least, least + 1}
    assert max(map(len, parts)) < 1.1 * min(map(len, parts))
    assert sum(map(len, made)) < 1.5 * sum(map(len, parts))
    back = [decode(part) for part in parts]
    assert [bool(b.events) for b in back] == [True] + [False] * (len(parts) - 1)
    assert [bool(b.intervals) for b in back] == [False] * (len(parts) - 1) + [True]


def test_the_size_on_the_wire_holds_for_ten_and_sixty_meters():
    rng = random.Random(20)
    fast = [name for name, q in QUANTITIES.items() if q.kind == "gauge"][:26] + [
        name for name, q in QUANTITIES.items() if q.kind == "counter"
    ][:8]
    for meters, bar in ((10, 4.6), (60, 3.4)):
        readings_ = [
            Reading(
                f"m{m:02}",
                1000 + m * 90,
                {
                    name: round(rng.gauss(230, 3) if name.startswith("volt") else rng.gauss(12, 4), 1 + n % 2)
                    for n, name in enumerate(fast)
                },
            )
            for m in range(meters)
        ]
        parts = [
            plain
            for _, plain in split(
                Draft(readings_), Batch("izm-konak-017", EPOCH, 41822, 1795278300000, 81234567, "synced")
            )
        ]
        size = sum(len(compress(part)) for part in parts) / (meters * len(fast))
        assert size <= bar, f"{size:.2f} bytes a value with {meters} meters"
