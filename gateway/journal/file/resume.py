"""What must be known to go on in another file when this one is found damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Synced = tuple[int, int, str]
"""(t0, uptime, boot) of the newest batch that was taken with a synced clock: a floor for wall time, an
anchor within its boot.
"""

Thinned = tuple[int, int, int, int]
"""What had to make room undelivered: (highest seq, t0 of the oldest, t0 of the newest such batch, UTC of
the last time), in ms.
"""


@dataclass(slots=True)
class ResumePoint:
    """The end of the journal so far: newest identity, running total, and what the newest row carried."""

    epoch: str = ""
    boot: str = ""
    seq: int = 0
    total: int = 0
    settled: dict[str, list[list[int]]] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    synced: Synced | None = None
    thinned: Thinned | None = None
