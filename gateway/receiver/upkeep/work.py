"""The connection that upkeep works over: what of it each database does its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gateway.receiver.store import is_server, shown
from gateway.receiver.store.sql import Sql
from gateway.receiver.upkeep.sqlite import SqliteWork


class Work(Protocol):
    """A connection to the platform's database beside the receiver's. One thread."""

    @property
    def conn(self) -> Sql:
        """Statements in the common form."""

    @property
    def name(self) -> str:
        """What people call the database."""

    @property
    def leads(self) -> bool:
        """Whether the upkeep is ours: one of all receivers that share a database does it."""

    def snapshot(self) -> AbstractContextManager[None]:
        """One moment of the database for all that is read inside; nobody waits for it."""

    def writing(self) -> AbstractContextManager[None]:
        """One transaction on one moment of the database: all that is seen and changed inside, or nothing."""

    def make_room(self, now: int) -> None:
        """The readings of these weeks find their place without waiting for anybody."""

    def drop(self, gateways: Sequence[str], limit: int) -> Iterator[None]:
        """Remove the readings of all gateways, which these are, from before `limit` (UTC ms) for good, as far
        as their rollups are made; a transaction has ended at each yield.
        """

    def drop_undated(self, gateway: str, epoch: str, most: int) -> int:
        """Remove readings of an epoch whose time was never known, at most so many; how many."""

    def failed(self, error: Exception) -> bool:
        """Whether the database failed, or was busy: later is soon enough."""

    def close(self) -> None:
        """Close the connection of the upkeep."""


def open_work(database: Path | str) -> Work:
    """A connection for the upkeep of a database that a receiver has made. Errors of the database."""
    if not is_server(database):
        return SqliteWork(Path(database))
    from gateway.receiver.upkeep.postgres import PostgresWork  # noqa: PLC0415 - needs its library

    return PostgresWork(str(database), shown(database))
