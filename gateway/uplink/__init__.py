"""The only room that talks to the platform: link, forwarder, receipts, replay."""

from gateway.uplink.forwarder import Forwarder, Timing
from gateway.uplink.link import Link
from gateway.uplink.outbox import Backlog, MemoryOutbox, Outbox
from gateway.uplink.reconnect import LinkState
from gateway.uplink.stats import UplinkStats

__all__ = ["Backlog", "Forwarder", "Link", "LinkState", "MemoryOutbox", "Outbox", "Timing", "UplinkStats"]
