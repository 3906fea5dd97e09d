"""submeter energy: what the engine makes of a file of readings, interval by interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from click.core import ParameterSource

from gateway.cli.energy_file import FileRow, ReadingsFile
from gateway.cli.energy_history import print_history
from gateway.cli.energy_text import EnergyReport, print_outcome
from gateway.cli.language import N_, _, ngettext
from gateway.cli.options import config_option
from gateway.cli.prose import say
from gateway.energy import GRAIN, Calendar, Context, Finding, Interval, MeterSeries, base_unit
from gateway.errors import GatewayError
from gateway.host import CONFIG
from gateway.model import QUANTITIES

_HELP = N_(
    """Print energy per quarter hour: what this gateway has computed (--meter, --day),
or, with --from, what becomes of a file of readings, and what was found wrong.

FILE is a CSV with the columns meter,quantity,t,value: t in ms UTC,
value in the unit of the vocabulary (kWh, kvarh, kVAh, m³, pulses),
empty for a read that failed. Readings of active_power beside a counter show whether it stands still.
docs/energy.md has the formulas.
"""
)
_MOST_NAMED = 20
_OF_GATEWAY = frozenset({"meters", "day"})
_OF_FILE = frozenset({"timezone", "holidays", "digits", "width", "ct", "contract_kw", "voltage", "swaps"})
_MOST_DIGITS, _MOST_BITS, _MOST_NUMBER = 15, 64, 1_000_000


@dataclass(frozen=True)
class _Options:
    """What is known beside the readings; by meter or by quantity, "" for all."""

    digits: dict[str, int]
    width: dict[str, tuple[int, int]]
    ct: dict[str, int]
    contract: dict[str, int]
    voltage: int
    swaps: dict[str, list[int]]
    calendar: Calendar

    def context(self, meter: str, quantity: str) -> Context:
        """What is known of one register."""
        unit = base_unit(quantity)
        moduli = []
        if (digits := self.digits.get(quantity, self.digits.get(""))) is not None:
            moduli.append(10 ** (digits + unit.digits) * GRAIN)
        if (width := self.width.get(quantity, self.width.get(""))) is not None:
            bits, millionths = width
            moduli.append(2**bits * millionths * 10**unit.digits * GRAIN // 10**6)
        ct, contract = (table.get(meter, table.get("")) for table in (self.ct, self.contract))
        return Context(unit, tuple(moduli), ct, self.voltage, contract)


@click.command(name="energy", help=_HELP)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=N_("The readings, a CSV file."),
)
@config_option
@click.option(
    "--meter",
    "meters",
    multiple=True,
    metavar="ID",
    help=N_("Of the gateway: this meter alone. Repeatable."),
)
@click.option(
    "--day",
    metavar="DATE",
    help=N_("Of the gateway: this day, like 2026-10-29; else the newest seven."),
)
@click.option(
    "--json", "as_json", is_flag=True, help=N_("Print a line of JSON for each interval and for each event.")
)
@click.option(
    "--timezone",
    default="Europe/Istanbul",
    show_default=True,
    help=N_("Of the building: its days have the shape of gaps."),
)
@click.option(
    "--holiday",
    "holidays",
    multiple=True,
    metavar="DATE",
    help=N_("A day that is like a Sunday: 2026-10-29. Repeatable."),
)
@click.option(
    "--digits",
    multiple=True,
    metavar="[QUANTITY=]N",
    help=N_("Digits of the register before the point, in its unit."),
)
@click.option(
    "--width",
    multiple=True,
    metavar="[QUANTITY=]BITS:STEP",
    help=N_("Bits of the register and its step: 32:0.01."),
)
@click.option(
    "--ct",
    multiple=True,
    metavar="[METER=]A",
    help=N_("Primary current of the transformers, in A: bounds the power."),
)
@click.option(
    "--contract-kw",
    multiple=True,
    metavar="[METER=]KW",
    help=N_("Contracted power; three times of it bounds the power."),
)
@click.option(
    "--voltage",
    type=click.IntRange(1, _MOST_NUMBER),
    default=400,
    show_default=True,
    help=N_("Line to line, in V; for --ct."),
)
@click.option(
    "--swap",
    "swaps",
    multiple=True,
    metavar="METER=T",
    help=N_("The meter was exchanged at T (ms UTC). Repeatable."),
)
def command(
    *,
    source: Path | None,
    file: Path | None,
    meters: tuple[str, ...],
    day: str | None,
    as_json: bool,
    timezone: str,
    holidays: tuple[str, ...],
    digits: tuple[str, ...],
    width: tuple[str, ...],
    ct: tuple[str, ...],
    contract_kw: tuple[str, ...],
    voltage: int,
    swaps: tuple[str, ...],
) -> None:
    """Print the gateway's intervals, or read the file, then print meter by meter."""
    _refuse_what_is_not_used(from_file=source is not None)
    if source is None:
        print_history(file or CONFIG, meters, _date(day, "--day") if day else None, as_json=as_json)
        return
    options = _Options(
        digits={
            key: _whole("--digits", text, _MOST_DIGITS)
            for key, text in _pairs("--digits", digits, _is_counter)
        },
        width={key: _width(text) for key, text in _pairs("--width", width, _is_counter)},
        ct={key: _whole("--ct", text, _MOST_NUMBER) for key, text in _pairs("--ct", ct)},
        contract={
            key: _whole("--contract-kw", text, _MOST_NUMBER)
            for key, text in _pairs("--contract-kw", contract_kw)
        },
        voltage=voltage,
        swaps=_swaps(swaps),
        calendar=Calendar(_zone(timezone), frozenset(_date(text, "--holiday") for text in holidays)),
    )
    _print_file(source, options, as_json=as_json)


