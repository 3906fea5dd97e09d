"""A connection to PostgreSQL that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from gateway.common.text import one_line
from gateway.errors import JournalError
from gateway.receiver.store.server import ServerConnection

_PREPARE = b"""SET default_transaction_read_only = on; SET statement_timeout = '2s'; SET lock_timeout = '1s';
    SET idle_in_transaction_session_timeout = '5s'; SET max_parallel_workers_per_gather = 0"""
"""Whatever a visitor asks is over soon, takes one processor, and changes nothing."""


class PostgresReader:
    """`address` is a connection URI, `name` what people are shown of it."""

    def __init__(self, address: str, name: str) -> None:
        self._name = name
        self.conn = ServerConnection(address, _PREPARE)

    @contextmanager
    def asking(self) -> Iterator[None]:
        try:
            with self.conn.transaction():
                self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield
        except psycopg.Error as error:
            with suppress(psycopg.Error):
                self.conn.close()
            raise JournalError(
                f"{self._name}: {one_line(error)}",
                hint="does its server run, and is a receiver at work on it? try again in a minute",
            ) from error

    def close(self) -> None:
        self.conn.close()
