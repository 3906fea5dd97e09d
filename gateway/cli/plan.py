"""submeter plan CONFIG: reads, time, load, and what it all costs the line to the platform and the card."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.check import load
from gateway.cli.options import config_option, only_config
from gateway.config.schema import Bus, SerialBus
from gateway.field.forecast import BusForecast, MeterForecast, forecast_bus, refusal, traffic
from gateway.field.learnt import FILE, Learnt, facts_of
from gateway.field.meter import MeterTask
from gateway.field.planner import Read

_FULL = 0.9


@click.command(
    name="plan",
    help="Print how each meter would be read, how long that takes, how busy each bus is, and what it sends and writes. "
    "An interval that a bus cannot hold is refused with the one that fits. Nothing is opened.",
)
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
@click.option("--reads", is_flag=True, help="Also list each read as function:address+registers.")
def command(words: tuple[str, ...], file: Path | None, reads: bool) -> None:
    """Print the plan; exit 1 when an interval cannot be held."""
    from rich.console import Console  # noqa: PLC0415 - 100 ms that other commands need not pay

    config, drivers = load(only_config(words, file))
    tasks = [MeterTask(meter, drivers[meter.driver]) for meter in config.meters if meter.enabled]
    learnt = Learnt(Path(config.journal.directory) / FILE)
    forecasts = [forecast_bus(bus, tasks, learnt) for bus in config.buses]
    console = Console(highlight=False)
    for forecast in forecasts:
        _print_bus(console, forecast, reads)
    total = traffic(forecasts, config.gateway.commit_interval)
    console.print(
        f"{total.values_per_second:.1f} values a second in {total.batches_per_second * 60:.1f} batches a minute: "
        f"about {total.mb_per_month:,.0f} MB a month to each platform, {total.gb_per_year:,.0f} GB a year to the card.",
        soft_wrap=True,
    )
    refused = [found for forecast in forecasts if (found := refusal(forecast)) is not None]
    for found in refused:
        print(" → ".join(found.words), file=sys.stderr)
    if refused:
        sys.exit(1)


def _print_bus(console: object, forecast: BusForecast, reads: bool) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - loaded by now
    from rich.console import Console  # noqa: PLC0415 - loaded by now
    from rich.table import Table  # noqa: PLC0415 - loaded by now

    assert isinstance(console, Console)
    console.print(f"[bold]{forecast.bus.name}[/bold]: {_where(forecast.bus)}", soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("meter")
    for name in ("every", "values", "reads", "registers", "time", "load"):
        table.add_column(name, justify="right", no_wrap=True)
    for meter in forecast.meters:
        table.add_row(*_cells(meter))
    console.print(table)
    if reads:
        for meter in forecast.meters:
            console.print(f"{meter.meter.id}: fast {_listing(meter.fast)}; with slow {_listing(meter.both)}", soft_wrap=True)
    known = [(f"bus {forecast.bus.name}", forecast.facts), *((f"meter {meter.meter.id}", meter.facts) for meter in forecast.meters)]
    for name, facts in known:
        if facts:
            console.print(f"{name}: {facts_of(facts)}", soft_wrap=True, markup=False)
    endless = [meter for meter in forecast.meters if not meter.meter.interval]
    words = f"Load {forecast.load:.0%}; all fast values once take {_time(forecast.cycle)}."
    if endless:
        words += f" {len(endless)} without pause: they share what the others leave."
    elif forecast.load > _FULL:
        words += " There is little room for repeats and lost meters."
    console.print(words + "\n", soft_wrap=True)


def _cells(meter: MeterForecast) -> list[str]:
    config = meter.meter
    counts = (sum(read.count for read in reads) for reads in (meter.fast, meter.both))
    return [
        config.id,
        f"{config.interval:g} / {config.slow:g} s" if config.interval else f"at once / {config.slow:g} s",
        "at the meter" if meter.unknown and not meter.both else f"{meter.fast_values} + {meter.slow_values}",
        f"{len(meter.fast)} / {len(meter.both)}",
        " / ".join(map(str, counts)),
        f"{_time(meter.fast_time)} / {_time(meter.both_time)}",
        f"{meter.load:.1%}" if config.interval else "rest",
    ]


def _listing(reads: tuple[Read, ...]) -> str:
    return " ".join(f"{read.function}:{read.address:04X}+{read.count}" for read in reads)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _where(bus: Bus) -> str:
    if isinstance(bus, SerialBus):
        return f"{bus.port}, {bus.baudrate} 8{bus.parity}{bus.stopbits}"
    return f"{bus.host}:{bus.port}, {bus.type}"
