"""What a broker does not like about CONNECT and SUBSCRIBE, and is therefore done without at the next
attempt. Pure but for the clock.
"""

from __future__ import annotations

import time

RELEARN = 3600.0
"""Seconds after which MQTT 5, our client id or a retained Last Will are tried again at a broker that had
refused them.
"""
ASK_AGAIN = 600.0
"""Seconds after which a topic is subscribed to again although that had ended the connection."""


class Concessions:
    """Of one uplink, for as long as the process lives. `protocol` is the configured one: auto, 5.0 or
    3.1.1.
    """

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._spoken: tuple[str, float] | None = None
        self._without: dict[int, float] = {}
        self._ended: dict[str, int] = {}
        self._ended_since = 0.0

    def versions(self) -> list[str]:
        """Versions of MQTT to try, in this order."""
        if self._protocol != "auto":
            return [self._protocol]
        if self._spoken is not None:
            version, at = self._spoken
            if version == "5.0" or time.monotonic() - at < RELEARN:
                return [version]
        return ["5.0", "3.1.1"]

    def spoke(self, version: str) -> None:
        """A connection was made with this version."""
        if self._spoken is None or self._spoken[0] != version:
            self._spoken = (version, time.monotonic())

    def leaves_out(self, code: int) -> bool:
        """Whether what this reason code objects to (reasons.CLIENT_ID, reasons.RETAIN) is left out."""
        return code in self._without and time.monotonic() - self._without[code] < RELEARN

    def leave_out(self, code: int) -> bool:
        """Leave it out from now on; whether that is something new to try."""
        new = not self.leaves_out(code)
        self._without[code] = time.monotonic()
        return new

    def ended_at(self, topic: str | None) -> None:
        """The broker ended the connection instead of answering the subscription to this topic, or to it
        and others.
        """
        if topic is not None:
            if not self._ended:
                self._ended_since = time.monotonic()
            self._ended[topic] = self._ended.get(topic, 0) + 1

    @property
    def one_by_one(self) -> bool:
        """Whether topics are to be subscribed to one after the other, so that the one that ends the
        connection is known.
        """
        if self._ended and time.monotonic() - self._ended_since >= ASK_AGAIN:
            self._ended.clear()
        return bool(self._ended)

    @property
    def skips(self) -> frozenset[str]:
        """Topics that ended the connection more than once: they are not subscribed to."""
        return frozenset(topic for topic, times in self._ended.items() if times > 2)  # noqa: PLR2004 - once among all, twice alone
