"""The connection of a command that is about remote care or enrolment."""

from __future__ import annotations

from typing import Final

from gateway.mqtt import Broker, BrokerLink, Hearing, Reconnect, ThreadLink

AGAIN: Final = 5.0
"""s after which what was lost is tried again, at the latest: somebody waits for it."""


def command_link(broker: Broker, topics: list[str], hearing: Hearing, allow: str) -> ThreadLink:
    """A link that comes back soon after a loss; `allow` is what the broker must permit."""
    reconnect = Reconnect(broker, meanwhile="tried again until it is back", longest=AGAIN)
    return ThreadLink(BrokerLink(broker, hearing=hearing), topics, reconnect, allow=allow)
