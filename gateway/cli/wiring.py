"""`submeter wiring`: which conductor, in which direction, do the transformers of a meter measure?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.cli.language import N_, _, in_words, ngettext
from gateway.cli.prose import say
from gateway.errors import GatewayError

NOT_READ = 2
"""Exit code when there are no values to judge: 1 and 3 are verdicts."""
_HELP = N_(
    """Say from recorded values which conductor, in which direction,
each current transformer of a meter measures; nothing is changed.

FILE is a CSV: t in ms and a column per quantity (active_power_l1, reactive_power_l1, …), or what
`submeter journal export --format csv` writes; METER chooses one of several. It exits 0 when nothing is
wrong, 1 when something is, 3 when it cannot be known, 2 when the file cannot be used.
"""
)


@click.command(help=_HELP)
@click.argument("meter", required=False)
@click.option(
    "--from", "file", type=click.Path(path_type=Path), metavar="FILE", help=N_("Recorded values, as CSV.")
)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object instead of words."))
def command(*, meter: str | None, file: Path | None, as_json: bool) -> None:
    """Print the verdict and exit with its code."""
    from gateway.cli import wiring_words
    from gateway.commissioning.wiring import judge_wiring, read_recorded

    if file is None:
        hint = (
            f"submeter journal export FILE.csv --format csv; submeter wiring {meter or 'METER'} --from "
            f"FILE.csv"
        )
        say(
            _("submeter: no values are given: this command judges recorded ones → {commands}").format(
                commands=hint
            ),
            err=True,
        )
        sys.exit(NOT_READ)
    try:
        found = read_recorded(file, meter)
    except GatewayError as error:
        say(f"submeter: {in_words(str(error))}", err=True)
        sys.exit(NOT_READ)
    for problem in found.problems:
        say(in_words(str(problem)), err=True)
    if more := found.bad_lines - len(found.problems):
        text = ngettext(
            "{file}: {count} more line is left out", "{file}: {count} more lines are left out", more
        )
        say(text.format(file=file, count=more), err=True)
    verdict = judge_wiring(found.columns)
    if as_json:
        findings = [
            {"kind": each.kind, "input": each.input, "text": wiring_words.text(each)}
            for each in verdict.findings
        ]
        answer = {
            "speaks": verdict.speaks,
            "certainty": verdict.certainty,
            "inputs": verdict.inputs,
            "best": verdict.best,
        }
        print(json.dumps({**answer, "findings": findings}, ensure_ascii=False))
    else:
        print("\n".join(wiring_words.lines(verdict)))
    sys.exit(verdict.code)
