"""The folders of a machine on which submeter-apply works, and a daemon of paper."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, ControlError, Problem
from gateway.remote.apply import Applier, Places
from gateway.remote.requests import hand_over, read_results
from gateway.remote.sending import Order, sign_order
from tests.remote.test_care import EPOCH, make_key

CA = """-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUNZ9fK7QTcGvyRkEUIUYqSkSRbWcwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""


def status(*, meter: str = "answering", uplink: str = "connected", uptime: float = 1000.0, age: float = 0.0):
    now = int(time.time() * 1000)
    return {
        "taken": now,
        "uptime": uptime,
        "meters": [{"id": "main", "state": meter, "age": age}, {"id": "old", "state": "lost", "age": 9e9}],
        "uplinks": [{"name": "city", "state": uplink, "cause": "", "last_delivery": now}],
    }


@dataclass
class Gateway:
    """A daemon of paper: its status before and after it has read the file again."""

    file: Path
    before: dict[str, Any] = field(default_factory=status)
    after: Callable[[], dict[str, Any]] = status
    refuses: bool = False
    dead: bool = False
    read: list[str] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        if self.dead:
            raise ControlError("no daemon listens")
        return self.after() if self.read else self.before

    def reload(self) -> None:
        text = self.file.read_text()
        self.read.append(text)
        if self.refuses and "Belediye" in text:
            raise ConfigError([Problem("gateway.yaml", 1, "", "is not good")])


@dataclass
class Site:
    """The folders of a machine, an engineer's key and a stranger's."""

    root: Path
    key: Any
    stranger: Any
    gateway: Gateway
    clock: int | None = 0

    @property
    def places(self) -> Places:
        etc = self.root / "etc"
        return Places(etc / "gateway.yaml", etc / "trust", self.root / "state", self.root / "apply")

    def config(self, **sections: Any) -> dict[str, Any]:
        etc = self.root / "etc"
        base: dict[str, Any] = {
            "gateway": {"id": "izm-1", "name": "Bina"},
            "journal": {"directory": str(self.root / "state")},
            "drivers": {"directory": str(etc / "drivers")},
            "uplinks": [{"name": "city", "url": "mqtts://broker.test", "ca": str(etc / "ca.pem")}],
            "remote": {"uplink": "city", "commands": ["config", "drivers"], "trust": str(etc / "trust")},
        }
        return {**base, **sections}

    def renamed(self) -> str:
        return json.dumps(self.config(gateway={"id": "izm-1", "name": "Konak Belediye"}))

    def send(self, message: bytes, name: str = "config-1") -> None:
        hand_over(self.places.daemon, name, message)

    def order(self, payload: str, command: str = "config", by: Any = None, **fields: Any) -> bytes:
        order = Order(**{"gateway": "izm-1", "command": command, "payload": payload, **fields})
        return sign_order(order, by or self.key, EPOCH)[1]

    def apply(self, patience: float = 0.3) -> Applier:
        times = {None: None, 0: int(time.time() * 1000)}
        applier = Applier(
            self.places, self.gateway, patience=patience, turn=0.01,
            clock=lambda _: times.get(self.clock, self.clock),
        )  # fmt: skip
        applier.work()
        return applier

    @property
    def text(self) -> str:
        return self.places.config.read_text()

    @property
    def outcome(self) -> tuple[str, str]:
        """State and error of the newest result; empty when nothing was said."""
        found = list(read_results(self.places.state).values())
        return (found[-1]["state"], found[-1]["error"]) if found else ("", "")


def make_site(root: Path) -> Site:
    """A good configuration, an engineer whose key counts, and a stranger."""
    for name in ("etc", "etc/trust", "etc/drivers", "state", "apply"):
        (root / name).mkdir(mode=0o755)
    (root / "etc" / "ca.pem").write_text(CA)
    file = root / "etc" / "gateway.yaml"
    key = make_key(root / "engineer.key", root / "etc" / "trust")
    made = Site(root, key, make_key(root / "stranger.key"), Gateway(file))
    file.write_text(json.dumps(made.config()))
    file.chmod(0o640)
    return made
