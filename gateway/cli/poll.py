"""submeter poll METER: the running daemon polls a meter now, lost or not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import SOCKET, need_client
from gateway.model import QUANTITIES


@click.command(name="poll", help="Make the running daemon poll a meter now, also one that it has given up for the moment.")
@click.argument("meter")
@click.option("--json", "as_json", is_flag=True, help="Print the reading as JSON.")
@click.option("--socket", type=click.Path(path_type=Path), default=SOCKET, show_default=True, help="The daemon's control socket.")
def command(meter: str, as_json: bool, socket: Path) -> None:
    """Ask the daemon and print the reading; exits with 1 when the meter gave nothing."""
    with need_client(socket) as client:
        reading = client.poll(meter)
    print(json.dumps(reading, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(meter, reading)))
    if reading.get("missing"):
        sys.exit(1)


def lines(meter: str, reading: dict[str, Any]) -> list[str]:
    """The reading as a table: quantity, value, unit; what is absent with its reason."""
    if reading.get("missing"):
        return [f"{meter}: nothing was read: {reading['missing']}"]
    values, absent = reading.get("values", {}), reading.get("absent", {})
    width = max((len(name) for name in (*values, *absent)), default=0)
    told = [f"{meter}: {len(values)} values" + (f", {len(absent)} absent" if absent else "")]
    suspect = set(reading.get("suspect", ()))
    for name, value in values.items():
        unit = QUANTITIES[name].unit if name in QUANTITIES else ""
        told.append(f"  {name:{width}}  {value:>14.10g} {unit}{'  (doubtful)' if name in suspect else ''}".rstrip())
    told += [f"  {name:{width}}  {'–':>14} {reason}" for name, reason in absent.items()]
    return told
