"""submeter fleet: thousands of gateways at a broker, and whether the platform has what they took."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway.cli.broker_options import check_text
from gateway.cli.fleet_words import ended, ended_json, standing, verdict_lines
from gateway.cli.language import N_, _, in_words
from gateway.cli.prose import say
from gateway.cli.receive import refuse_missing
from gateway.common import event_loop
from gateway.config import a_broker, parse_duration, plain_text
from gateway.demo.fleet import Cut, Fleet, FleetLedger, FleetPlan, FleetVerdict, judge
from gateway.errors import GatewayError
from gateway.receiver import open_store

SPARE_FILES = 100
"""Open files beside a connection for each gateway."""
_FILE = click.Path(path_type=Path, dir_okay=False)
_READABLE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Span(click.ParamType[float]):
    """A time as in the configuration: 10s, 5min."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            what, _colon, action = str(error).partition(": ")
            self.fail(f"{value} {in_words(what)} → {in_words(action)}", param, ctx)


class _Cut(click.ParamType["Cut"]):
    """When the network goes, and for how long: 2min+6min."""

    name = "AT+FOR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Cut:
        at, plus, away = str(value).partition("+")
        if not plus:
            self.fail(
                _("%(value)s: write when and for how long, like 2min+6min") % {"value": value}, param, ctx
            )
        span = _Span()
        return Cut(span.convert(at, param, ctx), span.convert(away, param, ctx))


_HELP = N_("""Simulate a city's gateways at a broker: the real encoder and the real uplink over seeded \
readings, thousands in one process.

At the end, also after Ctrl-C, nothing more is taken and receipts are waited for; a second Ctrl-C ends at \
once. With --ledger it is written down what was taken, and --judge holds that against the platform's \
database: every reading once, nothing receipted that is not there. The exit code is 0 only then.
""")


@click.command(name="fleet", help=_HELP)
@click.option(
    "--broker",
    "brokers",
    multiple=True,
    help=N_("mqtt://HOST:1883 or mqtts://HOST:8883; more than one: the nodes of a cluster, in turn."),
)
@click.option(
    "--gateways", type=click.IntRange(1, 50_000), default=100, show_default=True, help=N_("How many.")
)
@click.option(
    "--meters", type=click.IntRange(1, 99), default=10, show_default=True, help=N_("Of each gateway.")
)
@click.option(
    "--values", type=click.IntRange(2, 60), default=34, show_default=True, help=N_("Of each meter.")
)
@click.option("--interval", type=_Span(), default="10s", show_default=True, help=N_("Between two readings."))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help=N_("How long readings are taken. Default: until SIGTERM or SIGINT."),
)
@click.option(
    "--drain",
    type=_Span(),
    default="10min",
    show_default=True,
    help=N_("How long receipts are waited for then."),
)
@click.option(
    "--backlog",
    type=_Span(),
    default="0s",
    show_default=True,
    help=N_("What each has read before the start and could not send: the herd after a cut of that length."),
)
@click.option(
    "--cut",
    "cuts",
    type=_Cut(),
    multiple=True,
    help=N_(
        "When the network of the whole city goes away, and for how long, like 2min+6min; may be repeated."
    ),
)
@click.option(
    "--flaky",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help=N_("How often an hour each gateway loses its own network, for up to two minutes."),
)
@click.option("--seed", type=int, default=1, show_default=True, help=N_("Another seed, other readings."))
@click.option(
    "--first",
    type=click.IntRange(0, 99_999),
    default=1,
    show_default=True,
    help=N_("Number of the first gateway."),
)
@click.option("--consumer", default="city", show_default=True, help=N_("Whose receipts count."))
@click.option(
    "--protocol", type=click.Choice(["5.0", "3.1.1"]), default="5.0", show_default=True, help=N_("Of MQTT.")
)
@click.option("--username", help=N_("User name at the broker; {gateway} in it stands for the gateway's id."))
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False),
    help=N_("File whose first line is the password."),
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False),
    help=N_("Certificates to trust (PEM). Default: the system's."),
)
@click.option(
    "--spread", type=_Span(), default="60s", show_default=True, help=N_("As in a gateway's uplink.")
)
@click.option(
    "--backlog-rate",
    type=click.FloatRange(0, 100_000),
    default=50.0,
    show_default=True,
    help=N_("Batches a second of a backlog, as in a gateway's uplink; 0: no limit."),
)
@click.option(
    "--careless",
    is_flag=True,
    help=N_("The control: forget a batch at the broker's acknowledgement, and lose it."),
)
@click.option(
    "--every", type=_Span(), default="10s", show_default=True, help=N_("Between two lines of progress.")
)
@click.option("--ledger", type=_FILE, help=N_("Write down what was taken and receipted."))
@click.option("--judge", type=_READABLE, help=N_("Run nothing; hold this ledger against --database."))
@click.option("--database", help=N_("With --judge: the platform's file, or postgresql://…"))
@click.option("--json", "as_json", is_flag=True, help=N_("Print the result as JSON."))
def command(
    *,
    every: float,
    ledger: Path | None,
    judge: Path | None,
    database: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a fleet, or judge one."""
    if judge is not None:
        if database is None:
            raise click.UsageError(_("--judge needs the platform's database: write --database"))
        _judge(judge, database, as_json)
        return
    if not options["brokers"]:
        raise click.UsageError(_("--broker is missing: write --broker mqtt://HOST:1883"))
    for broker in options["brokers"]:
        check_text("--broker", broker, a_broker)
    check_text("--username", options["username"], plain_text)
    if any(broker.startswith("ws") for broker in options["brokers"]):
        raise click.UsageError(_("a fleet speaks no WebSockets: write mqtt:// or mqtts://"))
    if options["interval"] <= 0 or every <= 0:
        raise click.UsageError(_("--interval and --every must be longer than nothing"))
    plan = FleetPlan(**options)
    _run(plan, every, ledger, as_json)


def _run(plan: FleetPlan, every: float, ledger: Path | None, as_json: bool) -> None:
    _open_files(plan.gateways + SPARE_FILES)
    # A line for each of thousands of gateways that loses its broker helps nobody.
    logging.getLogger("gateway").setLevel(logging.CRITICAL)

    async def run() -> tuple[Fleet, FleetLedger]:
        fleet = Fleet(plan)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, fleet.stop)
        return fleet, await fleet.run(lambda now: say(standing(now), err=True), every)

    fleet, account = event_loop.run(run())
    if ledger is not None:
        account.write(ledger)
    if as_json:
        print(json.dumps(ended_json(fleet, account)))
    else:
        print("\n".join(ended(fleet, account)))
    sys.exit(0 if not account.open else 1)


def _open_files(needed: int) -> None:
    """A connection is an open file. Raises GatewayError where so many are not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
    except (ValueError, OSError) as error:
        raise GatewayError(
            f"{needed} open files are needed, {hard} are allowed",
            hint=f"allow more before the command: ulimit -n {needed}",
        ) from error


def _judge(path: Path, database: str, as_json: bool) -> None:
    refuse_missing(database)
    ledger = FleetLedger.read(path)
    store = open_store(database, readonly=True)
    try:
        verdict: FleetVerdict = judge(ledger, lambda sql, words: store.conn.execute(sql, words).fetchall())
    finally:
        store.close()
    if as_json:
        print(json.dumps({**asdict(verdict), "good": verdict.good}))
    else:
        print("\n".join(verdict_lines(verdict)))
    sys.exit(0 if verdict.good and not verdict.waiting else 1)
