"""Replies that differ from what the standard asks for, in one field and always in the same way.

A gateway that numbers its replies by a counter of its own, or gives unit 255 for whomever it asked, serves
its values all the same. Only one field may be odd at a time: with two, nothing tells a reply from somebody
else's, or from an earlier one, unless the configuration says so of each.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from gateway.errors import BadFrame, BusError
from gateway.field.port.mbap import Frame, reply_head
from gateway.field.port.request import Request, refused, registers_short_of

Field = Literal["number", "length", "protocol", "unit", "count"]
FIELDS: tuple[Field, ...] = get_args(Field)
_FRONT = 3
"""What the length counts beside the registers: unit, function, byte count."""
ALL = 0x10000
"""Transaction numbers, and lengths, that there are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one reply: what the standard asks for, and what came."""

    field: Field
    asked: int
    seen: int

    def __str__(self) -> str:
        if self.field == "unit":
            return f"as unit {self.seen}"
        if self.field == "protocol":
            return f"with protocol {self.seen} for {self.asked}"
        if self.field == "count":
            return f"with byte count {self.seen} for {self.asked}"
        return f"with {'number' if self.field == 'number' else 'length'} {self.seen} for {self.asked}"


def standard(request: Request, frame: Frame) -> dict[Field, int]:
    """What the standard asks for in a reply with this PDU."""
    asked: dict[Field, int] = {
        "number": request.number,
        "protocol": 0,
        "unit": request.unit,
        "length": len(frame.pdu) + 1,
    }
    if request.answered_by(frame.pdu):
        asked["count"] = 2 * request.count
    return asked


def differences(asked: Mapping[Field, int], frame: Frame) -> list[Difference]:
    """The fields in which a reply differs from what is asked for."""
    return [
        Difference(field, value, seen)
        for field, value in asked.items()
        if (seen := getattr(frame, field)) != value
    ]


@dataclass(slots=True)
class ReplyForm:
    """What replies look like: as the standard has it, but for what was found constant, or is configured.

    `number` and `length` are rules (`expected`), `protocol` is a number or `own`: any. `units` are those that
    answer as another one, `counting` those whose byte count counts registers.
    """

    number: str = "asked"
    length: str = "asked"
    protocol: int | str = 0
    units: dict[int, int] = field(default_factory=dict)
    counting: set[int] = field(default_factory=set)
    told: set[tuple[Field, int | None]] = field(default_factory=set)
    """The fields that the configuration says this of: of a unit, or, with None, of all."""

    @property
    def known_protocol(self) -> int | None:
        """The one that replies carry; None where any may come."""
        return None if isinstance(self.protocol, str) else self.protocol

    def head(self, number: int, unit: int, function: int, count: int) -> bytes:
        """How the answer to a read begins that differs in nothing but a constant protocol; else empty."""
        if (
            unit in self.units
            or unit in self.counting
            or self.length != "asked"
            or isinstance(self.protocol, str)
        ):
            return b""
        return reply_head(number, unit, function, count, self.protocol)

    def unit_of(self, unit: int) -> int:
        """The one that a unit answers as."""
        return self.units.get(unit, unit)

    def foretells(self, each: Difference, unit: int) -> bool:
        """Whether a difference of a unit's reply is one that was found constant."""
        return self._expected(each.field, each.asked, unit) in {each.seen, None}

    def too_odd(self, odd: Sequence[Difference], unknown: Sequence[Difference], unit: int) -> bool:
        """Whether more than one field differs: nothing is left then to know the answer by. `unknown` are
        those that were not found constant yet. A number and a unit may both differ when each was found by
        itself, and any fields of which the configuration says so.
        """
        fields = {each.field for each in odd}
        told = all({(name, None), (name, unit)} & self.told for name in fields)
        known = told or fields == {"number", "unit"}
        return len(odd) > 1 and (bool(unknown) or not known)

    def refuted(self, asked: Mapping[Field, int], odd: Sequence[Difference]) -> tuple[Field, ...]:
        """The fields in which a reply is as `asked`, though it should differ; `odd` are those that do."""
        differing = {each.field for each in odd}
        return tuple(
            field
            for field, value in asked.items()
            if field not in differing and self._expected(field, value, asked["unit"]) != value
        )

    def _expected(self, field: Field, asked: int, unit: int) -> int | None:
        match field:
            case "number":
                return expected(self.number, asked)
            case "length":
                return expected(self.length, asked)
            case "protocol":
                return self.known_protocol
            case "unit":
                return self.unit_of(asked)
            case "count":
                return asked // 2 if unit in self.counting else asked


