"""submeter report: the hand-over document of a site, and the proof that it was not changed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import click

from gateway.check import load
from gateway.cli.client import ControlClient, need_client
from gateway.cli.journal_source import DaemonSource, newest_batches
from gateway.cli.language import N_, _, in_words, locale, spoken
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.cli.report_facts import JudgedWiring, SiteFacts, report_content
from gateway.commissioning.report import as_html, open_report, seal_html, seal_json
from gateway.commissioning.wiring import judge_meters, parts_of, read_journalled
from gateway.common.files import read_given
from gateway.config import Config
from gateway.errors import GatewayError
from gateway.field import LEARNT_FILE, Learnt, MeterTask, forecast_bus
from gateway.host import fingerprint, make_key, same_fingerprint
from gateway.host.signing import SigningKey, is_signed
from gateway.receiver import open_store
from gateway.status import from_json

CHANGED, UNKNOWN, UNREAD = 1, 2, 3
_MOST_REPORT = 32 * 1024 * 1024
PHASES = "current_l2"
"""What a meter of three phases gives."""
HOURS = 6.0
"""Of the journal by which the wiring is judged."""
TRIP = 60.0
"""s that the platform may take to say that it has what was read for the report."""
_HELP = N_(
    """Write the hand-over document of this site: one HTML file for paper (A4), and the same as JSON.

