"""The small tables of the platform's database: what gateways say about themselves, what was asked, what
was refused.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlite_utils import Database

from gateway.receiver.gaps import Ask

DESCRIPTIONS = 32
"""Descriptions of a gateway's meters that are kept, the newest ones."""


class Tables:
    """Rows that are written one by one."""

    db: Database
    conn: sqlite3.Connection

    def describe(self, gateway: str, description: str, at: int) -> bool:
        """Keep a P/meters if it differs from the newest one; whether it did."""
        sql = """INSERT INTO meters SELECT ?1, ?2, ?3 WHERE ?3 IS NOT
            (SELECT description FROM meters WHERE gateway = ?1 ORDER BY received DESC, rowid DESC LIMIT 1)"""
        changed = self.conn.execute(sql, (gateway, at, description)).rowcount > 0
        if changed:
            old = """DELETE FROM meters WHERE gateway = ?1 AND rowid NOT IN
                (SELECT rowid FROM meters WHERE gateway = ?1 ORDER BY received DESC, rowid DESC LIMIT ?2)"""
            self.conn.execute(old, (gateway, DESCRIPTIONS))
        return changed

    def refuse(self, gateway: str, reason: str, count: int, at: int, example: str) -> None:
        """Count what could not be used."""
        sql = """INSERT INTO refused VALUES (?, ?, ?, ?, ?) ON CONFLICT (gateway, reason) DO UPDATE SET
            count = count + excluded.count, at = excluded.at, example = excluded.example"""
        self.conn.execute(sql, (gateway, reason, count, at, example[:200]))

    def asked(self, id_: str, gateway: str, ask: Ask, at: int) -> None:
        """Note a replay that is about to be asked for."""
        sql = "INSERT INTO replay (id, gateway, epoch, first, last, asked) VALUES (?, ?, ?, ?, ?, ?)"
        self.conn.execute(sql, (id_, gateway, ask.epoch, ask.first, ask.last, at))

    def answered(self, id_: str, ok: bool, answer: str, at: int) -> None:
        """Note the answer to a replay."""
        self.conn.execute(
            "UPDATE replay SET answered = ?, ok = ?, answer = ? WHERE id = ?", (at, ok, answer[:2000], id_)
        )

    def rows(self, table: str, gateway: str) -> list[dict[str, Any]]:
        """Rows of a small table about one gateway, for the report."""
        return list(
            self.db[table].rows_where(
                "gateway = ?", [gateway], order_by="rowid" if table == "meters" else None
            )
        )

    def all_refused(self) -> list[dict[str, Any]]:
        """Every kind of message that could not be used, by sender."""
        return list(self.db["refused"].rows_where(order_by="gateway, reason"))
