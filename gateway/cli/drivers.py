"""submeter drivers: the meters that are known, and help with one that is not."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from gateway.catalogue import (
    Driver,
    library,
    load_driver,
    load_file,
    own_rows,
    quantities,
    skeleton,
)
from gateway.catalogue.labels import labelled, lacking, squashed, why_not
from gateway.catalogue.listing import markdown, serves, summary, vocabulary
from gateway.cli import drivers_try
from gateway.cli.drivers_show import driver_lines
from gateway.cli.language import N_, _, in_words, ngettext
from gateway.cli.options import config_option
from gateway.cli.prose import entry, said, say, wrapped
from gateway.common.text import visible
from gateway.config import load_config
from gateway.errors import DriverError, GatewayError
from gateway.host import DRIVERS
from gateway.model import ATTRIBUTES, QUANTITIES

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help=N_(
        "Where your own tables are; else the configuration's folder for them, else /etc/submeter/drivers."
    ),
)


def own_tables(directory: Path | None, config: Path | None) -> Path:
    """The folder of a technician's own tables. Raises ConfigError for a named configuration that is bad."""
    if directory is not None or config is None:
        return directory or DRIVERS
    return Path(load_config(config).drivers.directory)


@click.group(name="drivers", help=N_("The meters that are known, and help with one that is not."))
def command() -> None:
    """Group of the driver commands."""


@command.command(name="list", help=N_("Every known meter, one line each; WORDS narrow the list down."))
@click.argument("words", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help=N_("Print everything about each driver as JSON."))
@click.option(
    "--markdown",
    "as_markdown",
    is_flag=True,
    help=N_("Print the page docs/meters.md; with --vocabulary, the table of docs/add-a-meter.md."),
)
@click.option("--vocabulary", "as_vocabulary", is_flag=True, help=N_("Print the words that a table may use."))
@_directory
@config_option
def list_command(
    *,
    words: tuple[str, ...],
    as_json: bool,
    as_markdown: bool,
    as_vocabulary: bool,
    directory: Path | None,
    file: Path | None,
) -> None:
    """Print the library."""
    if as_vocabulary:
        print(vocabulary() if as_markdown else "\n".join(vocabulary_lines()))
        return
    if as_markdown:
        print(markdown(library()), end="")
        return
    known = library(own_tables(directory, file))
    drivers = labelled(known, words)
    if as_json:
        print(json.dumps([describe(driver) for driver in drivers], indent=1, ensure_ascii=False))
        return
    if not drivers:
        raise _unknown(words, {driver.maker for driver in known})
    names = max(len(driver.name) for driver in drivers)
    for driver in drivers:
        print("\n".join(entry(driver.name, f"{driver.maker} {driver.model}{_covered(driver, words)}", names)))
    for absent in lacking(words):
        say(_("not here: %(meters)s") % {"meters": absent})
    count = ngettext("%(n)s driver", "%(n)s drivers", len(drivers)) % {"n": len(drivers)}
    say("\n" + _("%(drivers)s. `submeter drivers show NAME` tells more.") % {"drivers": count})


def _unknown(words: tuple[str, ...], makers: set[str]) -> GatewayError:
    """No table has these words: why, when that is known."""
    label = " ".join(words)
    if known := why_not(words, makers):
        return GatewayError(
            f"{label!r} has no table yet. {'; '.join(known)}",
            hint="with the maker's register list, start one: `submeter drivers new`",
        )
    return GatewayError(
        f"no driver knows {label!r}",
        hint="see `submeter drivers list`, or start a table: `submeter drivers new`",
    )


def vocabulary_lines() -> list[str]:
    """Every quantity: its name in a table, its unit and OBIS code, and what it is called in both
    languages.
    """
    told = []
    words = [word for word in QUANTITIES.values() if not word.own]
    for word in words:
        told += entry(
            word.name,
            "  ".join(part for part in (word.unit, word.obis) if part) or "–",
            max(len(word.name) for word in words),
        )
        told += wrapped(f"{word.en} · {word.tr}", "    ")
    names = ", ".join(ATTRIBUTES)
    return [*told, "", *said(_("Facts about a meter (class static): %(names)s.") % {"names": names})]


def _covered(driver: Driver, words: tuple[str, ...]) -> str:
    """What a driver covers of the names that were asked for, when its model does not show it."""
    found = [name for name in driver.covers if any(squashed(word) in squashed(name) for word in words)]
    return _("; also %(names)s") % {"names": ", ".join(found)} if found else ""


_READS = ("function", "max_registers", "min_gap", "timeout", "answer_time")


def describe(driver: Driver) -> dict[str, Any]:
    """A driver as JSON."""
    return {
        "name": driver.name,
        "maker": driver.maker,
        "model": driver.model,
        "covers": list(driver.covers),
        "like": driver.like,
        "own_rows": own_rows(driver),
        "verified": driver.verified,
        "energy_import": "active_energy_import" in quantities(driver),
        "no_import": driver.no_import,
        "no_identity": driver.no_identity,
        "others": {name: list(labels) for name, labels in driver.others.items()},
        "serves": serves(quantities(driver)),
        "source": driver.source,
        "notes": list(driver.notes),
        "serial": dataclasses.asdict(driver.serial),
        "tcp_port": driver.tcp_port,
        "reads": {name: getattr(driver.limits, name) for name in _READS},
        "variants": [variant.name for variant in driver.variants],
        "discovered": driver.discovery is not None,
        "quantities": list(quantities(driver)),
        "attributes": [row.name for row in driver.rows if row.attribute],
        "path": driver.path,
    }


