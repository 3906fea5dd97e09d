"""submeter read [METER…]: poll meters now and print what they say."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from gateway.cli import later
from gateway.cli.client import ControlClient, control_client
from gateway.cli.language import N_, _, figure, in_words, locale, ngettext
from gateway.cli.options import config_option, socket_option, split_config
from gateway.cli.physics_words import contradiction_lines, contradictions
from gateway.cli.prose import aligned, said, say
from gateway.common import event_loop
from gateway.common.text import visible
from gateway.errors import GatewayError
from gateway.host import CONFIG, uptime_ms
from gateway.model import QUANTITIES

if TYPE_CHECKING:
    from gateway.catalogue import Driver
    from gateway.config import Bus, Config, Meter

ReadAnswer = dict[str, Any]
"""A reading as the control socket gives it, under the configuration that it was read by: `label`, `driver`,
`bus`, `address`.

Beside it `registers` [[function, first, words]…] and `attributes` when they are known, `error` and `hint`
when it failed.
"""


@click.command(
    name="read",
    help=N_(
        "Poll meters now, also one that is given up for the moment, and print every value. A running "
        "gateway is asked and "
        "answers by the configuration that it runs; otherwise the bus is opened for the moment."
    ),
)
@click.argument("words", nargs=-1, metavar="[METER]...")
@config_option
@click.option("--raw", is_flag=True, help=N_("Also print the raw registers."))
@click.option("--json", "as_json", is_flag=True, help=N_("Print the readings as JSON."))
@socket_option
def command(
    words: tuple[str, ...], file: Path | None, raw: bool, as_json: bool, socket: Path | None = None
) -> None:
    """Print a table for each meter; exit 1 when one of them gave nothing."""
    file, names = split_config(words, file)
    client = control_client(socket)
    if client is not None:
        with client:
            origin, answers = ask_daemon(client, file, names)
    else:
        path = file or CONFIG
        config, drivers = later.check.load(path)
        own = later.config.OWN_ID
        itself = config.own_interval is not None and own in names
        others = tuple(name for name in names if not (itself and name == own))
        chosen = choose(config, others) if others or not itself else []
        for name in {meter.driver for meter in chosen} - drivers.keys():  # of a meter that is switched off
            drivers[name] = later.catalogue.load_driver(name, Path(config.drivers.directory))
        logging.getLogger("gateway").setLevel(logging.ERROR)  # what is lost stands in the answer
        origin = _("No gateway is running: read directly, by %(path)s.") % {"path": path}
        answers = event_loop.run(read_meters(config, drivers, chosen)) if chosen else []
        if itself:
            answers.append(dataclasses.asdict(event_loop.run(later.daemon.read_itself(config))))
    if as_json:
        print(json.dumps({"source": origin, "readings": answers}, indent=2, ensure_ascii=False))
    else:
        _print(origin, answers, raw)
    if any(answer.get("missing") or answer.get("error") for answer in answers):
        sys.exit(1)


def ask_daemon(
    client: ControlClient, file: Path | None, names: tuple[str, ...]
) -> tuple[str, list[ReadAnswer]]:
    """Where the values come from, and the running daemon's readings.

    Raises GatewayError when `file` is not what the daemon runs, or when a meter that is asked for has been
    changed in it since: values read by one configuration are never shown under another.
    """
    if file is not None:
        client.must_run(file)
    running = client.configuration()
    found = client.unread_changes()
    zone = running["timezone"]
    when = datetime.fromtimestamp(running["read"] / 1000, ZoneInfo(zone))
    origin = _("By the running gateway: %(path)s as read at %(time)s (%(zone)s).") % {
        "path": running["path"],
        "time": f"{when:%Y-%m-%d %H:%M:%S}",
        "zone": zone,
    }
    changed = dict.fromkeys(line for name in names for line in found["meters"].get(name, ()))
    if changed:
        raise GatewayError(
            f"{running['path']} has been changed since the running gateway read it: {'; '.join(changed)}",
            hint="submeter reload takes it over; then read again",
        )
    if found["problems"]:
        count = len(found["problems"])
        text = ngettext(
            "The file as it is now has %(n)s mistake, a reload would refuse it → submeter check",
            "The file as it is now has %(n)s mistakes, a reload would refuse it → submeter check",
            count,
        )
        origin += "\n" + text % {"n": count}
    elif found["changes"]:
        origin += "\n" + _("The file has been changed since; these values are by what runs → submeter reload")
        origin += "".join(
            "\n  " + _("not taken over yet: %(line)s") % {"line": in_words(line)} for line in found["changes"]
        )
    return origin, client.read(list(names))


def choose(config: Config, names: tuple[str, ...]) -> list[Meter]:
    """The meters named, or all that are enabled. Raises GatewayError for a name that is none."""
    known = {meter.id: meter for meter in config.meters}
    for name in names:
        if name not in known:
            raise GatewayError(
                f"there is no meter {name!r} in the configuration",
                hint=f"its meters are {', '.join(known) or 'none'}",
            )
    return [known[name] for name in names] or [meter for meter in config.meters if meter.enabled]


async def read_meters(config: Config, drivers: dict[str, Driver], meters: list[Meter]) -> list[ReadAnswer]:
    """Open the buses of these meters, poll each once, all buses at the same time."""
    answers: dict[str, ReadAnswer] = {}

    async def read_bus(bus: Bus, mine: list[Meter]) -> None:
        tasks = [later.field.MeterTask(meter, drivers[meter.driver]) for meter in mine]
        worker = later.field.BusWorker(bus, tasks, lambda _reading: None)
        try:
            for meter in mine:
                polled = worker.meter(meter.id)
                reading = await polled.read()
                why = polled.error if reading.missing else None
                answers[meter.id] = {
                    **dataclasses.asdict(reading),
                    "label": meter.label, "driver": meter.driver, "bus": meter.bus, "address": meter.address,
                    "registers": polled.registers,
                    "attributes": polled.attributes,
                    **({"error": why.message, "hint": why.hint} if why else {}),
                }  # fmt: skip
        finally:
            await worker.stop()

    by_bus = {bus.name: [meter for meter in meters if meter.bus == bus.name] for bus in config.buses}
    await asyncio.gather(*(read_bus(bus, by_bus[bus.name]) for bus in config.buses if by_bus[bus.name]))
    return [answers[meter.id] for meter in meters]


def _print(origin: str, answers: list[ReadAnswer], raw: bool) -> None:
    say(origin)
    for answer in answers:
        print("\n" + "\n".join(answer_lines(answer, raw)))


def answer_lines(answer: ReadAnswer, raw: bool = False) -> list[str]:
    """One meter: what it is, how old the reading is, a line for each quantity."""
    f = locale()
    words = later.status.Words(f)
    label = answer.get("label") or ""
    name = answer["meter"] + (f" {label}" if label not in {"", answer["meter"]} else "")
    told = said(visible(f"{name} {_where(answer)}".rstrip()))
    if answer.get("error") or answer.get("missing"):
        missing = str(answer.get("missing", ""))
        why = in_words(str(answer.get("error", ""))) or words.reason(missing)
        hint = f" → {in_words(answer['hint'])}" if answer.get("hint") else ""
        if not hint and (mend := later.status.mend_missing(answer["meter"], missing, f)):
            hint = f" → {mend}"
        return told + said(visible(_("nothing: %(why)s") % {"why": why} + hint), "  ")
    for key, text in answer.get("attributes", {}).items():
        told += said(visible(f"{words.attribute(key)}: {text}"), "  ")
    age = max(0, uptime_ms() - answer["uptime"]) / 1000
    told += said(_("read %(n)s s ago") % {"n": f.number(age, 1)}, "  ")
    suspect = set(answer.get("suspect", ()))
    rows = [
        (quantity, figure(f"{value:,.12g}"), _unit(quantity), _("doubtful") if quantity in suspect else "")
        for quantity, value in answer["values"].items()
    ]
    rows += [
        (quantity, "–", _unit(quantity), words.reason(reason, quantity))
        for quantity, reason in answer["absent"].items()
    ]
    told += aligned(rows, right=(1,))
    broken = contradictions(answer["values"], answer["absent"])
    told += contradiction_lines(broken, str(answer.get("driver", "")))
    return told + (register_lines(answer.get("registers")) if raw else [])


def _where(answer: ReadAnswer) -> str:
    """The table and the place that it was read by."""
    if not answer.get("driver"):
        return ""
    text = _("(%(driver)s, bus %(bus)s, address %(address)s)")
    return text % {name: answer[name] for name in ("driver", "bus", "address")}


def _unit(quantity: str) -> str:
    return QUANTITIES[quantity].unit if quantity in QUANTITIES else ""


def register_lines(registers: list[tuple[int, int, list[int]]] | None) -> list[str]:
    """Registers by function and address, eight to a line, which a narrow terminal holds, too."""
    told = []
    for function, first, words in registers or ():
        text = ngettext(
            "function %(function)s, %(n)s register at %(first)s",
            "function %(function)s, %(n)s registers from %(first)s",
            len(words),
        )
        told += said(text % {"function": function, "n": len(words), "first": f"0x{first:04X}"}, "  ")
        for at in range(0, len(words), 8):
            told.append(f"  0x{first + at:04X}  " + " ".join(f"{word:04X}" for word in words[at : at + 8]))
    return told
