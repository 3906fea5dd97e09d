"""Which meter is it? First what it says itself, then which tables its registers can be read with.

A meter with an identity register that a table knows is that meter, or one of its declared twins. Without one
only physics is left: a table is possible when every register is there that it needs and no value contradicts
another. What cannot be told apart is said as "one of".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gateway.catalogue import Driver, Row, Span, resolve
from gateway.commissioning.trial.fit import Ask, read_from
from gateway.commissioning.trial.physics import PhysicsCheck, judge
from gateway.commissioning.trial.sisters import OVERLAP, Reader, claimed, places
from gateway.config import parse_ratio
from gateway.errors import BusDown, BusError
from gateway.field import Replies, decode, registers_of

Says = Callable[[], Awaitable[str]]
How = Literal["identity", "physics", "nothing"]

_MARKER: Final = (0x5375, 0x6E53)
"""SunS (SunSpec Alliance, Information Model Specification, 6.2)."""
_BASES: Final = (40000, 50000, 0)
_MOST_LACKS: Final = 0.1
"""Share of a table's rows that a meter may refuse and still be of that table: options, older firmware."""
_STEPS: Final = 20
"""Steps of its register below which a value is too coarse to contradict another."""
_KEYS: Final = (
    "voltage_l1n", "voltage_ln", "voltage_l12", "voltage_ll", "frequency", "dc_voltage",
    "temperature_flow", "temperature_return", "volume", "heat_energy",
)  # fmt: skip
"""What is looked at first: values within narrow bounds, or that belong to one kind of meter."""
_STRONG: Final = 4
"""Checks that speak for a table after which unlike tables are not asked for any more."""
_COUNTED: Final = 40
_MOST_READS: Final = 400
_PATIENCE: Final = 6
_TOLD: Final = frozenset({"serial_number", "ct_ratio", "ct_primary", "ct_secondary"})
"""Attributes that are asked for: what a technician compares with the case and with the plates."""
_MOST_RATIO: Final = 5000


@dataclass(frozen=True, slots=True)
class Identified:
    """What is known of a meter. `candidates`: the tables that it may have, the likelier first; more than one
    when nothing tells them apart. `values`: a reading with the first of them.
    """

    how: How = "nothing"
    candidates: tuple[Driver, ...] = ()
    serial: str = ""
    values: dict[str, float] = field(default_factory=dict)
    findings: tuple[PhysicsCheck, ...] = ()
    says: str = ""
    """What it answers to functions 17 and 43/14, made visible."""
    ratio: str = ""
    """The current transformer ratio that it is set to, like 200/5 or 40, where its table has it."""

    @property
    def sure(self) -> bool:
        """Whether it is one model and no other."""
        return self.how == "identity" and len(self.candidates) == 1


@dataclass(frozen=True, slots=True)
class _Fit:
    driver: Driver
    rows: int
    lacks: int
    findings: tuple[PhysicsCheck, ...]

    @property
    def against(self) -> int:
        return sum(finding.good is False for finding in self.findings)

    @property
    def fitting(self) -> int:
        return sum(finding.good is True for finding in self.findings)

    @property
    def whole(self) -> bool:
        return self.lacks <= _MOST_LACKS * self.rows

    @property
    def strong(self) -> bool:
        return self.fitting >= _STRONG


