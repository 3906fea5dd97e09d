"""submeter read CONFIG [METER…]: poll meters once and print what they say."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.catalogue import load_driver
from gateway.cli.check import check_drivers
from gateway.cli.client import control_client
from gateway.config import Config, load_config
from gateway.config.schema import Bus, Meter
from gateway.errors import GatewayError
from gateway.field.meter import MeterTask
from gateway.host.clock import uptime_ms
from gateway.model import ATTRIBUTES, QUANTITIES

if TYPE_CHECKING:
    from rich.console import Console

Answer = dict[str, Any]
"""A reading as the control socket gives it; beside it `registers` [[function, first, words]…] and `attributes` when they are known."""

REASONS = {
    "timeout": "no answer",
    "bad_frame": "a damaged or foreign answer",
    "not_available": "the meter has no value",
    "implausible": "beyond what is possible",
}


@click.command(
    name="read",
    help="Poll meters once and print value, unit and age. A running daemon is asked; otherwise the bus is opened for the moment.",
)
@click.argument("file", type=click.Path(path_type=Path), default=Path("/etc/submeter/gateway.yaml"))
@click.argument("meters", nargs=-1, metavar="[METER]...")
@click.option("--raw", is_flag=True, help="Also print the raw registers.")
def command(file: Path, meters: tuple[str, ...], raw: bool) -> None:
    """Print a table for each meter; exit 1 when one of them gave nothing."""
    from rich.console import Console  # noqa: PLC0415 - 100 ms that other commands need not pay

    config = load_config(file)
    chosen = choose(config, meters)
    client = control_client()
    if client is not None:
        with client:
            answers = client.read([meter.id for meter in chosen])
    else:
        check_drivers(config)
        logging.getLogger("gateway").setLevel(logging.ERROR)  # what is lost stands in the answer
        answers = asyncio.run(read_meters(config, chosen))
    console = Console(highlight=False)
    labels = {meter.id: meter for meter in config.meters}
    for answer in answers:
        print_answer(console, labels[str(answer["meter"])], answer, raw)
    if any(answer.get("missing") or answer.get("error") for answer in answers):
        sys.exit(1)


def choose(config: Config, names: tuple[str, ...]) -> list[Meter]:
    """The meters named, or all that are enabled. Raises GatewayError for a name that is none."""
    known = {meter.id: meter for meter in config.meters}
    for name in names:
        if name not in known:
            raise GatewayError(f"there is no meter {name!r} in the configuration", hint=f"its meters are {', '.join(known) or 'none'}")
    return [known[name] for name in names] or [meter for meter in config.meters if meter.enabled]


async def read_meters(config: Config, meters: list[Meter]) -> list[Answer]:
    """Open the buses of these meters, poll each once, all buses at the same time."""
    directory = Path(config.drivers.directory)
    answers: dict[str, Answer] = {}

    async def read_bus(bus: Bus, mine: list[Meter]) -> None:
        from gateway.field.poller import BusWorker  # noqa: PLC0415 - pymodbus, which a command that asks the daemon does not need

        worker = BusWorker(bus, [MeterTask(meter, load_driver(meter.driver, directory)) for meter in mine], lambda _: None)
        try:
            for meter in mine:
                reading = await worker.poll(meter.id)
                why = worker.trouble(meter.id) if reading.missing else None
                answers[meter.id] = {
                    **dataclasses.asdict(reading),
                    "registers": worker.registers(meter.id),
                    "attributes": worker.attributes(meter.id),
                    **({"error": why.message, "hint": why.hint} if why else {}),
                }
        finally:
            await worker.stop()

    by_bus = {bus.name: [meter for meter in meters if meter.bus == bus.name] for bus in config.buses}
    await asyncio.gather(*(read_bus(bus, by_bus[bus.name]) for bus in config.buses if by_bus[bus.name]))
    return [answers[meter.id] for meter in meters]


def print_answer(console: Console, meter: Meter, answer: Answer, raw: bool) -> None:
    """One meter's table."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - loaded with rich
    from rich.table import Table  # noqa: PLC0415 - loaded with rich

    console.print(f"[bold]{meter.id}[/bold] {meter.label if meter.name else ''} ({meter.driver}, bus {meter.bus}, address {meter.address})")
    if answer.get("error") or answer.get("missing"):
        hint = f" → {answer['hint']}" if answer.get("hint") else ""
        console.print(f"  nothing: {answer.get('error') or explain(answer['missing'])}{hint}\n", soft_wrap=True)
        return
    for name, text in answer.get("attributes", {}).items():
        console.print(f"  {ATTRIBUTES[name].en if name in ATTRIBUTES else name}: {text}", soft_wrap=True)
    age = f"{max(0, uptime_ms() - answer['uptime']) / 1000:.1f} s"
    suspect = set(answer.get("suspect", ()))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("quantity")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("")
    for name, value in answer["values"].items():
        quantity = QUANTITIES.get(name)
        table.add_row(name, f"{value:,.12g}", quantity.unit if quantity else "", age, "suspect" if name in suspect else "")
    for name, reason in answer["absent"].items():
        quantity = QUANTITIES.get(name)
        table.add_row(name, "–", quantity.unit if quantity else "", age, explain(reason))
    console.print(table)
    if raw:
        print_registers(console, answer.get("registers"))


def print_registers(console: Console, registers: list[tuple[int, int, list[int]]] | None) -> None:
    """Registers by function and address, eight to a line."""
    if registers is None:
        console.print("  the running daemon does not pass raw registers on: stop it to see them\n", soft_wrap=True)
        return
    for function, first, words in registers:
        console.print(f"  function {function}, {len(words)} registers from 0x{first:04X}")
        for at in range(0, len(words), 8):
            console.print(f"  0x{first + at:04X}  " + " ".join(f"{word:04X}" for word in words[at : at + 8]), soft_wrap=True)
    console.print()


def explain(reason: str) -> str:
    """A reason of the closed set in words."""
    if reason.startswith("exception_"):
        return f"the meter refused it (Modbus exception {reason.removeprefix('exception_')})"
    return REASONS.get(reason, reason)
