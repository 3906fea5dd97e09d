"""submeter bill: the distributor's bill, or its load profile, beside our own meter, band by band, with what
explains a difference.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from math import inf
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from gateway.cli.bill_sums import IMPORT, MeteredBill, metered_bill, of_profile
from gateway.cli.language import N_, _, locale, ngettext
from gateway.cli.load_profile import CAPACITIVE, INDUCTIVE, LoadProfile, read_profile
from gateway.cli.options import backwards, config_option
from gateway.cli.prose import say, wrapped
from gateway.config import Config, Meter, load_config
from gateway.energy import tree
from gateway.errors import GatewayError
from gateway.history import BillComparison, BilledAmount, HistoryReader, keep_bill
from gateway.host import CONFIG

BILLED = 0.5
"""Per cent: class C, or 0.5, of the distributor's meter."""
_SHOWN = 10


@click.command(
    name="bill",
    help=N_(
        """Print the distributor's bill beside the main meter, from the first to the last day of it.

What the bill says is given by --t1, --t2, --t3 (kWh by band), --inductive and --capacitive (kvarh), or by
PROFILE, the load profile of the distributor's meter (OSOS) as a CSV file with a date, an hour, kWh and kvarh;
its days are then compared one by one. The comparison is kept for the report on the page.
"""
    ),
)
@click.argument("profile", required=False, type=click.Path(path_type=Path), metavar="[PROFILE]")
@click.option("--from", "first", metavar="DATE", help=N_("The first day, like 2026-10-01."))
@click.option("--to", "last", metavar="DATE", help=N_("The last day, like 2026-10-31."))
@click.option("--t0", type=float, help=N_("kWh of a tariff of one band."))
@click.option("--t1", type=float, help=N_("kWh of band t1."))
@click.option("--t2", type=float, help=N_("kWh of band t2."))
@click.option("--t3", type=float, help=N_("kWh of band t3."))
@click.option("--inductive", type=float, help=N_("Inductive reactive energy, kvarh."))
@click.option("--capacitive", type=float, help=N_("Capacitive reactive energy, kvarh."))
@click.option(
    "--meter", metavar="ID", help=N_("Our meter; else the first without a parent that counts energy.")
)
@config_option
def command(
    *, profile: Path | None, first: str | None, last: str | None, meter: str | None, file: Path | None,
    **billed: float | None,
) -> None:  # fmt: skip
    """Compare and print."""
    given = {name: value for name, value in billed.items() if value is not None}
    if profile is not None and given:
        raise click.UsageError(_("a load profile says what is billed: leave out --t0 to --capacitive"))
    if profile is None and not (first and last):
        raise click.UsageError(_("say from when to when with --from and --to, or name a load profile"))
    for name, value in given.items():
        if not 0 <= value < inf:
            text = _("%(value)s is no amount of energy: write 0 or more") % {"value": value}
            raise click.BadParameter(text, param_hint=f"--{name}")
    since = _day(first, "--from") if first else date.min
    until = _day(last, "--to") if last else date.max
    if until < since:
        raise backwards(since, until)
    config = load_config(file or CONFIG)
    with closing(HistoryReader(config.journal.directory, untouched=True)) as history:
        own = _own(config, meter, history)
        if profile is not None:
            read = read_profile(profile, ZoneInfo(config.gateway.timezone))
            _not_understood(read)
            found = of_profile(history, config, own.id, read, (since, until))
        else:
            found = metered_bill(history, config, own.id, (since, until), given)
    _print(config, own, found)


def _own(config: Config, wanted: str | None, history: HistoryReader) -> Meter:
    """The meter that a bill is of: without a wish the first of the building's that counts what is drawn, and
    is no plant. Raises GatewayError.
    """
    counting = {meter for meter, quantity in history.registers() if quantity == IMPORT}
    away = {plant.meter for plant in config.building.pv}
    found = [
        each
        for each in config.meters
        if each.id == wanted or (not wanted and not each.parent and each.id not in away)
    ]
    own = next((each for each in found if each.id in counting), found[0] if found else None)
    if own is None:
        has = ", ".join(each.id for each in config.meters) or "–"
        text = _("there is no such meter") + (f": {wanted}" if wanted else "")
        raise GatewayError(text, hint=_("it has %(meters)s") % {"meters": has})
    if counting and own.id not in counting:
        has = ", ".join(each.id for each in config.meters if each.id in counting)
        text = _("%(meter)s has counted no energy that is drawn") % {"meter": own.label}
        raise GatewayError(text, hint=_("it has %(meters)s") % {"meters": has})
    return own


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        said = _("%(word)s is not a date like 2026-10-29") % {"word": text}
        raise click.BadParameter(said, param_hint=option) from None


def _not_understood(profile: LoadProfile) -> None:
    for problem in profile.not_understood[:_SHOWN]:
        say(str(problem))
    if profile.not_understood:
        say(
            _("lines that were not understood, and count for nothing: %(n)s")
            % {"n": len(profile.not_understood)}
        )


