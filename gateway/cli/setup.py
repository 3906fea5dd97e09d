"""submeter setup: the guided path from a box to the first receipt; step by step, resumed, or from a file."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import control_client
from gateway.cli.language import N_, _, in_words
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.cli.questions import ask, confirm
from gateway.cli.setup_answers import Setup, plain
from gateway.errors import GatewayError, UplinkError
from gateway.host import CONFIG, write_secret

UNIT = "submeter-gateway"
WAIT = 600.0
"""s that a start, and then the first receipt, may take."""
_HELP = N_(
    """Set a gateway up, question by question: identity, building, meters, names, values, uplink, clock; then
it writes the configuration, checks it, starts, and waits for the first receipt.

Enter takes what stands in brackets, ? explains. Every answer is kept at once: broken off, the same command
goes on. STEP does one step alone. --answers FILE asks nothing: the form is in docs/commissioning.md.
"""
)
Answers = dict[str, Any]


def identity(s: Setup) -> None:
    """Who the gateway is."""
    explain = _("Its id at the platform: small letters, digits, hyphens; no other gateway has it.")
    s.put("gateway", "id", _("Id of this gateway?"), "", explain)
    s.put("gateway", "name", _("What do people call the building?"), "", _("It stands on the page."))
    s.put("gateway", "timezone", _("Time zone?"), "Europe/Istanbul", _("Days begin by it."))


def building(s: Setup) -> None:
    """What the page shows figures by; each may be skipped."""
    skip = _("Enter skips it: the page then says what is missing.")
    for key, question in (
        ("area", _("Floor area in m²?")),
        ("installed_kva", _("Installed power in kVA?")),
        ("contract_kw", _("Contracted power in kW?")),
    ):
        s.put("building", key, question, "", skip, needed=False)


def meters(s: Setup) -> None:
    """Search lines and hosts."""
    from gateway.cli.scan import search
    from gateway.cli.scan_words import Report
    from gateway.commissioning.ports import serial_ports

    if s.asks:
        default = ", ".join(s.answers.get("scan") or [port.name for port in serial_ports()])
        explain = _("Ports like /dev/ttyUSB0, hosts like 192.0.2.10, with commas between → submeter ports")
        told = ask(_("Where are the meters: ports and hosts?"), default, explain)
        s.answers["scan"] = [place.strip() for place in told.split(",") if place.strip()]
        s.keep()
    report = Report(as_json=False)
    options = {
        "addresses": None,
        "one_setting": True,
        "baudrate": None,
        "parity": None,
        "stopbits": None,
        "socket": s.socket,
    }
    s.answers["buses"], s.answers["meters"] = [], []
    for place in s.answers["scan"]:
        search(place, None, report, options)
        proposal = report.proposals[-1]
        name = f"line{len(s.answers['buses']) + 1}"
        s.answers["buses"].append({**(proposal.bus or {}), "name": name})
        taken = {meter["id"] for meter in s.answers["meters"]}
        for meter in proposal.meters:
            key = str(meter["id"])
            s.answers["meters"].append(
                {**meter, "id": key if key not in taken else f"{key}-{name}"[-32:], "bus": name}
            )
    s.keep()
    if not s.answers["meters"]:
        raise GatewayError(
            "no meter was found", hint="submeter ports, submeter scan; then: submeter setup meters"
        )


def names(s: Setup) -> None:
    """What each meter is called and feeds, and what is above it."""
    said = s.answers.setdefault("names", {})
    main = ""
    for number, meter in enumerate(s.answers["meters"]):
        mine = said.setdefault(str(meter["address"]), {})
        at = {"driver": meter["driver"], "unit": meter["address"], "bus": meter["bus"]}
        say(_("%(driver)s, address %(unit)s on %(bus)s:") % at)
        mine["name"] = ask(
            _("What is it called?"), mine.get("name") or str(meter["id"]), _("People read it on the page.")
        )
        mine["feeds"] = ask(
            _("What does it feed?"),
            mine.get("feeds", ""),
            _("A place or a load; Enter skips it."),
            needed=False,
        )
        ids = [str(each["id"]) for each in s.answers["meters"]]
        explain = _("The id of the meter above it; - for a main meter. There are: %(ids)s") % {
            "ids": ", ".join(ids)
        }
        default = mine.get("parent") or (main if number else "-")
        parent = ask(
            _("Below which meter?"),
            default,
            explain,
            partial(_known, ["-", *ids]),
        )
        mine["parent"] = "" if parent in {"-", meter["id"]} else parent
        main = main or str(meter["id"])
        ratio = ask(
            _("Current transformer ratio?"),
            str(mine.get("ct") or "1"),
            _("Like 200/5, as on the plate; 1 without transformers."),
        )
        mine["ct"] = plain(ratio) if ratio != "1" else ""
        s.keep()


def _known(ids: list[str], text: str) -> str:
    return "" if text in ids else _("There is no such meter.")


def values(s: Setup) -> None:
    """Read every meter that was found, and say what cannot be."""
    from gateway.catalogue import load_driver
    from gateway.cli.read import answer_lines, read_meters
    from gateway.commissioning.setup import written
    from gateway.config import parse_config

    client = control_client(s.socket)
    if client is not None:
        client.close()
        say(_("A gateway runs: submeter read shows the values."))
        return
    config = parse_config(written(s.text, s.answers))
    folder = Path(config.drivers.directory)
    drivers = {meter.driver: load_driver(meter.driver, folder) for meter in config.meters}
    for answer in asyncio.run(read_meters(config, drivers, list(config.meters))):
        print("\n".join(answer_lines(answer)))
    if s.asks and not confirm(_("Are these values right?"), _("Compare them with the displays.")):
        raise GatewayError(
            "the values are not right", hint="submeter drivers try, then: submeter setup values"
        )


def uplink(s: Setup) -> None:
    """The platform, and whether its broker takes us."""
    if s.asks:
        before = (s.answers.get("uplinks") or [{}])[0]
        explain = _("Like mqtts://platform:8883; mqtt:// is for a broker on this machine. Enter skips it.")
        url = ask(_("Address of the platform's broker?"), before.get("url", ""), explain, needed=False)
        s.answers["uplinks"] = [_asked_uplink(s, before, url)] if url else []
        s.keep()
    for each in s.answers.get("uplinks", ()):
        _try_broker(s, each)


def _asked_uplink(s: Setup, before: Answers, url: str) -> Answers:
    made: Answers = {"name": before.get("name", "city"), "url": url}
    user = ask(
        _("User name there?"),
        before.get("username") or str(s.answers.get("gateway", {}).get("id", "")),
        _("- for none."),
    )
    if user != "-":
        made["username"] = user
        secret = click.prompt(_("Password (not shown)"), hide_input=True, default="", show_default=False)
        file = s.path.with_name(f"{made['name']}.password")
        if secret:
            write_secret(file, secret.encode() + b"\n")
            _give_to_daemon(s.path, file)
        if file.exists():
            made["password_file"] = str(file)
    if url.startswith(("mqtts:", "wss:")):
        ca = ask(
            _("File of the authority that signed its certificate?"),
            before.get("ca", ""),
            _("Enter: the system's."),
            needed=False,
        )
        made |= {"ca": ca} if ca else {}
    consumer = ask(
        _("Whose receipts make a reading delivered?"),
        "city",
        _("The platform's name for itself; - for none: the broker's word is then enough."),
    )
    return made | ({"receipts": [consumer]} if consumer != "-" else {})


def _give_to_daemon(config: Path, file: Path) -> None:
    """The group of the configuration's folder may read it, nobody else."""
    if os.geteuid() == 0:
        os.chown(file, 0, config.parent.stat().st_gid)
        file.chmod(0o640)


