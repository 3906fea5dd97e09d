"""submeter setup: the guided path from a box to the first receipt; step by step, resumed, or from a file."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from gateway.cli.client import control_client
from gateway.cli.language import N_, _
from gateway.cli.options import config_option, given_text, socket_option
from gateway.cli.prose import say
from gateway.cli.questions import confirm
from gateway.cli.setup_answers import Setup
from gateway.cli.setup_meters import meters, names, values
from gateway.cli.setup_start import serves, start, write
from gateway.cli.setup_uplink import uplink
from gateway.commissioning.setup import read_answers, written
from gateway.config import parse_config
from gateway.errors import GatewayError
from gateway.host import CONFIG, SELDOM, card_state

_HELP = N_(
    """Set a gateway up, question by question: identity, building, meters, names, values, uplink, clock,
card; then it writes the configuration, checks it, starts, and waits for the first receipt.

Enter takes what stands in brackets, ? explains. Every answer is kept at once: broken off, the same command
goes on. STEP does one step alone. --answers FILE asks nothing: the form is in docs/commissioning.md.
"""
)


def identity(s: Setup) -> None:
    """Who the gateway is."""
    explain = _("Its id at the platform: small letters, digits, hyphens; no other gateway has it.")
    s.put("gateway", "id", _("Id of this gateway?"), "", explain)
    s.put("gateway", "name", _("What do people call the building?"), "", _("It stands on the page."))
    s.put("gateway", "timezone", _("Time zone?"), "Europe/Istanbul", _("Days begin by it."))


def building(s: Setup) -> None:
    """What the page shows figures by; each may be skipped."""
    skip = " " + _("Enter skips it: the page then says what is missing.")
    for key, question, explain in (
        ("area", _("Floor area in m²?"), _("The page shows energy per m² by it.")),
        (
            "installed_kva",
            _("Installed power in kVA?"),
            _("As in the supply contract; the limits of reactive energy follow from it."),
        ),
        (
            "contract_kw",
            _("Contracted power in kW?"),
            _("As on the electricity bill; the peak of the month is held against it."),
        ),
    ):
        s.put("building", key, question, "", explain + skip, needed=False)


def clock(s: Setup) -> None:
    """Who vouches for the time."""
    explain = _("kernel: the network sets it; rtc: a hardware clock is trusted, too; system: always.")
    s.put("clock", "trust", _("Who vouches for the clock: kernel, rtc or system?"), "kernel", explain)


def card(s: Setup) -> None:
    """Whether the card is spared, where the service can do that."""
    config = parse_config(written(s.text, s.answers))
    state, spared = card_state(Path(config.journal.directory)), config.card.remount
    if not serves(s.path) or state.commit is None or (state.commit >= SELDOM and not spared):
        say(_("There is nothing to choose here: the service cannot change how the card is written."), "  ")
        return
    text = _("Spare the card? It is written half as much, about 36 instead of 71 GB a year with ten meters.")
    explain = _(
        "The file system then writes its own bookkeeping once a minute. No reading waits for that; in a "
        "power cut, what other programs wrote within the last minute may be lost. The key is card: "
        "{remount: yes}."
    )
    there = s.answers.get("card") or {}
    s.answers["card"] = {**there, "remount": confirm(text, explain, default=spared)}


STEPS: dict[str, tuple[Callable[[Setup], None], str]] = {
    "identity": (identity, N_("identity")),
    "building": (building, N_("building")),
    "meters": (meters, N_("meters")),
    "names": (names, N_("names")),
    "values": (values, N_("values")),
    "uplink": (uplink, N_("uplink")),
    "clock": (clock, N_("clock")),
    "card": (card, N_("card")),
    "write": (write, N_("write")),
    "start": (start, N_("start")),
}
"""Each step by its word on the command line, with its name for people."""
_ASKED = {"identity", "building", "names", "clock", "card"}
"""Steps that do nothing but ask."""
_WRITTEN = {"identity", "building", "names", "uplink", "clock", "card"}
"""Steps whose answers go into the file at once when they are done alone."""


@click.command(name="setup", help=_HELP)
@click.argument("step", required=False, type=click.Choice(list(STEPS)))
@click.option(
    "--answers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=N_("Ask nothing: the answers are in FILE."),
    metavar="FILE",
)
@click.option("--json", "as_json", is_flag=True, help=N_("With --answers: one JSON object at the end."))
@config_option
@socket_option
def command(
    *, step: str | None, answers: Path | None, as_json: bool, file: Path | None, socket: Path | None
) -> None:
    """Go through the steps that are left; exit 1 when it is not at its end, or something is open."""
    if as_json and answers is None:
        raise click.UsageError(_("--json belongs to --answers FILE"))
    given = read_answers(given_text(answers), str(answers)) if answers else None
    s = Setup((file or CONFIG).absolute(), socket, given)
    if as_json:
        _in_json(s, step)
        return
    if given is None:
        _resume(s, step)
    try:
        _go(s, step)
    except (click.Abort, KeyboardInterrupt):
        again = " ".join(["submeter setup", *([step] if step else [])])
        say(_("Ended early. Every answer is kept: %(command)s goes on here.") % {"command": again}, err=True)
        sys.exit(1)
    if step:
        _say_next(s, step)
    elif "start" in s.done:
        s.kept.unlink(missing_ok=True)
        say(_("Done. The document for the hand-over: submeter report"))
    if s.open:
        say(_("Still open:"))
        for text in dict.fromkeys(s.open):
            say(text, "  ", "! ")
        sys.exit(1)


def _in_json(s: Setup, step: str | None) -> None:
    """Go through the steps of a file of answers; the words go to the error output, an object is printed."""
    trouble: GatewayError | None = None
    with contextlib.redirect_stdout(sys.stderr):
        try:
            _go(s, step)
        except GatewayError as error:
            trouble = error
    if trouble is None and "start" in s.done:
        s.kept.unlink(missing_ok=True)
    answer = {
        "file": str(s.path),
        "gateway": s.answers.get("gateway", {}).get("id"),
        "meters": [meter["id"] for meter in s.answers.get("meters", ())],
        "done": s.done,
        "open": list(dict.fromkeys(s.open)),
        "error": trouble.message if trouble else None,
        "hint": trouble.hint if trouble else None,
    }
    print(json.dumps(answer, ensure_ascii=False))
    sys.exit(1 if trouble or s.open else 0)


def _resume(s: Setup, step: str | None) -> None:
    """What was answered before; a person may begin anew."""
    if not s.recall() or step or not s.done:
        return
    left = [name for name in STEPS if name not in s.done]
    question = _("Go on with %(step)s?") % {"step": _(STEPS[left[0]][1])} if left else ""
    if not left or not confirm(question, _("No begins anew; the answers stand in brackets.")):
        s.done = []


def _go(s: Setup, step: str | None) -> None:
    for place, (name, (work, title)) in enumerate(STEPS.items(), 1):
        if (step and name != step) or (not step and name in s.done) or (not s.asks and name in _ASKED):
            continue
        word = _(title)
        say(f"— {place}/{len(STEPS)} {word}{'' if word == name else f' ({name})'} —")
        work(s)
        s.done = [*[each for each in s.done if each != name], name]
        s.keep()


def _say_next(s: Setup, step: str) -> None:
    """Where the answers of a step that was done alone are, and what follows."""
    if step in _WRITTEN and s.text:
        write(s)
    elif step in _WRITTEN:
        say(_("Kept. submeter setup goes on with what is missing."))
    elif step == "meters":
        say(_("Kept. Next: submeter setup names"))
    client = control_client(s.socket) if step in _WRITTEN | {"write"} else None
    if client is not None:
        client.close()
        say(_("A gateway runs: submeter reload makes it take the file over."))
