"""The cells of one line of a register table, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.catalogue.driver import ORDERS, Row
from gateway.catalogue.units import KNOWN, Raw, example, parse_raw
from gateway.catalogue.values import ANYTHING, RATIO, Mistake, believable, ends, ratio, words_of
from gateway.common.near import did_you_mean
from gateway.common.text import in_short, quoted
from gateway.model import ATTRIBUTES, QUANTITIES, Quantity

FLAGS: Final = ("alone", "starts")
OPTIONS: Final = (
    "decimals",
    "order",
    "function",
    "na",
    "low",
    "high",
    "sf",
    "sf8",
    "sf8h",
    "rule",
    "of",
    "times",
    "codes",
    "sign",
    "mask",
)
RULES: Final = ("pf4q", "magnitude")
ADDRESS: Final = re.compile(r"(0x[0-9a-fA-F]{1,4}|\d{1,5})(?:\+(0x[0-9a-fA-F]{1,4}|\d{1,5}))?")
BRACES: Final = re.compile(r"\{([a-z0-9,]+)\}")
_NAME = re.compile(r"_?[a-z][a-z0-9_]*")
_TERM = re.compile(r"([+-]?)(_?[a-z][a-z0-9_]*)")
_BIT = re.compile(r"(?:(?P<row>_?[a-z][a-z0-9_]*)\.)?bit(?P<bit>\d{1,2})")
_FINEST: Final = 6
"""Decimals of a whole number whose unit the meter chooses."""
_SCALES: Final = {"sf": "", "sf8": "low", "sf8h": "high"}
_LAST = 0xFFFF
_T = TypeVar("_T")


@dataclass(slots=True)
class Defaults:
    """What a table's head says of all its rows."""

    function: int = 3
    order: str = "big"
    sentinels: Mapping[str, tuple[int | range, ...]] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    shift: int = 0
    """Added to every address: where a SunSpec model begins."""


