"""The intervals of a gateway's history, as `submeter energy` without --from prints them."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.cli.energy_text import EnergyReport
from gateway.cli.language import _
from gateway.cli.prose import say
from gateway.config import load_config
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
        for meter, quantity in sorted(registers):
            if meters and meter not in meters:
                continue
            report = EnergyReport(meter, quantity, zone)
            for interval in history.intervals(meter, quantity, first, last):
                if as_json:
                    line = {"meter": meter, "quantity": quantity, "start": interval.start}
                    line |= {"seconds": interval.seconds, "value": interval.value}
                    line |= {"quality": interval.quality, "version": interval.version}
                    print(json.dumps(line, ensure_ascii=False))
                report.add(interval)
            if not as_json:
                print("\n".join(report.lines()))
        for since, until in history.lost():
            if since <= last and until >= first and not as_json:
                words = {"since": max(since, first).isoformat(), "until": min(until, last).isoformat()}
                say(_("missing: lost with a damaged file, from %(since)s to %(until)s") % words)
