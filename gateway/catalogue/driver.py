"""The nouns of the catalogue: a Driver is a table of Rows, with what its meter allows on the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Pace = Literal["fast", "slow", "static"]
"""fast: power, voltage, current. slow: energy. static: serial number, ratios."""

ReadRegisters = Callable[[int, int, int], Awaitable[list[int]]]
"""read(function, address, count) -> words. Raises BusError."""

TYPES: Final = {
    "u16": 1,
    "s16": 1,
    "hex16": 1,
    "bcd16": 1,
    "u32": 2,
    "s32": 2,
    "hex32": 2,
    "bcd32": 2,
    "e8u24": 2,
    "e8s24": 2,
    "float32": 2,
    "u48": 3,
    "bcd48": 3,
    "u64": 4,
    "s64": 4,
    "bcd64": 4,
    "float64": 4,
}
"""Every type of a fixed size and its registers; `text:N` has N registers, `sum` has none of its own.
hex16, hex32: a number that people write in hexadecimal digits (a serial number as it stands on the case).
bcd16 to bcd64: a decimal digit in every four bits. e8u24, e8s24: a signed power of ten in the high byte, a
number in the rest.
"""

ORDERS: Final = ("big", "little", "big-swapped", "little-swapped")
"""big ABCD, little CDAB (low word first), big-swapped BADC, little-swapped DCBA."""


class Span(NamedTuple):
    """Registers that must come from one read. `alone`: a read of exactly these; `starts`: a read begins
    here.
    """

    function: int
    address: int
    words: int
    alone: bool = False
    starts: bool = False

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.words

    def comes_with(self, function: int, first: int, end: int) -> bool:
        """Whether a read of the registers [first, end) brings it."""
        if function != self.function:
            return False
        if self.alone:
            return (first, end) == (self.address, self.end)
        return first <= self.address and self.end <= end


Kind = Literal["power", "sign", "carry", "ratio"]


class Keyed(NamedTuple):
    """Two spans of one value: what stands in `number` means something else when `key` has changed.

    `kind`: it is its power of ten, its sign, the part of a sum that it carries over into, or a ratio of
    transformers, which changes only when somebody sets the meter. `power`: the number's own power of ten,
    which is taken from the same read where one holds both; the number itself when it has none.
    """

    number: Span
    key: Span
    kind: Kind
    power: Span

    def place(self, numbers: Sequence[int], powers: Container[int]) -> int:
        """Which of the reads that hold the number it is taken from; `powers` hold its power."""
        return next((at for at in numbers if at in powers), numbers[0])


class ModelHeader(NamedTuple):
    """What stands in front of a stretch of registers and says what they mean; `end` is behind them."""

    span: Span
    words: tuple[int, ...]
    end: int

    def precedes(self, span: Span) -> bool:
        """Whether it says what these registers mean."""
        return self.span.function == span.function and self.span.address <= span.address < self.end


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One value of a meter: where it stands, how it is written there, what it means.

    value = raw x `factor` in the vocabulary's unit, rounded to `decimals` in that unit (None: shortest
    round-trip). A row of type `sum` has no registers of its own (`words` 0): it adds its `terms`. Read
    `spans`, not `address`.
    """

    name: str
    function: int
    address: int
    words: int
    type: str
    order: str
    factor: float
    decimals: int | None
    pace: Pace
    low: float
    high: float
    attribute: bool = False
    alone: bool = False
    starts: bool = False
    sentinels: tuple[int | range, ...] = ()
    """Raw patterns (unsigned), or ranges of them, that mean "not available"."""
    sign_bit: int | None = None
    """The bit of the raw pattern that says minus (0 is the lowest); the others are the amount."""
    mask: int = 0
    """The bits of the raw pattern that are the number, shifted down to the lowest of them; 0: all of them."""
    scale_at: int | None = None
    """Address of a signed power of ten that belongs to this value (SunSpec)."""
    scale_byte: str = ""
    """The power of ten stands in the `low` or the `high` byte of its register."""
    rule: str = ""
    """pf4q: Schneider's four-quadrant power factor, -2..2. magnitude: the sign is not a direction."""
    terms: tuple[tuple[int, Row], ...] = ()
    """Sign and row of every term of a sum."""
    times: Row | None = None
    """A row that this value is multiplied by (a transformer ratio, a unit)."""
    codes: tuple[tuple[int, float], ...] = ()
    """Of a register that names a unit: its number, and how much of this row's own unit that is. A number
    that is not here is no value.
    """
    unit: str = ""
    """What `codes` are counted in, in the vocabulary's unit; empty: they are plain factors."""
    sign_of: Row | None = None
    """A row whose sign this value takes."""
    sign_of_bit: int | None = None
    """Take it from this bit of that row's raw pattern (1 is minus)."""
    line: int = 0

    @property
    def numbers(self) -> int | None:
        """How many numbers its registers can show, those below 0 left out; None where the type does not say
        it.
        """
        if self.type.startswith("bcd"):
            return int(10 ** (4 * self.words))
        if self.type[0] not in "us" or not self.words:
            return None
        signed = self.type[0] == "s" or self.sign_bit is not None
        return int(2 ** ((self.mask.bit_count() or 16 * self.words) - signed))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every span that must be read to know the value."""
        return tuple(dict.fromkeys(self._spans()))

    def _spans(self) -> Iterator[Span]:
        if self.words:
            yield Span(self.function, self.address, self.words, self.alone, self.starts)
        if self.scale_at is not None:
            yield Span(self.function, self.scale_at, 1)
        for part in self._others():
            yield from part.spans

    def _others(self) -> Iterator[Row]:
        yield from (row for _, row in self.terms)
        yield from (row for row in (self.times, self.sign_of) if row is not None)

    @property
    def parts(self) -> tuple[Row, ...]:
        """The row itself, and every row that its value is made of."""
        return (self, *(part for other in self._others() for part in other.parts))

    @property
    def keyed(self) -> tuple[Keyed, ...]:
        """Which of its spans mean something else when others change."""
        return tuple(dict.fromkeys(_pairs(self)))


def _pairs(row: Row, around: tuple[tuple[Span, Kind], ...] = ()) -> Iterator[Keyed]:
    """Of a sum whose terms carry over, the finest are keyed by all others; other terms are by themselves."""
    keys: list[tuple[Span, Kind]] = [*around]
    if row.scale_at is not None:
        keys.append((Span(row.function, row.scale_at, 1), "power"))
    if row.times:
        keys += [(span, "ratio") for span in row.times.spans]
    # The factor of a moment ago is that of now: only its direction is another.
    if row.sign_of and "_factor" not in row.name:
        keys += [(span, "sign") for span in row.sign_of.spans]
    finest = min((abs(term.factor) for _, term in row.terms), default=0.0)
    coarse = [term for _, term in row.terms if abs(term.factor) > finest]
    keys += [(span, "carry") for term in coarse for span in term.spans]
    if row.words:
        number = Span(row.function, row.address, row.words, row.alone, row.starts)
        power = number if row.scale_at is None else Span(row.function, row.scale_at, 1)
        yield from (Keyed(number, key, kind, power) for key, kind in keys)
    for _, term in row.terms:
        if term not in coarse:
            yield from _pairs(term, tuple(keys))


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What the meter allows on the bus. `holes` are inclusive address ranges that no read may touch."""

    function: int = 3
    max_registers: int = 125
    min_gap: float = 0.0
    """Silence between two requests to this meter, in s."""
    timeout: float | None = None
    """How long the meter may take for an answer, in s, when its maker says so."""
    answer_time: float | None = None
    """How long it usually takes for one, in s, when its maker says so."""
    holes: tuple[tuple[int, int], ...] = ()
    even: bool = False
    """Reads start at an even address and have an even length."""


