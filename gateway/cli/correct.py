"""submeter correct: a person says what a meter took between two times."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from gateway.cli.client import need_client
from gateway.cli.language import N_, _, figure, ngettext
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import say
from gateway.energy import base_unit
from gateway.model import QUANTITIES

QUARTER = 900_000
_MOST = Decimal(10) ** 12


@click.command(
    name="correct",
    help=N_(
        """Set what METER took from FROM to TO (local times of quarter hours, like 2026-10-29T14:00).

VALUE is in the unit of the quantity (kWh, kvarh, m³) and is shared out as it was.
The intervals go out again as edited, with a higher version; readings are not touched.
WHY stands in the journal and goes to the platform.
"""
    ),
)
@click.argument("meter")
@click.argument("since", metavar="FROM")
@click.argument("until", metavar="TO")
@click.option("--value", required=True, help=N_("What it took, in the unit of the quantity."))
@click.option("--why", required=True, help=N_("The reason, in a sentence."))
@click.option(
    "--quantity", default="active_energy_import", show_default=True, help=N_("Which counter of the meter.")
)
@click.option("--timezone", help=N_("FROM and TO are in it; else in the building's."))
@config_option
@socket_option
def command(
    *,
    meter: str,
    since: str,
    until: str,
    value: str,
    why: str,
    quantity: str,
    timezone: str | None,
    file: Path | None,
    socket: Path | None,
) -> None:
    """Let the daemon set it, and say what it was."""
    if quantity not in QUANTITIES or not QUANTITIES[quantity].is_register:
        raise click.BadParameter(
            _("%(word)s is no counter of the vocabulary") % {"word": quantity}, param_hint="--quantity"
        )
    if not why.strip():
        raise click.BadParameter(_("say why in a sentence"), param_hint="--why")
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (KeyError, ValueError, OSError):
        text = _("%(word)s is no time zone: write it like Europe/Istanbul") % {"word": timezone}
        raise click.BadParameter(text, param_hint="--timezone") from None
    units = _units(value, quantity)
    _between(since, until, zone or UTC)
    with need_client(socket, file) as client:
        first, last = _between(since, until, zone or ZoneInfo(client.configuration()["timezone"]))
        answer = client.correct(meter, quantity, first=first, last=last, value=units, why=why)
    unit, scale = QUANTITIES[quantity].unit, 10 ** base_unit(quantity).digits
    was, now = (f"{figure(str(Decimal(answer[name]) / scale))} {unit}".strip() for name in ("was", "value"))
    text = ngettext(
        "%(meter)s: %(count)s quarter hour took %(was)s, and %(now)s from now on, as edited",
        "%(meter)s: %(count)s quarter hours took %(was)s, and %(now)s from now on, as edited",
        answer["intervals"],
    )
    say(text % {"meter": meter, "count": answer["intervals"], "was": was, "now": now})


def _between(since: str, until: str, zone: tzinfo) -> tuple[int, int]:
    """Ms UTC. Raises UsageError."""
    first, last = (_time(text, zone) for text in (since, until))
    if last <= first:
        text = _("TO is not after FROM (%(to)s, %(from)s): write the earlier time first, then the later one")
        raise click.UsageError(text % {"to": until, "from": since})
    return first, last


def _time(text: str, zone: tzinfo) -> int:
    """Ms UTC."""
    try:
        local = datetime.fromisoformat(text)
        # A time with a zone of its own is another one here.
        t = 1 if local.tzinfo else round(local.replace(tzinfo=zone).timestamp() * 1000)
    except ValueError:
        t = 1
    if t % QUARTER:
        text = _("%(word)s is no quarter hour: write it like 2026-10-29T14:15") % {"word": text}
        raise click.UsageError(text)
    return t


def _units(text: str, quantity: str) -> int:
    """Whole base units."""
    unit = base_unit(quantity)
    try:
        value = Decimal(text.replace(",", "."))
        whole = int((value * 10**unit.digits).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        value, whole = Decimal(-1), 0
    if not 0 <= value < _MOST:
        raise click.BadParameter(
            _("%(word)s is no amount: write it like 12.5") % {"word": text}, param_hint="--value"
        )
    return whole
