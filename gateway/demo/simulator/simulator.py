"""Simulated meters on their lines and servers, as one specification describes them, and orders to them.

The words of a specification and of an order stand in `__main__.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gateway.demo.simulator.faults import Fault, Faults, faults_from
from gateway.demo.simulator.serial_line import SerialLine
from gateway.demo.simulator.slave import OrdinalPlace, PatternImage, RegisterImage, ServeLog, Slave, WordImage
from gateway.demo.simulator.tcp_server import Downstream, TcpPlant, TcpServer

if TYPE_CHECKING:
    from gateway.demo.simulator.meter_image import Plant

Spec = Mapping[str, Any]
_LINE_KEYS = ("baudrate", "parity", "stopbits", "turnaround", "busy", "quantum", "check_speed")
_SERVER_KEYS = (
    "host", "port", "mode", "latency", "numbers", "lengths", "unit", "protocol", "counted", "echo", "behind",
)  # fmt: skip


class Simulator:
    """Everything that a specification describes, ready to start."""

    def __init__(
        self, spec: Spec, *, images: Callable[[Spec], RegisterImage] | None = None, keep: bool = False
    ) -> None:
        """`images` builds an image from what stands under "image"; `keep` keeps the serve log in memory
        too.
        """
        self._spec = spec
        self._images = images or self._image
        self._building: Plant | None = None
        self.log = ServeLog(Path(spec["log"]) if spec.get("log") else None, keep=keep)
        self.lines = [self._line(line) for line in spec.get("lines", ())]
        self.servers = [self._server(server) for server in spec.get("servers", ())]
        self._sockets = TcpPlant(self.servers)
        self._parts: dict[str, SerialLine | TcpServer] = {line.name: line for line in self.lines}
        self._parts.update({server.name: server for server in self.servers})

    def _line(self, spec: Spec) -> SerialLine:
        return SerialLine(
            self._slaves(spec),
            name=spec["name"],
            path=Path(spec["path"]) if spec.get("path") else None,
            faults=faults_from(spec.get("faults", {})),
            **{key: spec[key] for key in _LINE_KEYS if key in spec},
        )

    def _server(self, spec: Spec) -> TcpServer:
        return TcpServer(
            self._slaves(spec),
            name=spec["name"],
            downstream=Downstream(**spec["downstream"]) if spec.get("downstream") else None,
            faults=faults_from(spec.get("faults", {})),
            **{key: spec[key] for key in _SERVER_KEYS if key in spec},
        )

    def _slaves(self, spec: Spec) -> list[Slave]:
        return [
            Slave(
                slave["unit"],
                self._images(slave["image"]),
                name=slave.get("meter", ""),
                stamp=OrdinalPlace(**slave["stamp"]) if slave.get("stamp") else None,
                log=self.log,
                limit=slave.get("limit", 125),
                min_gap=slave.get("min_gap", 0.0),
            )
            for slave in spec["slaves"]
        ]

    def _image(self, image: Spec) -> RegisterImage:
        if "words" in image:
            return WordImage({int(address, 0): int(word) for address, word in image["words"].items()})
        if "pattern" in image:
            return PatternImage(int(image["pattern"]))
        if self._building is None:
            # Plain images need neither building nor catalogue.
            from gateway.demo.simulator.building import Time  # noqa: PLC0415
            from gateway.demo.simulator.meter_image import Plant  # noqa: PLC0415

            house = self._spec.get("building", {})
            now = Time(house.get("start"), house.get("speed", 1.0))
            memory = Path(house["memory"]) if house.get("memory") else None
            self._building = Plant(
                seed=int(self._spec.get("seed", 1)), now=now, step=house.get("step", 1.0), memory=memory
            )
        return self._building.image(image)

    def save(self) -> None:
        """Write the building's registers down, where the specification says."""
        if self._building is not None:
            self._building.save()

    def start(self) -> Self:
        """Plug in every line and listen on every port."""
        for line in self.lines:
            line.start()
        self._sockets.start()
        return self

    def stop(self) -> None:
        """Unplug and close everything."""
        for line in self.lines:
            line.stop()
        self._sockets.stop()
        self.log.close()
        self.save()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ready(self) -> dict[str, Any]:
        """The ports of its lines and the addresses of its servers, by name, as JSON values."""
        return {
            "ready": True,
            "ports": {line.name: line.port for line in self.lines},
            "addresses": {server.name: [server.host, server.port] for server in self.servers},
        }

    def faults(self, bus: str) -> Faults:
        """The faults of a line or server. Raises KeyError."""
        return self._parts[bus].faults

    def line(self, name: str) -> SerialLine:
        """A line by its name. Raises KeyError."""
        return {line.name: line for line in self.lines}[name]

    def obey(self, order: Spec) -> dict[str, Any]:
        """Carry out one order; the answer is a JSON object."""
        try:
            return {"ok": True, **(self._obey(order) or {})}
        except KeyError as error:
            return {"ok": False, "error": f"no such key, line or server: {error}"}
        except (TypeError, ValueError, RuntimeError) as error:
            return {"ok": False, "error": str(error)}

    def _obey(self, order: Spec) -> dict[str, Any] | None:
        match order["do"]:
            case "fault":
                seconds = float(order["seconds"]) if "seconds" in order else None
                fault = Fault(order["kind"], seconds, int(order.get("code", 6)))
                self.faults(order["bus"]).order(int(order["unit"]), fault, order.get("times", 1))
            case "clear":
                self.faults(order["bus"]).clear(order.get("unit"))
            case "unplug":
                self.line(order["bus"]).unplug()
            case "plug":
                self.line(order["bus"]).plug()
            case "inject":
                self.line(order["bus"]).inject(bytes.fromhex(order["hex"]))
            case "drop":
                self._sockets.drop_clients([order["bus"]] if "bus" in order else None)
            case "stats":
                return {"stats": {name: dataclasses.asdict(part.stats) for name, part in self._parts.items()}}
            case "stop":
                return None
            case unknown:
                raise ValueError(f"{unknown!r} is not an order")
        return None
