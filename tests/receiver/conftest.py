"""Both databases, and a real broker on a free port."""

import json

import pytest
from postgres_server import PostgresServer, programs, timescale

from gateway.receiver.store import open_store
from tests.mosquitto import MOSQUITTO, Mosquitto


@pytest.fixture(scope="session")
def postgres():
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer()
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def timescaledb():
    """A server with the extension loaded."""
    if not timescale():
        pytest.skip("TimescaleDB is not installed beside PostgreSQL (postgresql-17-timescaledb of Debian 13)")
    server = PostgresServer(preload="timescaledb")
    server.start()
    yield server
    server.end()


@pytest.fixture(params=["sqlite", "postgres", *(["timescaledb"] if timescale() else [])])
def database(request, tmp_path):
    """A file that is not there yet, or the address of an empty database."""
    if request.param == "sqlite":
        return tmp_path / "p.db"
    return request.getfixturevalue(request.param).new_database()


@pytest.fixture
def store(database):
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture
def told():
    """Rows of a statement as dicts, JSON as text."""

    def ask(store, sql):
        if hasattr(store, "db"):
            return list(store.db.query(sql))
        rows = store.conn.dicts(sql)
        return [
            {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()} for row in rows
        ]

    return ask


@pytest.fixture
def broker(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.kill()
