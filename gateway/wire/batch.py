"""A batch as JSON on the wire (dialect `native`, schema submeter/1). Pure: batch ⇄ bytes, no I/O.

`docs/wire/` describes it for the platform's engineer; the JSON Schema there is made from these models.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.common.text import visible
from gateway.errors import WireError
from gateway.model import ClockState, Event, Interval, Reading

SCHEMA = "submeter/1"
MAX_PLAIN = 48 * 1024
"""Bytes of JSON a gateway puts into one batch before compression."""
MAX_MESSAGE = 256 * 1024
"""Bytes a receiver is willing to take, before and after decompression."""
LEVEL = 5
"""Of zlib: the next one takes half as long again for one per cent of the bytes."""
MAX_READINGS = 2000
"""Rows of all tables of a batch together, and meters without a reading."""
MAX_CELLS = 25_000
"""Values of a batch, absent ones included: as many as MAX_PLAIN can hold."""
MAX_COLUMNS = 250
"""Quantities of a table."""
MAX_EVENTS = 2000
"""Events of a batch, and intervals."""


@dataclass(slots=True)
class Batch:
    """A batch with its identity: what `encode` writes and `decode` reads. Times in ms; `t0` is UTC."""

    gateway: str
    epoch: str
    seq: int
    t0: int
    uptime: int
    clock: ClockState
    readings: list[Reading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)

    @property
    def values(self) -> int:
        """How many present values it carries."""
        return sum(len(reading.values) for reading in self.readings)


class _Wire(BaseModel):
    """Receivers ignore what they do not know; what they do know is checked strictly."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, defer_build=True)


_Meter = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Reason = Annotated[str, Field(min_length=1, max_length=32)]
_Ms = Annotated[int, Field(ge=0, lt=2**53)]
_Energy = Annotated[int, Field(gt=-(2**53), lt=2**53)]
_Dt = Annotated[int, Field(gt=-(2**53), lt=2**53)]
Epoch = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Seq = Annotated[int, Field(ge=1, lt=2**53)]


class TableMessage(_Wire):
    """Readings of the meters that gave the same set of quantities: a column per quantity, a row per meter."""

    meter: Annotated[list[_Meter], Field(max_length=MAX_READINGS)]
    dt: Annotated[list[_Dt], Field(max_length=MAX_READINGS)]
    values: Annotated[
        dict[_Name, Annotated[list[float | None], Field(max_length=MAX_READINGS)]],
        Field(max_length=MAX_COLUMNS),
    ]


class IntervalMessage(_Wire):
    """A run of neighbouring intervals of one quantity and version: the first begins at `start`, each is
    `seconds` long; a value in whole base units and a letter of quality each.
    """

    meter: _Meter
    quantity: _Name
    start: _Ms
    seconds: Annotated[int, Field(gt=0, lt=2**31)]
    values: Annotated[list[_Energy], Field(min_length=1, max_length=MAX_EVENTS)]
    quality: Annotated[str, Field(pattern=r"^[a-z]+$", max_length=MAX_EVENTS)]
    version: Annotated[int, Field(ge=1, lt=2**31)]


