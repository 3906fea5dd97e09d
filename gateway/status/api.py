"""/api/v1: the snapshot as JSON. `docs/api.md` describes every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, TypeVar

from gateway.errors import ControlError
from gateway.model import OWN_METER, QUANTITIES
from gateway.status.findings import StatusVerdict
from gateway.status.snapshot import (
    Beat,
    BusView,
    ClockView,
    FactView,
    JournalView,
    MeterView,
    RemoteView,
    Snapshot,
    UpgradeView,
    UplinkView,
    ValueView,
)
from gateway.status.verdict import judge

Made = TypeVar("Made")


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """The whole snapshot as JSON values, but for whom a person would call."""
    return {
        **_plain(snapshot, skip=("meters", "own", "beats", "service")),
        "meters": [meter_json(meter) for meter in snapshot.everything],
        "beats": [{**_plain(beat), "alive": beat.alive} for beat in snapshot.beats],
        "verdict": verdict_json(judge(snapshot)),
    }


def verdict_json(verdict: StatusVerdict) -> dict[str, Any]:
    """The verdict and what it rests on, as words of closed sets."""
    return {
        "state": verdict.state,
        "until": verdict.until,
        "findings": [_plain(finding) for finding in verdict.findings],
    }


def meter_json(meter: MeterView) -> dict[str, Any]:
    """A meter as JSON values; its values as an object by quantity."""
    return {
        **_plain(meter, skip=("values",)),
        "values": {view.quantity: value_json(view) for view in meter.values},
    }


def value_json(view: ValueView) -> dict[str, Any]:
    """One value with unit, OBIS code, age and quality."""
    word = QUANTITIES.get(view.quantity)
    return {
        "value": view.value if view.value is not None and isfinite(view.value) else None,
        "unit": word.unit if word else "",
        "obis": word.obis if word else "",
        "age": _value(view.age),
        "interval": view.interval,
        "decimals": view.decimals,
        "quality": view.quality,
        "suspect": view.suspect,
        "given": view.given,
        "absent": view.absent,
    }


def from_json(body: dict[str, Any]) -> Snapshot:
    """The snapshot that `as_json` wrote, also by a daemon of another version. Raises ControlError when it
    is none.
    """
    try:
        meters = tuple(map(_meter, body["meters"]))
        return _made(
            Snapshot,
            body,
            clock=_made(ClockView, body["clock"]),
            journal=_made(JournalView, body["journal"]),
            meters=tuple(meter for meter in meters if not _is_own(meter)),
            own=next(filter(_is_own, meters), None),
            buses=tuple(_made(BusView, bus, learnt=_facts(bus)) for bus in body["buses"]),
            uplinks=tuple(
                _made(
                    UplinkView,
                    uplink,
                    silent=tuple(uplink.get("silent", ())),
                    refused_topics=tuple(uplink.get("refused_topics", ())),
                    left_out=tuple(uplink.get("left_out", ())),
                )
                for uplink in body["uplinks"]
            ),
            beats=tuple(_made(Beat, beat) for beat in body["beats"]),
            problems=tuple(body["problems"]),
            remote=_remote(body.get("remote")),
            upgrade=_made(UpgradeView, body["upgrade"]) if body.get("upgrade") else None,
            refused=body.get("refused", 0),
            mistakes=body.get("mistakes", 0),
            in_short=body.get("in_short", 0),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ControlError(
            "the daemon's answer is not understood",
            hint="this command and the daemon may be of different versions",
        ) from error


def _is_own(meter: MeterView) -> bool:
    return meter.id == OWN_METER and not (meter.driver or meter.model)


def _meter(body: Mapping[str, Any]) -> MeterView:
    return _made(
        MeterView,
        body,
        values=tuple(_made(ValueView, view, quantity=name) for name, view in body["values"].items()),
        learnt=_facts(body),
        remarks=tuple(body.get("remarks", ())),
        unsteady=tuple(body.get("unsteady", ())),
        exchanged=tuple(body.get("exchanged", ())),
        stranger=tuple(body.get("stranger", ())),
    )


def _remote(body: Mapping[str, Any] | None) -> RemoteView | None:
    return _made(RemoteView, body, commands=tuple(body["commands"])) if body else None


def _facts(body: Mapping[str, Any]) -> tuple[FactView, ...]:
    return tuple(
        _made(FactView, fact, values=tuple(fact.get("values", ()))) for fact in body.get("learnt", ())
    )


def _made(kind: type[Made], body: Mapping[str, Any], **parts: object) -> Made:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{**{name: value for name, value in body.items() if name in known}, **parts})


def _plain(thing: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    return {f.name: _value(getattr(thing, f.name)) for f in fields(thing) if f.name not in skip}


def _value(value: Any) -> Any:
    if isinstance(value, float):
        # Rounded for people who read it raw; a NaN is not JSON.
        return round(value, 6) if isfinite(value) else None
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return _plain(value)
    return value
