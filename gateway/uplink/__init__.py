"""The only room that talks to the platform: what goes out next, what became of it."""

from gateway.uplink.broker import Timing, broker_of
from gateway.uplink.forwarder import Forwarder
from gateway.uplink.journal_port import JournalPort, MemoryJournal
from gateway.uplink.stats import UplinkStats

__all__ = [
    "Forwarder",
    "JournalPort",
    "MemoryJournal",
    "Timing",
    "UplinkStats",
    "broker_of",
]
