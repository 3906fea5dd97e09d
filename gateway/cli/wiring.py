"""`submeter wiring`: which conductor, in which direction, do the transformers of a meter measure?"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import wiring_words
from gateway.cli.client import ControlClient, control_client
from gateway.cli.journal_source import journal_source, newest_batches
from gateway.cli.language import N_, _, in_words, locale, ngettext
from gateway.cli.options import config_option, socket_option
from gateway.cli.progress import progress_bar
from gateway.cli.prose import say
from gateway.commissioning.wiring import (
    Recorded,
    WiringVerdict,
    judge_meters,
    judge_wiring,
    parts_of,
    read_journalled,
    read_recorded,
)
from gateway.config import Config, load_config
from gateway.errors import ConfigError, ControlError, GatewayError
from gateway.host import CONFIG

NOT_READ = 2
"""Exit code when there are no values to judge: 1 and 3 are verdicts."""
ENOUGH = 60
"""Rows of the journal by which a meter is judged without waiting."""
LIVE, PAUSE = 120.0, 2.0
"""s that a meter is read when the journal has too little, and between two reads."""
_HELP = N_(
    """Say from recorded values which conductor, in which direction,
each current transformer of a meter measures; nothing is changed.

Without --from the journal is asked, from the newest exchange or change of the meter on; where it holds too
little the meter is read for two minutes (Ctrl-C ends it sooner). FILE is a CSV: t in ms and a column per
quantity (active_power_l1, reactive_power_l1, …), or what `submeter journal export --format csv` writes. METER
chooses one of several; without it every meter of the journal is judged. It exits 0 when nothing is wrong, 1
when something is, 3 when it cannot be known, 2 when there are no values.
"""
)


@click.command(help=_HELP)
@click.argument("meter", required=False)
@click.option(
    "--from", "recorded", type=click.Path(path_type=Path), metavar="FILE", help=N_("Recorded values, as CSV.")
)
@click.option(
    "--hours",
    type=click.FloatRange(0.01, 240),
    default=6.0,
    show_default=True,
    help=N_("So much of the journal."),
)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object instead of words."))
@config_option
@socket_option
def command(
    *,
    meter: str | None,
    recorded: Path | None,
    hours: float,
    as_json: bool,
    file: Path | None = None,
    socket: Path | None = None,
) -> None:
    """Print the verdict and exit with its code."""
    config = _configured(file)
    try:
        if recorded is not None:
            found = {meter or "": _from_file(recorded, meter)}
            verdicts = {name: judge_wiring(each.columns) for name, each in found.items()}
        else:
            parents = parts_of(config) if config else {}
            verdicts, found = _from_journal(meter, hours, file, socket, parents)
    except ControlError:
        raise
    except GatewayError as error:
        say(f"submeter: {in_words(str(error))}", err=True)
        sys.exit(NOT_READ)
    if as_json:
        answers = {name: _as_json(verdict, found[name]) for name, verdict in verdicts.items()}
        print(json.dumps(next(iter(answers.values())) if len(answers) == 1 else answers, ensure_ascii=False))
    else:
        _say(verdicts, found, config.gateway.timezone if config else "UTC")
    codes = {verdict.code for verdict in verdicts.values()}
    sys.exit(1 if 1 in codes else 3 if 3 in codes else 0)


def _configured(file: Path | None) -> Config | None:
    """The gateway's configuration; None where there is none that can be used."""
    try:
        return load_config(file or CONFIG)
    except ConfigError:
        return None


def _from_file(file: Path, meter: str | None) -> Recorded:
    found = read_recorded(file, meter)
    for problem in found.problems:
        say(in_words(str(problem)), err=True)
    if more := found.bad_lines - len(found.problems):
        text = ngettext(
            "{file}: {count} more line is left out", "{file}: {count} more lines are left out", more
        )
        say(text.format(file=file, count=more), err=True)
    return found


def _from_journal(
    meter: str | None, hours: float, file: Path | None, socket: Path | None, parents: Mapping[str, str]
) -> tuple[dict[str, WiringVerdict], dict[str, Recorded]]:
    """Verdicts on the meter, or on each, by what the journal holds; what it lacks is read. `parents`: of
    which meter another one is a part. Raises GatewayError.
    """
    with journal_source(socket, None, file) as source:
        batches = list(newest_batches(source, hours))
    names = {name for batch in batches for table in batch.get("tables", ()) for name in table["meter"]}
    every = {name: read_journalled(batches, name) for name in sorted({*names, *([meter] if meter else [])})}
    found = {name: each for name, each in every.items() if name == (meter or name)}
    if meter is None:
        found = {name: each for name, each in found.items() if "active_power_l2" in each.columns}
    elif found[meter].rows < ENOUGH and (client := control_client(socket)) is not None:
        with client:
            found[meter] = _live(client, meter)
    if not any(each.columns for each in found.values()):
        raise GatewayError(
            f"the journal holds no values{f' of {meter}' if meter else ''} that tell of its wiring",
            hint="name a meter that is being read, or give recorded values: --from FILE.csv",
        )
    return judge_meters(every | found, found, parents), found


def _live(client: ControlClient, meter: str) -> Recorded:
    """Read it for a while."""
    text = _("The journal holds too little of %(meter)s: it is read for %(span)s (Ctrl-C ends it sooner).")
    say(text % {"meter": meter, "span": locale().span(LIVE)}, err=True)
    rows: list[dict[str, float]] = []
    found, end = Recorded(first=int(time.time() * 1000)), time.monotonic() + LIVE
    bar = progress_bar(LIVE)
    try:
        with bar:
            while (left := end - time.monotonic()) > 0:
                told = _("%(n)s s left") % {"n": math.ceil(left)}
                bar.update(bar.tasks[0].id, completed=LIVE - left, description=told)
                (answer,) = client.read([meter])
                if answer.get("error"):
                    raise GatewayError(str(answer["error"]), hint=str(answer.get("hint", "")))
                rows.append(answer["values"])
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        pass
    names = sorted({name for values in rows for name in values})
    found.columns = {name: [values.get(name) for values in rows] for name in names}
    found.rows, found.last = len(rows), int(time.time() * 1000)
    return found


def _as_json(verdict: WiringVerdict, found: Recorded) -> dict[str, Any]:
    findings = [
        {"kind": each.kind, "input": each.input, "text": wiring_words.text(each)} for each in verdict.findings
    ]
    answer = {
        "speaks": verdict.speaks,
        "certainty": verdict.certainty,
        "inputs": verdict.inputs,
        "best": verdict.best,
    }
    period = {"first": found.first, "last": found.last, "rows": found.rows} if found.first else {}
    return {**answer, "findings": findings, **period}


def _say(verdicts: dict[str, WiringVerdict], found: dict[str, Recorded], timezone: str) -> None:
    for number, (name, verdict) in enumerate(verdicts.items()):
        each = found[name]
        if number:
            print()
        if each.first:
            f = locale(timezone, now=each.first)
            text = ngettext(
                "%(meter)s, by %(n)s reading from %(first)s to %(last)s (%(zone)s):",
                "%(meter)s, by %(n)s readings from %(first)s to %(last)s (%(zone)s):",
                each.rows,
            )
            times = {"first": f.full(each.first), "last": f.clock(each.last), "zone": timezone}
            say(text % {"meter": name, "n": f.whole(each.rows), **times})
        print("\n".join(wiring_words.lines(verdict)))
