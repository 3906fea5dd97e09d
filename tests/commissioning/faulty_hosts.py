"""Modbus TCP hosts with and without room for another master, on this machine."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

from faulty_sites import ON_A_LINE, LiveImage

from gateway.commissioning.doctor import (
    BusSurroundings,
    ExaminedPart,
    RealPorts,
    Target,
    examine_bus,
    target_of,
)
from gateway.config import Meter, TcpBus
from gateway.demo.simulator.slave import Slave

RESET = struct.pack("ii", 1, 0)
HOLDS = ("reset", "ends", "ends late", "one only")


@dataclass
class FaultyHost:
    """`manner`: what it does with a connection it has no room for; empty: it has room."""

    manner: str
    targets: list[Target]
    slaves: dict[int, Slave]
    pause: float = 0.01

    def examined(self) -> ExaminedPart:
        """What the doctor says of it."""
        self._stop = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.1)
            self._port = server.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(server,), daemon=True)
            thread.start()
            other = socket.create_connection(("127.0.0.1", self._port)) if self.manner == "one only" else None
            try:
                bus = TcpBus(name="net", type="tcp", host="127.0.0.1", port=self._port)
                return examine_bus(bus, self.targets, BusSurroundings(RealPorts()))
            finally:
                self._stop.set()
                thread.join(10)
                if other is not None:
                    other.close()

    def _accept(self, server: socket.socket) -> None:
        count, threads = 0, []
        while not self._stop.is_set():
            try:
                link, _ = server.accept()
            except TimeoutError:
                continue
            count += 1
            full = bool(self.manner) and (self.manner != "one only" or count > 1)
            threads.append(
                threading.Thread(target=self._end if full else self._serve, args=(link,), daemon=True)
            )
            threads[-1].start()
        for thread in threads:
            thread.join(5)

    def _end(self, link: socket.socket) -> None:
        """No room: the connection is ended at once, in the host's own manner."""
        if self.manner == "ends late":
            time.sleep(0.15)
        if self.manner == "reset":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        link.close()

    def _serve(self, link: socket.socket) -> None:
        link.settimeout(0.1)
        data = b""
        with link:
            while not self._stop.is_set():
                try:
                    got = link.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not got:
                    return
                data += got
                while len(data) >= 8 and len(data) >= 6 + int.from_bytes(data[4:6], "big"):
                    size = 6 + int.from_bytes(data[4:6], "big")
                    frame, data = data[:size], data[size:]
                    time.sleep(self.pause)
                    slave = self.slaves.get(frame[6])
                    pdu = slave.respond(frame[7:]) if slave else bytes((frame[7] | 0x80, 11))
                    link.sendall(frame[:4] + (len(pdu) + 1).to_bytes(2, "big") + frame[6:7] + pdu)


def draw_host(fault: str, seed: int) -> FaultyHost:
    """A variation: `connection_limit` or `healthy_host`."""
    rng = random.Random(f"{fault} {seed}")
    targets, slaves = [], {}
    for unit in rng.sample(range(1, 40), rng.choice((1, 1, 2, 3))):
        driver = rng.choice(ON_A_LINE)
        meter = {"id": f"m{unit}", "bus": "net", "address": unit, "driver": driver.name}
        targets.append(target_of(Meter.model_validate(meter), driver))
        slaves[unit] = Slave(
            unit, LiveImage(driver, random.Random(rng.random()), str(rng.randrange(10**7, 10**8)))
        )
    manner = rng.choice(HOLDS) if fault == "connection_limit" else ""
    return FaultyHost(manner, targets, slaves, rng.choice((0.002, 0.02, 0.05)))