class _Table:
    """A table with the places of its rows at hand."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.rows = _readings(driver)
        self.spans = tuple(dict.fromkeys(span for row in self.rows for span in row.spans))
        self.registers = {(span.function, at) for span in self.spans for at in range(span.address, span.end)}
        self._starts = {(span.function, span.address) for span in self.spans}

    def has(self, span: Span) -> bool:
        """Whether a meter of this table must answer for these registers."""
        return (span.function, span.address) in self._starts and all(
            (span.function, at) in self.registers for at in range(span.address, span.end)
        )

    def beside(self, fitting: Driver) -> bool:
        """Whether it reads the same places as a table that fits."""
        theirs = _Table(fitting).registers
        return len(self.registers & theirs) >= OVERLAP * min(len(self.registers), len(theirs))


async def _silent() -> str:
    return ""


async def identify(
    ask: Ask,
    library: Iterable[Driver],
    *,
    first: Iterable[str] = (),
    says: Says = _silent,
    on_a_line: bool = True,
) -> Identified:
    """What answers. `first`: names of tables that were found on this line before, asked for first; `says`:
    what it says to functions 17 and 43/14, asked for where it may tell more; `on_a_line`: whether meters with
    a serial port are the likelier ones. Raises BusDown.
    """
    known = list(dict.fromkeys(first))
    drivers = sorted(library, key=lambda driver: known.index(driver.name) if driver.name in known else 99)
    reader = Reader(ask, most=_MOST_READS, patience=_PATIENCE)
    ports = [driver for driver in drivers if not driver.discovery and (_on_a_line(driver) or not on_a_line)]
    found = await claimed(_commonest(ports, known), reader)
    how: How = "identity"
    if not found:
        found = await _sunspec(drivers, ask, reader)
    if not found:
        how = "physics"
        found = await _by_physics(drivers, known, reader, on_a_line=on_a_line)
        # A table without a serial port, as far as it says: a converter may have brought its meter here.
        near = {id(driver) for driver in drivers if not found or _beside(driver, found)}
        rest = [driver for driver in drivers if driver not in ports and id(driver) in near]
        if by_name := await claimed([driver for driver in rest if not driver.discovery], reader):
            how, found = "identity", by_name
    sure = how == "identity" and len(found) == 1
    told = "" if sure else await says()
    if not found:
        return Identified(says=told)
    found = _as_it_says(found, told)
    if how == "identity" and len(found) > 1:
        found = await _rows_there(found, reader)
    return await _with_values(how, found, ask, reader, told)


def _on_a_line(driver: Driver) -> bool:
    """Whether such a meter has a serial port, as far as its table says."""
    serial = driver.serial
    return driver.tcp_port is None or serial.baudrate is not None or serial.parity is not None


def _commonest(drivers: list[Driver], known: list[str]) -> list[Driver]:
    """Those with the identity register that most of them have first; those that are known here before all."""
    count = Counter((one.function, one.address, one.words) for each in drivers if (one := each.identity))

    def rank(driver: Driver) -> tuple[bool, int]:
        one = driver.identity
        return driver.name not in known, -count[one.function, one.address, one.words] if one else 0

    return sorted(drivers, key=rank)


def _beside(driver: Driver, found: list[Driver]) -> bool:
    return bool(driver.identity) and any(_Table(driver).beside(each) for each in found)


async def _sunspec(drivers: list[Driver], ask: Ask, reader: Reader) -> list[Driver]:
    """The SunSpec tables whose models the device has."""
    for base in _BASES:
        words = await reader.alone(3, base, len(_MARKER))
        if words is not None and tuple(words) == _MARKER:
            break
    else:
        return []
    found = []
    for driver in drivers:
        if driver.discovery:
            try:
                await resolve(driver, ask)
            except BusDown:
                raise
            except BusError:
                continue
            found.append(driver)
    return found


async def _by_physics(
    drivers: list[Driver], known: list[str], reader: Reader, *, on_a_line: bool
) -> list[Driver]:
    """The tables that can be read whole and that nothing speaks against, the best first.

    Of the registers that tables begin with, the one that most of the tables have which are left is asked
    for: a refusal rules all of them out. Once a table fits, only those that share its registers are looked
    at.
    """
    plain = [driver for driver in drivers if not driver.discovery and not driver.identity]
    left = {driver.name: _Table(driver) for driver in plain}
    fits: list[_Fit] = []
    for name in known:
        if name in left and not fits:
            fits += await _tried(left.pop(name), reader)
    while left:
        if any(fit.strong for fit in fits):
            left = {
                name: table for name, table in left.items() if any(table.beside(fit.driver) for fit in fits)
            }
        if not left:
            break
        span = _telling(
            [table for table in left.values() if _on_a_line(table.driver) == on_a_line] or left.values()
        )
        having = [table for table in left.values() if table.has(span)]
        words = await reader.alone(span.function, span.address, span.words)
        for table in having:
            del left[table.driver.name]
            if words is not None:
                fits += await _tried(table, reader)
    return [fit.driver for fit in _best(fits)]


def _telling(tables: Iterable[_Table]) -> Span:
    """The place that most of these tables have."""
    every = list(tables)
    count: Counter[Span] = Counter()
    for table in every:
        for span in table.spans:
            count[span] += 1
    # A row's place may lie within a larger one of another table: the commoner ones are counted in full.
    near = [span for span, _ in count.most_common(_COUNTED)]
    return max(near, key=lambda span: (sum(table.has(span) for table in every), -span.words, -span.address))


async def _tried(table: _Table, reader: Reader) -> list[_Fit]:
    """The table's fit, when it fits; what tells most quickly is read first."""
    for rows in (_keys(table.rows), table.rows):
        if not await _filled(table.rows, rows, reader):
            return []
        fit = _fit(table.driver, rows, reader)
        if fit.against or not fit.whole:
            return []
    return [fit]


