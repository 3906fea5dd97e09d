"""The verdict on a meter's wiring from its recorded values: the 48 hypotheses, and what can be seen beside
them. Pure; changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.commissioning.wiring.angles import IDLE, Columns, Input, dead, observed, readings, volt_amperes
from gateway.commissioning.wiring.hypotheses import INPUTS, RIGHT, SPEAKS, Weighed, posterior

SILENT: Final = "cannot_know"
UNIT: Final = "unit"
_NO_FAULT: Final = frozenset({SILENT, UNIT})
_RATIO: Final = 0.06
"""How far S and U·I may be apart, as a share: two class-1 meters' worth, read in several requests while
the load moves.
"""
_LEAST_KVA: Final = 0.02
_THOUSAND: Final = (950.0, 1050.0)
_LEAST_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class WiringFinding:
    """Something seen: its kind, the input (1, 2, 3) that it is about or None, and what its words need.

    Kinds: `reversed`, `other_phase`, `import_export`, `phase_order`, `missing_voltage`, `zero_current`,
    `ct_ratio`, `swapped_meters`; `unit` and `cannot_know` are no faults.
    """

    kind: str
    input: int | None = None
    facts: dict[str, str | float] = field(default_factory=dict)

    @property
    def fault(self) -> bool:
        """Whether somebody has to look at it."""
        return self.kind not in _NO_FAULT


@dataclass(frozen=True, slots=True)
class WiringVerdict:
    """What the transformers on current inputs 1, 2, 3 measure: `best` always, `inputs` only when the
    verdict speaks.
    """

    speaks: bool
    certainty: float
    best: list[str]
    findings: list[WiringFinding]

    @property
    def inputs(self) -> list[str] | None:
        """`+L1`, `-L3`, `+L2`, or None."""
        return self.best if self.speaks else None

    @property
    def code(self) -> int:
        """Of a command: 0 nothing is wrong, 1 something is, 3 cannot know."""
        return 1 if any(finding.fault for finding in self.findings) else 0 if self.speaks else 3


def judge_wiring(columns: Columns) -> WiringVerdict:
    """The verdict; columns in the vocabulary's names and units, None where a value is missing."""
    seen = observed(columns)
    best = posterior(*readings(seen))[0]
    why = _silence(columns, seen, best)
    findings = [*_supplies(columns), *_ratios(columns)]
    findings += (
        [WiringFinding(SILENT, number, {"why": reason}) for number, reason in why]
        if why
        else list(_mistakes(best))
    )
    return WiringVerdict(not why, round(best.fair, 4), best.hypothesis.names, findings)


def _silence(columns: Columns, seen: Sequence[Input], best: Weighed) -> list[tuple[int | None, str]]:
    """Why nothing can be said; empty when it can."""
    reasons: list[tuple[int | None, str]] = [
        (number, each.why) for number, each in zip(INPUTS, seen, strict=True) if each.why
    ]
    if reasons:
        return reasons
    if not all(each.sign_of_p for each in seen):
        return [(None, "sign_of_p" if "active_power_l1" in columns else "no_power")]
    signed = any(each.signed for each in seen)
    # Likelier than all others together.
    if best.strict < SPEAKS or best.fair < 0.5:
        return [(None, "ambiguous" if signed else "ambiguous_unsigned")]
    return []


def _mistakes(best: Weighed) -> Iterator[WiringFinding]:
    """What is wrong when the verdict speaks."""
    hypothesis = best.hypothesis
    if not hypothesis.positive:
        exchanged = [number for number in INPUTS if hypothesis.conductors[number - 1] != number]
        yield WiringFinding("phase_order", None, {"one": exchanged[0], "other": exchanged[1]})
    if hypothesis.conductors == RIGHT.conductors and set(hypothesis.signs) == {-1}:
        yield WiringFinding("import_export")
        return
    for number, conductor, sign in zip(INPUTS, hypothesis.conductors, hypothesis.signs, strict=True):
        if conductor != number and hypothesis.positive:
            yield WiringFinding("other_phase", number, {"conductor": f"L{conductor}"})
        if sign < 0:
            yield WiringFinding("reversed", number, {"conductor": f"L{conductor}"})


def _supplies(columns: Columns) -> Iterator[WiringFinding]:
    """Voltages and currents that are not there."""
    currents = {number: _middle(columns.get(f"current_l{number}", ())) for number in INPUTS}
    largest = max((current for current in currents.values() if current is not None), default=0.0)
    for number in INPUTS:
        if dead(columns, number):
            yield WiringFinding(
                "missing_voltage", number, {"volts": _middle(columns[f"voltage_l{number}n"]) or 0.0}
            )
        current = currents[number]
        if current is not None and largest > 0 and current <= IDLE * largest:
            yield WiringFinding("zero_current", number, {"amperes": current})
    if largest == 0 and any(current is not None for current in currents.values()):
        yield from (
            WiringFinding("zero_current", number, {"amperes": 0.0})
            for number, current in currents.items()
            if current is not None
        )


def _ratios(columns: Columns) -> Iterator[WiringFinding]:
    """S beside U·I: they are the same by definition, so another ratio means that a transformer ratio is in
    one of them only.
    """
    found = {
        number: ratio
        for number in INPUTS
        if (ratio := _ratio(columns, number)) is not None and abs(ratio - 1) > _RATIO
    }
    if len(found) == len(INPUTS) and all(_THOUSAND[0] < ratio < _THOUSAND[1] for ratio in found.values()):
        yield WiringFinding(UNIT)
        return
    for number, ratio in found.items():
        yield WiringFinding("ct_ratio", number, {"ratio": ratio})


def _ratio(columns: Columns, number: int) -> float | None:
    """The middle of S/(U·I), or of P/PF/(U·I); where only P and Q are there, of √(P²+Q²)/(U·I) as far as
    it is impossible (above 1).
    """
    apparent, active, reactive, factor = (
        columns.get(f"{name}_l{number}")
        for name in ("apparent_power", "active_power", "reactive_power", "power_factor")
    )
    found: list[float] = []
    for row, ui in enumerate(volt_amperes(columns, number)):
        if ui is None or ui < _LEAST_KVA:
            continue
        s, p, q, pf = (column[row] if column else None for column in (apparent, active, reactive, factor))
        if s is not None:
            found.append(abs(s) / ui)
        elif p is not None and pf is not None and abs(pf) > 0.1:  # below, the quotient is noise
            found.append(abs(p / pf) / ui)
        elif p is not None and not apparent and not factor:
            found.append(max(1.0, math.hypot(p, q or 0.0) / ui))
    return sorted(found)[len(found) // 2] if len(found) >= _LEAST_ROWS else None


def _middle(values: Sequence[float | None]) -> float | None:
    """The median of the sizes; None of nothing."""
    sizes = sorted(abs(value) for value in values if value is not None)
    return sizes[len(sizes) // 2] if sizes else None
