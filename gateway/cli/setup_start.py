"""The last steps of `submeter setup`: the file, the service, the first receipt."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from gateway.catalogue import load_driver
from gateway.check import check
from gateway.cli.client import CARD_UNIT, UNIT, ControlClient, control_client
from gateway.cli.language import _, in_words
from gateway.cli.prose import say
from gateway.cli.reload import of_the_card
from gateway.cli.report import round_trips
from gateway.cli.setup_answers import Setup
from gateway.commissioning.setup import written
from gateway.common.files import write_durably
from gateway.config import parse_config, with_value, write_beside
from gateway.errors import GatewayError
from gateway.field import LEARNT_FILE, Learnt, MeterTask, forecast_bus
from gateway.host import CONFIG

SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""
WAIT = 600.0
"""s that a start, and then the first receipt, may take."""
_ASK = 5.0
"""s between two questions to the service manager."""
_ROUND = (15, 20, 30, 60, 120, 300, 900)
"""s: intervals of which a quarter of an hour has a whole number."""
_SPARE = 0.9
"""Share of a line's time that is planned: the rest is for what has to be asked again."""


def write(s: Setup) -> None:
    """Write the file, the old one is kept beside it, and check it."""
    before = s.text
    new, told = with_intervals(written(before, s.answers), s.path)
    for line in told:
        say(line)
    if new == before:
        say(_("There is nothing to write into %(file)s.") % {"file": s.path})
    elif s.path.exists():
        old = write_beside(s.path, new)
        say(_("%(file)s is written; the old file is %(old)s.") % {"file": s.path, "old": old})
    else:
        _write_new(s.path, new)
        say(_("%(file)s is written.") % {"file": s.path})
    for problem in check(s.path).problems:
        say(in_words(str(problem)), "  ", "! ")
        if not s.asks:
            s.open.append(in_words(str(problem)))


def with_intervals(text: str, path: Path) -> tuple[str, list[str]]:
    """The text with intervals that its lines can hold, and what was changed in words: meters of which nobody
    wrote one have 10 s, which a line of many meters cannot. Raises ConfigError.
    """
    told: list[str] = []
    config = parse_config(text, path.name)
    folder, learnt = Path(config.drivers.directory), Learnt(Path(config.journal.directory) / LEARNT_FILE)
    polled = [meter for meter in config.meters if meter.enabled]
    try:
        tables = {name: load_driver(name, folder) for name in {meter.driver for meter in polled}}
    except GatewayError:
        return text, []  # the check that follows says what is wrong
    for bus in config.buses:
        tasks = [MeterTask(meter, tables[meter.driver]) for meter in polled if meter.bus == bus.name]
        forecast = forecast_bus(bus, tasks, learnt)
        fits = forecast.fits() or 0.0
        interval = next((each for each in _ROUND if each * _SPARE >= fits), _ROUND[-1])
        short = [each.meter for each in forecast.meters if 0 < each.meter.interval < interval]
        if forecast.load <= _SPARE or any("interval" in meter.model_fields_set for meter in short):
            continue
        roomy = text
        try:
            for meter in short:
                roomy = with_value(roomy, "meters", meter.id, "interval", f"{interval}s")
        except GatewayError:
            continue  # a meter that is written in one line: the check that follows says what to write
        text = roomy
        words = _(
            "%(bus)s cannot read all of its meters every %(least)s seconds: each gets interval: "
            "%(interval)ss."
        )
        least = f"{min(meter.interval for meter in short):g}"
        told.append(words % {"bus": bus.name, "least": least, "interval": interval})
    return text, told


def _write_new(path: Path, text: str) -> None:
    """Whole or not at all: a gateway that waits for it begins with what it finds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text.encode())
    except OSError as error:
        raise GatewayError(f"{path} cannot be written: {error.strerror}", hint="use sudo") from error


def serves(path: Path) -> bool:
    """Whether the service of this machine runs with this file."""
    return path == CONFIG and SYSTEMD.is_dir()


def start(s: Setup) -> None:
    """Start the gateway, or have it take the file over, and wait until the platform has what was read."""
    asked = time.time() * 1000
    client = control_client(s.socket)
    answer: dict[str, Any] = {"messages": [], "changed": []}
    service = False
    if client is not None:
        with client:
            client.must_run(s.path)
            answer = client.reload()
        for line in answer["messages"] or [_("nothing changed")]:
            say(in_words(line), "  ")
    elif serves(s.path):
        service = True
        _systemctl("enable", "--now", UNIT)
    else:
        say(_("Start it in another terminal: submeter run %(file)s") % {"file": s.path})
    if serves(s.path):
        _card(s, answer)
    with _when_it_runs(s, service=service) as client:
        _first_receipt(client, asked)


def _card(s: Setup, answer: dict[str, Any]) -> None:
    """Have its service do what card.remount says: it came before this file, or with another one."""
    if of_the_card(answer) or parse_config(s.text, s.path.name).card.remount:
        try:
            _systemctl("restart", CARD_UNIT)
        except GatewayError as error:
            say(in_words(str(error)), "  ", "! ")


def _systemctl(*words: str) -> str:
    """Ask the service manager. Raises GatewayError with its own words."""
    command = " ".join(("systemctl", *words))
    try:
        done = subprocess.run(  # noqa: S603 - the unit of this product
            ["systemctl", *words],  # noqa: S607
            capture_output=True, text=True, errors="replace", timeout=WAIT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or "it does not answer"
        raise GatewayError(f"{command}: {why}", hint="submeter setup start tries again") from error
    if done.returncode and words[0] != "is-active":
        why = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise GatewayError(f"{command}: {why[0]}", hint=f"use sudo, or see journalctl -u {UNIT}")
    return done.stdout.strip()


def _when_it_runs(s: Setup, *, service: bool) -> ControlClient:
    """A client of the gateway, as soon as it listens. Raises GatewayError when it does not."""
    end = time.monotonic() + WAIT
    look = time.monotonic() + _ASK
    while (client := control_client(s.socket)) is None:
        if service and time.monotonic() > look:
            look = time.monotonic() + _ASK
            if _systemctl("is-active", UNIT) == "failed":
                raise GatewayError(
                    f"{UNIT} has ended again",
                    hint=f"journalctl -u {UNIT} says why; then: submeter setup start",
                )
        if time.monotonic() > end:
            raise GatewayError("the gateway was not started", hint="submeter setup start tries again")
        time.sleep(0.5)
    try:
        client.must_run(s.path)
    except GatewayError:
        client.close()
        raise
    return client


def _first_receipt(client: ControlClient, asked: float) -> None:
    if client.status()["uplinks"]:
        say(_("It runs; waiting for the first receipt …"))
        _first_answer(client)
        for name, trip in round_trips(client, asked, WAIT).items():
            if trip is None:
                raise GatewayError(
                    f"platform {name} has not answered",
                    hint="submeter status says why; then: submeter setup start",
                )
            say(_("Platform %(name)s has the readings.") % {"name": name})
    else:
        say(_("It runs. It has no platform: readings stay on this gateway."))


def _first_answer(client: ControlClient) -> None:
    """Wait until a meter has answered: what the platform confirms before are no readings. Raises
    GatewayError.
    """
    end = time.monotonic() + WAIT
    while (meters := client.status()["meters"]) and all(meter["age"] is None for meter in meters):
        if time.monotonic() > end:
            raise GatewayError(
                "no meter has answered the gateway",
                hint="submeter doctor says why; then: submeter setup start",
            )
        time.sleep(0.5)
