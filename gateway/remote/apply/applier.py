"""Carries out the requests that the daemon has handed over, one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.common.file_versions import upgrade_folder
from gateway.common.text import visible
from gateway.config import Config, load_config
from gateway.errors import CommandRefused, GatewayError
from gateway.host import Clock
from gateway.remote.apply.change import Change, new_configuration, new_table
from gateway.remote.apply.package import SUFFIX, copy_package, signed_package
from gateway.remote.apply.trial import FileTrial
from gateway.remote.apply.wellness import expected, well, words
from gateway.remote.counter import CommandCounter
from gateway.remote.judge import CommandTarget, check_statement, read_command, signed_bytes
from gateway.remote.proof import signer
from gateway.remote.requests import FOLDER, apply_folder, read_requests, write_result
from gateway.wire.care import ROOT_COMMANDS, CommandStatement

log = logging.getLogger(__name__)

PATIENCE = 300.0
"""s within which what was well must be well again."""
TURN = 1.0
COUNTER_FILE = "counter.json"


class RunningGateway(Protocol):
    """The daemon, by its control socket. What it says may be a lie: all that follows from it is whether a
    signed change stays.
    """

    def status(self) -> Mapping[str, Any]:
        """Its snapshot. Raises GatewayError when it does not answer."""

    def reload(self) -> object:
        """Let it read its configuration again. Raises GatewayError with what it refuses."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: the configuration, whose folder is the only one that changes; the trusted keys; the
    daemon's state directory; our own one.
    """

    config: Path
    trust: Path
    daemon: Path
    state: Path


class Applier:
    """Runs as root, in a process that ends."""

    def __init__(
        self,
        places: Places,
        gateway: RunningGateway,
        *,
        patience: float = PATIENCE,
        turn: float = TURN,
        owner: int = 0,
        clock: Callable[[Config], int | None] | None = None,
    ) -> None:
        """`owner` is the user whose files the trusted keys must be; `clock` gives UTC in ms, None when nobody
        vouches for it.
        """
        self._places = places
        self._gateway = gateway
        self._patience = patience
        self._turn = turn
        self._owner = owner
        self._clock = clock or _time
        self._trial = FileTrial(places.state)
        self._counter = CommandCounter(places.state / COUNTER_FILE)

    def recover(self) -> bool:
        """Go back if something is on trial: whoever should decide it was cut off. Whether there was."""
        trial = self._trial
        request_id = trial.pending.get("id")
        if request_id is None:
            return False
        self._undo(str(request_id), "the trial was cut off by a restart")
        return True

    def work(self) -> None:
        """Carry out every request that is there; what is on trial is taken back first."""
        self.recover()
        for message in read_requests(self._places.daemon / FOLDER):
            self._work(message)

    def _work(self, message: bytes) -> None:
        request_id = ""
        """Nothing is said of what nobody has signed."""
        try:
            envelope, statement = read_command(message)
            by = signer(self._places.trust, *signed_bytes(envelope), owner=self._owner)
            request_id = f"{statement.command}-{statement.counter}"
            config = load_config(self._places.config)
            commands = set(config.remote.commands) & set(ROOT_COMMANDS)
            target = CommandTarget(
                config.gateway.id, None, commands, self._clock(config), self._counter.newest()
            )
            check_statement(envelope, statement, target)
            self._counter.commit(statement.counter)
            log.warning("%s, signed by %s", request_id, visible(by, 64))
            self._carry_out(request_id, statement, envelope.payload)
        except CommandRefused as error:
            log.warning("a request was refused (%s): %s", error.reason, error.message)
            if request_id:
                self._result(request_id, "refused", error.message)
        except (GatewayError, OSError) as error:
            log.warning("a request failed: %s", error)
            if request_id:
                self._result(request_id, "failed", str(error))

    def _carry_out(self, request_id: str, statement: CommandStatement, payload: str) -> None:
        places = self._places
        if statement.command == "update":
            self._install(request_id, payload)
            return
        if statement.command == "config":
            change = new_configuration(payload, places.config, places.state / "staged.yaml")
        else:
            change = new_table(payload, places.config)
        self._try(request_id, change)

    def _install(self, request_id: str, payload: str) -> None:
        """Leave the package for its installation, whose end the daemon tells as an event of its own."""
        wanted = signed_package(payload)
        folder = self._places.daemon / FOLDER
        version = copy_package(folder, f"{request_id}{SUFFIX}", wanted, upgrade_folder())
        log.warning("version %s is left for its installation", visible(version, 64))
        self._result(request_id, "done")

    def _try(self, request_id: str, change: Change) -> None:
        """Put it in its place, let the gateway read it, and watch."""
        try:
            before = well(self._gateway.status())
        except (KeyError, TypeError, AttributeError) as error:
            raise GatewayError("the gateway's status is not understood") from error
        began = time.monotonic()
        try:
            self._trial.begin(request_id, [change])
            self._result(request_id, "trying")
            self._gateway.reload()
        except (GatewayError, OSError) as error:
            why: str | None = error.message if isinstance(error, GatewayError) else str(error)
        else:
            why = self._watch(before, began)
        if why is None:
            self._result(request_id, "kept")
            self._trial.end()
        else:
            self._undo(request_id, why)

    def _watch(self, before: set[tuple[str, str]], began: float) -> str | None:
        """Wait until what was well is well again; why it is not, when the time is over. It is asked once at
        least, and its time begins when it has read the file: a slow card takes nothing from it.
        """
        read_again, missing = time.monotonic(), ""
        while not missing or time.monotonic() < read_again + self._patience:
            time.sleep(self._turn)
            try:
                status = self._gateway.status()
                if status["uptime"] < time.monotonic() - began - self._turn:
                    return "the gateway was restarted"
                wanted = expected(before, status)
                lost = wanted - well(status, time.monotonic() - read_again)
            except GatewayError as error:
                missing = error.message
                continue
            except (KeyError, TypeError, AttributeError):
                missing = "its status is not understood"
                continue
            if not lost:
                return None
            missing = f"not well any more: {words(lost)}"
        return f"after {self._patience:g} s: {missing}"

    def _undo(self, request_id: str, why: str) -> None:
        """Go back: the files, then the gateway, then the word, then the mark."""
        left = self._trial.undo()
        if left:
            why += f"; changed by somebody else meanwhile, and left: {', '.join(left)}"
        try:
            self._gateway.reload()
        except GatewayError as error:
            log.warning("the gateway does not read the configuration before it: %s", error)
        self._result(request_id, "undone", why)
        self._trial.end()

    def _result(self, request_id: str, state: str, error: str = "") -> None:
        log.warning("%s: %s%s", request_id, state, f": {visible(error, 500)}" if error else "")
        result = {
            "id": request_id,
            "state": state,
            "error": visible(error, 1000),
            "at": time.time_ns() // 1_000_000,
        }
        write_result(self._places.state, result)


def state_folder() -> Path:
    """Where it keeps what it needs, root's own; made when it is not there."""
    folder = apply_folder()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def _time(config: Config) -> int | None:
    clock = Clock(config.clock.trust)
    return clock.wall() if clock.synced else None
