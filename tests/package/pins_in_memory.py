"""Stands in for the library lgpio where a machine has no pins: the contact at every pin that is watched
closes for 0.1 s, twice a second. Like the library it makes its pipe in the working directory, and calls from
a thread.
"""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

from gpiozero.pins import local

BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
error = type("error", (Exception,), {})
local.get_pi_revision = lambda: 0xC03114
os.mkfifo(f".lgd-nfy-{os.getpid()}")


def gpiochip_open(chip):
    return 1


def gpiochip_close(handle):
    return 0


def gpio_claim_input(handle, gpio, flags=0):
    return 0


def gpio_claim_output(handle, gpio):
    raise AssertionError("a meter's contact is never driven")


def gpio_claim_alert(handle, gpio, edges, flags=0):
    return 0


def gpio_free(handle, gpio):
    return 0


def gpio_get_mode(handle, gpio):
    return 0


def gpio_read(handle, gpio):
    return 1


def callback(handle, gpio, edges, func):
    ended = threading.Event()

    def contact() -> None:
        while not ended.wait(0.4):
            func(handle, gpio, 0, time.monotonic_ns())
            time.sleep(0.1)
            func(handle, gpio, 1, time.monotonic_ns())

    threading.Thread(target=contact, daemon=True).start()
    return SimpleNamespace(cancel=ended.set)
