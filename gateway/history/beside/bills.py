"""The distributor's bills beside our own meter, as `submeter bill` compared them: a file beside history.db
that the yearly report reads. It is made from nothing else: a history that is made again leaves it alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from gateway.common.files import write_durably
from gateway.errors import HistoryError

BILLS: Final = "bills.json"
_MOST: Final = 400
"""Bills that are kept: more than thirty years of months."""


@dataclass(frozen=True, slots=True)
class BilledAmount:
    """One line of a bill in Wh (a tariff band by its name) or varh (inductive, capacitive): what our meter
    says, what the bill says, and by how much the classes of both meters let them differ.
    """

    name: str
    measured: int
    billed: int
    allowed: int

    def is_beyond(self, missing: int) -> bool:
        """Whether the two differ by more than the classes allow: where so many quarter hours of ours are
        missing, ours is at least so much, and only too much of it says something.
        """
        off = self.measured - self.billed
        return off > self.allowed or (off < -self.allowed and not missing)

    def is_open(self, missing: int) -> bool:
        """Whether the two cannot be compared: what is missing may be what they differ by."""
        return bool(missing) and self.measured - self.billed < -self.allowed


@dataclass(frozen=True, slots=True)
class BillComparison:
    """A bill from its first to its last local day. `lacking`: days with quarter hours that were not measured,
    and how many of them; `missing`: how many of all quarter hours our meter knows nothing of; `made`: when it
    was compared, UTC in ms. `apart`: of a load profile the days on which the two differ by more than the
    classes allow, the largest first: the day, Wh of our meter, Wh of the bill.
    """

    meter: str
    first: date
    last: date
    made: int
    amounts: tuple[BilledAmount, ...]
    lacking: tuple[tuple[date, int], ...] = ()
    missing: int = 0
    apart: tuple[tuple[date, int, int], ...] = ()


def bills(directory: Path | str) -> list[BillComparison]:
    """Every comparison that was kept, by its first day; empty when there is none. Raises HistoryError."""
    path = Path(directory) / BILLS
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = [_bill(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(
            f"{path} cannot be used: {error}", hint="move it away; submeter bill makes it again"
        ) from error
    return sorted(found, key=lambda bill: (bill.first, bill.last, bill.meter))


def keep_bill(directory: Path | str, bill: BillComparison) -> None:
    """Keep a comparison; one of the same meter and days is replaced. Raises HistoryError."""
    same = (bill.meter, bill.first, bill.last)
    kept = [each for each in bills(directory) if (each.meter, each.first, each.last) != same]
    _write(Path(directory) / BILLS, [*kept, bill][-_MOST:])


def _write(path: Path, found: Iterable[BillComparison]) -> None:
    rows = [
        {
            "meter": bill.meter,
            "first": str(bill.first),
            "last": str(bill.last),
            "made": bill.made,
            "amounts": [
                {"name": each.name, "measured": each.measured, "billed": each.billed, "allowed": each.allowed}
                for each in bill.amounts
            ],
            "lacking": [[str(day), count] for day, count in bill.lacking],
            "missing": bill.missing,
            "apart": [[str(day), measured, billed] for day, measured, billed in bill.apart],
        }
        for bill in found
    ]
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    try:
        # The gateway's user reads what the administrator has compared.
        write_durably(path, text.encode(), mode=0o644)
    except OSError as error:
        raise HistoryError(
            f"{path} cannot be written: {error.strerror}",
            hint="run the command as the user of the gateway, or with sudo",
        ) from error


def _bill(row: dict[str, Any]) -> BillComparison:
    amounts = tuple(
        BilledAmount(str(each["name"]), int(each["measured"]), int(each["billed"]), int(each["allowed"]))
        for each in row["amounts"]
    )
    lacking = tuple((date.fromisoformat(day), int(count)) for day, count in row["lacking"])
    first, last = date.fromisoformat(row["first"]), date.fromisoformat(row["last"])
    missing = int(row.get("missing", 0))  # a file of before says neither
    apart = tuple((date.fromisoformat(day), int(our), int(its)) for day, our, its in row.get("apart", ()))
    return BillComparison(str(row["meter"]), first, last, int(row["made"]), amounts, lacking, missing, apart)
