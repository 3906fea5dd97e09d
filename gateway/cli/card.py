"""submeter card: how often the journal's file system writes its own bookkeeping, and what that costs."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.language import N_, _
from gateway.cli.options import config_option
from gateway.cli.prose import say
from gateway.config import load_config
from gateway.host import CONFIG, card_state, put_back, remount


@click.command(
    name="card",
    help=N_(
        "Say how often the file system of the journal writes its own bookkeeping to the card. The service "
        "calls it with --remount, which does what card.remount of the configuration says, and --put-back."
    ),
)
@config_option
@click.option("--remount", "wanted", is_flag=True, help=N_("Every minute, if card.remount says so."))
@click.option("--put-back", "back", is_flag=True, help=N_("As it was found."))
def command(file: Path | None, *, wanted: bool, back: bool) -> None:
    """Show it, change it, or put it back."""
    if back:
        state = put_back()
        if state is not None:
            _say(state.point, state.commit)
        return
    config = load_config(file or CONFIG)
    place = Path(config.journal.directory)
    if wanted and config.card.remount:
        remount(place)
    state = card_state(place)
    _say(state.point, state.commit, state.kind)
    if state.commit is not None and not config.card.remount:
        say(_("card: {remount: yes} lets it be every minute while the gateway runs: docs/journal.md."))


def _say(point: str, commit: int | None, kind: str = "") -> None:
    if commit is None:
        say(_("%(point)s is %(kind)s: nothing can be changed there.") % {"point": point, "kind": kind or "?"})
    else:
        said = _("%(point)s writes its own bookkeeping every %(seconds)s s.")
        say(said % {"point": point, "seconds": commit})
