"""submeter plan CONFIG: reads, time, load, and what it all costs the line to the platform and the card."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from gateway.check import load
from gateway.cli.language import N_, _, figure, locale, ngettext
from gateway.cli.options import config_option, only_config
from gateway.cli.prose import said, say, wrapped
from gateway.config import Bus, Config, SerialBus
from gateway.field import (
    LEARNT_FILE,
    BusForecast,
    Fact,
    Learnt,
    MeterForecast,
    MeterTask,
    Read,
    forecast_bus,
    stored_per_day,
    traffic,
)
from gateway.status import FactView, sentences

_FULL = 0.9
_NAMED = 5
_DECADE = 10
"""Days; more of them are said without a decimal."""
DAY = 86400


@click.command(
    name="plan",
    help=N_(
        "Print how each meter would be read, how long that takes, how busy each bus is, and what it sends "
        "and writes. "
        "An interval that a bus cannot hold is refused with the one that fits. Nothing is opened."
    ),
)
@click.argument("words", nargs=-1, metavar="[FILE]")
@config_option
@click.option("--reads", is_flag=True, help=N_("Also list each read as function:address+registers."))
def command(words: tuple[str, ...], file: Path | None, reads: bool) -> None:
    """Print the plan; exit 1 when an interval cannot be held."""
    config, drivers = load(only_config(words, file))
    tasks = [MeterTask(meter, drivers[meter.driver]) for meter in config.meters if meter.enabled]
    learnt = Learnt(Path(config.journal.directory) / LEARNT_FILE)
    forecasts = [forecast_bus(bus, tasks, learnt) for bus in config.buses]
    for forecast in forecasts:
        print("\n".join(bus_lines(forecast, reads, config.gateway.timezone)) + "\n")
    _say_amounts(config, forecasts, [forecast_bus(bus, _rarer(tasks), learnt) for bus in config.buses])
    refused = [(forecast, fits) for forecast in forecasts if (fits := forecast.fits()) is not None]
    for forecast, fits in refused:
        say(_refusal(forecast, fits), err=True)
    if refused:
        sys.exit(1)


def _rarer(tasks: Iterable[MeterTask]) -> list[MeterTask]:
    """Every meter at twice its interval; those without pause stay."""
    return [
        replace(
            task,
            config=task.config.model_copy(
                update={"interval": 2 * task.config.interval, "slow_interval": 2 * task.config.slow}
            ),
        )
        for task in tasks
    ]


def _say_amounts(config: Config, forecasts: list[BusForecast], rarer: list[BusForecast]) -> None:
    """What goes to the platforms and to the card, how long the journal lasts without them, and what changes
    that.
    """
    slot, own, remounted = config.gateway.commit_interval, config.own_interval, config.card.remount
    f = locale()
    total = traffic(forecasts, slot, own=own, remounted=remounted)
    text = _(
        "%(values)s values a second in %(batches)s batches a minute: about %(sent)s MB a month to each "
        "platform, "
        "%(written)s GB a year to the card."
    )
    amounts = {
        "values": f.number(total.values_per_second, 1),
        "batches": f.number(total.batches_per_second * 60, 1),
        "sent": f.whole(total.mb_per_month),
        "written": f.whole(total.gb_per_year),
    }
    say(text % amounts)
    if not total.values_per_second:
        return
    less = traffic(rarer, slot, own=own, remounted=remounted)
    text = _("With intervals twice as long: %(sent)s MB a month, %(written)s GB a year.")
    say(text % {"sent": f.whole(less.mb_per_month), "written": f.whole(less.gb_per_year)})
    if not remounted:
        written = f.whole(traffic(forecasts, slot, own=own, remounted=True).gb_per_year)
        text = _("With card: {remount: yes} it is %(written)s GB a year: docs/journal.md.")
        say(text % {"written": written})
    journal, daily = config.journal, stored_per_day(forecasts, slot, own=own)
    days = journal.budget / daily
    room = {"budget": f.size(journal.budget), "days": f.number(days, 0 if days >= _DECADE else 1)}
    say(_("journal.budget (%(budget)s) holds %(days)s days of readings without the platform.") % room)
    if days * DAY < journal.warn:
        text = _(
            "That is less than journal.warn (%(warn)s) → write journal: {budget: %(more)s}, or make the "
            "intervals twice as long: then it holds %(longer)s days"
        )
        longer = journal.budget / stored_per_day(rarer, slot, own=own)
        more = math.ceil(daily * journal.warn / DAY / 1e8) / 10
        advice = {"warn": f.span(journal.warn), "more": f"{more:g}GB", "longer": f.number(longer, 1)}
        say(text % advice)


def bus_lines(forecast: BusForecast, reads: bool = False, timezone: str = "UTC") -> list[str]:
    """A bus and a paragraph for each of its meters; when what is known was learnt, in `timezone`."""
    told = said(f"{forecast.bus.name}: {_where(forecast.bus)}")
    known = _("known of it: %(facts)s")
    told += said(known % {"facts": _facts(forecast.facts, timezone)}, "  ") if forecast.facts else []
    for meter in forecast.meters:
        told += ["", *said(_meter(meter), "  ")]
        told += said(known % {"facts": _facts(meter.facts, timezone)}, "    ") if meter.facts else []
        if reads:
            told += wrapped(_("fast: %(reads)s") % {"reads": _listing(meter.fast)}, "    ", "      ")
            told += wrapped(
                _("with slow ones: %(reads)s") % {"reads": _listing(meter.both)}, "    ", "      "
            )
    endless = sum(not meter.meter.interval for meter in forecast.meters)
    f = locale()
    words = _("Load %(load)s; all fast values once take %(time)s.") % {
        "load": f.percent(forecast.load),
        "time": _time(forecast.cycle),
    }
    if endless:
        text = ngettext(
            "%(n)s is read without pause: it takes what the others leave.",
            "%(n)s are read without pause: they share what the others leave.",
            endless,
        )
        words += " " + text % {"n": f.whole(endless)}
    elif forecast.load > _FULL:
        words += " " + _("There is little room for repeats and lost meters.")
    return [*told, "", *said(words)]


def _facts(known: Iterable[Fact], timezone: str) -> str:
    """What is known of a line or a meter, as `status` and the page say it."""
    return sentences.facts(
        tuple(FactView(fact.name, fact.text, fact.since) for fact in known), locale(timezone)
    )


def _meter(meter: MeterForecast) -> str:
    """How often what is read of a meter, and what that costs: fast values, then slow ones or all together."""
    f, config = locale(), meter.meter
    every = (
        _("every %(fast)s s, slow values every %(slow)s s")
        if config.interval
        else _("without pause, slow values every %(slow)s s")
    )
    every %= {"fast": figure(f"{config.interval:g}"), "slow": figure(f"{config.slow:g}")}
    if meter.unknown and not meter.both:
        return f"{config.id}: {every}. " + _("What it has is known only at the meter.")
    counts = [sum(read.count for read in reads) for reads in (meter.fast, meter.both)]
    text = _(
        "fast values: %(fast)s in %(fast_reads)s (%(fast_registers)s), %(fast_time)s; with the slow ones "
        "(%(slow)s): %(reads)s (%(registers)s), %(time)s."
    ) % {
        "fast": f.whole(meter.fast_values),
        "fast_reads": _reads(len(meter.fast)),
        "fast_registers": _registers(counts[0]),
        "fast_time": _time(meter.fast_time),
        "slow": f.whole(meter.slow_values),
        "reads": _reads(len(meter.both)),
        "registers": _registers(counts[1]),
        "time": _time(meter.both_time),
    }
    load = (
        _("Load %(load)s.") % {"load": f.percent(meter.load, 1)} if config.interval else _("Load: the rest.")
    )
    return f"{config.id}: {every}. {text} {load}"


def _reads(count: int) -> str:
    return ngettext("%(n)s read", "%(n)s reads", count) % {"n": locale().whole(count)}


def _registers(count: int) -> str:
    return ngettext("%(n)s register", "%(n)s registers", count) % {"n": locale().whole(count)}


def _refusal(forecast: BusForecast, fits: float) -> str:
    slow = [meter.meter for meter in forecast.meters if 0 < meter.meter.interval < fits]
    names = ", ".join(meter.id for meter in slow[:_NAMED])
    if len(slow) > _NAMED:
        names += _(" and %(n)s more") % {"n": len(slow) - _NAMED}
    text = _(
        "the intervals of bus %(bus)s need %(load)s of its time and cannot be held → "
        "write interval: %(fits)s for %(names)s, raise the baud rate, or use more lines"
    )
    return text % {
        "bus": forecast.bus.name,
        "load": locale().percent(forecast.load),
        "fits": f"{fits:g}s",
        "names": names,
    }


def _listing(reads: tuple[Read, ...]) -> str:
    return " ".join(f"{read.function}:{read.address:04X}+{read.count}" for read in reads)


def _time(seconds: float) -> str:
    f = locale()
    return (
        _("%(n)s s") % {"n": f.number(seconds, 2)}
        if seconds >= 1
        else _("%(n)s ms") % {"n": f.whole(1000 * seconds)}
    )


def _where(bus: Bus) -> str:
    return f"{bus.place}, {bus.setting if isinstance(bus, SerialBus) else bus.type}"
