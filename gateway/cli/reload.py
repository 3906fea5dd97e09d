"""submeter reload: the running daemon reads its configuration again."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.client import SOCKET, need_client


@click.command(
    name="reload", help="Make the running daemon read its configuration again. A file with problems changes nothing: they are printed."
)
@click.option("--socket", type=click.Path(path_type=Path), default=SOCKET, show_default=True, help="The daemon's control socket.")
def command(socket: Path) -> None:
    """Ask the daemon and print what changed."""
    with need_client(socket) as client:
        messages = client.reload()
    for message in messages or ["nothing changed"]:
        print(message)
