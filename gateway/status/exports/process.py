"""Makes one file in a process of its own: what it loads and needs of memory, the daemon never holds.

An order (pickle, from the daemon that started it) on its input, the file on its output. An error is one line
on stderr and exit code 1.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from contextlib import closing, suppress
from typing import IO
from zoneinfo import ZoneInfo

from gateway.energy import Calendar
from gateway.errors import HistoryError
from gateway.status.energy.figures import Figures
from gateway.status.energy.shown import measure_of, name_of, quantity_name
from gateway.status.exports.files import write_csv, write_workbook
from gateway.status.exports.order import ExportOrder
from gateway.status.exports.views import tables_of
from gateway.status.words.language import Locale

NICE = 10
"""The meters come first."""
_BLOCK = 65536


def write(order: ExportOrder, out: IO[bytes]) -> None:
    """The whole file. Raises HistoryError."""
    f = Locale(order.language, order.timezone, order.now)
    with closing(order.history.open()) as reader:
        zone = Calendar(ZoneInfo(order.timezone))
        figures = Figures(order.history.facts, reader, zone, order.now)
        try:
            figures.focus_on(order.meter, order.quantity)
        except ValueError as error:
            raise HistoryError(str(error), hint="see docs/api.md") from error
        bills = order.history.bills() if order.view == "report" else ()
        tables = tables_of(order.view, figures, order.period, order.meter, bills, f)
        if order.form == "csv":
            write_csv(tables[0], order.language, out)
            return
        with tempfile.TemporaryFile() as file:
            write_workbook(tables, _about(order, figures, f), order.language, file)
            file.seek(0)
            while block := file.read(_BLOCK):
                out.write(block)


def _about(order: ExportOrder, figures: Figures, f: Locale) -> list[tuple[str, str]]:
    _ = f.gettext
    found = [
        (_("Building"), order.names[0]),
        (_("Gateway"), order.names[1]),
        (_("Period"), name_of(order.period, f)),
        (_("Made at"), f.full(order.now)),
        (_("Time zone"), order.timezone),
    ]
    meter = next((each.label for each in order.history.facts.meters if each.id == order.meter), "")
    if meter:
        found.append((_("Meter"), meter))
    sources = figures.tariff_sources(order.period.first, min(order.period.last, figures.today))
    if figures.is_electricity and sources:
        found.append((_("Hours of the tariff"), "; ".join(sources)))
    unit = measure_of(figures.quantity, f).unit
    made = _("Differences of the meter's register; here in %(unit)s.") % {"unit": unit}
    if figures.is_electricity:
        made = _("Differences of the meters' registers, in whole Wh; here in kWh.")
    name = quantity_name(figures.quantity, f) if not figures.is_electricity else _("Energy")
    found.append((name, made))
    found.append(
        (
            _("Quality"),
            _("Estimated: shared out over a gap, the sum is exact. Missing: no closing reading yet."),
        )
    )
    return found


def main() -> int:
    """Read the order, write the file."""
    with suppress(OSError):  # a service may be forbidden to change its priority
        os.nice(NICE)
    order = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the daemon that started this process
    try:
        write(order, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except HistoryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
