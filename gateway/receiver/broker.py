"""The receiver's way to its broker."""

from __future__ import annotations

from gateway.mqtt import Broker, BrokerLink, Hearing, Reconnect, ThreadLink
from gateway.receiver.intake import subscriptions
from gateway.wire import MAX_MESSAGE

LONGEST = 10.0
"""Seconds between two attempts at most: the gateways of a city wait for receipts."""
HEARING = Hearing(retained=True, most=4 * MAX_MESSAGE, direct=True)
"""States and descriptions are retained. The broker keeps from us what is absurd; what is merely too large
comes in and is counted. A full inbox holds the broker back.
"""


def broker_link(broker: Broker, gateways: frozenset[str]) -> ThreadLink:
    """A link that hears all gateways, or those named."""
    reconnect = Reconnect(broker, meanwhile="tried again until it is back", longest=LONGEST)
    return ThreadLink(
        BrokerLink(broker, hearing=HEARING),
        subscriptions(gateways),
        reconnect,
        allow="allow reading submeter/v1/+/# in its access list",
    )
