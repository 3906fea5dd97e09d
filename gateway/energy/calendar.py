"""The building's local days: which quarter hours they have, and what kind of day they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from gateway.energy.engine.edges import QUARTER

DAY: Final = 96
"""Quarter hours of an ordinary day."""
_SUNDAY: Final = 6


@dataclass(frozen=True)
class Calendar:
    """The building's zone and its holidays; `half` are days that are holidays from 13:00 on (arife)."""

    zone: tzinfo = UTC
    holidays: frozenset[date] = field(default_factory=frozenset)
    half: frozenset[date] = field(default_factory=frozenset)

    def place(self, q: int) -> tuple[date, int]:
        """Local date of a quarter hour (ms UTC) and which of the day's 96 it is by the clock on the wall."""
        return _place(self.zone, q)

    def kind(self, day: date) -> int:
        """0 Monday … 6 Sunday and holidays."""
        return _SUNDAY if day in self.holidays else day.weekday()

    def quarters(self, day: date) -> range:
        """Starts (ms UTC) of the quarter hours of a local day: 96, or 92 and 100 when the clock is moved."""
        return range(_midnight(self.zone, day), _midnight(self.zone, day + timedelta(1)), QUARTER)

    def start(self, day: date, slot: int) -> int | None:
        """The first quarter hour of a local day that is its `slot` by the clock on the wall;
        None: there is none.
        """
        quarters = self.quarters(day)
        if len(quarters) == DAY:
            return quarters[slot]
        return next((q for q in quarters if self.place(q)[1] == slot), None)


def _local(zone: tzinfo, q: int) -> tuple[date, int]:
    local = datetime.fromtimestamp(q // 1000, zone)
    return local.date(), local.hour * 4 + local.minute // 15


# Both live as long as the process: a few days of quarter hours, and a year of days.
_place: Final = lru_cache(maxsize=512)(_local)


@lru_cache(maxsize=400)
def _midnight(zone: tzinfo, day: date) -> int:
    # Where the clock is moved at midnight the day begins with the first quarter hour that has its date.
    q = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000 // QUARTER * QUARTER
    while _local(zone, q)[0] < day:
        q += QUARTER
    while _local(zone, q - QUARTER)[0] >= day:
        q -= QUARTER
    return q
