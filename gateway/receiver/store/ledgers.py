"""What is held of gateways, as it stands in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.receiver.ledger import GatewayLedger
from gateway.receiver.store.sql import Sql

AT_ONCE = 500
"""Gateways of one query."""


def known_gateways(conn: Sql) -> list[str]:
    """Every gateway that ever sent a batch or a state, by name."""
    sql = "SELECT gateway FROM epoch UNION SELECT gateway FROM state ORDER BY 1"
    return [gateway for (gateway,) in conn.execute(sql).fetchall()]


def rows_about(
    conn: Sql, gateways: Sequence[str], columns: str, table: str, more: str = "", *parameters: object
) -> Iterator[tuple[Any, ...]]:
    """Rows of a table about some gateways: whose, and these columns. `more`: what else of the statement comes
    after its WHERE, with its parameters.
    """
    for at in range(0, len(gateways), AT_ONCE):
        names = gateways[at : at + AT_ONCE]
        where = f"gateway IN ({', '.join('?' * len(names))})"
        sql = f"SELECT gateway, {columns} FROM {table} WHERE {where} {more}"  # noqa: S608 - ours
        yield from conn.execute(sql, (*names, *parameters)).fetchall()


def load_ledgers(conn: Sql, gateways: Sequence[str]) -> dict[str, GatewayLedger]:
    """The ledger of each gateway, empty for one that is not known."""
    ledgers = {gateway: GatewayLedger() for gateway in gateways}
    spans = rows_about(conn, gateways, "epoch, first, last", "held", "ORDER BY epoch, first")
    fill_ledgers(conn, ledgers, spans)
    return ledgers


def fill_ledgers(
    conn: Sql, ledgers: Mapping[str, GatewayLedger], spans: Iterable[tuple[str, str, int, int]]
) -> None:
    """Bring ledgers up to date, those of `spans` (gateway, epoch, first, last) that they do not know: what is
    held only grows. The rest is little, and read anew.
    """
    for ledger in ledgers.values():
        for one in ledger.epochs.values():
            one.anchors.clear()
    rows = partial(rows_about, conn, list(ledgers))
    columns = "epoch, first, previous, previous_last"
    for gateway, epoch, first, previous, last in rows(columns, "epoch", "ORDER BY last_received"):
        known = ledgers[gateway].epoch(epoch)
        known.first, known.previous, known.previous_last = first, previous, last
    for gateway, epoch, first, last in spans:
        ledgers[gateway].epoch(epoch).store(first, last)
    for gateway, epoch, first, last, spills in rows("epoch, first, last, open", "explained"):
        ledgers[gateway].epoch(epoch).explain(first, last, spills=bool(spills))
    for gateway, epoch, uptime, t in rows("epoch, uptime, t", "anchor", "ORDER BY uptime"):
        ledgers[gateway].epoch(epoch).anchors.append((uptime, t))
    for gateway, epoch, seq in rows("epoch, seq", "conflict"):
        ledgers[gateway].epoch(epoch).contradict(seq)
    for gateway, epoch, seq in rows("epoch, seq", "state", "AND epoch IS NOT NULL"):
        ledgers[gateway].newest = (epoch, seq or 0)
