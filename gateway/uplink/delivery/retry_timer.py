"""Patience with a broker or platform that does not answer: one batch as a try, then ever more seldom."""

from __future__ import annotations

from math import inf

from gateway.common.backoff import Backoff

FIRST = 30.0
LONGEST = 300.0


class RetryTimer:
    """Due `first` seconds after the last progress, then twice as long after each try, up to `longest`.
    Monotonic seconds.
    """

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._backoff = Backoff(first, longest)
        self.at = inf

    @property
    def running(self) -> bool:
        """Something is waited for."""
        return self.at < inf

    def expect(self, now: float) -> None:
        """Something is on its way: patience begins, unless it runs already."""
        if not self.running:
            self.at = now + self._backoff.wait

    def progress(self, now: float, *, waiting: bool) -> None:
        """An answer came; `waiting` says whether more is expected."""
        self._backoff.reset()
        self.at = now + self._backoff.wait if waiting else inf

    def soon(self, now: float, delay: float) -> None:
        """There is reason to hope: try after `delay` rather than later."""
        self.at = min(self.at, now + delay) if self.running else self.at

    def due(self, now: float) -> bool:
        """Whether it is time for a try."""
        return now >= self.at

    def tried(self, now: float) -> None:
        """A batch was sent as a try: the next wait is longer, up to the longest."""
        self._backoff.next()
        self.at = now + self._backoff.wait