Every meter is read for it, and it waits until the platform has that. Both files are sealed by the
gateway's key. --verify FILE tells whether such a file was changed: it prints `valid, key known` (exit 0)
when the key is the one of --key or one that the receiver's --database knows of this gateway, `valid, key
unknown` (exit 2), or `changed` (exit 1). Exit 3: FILE or the database cannot be read.
"""
)


@click.command(name="report", help=_HELP)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help=N_("Folder to write into.  [default: this one]"),
)
@click.option("--by", default="", help=N_("Who hands it over."))
@click.option("--note", default="", help=N_("A sentence for the first page."))
@click.option("--json", "as_json", is_flag=True, help=N_("Print the JSON, write no files."))
@click.option(
    "--verify", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=N_("Prove a report.")
)
@click.option(
    "--key", default="", metavar="FINGERPRINT", help=N_("With --verify: the gateway's, as on its page.")
)
@click.option(
    "--database",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=N_("With --verify: the receiver's, which knows the keys of its gateways."),
)
@config_option
@socket_option
def command(
    *, folder: Path, by: str, note: str, as_json: bool, verify: Path | None, key: str, database: Path | None,
    file: Path | None, socket: Path | None,
) -> None:  # fmt: skip
    """Write a report, or prove one."""
    if verify is not None:
        _verify(verify, key, database, as_json=as_json)
        return
    if key or database:
        raise click.UsageError(_("--key and --database belong to --verify FILE"))
    with need_client(socket, file) as client:
        facts, directory = gather(client, by, note)
    signing = SigningKey(directory)
    content = report_content(facts)
    gateway, public = facts.now.gateway, signing.public
    sealed = seal_json(content, gateway, public, signing.sign)
    if as_json:
        print(sealed, end="")
        return
    page = as_html(content, _, locale(facts.now.timezone))
    day = datetime.fromtimestamp(facts.now.taken / 1000, ZoneInfo(facts.now.timezone)).date()
    paths = [folder / f"{gateway}-{day.isoformat()}.{kind}" for kind in ("html", "json")]
    try:
        paths[0].write_bytes(seal_html(page, gateway, public, signing.sign))
        paths[1].write_text(sealed, encoding="utf-8")
    except OSError as error:
        raise GatewayError(
            f"{error.filename} cannot be written: {error.strerror}",
            hint="name a folder of your own: --to FOLDER",
        ) from error
    _say_written(content, paths, facts.key)


def _say_written(content: Mapping[str, Any], paths: list[Path], key: str) -> None:
    say(content["verdict"])
    for point in content["open"]:
        say(f"{point['text']} → {point['action']}" if point["action"] else point["text"], "  ", "! ")
    for path in paths:
        say(_("written: %(file)s") % {"file": path})
    say(_("key: %(key)s") % {"key": key})


def gather(client: ControlClient, by: str = "", note: str = "") -> tuple[SiteFacts, Path]:
    """Everything that a report says, and the state directory. Raises GatewayError."""
    config, drivers = load(Path(client.configuration()["path"]))
    directory = Path(config.journal.directory)
    key = make_key(directory)
    asked = time.time() * 1000
    readings = {str(answer["meter"]): answer for answer in client.read()}
    wiring = _wiring(client, config)
    trips = round_trips(client, asked, TRIP)
    tasks = [MeterTask(meter, drivers[meter.driver]) for meter in config.meters if meter.enabled]
    learnt = Learnt(directory / LEARNT_FILE)
    return SiteFacts(
        config, drivers, from_json(client.status()), readings, wiring,
        [forecast_bus(bus, tasks, learnt) for bus in config.buses], trips, key,
        by or os.environ.get("SUDO_USER", ""), note, spoken(),
    ), directory  # fmt: skip


def _wiring(client: ControlClient, config: Config) -> dict[str, JudgedWiring]:
    """The verdicts that the journal of the last hours allows, of meters with three phases."""
    batches = list(newest_batches(DaemonSource(client), HOURS))
    found = {meter.id: read_journalled(batches, meter.id) for meter in config.meters if meter.enabled}
    wanted = [meter for meter, each in found.items() if PHASES in each.columns]
    verdicts = judge_meters(found, wanted, parts_of(config))
    return {
        meter: JudgedWiring(verdict, found[meter].rows, found[meter].first, found[meter].last)
        for meter, verdict in verdicts.items()
    }


def round_trips(client: ControlClient, asked: float, patience: float) -> dict[str, float | None]:
    """Seconds from a moment (UTC, ms) until each platform has said that it has what was read by now; None: it
    has not within `patience` s.
    """
    found: dict[str, float | None] = {}
    end = time.monotonic() + patience
    begun = client.status()["journal"]
    while True:
        status = client.status()
        journal = status["journal"]
        # What was read waits for its slot: a receipt that comes before is for something else.
        stored = not begun["pending"] or (journal["epoch"], journal["seq"]) != (begun["epoch"], begun["seq"])
        for uplink in status["uplinks"]:
            heard = uplink["last_receipt"] if uplink["receipts"] else uplink["last_delivery"]
            if found.get(uplink["name"]) is None:
                came = stored and heard is not None and heard > asked and not uplink["backlog_batches"]
                found[uplink["name"]] = (heard - asked) / 1000 if came else None
        if all(trip is not None for trip in found.values()) or time.monotonic() > end:
            return found
        time.sleep(0.5)


def _verify(path: Path, key: str, database: Path | None, *, as_json: bool) -> None:
    try:
        sealed = open_report(read_given(path, _MOST_REPORT))
    except OSError as error:
        _unread(GatewayError(f"{path} cannot be read: {error.strerror}", hint="name a report's file"))
    if sealed is None or not is_signed(sealed.public, sealed.signature, sealed.data):
        print(json.dumps({"verdict": "changed"}) if as_json else _("changed"))
        if not as_json:
            say(
                _("This is no report of a gateway, or its seal is gone: ask for the original.")
                if sealed is None
                else _("It does not say what the gateway has sealed: ask for the original."),
                err=True,
            )
        sys.exit(CHANGED)
    mine = fingerprint(sealed.public)
    known = [key] if key else []
    try:
        known += _keys_of(database, sealed.gateway) if database else []
    except GatewayError as error:
        _unread(error)
    is_known = any(same_fingerprint(mine, each) for each in known)
    if as_json:
        verdict = "valid, key known" if is_known else "valid, key unknown"
        print(json.dumps({"verdict": verdict, "gateway": sealed.gateway, "key": mine}))
        sys.exit(0 if is_known else UNKNOWN)
    print(_("valid, key known") if is_known else _("valid, key unknown"))
    say(_("gateway %(gateway)s, key %(key)s") % {"gateway": sealed.gateway, "key": mine})
    if not is_known:
        say(
            _("That is not the key that was asked for: another gateway has sealed it.")
            if known
            else _("Compare the key with the one on the gateway's page, or name it: --key FINGERPRINT"),
            err=True,
        )
    sys.exit(0 if is_known else UNKNOWN)


def _unread(error: GatewayError) -> NoReturn:
    """Nothing can be said of the report. Not 1: whoever asks by the exit code would take it for changed."""
    say(in_words(f"submeter: {error}"), err=True)
    sys.exit(UNREAD)


def _keys_of(database: str | Path, gateway: str) -> list[str]:
    """The keys that a gateway has told the platform."""
    store = open_store(database, readonly=True)
    try:
        told = [json.loads(row["description"]) for row in store.rows("meters", gateway)]
    finally:
        store.close()
    return [str(each["key"]) for each in told if isinstance(each, dict) and each.get("key")]
