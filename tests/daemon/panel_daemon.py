"""The real daemon with pins in memory, whose button is moved by the lines of stdin, low and high:
python panel_daemon.py CONFIG PIN.
"""

import asyncio
import logging
import sys
import threading
from pathlib import Path

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway.daemon.daemon import Daemon
from gateway.daemon.service import panel

LONG_PRESS = 0.5


def button(number: int) -> None:
    pin = Device.pin_factory.pin(number)
    for line in sys.stdin:
        pin.drive_low() if line.strip() == "low" else pin.drive_high()


def main() -> None:
    logging.basicConfig(level="INFO", stream=sys.stderr)
    Device.pin_factory = MockFactory()
    panel.LONG_PRESS, panel.SHORT = LONG_PRESS, (0.0, LONG_PRESS)
    threading.Thread(target=button, args=(int(sys.argv[2]),), daemon=True).start()
    asyncio.run(Daemon(Path(sys.argv[1])).run())


if __name__ == "__main__":
    main()