@dataclass(frozen=True, slots=True)
class SerialDefaults:
    """The factory setting of the meter's port; None is unknown, never a guess."""

    baudrate: int | None = None
    parity: str | None = None
    stopbits: int | None = None
    address: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A register that tells one meter from another; `values` are numbers, or texts that it begins with.
    `not_all`: other meters of the table hold something else there, or do not have it.
    """

    function: int
    address: int
    words: int
    type: str
    values: tuple[int | str, ...]
    alone: bool = False
    order: str = "big"
    not_all: bool = False

    @property
    def span(self) -> Span:
        """What must be read to see it."""
        return Span(self.function, self.address, self.words, self.alone)


@dataclass(frozen=True, slots=True)
class Variant:
    """Rows that a meter has when its identity register says so."""

    name: str
    when: Identity
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """A meter whose map must be walked first (SunSpec). `models` give register text by model id, offsets
    from its ID register.
    """

    bases: tuple[int, ...]
    main: tuple[int, ...]
    """The model ids that make this meter; `nth` of them is meant."""
    nth: int
    beside: tuple[int, ...]
    """Models that add to it where the device has them."""
    models: tuple[tuple[tuple[int, ...], str, int], ...]
    """ids, register text, the line it starts on."""
    inverted: tuple[str, ...]
    """Makers (as model 1 says) whose meters count export as positive power."""


@dataclass(frozen=True, slots=True, eq=False)
class Driver:
    """A table: what stands in drivers/<name>.yaml."""

    name: str
    maker: str
    model: str
    verified: str
    source: str
    limits: ReadLimits
    rows: tuple[Row, ...]
    serial: SerialDefaults = SerialDefaults()
    tcp_port: int | None = None
    covers: tuple[str, ...] = ()
    """Every sibling and rebrand with the same map, as it stands on the label."""
    twins: tuple[str, ...] = ()
    """Drivers whose meters have the same identity: nothing in the meter tells them apart."""
    no_import: str = ""
    """Why the table gives no active energy import."""
    no_identity: str = ""
    """Why no register tells its meters from others."""
    values: Literal["", "primary"] = ""
    """primary: they are in any case, because the table multiplies with the ratios that the meter holds."""
    others: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Meters with a label like those of this table that have another one: by that table, as on the label."""
    notes: tuple[str, ...] = ()
    identity: Identity | None = None
    variants: tuple[Variant, ...] = ()
    discovery: Discovery | None = None
    variant: str = ""
    """Which variant `resolve` chose."""
    heads: tuple[ModelHeader, ...] = ()
    """By what the walk knew the models of the rows: with another head, the registers mean something else."""
    broke_off: str = ""
    """How the device's own list of what it has ended, when it may have more."""
    like: str = ""
    """The driver whose table this one takes over."""
    order: str = "big"
    sentinels: dict[str, tuple[int | range, ...]] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    """The largest amount that this meter can show, by unit of the vocabulary."""
    path: str = ""

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of the readings, in file order."""
        return tuple(row.name for row in self.rows if not row.attribute)

    @property
    def dynamic(self) -> bool:
        """Whether `resolve` must look at the meter before the rows are known."""
        return bool(self.variants or self.discovery)
