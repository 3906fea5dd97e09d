"""submeter receive: the reference receiver, and its report."""

from __future__ import annotations

import json
import logging
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.cli.broker_options import broker_at, broker_options
from gateway.cli.language import N_, _
from gateway.cli.prose import say
from gateway.cli.receive_words import ended, lines
from gateway.errors import GatewayError
from gateway.host import notify
from gateway.platform import PlatformPage, listen_address
from gateway.receiver import (
    BackupFolder,
    Receiver,
    broker_link,
    build_report,
    check_names,
    is_server,
    schema_check,
)

_HELP = N_("""Take batches off the broker, store each once, answer with receipts.

With --report: print what the database holds per gateway and epoch, also while a receiver writes to it.
""")


@click.command(name="receive", help=_HELP)
@click.option(
    "--database",
    required=True,
    help=N_("SQLite file, made when it is new; or postgresql://…, which several receivers share."),
)
@broker_options
@click.option(
    "--consumer", default="city", show_default=True, help=N_("Our name in receipts: P/receipt/<consumer>.")
)
@click.option(
    "--share",
    is_flag=True,
    help=N_("Share the batches with the other receivers of this consumer (PostgreSQL and MQTT 5)."),
)
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    help=N_("Only this gateway; may be given more than once. Default: all."),
)
@click.option(
    "--validate",
    is_flag=True,
    help=N_("Hold every batch against the published JSON Schema too (extra: receiver)."),
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help=N_("Stop after so many seconds. Default: run until SIGTERM or SIGINT."),
)
@click.option(
    "--keep",
    metavar="DAYS",
    help=N_("Drop readings that are older, e.g. 400d; never intervals, rollups or what proves receipt."),
)
@click.option(
    "--backups",
    type=click.Path(file_okay=False, path_type=Path),
    help=N_("Keep the newest three small backups of each gateway in this folder."),
)
@click.option(
    "--page",
    metavar="[HOST:]PORT",
    help=N_("Serve a page of all gateways and /metrics there; without HOST for this machine alone."),
)
@click.option(
    "--page-name",
    "page_names",
    multiple=True,
    metavar="NAME",
    help=N_("A host name by which a proxy asks for the page; may be given more than once."),
)
@click.option("--report", is_flag=True, help=N_("Print what is held, what is missing, and stop."))
@click.option("--json", "as_json", is_flag=True, help=N_("With --report: as JSON."))
def command(
    *,
    database: str,
    account: dict[str, Any],
    consumer: str,
    share: bool,
    gateways: tuple[str, ...],
    validate: bool,
    seconds: float | None,
    keep: str | None,
    backups: Path | None,
    page: str | None,
    page_names: tuple[str, ...],
    report: bool,
    as_json: bool,
) -> None:
    """Run the receiver, or print its report."""
    url = account.pop("broker")
    if report or not url:
        _show_database(database, page, page_names, seconds, report=report, as_json=as_json)
        return
    if share and not is_server(database):
        raise click.UsageError(
            _("--share needs a database that receivers can share: write --database postgresql://…")
        )

    _log()
    check_names(consumer, gateways)
    kept = None if keep is None else _days(keep)
    client_id = f"receiver-{consumer}-{secrets.token_hex(4)}"
    broker = broker_at(url, "receiver", client_id, protocol="5.0" if share else "auto", **account)
    chosen = frozenset(gateways)
    link = broker_link(broker, chosen, consumer if share else "", backups=backups is not None)
    check = _schema_check() if validate else None
    folder = BackupFolder(backups) if backups is not None else None
    receiver = Receiver(
        database, link, consumer=consumer, gateways=chosen, check=check, keep=kept, backups=folder
    )
    _run(receiver, seconds, None if page is None else _page(database, page, page_names, receiver))


def _show_database(
    database: str,
    page: str | None,
    names: tuple[str, ...],
    seconds: float | None,
    *,
    report: bool,
    as_json: bool,
) -> None:
    """What is there without a broker: the report, or the page."""
    if report:
        _report(database, as_json)
    elif page is not None:
        _log()
        _serve(database, page, names, seconds)
    else:
        raise click.UsageError(
            _("--broker is missing: write --broker mqtt://HOST:1883, or --report to look into the database")
        )


def _log() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")


def _page(
    database: str, listen: str, names: tuple[str, ...], receiver: Receiver | None = None
) -> PlatformPage:
    """The page of all gateways, served from now on. Raises GatewayError."""
    page = PlatformPage(database, listen_address(listen), receiver, names)
    page.start()
    return page


def _serve(database: str, listen: str, names: tuple[str, ...], seconds: float | None) -> None:
    """The page alone, until SIGTERM, SIGINT or the end of `seconds`."""
    refuse_missing(database)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    page = _page(database, listen, names)
    notify("READY=1")
    end.wait(seconds)
    page.stop()


def _run(receiver: Receiver, seconds: float | None, beside: PlatformPage | None) -> None:
    """Receive until SIGTERM, SIGINT or the end of `seconds`, and say what came of it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: receiver.stop())
    if seconds is not None:
        timer = threading.Timer(seconds, receiver.stop)
        timer.daemon = True
        timer.start()
    notify("READY=1", f"STATUS=storing into {receiver.database}")
    try:
        receiver.run()
    finally:
        if beside is not None:
            beside.stop()
    counts = receiver.counts
    say(ended(receiver.database, counts), err=True)


def _report(database: str, as_json: bool) -> None:
    refuse_missing(database)
    report = build_report(database)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print("\n".join(lines(report)))


def refuse_missing(database: str) -> None:
    """Raise GatewayError for a file that is not there: it would only be made empty."""
    if not is_server(database) and not Path(database).exists():
        raise GatewayError(
            f"{database}: no such file", hint="name the database that `submeter receive` writes"
        )


def _days(text: str) -> int:
    """A span as `400d`, in ms. Raises GatewayError."""
    found = re.fullmatch(r"([1-9]\d{0,4})d", text)
    if found is None:
        raise GatewayError(
            f"--keep {text}: not a number of days", hint="write it as 400d: 400 days of readings stay"
        )
    return int(found[1]) * 86_400_000


def _schema_check() -> Callable[[object], str | None]:
    try:
        return schema_check()
    except ImportError as error:
        raise GatewayError(
            "--validate needs jsonschema", hint="pip install 'submeter-gateway[receiver]'"
        ) from error
