"""A gateway as the fleet page shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A row of the table `fleet`, as it was at `at`. Times are UTC in ms; `problems` are words of SEVERITY,
    the worst first; days are those of its meters lately; `last_t` is the time of the newest reading; `unread`
    are meters that gave nothing in the newest hour that is known of them.
    """

    gateway: str
    at: int
    name: str
    timezone: str
    sought: str
    """What a search is compared with: see `folded`."""
    online: bool
    heard: int | None
    last_t: int | None
    last_received: int | None
    backlog: int | None
    version: str | None
    clock: str | None
    missing: int
    conflicts: int
    refused: int
    complete: int
    incomplete: int
    contradicted: int
    unread: int
    problems: tuple[str, ...]
    severity: int

    def as_row(self) -> tuple[object, ...]:
        """In the order of COLUMNS."""
        values = dict(zip(COLUMNS, astuple(self), strict=True))
        return (*(values | {"online": int(self.online), "problems": json.dumps(self.problems)}).values(),)


COLUMNS = tuple(field.name for field in fields(FleetRow))


def row_of(values: Sequence[Any]) -> FleetRow:
    """From the columns of the table."""
    told = dict(zip(COLUMNS, values, strict=True))
    told |= {"online": bool(told["online"]), "problems": tuple(json.loads(told["problems"]))}
    return FleetRow(**told)


def folded(text: str) -> str:
    """The same for large and small letters, and for every i there is: nobody types İzmir as it is written."""
    return text.replace("İ", "i").replace("ı", "i").casefold()
