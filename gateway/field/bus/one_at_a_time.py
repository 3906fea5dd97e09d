"""A gateway that serves one request at a time, and lets all others wait meanwhile, or hangs up on them."""

from __future__ import annotations

import logging
import time

from gateway.field.bus.doubts import LATEST
from gateway.field.bus.station import Station
from gateway.field.bus.transaction import SERVING, Transactions

log = logging.getLogger(__name__)

SERVES = (SERVING, LATEST, 15.0)
"""s that a gateway may be at one request: asked again is after the first, the second, and the third."""


class OneAtATime(Transactions):
    """Waits for a request that was given up, where another one is not answered for it."""

    _waited_in_vain = float("-inf")
    """When it was last waited for that a gateway has served another one, and it was not that."""

    def _served_other(self, station: Station) -> bool:
        """Whether a gateway was still at the request of another unit, which had been given up, when this
        station was asked last.
        """
        unit, heard_at = self._late_from
        return unit != station.unit and heard_at >= self.port.sent_at

    async def _while_serving(
        self, station: Station, serving: tuple[Station, float] | None, *, dropped: bool
    ) -> tuple[Station, float] | None:
        """Wait while a gateway may be at the request of another unit, which was given up: that one, and the s
        since it was asked. None when there is none, or this one has never answered, or enough was waited for.

        One that was `dropped` without a word has been well until now, and the other one has not: else it is
        rather that both have gone, or the line.
        """
        if not station.answers or self._waited_in_vain >= self.port.heard_at:
            return None
        if dropped and not self.port.has_transaction_ids:
            return None  # a converter has no queue: it is noise
        given_up = [
            each
            for each in self._stations
            if each is not station
            and each.missed_at >= each.last >= self.port.heard_at  # since then nobody was answered
            and not (each.left_out.sleeps or each.left_out.woken)
        ]
        other = serving[0] if serving else max(given_up, key=lambda each: each.last, default=None)
        if other is None or (
            dropped and not serving and (station.timeouts > 1 or (other.answers and other.timeouts < 2))
        ):
            return None
        asked, now = self.port.sent_at, time.monotonic()
        most = next((most for most in SERVES if other.last + most > asked), 0.0)
        if not most:
            if serving:
                self._waited_in_vain = now
            return None
        await self._until(other.last + most)
        self.spent += time.monotonic() - asked
        return other, most

    def _served(self, other: Station, seconds: float) -> None:
        """A gateway is at the request of a unit that does not answer for up to so many s, and serves nobody
        meanwhile: that one is waited for, which lost meters pay.
        """
        if self.bus.timeout is not None or other.facts.fixed("timeout"):
            self._pays, other.in_vain = True, False
        elif other.facts.timeout < seconds and other.facts.learn("timeout", seconds):
            log.info(
                "bus %s: a request to unit %d, which does not answer, keeps the others waiting for up to "
                "%g s: from now on it has them",
                self.name,
                other.unit,
                seconds,
            )
