"""submeter pulses: what the pulse inputs count, and setting their registers to what the meters show."""

from __future__ import annotations

import json
from decimal import Decimal
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
    old, new = digits(answer["old"]), digits(answer["new"])
    print(f"{answer['meter']}: {answer['quantity']} was {old}, is {new} at pulse {answer['pulse_count']}")


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
    told += [f"! {entry['id']} does not count: {entry['error']}" for entry in inputs if entry["error"]]
    told += [
        f"! {entry['id']} gets pulses faster than min_width and min_gap let them be counted: its readings are marked suspect → make them "
        "smaller if the meter is that fast, else look for mains hum on its cable"
        for entry in inputs
        if entry.get("fast")
    ]
    told += [
        f"! {entry['id']}: {entry['doubt']} → read the display and set it: submeter pulses set {entry['id']} VALUE"
        for entry in inputs
        if entry.get("doubt")
    ]
    return told


def digits(value: float) -> str:
    """Every digit of a register, never in powers of ten."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    rate, age = entry["per_minute"], entry["age"]
    contact = ("closed" if entry["closed"] else "open") if entry["state"] == "counting" else entry["state"]
    return (
        entry["id"], str(entry["pin"]), f"{digits(entry['register'])} {entry['unit']}", str(entry["count"]),
        "–" if rate is None else f"{rate:.1f}", "–" if age is None else f"{age:.0f} s ago", contact,
        str(entry["short"]), str(entry["gap"]), str(entry["rate"]),
    )  # fmt: skip
