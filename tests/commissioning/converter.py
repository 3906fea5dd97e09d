"""A converter that passes RTU frames between TCP and its line: it serves one connection and ends every other
one, and it may hang up at bytes that are no frame, or say again what it is told.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time

from played import Played

from gateway.demo.simulator.frames import rtu_frame, rtu_parts
from gateway.demo.simulator.slave import Slave


class Converter(Played):
    """`turnaround`: s that its meters think; `character`: s of one on its line; `hangs_up`: at what is no
    frame; `echo`: it hears itself.
    """

    def __init__(
        self,
        slaves: list[Slave],
        *,
        turnaround: float = 0.03,
        character: float = 0.0,
        hangs_up: bool = False,
        echo: bool = False,
    ) -> None:
        super().__init__()
        self.refused = 0
        """Connections that were ended because there was one."""
        self.frames = 0
        self._slaves = {slave.unit: slave for slave in slaves}
        self._turnaround, self._character = turnaround, character
        self._hangs_up, self._echo = hangs_up, echo
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def _close(self) -> None:
        self._listening.close()

    def _run(self) -> None:
        client: socket.socket | None = None
        while not self._stop.is_set():
            ready = select.select([self._listening, *([client] if client else [])], [], [], 0.05)[0]
            if client in ready and client is not None:
                with contextlib.suppress(OSError):
                    if not self._serve(client):
                        client.close()
                        client = None
            if self._listening in ready:
                other = self._listening.accept()[0]
                if client is None:
                    client = other
                else:
                    self.refused += 1
                    other.close()
        if client is not None:
            client.close()

    def _serve(self, client: socket.socket) -> bool:
        """Whether the connection goes on."""
        data = client.recv(4096)
        if not data:
            return False
        if self._echo:
            client.sendall(data)
        parts = rtu_parts(data)
        if parts is None:
            return not self._hangs_up
        self.frames += 1
        unit, request = parts
        if unit in self._slaves:
            reply = rtu_frame(unit, self._slaves[unit].respond(request))
            time.sleep(self._turnaround + (len(data) + len(reply)) * self._character)
            client.sendall(reply)
        return True
