"""Replies that differ from what the standard asks for, in one field and always in the same way.

A gateway that numbers its replies by a counter of its own, or gives unit 255 for whomever it asked, serves
its values all the same. Only one field may be odd at a time: with two, nothing tells a reply from somebody
else's, or from an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.errors import BadFrame
from gateway.field.port.mbap import Frame

Field = Literal["number", "unit", "length", "protocol"]
ALL = 0x10000
"""Transaction numbers that there are."""


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
        return f"with {'number' if self.field == 'number' else 'length'} {self.seen} for {self.asked}"


def differences(number: int, unit: int, frame: Frame) -> list[Difference]:
    """The fields in which a reply differs from what the standard asks for."""
    fields: tuple[tuple[Field, int, int], ...] = (
        ("number", number, frame.number),
        ("protocol", 0, frame.protocol),
        ("unit", unit, frame.unit),
        ("length", len(frame.pdu) + 1, frame.length),
    )
    return [Difference(field, asked, seen) for field, asked, seen in fields if asked != seen]


def is_known(odd: Difference, unit: int | None, protocol: int, length: bool) -> bool:
    """Whether a difference was found constant: `unit` and `protocol` are what replies give, `length` says
    that theirs is right. Of a number its rule has said so already.
    """
    match odd.field:
        case "protocol":
            return odd.seen == protocol
        case "unit":
            return odd.seen == unit
        case "length":
            return not length
    return True


def too_odd(odd: Sequence[Difference], unknown: Sequence[Difference]) -> bool:
    """Whether more than one field differs: nothing is left then to know the answer by. `unknown` are those
    that were not found constant yet; a number and a unit may both differ when each was found, or told, by
    itself.
    """
    return len(odd) > 1 and (bool(unknown) or {each.field for each in odd} != {"number", "unit"})


class OddReply(BadFrame):
    """A whole reply that fits but for one field."""

    def __init__(self, unit: int, difference: Difference) -> None:
        super().__init__(
            f"unit {unit} answers {difference}",
            hint=f"it is read when all its replies differ so; else mend the gateway, or set "
            f"reply_{difference.field} of its bus"
            if difference.field in {"number", "unit"}
            else "it is read when all its replies differ so; else mend the gateway",
        )
        self.difference = difference


def swapped(number: int) -> int:
    """Its two bytes the other way round."""
    return number >> 8 | (number & 0xFF) << 8


def expected(rule: str, number: int) -> int | None:
    """The number that a reply to `number` carries by a rule: `asked`, `+1`, `-1`, `swapped`, `=0`. None
    where any may come: `own`.
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
    return rule != "own" and not rule.startswith("=")


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
