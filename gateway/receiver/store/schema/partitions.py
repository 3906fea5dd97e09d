"""The table of readings in PostgreSQL, divided by months of UTC: which month is whose, and a new one's
statements.
"""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST_MONTH, _LAST_MONTH = 2020 * 12, 2100 * 12
"""Months that have a partition of their own; the clocks of other readings were wrong."""
PARTITION = r"^reading_(\d{4})_(\d{2})$"
"""The name of a month's, as a regular expression."""


def month_of(t: int) -> int | None:
    """The month of a UTC time in ms, counted from the year 0; None for what no clock that is right says."""
    try:
        day = datetime.fromtimestamp(t / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    month = day.year * 12 + day.month - 1
    return month if _FIRST_MONTH <= month < _LAST_MONTH else None


def month_start(month: int) -> int:
    """UTC in ms."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)


SPAN = month_start(_FIRST_MONTH), month_start(_LAST_MONTH)
"""The times that have partitions: UTC ms, from the first to before the second."""


def partition_of(month: int) -> str:
    """The name of its table."""
    return f"reading_{month // 12}_{month % 12 + 1:02d}"


def new_partition(name: str, first: int, last: int) -> list[str]:
    """Make the table for times from `first` to before `last`; what of them lies elsewhere moves there."""
    within = f"t >= {first} AND t < {last}"
    return [
        f"CREATE TABLE {name} (LIKE reading INCLUDING ALL)",
        f"WITH moved AS (DELETE FROM reading_other WHERE {within} RETURNING *) "  # noqa: S608 - whole numbers
        f"INSERT INTO {name} SELECT * FROM moved",
        f"ALTER TABLE reading ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({last})",
    ]
