"""What goes out next: queues, replays, the clock's part, the rate, and what a broker does not take."""

from gateway.uplink.outgoing.crowding import TOO_FAST
from gateway.uplink.outgoing.objections import Flying, in_words
from gateway.uplink.outgoing.rate import start_delay
from gateway.uplink.outgoing.sender import Sender

__all__ = ["TOO_FAST", "Flying", "Sender", "in_words", "start_delay"]
