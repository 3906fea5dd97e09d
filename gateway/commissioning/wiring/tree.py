"""The verdicts on the meters of a building, and what only several together show: a meter that carries more
than the one it is a part of cannot be where it is thought to be. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from gateway.commissioning.wiring.angles import Column, Columns, apparent_power
from gateway.commissioning.wiring.hypotheses import INPUTS
from gateway.commissioning.wiring.recorded import Recorded
from gateway.commissioning.wiring.verdict import WiringFinding, WiringVerdict, judge_wiring
from gateway.config import Config

_PARTS: Final = 6
"""Spans of the record that are compared one by one: a part that is read a little later may show more at one
moment.
"""
_LEAST_ROWS: Final = 5
_MORE: Final = 1.1
"""By how much a part must exceed the whole: two meters and their transformers of class 1, and to spare."""
_LEAST: Final = 0.1
"""kW and kVA below which nothing can be told."""
_SHIFTED: Final = 0.1
"""Share of the record by which its ends may differ between two meters."""


def parts_of(config: Config) -> dict[str, str]:
    """Of which meter another one is a part, by the configuration; nothing where a plant generates: then a
    part may well carry more than the whole.
    """
    return {} if config.building.pv else {each.id: each.parent for each in config.meters if each.parent}


def judge_meters(
    found: Mapping[str, Recorded], wanted: Iterable[str], parents: Mapping[str, str]
) -> dict[str, WiringVerdict]:
    """The verdict on each of the `wanted` meters, by the values of all of them. `parents`: of which meter
    another one is a part. Two that stand in each other's place are told of the part; of the whole where the
    part is not wanted.
    """
    verdicts = {meter: judge_wiring(found[meter].columns) for meter in wanted}
    for finding in _swapped(found, parents):
        part, whole = str(finding.facts["part"]), str(finding.facts["whole"])
        if told := next((meter for meter in (part, whole) if meter in verdicts), None):
            verdict = verdicts[told]
            verdicts[told] = replace(verdict, findings=[*verdict.findings, finding])
    return verdicts


def _swapped(found: Mapping[str, Recorded], parents: Mapping[str, str]) -> Iterator[WiringFinding]:
    """Meters that carry more than the one that they are a part of: power and apparent power alike, in every
    span of the record. Mistakes of the wiring change no apparent power, compensation changes no power; where
    the whole feeds in, nothing can be told.
    """
    for part, whole in parents.items():
        one, other = found.get(part), found.get(whole)
        if one is None or other is None or not _of_one_time(one, other):
            continue
        mine, theirs = _kilowatts(one.columns), _kilowatts(other.columns)
        if min(theirs, default=-1.0) < 0 or not _exceeds(mine, theirs):
            continue
        if _exceeds(_volt_amperes(one.columns), _volt_amperes(other.columns)):
            facts: dict[str, str | float] = {"part": part, "whole": whole}
            facts |= {"more": math.fsum(mine) / _PARTS, "less": math.fsum(theirs) / _PARTS}
            yield WiringFinding("swapped_meters", None, facts)


def _of_one_time(one: Recorded, other: Recorded) -> bool:
    """Whether two meters were recorded at the same time."""
    room = _SHIFTED * max(one.last - one.first, other.last - other.first)
    return abs(one.first - other.first) <= room and abs(one.last - other.last) <= room


def _exceeds(mine: list[float], theirs: list[float]) -> bool:
    """Whether one is more in every span; False where a span is not known."""
    return bool(mine and theirs) and all(
        part > max(_LEAST, _MORE * whole) for part, whole in zip(mine, theirs, strict=True)
    )


def _kilowatts(columns: Columns) -> list[float]:
    phases = [columns.get(f"active_power_l{number}", ()) for number in INPUTS]
    return _means(columns.get("active_power") or _sums(phases))


def _volt_amperes(columns: Columns) -> list[float]:
    """In kVA; of the whole meter, or of its phases together."""
    return _means(columns.get("apparent_power") or _sums([list(apparent_power(columns, n)) for n in INPUTS]))


def _sums(phases: list[Column]) -> Column:
    """Row by row; of a meter with one phase, that one's."""
    known = [column for column in phases if column]
    return [
        None if None in row else math.fsum(value for value in row if value is not None)
        for row in zip(*known, strict=True)
    ]


def _means(column: Column) -> list[float]:
    """The mean of each span; empty when one has too few values."""
    edges = [len(column) * number // _PARTS for number in range(_PARTS + 1)]
    spans = [[value for value in column[begin:end] if value is not None] for begin, end in pairwise(edges)]
    return [math.fsum(span) / len(span) for span in spans] if all(map(_enough, spans)) else []


def _enough(span: list[float]) -> bool:
    return len(span) >= _LEAST_ROWS
