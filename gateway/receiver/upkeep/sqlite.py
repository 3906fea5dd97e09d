"""Upkeep of a SQLite file: small transactions between those of the receiver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from gateway.receiver.store.arrivals import HOUR, hour_of
from gateway.receiver.upkeep.readings import dropped_before, meters_of

PATIENCE = 10.0
"""s to wait for a commit of the receiver."""


class SqliteWork:
    """One process uses the file, so there is no other upkeep."""

    leads = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self.conn = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        # What a power cut takes of it, its notes of what is to do and all, is done again.
        self.conn.execute("PRAGMA synchronous=NORMAL").fetchall()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.conn.execute(begin)
        try:
            yield
        except BaseException:
            self.conn.rollback()
            raise
        self.conn.commit()

    def snapshot(self) -> AbstractContextManager[None]:
        return self._transaction("BEGIN")

    def writing(self) -> AbstractContextManager[None]:
        return self._transaction("BEGIN IMMEDIATE")

    def make_room(self, now: int) -> None:
        """There is always room."""

    def drop(self, gateways: Sequence[str], limit: int) -> Iterator[None]:
        """An hour of one gateway at a time."""
        for gateway in gateways:
            while self._drop_hour(gateway, limit):
                yield

    def _drop_hour(self, gateway: str, limit: int) -> bool:
        """The oldest hour of a gateway that is before `limit`; whether there was one."""
        start = dropped_before(self.conn, gateway)
        sql = """SELECT min(t) FROM reading WHERE gateway = ? AND meter = ? AND t >= ? AND t < ?
            AND clock <> 'unsynced'"""
        meters = list(meters_of(self.conn, gateway))
        oldest = [
            t
            for meter in meters
            if (t := self.conn.execute(sql, (gateway, meter, start, limit)).fetchone()[0]) is not None
        ]
        if not oldest or (hour := hour_of(min(oldest))) + HOUR > limit:
            return False
        with self.writing():
            due = "SELECT 1 FROM changed_hour WHERE hour <= ? AND gateway = ? LIMIT 1"
            if self.conn.execute(due, (hour, gateway)).fetchone():
                return False  # the rollup first
            for meter in meters:
                gone = """DELETE FROM reading WHERE gateway = ? AND meter = ? AND t >= ? AND t < ?
                    AND clock <> 'unsynced'"""
                self.conn.execute(gone, (gateway, meter, hour, hour + HOUR))
            note = """INSERT INTO dropped VALUES (?, ?) ON CONFLICT (gateway) DO UPDATE SET
                "before" = excluded."before" """
            self.conn.execute(note, (gateway, hour + HOUR))
        return True

    def drop_undated(self, gateway: str, epoch: str, most: int) -> int:
        sql = """DELETE FROM reading WHERE rowid IN (SELECT rowid FROM reading
            WHERE gateway = ? AND epoch = ? AND clock = 'unsynced' LIMIT ?)"""
        return self.conn.execute(sql, (gateway, epoch, most)).rowcount

    def failed(self, error: Exception) -> bool:
        return type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}

    def close(self) -> None:
        self.conn.close()
