"""The machine: its clock, the service manager, pins, places of files."""

from gateway.host.clock import Clock, uptime_ms
from gateway.host.notify import notify, watchdog_seconds
from gateway.host.paths import CONFIG, DRIVERS, SOCKET, SOCKET_VARIABLE, STATE, socket_path
from gateway.host.pins import Pins, PinsError, PinSource

__all__ = [
    "CONFIG",
    "DRIVERS",
    "SOCKET",
    "SOCKET_VARIABLE",
    "STATE",
    "Clock",
    "PinSource",
    "Pins",
    "PinsError",
    "notify",
    "socket_path",
    "uptime_ms",
    "watchdog_seconds",
]
