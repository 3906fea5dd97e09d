"""A connection to a database, as far as SQLite and PostgreSQL are alike."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.errors import JournalError


class DatabaseAway(JournalError):
    """The server of a database does not answer; it may later."""


class Results(Protocol):
    """The rows of a statement, as SQLite and PostgreSQL both give them."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Sql(Protocol):
    """A connection: `?` and `:name` stand for parameters."""

    def execute(self, sql: str, parameters: Any = (), /) -> Results: ...

    def executemany(self, sql: str, parameters: Any, /) -> object: ...
