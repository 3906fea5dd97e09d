"""submeter journal: look into the journal, take rows out of it, save what a damaged file still holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from gateway.cli.client import control_client
from gateway.cli.journal_source import DaemonSource, FileSource, Source
from gateway.cli.options import SOCKET

DIRECTORY = Path("/var/lib/submeter")

_directory = click.option(
    "--directory", type=click.Path(path_type=Path), default=DIRECTORY, show_default=True, help="The journal's folder, when no daemon runs."
)
_socket = click.option("--socket", type=click.Path(path_type=Path), default=SOCKET, show_default=True, help="The daemon's control socket.")
_format = click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="How to write rows."
)


@click.group(name="journal", help="Look into the journal, through the running daemon or, when none runs, in its files.")
def command() -> None:
    """Hold the verbs together."""


@command.command(help="Say what the journal holds, what waits, how long the room lasts, and what was damaged.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_directory
@_socket
def status(as_json: bool, directory: Path, socket: Path) -> None:
    """Print the state in words."""
    with _source(socket, directory) as source:
        found = source.status()
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(found)))


@command.command(help="Print the newest batches, or the batch SEQ with everything that is in it.")
@click.argument("seq", type=click.IntRange(1), required=False)
@click.option("--epoch", help="The epoch of SEQ, when a number exists in more than one.")
@_directory
@_socket
def show(seq: int | None, epoch: str | None, directory: Path, socket: Path) -> None:
    """Print one batch as JSON, or a line for each of the newest ten."""
    with _source(socket, directory) as source:
        newest = source.status()["seq"]
        first, last = (seq, seq) if seq else (max(1, newest - 9), newest)
        rows = list(source.rows(first, last, epoch))
    if seq is None:
        for row in rows:
            print(
                f"{row['seq']:>9}  {row['epoch']}  {_when(row['t0'], row['clock'])}  {row['readings']:>4} readings  {row['bytes']:>6} bytes"
            )
        print(f"{len(rows)} batches; one of them in full: submeter journal show SEQ")
        return
    if not rows:
        raise click.ClickException(
            f"batch {seq} is not in the journal: it was never written, or made room; submeter journal status says more"
        )
    for row in rows:
        print(json.dumps(row["batch"], indent=2, ensure_ascii=False))


@command.command(help="Write every batch to FILE (- for the terminal): a JSON object a line, or a CSV line per value.")
@click.argument("file", type=click.Path(path_type=Path))
@_format
@click.option("--from", "first", type=click.IntRange(1), default=1, help="The first number.")
@click.option("--to", "last", type=click.IntRange(1), help="The last number.")
@_directory
@_socket
def export(*, file: Path, form: str, first: int, last: int | None, directory: Path, socket: Path) -> None:
    """Write rows, oldest first."""
    with _source(socket, directory) as source:
        state = source.status()
        upto = last or max([state["seq"], *(epoch["last"] for epoch in state["epochs"])])
        rows = (row["batch"] for row in source.rows(first, upto, None))
        count = write(_shown(rows, state["batches"], "batches"), file, form)
    print(f"{count} batches written to {file}", file=sys.stderr)


@command.command(help="Read every sound batch out of a damaged journal FILE, page by page; with --to, write them down.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--to", "target", type=click.Path(path_type=Path), help="Where to write the batches (- for the terminal).")
@_format
def salvage(file: Path, target: Path | None, form: str) -> None:
    """Scan the file; it is not changed."""
    from gateway.journal.salvage import Scan  # noqa: PLC0415 - only this verb needs it
    from gateway.wire import decompress  # noqa: PLC0415 - see above

    epochs: dict[str, list[int]] = {}

    def batches() -> Iterator[dict[str, Any]]:
        seen: set[tuple[str, int]] = set()
        for found in _shown(scan.found(), scan.pages, "pages", lambda: scan.page):
            for sealed in (one.row.sealed for one in found):
                if (sealed.epoch, sealed.seq) not in seen:
                    seen.add((sealed.epoch, sealed.seq))
                    epochs.setdefault(sealed.epoch, []).append(sealed.seq)
                    yield json.loads(decompress(sealed.body))

    with Scan(file) as scan:
        count = write(batches(), target, form) if target else sum(1 for _ in batches())
    for epoch, seqs in epochs.items():
        missing = max(seqs) - min(seqs) + 1 - len(seqs)
        print(f"epoch {epoch}: batches {min(seqs)} to {max(seqs)}, {len(seqs)} sound, {missing} missing between them", file=sys.stderr)
    print(
        f"{count} sound batches in {scan.pages} pages" + (f", written to {target}" if target else "; --to FILE writes them down"),
        file=sys.stderr,
    )


@contextmanager
def _source(socket: Path, directory: Path) -> Iterator[Source]:
    client = control_client(socket)
    if client is not None:
        with client:
            yield DaemonSource(client)
    else:
        with closing(FileSource(directory)) as source:
            print(f"no gateway runs: this is a look at the files in {directory}, none of them is changed", file=sys.stderr)
            yield source


def _shown(items: Iterable[Any], total: int, unit: str, done: Any = None) -> Iterator[Any]:  # noqa: ANN401 - a function without arguments
    """The same items, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # noqa: PLC0415 - 100 ms that only long work pays
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - see above

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
    import csv  # noqa: PLC0415 - only this verb needs it

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
    from gateway.wire import decode  # noqa: PLC0415 - only this verb needs it

    found = decode(json.dumps(batch).encode())
    for reading in found.readings:
        head = [found.gateway, found.epoch, found.seq, _iso(found.t0 + reading.uptime - found.uptime), found.clock, reading.meter]
        yield from ([*head, name, value, ""] for name, value in reading.values.items())
        yield from ([*head, name, "", reason] for name, reason in reading.absent.items())
        if reading.missing:
            yield [*head, "", "", reading.missing]


