"""Two machines under one id: a copied card, or one that was replaced and runs on.

A gateway never comes back to an epoch that it has left (docs/wire/README.md, "Epoch and seq"): one that does
is another machine.
"""

from __future__ import annotations

from collections import deque

REMEMBERED = 8
"""Epochs of a gateway before the newest one."""


class Clones:
    """Hears which epoch each gateway says it is in."""

    def __init__(self) -> None:
        self._epochs: dict[str, deque[str]] = {}

    def hear(self, gateway: str, epoch: str) -> str:
        """The epoch that it was in meanwhile, when it comes back to an earlier one; else empty."""
        known = self._epochs.setdefault(gateway, deque(maxlen=REMEMBERED))
        if known and known[-1] == epoch:
            return ""
        other = known[-1] if epoch in known else ""
        if other:
            known.remove(epoch)
        known.append(epoch)
        return other