class EventMessage(BaseModel):
    """Something the platform should know; further fields depend on `kind`."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, defer_build=True)
    dt: _Dt
    kind: _Name


class BatchMessage(_Wire):
    """One batch as the JSON object of a message on P/data."""

    schema_: Annotated[Literal["submeter/1"], Field(alias="schema")]
    gateway: _Meter
    epoch: Epoch
    seq: Seq
    t0: _Ms
    uptime: _Ms
    clock: Literal["synced", "anchored", "unsynced"]
    tables: Annotated[list[TableMessage], Field(max_length=MAX_READINGS)] = []
    absent: Annotated[
        dict[_Meter, _Reason | Annotated[dict[_Name, _Reason], Field(max_length=MAX_COLUMNS)]],
        Field(max_length=MAX_READINGS),
    ] = {}
    suspect: Annotated[
        dict[_Meter, Annotated[list[_Name], Field(max_length=MAX_COLUMNS)]], Field(max_length=MAX_READINGS)
    ] = {}
    intervals: Annotated[list[IntervalMessage], Field(max_length=MAX_EVENTS)] = []
    events: Annotated[list[EventMessage], Field(max_length=MAX_EVENTS)] = []


def encode(batch: Batch) -> bytes:
    """The JSON of a batch, compact, UTF-8. Empty parts are left out."""
    message: dict[str, Any] = {
        "schema": SCHEMA, "gateway": batch.gateway, "epoch": batch.epoch, "seq": batch.seq,
        "t0": batch.t0, "uptime": batch.uptime, "clock": batch.clock,
    }  # fmt: skip
    message.update(_body(batch))
    try:
        return _json(message)
    except ValueError:
        # A decoder that let NaN through must not cost the whole slot: JSON has no such number, so the value
        # is absent.
        return _json(_finite(message))


def _json(message: object) -> bytes:
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(
        "utf-8", "replace"
    )  # a lone surrogate from a meter's name is no reason to lose a batch


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _body(batch: Batch) -> dict[str, Any]:
    body: dict[str, Any] = {"tables": _tables(batch)}
    absent: dict[str, Any] = {}
    suspect: dict[str, list[str]] = {}
    for reading in batch.readings:
        # A meter may have several readings in one batch: its reasons are gathered, and single values outrank
        # a lost poll.
        known = absent.get(reading.meter)
        if reading.absent:
            absent[reading.meter] = (
                {**known, **reading.absent} if isinstance(known, dict) else dict(reading.absent)
            )
        elif reading.missing and known is None:
            absent[reading.meter] = reading.missing
        if reading.suspect:
            suspect[reading.meter] = sorted({*suspect.get(reading.meter, ()), *reading.suspect})
    if absent:
        body["absent"] = absent
    if suspect:
        body["suspect"] = suspect
    if batch.intervals:
        body["intervals"] = [_run(run) for run in _runs(batch.intervals)]
    if batch.events:
        body["events"] = [_event(event, batch.uptime) for event in batch.events]
    return body


def _runs(intervals: Sequence[Interval]) -> Iterator[list[Interval]]:
    """Intervals, in their order, as runs of neighbours that differ in start, value and quality alone."""
    run: list[Interval] = []
    for interval in intervals:
        if run:
            last = run[-1]
            after = replace(last, start=last.start + last.seconds * 1000)
            if interval != replace(after, value=interval.value, quality=interval.quality):
                yield run
                run = []
        run.append(interval)
    if run:
        yield run


def _run(run: Sequence[Interval]) -> dict[str, Any]:
    first = run[0]
    return {
        "meter": first.meter,
        "quantity": first.quantity,
        "start": first.start,
        "seconds": first.seconds,
        "values": [interval.value for interval in run],
        "quality": "".join(interval.quality for interval in run),
        "version": first.version,
    }


def _event(event: Event, uptime: int) -> dict[str, Any]:
    own = {key: value for key, value in event.fields.items() if key not in {"dt", "kind"}}
    return {"dt": event.uptime - uptime, "kind": event.kind, **own}


def _tables(batch: Batch) -> list[dict[str, Any]]:
    # One table per equal set of quantities, in the order of first sight: deterministic, and what the eye
    # expects.
    tables: dict[frozenset[str], tuple[list[str], list[Reading]]] = {}
    for reading in batch.readings:
        if not reading.missing:
            names = [*reading.values, *reading.absent]
            tables.setdefault(frozenset(names), (names, []))[1].append(reading)
    return [
        {
            "meter": [r.meter for r in rows],
            "dt": [r.uptime - batch.uptime for r in rows],
            "values": dict(
                zip(names, zip(*[map(r.values.get, names) for r in rows], strict=True), strict=True)
            ),
        }
        for names, rows in tables.values()
    ]


def compress(plain: bytes) -> bytes:
    """The zlib form; told from plain JSON by its first byte, 0x78."""
    return zlib.compress(plain, LEVEL)


def decompress(body: bytes, limit: int = MAX_MESSAGE) -> bytes:
    """Plain JSON bytes of a message in either form. Raises WireError for anything else, or more than
    `limit` bytes.
    """
    if body[:1] == b"{":
        if len(body) > limit:
            raise WireError(f"the message has {len(body)} bytes, more than {limit}")
        return body
    if body[:1] != b"\x78":
        raise WireError(
            "the message is neither JSON nor zlib",
            hint="P/data carries a JSON object, plain or compressed with zlib",
        )
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(body, limit + 1)
    except zlib.error as error:
        raise WireError(f"the message is damaged: {error}") from error
    if len(plain) > limit or not unpack.eof or unpack.unused_data:
        raise WireError(f"the message is cut short, padded, or larger than {limit} bytes")
    return plain


def decode(body: bytes) -> Batch:
    """A batch from the bytes of a message, plain or compressed. Raises WireError, never anything else."""
    plain = decompress(body)
    try:
        message = BatchMessage.model_validate_json(plain)
    except ValidationError as error:
        raise WireError(f"not a {SCHEMA} batch: {first_flaw(error)}") from error
    _bounded(message)
    batch = Batch(message.gateway, message.epoch, message.seq, message.t0, message.uptime, message.clock)
    batch.readings = list(_readings(message))
    batch.events = [Event(e.kind, message.uptime + e.dt, dict(e.model_extra or {})) for e in message.events]
    batch.intervals = [interval for run in message.intervals for interval in _members(run)]
    return batch


def _members(run: IntervalMessage) -> Iterator[Interval]:
    if len(run.values) != len(run.quality):
        raise WireError(
            f"not a {SCHEMA} batch: a run of intervals has not one letter of quality for each value"
        )
    for index, (value, quality) in enumerate(zip(run.values, run.quality, strict=True)):
        start = run.start + index * run.seconds * 1000
        yield Interval(run.meter, run.quantity, start, value, quality, run.version, run.seconds)


def _bounded(message: BatchMessage) -> None:
    """Raise WireError for a batch that is small on the wire and large in a database."""
    rows = sum(len(table.meter) for table in message.tables)
    cells = sum(len(column) for table in message.tables for column in table.values.values())
    intervals = sum(len(run.values) for run in message.intervals)
    for number, most, what in (
        (rows, MAX_READINGS, "readings"),
        (cells, MAX_CELLS, "values"),
        (intervals, MAX_EVENTS, "intervals"),
    ):
        if number > most:
            raise WireError(f"not a {SCHEMA} batch: it has {number} {what}, more than {most}")


def first_flaw(error: ValidationError) -> str:
    """Where a message breaks the contract and how, on one short line: keys of the sender's choice may
    stand in the path.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(visible(str(key), 64) for key in first["loc"][:8])
    return f"{path or 'message'}: {visible(first['msg'], 200)}"


