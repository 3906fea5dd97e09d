"""How fast, and when: a token bucket for the backlog, a random start after an outage, a fixed offset for
live batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from zlib import crc32

LONG_OUTAGE = 300.0
"""Seconds after which gateways that come back together would flood the platform."""
LIVE_OFFSET = 2.0
"""Seconds over which the gateways of a fleet spread their live batches."""
_BURST = 0.2
"""Seconds' worth of tokens that may be used at once: ten wake-ups a second, not one per batch."""


_SLOWEST = 0.2
"""Tokens a second, however often a broker says that we are too fast: live batches are hardly more."""
_FASTEST = 50.0
"""Tokens a second that are halved first where there was no limit."""
_AGAIN = 600.0
"""Seconds after which twice as much is tried again."""


class TokenBucket:
    """At most `rate` tokens a second, `burst` at once; a rate of 0 means no limit. Times are monotonic
    seconds.
    """

    def __init__(self, rate: float, now: float, *, burst: float = 0.0) -> None:
        self._configured = self._rate = rate
        self._slowed_at: float | None = None
        self._most = burst or max(1.0, rate * _BURST)
        self._tokens = self._most
        self._at = now

    @property
    def rate(self) -> float:
        """Tokens a second now; 0 means no limit."""
        return self._rate

    def slow_down(self, now: float, most: float = 0.0) -> float:
        """The other side said that we are too fast: half as many tokens a second, which are given; twice as
        many again after every ten minutes without that. `most`: no more a second were spent; 0: unknown.
        """
        spent = min(self._rate or _FASTEST, most or _FASTEST)
        self._set(max(min(_SLOWEST, self._rate or _SLOWEST), spent / 2), now)
        return self._rate

    def recover(self) -> None:
        """It was not that: the rate that is configured."""
        self._rate, self._slowed_at = self._configured, None
        self._most = max(1.0, self._rate * _BURST)

    def _set(self, rate: float, now: float) -> None:
        whole = rate >= (self._configured or _FASTEST)
        self._rate, self._slowed_at = (self._configured, None) if whole else (rate, now)
        self._most = max(1.0, self._rate * _BURST)
        self._tokens = min(self._tokens, self._most)

    def _fill(self, now: float) -> None:
        if self._slowed_at is not None and now - self._slowed_at >= _AGAIN:
            self._set(2 * self._rate, now)
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now

    def spend(self, now: float) -> bool:
        """Take one token if there is one."""
        if not self._rate:
            return True
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Seconds until it is worth asking again."""
        if not self._rate:
            return 0.0
        self._fill(now)
        if self._tokens >= 1.0:
            return 0.0
        return (max(1.0, math.ceil(self._most / 2)) - self._tokens) / self._rate


def live_offset(gateway: str, spread: float) -> float:
    """Seconds by which this gateway's live batches wait: always the same for one id, none when `spread` is
    0.
    """
    return LIVE_OFFSET * (crc32(gateway.encode()) / 2**32) if spread else 0.0


def start_delay(outage: float, spread: float, random: Callable[[], float]) -> float:
    """Seconds to wait with the backlog after an outage of `outage` seconds; `random` gives 0 ≤ x < 1."""
    return random() * spread if outage > LONG_OUTAGE else 0.0