@command.command(
    name="show",
    help=N_("Everything about one driver: what it reads and where, and what its table leaves out."),
)
@click.argument("model")
@_directory
@config_option
def show_command(model: str, directory: Path | None, file: Path | None) -> None:
    """Print one driver."""
    print("\n".join(driver_lines(find(model, own_tables(directory, file)))))


def find(model: str, directory: Path) -> Driver:
    """The driver of a file, or of a name. Raises DriverError."""
    path = Path(model)
    return (
        load_file(path)
        if path.suffix in {".yaml", ".yml"} or path.is_file()
        else load_driver(model, directory)
    )


@command.command(
    name="check", help=N_("Check tables and print every problem as file:line: what is wrong → what to write.")
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@_directory
@config_option
def check_command(files: tuple[Path, ...], directory: Path | None, file: Path | None) -> None:
    """Print the problems of each file, or a line that says what it gives."""
    problems = 0
    chosen = list(files)
    if not chosen and (directory or file):
        chosen = sorted(own_tables(directory, file).glob("*.yaml"))
    if not chosen:
        raise click.UsageError(
            _("no table is named: write its file, or -c FILE for those of a configuration")
        )
    for path in chosen:
        try:
            driver = load_file(path)
        except DriverError as error:
            for problem in error.problems:
                say(in_words(str(problem)))
            problems += len(error.problems)
        else:
            text = _("%(file)s: good. %(meter)s: %(rows)s. It gives %(what)s.")
            rows = ngettext("%(n)s row", "%(n)s rows", len(driver.rows)) % {"n": len(driver.rows)}
            what, meter = summary(driver) or _("no readings"), f"{driver.maker} {driver.model}"
            say(text % {"file": visible(str(path)), "meter": meter, "rows": rows, "what": what})
    if problems:
        say("\n" + ngettext("%(n)s problem", "%(n)s problems", problems) % {"n": problems}, err=True)
        sys.exit(1)
    say(
        _(
            "A good table may still read nonsense: try it on the meter with `submeter drivers try FILE "
            "--bus … --address …`."
        )
    )


@command.command(
    name="new", help=N_("A commented table to start from: printed, or written to NAME.yaml (maker-model).")
)
@click.argument("name", required=False)
def new_command(name: str | None) -> None:
    """Print or write the skeleton."""
    if name is None:
        print(skeleton("maker-model"), end="")
        return
    path = Path(f"{name.removesuffix('.yaml')}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(skeleton(path.stem))
    except FileExistsError:
        raise GatewayError(f"{path} is there already", hint="choose another name, or move it away") from None
    except OSError as error:
        raise GatewayError(
            f"{path} cannot be written: {error.strerror}", hint="change to a directory that is yours"
        ) from error
    say(_("%(file)s: fill it in, then `submeter drivers check %(file)s`.") % {"file": path})


@command.command(
    name="try",
    help=N_(
        "Read a meter live with a table and judge every value by physics; find what is wrong when it does "
        "not fit."
    ),
)
@click.argument("table", metavar="FILE", required=False)
@click.option(
    "--meter", help=N_("A meter of the configuration: its table (unless FILE says another), bus and address.")
)
@click.option(
    "--bus",
    "bus",
    help=N_("A serial port (/dev/ttyUSB0), or host or host:port of a Modbus TCP device."),
)
@click.option("--address", type=click.IntRange(0, 255), help=N_("The meter's address (unit)."))
@click.option(
    "--baudrate",
    type=int,
    help=N_("Of a serial port; else the line's own in the configuration, then the table's, then 9600."),
)
@click.option("--parity", type=click.Choice(["N", "E", "O"]), help=N_("Of a serial port; likewise."))
@click.option("--stopbits", type=click.Choice(["1", "2"]), help=N_("Of a serial port; likewise."))
@click.option(
    "--rtu", is_flag=True, help=N_("The host is a serial converter that passes RTU frames over TCP.")
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help=N_("Time between two polls, to see the counters rise."),
)
@_directory
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object instead of words."))
@config_option
def try_command(
    *,
    table: str | None,
    meter: str | None,
    bus: str | None,
    address: int | None,
    seconds: float,
    directory: Path | None,
    as_json: bool,
    file: Path | None,
    **wire: Any,
) -> None:
    """Print values, findings and proposals; exit 1 unless the table fits."""
    logging.getLogger("gateway").setLevel(logging.ERROR)  # what is lost stands in the answer
    if meter is not None:
        own, place = drivers_try.configured(meter, file)
        own, wire["rtu"] = directory or own, wire["rtu"] or place.rtu
        table, bus = table or place.table, bus or place.bus
        address = place.address if address is None else address
    else:
        own = own_tables(directory, file)
    if table is None or bus is None or address is None:
        missing = [
            name for name, value in (("FILE", table), ("--bus", bus), ("--address", address)) if value is None
        ]
        raise click.UsageError(
            _("missing: %(names)s; or name a meter of the configuration: --meter ID")
            % {"names": ", ".join(missing)}
        )
    driver = find(table, own)
    if not drivers_try.run(
        driver,
        drivers_try.settings(bus, driver, file, **wire),
        address,
        seconds=seconds,
        directory=own,
        as_json=as_json,
    ):
        sys.exit(1)