def _refuse_what_is_not_used(*, from_file: bool) -> None:
    """An option of the other use of the command would change nothing, and nobody would notice."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name in (_OF_GATEWAY if from_file else _OF_FILE):
            if from_file:
                text = _("%(option)s is for the intervals of the gateway: leave it out, or --from")
            else:
                text = _("%(option)s is for a file of readings: name one with --from")
            raise click.UsageError(text % {"option": option.opts[0]})


def _print_file(file: Path, options: _Options, *, as_json: bool) -> None:
    with closing(ReadingsFile(file, lambda problem: say(str(problem), err=True))) as readings:
        readings.load()
        for key in {*options.ct, *options.contract, *options.swaps} - {""} - readings.meters:
            has = ", ".join(sorted(readings.meters)[:_MOST_NAMED]) or "–"
            text = _("%(file)s has no meter %(meter)s") % {"file": file, "meter": key}
            raise GatewayError(text, hint=_("it has %(meters)s") % {"meters": has})
        for quantity, count in sorted(readings.other.items()):
            text = ngettext(
                "%(n)s line of %(quantity)s is not used", "%(n)s lines of %(quantity)s are not used", count
            )
            say(text % {"n": count, "quantity": quantity}, err=True)
        for meter, rows in groupby(readings.rows(), lambda row: row.meter):
            outcomes = _outcomes(meter, rows, options)
            if as_json:
                for quantity, outcome in outcomes:
                    print_outcome(meter, quantity, outcome)
            else:
                _print_text(meter, outcomes, options)


def _outcomes(
    meter: str, rows: Iterator[FileRow], options: _Options
) -> Iterator[tuple[str, Interval | Finding]]:
    """What the engine makes of the readings of one meter: (quantity, interval or finding)."""
    series = MeterSeries(lambda quantity: options.context(meter, quantity), options.calendar)
    swaps = sorted(options.swaps.get(meter, []), reverse=True)
    for row in rows:
        while swaps and swaps[-1] <= row.t:
            yield from series.swap(swaps.pop())
        yield from series.take(row.quantity, row.t, row.value)
    yield from series.close()


def _print_text(meter: str, outcomes: Iterator[tuple[str, Interval | Finding]], options: _Options) -> None:
    reports: dict[str, EnergyReport] = {}
    for quantity, outcome in outcomes:
        if quantity not in reports:
            reports[quantity] = EnergyReport(meter, quantity, options.calendar.zone)
        reports[quantity].add(outcome)
    if not reports:
        say(f"{meter}: " + _("no whole quarter hour between its readings"))
    for report in reports.values():
        print("\n".join(report.lines()))


def _pairs(
    option: str, texts: tuple[str, ...], known: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[str, str]]:
    for text in texts:
        key, __, value = text.rpartition("=")
        if key and not known(key):
            raise click.BadParameter(
                _("%(word)s is no counter of the vocabulary") % {"word": key}, param_hint=option
            )
        yield key, value


def _is_counter(name: str) -> bool:
    return name in QUANTITIES and QUANTITIES[name].is_register


def _whole(option: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS or not 1 <= int(text) <= most:
        raise click.BadParameter(
            _("%(word)s is not a whole number from 1 to %(most)s") % {"word": text, "most": most},
            param_hint=option,
        )
    return int(text)


def _width(text: str) -> tuple[int, int]:
    """Bits, and the step in millionths of the unit."""
    bits, __, step = text.partition(":")
    whole, __, part = (step or "1").partition(".")
    if (
        not f"{whole}{part}".isdigit()
        or not step.isascii()
        or len(part) > 6
        or len(whole) > 6
        or not int(f"{whole}{part}")
    ):
        raise click.BadParameter(
            _("%(word)s is not BITS:STEP, like 32:0.01") % {"word": text}, param_hint="--width"
        )
    return _whole("--width", bits, _MOST_BITS), int(f"{whole}{part.ljust(6, '0')}")


def _swaps(texts: tuple[str, ...]) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {}
    for meter, text in _pairs("--swap", texts):
        if not meter:
            raise click.BadParameter(
                _("%(word)s names no meter: write METER=T") % {"word": text}, param_hint="--swap"
            )
        times.setdefault(meter, []).append(_whole("--swap", text, 10**_MOST_DIGITS - 1))
    return times


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(
            _("%(word)s is not known: write one like Europe/Istanbul") % {"word": name},
            param_hint="--timezone",
        ) from None


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            _("%(word)s is not a date like 2026-10-29") % {"word": text}, param_hint=option
        ) from None
