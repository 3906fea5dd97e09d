"""A broker can lose a receiver's subscriptions while the connection goes on. Two things tell of it: a gateway
names its newest batch and no batch comes, or gateways were there and nothing at all comes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.common.backoff import Backoff
from gateway.common.troubles import Troubles
from gateway.mqtt import ThreadLink
from gateway.receiver.ledger import GatewayLedger
from gateway.wire import State, Topics

STATED = 60.0
"""Seconds without any batch after which one that a state names, and the database lacks, is a sign."""
QUIET = 600.0
"""Seconds without any message at all that are a sign where gateways are online: each that makes batches says
its state every 300 s.
"""
LONGEST = 3600.0
"""Seconds between two tries at most."""
_BATCH = Topics("").data.rpartition("/")[2]


class Silence:
    """Of one receiver: subscribes again, which costs little, then connects again, ever more seldom until a
    batch comes. Times are monotonic seconds.
    """

    def __init__(
        self, link: ThreadLink, troubles: Troubles, ledger: Callable[[str], GatewayLedger], now: float
    ) -> None:
        self._link = link
        self._troubles = troubles
        self._ledger = ledger
        self._backoff = Backoff(STATED, LONGEST)
        self._batch_at = self._heard_at = now
        self._due_at = now + STATED

    def heard(self, topic: str, now: float) -> None:
        """A message came. In the connection's thread."""
        self._heard_at = now
        if topic.endswith(_BATCH):
            self._batch_at = now

    def tick(self, states: Mapping[str, State], now: float) -> None:
        """Once a second; `states` is what gateways said last."""
        if now - self._batch_at < STATED:
            if self._backoff.failures:
                self._backoff.reset()
                self._troubles.end("silence", "batches come again")
            self._due_at = self._batch_at + STATED
        elif now >= self._due_at:
            self._due_at = now + STATED
            if self._link.connected and (sign := self._sign(states, now)):
                self._try(sign, now)

    def _sign(self, states: Mapping[str, State], now: float) -> str:
        online = {gateway: state for gateway, state in states.items() if state.online}
        if online and now - self._heard_at >= QUIET:
            return f"nothing has come for {now - self._heard_at:.0f} s although gateways are online"
        for gateway, state in online.items():
            epoch, seq = state.epoch, state.seq
            if epoch and seq and seq not in self._ledger(gateway).epoch(epoch).covered:
                return (
                    f"no batch has come for {now - self._batch_at:.0f} s although {gateway} says that it has "
                    f"made number {seq}"
                )
        return ""

    def _try(self, sign: str, now: float) -> None:
        anew = self._backoff.failures % 2 == 1
        self._due_at = now + self._backoff.next()
        what = f"{sign}: subscribed again in case the broker has lost that, then connected anew, now and then"
        self._troubles.begin("silence", what, "look whether gateways may write P/data in its access list")
        if anew:
            self._link.connect_again()
        else:
            self._link.subscribe_again()
