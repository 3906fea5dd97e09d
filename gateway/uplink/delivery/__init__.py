"""What became of it: what is on its way, who confirmed what, what must go again, what the journal is told."""

from gateway.uplink.delivery.delivery import Delivery, FollowUp
from gateway.uplink.delivery.settling import Settling
from gateway.uplink.delivery.window import Key, key_of

__all__ = ["Delivery", "FollowUp", "Key", "Settling", "key_of"]
