"""Where things are on a machine where the gateway is installed, and how another place is named."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG = Path("/etc/submeter/gateway.yaml")
DRIVERS = Path("/etc/submeter/drivers")
"""A technician's own meter tables."""
STATE = Path("/var/lib/submeter")
SOCKET = Path("/run/submeter/control.sock")
SOCKET_VARIABLE = "SUBMETER_SOCKET"
"""Names the control socket of a gateway that is not the installed one."""


def socket_path(given: Path | None = None) -> Path:
    """Where the control socket is: what was given, else what the variable names, else the installed one's."""
    return given or Path(os.environ.get(SOCKET_VARIABLE) or SOCKET)
