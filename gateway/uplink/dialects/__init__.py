"""The languages that platforms speak beside our own: views of the same batches, behind the same link to a
broker.

The forwarder does not know of them: it hands over batches in the native dialect, and what goes out, and when
it counts as delivered, is decided here.
"""

from gateway.uplink.dialects.choice import link_of

__all__ = ["link_of"]
