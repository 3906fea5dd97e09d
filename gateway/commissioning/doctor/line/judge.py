"""What the measurements of a line mean: one cause for the line, one for each meter that is alone with its
trouble. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from gateway.commissioning.doctor.diagnosis import Diagnosis, Evidence, SentenceFacts, Severity
from gateway.commissioning.doctor.line.causes import METER_CAUSES, ranked, rivals, speaking
from gateway.commissioning.doctor.line.features import Symptoms, bad_share, symptoms
from gateway.commissioning.doctor.line.traces import Elsewhere, LineTraces, Trace
from gateway.commissioning.doctor.targets import Target

_HARMS: Final = frozenset(
    {"bias", "termination", "interference", "second_master", "duplicate", "too_fast", "slow_answers"}
)
_NAMED: Final = 3
_NAMED_SHARE: Final = 0.8
"""Answers in the name of one other unit, and their share, from which that is no chance."""
_PATIENCE: Final = 2.0
"""s at least that a slow meter is given; twice what it took."""
_WARNS: Final = 0.05
"""Share of failed reads up to which a disturbed line only may become worse."""


def judge_line(part: str, measured: LineTraces, targets: Sequence[Target]) -> list[Diagnosis]:
    """Everything that is wrong with a line and its meters, as far as its bytes show it."""
    names = {name: unit for name, reads in measured.reads.items() if (unit := _in_name_of(reads)) is not None}
    found = [
        Diagnosis(part, "other_unit", 0.95, "stops", target.id, (), {
            "address": float(target.unit), "there": float(names[target.id]),
        })
        for target in targets
        if target.id in names
    ]  # fmt: skip
    reads = {name: reads for name, reads in measured.reads.items() if name not in names}
    if names and not reads:
        return found
    measured = replace(measured, reads=reads)
    seen = symptoms(measured)
    if seen.ill:
        found.append(_of_line(part, measured, targets, seen))
    if not seen.nobody:
        disturbed = any(each.cause not in METER_CAUSES for each in found)
        found += _silent_ones(part, measured, targets, disturbed=disturbed)
    return found


def _in_name_of(reads: Sequence[Trace]) -> int | None:
    """The other unit in whose name a meter gives its answers, if it does."""
    units = {trace.as_unit for trace in reads if trace.as_unit is not None}
    named = sum(trace.as_unit is not None for trace in reads)
    if len(units) != 1 or named < _NAMED or named < _NAMED_SHARE * len(reads):
        return None
    return units.pop()


def _of_line(part: str, measured: LineTraces, targets: Sequence[Target], seen: Symptoms) -> Diagnosis:
    ranking = ranked(seen)
    cause, certainty = ranking[0]
    facts = _figures(measured)
    meter = ""
    if cause == "setting" and measured.elsewhere:
        there = measured.elsewhere[0]
        facts |= _place(there)
        moved = next((t for t in targets if t.id == there.meter and t.unit != there.unit), None)
        if moved is not None:
            cause, meter = "not_kept", moved.id
            facts["address"] = float(moved.unit)
    elif cause in METER_CAUSES:
        meter = _worst(measured, cause)
        facts |= _meter_facts(measured, targets, meter)
    severity: Severity = "harms" if cause in _HARMS else "stops"
    if cause in _HARMS and bad_share(measured.every()) < _WARNS and cause != "duplicate":
        severity = "warns" if cause != "second_master" else severity
    evidence = tuple(Evidence(name, facts) for name in speaking(seen, ranking[0][0]))
    return Diagnosis(part, cause, certainty, severity, meter, evidence, facts, rivals(ranking))


def _silent_ones(
    part: str, measured: LineTraces, targets: Sequence[Target], *, disturbed: bool
) -> Iterator[Diagnosis]:
    """The meters that do not answer while others do. `disturbed`: what the line has explains damage."""
    places = {each.meter: each for each in measured.elsewhere}
    for target in targets:
        reads = measured.reads.get(target.id, [])
        if any(trace.known for trace in reads) or not reads or any(trace.late for trace in reads):
            continue
        facts: SentenceFacts = {"address": float(target.unit)}
        there = places.get(target.id)
        if there is None:
            # A meter at another setting does not understand us and is silent: bytes that are no frame, where
            # others are understood, are two that talk at once.
            garbled = sum(trace.size > 0 for trace in reads) * 2 > len(reads)
            if disturbed and any(trace.size for trace in reads):
                continue
            cause = "duplicate" if garbled else "silent_meter"
            yield Diagnosis(part, cause, 0.8, "harms" if garbled else "stops", target.id, (), facts)
            continue
        evidence = (Evidence("elsewhere", _place(there)),)
        yield Diagnosis(part, "not_kept", 0.95, "stops", target.id, evidence, facts | _place(there))


def _place(there: Elsewhere) -> SentenceFacts:
    return {"there": float(there.unit), "setting": str(there.setting or ""), "port": there.port}


def _worst(measured: LineTraces, cause: str) -> str:
    """The meter that a cause of one meter is about."""

    def weight(name: str) -> tuple[float, float]:
        if cause == "slow_answers":
            return float(sum(trace.late for trace in measured.reads[name])), 0.0
        reads = measured.reads[name]
        voices = len(set(measured.serials.get(name, ()))) > 1 or sum(t.answers > 1 for t in reads) >= 2
        known = [trace for trace in reads if trace.known]
        return float(voices and cause == "duplicate"), bad_share(reads) if known else 0.0

    return max(measured.reads, key=weight, default="")


def _meter_facts(measured: LineTraces, targets: Sequence[Target], meter: str) -> SentenceFacts:
    target = next((each for each in targets if each.id == meter), None)
    reads = measured.reads.get(meter, [])
    facts: SentenceFacts = {"address": float(target.unit if target else 0), "meter_bad": bad_share(reads)}
    facts["patience"] = f"{max(_PATIENCE, 2 * max((trace.took for trace in reads), default=0.0)):.0f}s"
    if serials := sorted(set(measured.serials.get(meter, ()))):
        facts["serials"] = ", ".join(serials)
    return facts


def _figures(measured: LineTraces) -> SentenceFacts:
    """The numbers behind the features, for who reads the evidence."""
    every = measured.every()
    known = [trace for trace in every if any(t.known for t in every if t.unit == trace.unit)]
    low = min((trace.count for trace in known), default=0)
    short = [trace for trace in known if trace.count <= low]
    long = [trace for trace in known if trace.count > 2 * low]
    idle = sum(each.seconds for each in measured.idle)
    return {
        "reads": float(len(every)),
        "bad": bad_share(known),
        "short_bad": bad_share(short),
        "long_bad": bad_share(long),
        "long": float(max((trace.count for trace in known), default=0)),
        "noise": sum(each.noise for each in measured.idle) / idle if idle else 0.0,
        "masters": float(sum(each.masters for each in measured.idle) + sum(t.masters for t in every)),
        "lead": _share(known, [trace for trace in known if trace.lead]),
        "losses": float(measured.losses),
        "asked": str(measured.setting or ""),
    }


def _share(all_of: Sequence[Trace], some: Sequence[Trace]) -> float:
    return len(some) / len(all_of) if all_of else 0.0
