"""A command has a bus to itself: a running daemon lends it, and gets it back however the command ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.cli.client import ControlClient, control_client
from gateway.cli.language import _
from gateway.cli.prose import say
from gateway.errors import ControlError

LEASE = 60
"""s; renewed at a third of it: a command that dies gives the bus back within it."""


@contextlib.contextmanager
def borrowed(place: str, who: str, socket: Path | None = None) -> Iterator[str]:
    """Have what is at `place` (a port, or host:port) to oneself while inside; gives the name of the bus that
    a running daemon lent, empty when none has it. Raises ControlError.
    """
    client = control_client(socket)
    bus = bus_at(client, place) if client else ""
    if client is None or not bus:
        if client is not None:
            client.close()
        yield ""
        return
    done = threading.Event()
    keeper = threading.Thread(target=_renew, args=(done, bus, who, socket), daemon=True)
    client.lend(bus, who, LEASE)
    try:
        keeper.start()
        say(_("The running gateway lends bus %(bus)s and gets it back at the end.") % {"bus": bus}, err=True)
        yield bus
    finally:
        done.set()
        with contextlib.suppress(ControlError):
            client.give_back(bus)
        client.close()


def _renew(done: threading.Event, bus: str, who: str, socket: Path | None) -> None:
    """Ask again in time, with a connection of its own."""
    while not done.wait(LEASE / 3):
        with contextlib.suppress(ControlError):
            client = control_client(socket)
            if client is not None:
                with client:
                    if not done.is_set():
                        client.lend(bus, who, LEASE)


def bus_at(client: ControlClient, place: str) -> str:
    """The bus of the running daemon at that port or host; empty when it has none there."""
    return bus_among(client.status()["buses"], place)


def bus_among(buses: Iterable[Mapping[str, Any]], place: str) -> str:
    """The one of these buses of a daemon that is at that port or host; empty when none is."""
    here = str(Path(place).resolve()) if place.startswith("/") else place
    for bus in buses:
        where = str(bus["where"])
        if (str(Path(where).resolve()) if where.startswith("/") else where) == here:
            return str(bus["name"])
    return ""
