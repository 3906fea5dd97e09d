"""What the engine is handed of a committed batch is what unpacking the batch gives."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.daemon.energy.opening import as_sealed, committed, parts_of
from gateway.journal.file.rows import CommitStamp, seal
from gateway.model import Draft, Event, Interval, Reading

NAMES = ["active_energy_import", "active_power", "voltage_l1", "volume", "reactive_energy_q1"]
STAMP = CommitStamp("town-hall", "ab" * 8, "cd" * 16, 1_795_219_200_000, "synced")
UPTIME = 7_000


@st.composite
def readings(draw) -> Reading:
    meter, uptime = draw(st.sampled_from(["m1", "m2", "m3"])), UPTIME + draw(st.integers(0, 900))
    if draw(st.booleans()) and draw(st.booleans()):
        return Reading(meter, uptime, missing="timeout")
    number = st.floats(-1e12, 1e12) | st.integers(-(10**9), 10**9) | st.sampled_from([math.nan, math.inf])
    values = draw(st.dictionaries(st.sampled_from(NAMES[:4]), number, max_size=4))
    absent = {} if draw(st.booleans()) else dict.fromkeys({*NAMES} - {*values}, "bad_frame")
    suspect = tuple(draw(st.lists(st.sampled_from(NAMES), max_size=3)))
    return Reading(meter, uptime, values, absent, suspect=suspect)


def sealed(draft: Draft):
    rows = seal(draft, STAMP, UPTIME, 1, 0)
    return [row.sealed for row in rows]


@given(
    st.lists(readings(), max_size=9),
    st.sampled_from(["", "event", "interval", "keep"]),
    st.sampled_from([None, 150, 200, 260]),
)
def test_it_is_the_same_or_it_is_not_used(given_readings, more, limit) -> None:
    draft = Draft(given_readings, keep=more == "keep", packed_limit=limit)
    if more == "event":
        draft.events.append(Event("boot", UPTIME))
    if more == "interval":
        draft.intervals.append(Interval("m1", NAMES[0], 1_795_219_200_000, 5, "m"))
    batches = sealed(draft)
    for batch, part in zip(batches, parts_of(batches, draft.readings), strict=True):
        unpacked, handed = committed(batch), committed(batch, part)
        assert sorted(handed.readings, key=repr_of) == sorted(unpacked.readings, key=repr_of)
        assert (handed.events, handed.intervals) == (unpacked.events, unpacked.intervals)
        assert (handed.epoch, handed.seq, handed.t0, handed.clock) == (
            unpacked.epoch, unpacked.seq, unpacked.t0, unpacked.clock
        )  # fmt: skip


def repr_of(reading: Reading) -> tuple[str, int, str]:
    return reading.meter, reading.uptime, reading.missing


PLAIN = [Reading("m1", UPTIME, {"active_power": 5.0}), Reading("m2", UPTIME + 3, {"volume": 2})]


def test_a_plain_batch_is_not_unpacked() -> None:
    (batch,) = sealed(Draft(PLAIN))
    broken = replace(batch, body=b"no batch")
    assert committed(broken, PLAIN).readings == PLAIN, "the body was not looked at"
    assert committed(broken).readings == [], "and without the readings it is"


@pytest.mark.parametrize(
    "other",
    [
        [*PLAIN, Reading("m3", UPTIME, {"volume": 1.0})],
        PLAIN[:1],
        [PLAIN[0], replace(PLAIN[1], meter="m1", absent={"active_power": "timeout"})],
        [PLAIN[0], replace(PLAIN[1], meter="m1", suspect=("volume",))],
        [PLAIN[0], replace(PLAIN[1], values={"volume": math.nan})],
        [PLAIN[0], replace(PLAIN[1], values={"volume": 1.0, "active_power": 2.0})],
    ],
    ids=["one more", "one less", "a reason", "a doubt", "no number", "another value"],
)
def test_readings_that_need_not_be_those_of_the_batch_are_not_taken_for_them(other) -> None:
    (batch,) = sealed(Draft(PLAIN))
    assert as_sealed(batch, other) is None
    assert as_sealed(batch, PLAIN) is not None


def test_a_batch_that_is_kept_is_unpacked() -> None:
    (batch,) = sealed(Draft(PLAIN, keep=True))
    assert as_sealed(batch, PLAIN) is None


def test_the_parts_of_a_slot_with_many_readings_of_each_meter_are_not_unpacked() -> None:
    """A meter that is read every second, in batches of ten: the draft is divided, each part has its own."""
    many = [
        Reading(f"m{meter}", UPTIME + second * 1000 + meter, {name: float(second) for name in NAMES})
        for second in range(10)
        for meter in range(60)
    ]
    batches = sealed(Draft(many, packed_limit=700))
    parts = list(parts_of(batches, many))
    assert len(batches) > 2
    assert [reading for part in parts for reading in part or ()] == many
    for batch, part in zip(batches, parts, strict=True):
        assert committed(replace(batch, body=b"no batch"), part).readings == part, "it was not looked at"
        assert sorted(committed(batch).readings, key=repr_of) == sorted(part, key=repr_of)


def test_parts_of_a_reading_that_was_divided_are_unpacked() -> None:
    wide = [Reading("m1", UPTIME, {f"quantity_{number}": number / 7 for number in range(40)})]
    batches = sealed(Draft(wide, packed_limit=300))
    assert len(batches) > 1
    assert list(parts_of(batches, wide)) == [None] * len(batches)
