"""submeter journal: look into the journal, take rows out of it, save what a damaged file still holds."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli import later
from gateway.cli.journal_source import journal_source
from gateway.cli.language import N_, _, in_words, locale, ngettext
from gateway.cli.options import backwards, config_option, socket_option, unreadable
from gateway.cli.prose import aligned, said, say

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help=N_("The journal's folder, when no daemon runs; else the configuration's, else /var/lib/submeter."),
)
_format = click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help=N_("How to write rows."),
)


@click.group(
    name="journal",
    help=N_("Look into the journal, through the running daemon or, when none runs, in its files."),
)
def command() -> None:
    """The group of these commands; each has its own help."""


@command.command(
    help=N_("Say what the journal holds, what waits, how long the room lasts, and what was damaged.")
)
@click.option("--json", "as_json", is_flag=True, help=N_("Print it as JSON."))
@_directory
@config_option
@socket_option
def status(as_json: bool, directory: Path | None, file: Path | None, socket: Path | None) -> None:
    """Print the state in words."""
    with journal_source(socket, directory, file) as source:
        found = source.status()
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(found)))


@command.command(help=N_("Print the newest batches, or the batch SEQ with everything that is in it."))
@click.argument("seq", type=click.IntRange(1), required=False)
@click.option("--epoch", help=N_("The epoch of SEQ, when a number exists in more than one."))
@_directory
@config_option
@socket_option
def show(
    seq: int | None, epoch: str | None, directory: Path | None, file: Path | None, socket: Path | None
) -> None:
    """Print one batch as JSON, or a line for each of the newest ten."""
    with journal_source(socket, directory, file) as source:
        newest = source.status()["seq"]
        first, last = (seq, seq) if seq else (max(1, newest - 9), newest)
        rows = list(source.rows(first, last, epoch))
    if seq is None:
        print("\n".join(row_lines(rows)))
        return
    if not rows:
        text = _(
            "batch %(seq)s is not in the journal: it was never written, or made room; submeter journal "
            "status says more"
        )
        raise click.ClickException(text % {"seq": seq})
    for row in rows:
        print(json.dumps(row["batch"], indent=2, ensure_ascii=False))


def row_lines(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each batch, its size beside it or below it."""
    f, sizes = locale(), []
    for row in rows:
        readings = ngettext("%(n)s reading", "%(n)s readings", row["readings"]) % {
            "n": f.whole(row["readings"])
        }
        sizes.append(
            f"{readings}, "
            + ngettext("%(n)s byte", "%(n)s bytes", row["bytes"]) % {"n": f.whole(row["bytes"])}
        )
    cells = [
        (str(row["seq"]), row["epoch"], _when(row["t0"], row["clock"]), size)
        for row, size in zip(rows, sizes, strict=True)
    ]
    text = ngettext("%(n)s batch", "%(n)s batches", len(rows)) % {"n": f.whole(len(rows))}
    return aligned(cells, right=(0,), indent="") + said(
        f"{text}; " + _("one of them in full: submeter journal show SEQ")
    )


@command.command(
    help=N_("Write every batch to FILE (- for the terminal): a JSON object a line, or a CSV line per value.")
)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@_format
@click.option("--from", "first", type=click.IntRange(1), default=1, help=N_("The first number."))
@click.option("--to", "last", type=click.IntRange(1), help=N_("The last number."))
@_directory
@config_option
@socket_option
def export(
    *,
    target: Path,
    form: str,
    first: int,
    last: int | None,
    directory: Path | None,
    file: Path | None,
    socket: Path | None,
) -> None:
    """Write rows, oldest first."""
    if last is not None and last < first:
        raise backwards(first, last)
    with journal_source(socket, directory, file) as source:
        state = source.status()
        upto = last or max([state["seq"], *(epoch["last"] for epoch in state["epochs"])])
        rows = (row["batch"] for row in source.rows(first, upto, None))
        count = write(_shown(rows, state["batches"], _("batches")), target, form)
    text = ngettext("%(n)s batch written to %(file)s", "%(n)s batches written to %(file)s", count)
    say(text % {"n": locale().whole(count), "file": target}, err=True)


