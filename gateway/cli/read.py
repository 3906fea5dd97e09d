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

import click

from gateway.catalogue import Driver, load_driver
from gateway.check import load
from gateway.cli.client import ControlClient, control_client
from gateway.cli.options import CONFIG, SOCKET, config_option, socket_option, split_config
from gateway.config import Config
from gateway.config.schema import Bus, Meter
from gateway.errors import GatewayError
from gateway.field.meter import MeterTask
from gateway.host.clock import uptime_ms
from gateway.model import ATTRIBUTES, QUANTITIES

if TYPE_CHECKING:
    from rich.console import Console

Answer = dict[str, Any]
"""A reading as the control socket gives it, under the configuration that it was read by: `label`, `driver`, `bus`, `address`.

Beside it `registers` [[function, first, words]…] and `attributes` when they are known, `error` and `hint` when it failed.
"""

REASONS = {
    "timeout": "no answer",
    "bad_frame": "a damaged or foreign answer",
    "not_available": "the meter has no value",
    "implausible": "beyond what is possible",
}


@click.command(
    name="read",
    help="Poll meters now, also one that is given up for the moment, and print every value. A running gateway is asked and "
    "answers by the configuration that it runs; otherwise the bus is opened for the moment.",
)
@click.argument("words", nargs=-1, metavar="[METER]...")
@config_option
@click.option("--raw", is_flag=True, help="Also print the raw registers.")
@click.option("--json", "as_json", is_flag=True, help="Print the readings as JSON.")
@socket_option
def command(words: tuple[str, ...], file: Path | None, raw: bool, as_json: bool, socket: Path = SOCKET) -> None:
    """Print a table for each meter; exit 1 when one of them gave nothing."""
    file, names = split_config(words, file)
    client = control_client(socket)
    if client is not None:
        with client:
            origin, answers = ask_daemon(client, file, names)
    else:
        path = file or CONFIG
        config, drivers = load(path)
        chosen = choose(config, names)
        for name in {meter.driver for meter in chosen} - drivers.keys():  # of a meter that is switched off
            drivers[name] = load_driver(name, Path(config.drivers.directory))
        logging.getLogger("gateway").setLevel(logging.ERROR)  # what is lost stands in the answer
        origin = f"No gateway is running: read directly, by {path}."
        answers = asyncio.run(read_meters(config, drivers, chosen))
    if as_json:
        print(json.dumps({"source": origin, "readings": answers}, indent=2, ensure_ascii=False))
    else:
        _print(origin, answers, raw)
    if any(answer.get("missing") or answer.get("error") for answer in answers):
        sys.exit(1)


def ask_daemon(client: ControlClient, file: Path | None, names: tuple[str, ...]) -> tuple[str, list[Answer]]:
    """Where the values come from, and the running daemon's readings.

    Raises GatewayError when `file` is not what the daemon runs, or when a meter that is asked for has been changed in it since:
    values read by one configuration are never shown under another.
    """
    if file is not None:
        client.must_run(file)
    running = client.configuration()
    found = client.unread_changes()
    when = datetime.fromtimestamp(running["read"] / 1000).astimezone()
    origin = f"By the running gateway: {running['path']} as read at {when:%Y-%m-%d %H:%M:%S}."
    changed = sorted(set(found["meters"]) & set(names)) if names else []
    if changed:
        lines = [line for line in found["changes"] if any(line.startswith(f"meter {name}") for name in changed)]
        raise GatewayError(
            f"{running['path']} has been changed since the running gateway read it: {'; '.join(lines) or ', '.join(changed)}",
            hint="submeter reload takes it over; then read again",
        )
    if found["problems"]:
        origin += f"\nThe file has been changed since and is not good ({len(found['problems'])} problems) → submeter check"
    elif found["changes"]:
        origin += "\nThe file has been changed since; these values are by what runs → submeter reload"
        origin += "".join(f"\n  not taken over yet: {line}" for line in found["changes"])
    return origin, client.read(list(names))


def choose(config: Config, names: tuple[str, ...]) -> list[Meter]:
    """The meters named, or all that are enabled. Raises GatewayError for a name that is none."""
    known = {meter.id: meter for meter in config.meters}
    for name in names:
        if name not in known:
            raise GatewayError(f"there is no meter {name!r} in the configuration", hint=f"its meters are {', '.join(known) or 'none'}")
    return [known[name] for name in names] or [meter for meter in config.meters if meter.enabled]


