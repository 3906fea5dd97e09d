"""submeter reload: the running daemon reads its configuration again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli.client import CARD_UNIT, need_client
from gateway.cli.language import N_, _, in_words
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say


@click.command(
    name="reload",
    help=N_(
        "Make the running daemon read its configuration again. A file with problems changes nothing: they "
        "are printed."
    ),
)
@config_option
@socket_option
def command(file: Path | None, socket: Path | None) -> None:
    """Ask the daemon and print what changed."""
    with need_client(socket, file) as client:
        answer = client.reload()
    for message in answer["messages"] or [_("nothing changed")]:
        say(in_words(message))
    if of_the_card(answer):
        say(_("card.remount is done when its service starts."))
        say(f"sudo systemctl restart {CARD_UNIT}", "  ", "→ ")


def of_the_card(answer: dict[str, Any]) -> bool:
    """Whether a reload has brought another card.remount, which is not the daemon's to do."""
    return any(
        change.get("section") == "card" and "remount" in change["fields"] for change in answer["changed"]
    )
