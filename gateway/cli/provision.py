"""submeter provision: the gateway is set up by submeter.yaml on its boot partition."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from gateway.cli.language import N_, _, in_words, speaking
from gateway.cli.options import config_option
from gateway.cli.prose import say
from gateway.errors import GatewayError
from gateway.host import CONFIG, STATE
from gateway.provisioning import BOOT, BootFileOutcome, Enrolled, provision, tell_answers

SAMPLE = Path("/opt/submeter/share/doc/submeter-gateway/config/gateway.yaml")
BOTH = ("tr", "en")
"""Whoever opens the result has no setting of ours: it is written in both languages."""


@click.command(
    name="provision",
    help=N_(
        "Take submeter.yaml from the boot partition as the configuration of a gateway that has none, as each "
        "start of the machine does; what came of it stands in submeter-result.txt beside it."
    ),
)
@config_option
@click.option(
    "--boot",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help=N_("The partition.  [default: /boot/firmware and /boot]"),
)
@click.option("--sample", type=click.Path(path_type=Path), default=SAMPLE, hidden=True)
@click.option("--state", type=click.Path(path_type=Path), default=STATE, hidden=True)
def command(file: Path | None, boot: tuple[Path, ...], sample: Path, state: Path) -> None:
    """Look at each partition."""
    configuration = (file or CONFIG).absolute()
    found = False
    try:
        for enrolled in tell_answers(boot or BOOT, configuration, state, answers):
            found = True
            for line in answer(enrolled):
                say(line)
        for partition in boot or BOOT:
            if not partition.is_dir():
                continue
            outcome = provision(partition, configuration, sample, state, result)
            if outcome is not None:
                found = True
                for line in lines(outcome):
                    say(line)
                if outcome.kind != "taken":
                    sys.exit(1)
    except OSError as error:
        raise GatewayError(
            f"{error.filename or configuration.parent}: {error.strerror}", hint=_("run it as root")
        ) from error
    if not found:
        places = ", ".join(str(partition) for partition in boot or BOOT)
        say(_("There is no submeter.yaml in %(places)s: nothing to do.") % {"places": places})


def result(outcome: BootFileOutcome) -> str:
    """The text beside the file, Turkish first."""
    return _in_both(lambda: lines(outcome))


def answers(enrolled: list[Enrolled]) -> str:
    """What is added to it when the platform has answered."""
    return _in_both(lambda: [line for each in enrolled for line in answer(each)])


def _in_both(told: Callable[[], list[str]]) -> str:
    parts = []
    for language in BOTH:
        with speaking(language):
            parts.append("\n".join(told()))
    return "\n\n".join(parts) + "\n"


def answer(enrolled: Enrolled) -> list[str]:
    """What the platform said, in the language of the moment."""
    uplink = {"uplink": enrolled.uplink}
    if enrolled.until:
        good = _("Uplink %(uplink)s: the platform has certified this gateway, until %(day)s.")
        return [good % {**uplink, "day": enrolled.until}]
    refused = _("Uplink %(uplink)s: the platform gives this gateway no certificate: %(why)s.")
    return [
        refused % {**uplink, "why": in_words(enrolled.why)},
        _("Ask its operator for a new token, then: sudo submeter enroll --token-file -"),
    ]


def lines(outcome: BootFileOutcome) -> list[str]:
    """What came of it, line by line, in the language of the moment."""
    file = {"file": outcome.file}
    match outcome.kind:
        case "taken":
            told = [_("%(file)s was taken: the gateway is set up.") % file]
        case "mistakes":
            told = [_("%(file)s was not taken. Mend these lines and start the gateway again:") % file]
        case "ignored":
            told = [_("%(file)s was ignored: this gateway has a configuration already.") % file]
            told += [_("To set it up anew by a file: sudo rm /etc/submeter/gateway.yaml, then start again.")]
        case "unreadable":
            told = [_("%(file)s cannot be read.") % file]
        case "misnamed":
            told = [_("The file must be called submeter.yaml; it is called %(file)s.") % file]
    for verdict in outcome.verdicts:
        told.append(_line(verdict.line, verdict.key, verdict.what, verdict.mend))
    if any(verdict.key.endswith(".token") for verdict in outcome.verdicts):
        told += [_("The platform is asked for a certificate with the token; its answer will stand here.")]
    if outcome.lasting:
        told += [
            _("Passwords and keys were moved into files that only the service reads."),
            _(
                "The old blocks of a card can still be read: who has had it in hand may know them. Use "
                "one-time tokens, or change them."
            ),
        ]
    if outcome.kind == "ignored":
        told += [_("It may hold passwords: delete it.")]
    if outcome.stays:
        told += [_("It could not be removed from here, the partition is read-only: remove it yourself.")]
    return told


def _line(line: int, key: str, what: str, mend: str) -> str:
    if what == "moved":
        said = _("moved to %(file)s") % {"file": mend}
    else:
        said = in_words(f"{what} → {mend}" if mend else what)
    where = _("line %(line)s") % {"line": line} if line else ""
    return "  " + ": ".join(part for part in (where, key, said) if part)