async def read_meters(config: Config, drivers: dict[str, Driver], meters: list[Meter]) -> list[Answer]:
    """Open the buses of these meters, poll each once, all buses at the same time."""
    answers: dict[str, Answer] = {}

    async def read_bus(bus: Bus, mine: list[Meter]) -> None:
        from gateway.field.poller import BusWorker  # noqa: PLC0415 - pymodbus, which a command that asks the daemon does not need

        worker = BusWorker(bus, [MeterTask(meter, drivers[meter.driver]) for meter in mine], lambda _: None)
        try:
            for meter in mine:
                reading = await worker.poll(meter.id)
                why = worker.trouble(meter.id) if reading.missing else None
                answers[meter.id] = {
                    **dataclasses.asdict(reading),
                    "label": meter.label, "driver": meter.driver, "bus": meter.bus, "address": meter.address,
                    "registers": worker.registers(meter.id),
                    "attributes": worker.attributes(meter.id),
                    **({"error": why.message, "hint": why.hint} if why else {}),
                }  # fmt: skip
        finally:
            await worker.stop()

    by_bus = {bus.name: [meter for meter in meters if meter.bus == bus.name] for bus in config.buses}
    await asyncio.gather(*(read_bus(bus, by_bus[bus.name]) for bus in config.buses if by_bus[bus.name]))
    return [answers[meter.id] for meter in meters]


def _print(origin: str, answers: list[Answer], raw: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - 100 ms that other commands need not pay

    console = Console(highlight=False)
    console.print(f"{origin}\n")
    for answer in answers:
        print_answer(console, answer, raw)


def print_answer(console: Console, answer: Answer, raw: bool = False) -> None:
    """One meter: what it is, how old the reading is, a line for each quantity."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - loaded with rich
    from rich.markup import escape  # noqa: PLC0415 - loaded with rich
    from rich.table import Table  # noqa: PLC0415 - loaded with rich

    label = answer.get("label") or ""
    name = f"[bold]{answer['meter']}[/bold]" + (f" {escape(label)}" if label not in {"", answer["meter"]} else "")
    console.print(f"{name} {escape(_where(answer))}".rstrip())
    if answer.get("error") or answer.get("missing"):
        hint = f" → {answer['hint']}" if answer.get("hint") else ""
        console.print(f"  nothing: {escape(str(answer.get('error') or explain(answer['missing'])))}{escape(hint)}\n", soft_wrap=True)
        return
    for key, text in answer.get("attributes", {}).items():
        console.print(f"  {ATTRIBUTES[key].en if key in ATTRIBUTES else key}: {escape(str(text))}")
    console.print(f"  read {max(0, uptime_ms() - answer['uptime']) / 1000:.1f} s ago")
    suspect = set(answer.get("suspect", ()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("quantity", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("")
    for quantity, value in answer["values"].items():
        table.add_row(quantity, f"{value:,.12g}", _unit(quantity), "doubtful" if quantity in suspect else "")
    for quantity, reason in answer["absent"].items():
        table.add_row(quantity, "–", _unit(quantity), explain(reason))
    console.print(table)
    if raw:
        print_registers(console, answer.get("registers"))


def _where(answer: Answer) -> str:
    """The table and the place that it was read by."""
    if not answer.get("driver"):
        return ""
    return f"({answer['driver']}, bus {answer['bus']}, address {answer['address']})"


def _unit(quantity: str) -> str:
    return QUANTITIES[quantity].unit if quantity in QUANTITIES else ""


def print_registers(console: Console, registers: list[tuple[int, int, list[int]]] | None) -> None:
    """Registers by function and address, eight to a line."""
    for function, first, words in registers or ():
        console.print(f"  function {function}, {len(words)} registers from 0x{first:04X}")
        for at in range(0, len(words), 8):
            console.print(f"  0x{first + at:04X}  " + " ".join(f"{word:04X}" for word in words[at : at + 8]), soft_wrap=True)
    console.print()


def explain(reason: str) -> str:
    """A reason of the closed set in words."""
    if reason.startswith("exception_"):
        return f"the meter refused it (Modbus exception {reason.removeprefix('exception_')})"
    return REASONS.get(reason, reason)
