"""What is wrong with a configuration, its meter tables and the files that it names. Each part is judged
although others are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.catalogue import Driver, find, load_file, unknown
from gateway.check import later
from gateway.check.files import (
    Told,
    directory_of,
    uncertified,
    unknown_tariff,
    unusable_contents,
    unusable_files,
    unusable_folders,
)
from gateway.check.sample import sample_values
from gateway.config import (
    MAX_PROBLEMS,
    OWN_ID,
    Bus,
    Config,
    DriversSection,
    JournalSection,
    Key,
    Meter,
    Pulse,
    SerialBus,
    Table,
    dotted,
    examine,
    few,
    is_enabled,
    line_of,
    rows_of,
    same_lines,
    unusable_places,
)
from gateway.errors import ConfigError, DriverError, Problem
from gateway.field import LEARNT_FILE, Learnt, MeterTask, forecast_bus, overload, port_trouble


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a configuration brought; `config` is None when the file itself is wrong, `drivers` are
    those that can be used.

    `fatal` is what no gateway can start with: the file itself, and the tables of meters that are polled.
    `mistakes` is what a start goes on with, because a gateway that ran before must run again after a power
    cut; a reload and `check` refuse both.
    """

    config: Config | None
    drivers: dict[str, Driver]
    fatal: list[Problem]
    mistakes: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    """Ports that could not be opened at the moment: an adapter may be unplugged."""
    path: str = ""

    @property
    def problems(self) -> list[Problem]:
        """Everything that must be mended: the configuration's own lines first, then those of its tables."""
        return sorted({*self.fatal, *self.mistakes}, key=lambda problem: (problem.file != self.path, problem))


def load(path: Path) -> tuple[Config, dict[str, Driver]]:
    """A configuration and the table of each driver that it polls by, by name.

    Raises ConfigError when no gateway could start with it; then every other mistake is told as well.
    """
    found = examine(path)
    if found.config is not None and found.document is not None:
        tables = _Tables(path, found.document)
        if not tables.fatal:
            return found.config, tables.polled
    raise ConfigError(check(path).problems)


def check(path: Path) -> Checked:
    """Every mistake at once. Reads files and looks at ports, opens nothing; not for the event loop."""
    found = examine(path)
    if found.document is None:
        return Checked(None, {}, found.problems, path=str(path))
    document, name = found.document, str(path)
    tables = _Tables(path, document)

    def lines(told: Iterator[Told]) -> list[Problem]:
        return few(
            (Problem(name, line_of(document, loc), dotted(loc), what, mend) for loc, what, mend in told), name
        )

    mistakes = [
        *tables.mistakes,
        *lines(same_lines(list(rows_of(document, "buses")))),
        *lines(unusable_places(document)),
        *lines(_reserved(document)),
        *lines(_addresses(document, tables.drivers)),
        *lines(unusable_files(document)),
        *lines(unusable_folders(document)),
        *lines(unknown_tariff(document)),
        *lines(_intervals(document, tables.drivers)),
    ]
    sample = list(sample_values(document))
    mistakes += lines(told for certain, told in sample if certain)
    mistakes += few(unusable_contents(document), name)
    warnings = [str(problem) for problem in lines(told for certain, told in sample if not certain)]
    warnings += map(str, lines(_assumed_addresses(document, tables.drivers)))
    warnings += map(str, lines(uncertified(document)))
    warnings += map(str, lines(_ratios_twice(document, tables.drivers)))
    warnings += map(str, lines(_other_tables(document, tables.drivers)))
    warnings += _warnings(found.config) if found.config else []
    ports = list(map(str, lines(_ports(document))))
    fatal = [*found.problems, *tables.fatal]
    mistakes = [each for each in mistakes if each not in fatal]
    return Checked(found.config, tables.polled, fatal, mistakes, warnings, ports, name)


class _Tables:
    """The meter tables that a file names. `fatal`: mistakes in those of meters that are polled;
    `mistakes`: in the others.
    """

    def __init__(self, path: Path, document: Table) -> None:
        self.drivers: dict[str, Driver] = {}
        self.polled: dict[str, Driver] = {}
        self.fatal: list[Problem] = []
        self.mistakes: list[Problem] = []
        directory = directory_of(document, "drivers", DriversSection().directory)
        users: dict[str, list[tuple[int, Table]]] = {}
        for index, row in rows_of(document, "meters"):
            if isinstance(name := row.get("driver"), str):
                users.setdefault(name[:100], []).append((index, row))
        for name, rows in users.items():
            self._load(name, rows, directory, path, document)

    def _load(
        self, name: str, rows: list[tuple[int, Table]], directory: Path, path: Path, document: Table
    ) -> None:
        polled = any(is_enabled(row) for _, row in rows)
        into = self.fatal if polled else self.mistakes
        if len(into) > MAX_PROBLEMS:
            return
        file = find(name, directory)
        if file is None:
            what, mend = unknown(name, directory)
            for index, _ in rows:
                loc: list[Key] = ["meters", index, "driver"]
                into.append(Problem(str(path), line_of(document, loc), dotted(loc), what, mend))
            return
        try:
            self.drivers[name] = load_file(file)
        except DriverError as error:
            into += error.problems
            return
        if polled:
            self.polled[name] = self.drivers[name]


