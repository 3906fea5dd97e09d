"""The real daemon with pins in memory, and a meter on GPIO 17 that writes down every pulse it gives:
python pulse_daemon.py CONFIG LOG.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from pathlib import Path

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway.daemon.daemon import Daemon

PIN = 17
PULSE = 0.01


def meter(log: int) -> None:
    """Give pulses for ever, from when the pin is watched; a line for each, with CLOCK_BOOTTIME in ms, once
    it is over.
    """
    pin = Device.pin_factory.pin(PIN)
    while pin.when_changed is None:
        time.sleep(0.01)
    time.sleep(0.2)
    number = 0
    while True:
        pin.drive_low()
        time.sleep(PULSE)
        pin.drive_high()
        number += 1
        os.write(log, b"%d %d\n" % (number, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000))
        time.sleep(PULSE)


def main() -> None:
    logging.basicConfig(level="INFO", stream=sys.stderr)
    Device.pin_factory = MockFactory()
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    threading.Thread(target=meter, args=(log,), daemon=True).start()
    asyncio.run(Daemon(Path(sys.argv[1])).run())


if __name__ == "__main__":
    main()