class Misfit(BadFrame):
    """A whole reply that carries the number of the request, and is not its answer: it may be that of an
    earlier one.
    """


def misfit(request: Request, frame: Frame, odd: Sequence[Difference]) -> Misfit:
    """What is wrong with a whole reply that is not believed."""
    unit, count, pdu = request.unit, request.count, frame.pdu
    function, other, size = request.function, pdu[0] & 0x7F, len(pdu) - 2
    if other != function:
        return Misfit(
            f"unit {unit}: a reply of function {other} came for one of function {function}",
            hint="restart the gateway; if it always does so, try a table with that function",
        )
    whole = frame.length == _FRONT + 2 * count
    if pdu[0] == function and whole and frame.count not in {count, 2 * count}:
        return Misfit(
            f"unit {unit}: a reply came with byte count {frame.count} for {2 * count}",
            hint="it counts neither bytes nor registers: ask its maker for another firmware",
        )
    if not (request.answered_by(pdu) or request.refused_by(pdu)):
        error = Misfit(
            f"unit {unit}: a reply of {size} bytes came for {count} registers, which may be that of an "
            "earlier request",
            hint="if it stays so, restart the gateway before it; if only shorter reads are answered, that is "
            "found out",
        )
        error.shorter = registers_short_of(count, frame.count, size)
        return error
    fields = " and ".join(map(str, odd))
    return Misfit(
        f"unit {unit}: a reply came {fields}, which may be an earlier one",
        hint="if all its replies come so, set those of reply_number, reply_unit, reply_length and "
        "reply_protocol that it needs",
    )


class OddReply(BadFrame):
    """A whole reply that fits but for one field."""

    def __init__(self, unit: int, difference: Difference) -> None:
        super().__init__(
            f"unit {unit} answers {difference}",
            hint="it is read when all its replies differ so; else mend the gateway, or set "
            f"reply_{difference.field} in gateway.yaml",
        )
        self.difference = difference


def nearly(
    request: Request, frame: Frame, odd: Sequence[Difference], units: Container[int]
) -> BusError | None:
    """What to raise where nothing better comes than a reply that would be the answer but for its number: it
    may be one to another client, which some gateways give to all. None when it is nothing of the kind.
    """
    if request.refused_by(frame.pdu) and frame.unit in units:
        return refused(request.unit, frame.pdu[1])
    if not request.answered_by(frame.pdu):
        return None
    alone = {each.field for each in odd} == {"number"}
    return OddReply(request.unit, odd[0]) if alone else misfit(request, frame, odd)


def swapped(number: int) -> int:
    """Its two bytes the other way round."""
    return number >> 8 | (number & 0xFF) << 8


def expected(rule: str, number: int) -> int | None:
    """The number that a reply to `number` carries by a rule: `asked`, `+1`, `-1`, `swapped`, `=0`. None
    where any may come: `own`. A length is what its reply should say.
    """
    if rule == "asked":
        return number
    if rule == "swapped":
        return swapped(number)
    if rule[0] in "+-":
        return (number + int(rule)) % ALL
    return int(rule[1:]) if rule[0] == "=" else None


def tells_apart(rule: str) -> bool:
    """Whether the numbers say which request a reply belongs to. If not, the rules of a serial line hold."""
    return rule == "asked" or (rule != "own" and not rule.startswith("="))


def rule_of(pairs: Sequence[tuple[int, int]]) -> str:
    """The rule by which these (asked, seen) numbers differ; `own` when it is a counter of the gateway's
    own, or none at all.
    """
    seen = {after for _, after in pairs}
    if len(seen) == 1:
        return f"={seen.pop()}"
    if all(after == swapped(before) for before, after in pairs):
        return "swapped"
    offsets = {(after - before + ALL // 2) % ALL - ALL // 2 for before, after in pairs}
    return f"{offsets.pop():+d}" if len(offsets) == 1 else "own"