class RegisterLine:
    """One line (or one of those that braces stand for) on its way to a Row."""

    def __init__(self, number: int, cells: list[str], defaults: Defaults) -> None:
        self.number, self.defaults, self.sentinels = number, defaults, defaults.sentinels
        self.place, self.kind, self.name, self.raw, self.pace, *more = cells
        self.flags: set[str] = set()
        self.options: dict[str, str] = {}
        for word in more:
            key, equals, value = word.partition("=")
            if (key not in OPTIONS or not value) if equals else key not in FLAGS:
                raise Mistake(
                    self.name,
                    f"{quoted(word)} is not an option",
                    did_you_mean(
                        key, [*FLAGS, *OPTIONS], f"options are {', '.join(FLAGS)}, {'=, '.join(OPTIONS)}="
                    ),
                )
            if key in self.options or key in self.flags:
                raise Mistake(self.name, f"says {key} twice", "leave one of them out")
            if equals:
                self.options[key] = value
            else:
                self.flags.add(key)

    @property
    def needs(self) -> list[str]:
        """The names of the rows that this one refers to."""
        return [part for _, part in _TERM.findall(self.options.get("of", ""))] + [
            self.options[key].partition(".")[0] for key in ("times", "sign") if key in self.options
        ]

    def row(self, rows: Mapping[str, Row]) -> Row:
        """The row; `rows` are those that it may refer to. Raises Mistake."""
        words = words_of(self.kind)
        quantity = self._quantity()
        attribute = self.name in ATTRIBUTES
        raw = self._raw(quantity)
        low, high = self._bounds(quantity, words)
        scale_at, scale_byte = self._scale()
        if self.options.get("rule") == "pf4q" and "factor" not in self.name and not self.name.startswith("_"):
            raise Mistake(self.name, "has a rule for power factors", "leave rule= out")
        sign_of, sign_of_bit, sign_bit = self._sign(words, rows)
        times = self._find(self.options["times"], "times", rows) if "times" in self.options else None
        if times is not None and times.unit not in {"", raw.unit}:
            what = f"times= names {times.name}, whose codes are in {times.unit}"
            raise Mistake(self.name, what, f"give {raw.unit or 'this row'} a register of its own")
        return Row(
            name=self.name,
            function=self._choice("function", {"3": 3, "4": 4}, self.defaults.function),
            address=self._address(words),
            words=words,
            type="text" if self.kind.startswith("text:") else self.kind,
            order=self._choice("order", {order: order for order in ORDERS}, self.defaults.order),
            factor=float(raw.factor),
            decimals=self._decimals(raw, times),
            pace="static" if self.pace == "static" else "slow" if self.pace == "slow" else "fast",
            low=low,
            high=high,
            attribute=attribute,
            alone="alone" in self.flags,
            starts="starts" in self.flags,
            sentinels=self._patterns(words, sign_bit, attribute=attribute),
            sign_bit=sign_bit,
            mask=self._mask(words, sign_bit),
            scale_at=scale_at,
            scale_byte=scale_byte,
            rule=self._choice("rule", {rule: rule for rule in RULES}, ""),
            terms=self._terms(rows),
            times=times,
            codes=self._codes(raw, words),
            unit=raw.unit if "codes" in self.options else "",
            sign_of=sign_of,
            sign_of_bit=sign_of_bit,
            line=self.number,
        )

    def _quantity(self) -> Quantity | None:
        """What of the vocabulary the row gives; None for an attribute or a helper row. Raises Mistake."""
        quantity, attribute = QUANTITIES.get(self.name), self.name in ATTRIBUTES
        if quantity is not None and quantity.own:
            raise Mistake(self.name, "is what the gateway says of itself", "take a quantity of a meter")
        helper = self.name.startswith("_") and _NAME.fullmatch(self.name)
        if quantity is None and not attribute and not helper:
            otherwise = "the vocabulary is in docs/add-a-meter.md; a leading _ keeps a helper row to itself"
            mend = did_you_mean(self.name, [*QUANTITIES, *ATTRIBUTES], otherwise)
            raise Mistake(self.name, "is not a quantity", mend)
        if self.pace not in {"fast", "slow", "static"}:
            raise Mistake(self.name, f"{quoted(self.pace)} is not a class", "write fast, slow or static")
        if quantity and self.pace == "static":
            raise Mistake(self.name, "is a reading, and static is read once a day", "write fast or slow")
        if attribute and self.pace != "static":
            raise Mistake(self.name, "is a fact about the meter, which hardly ever changes", "write static")
        return quantity

    def _raw(self, quantity: Quantity | None) -> Raw:
        raw = parse_raw(self.raw)
        if raw is None:
            mend = (
                "write the unit, with the register's step before it (0.1V, W, 10Wh, plain 0.001 without "
                f"unit): {', '.join(KNOWN)}"
            )
            raise Mistake(self.name, f"{quoted(self.raw)} is not a unit", mend)
        if quantity and raw.unit != quantity.unit:
            what = f"is in {quantity.unit or 'no unit'}, which {quoted(self.raw)} is not"
            mend = f"write the unit that the register has, like {example(quantity.unit)}"
            raise Mistake(self.name, what, mend)
        return raw

    def _bounds(self, quantity: Quantity | None, words: int) -> tuple[float, float]:
        least, most = RATIO if ratio(self.name) else (-ANYTHING, ANYTHING)
        if quantity:
            least, most = believable(quantity, words, self.defaults.bounds)
        low, high = self._number("low", least), self._number("high", most)
        if low >= high:
            what = f"can be nothing between low={low:g} and high={high:g}"
            raise Mistake(self.name, what, "write the smaller one as low")
        return low, high

    def _scale(self) -> tuple[int | None, str]:
        """Where the row's power of ten stands, and in which byte."""
        scales = [key for key in _SCALES if key in self.options]
        if len(scales) > 1:
            raise Mistake(self.name, "has two scale registers", "write one of sf=, sf8= and sf8h=")
        if not scales:
            return None, ""
        return self._whole(scales[0], self.options[scales[0]]) + self.defaults.shift, _SCALES[scales[0]]

    def _address(self, words: int) -> int:
        if self.kind == "sum":
            if self.place != "-":
                raise Mistake(self.name, "a sum has no address of its own", "write - in the first column")
            return 0
        match = ADDRESS.fullmatch(self.place)
        if match is None or match[2]:
            raise Mistake(
                self.name,
                f"{quoted(self.place)} is not an address",
                "write the 0-based protocol address: 0x0034 or 52",
            )
        address = int(match[1], 0) + self.defaults.shift
        if address + words - 1 > _LAST:
            raise Mistake(
                self.name,
                f"{self.place} is beyond the last register",
                "addresses run from 0 to 65535, without the leading 3 or 4 of the datasheet",
            )
        return address

    def _decimals(self, raw: Raw, times: Row | None) -> int | None:
        """Decimals in the vocabulary's unit: as written for the raw unit, else what whole numbers can
        have.
        """
        text = self.options.get("decimals")
        if text is None and (self.kind.startswith("float") or self.kind == "sum"):
            return None
        if text is None:
            return _FINEST if times is not None and times.codes else raw.places
        if not re.fullmatch(r"\d", text):
            raise Mistake(
                self.name,
                f"decimals={in_short(text)} is not a number of decimals",
                "write 0 to 9, counted in the unit of the raw column",
            )
        return max(0, int(text) + raw.shift)

    def _codes(self, raw: Raw, words: int) -> tuple[tuple[int, float], ...]:
        """What the numbers of a register that names a unit mean: how much of the row's unit each is."""
        text = self.options.get("codes")
        if text is None:
            return ()
        if not self.name.startswith("_") or not self.kind.startswith(("u", "s")) or not words:
            what = "codes= belongs to a whole number that other rows are multiplied by"
            raise Mistake(self.name, what, "give the row a name like _unit, and the others times=_unit")
        found: dict[int, float] = {}
        for part in text.split(","):
            number, _, unit = part.partition(":")
            meant = parse_raw(unit) if unit else None
            if meant is None or meant.unit != raw.unit:
                mend = f"write the number and what it stands for: 2:{example(raw.unit).split(',')[0]}"
                what = f"codes= has {quoted(part)}, which is no unit of {in_short(self.raw)}"
                raise Mistake(self.name, what, mend)
            code = self._whole("codes", number)
            if code in found:
                raise Mistake(self.name, f"codes= gives {number} twice", "leave one of them out")
            found[code] = float(meant.factor / raw.factor)
        return tuple(found.items())

    def _number(self, key: str, default: float) -> float:
        try:
            return float(self.options.get(key, default))
        except ValueError:
            raise Mistake(
                self.name,
                f"{key}={self.options[key]} is not a number",
                f"write {key}= in the unit of the vocabulary",
            ) from None

    def _whole(self, key: str, text: str) -> int:
        try:
            return int(text, 0)
        except ValueError:
            raise Mistake(
                self.name, f"{key}={in_short(text)} is not a whole number", "write it like 0x7FFF or 32767"
            ) from None

    def _choice(self, key: str, choices: Mapping[str, _T], default: _T) -> _T:
        if key not in self.options:
            return default
        if self.options[key] not in choices:
            raise Mistake(
                self.name,
                f"{key}={self.options[key]} is not known",
                f"write {key}= with one of {', '.join(choices)}",
            )
        return choices[self.options[key]]

    def _patterns(self, words: int, sign_bit: int | None, *, attribute: bool) -> tuple[int | range, ...]:
        text = self.options.get("na")
        if text == "none":
            return ()
        found = (
            self.sentinels.get(self.kind, ())
            if text is None
            else tuple(self._pattern(part) for part in text.split(","))
        )
        if any(
            not 0 <= part[0] <= part[-1] < 1 << 16 * words
            for part in (p if isinstance(p, range) else (p,) for p in found)
        ):
            raise Mistake(
                self.name,
                f"na={in_short(text)} does not fit into {self.kind}",
                "write the raw pattern of the registers as an unsigned number",
            )
        more = ends(self.kind, words, attribute=attribute)
        if sign_bit is not None:
            more = tuple(
                pattern for pattern in more if pattern != 1 << sign_bit
            )  # minus nothing is an amount
        if "_factor" in self.name and words:
            more = (
                *more,
                (1 << 16 * words) - 1,
            )  # minus one step is no power factor, and "not available" on many meters
        return (*found, *(pattern for pattern in more if pattern not in found))

    def _pattern(self, text: str) -> int | range:
        """A raw pattern, or a range of them: 0x7FFF0000-0x7FFFFFFF."""
        first, dash, last = text.partition("-")
        if not dash:
            return self._whole("na", first)
        span = range(self._whole("na", first), self._whole("na", last) + 1)
        if not span:
            what = f"na={in_short(text)} is an empty range"
            raise Mistake(self.name, what, "write the lower pattern first")
        return span

    def _sign(self, words: int, rows: Mapping[str, Row]) -> tuple[Row | None, int | None, int | None]:
        """What sign= says: another row, a bit of it, or a bit of this row's own registers."""
        text = self.options.get("sign")
        if text is None:
            return None, None, None
        match = _BIT.fullmatch(text)
        if match is None:
            return self._find(text, "sign", rows), None, None
        other = self._find(match["row"], "sign", rows) if match["row"] else None
        kind, size = (other.type, other.words) if other else (self.kind, words)
        if not kind.startswith(("u", "s", "hex", "bcd")) or not size:
            raise Mistake(
                self.name,
                f"sign={in_short(text)} is a bit of {kind}, which is no whole number",
                "write the type as u16, u32, bcd16 …",
            )
        if int(match["bit"]) >= 16 * size:
            raise Mistake(
                self.name,
                f"sign={in_short(text)} is beyond the bits of {kind}",
                f"bits are counted from bit0 to bit{16 * size - 1}",
            )
        bit = int(match["bit"])
        return (other, bit, None) if other else (None, None, bit)

    def _mask(self, words: int, sign_bit: int | None) -> int:
        """The bits that are the number; 0 when all are."""
        if "mask" not in self.options:
            return 0 if sign_bit is None else ((1 << 16 * words) - 1) ^ 1 << sign_bit
        mask = self._whole("mask", self.options["mask"])
        if not self.kind.startswith(("u", "s", "hex", "bcd")) or not words:
            raise Mistake(
                self.name, f"mask= belongs to a whole number, not to {self.kind}", "leave mask= out"
            )
        if not 0 < mask < 1 << 16 * words:
            what = f"mask={self.options['mask']} does not fit into {self.kind}"
            raise Mistake(self.name, what, "write the bits that are the number: 0x0FFF")
        if sign_bit is not None and mask >> sign_bit & 1:
            raise Mistake(
                self.name, f"mask= has bit {sign_bit}, which is the sign", "leave that bit out of the mask"
            )
        return mask

    def _terms(self, rows: Mapping[str, Row]) -> tuple[tuple[int, Row], ...]:
        text = self.options.get("of", "")
        if self.kind != "sum":
            if text:
                raise Mistake(self.name, "of= belongs to a sum", "write the type sum, and - for the address")
            return ()
        found: list[tuple[str, str]] = _TERM.findall(text)
        if not found or "".join(sign + part for sign, part in found) != text:
            raise Mistake(
                self.name, "does not say what it is the sum of", "write of=first+second or of=first-second"
            )
        return tuple((-1 if sign == "-" else 1, self._find(part, "of", rows)) for sign, part in found)

    def _find(self, name: str, key: str, rows: Mapping[str, Row]) -> Row:
        if name not in rows:
            raise Mistake(
                self.name,
                f"{key}= names {in_short(name)}, which is not a row of this table",
                did_you_mean(name, rows, "give it a line of its own"),
            )
        return rows[name]
