"""The platform's database: SQLite in one file, or PostgreSQL that several receivers share."""

from gateway.receiver.store.arrivals import Arrival, Taken
from gateway.receiver.store.base import Store
from gateway.receiver.store.choice import is_server, open_store, shown
from gateway.receiver.store.sql import DatabaseAway
from gateway.receiver.store.sqlite import SqliteStore

__all__ = ["Arrival", "DatabaseAway", "SqliteStore", "Store", "Taken", "is_server", "open_store", "shown"]