@command.command(
    help=N_("Read every sound batch out of a damaged journal FILE, page by page; with --to, write them down.")
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help=N_("Where to write the batches (- for the terminal)."),
)
@_format
def salvage(file: Path, target: Path | None, form: str) -> None:
    """Scan the file; it is not changed."""
    if not file.is_file():
        raise unreadable(file, "is not a regular file")
    epochs: dict[str, list[int]] = {}

    def batches() -> Iterator[dict[str, Any]]:
        seen: set[tuple[str, int]] = set()
        for found in _shown(scan.found(), scan.pages, _("pages"), lambda: scan.page):
            for sealed in (one.row.sealed for one in found):
                if (sealed.epoch, sealed.seq) not in seen:
                    seen.add((sealed.epoch, sealed.seq))
                    epochs.setdefault(sealed.epoch, []).append(sealed.seq)
                    yield json.loads(later.wire.decompress(sealed.body))

    with later.journal.PageScan(file) as scan:
        count = write(batches(), target, form) if target else sum(1 for _ in batches())
    f = locale()
    for epoch, seqs in epochs.items():
        text = _(
            "epoch %(epoch)s: batches %(first)s to %(last)s, %(n)s sound, %(missing)s missing between them"
        )
        missing = max(seqs) - min(seqs) + 1 - len(seqs)
        numbers = {
            "first": min(seqs),
            "last": max(seqs),
            "n": f.whole(len(seqs)),
            "missing": f.whole(missing),
        }
        say(text % {"epoch": epoch, **numbers}, err=True)
    text = ngettext("%(n)s sound batch in %(pages)s pages", "%(n)s sound batches in %(pages)s pages", count)
    how = _(", written to %(file)s") % {"file": target} if target else "; " + _("--to FILE writes them down")
    say(text % {"n": f.whole(count), "pages": f.whole(scan.pages)} + how, err=True)


