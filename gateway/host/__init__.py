"""The machine: its clock, the service manager, pins."""

from gateway.host.clock import Clock, uptime_ms
from gateway.host.notify import notify, watchdog_seconds
from gateway.host.pins import Pins, PinsError, PinSource

__all__ = ["Clock", "PinSource", "Pins", "PinsError", "notify", "uptime_ms", "watchdog_seconds"]