def _print(config: Config, own: Meter, found: MeteredBill) -> None:
    place = tree.TreeMeter(own.id, None, own.class_, own.ct_class)
    amounts = []
    say(
        _("%(meter)s, %(since)s to %(until)s")
        % {"meter": own.label, "since": found.first, "until": found.last}
    )
    say(_("accuracy: our meter %(own)s, the distributor's %(billed)s of what each counts") % {
        "own": _percent(tree.uncertainty(place, 10**6) / 10**4), "billed": _percent(BILLED),
    })  # fmt: skip
    heads = (_("meter"), _("bill"), _("apart"))
    print(f"  {'':<17} {heads[0]:>12} {heads[1]:>12} {heads[2]:>9}")
    for name, wh in found.measured.items():
        said = found.billed.get(name)
        own_sum = locale().number(wh / 1000, 1)
        parts = [f"  {_called(name):<17}", f"{f'≥ {own_sum}' if found.missing else own_sum:>12}"]
        if said is None:
            print(" ".join(parts))
            continue
        amount = BilledAmount(name, wh, round(said * 1000), _allowed(said, tree.uncertainty(place, wh)))
        amounts.append(amount)
        off = f"{'–':>9}" if amount.is_open(found.missing) else _apart(wh, said)
        print(" ".join([*parts, f"{locale().number(said, 1):>12}", off]))
        _explain(amount, found.missing)
    for name in sorted(found.billed.keys() - found.measured.keys()):
        say(_("%(name)s is not measured here") % {"name": _called(name)})
    apart = _apart_days(found, place)
    _days(found, apart)
    if amounts:
        made = time.time_ns() // 1_000_000
        lacking = tuple(found.lacking)
        bill = BillComparison(
            own.id, found.first, found.last, made, tuple(amounts), lacking, found.missing, apart
        )
        keep_bill(config.journal.directory, bill)
        say(_("kept for the report on the page: /report/%(year)s") % {"year": found.last.year})


def _called(name: str) -> str:
    """An amount of a bill with its unit; bands are called as their options are."""
    kinds = {INDUCTIVE: _("inductive"), CAPACITIVE: _("capacitive")}
    return f"{kinds[name]}, kvarh" if name in kinds else f"{name}, kWh"


def _percent(share: float) -> str:
    return locale().percent(share / 100, 2)


def _apart(wh: int, said: float) -> str:
    if not said:  # nothing is no share of nothing
        return f"{locale().percent(0.0, 1) if not wh else '–':>9}"
    return f"{locale().percent((wh / 1000 - said) / said, 1):>9}"


def _allowed(said: float, own: int) -> int:
    """Wh or varh by which the classes of both meters let them differ."""
    return round(own + said * 1000 * BILLED / 100)


def _explain(amount: BilledAmount, missing: int) -> None:
    """Whether the two differ by more than their classes allow."""
    if amount.is_beyond(missing):
        text = _("more than the classes of both meters allow (%(allowed)s)")
        print("\n".join(wrapped("    " + text % {"allowed": locale().number(amount.allowed / 1000, 1)})))


def _apart_days(found: MeteredBill, place: tree.TreeMeter) -> tuple[tuple[date, int, int], ...]:
    """Of a load profile the days that explain a difference, the largest first: Wh of both."""
    days = [
        (day, wh, round(said * 1000))
        for day, (wh, said) in found.days.items()
        if abs(wh - said * 1000) > _allowed(said, tree.uncertainty(place, wh))
    ]
    return tuple(sorted(days, key=lambda each: -abs(each[1] - each[2])))


def _days(found: MeteredBill, apart: Sequence[tuple[date, int, int]]) -> None:
    """The days that explain a difference: where a profile tells them, else those that were not measured."""
    lacking = dict(found.lacking)
    if found.unknown:
        say(_("quarter hours that the load profile does not have: %(n)s") % {"n": found.unknown})
    if found.days and not apart:
        say(_("no day is apart by more than the classes of both meters allow"))
    if apart:
        _say_apart(apart, lacking)
    if found.missing:
        text = _("nothing is known of %(hours)s h: our meter counted at least so much")
        say(text % {"hours": locale().number(found.missing / 4, 1)})
    if not lacking:
        say(_("every quarter hour was measured"))
        return
    say(_("days with quarter hours that are missing, estimated, suspect or edited:"))
    for day, count in found.lacking[:_SHOWN]:
        print(f"  {day} {count:>4}")
    if len(found.lacking) > _SHOWN:
        _more(len(found.lacking) - _SHOWN)


def _say_apart(apart: Sequence[tuple[date, int, int]], lacking: Mapping[date, int]) -> None:
    say(_("days that explain the difference, the largest first (kWh: meter, bill, apart):"))
    for day, measured, billed in apart[:_SHOWN]:
        numbers = [f"{locale().number(wh / 1000, 1):>10}" for wh in (measured, billed, measured - billed)]
        count = lacking.get(day, 0)
        text = ngettext("%(n)s quarter hour not measured", "%(n)s quarter hours not measured", count)
        why = text % {"n": count} if count else ""
        print(" ".join([f"  {day}", *numbers]))
        if why:
            print("\n".join(wrapped("    " + why)))
    if len(apart) > _SHOWN:
        _more(len(apart) - _SHOWN)


def _more(days: int) -> None:
    say(ngettext("… and %(n)s more day", "… and %(n)s more days", days) % {"n": days})