def _shown(items: Iterable[Any], total: int, unit: str, done: Any = None) -> Iterator[Any]:
    """The same items, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(unit, total=total)
        for number, item in enumerate(items, 1):
            yield item
            progress.update(task, completed=done() if done else number)


def write(batches: Iterable[dict[str, Any]], file: Path, form: str) -> int:
    """Write batches; how many."""
    if str(file) == "-":
        return _write(batches, sys.stdout, form)
    with file.open("w", encoding="utf-8", newline="") as target:
        return _write(batches, target, form)


def _write(batches: Iterable[dict[str, Any]], target: TextIO, form: str) -> int:
    count = 0
    sheet = csv.writer(target) if form == "csv" else None
    if sheet:
        sheet.writerow(["gateway", "epoch", "seq", "time", "clock", "meter", "quantity", "value", "absent"])
    for count, batch in enumerate(batches, 1):  # noqa: B007 - the count is the answer
        if sheet:
            sheet.writerows(_values(batch))
        else:
            target.write(json.dumps(batch, ensure_ascii=False, separators=(",", ":")) + "\n")
    return count


def _values(batch: dict[str, Any]) -> Iterator[list[Any]]:
    found = later.wire.decode(json.dumps(batch).encode())
    for reading in found.readings:
        head = [
            found.gateway,
            found.epoch,
            found.seq,
            _iso(found.t0 + reading.uptime - found.uptime),
            found.clock,
            reading.meter,
        ]
        yield from ([*head, name, value, ""] for name, value in reading.values.items())
        yield from ([*head, name, "", reason] for name, reason in reading.absent.items())
        if reading.missing:
            yield [*head, "", "", reading.missing]


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _when(ms: int, clock: str) -> str:
    return _iso(ms) if clock != "unsynced" else f"({_iso(ms)})"


def _batches(count: int, readings: int) -> str:
    f = locale()
    held = ngettext("%(n)s reading", "%(n)s readings", readings) % {"n": f.whole(readings)}
    text = ngettext("%(n)s batch (%(readings)s)", "%(n)s batches (%(readings)s)", count)
    return text % {"n": f.whole(count), "readings": held}


def _contents(state: dict[str, Any]) -> str:
    """What is in it."""
    if not state["oldest_seq"]:
        if state.get("unopened"):
            return _("what it holds cannot be read at the moment")
        return _("holds nothing yet")
    return _("holds %(batches)s, %(first)s to %(last)s, since %(time)s") % {
        "batches": _batches(state["batches"], state["readings"]),
        "first": state["oldest_seq"],
        "last": state["seq"],
        "time": _iso(state["oldest_t0"]),
    }


def lines(state: dict[str, Any]) -> list[str]:
    """The state in words."""
    f = locale()
    fine = _("readings are on disk when their batch is committed")
    told = said(f"{_state(state['state'])}: {in_words(state['error']) or fine}")
    told += said(_contents(state))
    room = (
        ""
        if state["room_days"] is None
        else _("; at this rate there is room for %(n)s more days") % {"n": f.number(state["room_days"], 1)}
    )
    budget = _(" of %(size)s") % {"size": f.size(state["budget"])} if state["budget"] > state["bytes"] else ""
    told += said(_("uses %(size)s") % {"size": f.size(state["bytes"])} + budget + room)
    for uplink, backlog in state["backlog"].items():
        text = _("%(platform)s: %(batches)s wait") % {
            "platform": uplink.partition("@")[0], "batches": _batches(backlog["batches"], backlog["readings"])
        }  # fmt: skip
        told += said(
            text
            + (
                _(", the oldest of %(time)s") % {"time": _iso(backlog["oldest_t0"])}
                if backlog["oldest_t0"]
                else ""
            )
        )
    if state["waiting"] or state["dropped"]:
        told += said(_not_taken(state["waiting"], state["dropped"]))
    if state["thinned"]:
        since, until = state["thinned_since"], state["thinned_until"]
        span = (
            ""
            if since is None
            else _(" of the time from %(since)s to %(until)s") % {"since": _iso(since), "until": _iso(until)}
        )
        told += said(
            _("made room undelivered: %(batches)s")
            % {"batches": _batches(state["thinned"], state["thinned_readings"])}
            + span
        )
    told += said(_lost(state)) if state["lost"] else []
    for case in state["damaged"]:
        told += said(_case(case))
    for epoch in state["epochs"][-10:]:
        told += said(_("epoch %(epoch)s: %(first)s to %(last)s") % epoch)
    return told


def _lost(state: dict[str, Any]) -> str:
    """What a damaged or missing file cost for good, and of what time that was."""
    f, since, until = locale(), state["lost_since"], state["lost_until"]
    text = ngettext("lost for good: %(n)s batch", "lost for good: %(n)s batches", state["lost"])
    span = _(" of the time from %(since)s to %(until)s") % {
        "since": _iso(since) if since else "?", "until": _iso(until) if until else "?"
    }  # fmt: skip
    return text % {"n": f.whole(state["lost"])} + (span if since or until else "")


def _state(state: str) -> str:
    return {
        "ok": _("in order"),
        "full": _("no room"),
        "failing": _("cannot be written"),
        "newer": _("written by a newer version"),
    }.get(state, state)


def _not_taken(waiting: int, dropped: int) -> str:
    """Readings that are not on disk."""
    f = locale()
    waits = ngettext("%(n)s reading waits in memory", "%(n)s readings wait in memory", waiting)
    gone = ngettext("%(n)s was let go", "%(n)s were let go", dropped)
    both = {"waiting": waits % {"n": f.whole(waiting)}, "dropped": gone % {"n": f.whole(dropped)}}
    return _("not taken: %(waiting)s, %(dropped)s") % both


def _case(case: dict[str, Any]) -> str:
    """A damaged file, how far it is read, and what came back of it."""
    f = locale()
    done = _("salvaged") if case["done"] else _("being salvaged, page %(page)s of %(pages)s") % {
        "page": f.whole(case["page"]), "pages": f.whole(case["pages"])
    }  # fmt: skip
    text = ngettext(
        "damaged file %(name)s: %(done)s, %(rows)s batch came back (%(reason)s)",
        "damaged file %(name)s: %(done)s, %(rows)s batches came back (%(reason)s)",
        case["rows"],
    )
    return text % {
        "name": case["name"],
        "done": done,
        "rows": f.whole(case["rows"]),
        "reason": in_words(case["reason"]),
    }
