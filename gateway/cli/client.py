"""How a command asks the running daemon: HTTP over its control socket."""

from __future__ import annotations

import socket as sockets
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from gateway.cli import later
from gateway.errors import ControlError
from gateway.host import SOCKET_VARIABLE, socket_path

UNIT = "submeter-gateway"
CARD_UNIT = "submeter-card"
"""It does what card.remount says, when it starts."""
TIMEOUT = 60.0
"""s that the daemon may take: a poll of a lost meter waits for its turn on the bus."""
A_METER = 5.0
"""s more for each meter that is to be read: those of a line are read one after another, beside its polls."""


def control_client(socket: Path | None = None, *, timeout: float = TIMEOUT) -> ControlClient | None:
    """A client of the running daemon; None when none listens. Raises ControlError when one does but must
    not be asked.
    """
    path = socket_path(socket)
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise ControlError(
                f"you may not use {path}", hint="use sudo, or join the group submeter and log in again"
            ) from error
        except OSError as error:
            raise ControlError(
                f"the daemon on {path} does not answer: {error}", hint=f"restart it: systemctl restart {UNIT}"
            ) from error
    return ControlClient(path, timeout)


def need_client(socket: Path | None = None, config: Path | None = None) -> ControlClient:
    """A client of the running daemon. Raises ControlError when none listens, or when it runs another file
    than `config`.
    """
    client = control_client(socket)
    if client is None:
        path = socket_path(socket)
        raise ControlError(
            f"no daemon listens on {path}",
            hint=f"systemctl start {UNIT}, or name its socket in {SOCKET_VARIABLE}",
        )
    if config is not None:
        client.must_run(config)
    return client


class ControlClient:
    """The daemon's answers as JSON values. Every method raises ControlError with the daemon's own message
    and hint.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path, self._timeout = path, timeout
        self._http: later.httpx.Client = later.httpx.Client(
            transport=later.httpx.HTTPTransport(uds=str(path)),
            base_url="http://submeter",
            timeout=timeout,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def status(self) -> dict[str, Any]:
        """The snapshot, as /api/v1/status gives it."""
        return self._ask("GET", "/status")

    def configuration(self) -> dict[str, Any]:
        """Which file the daemon runs and since when: `path`, `read` (ms), `timezone` of the building."""
        return self._ask("GET", "/configuration")

    def must_run(self, config: Path) -> None:
        """Raises ControlError when the daemon runs another file than this one."""
        running = str(self.configuration()["path"])
        if str(config.resolve()) != running:
            raise ControlError(
                f"the running gateway uses {running}, not {config}",
                hint=f"leave out -c, or stop the gateway (systemctl stop {UNIT}), or name the socket of "
                f"another one in {SOCKET_VARIABLE}",
            )

    def unread_changes(self) -> dict[str, Any]:
        """What the file says otherwise than the daemon runs: `changes` in words, those of each of the
        `meters` concerned, `problems` of the file.
        """
        return self._ask("GET", "/configuration/changes")

    def read(self, meters: list[str] | None = None) -> list[dict[str, Any]]:
        """Poll meters now, all that are enabled when none is named; a meter that fails gives `error` and
        `hint`.
        """
        patience = self._timeout + A_METER * len(meters or self.status()["meters"])
        answer = self._ask("POST", "/read", {"meter": meters or []}, timeout=patience)["readings"]
        return list(answer)

    def lend(self, bus: str, to: str, seconds: int) -> float:
        """Have a bus; gives the seconds after which the daemon takes it back unless asked again."""
        path = f"/v1/buses/{quote(bus, safe='')}/lend"
        return float(self._ask("POST", path, {"to": to, "seconds": seconds})["seconds"])

    def give_back(self, bus: str) -> None:
        """Be done with a lent bus."""
        self._ask("POST", f"/v1/buses/{quote(bus, safe='')}/return")

    def pulses(self) -> list[dict[str, Any]]:
        """Every pulse input with its counts, register and rejected noise."""
        inputs: list[dict[str, Any]] = self._ask("GET", "/pulses")["pulses"]
        return inputs

    def set_pulse(self, meter: str, value: str) -> dict[str, Any]:
        """Set the register of a pulse input to what the meter shows: old and new value."""
        return self._ask("POST", f"/pulses/{quote(meter, safe='')}", {"value": value})

    def correct(
        self, meter: str, quantity: str, *, first: int, last: int, value: int, why: str
    ) -> dict[str, Any]:
        """Set what a register took between two times: what it was."""
        path = f"/v1/energy/{quote(meter, safe='')}/{quote(quantity, safe='')}"
        return self._ask("POST", path, {"from": first, "to": last, "value": value, "why": why})

    def swap(self, meter: str, step: str, **words: Any) -> dict[str, Any]:
        """A step of the exchange of a meter: `begin confirm new end cancel pulses`; `closing` and `opening`
        are registers by quantity.
        """
        for key in ("closing", "opening"):
            if key in words:
                words[key] = [f"{quantity}:{value}" for quantity, value in words[key].items()]
        return self._ask("POST", f"/v1/meters/{quote(meter, safe='')}/swap/{step}", words)

    def journal(self) -> dict[str, Any]:
        """Epochs, counts, sizes, state of the journal."""
        return self._ask("GET", "/journal")

    def journal_rows(
        self, first: int = 1, last: int | None = None, limit: int = 100, epoch: str | None = None
    ) -> list[dict[str, Any]]:
        """Batches by seq, oldest first."""
        query: dict[str, Any] = {"first": first, "limit": limit}
        if last is not None:
            query["last"] = last
        if epoch is not None:
            query["epoch"] = epoch
        rows: list[dict[str, Any]] = self._ask("GET", "/journal/rows", query)["rows"]
        return rows

    def reload(self) -> dict[str, Any]:
        """Make the daemon read its configuration again: `messages`, a line for each change, and `changed`,
        the fields of each.
        """
        return self._ask("POST", "/reload")

    def _ask(
        self, method: str, path: str, query: dict[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, params=query, timeout=timeout or self._timeout)
            body = response.json()
        except later.httpx.TimeoutException as error:
            raise ControlError(
                "the daemon does not answer in time", hint=f"see its log: journalctl -u {UNIT}"
            ) from error
        except later.httpx.HTTPError as error:
            raise ControlError(
                f"the daemon on {self._path} hung up: {error}",
                hint=f"was it stopped? systemctl status {UNIT}",
            ) from error
        except ValueError as error:
            raise ControlError(
                f"what listens on {self._path} is not this gateway's daemon",
                hint=f"look at {SOCKET_VARIABLE}",
            ) from error
        if not isinstance(body, dict):
            raise ControlError(
                f"what listens on {self._path} is not this gateway's daemon",
                hint=f"look at {SOCKET_VARIABLE}",
            )
        if response.is_success:
            return body
        lines = [
            str(body.get("error", f"status {response.status_code}")),
            *map(str, body.get("problems", [])),
        ]
        # A configuration's message is its problems already.
        text = "\n".join(dict.fromkeys("\n".join(lines).splitlines()))
        raise ControlError(text, hint=str(body.get("hint", "")))
