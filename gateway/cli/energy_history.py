"""The intervals of a gateway's history, as `submeter energy` without --from prints them."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.cli import later
from gateway.cli.energy_text import EnergyReport, print_outcome
from gateway.cli.language import _
from gateway.cli.prose import say
from gateway.config import load_config
from gateway.energy import Finding
from gateway.errors import GatewayError
from gateway.history import HistoryReader

WEEK = timedelta(6)


def print_history(config: Path, meters: tuple[str, ...], day: date | None, *, as_json: bool) -> None:
    """A day, or the newest seven, of some meters or of all. Raises GatewayError."""
    found = load_config(config)
    zone = ZoneInfo(found.gateway.timezone)
    with closing(HistoryReader(found.journal.directory, untouched=True)) as history:
        span = history.span()
        if span is None:
            say(_("no quarter hour has been computed yet"))
            return
        first, last = (day, day) if day else (max(span[0], span[1] - WEEK), span[1])
        registers = history.registers()
        for meter in set(meters) - {each for each, _quantity in registers}:
            has = ", ".join(sorted({each for each, _quantity in registers}))
            text = _("the history has no meter %(meter)s") % {"meter": meter}
            raise GatewayError(text, hint=_("it has %(meters)s") % {"meters": has})
        found_of = _findings(history, first, last, zone)
        of_meters = {(meter, "") for meter, quantity in found_of if not quantity}
        for meter, quantity in sorted({*registers, *of_meters}):
            if meters and meter not in meters:
                continue
            report = EnergyReport(meter, quantity, zone, later.status.checks.ACTIONS)
            outcomes = [
                *history.intervals(meter, quantity, first, last),
                *found_of.get((meter, quantity), ()),
            ]
            for outcome in outcomes:
                if as_json:
                    print_outcome(meter, quantity, outcome)
                else:
                    report.add(outcome)
            if not as_json:
                print("\n".join(report.lines()))
        for since, until in history.lost():
            if since <= last and until >= first and not as_json:
                words = {"since": max(since, first).isoformat(), "until": min(until, last).isoformat()}
                say(_("missing: lost with a damaged file, from %(since)s to %(until)s") % words)


def _findings(
    history: HistoryReader, first: date, last: date, zone: ZoneInfo
) -> dict[tuple[str, str], list[Finding]]:
    """What is kept of what the checks found and was so between two local days, by meter and quantity."""

    def day(t: int) -> date:
        return datetime.fromtimestamp(t / 1000, zone).date()

    found: dict[tuple[str, str], list[Finding]] = {}
    for each in sorted(history.findings(), key=lambda each: each.finding.t):
        if day(each.finding.t) <= last and day(each.seen) >= first:
            found.setdefault((each.meter, each.quantity), []).append(each.finding)
    return found
