"""Which fault makes a line look as it does: a table of hypotheses with the likelihood of each feature. Pure.

posterior(cause) ∝ prior(cause) · Π P(feature | cause), over the features that were seen or not seen; what
could not be measured says nothing. The likelihoods are a technician's: how often such a fault shows this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Final

from gateway.commissioning.doctor.line.features import Symptoms

ALIKE: Final = 0.2
"""Share of the likeliest cause from which another one looks alike."""
SELDOM: Final = 0.02
"""P(feature) where a cause has nothing to do with it."""
NEVER: Final = 0.001
_UNMISTAKABLE: Final = frozenset({"port_lost", "two", "foreign"})
"""Features that no other fault shows by chance."""

CAUSES: Final[Mapping[str, tuple[float, Mapping[str, float]]]] = {
    # Two wires exchanged: our bits arrive upside down, so nobody understands; where something pulls the idle
    # line, each pause is a break.
    "swapped": (
        6.0,
        {"nobody": 0.98, "mute": 0.4, "breaks": 0.9, "marks": 0.5, "idle_noise": 0.05, "elsewhere": 0.001},
    ),
    "silent_line": (1.5, {"nobody": 0.98, "mute": 0.95, "elsewhere": 0.001, "breaks": 0.001}),
    "setting": (3.0, {"nobody": 0.95, "mute": 0.85, "elsewhere": 0.97, "marks": 0.1, "breaks": 0.02}),
    "renumbered": (1.0, {"nobody": 0.95, "mute": 0.95, "elsewhere": 0.001, "elsewhere_port": 0.95}),
    "bias": (
        1.0,
        {
            "nobody": 0.2, "idle_noise": 0.6, "damage": 0.7, "grows": 0.15,
            "lead": 0.85, "garbage": 0.3, "clustered": 0.1,
            "spread": 0.3, "always": 0.15, "one_only": 0.1, "tail": 0.8, "breaks": 0.2, "marks": 0.6,
            "hasty": 0.03, "late": 0.02,
        },
    ),
    "termination": (
        1.0,
        {
            "nobody": 0.03, "idle_noise": 0.01, "damage": 0.97, "grows": 0.85, "lead": 0.03, "clustered": 0.1,
            "spread": 0.7, "always": 0.03, "one_only": 0.3, "tail": 0.03, "hasty": 0.03,
        },
    ),
    "interference": (
        1.0,
        {
            "nobody": 0.03, "idle_noise": 0.85, "damage": 0.9, "grows": 0.5, "lead": 0.1, "clustered": 0.4,
            "spread": 0.1, "always": 0.05, "one_only": 0.05, "tail": 0.35, "hasty": 0.03,
        },
    ),
    "brown_out": (1.0, {"port_lost": 0.98, "damage": 0.7, "nobody": 0.2, "mute": 0.5, "clustered": 0.7}),
    "second_master": (
        1.0,
        {
            "foreign": 0.97, "idle_noise": 0.3, "damage": 0.6, "nobody": 0.02, "grows": 0.4, "lead": 0.3,
            "clustered": 0.3, "tail": 0.3, "spread": 0.2, "one_only": 0.1, "always": 0.05, "late": 0.05,
            "two": 0.1,
        },
    ),
    "duplicate": (
        1.0,
        {
            "two": 0.5, "always": 0.75, "one_only": 0.9, "damage": 0.85, "grows": 0.1, "tail": 0.4,
            "lead": 0.1, "spread": 0.9, "nobody": 0.2, "garbage": 0.9, "clustered": 0.2, "marks": 0.5,
        },
    ),
    "too_fast": (
        1.0,
        {
            "hasty": 0.9, "busy": 0.5, "damage": 0.7, "one_only": 0.6, "spread": 0.5, "grows": 0.05,
            "nobody": 0.01, "clustered": 0.1, "idle_noise": 0.01,
        },
    ),
    "slow_answers": (0.3, {"late": 0.95, "damage": 0.8, "one_only": 0.6, "spread": 0.5}),
}  # fmt: skip
"""Cause → prior (in what proportion they are met), and P(feature) where it is not `SELDOM`."""

METER_CAUSES: Final = frozenset({"duplicate", "too_fast", "slow_answers"})
"""They are about one meter of the line."""


def ranked(seen: Symptoms) -> list[tuple[str, float]]:
    """Every cause with its posterior, the likeliest first."""
    weights = {cause: prior * _likelihood(seen, known) for cause, (prior, known) in CAUSES.items()}
    total = sum(weights.values())
    return sorted(((cause, weight / total) for cause, weight in weights.items()), key=lambda each: -each[1])


def rivals(ranking: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """The causes that look like the first one, with their posteriors."""
    _, best = ranking[0]
    return tuple((cause, value) for cause, value in ranking[1:] if value >= ALIKE * best)


def speaking(seen: Symptoms, cause: str) -> Iterator[str]:
    """The features that were seen and that the cause makes likely."""
    known = CAUSES[cause][1]
    for each in fields(seen):
        if getattr(seen, each.name) and known.get(each.name, SELDOM) >= 0.3:
            yield each.name


def _likelihood(seen: Symptoms, known: Mapping[str, float]) -> float:
    product = 1.0
    for each in fields(seen):
        value = getattr(seen, each.name)
        if value is not None:
            chance = known.get(each.name, NEVER if each.name in _UNMISTAKABLE else SELDOM)
            product *= chance if value else 1 - chance
    return product
