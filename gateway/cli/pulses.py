"""submeter pulses: what the pulse inputs count, and setting their registers to what the meters show."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import need_client
from gateway.cli.language import N_, _, figure, in_words, locale, ngettext
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import said, say


@click.group(
    name="pulses", invoke_without_command=True, help=N_("Show pulse inputs and set their registers.")
)
@config_option
@socket_option
@click.pass_context
def command(context: click.Context, file: Path | None, socket: Path | None) -> None:
    """Show, unless another verb is given."""
    if context.invoked_subcommand is None:
        context.invoke(show, file=file, socket=socket)


@command.command(help=N_("Print every pulse input: register, count, rate, and what was rejected as noise."))
@click.option("--json", "as_json", is_flag=True, help=N_("Print it as JSON."))
@config_option
@socket_option
def show(as_json: bool = False, file: Path | None = None, socket: Path | None = None) -> None:
    """Ask the daemon and print its answer."""
    with need_client(socket, file) as client:
        inputs = client.pulses()
    print(json.dumps(inputs, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(inputs)))


@command.command(
    name="set",
    help=N_(
        "Set the register of the input ID to VALUE, which the meter shows now, like: submeter pulses set "
        "water 1240.5"
    ),
)
@click.argument("meter", metavar="ID")
@click.argument("value")
@config_option
@socket_option
def set_register(meter: str, value: str, file: Path | None, socket: Path | None) -> None:
    """Let the daemon set it, and say what it was."""
    with need_client(socket, file) as client:
        answer = client.set_pulse(meter, value)
    old, new = digits(answer["old"]), digits(answer["new"])
    text = _("%(meter)s: %(quantity)s was %(old)s, is %(new)s at pulse %(count)s")
    say(
        text
        % {
            "meter": answer["meter"],
            "quantity": answer["quantity"],
            "old": old,
            "new": new,
            "count": answer["pulse_count"],
        }
    )


def lines(inputs: list[dict[str, Any]]) -> list[str]:
    """A paragraph for each input; what does not count says why below it."""
    if not inputs:
        return said(_("no pulse inputs are configured: add them under pulses: in the configuration"))
    told = []
    for entry in inputs:
        told += said(_input(entry))
        told += said(_noise(entry), "  ")
        if entry["error"]:
            told += said(
                _("%(id)s does not count: %(error)s")
                % {"id": entry["id"], "error": in_words(entry["error"])},
                "  ",
                "! ",
            )
        if entry.get("fast"):
            text = _(
                "%(id)s gets pulses faster than min_width and min_gap let them be counted: its readings "
                "are marked suspect → "
                "make them smaller if the meter is that fast, else look for mains hum on its cable"
            )
            told += said(text % {"id": entry["id"]}, "  ", "! ")
        if entry.get("doubt"):
            text = _("%(id)s: %(doubt)s → read the display and set it: submeter pulses set %(id)s VALUE")
            told += said(text % {"id": entry["id"], "doubt": in_words(entry["doubt"])}, "  ", "! ")
    return told


def _input(entry: dict[str, Any]) -> str:
    """What an input has counted, how fast, and how its contact stands."""
    f, rate, age = locale(), entry["per_minute"], entry["age"]
    states = {
        "closed": _("contact closed"),
        "open": _("contact open"),
        "starting": _("starting"),
        "failed": _("does not count"),
    }
    state = ("closed" if entry["closed"] else "open") if entry["state"] == "counting" else entry["state"]
    parts = [
        f"{figure(digits(entry['register']))} {entry['unit']}",
        ngettext("%(n)s pulse", "%(n)s pulses", entry["count"]) % {"n": f.whole(entry["count"])},
        "" if rate is None else _("%(n)s a minute") % {"n": f.number(rate, 1)},
        "" if age is None else _("newest %(ago)s") % {"ago": f.ago(age)},
        states.get(state, state),
    ]
    return f"{entry['id']} (GPIO {entry['pin']}): " + ", ".join(part for part in parts if part)


def _noise(entry: dict[str, Any]) -> str:
    text = _("rejected as noise: %(short)s too short, %(gap)s after too short a gap, %(rate)s too fast")
    return text % {name: locale().whole(entry[name]) for name in ("short", "gap", "rate")}


def digits(value: float) -> str:
    """Every digit of a register, never in powers of ten."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
