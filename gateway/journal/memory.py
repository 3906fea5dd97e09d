"""What must be known to go on in another file when this one is found damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Synced = tuple[int, int, str]
"""(t0, uptime, boot) of the newest batch that was taken with a synced clock: a floor for wall time, an anchor within its boot."""


@dataclass(slots=True)
class Memory:
    """The end of the journal so far: newest identity, running total, and what the newest row carried."""

    epoch: str = ""
    boot: str = ""
    seq: int = 0
    total: int = 0
    settled: dict[str, list[list[int]]] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    synced: Synced | None = None
