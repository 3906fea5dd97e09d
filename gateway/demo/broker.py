"""python -m gateway.demo.broker --port N: an embedded MQTT 3.1.1 broker for a demo without mosquitto. It
keeps nothing across a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

ALLOW_ALL = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


async def serve(host: str, port: int) -> None:
    """Listen until SIGTERM or SIGINT; one line on stdout when ready."""
    from amqtt.broker import Broker  # noqa: PLC0415 - slow to import, and only in the extra `demo`

    broker = Broker(
        {"listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}}, "plugins": ALLOW_ALL}
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await broker.start()
    sys.stdout.write(f"listening on {host}:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    arguments = parser.parse_args()
    # Its own log is about its insides: every client that goes is an error to it.
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
    asyncio.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
