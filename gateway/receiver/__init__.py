"""The platform's half: takes batches off the broker, stores each once, and says so in receipts. Knows only
model and wire.
"""

from gateway.receiver.inbox import Inbox
from gateway.receiver.service import Link, Receiver
from gateway.receiver.store import Store

__all__ = ["Inbox", "Link", "Receiver", "Store"]
