"""A simulator in a process of its own, as seen by the one who started it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from gateway.demo.die_with_parent import dying_with_us


class SimulatorProcess:
    """Start it with a specification, read where everything is, order faults, read its log.

    `directory` gets the specification and, unless the specification says otherwise ("log": null for none),
    the serve log. The process dies with us. Its error messages go to ours, or to the file `messages`.
    """

    def __init__(self, spec: dict[str, Any], directory: Path, messages: Path | None = None) -> None:
        log = spec.setdefault("log", str(directory / "serves.jsonl"))
        self.log = Path(log) if log else None
        path = directory / "simulator.json"
        path.write_text(json.dumps(spec))
        errors = None if messages is None else messages.open("ab")
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            dying_with_us(sys.executable, "-m", "gateway.demo.simulator", str(path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is the starter's business
        )
        if errors is not None:
            errors.close()
        ready = self._answer()
        self.ports: dict[str, str] = ready["ports"]
        self.addresses: dict[str, tuple[str, int]] = {
            name: (host, port) for name, (host, port) in ready["addresses"].items()
        }

    def _answer(self) -> dict[str, Any]:
        answers = self.process.stdout
        assert answers is not None
        line = answers.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with {self.process.wait()}: see its messages above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def order(self, do: str, **details: Any) -> dict[str, Any]:
        """Give an order and return its answer. Raises RuntimeError when the simulator refuses it."""
        orders = self.process.stdin
        assert orders is not None
        orders.write(json.dumps({"do": do, **details}) + "\n")
        orders.flush()
        answer = self._answer()
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer

    def fault(
        self, bus: str, unit: int, kind: str, *, seconds: float = 1.0, code: int = 6, times: int | None = 1
    ) -> None:
        """Fault the next replies of a unit; times=None until `order("clear", bus=…)`."""
        self.order("fault", bus=bus, unit=unit, kind=kind, seconds=seconds, code=code, times=times)

    def serves(self) -> list[dict[str, Any]]:
        """The serve log so far; empty when none is kept."""
        return read_serves(self.log) if self.log else []

    def stop(self) -> None:
        """End it, politely first."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def read_serves(path: Path) -> list[dict[str, Any]]:
    """The entries of a serve log; a last line that is still being written is left for later."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