def _iso(ms: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - `run` never needs it

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _when(ms: int, clock: str) -> str:
    return _iso(ms) if clock != "unsynced" else f"({_iso(ms)})"


def lines(state: dict[str, Any]) -> list[str]:
    """The state in words."""
    told = [f"{state['state']}: {state['error'] or 'readings are on disk when their batch is committed'}"]
    if state["oldest_seq"]:
        numbers = f"{state['oldest_seq']} to {state['seq']}, since {_iso(state['oldest_t0'])}"
        told.append(f"holds {state['batches']} batches ({state['readings']} readings), {numbers}")
    else:
        told.append("holds nothing yet")
    room = "" if state["room_days"] is None else f"; at this rate there is room for {state['room_days']:.1f} more days"
    budget = f" of {_size(state['budget'])}" if state["budget"] > state["bytes"] else ""
    told.append(f"uses {_size(state['bytes'])}{budget}{room}")
    for uplink, backlog in state["backlog"].items():
        since = f", the oldest of {_iso(backlog['oldest_t0'])}" if backlog["oldest_t0"] else ""
        told.append(f"{uplink.partition('@')[0]}: {backlog['batches']} batches ({backlog['readings']} readings) wait{since}")
    if state["waiting"] or state["dropped"]:
        told.append(f"not taken: {state['waiting']} readings wait in memory, {state['dropped']} were let go")
    if state["thinned"]:
        since, until = state["thinned_since"], state["thinned_until"]
        span = "" if since is None else f" of the time from {_iso(since)} to {_iso(until)}"
        told.append(f"made room undelivered: {state['thinned']} batches ({state['thinned_readings']} readings){span}")
    for case in state["damaged"]:
        done = "salvaged" if case["done"] else f"being salvaged, page {case['page']} of {case['pages']}"
        told.append(f"damaged file {case['name']}: {done}, {case['rows']} batches came back ({case['reason']})")
    told += [f"epoch {epoch['epoch']}: {epoch['first']} to {epoch['last']}" for epoch in state["epochs"][-10:]]
    return told


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004 - a gigabyte
