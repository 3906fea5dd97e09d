"""submeter pulses: what the pulse inputs count, and setting their registers to what the meters show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import need_client
from gateway.cli.options import SOCKET

_socket = click.option("--socket", type=click.Path(path_type=Path), default=SOCKET, show_default=True, help="The daemon's control socket.")
_HEAD = ("INPUT", "GPIO", "REGISTER", "PULSES", "A MINUTE", "NEWEST", "CONTACT", "TOO SHORT", "GAP TOO SHORT", "TOO FAST")
_RIGHT = {1, 2, 3, 4, 5, 7, 8, 9}


@click.group(name="pulses", invoke_without_command=True, help="Show pulse inputs and set their registers.")
@click.pass_context
def command(context: click.Context) -> None:
    """Show, unless another verb is given."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@command.command(help="Print every pulse input: register, count, rate, and what was rejected as noise.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_socket
def show(as_json: bool = False, socket: Path = SOCKET) -> None:
    """Ask the daemon and print its answer."""
    with need_client(socket) as client:
        inputs = client.pulses()
    print(json.dumps(inputs, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(inputs)))


@command.command(
    name="set", help="Set the register of the input ID to VALUE, which the meter shows now, like: submeter pulses set water 1240.5"
)
@click.argument("meter", metavar="ID")
@click.argument("value")
@_socket
def set_register(meter: str, value: str, socket: Path) -> None:
    """Let the daemon set it, and say what it was."""
    with need_client(socket) as client:
        answer = client.set_pulse(meter, value)
    print(f"{answer['meter']}: {answer['quantity']} was {answer['old']:.10g}, is {answer['new']:.10g} at pulse {answer['pulse_count']}")


def lines(inputs: list[dict[str, Any]]) -> list[str]:
    """The inputs as a table; what does not count says why below it."""
    if not inputs:
        return ["no pulse inputs are configured: add them under pulses: in the configuration"]
    rows = [_HEAD, *(_row(entry) for entry in inputs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    told = [
        "  ".join(
            cell.rjust(width) if index in _RIGHT else cell.ljust(width) for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return told + [f"! {entry['id']} does not count: {entry['error']}" for entry in inputs if entry["error"]]


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    rate, age = entry["per_minute"], entry["age"]
    contact = ("closed" if entry["closed"] else "open") if entry["state"] == "counting" else entry["state"]
    return (
        entry["id"], str(entry["pin"]), f"{entry['register']:.10g} {entry['unit']}", str(entry["count"]),
        "–" if rate is None else f"{rate:.1f}", "–" if age is None else f"{age:.0f} s ago", contact,
        str(entry["short"]), str(entry["gap"]), str(entry["rate"]),
    )  # fmt: skip