def _reserved(document: Table) -> Iterator[Told]:
    """Meters that have the id of the gateway's own."""
    for section in ("meters", "pulses"):
        for index, row in rows_of(document, section):
            if row.get("id") == OWN_ID:
                what = f"{OWN_ID!r} is the meter that the gateway itself is (its health)"
                yield [section, index, "id"], what, "give this one another id, like main"


def _addresses(document: Table, drivers: dict[str, Driver]) -> Iterator[Told]:
    """Meters without an address: the line would be asked at one that nobody wrote."""
    for index, row in rows_of(document, "meters"):
        if "address" in row:
            continue
        factory = _factory(row, drivers)
        if factory is None:
            yield (
                ["meters", index, "address"],
                "is missing",
                "write address: as the meter shows or has it set",
            )
        elif factory != Meter.model_fields["address"].default:
            yield (
                ["meters", index, "address"],
                "is missing",
                f"write address: {factory} if the meter still has its factory setting",
            )


def _assumed_addresses(document: Table, drivers: dict[str, Driver]) -> Iterator[Told]:
    """Meters without an address, whose table names the one that is used."""
    for index, row in rows_of(document, "meters"):
        default = Meter.model_fields["address"].default
        if "address" not in row and _factory(row, drivers) == default:
            what = (
                f"is missing: {default} is used, the factory setting that the table {row.get('driver')} names"
            )
            yield ["meters", index, "address"], what, f"write address: {default}"


def _ratios_twice(document: Table, drivers: dict[str, Driver]) -> Iterator[Told]:
    """Meters whose values are to be multiplied although their table does it with the meter's own ratio."""
    for index, row in rows_of(document, "meters"):
        driver = _table(row, drivers)
        if row.get("values") == "secondary" and driver is not None and driver.values == "primary":
            what = f"the table {driver.name} multiplies with the ratio that the meter holds already"
            mend = "take values: and ct: out, and set the ratio in the meter to that of its transformers"
            yield ["meters", index, "values"], what, mend


def _other_tables(document: Table, drivers: dict[str, Driver]) -> Iterator[Told]:
    """Meters whose name says a model that has another table than theirs."""
    for index, row in rows_of(document, "meters"):
        driver = _table(row, drivers)
        said = " ".join(value for key in ("id", "name") if isinstance(value := row.get(key), str))
        for other, labels in driver.others.items() if driver is not None else ():
            if (label := next((each for each in labels if _says(said, each)), None)) is not None:
                what = f"{row['driver']} is not the table of {label}, as this meter is called"
                mend = f"write driver: {other}; or give it another name, when the plate says another model"
                yield ["meters", index, "driver"], what, mend


def _says(name: str, label: str) -> bool:
    """Whether a name has a label in it, whatever stands between its letters and its digits."""
    parts = re.findall(r"[^\W\d_]+|\d+", label)
    pattern = r"(?<![^\W_])" + r"[\W_]*".join(parts) + r"(?![^\W_])"
    return bool(parts) and re.search(pattern, name, re.IGNORECASE) is not None


def _table(row: Table, drivers: dict[str, Driver]) -> Driver | None:
    return drivers.get(row["driver"]) if isinstance(row.get("driver"), str) else None


def _factory(row: Table, drivers: dict[str, Driver]) -> int | None:
    driver = _table(row, drivers)
    return driver.serial.address if driver else None


def _intervals(document: Table, drivers: dict[str, Driver]) -> Iterator[Told]:
    """Lines that cannot hold the intervals of their meters, by what is known of both so far."""
    learnt = Learnt(directory_of(document, "journal", JournalSection().directory) / LEARNT_FILE)
    adapter: TypeAdapter[Bus] = TypeAdapter(Bus)
    meters = [
        (index, meter)
        for index, row in rows_of(document, "meters")
        if isinstance(meter := _valid(Meter.model_validate, row), Meter) and meter.driver in drivers
    ]
    for _, row in rows_of(document, "buses"):
        bus = _valid(adapter.validate_python, row)
        if bus is None:
            continue
        forecast = forecast_bus(bus, [MeterTask(meter, drivers[meter.driver]) for _, meter in meters], learnt)
        if (refused := overload(forecast)) is not None:
            first = next(index for index, meter in meters if meter.id == refused.meters[0].id)
            yield ["meters", first, "interval"], *refused.words


def _valid(validate: Any, row: Table) -> Any:
    try:
        return validate(row)
    except ValidationError:
        return None


def _warnings(config: Config) -> Iterator[str]:
    """What a person should look at although it may be meant."""
    for uplink in config.uplinks:
        yield from later.mqtt.open_to_others(later.uplink.broker_of(uplink, config.gateway.id))
    for pulse in config.pulses:
        yield from _rate(pulse)


def _ports(document: Table) -> Iterator[Told]:
    for index, row in rows_of(document, "buses"):
        bus = _valid(SerialBus.model_validate, row)
        if bus is not None and (doubt := port_trouble(bus)) is not None:
            yield ["buses", index, "port"], doubt.message, doubt.hint


def _rate(pulse: Pulse) -> Iterator[str]:
    if pulse.max_rate and pulse.max_rate > pulse.fastest:
        yield (
            f"pulse input {pulse.id}: max_rate {pulse.max_rate:g} is never reached, min_width and min_gap "
            f"let "
            f"{pulse.fastest:.3g} pulses a second be counted → make them smaller, or leave min_width and "
            f"min_gap out"
        )
