"""submeter bill: the distributor's bill beside our own meter, band by band, with what explains a
difference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from gateway.cli.language import N_, _, locale
from gateway.cli.options import config_option
from gateway.cli.prose import say, wrapped
from gateway.config import Config, load_config
from gateway.config.rules import load_rules, rules_path
from gateway.energy import Calendar, DatedRules, consumption, reactive, tree
from gateway.errors import GatewayError
from gateway.history import BillComparison, BilledAmount, DaySum, HistoryReader, keep_bill
from gateway.host import CONFIG

ACTIVE = "active_energy_import"
BILLED = 0.5
"""Per cent: class C, or 0.5, of the distributor's meter."""
_SHOWN = 10


@click.command(
    name="bill",
    help=N_(
        """Print the distributor's bill beside the main meter, from the first to the last day of it.

What the bill says is given by --t1, --t2, --t3 (kWh by band), --inductive and --capacitive (kvarh). The
comparison is kept for the report on the page.
"""
    ),
)
@click.option("--from", "first", required=True, metavar="DATE", help=N_("The first day, like 2026-10-01."))
@click.option("--to", "last", required=True, metavar="DATE", help=N_("The last day, like 2026-10-31."))
@click.option("--t1", type=float, help=N_("kWh of band t1."))
@click.option("--t2", type=float, help=N_("kWh of band t2."))
@click.option("--t3", type=float, help=N_("kWh of band t3."))
@click.option("--inductive", type=float, help=N_("Inductive reactive energy, kvarh."))
@click.option("--capacitive", type=float, help=N_("Capacitive reactive energy, kvarh."))
@click.option("--meter", metavar="ID", help=N_("Our meter; else the first without a parent."))
@config_option
def command(*, first: str, last: str, meter: str | None, file: Path | None, **billed: float | None) -> None:
    """Compare and print."""
    since, until = _day(first), _day(last)
    if until < since:
        raise click.UsageError(_("--to is before --from"))
    config = load_config(file or CONFIG)
    own = next((each for each in config.meters if each.id == meter or (not meter and not each.parent)), None)
    if own is None:
        raise GatewayError(_("there is no such meter"), hint=_("name one of the configuration with --meter"))
    with closing(HistoryReader(config.journal.directory)) as history:
        measured, incomplete = _measured(history, config, own.id, since, until)
    place = tree.TreeMeter(own.id, None, own.class_, own.ct_class)
    amounts = []
    say(_("%(meter)s, %(since)s to %(until)s") % {"meter": own.label, "since": since, "until": until})
    heads = (_("meter"), _("bill"), _("apart"))
    print(f"  {'':<10} {heads[0]:>12} {heads[1]:>12} {heads[2]:>9}")
    for name, wh in measured.items():
        said = billed.get(name)
        unit = "kvarh" if name in {"inductive", "capacitive"} else "kWh"
        parts = [f"  {name:<10}", f"{locale().number(wh / 1000, 1):>12}"]
        if said is not None:
            parts += [f"{locale().number(said, 1):>12}", _apart(wh, said)]
        print(" ".join(parts), unit)
        if said is not None:
            amount = BilledAmount(name, wh, round(said * 1000), _allowed(said, tree.uncertainty(place, wh)))
            amounts.append(amount)
            _explain(amount)
    for name in sorted({name for name, value in billed.items() if value is not None} - measured.keys()):
        say(_("%(name)s is not measured here") % {"name": name})
    _days(incomplete)
    if amounts:
        made = time.time_ns() // 1_000_000
        bill = BillComparison(own.id, since, until, made, tuple(amounts), tuple(incomplete))
        keep_bill(config.journal.directory, bill)
        say(_("kept for the report on the page: /report/%(year)s") % {"year": until.year})


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(_("%(word)s is not a date like 2026-10-29") % {"word": text}) from None


def _apart(wh: int, said: float) -> str:
    share = (wh / 1000 - said) * 100 / said if said else 0.0
    return f"{locale().number(share, 1):>7} %"


def _allowed(said: float, own: int) -> int:
    """Wh or varh by which the classes of both meters let them differ."""
    return round(own + said * 1000 * BILLED / 100)


def _explain(amount: BilledAmount) -> None:
    """Whether the two differ by more than their classes allow."""
    if abs(amount.measured - amount.billed) > amount.allowed:
        text = _("more than the classes of both meters allow (%(allowed)s)")
        print("\n".join(wrapped("    " + text % {"allowed": locale().number(amount.allowed / 1000, 1)})))


def _measured(
    history: HistoryReader, config: Config, meter: str, since: date, until: date
) -> tuple[dict[str, int], list[tuple[date, int]]]:
    """Wh by band and varh by kind; the days with quarter hours that are missing or not measured, and how
    many.
    """
    calendar = Calendar(ZoneInfo(config.gateway.timezone))
    building = config.building
    rules = DatedRules(load_rules(rules_path(building.tariff.partition("-")[0])))
    row = rules.tariff(building.tariff, since)
    if row is None:
        text = _("there is no tariff %(name)s on %(day)s") % {"name": building.tariff, "day": since}
        raise GatewayError(text, hint=_("it has %(names)s") % {"names": ", ".join(rules.tariffs)})
    held = list(history.intervals(meter, ACTIVE, since, until))
    old = building.clock == "old"
    found = consumption.by_band(
        ((each.start, each.value) for each in held), calendar, row.value, old_clock=old
    )
    quantities = {quantity for each, quantity in history.registers() if each == meter}
    registers = reactive.registers(quantities, generation=bool(building.pv))
    if not isinstance(registers, str):
        for name in ("inductive", "capacitive"):
            quantity = getattr(registers, name)
            found[name] = sum(each.sum for each in history.sums(meter, quantity, since, until))
    sums = {each.day: each for each in history.sums(meter, ACTIVE, since, until)}
    return found, list(_incomplete(sums, calendar, since, until))


def _incomplete(
    sums: dict[date, DaySum], calendar: Calendar, since: date, until: date
) -> Iterator[tuple[date, int]]:
    for number in range((until - since).days + 1):
        day = since + timedelta(number)
        held = sums.get(day)
        if lacking := len(calendar.quarters(day)) - (held.measured if held else 0):
            yield day, lacking


def _days(incomplete: list[tuple[date, int]]) -> None:
    if not incomplete:
        say(_("every quarter hour was measured"))
        return
    say(_("days with quarter hours that are missing, estimated, suspect or edited:"))
    for day, lacking in incomplete[:_SHOWN]:
        print(f"  {day} {lacking:>4}")
    if len(incomplete) > _SHOWN:
        say(_("… and %(n)s more days") % {"n": len(incomplete) - _SHOWN})
