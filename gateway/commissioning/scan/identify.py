"""Which meter is it? First what it says itself, then which tables its registers can be read with.

A meter with an identity register that a table knows is that meter, or one of its declared twins. Without one
only physics is left: a table is possible when every register is there that it needs and no value contradicts
another. What cannot be told apart is said as "one of".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Final, Literal

from gateway.catalogue import Driver, Span, resolve
from gateway.commissioning.plausibility.fit import Ask, read_from
from gateway.commissioning.plausibility.physics import PhysicsCheck, judge
from gateway.commissioning.plausibility.reader import Place, Reader, apart, undoubted
from gateway.commissioning.plausibility.sisters import claimed
from gateway.commissioning.scan.candidates import (
    CandidateTable,
    TableFit,
    all_tried,
    best_of,
    by_differences,
    compared,
    filled,
    keys,
    readings,
    still_open,
    telling,
    tried,
    tried_again,
    weighed,
)
from gateway.config import parse_ratio
from gateway.errors import BusDown, BusError, NotReady, Refused
from gateway.field import Replies, decode, registers_of

Says = Callable[[tuple[Driver, ...]], Awaitable[str]]
How = Literal["identity", "physics", "nothing"]

_DEVICE_ID: Final = bytes((43, 14, 1, 0))
NAMING: Final = (_DEVICE_ID, bytes((17,)))
"""Requests that a meter may name itself to: "read device identification" and "report server id"."""
_MARKER: Final = (0x5375, 0x6E53)
"""SunS (SunSpec Alliance, Information Model Specification, 6.2)."""
_BASES: Final = (40000, 50000, 0)
"""Where it may begin; the usual one first."""
_MOST_READS: Final = 400
_PATIENCE: Final = 10
_TOLD: Final = frozenset({"serial_number", "ct_ratio", "ct_primary", "ct_secondary"})
"""Attributes that are asked for: what a technician compares with the case and with the plates."""
_MOST_RATIO: Final = 5000


@dataclass(frozen=True, slots=True)
class Identified:
    """What is known of a meter. `candidates`: the tables that it may have, the likelier first; more than one
    when nothing tells them apart. `values`: what one looks at, read with the first of them.
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
    refused: tuple[Place, ...] = ()
    """What it was asked for in vain, in the order of asking."""
    complaint: Refused | None = None
    """A refusal by which it has said that it is not ready; or, where it gave no register, that it has a fault
    of its own.
    """
    doubtful: bool = False
    """Whether so many answers were lost that nobody can tell what it lacks: without a candidate then."""

    @property
    def sure(self) -> bool:
        """Whether it is one model and no other."""
        return self.how == "identity" and len(self.candidates) == 1


async def _silent(_found: tuple[Driver, ...]) -> str:
    return ""


async def identify(
    ask: Ask,
    library: Iterable[Driver],
    *,
    before: Iterable[Identified] = (),
    says: Says = _silent,
    on_a_line: bool = True,
    there: Iterable[Place] = (),
    lost: Callable[[], int] = lambda: 0,
) -> Identified:
    """What answers. `before`: meters of this line whose tables are asked for first; `says`: what it, one of
    these, says to functions 17 and 43/14, asked for where it may tell more; `on_a_line`: whether meters with
    a serial port are the likelier ones; `there`: places that it is known to have; `lost`: its answers until
    now that `ask` has missed and got when it asked again. Raises BusDown.

    An answer that is lost says nothing of the meter: where a conclusion stands on one, the place is asked for
    again, and where that does not help there is no conclusion.
    """
    drivers = list(library)
    reader = Reader(ask, most=_MOST_READS, patience=_PATIENCE, there=there, apart=apart(drivers), lost=lost)
    known = {each.candidates[0].name: each for each in before if each.candidates}

    async def by_all() -> tuple[How, list[Driver]]:
        return await _told_apart(drivers, known, reader, on_a_line=on_a_line)

    (how, found), borne_out = await undoubted(
        by_all, reader, lambda told: told[0] == "identity" and _spelt(told[1])
    )
    doubtful = not borne_out and (bool(found) or reader.loses)
    found = found if borne_out else []
    sure = how == "identity" and len(found) == 1
    told = "" if sure else await says(tuple(found))
    if not found:
        return Identified(says=told, refused=reader.refusals, complaint=_complaint(reader), doubtful=doubtful)
    found = _as_it_says(found, told)
    if how == "identity" and len(found) > 1:
        fewer, borne_out = await undoubted(lambda: _rows_there(found, known.values(), reader), reader)
        found = fewer if borne_out else found
    return await _with_values(how, found, reader, told)


