"""submeter apply: carry out, as root, the signed changes that the daemon has handed over."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import need_client
from gateway.cli.language import N_, _
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.errors import GatewayError
from gateway.host import CONFIG, STATE
from gateway.remote.apply import Applier, Places, state_folder

_PATH = click.Path(path_type=Path, file_okay=False)


class ControlledGateway:
    """The daemon by its control socket; connected anew each time, since it may be another process."""

    def __init__(self, socket: Path | None) -> None:
        self._socket = socket

    def status(self) -> dict[str, Any]:
        """The snapshot of the running daemon, as its control socket gives it."""
        with need_client(self._socket) as client:
            return client.status()

    def reload(self) -> dict[str, Any]:
        """Let it read its configuration again."""
        with need_client(self._socket) as client:
            return client.reload()


@click.command(
    name="apply",
    help=N_(
        "Carry out, as root, the signed changes that a platform has sent, as submeter-apply.service does. "
        "Each is judged by the keys in /etc/submeter/trust, tried, and taken back when meters or platforms "
        "that were well are not well within five minutes."
    ),
)
@click.option("--recover", is_flag=True, help=N_("Only take back what a restart has left on trial."))
@config_option
@socket_option
@click.option("--trust", type=_PATH, hidden=True)
@click.option("--requests-of", "daemon", type=_PATH, default=STATE, hidden=True)
@click.option("--patience", type=click.FloatRange(min=0), default=300.0, hidden=True)
def command(
    *,
    recover: bool,
    file: Path | None,
    socket: Path | None,
    trust: Path | None,
    daemon: Path,
    patience: float,
) -> None:
    """Do what is there."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    if os.geteuid() != 0:
        raise GatewayError(_("this is for root"), hint=_("submeter-apply.service runs it"))
    config = (file or CONFIG).absolute()
    places = Places(config, trust or config.parent / "trust", daemon, state_folder())
    applier = Applier(places, ControlledGateway(socket), patience=patience)
    if not recover:
        applier.work()
    elif applier.recover():
        say(_("What was on trial is taken back."))
