"""A store that refuses to insert, as that of a full disk does: the journal behind it is the real one."""

import sqlite3

from gateway.journal import writer as writer_module
from gateway.journal.file.store import JournalStore

ALWAYS = 10**6
"""Refusals that no test outlives."""


def error_of(name, text="words of SQLite"):
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


class Refusal:
    """Every insertion is refused while `left` is above zero, and counted. The journal tries again by itself
    after an hour, or when it is `over`: nothing depends on how long a test takes.
    """

    def __init__(self, monkeypatch, name="SQLITE_FULL", retry=3600.0):
        monkeypatch.setattr(writer_module, "RETRY", retry)
        self.left = 0
        self.count = 0
        self.error = error_of(name)
        plain = JournalStore.insert

        def insert(store, rows, table="batch"):
            if self.left > 0:
                self.left -= 1
                self.count += 1
                raise self.error
            return plain(store, rows, table)

        monkeypatch.setattr(JournalStore, "insert", insert)

    def over(self, journal):
        self.left = 0
        journal._writer._retry_at = 0