async def _filled(every: tuple[Row, ...], wanted: tuple[Row, ...], reader: Reader) -> bool:
    """Read these rows; False as soon as the meter lacks so many of every row of the table that it is of
    another one.
    """
    most = _MOST_LACKS * len(every)

    def hopeless() -> bool:
        return sum(any(map(reader.refused, row.spans)) for row in every) > most

    await reader.fill((span for row in wanted for span in row.spans), hopeless)
    return not hopeless()


def _best(fits: list[_Fit]) -> list[_Fit]:
    """Without those that have nothing for them when others have; a table that is a part of a larger one,
    for which more speaks, is that of a smaller meter.
    """
    if any(fit.fitting for fit in fits):
        fits = [fit for fit in fits if fit.fitting]
    kept = []
    for fit in fits:
        mine = places(_readings(fit.driver))
        larger = any(
            mine < places(_readings(other.driver))
            and other.fitting > fit.fitting
            and other.lacks <= fit.lacks
            for other in fits
        )
        if not larger:
            kept.append(fit)
    return sorted(kept, key=lambda fit: (-fit.fitting, fit.lacks, -fit.rows, fit.driver.name))


def _keys(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The one or two rows that tell quickly."""
    named = {row.name: row for row in rows}
    return tuple(named[name] for name in _KEYS if name in named)[:2] or rows[:1]


def _fit(driver: Driver, rows: tuple[Row, ...], reader: Reader) -> _Fit:
    values, absent = read_from(rows, reader.words)
    lacks = len(rows) - len(values) - sum(reason == "not_available" for reason in absent.values())
    steps = {row.name: abs(row.factor) for row in rows if not row.type.startswith("float")}
    coarse = {name for name, value in values.items() if 0 < abs(value) < _STEPS * steps.get(name, 0.0)}
    return _Fit(
        driver,
        len(rows),
        lacks,
        tuple(
            replace(finding, good=None) if finding.good is False and coarse & {*finding.names} else finding
            for finding in judge(values, absent)
        ),
    )


def _readings(driver: Driver) -> tuple[Row, ...]:
    return tuple(row for row in driver.rows if not row.attribute)


def _as_it_says(found: list[Driver], says: str) -> list[Driver]:
    """Those whose maker it names, when it names one of them."""
    text = says.casefold()
    named = [driver for driver in found if text and driver.maker.casefold().split()[0] in text]
    return named or found


async def _rows_there(found: list[Driver], reader: Reader) -> list[Driver]:
    """Of twins those whose rows the meter has; all when that tells nothing."""
    fits = []
    for driver in found:
        rows = _readings(driver)
        if await _filled(rows, rows, reader):
            fits.append(_fit(driver, rows, reader))
    whole = [fit.driver for fit in fits if fit.whole and not fit.against]
    return whole or found


async def _with_values(how: How, found: list[Driver], ask: Ask, reader: Reader, says: str) -> Identified:
    driver = found[0]
    if driver.dynamic:
        try:
            driver = await resolve(driver, ask)
        except BusDown:
            raise
        except BusError:
            return Identified(how, tuple(found), says=says)
    rows = _readings(driver)
    await reader.fill(span for row in rows for span in row.spans)
    values, absent = read_from(rows, reader.words)
    told = await _attributes(driver, reader)
    serial, ratio = told.get("serial_number", ""), _ratio(told)
    return Identified(how, tuple(found), serial, values, tuple(judge(values, absent)), says, ratio)


async def _attributes(driver: Driver, reader: Reader) -> dict[str, str]:
    """Its serial number and what it is set to, as the table reads them; without those that it refuses."""
    found: dict[str, str] = {}
    for row in driver.rows:
        if not row.attribute or row.name not in _TOLD:
            continue
        image, whole = Replies(), bool(row.spans)
        for span in row.spans:
            words = await reader.alone(span.function, span.address, span.words)
            if words is None:
                whole = False
                break
            image.add(span.function, span.address, registers_of(words))
        if whole:
            found |= decode((row,), image).attributes
    return found


def _ratio(told: dict[str, str]) -> str:
    """The ratio of the current transformers; empty where nothing credible says it."""
    first, second = told.get("ct_primary", ""), told.get("ct_secondary", "")
    text = told.get("ct_ratio", "") or (f"{first}/{second}" if first and second else "")
    try:
        return text if 1 <= parse_ratio(text) <= _MOST_RATIO else ""
    except ValueError:
        return ""