def _readings(message: BatchMessage) -> Iterator[Reading]:
    suspects = {meter: frozenset(names) for meter, names in message.suspect.items()}
    for table in message.tables:
        rows = len(table.meter)
        if len(table.dt) != rows or any(len(column) != rows for column in table.values.values()):
            raise WireError(f"not a {SCHEMA} batch: the columns of a table differ in length")
        for row, meter in enumerate(table.meter):
            reasons = message.absent.get(meter, {})
            values = {name: column[row] for name, column in table.values.items()}
            absent = {
                name: reasons.get(name, "not_available") if isinstance(reasons, dict) else reasons
                for name, value in values.items()
                if value is None
            }
            suspect = tuple(sorted(suspects[meter].intersection(values))) if meter in suspects else ()
            yield Reading(
                meter,
                message.uptime + table.dt[row],
                {n: v for n, v in values.items() if v is not None},
                absent,
                "",
                suspect,
            )
    for meter, reason in message.absent.items():
        if isinstance(reason, str):
            yield Reading(meter, message.uptime, missing=reason)


_GATEWAY = re.compile(rb'^\{"schema":"submeter/1","gateway":"([a-z0-9-]{1,32})"')


def peek_gateway(body: bytes) -> str | None:
    """The gateway id in a message that `encode` wrote, without unpacking all of it; None when it does not
    stand there.
    """
    try:
        head = body[:80] if body[:1] == b"{" else zlib.decompressobj().decompress(body[:256], 80)
    except zlib.error:
        return None
    found = _GATEWAY.match(head)
    return found[1].decode() if found else None


def with_header(
    plain: bytes,
    *,
    gateway: str | None = None,
    epoch: str | None = None,
    t0: int | None = None,
    clock: ClockState | None = None,
    events: Sequence[dict[str, Any]] = (),
) -> bytes:
    """The same batch under another identity or with its wall time repaired, `events` put before its own.
    Raises WireError.
    """
    changes = {"gateway": gateway, "epoch": epoch, "t0": t0, "clock": clock}
    try:
        message = json.loads(plain)
        message.update({key: value for key, value in changes.items() if value is not None})
        if events:
            message["events"] = [*events, *message.get("events", ())]
        return _json(message)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise WireError("the message is not a JSON object, or has a number that JSON has not") from error


def digest(plain: bytes) -> str:
    """A fingerprint of what a batch says, header times aside: equal for a batch whose clock was repaired
    meanwhile.

    Raises WireError when the bytes are not a JSON object.
    """
    try:
        message = json.loads(plain)
        for key in ("t0", "uptime", "clock"):
            message.pop(key, None)
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise WireError("the message is not a JSON object") from error
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
