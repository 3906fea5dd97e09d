"""What is wrong with a gateway, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

QUIET = 900_000
"""ms without a batch, after which a gateway that says it is online is silent."""
DAY = 86_400_000
LATELY = 35 * DAY
"""ms back for which a gateway is looked at and shown."""
BACKLOG = 360
"""Batches that wait, at which one is behind: an hour at ten seconds each."""
SEVERITY = {
    "contradicted": 64,
    "clone": 64,
    "conflicts": 48,
    "offline": 40,
    "silent": 40,
    "unread": 32,
    "incomplete": 24,
    "missing": 20,
    "clock": 12,
    "backlog": 8,
    "refused": 4,
}
"""Every problem that there is: what makes figures wrong weighs more than what makes them late."""
CLONE = "clone"
"""Under which it is counted that two machines were heard at the same time."""
CORRECTED = "conflict"
"""Why an epoch begins that carries one batch of another: its gateway has mended a conflict."""


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """How a gateway is: times are UTC ms, days are those of its meters lately."""

    online: bool
    last_received: int | None
    backlog: int
    clock: str | None
    missing: int
    conflicts: int
    refused: int
    incomplete: int
    contradicted: int
    unread: int
    """Meters that gave nothing in the newest hour that is known of them."""
    forked: bool


def problems(facts: GatewayFacts, now: int) -> list[str]:
    """Words of SEVERITY, the worst first."""
    quiet = facts.last_received is None or now - facts.last_received > QUIET
    found = {
        "contradicted": facts.contradicted > 0,
        "clone": facts.forked,
        "conflicts": facts.conflicts > 0,
        "offline": not facts.online,
        "silent": facts.online and quiet,
        "unread": facts.unread > 0,
        "incomplete": facts.incomplete > 0,
        "missing": facts.missing > 0,
        "clock": facts.clock == "unsynced",
        "backlog": facts.backlog > BACKLOG,
        "refused": facts.refused > 0,
    }
    return [name for name in SEVERITY if found[name]]


def severity(names: Iterable[str]) -> int:
    """The sum of what each weighs."""
    return sum(SEVERITY[name] for name in names)


def forks(epochs: Iterable[Sequence[Any]]) -> list[tuple[str, str, str, int]]:
    """Two epochs that both follow a third one: two machines with one identity, or one that was restored from
    a backup. (the one before, the two, when the younger of them was last heard, UTC ms), of epochs whose
    first four facts are name, previous, reason and when a batch of it was last received.
    """
    after: dict[str, list[Sequence[Any]]] = {}
    for epoch in epochs:
        if epoch[1] and epoch[2] != CORRECTED and epoch[3] is not None:
            after.setdefault(epoch[1], []).append(epoch)
    return [
        (previous, one[0], other[0], max(one[3], other[3]))
        for previous, some in after.items()
        for one, other in combinations(some, 2)
    ]
