"""What the doctor says: a cause with its certainty, what bears it out, and what to do. Values, no words: the
sentences in Turkish and English are made where they are printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SentenceFacts = dict[str, str | float]
"""What the sentence of a finding needs, by name."""
Severity = Literal["stops", "harms", "warns"]
"""stops: nothing goes here until it is mended. harms: readings are lost or wrong. warns: it will be one of
these, or may be.
"""
GRAVE: tuple[Severity, ...] = ("stops", "harms", "warns")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something measured that speaks for a cause."""

    kind: str
    facts: SentenceFacts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that is wrong. `part`: what was looked at (`machine`, `bus line1`, `uplink city`);
    `meter`: its id when it is about one; `cause`: the word for it; `certainty` 0 to 1; `facts`: what its
    sentences need; `rivals`: the causes that look alike here, likeliest first.
    """

    part: str
    cause: str
    certainty: float = 1.0
    severity: Severity = "stops"
    meter: str = ""
    evidence: tuple[Evidence, ...] = ()
    facts: SentenceFacts = field(default_factory=dict)
    rivals: tuple[tuple[str, float], ...] = ()

    @property
    def sure(self) -> bool:
        """Whether no other cause looks alike."""
        return not self.rivals


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that was looked at: `ok`, what was found in short (`kind` with `facts`); None when it could
    not be looked at, `kind` then says why.
    """

    part: str
    kind: str
    ok: bool | None = True
    facts: SentenceFacts = field(default_factory=dict)


@dataclass(slots=True)
class ExaminedPart:
    """Everything that was looked at in one part, and what is wrong there."""

    part: str
    observations: list[Observation] = field(default_factory=list)
    found: list[Diagnosis] = field(default_factory=list)

    def note(self, kind: str, ok: bool | None = True, **facts: str | float) -> None:
        """Note what was looked at."""
        self.observations.append(Observation(self.part, kind, ok, facts))

    def find(
        self,
        cause: str,
        severity: Severity = "stops",
        *,
        certainty: float = 1.0,
        meter: str = "",
        **facts: str | float,
    ) -> None:
        """Note what is wrong."""
        self.found.append(Diagnosis(self.part, cause, certainty, severity, meter, (), facts))

    @property
    def blind(self) -> bool:
        """Whether something could not be looked at."""
        return any(each.ok is None for each in self.observations)


def worst_first(found: list[Diagnosis]) -> list[Diagnosis]:
    """What stops everything before what harms, that before what may; the surer before the less sure."""
    return sorted(
        found, key=lambda each: (GRAVE.index(each.severity), -round(each.certainty, 1), bool(each.meter))
    )
