"""The tables of readings and of intervals in PostgreSQL, divided by months of UTC: which month is whose, and
a new one's statements.
"""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST_MONTH, _LAST_MONTH = 2020 * 12, 2100 * 12
"""Months that have a partition of their own; what lies elsewhere is of a clock that was wrong."""
PARTITION = r"^reading_(\d{4})_(\d{2})$"
"""The name of a month's readings, as a regular expression."""


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


DIVIDED = {"reading": "t", "interval": "start"}
"""The tables that are divided, and by which column."""


def partition_of(table: str, month: int) -> str:
    """The name of the table for a month of another one."""
    return f"{table}_{month // 12}_{month % 12 + 1:02d}"


def new_partition(table: str, month: int) -> list[str]:
    """Make the table for a month; what of it lies elsewhere moves there."""
    name, (first, last) = partition_of(table, month), (month_start(month), month_start(month + 1))
    within = f"{DIVIDED[table]} >= {first} AND {DIVIDED[table]} < {last}"
    return [
        f'CREATE TABLE {name} (LIKE "{table}" INCLUDING ALL)',
        f"WITH moved AS (DELETE FROM {table}_other WHERE {within} RETURNING *) "  # noqa: S608 - ours
        f"INSERT INTO {name} SELECT * FROM moved",
        f'ALTER TABLE "{table}" ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({last})',
    ]