def _try_broker(s: Setup, each: Answers) -> None:
    from gateway.config import Uplink
    from gateway.mqtt import BrokerLink
    from gateway.uplink import broker_of

    class _Ear:
        def acknowledged(self, acks: object) -> None:
            pass

        def received(self, topic: str, payload: bytes) -> None:
            pass

        def lost(self, error: UplinkError) -> None:
            pass

    async def attempt() -> None:
        config = Uplink.model_validate(each)
        connection = await BrokerLink(broker_of(config, f"{s.answers['gateway']['id']}-setup")).open(
            _Ear(), will=None, topics=[]
        )
        await connection.close()

    try:
        asyncio.run(attempt())
    except GatewayError as error:
        say(in_words(str(error)), "  ", "! ")
        if s.asks and not confirm(
            _("Go on all the same?"), _("Readings wait on this gateway until it is mended."), default=False
        ):
            raise click.Abort from None
        return
    say(_("%(url)s takes this gateway.") % {"url": each["url"]})


def clock(s: Setup) -> None:
    """Who vouches for the time."""
    explain = _("kernel: the network sets it; rtc: a hardware clock is trusted, too; system: always.")
    s.put("clock", "trust", _("Who vouches for the clock: kernel, rtc or system?"), "kernel", explain)


def write(s: Setup) -> None:
    """Write the file, the old one is kept beside it, and check it."""
    from gateway.check import check
    from gateway.commissioning.setup import written
    from gateway.config import parse_config, write_beside

    new = written(s.text, s.answers)
    parse_config(new, s.path.name)
    if not s.path.exists():
        s.path.parent.mkdir(parents=True, exist_ok=True)
        s.path.write_text(new, encoding="utf-8")
        say(_("%(file)s is written.") % {"file": s.path})
    else:
        old = write_beside(s.path, new)
        say(_("%(file)s is written; the old file is %(old)s.") % {"file": s.path, "old": old})
    for problem in check(s.path).problems:
        say(in_words(str(problem)), "  ", "! ")


