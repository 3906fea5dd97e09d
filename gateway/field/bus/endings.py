"""Connections that the other side ends at the next request, once it has served so many: some converters serve
one alone.

How many is learnt when three in a row have ended after as many, and then the connection is opened anew before
the request that would end it. Without that a request is lost each time, and where replies have no number it
is followed by a check read, whose answer uses the next connection up.
"""

from __future__ import annotations

from gateway.field.facts import MOST_REQUESTS, BusFacts

ALIKE = 3
"""Connections in a row that ended after as many requests."""


class Endings:
    """What is known of this connection, and of those before."""

    def __init__(self, facts: BusFacts) -> None:
        self._facts = facts
        self._requests = self._served = self._alike = 0

    @property
    def is_known(self) -> bool:
        """Whether a connection serves only so many requests."""
        return self._facts.requests_per_connection > 0

    @property
    def is_used_up(self) -> bool:
        """Whether the next request would end the connection."""
        return 0 < self._facts.requests_per_connection <= self._requests

    def opened(self) -> None:
        """A connection was opened."""
        self._facts.forget_old("requests_per_connection")
        self._requests = 0

    def sent(self) -> None:
        """A request left."""
        self._requests += 1

    def ended(self) -> None:
        """The other side ended the connection at the request that was sent last, without a byte."""
        served = self._requests - 1
        self._alike = self._alike + 1 if served == self._served else 1
        self._served = served
        if 0 < served <= MOST_REQUESTS and self._alike >= ALIKE:
            self._facts.learn("requests_per_connection", served)  # harmless: nothing is said in the log
