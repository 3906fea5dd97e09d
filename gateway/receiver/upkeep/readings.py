"""Which readings there are of a gateway."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.receiver.store.arrivals import HOUR, hour_of
from gateway.receiver.store.sql import Sql

GRACE = 300_000
"""ms after the end of an hour: what is on its way comes in."""
HOURS = 2
"""In which a meter must have given something: the newest may not be rolled up yet."""


def meters_of(conn: Sql, gateway: str, table: str = "reading") -> Iterator[str]:
    """Every meter that there are readings of, or rows of another table by gateway and meter; each costs one
    look into an index.
    """
    meter: str | None = ""
    sql = f"SELECT min(meter) FROM {table} WHERE gateway = ? AND meter > ?"  # noqa: S608 - ours
    while (meter := conn.execute(sql, (gateway, meter)).fetchone()[0]) is not None:
        yield meter


def unread(conn: Sql, now: int, gateway: str | None = None) -> list[tuple[str, str]]:
    """Gateway and meter of each, of one gateway or of all, that gave nothing at all in the newest hour that
    is known of it, one of the last HOURS that have ended at `now` (UTC ms).
    """
    sql = """SELECT gateway, meter FROM reading_hour AS h WHERE missing = readings AND t >= ?
        AND NOT EXISTS (SELECT 1 FROM reading_hour AS newer
        WHERE newer.gateway = h.gateway AND newer.meter = h.meter AND newer.t > h.t)"""
    parameters: list[object] = [hour_of(now - GRACE) - HOURS * HOUR]
    if gateway is not None:
        sql += " AND gateway = ?"
        parameters.append(gateway)
    # Sorted here: for an order of its own SQLite reads the whole table by its key, not the small index.
    return sorted((owner, meter) for owner, meter in conn.execute(sql, parameters).fetchall())


def dropped_before(conn: Sql, gateway: str) -> int:
    """The time (UTC ms) before which the readings of a gateway were dropped; 0: none were."""
    sql = """SELECT coalesce(max("before"), 0) FROM dropped WHERE gateway IN ('', ?)"""
    return int(conn.execute(sql, (gateway,)).fetchone()[0])
