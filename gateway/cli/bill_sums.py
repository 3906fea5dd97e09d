"""What our meter counted over the days of a bill, or over the quarter hours of a load profile: by band
of the tariff and by kind of reactive energy, with the days that are not measured throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from zoneinfo import ZoneInfo

from gateway.cli.language import _
from gateway.cli.load_profile import ACTIVE, LoadProfile
from gateway.config import Config
from gateway.config.rules import load_rules, rules_path
from gateway.energy import QUARTER, Calendar, DatedRules, Tariff, consumption, reactive
from gateway.errors import GatewayError
from gateway.history import HistoryReader

IMPORT = "active_energy_import"
_ALL_DAY = "t0"
"""The band of a tariff that has one alone."""


@dataclass(slots=True)
class MeteredBill:
    """`measured` Wh by band and varh by kind, `billed` kWh and kvarh by the same names; `lacking`: days
    with quarter hours that are missing or not measured, and how many; `missing`: how many of these are not
    known at all, in all days. Of a profile: `days` with (our
    Wh, its kWh), and the quarter hours between its first and last that it does not have.
    """

    first: date
    last: date
    measured: dict[str, int]
    billed: Mapping[str, float]
    lacking: list[tuple[date, int]]
    days: dict[date, tuple[int, float]] = field(default_factory=dict)
    unknown: int = 0
    missing: int = 0


def metered_bill(
    history: HistoryReader, config: Config, meter: str, days: tuple[date, date], billed: Mapping[str, float]
) -> MeteredBill:
    """From one day to another. Raises GatewayError."""
    first, last = days
    _require_days(history, first, last)
    calendar = Calendar(ZoneInfo(config.gateway.timezone))
    tariff, old = _tariffs(config), config.building.clock == "old"
    found = dict.fromkeys(tariff(first).names, 0)
    held = ((each.start, each.value) for each in history.intervals(meter, IMPORT, first, last))
    for day, alike in groupby(held, key=lambda each: calendar.place(each[0])[0]):
        for name, wh in consumption.by_band(alike, calendar, tariff(day), old_clock=old).items():
            found[name] = found.get(name, 0) + wh
    if _ALL_DAY in billed and _ALL_DAY not in found:
        # A bill may have one sum, where the tariff knows three: what the bands come to is known.
        found[_ALL_DAY] = sum(found.values())
    for name, quantity in _reactive(history, config, meter).items():
        found[name] = sum(each.sum for each in history.sums(meter, quantity, first, last))
    known = sum(each.intervals for each in history.sums(meter, IMPORT, first, last))
    whole = (calendar.quarters(last)[-1] - calendar.quarters(first)[0]) // QUARTER + 1
    lacking = list(_lacking(history, calendar, meter, first, last))
    return MeteredBill(first, last, found, billed, lacking, missing=whole - known)


def of_profile(
    history: HistoryReader, config: Config, meter: str, profile: LoadProfile, within: tuple[date, date]
) -> MeteredBill:
    """Over the quarter hours of a load profile, between two days. Raises GatewayError."""
    calendar = Calendar(ZoneInfo(config.gateway.timezone))
    rows = [row for row in profile.rows if within[0] <= calendar.place(row.start)[0] <= within[1]]
    if not rows:
        raise GatewayError(_("the load profile has nothing of these days"), hint=_("look at --from and --to"))
    first, last = (calendar.place(row.start)[0] for row in (rows[0], rows[-1]))
    _require_days(history, first, last)
    tariff, old = _tariffs(config), config.building.clock == "old"
    quantities = {ACTIVE: IMPORT, **_reactive(history, config, meter)}
    held = {
        what: {each.start: each.value for each in history.intervals(meter, quantity, first, last)}
        for what, quantity in quantities.items()
    }
    billed: dict[str, float] = dict.fromkeys(tariff(first).names, 0.0)
    found = MeteredBill(first, last, dict.fromkeys(billed, 0), billed, [])
    for row in rows:
        day, slot = calendar.place(row.start)
        quarters = range(row.start, row.start + profile.minutes * 60_000, QUARTER)
        for what, said in row.amounts.items():
            name = tariff(day).band(day, slot // 4, old_clock=old) if what == ACTIVE else what
            billed[name] = billed.get(name, 0.0) + said
            if what in held:
                own = sum(held[what].get(start, 0) for start in quarters)
                found.measured[name] = found.measured.get(name, 0) + own
                if what == ACTIVE:
                    found.missing += sum(start not in held[what] for start in quarters)
                    wh, kwh = found.days.get(day, (0, 0.0))
                    found.days[day] = (wh + own, kwh + said)
    found.lacking = list(_lacking(history, calendar, meter, first, last))
    whole = rows[-1].start + profile.minutes * 60_000 - rows[0].start
    found.unknown = whole // QUARTER - len(rows) * profile.minutes * 60_000 // QUARTER
    return found


def _require_days(history: HistoryReader, first: date, last: date) -> None:
    """Raises GatewayError when the history has none of these days."""
    span = history.span()
    if span is None:
        hint = _("start the gateway: it computes the history while it runs")
        raise GatewayError(_("no quarter hour has been computed yet"), hint=hint)
    begin, end = span
    if last < begin or end < first:
        hint = _("it has %(since)s to %(until)s: look at --from and --to") % {"since": begin, "until": end}
        raise GatewayError(_("the history has nothing of these days"), hint=hint)


def _tariffs(config: Config) -> Callable[[date], Tariff]:
    """The building's tariff as it holds on a day; raises GatewayError for one on which there is none."""
    name = config.building.tariff
    rules = DatedRules(load_rules(rules_path(name.partition("-")[0])))

    @cache
    def tariff(day: date) -> Tariff:
        row = rules.tariff(name, day)
        if row is None:
            text = _("there is no tariff %(name)s on %(day)s") % {"name": name, "day": day}
            known = ", ".join(rules.tariffs) or "–"
            raise GatewayError(text, hint=_("it has %(names)s") % {"names": known})
        return row.value

    return tariff


def _reactive(history: HistoryReader, config: Config, meter: str) -> dict[str, str]:
    """Kind of reactive energy → the quantity that counts it here."""
    quantities = {quantity for each, quantity in history.registers() if each == meter}
    found = reactive.registers(quantities, generation=bool(config.building.pv))
    if isinstance(found, str):
        return {}
    return {"inductive": found.inductive, "capacitive": found.capacitive}


def _lacking(
    history: HistoryReader, calendar: Calendar, meter: str, first: date, last: date
) -> Iterator[tuple[date, int]]:
    sums = {each.day: each for each in history.sums(meter, IMPORT, first, last)}
    for number in range((last - first).days + 1):
        day = first + timedelta(number)
        held = sums.get(day)
        if lacking := len(calendar.quarters(day)) - (held.measured if held else 0):
            yield day, lacking
