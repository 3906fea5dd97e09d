"""submeter drivers: the meters that are known, and help with one that is not."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from gateway.catalogue import Driver, Row, load_driver, load_file
from gateway.catalogue.paper import library, markdown, matches, own_rows, port, quantities, skeleton, squashed, summary, vocabulary
from gateway.catalogue.serves import NO, serves
from gateway.catalogue.sunspec import offered
from gateway.cli.options import CONFIG
from gateway.common.text import visible
from gateway.errors import DriverError, GatewayError
from gateway.model import QUANTITIES

OWN = Path("/etc/submeter/drivers")


@click.group(name="drivers", help="The meters that are known, and help with one that is not.")
def command() -> None:
    """Group of the driver commands."""


@command.command(name="list", help="Every known meter, one line each; WORDS narrow the list down.")
@click.argument("words", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print everything about each driver as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the page docs/meters.md.")
@click.option("--vocabulary", "as_vocabulary", is_flag=True, help="Print the words that a table may use.")
@click.option("--directory", type=click.Path(path_type=Path), default=OWN, show_default=True, help="Where your own tables are.")
def list_command(words: tuple[str, ...], as_json: bool, as_markdown: bool, as_vocabulary: bool, directory: Path) -> None:
    """Print the library."""
    if as_vocabulary:
        print(vocabulary())
        return
    if as_markdown:
        print(markdown(library()), end="")
        return
    drivers = [driver for driver in library(directory) if matches(driver, words)]
    if as_json:
        print(json.dumps([describe(driver) for driver in drivers], indent=1, ensure_ascii=False))
        return
    if not drivers:
        raise GatewayError(
            f"no driver knows {' '.join(words)!r}", hint="see `submeter drivers list`, or start a table: `submeter drivers new`"
        )
    width = max(len(driver.name) for driver in drivers)
    for driver in drivers:
        print(f"{driver.name:<{width}}  {driver.maker} {driver.model}{_covered(driver, words)}")
    print(f"\n{len(drivers)} driver{'s' * (len(drivers) != 1)}. `submeter drivers show NAME` tells more.")


def _covered(driver: Driver, words: tuple[str, ...]) -> str:
    """What a driver covers of the names that were asked for, when its model does not show it."""
    found = [name for name in driver.covers if any(squashed(word) in squashed(name) for word in words)]
    return f"; also {', '.join(found)}" if found else ""


def describe(driver: Driver) -> dict[str, Any]:
    """A driver as JSON."""
    limits = driver.limits
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
        "serves": serves(quantities(driver)),
        "source": driver.source,
        "notes": list(driver.notes),
        "serial": dataclasses.asdict(driver.serial),
        "tcp_port": driver.tcp_port,
        "reads": {"function": limits.function, "max_registers": limits.max_registers, "min_gap": limits.min_gap, "timeout": limits.timeout},
        "variants": [variant.name for variant in driver.variants],
        "discovered": driver.discovery is not None,
        "quantities": list(quantities(driver)),
        "attributes": [row.name for row in driver.rows if row.attribute],
        "path": driver.path,
    }


@command.command(name="show", help="Everything about one driver: what it reads and where, and what its table leaves out.")
@click.argument("model")
@click.option("--directory", type=click.Path(path_type=Path), default=OWN, show_default=True, help="Where your own tables are.")
def show_command(model: str, directory: Path) -> None:
    """Print one driver."""
    driver = find(model, directory)
    print(f"{driver.name}: {driver.maker} {driver.model}")
    if driver.covers:
        print(f"also      {', '.join(driver.covers)}")
    print(f"gives     {summary(driver)}")
    print(f"serves    {'; '.join(f'{name}: {answer}' for name, answer in serves(quantities(driver)).items() if answer != NO)}")
    print(f"port      {port(driver.serial, driver.tcp_port)}")
    print(f"reads     function {driver.limits.function}, at most {driver.limits.max_registers} registers")
    print(f"proof     {driver.verified}")
    print(f"source    {driver.source}")
    if driver.no_import:
        print(f"no kWh    {driver.no_import}")
    for note in driver.notes:
        print(f"note      {note}")
    for variant in driver.variants:
        print(f"variant   {variant.name}, when register {variant.when.address} says so")
    if driver.discovery:
        print(f"found by  walking the SunSpec models {', '.join(str(model_id) for model_id in driver.discovery.take)}")
        print("          at each model's own place:")
    print()
    for row in driver.rows or offered(driver):
        print(f"  {place(row):<14} {row.type:<8} {row.name:<28} {unit(row):<6} {row.pace}")
    print(f"\n{visible(driver.path)}")


def place(row: Row) -> str:
    """Where a row stands: function and address, or that it is a sum."""
    return f"{row.function}: {row.address} (0x{row.address:04X})" if row.words else "sum"


def unit(row: Row) -> str:
    """The unit of a reading; what an attribute is called has none."""
    return QUANTITIES[row.name].unit if row.name in QUANTITIES else ""


def find(model: str, directory: Path) -> Driver:
    """The driver of a file, or of a name. Raises DriverError."""
    path = Path(model)
    return load_file(path) if path.suffix in {".yaml", ".yml"} or path.is_file() else load_driver(model, directory)


@command.command(name="check", help="Check tables and print every problem as file:line: what is wrong → what to write.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check_command(files: tuple[Path, ...]) -> None:
    """Print the problems of each file, or a line that says what it gives."""
    problems = 0
    for file in files:
        try:
            driver = load_file(file)
        except DriverError as error:
            for problem in error.problems:
                print(problem)
            problems += len(error.problems)
        else:
            gives = summary(driver) or "no readings"
            print(f"{visible(str(file))}: good. {driver.maker} {driver.model}: {len(driver.rows)} rows. It gives {gives}.")
    if problems:
        print(f"\n{problems} problem{'s' * (problems != 1)}", file=sys.stderr)
        sys.exit(1)
    print("A good table may still read nonsense: try it on the meter with `submeter drivers try FILE --bus … --address …`.")


@command.command(name="new", help="A commented table to start from: printed, or written to NAME.yaml (maker-model).")
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
        raise GatewayError(f"{path} cannot be written: {error.strerror}", hint="change to a directory that is yours") from error
    print(f"{path}: fill it in, then `submeter drivers check {path}`.")


@command.command(
    name="try", help="Read a meter live with a table and judge every value by physics; find what is wrong when it does not fit."
)
@click.argument("file")
@click.option("--bus", "bus", required=True, help="A serial port (/dev/ttyUSB0), or host or host:port of a Modbus TCP device.")
@click.option("--address", required=True, type=click.IntRange(0, 255), help="The meter's address (unit).")
@click.option("--baudrate", type=int, help="Of a serial port; else the line's own in the configuration, then the table's, then 9600.")
@click.option("--parity", type=click.Choice(["N", "E", "O"]), help="Of a serial port; likewise.")
@click.option("--stopbits", type=click.Choice(["1", "2"]), help="Of a serial port; likewise.")
@click.option("--rtu", is_flag=True, help="The host is a serial converter that passes RTU frames over TCP.")
@click.option(
    "--seconds", type=click.FloatRange(0, 3600), default=10.0, show_default=True, help="Time between two polls, to see the counters rise."
)
@click.option("--directory", type=click.Path(path_type=Path), default=OWN, show_default=True, help="Where your own tables are.")
@click.option("-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help=f"Where the line's setting is.  [default: {CONFIG}]")
def try_command(
    *,
    file: str,
    bus: str,
    address: int,
    seconds: float,
    directory: Path,
    config: Path | None,
    **wire: Any,  # noqa: ANN401 - click's options
) -> None:
    """Print values, findings and proposals; exit 1 unless the table fits."""
    from gateway.cli import trial  # noqa: PLC0415 - pymodbus, which the other commands need not load

    logging.getLogger("gateway").setLevel(logging.ERROR)  # what is lost stands in the answer
    driver = find(file, directory)
    if not trial.run(driver, trial.settings(bus, driver, config, **wire), address, seconds=seconds, directory=directory):
        sys.exit(1)
