"""submeter swap METER: a meter is exchanged, and its energy goes on without a jump."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import ControlClient, need_client
from gateway.cli.language import N_, _, figure, in_words, locale
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import aligned, say
from gateway.cli.questions import confirm, pause
from gateway.config import parse_config, with_value, write_beside
from gateway.errors import ControlError, GatewayError
from gateway.model import QUANTITIES

Fields = dict[str, Any]
_TWO_WAYS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
"""An index whose point or comma stands between thousands in one language and before decimals in another."""

_HELP = N_(
    """Exchange METER: close the registers of the old one, open those of the new one.

It reads the old meter, waits while you exchange it (same address, baud rate and parity), reads the new one
and writes both indices into the journal: the energy goes on without a jump. Broken off, the same command goes
on where it was, also after a power cut. An index that cannot be read is typed from the display, with --by and
--why. A pulse input needs --opening.
"""
)


@click.command(help=_HELP)
@click.argument("meter")
@click.option(
    "--closing", multiple=True, metavar="[QUANTITY=]INDEX", help=N_("The old meter's last index, typed.")
)
@click.option(
    "--opening", multiple=True, metavar="[QUANTITY=]INDEX", help=N_("The new meter's first index, typed.")
)
@click.option("--by", default="", help=N_("Who does it.  [default: who is logged in]"))
@click.option("--why", default="", help=N_("The reason, in a sentence."))
@click.option("--begin", "only_begin", is_flag=True, help=N_("Only close the old one, and end."))
@click.option("--same-meter", "same", is_flag=True, help=N_("It is the same meter, with new registers."))
@click.option("--cancel", is_flag=True, help=N_("It is not exchanged after all: read it on."))
@click.option("--yes", is_flag=True, help=N_("Ask nothing."))
@click.option("--json", "as_json", is_flag=True, help=N_("Ask nothing, print one JSON object."))
@config_option
@socket_option
def command(meter: str, *, file: Path | None, socket: Path | None, **options: Any) -> None:
    """Go through the steps that are left; exit 1 when the exchange is not at its end."""
    options["yes"] |= options["as_json"]
    typed = {key: _indices(meter, options[key], f"--{key}") for key in ("closing", "opening")}
    if (typed["closing"] or typed["opening"]) and not (options["by"] and options["why"]):
        raise click.UsageError(_("an index that is typed needs --by and --why: both stand in the journal"))
    by = options["by"] or os.environ.get("SUDO_USER") or os.environ.get("USER", "")
    with need_client(socket, file) as client:
        answer = _steps(client, meter, typed, {"by": by, "why": options["why"]}, options)
    if options["as_json"]:
        print(json.dumps(answer, ensure_ascii=False))


def _steps(
    client: ControlClient,
    meter: str,
    typed: dict[str, dict[str, float]],
    person: Fields,
    options: Fields,
) -> Fields:
    if options["cancel"]:
        answer = client.swap(meter, "cancel")
        _tell(_("%(meter)s is read on.") % {"meter": meter}, options)
        return answer
    if meter in {each["id"] for each in client.pulses()}:
        return _pulses(client, meter, typed, person, options)
    begun = client.swap(meter, "begin", closing=typed["closing"], **person)
    if "noticed" in begun:
        return _noticed(client, meter, begun["noticed"], person, options)
    _tell_begun(begun, options)
    if options["only_begin"]:
        return begun
    opening = typed["opening"]
    if not options["yes"]:
        pause(
            _("Exchange the meter now: same address, baud rate and parity. Enter when the new one is wired.")
            + " "
            + _("(Ctrl-C leaves it open: submeter swap %(meter)s goes on.)") % {"meter": meter}
        )
    new = None if opening else _new_meter(client, meter, options)
    if new is not None and new["configured"] and new["serial"] and not new["same"]:
        _write_serial(client, meter, new["serial"], options)
    same = {"same": 1} if options["same"] else {}
    done = client.swap(meter, "end", opening=opening, **same)
    _tell_done(done, options)
    return done


def _pulses(
    client: ControlClient,
    meter: str,
    typed: dict[str, dict[str, float]],
    person: Fields,
    options: Fields,
) -> Fields:
    if not typed["opening"]:
        raise GatewayError(
            f"{meter} is a pulse input: nobody can read its meter",
            hint="type what the new display shows: --opening INDEX --by NAME --why REASON",
        )
    done = client.swap(meter, "pulses", **typed, **person)
    _tell_done(done, options)
    return done


def _noticed(
    client: ControlClient, meter: str, numbers: list[str], person: Fields, options: Fields
) -> Fields:
    """Another meter answers already: it is confirmed."""
    text = _(
        "Another meter answers already: serial number %(new)s instead of %(old)s. Its energy has gone on."
    )
    _tell(text % {"old": numbers[0], "new": numbers[1]}, options)
    if not options["yes"] and not confirm(_("Was it exchanged?")):
        say(_("Then check its address and cable: two meters may have been mixed up on the line."))
        sys.exit(1)
    done = client.swap(meter, "confirm", **person)
    _tell(_("Confirmed: %(new)s is %(meter)s.") % done, options)
    return done


def _new_meter(client: ControlClient, meter: str, options: Fields) -> Fields:
    """What the new meter says, until it answers and the person takes it."""
    while True:
        try:
            new = client.swap(meter, "new")
        except ControlError as error:
            if options["yes"]:
                raise
            say(in_words(str(error)), "  ", "! ")
            pause(_("Enter tries again, Ctrl-C leaves the exchange open."))
            continue
        if options["yes"]:
            return new
        number = new["serial"] or _("not told")
        say(_("The new meter: serial number %(number)s") % {"number": number})
        _registers(new["opening"])
        if new["same"] and not options["same"]:
            say(_("That is the serial number of the old one."), "  ", "! ")
            pause(_("Enter tries again, Ctrl-C leaves the exchange open."))
            continue
        if confirm(_("Take it?"), _("No reads it once more.")):
            return new


def _write_serial(client: ControlClient, meter: str, serial: str, options: Fields) -> None:
    """The file says which serial number the meter must have: it says the new one from here on."""
    path = Path(client.configuration()["path"])
    text = path.read_text(encoding="utf-8")
    new = with_value(text, "meters", meter, "serial", f'"{serial}"')
    parse_config(new, path.name)
    old = write_beside(path, new)
    client.reload()
    text = _('serial: "%(serial)s" was written into %(file)s; the old file is %(old)s.')
    _tell(text % {"serial": serial, "file": path, "old": old}, options)


def _tell(text: str, options: Fields) -> None:
    if not options["as_json"]:
        say(text)


def _tell_begun(begun: Fields, options: Fields) -> None:
    if options["as_json"]:
        return
    if begun["resumed"]:
        say(_("The exchange of %(meter)s has begun already; the old meter ended at") % begun)
    elif begun["how"] == "unknown":
        say(_("The old meter cannot be read any more: it ends at its last reading.") % begun)
    else:
        say(_("The old meter of %(meter)s ends at") % begun)
    _registers(begun["closing"], begun.get("last") if begun["how"] == "typed" else None)
    say(_("From here on its readings are not taken, until the new meter is there."))


def _tell_done(done: Fields, options: Fields) -> None:
    if options["as_json"]:
        return
    say(_("%(meter)s is exchanged; the new meter begins at") % done)
    _registers(done["opening"])
    say(_("Its energy goes on where the old one ended."))


def _registers(values: dict[str, float], last: dict[str, float] | None = None) -> None:
    f = locale()
    rows = []
    whole = {name: value for name, value in values.items() if QUANTITIES[name].phase == ""}
    for name, value in sorted((whole or values).items()):
        more = ""
        if last and name in last:
            more = _("%(n)s more than last read") % {"n": f.number(value - last[name], 1)}
        rows.append((name, figure(f"{value:,.12g}"), QUANTITIES[name].unit, more))
    for line in aligned(rows, right=(1,)):
        print(line)


def _indices(meter: str, texts: tuple[str, ...], option: str) -> dict[str, float]:
    """Registers by quantity. Raises click.BadParameter."""
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        quantity = name if equals else "active_energy_import"
        if _TWO_WAYS.fullmatch(value):
            whole = value.replace(",", "").replace(".", "")
            flaw = _("%(word)s can be read in two ways: write %(whole)s, or %(word)s0 for the smaller one")
            raise click.BadParameter(flaw % {"word": value, "whole": whole}, param_hint=option)
        try:
            decimals = max(".,", key=value.rfind)
            thousands = "," if decimals == "." else "."
            found[quantity] = float(value.replace(thousands, "").replace(decimals, "."))
        except ValueError:
            flaw = _("%(word)s is no index of %(meter)s: write it like 12345.6")
            raise click.BadParameter(flaw % {"word": text, "meter": meter}, param_hint=option) from None
    return found