def _spelt(found: list[Driver]) -> bool:
    """Of what was found by identity: whether the meter says its name in letters, which is no chance."""
    return any(driver.identity is not None and driver.identity.type == "text" for driver in found)


def _on_a_line(driver: Driver) -> bool:
    """Whether such a meter has a serial port, as far as its table says."""
    serial = driver.serial
    return driver.tcp_port is None or serial.baudrate is not None or serial.parity is not None


async def _told_apart(
    drivers: list[Driver], known: Mapping[str, Identified], reader: Reader, *, on_a_line: bool
) -> tuple[How, list[Driver]]:
    """The tables that the meter names, by its identity or by the models of SunSpec; else those that can be
    read whole and that nothing speaks against, the best first.

    Tables that were found on this line before come first. Then the place is asked for that most of the tables
    have which are left: a refusal rules all of them out. Those of which every meter has the identity are held
    to it, the others to their values.
    """
    tables = [CandidateTable(driver) for driver in drivers if not driver.discovery]
    left = {table.driver.name: table for table in tables}
    fits: list[TableFit] = []
    for name, model in known.items():
        table = still_open(left, fits, reader).get(name)
        if table is None:
            continue
        if named := await _named_again(left.pop(name), tables, reader):
            return "identity", named
        if not table.must_name:
            again, same = await tried_again(table, model.refused, left, reader)
            if same and model.how != "identity":  # who has named itself is no proof for who does not
                beside = [each for each in tables if each.beside(table)]
                named = await _named(beside, tables, reader)
                return ("identity", named) if named else ("physics", [*model.candidates])
            fits += again
    while left := still_open(left, fits, reader):
        usual = [table for table in left.values() if not on_a_line or _on_a_line(table.driver)]
        if not usual and any(not fit.blank for fit in fits):
            break  # on a line nobody would believe in a meter without a serial port beside these
        span = telling(usual or left.values())
        having = [left.pop(name) for name, table in [*left.items()] if table.has(span)]
        if not await reader.answers(span):
            continue
        if named := await _named(having, tables, reader):
            return "identity", named
        fits = await all_tried([table for table in having if not table.must_name], fits, reader)
    fits = best_of(fits, reader)
    if len(fits) > 1:
        fits = best_of(await by_differences(fits, reader), reader)
    # One that names itself may lack the place that ruled its table out.
    near = [table for table in tables if not fits or any(table.beside(fit.table) for fit in fits)]
    if named := await _named(near, tables, reader):
        return "identity", named
    if any(fit.strong and fit.driver.name in known for fit in fits):
        bases: Sequence[int] = ()
    else:
        bases = _BASES[:1] if any(fit.sure(reader) for fit in fits) else _BASES
    if devices := await _sunspec(drivers, bases, reader):
        return "identity", devices
    return "physics", [fit.driver for fit in fits]


async def _named_again(table: CandidateTable, tables: list[CandidateTable], reader: Reader) -> list[Driver]:
    """Those whose identity the meter has, by the place at which a meter of this line named itself that has
    this table. The same number again is enough where the meter has the places of the table as well, with
    nothing that speaks against it; it is chance where the meter lacks the first of them.
    """
    found = await claimed([each.driver for each in tables if each.identity == table.identity], reader)
    if table.driver in found and table.driver.identity and table.driver.identity.type != "text":
        if any(not fit.blank for fit in await tried(table, reader)):
            return found
        if not reader.has(keys(table.rows)[0].spans):
            return []
    return await _named([table], tables, reader)


async def _named(some: list[CandidateTable], tables: list[CandidateTable], reader: Reader) -> list[Driver]:
    """Those of some tables whose identity the meter has, with those of the others that it has as well.

    A name in letters is no chance. A number is: unless the values bear it out, or the places that the meter
    has, every identity is asked for; then those alone that every meter of a table on the same places has.
    """
    places = {table.identity for table in some if table.identity}
    mine = [table for table in tables if table.identity in places]
    found = await claimed(_commonest(mine), reader)
    if not found or _spelt(found):
        return found
    mine = [table for table in mine if table.driver in found]
    borne_out = False
    for table in mine:
        rows = keys(table.rows)
        if not borne_out and await filled(table.rows, rows, reader):
            fit = weighed(table, rows, reader)
            borne_out = fit.fitting > 0 and not fit.against
        if not borne_out:
            borne_out = any(fit.narrow(reader) for fit in await tried(table, reader))
    others = [
        table
        for table in tables
        if table.identity not in places
        and (not borne_out or (table.must_name and any(table.beside(each) for each in mine)))
    ]
    return [*found, *await claimed(_commonest(others), reader)]


