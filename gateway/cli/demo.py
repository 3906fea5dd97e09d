"""submeter demo: the whole product against simulated meters, and its self-check."""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click

from gateway.cli.language import N_, _, in_words
from gateway.demo.show import run_demo
from gateway.errors import GatewayError

_HELP = N_("""Run the whole product on this machine: simulated meters on serial lines and over TCP, \
a plausible building behind
them, a broker, the gateway, and the platform's receiver. Ctrl-C ends everything.

With --seconds: a self-check. The broker is killed for five seconds, the gateway once with -9, \
one request is answered late and one
with a damaged byte; then everything that was taken must be at the platform exactly once, \
with the values that the meters served.
The exit code is 0 only then. It takes at least 30 seconds.
""")


LEAST = 30
"""s of a self-check."""


@click.command(name="demo", help=_HELP)
@click.option(
    "--seconds", type=float, help=N_("Self-check of about so many seconds (at least 30), then stop.")
)
@click.option(
    "--port",
    type=click.IntRange(1, 65000),
    default=8080,
    show_default=True,
    help=N_("Port of the page; if taken, the next free one."),
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help=N_("Where the page listens; 0.0.0.0 shows it to the network."),
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help=N_("Keep everything there. Default: a temporary one that is removed."),
)
def command(seconds: float | None, port: int, host: str, directory: Path | None) -> None:
    """Run the demo or the self-check."""
    if seconds is not None and not seconds >= LEAST:
        raise click.UsageError(
            f"a self-check needs at least {LEAST} seconds, for its faults and for what comes after them: "
            f"--seconds {LEAST} "
            f"(make demo SECONDS={LEAST})"
        )
    if find_spec("amqtt") is None:
        raise GatewayError("the demo needs its embedded broker", hint="pip install 'submeter-gateway[demo]'")
    if directory is None:
        place = Path(tempfile.mkdtemp(prefix="submeter-demo-"))
    else:
        place = directory.absolute()
        place.mkdir(parents=True, exist_ok=True)
        if seconds is not None:
            # A self-check counts from nothing: what an earlier run has left there is not its own.
            place = Path(tempfile.mkdtemp(prefix="self-check-", dir=place))
    code = 1
    try:
        code = run_demo(place, host=host, port=port, seconds=seconds, said=in_words)
    finally:
        failed = code == 1 and seconds is not None
        if directory is None and not failed:
            shutil.rmtree(place, ignore_errors=True)
    if failed:
        print(_("what was recorded is in %(place)s") % {"place": place})
    sys.exit(code)
