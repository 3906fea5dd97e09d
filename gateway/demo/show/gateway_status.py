"""A question to the gateway's control socket, without the commands' client: HTTP over a Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

_PATIENCE = 3.0


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("submeter", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(str(self._path))


def gateway_status(path: Path) -> dict[str, Any] | None:
    """What the gateway says of itself (GET /status); None while nobody answers on the socket."""
    connection = _Unix(path)
    try:
        connection.request("GET", "/status")
        response = connection.getresponse()
        status = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return status if response.status == http.HTTPStatus.OK and isinstance(status, dict) else None
