"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Waits in seconds that double from `first` to `longest` with every failure, until a success.

    `chance` gives numbers from 0 to 1: each wait is then between half of itself and the whole, so that a
    fleet of gateways does not march in step.

    >>> backoff = Backoff(0.5, 3.0)
    >>> [backoff.next() for _ in range(4)]
    [0.5, 1.0, 2.0, 3.0]
    >>> backoff.reset()
    >>> backoff.next()
    0.5
    """

    def __init__(self, first: float, longest: float, *, chance: Callable[[], float] | None = None) -> None:
        self._first = first
        self._longest = max(first, longest)
        self._chance = chance
        self._wait = first
        self.failures = 0
        """Since the last success."""

    @property
    def wait(self) -> float:
        """What `next` gives, as far as it is not left to chance; asking changes nothing."""
        return self._wait

    def next(self) -> float:
        """An attempt has failed: seconds until the next one."""
        wait = self._wait
        self.failures += 1
        self._wait = min(2.0 * wait, self._longest)
        return wait if self._chance is None else wait * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """An attempt has succeeded: after the next failure the first wait again."""
        self._wait = self._first
        self.failures = 0
