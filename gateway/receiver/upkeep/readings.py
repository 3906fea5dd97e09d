"""Which readings there are of a gateway."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.receiver.store.sql import Sql


def meters_of(conn: Sql, gateway: str, table: str = "reading") -> Iterator[str]:
    """Every meter that there are readings of, or rows of another table by gateway and meter; each costs one
    look into an index.
    """
    meter: str | None = ""
    sql = f"SELECT min(meter) FROM {table} WHERE gateway = ? AND meter > ?"  # noqa: S608 - ours
    while (meter := conn.execute(sql, (gateway, meter)).fetchone()[0]) is not None:
        yield meter


def dropped_before(conn: Sql, gateway: str) -> int:
    """The time (UTC ms) before which the readings of a gateway were dropped; 0: none were."""
    sql = """SELECT coalesce(max("before"), 0) FROM dropped WHERE gateway IN ('', ?)"""
    return int(conn.execute(sql, (gateway,)).fetchone()[0])
