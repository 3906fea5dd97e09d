"""The small tables of the platform's database: what gateways say about themselves, what was asked, what
was refused.
"""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from gateway.receiver.gaps import AskedReplay
from gateway.receiver.store.base import DESCRIPTIONS, bounded
from gateway.wire import State


class SqliteTables:
    """Rows that are written one by one."""

    db: Database

    def describe(self, gateway: str, description: str, at: int) -> bool:
        """Keep a P/meters if it differs from the newest one; whether it did."""
        table = self.db.table("meters")
        newest = table.rows_where("gateway = ?", [gateway], order_by="received DESC, rowid DESC", limit=1)
        if any(row["description"] == description for row in newest):
            return False
        table.insert({"gateway": gateway, "received": at, "description": description})
        old = """gateway = ?1 AND rowid NOT IN
            (SELECT rowid FROM meters WHERE gateway = ?1 ORDER BY received DESC, rowid DESC LIMIT ?2)"""
        table.delete_where(old, [gateway, DESCRIPTIONS])
        return True

    def note_state(self, gateway: str, state: State, at: int) -> None:
        """The newest P/state. A Last Will names no epoch: then what was known of it stays."""
        row: dict[str, Any] = {"gateway": gateway, "online": state.online, "at": at}
        if state.epoch is not None:
            row |= {"epoch": state.epoch, "seq": bounded(state.seq), "backlog": bounded(state.backlog)}
        if state.version is not None:
            row["version"] = state.version
        self.db.table("state").upsert(row, pk="gateway")

    def asked(self, id_: str, gateway: str, ask: AskedReplay, at: int) -> None:
        """Note a replay that is about to be asked for."""
        of = {"gateway": gateway, "epoch": ask.epoch, "first": ask.first, "last": ask.last}
        self.db.table("replay").insert({"id": id_, **of, "asked": at})

    def answered(self, id_: str, ok: bool, answer: str, at: int) -> None:
        """Note the answer to a replay that was asked for."""
        self.db.table("replay").update(id_, {"answered": at, "ok": ok, "answer": answer[:2000]})

    def rows(self, table: str, gateway: str) -> list[dict[str, Any]]:
        """Rows of a small table about one gateway, for the report."""
        return list(
            self.db.table(table).rows_where(
                "gateway = ?", [gateway], order_by="rowid" if table == "meters" else None
            )
        )

    def all_refused(self) -> list[dict[str, Any]]:
        """Every kind of message that could not be used, by sender."""
        return list(self.db.table("refused").rows_where(order_by="gateway, reason"))