def _commonest(tables: list[CandidateTable]) -> list[Driver]:
    """Those that name themselves, those that do so at the commonest place first."""
    naming = [table for table in tables if table.identity]
    count = Counter(table.identity for table in naming)
    return [table.driver for table in sorted(naming, key=lambda table: -count[table.identity])]


async def _sunspec(drivers: list[Driver], bases: Sequence[int], reader: Reader) -> list[Driver]:
    """The SunSpec tables whose models the device has, which begin at one of these addresses."""
    for base in bases:
        words = await reader.alone(3, base, len(_MARKER))
        if words is not None and tuple(words) == _MARKER:
            break
    else:
        return []
    found = []
    for driver in drivers:
        if driver.discovery:
            try:
                await resolve(driver, reader.insist)
            except BusDown:
                raise
            except BusError:
                continue
            found.append(driver)
    return found


def _as_it_says(found: list[Driver], says: str) -> list[Driver]:
    """Those whose maker it names, when it names one of them."""
    text = says.casefold()
    named = [driver for driver in found if text and driver.maker.casefold().split()[0] in text]
    return named or found


async def _rows_there(found: list[Driver], known: Iterable[Identified], reader: Reader) -> list[Driver]:
    """Of twins those whose rows the meter has; all when that tells nothing."""
    for model in known:
        if {*model.candidates} < {*found} and await _lacks_as_well(model, found, reader):
            return [*model.candidates]
    if only := await _by_own_places([CandidateTable(driver) for driver in found], reader):
        return [only]
    fits = []
    for driver in found:
        rows = readings(driver)
        if await filled(rows, rows, reader):
            fits.append(weighed(CandidateTable(driver), rows, reader))
    whole = [fit.driver for fit in fits if fit.whole and not fit.against]
    return whole or found


async def _by_own_places(twins: list[CandidateTable], reader: Reader) -> Driver | None:
    """The one of them of which the meter has two places that the fewest others have, when of each other one
    it lacks both such places; None when that does not tell.
    """
    count = Counter(span for table in twins for span in table.spans)
    found = []
    for table in twins:
        fewest = min(count[span] for span in table.spans)
        own = [span for span in table.spans if count[span] == fewest < len(twins)]
        has = [await reader.answers(span) for span in (own[0], own[-1])] if len(own) > 1 else [True, False]
        if all(has):
            found.append(table.driver)
        elif any(has):
            return None
    return found[0] if len(found) == 1 else None


async def _lacks_as_well(model: Identified, found: list[Driver], reader: Reader) -> bool:
    """Whether a meter that names itself as one of this line does refuses what has told that one's twins, too:
    a place of each.
    """
    mine = [CandidateTable(driver) for driver in model.candidates]
    for twin in found:
        if twin in model.candidates:
            continue
        table = CandidateTable(twin)
        spans = [span for span in starmap(Span, model.refused) if table.has(span)]
        told = next((span for span in spans if not any(each.has(span) for each in mine)), None)
        if told is None or await reader.answers(told) or reader.spent:
            return False
    return True


async def _with_values(how: How, found: list[Driver], reader: Reader, says: str) -> Identified:
    driver = found[0]
    if driver.dynamic:
        try:
            driver = await resolve(driver, reader.insist)
        except BusDown:
            raise
        except BusError:
            return Identified(
                how, tuple(found), says=says, refused=reader.refusals, complaint=_complaint(reader)
            )
    shown = (span for row in readings(driver) if compared(row.name) for span in row.spans)
    await reader.fill(shown, along=CandidateTable(driver).registers)
    rows = tuple(row for row in readings(driver) if reader.has(row.spans) or compared(row.name))
    values, absent = read_from(rows, reader.words)
    told = await _attributes(driver, reader)
    return Identified(
        how,
        tuple(found),
        told.get("serial_number", ""),
        values,
        tuple(judge(values, absent)),
        says,
        _ratio(told),
        reader.refusals,
        _complaint(reader),
    )


def _complaint(reader: Reader) -> Refused | None:
    """What it has said of itself. A fault of its own is what some meters say for a register that they lack:
    where they give others, it is none.
    """
    said = reader.complaint
    return said if isinstance(said, NotReady) or reader.gave_nothing else None


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


def texts_of(pdu: bytes) -> str:
    """The texts in an answer to function 43/14 or 17."""
    if pdu[0] != _DEVICE_ID[0]:
        return pdu[2:].decode("latin-1")
    texts, at = [], 7
    while at + 2 <= len(pdu):
        size = pdu[at + 1]
        texts.append(pdu[at + 2 : at + 2 + size].decode("latin-1"))
        at += 2 + size
    return " ".join(texts)
