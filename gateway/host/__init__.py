"""The machine: its clock, its memory, the service manager, pins, places of files."""

from gateway.host.card import SELDOM, CardState, card_state, put_back, remount
from gateway.host.clock import RELEASED_MS, Clock, clock_offset, kernel_synced, uptime_ms
from gateway.host.event_loop import PollingLoop, give_way
from gateway.host.identity import fingerprint, known_fingerprint, make_key, same_fingerprint, write_secret
from gateway.host.machine import MachineFiles, Mount
from gateway.host.memory import begin_start, keep_lean, keep_what_is_there
from gateway.host.notify import notify, watchdog_seconds
from gateway.host.paths import CONFIG, DRIVERS, SOCKET, SOCKET_VARIABLE, STATE, socket_path
from gateway.host.pins import OutputPin, Pins, PinsError, PinSource

__all__ = [
    "CONFIG",
    "DRIVERS",
    "RELEASED_MS",
    "SELDOM",
    "SOCKET",
    "SOCKET_VARIABLE",
    "STATE",
    "CardState",
    "Clock",
    "MachineFiles",
    "Mount",
    "OutputPin",
    "PinSource",
    "Pins",
    "PinsError",
    "PollingLoop",
    "begin_start",
    "card_state",
    "clock_offset",
    "fingerprint",
    "give_way",
    "keep_lean",
    "keep_what_is_there",
    "kernel_synced",
    "known_fingerprint",
    "make_key",
    "notify",
    "put_back",
    "remount",
    "same_fingerprint",
    "socket_path",
    "uptime_ms",
    "watchdog_seconds",
    "write_secret",
]
