"""Which database, by how it is named."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gateway.errors import JournalError
from gateway.receiver.store.base import Store
from gateway.receiver.store.sqlite import SqliteStore

_SCHEMES = ("postgresql://", "postgres://")


def is_server(database: str | Path) -> bool:
    """Whether it is an address of PostgreSQL, not a file."""
    return str(database).startswith(_SCHEMES)


def shown(database: str | Path) -> str:
    """What people are shown of it: an address without user, password and options."""
    if not is_server(database):
        return str(database)
    parts = urlsplit(str(database))
    host = parts.hostname or parse_qs(parts.query).get("host", ["this machine"])[0]
    return f"postgresql://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def open_store(database: str | Path, *, readonly: bool = False) -> Store:
    """Open or create. Raises JournalBusy when another receiver uses the file, JournalError when it cannot be
    opened.
    """
    if not is_server(database):
        return SqliteStore(Path(database), readonly=readonly)
    try:
        # Only who has a server has the library for it.
        from gateway.receiver.store.postgres import PostgresStore  # noqa: PLC0415
    except ImportError as error:
        raise JournalError(
            f"the library for PostgreSQL is missing: {error}",
            hint="install it: pip install 'submeter-gateway[postgres]'",
        ) from error
    return PostgresStore(str(database), shown(database), readonly=readonly)
