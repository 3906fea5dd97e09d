"""One poll of one meter: what it may spend on learning, and how it goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Poll:
    """One poll of one meter: `allowance` s may be spent on learning."""

    allowance: float = 0.0
    patient: bool = False
    """Whether the line falls silent first: for a meter that is lost."""
    spent: float = 0.0
    alive: bool = False
    """Something was answered, be it by a refusal."""
    again: bool = False
    """Something failed that may succeed next time."""
    go_on: bool = False
    """Whether another read may be answered where the first one was not."""

    @property
    def may_learn(self) -> bool:
        """Whether there is time left."""
        return self.spent < self.allowance
