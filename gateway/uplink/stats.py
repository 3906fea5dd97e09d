"""What an uplink tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.common.text import counted


@dataclass(frozen=True, slots=True)
class UplinkStats:
    """A snapshot. Ages in seconds, `since` and `oldest_t0` UTC in ms; counters since the daemon started.

    `state` is a value of LinkState. `waiting_batches` have not been sent; `unconfirmed` were sent and await
    PUBACK or receipt; `held` wait for the clock. `receipts` tells whether the platform's receipts decide what
    is delivered.
    """

    name: str
    broker: str
    state: str
    since: int
    protocol: str
    backlog_batches: int
    backlog_readings: int
    oldest_t0: int | None
    waiting_batches: int
    unconfirmed: int
    held: int
    sent_batches: int
    resent_batches: int
    delivered_batches: int
    delivered_readings: int
    replayed_batches: int
    conflicts: int
    refused: int
    ignored_messages: int
    last_receipt_age: float | None
    last_delivery_age: float | None
    last_error: str
    receipts: bool
    cause: str = ""
    """Why there is no connection, or why the broker takes no batch, as one word of reasons.MEANINGS; empty
    when the reason has none.
    """
    refused_topics: tuple[str, ...] = ()
    """Topics beside that of the batches that the broker does not let us hear or write to."""
    hangs_up: bool = False
    """Whether the newest connection ended with batches on their way, none of which it had taken."""
    in_vain: float = 0.0
    """Seconds of connection with something to deliver since anything last counted as delivered, also over
    several connections.
    """
    set_aside: int = 0
    """Batches that the broker does not take although it takes others."""
    set_aside_cause: str = ""
    """Why it does not, as a word of reasons.MEANINGS."""
    left_out: tuple[str, ...] = ()
    """Topics beside that of the batches whose newest message is larger than the broker takes."""
    skipped: int = 0
    """Readings that came too late for a platform that takes live values only."""
    consumers: int = 0
    silent: Mapping[str, float | None] = field(default_factory=dict)
    """Consumers that owe receipts, with the age of their last one."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        return self.state == "connected"

    @property
    def sentence(self) -> str:
        """How it is, in words for a person."""
        head = (
            f"Connected to {self.broker} (MQTT {self.protocol})"
            if self.connected
            else f"Not connected to {self.broker} ({self.state})"
        )
        parts = [head]
        if self.backlog_readings:
            since = (
                f" since {datetime.fromtimestamp(self.oldest_t0 / 1000, UTC):%Y-%m-%d %H:%M} UTC"
                if self.oldest_t0
                else ""
            )
            wait = "waits" if self.backlog_readings == 1 else "wait"
            parts.append(f"{counted(self.backlog_readings, 'reading')} {wait}{since}")
        else:
            parts.append("nothing waits")
        if self.held:
            are = "is" if self.held == 1 else "are"
            parts.append(f"{counted(self.held, 'batch')} {are} held until the clock is right")
        if self.last_error:
            parts.append(self.last_error)
        return "; ".join(parts) + "."