def start(s: Setup) -> None:
    """Start the gateway, or have it take the file over, and wait until the platform has what was read."""
    client = control_client(s.socket)
    if client is not None:
        with client:
            client.must_run(s.path)
            client.reload()
    elif s.path == CONFIG and Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "enable", "--now", UNIT], check=False)  # noqa: S603, S607 - the unit of this product
    else:
        say(_("Start it: submeter run %(file)s") % {"file": s.path})
    end = time.monotonic() + WAIT
    while (client := control_client(s.socket)) is None:
        if time.monotonic() > end:
            raise GatewayError("the gateway was not started", hint="submeter setup start tries again")
        time.sleep(1)
    with client:
        _first_receipt(client, s)


def _first_receipt(client: Any, s: Setup) -> None:
    from gateway.cli.report import round_trips

    say(_("It runs; waiting for the first receipt …"))
    asked = time.time() * 1000
    trips = round_trips(client, asked, WAIT) if s.answers.get("uplinks") else {}
    for name, trip in trips.items():
        if trip is None:
            raise GatewayError(
                f"platform {name} has not answered",
                hint="submeter status says why; then: submeter setup start",
            )
        say(_("Platform %(name)s has the readings.") % {"name": name})
    say(_("Done. The document for the hand-over: submeter report"))


STEPS: dict[str, Callable[[Setup], None]] = {
    "identity": identity, "building": building, "meters": meters, "names": names, "values": values,
    "uplink": uplink, "clock": clock, "write": write, "start": start,
}  # fmt: skip
_ASKED = {"identity", "building", "names", "clock"}
"""Steps that do nothing but ask."""


@click.command(name="setup", help=_HELP)
@click.argument("step", required=False, type=click.Choice(list(STEPS)))
@click.option(
    "--answers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=N_("Ask nothing: the answers are in FILE."),
    metavar="FILE",
)
@config_option
@socket_option
def command(*, step: str | None, answers: Path | None, file: Path | None, socket: Path | None) -> None:
    """Go through the steps that are left."""
    from gateway.commissioning.setup import read_answers

    given = read_answers(answers.read_text(encoding="utf-8"), str(answers)) if answers else None
    s = Setup((file or CONFIG).absolute(), socket, given)
    if given is None and s.recall() and step is None and s.done:
        left = [name for name in STEPS if name not in s.done]
        if left and not confirm(
            _("Go on with %(step)s?") % {"step": left[0]}, _("No begins anew; the answers stand in brackets.")
        ):
            s.done = []
    for name, work in STEPS.items():
        if (step and name != step) or (not step and name in s.done) or (given is not None and name in _ASKED):
            continue
        say(f"— {name} —")
        work(s)
        s.done = [*[each for each in s.done if each != name], name]
        s.keep()
    if step in {"identity", "building", "names", "clock", "uplink"}:
        write(s)
    if "start" in s.done and step is None:
        s.kept.unlink(missing_ok=True)
